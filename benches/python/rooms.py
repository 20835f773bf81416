#!/usr/bin/env python3
"""Rooms with a microphone for each source, and what other programs make of them.

    pip install "numpy<2" scipy soundfile fast-bss-eval pyroomacoustics
    rooms.py make OUT --item DEV/items/trios_lussier ...    OUT/rt03 and OUT/rt06: sets for `score.py --task bleed`
    rooms.py peers OUT/rt03 --method ilrma                  scores as `score.py` prints them
    rooms.py array DEV2 --components 8 --seeds 4            ILRMA of pyroomacoustics as `score.py --task array` scores it

`make` (with `--rt60 S`, `--seed N`, and `--weaker DB` for less bleed): a room of 7 x 6 x 3 m, sources on a circle of
1.4 m, each with an omnidirectional microphone 0.3 m nearer to the center, all as loud as each other. Stems are the
images at all microphones, and the mixture is their sum.
`peers`: the untouched microphone, AuxIVA, ILRMA (8 components) and FastMNMF2 (8 components) of pyroomacoustics, 60
iterations each from the identity, in a transform of 93 ms; the image of each source in its own microphone is scored.
"""
import argparse
import json
import pathlib
import resource

import numpy as np
import soundfile as sf

RATE = 22050
METHODS = ["microphone", "auxiva", "ilrma", "fastmnmf2"]


