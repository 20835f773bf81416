"""What an estimator stands on where scikit-learn is installed: its own base classes and checks."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

__all__ = [
    "BaseEstimator",
    "ClassNamePrefixFeaturesOutMixin",
    "ConvergenceWarning",
    "InvalidParameterError",
    "TransformerMixin",
    "assume_finite",
    "check_is_fitted",
    "checked_array",
    "validated",
]

_TYPES = [np.float64, np.float32]


def validated(estimator: Any, X: Any, *, reset: bool, allow_nan: bool = False) -> Any:
    """`X` as an array or a CSR or CSC matrix of floats; `reset` says whether its features are learned or compared."""
    return validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse=("csr", "csc"),
        dtype=_TYPES,
        ensure_all_finite="allow-nan" if allow_nan else True,
    )


def checked_array(X: Any, *, allow_nan: bool = False, accept_sparse: bool = True, name: str = "X") -> Any:
    """`X` as an array or a CSR or CSC matrix of floats."""
    return check_array(
        X,
        accept_sparse=("csr", "csc") if accept_sparse else False,
        dtype=_TYPES,
        ensure_all_finite="allow-nan" if allow_nan else True,
        input_name=name,
    )


def assume_finite() -> Any:
    """A context in which scikit-learn does not look for NaN again."""
    return config_context(assume_finite=True)
