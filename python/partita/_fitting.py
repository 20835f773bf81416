"""From settings to fits: checked, handed over, and done again where a separation was pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, TypeAlias

from . import _partita
from ._audio import Source
from ._progress import ProgressLike, listener
from ._settings import fail, integer, is_path, optional_integer, real, seconds, text
from .marks import Marks
from .separation import Separation

#: Recordings of sources alone: of each name one, or several in a list. An array has the sample rate of the recording,
#: or its own as ``(samples, sample_rate)``.
ExamplesLike: TypeAlias = "Mapping[str, Any]"

_Settings = dict[str, Any]


def fit(method: str, source: Source, settings: _Settings, progress: ProgressLike) -> Separation:
    step = _checked(settings, source)
    with listener(progress) as tell:
        native = _partita.separate.fit(method, source.native, _for_native(step), None, tell)
    return Separation(method, source, (step,), native)


def refit(before: Separation, changes: _Settings, progress: ProgressLike) -> Separation:
    """A separation that goes on from another."""
    labels = changes.pop("_labels", None)
    if labels is not None:
        native = before._native.label(list(labels.items()))
        return Separation(before._method, before._source, (*before._steps, {"_labels": labels}), native)
    settings = [step for step in before._steps if "_labels" not in step][-1]
    unknown = [name for name in changes if name not in settings]
    if unknown:
        what = f"partita.{before._method} has no setting `{unknown[0]}`"
        raise fail(what, f"it has {', '.join(sorted(settings))}", TypeError)
    step = _checked({**settings, **changes}, before._source)
    with listener(progress) as tell:
        native = _partita.separate.fit(before._method, before._source.native, _for_native(step), before._native, tell)
    return Separation(before._method, before._source, (*before._steps, step), native)


def replay(method: str, source: Source, steps: tuple[_Settings, ...]) -> Any:
    """The fits that made a separation, done again."""
    native: Any = None
    for step in steps:
        if "_labels" in step:
            native = native.label(list(step["_labels"].items()))
        else:
            native = _partita.separate.fit(method, source.native, _for_native(step), native, None)
    return native


# ---- settings ------------------------------------------------------------------------------------------------------

_INTEGERS = {"max_frames": 1, "seed": 0, "n_semitones": 0}
_OPTIONAL_INTEGERS = {
    "n_sources": 1,
    "n_components": 1,
    "max_iter": 0,
    "n_fft": 1,
    "hop_length": 1,
    "n_context": 1,
    "n_residual": 0,
}
_REALS = (
    "tol",
    "mask_exponent",
    "margin",
    "harmonic_s",
    "percussive_hz",
    "template_s",
    "strength",
    "score_offset",
    "score_stretch",
)
_WORDS = ("window", "divergence", "song", "content")


def _checked(settings: _Settings, source: Source) -> _Settings:
    """Settings with the types that they should have; recordings among them as :class:`Source`."""
    step = dict(settings)
    for name, value in settings.items():
        if name in _INTEGERS:
            step[name] = integer(name, value, _INTEGERS[name])
        elif name in _OPTIONAL_INTEGERS:
            step[name] = optional_integer(name, value, _OPTIONAL_INTEGERS[name])
        elif name in _REALS:
            step[name] = real(name, value)
        elif name in _WORDS or (name == "multichannel" and value is not None):
            step[name] = text(name, str(value) if name == "divergence" else value)
    if "pieces" in step:
        pieces = step["pieces"]
        step["pieces"] = pieces.split(",") if isinstance(pieces, str) else list(pieces)
        step["kit"] = _examples("kit", step["kit"], source)
        if step["kit_only"] and not step["kit"]:
            raise fail("`kit_only` is set without a `kit`", "give kit={NAME: RECORDING}")
    if step.get("pan") is not None:
        step["pan"] = _places(step["pan"])
    if "examples" in step:
        step["examples"] = _examples("examples", step["examples"], source)
    if "dictionary" in step:
        given = step["dictionary"]
        step["dictionary"] = [os.fspath(given)] if is_path(given) else [os.fspath(path) for path in given]
        if not step["dictionary"] and not step["examples"]:
            raise fail("there is no example and no dictionary", "give examples={NAME: RECORDING, ...}")
    if step.get("noise") is not None:
        step["noise"] = _source("noise", step["noise"], source)
        if step["noise_range"] is not None:
            raise fail("`noise` and `noise_range` are given, expected one of them", "leave one out")
    if step.get("noise_range") is not None:
        try:
            begin, end = step["noise_range"]
        except (TypeError, ValueError) as error:
            what = f"`noise_range` is {step['noise_range']!r}, expected (from, to)"
            raise fail(what, "give two times in seconds, as in noise_range=(0, 0.5)") from error
        step["noise_range"] = (seconds("noise_range", begin), seconds("noise_range", end))
    if "score" in step:
        drums = step["drum_track"]
        step["drum_track"] = [drums] if isinstance(drums, str) else [str(track) for track in drums]
        step["score"] = _score(step["score"])
        if step["score_transpose"] is not None:
            step["score_transpose"] = real("score_transpose", step["score_transpose"])
    if "marks" in step:
        if not isinstance(step["marks"], Marks):
            what = f"`marks` is {step['marks']!r}, expected marks"
            raise fail(what, "make them with partita.Marks", TypeError)
        # What is marked later is for the next fit.
        step["marks"] = step["marks"].copy()
    return step


def _places(given: Any) -> list[tuple[str, float]]:
    """Where sources stand, as pairs of name and place."""
    try:
        places = dict(given)
    except (TypeError, ValueError) as error:
        raise fail(f"`pan` is {given!r}, expected places by name", 'give pan={"guitar": -0.6}') from error
    return [(text("pan", name), real("pan", place)) for name, place in places.items()]


def _source(name: str, value: Any, mixture: Source) -> Source:
    """A recording that tells something of the mixture."""
    if isinstance(value, Source):
        return value
    if is_path(value):
        return Source.of(name, value)
    if isinstance(value, tuple) and len(value) == 2 and not is_path(value[0]):
        return Source.of(name, value[0], value[1])
    return Source.of(name, value, mixture.native.sample_rate)


def _examples(setting: str, given: Any, mixture: Source) -> list[tuple[str, Source]]:
    if given is None:
        return []
    if isinstance(given, list):
        # As they were checked before.
        return [(name, _source(name, value, mixture)) for name, value in given]
    if not isinstance(given, Mapping):
        what = f"`{setting}` is {type(given).__name__}, expected a mapping"
        raise fail(what, f'give {setting}={{"drums": "drums.wav"}}', TypeError)
    named = [
        (name, value) for name, values in given.items() for value in (values if isinstance(values, list) else [values])
    ]
    return [(text(f"a name in {setting}", name), _source(name, value, mixture)) for name, value in named]


def _score(given: Any) -> Any:
    if is_path(given):
        return os.fspath(given)
    if not isinstance(given, Mapping):
        what = f"`score` is {type(given).__name__}, expected a MIDI file or a mapping"
        raise fail(
            what, 'give the path of a MIDI file, or {"piano": [(onset, offset, pitch, velocity), ...]}', TypeError
        )
    parts = {}
    for name, notes in given.items():
        try:
            parts[str(name)] = [(float(a), float(b), int(pitch), int(velocity)) for a, b, pitch, velocity in notes]
        except (TypeError, ValueError) as error:
            hint = "a note is (onset, offset, pitch, velocity): seconds, a MIDI key of 0 to 127, and 1 to 127"
            raise fail(f"the notes of `{name}` are no notes", hint) from error
    return parts


def _for_native(step: _Settings) -> _Settings:
    """Settings as the native half spells them."""
    options = dict(step)
    if "pieces" in options:
        options["kit"] = [(name, source.label, source.native) for name, source in step["kit"]]
        options["pieces"] = [] if step["kit_only"] else step["pieces"]
    if "examples" in options:
        options["examples"] = [(name, source.label, source.native) for name, source in step["examples"]]
        options["dictionaries"] = step.get("dictionary", [])
        options["notes"] = not step.get("no_notes", False)
        for name, default in {"n_components": None, "n_context": None, "n_residual": None, "n_semitones": 7}.items():
            options.setdefault(name, default)
    if options.get("noise") is not None:
        options["noise"] = (step["noise"].label, step["noise"].native)
    if "score" in options:
        is_file = isinstance(step["score"], str)
        options["score"] = step["score"] if is_file else None
        options["parts"] = [] if is_file else list(step["score"].items())
        options["drum_tracks"] = step["drum_track"]
        options["residual"] = not step["no_residual"]
    if "marks" in options:
        options["marks"] = json.dumps(step["marks"].as_dict())
    return options
