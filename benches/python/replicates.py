"""Many fits and their consensus, partita's against scikit-learn's in joblib processes, on counts with planted programs.

``python benches/python/replicates.py BINARY [--cells 5000] [--genes 2000] [--ranks 5 10 15] [--runs 20] [--jobs 2]``
prints CPU times (user and system, children counted) and how well each finds the programs. With ``--noisy``, it
simulates cells as the paper on cNMF does instead, and runs its procedure with scikit-learn inside.

The counts: each program is a common profile in which 6 % of the genes are raised, each cell a mixture of programs
(Dirichlet), its depth log-normal, its counts Poisson; the mean depth gives the density asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import scipy.io
import scipy.sparse as sp


def planted(n_cells, n_genes, n_programs, density, seed=0):
    """Counts (cells x genes) of the given share of entries that are not 0, and the programs (programs x genes)."""
    rng = np.random.default_rng(seed)
    programs = np.tile(rng.gamma(0.7, size=n_genes), (n_programs, 1))
    for program in programs:
        raised = rng.random(n_genes) < 0.06
        program[raised] *= rng.lognormal(2.0, 1.0, raised.sum())
    programs /= programs.sum(axis=1, keepdims=True)
    usage = rng.dirichlet(np.full(n_programs, 0.15), size=n_cells)
    depth = rng.lognormal(0, 0.5, n_cells)
    low, high = 1.0, 1e6
    part = slice(0, min(n_cells, 2000))
    for _ in range(40):
        middle = (low * high) ** 0.5
        share = 1 - np.exp(-(depth[part, None] * middle) * (usage[part] @ programs)).mean()
        low, high = (middle, high) if share < density else (low, middle)
    blocks = [
        sp.csr_matrix(rng.poisson(depth[at, None] * low * (usage[at] @ programs)).astype(np.float32))
        for at in (slice(start, start + 1000) for start in range(0, n_cells, 1000))
    ]
    return sp.vstack(blocks).tocsr(), programs


def noisy(n_cells, n_genes, n_types, seed=0):
    """Cells as in the simulations of Kotliar et al. (2019), after Splatter, and their programs.

    Types differ in 2.5 % of the genes; a part of the cells of some types has an activity to 10 to 70 %; genes lie out,
    depths vary, and there is biological noise. Counts (cells x genes) and the programs, types first, activity last.
    """
    rng = np.random.default_rng(seed)
    means = rng.gamma(0.34, 1 / 7.68, size=n_genes) + 1e-12
    outlying = rng.random(n_genes) < 0.00286
    means[outlying] = np.median(means) * rng.lognormal(6.15, 0.49, outlying.sum())
    factors = np.ones((n_types + 1, n_genes))
    for program in factors[:-1]:
        raised = rng.random(n_genes) < 0.025
        program[raised] = rng.lognormal(1.0, 1.0, raised.sum()).clip(min=1)
    active = rng.choice(n_genes, n_genes // 25, replace=False)
    factors[-1, active] = rng.lognormal(1.0, 1.0, len(active)).clip(min=1)
    programs = means * factors
    programs /= programs.sum(axis=1, keepdims=True)
    types = rng.integers(n_types, size=n_cells)
    usage = np.zeros((n_cells, n_types + 1))
    usage[:, -1] = np.where((types < 4) & (rng.random(n_cells) < 0.35), rng.uniform(0.1, 0.7, n_cells), 0)
    usage[np.arange(n_cells), types] = 1 - usage[:, -1]
    cells = usage @ programs * rng.lognormal(7.64, 0.78, n_cells)[:, None]
    spread = 0.448 + 1 / np.sqrt(cells.clip(min=1e-9))
    shape = 1 / (spread * np.sqrt(22.087 / rng.chisquare(22.087, n_genes))) ** 2
    return sp.csr_matrix(rng.poisson(rng.gamma(shape, cells / shape)).astype(np.float32)), programs


def match(programs, components):
    """For each program, the cosine of the component that is most like it (both: one per row)."""
    programs, components = (
        x / np.linalg.norm(x, axis=1, keepdims=True).clip(min=1e-30) for x in (programs, components)
    )
    return (programs @ components.T).max(axis=1)


def cpu_s():
    """User and system seconds of this process and of those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def one(X, rank, seed, solver, beta_loss, max_iter):
    """The components of one fit by scikit-learn, and its CPU seconds."""
    from sklearn.decomposition import NMF

    warnings.simplefilter("ignore")
    start = time.process_time()
    settings = dict(solver=solver, beta_loss=beta_loss, init="random", tol=1e-4, max_iter=max_iter)
    model = NMF(rank, random_state=seed, **settings).fit(X)
    return model.components_, time.process_time() - start


