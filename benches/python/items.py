"""The functions of SCORE.PY, and the items of its sets, for scripts that score what it has no task for."""
import importlib.util
import json
import pathlib


def load(path):
    """SCORE.PY as a module."""
    spec = importlib.util.spec_from_file_location("score", path)
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    return score


def items_of(folder: pathlib.Path):
    """Each item of a set, its folder, and the names of its stems."""
    for item in json.loads((folder / "manifest.json").read_text())["items"]:
        yield item, folder / item["path"], [stem["name"] for stem in item["stems"]]
