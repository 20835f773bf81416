"""The way into the engine: matrices as it takes them, and its progress in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ._estimator import is_sparse

Progress = Callable[[str, int, "int | None", "float | None"], "bool | None"]


def matrix(X: Any) -> Any:
    """`X` as the engine takes it: an array as it is, a sparse matrix as (shape, row starts, columns, values)."""
    if not is_sparse(X):
        return X
    # Sorting and adding up would change the caller's matrix.
    rows = X.tocsr() if X.format != "csr" else X
    if not rows.has_canonical_format:
        rows = rows.copy() if rows is X else rows
        rows.sum_duplicates()
    return rows.shape, rows.indptr.astype(np.uint64), rows.indices.astype(np.uint32), rows.data


def teller(verbose: Any) -> Progress | None:
    """A callback that prints the error at every check, or none."""
    if not verbose:
        return None
    start = time.perf_counter()

    def tell(_step: str, done: int, _total: int | None, divergence: float | None) -> None:
        if divergence is not None:
            seconds = time.perf_counter() - start
            error = np.sqrt(2 * max(divergence, 0.0))
            print(f"Epoch {done:02d} reached after {seconds:.3f} seconds, error: {error:f}")

    return tell
