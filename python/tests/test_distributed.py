"""Archives and huge matrices on a Ray cluster of this machine, whose workers and nodes are killed; an S3 server of moto's.

PARTITA_RECORDINGS=200 makes the archive that large.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

N_RECORDINGS = int(os.environ.get("PARTITA_RECORDINGS", "12"))
OPTIONS = {"sources": 2, "components": 4, "max_iter": 30}


def write_tone(path: Path, seed: int, seconds: float = 1.0) -> None:
    """A recording of a few notes."""
    random = np.random.default_rng(seed)
    t = np.arange(int(11025 * seconds)) / 11025
    notes = sum(np.sin(2 * np.pi * hz * t) * np.exp(-3 * ((t * 3) % 1)) for hz in random.uniform(100, 2000, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 11025, 0, "NONE", ""))
        file.writeframes((notes * 5000).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for i in range(N_RECORDINGS):
        write_tone(folder / "in" / f"disc{i % 3}" / f"take{i:03}.wav", i)
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.nodes_of_test = [cluster.add_node(num_cpus=2) for _ in range(2)]
    ray.init(address=cluster.address, logging_level="ERROR")
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def command_line(archive: Path, out: str, *more: str) -> None:
    options = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "partita", "separate", "in", "-o", out, "-q", "--manifest", f"{out}.jsonl", *options, *more]
    subprocess.run(command, cwd=archive, check=True)


def test_killed_workers_and_nodes_change_no_byte(archive: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from partita.distributed import separate_archive

    monkeypatch.chdir(archive)
    command_line(archive, "here")
    killed = []

    def disturb(name: str, done: int, total: int) -> None:
        if done == total // 4:
            workers = subprocess.run(["pgrep", "-f", "^ray::partita"], capture_output=True, text=True).stdout.split()
            killed.extend(workers[:1])
            os.kill(int(workers[0]), signal.SIGKILL)
        if done == total // 2:
            cluster.remove_node(cluster.nodes_of_test.pop(), allow_graceful=False)

    report = separate_archive("in", archive / "there", options=OPTIONS, manifest="there.jsonl", progress=disturb)
    assert killed, "a worker was at work"
    assert not report.failed and len(report.entries) == N_RECORDINGS
    assert files(archive / "there") == files(archive / "here")
    here = (archive / "here.jsonl").read_text().replace('"here', f'"{archive}/there')
    assert (archive / "there.jsonl").read_text() == here, "the manifest of the command line"
    again = separate_archive("in", archive / "there", options=OPTIONS, manifest="there.jsonl", resume=True)
    assert len(again.skipped) == N_RECORDINGS and not again.entries


def test_only_what_is_missing_or_changed_is_done_again(
    archive: Path, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from partita.distributed import separate_archive

    monkeypatch.chdir(tmp_path)
    for i in range(4):
        write_tone(tmp_path / "in" / f"{i}.wav", i)
    (tmp_path / "in" / "broken.wav").write_text("no recording")
    first = separate_archive("in", "out", options=OPTIONS, manifest="m.jsonl")
    assert list(first.failed) == ["in/broken.wav"] and "is not a recording" in first.failed["in/broken.wav"]
    with pytest.raises(RuntimeError, match="1 of 5"):
        first.raise_for_failures()
    (tmp_path / "out" / "0" / "source-1.wav").unlink()
    write_tone(tmp_path / "in" / "1.wav", 99)
    with (tmp_path / "m.jsonl").open("a") as file:
        file.write('{"duration_s":0.0,"err')
    second = separate_archive("in", "out", options=OPTIONS, manifest="m.jsonl", resume=True)
    assert [entry["input"] for entry in second.entries] == ["in/0.wav", "in/1.wav", "in/broken.wav"]
    assert second.skipped == ["in/2.wav", "in/3.wav"]
    third = separate_archive("in", "out", options={**OPTIONS, "max_iter": 20}, manifest="m.jsonl", resume=True)
    assert not third.skipped
    assert not [name for name in os.listdir("out") if name.startswith(".")]


def test_bad_requests_are_refused_before_any_work(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from partita.distributed import separate_archive

    monkeypatch.chdir(tmp_path)
    write_tone(tmp_path / "in" / "a.wav", 1)
    for wrong, said in [
        ({"method": "mix"}, "use one of separate"),
        ({"options": {"sorces": 2}}, "a similar argument exists: '--sources'"),
        ({"options": {"out": "x"}}, "use `output`"),
        ({"resume": True}, "needs the `manifest`"),
    ]:
        with pytest.raises(ValueError, match=said):
            separate_archive("in", "out", **wrong)
    with pytest.raises(ValueError, match="no file matches"):
        separate_archive("in/*.flac", "out")
    separate_archive("in", "out", options=OPTIONS)
    with pytest.raises(ValueError, match="exists"):
        separate_archive("in", "out", options=OPTIONS)
    separate_archive("in", "out", options=OPTIONS, force=True)


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, Any]]:
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    server.stop()


def test_object_stores(archive: Path, cluster: Any, store: dict[str, Any], tmp_path: Path) -> None:
    import fsspec

    from partita.distributed import separate_archive

    fs = fsspec.filesystem("s3", **store)
    fs.mkdir("studio")
    for i in range(3):
        write_tone(tmp_path / f"{i}.wav", i)
        fs.put_file(str(tmp_path / f"{i}.wav"), f"studio/in/day/{i}.wav")
    fs.pipe_file("studio/in/notes.txt", b"no recording")
    write_tone(tmp_path / "voice.wav", 7)
    fs.put_file(str(tmp_path / "voice.wav"), "studio/voice.wav")
    given: dict[str, Any] = {"options": {"example": {"voice": "s3://studio/voice.wav"}, "max_iter": 20}, "storage_options": store}
    report = separate_archive("s3://studio/in", "s3://studio/out", manifest="s3://studio/run.jsonl", **given)
    assert not report.failed
    assert sorted(fs.find("studio/out")) == [
        f"studio/out/day/{i}/{stem}.wav" for i in range(3) for stem in ["residual", "voice"]
    ]
    command = [sys.executable, "-m", "partita", "separate", "1.wav", "-o", "out", "--example", "voice=voice.wav", "--max-iter", "20"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert fs.cat_file("studio/out/day/1/voice.wav") == (tmp_path / "out/1/voice.wav").read_bytes()
    with pytest.raises(ValueError, match="exists"):
        separate_archive("s3://studio/in", "s3://studio/out", **given)
    fs.rm("studio/out/day/2/voice.wav")
    again = separate_archive("s3://studio/in", "s3://studio/out", manifest="s3://studio/run.jsonl", resume=True, **given)
    assert [entry["input"] for entry in again.entries] == ["s3://studio/in/day/2.wav"] and len(again.skipped) == 2
    with pytest.raises(FileNotFoundError, match="holds no recordings"):
        separate_archive("s3://studio/nothing", "s3://studio/out", **given)
