"""What an estimator stands on: scikit-learn's own base classes, or, where it is not installed, small ones of ours.

Knows nothing of factorizations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._sparse import is_sparse

__all__ = ["HAS_SKLEARN", "check_random_state", "is_sparse"]

_bases: Any
try:
    from . import _with_sklearn

    _bases, HAS_SKLEARN = _with_sklearn, True
except ImportError:  # it is absent, or older than 1.6
    from . import _without_sklearn

    _bases, HAS_SKLEARN = _without_sklearn, False

BaseEstimator: Any = _bases.BaseEstimator
ClassNamePrefixFeaturesOutMixin: Any = _bases.ClassNamePrefixFeaturesOutMixin
ConvergenceWarning: Any = _bases.ConvergenceWarning
InvalidParameterError: Any = _bases.InvalidParameterError
TransformerMixin: Any = _bases.TransformerMixin
assume_finite: Any = _bases.assume_finite
check_is_fitted: Any = _bases.check_is_fitted
checked_array: Any = _bases.checked_array
validated: Any = _bases.validated


def check_random_state(seed: Any) -> np.random.RandomState:
    """The generator that `random_state` stands for, as scikit-learn has it."""
    if seed is None:
        return np.random.mtrand._rand
    if isinstance(seed, np.random.RandomState):
        return seed
    return np.random.RandomState(seed)
