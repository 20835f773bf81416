"""Scores of estimates."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]
_Progress = Callable[[str, int, int | None, float | None], Any] | None

__all__ = ["bss_eval"]

def bss_eval(
    references: list[_F32],
    estimates: list[_F32],
    framing: tuple[float, float] | None,
    n_taps: int,
    sources_mode: bool,
    apart: bool,
    permute: bool,
    progress: _Progress = None,
) -> tuple[_F64, list[int]]: ...
