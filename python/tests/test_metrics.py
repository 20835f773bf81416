"""Scores, against truths and against the libraries that the functions are named after where these are installed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from partita import metrics


@pytest.fixture(scope="module")
def scene():
    """Three stereo sources that leak into one another, with some noise."""
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((3, 12_000, 2))
    sources = sources + np.roll(sources, 3, axis=1)
    mixing = np.eye(3) + 0.1 * rng.standard_normal((3, 3))
    return sources, np.einsum("ij,jkl->ikl", mixing, sources) + 0.05 * rng.standard_normal(sources.shape)


def test_shapes_are_those_that_are_documented(scene):
    references, estimates = scene
    *scores, perm = metrics.bss_eval(references, estimates, window=4000, hop=2000, filters_len=16)
    assert [score.shape for score in scores] == [(3, 5)] * 4 and perm.shape == (3, 1)
    *scores, perm = metrics.bss_eval(
        references, estimates, window=4000, hop=4000, filters_len=8, framewise_filters=True
    )
    assert [score.shape for score in scores] == [(3, 3)] * 4 and perm.shape == (3, 3)
    *scores, perm = metrics.bss_eval(references[:, :, 0], estimates[:, :, 0], window=np.inf, filters_len=16)
    assert [score.shape for score in scores] == [(3, 1)] * 4
    *scores, perm = metrics.bss_eval_sources(references[:, :, 0], estimates[:, :, 0])
    assert [score.shape for score in scores] == [(3,)] * 3 and perm.tolist() == [0, 1, 2]
    *scores, perm = metrics.bss_eval_images_framewise(references, estimates, window=5000, hop=5000)
    assert [score.shape for score in scores] == [(3, 2)] * 4 and perm.shape == (3, 2)
    assert [score.shape for score in metrics.evaluate(references, estimates, win=4000, hop=4000)] == [(3, 3)] * 4


def test_estimates_in_another_order_are_found(scene):
    references, estimates = scene
    in_order = metrics.bss_eval_images(references, estimates)
    assert in_order[-1].tolist() == [0, 1, 2]
    moved = metrics.bss_eval_images(references, estimates[[2, 0, 1]])
    assert moved[-1].tolist() == [1, 2, 0]
    for ours, theirs in zip(in_order[:4], moved[:4], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    kept = metrics.bss_eval_images(references, estimates[[2, 0, 1]], compute_permutation=False)
    assert kept[-1].tolist() == [0, 1, 2] and np.all(kept[0] < in_order[0])


def test_windows_with_silence_have_no_scores(scene):
    references, estimates = (signals.copy() for signals in scene)
    references[1, :4000] = 0
    estimates[2, 8000:] = 0
    for framewise in [False, True]:
        sdr, *_ = metrics.bss_eval(
            references, estimates, window=4000, hop=4000, filters_len=8, framewise_filters=framewise
        )
        assert np.isnan(sdr).tolist() == [[True, False, True]] * 3


def test_what_cannot_be_scored_is_refused(scene):
    references, estimates = scene
    with pytest.raises(ValueError, match="the sources have the shape"):
        metrics.bss_eval(references, estimates[:2])
    with pytest.raises(ValueError, match="one of the estimates is silent"):
        metrics.bss_eval_images(references, np.zeros_like(estimates))
    with pytest.raises(ValueError, match="put sources first"):
        metrics.bss_eval_sources(references[0], estimates[0])
    with pytest.warns(UserWarning, match="is empty: there is nothing to score"):
        assert metrics.bss_eval_sources(np.zeros((0, 5)), np.zeros((0, 5)))[0].size == 0
    with pytest.raises(ValueError, match="`mode` is 'v5'"):
        metrics.evaluate(references, estimates, mode="v5")
    with pytest.raises(ValueError, match="finite|NaN"):
        metrics.si_sdr(references, np.where(estimates > 1, np.nan, estimates))


def test_si_sdr_is_that_of_its_formula(scene):
    references, estimates = (signals[:, :, 0] for signals in scene)
    s = references - references.mean(axis=1, keepdims=True)
    e = estimates - estimates.mean(axis=1, keepdims=True)
    target = (s * e).sum(axis=1, keepdims=True) / (s * s).sum(axis=1, keepdims=True) * s
    expected = 10 * np.log10((target**2).sum(axis=1) / ((e - target) ** 2).sum(axis=1))
    np.testing.assert_allclose(metrics.si_sdr(references, estimates), expected, atol=1e-4)


@pytest.mark.parametrize(
    "options", [{}, {"compute_permutation": True}, {"framewise_filters": True}, {"bsseval_sources_version": True}]
)
def test_museval_says_the_same(scene, options):
    museval = pytest.importorskip("museval")
    references, estimates = scene
    settings = {"window": 4000, "hop": 3000.0, "filters_len": 64, **options}
    ours = metrics.bss_eval(references, estimates[[1, 2, 0]], **settings)
    theirs = museval.metrics.bss_eval(references, estimates[[1, 2, 0]], **settings)
    for name, a, b in zip(["SDR", "ISR", "SIR", "SAR", "perm"], ours, theirs, strict=True):
        if name == "ISR" and "bsseval_sources_version" in options:
            continue  # which is not defined there
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)


def test_mir_eval_says_the_same(scene):
    mir_eval = pytest.importorskip("mir_eval")
    references, estimates = (signals[:2, :3000, 0] for signals in scene)
    images = [signals[:2, :3000] for signals in scene]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = [
            (
                metrics.bss_eval_sources(references, estimates),
                mir_eval.separation.bss_eval_sources(references, estimates),
            ),
            (metrics.bss_eval_images(*images), mir_eval.separation.bss_eval_images(*images)),
        ]
    for ours, theirs in pairs:
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
