"""Sparse matrices as scipy has them, without scipy."""

from __future__ import annotations

from typing import Any


def is_sparse(X: Any) -> bool:
    """Whether it is one of scipy's sparse matrices or arrays; does not import scipy."""
    return hasattr(X, "tocsr") and hasattr(X, "format")
