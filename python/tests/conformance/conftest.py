"""Runs other people's tests, from where they are installed, with partita in place of what they test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

HERE = Path(__file__).parent


def run_pytest(path: Path, junit: Path, in_folder: Path | None = None) -> dict[str, str]:
    """The outcome of each test of a file, run in a folder: 'passed', 'failed' or 'skipped', by name."""
    # Paths here may be relative to where we are.
    paths = [str(HERE), *(str(Path(path).resolve()) for path in sys.path if path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "in_place_of_sklearn", "-p", "no:cacheprovider"]
    # The settings of the project that the tests belong to are not installed with them.
    command += ["-c", os.devnull, "--rootdir", str(path.parent)]
    run = subprocess.run(
        [*command, f"--junitxml={junit}", str(path)],
        env=environment,
        cwd=in_folder or junit.parent,
        capture_output=True,
        text=True,
    )
    if not junit.exists():
        pytest.fail(f"no report: {run.stdout[-2000:]}{run.stderr[-2000:]}")
    outcomes = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes[case.attrib["name"]] = outcome
    return outcomes


@pytest.fixture
def outcomes_of(tmp_path):
    """`run_pytest`, with a place for its report."""
    return lambda path, in_folder=None: run_pytest(path, tmp_path / "report.xml", in_folder)
