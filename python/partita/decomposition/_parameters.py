"""What parameters can be, and the words for what they cannot be; as scikit-learn says it."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np

from ._estimator import InvalidParameterError


class Choice(Protocol):
    """Something that a parameter can be; its `str` says what."""

    def accepts(self, value: Any) -> bool:
        """Whether the value is of this kind."""


class Interval:
    """Numbers of a kind between two bounds."""

    def __init__(self, kind: Any, low: float, high: float | None, closed: str = "left") -> None:
        self.kind, self.low, self.high, self.closed = kind, low, high, closed

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, self.kind) or value != value:
            return False
        above = value >= self.low if self.closed in ("left", "both") else value > self.low
        below = self.high is None or (value <= self.high if self.closed in ("right", "both") else value < self.high)
        return bool(above and below)

    def __str__(self) -> str:
        is_int = self.kind is Integral
        high = "inf" if self.high is None else self.high if is_int else float(self.high)
        low = self.low if is_int else float(self.low)
        opening = "[" if self.closed in ("left", "both") else "("
        closing = "]" if self.closed in ("right", "both") else ")"
        return f"{'an int' if is_int else 'a float'} in the range {opening}{low}, {high}{closing}"


class OneOf:
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, self.words))}}}"


class InstanceOf:
    """Any value of a type."""

    def __init__(self, kind: Any, name: str) -> None:
        self.kind, self.name = kind, name

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self.kind)

    def __str__(self) -> str:
        return self.name


class Array:
    """Anything that numpy can make an array of."""

    def accepts(self, value: Any) -> bool:
        if isinstance(value, (str, bytes)) or value is None:
            return False
        return hasattr(value, "__len__") or hasattr(value, "shape") or hasattr(value, "__array__")

    def __str__(self) -> str:
        return "an array-like"


class Nothing:
    """`None`."""

    def accepts(self, value: Any) -> bool:
        return value is None

    def __str__(self) -> str:
        return "None"


class NotANumber:
    """NaN."""

    def accepts(self, value: Any) -> bool:
        return isinstance(value, Real) and value != value

    def __str__(self) -> str:
        return "nan"


NONE = Nothing()
BOOLEAN: tuple[Choice, ...] = (
    InstanceOf(bool, "an instance of 'bool'"),
    InstanceOf(np.bool_, "an instance of 'numpy.bool'"),
)
AT_LEAST_0 = Interval(Real, 0, None)
AT_LEAST_1 = Interval(Integral, 1, None)

SHARED: dict[str, tuple[Choice, ...]] = {
    "n_components": (AT_LEAST_1, NONE, OneOf("auto")),
    "init": (OneOf("random", "nndsvd", "nndsvda", "nndsvdar", "custom"), NONE),
    "beta_loss": (OneOf("frobenius", "kullback-leibler", "itakura-saito"), InstanceOf(Real, "an instance of 'float'")),
    "tol": (AT_LEAST_0,),
    "max_iter": (AT_LEAST_1,),
    "random_state": (
        Interval(Integral, 0, 2**32 - 1, closed="both"),
        InstanceOf(np.random.RandomState, "an instance of 'numpy.random.mtrand.RandomState'"),
        NONE,
    ),
    "alpha_W": (AT_LEAST_0,),
    "alpha_H": (AT_LEAST_0, OneOf("same")),
    "l1_ratio": (Interval(Real, 0, 1, closed="both"),),
    "verbose": (Interval(Integral, 0, None), *BOOLEAN),
}


def check_parameters(owner: str, values: Mapping[str, Any], accepted: Mapping[str, tuple[Choice, ...]]) -> None:
    """Refuses the first value that none of what is accepted for its name accepts."""
    for name, choices in accepted.items():
        value = values[name]
        if any(choice.accepts(value) for choice in choices):
            continue
        words = [str(choice) for choice in choices]
        expected = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
        raise InvalidParameterError(f"The {name!r} parameter of {owner} must be {expected}. Got {value!r} instead.")