def sources_of(folder):
    """Names and dry sources (mono, 22.05 kHz, equally loud) of an item."""
    from scipy.signal import resample_poly

    names, sources = [], []
    for path in sorted([*(folder / "stems").glob("*.wav"), *(folder / "stems").glob("*.flac")]):
        samples, rate = sf.read(str(path), always_2d=True)
        mono = samples.mean(1)
        divisor = np.gcd(rate, RATE)
        mono = resample_poly(mono, RATE // divisor, rate // divisor)
        names.append(path.stem)
        sources.append(mono / np.sqrt(np.mean(mono**2) + 1e-20))
    return names, sources


def images_of(sources, rt60_s, seed):
    """The image of each source at each microphone: (source, microphone, sample)."""
    import pyroomacoustics as pra

    size = [7.0, 6.0, 3.0]
    absorption, max_order = pra.inverse_sabine(rt60_s, size)
    room = pra.ShoeBox(size, fs=RATE, materials=pra.Material(absorption), max_order=max_order)
    rng = np.random.default_rng(seed)
    center = np.array([3.5, 3.0, 0.0]) + rng.uniform(-0.3, 0.3, 3) * [1, 1, 0]
    angles = 2 * np.pi * (np.arange(len(sources)) / len(sources)) + rng.uniform(0, 2 * np.pi)
    around = np.stack([np.cos(angles), np.sin(angles), np.zeros(len(sources))], 1)
    heights = rng.uniform(1.0, 1.5, len(sources))[:, None] * [[0, 0, 1]]
    for at, source in zip(center + 1.4 * around + heights, sources):
        room.add_source(at, signal=source)
    room.add_microphone_array((center + 1.1 * around + heights).T)
    return room.simulate(return_premix=True)[:, :, : max(map(len, sources))]


def make(args):
    for rt60_s, weaker_db in [(rt60_s, weaker_db) for rt60_s in args.rt60 or [0.3, 0.6] for weaker_db in args.weaker or [0]]:
        folder = args.out / (f"rt{round(10 * rt60_s):02d}" + (f"_{weaker_db}" if weaker_db else ""))
        items = []
        for number, item in enumerate(args.item):
            names, sources = sources_of(item)
            images = images_of(sources, rt60_s, args.seed + number)
            is_own = np.eye(len(sources))[:, :, None]
            images *= is_own + (1 - is_own) * 10 ** (-weaker_db / 20)
            images *= 0.5 / np.abs(images.sum(0)).max()
            images = images.astype(np.float32)
            place = folder / "items" / item.name
            (place / "stems").mkdir(parents=True, exist_ok=True)
            sf.write(str(place / "mixture.wav"), images.sum(0).T, RATE, subtype="FLOAT")
            for name, image in zip(names, images):
                sf.write(str(place / "stems" / f"{name}.wav"), image.T, RATE, subtype="FLOAT")
            items.append(
                {
                    "id": item.name, "kind": "bleed", "path": f"items/{item.name}", "mixture": "mixture.wav",
                    "channels": len(names), "mics": {name: i for i, name in enumerate(names)},
                    "stems": [{"name": name, "file": f"stems/{name}.wav"} for name in names],
                }
            )
        (folder / "manifest.json").write_text(json.dumps({"items": items}, indent=1))


def separated(method, mixture, rate, n_iter):
    """The image of each source in its own microphone; `mixture` is (samples, microphones)."""
    import pyroomacoustics as pra

    if method == "microphone":
        return mixture.T
    n_fft = 1 << int(np.round(np.log2(0.093 * rate)))
    hop = n_fft // 4
    window = pra.hann(n_fft)
    padded = np.concatenate([np.zeros((n_fft, mixture.shape[1])), mixture, np.zeros((2 * n_fft, mixture.shape[1]))])
    spectra = pra.transform.stft.analysis(padded, n_fft, hop, win=window)
    np.random.seed(0)
    if method == "fastmnmf2":
        # (microphone, frame, bin, source), in the order of the microphones: the first g is near the identity.
        all_images = pra.bss.fastmnmf2(spectra, n_iter=n_iter, n_components=8, mic_index="all")
        images = np.stack([all_images[m, :, :, m] for m in range(mixture.shape[1])], -1)
    else:
        blind = pra.bss.auxiva if method == "auxiva" else lambda x, **k: pra.bss.ilrma(x, n_components=8, **k)
        images = blind(spectra, n_iter=n_iter, proj_back=False)
        # The least-squares fit of each output in its own microphone.
        gains = (spectra * images.conj()).sum(0) / np.maximum((np.abs(images) ** 2).sum(0), 1e-12)
        images = images * gains
    synthesis = pra.transform.stft.compute_synthesis_window(window, hop)
    sound = pra.transform.stft.synthesis(images, n_fft, hop, win=synthesis)
    # The transform gives the sound back late by the part of a window that is no hop.
    return sound[2 * n_fft - hop :][: len(mixture)].T


def scores(reference, rest, estimate, mixture):
    from fast_bss_eval import bss_eval_sources

    noise = [1e-9 * np.random.default_rng(seed).standard_normal((2, len(reference))) for seed in (0, 1)]
    pair = np.stack([reference, rest]) + noise[0]
    found = np.stack([estimate, mixture - estimate]) + noise[1]
    sdr, sir, sar = bss_eval_sources(pair, found, filter_length=512, compute_permutation=False)
    return float(sdr[0]), float(sir[0]), float(sar[0])


def peers(args):
    rows = []
    for item in json.loads((args.set / "manifest.json").read_text())["items"]:
        if item["kind"] != "bleed":
            continue
        folder = args.set / item["path"]
        mixture, rate = sf.read(str(folder / item["mixture"]), always_2d=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        images = separated(args.method, mixture, rate, args.iterations)
        seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
        row = []
        for stem in item["stems"]:
            m = item["mics"][stem["name"]]
            own = sf.read(str(folder / stem["file"]), always_2d=True)[0][:, m]
            row.append(scores(own, mixture[:, m] - own, images[m], mixture[:, m]))
        rows.append(np.mean(row, 0))
        print(f"{item['id']:24} SDR {rows[-1][0]:6.2f}  SIR {rows[-1][1]:6.2f}  SAR {rows[-1][2]:6.2f}  {seconds:6.1f} s CPU", flush=True)
    sdr, sir, sar = np.mean(rows, 0)
    print(f"{args.method}: {len(rows)} items  SDR {sdr:.2f}  SIR {sir:.2f}  SAR {sar:.2f}")


def array(args):
    """The best of some seeds for each item, by the mean SDR of the images at all microphones."""
    import itertools

    import pyroomacoustics as pra
    from fast_bss_eval import bss_eval_sources

    def bss(references, estimates):
        rows = []
        for m in range(references.shape[2]):
            noise = [1e-9 * np.random.default_rng(seed).standard_normal(references.shape[:2]) for seed in (0, 1)]
            rows.append(bss_eval_sources(references[..., m] + noise[0], estimates[..., m] + noise[1], filter_length=512, compute_permutation=False)[0])
        return np.mean(rows)

    best_of_all = []
    for item in json.loads((args.set / "manifest.json").read_text())["items"]:
        if not item["kind"].startswith("multichannel"):
            continue
        folder = args.set / item["path"]
        mixture, rate = sf.read(str(folder / item["mixture"]), always_2d=True)
        stems = [next(folder.glob(f"stems/{stem['name']}.*")) for stem in item["stems"]]
        references = np.stack([sf.read(str(path), always_2d=True)[0] for path in stems])
        n_fft = 1 << int(np.round(np.log2(0.093 * rate)))
        hop = n_fft // 4
        window = pra.hann(n_fft)
        padded = np.concatenate([np.zeros((n_fft, mixture.shape[1])), mixture, np.zeros((2 * n_fft, mixture.shape[1]))])
        spectra = pra.transform.stft.analysis(padded, n_fft, hop, win=window)
        synthesis = pra.transform.stft.compute_synthesis_window(window, hop)
        found = []
        for seed in range(args.seeds):
            np.random.seed(seed)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            y, w = pra.bss.ilrma(spectra, n_iter=args.iterations, n_components=args.components, proj_back=False, return_filters=True)
            seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
            mixing = np.linalg.inv(w)
            images = []
            for n in range(y.shape[2]):
                image = y[:, :, n, None] * mixing[None, :, :, n]
                sound = pra.transform.stft.synthesis(image, n_fft, hop, win=synthesis)
                images.append(sound[2 * n_fft - hop :][: len(mixture)])
            images = np.stack(images)
            orders = itertools.permutations(range(len(images)))
            found.append((max(bss(references, images[list(order)]) for order in orders), seconds))
        sdr, seconds = max(found)
        best_of_all.append(sdr)
        print(f"{item['id']:24} SDR {sdr:6.2f}  of {' '.join(f'{s:.2f}' for s, _ in found)}  {seconds:5.1f} s CPU", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"ilrma: {len(best_of_all)} items  SDR {np.mean(best_of_all):.2f}  peak {peak:.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make")
    command.add_argument("out", type=pathlib.Path)
    command.add_argument("--item", action="append", type=pathlib.Path, required=True)
    command.add_argument("--rt60", action="append", type=float, help="in seconds; 0.3 and 0.6 where none is said")
    command.add_argument("--weaker", action="append", type=int, help="dB by which all bleed is weaker; 0 where nothing is said")
    command.add_argument("--seed", type=int, default=0, help="of the places in the first room; each further one has the next")
    command.set_defaults(run=make)
    command = commands.add_parser("peers")
    command.add_argument("set", type=pathlib.Path)
    command.add_argument("--method", choices=METHODS, required=True)
    command.add_argument("--iterations", type=int, default=60)
    command.set_defaults(run=peers)
    command = commands.add_parser("array")
    command.add_argument("set", type=pathlib.Path)
    command.add_argument("--components", type=int, default=8)
    command.add_argument("--iterations", type=int, default=60)
    command.add_argument("--seeds", type=int, default=4)
    command.set_defaults(run=array)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
