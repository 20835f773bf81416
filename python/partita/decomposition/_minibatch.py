"""Non-negative matrix factorization that learns from batches of samples."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _partita
from . import _parameters as accepted
from ._base import BaseNMF
from ._divergence import beta_divergence
from ._estimator import ConvergenceWarning, assume_finite, check_is_fitted, validated
from ._native import matrix
from ._start import check_non_negative

# One step and what it cost per sample.
Step = tuple[NDArray[Any], float]


class MiniBatchNMF(BaseNMF):
    """Non-negative matrix factorization that learns from batches of samples: X ~ W H, no entry below 0.

    A drop-in replacement for `sklearn.decomposition.MiniBatchNMF`: the same parameters, attributes, messages and, from
    the same `random_state`, the same factors up to rounding.

    Parameters
    ----------
    n_components : int, 'auto' or None, default='auto'
        Number of components. 'auto' takes it from a given W or H, else, as `None` does, the number of features.
    init : {'random', 'nndsvd', 'nndsvda', 'nndsvdar', 'custom'}, default=None
        How W and H start, as in `NMF`.
    batch_size : int, default=1024
        Samples in a batch.
    beta_loss : float or {'frobenius', 'kullback-leibler', 'itakura-saito'}, default='frobenius'
        The divergence, by name or by its beta (2, 1 and 0). For a beta of 0 or less X cannot have zeros.
    tol : float, default=1e-4
        Ends the fit when a step changed H by no more than this share of its norm; 0 never does.
    max_no_improvement : int or None, default=10
        Ends the fit when that many batches in turn did not lower the smoothed cost; `None` never does.
    max_iter : int, default=200
        Rounds through the data at the most.
    alpha_W : float, default=0.0
        Cost of large entries of W.
    alpha_H : float or 'same', default='same'
        Cost of large entries of H; 'same' is `alpha_W`.
    l1_ratio : float, default=0.0
        From squares (0) to absolute values (1) in these costs.
    forget_factor : float, default=0.7
        What is left of the past after a round through the data; 1 forgets nothing.
    fresh_restarts : bool, default=False
        Whether each batch searches its activations anew, which takes longer and comes out better.
    fresh_restarts_max_iter : int, default=30
        Iterations of that search at the most.
    transform_max_iter : int, default=None
        Iterations of `transform` at the most; `None` is `max_iter`.
    random_state : int, RandomState instance or None, default=None
        Where random starts come from.
    verbose : int, default=0
        Whether to print the cost of every batch.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        H, one component per row.
    n_components_ : int
        Number of components.
    reconstruction_err_ : float
        The Frobenius norm of ``X - W @ H``; for other divergences D the root of 2 D.
    n_iter_ : int
        Rounds through the data that were begun.
    n_steps_ : int
        Batches that were learned from.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all are strings.

    See Also
    --------
    NMF : Learns from all of X at once.

    References
    ----------
    A. Lefevre, F. Bach and C. Fevotte, "Online algorithms for nonnegative matrix factorization with the Itakura-Saito
    divergence", WASPAA 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from partita.decomposition import MiniBatchNMF
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> model = MiniBatchNMF(n_components=2, init='random', random_state=0)
    >>> W = model.fit_transform(X)
    >>> W.shape, model.components_.shape
    ((6, 2), (2, 2))
    """

    _accepted = {
        **accepted.SHARED,
        "max_no_improvement": (accepted.AT_LEAST_1, accepted.NONE),
        "batch_size": (accepted.AT_LEAST_1,),
        "forget_factor": (accepted.Interval(Real, 0, 1, closed="both"),),
        "fresh_restarts": accepted.BOOLEAN,
        "fresh_restarts_max_iter": (accepted.Interval(Integral, 1, None),),
        "transform_max_iter": (accepted.AT_LEAST_1, accepted.NONE),
    }

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        init: str | None = None,
        batch_size: int = 1024,
        beta_loss: Any = "frobenius",
        tol: float = 1e-4,
        max_no_improvement: int | None = 10,
        max_iter: int = 200,
        alpha_W: float = 0.0,
        alpha_H: Any = "same",
        l1_ratio: float = 0.0,
        forget_factor: float = 0.7,
        fresh_restarts: bool = False,
        fresh_restarts_max_iter: int = 30,
        transform_max_iter: int | None = None,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.batch_size = batch_size
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.max_iter = max_iter
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.forget_factor = forget_factor
        self.fresh_restarts = fresh_restarts
        self.fresh_restarts_max_iter = fresh_restarts_max_iter
        self.transform_max_iter = transform_max_iter
        self.random_state = random_state
        self.verbose = verbose

    def fit_transform(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> NDArray[Any]:
        """Learns the components of `X`, and returns its activations under them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data, at least 0.
        y : Ignored
            For the sake of pipelines.
        W : array-like of shape (n_samples, n_components), default=None
            Where W starts, with ``init='custom'``.
        H : array-like of shape (n_components, n_features), default=None
            Where H starts, with ``init='custom'``.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            The activations.
        """
        self._check_parameters()
        X = validated(self, X, reset=True)
        with assume_finite():
            activations, H, n_steps = self._learn(X, W, H)
        steps_per_round = -(-X.shape[0] // self._batch_size)
        self.reconstruction_err_ = float(beta_divergence(X, activations, H, self._beta_loss, square_root=True))
        self.n_components_ = H.shape[0]
        self.components_ = H
        self.n_iter_ = -(-n_steps // steps_per_round)
        self.n_steps_ = n_steps
        if self.n_iter_ == self.max_iter and self.tol > 0:
            warnings.warn(
                f"Maximum number of iterations {self.max_iter} reached. Increase it to improve convergence.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return activations

    def transform(self, X: Any) -> NDArray[Any]:
        """Finds the activations of `X` under the components that were learned.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data, at least 0.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            The activations.
        """
        check_is_fitted(self)
        X = validated(self, X, reset=False)
        check_non_negative(X, f"X in {type(self).__name__}")
        return self._activations(X, self.components_, self._transform_max_iter)

    def partial_fit(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> MiniBatchNMF:
        """Learns from one more batch.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The batch, at least 0.
        y : Ignored
            For the sake of pipelines.
        W : array-like of shape (n_samples, n_components), default=None
            Checked at the first call with ``init='custom'``; each batch finds its own.
        H : array-like of shape (n_components, n_features), default=None
            Where H starts, at the first call with ``init='custom'``.

        Returns
        -------
        self : MiniBatchNMF
            The estimator.
        """
        self._check_parameters()
        is_first = not hasattr(self, "components_")
        X = validated(self, X, reset=is_first)
        check_non_negative(X, "MiniBatchNMF (input X)")
        if is_first:
            self._settle(X)
            _, H = self._first_values(X, W, H, update_H=True)
            self._forget(H)
            self.n_steps_ = 0
        else:
            H = self.components_
        H, _ = self._step(X, None, H)
        self.n_components_ = H.shape[0]
        self.components_ = H
        self.n_steps_ += 1
        return self

    def _settle(self, X: Any) -> None:
        super()._settle(X)
        self._batch_size = min(self.batch_size, X.shape[0])
        self._rho = self.forget_factor ** (self._batch_size / X.shape[0])
        self._transform_max_iter = self.max_iter if self.transform_max_iter is None else self.transform_max_iter

    def _forget(self, H: NDArray[Any]) -> None:
        """Begins anew: the running sums of H's updates, whose quotient is H."""
        self._components_numerator = H.copy()
        self._components_denominator = np.ones_like(H)

    def _learn(self, X: Any, W: Any, H: Any) -> tuple[NDArray[Any], NDArray[Any], int]:
        """W, H, and how many batches were learned from."""
        check_non_negative(X, "MiniBatchNMF (input X)")
        self._settle(X)
        self._check_zeros(X)
        W, H = self._first_values(X, W, H, update_H=True)
        W = W.copy()
        self._forget(H)
        n_samples = X.shape[0]
        starts = range(0, n_samples, self._batch_size)
        n_most = self.max_iter * len(starts)
        rows = X.tocsr() if hasattr(X, "tocsr") else X
        batches = [(slice(start, start + self._batch_size), rows[start : start + self._batch_size]) for start in starts]
        watch = _Standstill(self, n_samples, n_most)
        n_steps = 0
        while n_steps < n_most:
            part, batch = batches[n_steps % len(batches)]
            before = H
            H, cost = self._step(batch, W[part], H)
            n_steps += 1
            if watch.is_over(n_steps, batch.shape[0], cost, before, H):
                break
        if self.fresh_restarts:
            W = self._activations(X, H, self._transform_max_iter)
        return W, H, n_steps

    def _settings(self, max_iter: int) -> dict[str, Any]:
        alpha_W, alpha_H = self._alphas()
        return {
            "beta": self._beta_loss,
            "alpha_dictionary": alpha_W,
            "alpha_activations": alpha_H,
            "l1_ratio": float(self.l1_ratio),
            "tol": float(self.tol),
            "max_iter": int(max_iter),
        }

    def _activations(self, X: Any, H: NDArray[Any], max_iter: int) -> NDArray[Any]:
        """W of `X` under components that stay, from the root of the mean share of a component."""
        level = np.sqrt(X.mean() / H.shape[0])
        W = np.full((X.shape[0], H.shape[0]), level, dtype=X.dtype)
        return _partita.nmf.search_activations(matrix(X), W, H, self._settings(max_iter))

    def _step(self, X: Any, W: NDArray[Any] | None, H: NDArray[Any]) -> Step:
        """H after a batch, and the cost of the batch per sample before it; W, where it is given, is improved in place."""
        if W is None or self.fresh_restarts:
            start, is_search = self._activations(X, H, self.fresh_restarts_max_iter), True
        else:
            start, is_search = W, False
        found, H, numerator, denominator, cost = _partita.nmf.step(
            matrix(X),
            start,
            H,
            self._components_numerator,
            self._components_denominator,
            self._rho,
            is_search,
            self._settings(1),
        )
        self._components_numerator, self._components_denominator = numerator, denominator
        if not is_search:
            start[:] = found
        return H, cost


