"""Archives of recordings and huge matrices on a Ray cluster (``pip install partita[ray]``)."""

from ._archive import Report, separate_archive
from ._matrix import DistributedFactorization, factorize

__all__ = ["DistributedFactorization", "Report", "factorize", "separate_archive"]
