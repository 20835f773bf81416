"""How many components a matrix has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _partita
from . import _parameters as accepted
from ._base import beta_of
from ._estimator import check_random_state, checked_array, is_sparse
from ._native import Progress
from ._start import check_non_negative


@dataclass(frozen=True)
class RankSelection:
    """How well each number of components does.

    Attributes
    ----------
    best : int
        The number to take.
    n_components : ndarray of shape (n,)
        The numbers that were tried.
    held_out : ndarray of shape (n,)
        Divergence per hidden entry, mean over the repeats.
    std_error : ndarray of shape (n,)
        Standard error of that mean.
    """

    best: int
    n_components: NDArray[np.int64]
    held_out: NDArray[np.float64]
    std_error: NDArray[np.float64]


def select_rank(
    X: Any,
    n_components: Iterable[int],
    *,
    beta_loss: Any = "kullback-leibler",
    solver: str = "mu-extrapolated",
    share: float = 0.1,
    n_repeats: int = 5,
    tol: float = 1e-4,
    max_iter: int = 200,
    random_state: Any = None,
    progress: Progress | None = None,
) -> RankSelection:
    """Finds the number of components that explains entries which the fit has not seen.

    Single entries are hidden at random, the others are factorized, and the divergence of the hidden ones from ``W @ H``
    is the score: too few components cannot express them, too many follow the noise of the rest. The number to take is
    the smallest whose score is not worse than the best one by more than one standard error of their difference.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The data, at least 0.
    n_components : iterable of int
        Numbers in a row, such as ``range(1, 9)``.
    beta_loss : float or {'frobenius', 'kullback-leibler', 'itakura-saito'}, default='kullback-leibler'
        The divergence.
    solver : {'mu', 'mu-extrapolated'}, default='mu-extrapolated'
        How the factors are improved.
    share : float, default=0.1
        Share of the entries that are hidden, at most 0.5.
    n_repeats : int, default=5
        Draws of hidden entries, at least 2.
    tol : float, default=1e-4
        Ends a fit whose objective fell by less than this share of its first value in 10 iterations.
    max_iter : int, default=200
        Iterations of a fit at the most.
    random_state : int, RandomState instance or None, default=None
        Where random numbers come from.
    progress : callable, default=None
        Told how far the work is: ``progress(step, done, total, divergence)``.

    Returns
    -------
    selection : RankSelection
        The number to take, and how well each did.

    References
    ----------
    S. Wold, "Cross-validatory estimation of the number of components in factor and principal components models",
    Technometrics 20(4), 1978.

    Examples
    --------
    >>> import numpy as np
    >>> from partita.decomposition import select_rank
    >>> X = np.outer(1 + np.arange(20) % 3, 1 + np.arange(30) % 4)
    >>> select_rank(X, range(1, 3), random_state=0).best
    1
    """
    accepted.check_parameters(
        "select_rank",
        {"beta_loss": beta_loss, "random_state": random_state, "tol": tol, "max_iter": max_iter, "solver": solver},
        {
            **{name: accepted.SHARED[name] for name in ("beta_loss", "random_state", "tol", "max_iter")},
            "solver": (accepted.OneOf("mu", "mu-extrapolated"),),
        },
    )
    if is_sparse(X):
        raise TypeError("X is sparse, expected a dense array: entries are hidden one by one")
    X = checked_array(X, accept_sparse=False)
    check_non_negative(X, "select_rank")
    ranks = [int(n) for n in n_components]
    if not ranks or ranks[0] < 1 or ranks != list(range(ranks[0], ranks[-1] + 1)):
        raise ValueError(f"n_components is {ranks}, expected numbers in a row of at least 1, such as range(1, 9)")
    settings = {
        "solver": solver,
        "beta": beta_of(beta_loss),
        "tol": float(tol),
        "max_iter": int(max_iter),
        "seed": int(check_random_state(random_state).randint(2**31 - 1)),
    }
    best, held_out, std_error = _partita.nmf.select_rank(
        X, ranks[0], ranks[-1], float(share), int(n_repeats), settings, progress
    )
    return RankSelection(best, np.array(ranks), np.array(held_out), np.array(std_error))
