"""Shares of a matrix."""

from typing import final

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

_F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]

__all__ = ["Share32", "Share64"]

@final
class Share32:
    """Some samples of X with their rows of W."""

    def __new__(cls, x: _F32, activations: _F32, beta: float, mean: float) -> Self: ...
    @staticmethod
    def start(n: int, n_components: int, mean: float, seed: int) -> _F32:
        """Random values, `n` x `n_components`."""

    def improve(self, components: _F32) -> None:
        """Improves the activations under components x features."""

    def statistics(self, components: _F32) -> tuple[_F64, _F64]:
        """What the update of the components divides by what, both components x features."""

    def divergence(self, components: _F32) -> float:
        """The divergence of these samples."""

    def activations(self) -> _F32:
        """The activations so far, samples x components."""

    @staticmethod
    def improved(components: _F32, numerator: _F64, denominator: _F64, beta: float) -> _F32:
        """The components after an update with the sums over all shares."""

@final
class Share64:
    """Some samples of X with their rows of W."""

    def __new__(cls, x: _F64, activations: _F64, beta: float, mean: float) -> Self: ...
    @staticmethod
    def start(n: int, n_components: int, mean: float, seed: int) -> _F64:
        """Random values, `n` x `n_components`."""

    def improve(self, components: _F64) -> None:
        """Improves the activations under components x features."""

    def statistics(self, components: _F64) -> tuple[_F64, _F64]:
        """What the update of the components divides by what, both components x features."""

    def divergence(self, components: _F64) -> float:
        """The divergence of these samples."""

    def activations(self) -> _F64:
        """The activations so far, samples x components."""

    @staticmethod
    def improved(components: _F64, numerator: _F64, denominator: _F64, beta: float) -> _F64:
        """The components after an update with the sums over all shares."""
