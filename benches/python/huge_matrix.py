"""One matrix over eight workers on two nodes of this machine, undisturbed, and with a node killed half way.

    python benches/python/huge_matrix.py FOLDER [ROWS]    # 500000 rows of 2000 float32: 4 GB

It prints the seconds of both, how many blocks were found again, and whether both factors have the same bits.
"""

import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

from partita.distributed import factorize

N_FEATURES, N_COMPONENTS, MAX_ITER, CHUNK = 2000, 8, 10, 10_000


def make(path: Path, n_rows: int) -> None:
    """A matrix with eight parts in it, chunk by chunk."""
    rng = np.random.default_rng(0)
    parts = rng.gamma(0.3, 1.0, (N_COMPONENTS, N_FEATURES)).astype(np.float32)
    x = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, N_FEATURES))
    for start in range(0, n_rows, CHUNK):
        rows = x[start : start + CHUNK]
        amounts = rng.gamma(0.3, 1.0, (len(rows), N_COMPONENTS)).astype(np.float32)
        rows[:] = amounts @ parts * rng.uniform(0.5, 1.5, (len(rows), 1)).astype(np.float32) + 0.01
    x.flush()


def main() -> None:
    folder, n_rows = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 500_000
    folder.mkdir(parents=True, exist_ok=True)
    make(folder / "x.npy", n_rows)
    store = {"object_store_memory": 300_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store})
    nodes = [cluster.add_node(num_cpus=4, **store) for _ in range(2)]
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    cluster.wait_for_nodes()

    def kill(n_iter: int, divergence: float | None) -> None:
        if n_iter == MAX_ITER // 2:
            cluster.remove_node(nodes.pop(), allow_graceful=False)

    runs = []
    for name, more in [
        ("undisturbed", {}),
        ("a node killed", {"progress": kill, "checkpoint": folder / "checkpoint", "checkpoint_every": 4}),
    ]:
        given = {"max_iter": MAX_ITER, "tol": 0, "n_workers": 8, "output": folder / "w.npy", **more}
        start = time.perf_counter()
        found = factorize(folder / "x.npy", N_COMPONENTS, **given)
        seconds = time.perf_counter() - start
        with (folder / "w.npy").open("rb") as file:
            runs.append((found.components_.tobytes(), hashlib.file_digest(file, "sha256").hexdigest()))
        print(f"{name}: {seconds:.1f} s, {found.n_recovered} blocks found again, divergence {found.divergence:.6g}")
    print("the same bits" if runs[0] == runs[1] else "DIFFERENT")


if __name__ == "__main__":
    main()
