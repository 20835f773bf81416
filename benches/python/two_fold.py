#!/usr/bin/env python3
"""A check against tuning: settings chosen on half of the items, shown on the other half, both ways.

    two_fold.py SCORE.PY --binary partita --set DATA/dev --set DATA/dev2 --task hpss \\
        --setting= --setting="--harmonic-s 0.3" ... [--kind music-stems ...] [--figure sdri]

The items of all sets are put into halves in turn, sorted by kind and name; an item that is scored without each of its parts in turn
(`--task partial`) counts with their mean. `--setting=` is the program as it is. Told are the mean of each setting on each half, which
setting each half would choose, and what that gives on the other half beside the defaults.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile


def scored(args, setting):
    rows = {}
    for folder in args.set:
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            command = [sys.executable, args.score, "--binary", args.binary, "--set", folder, "--task", args.task, "--json", out.name]
            for kind in args.kind:
                command += ["--kind", kind]
            subprocess.run([*command, "--", *setting.split()], stdout=subprocess.DEVNULL, check=True)
            for row in json.load(open(out.name)):
                rows.setdefault((folder.name, row["id"].split(" without ")[0]), []).append(row[args.figure])
    return {item: statistics.mean(figures) for item, figures in rows.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("score", metavar="SCORE.PY")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--set", action="append", type=pathlib.Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--setting", action="append", required=True)
    parser.add_argument("--kind", action="append", default=[])
    parser.add_argument("--figure", default="sdr")
    args = parser.parse_args()
    kinds = {
        (folder.name, item["id"]): item["kind"]
        for folder in args.set
        for item in json.loads((folder / "manifest.json").read_text())["items"]
    }
    found = {setting: scored(args, setting) for setting in args.setting}
    items = sorted(set.intersection(*(set(rows) for rows in found.values())), key=lambda item: (kinds[item], item))
    halves = [items[::2], items[1::2]]
    mean = lambda setting, half: sum(found[setting][item] for item in half) / len(half)
    print(f"{args.task}: {len(halves[0])} and {len(halves[1])} items, mean {args.figure} in dB")
    for setting in args.setting:
        print(f"  {setting or 'defaults':40}" + "".join(f"{mean(setting, half):8.2f}" for half in halves))
    for half, other in [halves, halves[::-1]]:
        best = max(args.setting, key=lambda setting: mean(setting, half))
        print(f"  chosen: {best or 'defaults':32}{mean(best, half):8.2f} here,{mean(best, other):8.2f} on the others (defaults {mean('', other):.2f})")


if __name__ == "__main__":
    main()
