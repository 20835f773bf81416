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
from ._estimator import ConvergenceWarning, assume_finite, check_is_fitted, validated
from ._native import Progress, matrix
from ._start import check_non_negative


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
            Where H starts, with ``init='custom'``. As in scikit-learn an array is worked on in place, and becomes
            `components_`.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            The activations.
        """
        self._check_parameters()
        X = validated(self, X, reset=True)
        check_non_negative(X, "MiniBatchNMF (input X)")
        with assume_finite():
            self._settle(X)
            self._check_zeros(X)
            W, H = self._first_values(X, W, H, update_H=True)
            n_steps = self.max_iter * -(-X.shape[0] // self._batch_size)
            activations, n_iter, divergence, learned = _partita.nmf.fit_batches(
                matrix(X.T), H.T, W.T, self._settings(), _teller(self.verbose, X.shape[0], self._batch_size, n_steps)
            )
        self._keep(H, learned)
        self.reconstruction_err_ = float(np.sqrt(2 * max(divergence, 0.0)))
        self.n_iter_ = n_iter
        if n_iter == self.max_iter and self.tol > 0:
            warnings.warn(
                f"Maximum number of iterations {self.max_iter} reached. Increase it to improve convergence.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return np.ascontiguousarray(activations.T)

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
        with assume_finite():
            activations = _partita.nmf.batch_activations(matrix(X.T), self._learned(X.dtype), self._settings())
        return np.ascontiguousarray(activations.T)

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
            Where H starts, at the first call with ``init='custom'``; it is worked on in place, as in `fit_transform`.

        Returns
        -------
        self : MiniBatchNMF
            The estimator.
        """
        self._check_parameters()
        is_first = not hasattr(self, "components_")
        X = validated(self, X, reset=is_first)
        check_non_negative(X, "MiniBatchNMF (input X)")
        before = None
        if is_first:
            self._settle(X)
            _, H = self._first_values(X, W, H, update_H=True)
        else:
            H = self.components_
            X = X.astype(H.dtype, copy=False)
            before = self._learned(H.dtype)
        self._check_zeros(X)
        self._keep(H, _partita.nmf.partial_fit(matrix(X.T), H.T, before, self._settings()))
        return self

    def _settle(self, X: Any) -> None:
        super()._settle(X)
        self._batch_size = min(self.batch_size, X.shape[0])

    def _settings(self) -> dict[str, Any]:
        # Samples are in columns there, and what W is called here is H.
        alpha_W, alpha_H = self._alphas()
        return {
            "solver": "mu",
            "beta": self._beta_loss,
            "alpha_dictionary": alpha_H,
            "alpha_activations": alpha_W,
            "l1_ratio": float(self.l1_ratio),
            "tol": float(self.tol),
            "max_iter": int(self.max_iter),
            "batches": {
                "batch_size": int(self.batch_size),
                "forget_factor": float(self.forget_factor),
                "fresh_restarts": bool(self.fresh_restarts),
                "fresh_restarts_max_iter": int(self.fresh_restarts_max_iter),
                "transform_max_iter": self.transform_max_iter,
                "max_no_improvement": self.max_no_improvement,
            },
        }

    def _learned(self, dtype: Any) -> Any:
        """What was learned, as the engine takes it and gives it."""
        matrices = self.components_, self._components_numerator, self._components_denominator
        factors = [values.T.astype(dtype, copy=False) for values in matrices]
        return (*factors, self._rho, self._scale, self.n_steps_)

    def _keep(self, H: NDArray[Any], learned: tuple[Any, ...]) -> None:
        """Keeps what was learned, in the array that H started in where that can be written to."""
        components, numerator, denominator, self._rho, self._scale, self.n_steps_ = learned
        if H.flags.writeable:
            H[:] = components.T
        else:
            H = np.ascontiguousarray(components.T)
        self.components_ = H
        self.n_components_ = H.shape[0]
        self._components_numerator = np.ascontiguousarray(numerator.T)
        self._components_denominator = np.ascontiguousarray(denominator.T)


def _teller(verbose: Any, n_samples: int, batch_size: int, n_most: int) -> Progress | None:
    """A callback that prints the cost of every batch, and what is smoothed of it; or none."""
    if not verbose:
        return None
    smoothed: float | None = None

    def tell(_step: str, done: int, _total: int | None, cost: float | None) -> None:
        nonlocal smoothed
        words = f"Minibatch step {done}/{n_most}: mean batch cost: {cost}"
        if cost is None or done == 1:
            # The first is that of the start.
            print(words)
            return
        last = (done - 1) * batch_size % (-(-n_samples // batch_size) * batch_size)
        share = min(min(batch_size, n_samples - last) / (n_samples + 1), 1)
        smoothed = cost if smoothed is None else smoothed * (1 - share) + cost * share
        print(f"{words}, ewa cost: {smoothed}")

    return tell
