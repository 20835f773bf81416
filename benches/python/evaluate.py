"""CPU time of BSS Eval on three minutes of four stereo stems, by partita, museval and fast_bss_eval.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benches/python/evaluate.py [MINUTES [PEER...]]

museval is given what `museval.evaluate` is for: stereo, windows of a second, filters of the whole. fast_bss_eval knows
single channels only: the two channels are a batch of two for it, and two calls for us; it needs numpy below 2.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from partita import metrics

SAMPLE_RATE = 44_100


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(name: str, work):
    cpu, wall = cpu_s(), time.perf_counter()
    result = work()
    cpu, wall = cpu_s() - cpu, time.perf_counter() - wall
    print(f"{name:28} {cpu:8.2f} s CPU {wall:8.2f} s", flush=True)
    return cpu, result


def scene(minutes: float) -> tuple[np.ndarray, np.ndarray]:
    """Colored noise in four sources and two channels, and estimates that leak."""
    rng = np.random.default_rng(0)
    n_samples = int(60 * minutes * SAMPLE_RATE)
    references = rng.standard_normal((4, n_samples, 2), dtype=np.float32)
    references = 0.1 * (references + np.roll(references, 1, axis=1) + np.roll(references, 5, axis=1))
    leaks = np.eye(4) + 0.1 * rng.standard_normal((4, 4))
    noise = 0.01 * rng.standard_normal(references.shape, dtype=np.float32)
    estimates = np.tensordot(leaks, references, axes=1).astype(np.float32) + noise
    return references, estimates


def against_museval(references: np.ndarray, estimates: np.ndarray) -> None:
    import museval

    window = {"win": SAMPLE_RATE, "hop": SAMPLE_RATE}
    ours, found = timed("partita, as museval", lambda: metrics.evaluate(references, estimates, **window))
    slow, theirs = timed("museval", lambda: museval.evaluate(references, estimates, **window))
    worst = max(np.nanmax(np.abs(a - b)) for a, b in zip(found, theirs))
    print(f"museval takes {slow / ours:.1f} times as much; at most {worst:.1e} dB apart", flush=True)


def against_fast_bss_eval(references: np.ndarray, estimates: np.ndarray) -> None:
    import fast_bss_eval

    channels = [(references[:, :, c].copy(), estimates[:, :, c].copy()) for c in range(2)]
    batch = [np.stack([pair[i] for pair in channels]) for i in range(2)]
    ours, found = timed(
        "partita, channel by channel",
        lambda: [metrics.bss_eval_sources(r, e, compute_permutation=False) for r, e in channels],
    )
    fast, theirs = timed(
        "fast_bss_eval", lambda: fast_bss_eval.bss_eval_sources(*batch, compute_permutation=False)
    )
    worst = max(np.abs(a[0] - b).max() for a, b in zip(found, np.asarray(theirs[0])))
    print(f"fast_bss_eval takes {fast / ours:.1f} times as much; SDR at most {worst:.1e} dB apart", flush=True)


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    peers = {"fast_bss_eval": against_fast_bss_eval, "museval": against_museval}
    wanted = sys.argv[2:] or list(peers)
    print(f"{minutes:g} minutes, numpy {np.__version__}", flush=True)
    references, estimates = scene(minutes)
    for peer in wanted:
        peers[peer](references, estimates)


if __name__ == "__main__":
    main()
