"""The estimators where scikit-learn and scipy are not installed."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, importlib.abc, warnings

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("sklearn", "scipy", "pandas", "joblib"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import pickle
import numpy as np
from partita.decomposition import NMF, MiniBatchNMF, non_negative_factorization

X = np.random.RandomState(0).random_sample((12, 8))
for cls in (NMF, MiniBatchNMF):
    model = cls(3, random_state=0, max_iter=500)
    W = model.fit_transform(X)
    assert W.shape == (12, 3) and model.components_.shape == (3, 8)
    assert model.n_features_in_ == 8
    assert list(model.get_feature_names_out()) == [f"{cls.__name__.lower()}{i}" for i in range(3)]
    assert pickle.loads(pickle.dumps(model)).transform(X).shape == (12, 3)
    assert model.inverse_transform(W).shape == X.shape
    assert model.get_params()["n_components"] == 3
    assert model.set_params(n_components=2).fit(X).n_components_ == 2
assert repr(NMF(2, tol=0.1)) == "NMF(n_components=2, tol=0.1)", repr(NMF(2, tol=0.1))
assert NMF(2).fit(X.astype(np.float32)).components_.dtype == np.float32
assert NMF(2, max_iter=999).fit((10 * X).astype(int)).components_.dtype == np.float64
for wrong, kind in (
    (lambda: NMF(2, tol=-1.0).fit(X), ValueError),
    (lambda: NMF(2).fit(-X), ValueError),
    (lambda: NMF(2).fit(X[0]), ValueError),
    (lambda: NMF(2).fit(X[:0]), ValueError),
    (lambda: NMF(2).fit(np.where(X > 0.5, np.nan, X)), ValueError),
    (lambda: NMF(2).transform(X), AttributeError),
    (lambda: NMF(2).fit(X).transform(X[:, 1:]), ValueError),
    (lambda: NMF(2).set_params(colour="red"), ValueError),
):
    try:
        wrong()
    except kind as refused:
        assert str(refused)
    else:
        raise AssertionError("was taken")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    NMF(2, max_iter=1).fit(X)
assert [str(warning.message)[:42] for warning in caught] == ["Maximum number of iterations 1 reached. In"]
"""


def test_the_estimators_work_without_scikit_learn():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
