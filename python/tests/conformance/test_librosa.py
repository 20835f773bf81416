"""librosa's own tests of `decompose`, with partita's classes in place of scikit-learn's.

They are not installed with librosa: `LIBROSA_TESTS` names the folder `tests` of its sources (with `tests/data` from
librosa-test-data, whose recordings any others may stand in for).
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest


def test_librosa_decomposes_with_our_classes(outcomes_of):
    pytest.importorskip("librosa")
    folder = os.environ.get("LIBROSA_TESTS")
    if not folder:
        pytest.skip("LIBROSA_TESTS does not name the tests of librosa")
    # They open `tests/data/...`.
    outcomes = outcomes_of(Path(folder) / "test_decompose.py", in_folder=Path(folder).parent)
    print(f"librosa, test_decompose.py: {dict(Counter(outcomes.values()))}")
    failed = sorted(name for name, outcome in outcomes.items() if outcome == "failed")
    assert not failed
    assert sum("decompose" in name for name in outcomes) >= 6
