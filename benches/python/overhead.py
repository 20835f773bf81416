"""What the Python package adds to a separation of one second: the same call through it and through the library, in turn.

    RAYON_NUM_THREADS=1 python benches/python/overhead.py target/release/examples/one_second

Both are to be built with one profile: `cargo build --release --package partita-python --example one_second`, and the
package from the same tree.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

import partita

N_ROUNDS, N_RUNS = 10, 10


def main() -> None:
    library = sys.argv[1]
    samples, sample_rate = partita.read("samples/drums-bass-guitar.wav", duration=1.0)

    def ours() -> float:
        start = time.perf_counter()
        stems = partita.separate(samples, sample_rate, n_sources=3, n_components=32, max_iter=200, tol=0.0).stems
        took_s = time.perf_counter() - start
        assert len(stems) == 3
        return took_s

    ours()
    in_python, in_library = [], []
    for _ in range(N_ROUNDS):
        in_python += [ours() for _ in range(N_RUNS)]
        printed = subprocess.run([library, str(N_RUNS)], capture_output=True, text=True, check=True).stdout
        in_library += [float(line) for line in printed.split()]
    # The fastest of many: what else runs on the machine only adds.
    for name, of in {"least": np.min, "lower quartile": lambda x: np.quantile(x, 0.25), "median": np.median}.items():
        python_ms, library_ms = 1e3 * of(in_python), 1e3 * of(in_library)
        print(f"{name}: {python_ms:.2f} ms in Python, {library_ms:.2f} ms in the library, {python_ms / library_ms - 1:+.1%}")


if __name__ == "__main__":
    main()
