"""Pages that are elsewhere in the repository, and links from pages to what is no page."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]

#: Pages from outside of docs/, and what they are called on the site.
ELSEWHERE = {"README.md": "index.md", "ARCHITECTURE.md": "ARCHITECTURE.md", "CHANGELOG.md": "CHANGELOG.md"}

API = """# API of Python

Everything here is in `partita` itself, but the scores, which are in `partita.metrics`.

## Recordings

::: partita._audio.read
::: partita._audio.write

## Separation

::: partita.methods
    options: {show_root_heading: false, show_root_toc_entry: false, heading_level: 3}
::: partita.knowledge
    options: {show_root_heading: false, show_root_toc_entry: false, heading_level: 3}

## What comes of it

::: partita.separation
    options: {show_root_heading: false, show_root_toc_entry: false, heading_level: 3}

## Marks

::: partita.marks.Marks

## Progress

::: partita._progress.Progress

## Scores

::: partita.metrics
    options: {show_root_heading: false, heading_level: 3}

## Matrices

::: partita.decomposition
    options: {show_root_heading: false, heading_level: 3}
"""

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files, config):
    """Adds the pages, and every file that a page links to."""
    for path, name in ELSEWHERE.items():
        files.append(File.generated(config, name, content=(ROOT / path).read_text(encoding="utf-8")))
    files.append(File.generated(config, "api.md", content=API))
    known = {file.src_uri for file in files}
    for page in [*ELSEWHERE, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]:
        for link, _ in _LINK.findall((ROOT / page).read_text(encoding="utf-8")):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
            name = _name(target)
            if (ROOT / target).is_file() and name not in known:
                files.append(File.generated(config, name, abs_src_path=str(ROOT / target)))
                known.add(name)
    return files


def on_page_markdown(markdown, page, config, files):
    """Has links lead to where things are on the site; folders of the repository are none of it."""
    sources = {name: path for path, name in ELSEWHERE.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match.group(1)))
        if not (ROOT / target).is_file():
            return "#" if (ROOT / target).is_dir() else match.group(0)
        return _name(target) + (match.group(2) or "")

    return _LINK.sub(moved, markdown)


def _name(path: str) -> str:
    """What a file of the repository is called on the site."""
    if path in ELSEWHERE:
        return ELSEWHERE[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}"
