"""Who is told how far the work is: a function, or a bar of tqdm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

from ._settings import fail


class Progress(NamedTuple):
    """How far the work is.

    Attributes
    ----------
    step : str
        What is being done: ``"reading"``, ``"aligning"``, ``"separating"``, ``"measuring"``, ``"writing"``,
        ``"drawing"`` or ``"scoring"``.
    done : int
        Samples or iterations that are done.
    total : int or None
        Of how many at the most, where that is known.
    divergence : float or None
        The objective of a factorization, where it was computed.
    """

    step: str
    done: int
    total: int | None
    divergence: float | None


#: ``True`` for a bar of tqdm, or a function that is called with each :class:`Progress`; where that returns ``False``
#: the work ends with :class:`partita.Cancelled`.
ProgressLike: TypeAlias = bool | Callable[[Progress], Any] | None

_Native = Callable[[str, int, int | None, float | None], Any]


@contextmanager
def listener(progress: ProgressLike) -> Iterator[_Native | None]:
    """The callback for the native half."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        bars = _Bars()
        try:
            yield bars.tell
        finally:
            bars.close()
    elif callable(progress):
        told = progress

        def tell(step: str, done: int, total: int | None, divergence: float | None) -> Any:
            return told(Progress(step, done, total, divergence))

        yield tell
    else:
        raise fail(
            f"`progress` is {progress!r}, expected True or a function",
            "leave it out, use progress=True for a bar, or a function that takes a partita.Progress",
            TypeError,
        )


class _Bars:
    """One bar of tqdm after the other."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise ImportError("progress=True needs tqdm\n\nhint: pip install tqdm, or give a function") from error
        self._new = tqdm
        self._bar: Any = None
        self._step = ""

    def tell(self, step: str, done: int, total: int | None, divergence: float | None) -> None:
        if self._bar is None or step != self._step or done < self._bar.n:
            self.close()
            self._bar, self._step = self._new(total=total, desc=step, leave=False), step
        if divergence is not None:
            self._bar.set_postfix(divergence=f"{divergence:.4g}", refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
