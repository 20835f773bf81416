"""The native half of the package; what users call is in Python, beside it."""

from collections.abc import Sequence

from . import audio as audio
from . import metrics as metrics
from . import nmf as nmf
from . import separate as separate
from . import share as share

__version__: str

__all__ = [
    "Cancelled",
    "__version__",
    "audio",
    "metrics",
    "nmf",
    "num_threads",
    "run_command",
    "separate",
    "set_num_threads",
    "share",
]

class Cancelled(Exception):
    """The work was ended by a progress callback that returned False."""

def num_threads() -> int:
    """Number of threads that work is done on."""

def set_num_threads(n: int | None = None) -> None:
    """Sets the number of threads; ``None`` is one for each processor (or what ``RAYON_NUM_THREADS`` says)."""

def run_command(args: Sequence[str]) -> int:
    """Does what a command line says, for the rest of the life of this process, and returns the exit code."""
