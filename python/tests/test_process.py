"""The package among other things that run: progress, signals, threads, forks, pickles."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from samples import SAMPLES

import partita

QUICK = {"n_sources": 2, "n_components": 6, "max_iter": 10}


def python(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, **options
    )


def test_importing_takes_no_time_and_imports_nothing_optional():
    code = """
        import time; start = time.perf_counter(); import partita; took = time.perf_counter() - start
        import sys
        optional = {"numpy", "sklearn", "matplotlib", "IPython", "tqdm", "scipy", "ray"} & set(sys.modules)
        print(took, sorted(optional), partita.__version__)
    """
    runs = [python(code).stdout.split() for _ in range(5)]
    assert runs[0][1:] == ["[]", "0.1.0"]
    assert min(float(run[0]) for run in runs) < 0.05


def test_progress_is_told_to_a_function_that_can_end_the_work(song):
    told = []
    partita.separate(*song, n_sources=2, n_components=4, max_iter=30, tol=0, progress=told.append)
    steps = [progress.step for progress in told]
    assert steps[0] == "reading" and "separating" in steps
    fitted = [progress for progress in told if progress.step == "separating"]
    assert fitted[-1].done == fitted[-1].total == 30
    assert any(progress.divergence is not None for progress in fitted)
    with pytest.raises(partita.Cancelled):
        partita.separate(*song, **QUICK, progress=lambda progress: progress.step != "separating")

    class OursError(Exception):
        pass

    def fail(progress):
        raise OursError(progress.step)

    with pytest.raises(OursError, match="reading"):
        partita.separate(*song, **QUICK, progress=fail)


def test_progress_is_shown_by_tqdm(song, capsys):
    pytest.importorskip("tqdm")
    partita.separate(*song, **QUICK, progress=True)
    shown = capsys.readouterr()
    assert "separating" in shown.err and shown.out == ""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on Unix")
@pytest.mark.parametrize(
    "work",
    [
        "partita.separate(y, 44_100, n_sources=2, n_components=64, max_iter=100_000, tol=0)",
        "partita.separate(y, 44_100, n_components=4, max_iter=1).save(folder, force=True)",
        "partita.metrics.bss_eval_sources(six + y, six)",
    ],
)
def test_ctrl_c_ends_the_work_within_a_second(work, tmp_path):
    code = f"""
        import time
        import numpy as np, partita
        folder = {str(tmp_path)!r}
        y = np.random.default_rng(0).standard_normal(20 * 44_100).astype(np.float32)
        six = np.stack([np.roll(y, 1000 * i) for i in range(6)])
        partita.hpss(y[:44_100], 44_100).stems
        print("ready", flush=True)
        try:
            while True:
                {work}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.7)
        sent = time.perf_counter()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n", process.stderr.read()
        took = time.perf_counter() - sent
        # A second, and what it takes on a busy machine for a process to get its turn.
        assert took < 1.5, f"{took:.2f} s"
    finally:
        process.kill()
        process.communicate()


def test_other_threads_of_python_run_meanwhile(song):
    n_counted, is_done = 0, threading.Event()

    def count():
        nonlocal n_counted
        while not is_done.is_set():
            n_counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        start = time.perf_counter()
        partita.separate(*song, n_components=32, max_iter=100, tol=0)
        took = time.perf_counter() - start
    finally:
        is_done.set()
        thread.join()
    assert n_counted > 20 * took, f"{n_counted} turns in {took:.2f} s"


def test_threads_of_python_can_separate_side_by_side(song):
    expected = partita.separate(*song, **QUICK)["source-1"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: partita.separate(*song, **QUICK)["source-1"], range(8)):
            np.testing.assert_array_equal(found, expected)


def separated(seed: int) -> np.ndarray:
    samples, sample_rate = partita.read(SAMPLES / "kick-snare-hihat.wav", duration=1)
    return partita.separate(samples, sample_rate, **QUICK, seed=seed)["source-1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_works_on_threads_of_its_own():
    expected = [separated(seed) for seed in range(3)]
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        found = pool.map_async(separated, range(3)).get(timeout=60)
    for ours, theirs in zip(expected, found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(separated(1), expected[1])


def test_joblib_and_pickle_take_separations(song):
    joblib = pytest.importorskip("joblib")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(partita.separate)(*song, **QUICK, seed=seed) for seed in range(2))
    for seed, parts in enumerate(found):
        expected = partita.separate(*song, **QUICK, seed=seed)
        np.testing.assert_array_equal(parts["source-1"], expected["source-1"])


def test_a_pickle_holds_all_that_is_needed(song):
    alone = {"drums": song[0], "bass": (song[0][::-1].copy(), song[1])}
    marks = partita.Marks(["a", "b"], n_components=2).box("a", time=(0, 1), hz=(30, 300))
    for parts in [
        partita.separate(*song, **QUICK).refit(n_sources=3),
        partita.separate(*song, **QUICK).label({"low": [0, 1], "high": [2, 3, 4, 5]}),
        partita.by_examples(*song, examples=alone, n_components=3, max_iter=2),
        partita.painted(*song, marks=marks, max_iter=3),
    ]:
        before = pickle.loads(pickle.dumps(parts))
        for name, stem in parts.stems.items():
            np.testing.assert_array_equal(before[name], stem, err_msg="fitted again")
        after = pickle.loads(pickle.dumps(parts))
        np.testing.assert_array_equal(after.masks, parts.masks)
        assert after.names == parts.names and after.warnings == parts.warnings


def test_the_command_is_the_program(tmp_path):
    def run(*args):
        return subprocess.run([sys.executable, "-m", "partita", *args], capture_output=True, text=True, cwd=tmp_path)

    assert run("--version").stdout == "partita 0.1.0\n"
    done = run("separate", str(SAMPLES / "kick-snare-hihat.wav"), "-n", "2", "--max-iter", "5", "--json")
    assert done.returncode == 0, done.stderr
    assert '"event"' in done.stdout
    assert sorted(path.name for path in (tmp_path / "separated" / "kick-snare-hihat").iterdir()) == [
        "source-1.wav",
        "source-2.wav",
    ]
    wrong = run("separate", "missing.wav")
    assert wrong.returncode == 1 and wrong.stderr.startswith("error: ") and "Traceback" not in wrong.stderr
    assert run("separate").returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on Unix")
def test_ctrl_c_ends_the_command_as_it_ends_the_program(tmp_path):
    noise = np.random.default_rng(0).standard_normal(30 * 44_100)
    partita.write(tmp_path / "noise.wav", noise, 44_100)
    args = ["separate", "noise.wav", "-k", "64", "--max-iter", "100000", "--tol", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "partita", *args], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=20)
    assert process.returncode == 130, shown
    assert "Traceback" not in shown
