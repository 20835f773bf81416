"""The manifest of a run: a line of JSON for each recording that is finished or has failed.

It is that of the command line; docs/BATCH.md says what is in it.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ._storage import Storage

Entry = dict[str, Any]

#: Seconds from one upload of a manifest in an object store to the next.
PAUSE = 5.0


class Manifest:
    """What is known of each recording.

    On a disk every line is there before the next recording is counted. In an object store, where nothing can be
    appended, the whole is written every few seconds and at the end.
    """

    def __init__(self, name: str, storage: Storage) -> None:
        self.name, self.storage = name, storage
        self.entries: dict[str, Entry] = {}
        self._written_at = time.monotonic()
        try:
            content = storage.read(name)
        except FileNotFoundError:
            content = b""
        # A line that was cut off is dropped.
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                self.entries[entry["input"]] = entry
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"`{name}` is no manifest: line {number} is not one of its; name another file"
                ) from error
        if storage.is_remote(name):
            self._file = None
        else:
            path = storage.local(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
            self._file.truncate(len(whole))

    def add(self, entry: Entry) -> None:
        self.entries[entry["input"]] = entry
        if self._file is not None:
            self._file.write(_line(entry))
            self._file.flush()
            os.fsync(self._file.fileno())
        elif time.monotonic() - self._written_at > PAUSE:
            self._write()

    def close(self, *, is_complete: bool) -> None:
        """Ends the run.

        Where it is complete, the lines are sorted by input, the last of each only: interrupted runs and runs in another
        order end with the same file.
        """
        if self._file is not None:
            self._file.close()
        if is_complete or self._file is None:
            self._write()

    def _write(self) -> None:
        self.storage.write(self.name, b"".join(_line(self.entries[name]) for name in sorted(self.entries)))
        self._written_at = time.monotonic()


def is_done(entry: Entry, sha256: str, parameters: Any, storage: Storage) -> bool:
    """Whether nothing has changed since: the same content, the same parameters, all files there with their sizes."""
    return (
        entry["error"] is None
        and entry["sha256"] == sha256
        and entry["parameters"] == parameters
        and all(storage.size(output["path"]) == output["n_bytes"] for output in entry["outputs"])
    )


def _line(entry: Entry) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
