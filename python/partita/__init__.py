"""Takes the parts out of a recording, and factorizes any non-negative matrix.

What needs more than the standard library is imported when it is first used, so ``import partita`` takes no time.
"""

from __future__ import annotations

import importlib

# As in `typing`, whose import alone takes longer than that of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import decomposition as decomposition
    from . import distributed as distributed
    from . import metrics as metrics
    from ._audio import RecordingLike as RecordingLike
    from ._audio import read as read
    from ._audio import write as write
    from ._partita import Cancelled as Cancelled
    from ._partita import __version__ as __version__
    from ._partita import num_threads as num_threads
    from ._partita import set_num_threads as set_num_threads
    from ._progress import Progress as Progress
    from ._progress import ProgressLike as ProgressLike
    from .decomposition import NMF as NMF
    from .decomposition import MiniBatchNMF as MiniBatchNMF
    from .decomposition import non_negative_factorization as non_negative_factorization
    from .decomposition import select_rank as select_rank
    from .knowledge import by_examples as by_examples
    from .knowledge import by_score as by_score
    from .knowledge import painted as painted
    from .marks import Marks as Marks
    from .methods import denoise as denoise
    from .methods import drums as drums
    from .methods import hpss as hpss
    from .methods import separate as separate
    from .separation import Components as Components
    from .separation import Hit as Hit
    from .separation import Note as Note
    from .separation import SavedStem as SavedStem
    from .separation import Separation as Separation

#: The module of this package that each public name comes from; modules come from themselves.
_PLACES = {
    "decomposition": None,
    "distributed": None,
    "metrics": None,
    "RecordingLike": "_audio",
    "read": "_audio",
    "write": "_audio",
    "Cancelled": "_partita",
    "__version__": "_partita",
    "num_threads": "_partita",
    "set_num_threads": "_partita",
    "Progress": "_progress",
    "ProgressLike": "_progress",
    "NMF": "decomposition",
    "MiniBatchNMF": "decomposition",
    "non_negative_factorization": "decomposition",
    "select_rank": "decomposition",
    "by_examples": "knowledge",
    "by_score": "knowledge",
    "painted": "knowledge",
    "Marks": "marks",
    "denoise": "methods",
    "drums": "methods",
    "hpss": "methods",
    "separate": "methods",
    "Components": "separation",
    "Hit": "separation",
    "Note": "separation",
    "SavedStem": "separation",
    "Separation": "separation",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = _PLACES[name]
    module = importlib.import_module(f".{place or name}", __name__)
    value: object = module if place is None else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
