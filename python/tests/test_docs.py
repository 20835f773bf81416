"""The examples in docstrings and in the guide run, and everything public has a docstring."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import partita

ROOT = Path(__file__).parents[2]

MODULES = ["_audio", "knowledge", "marks", "methods", "metrics", "separation"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(importlib.import_module(f"partita.{name}"))
    assert found.failed == 0
    assert found.attempted > 0


def test_examples_in_the_guide_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(ROOT / "docs" / "PYTHON.md"), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 10


def test_everything_public_has_a_docstring():
    missing = []
    for name in partita.__all__:
        public = getattr(partita, name)
        if name.startswith("__") or not (inspect.isclass(public) or inspect.isroutine(public)):
            continue
        members = vars(public).items() if inspect.isclass(public) and public.__module__.startswith("partita") else []
        missing += [name] * (not inspect.getdoc(public))
        for inner, member in members:
            is_public = not inner.startswith("_") and (inspect.isroutine(member) or isinstance(member, property))
            if is_public and not inspect.getdoc(getattr(public, inner)):
                missing.append(f"{name}.{inner}")
    assert not missing, missing


def test_everything_public_is_listed():
    for name in partita.__all__:
        assert getattr(partita, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = partita.nothing
