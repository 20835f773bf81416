"""The types that the package promises: its own code, and the stubs of the native half."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import partita

PYTHON = Path(__file__).parents[1]

pytest.importorskip("mypy")


def run(*args: str, cwd: Path, **environment: str) -> str:
    process = subprocess.run(
        [sys.executable, "-m", *args],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )
    return "" if process.returncode == 0 else process.stdout + process.stderr


def test_the_package_is_typed(tmp_path):
    wrong = run("mypy", "--cache-dir", str(tmp_path), cwd=PYTHON)
    assert not wrong, wrong


def test_the_stubs_are_those_of_the_native_half(tmp_path):
    # Where it is installed it is found by itself.
    folder = Path(partita.__file__).parents[1]
    found = {} if folder.name == "site-packages" else {"MYPYPATH": str(folder), "PYTHONPATH": str(folder)}
    wrong = run("mypy.stubtest", "partita._partita", cwd=tmp_path, **found)
    assert not wrong, wrong
