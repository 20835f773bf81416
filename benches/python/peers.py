"""What other programs reach on the same items, scored by the functions of SCORE.PY: SDR and SI-SDR improvement in dB.

    pip install "numpy<2" scipy soundfile fast-bss-eval librosa noisereduce pyrnnoise
    peers.py SCORE.PY --set DATA/dev --set DATA/dev2

hpss: `librosa.decompose.hpss` with its defaults on frames of 2048 samples, percussive against the drums.
denoise: noisereduce, stationary, told the noise of the item, and not stationary; RNNoise at 48 kHz, its delay taken out.
"""
import argparse
import pathlib

import librosa
import noisereduce
import numpy as np
import soundfile as sf
from items import items_of, load
from pyrnnoise import rnnoise
from scipy import signal


def percussive(mixture, rate, noise):
    def channel(x):
        return librosa.istft(librosa.decompose.hpss(librosa.stft(x))[1], length=len(x))

    return np.stack([channel(x) for x in mixture.T], axis=1)


def stationary(mixture, rate, noise):
    return noisereduce.reduce_noise(y=mixture.T, sr=rate, y_noise=noise.T, stationary=True).T


def changing(mixture, rate, noise):
    return noisereduce.reduce_noise(y=mixture.T, sr=rate).T


def recurrent(mixture, rate, noise):
    x = signal.resample_poly(mixture[:, 0], 48_000, rate)
    size, state = rnnoise.FRAME_SIZE, [rnnoise.create()]
    padded = np.pad(x, (0, -len(x) % size + 2 * size)).clip(-1, 1).astype(np.float32)
    frames = [rnnoise.process_frame(state, frame[None])[0][0] for frame in padded.reshape(-1, size)]
    found = np.concatenate(frames) / 32768  # samples of 16 bits
    lag = max(range(2 * size), key=lambda lag: found[lag : lag + len(x)] @ x)
    return signal.resample_poly(found[lag : lag + len(x)], rate, 48_000)[: len(mixture), None]


PEERS = {
    "hpss": {"librosa": percussive},
    "denoise": {"noisereduce, stationary": stationary, "noisereduce": changing, "RNNoise": recurrent},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("score", metavar="SCORE.PY", type=pathlib.Path)
    parser.add_argument("--set", action="append", type=pathlib.Path, required=True)
    args = parser.parse_args()
    score = load(args.score)
    for folder in args.set:
        means = {}
        for item, where, names in items_of(folder):
            for task, peers in PEERS.items():
                if not score.arguments(task, item, where, names):
                    continue
                mixture, rate = sf.read(where / item["mixture"], always_2d=True)
                wanted = score.drum_stems(item) if task == "hpss" else ["speech"]
                truth = sum(sf.read(score.file_of(item, where, name), always_2d=True)[0] for name in wanted)
                noise = sf.read(score.example(item, where, "noise"), always_2d=True)[0] if task == "denoise" else None
                references = np.stack([truth, mixture - truth])
                before = score.bss(references, np.stack([mixture, mixture]))
                for peer, method in peers.items():
                    found = method(mixture, rate, noise)
                    gain = score.bss(references, np.stack([found, mixture - found])) - before
                    means.setdefault((task, peer), []).append((gain[0, 0], gain[3, 0]))
                    print(f"{item['id']:20}{peer:26} SDRi {gain[0, 0]:6.2f}  SI-SDRi {gain[3, 0]:6.2f}", flush=True)
        for (task, peer), rows in means.items():
            sdr, si_sdr = np.mean(rows, axis=0)
            print(f"{folder.name}, {task}, {peer} ({len(rows)}): SDRi {sdr:.2f}  SI-SDRi {si_sdr:.2f}", flush=True)


if __name__ == "__main__":
    main()
