"""What the Python package adds to a separation of one second: the same call through it and through the library, in turn.

    python benches/python/overhead.py target/release/examples/one_second

Both are to be built with one profile: `cargo build --release --package partita-python --example one_second`, and the
package from the same tree. CPU time of both processes counts, which is what they cost on a busy machine, too; the time on
the clock, which on an idle machine is that over the number of threads, is told beside it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np

import partita

N_ROUNDS, N_RUNS = 10, 10


def of_library(program: str, n_runs: int) -> tuple[float, list[float]]:
    """CPU time of all runs with the start of the program, and the time of each on the clock."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = subprocess.run([program, str(n_runs)], capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s, [float(line) for line in printed.split()]


def of_package(samples: np.ndarray, sample_rate: int, n_runs: int) -> tuple[float, list[float]]:
    """The same through Python."""
    before, took_s = time.process_time(), []
    for _ in range(n_runs):
        start = time.perf_counter()
        stems = partita.separate(samples, sample_rate, n_sources=3, n_components=32, max_iter=200, tol=0.0).stems
        took_s.append(time.perf_counter() - start)
        assert len(stems) == 3
    return time.process_time() - before, took_s


def main() -> None:
    program = sys.argv[1]
    samples, sample_rate = partita.read("samples/drums-bass-guitar.wav", duration=1.0)
    of_package(samples, sample_rate, 1)
    cpu_ms: dict[str, list[float]] = {"package": [], "library": []}
    wall_ms: dict[str, list[float]] = {"package": [], "library": []}
    for _ in range(N_ROUNDS):
        cpu_s, took_s = of_package(samples, sample_rate, N_RUNS)
        cpu_ms["package"].append(1e3 * cpu_s / N_RUNS)
        wall_ms["package"] += [1e3 * took for took in took_s]
        start_s, _ = of_library(program, 0)
        cpu_s, took_s = of_library(program, N_RUNS)
        cpu_ms["library"].append(1e3 * (cpu_s - start_s) / N_RUNS)
        wall_ms["library"] += [1e3 * took for took in took_s]
    for what, times in {"CPU": cpu_ms, "clock": wall_ms}.items():
        for name, of in {"least": np.min, "median": np.median}.items():
            package, library = of(times["package"]), of(times["library"])
            print(f"{what}, {name}: {package:.2f} ms in Python, {library:.2f} ms in the library, {package / library - 1:+.1%}")


if __name__ == "__main__":
    main()
