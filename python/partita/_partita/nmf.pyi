"""Factorizations of matrices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_F32 = npt.NDArray[np.float32]
_Progress = Callable[[str, int, int | None, float | None], Any] | None

__all__ = ["fit"]

def fit(
    v: _F32,
    n_components: int,
    max_iter: int = 200,
    tol: float = 1e-4,
    seed: int = 0,
    progress: _Progress = None,
) -> tuple[_F32, _F32, int, float]: ...
