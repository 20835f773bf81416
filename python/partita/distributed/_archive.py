"""An archive of recordings, taken apart on a cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._manifest import Entry, Manifest, is_done
from ._plan import Plan, Recording, fetch_given, plan, program
from ._storage import Storage, StorageFault

#: Methods of the command line that make stems of recordings.
METHODS = ("separate", "drums", "hpss", "denoise")


@dataclass
class Report:
    """What came of a run."""

    entries: list[Entry] = field(default_factory=list)
    """What the manifest says of each recording that was worked on, in the order of their names."""
    skipped: list[str] = field(default_factory=list)
    """Recordings that were done before."""

    @property
    def failed(self) -> dict[str, str]:
        """What went wrong with which recording."""
        return {entry["input"]: entry["error"] for entry in self.entries if entry["error"] is not None}

    def raise_for_failures(self) -> None:
        """Raises ``RuntimeError`` where a recording failed."""
        if self.failed:
            first = next(iter(self.failed.items()))
            raise RuntimeError(
                f"{len(self.failed)} of {len(self.entries)} recordings failed; the first, `{first[0]}`: {first[1]}"
            )


def separate_archive(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    method: str = "separate",
    options: Mapping[str, Any] | None = None,
    manifest: str | os.PathLike[str] | None = None,
    resume: bool = False,
    force: bool = False,
    num_cpus: float = 1,
    memory: int | None = None,
    max_retries: int = 3,
    storage_options: Mapping[str, Any] | None = None,
    progress: bool | Callable[[str, int, int], object] = False,
) -> Report:
    """Takes every recording of an archive apart, each in a task of its own on a Ray cluster.

    Workers and nodes may die: their recordings are done again elsewhere, at most `max_retries` times each. A recording
    that fails does not stop the others. Stems have the same bytes as those of the command line on one machine, and
    appear under their names only when they are whole.

    Parameters
    ----------
    inputs : str, path, or sequence of them
        Recordings, folders and patterns, as on the command line; or names that fsspec knows, such as
        ``"s3://bucket/archive"``. Paths on disks must be those of a disk that all nodes share.
    output : str or path
        Folder of the stems, on a shared disk or in an object store.
    method : {"separate", "drums", "hpss", "denoise"}
        Command of the command line.
    options : mapping, optional
        Its options: ``{"sources": 4, "int16": True, "example": {"guitar": "guitar.wav"}}``. Files that they name are
        sent to the workers, or fetched from their store; folders must lie on the shared disk.
    manifest : str or path, optional
        File, or object, of a line of JSON for each recording that is finished or has failed.
    resume : bool
        Skip what the manifest says is done, if neither the recording nor the options have changed since, and its files
        are there; do the rest again.
    force : bool
        Replace files that exist.
    num_cpus : float
        CPUs, and threads, for each recording.
    memory : int, optional
        Bytes that each recording needs, for Ray to count with.
    max_retries : int
        How often a recording whose worker died, or whose store did not answer, is tried again.
    storage_options : mapping, optional
        What fsspec is given to open a store, such as credentials or an ``endpoint_url``.
    progress : bool or callable
        True draws a bar with tqdm; a callable is given the name of each recording as it ends, how many are done, and
        how many there are.

    Returns
    -------
    Report
        ``entries``, ``skipped`` and ``failed``.

    Raises
    ------
    ValueError
        For options that the command line refuses, recordings that would share a folder, and files that exist.
    FileNotFoundError
        Where there are no recordings.
    """
    import ray

    if method not in METHODS:
        raise ValueError(f"`method` is {method!r}; use one of {', '.join(METHODS)}")
    if resume and manifest is None:
        raise ValueError("`resume` needs the `manifest` of the run that it goes on with")
    storage = Storage(dict(storage_options or {}))
    names = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    out, fresh = os.fspath(output), not (resume or force)
    work = plan([os.fspath(name) for name in names], out, method, options or {}, storage, may_exist=not fresh)
    if fresh and storage.is_remote(out):
        _refuse_existing(work.recordings, out, storage)
    if not ray.is_initialized():
        ray.init()
    # A run that goes on with a manifest takes away what was unfinished when the one before was killed.
    name = (
        uuid.uuid4() if manifest is None else uuid.uuid5(uuid.NAMESPACE_URL, f"{storage.folder}/{os.fspath(manifest)}")
    )
    run = Run(method, out, work, _sent(work.arguments), name.hex, max(1, int(num_cpus)), storage)
    run.clear()
    book = Manifest(os.fspath(manifest), storage) if manifest is not None else None
    report, teller, is_complete = Report(), _Teller(progress, len(work.recordings)), False
    try:
        for recording, result in _results(run, book if resume else None, num_cpus, memory, max_retries):
            if result is None:
                report.skipped.append(recording.name)
            else:
                report.entries.append(result)
                if book is not None:
                    book.add(result)
            teller.tell(recording.name)
        is_complete = True
    finally:
        teller.close()
        if book is not None:
            book.close(is_complete=is_complete)
        run.clear()
    report.entries.sort(key=lambda entry: str(entry["input"]))
    report.skipped.sort()
    return report


@dataclass(frozen=True)
class Run:
    """What all tasks of a run need to know."""

    method: str
    output: str
    plan: Plan
    given: dict[int, tuple[str, str, bytes]]
    """Files that the options name, by the number of the argument: what stands before the path, basename and content."""
    id: str
    n_threads: int
    storage: Storage

    def staging(self) -> Path:
        """Folder for what is not finished: within the output, so that a finished file only gets another name."""
        return self.storage.local(self.output) / f".partita-{self.id}"

    def clear(self) -> None:
        """Takes away what is not finished."""
        if not self.storage.is_remote(self.output):
            shutil.rmtree(self.staging(), ignore_errors=True)


def separate_one(run: Run, recording: Recording, before: Entry | None) -> Entry | None:
    """Takes one recording apart, and returns its line for the manifest; none where that was done before."""
    storage = run.storage
    if storage.is_remote(run.output):
        stage = Path(tempfile.mkdtemp(prefix="partita-"))
    else:
        stage = run.staging() / uuid.uuid4().hex
        stage.mkdir(parents=True)
    try:
        entry: Entry = {
            "duration_s": 0.0, "error": None, "input": recording.name, "outputs": [],
            "parameters": run.plan.parameters, "sha256": "", "warnings": [],
        }  # fmt: skip
        try:
            source = storage.fetch(recording.name, stage / "input")
            entry["sha256"] = _sha256(source)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            return {**entry, "error": f"cannot read `{recording.name}`: {error.strerror or error}"}
        if before is not None and is_done(before, entry["sha256"], run.plan.parameters, storage):
            return None
        made = _command(run, source, stage)
        made.pop("sha256")
        outputs = []
        for output in made.pop("outputs"):
            file = Path(output["path"])
            track, _, rest = file.relative_to(stage / "out").as_posix().partition("/")
            name = storage.join(run.output, f"{recording.track or track}/{rest}")
            storage.publish(file, name)
            outputs.append({**output, "path": name})
        told = made["error"] and made["error"].replace(str(source), recording.name)
        return {
            **entry,
            **made,
            "error": told,
            "input": recording.name,
            "parameters": run.plan.parameters,
            "outputs": outputs,
        }
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _command(run: Run, source: Path, stage: Path) -> Entry:
    """Runs the command line on one recording, and returns its line of the manifest."""
    given = list(run.plan.arguments)
    for number, (head, basename, content) in run.given.items():
        file = stage / "given" / str(number) / basename
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        given[number] = f"{head}{file}"
    given, _ = fetch_given(given, stage, run.storage)
    manifest = stage / "manifest.jsonl"
    command = [*program(), run.method, "-o", str(stage / "out"), "-j", str(run.n_threads), "--quiet"]
    command += ["--manifest", str(manifest), *given, "--", str(source)]
    # Options may name folders of the shared disk, from where the run was started.
    folder = run.storage.folder if os.path.isdir(run.storage.folder) else None
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, preexec_fn=_die_with_parent()
    ) as child:
        try:
            _, errors = child.communicate()
        except BaseException:
            child.kill()
            raise
    lines = manifest.read_bytes().splitlines() if manifest.exists() else []
    if not lines:
        told = errors.decode(errors="replace").strip()
        if child.returncode < 0:
            # Killed, for memory most likely: as with a worker that dies, another try may go better.
            raise StorageFault(f"`partita {run.method}` was ended by signal {-child.returncode}. {told}")
        raise RuntimeError(told or f"`partita {run.method}` ended with {child.returncode}")
    entry: Entry = json.loads(lines[-1])
    return entry


def _die_with_parent() -> Callable[[], None] | None:
    """Where a worker is killed, so is what it started (Linux; elsewhere it ends its recording for nothing)."""
    if sys.platform != "linux":
        return None
    import ctypes
    import signal

    libc = ctypes.CDLL(None)
    pr_set_pdeathsig = 1
    return lambda: libc.prctl(pr_set_pdeathsig, signal.SIGKILL)


def _results(
    run: Run, book: Manifest | None, num_cpus: float, memory: int | None, max_retries: int
) -> Iterator[tuple[Recording, Entry | None]]:
    """The recordings as they end.

    A few more than the cluster can work on at once are handed out at a time, so that an archive of any size waits here
    and not in the cluster.
    """
    import ray

    resources = {"num_cpus": num_cpus, **({"memory": memory} if memory is not None else {})}
    task = ray.remote(separate_one).options(
        name=f"partita {run.method}", max_retries=max_retries, retry_exceptions=[StorageFault], **resources
    )
    shared = ray.put(run)
    waiting = iter(run.plan.recordings)
    working: dict[Any, Recording] = {}
    try:
        while True:
            room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1) / max(num_cpus, 0.1))) + 2
            while len(working) < room and (recording := next(waiting, None)) is not None:
                before = book.entries.get(recording.name) if book is not None else None
                working[task.remote(shared, recording, before)] = recording
            if not working:
                return
            for ended in ray.wait(list(working), timeout=10)[0]:
                recording = working.pop(ended)
                try:
                    result = ray.get(ended)
                except ray.exceptions.RayError as failed:
                    result = _failure(run, recording, failed)
                yield recording, result
    finally:
        for left in working:
            ray.cancel(left, force=True)


def _failure(run: Run, recording: Recording, error: Exception) -> Entry:
    """The line of a recording whose task did not come to its end, however often it was tried."""
    cause = getattr(error, "cause", None) or error
    return {
        "duration_s": 0.0, "error": str(cause).strip().splitlines()[-1] or type(cause).__name__,
        "input": recording.name, "outputs": [], "parameters": run.plan.parameters, "sha256": "", "warnings": [],
    }  # fmt: skip


def _sent(arguments: Sequence[str]) -> dict[int, tuple[str, str, bytes]]:
    """The files on this machine that options name, by themselves or as ``NAME=PATH``."""
    sent = {}
    for number, value in enumerate(arguments):
        path = value if os.path.isfile(value) else value.partition("=")[2]
        if os.path.isfile(path):
            sent[number] = (value.removesuffix(path), os.path.basename(path), Path(path).read_bytes())
    return sent


def _refuse_existing(recordings: Sequence[Recording], output: str, storage: Storage) -> None:
    for recording in recordings:
        name = storage.join(output, recording.track or "")
        if recording.track and storage.holds(name):
            raise ValueError(
                f"`{name}` exists: give another `output`, or `force=True`, or `resume=True` with a `manifest`"
            )


def _sha256(path: Path) -> str:
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Teller:
    """Tells whoever wants to know how far a run is."""

    def __init__(self, progress: bool | Callable[[str, int, int], object], total: int) -> None:
        self.callback, self.total, self.done, self.bar = progress if callable(progress) else None, total, 0, None
        if progress is True:
            from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]

            self.bar = tqdm(total=total, unit="recording")

    def tell(self, name: str) -> None:
        self.done += 1
        if self.bar is not None:
            self.bar.update()
        if self.callback is not None:
            self.callback(name, self.done, self.total)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
