"""Factorizations of non-negative matrices, as scikit-learn has them and more.

Works with scikit-learn (1.6 or later), whose pipelines, searches and checks take these estimators as their own, and
without it.
"""

from ._minibatch import MiniBatchNMF
from ._nmf import NMF, non_negative_factorization
from ._rank import RankSelection, select_rank

__all__ = ["NMF", "MiniBatchNMF", "RankSelection", "non_negative_factorization", "select_rank"]