def theirs(X, ranks, n_runs, jobs, solver, beta_loss, max_iter):
    """Fits with scikit-learn in processes, then cNMF's consensus: components per rank, CPU seconds of the fits."""
    from joblib import Parallel, delayed

    tasks = [(rank, seed) for rank in ranks for seed in range(n_runs)]
    work = (delayed(one)(X, rank, seed, solver, beta_loss, max_iter) for rank, seed in tasks)
    found = Parallel(n_jobs=jobs)(work)
    pairs = list(zip(tasks, found, strict=True))
    spectra = {rank: np.vstack([c for (r, _), (c, _) in pairs if r == rank]) for rank in ranks}
    return {rank: consensus(spectra[rank], rank, n_runs) for rank in ranks}, sum(seconds for _, seconds in found)


def consensus(spectra, rank, n_runs, threshold=0.5):
    """cNMF's: unit length, mean distance to the nearest 30 % of the runs, k-means, medians; components x genes."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import euclidean_distances, silhouette_score

    unit = spectra / np.linalg.norm(spectra, axis=1, keepdims=True).clip(min=1e-30)
    n_near = max(int(0.3 * n_runs), 1)
    near = np.sort(euclidean_distances(unit), axis=1)[:, 1 : n_near + 1].mean(axis=1)
    kept = unit[near < threshold]
    labels = KMeans(rank, n_init=10, random_state=1).fit_predict(kept)
    everything = KMeans(rank, n_init=10, random_state=1).fit_predict(unit)
    medians = np.array([np.median(kept[labels == i], axis=0) for i in range(rank)])
    return medians, silhouette_score(unit, everything) if rank > 1 else 1.0, int((near >= threshold).sum())


def ours(binary, X, ranks, n_runs, jobs, flags, max_iter, folder):
    """Fits with partita's command line: components per rank, CPU seconds of the process, seconds, megabytes."""
    path = Path(folder, "v.mtx")
    if not path.exists():
        # Genes in rows, as sequencing pipelines write it.
        scipy.io.mmwrite(path, X.T.tocoo(), field="real" if X.dtype.kind == "f" else "integer")
    out = Path(folder, "out.npz")
    before, start = cpu_s(), time.monotonic()
    lowest, highest = min(ranks), max(ranks)
    results = {}
    for rank in [None] if ranks == list(range(lowest, highest + 1)) and len(ranks) > 1 else ranks:
        which = ["--select-rank", f"{lowest}-{highest}"] if rank is None else ["-k", str(rank)]
        command = [binary, "factorize", str(path), "-o", str(out), "-f", *which, "--runs", str(n_runs), "-j", str(jobs)]
        command += ["--max-iter", str(max_iter), "--json", *flags]
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        event = json.loads(said.stdout.splitlines()[-1])
        archive = np.load(out)
        for of_rank in event["consensus"]["ranks"]:
            k = of_rank["n_components"]
            W = archive[f"W-{k}"] if f"W-{k}" in archive else archive["W"]
            results[k] = (W.T, of_rank["stability"], of_rank["n_outliers"])
    memory_mb = event["peak_rss_mb"]
    return results, cpu_s() - before, time.monotonic() - start, memory_mb


