"""First values of W and H, drawn as scikit-learn draws them: the same `random_state` gives the same start."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._estimator import check_random_state, is_sparse

try:
    from scipy import linalg as _linalg
except ImportError:
    _linalg = None

# Directions beyond those that are asked for.
_OVERSAMPLING = 10

Triplets = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def check_non_negative(X: Any, whom: str) -> None:
    """Refuses negative entries; NaN pass."""
    entries = X.data if is_sparse(X) else X
    if entries.size and np.fmin.reduce(entries, axis=None) < 0:
        raise ValueError(f"Negative values in data passed to {whom}.")


def initialize(
    X: Any, n_components: int, init: str | None = None, eps: float = 1e-6, random_state: Any = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Starts a factorization of `X`.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
        At least 0, without NaN.
    n_components : int
        Rows of H.
    init : {'random', 'nndsvd', 'nndsvda', 'nndsvdar'}, default=None
        `None` takes 'nndsvda' where `n_components` is at most the smaller side of `X`, else 'random'.
    eps : float, default=1e-6
        What is smaller in the singular vectors counts as 0.
    random_state : int, RandomState or None
        Where random numbers come from.

    Returns
    -------
    W : ndarray of shape (n_samples, n_components)
    H : ndarray of shape (n_components, n_features)

    References
    ----------
    C. Boutsidis and E. Gallopoulos, "SVD based initialization: a head start for nonnegative matrix factorization",
    Pattern Recognition 41(4), 2008.
    """
    check_non_negative(X, "NMF initialization")
    smaller = min(X.shape)
    if init is None:
        init = "nndsvda" if n_components <= smaller else "random"
    if init == "random":
        return random_factors(X.shape, n_components, X.mean(), X.dtype, random_state)
    if n_components > smaller:
        raise ValueError(f"init = '{init}' can only be used when n_components <= min(n_samples, n_features)")
    u, s, v = leading_singular_vectors(X, n_components, random_state)
    W, H = _non_negative_parts(u, s, v, eps)
    if init == "nndsvda":
        mean = X.mean()
        W[W == 0] = mean
        H[H == 0] = mean
    elif init == "nndsvdar":
        rng = check_random_state(random_state)
        mean = X.mean()
        for factor in (W, H):
            zeros = factor == 0
            factor[zeros] = np.abs(mean * rng.standard_normal(np.count_nonzero(zeros)) / 100)
    return W, H


def random_factors(
    shape: tuple[int, int], n_components: int, mean: Any, dtype: Any, random_state: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Absolute normal numbers, H's first, scaled by the root of the mean share of a component."""
    rng = check_random_state(random_state)
    scale = np.sqrt(mean / n_components)
    H = np.abs(scale * rng.standard_normal((n_components, shape[1])).astype(dtype, copy=False))
    W = np.abs(scale * rng.standard_normal((shape[0], n_components)).astype(dtype, copy=False))
    return W.astype(dtype, copy=False), H.astype(dtype, copy=False)


def leading_singular_vectors(X: Any, n_components: int, random_state: Any) -> Triplets:
    """The first singular triplets (u in columns, v in rows) by random projection and subspace iteration.

    From the same `random_state` it starts with the same directions as scikit-learn's `randomized_svd`, and takes as
    many steps.

    References
    ----------
    N. Halko, P.-G. Martinsson and J. A. Tropp, "Finding structure with randomness: probabilistic algorithms for
    constructing approximate matrix decompositions", SIAM Review 53(2), 2011, algorithms 4.4 and 5.1.
    """
    rng = check_random_state(random_state)
    is_wide = X.shape[0] < X.shape[1]
    tall = X.T if is_wide else X
    n_steps = 7 if n_components < 0.1 * min(X.shape) else 4
    directions = rng.normal(size=(tall.shape[1], n_components + _OVERSAMPLING)).astype(X.dtype, copy=False)
    for _ in range(n_steps):
        directions = _independent(tall @ directions)
        directions = _independent(tall.T @ directions)
    basis = np.linalg.qr(tall @ directions)[0]
    rotation, s, v = np.linalg.svd((tall.T @ basis).T, full_matrices=False)
    u = basis @ rotation[:, :n_components]
    s, v = s[:n_components], v[:n_components]
    return (v.T, s, u.T) if is_wide else (u, s, v)


def _independent(columns: NDArray[Any]) -> NDArray[Any]:
    """Columns of the same span that do not run together: by elimination, or, without scipy, orthonormal ones."""
    if _linalg is None:
        return np.asarray(np.linalg.qr(columns)[0])
    lower, _ = _linalg.lu(columns, permute_l=True, check_finite=False, overwrite_a=True)
    return np.asarray(lower)


def _non_negative_parts(
    u: NDArray[Any], s: NDArray[Any], v: NDArray[Any], eps: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The non-negative double SVD: of each pair the positive or the negative parts, whichever are larger."""
    vectors = (u.T, v)
    sides = [[np.maximum(sign * rows, 0) for rows in vectors] for sign in (1, -1)]
    norms = [[np.linalg.norm(rows, axis=1, keepdims=True) for rows in side] for side in sides]
    sizes = [of_u * of_v for of_u, of_v in norms]
    is_positive = sizes[0] > sizes[1]
    level = np.sqrt(s[:, None] * np.where(is_positive, *sizes))
    factors = []
    for rows, both, lengths in zip(vectors, zip(*sides), zip(*norms)):
        length = np.where(is_positive, *lengths)
        factor = level * np.where(is_positive, *both) / np.where(length > 0, length, 1)
        # The first are of one sign.
        factor[0] = np.sqrt(s[0]) * np.abs(rows[0])
        factor[factor < eps] = 0
        factors.append(factor)
    return np.ascontiguousarray(factors[0].T), np.ascontiguousarray(factors[1])
