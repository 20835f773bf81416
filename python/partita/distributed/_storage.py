"""Paths on disks and in object stores, told apart by their form: ``s3://bucket/key`` is fsspec's."""

from __future__ import annotations

import os
import posixpath
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Endings of what is taken for a recording where a whole prefix of an object store is walked.
RECORDINGS = (
    "wav wave w64 rf64 bwf aif aiff aifc caf flac mp3 m4a m4b mp4 aac alac ogg oga opus mka mkv webm au snd".split()
)


class StorageFault(OSError):
    """A store that did not answer as it should; the same again may work."""


class Storage:
    """Files of disks and of fsspec's stores, by their names."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        self.options = options or {}
        #: Relative names are meant from here, on every node.
        self.folder = os.getcwd()

    def is_remote(self, name: str) -> bool:
        """Whether fsspec has to be asked for it."""
        return "://" in name and not name.startswith("file://")

    def local(self, name: str) -> Path:
        """The path of a name on a disk."""
        return Path(self.folder, name.removeprefix("file://"))

    def _open(self, name: str) -> tuple[Any, str]:
        try:
            import fsspec
        except ImportError as error:
            raise ImportError(
                f"`{name}` needs fsspec: pip install fsspec (and s3fs, gcsfs, adlfs ... for its store)"
            ) from error
        return fsspec.core.url_to_fs(name, **self.options)  # type: ignore[no-any-return]

    def walk(self, name: str) -> Iterator[tuple[str, str]]:
        """Recordings of an object store, each with its name relative to where the search began.

        They lie below a prefix, match a pattern, or are the one of that name.
        """
        fs, path = self._open(name)
        is_pattern = any(letter in path for letter in "*?[")
        if is_pattern:
            found, base = fs.glob(path), posixpath.dirname(path[: min(path.index(c) for c in "*?[" if c in path)] + "x")
        elif fs.isfile(path):
            found, base = [path], posixpath.dirname(path)
        else:
            found, base = fs.find(path), path
        if not found:
            raise FileNotFoundError(f"`{name}` holds no recordings: look at its spelling, and at the `storage_options`")
        for file in sorted(found):
            relative = posixpath.relpath(file, base)
            is_hidden = any(part.startswith((".", "__MACOSX")) for part in relative.split("/"))
            if file.rsplit(".", 1)[-1].lower() in RECORDINGS and not is_hidden:
                yield fs.unstrip_protocol(file), relative

    def size(self, name: str) -> int | None:
        """Of a file, in bytes; none where there is none."""
        if not self.is_remote(name):
            file = self.local(name)
            return file.stat().st_size if file.is_file() else None
        fs, path = self._open(name)
        try:
            fs.invalidate_cache()
            return int(fs.info(path)["size"])
        except FileNotFoundError:
            return None
        except Exception as error:
            raise StorageFault(f"cannot look at `{name}`: {error}") from error

    def holds(self, folder: str) -> bool:
        """Whether anything lies below a name of an object store."""
        fs, path = self._open(folder)
        fs.invalidate_cache()
        return bool(fs.exists(path))

    def fetch(self, name: str, folder: Path) -> Path:
        """A file as one on this machine's disk: itself, or a copy in the folder."""
        if not self.is_remote(name):
            return self.local(name)
        fs, path = self._open(name)
        copy = folder / posixpath.basename(path)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            fs.get_file(path, str(copy))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise StorageFault(f"cannot read `{name}`: {error}") from error
        return copy

    def publish(self, file: Path, name: str) -> None:
        """Gives a finished file its final name, at which it is whole at once or not there."""
        if not self.is_remote(name):
            target = self.local(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                file.replace(target)
            except OSError:
                # Another disk: a copy beside the target first.
                part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
                shutil.copyfile(file, part)
                part.replace(target)
            return
        fs, path = self._open(name)
        try:
            fs.put_file(str(file), path)
        except Exception as error:
            raise StorageFault(f"cannot write `{name}`: {error}") from error

    def read(self, name: str) -> bytes:
        """What a file holds."""
        if not self.is_remote(name):
            return self.local(name).read_bytes()
        fs, path = self._open(name)
        try:
            fs.invalidate_cache()
            return bytes(fs.cat_file(path))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise StorageFault(f"cannot read `{name}`: {error}") from error

    def opened(self, name: str) -> Any:
        """A file to read from, as a context."""
        if not self.is_remote(name):
            return self.local(name).open("rb")
        fs, path = self._open(name)
        fs.invalidate_cache()
        return fs.open(path, "rb")

    def remove_others(self, folder: str, ending: str) -> None:
        """Takes away the ``.npy`` files of a folder that do not end so."""
        if not self.is_remote(folder):
            for file in self.local(folder).glob("*.npy"):
                if not file.name.endswith(ending):
                    file.unlink(missing_ok=True)
            return
        fs, path = self._open(folder)
        fs.invalidate_cache()
        for name in fs.find(path):
            if name.endswith(".npy") and not name.endswith(ending):
                fs.rm_file(name)

    def write(self, name: str, content: bytes) -> None:
        """Puts a small file where it belongs, whole at once."""
        if self.is_remote(name):
            fs, path = self._open(name)
            try:
                fs.pipe_file(path, content)
            except Exception as error:
                raise StorageFault(f"cannot write `{name}`: {error}") from error
            return
        target = self.local(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)

    def join(self, folder: str, relative: str) -> str:
        """A name below a folder."""
        return (
            f"{folder.rstrip('/')}/{relative}"
            if self.is_remote(folder)
            else os.path.join(folder.removeprefix("file://"), relative)
        )
