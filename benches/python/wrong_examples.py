"""How often `separate` warns of an example: of right ones, and of those of other instruments.

    python wrong_examples.py target/release/partita ../shared/data/dev ../shared/data/dev2

Each recording with examples of all its sources is taken apart with these, and then, for each source, with the example of
another kind of instrument in its place, twice, drawn by a fixed seed from the other recordings. Counted is what is warned
of: the example in question, and right ones beside a wrong one. `--per-item` lists right ones that were doubted.
"""

import argparse
import json
import pathlib
import random
import subprocess
import tempfile

KINDS = {"music-stems", "chamber-real", "chamber-rendered", "band-rendered"}
FAMILIES = {
    "drums": "kick snare hihat crash ride tom clap drums",
    "bass": "bass double_bass pad_bass",
    "strings": "violin violin1 violin2 viola cello strings",
    "flutes": "flute recorder",
    "reeds": "clarinet clarinet1 clarinet2 saxophone tenor_sax alto_sax bassoon oboe cor_anglais",
    "brass": "trumpet french_horn trombone tuba",
    "voices": "vocals voice_ooh voice_aah",
    "keys": "piano organ clavinet synth other",
    "guitars": "guitar guitars lead lead_guitar rhythm_guitar",
    "mallets": "vibraphone marimba harp",
}
FAMILY = {name: family for family, names in FAMILIES.items() for name in names.split()}


def example(item, folder, name):
    found = (folder / entry["file"] for entry in item["train"] if entry["name"] == name and "file" in entry)
    return next(found, folder / "train" / (name + ".wav"))


def doubted(binary, mixture, examples):
    """The names that a run warns of."""
    flags = [part for name, path in examples.items() for part in ("--example", f"{name}={path}")]
    with tempfile.TemporaryDirectory() as out:
        # One stem is enough: what is warned of is found before any is made.
        stem = ["--stem", next(iter(examples)), "--multichannel", "mask", "-o", out]
        done = subprocess.run([binary, "separate", mixture, *flags, *stem], capture_output=True, text=True, check=True)
    return {name for name in examples if f"`{name}` may not be in the recording" in done.stderr}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("sets", nargs="+", type=pathlib.Path)
    parser.add_argument("--swaps", type=int, default=2)
    parser.add_argument("--per-item", action="store_true")
    args = parser.parse_args()
    items = []
    for folder in args.sets:
        for item in json.loads((folder / "manifest.json").read_text())["items"]:
            names = [stem["name"] for stem in item["stems"]]
            if item["kind"] in KINDS and set(names) <= {entry["name"] for entry in item.get("train") or []}:
                items.append((folder.name, item, folder / item["path"], names))
    chosen = random.Random(1)
    print("| set | right, doubted | wrong, doubted | right beside a wrong one, doubted |\n|---|---|---|---|")
    totals = {}
    for label, item, folder, names in items:
        mixture = str(folder / item["mixture"])
        own = {name: example(item, folder, name) for name in names}
        right = doubted(args.binary, mixture, own)
        if args.per_item and right:
            print(f"{item['id']}: {sorted(right)}", flush=True)
        counts = totals.setdefault(label, [0] * 6)
        counts[0] += len(right)
        counts[1] += len(names)
        here = {FAMILY[name] for name in names}
        pool = [
            example(other, where, name)
            for _, other, where, others in items
            for name in others
            if FAMILY[name] not in here
        ]
        for name in names:
            for wrong in chosen.sample(pool, args.swaps):
                told = doubted(args.binary, mixture, {**own, name: wrong})
                counts[2] += name in told
                counts[3] += 1
                counts[4] += len(told - {name})
                counts[5] += len(names) - 1
    totals["both"] = [sum(column) for column in zip(*totals.values())]
    for label, (a, n_a, b, n_b, c, n_c) in totals.items():
        print(f"| {label} | {a} of {n_a} | {b} of {n_b} | {c} of {n_c} |")


if __name__ == "__main__":
    main()
