"""What `NMF` and `MiniBatchNMF` have in common: parameters, first values, shapes and names."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._estimator import (
    HAS_SKLEARN,
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    check_is_fitted,
    checked_array,
)
from ._parameters import check_parameters
from ._start import check_non_negative, initialize

BETAS = {"frobenius": 2.0, "kullback-leibler": 1.0, "itakura-saito": 0.0}


def beta_of(beta_loss: Any) -> float:
    """The number that a name of a divergence stands for."""
    return BETAS[beta_loss] if isinstance(beta_loss, str) else float(beta_loss)


def check_factor(values: Any, shape: tuple[Any, Any], whom: str) -> None:
    """Refuses a given factor of another shape, with negative entries or full of zeros."""
    values = checked_array(values, accept_sparse=False)
    for axis, word in enumerate(("first", "second")):
        if shape[axis] != "auto" and values.shape[axis] != shape[axis]:
            raise ValueError(
                f"Array with wrong {word} dimension passed to {whom}. Expected {shape[axis]}, "
                f"but got {values.shape[axis]}."
            )
    check_non_negative(values, whom)
    if np.max(values) == 0:
        raise ValueError(f"Array passed to {whom} is full of zeros.")


class BaseNMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The part of both estimators that does not depend on how they fit."""

    _accepted: dict[str, tuple[Any, ...]] = {}
    # MiniBatchNMF has none to choose; its updates are multiplicative.
    solver = "mu"

    def _check_parameters(self) -> None:
        check_parameters(type(self).__name__, self.get_params(deep=False), self._accepted)

    def _settle(self, X: Any) -> None:
        """Settles what parameters leave open until the data is known."""
        self._n_components = X.shape[1] if self.n_components is None else self.n_components
        self._beta_loss = beta_of(self.beta_loss)

    def _check_zeros(self, X: Any) -> None:
        if self._beta_loss <= 0 and X.min() == 0:
            raise ValueError(
                "When beta_loss <= 0 and X contains zeros, the solver may diverge. Please add small values to X, "
                "or use a positive beta_loss."
            )

    def _first_values(self, X: Any, W: Any, H: Any, update_H: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """W and H before the first iteration: checked where they are given, made where not."""
        n_samples, n_features = X.shape
        if self.init == "custom" and update_H:
            check_factor(H, (self._n_components, n_features), "NMF (input H)")
            check_factor(W, (n_samples, self._n_components), "NMF (input W)")
            H, W = np.asarray(H), np.asarray(W)
            if self._n_components == "auto":
                self._n_components = H.shape[0]
            if W.shape[1] != H.shape[0]:
                raise ValueError(f"W has {W.shape[1]} columns and H {H.shape[0]} rows: one for each component.")
            if H.dtype != X.dtype or W.dtype != X.dtype:
                raise TypeError(
                    f"H and W should have the same dtype as X. Got H.dtype = {H.dtype} and W.dtype = {W.dtype}."
                )
            return W, H
        if not update_H:
            if W is not None:
                warnings.warn("When update_H=False, the provided initial W is not used.", RuntimeWarning, stacklevel=4)
            check_factor(H, (self._n_components, n_features), "NMF (input H)")
            H = np.asarray(H)
            if self._n_components == "auto":
                self._n_components = H.shape[0]
            if H.dtype != X.dtype:
                raise TypeError(f"H should have the same dtype as X. Got H.dtype = {H.dtype}.")
            # Multiplicative updates cannot leave 0.
            level = np.sqrt(X.mean() / self._n_components) if self.solver.startswith("mu") else 0
            return np.full((n_samples, self._n_components), level, dtype=X.dtype), H
        if W is not None or H is not None:
            warnings.warn(
                "When init!='custom', provided W or H are ignored. Set  init='custom' to use them as initialization.",
                RuntimeWarning,
                stacklevel=4,
            )
        if self._n_components == "auto":
            self._n_components = n_features
        return initialize(X, self._n_components, init=self.init, random_state=self.random_state)

    def _alphas(self) -> tuple[float, float]:
        return float(self.alpha_W), float(self.alpha_W if self.alpha_H == "same" else self.alpha_H)

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Learns the components of `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data, at least 0.
        y : Ignored
            For the sake of pipelines.
        **params : kwargs
            What `fit_transform` takes besides.

        Returns
        -------
        self : object
            The estimator.
        """
        self.fit_transform(X, **params)
        return self

    def inverse_transform(self, X: Any) -> Any:
        """Gives data back in its original space.

        Parameters
        ----------
        X : {ndarray, sparse matrix} of shape (n_samples, n_components)
            Transformed data.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            `X` times the components.
        """
        check_is_fitted(self)
        return X @ self.components_

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    if HAS_SKLEARN:

        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.input_tags.positive_only = True
            tags.input_tags.sparse = True
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
            return tags
