"""Scores of separations: BSS Eval as museval and mir_eval have it, and SI-SDR.

Arguments and results are those of the libraries that the functions are named after, and so are the values; they take a
fraction of the time. Arrays are in their axis order: ``(sources, samples, channels)``.

References
----------
E. Vincent, R. Gribonval and C. Fevotte, "Performance measurement in blind audio source separation", IEEE Trans. Audio,
Speech and Language Processing 14(4), 2006. F.-R. Stoter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
campaign", LVA/ICA 2018. J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _partita
from ._progress import ProgressLike, listener
from ._settings import fail, integer

__all__ = [
    "bss_eval",
    "bss_eval_images",
    "bss_eval_images_framewise",
    "bss_eval_sources",
    "bss_eval_sources_framewise",
    "evaluate",
    "si_sdr",
]

Array = npt.NDArray[np.float64]

#: More sources than anyone compares: axes that are swapped make as many.
_MAX_SOURCES = 100

#: Samples that tell of most sources that they are not silent.
_GLANCE = 256

#: The engine tells no ratios beyond it, in dB: there, double precision tells nothing.
_MAX_DB = 150.0


class _Scores(NamedTuple):
    sdr: Array
    isr: Array
    sir: Array
    sar: Array
    si_sdr: Array
    perm: npt.NDArray[np.intp]


class _Mode(NamedTuple):
    """What is measured."""

    n_taps: int = 512
    sources_version: bool = False
    permute: bool = False


def bss_eval(
    reference_sources: npt.ArrayLike,
    estimated_sources: npt.ArrayLike,
    window: float = 2 * 44100,
    hop: float = 1.5 * 44100,
    compute_permutation: bool = False,
    filters_len: int = 512,
    framewise_filters: bool = False,
    bsseval_sources_version: bool = False,
    *,
    progress: ProgressLike = None,
) -> tuple[Array, Array, Array, Array, npt.NDArray[np.intp]]:
    """BSS Eval of windows, as ``museval.metrics.bss_eval``.

    Parameters
    ----------
    reference_sources, estimated_sources : ndarray, shape (n_sources, n_samples[, n_channels])
        The sources as they are, and as they were estimated.
    window, hop : float
        Length of a window, and from the start of one to the start of the next, in samples; ``inf`` is the whole.
    compute_permutation : bool
        Find which estimate belongs to which source.
    filters_len : int
        Taps of the distortion filters.
    framewise_filters : bool
        Filters anew for each window (version 3), instead of those of the whole.
    bsseval_sources_version : bool
        Forgive what filters do to a source, as ``bss_eval_sources`` does; there is no ISR then.
    progress : bool or function, optional
        See :data:`partita.ProgressLike`.

    Returns
    -------
    sdr, isr, sir, sar : ndarray, shape (n_sources, n_windows)
        In dB; NaN in windows in which any source or estimate is silent.
    perm : ndarray of int, shape (n_sources, 1) or (n_sources, n_windows)
        The estimate of each source.

    Raises
    ------
    ValueError
        If shapes differ, or a source or an estimate is silent throughout.

    Examples
    --------
    >>> import numpy as np
    >>> from partita import metrics
    >>> sources = np.random.default_rng(0).standard_normal((2, 8000, 1))
    >>> leaky = sources + 0.1 * sources[::-1]
    >>> sdr, isr, sir, sar, perm = metrics.bss_eval(sources, leaky, window=4000, hop=4000)
    >>> sir.shape, bool(np.all(abs(sir - 20) < 1.5))
    ((2, 2), True)
    """
    references, estimates = _with_source_axis(reference_sources), _with_source_axis(estimated_sources)
    _validate(references, estimates)
    if references.size == 0 or estimates.size == 0:
        empty = np.array([])
        return empty, empty, empty, empty, np.array([], dtype=np.intp)
    references, estimates = _with_channel_axis(references), _with_channel_axis(estimates)
    n_samples = references.shape[1]
    starts, length = _windows(n_samples, window, hop)
    mode = _Mode(filters_len, bsseval_sources_version, compute_permutation)
    stretches = [slice(start, start + length) for start in starts]
    is_silent = [_any_silent(references[:, stretch]) or _any_silent(estimates[:, stretch]) for stretch in stretches]
    if not framewise_filters:
        step = starts[1] - starts[0] if len(starts) > 1 else n_samples
        framing = None if length == n_samples else (float(length), float(step))
        scores = _scores(references, estimates, mode, framing=framing, progress=progress)
        found = np.stack(scores[:4])[:, :, : len(starts)]
        found[:, :, np.array(is_silent, dtype=bool)] = np.nan
        return found[0], found[1], found[2], found[3], scores.perm[:, None]
    n_sources = references.shape[0]
    found = np.full((4, n_sources, len(starts)), np.nan)
    perm = np.tile(np.arange(n_sources)[:, None], (1, len(starts)))
    for t, stretch in enumerate(stretches):
        if is_silent[t]:
            continue
        scores = _scores(references[:, stretch], estimates[:, stretch], mode, progress=progress)
        found[:, :, t] = np.stack(scores[:4])[:, :, 0]
        perm[:, t] = scores.perm
    return found[0], found[1], found[2], found[3], perm


def evaluate(
    references: npt.ArrayLike,
    estimates: npt.ArrayLike,
    win: float = 1 * 44100,
    hop: float = 1 * 44100,
    mode: str = "v4",
    padding: bool = True,
    *,
    progress: ProgressLike = None,
) -> tuple[Array, Array, Array, Array]:
    """BSS Eval of windows, as ``museval.evaluate``.

    Parameters
    ----------
    references, estimates : ndarray, shape (n_sources, n_samples, n_channels)
        The sources as they are, and as they were estimated.
    win, hop : float
        Length of a window, and from the start of one to the start of the next, in samples.
    mode : {"v4", "v3"}
        With filters of the whole, or of each window.
    padding : bool
        Whether estimates of another length are cut, or go on with zeros.
    progress : bool or function, optional
        See :data:`partita.ProgressLike`.

    Returns
    -------
    sdr, isr, sir, sar : ndarray, shape (n_sources, n_windows)
        In dB; NaN in windows in which any source or estimate is silent.
    """
    if mode not in ("v3", "v4"):
        raise fail(f"`mode` is {mode!r}, expected `v4` or `v3`", 'use mode="v4"')
    references, estimates = np.asarray(references), np.asarray(estimates)
    if padding and references.ndim == 3 == estimates.ndim and references.shape[1] != estimates.shape[1]:
        missing = references.shape[1] - estimates.shape[1]
        estimates = np.pad(estimates[:, : references.shape[1]], ((0, 0), (0, max(missing, 0)), (0, 0)))
    sdr, isr, sir, sar, _ = bss_eval(
        references, estimates, window=win, hop=hop, framewise_filters=mode == "v3", progress=progress
    )
    return sdr, isr, sir, sar


def bss_eval_sources(
    reference_sources: npt.ArrayLike, estimated_sources: npt.ArrayLike, compute_permutation: bool = True
) -> tuple[Array, Array, Array, npt.NDArray[np.intp]]:
    """BSS Eval that forgives filters, as ``mir_eval.separation.bss_eval_sources``.

    Parameters
    ----------
    reference_sources, estimated_sources : ndarray, shape (n_sources, n_samples)
        The sources as they are, and as they were estimated.
    compute_permutation : bool
        Find which estimate belongs to which source.

    Returns
    -------
    sdr, sir, sar : ndarray, shape (n_sources,)
        In dB.
    perm : ndarray of int, shape (n_sources,)
        The estimate of each source.
    """
    references, estimates = _with_source_axis(reference_sources), _with_source_axis(estimated_sources)
    _validate(references, estimates)
    if references.size == 0 or estimates.size == 0:
        empty = np.array([])
        return empty, empty, empty, np.array([], dtype=np.intp)
    mode = _Mode(sources_version=True, permute=compute_permutation)
    scores = _scores(_with_channel_axis(references), _with_channel_axis(estimates), mode)
    return _unbound(scores.sdr[:, 0]), _unbound(scores.sir[:, 0]), _unbound(scores.sar[:, 0]), scores.perm


def bss_eval_images(
    reference_sources: npt.ArrayLike, estimated_sources: npt.ArrayLike, compute_permutation: bool = True
) -> tuple[Array, Array, Array, Array, npt.NDArray[np.intp]]:
    """BSS Eval of images, as ``mir_eval.separation.bss_eval_images``.

    Parameters
    ----------
    reference_sources, estimated_sources : ndarray, shape (n_sources, n_samples[, n_channels])
        The sources as they are, and as they were estimated.
    compute_permutation : bool
        Find which estimate belongs to which source.

    Returns
    -------
    sdr, isr, sir, sar : ndarray, shape (n_sources,)
        In dB.
    perm : ndarray of int, shape (n_sources,)
        The estimate of each source.
    """
    references, estimates = _with_source_axis(reference_sources), _with_source_axis(estimated_sources)
    _validate(references, estimates)
    if references.size == 0 or estimates.size == 0:
        empty = np.array([])
        return empty, empty, empty, empty, np.array([], dtype=np.intp)
    mode = _Mode(permute=compute_permutation)
    scores = _scores(_with_channel_axis(references), _with_channel_axis(estimates), mode)
    sdr, isr, sir, sar = (_unbound(values[:, 0]) for values in scores[:4])
    return sdr, isr, sir, sar, scores.perm


def bss_eval_sources_framewise(
    reference_sources: npt.ArrayLike,
    estimated_sources: npt.ArrayLike,
    window: int = 30 * 44100,
    hop: int = 15 * 44100,
    compute_permutation: bool = False,
) -> tuple[Array, Array, Array, npt.NDArray[np.intp]]:
    """:func:`bss_eval_sources` of windows, as ``mir_eval.separation.bss_eval_sources_framewise``.

    Of less than two windows, the scores of the whole with an axis for one window.

    Parameters
    ----------
    reference_sources, estimated_sources : ndarray, shape (n_sources, n_samples)
        The sources as they are, and as they were estimated.
    window, hop : int
        Length of a window, and from the start of one to the start of the next, in samples.
    compute_permutation : bool
        Find which estimate belongs to which source, in each window.

    Returns
    -------
    sdr, sir, sar : ndarray, shape (n_sources, n_windows)
        In dB; NaN in windows in which any source or estimate is silent.
    perm : ndarray of int, shape (n_sources, n_windows)
        The estimate of each source.
    """
    found = _framewise(bss_eval_sources, 3, reference_sources, estimated_sources, window, hop, compute_permutation)
    return found[0], found[1], found[2], found[3]


def bss_eval_images_framewise(
    reference_sources: npt.ArrayLike,
    estimated_sources: npt.ArrayLike,
    window: int = 30 * 44100,
    hop: int = 15 * 44100,
    compute_permutation: bool = False,
) -> tuple[Array, Array, Array, Array, npt.NDArray[np.intp]]:
    """:func:`bss_eval_images` of windows, as ``mir_eval.separation.bss_eval_images_framewise``.

    Parameters
    ----------
    reference_sources, estimated_sources : ndarray, shape (n_sources, n_samples[, n_channels])
        The sources as they are, and as they were estimated.
    window, hop : int
        Length of a window, and from the start of one to the start of the next, in samples.
    compute_permutation : bool
        Find which estimate belongs to which source, in each window.

    Returns
    -------
    sdr, isr, sir, sar : ndarray, shape (n_sources, n_windows)
        In dB; NaN in windows in which any source or estimate is silent.
    perm : ndarray of int, shape (n_sources, n_windows)
        The estimate of each source.
    """
    found = _framewise(bss_eval_images, 4, reference_sources, estimated_sources, window, hop, compute_permutation)
    return found[0], found[1], found[2], found[3], found[4]


def si_sdr(reference_sources: npt.ArrayLike, estimated_sources: npt.ArrayLike) -> Array:
    """Scale-invariant signal to distortion ratio: zero mean, channels averaged.

    Parameters
    ----------
    reference_sources, estimated_sources : ndarray, shape (n_sources, n_samples[, n_channels]) or (n_samples,)
        The sources as they are, and as they were estimated.

    Returns
    -------
    ndarray, shape (n_sources,)
        In dB, at most 150; NaN where the source is silent or the estimate constant.

    Examples
    --------
    >>> import numpy as np
    >>> from partita import metrics
    >>> source = np.sin(0.1 * np.arange(8000))
    >>> noise = np.random.default_rng(0).standard_normal(8000)
    >>> bool(abs(metrics.si_sdr(source, 3 * (source + 0.1 * noise))[0] - 17) < 0.5)
    True
    """
    references, estimates = _with_source_axis(reference_sources), _with_source_axis(estimated_sources)
    if references.shape != estimates.shape:
        raise fail(
            f"the sources have the shape {references.shape}, the estimates {estimates.shape}",
            "give as many estimates as sources, of the same length",
        )
    # One tap: nothing is filtered, and nothing but sums is needed.
    scores = _scores(_with_channel_axis(references), _with_channel_axis(estimates), _Mode(n_taps=1))
    return scores.si_sdr[:, 0]


# ---- at work -------------------------------------------------------------------------------------------------------


def _scores(
    references: npt.NDArray[Any],
    estimates: npt.NDArray[Any],
    mode: _Mode,
    *,
    framing: tuple[float, float] | None = None,
    progress: ProgressLike = None,
) -> _Scores:
    """Scores by the engine, of arrays with all axes."""

    def signals(arrays: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        return [np.asarray(signal, dtype=np.float32).T for signal in arrays]

    with listener(progress) as tell:
        scores, perm = _partita.metrics.bss_eval(
            signals(references),
            signals(estimates),
            framing,
            integer("filters_len", mode.n_taps, 1),
            bool(mode.sources_version),
            False,
            bool(mode.permute),
            tell,
        )
    sdr, isr, sir, sar, of_scale = np.moveaxis(scores, 2, 0)
    return _Scores(sdr, isr, sir, sar, of_scale, np.array(perm, dtype=np.intp))


def _framewise(
    of_window: Any, n_scores: int, references: Any, estimates: Any, window: int, hop: int, permute: bool
) -> list[npt.NDArray[Any]]:
    references, estimates = _with_source_axis(references), _with_source_axis(estimates)
    _validate(references, estimates)
    if references.size == 0 or estimates.size == 0:
        return [np.array([])] * n_scores + [np.array([], dtype=np.intp)]
    n_sources, n_samples = references.shape[:2]
    n_windows = int(np.floor((n_samples - window + hop) / hop))
    if n_windows < 2:
        return [np.expand_dims(values, -1) for values in of_window(references, estimates, permute)]
    found = [np.full((n_sources, n_windows), np.nan) for _ in range(n_scores)]
    perm = np.full((n_sources, n_windows), np.nan)
    for t in range(n_windows):
        stretch = slice(t * hop, t * hop + window)
        if _any_silent(references[:, stretch]) or _any_silent(estimates[:, stretch]):
            continue
        *scores, perm[:, t] = of_window(references[:, stretch], estimates[:, stretch], permute)
        for values, score in zip(found, scores, strict=True):
            values[:, t] = score
    return [*found, perm]


def _windows(n_samples: int, window: float, hop: float) -> tuple[list[int], int]:
    """The starts of all windows that fit, and their length; the whole where it is shorter than one."""
    if not window < n_samples:
        return [0], n_samples
    length, step = max(int(window), 1), max(int(hop), 1)
    return list(range(0, n_samples - length + 1, step)), length


def _with_source_axis(values: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(values)
    return array[np.newaxis] if array.ndim == 1 else array


def _with_channel_axis(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array[:, :, np.newaxis] if array.ndim == 2 else array


def _any_silent(sources: npt.NDArray[Any]) -> bool:
    """Whether any is zero throughout, its channels added up."""
    return any(_is_silent(source) for source in sources)


def _is_silent(source: npt.NDArray[Any]) -> bool:
    """Whether a source is; what sounds at its start is not looked through."""
    for part in (source[:_GLANCE], source):
        added = part if part.ndim == 1 else sum(part[..., c] for c in range(part.shape[-1]))
        if np.any(added):
            return False
    return True


def _unbound(values: Array) -> Array:
    """What is as good as double precision can tell is infinite, as where there is nothing to divide by."""
    return np.where(np.abs(values) >= _MAX_DB, np.sign(values) * np.inf, values)


def _validate(references: npt.NDArray[Any], estimates: npt.NDArray[Any]) -> None:
    if references.shape != estimates.shape:
        raise fail(
            f"the sources have the shape {references.shape}, the estimates {estimates.shape}",
            "give as many estimates as sources, of the same length",
        )
    if references.ndim > 3:
        raise fail(f"there are {references.ndim} axes, expected (sources, samples[, channels])", "drop the others")
    if references.size == 0 or estimates.size == 0:
        for name, array in {"reference_sources": references, "estimated_sources": estimates}.items():
            if array.size == 0:
                warnings.warn(f"{name} is empty: there is nothing to score", UserWarning, stacklevel=3)
        return
    for what, array in {"sources": references, "estimates": estimates}.items():
        if _any_silent(array):
            raise fail(f"one of the {what} is silent throughout", "leave it out: it has no scores")
    if references.shape[0] > _MAX_SOURCES:
        raise fail(
            f"there are {references.shape[0]} sources, expected at most {_MAX_SOURCES}",
            "put sources first: (sources, samples[, channels])",
        )
