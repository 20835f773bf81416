"""Takes the parts out of a recording, and factorizes any non-negative matrix.

What needs more than the standard library is imported when it is first used, so ``import partita`` takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import decomposition as decomposition
    from ._partita import Cancelled as Cancelled
    from ._partita import __version__ as __version__
    from ._partita import num_threads as num_threads
    from ._partita import set_num_threads as set_num_threads
    from .decomposition import NMF as NMF
    from .decomposition import MiniBatchNMF as MiniBatchNMF
    from .decomposition import non_negative_factorization as non_negative_factorization
    from .decomposition import select_rank as select_rank

#: Where each public name comes from: a module of this package, or (module, name in it).
_LAZY = {
    "decomposition": "decomposition",
    "Cancelled": ("_partita", "Cancelled"),
    "__version__": ("_partita", "__version__"),
    "num_threads": ("_partita", "num_threads"),
    "set_num_threads": ("_partita", "set_num_threads"),
    "NMF": ("decomposition", "NMF"),
    "MiniBatchNMF": ("decomposition", "MiniBatchNMF"),
    "non_negative_factorization": ("decomposition", "non_negative_factorization"),
    "select_rank": ("decomposition", "select_rank"),
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> object:
    place = _LAZY.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if isinstance(place, str):
        value: object = importlib.import_module(f".{place}", __name__)
    else:
        value = getattr(importlib.import_module(f".{place[0]}", __name__), place[1])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
