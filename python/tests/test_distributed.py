"""Archives and huge matrices on a Ray cluster of this machine, whose workers and nodes are killed; S3 by moto's server.

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
    command = [
        sys.executable,
        "-m",
        "partita",
        "separate",
        "in",
        "-o",
        out,
        "-q",
        "--manifest",
        f"{out}.jsonl",
        *options,
        *more,
    ]
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

    class Killed(BaseException):
        pass

    def kill(name: str, done: int, total: int) -> None:
        # As if there were no time to clean up.
        monkeypatch.setattr("partita.distributed._archive.Run.clear", lambda run: None)
        raise Killed

    with pytest.raises(Killed):
        separate_archive("in", "out", options=OPTIONS, manifest="m.jsonl", resume=True, progress=kill)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert [name for name in os.listdir("out") if name.startswith(".partita-")]
    third = separate_archive("in", "out", options={**OPTIONS, "max_iter": 20}, manifest="m.jsonl", resume=True)
    assert not third.skipped
    assert not [name for name in os.listdir("out") if name.startswith(".")]


def test_bad_requests_are_refused_before_any_work(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    given: dict[str, Any] = {
        "options": {"example": {"voice": "s3://studio/voice.wav"}, "max_iter": 20},
        "storage_options": store,
    }
    report = separate_archive("s3://studio/in", "s3://studio/out", manifest="s3://studio/run.jsonl", **given)
    assert not report.failed
    assert sorted(fs.find("studio/out")) == [
        f"studio/out/day/{i}/{stem}.wav" for i in range(3) for stem in ["residual", "voice"]
    ]
    command = [
        sys.executable,
        "-m",
        "partita",
        "separate",
        "1.wav",
        "-o",
        "out",
        "--example",
        "voice=voice.wav",
        "--max-iter",
        "20",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert fs.cat_file("studio/out/day/1/voice.wav") == (tmp_path / "out/1/voice.wav").read_bytes()
    with pytest.raises(ValueError, match="exists"):
        separate_archive("s3://studio/in", "s3://studio/out", **given)
    fs.rm("studio/out/day/2/voice.wav")
    again = separate_archive(
        "s3://studio/in", "s3://studio/out", manifest="s3://studio/run.jsonl", resume=True, **given
    )
    assert [entry["input"] for entry in again.entries] == ["s3://studio/in/day/2.wav"] and len(again.skipped) == 2
    with pytest.raises(FileNotFoundError, match="holds no recordings"):
        separate_archive("s3://studio/nothing", "s3://studio/out", **given)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """A matrix of counts with five parts in it."""
    random = np.random.default_rng(5)
    rates = random.gamma(0.3, 1.0, (700, 5)) @ random.gamma(0.3, 10.0, (5, 90))
    return random.poisson(rates).astype(np.float32)


@pytest.mark.parametrize("beta_loss", ["kullback-leibler", "frobenius"])
def test_one_matrix_over_many_workers(counts: np.ndarray, cluster: Any, tmp_path: Path, beta_loss: str) -> None:
    from partita.distributed import factorize

    np.save(tmp_path / "x.npy", counts)
    given: dict[str, Any] = {"beta_loss": beta_loss, "max_iter": 60, "tol": 0, "num_cpus": 0.2}
    whole = factorize(counts, 5, n_workers=1, **given)
    assert whole.components_.shape == (5, 90) and whole.components_.dtype == np.float32
    curve = [value for _, value in whole.divergence_curve]
    assert curve == sorted(curve, reverse=True) and whole.n_iter_ == 60
    parts = factorize(tmp_path / "x.npy", 5, n_workers=3, output=tmp_path / "w.npy", **given)
    assert np.array_equal(parts.components_, whole.components_)
    assert np.array_equal(np.load(tmp_path / "w.npy"), whole.activations)
    product = whole.activations.astype(np.float64) @ whole.components_
    if beta_loss == "frobenius":
        assert whole.divergence == pytest.approx(0.5 * np.square(counts - product).sum(), rel=1e-4)
    double = factorize(counts.astype(np.float64), 5, n_workers=2, **given)
    assert double.components_.dtype == np.float64
    assert double.divergence == pytest.approx(whole.divergence, rel=0.05)


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_lost_workers_change_no_bit_of_a_matrix(
    counts: np.ndarray, cluster: Any, tmp_path: Path, with_checkpoint: bool
) -> None:
    from partita.distributed import factorize

    given: dict[str, Any] = {"max_iter": 40, "tol": 0, "num_cpus": 0.2, "n_workers": 3}
    whole = factorize(counts, 4, **given)
    if with_checkpoint:
        given |= {"checkpoint": tmp_path / "checkpoint", "checkpoint_every": 7}
    n_killed = 0

    def disturb(n_iter: int, divergence: float | None) -> None:
        nonlocal n_killed
        if n_iter in (5, 23):
            workers = subprocess.run(["pgrep", "-f", "^ray::Worker"], capture_output=True, text=True).stdout.split()
            os.kill(int(workers[0]), signal.SIGKILL)
            n_killed += 1

    disturbed = factorize(counts, 4, progress=disturb, **given)
    assert n_killed == 2 and disturbed.n_recovered > 0
    assert np.array_equal(disturbed.components_, whole.components_)
    assert np.array_equal(disturbed.activations, whole.activations)
    assert disturbed.divergence_curve == whole.divergence_curve


def test_a_run_that_ended_early_goes_on(counts: np.ndarray, cluster: Any, tmp_path: Path) -> None:
    from partita.distributed import factorize

    given: dict[str, Any] = {"tol": 0, "num_cpus": 0.2, "n_workers": 2, "checkpoint": tmp_path / "c", "max_iter": 30}

    class Stop(Exception):
        pass

    def stop(n_iter: int, divergence: float | None) -> None:
        if n_iter == 25:
            raise Stop

    whole = factorize(counts, 4, **{**given, "checkpoint": None})
    with pytest.raises(Stop):
        factorize(counts, 4, progress=stop, **given)
    seen: list[int] = []
    resumed = factorize(counts, 4, resume=True, progress=lambda n_iter, _: seen.append(n_iter), **given)
    assert seen == list(range(21, 31)), "from the checkpoint after iteration 20"
    assert np.array_equal(resumed.components_, whole.components_)
    assert resumed.divergence_curve == whole.divergence_curve
    with pytest.raises(ValueError, match="`n_components` is 4, here it is 3"):
        factorize(counts, 3, resume=True, **given)


def test_bad_matrices_are_refused(counts: np.ndarray, cluster: Any, tmp_path: Path) -> None:
    from partita.distributed import factorize

    wrong = counts.copy()
    wrong[650, 3] = -1
    with pytest.raises(ValueError, match="-1.0 at row 650, column 3"):
        factorize(wrong, 3, num_cpus=0.2)
    np.save(tmp_path / "f.npy", np.asfortranarray(counts))
    with pytest.raises(ValueError, match="in Fortran order; it has to be"):
        factorize(tmp_path / "f.npy", 3)
    (tmp_path / "t.npy").write_text("no matrix")
    with pytest.raises(ValueError, match="is no .npy file"):
        factorize(tmp_path / "t.npy", 3)
    with pytest.raises(FileNotFoundError):
        factorize(tmp_path / "none.npy", 3)
    with pytest.raises(ValueError, match="use one of kullback-leibler"):
        factorize(counts, 3, beta_loss="kl")
