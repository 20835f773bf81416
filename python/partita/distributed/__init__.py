"""Archives of recordings and huge matrices on a Ray cluster (``pip install partita[ray]``)."""

from ._archive import Report, separate_archive

__all__ = ["Report", "separate_archive"]
