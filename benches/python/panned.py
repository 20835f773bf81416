#!/usr/bin/env python3
"""Stereo mixes whose sources stand where they are put, made of items with known stems.

    pip install "numpy<2" soundfile
    panned.py OUT --item DEV/items/trios_lussier ...
        OUT/apart, OUT/some, OUT/center: sets for `score.py --task blind`, `examples` and `score`

Every source becomes mono, and is put at its place by gains of constant power: `cos a` left and `sin a` right with
`a = (place + 1) pi / 4`, from -1, left, to 1, right. `apart`: places evenly from -0.75 to 0.75, in an order by the item's number.
`some`: the first two sources in the middle, the others evenly from -0.7 to 0.7. `center`: all in the middle, so that both
channels are equal. Solo recordings and scores stay as they are.
"""
import argparse
import json
import pathlib
import shutil

import numpy as np
import soundfile as sf


def places_of(how, n_sources, seed):
    if how == "center":
        return np.zeros(n_sources)
    if how == "some":
        rest = n_sources - 2
        return np.concatenate([np.zeros(min(n_sources, 2)), np.linspace(-0.7, 0.7, rest) if rest > 1 else np.full(max(rest, 0), 0.6)])
    return np.random.default_rng(seed).permutation(np.linspace(-0.75, 0.75, n_sources))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--item", action="append", type=pathlib.Path, required=True)
    args = parser.parse_args()
    for how in ["apart", "some", "center"]:
        items = []
        for number, folder in enumerate(args.item):
            manifest = json.loads((folder.parent.parent / "manifest.json").read_text())["items"]
            item = next(item for item in manifest if item["id"] == folder.name)
            names = [stem["name"] for stem in item["stems"]]
            if how == "some" and len(names) < 3:
                continue
            place = args.out / how / "items" / item["id"]
            shutil.rmtree(place, ignore_errors=True)
            (place / "stems").mkdir(parents=True)
            places = places_of(how, len(names), number)
            images = []
            for name, at in zip(names, places):
                samples, rate = sf.read(str(next(folder.glob(f"stems/{name}.*"))), always_2d=True)
                angle = (at + 1) * np.pi / 4
                images.append(0.7 * samples.mean(1)[:, None] * [np.cos(angle), np.sin(angle)])
                sf.write(str(place / "stems" / f"{name}.wav"), images[-1].astype(np.float32), rate, subtype="FLOAT")
            mixture = sum(image.astype(np.float32) for image in images)
            sf.write(str(place / "mixture.wav"), mixture, rate, subtype="FLOAT")
            for more in ["train", *item.get("scores", [])]:
                if (folder / more).is_dir():
                    shutil.copytree(folder / more, place / more)
                elif (folder / more).is_file():
                    shutil.copy(folder / more, place / more)
            items.append(
                {
                    **item,
                    "path": f"items/{item['id']}", "mixture": "mixture.wav", "channels": 2,
                    "places": dict(zip(names, places.round(3).tolist())),
                    "stems": [{"name": name, "file": f"stems/{name}.wav"} for name in names],
                }
            )
        (args.out / how).mkdir(parents=True, exist_ok=True)
        (args.out / how / "manifest.json").write_text(json.dumps({"items": items}, indent=1))


if __name__ == "__main__":
    main()
