"""How far a factorization is from the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._base import beta_of
from ._estimator import is_sparse

# Below it an entry counts as 0, as in scikit-learn.
EPSILON = float(np.finfo(np.float32).eps)

# Entries of W H that are held at once.
_BLOCK = 1 << 20


def special_sparse_dot(W: NDArray[Any], H: NDArray[Any], X: Any) -> Any:
    """`W @ H` where a sparse `X` has entries; all of it for a dense one."""
    if not is_sparse(X):
        return W @ H
    product = X.tocsr().copy()
    product.data = products_at(W, H, product.nonzero())
    return product


def products_at(W: NDArray[Any], H: NDArray[Any], places: tuple[NDArray[Any], NDArray[Any]]) -> NDArray[Any]:
    """Entries of `W @ H` in the rows and columns of `places`."""
    rows, columns = places
    products = np.empty(len(rows), dtype=np.result_type(W, H))
    step = max(1, _BLOCK // W.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        products[part] = np.einsum("ij,ij->i", W[rows[part]], H.T[columns[part]])
    return products


def beta_divergence(X: Any, W: Any, H: Any, beta: Any, square_root: bool = False) -> Any:
    """The beta-divergence of `X` from `W @ H`.

    Parameters
    ----------
    X : float, array-like or sparse matrix of shape (n_samples, n_features)
    W : float or array-like of shape (n_samples, n_components)
    H : float or array-like of shape (n_components, n_features)
    beta : float or {'frobenius', 'kullback-leibler', 'itakura-saito'}
        2 is half the sum of squares, 1 the Kullback-Leibler divergence, 0 that of Itakura and Saito.
    square_root : bool, default=False
        Whether to return the root of twice the divergence.

    Returns
    -------
    divergence : float

    References
    ----------
    C. Fevotte and J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
    Computation 23(9), 2011, equation 3.
    """
    beta = beta_of(beta)
    W, H = np.atleast_2d(W), np.atleast_2d(H)
    X = X if is_sparse(X) else np.atleast_2d(X)
    total = _squares(X, W, H) / 2 if beta == 2 else _general(X, W, H, beta)
    return np.sqrt(2 * max(total, 0)) if square_root else total


def _squares(X: Any, W: NDArray[Any], H: NDArray[Any]) -> Any:
    if not is_sparse(X):
        return np.sum((X - W @ H) ** 2)
    return X.data @ X.data + np.sum((W.T @ W) * (H @ H.T)) - 2 * np.sum((X @ H.T) * W)


def _general(X: Any, W: NDArray[Any], H: NDArray[Any], beta: float) -> Any:
    if is_sparse(X):
        X = X.tocoo()
        x, y = X.data, products_at(W, H, (X.row, X.col))
    else:
        product = W @ H
        x, y = X.ravel(), product.ravel()
    sounding = x > EPSILON
    x, y = x[sounding], np.maximum(y[sounding], EPSILON)
    if beta == 1:
        return x @ np.log(x / y) - x.sum() + W.sum(axis=0) @ H.sum(axis=1)
    if beta == 0:
        quotients = x / y
        return np.sum(quotients) - np.prod(X.shape) - np.sum(np.log(quotients))
    if is_sparse(X):
        step = max(1, _BLOCK // H.shape[1])
        of_all = sum(np.sum((W[i : i + step] @ H) ** beta) for i in range(0, W.shape[0], step))
    else:
        of_all = np.sum(product**beta)
    return (np.sum(x**beta) - beta * (x @ y ** (beta - 1)) + (beta - 1) * of_all) / (beta * (beta - 1))