class _Standstill:
    """Finds out when nothing is learned any more."""

    def __init__(self, model: MiniBatchNMF, n_samples: int, n_most: int) -> None:
        self.tol, self.patience, self.verbose = model.tol, model.max_no_improvement, model.verbose
        self.n_samples, self.n_most = n_samples, n_most
        self.smoothed: float | None = None
        self.lowest: float | None = None
        self.n_in_vain = 0

    def is_over(self, step: int, batch_size: int, cost: float, before: NDArray[Any], after: NDArray[Any]) -> bool:
        """Whether to stop after this step, the first being 1."""
        words = f"Minibatch step {step}/{self.n_most}: mean batch cost: {cost}"
        if step == 1:
            # Its cost is that of the start.
            self._tell(words)
            return False
        if self.smoothed is None:
            self.smoothed = cost
        else:
            share = min(batch_size / (self.n_samples + 1), 1)
            self.smoothed = self.smoothed * (1 - share) + cost * share
        self._tell(f"{words}, ewa cost: {self.smoothed}")
        if self.tol > 0 and np.linalg.norm(after - before) <= self.tol * np.linalg.norm(after):
            self._tell(f"Converged (small H change) at step {step}/{self.n_most}")
            return True
        if self.lowest is None or self.smoothed < self.lowest:
            self.n_in_vain, self.lowest = 0, self.smoothed
        else:
            self.n_in_vain += 1
        if self.patience is not None and self.n_in_vain >= self.patience:
            self._tell(f"Converged (lack of improvement in objective function) at step {step}/{self.n_most}")
            return True
        return False

    def _tell(self, words: str) -> None:
        if self.verbose:
            print(words)
