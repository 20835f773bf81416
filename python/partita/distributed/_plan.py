"""What an archive holds and where the stems of each recording will lie.

For files on disks the command line is asked, so that the same recordings are found, refused and named as there.
"""

from __future__ import annotations

import json
import os
import posixpath
import subprocess
import sys
import tempfile
import wave
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._storage import Storage

#: Options that belong to the run as a whole: they are arguments of the function, or make no sense for one recording.
RESERVED = {
    "out": "`output`",
    "o": "`output`",
    "manifest": "`manifest`",
    "resume": "`resume`",
    "force": "`force`",
    "f": "`force`",
    "jobs": "`num_cpus`",
    "j": "`num_cpus`",
    "memory": "`memory`",
    "shard": "nothing: Ray shares out the work",
    "files-from": "`inputs`",
    "dry-run": "nothing",
    "filename": "nothing: stems lie in a folder of each track",
    "skip-existing": "`resume`",
    "json": "nothing",
    "quiet": "nothing",
    "verbose": "nothing",
    "color": "nothing",
    "stdout": "nothing",
}


@dataclass(frozen=True)
class Recording:
    """A recording of the run."""

    name: str
    """As it was named, and as the manifest has it."""
    track: str | None
    """The folder of its stems below the output; none for what is no recording."""


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    recordings: list[Recording]
    arguments: list[str]
    """The options, as the command line takes them."""
    parameters: Any
    """Everything that the result depends on beside the recordings, as the manifest has it."""


def program() -> list[str]:
    """The command line of this package."""
    return [sys.executable, "-m", "partita"]


def arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as the command line takes them.

    ``sources=4`` is ``--sources 4``, ``int16=True`` is ``--int16``, a list gives the option several times, a dict as
    ``NAME=VALUE``.
    """
    made = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if flag in RESERVED:
            raise ValueError(f"`{name}` is not one of the options; use {RESERVED[flag]}")
        dashed = f"--{flag}" if len(flag) > 1 else f"-{flag}"
        if isinstance(value, Mapping):
            value = [
                f"{key}={path}"
                for key, each in value.items()
                for path in ([each] if isinstance(each, (str, Path)) else each)
            ]
        if value is None or value is False:
            continue
        if value is True:
            made.append(dashed)
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            made += [dashed, str(each)]
    return made


def plan(
    inputs: Sequence[str], output: str, method: str, options: Mapping[str, Any], storage: Storage, *, may_exist: bool
) -> Plan:
    """Finds the recordings, and refuses what cannot be done before anything is."""
    given = arguments(options)
    remote = [name for name in inputs if storage.is_remote(name)]
    local = [name.removeprefix("file://") for name in inputs if not storage.is_remote(name)]
    with tempfile.TemporaryDirectory(prefix="partita-") as folder:
        fetched, names = fetch_given(given, Path(folder), storage)
        out = os.path.join(folder, "out") if storage.is_remote(output) else output.removeprefix("file://")
        probe = os.path.join(folder, "probe.wav")
        with wave.open(probe, "wb") as silence:
            silence.setparams((2, 2, 44100, 0, "NONE", ""))
            silence.writeframes(bytes(4 * 4410))
        # The options are looked at with a recording that is there, so that a wrong one is told as such.
        [settled] = _dry_run(method, [probe], os.path.join(folder, "settled"), fetched, folder, may_exist=True)
        recordings = []
        if local:
            events = _dry_run(method, local, out, fetched, folder, may_exist=may_exist)
            for event in events:
                folders = {os.path.relpath(os.path.dirname(path), out) for path in event["paths"]}
                recordings.append(Recording(event["input"], folders.pop() if folders else None))
        parameters = json.loads(_renamed(json.dumps(settled["parameters"]), names))
        parameters["options"]["out"] = [output]
    recordings += _remote(remote, storage)
    tracks: dict[str, str] = {}
    for recording in recordings:
        other = tracks.setdefault(recording.track or recording.name, recording.name)
        if other != recording.name:
            raise ValueError(
                f"`{other}` and `{recording.name}` would be written to the same folder, `{recording.track}`: "
                "give them in two runs with outputs of their own"
            )
    return Plan(recordings, given, parameters)


def _remote(names: Sequence[str], storage: Storage) -> list[Recording]:
    found = {name: relative for given in names for name, relative in storage.walk(given)}
    tracks = [posixpath.splitext(relative)[0] for relative in found.values()]
    n_of = Counter(tracks)
    # `song.wav` beside `song.flac` keep theirs.
    return [
        Recording(name, relative if n_of[track] > 1 else track)
        for (name, relative), track in zip(found.items(), tracks, strict=True)
    ]


def fetch_given(given: Sequence[str], folder: Path, storage: Storage) -> tuple[list[str], dict[str, str]]:
    """Options with the files in object stores that they name fetched, and what each copy is called there."""
    made, names = [], {}
    for number, value in enumerate(given):
        # `guitar.wav` or `NAME=guitar.wav`; an address may have an equals sign of its own.
        head, equals, tail = value.partition("=")
        name = tail if equals and "://" not in head else value
        if storage.is_remote(name):
            copy = str(storage.fetch(name, folder / "given" / str(number)))
            names[copy] = name
            value = value.removesuffix(name) + copy
        made.append(value)
    return made, names


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for copy, name in names.items():
        text = text.replace(json.dumps(copy)[1:-1], json.dumps(name)[1:-1])
    return text


def _dry_run(
    method: str, inputs: Sequence[str], out: str, given: Sequence[str], folder: str, *, may_exist: bool
) -> list[dict[str, Any]]:
    """What the command line would do; a recording that it cannot open is left to the run, which tells of it."""
    listed = os.path.join(folder, "inputs")
    files = [name for name in inputs if os.path.isfile(name)]
    Path(listed).write_bytes(b"".join(os.fsencode(name) + b"\0" for name in files))
    command = [
        *program(),
        method,
        "--dry-run",
        "--json",
        "-o",
        out,
        "--manifest",
        os.path.join(folder, "dry.jsonl"),
        *given,
    ]
    command += ["--force"] * may_exist + ["--files-from", listed] * bool(files)
    command += ["--", *(name for name in inputs if not os.path.isfile(name))]
    done = subprocess.run(command, capture_output=True, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    planned = [event for event in events if event["event"] == "dry_run"]
    failed = next((event["failed"] for event in events if event["event"] == "summary"), None)
    if done.returncode != 0 and failed is None:
        message = done.stderr.decode(errors="replace").strip().removeprefix("error: ")
        raise ValueError(message or f"`partita {method}` ended with {done.returncode}")
    return planned + [{"input": name, "paths": []} for name in failed or []]