def main():
    """Prints both sides' times and matches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--programs", type=int, default=10)
    parser.add_argument("--density", type=float, default=0.05)
    parser.add_argument("--ranks", type=int, nargs="+", default=[5, 10, 15])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--theirs", type=int, default=None, help="runs of scikit-learn, where all would take too long")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--max-iter", type=int, default=1000)
    parser.add_argument("--noisy", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--divergences", nargs="+", default=["kl", "euclidean"])
    a = parser.parse_args()
    if min(a.theirs or a.runs, a.runs) < 2:
        parser.error("a consensus needs at least 2 runs on either side")
    if a.noisy:
        X, programs = noisy(a.cells, a.genes, a.programs - 1, a.seed)
        # As cNMF does: the genes that vary most for their level, each brought to a variance of 1.
        depth = X.multiply(X.sum(axis=1).mean() / X.sum(axis=1)).tocsr()
        mean = np.asarray(depth.mean(axis=0)).ravel()
        variance = np.asarray(depth.power(2).mean(axis=0)).ravel() - mean**2
        chosen = np.sort(np.argsort(-(variance / mean.clip(min=1e-12)) * (mean > 0.01))[: min(2000, a.genes)])
        X = X[:, chosen]
        deviation = np.sqrt(np.asarray(X.power(2).mean(axis=0)).ravel() - np.asarray(X.mean(axis=0)).ravel() ** 2)
        X = X[np.asarray(X.sum(axis=1)).ravel() > 0]
        scaled = X.multiply(1 / deviation.clip(min=1e-6)).tocsr().astype(np.float32)
        truth = programs[:, chosen]
    else:
        X, truth = planted(a.cells, a.genes, a.programs, a.density, a.seed)
        scaled = None
    density = X.nnz / (X.shape[0] * X.shape[1])
    print(f"{X.shape[0]} cells x {X.shape[1]} genes, {100 * density:.1f} % not 0, {a.runs} runs, {a.jobs} at once\n")
    print("| divergence | K | side | stability | outliers | lowest, mean cosine with the programs | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for divergence in a.divergences:
        solver, beta_loss = ("mu", "kullback-leibler") if divergence == "kl" else ("cd", "frobenius")
        flags = [] if divergence == "kl" else ["--divergence", "euclidean", "--solver", "cd"]
        # Euclidean fits want genes of one variance, Kullback-Leibler ones counts.
        data = scaled if a.noisy and divergence == "euclidean" else X
        compared = truth / deviation.clip(min=1e-6) if data is scaled and a.noisy else truth
        with tempfile.TemporaryDirectory() as folder:
            work = (a.binary, data, a.ranks, a.runs, a.jobs, flags, a.max_iter, folder)
            results, cpu, wall, memory = ours(*work)
        show(divergence, "partita", results, compared, f"{cpu:.1f} ({wall:.1f} on the clock, {memory:.0f} MB)")
        n_theirs = a.theirs or a.runs
        found, seconds = theirs(data, a.ranks, n_theirs, a.jobs, solver, beta_loss, a.max_iter)
        words = f"{seconds:.1f}" + (f" for {n_theirs} runs" if n_theirs != a.runs else "")
        show(divergence, "scikit-learn", found, compared, words)
        ratio = seconds / n_theirs * a.runs / cpu
        print(f"\n{divergence}: scikit-learn over partita, CPU time per run: {ratio:.1f}\n", flush=True)


def show(divergence, side, results, programs, cpu):
    """Prints a row for each number of components."""
    for k, (components, stability, n_outliers) in results.items():
        cosines = match(programs, components)
        row = f"{stability:.3f} | {n_outliers} | {cosines.min():.3f}, {cosines.mean():.3f} | {cpu}"
        print(f"| {divergence} | {k} | {side} | {row} |", flush=True)


if __name__ == "__main__":
    main()
