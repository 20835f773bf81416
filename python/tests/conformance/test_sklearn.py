"""scikit-learn's own tests, with partita's classes in place of its own."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import pytest

sklearn = pytest.importorskip("sklearn", "1.6")

from sklearn.decomposition import NMF as TheirNMF  # noqa: E402
from sklearn.decomposition import MiniBatchNMF as TheirMiniBatchNMF  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from partita.decomposition import NMF, MiniBatchNMF  # noqa: E402


def test_every_test_of_scikit_learn_passes(outcomes_of):
    path = Path(sklearn.__file__).parent / "decomposition" / "tests" / "test_nmf.py"
    if not path.exists():
        pytest.skip("scikit-learn is installed without its tests")
    outcomes = outcomes_of(path)
    counts = Counter(outcomes.values())
    print(f"scikit-learn {sklearn.__version__}, test_nmf.py: {dict(counts)}")
    failed = sorted(name for name, outcome in outcomes.items() if outcome == "failed")
    assert not failed, f"{len(failed)} of {len(outcomes)} fail: {failed}"
    assert counts["passed"] > 200


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (NMF(), TheirNMF()),
        (NMF(max_iter=500), TheirNMF(max_iter=500)),
        (NMF(solver="mu"), TheirNMF(solver="mu")),
        (MiniBatchNMF(), TheirMiniBatchNMF()),
    ],
    ids=repr,
)
def test_estimator_checks_fare_as_scikit_learns_own_or_better(ours, theirs):
    def failures(estimator):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = check_estimator(estimator, on_fail=None)
        print(type(estimator).__module__, dict(Counter(result["status"] for result in results)))
        return {result["check_name"] for result in results if result["status"] == "failed"}

    worse = failures(ours) - failures(theirs)
    assert not worse
