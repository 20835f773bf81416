"""Separation without knowledge of what is in a recording, and of kinds of sound.

All methods take a recording, samples in librosa's axis order or the path of a file, and return a
:class:`partita.Separation`. Settings have the names and the defaults of the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._audio import RecordingLike, Source
from ._fitting import ExamplesLike, fit
from ._progress import ProgressLike
from ._settings import Time
from .separation import Separation

__all__ = ["denoise", "drums", "hpss", "separate"]


def separate(
    recording: RecordingLike,
    sample_rate: int | None = None,
    *,
    n_sources: int | None = None,
    n_components: int | None = None,
    max_iter: int | None = None,
    tol: float = 1e-4,
    divergence: str = "kl",
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
    """Take a recording apart without being told what is in it.

    Components are found by NMF and grouped into sources by likeness. The grouping is a suggestion; knowledge is what
    names an instrument: see :func:`by_examples`, :func:`by_score`, :func:`painted`, :meth:`partita.Separation.label`.

    Parameters
    ----------
    recording : ndarray or path
        Samples of shape ``(n,)`` or ``(channels, n)``, float32 or float64, or a file of any length.
    sample_rate : int, optional
        Samples per second of an array, in Hz. Files have their own.
    n_sources : int, optional
        Number of stems. By default what the components suggest.
    n_components : int, optional
        Number of components, which are grouped into the stems. By default 32.
    max_iter : int, optional
        Iterations of the factorization at the most. By default 200.
    tol : float
        Stop when 10 iterations lower the divergence by less than this share of its first value; 0 never does.
    divergence : str
        What the factorization makes small: ``"kl"``, ``"is"``, ``"euclidean"``, or a number for any beta.
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
        Stems ``source-1``, ``source-2``, ..., the strongest first.

    References
    ----------
    P. Smaragdis and J. C. Brown, "Non-negative matrix factorization for polyphonic music transcription", WASPAA 2003.

    Examples
    --------
    >>> import numpy as np, partita
    >>> mixture, sample_rate = partita.read("samples/drums-bass-guitar.wav")
    >>> parts = partita.separate(mixture, sample_rate, n_sources=3, max_iter=30)
    >>> list(parts)
    ['source-1', 'source-2', 'source-3']
    >>> bool(np.allclose(sum(parts.values()), mixture, atol=1e-5))
    True
    """
    settings = {
        "n_sources": n_sources,
        "n_components": n_components,
        "max_iter": max_iter,
        "tol": tol,
        "divergence": divergence,
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
    return fit("separate", source, settings, progress)


def hpss(
    recording: RecordingLike,
    sample_rate: int | None = None,
    *,
    margin: float = 1.0,
    harmonic_s: float = 0.4,
    percussive_hz: float = 150.0,
    n_fft: int | None = None,
    hop_length: int | None = None,
    window: str = "hann",
    mask_exponent: float = 2.0,
    multichannel: str | None = None,
    start: Time | None = None,
    duration: Time | None = None,
    audio_track: int | None = None,
    progress: ProgressLike = None,
) -> Separation:
    """Tell harmonic from percussive sound.

    Parameters
    ----------
    recording : ndarray or path
        Samples of shape ``(n,)`` or ``(channels, n)``, float32 or float64, or a file of any length.
    sample_rate : int, optional
        Samples per second of an array, in Hz. Files have their own.
    margin : float
        How many times stronger one kind must be than the other; above 1, what is neither goes to a stem ``residual``.
    harmonic_s : float
        Length of the median along time, in seconds: what lasts half as long or less is not harmonic.
    percussive_hz : float
        Width of the median along frequency, in Hz: what is half as wide or less is not percussive.
    n_fft : int, optional
        Length of the transform in samples. By default the power of two nearest to 93 ms; the second stage has a
        quarter of it.
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
    start, duration : float or str, optional
        Which part of a file is used, in seconds or as ``"[h:]m:s"``.
    audio_track : int, optional
        Of a file with several audio tracks, this one, counted from 1.
    progress : bool or function, optional
        ``True`` for a bar of tqdm, or a function that is called with each :class:`partita.Progress`.

    Returns
    -------
    Separation
        Stems ``harmonic``, ``percussive``, and ``residual`` with a margin above 1.

    Examples
    --------
    >>> import partita
    >>> list(partita.hpss("samples/drums-bass-guitar.wav", margin=2.0))
    ['harmonic', 'percussive', 'residual']
    """
    settings = {
        "margin": margin,
        "harmonic_s": harmonic_s,
        "percussive_hz": percussive_hz,
        "n_fft": n_fft,
        "hop_length": hop_length,
        "window": window,
        "mask_exponent": mask_exponent,
        "multichannel": multichannel,
        "seed": 0,
    }
    source = Source.of("recording", recording, sample_rate, start, duration, audio_track)
    return fit("hpss", source, settings, progress)


def drums(
    recording: RecordingLike,
    sample_rate: int | None = None,
    *,
    pieces: Iterable[str] = ("kick", "snare", "hihat"),
    kit: ExamplesLike | None = None,
    kit_only: bool = False,
    song: str = "auto",
    n_residual: int = 0,
    template_s: float = 0.12,
    max_iter: int = 40,
    n_fft: int | None = None,
    hop_length: int | None = None,
    window: str = "hann",
    mask_exponent: float = 2.0,
    multichannel: str | None = None,
    max_frames: int = 20_000,
    seed: int = 0,
    start: Time | None = None,
    duration: Time | None = None,
    audio_track: int | None = None,
    progress: ProgressLike = None,
) -> Separation:
    """Take drums apart, and find all of their hits.

    Parameters
    ----------
    recording : ndarray or path
        Samples of shape ``(n,)`` or ``(channels, n)``, float32 or float64, or a file of any length.
    sample_rate : int, optional
        Samples per second of an array, in Hz. Files have their own.
    pieces : iterable of str
        The drums to look for, of ``kick``, ``snare``, ``hihat``, ``tom``, ``ride``, ``crash`` and ``clap``; each has a
        stem, whether it is heard or not.
    kit : mapping, optional
        Recordings of one or more hits of a drum, by its name: another drum, or in place of one of ``pieces``.
    kit_only : bool
        Look for the drums of ``kit`` only.
    song : {"auto", "yes", "no"}
        Whether other instruments play, too: then these go to a stem ``residual`` before.
    n_residual : int
        Free templates for what no drum explains, which goes to a stem ``residual``.
    template_s : float
        Length of a hit in seconds, as far as it is modeled.
    max_iter : int
        Iterations of the factorization.
    n_fft : int, optional
        Length of the transform in samples. By default the power of two nearest to 46 ms.
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
        A stem for each drum; :attr:`partita.Separation.hits` has its hits.

    Examples
    --------
    >>> import partita
    >>> parts = partita.drums("samples/kick-snare-hihat.wav")
    >>> list(parts), {hit.drum for hit in parts.hits} == set(parts)
    (['kick', 'snare', 'hihat'], True)
    """
    settings = {
        "pieces": pieces,
        "kit": kit,
        "kit_only": kit_only,
        "song": song,
        "n_residual": n_residual,
        "template_s": template_s,
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
    return fit("drums", source, settings, progress)


def denoise(
    recording: RecordingLike,
    sample_rate: int | None = None,
    *,
    noise: Any = None,
    noise_range: tuple[Time, Time] | None = None,
    content: str = "auto",
    strength: float = 1.0,
    n_fft: int | None = None,
    hop_length: int | None = None,
    window: str = "hann",
    mask_exponent: float = 1.5,
    multichannel: str | None = None,
    seed: int = 0,
    start: Time | None = None,
    duration: Time | None = None,
    audio_track: int | None = None,
    progress: ProgressLike = None,
) -> Separation:
    """Take a noise out of a recording, of speech or of anything else.

    Parameters
    ----------
    recording : ndarray or path
        Samples of shape ``(n,)`` or ``(channels, n)``, float32 or float64, or a file of any length.
    sample_rate : int, optional
        Samples per second of an array, in Hz. Files have their own.
    noise : ndarray or path, optional
        The noise alone, as loud as it is in the recording. By default the quietest parts that are not silence.
    noise_range : (float, float), optional
        Where in the recording the noise is alone, in seconds.
    content : {"auto", "speech", "any"}
        What there is beside the noise; auto: speech where a model of speech explains the recording.
    strength : float
        How much of the noise goes: 0 nothing, 1 all that is found, above 1 more, at the cost of the rest.
    n_fft : int, optional
        Length of the transform in samples. By default the power of two nearest to 64 ms.
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
        Stems ``clean`` and ``noise``.

    Examples
    --------
    >>> import numpy as np, partita
    >>> hiss = 0.05 * np.random.default_rng(0).standard_normal(32_000)
    >>> tone = np.where(np.arange(32_000) > 16_000, np.sin(0.3 * np.arange(32_000)), 0.0)
    >>> parts = partita.denoise(tone + hiss, 16_000, noise_range=(0.0, 0.9), content="any")
    >>> bool(np.std(parts["clean"][:12_000]) < 0.5 * np.std(hiss))
    True
    """
    settings = {
        "noise": noise,
        "noise_range": noise_range,
        "content": content,
        "strength": strength,
        "n_fft": n_fft,
        "hop_length": hop_length,
        "window": window,
        "mask_exponent": mask_exponent,
        "multichannel": multichannel,
        "seed": seed,
    }
    source = Source.of("recording", recording, sample_rate, start, duration, audio_track)
    return fit("denoise", source, settings, progress)
