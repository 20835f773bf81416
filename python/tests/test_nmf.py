"""`partita.decomposition` against what it says of itself; scikit-learn's own tests are in `conformance`."""

from __future__ import annotations

import doctest
import importlib
import pickle
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import partita
from partita.decomposition import NMF, MiniBatchNMF, non_negative_factorization, select_rank

pytestmark = pytest.mark.filterwarnings("ignore:Maximum number of iterations")

SOLVERS = ["cd", "mu", "mu-extrapolated", "anls", "pg"]


def product(n_samples=20, n_features=30, n_components=3, seed=0, dtype=np.float64):
    """A matrix that has exactly so many components, and these."""
    rng = np.random.RandomState(seed)
    W, H = rng.random_sample((n_samples, n_components)), rng.random_sample((n_components, n_features))
    return (W @ H).astype(dtype), W.astype(dtype), H.astype(dtype)


def test_the_classes_are_there_from_the_package():
    assert partita.NMF is NMF
    assert partita.MiniBatchNMF is MiniBatchNMF
    assert partita.non_negative_factorization is non_negative_factorization


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_finds_a_matrix_of_low_rank(solver, dtype):
    X, _, _ = product(dtype=dtype)
    model = NMF(3, solver=solver, random_state=0, max_iter=2000, tol=1e-7)
    W = model.fit_transform(X)
    assert W.dtype == model.components_.dtype == dtype
    assert W.min() >= 0 and model.components_.min() >= 0
    assert np.linalg.norm(X - W @ model.components_) < 5e-3 * np.linalg.norm(X)
    error = np.linalg.norm(X - W @ model.components_)
    assert model.reconstruction_err_ == pytest.approx(error, rel=1e-2, abs=1e-4 * float(np.linalg.norm(X)))


@pytest.mark.parametrize("solver", ["mu", "mu-extrapolated"])
@pytest.mark.parametrize("beta_loss", ["kullback-leibler", "itakura-saito", 0.5, 1.5])
def test_divergences_fall(solver, beta_loss):
    X, _, _ = product()
    errors = [
        NMF(3, solver=solver, beta_loss=beta_loss, init="random", random_state=0, max_iter=n, tol=0).fit(X)
        for n in (1, 20, 100)
    ]
    errors = [model.reconstruction_err_ for model in errors]
    assert errors[0] > errors[1] > errors[2], errors


def test_extrapolation_is_ahead_of_plain_updates_after_as_many_iterations():
    X = product(40, 50, 5)[0] + 0.1 * np.random.RandomState(1).random_sample((40, 50))
    errors = {}
    for solver in ("mu", "mu-extrapolated"):
        model = NMF(5, solver=solver, beta_loss=1, init="random", random_state=0, max_iter=60, tol=0)
        errors[solver] = model.fit(X).reconstruction_err_
    assert errors["mu-extrapolated"] < errors["mu"], errors


def test_the_same_random_state_gives_the_same_bits():
    X, _, _ = product()
    for model in (
        NMF(3, random_state=3),
        NMF(3, init="random", random_state=3, shuffle=True),
        MiniBatchNMF(3, random_state=3),
    ):
        first, second = model.fit_transform(X), model.fit_transform(X)
        np.testing.assert_array_equal(first, second)


def test_the_order_of_an_array_in_memory_does_not_matter():
    X, _, _ = product()
    np.testing.assert_allclose(NMF(3).fit_transform(X), NMF(3).fit_transform(np.asfortranarray(X)), rtol=1e-9)


def test_missing_entries_are_left_out_and_filled_in():
    X, _, _ = product(n_components=2)
    holes = np.random.RandomState(5).random_sample(X.shape) < 0.1
    with_holes = np.where(holes, np.nan, X)
    model = NMF(2, solver="mu-extrapolated", missing_values=np.nan, max_iter=5000, tol=1e-9, random_state=0)
    W = model.fit_transform(with_holes)
    filled = W @ model.components_
    assert np.abs(filled[holes] - X[holes]).max() < 0.02 * X.max()
    again = model.transform(with_holes)
    np.testing.assert_allclose(again @ model.components_, filled, atol=0.05)


