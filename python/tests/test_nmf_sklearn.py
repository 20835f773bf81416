"""Our estimators among scikit-learn's: side by side with its own, and in its pipelines and searches."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", "1.6")
sp = pytest.importorskip("scipy.sparse")

import sklearn.decomposition as theirs  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

import partita.decomposition as ours  # noqa: E402
from partita.decomposition import _nmf  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    return load_digits().data[:300]


@pytest.mark.parametrize("init", ["random", "nndsvd", "nndsvda", "nndsvdar"])
@pytest.mark.parametrize("shape", [(30, 20), (20, 30)], ids=["tall", "wide"])
@pytest.mark.parametrize("n_components", [2, 8])
def test_a_start_is_that_of_scikit_learn(init, shape, n_components):
    from sklearn.decomposition._nmf import _initialize_nmf

    X = np.random.RandomState(0).random_sample(shape)
    expected = _initialize_nmf(X, n_components, init=init, random_state=1)
    got = _nmf._initialize_nmf(X, n_components, init=init, random_state=1)
    for ours_, theirs_ in zip(got, expected, strict=True):
        # nndsvdar's random numbers depend on which entries are exactly 0: those of both are the same here.
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "cd"},
        {"solver": "cd", "alpha_W": 0.01, "l1_ratio": 0.5},
        {"solver": "mu"},
        {"solver": "mu", "beta_loss": "kullback-leibler"},
        {"solver": "mu", "beta_loss": "kullback-leibler", "alpha_W": 0.001, "alpha_H": 0.0, "l1_ratio": 1.0},
        {"solver": "mu", "beta_loss": 1.5},
    ],
    ids=str,
)
def test_a_fit_is_that_of_scikit_learn(digits, settings, container):
    X = container(digits)
    # Of a matrix in columns, scikit-learn's `mu` mixes up the entries where the norm is not Frobenius': it pairs them
    # with those of W H in rows.
    in_order = X.tocsr() if container is sp.csc_matrix else X
    settings = dict(n_components=6, random_state=0, init="random", max_iter=60, **settings)
    expected, got = theirs.NMF(**settings), ours.NMF(**settings)
    W, ours_W = expected.fit_transform(in_order), got.fit_transform(X)
    assert got.n_iter_ == expected.n_iter_
    level = np.abs(W).max()
    np.testing.assert_allclose(ours_W, W, rtol=1e-5, atol=1e-7 * level)
    np.testing.assert_allclose(got.components_, expected.components_, rtol=1e-5, atol=1e-7 * expected.components_.max())
    assert got.reconstruction_err_ == pytest.approx(expected.reconstruction_err_, rel=1e-7)
    if settings.get("beta_loss") == "kullback-leibler" and settings.get("alpha_W"):
        # There scikit-learn adds the cost of W once more in each iteration: its cached sums of H take it in.
        return
    np.testing.assert_allclose(got.transform(X), expected.transform(in_order), rtol=1e-5, atol=1e-7 * level)


@pytest.mark.parametrize("beta_loss", [0.5, 1, 2])
@pytest.mark.parametrize("fresh_restarts", [False, True])
def test_batches_are_those_of_scikit_learn(digits, beta_loss, fresh_restarts):
    settings = dict(
        n_components=4, beta_loss=beta_loss, fresh_restarts=fresh_restarts, batch_size=100, max_iter=4, random_state=0
    )
    expected, got = theirs.MiniBatchNMF(**settings), ours.MiniBatchNMF(**settings)
    W, ours_W = expected.fit_transform(digits), got.fit_transform(digits)
    assert got.n_steps_ == expected.n_steps_
    np.testing.assert_allclose(ours_W, W, rtol=1e-5, atol=1e-7 * np.abs(W).max())
    np.testing.assert_allclose(got.components_, expected.components_, rtol=1e-5, atol=1e-7 * expected.components_.max())


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_components": 0},
        {"init": "svd"},
        {"beta_loss": "euclidean"},
        {"tol": -1.0},
        {"max_iter": 2.5},
        {"random_state": -1},
        {"alpha_H": "different"},
        {"l1_ratio": 2},
        {"verbose": -1},
        {"shuffle": "yes"},
    ],
    ids=str,
)
def test_refusals_are_worded_as_in_scikit_learn(wrong):
    messages = []
    for module in (theirs, ours):
        with pytest.raises(ValueError) as refused:
            module.NMF(**wrong).fit(np.ones((3, 3)))
        # The words of a choice come in no order there.
        messages.append(sorted(str(refused.value).replace("{", " ").replace("}", " ").replace(",", " ").split()))
    assert messages[0] == messages[1]


def test_the_estimators_clone_and_search(digits):
    labels = load_digits().target[:300]
    assert clone(ours.NMF(3, sparsity=0.5)).sparsity == 0.5
    search = GridSearchCV(
        make_pipeline(ours.NMF(random_state=0, max_iter=50), LogisticRegression(max_iter=200)),
        {"nmf__n_components": [2, 10]},
        cv=2,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(digits, labels)
    assert search.best_params_ == {"nmf__n_components": 10}


def test_names_go_in_and_come_out():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(np.random.RandomState(0).random_sample((10, 4)), columns=list("abcd"))
    model = ours.NMF(2, max_iter=500).set_output(transform="pandas").fit(X)
    assert list(model.feature_names_in_) == list("abcd")
    assert list(model.transform(X).columns) == ["nmf0", "nmf1"]
    with pytest.raises(ValueError, match="feature names"):
        model.transform(X.rename(columns={"a": "z"}))


def test_a_sparse_matrix_is_left_as_it_was():
    X = sp.csr_matrix((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1]), np.array([0, 2, 3])), shape=(2, 3))
    before = X.indices.copy()
    ours.NMF(1, init="random", random_state=0).fit(X)
    np.testing.assert_array_equal(X.indices, before)


def test_tags_tell_what_is_taken():
    from sklearn.utils import get_tags

    assert not get_tags(ours.NMF()).input_tags.allow_nan
    assert get_tags(ours.NMF(missing_values=np.nan)).input_tags.allow_nan
    assert get_tags(ours.MiniBatchNMF()).input_tags.sparse


def test_models_fit_in_workers_of_joblib(digits):
    joblib = pytest.importorskip("joblib")
    fits = joblib.Parallel(n_jobs=2)(joblib.delayed(ours.NMF(k, max_iter=20).fit)(digits) for k in (2, 3))
    assert [fit.components_.shape[0] for fit in fits] == [2, 3]
    here = ours.NMF(3, max_iter=20, random_state=0).fit(digits)
    there = joblib.Parallel(n_jobs=2)([joblib.delayed(ours.NMF(3, max_iter=20, random_state=0).fit)(digits)])[0]
    np.testing.assert_array_equal(here.components_, there.components_)
