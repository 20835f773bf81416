"""Separation by what you know of a recording: what sources sound like, what is played, what you marked.

All methods take a recording, samples in librosa's axis order or the path of a file, and return a
:class:`partita.Separation`. Settings have the names and the defaults of the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ._audio import RecordingLike, Source
from ._fitting import ExamplesLike, fit
from ._progress import ProgressLike
from ._settings import Time
from .marks import Marks
from .separation import Separation

__all__ = ["by_examples", "by_score", "painted"]

PathLike: TypeAlias = "str | os.PathLike[str]"


def by_examples(
    recording: RecordingLike,
    sample_rate: int | None = None,
    *,
    examples: ExamplesLike | None = None,
    dictionary: PathLike | Iterable[PathLike] = (),
    n_components: int | None = None,
    n_context: int | None = None,
    n_residual: int | None = None,
    n_semitones: int = 7,
    no_notes: bool = False,
    max_iter: int | None = None,
    n_fft: int | None = None,
    hop_length: int | None = None,
    window: str = "hann",
    mask_exponent: float = 1.5,
    multichannel: str | None = None,
    pan: Mapping[str, float] | None = None,
    max_frames: int = 20_000,
    seed: int = 0,
    start: Time | None = None,
    duration: Time | None = None,
    audio_track: int | None = None,
    progress: ProgressLike = None,
) -> Separation:
    """Take a recording apart by what its sources sound like alone.

    Parameters
    ----------
    recording : ndarray or path
        Samples of shape ``(n,)`` or ``(channels, n)``, float32 or float64, or a file of any length.
    sample_rate : int, optional
        Samples per second of an array, in Hz. Files have their own.
    examples : mapping
        Recordings of each source alone, by its name: one, or a list. A recording is a path, an array in the sample
        rate of the mixture, or ``(array, sample_rate)``.
    dictionary : path or iterable of path
        Dictionaries that ``partita learn`` made.
    n_components : int, optional
        Templates of each source. By default 20.
    n_context : int, optional
        Consecutive frames in one template. By default that of the dictionary, else 3.
    n_residual : int, optional
        Templates for what no example explains, as a stem ``residual``. By default 20 where one source is known, else 0.
    n_semitones : int
        Look for the sound of each example also this many semitones higher and lower.
    no_notes : bool
        Separate by what the examples sound like alone: look for no notes.
    max_iter : int, optional
        Iterations that find the activations. By default 30.
    n_fft : int, optional
        Length of the transform in samples. By default the power of two nearest to 93 ms.
    hop_length : int, optional
        Samples from one frame to the next. By default a quarter of ``n_fft``.
    window : str
        Shape of the window: ``"hann"``, ``"hamming"``, ``"blackman"``, ``"blackman-harris"``, ``"sine"``,
        ``"boxcar"``.
    mask_exponent : float
        Exponent of the masks: 1 is softest, 2 the Wiener filter's.
    multichannel : {"pan", "wiener", "mask"}, optional
        With several channels, one mask for all of them, or stems told apart by their places, too. By default
        ``"pan"`` where sources of a stereo recording stand apart, else ``"wiener"``.
    pan : dict of str to float, optional
        Where sources of a stereo recording stand, from -1 (left) over 0 to 1 (right), as in ``{"guitar": -0.6}``.
    max_frames : int
        Learn from this many frames at the most, spread evenly over a longer recording; bounds the memory.
    seed : int
        Of every random number; the same seed gives the same bits.
    start, duration : float or str, optional
        Which part of a file is used, in seconds or as ``"[h:]m:s"``.
    audio_track : int, optional
        Of a file with several audio tracks, this one, counted from 1.
    progress : bool or function, optional
        ``True`` for a bar of tqdm, or a function that is called with each :class:`partita.Progress`.

    Returns
    -------
    Separation
        A stem for each source.

    Examples
    --------
    >>> import partita
    >>> alone = "samples/drums-bass-guitar/"
    >>> examples = {name: f"{alone}{name}.wav" for name in ["drums", "bass"]}
    >>> list(partita.by_examples("samples/drums-bass-guitar.wav", examples=examples, n_residual=8, max_iter=10))
    ['drums', 'bass', 'residual']
    """
    settings = {
        "examples": examples,
        "dictionary": dictionary,
        "n_components": n_components,
        "n_context": n_context,
        "n_residual": n_residual,
        "n_semitones": n_semitones,
        "no_notes": no_notes,
        "max_iter": max_iter,
        "n_fft": n_fft,
        "hop_length": hop_length,
        "window": window,
        "mask_exponent": mask_exponent,
        "multichannel": multichannel,
        "pan": pan,
        "max_frames": max_frames,
        "seed": seed,
    }
    source = Source.of("recording", recording, sample_rate, start, duration, audio_track)
    return fit("by_examples", source, settings, progress)


def by_score(
    recording: RecordingLike,
    sample_rate: int | None = None,
    *,
    score: PathLike | Mapping[str, Iterable[tuple[float, float, int, int]]],
    drum_track: str | Iterable[str] = (),
    score_transpose: float | None = None,
    score_offset: float = 0.0,
    score_stretch: float = 1.0,
    align: bool = False,
    no_residual: bool = False,
    examples: ExamplesLike | None = None,
    n_fft: int | None = None,
    hop_length: int | None = None,
    window: str = "hann",
    mask_exponent: float = 1.5,
    multichannel: str | None = None,
    pan: Mapping[str, float] | None = None,
    max_frames: int = 20_000,
    seed: int = 0,
    start: Time | None = None,
    duration: Time | None = None,
    audio_track: int | None = None,
    progress: ProgressLike = None,
) -> Separation:
    """Take a recording apart by what is played: a stem for each part of a score.

    Parameters
    ----------
    recording : ndarray or path
        Samples of shape ``(n,)`` or ``(channels, n)``, float32 or float64, or a file of any length.
    sample_rate : int, optional
        Samples per second of an array, in Hz. Files have their own.
    score : path or mapping
        A MIDI file, or the notes of each part: ``(onset, offset, pitch, velocity)``, in seconds, MIDI keys and 1 to
        127.
    drum_track : str or iterable of str
        Tracks of the file that are drums though they are not on channel 10, by name or number; parts of a mapping that
        are single drums, whose pitches are those of General MIDI.
    score_transpose : float, optional
        The recording sounds this many semitones higher than the score. By default found within half an octave.
    score_offset : float
        Play the score this many seconds later.
    score_stretch : float
        Play the score this many times as slow, before it is moved.
    align : bool
        Find when the recording plays each note.
    no_residual : bool
        Share out among the parts what the score does not explain. By default it is a stem ``residual``.
    examples : mapping, optional
        What parts sound like alone, as in :func:`by_examples`.
    n_fft : int, optional
        Length of the transform in samples. By default the power of two nearest to 93 ms.
    hop_length : int, optional
        Samples from one frame to the next. By default a quarter of ``n_fft``.
    window : str
        Shape of the window: ``"hann"``, ``"hamming"``, ``"blackman"``, ``"blackman-harris"``, ``"sine"``,
        ``"boxcar"``.
    mask_exponent : float
        Exponent of the masks: 1 is softest, 2 the Wiener filter's.
    multichannel : {"pan", "wiener", "mask"}, optional
        With several channels, one mask for all of them, or stems told apart by their places, too. By default
        ``"pan"`` where sources of a stereo recording stand apart, else ``"mask"``.
    pan : dict of str to float, optional
        Where sources of a stereo recording stand, from -1 (left) over 0 to 1 (right), as in ``{"guitar": -0.6}``.
    max_frames : int
        Learn from this many frames at the most, spread evenly over a longer recording; bounds the memory.
    seed : int
        Of every random number; the same seed gives the same bits.
    start, duration : float or str, optional
        Which part of a file is used, in seconds or as ``"[h:]m:s"``.
    audio_track : int, optional
        Of a file with several audio tracks, this one, counted from 1.
    progress : bool or function, optional
        ``True`` for a bar of tqdm, or a function that is called with each :class:`partita.Progress`.

    Returns
    -------
    Separation
        A stem for each part, and ``residual``.

    Examples
    --------
    >>> import partita
    >>> parts = partita.by_score("samples/drums-bass-guitar.wav", score="samples/drums-bass-guitar.mid")
    >>> "bass" in parts and "residual" in parts
    True
    """
    settings = {
        "score": score,
        "drum_track": drum_track,
        "score_transpose": score_transpose,
        "score_offset": score_offset,
        "score_stretch": score_stretch,
        "align": align,
        "no_residual": no_residual,
        "examples": examples,
        "max_iter": None,
        "n_fft": n_fft,
        "hop_length": hop_length,
        "window": window,
        "mask_exponent": mask_exponent,
        "multichannel": multichannel,
        "pan": pan,
        "max_frames": max_frames,
        "seed": seed,
    }
    source = Source.of("recording", recording, sample_rate, start, duration, audio_track)
    return fit("by_score", source, settings, progress)


def painted(
    recording: RecordingLike,
    sample_rate: int | None = None,
    *,
    marks: Marks,
    max_iter: int = 100,
    n_fft: int | None = None,
    hop_length: int | None = None,
    window: str = "hann",
    mask_exponent: float = 1.5,
    multichannel: str | None = None,
    max_frames: int = 20_000,
    seed: int = 0,
    start: Time | None = None,
    duration: Time | None = None,
    audio_track: int | None = None,
    progress: ProgressLike = None,
) -> Separation:
    """Take a recording apart by what you marked on its spectrogram.

    A mark counts wherever the same sound is. Mark some, listen, mark more and :meth:`partita.Separation.refit`.

    Parameters
    ----------
    recording : ndarray or path
        Samples of shape ``(n,)`` or ``(channels, n)``, float32 or float64, or a file of any length.
    sample_rate : int, optional
        Samples per second of an array, in Hz. Files have their own.
    marks : Marks
        Sources, and what you know of them.
    max_iter : int
        Iterations of a fit that starts anew.
    n_fft : int, optional
        Length of the transform in samples. By default the power of two nearest to 93 ms.
    hop_length : int, optional
        Samples from one frame to the next. By default a quarter of ``n_fft``.
    window : str
        Shape of the window: ``"hann"``, ``"hamming"``, ``"blackman"``, ``"blackman-harris"``, ``"sine"``,
        ``"boxcar"``.
    mask_exponent : float
        Exponent of the masks: 1 is softest, 2 the Wiener filter's.
    multichannel : {"pan", "wiener", "mask"}, optional
        With several channels, one mask for all of them, or stems told apart by their places, too. By default
        ``"mask"``.
    max_frames : int
        Learn from this many frames at the most, spread evenly over a longer recording; bounds the memory.
    seed : int
        Of every random number; the same seed gives the same bits.
    start, duration : float or str, optional
        Which part of a file is used, in seconds or as ``"[h:]m:s"``.
    audio_track : int, optional
        Of a file with several audio tracks, this one, counted from 1.
    progress : bool or function, optional
        ``True`` for a bar of tqdm, or a function that is called with each :class:`partita.Progress`.

    Returns
    -------
    Separation
        A stem for each source of the marks.

    References
    ----------
    N. J. Bryan and G. J. Mysore, "An efficient posterior regularized latent variable model for interactive sound source
    separation", ICML 2013.

    Examples
    --------
    >>> import partita
    >>> marks = partita.Marks(["drums", "tones"]).box("tones", time=(0.0, 4.0), hz=(30, 300))
    >>> parts = partita.painted("samples/drums-bass-guitar.wav", marks=marks, max_iter=10)
    >>> parts = parts.refit(marks=marks.box("drums", time=(0.0, 4.0), hz=(5000, 11_000)))
    >>> list(parts)
    ['drums', 'tones']
    """
    settings = {
        "marks": marks,
        "max_iter": max_iter,
        "n_fft": n_fft,
        "hop_length": hop_length,
        "window": window,
        "mask_exponent": mask_exponent,
        "multichannel": multichannel,
        "max_frames": max_frames,
        "seed": seed,
    }
    source = Source.of("recording", recording, sample_rate, start, duration, audio_track)
    return fit("painted", source, settings, progress)
