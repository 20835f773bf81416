"""Non-negative matrix factorization of a matrix that is there as a whole."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _partita
from . import _parameters as accepted
from ._base import BaseNMF, check_factor
from ._divergence import beta_divergence as _beta_divergence  # noqa: F401
from ._divergence import special_sparse_dot as _special_sparse_dot  # noqa: F401
from ._estimator import (
    HAS_SKLEARN,
    ConvergenceWarning,
    assume_finite,
    check_is_fitted,
    check_random_state,
    checked_array,
    is_sparse,
    validated,
)
from ._native import matrix, teller
from ._start import check_non_negative
from ._start import initialize as _initialize_nmf  # noqa: F401

__all__ = ["NMF", "non_negative_factorization"]


class NMF(BaseNMF):
    """Non-negative matrix factorization: X ~ W H, no entry below 0.

    A drop-in replacement for `sklearn.decomposition.NMF`: the same parameters, attributes, messages and, from the same
    `random_state`, the same factors up to rounding. What it has beyond that comes after `shuffle`, and changes nothing
    where it is not asked for.

    It minimizes the beta-divergence of `X` from `W @ H`, plus

    ``alpha_W * n_features * (l1_ratio * sum(W) + (1 - l1_ratio) / 2 * sum(W**2))``

    ``alpha_H * n_samples * (l1_ratio * sum(H) + (1 - l1_ratio) / 2 * sum(H**2))``

    Parameters
    ----------
    n_components : int, 'auto' or None, default='auto'
        Number of components. 'auto' takes it from a given W or H, else, as `None` does, the number of features.
    init : {'random', 'nndsvd', 'nndsvda', 'nndsvdar', 'custom'}, default=None
        How W and H start: random numbers; the non-negative parts of the singular vectors, as they are or with the mean
        of X or small random numbers for their zeros; or as they are given to `fit_transform`. `None` takes 'nndsvda'
        where `n_components` is at most the smaller side of X, else 'random'.
    solver : {'cd', 'mu', 'mu-extrapolated', 'anls', 'pg'}, default='cd'
        'cd' is cyclic coordinate descent, 'mu' multiplicative updates, both as in scikit-learn. 'mu-extrapolated' are
        multiplicative updates with extrapolation, which need fewer iterations; 'anls' alternates exact non-negative
        least squares, and 'pg' projected gradients. 'cd', 'anls' and 'pg' know only the Frobenius norm.
    beta_loss : float or {'frobenius', 'kullback-leibler', 'itakura-saito'}, default='frobenius'
        The divergence, by name or by its beta (2, 1 and 0). For a beta of 0 or less X cannot have zeros.
    tol : float, default=1e-4
        When to stop; 0 goes on to `max_iter`. 'cd' stops when the projected gradient has fallen to this share of its
        first value, 'mu' when in 10 iterations the error fell by less than this share of its first value, and the
        other solvers when the objective did.
    max_iter : int, default=200
        Iterations at the most.
    random_state : int, RandomState instance or None, default=None
        Where random starts, and the order of coordinates with `shuffle`, come from.
    alpha_W : float, default=0.0
        Cost of large entries of W.
    alpha_H : float or 'same', default='same'
        Cost of large entries of H; 'same' is `alpha_W`.
    l1_ratio : float, default=0.0
        From squares (0) to absolute values (1) in these costs.
    verbose : int, default=0
        Whether to print the error at every check.
    shuffle : bool, default=False
        Whether coordinate descent goes through the components in random order.
    sparsity : float, default=0.0
        Cost of activations (W) under components of norm 1, so that few of a sample's are large. Does not depend on the
        level of X; 0.01 to 1 are useful. For the solvers 'mu' and 'mu-extrapolated', as are the next ones.
    temporal_continuity : float, default=0.0
        Cost of changes of W from one sample to the next, where samples follow one another in time.
    groups : array-like of shape (n_components,), default=None
        Number of the group (the source) that each component belongs to, for `group_sparsity`.
    group_sparsity : float, default=0.0
        Cost of several groups that are active in one sample; 0.01 to 1 are useful.
    missing_values : nan or None, default=None
        With `numpy.nan`, NaN in a dense X are missing entries: they are left out of the objective, and ``W @ H`` says
        what would fit there.
    fixed_components : array-like of shape (n_fixed, n_features), default=None
        Components that are known: the first `n_fixed` rows of `components_` are these and stay as they are, the others
        are learned.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        H, one component per row.
    n_components_ : int
        Number of components.
    reconstruction_err_ : float
        The Frobenius norm of ``X - W @ H``; for other divergences D the root of 2 D.
    n_iter_ : int
        Iterations that were done.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all are strings.

    See Also
    --------
    MiniBatchNMF : Learns from batches, in less memory.
    select_rank : Finds a number of components.

    References
    ----------
    A. Cichocki and A. H. Phan, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations",
    IEICE Transactions E92-A(3), 2009 ('cd').

    C. Fevotte and J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
    Computation 23(9), 2011 ('mu').

    L. T. K. Hien, V. Leplat and N. Gillis, "Block majorization minimization with extrapolation and application to
    beta-NMF", 2024 ('mu-extrapolated').

    Examples
    --------
    >>> import numpy as np
    >>> from partita.decomposition import NMF
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> model = NMF(n_components=2, init='random', random_state=0)
    >>> W = model.fit_transform(X)
    >>> bool(np.abs(W @ model.components_ - X).max() < 0.05)
    True

    An entry that is not known is filled in:

    >>> X = np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    >>> X[1, 1] = np.nan
    >>> model = NMF(1, solver='mu', missing_values=np.nan, tol=1e-9)
    >>> W = model.fit_transform(X)
    >>> float(round((W @ model.components_)[1, 1], 3))
    4.0
    """

    _accepted = {
        **accepted.SHARED,
        "solver": (accepted.OneOf("cd", "mu", "mu-extrapolated", "anls", "pg"),),
        "shuffle": accepted.BOOLEAN,
        "sparsity": (accepted.AT_LEAST_0,),
        "temporal_continuity": (accepted.AT_LEAST_0,),
        "groups": (accepted.Array(), accepted.NONE),
        "group_sparsity": (accepted.AT_LEAST_0,),
        "missing_values": (accepted.NotANumber(), accepted.NONE),
        "fixed_components": (accepted.Array(), accepted.NONE),
    }

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        init: str | None = None,
        solver: str = "cd",
        beta_loss: Any = "frobenius",
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: Any = None,
        alpha_W: float = 0.0,
        alpha_H: Any = "same",
        l1_ratio: float = 0.0,
        verbose: Any = 0,
        shuffle: bool = False,
        sparsity: float = 0.0,
        temporal_continuity: float = 0.0,
        groups: Any = None,
        group_sparsity: float = 0.0,
        missing_values: float | None = None,
        fixed_components: Any = None,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.solver = solver
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.verbose = verbose
        self.shuffle = shuffle
        self.sparsity = sparsity
        self.temporal_continuity = temporal_continuity
        self.groups = groups
        self.group_sparsity = group_sparsity
        self.missing_values = missing_values
        self.fixed_components = fixed_components

    def _settle(self, X: Any) -> None:
        super()._settle(X)
        is_multiplicative = self.solver.startswith("mu")
        if not is_multiplicative and self.beta_loss not in (2, "frobenius"):
            raise ValueError(
                f"Invalid beta_loss parameter: solver {self.solver!r} does not handle beta_loss = {self.beta_loss!r}"
            )
        if is_multiplicative and self.init == "nndsvd":
            warnings.warn(
                f"The multiplicative update ({self.solver!r}) solver cannot update zeros present in the "
                "initialization, and so leads to poorer results when used jointly with init='nndsvd'. "
                "You may try init='nndsvda' or init='nndsvdar' instead.",
                UserWarning,
                stacklevel=4,
            )
        if self.groups is None and self.group_sparsity > 0:
            raise ValueError("group_sparsity is above 0 and groups is None: give the group of each component")
        if is_multiplicative:
            return
        for name in ("sparsity", "temporal_continuity", "group_sparsity"):
            if getattr(self, name) > 0:
                raise ValueError(f"solver {self.solver!r} does not handle {name}: use solver='mu'")

    def fit_transform(
        self, X: Any, y: Any = None, W: Any = None, H: Any = None, *, weights: Any = None
    ) -> NDArray[Any]:
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
        weights : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            How much each sample, or each entry, counts; at least 0. An entry of weight 0 is missing. For the solvers
            'mu' and 'mu-extrapolated'.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            The activations.
        """
        self._check_parameters()
        X = validated(self, X, reset=True, allow_nan=self._allows_nan(weights))
        with assume_finite():
            activations, H, n_iter, divergence = self._factorize(X, W, H, update_H=True, weights=weights)
        self.reconstruction_err_ = float(np.sqrt(2 * max(divergence, 0.0)))
        self.n_components_ = H.shape[0]
        self.components_ = H
        self.n_iter_ = n_iter
        return activations

    def transform(self, X: Any, *, weights: Any = None) -> NDArray[Any]:
        """Finds the activations of `X` under the components that were learned.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data, at least 0.
        weights : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            As in `fit_transform`.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            The activations.
        """
        check_is_fitted(self)
        X = validated(self, X, reset=False, allow_nan=self._allows_nan(weights))
        check_non_negative(X, f"X in {type(self).__name__}")
        with assume_finite():
            W, *_ = self._factorize(X, None, self.components_, update_H=False, weights=weights)
        return W

    def _allows_nan(self, weights: Any) -> bool:
        return self.missing_values is not None or weights is not None

    def _factorize(
        self, X: Any, W: Any, H: Any, *, update_H: bool, weights: Any = None
    ) -> tuple[NDArray[Any], NDArray[Any], int, float]:
        """W, H, iterations, and the divergence at the end."""
        self._settle(X)
        X, weights = self._weighted(X, weights)
        self._check_zeros(X)
        check_non_negative(X, "NMF initialization")
        W, H = self._first_values(X, W, H, update_H)
        n_fixed = 0
        if update_H and self.fixed_components is not None:
            W, H, n_fixed = self._with_fixed_components(X, W, H)
        given = H
        W, H, n_iter, divergence = self._run(X, W, H, n_fixed if update_H else H.shape[0], weights)
        # The engine works on another scale and back; what was not to change comes back to the last bit.
        if not update_H:
            H = given
        elif n_fixed:
            H[:n_fixed] = given[:n_fixed]
        if n_iter == self.max_iter and self.tol > 0:
            warnings.warn(
                f"Maximum number of iterations {self.max_iter} reached. Increase it to improve convergence.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return W, H, n_iter, divergence

    def _weighted(self, X: Any, weights: Any) -> tuple[Any, NDArray[Any] | None]:
        """`X` without NaN, and the weight of each entry where they are not all 1."""
        if is_sparse(X):
            if weights is not None:
                raise ValueError("weights are for a dense X: the zeros of a sparse one are not written down")
            if np.isnan(X.data).any():
                raise ValueError("Input X contains NaN. In a sparse X no entry can be missing.")
            return X, None
        is_missing = np.isnan(X) if self._allows_nan(weights) else None
        if is_missing is None or (weights is None and not is_missing.any()):
            return X, None
        if not self.solver.startswith("mu"):
            what = "missing entries" if weights is None else "weights"
            raise ValueError(f"solver {self.solver!r} does not handle {what}: use solver='mu' or 'mu-extrapolated'")
        counts = np.ones(X.shape, dtype=X.dtype)
        if weights is not None:
            weights = np.asarray(weights, dtype=X.dtype)
            if weights.shape not in (X.shape, X.shape[:1]):
                raise ValueError(
                    f"weights have the shape {weights.shape}, expected {X.shape[:1]}, one for each sample, or {X.shape}"
                )
            if not (np.isfinite(weights).all() and weights.min() >= 0):
                raise ValueError("weights have entries that are negative or not finite, expected at least 0")
            counts *= weights if weights.ndim == 2 else weights[:, np.newaxis]
            if self.missing_values is None and (is_missing & (counts > 0)).any():
                raise ValueError("Input X contains NaN where weights are above 0. Use missing_values=numpy.nan.")
        counts[is_missing] = 0
        if not counts.any():
            raise ValueError("every entry of X is missing")
        # What stands for a missing entry decides nothing but where the fit starts.
        mean = np.average(np.where(is_missing, 0, X), weights=counts)
        return np.where(counts == 0, mean.astype(X.dtype), X), counts

    def _with_fixed_components(self, X: Any, W: NDArray[Any], H: NDArray[Any]) -> tuple[Any, Any, int]:
        """The first values with the fixed components in their places, in which each product keeps its sum."""
        fixed = checked_array(self.fixed_components, accept_sparse=False).astype(X.dtype)
        check_factor(fixed, ("auto", X.shape[1]), "NMF (fixed_components)")
        n_fixed = fixed.shape[0]
        if n_fixed > H.shape[0]:
            raise ValueError(f"{n_fixed} fixed_components, expected at most n_components, {H.shape[0]}")
        W, H = W.copy(), H.copy()
        before, after = H[:n_fixed].sum(axis=1), fixed.sum(axis=1)
        W[:, :n_fixed] *= np.where(after > 0, before / np.where(after > 0, after, 1), 1)
        H[:n_fixed] = fixed
        return W, H, n_fixed

    def _run(
        self, X: Any, W: NDArray[Any], H: NDArray[Any], n_fixed: int, weights: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[Any], int, float]:
        alpha_W, alpha_H = self._alphas()
        settings = {
            "solver": self.solver,
            "beta": self._beta_loss,
            "max_iter": int(self.max_iter),
            "tol": float(self.tol),
            "l1_ratio": float(self.l1_ratio),
            "sparsity": float(self.sparsity),
            "temporal_continuity": float(self.temporal_continuity),
            "groups": None if self.groups is None else [int(group) for group in self.groups],
            "group_sparsity": float(self.group_sparsity),
            "shuffle": bool(self.shuffle),
            "seed": int(check_random_state(self.random_state).randint(2**31 - 1)) if self.shuffle else 0,
        }
        progress = teller(self.verbose)
        # The engine's further penalties are on H, column by column; here it is W that changes from sample to sample.
        if self.sparsity > 0 or self.temporal_continuity > 0 or self.group_sparsity > 0:
            settings.update(alpha_dictionary=alpha_H, alpha_activations=alpha_W, fixed_dictionary=n_fixed)
            weights = None if weights is None else weights.T
            H, W, n_iter, divergence = _partita.nmf.fit(matrix(X.T), H.T, W.T, settings, weights, progress)
            return W.T, H.T, n_iter, divergence
        settings.update(alpha_dictionary=alpha_W, alpha_activations=alpha_H, fixed_activations=n_fixed)
        W, H, n_iter, divergence = _partita.nmf.fit(matrix(X), W, H, settings, weights, progress)
        return W, H, n_iter, divergence

    if HAS_SKLEARN:

        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            missing = self.missing_values
            tags.input_tags.allow_nan = isinstance(missing, Real) and missing != missing
            return tags


def non_negative_factorization(
    X: Any,
    W: Any = None,
    H: Any = None,
    n_components: Any = "auto",
    *,
    init: str | None = None,
    update_H: bool = True,
    solver: str = "cd",
    beta_loss: Any = "frobenius",
    tol: float = 1e-4,
    max_iter: int = 200,
    alpha_W: float = 0.0,
    alpha_H: Any = "same",
    l1_ratio: float = 0.0,
    random_state: Any = None,
    verbose: Any = 0,
    shuffle: bool = False,
    weights: Any = None,
    **more: Any,
) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Factorizes a non-negative matrix: X ~ W H, no entry below 0.

    The function of the class `NMF`, whose parameters mean the same; a drop-in replacement for
    `sklearn.decomposition.non_negative_factorization`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data, at least 0.
    W : array-like of shape (n_samples, n_components), default=None
        Where W starts, with ``init='custom'``.
    H : array-like of shape (n_components, n_features), default=None
        Where H starts, with ``init='custom'``; with ``update_H=False``, what H is.
    n_components : int, 'auto' or None, default='auto'
        Number of components.
    init : {'random', 'nndsvd', 'nndsvda', 'nndsvdar', 'custom'}, default=None
        How W and H start.
    update_H : bool, default=True
        Whether H is learned. If not, only W is, from the root of the mean share of a component with multiplicative
        updates, from 0 with the other solvers.
    solver : {'cd', 'mu', 'mu-extrapolated', 'anls', 'pg'}, default='cd'
        How W and H are improved.
    beta_loss : float or {'frobenius', 'kullback-leibler', 'itakura-saito'}, default='frobenius'
        The divergence.
    tol : float, default=1e-4
        When to stop.
    max_iter : int, default=200
        Iterations at the most.
    alpha_W : float, default=0.0
        Cost of large entries of W.
    alpha_H : float or 'same', default='same'
        Cost of large entries of H.
    l1_ratio : float, default=0.0
        From squares (0) to absolute values (1) in these costs.
    random_state : int, RandomState instance or None, default=None
        Where random numbers come from.
    verbose : int, default=0
        Whether to print the error at every check.
    shuffle : bool, default=False
        Whether coordinate descent goes through the components in random order.
    weights : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        How much each sample, or each entry, counts.
    **more : kwargs
        Further parameters of `NMF`, such as `missing_values`.

    Returns
    -------
    W : ndarray of shape (n_samples, n_components)
        The activations.
    H : ndarray of shape (n_components, n_features)
        The components.
    n_iter : int
        Iterations that were done.

    Examples
    --------
    >>> import numpy as np
    >>> from partita.decomposition import non_negative_factorization
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> W, H, n_iter = non_negative_factorization(X, n_components=2, init='random', random_state=0)
    >>> W.shape, H.shape
    ((6, 2), (2, 2))
    """
    caller = "non_negative_factorization"
    given = {"X": X, "W": W, "H": H, "update_H": update_H}
    array = (accepted.Array(),)
    accepted.check_parameters(
        caller,
        given,
        {"X": array, "W": (*array, accepted.NONE), "H": (*array, accepted.NONE), "update_H": accepted.BOOLEAN},
    )
    model = NMF(
        n_components,
        init=init,
        solver=solver,
        beta_loss=beta_loss,
        tol=tol,
        max_iter=max_iter,
        random_state=random_state,
        alpha_W=alpha_W,
        alpha_H=alpha_H,
        l1_ratio=l1_ratio,
        verbose=verbose,
        shuffle=shuffle,
        **more,
    )
    model._check_parameters()
    X = checked_array(X, allow_nan=model._allows_nan(weights))
    with assume_finite():
        return model._factorize(X, W, H, update_H=update_H, weights=weights)[:3]
