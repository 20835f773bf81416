"""Factorizations of matrices."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

_Floats = npt.NDArray[Any]
_Learned = tuple[_Floats, _Floats, _Floats, float, float, int]
_Progress = Callable[[str, int, int | None, float | None], Any] | None

__all__ = ["batch_activations", "fit", "fit_batches", "partial_fit", "select_rank"]

def fit(
    v: Any,
    w: _Floats,
    h: _Floats,
    settings: dict[str, Any],
    weights: _Floats | None,
    progress: _Progress,
) -> tuple[_Floats, _Floats, int, float]:
    """V ~ W H from the first values given: W, H, iterations, divergence."""

def fit_batches(
    v: Any, w: _Floats, h: _Floats, settings: dict[str, Any], progress: _Progress
) -> tuple[_Floats, int, float, _Learned]:
    """V ~ W H, learned batch by batch of columns: H, iterations, divergence, what was learned."""

def partial_fit(v: Any, w: _Floats, before: _Learned | None, settings: dict[str, Any]) -> _Learned:
    """What was learned after one more batch."""

def batch_activations(v: Any, learned: _Learned, settings: dict[str, Any]) -> _Floats:
    """H of V under what was learned."""

def select_rank(
    v: _Floats,
    first: int,
    last: int,
    share: float,
    n_repeats: int,
    settings: dict[str, Any],
    progress: _Progress,
) -> tuple[int, list[float], list[float]]:
    """The best number of components; mean and standard error of the divergence of hidden entries for each."""