def test_weights_of_zero_are_missing_entries():
    X, _, _ = product(n_components=2)
    weights = np.ones_like(X)
    weights[3, 4] = 0
    spoilt = X.copy()
    spoilt[3, 4] = np.nan
    settings = dict(solver="mu", random_state=0, max_iter=50, tol=0)
    with_nan = NMF(2, missing_values=np.nan, **settings).fit_transform(spoilt)
    spoilt[3, 4] = 100.0
    weighted = NMF(2, **settings).fit_transform(spoilt, weights=weights)
    np.testing.assert_allclose(weighted, with_nan, rtol=1e-9)


def test_a_sample_of_weight_two_counts_as_two_samples():
    X, _, _ = product()
    W0, H0 = np.full((20, 2), 0.5), np.abs(np.random.RandomState(0).standard_normal((2, 30)))
    settings = dict(solver="mu", init="custom", max_iter=30, tol=0)
    twice = NMF(2, **settings).fit(np.r_[X, X[:1]], W=np.r_[W0, W0[:1]], H=H0)
    weights = np.r_[2.0, np.ones(19)]
    weighted = NMF(2, **settings).fit(X, W=W0, H=H0, weights=weights)
    np.testing.assert_allclose(weighted.components_, twice.components_, rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_fixed_components_stay_and_the_others_are_learned(solver):
    X, _, H = product()
    model = NMF(3, solver=solver, fixed_components=H[:1], random_state=0, max_iter=3000, tol=1e-8)
    W = model.fit_transform(X)
    np.testing.assert_array_equal(model.components_[0], H[0])
    assert np.linalg.norm(X - W @ model.components_) < 0.02 * np.linalg.norm(X)


def test_sparsity_makes_few_activations_large():
    rng = np.random.RandomState(0)
    X = rng.random_sample((40, 30))

    def concentration(**settings):
        W = NMF(5, solver="mu", init="random", random_state=0, max_iter=300, **settings).fit_transform(X)
        return np.mean(W.max(axis=1) / W.sum(axis=1))

    assert concentration(sparsity=0.5) > concentration() + 0.05


def test_temporal_continuity_makes_activations_smooth():
    X = product(50, 20, 3)[0] * (0.5 + np.random.RandomState(2).random_sample((50, 20)))

    def roughness(**settings):
        W = NMF(3, solver="mu", init="random", random_state=0, max_iter=300, **settings).fit_transform(X)
        return np.mean(np.sum(np.diff(W, axis=0) ** 2, axis=0) / np.sum(W**2, axis=0))

    assert roughness(temporal_continuity=1.0) < 0.8 * roughness()


def test_groups_are_silenced():
    X, _, _ = product(30, 20, 4)

    def overlap(**settings):
        model = NMF(4, solver="mu", init="random", random_state=0, max_iter=300, groups=[0, 0, 1, 1], **settings)
        W = model.fit_transform(X) * model.components_.sum(axis=1)
        groups = np.c_[W[:, :2].sum(axis=1), W[:, 2:].sum(axis=1)]
        return np.sum(groups.min(axis=1)) / np.sum(groups.max(axis=1))

    assert overlap(group_sparsity=1.0) < overlap()


def test_the_rank_of_a_matrix_is_found():
    X = product(40, 30, 3)[0] * (0.9 + 0.2 * np.random.RandomState(4).random_sample((40, 30)))
    selection = select_rank(X, range(1, 6), random_state=0)
    assert selection.best == 3, selection
    assert list(selection.n_components) == [1, 2, 3, 4, 5]
    assert len(selection.held_out) == len(selection.std_error) == 5


@pytest.mark.parametrize("n", [[], [2, 4], [0, 1]])
def test_ranks_that_are_not_numbers_in_a_row_are_refused(n):
    with pytest.raises(ValueError, match="expected numbers in a row"):
        select_rank(np.ones((4, 4)), n)


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"sparsity": 0.1}, {}, "solver 'cd' does not handle sparsity: use solver='mu'"),
        ({"group_sparsity": 0.1, "solver": "mu"}, {}, "give the group of each component"),
        ({}, {"weights": np.ones(4)}, "solver 'cd' does not handle weights"),
        ({"solver": "mu"}, {"weights": np.ones(3)}, r"expected \(4,\), one for each sample"),
        ({"solver": "mu"}, {"weights": -np.ones(4)}, "expected at least 0"),
        ({"solver": "mu"}, {"weights": np.zeros(4)}, "every entry of X is missing"),
        ({"solver": "anls", "beta_loss": 1}, {}, "solver 'anls' does not handle beta_loss = 1"),
        ({"fixed_components": np.ones((3, 5))}, {}, "expected at most n_components, 2"),
        ({"fixed_components": np.ones((1, 4))}, {}, "wrong second dimension"),
        ({"missing_values": 0}, {}, "The 'missing_values' parameter of NMF must be nan or None. Got 0 instead."),
        ({"solver": "lars"}, {}, "The 'solver' parameter of NMF must be a str among"),
        ({"tol": -1.0}, {}, r"The 'tol' parameter of NMF must be a float in the range \[0.0, inf\). Got -1.0 instead."),
    ],
)
def test_what_cannot_work_is_refused_in_words(settings, arguments, message):
    with pytest.raises(ValueError, match=message):
        NMF(2, **settings).fit(np.ones((4, 5)), **arguments)


