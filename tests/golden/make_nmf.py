"""Writes nmf.npz: what scikit-learn makes of small matrices, for tests/nmf.rs.

Run in this folder: python3 make_nmf.py. Arrays are float64; a case `name` has `name.w`, `name.h` and
`name.divergence` after 30 iterations from w0 and h0 (`tol=0`); `versions` holds the versions' text in ASCII.
"""

import warnings

import numpy as np
import scipy
import sklearn
from sklearn.decomposition import non_negative_factorization
from sklearn.decomposition._nmf import _beta_divergence, _initialize_nmf

N_ITER = 30
N_COMPONENTS = 3
PENALTIES = {
    "free": dict(alpha_W=0.0, alpha_H=0.0, l1_ratio=0.0),
    "l1": dict(alpha_W=0.02, alpha_H=0.03, l1_ratio=1.0),
    "l2": dict(alpha_W=0.05, alpha_H=0.01, l1_ratio=0.0),
    "mixed": dict(alpha_W=0.01, alpha_H=0.04, l1_ratio=0.3),
}


def main():
    rng = np.random.default_rng(20)
    v = 3.0 * (rng.gamma(1.0, 1.0, (13, 4)) @ rng.gamma(0.5, 1.0, (4, 17)) + 0.05)
    # Values that f32 holds exactly: both sides start from the same numbers.
    v, w0, h0 = (
        x.astype(np.float32).astype(np.float64)
        for x in (v, rng.uniform(0.2, 2.0, (13, N_COMPONENTS)), rng.uniform(0.2, 2.0, (N_COMPONENTS, 17)))
    )
    arrays = {"v": v, "w0": w0, "h0": h0}
    warnings.simplefilter("ignore")
    for solver, betas in (("mu", (0, 0.5, 1, 1.5, 2, 3)), ("cd", (2,))):
        for beta in betas:
            for penalty, settings in PENALTIES.items():
                w, h, n_iter = non_negative_factorization(
                    v, w0.copy(), h0.copy(), n_components=N_COMPONENTS, init="custom", solver=solver,
                    beta_loss=float(beta), tol=0, max_iter=N_ITER, **settings,
                )
                assert n_iter == N_ITER
                name = f"{solver}_{beta}_{penalty}"
                arrays[f"{name}.w"], arrays[f"{name}.h"] = w, h
                arrays[f"{name}.divergence"] = np.array([_beta_divergence(v, w, h, beta)])
    for init in ("nndsvd", "nndsvda"):
        arrays[f"{init}.w"], arrays[f"{init}.h"] = _initialize_nmf(v, 4, init=init, random_state=0)
    versions = f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, scipy {scipy.__version__}"
    arrays["versions"] = np.frombuffer(versions.encode(), dtype=np.uint8)
    np.savez_compressed("nmf.npz", **arrays)
    print(versions, f"{len(arrays)} arrays")


if __name__ == "__main__":
    main()
