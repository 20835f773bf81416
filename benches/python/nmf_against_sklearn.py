"""CPU time of a fit, partita's against scikit-learn's, from the same start to the same objective.

``python benches/python/nmf_against_sklearn.py [--threads 1 2] [--repeats 5] [--only cd]`` prints a table in Markdown.

The matrices: the digits that scikit-learn ships, and two that are made here, of the sizes of a set of faces (400 x
4096) and of newsgroups (2000 x 10000, 1 % not 0). Both sides fit in turn, in one process, with default starts (whose time
counts) and default tolerance; CPU time is user and system of all threads. Where both take the same steps they
stop at the same objective; `mu-extrapolated` has the loosest tolerance that brings it to that of scikit-learn's `mu`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from functools import partial

CASES = {"digits": 16, "faces": 36, "news": 20}
FITS = [("cd", "frobenius"), ("mu", "frobenius"), ("mu", "kullback-leibler")]


def matrix(case):
    """The data of a case, in float64."""
    import numpy as np
    import scipy.sparse as sp

    rng = np.random.RandomState(0)
    if case == "digits":
        from sklearn.datasets import load_digits

        return load_digits().data
    if case == "faces":
        # Blots, lit differently on each of the faces, and noise.
        y, x = np.mgrid[:64, :64]
        parts = [
            np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size**2)).ravel()
            for cx, cy, size in rng.uniform((0, 0, 3), (64, 64, 12), size=(60, 3))
        ]
        faces = rng.gamma(1.0, size=(400, 60)) @ np.array(parts)
        faces += 0.05 * faces.mean() * np.abs(rng.standard_normal(faces.shape))
        return faces / faces.max()
    # Words of 20 topics by a law of Zipf; how often each is in a document, over the root of how common it is.
    common = 1 / np.arange(1, 10001) ** 1.05
    topics = common * rng.gamma(0.1, size=(20, 10000))
    topics /= topics.sum(axis=1, keepdims=True)
    mixtures = rng.dirichlet(np.full(20, 0.1), size=2000)
    counts = rng.poisson(170 * (mixtures @ topics))
    news = sp.csr_matrix(counts.astype(float))
    news.data = 1 + np.log(news.data)
    return news


def cpu_s(fit):
    """Seconds that the process spends on it, in all threads."""
    start = time.process_time()
    fit()
    return time.process_time() - start


def compare(case, only, repeats):
    """Prints a row for each type and solver."""
    import numpy as np
    import scipy.sparse as sp
    import sklearn.decomposition as theirs

    import partita.decomposition as ours

    X64 = matrix(case)
    for dtype in (np.float32, np.float64):
        X = X64.astype(dtype)
        kind = f"{X.shape[0]} x {X.shape[1]}, " + (
            f"{100 * X.nnz / np.prod(X.shape):.1f} %" if sp.issparse(X) else "dense"
        )
        for solver, beta_loss in FITS:
            if only and solver not in only and beta_loss not in only:
                continue
            settings = dict(n_components=CASES[case], solver=solver, beta_loss=beta_loss, random_state=0)
            rows = [("same steps", ours.NMF(**settings), theirs.NMF(**settings))]
            if solver == "mu" and beta_loss == "kullback-leibler":
                target = theirs.NMF(**settings).fit(X).reconstruction_err_
                rows.append(("extrapolated", loosest(ours, X, settings, target), theirs.NMF(**settings)))
            for words, mine, other in rows:
                times = []
                for _ in range(repeats):
                    times.append([cpu_s(partial(model.fit_transform, X)) for model in (mine, other)])
                my_s, their_s = (statistics.median(column) for column in np.transpose(times))
                errors = f"{other.reconstruction_err_:.6g} | {mine.reconstruction_err_:.6g}"
                print(
                    f"| {case}, {kind} | {np.dtype(dtype).name} | {beta_loss} | {solver}, {words} "
                    f"| {other.n_iter_} | {mine.n_iter_} | {errors} "
                    f"| {their_s:.3f} | {my_s:.3f} | {their_s / my_s:.1f} |",
                    flush=True,
                )


def loosest(ours, X, settings, target):
    """Our extrapolated updates with the loosest tolerance that brings the error to the target.

    Tolerances are powers of the fourth root of 2.
    With a tolerance of 0 a fit does not begin on some of the columns, as it does otherwise where there are many.
    """
    for quarters in range(120):
        model = ours.NMF(**{**settings, "solver": "mu-extrapolated", "tol": 2.0 ** (-quarters / 4)})
        if model.fit(X).reconstruction_err_ <= target:
            break
    return model


def main():
    """Prints a table for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--only", nargs="+", default=[], help="solvers or divergences")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if os.environ.get("PARTITA_BENCH"):
        for case in arguments.cases:
            compare(case, arguments.only, arguments.repeats)
        return
    import numpy as np
    import sklearn

    print(
        f"numpy {np.__version__}, scikit-learn {sklearn.__version__}, Python {platform.python_version()}, {processor()}"
    )
    for n in arguments.threads:
        print(f"\nThreads: {n}\n")
        columns = ["matrix", "type", "divergence", "solver", "iterations, theirs", "ours", "error, theirs", "ours"]
        columns += ["CPU s, theirs", "ours", "ratio"]
        print("| " + " | ".join(columns) + " |")
        print("|---" * len(columns) + "|", flush=True)
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, str(n)), "PARTITA_BENCH": "1"}
        subprocess.run([sys.executable, *sys.argv], env=environment, check=True)


def processor():
    """The name of the processor."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


if __name__ == "__main__":
    main()
