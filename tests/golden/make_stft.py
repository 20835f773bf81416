#!/usr/bin/env python3
"""Writes stft_librosa.npz: STFT values of librosa for a signal that is computed alike here and in tests/stft.rs.

    pip install librosa==0.11.0 numpy
    python3 make_stft.py
"""
import pathlib

import librosa
import numpy as np

RATE, LENGTH = 8000, 3000
CASES = [  # n_fft, win_length, hop_length, scipy's name of the window
    (512, 512, 128, "hann"),
    (512, 400, 100, "hamming"),
    (256, 256, 64, "blackman"),
    (300, 300, 75, "blackmanharris"),
]

t = np.arange(LENGTH) / RATE
signal = np.sin(2 * np.pi * 440 * t) + 0.5 * np.sin(2 * np.pi * (1000 + 400 * t) * t) + 0.1 * np.cos(2 * np.pi * 3999 * t)
signal[1234] += 1.0
signal = signal.astype(np.float32)
out = {}
for i, (n_fft, win_length, hop_length, window) in enumerate(CASES):
    x = librosa.stft(signal, n_fft=n_fft, win_length=win_length, hop_length=hop_length, window=window, center=True,
                     pad_mode="constant", dtype=np.complex64)
    out[f"case_{i}_re"], out[f"case_{i}_im"] = x.real.T.copy(), x.imag.T.copy()
path = pathlib.Path(__file__).with_name("stft_librosa.npz")
np.savez_compressed(path, **out)
print(path.name, path.stat().st_size, "bytes, librosa", librosa.__version__, "numpy", np.__version__)
