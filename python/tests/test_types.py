"""The types that the package promises: its own code, and the stubs of the native half."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[1]

pytest.importorskip("mypy")


def run(*args: str) -> str:
    process = subprocess.run(
        [sys.executable, "-m", *args], cwd=PYTHON, capture_output=True, text=True, timeout=500, check=False
    )
    return "" if process.returncode == 0 else process.stdout + process.stderr


def test_the_package_is_typed(tmp_path):
    wrong = run("mypy", "--cache-dir", str(tmp_path))
    assert not wrong, wrong


def test_the_stubs_are_those_of_the_native_half():
    wrong = run("mypy.stubtest", "partita._partita")
    assert not wrong, wrong
