#!/usr/bin/env python3
"""Scores eight sets of estimates with museval and fast_bss_eval, for tests/eval/golden.rs, which makes the same estimates.

    pip install "numpy<2" scipy soundfile museval==0.4.1 fast-bss-eval==0.1.4
    python make_eval.py            writes eval.csv beside this file

The estimates are made of the parts in samples/ by arithmetic that gives the same bits anywhere. Columns of eval.csv: the
set, the measure, the source, the window (0 for the whole), then SDR, ISR, SIR, SAR (or SI-SDR alone) in dB.
"""
import pathlib

import numpy as np
import soundfile as sf
from fast_bss_eval import bss_eval_sources
from museval import metrics

HERE = pathlib.Path(__file__).parent
SAMPLES = HERE.parent.parent / "samples"
BAND, KIT = ("drums-bass-guitar", ["drums", "bass", "guitar"]), ("kick-snare-hihat", ["kick", "snare", "hihat"])


def parts(recording):
    folder, names = recording
    return [sf.read(SAMPLES / folder / f"{name}.wav")[0].astype(np.float64) for name in names]


def noise(n, seed):
    """White, in -1 to 1: a linear congruential generator, in integers."""
    out, state = np.zeros(n), seed
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = state / 2147483648.0 - 1.0
    return out


def delay(x, n):
    return np.concatenate([np.zeros(n), x[:len(x) - n]])


def smooth(x, share):
    """A low-pass filter of one pole."""
    out, y = np.zeros(len(x)), 0.0
    for i, value in enumerate(x):
        y = y + share * (value - y)
        out[i] = y
    return out


def leak(s, i):
    return s[i] + 0.1 * s[(i + 1) % 3] + 0.03 * s[(i + 2) % 3]


def clip(s, i):
    return np.clip(s[i], -0.1, 0.1) + 0.001 * noise(len(s[i]), i + 1)


def echo(s, i):
    return 0.6 * delay(s[i], 7) + 0.3 * delay(s[i], 60) - 0.2 * delay(s[i], 300) + 0.05 * delay(s[(i + 1) % 3], 3)


def bands(s, i):
    mixture = (s[0] + s[1]) + s[2]
    low, middle = smooth(mixture, 0.03), smooth(mixture, 0.4)
    return [low, middle - low, mixture - middle][i]


def quantize(s, i):
    return np.floor(64.0 * (s[i] + 0.2 * s[(i + 2) % 3]) + 0.5) / 64.0


# Gains of the three parts in the left and the right channel, and delays in samples.
ONE = [[(1.0, 0)]] * 3
PANNED = [[(0.9, 0), (0.4, 0)], [(0.5, 0), (0.55, 0)], [(0.3, 0), (0.8, 0)]]
SPACED = [[(0.9, 0), (0.6, 11)], [(0.5, 5), (0.7, 0)], [(0.4, 20), (0.8, 0)]]
SIDES = [[(1.0, 0), (0.0, 0)], [(0.5, 0), (0.55, 0)], [(0.2, 0), (0.9, 0)]]
SETS = [
    ("leak-mono", BAND, ONE, leak, 0.0005),
    ("clip-mono", BAND, ONE, clip, 0.0),
    ("echo-mono", BAND, ONE, echo, 0.0003),
    ("bands-mono", KIT, ONE, bands, 0.0),
    ("leak-panned", BAND, PANNED, leak, 0.002),
    ("clip-spaced", BAND, SPACED, clip, 0.0),
    ("quantize-sides", KIT, SIDES, quantize, 0.001),
    ("bands-spaced", KIT, SPACED, bands, 0.003),
]


def signals(recording, pan, degrade, level):
    """References and estimates, (3, samples, channels) in single precision."""
    s, n_channels = parts(recording), len(pan[0])
    r, e = [], []
    for i in range(3):
        # Rounded to 16 bit: channels that are multiples of one another would make museval's system of equations singular,
        # and what it says of them rounding noise.
        r.append([np.floor(32768.0 * gain * delay(s[i], lag) + 0.5) / 32768.0 for gain, lag in pan[i]])
    for i in range(3):
        e.append([degrade([r[j][c] for j in range(3)], i) + level * noise(len(s[i]), 10 + 2 * i + c) for c in range(n_channels)])
    as_single = lambda x: np.moveaxis(np.array(x), 1, 2).astype(np.float32).astype(np.float64)
    return as_single(r), as_single(e)


def si_sdr(r, e):
    r, e = r - r.mean(), e - e.mean()
    target = (r @ e) / (r @ r) * r
    return 10 * np.log10((target @ target) / ((e - target) @ (e - target)))


def main():
    lines = ["set,measure,source,window,sdr,isr,sir,sar"]

    def add(name, measure, scores):
        scores = [np.asarray(s, dtype=float).reshape(3, -1) for s in scores]
        for i in range(3):
            for t in range(scores[0].shape[1]):
                lines.append(f"{name},{measure},{i},{t}," + ",".join(f"{s[i, t]:.5f}" for s in scores))

    for name, recording, pan, degrade, level in SETS:
        r, e = signals(recording, pan, degrade, level)
        whole = dict(window=np.inf, hop=np.inf, compute_permutation=False)
        add(name, "images", metrics.bss_eval(r, e, bsseval_sources_version=False, **whole)[:4])
        add(name, "sources", metrics.bss_eval(r, e, bsseval_sources_version=True, **whole)[:4])
        add(name, "windows", metrics.bss_eval(r, e, window=22050, hop=16537)[:4])
        channels = range(r.shape[2])
        audible = [c for c in channels if np.all(np.any(r[:, :, c] != 0, axis=1))]
        if len(audible) == len(channels):
            apart = [bss_eval_sources(r[..., c], e[..., c], filter_length=512, compute_permutation=False) for c in channels]
            sdr, sir, sar = (np.mean([np.asarray(a[k]) for a in apart], axis=0) for k in range(3))
            add(name, "fast_bss_eval", [sdr, np.full(3, np.nan), sir, sar])
        ratios = [np.mean([si_sdr(r[i, :, c], e[i, :, c]) for c in channels if np.any(r[i, :, c])]) for i in range(3)]
        add(name, "si_sdr", [ratios])
        print(name, flush=True)
    (HERE / "eval.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
