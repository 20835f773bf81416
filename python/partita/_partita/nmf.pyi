"""Factorizations of matrices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[Any]
_Progress = Callable[[str, int, int | None, float | None], Any] | None

__all__ = ["fit", "search_activations", "select_rank", "step"]

def fit(
    v: Any,
    w: _Floats,
    h: _Floats,
    settings: dict[str, Any],
    weights: _Floats | None,
    progress: _Progress,
) -> tuple[_Floats, _Floats, int, float]: ...
def select_rank(
    v: _Floats,
    first: int,
    last: int,
    share: float,
    n_repeats: int,
    settings: dict[str, Any],
    progress: _Progress,
) -> tuple[int, list[float], list[float]]: ...
def step(
    v: Any,
    w: _Floats,
    h: _Floats,
    numerator: _Floats,
    denominator: _Floats,
    rho: float,
    is_search: bool,
    settings: dict[str, Any],
) -> tuple[_Floats, _Floats, _Floats, _Floats, float]: ...
def search_activations(v: Any, w: _Floats, h: _Floats, settings: dict[str, Any]) -> _Floats: ...
