"""Writes mel.npy, `librosa.filters.mel` in double precision, and prints points of its mel scale. librosa 0.11.0."""

from pathlib import Path

import librosa
import numpy as np

bank = librosa.filters.mel(sr=22050, n_fft=512, n_mels=12, fmin=50.0, fmax=10000.0, dtype=np.float64)
np.save(Path(__file__).with_name("mel.npy"), bank.astype(np.float32))
hz = [0.0, 60.0, 440.0, 999.0, 1000.0, 3000.0, 11025.0, 96000.0]
print(librosa.__version__, list(zip(hz, librosa.hz_to_mel(hz).tolist())))