def test_nan_is_refused_unless_it_is_asked_for():
    X = np.ones((4, 5))
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        NMF(2).fit(X)
    with pytest.raises(ValueError, match="NaN where weights are above 0"):
        NMF(2, solver="mu").fit(X, weights=np.ones(4))


def test_verbose_prints_the_error_at_every_check(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        NMF(2, solver="mu", verbose=1, max_iter=20, tol=1e-12).fit(product()[0])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" after")[0] for line in lines if line.startswith("Epoch")] == [
        "Epoch 10 reached",
        "Epoch 20 reached",
    ]


@pytest.mark.parametrize("model", [NMF(3), MiniBatchNMF(3)])
def test_a_fitted_model_survives_pickling(model):
    X, _, _ = product()
    model.fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_batches_come_close_to_the_whole():
    X = product(200, 30, 4)[0] + 0.05 * np.random.RandomState(1).random_sample((200, 30))
    whole = NMF(4, solver="mu", random_state=0).fit(X).reconstruction_err_
    in_batches = MiniBatchNMF(4, batch_size=50, random_state=0, max_no_improvement=None, tol=1e-6).fit(X)
    assert in_batches.reconstruction_err_ < 1.2 * whole
    assert in_batches.n_steps_ <= 4 * in_batches.n_iter_


def test_partial_fit_goes_on_with_what_it_knows():
    X, _, _ = product(60, 30, 3)
    model = MiniBatchNMF(3, random_state=0)
    for _ in range(200):
        for start in range(0, 60, 20):
            model.partial_fit(X[start : start + 20])
    assert model.n_steps_ == 600
    error = np.linalg.norm(X - model.transform(X) @ model.components_)
    assert error < 0.1 * np.linalg.norm(X)


def test_huge_and_tiny_levels_make_no_difference():
    X, _, _ = product()
    H = NMF(3, random_state=0, init="random").fit(X).components_
    for level in (1e30, 1e-30):
        scaled = NMF(3, random_state=0, init="random").fit(X * level)
        np.testing.assert_allclose(scaled.components_ / np.sqrt(level), H, rtol=1e-6)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_an_interrupt_ends_a_fit_within_a_second(solver):
    script = f"""
import numpy as np
from partita import NMF
X = np.random.RandomState(0).random_sample((1500, 1500))
print("ready", flush=True)
NMF(50, solver={solver!r}, init="random", max_iter=10**6, tol=0).fit(X)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as fit:
        assert fit.stdout.readline() == b"ready\n"
        time.sleep(0.5)
        assert fit.poll() is None
        start = time.monotonic()
        fit.send_signal(signal.SIGINT)
        _, error = fit.communicate(timeout=30)
    assert b"KeyboardInterrupt" in error
    # The second, and what it takes Python to end.
    assert time.monotonic() - start < 2.0


@pytest.mark.parametrize("module", ["_nmf", "_minibatch", "_rank"])
def test_the_examples_in_the_docs_run(module):
    outcome = doctest.testmod(importlib.import_module(f"partita.decomposition.{module}"))
    assert outcome.attempted > 3 and outcome.failed == 0
