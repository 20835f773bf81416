"""A plugin for pytest that puts partita's classes in the place of scikit-learn's, for whatever is collected after it.

``pytest -p in_place_of_sklearn PATH/sklearn/decomposition/tests/test_nmf.py``
"""

import sys

import sklearn.decomposition

import partita.decomposition
from partita.decomposition import _nmf

for _name in ("NMF", "MiniBatchNMF", "non_negative_factorization"):
    setattr(sklearn.decomposition, _name, getattr(partita.decomposition, _name))
sklearn.decomposition._nmf = _nmf
sys.modules["sklearn.decomposition._nmf"] = _nmf
