"""CPU time to the same objective: scikit-learn against partita, one thread, from the same start.

    cargo build --release --bench scikit_learn
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benches/scikit_learn.py target/release/deps/scikit_learn-...

Needs scikit-learn. The matrices are made: a dense one of the size of 400 pictures of faces, scikit-learn's digits, and a
sparse one of the size of a corpus of 2000 texts. Scikit-learn does a number of iterations; partita goes on until it is as
low: with the same solver after as many iterations, from 1e-5 above in f32 and 1e-9 in f64 on; extrapolated, as soon as it
gets there. 200 iterations are scikit-learn's default. Both in turn, twice; the least time of each counts.
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import non_negative_factorization
from sklearn.decomposition._nmf import _beta_divergence

warnings.simplefilter("ignore")
K, N_ITER, ROUNDS = 20, 200, 2


def matrices():
    rng = np.random.RandomState(7)
    parts = rng.gamma(0.3, size=(400, 25)) @ rng.gamma(0.4, size=(25, 4096))
    yield "faces-like 400 x 4096", parts * (0.9 + 0.2 * rng.rand(*parts.shape))
    yield "digits 1797 x 64", load_digits().data.astype(float)
    topics = rng.gamma(0.1, size=(2000, 25)) @ rng.gamma(0.1, size=(25, 10000))
    chosen = sparse.random_array((2000, 10000), density=0.01, rng=rng, format="csr")
    chosen.data = 1.0 + np.floor(3 * topics[chosen.nonzero()] ** 0.5)
    yield "newsgroups-like 2000 x 10000, 1 %", chosen


def theirs(v, w, h, solver, beta):
    w, h = w.copy(), h.copy()
    start = time.process_time()
    w, h, _ = non_negative_factorization(
        v, W=w, H=h, n_components=K, init="custom", solver=solver, beta_loss=beta, max_iter=N_ITER, tol=0
    )
    seconds = time.process_time() - start
    return seconds, _beta_divergence(v.astype(float), w.astype(float), h.astype(float), beta)


def ours(binary, folder, precision, solver, beta, target, max_iter):
    # A hair above: sums are rounded in another order.
    target = target * (1 + (1e-5 if precision == "f32" else 1e-9))
    args = [binary, str(folder), precision, solver, str(beta), repr(float(target)), str(max_iter)]
    return json.loads(subprocess.run(args, capture_output=True, check=True, text=True).stdout)


def written(folder, v, w, h):
    np.save(folder / "w.npy", w)
    np.save(folder / "h.npy", h)
    if sparse.issparse(v):
        np.save(folder / "shape.npy", np.array(v.shape, dtype=np.int64))
        np.save(folder / "starts.npy", v.indptr.astype(np.int64))
        np.save(folder / "columns.npy", v.indices.astype(np.int64))
        np.save(folder / "values.npy", v.data)
    else:
        np.save(folder / "v.npy", np.ascontiguousarray(v))


def main():
    binary = sys.argv[1]
    print("| matrix | | objective | scikit-learn, s | partita, same solver, s | ratio | partita, extrapolated, s | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name, full in matrices():
        for dtype, precision in [(np.float32, "f32"), (np.float64, "f64")]:
            v = full.astype(dtype)
            rng = np.random.RandomState(1)
            scale = np.sqrt(v.mean() / K)
            w = (scale * np.abs(rng.randn(v.shape[0], K))).astype(dtype)
            h = (scale * np.abs(rng.randn(K, v.shape[1]))).astype(dtype)
            for solver, beta, what in [("mu", 1, "KL mu"), ("mu", 2, "Frobenius mu"), ("cd", 2, "Frobenius cd")]:
                best = {"theirs": np.inf, "same": np.inf, "fast": np.inf}
                with tempfile.TemporaryDirectory() as folder:
                    folder = Path(folder)
                    written(folder, v, w, h)
                    for _ in range(ROUNDS):
                        seconds, objective = theirs(v, w, h, solver, beta)
                        best["theirs"] = min(best["theirs"], seconds)
                        same = ours(binary, folder, precision, solver, beta, 0, N_ITER)
                        best["same"] = min(best["same"], same["seconds"])
                        if solver == "mu":
                            fast = ours(binary, folder, precision, "mu-extrapolated", beta, objective, 20 * N_ITER)
                            best["fast"] = min(best["fast"], fast["seconds"])
                a, b, c = best["theirs"], best["same"], best["fast"]
                last = f"{c:.3f} | {a / c:.1f}" if solver == "mu" else " | "
                off = same["divergence"] / objective - 1
                print(
                    f"| {name}, {precision} | {what} | {objective:.6g} | {a:.3f} | {b:.3f} ({off:+.0e})"
                    f" | {a / b:.1f} | {last} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
