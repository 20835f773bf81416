"""What you mark on a spectrogram: which source a place belongs to, or does not, and where one plays alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ._settings import fail, integer, real

__all__ = ["Effect", "Marks"]

#: What a stroke says of its place: all there is of the source, none is, or earlier strokes do not count there.
Effect: TypeAlias = Literal["is", "is_not", "erase"]

_EFFECTS = ("is", "is_not", "erase")


class Marks:
    """Sources, and what is marked of them: in seconds and Hz.

    Every method that marks returns the object, so that calls can be chained.

    Parameters
    ----------
    sources : iterable of str or mapping of str to int
        The names of the stems, in their order; a mapping gives the number of components of each. Without sources, there
        are those that the components suggest, and no marks.
    n_components : int
        Components of each source that has no number of its own.

    Examples
    --------
    >>> import partita
    >>> marks = partita.Marks(["voice", "piano"])
    >>> marks = marks.box("voice", time=(1.0, 2.0), hz=(200, 3000)).alone("piano", time=(0, 0.5))
    >>> marks
    Marks(['voice', 'piano'], 1 stroke, 1 range)
    """

    def __init__(self, sources: Iterable[str] | Mapping[str, int] = (), *, n_components: int = 8) -> None:
        counts = dict(sources) if isinstance(sources, Mapping) else {name: n_components for name in sources}
        self._sources: list[dict[str, Any]] = [
            {"id": number, "name": name, "n_components": integer("n_components", count, 1)}
            for number, (name, count) in enumerate(counts.items(), start=1)
        ]
        self._strokes: list[dict[str, Any]] = []
        self._ranges: list[dict[str, Any]] = []

    @property
    def sources(self) -> list[str]:
        """The names of the sources."""
        return [str(source["name"]) for source in self._sources]

    def box(self, source: str, *, time: tuple[float, float], hz: tuple[float, float], effect: Effect = "is") -> Marks:
        """Mark a rectangle.

        Parameters
        ----------
        source : str
            The source that it is about.
        time, hz : (float, float)
            From and to, in seconds and Hz.
        effect : {"is", "is_not", "erase"}
            What it says of the place.
        """
        return self._stroke(source, effect, {"shape": "box", "t": _pair("time", time), "hz": _pair("hz", hz)})

    def brush(
        self,
        source: str,
        points: Iterable[tuple[float, float]],
        *,
        width: float = 0.05,
        width_semitones: float = 1.0,
        effect: Effect = "is",
    ) -> Marks:
        """Mark what a brush covers on its way.

        Parameters
        ----------
        source : str
            The source that it is about.
        points : iterable of (float, float)
            The way, in seconds and Hz.
        width, width_semitones : float
            Of the brush, in seconds and semitones.
        effect : {"is", "is_not", "erase"}
            What it says of the place.
        """
        return self._stroke(source, effect, _brush("brush", points, width, width_semitones))

    def harmonic(
        self,
        source: str,
        points: Iterable[tuple[float, float]],
        *,
        n_harmonics: int = 20,
        width: float = 0.05,
        width_semitones: float = 1.0,
        effect: Effect = "is",
    ) -> Marks:
        """Mark what a brush covers, and the same at whole multiples of its frequencies.

        Parameters
        ----------
        source : str
            The source that it is about.
        points : iterable of (float, float)
            The way of the fundamental, in seconds and Hz.
        n_harmonics : int
            With the fundamental.
        width, width_semitones : float
            Of the brush, in seconds and semitones.
        effect : {"is", "is_not", "erase"}
            What it says of the place.
        """
        shape = _brush("harmonic", points, width, width_semitones)
        return self._stroke(source, effect, {**shape, "n_harmonics": integer("n_harmonics", n_harmonics, 1)})

    def alone(self, source: str, *, time: tuple[float, float]) -> Marks:
        """Mark a time at which a source plays alone.

        Parameters
        ----------
        source : str
            The source.
        time : (float, float)
            From and to, in seconds.
        """
        self._ranges.append({"id": self._next_id(), "source": self._id(source), "t": _pair("time", time)})
        return self

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Marks:
        """Read what :meth:`save` wrote."""
        read = json.loads(Path(path).read_text(encoding="utf-8"))
        marks = cls()
        marks._sources = read.get("source", [])
        marks._strokes = read.get("stroke", [])
        marks._ranges = read.get("range", [])
        return marks

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them as JSON."""
        Path(path).write_text(json.dumps(self.as_dict(), indent=1), encoding="utf-8")

    def as_dict(self) -> dict[str, Any]:
        """Sources, strokes and ranges, as the projects of the studio have them."""
        return {"source": self._sources, "stroke": self._strokes, "range": self._ranges}

    def copy(self) -> Marks:
        """A copy, for another attempt."""
        copied = Marks()
        for name in ("_sources", "_strokes", "_ranges"):
            setattr(copied, name, [dict(item) for item in getattr(self, name)])
        return copied

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        def counted(n: int, word: str) -> str:
            return f"{n} {word}" if n == 1 else f"{n} {word}s"

        return f"Marks({self.sources}, {counted(len(self._strokes), 'stroke')}, {counted(len(self._ranges), 'range')})"

    def _stroke(self, source: str, effect: str, shape: dict[str, Any]) -> Marks:
        if effect not in _EFFECTS:
            raise fail(f"`effect` is {effect!r}, expected one of {', '.join(_EFFECTS)}", 'use effect="is"')
        self._strokes.append({"id": self._next_id(), "source": self._id(source), "effect": effect, **shape})
        return self

    def _id(self, name: str) -> int:
        for source in self._sources:
            if source["name"] == name:
                return int(source["id"])
        raise fail(f"there is no source `{name}`, expected one of {self.sources}", "name all sources in partita.Marks")

    def _next_id(self) -> int:
        return max((mark["id"] for mark in [*self._strokes, *self._ranges]), default=0) + 1


def _pair(name: str, value: tuple[float, float]) -> list[float]:
    try:
        start, stop = value
    except (TypeError, ValueError) as error:
        raise fail(
            f"`{name}` is {value!r}, expected (from, to)", f"give two numbers, as in {name}=(1.0, 2.0)"
        ) from error
    return [real(name, start), real(name, stop)]


def _brush(shape: str, points: Iterable[tuple[float, float]], width: float, semitones: float) -> dict[str, Any]:
    way = [_pair("points", point) for point in points]
    return {
        "shape": shape,
        "points": way,
        "width_s": real("width", width),
        "width_semitones": real("width_semitones", semitones),
    }
