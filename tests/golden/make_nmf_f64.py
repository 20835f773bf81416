"""Factorizations by scikit-learn in double precision: factors, iterations and mini-batches.

Made with scikit-learn 1.9.1, numpy 2.5.5, Python 3.12: python make_nmf_f64.py
"""

import warnings

import numpy as np
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import MiniBatchNMF, non_negative_factorization

warnings.simplefilter("ignore")

rng = np.random.RandomState(15)
K = 4
PENALTIES = {"free": (0.0, 0.0, 0.0), "l1": (0.002, 0.003, 1.0), "mixed": (0.001, 0.004, 0.3)}


def made(n_rows, n_columns):
    return rng.gamma(0.6, size=(n_rows, K)) @ rng.gamma(0.6, size=(K, n_columns)) + 0.2 * rng.rand(n_rows, n_columns)


v = made(45, 38)
holes = np.where(rng.rand(60, 50) < 0.25, made(60, 50), 0.0)
out = {"v": v, "holes": holes}
for name, matrix in [("v", v), ("holes", holes)]:
    out[f"{name}_w0"] = np.abs(rng.randn(matrix.shape[0], K)) * 0.7 + 0.05
    out[f"{name}_h0"] = np.abs(rng.randn(K, matrix.shape[1])) * 0.7 + 0.05


def fitted(case, matrix, name, solver, beta, penalty, max_iter, tol):
    alpha_w, alpha_h, l1_ratio = PENALTIES[penalty]
    w, h, n_iter = non_negative_factorization(
        matrix,
        W=out[f"{name}_w0"].copy(),
        H=out[f"{name}_h0"].copy(),
        n_components=K,
        init="custom",
        solver=solver,
        beta_loss=beta,
        alpha_W=alpha_w,
        alpha_H=alpha_h,
        l1_ratio=l1_ratio,
        max_iter=max_iter,
        tol=tol,
    )
    out[f"{case}_w"], out[f"{case}_h"], out[f"{case}_n"] = w, h, np.array([[n_iter]], dtype=float)


for beta in [-5.0, -1.2, 0.0, 0.4, 0.5, 1.0, 1.3, 1.5, 2.0, 2.7, 3.0, 6.5]:
    for penalty in PENALTIES:
        fitted(f"mu_{beta}_{penalty}", v, "v", "mu", beta, penalty, 400, 1e-3)
for penalty in PENALTIES:
    fitted(f"cd_{penalty}", v, "v", "cd", 2, penalty, 400, 1e-3)
entries = sparse.csr_array(holes)
for beta in [0.3, 1.0, 1.6, 2.0, 2.5]:
    for penalty in PENALTIES:
        fitted(f"sparse_mu_{beta}_{penalty}", entries, "holes", "mu", beta, penalty, 60, 0.0)
for penalty in PENALTIES:
    fitted(f"sparse_cd_{penalty}", entries, "holes", "cd", 2, penalty, 60, 1e-3)

# Mini-batches: rows of V in order.
for beta in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]:
    for restarts in [False, True]:
        for penalty in ["free", "mixed"]:
            alpha_w, alpha_h, l1_ratio = PENALTIES[penalty]
            settings = dict(
                n_components=K,
                init="custom",
                beta_loss=beta,
                alpha_W=alpha_w,
                alpha_H=alpha_h,
                l1_ratio=l1_ratio,
                batch_size=16,
                forget_factor=0.6,
                fresh_restarts=restarts,
                fresh_restarts_max_iter=7,
                max_iter=40,
                transform_max_iter=25,
                tol=1e-2,
                max_no_improvement=5,
            )
            case = f"batches_{beta}_{penalty}_{'fresh' if restarts else 'kept'}"
            model = MiniBatchNMF(**settings)
            w = model.fit_transform(v, W=out["v_w0"].copy(), H=out["v_h0"].copy())
            out[f"{case}_w"], out[f"{case}_h"] = w, model.components_
            out[f"{case}_n"] = np.array([[model.n_iter_, model.n_steps_]], dtype=float)
            out[f"{case}_t"] = model.transform(v[:10])
            model = MiniBatchNMF(**settings)
            for i in range(6):
                start = {"W": out["v_w0"][:15].copy(), "H": out["v_h0"].copy()} if i == 0 else {}
                model.partial_fit(v[15 * (i % 3) : 15 * (i % 3) + 15], **start)
            out[f"{case}_p"] = model.components_

# Digits have pixels that are always 0: small activations are dropped on the way.
K = 20
digits = load_digits().data[:300].astype(float)
out["digits"] = digits
rng = np.random.RandomState(1)
scale = np.sqrt(digits.mean() / K)
out["digits_w0"] = scale * np.abs(rng.randn(digits.shape[0], K))
out["digits_h0"] = scale * np.abs(rng.randn(K, digits.shape[1]))
fitted("digits_mu", digits, "digits", "mu", 1.0, "free", 200, 0.0)

np.savez_compressed("nmf_f64.npz", **out)
