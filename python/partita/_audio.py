"""Recordings: arrays in librosa's axis order, and files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import _partita
from ._progress import ProgressLike, listener
from ._settings import Time, fail, integer, is_path, optional_integer, seconds

#: A recording: samples of shape ``(n,)`` or ``(channels, n)``, or the path of a file.
RecordingLike: TypeAlias = "npt.NDArray[np.floating[Any]] | str | os.PathLike[str]"

Array: TypeAlias = "npt.NDArray[Any]"

#: More channels than any recording has: an array with more is taken for one of the other axis order.
_MAX_CHANNELS = 64


def checked(name: str, value: Any) -> Array:
    """Samples as ``(channels, n)``, float32 and contiguous, after a check that they are such.

    A float64 array is rounded; what comes of it is given back as float64.
    """
    array = np.asarray(value)
    if array.dtype not in (np.float32, np.float64):
        if array.dtype.kind in "iu":
            full = np.iinfo(array.dtype).max + 1 if array.dtype.kind == "i" else 2 ** (8 * array.itemsize - 1)
            centered = "" if array.dtype.kind == "i" else f" - {full}"
            hint = f"full scale is -1 to 1: give ({name}{centered}) / {full:.1f}, or read the file with partita.read"
        else:
            hint = "give float32 or float64 samples with a full scale of -1 to 1"
        raise fail(f"`{name}` is an array of {array.dtype}, expected float32 or float64", hint, TypeError)
    if array.ndim not in (1, 2):
        raise fail(
            f"`{name}` has {array.ndim} axes, expected (n,) or (channels, n)",
            "give one recording at a time",
        )
    if array.ndim == 2 and array.shape[0] > _MAX_CHANNELS and array.shape[0] > array.shape[1]:
        raise fail(
            f"`{name}` has {array.shape[0]} channels of {array.shape[1]} samples, expected (channels, n)",
            f"transpose it: {name}.T",
        )
    return np.ascontiguousarray(np.atleast_2d(array), dtype=np.float32)


@dataclass
class Source:
    """A recording as it was given, and a handle on it that is made when it is needed."""

    value: Any
    sample_rate: int | None = None
    start: float | None = None
    duration: float | None = None
    audio_track: int | None = None
    _native: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        name: str,
        value: Any,
        sample_rate: Any = None,
        start: Any = None,
        duration: Any = None,
        audio_track: Any = None,
    ) -> Source:
        """Of an array with its sample rate, or of a path."""
        if is_path(value):
            if sample_rate is not None:
                raise fail(
                    f"`sample_rate` is {sample_rate} for a file, which has its own",
                    "leave it out, or read and resample the file first",
                )
            start, duration = seconds("start", start), seconds("duration", duration)
            source = cls(os.fspath(value), None, start, duration, optional_integer("audio_track", audio_track, 1))
        else:
            if sample_rate is None:
                raise fail(f"`{name}` is an array without a sample rate", "give its sample_rate in Hz", TypeError)
            given = {"start": start, "duration": duration, "audio_track": audio_track}
            for option, setting in given.items():
                if setting is not None:
                    raise fail(f"`{option}` is for files, and `{name}` is an array", f"cut the array: {name}[..., a:b]")
            checked(name, value)
            source = cls(np.asarray(value), integer("sample_rate", sample_rate, 1))
        # A file that cannot be read is told at once.
        source._native = source.native
        return source

    @property
    def native(self) -> Any:
        """The handle of the native half."""
        if self._native is None:
            if isinstance(self.value, str):
                self._native = _partita.audio.Recording.open(self.value, self.start, self.duration, self.audio_track)
            else:
                assert self.sample_rate is not None
                self._native = _partita.audio.Recording.of(checked("recording", self.value), self.sample_rate)
        return self._native

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.value if isinstance(self.value, str) else "an array"

    @property
    def track(self) -> str:
        """A name for what is made of it."""
        return Path(self.value).stem if isinstance(self.value, str) else "recording"

    def like(self, channels: Array) -> Array:
        """Samples of ``(channels, n)`` in the axis order and dtype of the recording."""
        if isinstance(self.value, str):
            return channels[0] if channels.shape[0] == 1 else channels
        channels = channels.astype(self.value.dtype, copy=False)
        return channels[0] if self.value.ndim == 1 else channels

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_native": None}


def read(
    path: str | os.PathLike[str],
    *,
    start: Time | None = None,
    duration: Time | None = None,
    audio_track: int | None = None,
    progress: ProgressLike = None,
) -> tuple[npt.NDArray[np.float32], int]:
    """Read a recording: WAV, FLAC, MP3, M4A, Ogg, Opus, AIFF and what else the command line reads.

    Parameters
    ----------
    path : str or path
        The file.
    start : float or str, optional
        Where to start, in seconds or as ``"[h:]m:s"``.
    duration : float or str, optional
        How much to read.
    audio_track : int, optional
        Of a file with several audio tracks, this one, counted from 1.
    progress : bool or function, optional
        See :data:`partita.ProgressLike`.

    Returns
    -------
    samples : ndarray of float32
        ``(n,)`` for one channel, else ``(channels, n)``; full scale is -1 to 1. Nothing is resampled or mixed.
    sample_rate : int
        Samples per second, in Hz.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no sound, or is damaged; the message says where.

    Examples
    --------
    >>> import partita
    >>> samples, sample_rate = partita.read("samples/kick-snare-hihat.wav", duration=0.5)
    >>> samples.shape, sample_rate
    ((11025,), 22050)
    """
    source = Source.of("path", path, start=start, duration=duration, audio_track=audio_track)
    with listener(progress) as tell:
        channels = _partita.audio.read(source.native, tell)
    return source.like(channels), source.native.sample_rate


def write(
    path: str | os.PathLike[str],
    samples: npt.NDArray[np.floating[Any]],
    sample_rate: int,
    *,
    file_format: str | None = None,
    sample_format: str | None = None,
    clip_mode: str | None = None,
    force: bool = False,
    seed: int = 0,
) -> None:
    """Write samples to a WAV or FLAC file, complete or not at all.

    Parameters
    ----------
    path : str or path
        The file.
    samples : ndarray
        ``(n,)`` or ``(channels, n)``, float32 or float64; full scale is -1 to 1.
    sample_rate : int
        Samples per second, in Hz.
    file_format : {"wav", "flac"}, optional
        By default what the path ends in.
    sample_format : {"int16", "int24", "float32"}, optional
        By default float32 for WAV, int24 for FLAC.
    clip_mode : {"rescale", "clamp", "none"}, optional
        What to do beyond full scale: a lower gain for all, cut off, or nothing. By default ``"none"`` for float32,
        else ``"rescale"``.
    force : bool
        Whether a file that exists is replaced.
    seed : int
        Of the dither of int16.

    Raises
    ------
    FileExistsError
        If the file exists and ``force`` is not set.

    Examples
    --------
    >>> import numpy as np, partita, tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> partita.write(folder / "silence.wav", np.zeros(8000), 8000)
    >>> partita.read(folder / "silence.wav")[0].shape
    (8000,)
    """
    if file_format is None:
        file_format = "flac" if Path(path).suffix.lower() == ".flac" else "wav"
    _partita.audio.write(
        path,
        checked("samples", samples),
        integer("sample_rate", sample_rate, 1),
        file_format,
        sample_format,
        clip_mode,
        bool(force),
        integer("seed", seed),
    )
