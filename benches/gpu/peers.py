#!/usr/bin/env python3
"""The fits of `main.rs` in PyTorch (float32, and with TF32 allowed) and CuPy: a line of JSON for each.

Multiplicative updates, W first, in place where that helps. V is made on the device from the same numbers.
`peers.py [song] [album] [hours] [tiny]`; without names, all but `tiny`. What is not installed is left out.
"""

import json
import statistics
import sys
import time

CASES = {
    "tiny": ((257, 300), 16, 3),
    "song": ((1025, 2584), 16, 20),
    "album": ((1025, 15504), 32, 20),
    "hours": ((4097, 310_000), 64, 5),
}
RANK = 24
EPS = 1e-20


def numbers(integers, shape, seed):
    """Numbers above 0 and at most 1 by their place; `integers(n)` counts up on the device, in 64 bits."""
    mask = 0xFFFFFFFF
    x = (integers(shape[0] * shape[1]) * 0x9E3779B1 + seed) & mask
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & mask
    x = ((x ^ (x >> 15)) * 0x846CA68B) & mask
    x = ((x ^ (x >> 16)) >> 8) + 1
    return x.reshape(shape)


class Torch:
    def __init__(self, tf32):
        import torch

        self.torch, self.tf32 = torch, tf32
        self.name = "PyTorch " + torch.__version__ + (", TF32" if tf32 else ", float32")
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cuda.matmul.allow_tf32 = tf32

    def numbers(self, shape, seed):
        count = lambda n: self.torch.arange(n, device=self.device)
        return numbers(count, shape, seed).float() / 2**24

    def rows(self, shape, seed):
        """Some rows at a time: the integers take more memory than the numbers."""
        out = self.torch.empty(shape, device=self.device)
        step = max(1, 2**27 // shape[1])
        for first in range(0, shape[0], step):
            last = min(first + step, shape[0])
            count = lambda n: self.torch.arange(n, device=self.device) + first * shape[1]
            out[first:last] = numbers(count, (last - first, shape[1]), seed).float() / 2**24
        return out

    def wait(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def divergence(self, v, w, h):
        total = 0.0
        for first in range(0, v.shape[0], 256):
            part, y = v[first : first + 256].double(), w[first : first + 256].double() @ h.double() + EPS
            total += float((part * (part / y).log() - part + y).sum())
        return total

    def quotients(self, v, w, h):
        y = w @ h
        y += EPS
        return self.torch.div(v, y, out=y)


class Cupy:
    def __init__(self):
        import cupy

        self.cupy, self.name = cupy, "CuPy " + cupy.__version__

    def numbers(self, shape, seed):
        return self.rows(shape, seed)

    def rows(self, shape, seed):
        cupy = self.cupy
        out = cupy.empty(shape, dtype=cupy.float32)
        step = max(1, 2**27 // shape[1])
        for first in range(0, shape[0], step):
            last = min(first + step, shape[0])
            count = lambda n: cupy.arange(n, dtype=cupy.int64) + first * shape[1]
            out[first:last] = numbers(count, (last - first, shape[1]), seed).astype(cupy.float32) / 2**24
        return out

    def wait(self):
        self.cupy.cuda.Device().synchronize()

    def divergence(self, v, w, h):
        total = 0.0
        for first in range(0, v.shape[0], 256):
            part = v[first : first + 256].astype(self.cupy.float64)
            y = w[first : first + 256].astype(self.cupy.float64) @ h.astype(self.cupy.float64) + EPS
            total += float((part * self.cupy.log(part / y) - part + y).sum())
        return total

    def quotients(self, v, w, h):
        y = w @ h
        y += EPS
        return self.cupy.divide(v, y, out=y)


def iterate(engine, v, w, h, n):
    for _ in range(n):
        w *= (engine.quotients(v, w, h) @ h.T) / h.sum(1)
        h *= (w.T @ engine.quotients(v, w, h)) / w.sum(0)[:, None]


def measure(engine, case):
    shape, k, n_times = CASES[case]
    v = engine.rows(shape, 3)
    w, h = engine.numbers((shape[0], RANK), 1), engine.numbers((RANK, shape[1]), 2)
    for first in range(0, shape[0], 256):
        v[first : first + 256] *= w[first : first + 256] @ h
    w, h = engine.numbers((shape[0], k), 4), engine.numbers((k, shape[1]), 5)
    iterate(engine, v, w, h, 50)
    divergence = engine.divergence(v, w, h)
    times = []
    for _ in range(n_times):
        engine.wait()
        begin = time.perf_counter()
        iterate(engine, v, w, h, 5)
        engine.wait()
        times.append(1e3 * (time.perf_counter() - begin) / 5)
    line = {"case": case, "who": engine.name, "ms_per_iteration": round(statistics.median(times), 4)}
    print(json.dumps({**line, "n_iter": 50, "divergence": divergence}), flush=True)


def main():
    wanted = sys.argv[1:] or [case for case in CASES if case != "tiny"]
    for make in (lambda: Torch(False), lambda: Torch(True), Cupy):
        try:
            engine = make()
        except ImportError as missing:
            print(f"left out: {missing}", file=sys.stderr)
            continue
        for case in wanted:
            if case in CASES:
                measure(engine, case)


if __name__ == "__main__":
    main()
