#!/usr/bin/env python3
"""Makes envelopes.rs, beside this file: envelopes of speech, learned from Flite's voices.

    apt-get install flite
    pip install numpy==1.26.4 soundfile
    OMP_NUM_THREADS=1 python3 make_envelopes.py > envelopes.rs

Four voices of Flite 2.2 (kal16, awb, rms, slt; Carnegie Mellon University, free for any use as long as the notice is
kept) read text.txt, which is in the public domain (Carroll, Melville, Lincoln, Austen, Dickens,
Shakespeare). The model is the one that `speech.rs` explains recordings with, without noise and with free envelopes:
V ~ (F A)(P G B), F combs of harmonics and a flat source, P triangles on the mel scale, found by multiplicative updates
for the Kullback-Leibler divergence, from clusters of frames.
"""
import pathlib
import subprocess
import tempfile

import numpy as np
import soundfile as sf

VOICES = ["kal16", "awb", "rms", "slt"]
N_ENVELOPES, N_BUMPS = 30, 24
N_FFT, HOP, RATE = 1024, 256, 16000
HZ = np.arange(N_FFT // 2 + 1) * RATE / N_FFT


def magnitudes(x):
    """Frames x bins, with a Hann window."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    n_frames = 1 + -(-len(x) // HOP)
    x = np.concatenate([np.zeros(N_FFT // 2), x, np.zeros(N_FFT + n_frames * HOP - len(x))])
    frames = np.stack([np.fft.rfft(x[i * HOP : i * HOP + N_FFT] * window) for i in range(n_frames)])
    return np.abs(frames.astype(np.complex64))


def bumps():
    """Triangles on the mel scale, bins x bumps."""
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)
    centers = np.linspace(mel(0), mel(8000), N_BUMPS)
    return np.maximum(0, 1 - np.abs(mel(HZ)[:, None] - centers) / (centers[1] - centers[0])).astype(np.float32)


def sources(low_hz=80, high_hz=420):
    """Combs of harmonics a third of a semitone apart, and a flat source, bins x sources."""
    pitches = low_hz * 2 ** (np.arange(0, 12 * np.log2(high_hz / low_hz) + 1e-9, 1 / 3) / 12)
    combs = np.zeros((len(HZ), len(pitches) + 1))
    for column, pitch in zip(combs.T, pitches):
        for harmonic in pitch * np.arange(1, int(8000 / pitch) + 1):
            distance = np.abs(HZ - harmonic) / (1.7 * HZ[1] + 0.02 * harmonic)
            column += np.where(distance < 1, np.cos(np.pi / 2 * distance) ** 2, 0)
    combs[:, -1] = 0.5
    combs[:5] = 1e-9
    return combs.astype(np.float32)


def fit(v, f, p, n_iter=20, seed=0):
    """The free coefficients G, bumps x envelopes, such that the columns of P G sum to one."""
    rng = np.random.default_rng(seed)
    n_frames = v.shape[1]
    v = v / np.sqrt(v.sum(0))
    rng.random((p.shape[1], N_ENVELOPES))
    energies = p.T @ v
    shapes = energies / energies.sum(0)
    centers = shapes[:, rng.choice(n_frames, N_ENVELOPES, False)] + 1e-4
    for _ in range(12):
        centers /= centers.sum(0)
        nearest = (np.log(centers).T @ shapes).argmax(0)
        for k in range(N_ENVELOPES):
            own = nearest == k
            any_frame = lambda: shapes[:, rng.integers(n_frames)] + 1e-4
            centers[:, k] = shapes[:, own].mean(1) + 1e-5 if own.any() else any_frame()
    g = (centers / p.sum(0)[:, None]).astype(np.float32)
    a = np.ones((f.shape[1], n_frames), np.float32) / f.shape[1]
    b = np.full((N_ENVELOPES, n_frames), 1e-2, np.float32)
    b[nearest, np.arange(n_frames)] = 1
    for _ in range(n_iter):
        e = p @ g
        total = e.sum(0)
        g /= total
        e /= total
        b *= total[:, None]
        envelope, source = e @ b, f @ a
        a *= (f.T @ (envelope * (v / (envelope * source + 1e-9)))) / (f.T @ envelope + 1e-9)
        total = a.sum(0) + 1e-9
        a /= total
        b *= total
        source = f @ a
        ratio = v / (envelope * total * source + 1e-9)
        b *= (e.T @ (source * ratio)) / (e.T @ source + 1e-9)
        ratio = v / (e @ b * source + 1e-9)
        g *= (p.T @ ((source * ratio) @ b.T)) / (p.T @ (source @ b.T) + 1e-9)
    return g / (p @ g).sum(0)


def main():
    text = pathlib.Path(__file__).with_name("text.txt")
    frames = []
    for voice in VOICES:
        with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
            subprocess.run(["flite", "-voice", voice, "-f", text, "-o", wav.name], check=True, stderr=subprocess.DEVNULL)
            x, rate = sf.read(wav.name)
        assert rate == RATE, f"{voice} speaks at {rate} Hz"
        v = magnitudes(x * 0.05 / x.std())
        level = v.sum(1)
        frames.append(v[level > 0.02 * np.percentile(level, 95)][::5])
    v = np.concatenate(frames).T.astype(np.float32)[:, ::2]
    g = fit(v, sources(), bumps())
    print("//! Envelopes of speech, made by `make_envelopes.py`, beside this file: do not edit.")
    print("//! Learned from the voices kal16, awb, rms and slt of Flite 2.2 (Carnegie Mellon University, free for any use as")
    print("//! long as its notice is kept: LICENSE) reading texts in the public domain.")
    print()
    print("/// Filters of speech, one per row, as heights of triangles on the mel scale from 0 to 8 kHz.")
    print("#[rustfmt::skip]")
    print(f"pub(super) const ENVELOPES: [[f32; {N_BUMPS}]; {N_ENVELOPES}] = [")
    for row in g.T:
        print("    [" + ", ".join(f"{x:.3e}" for x in row) + "],")
    print("];")


if __name__ == "__main__":
    main()
