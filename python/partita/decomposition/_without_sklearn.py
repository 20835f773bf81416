"""What an estimator stands on where scikit-learn is not installed: as much of its base classes as it needs."""

from __future__ import annotations

import inspect
from contextlib import nullcontext as assume_finite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._sparse import is_sparse

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

_TYPES = (np.float64, np.float32)


class ConvergenceWarning(UserWarning):
    """A fit ended at `max_iter`."""


class InvalidParameterError(ValueError, TypeError):
    """A parameter has a value that it cannot have."""


class NotFittedError(ValueError, AttributeError):
    """The estimator was used before it was fitted."""


class BaseEstimator:
    """Parameters as scikit-learn's estimators have them: the arguments of `__init__`."""

    @classmethod
    def _parameters(cls) -> dict[str, Any]:
        return {
            name: parameter.default
            for name, parameter in inspect.signature(cls.__init__).parameters.items()
            if name != "self"
        }

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in sorted(self._parameters())}

    def set_params(self, **params: Any) -> Any:
        """Changes parameters by name, and returns the estimator."""
        known = sorted(self._parameters())
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {known}.")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name, default in self._parameters().items()
            if not _is_same(getattr(self, name), default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


class TransformerMixin:
    """A transformer; `fit_transform` is each class's own."""


class ClassNamePrefixFeaturesOutMixin:
    """Names of what comes out: the name of the class and a number."""

    _n_features_out: int

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """One name per component, such as `nmf0`."""
        check_is_fitted(self)
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(self._n_features_out)], dtype=object)


def check_is_fitted(estimator: Any) -> None:
    """Refuses an estimator that was not fitted."""
    if not hasattr(estimator, "components_"):
        raise NotFittedError(
            f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments "
            "before using this estimator."
        )


def checked_array(X: Any, *, allow_nan: bool = False, accept_sparse: bool = True, name: str = "X") -> Any:
    """`X` as an array or a CSR or CSC matrix of floats."""
    if is_sparse(X):
        if not accept_sparse:
            raise TypeError(f"Sparse data was passed for {name}, but dense data is required.")
        if X.format not in ("csr", "csc"):
            X = X.tocsr()
        if X.dtype not in _TYPES:
            X = X.astype(np.float64)
        entries = X.data
    else:
        X = np.asarray(X)
        if np.iscomplexobj(X):
            raise ValueError("Complex data not supported.")
        if X.dtype not in _TYPES:
            X = X.astype(np.float64)
        if X.ndim != 2:
            raise ValueError(f"Expected 2D array, got {X.ndim}D array instead. Reshape your data.")
        entries = X
    for n, what in zip(X.shape, ("sample", "feature"), strict=True):
        if n == 0:
            raise ValueError(f"Found array with 0 {what}(s) (shape={X.shape}) while a minimum of 1 is required.")
    if not np.isfinite(entries).all() and not (allow_nan and not np.isinf(entries).any()):
        raise ValueError(f"Input {name} contains NaN or infinity.")
    return X


def validated(estimator: Any, X: Any, *, reset: bool, allow_nan: bool = False) -> Any:
    """`X` as an array or a CSR or CSC matrix of floats; `reset` says whether its features are learned or compared."""
    names = getattr(X, "columns", None)
    if names is not None:
        names = np.asarray(names, dtype=object)
        names = names if len(names) and all(isinstance(name, str) for name in names) else None
    X = checked_array(X, allow_nan=allow_nan)
    if reset:
        estimator.n_features_in_ = X.shape[1]
        if names is not None:
            estimator.feature_names_in_ = names
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
        return X
    expected = estimator.n_features_in_
    if X.shape[1] != expected:
        raise ValueError(
            f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting {expected} features as input."
        )
    seen = getattr(estimator, "feature_names_in_", None)
    if seen is not None and names is not None and list(seen) != list(names):
        raise ValueError("The feature names should match those that were passed during fit.")
    return X


def _is_same(value: Any, default: Any) -> bool:
    return value is default or (not isinstance(value, np.ndarray) and value == default)
