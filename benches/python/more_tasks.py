"""Three tasks that SCORE.PY does not have, scored by its own functions: SDR in dB of every stem.

    more_tasks.py SCORE.PY --binary target/release/partita --set DATA/dev --set DATA/dev2 --task both

Tasks, and the command each one runs on an item:
  both     separate mixture.wav --score score.mid --example NAME=... for every stem that has one
  pieces   drums mixture.wav --pieces NAME,...           the kits of other pieces than kick, snare and hi-hat
  songs    drums mixture.wav                             where other instruments play: the sum of all pieces against the drums
"""
import argparse
import pathlib
import subprocess
import tempfile

import numpy as np
import soundfile as sf
from items import items_of, load


def arguments(score, task, item, folder, names):
    """The command line without its outputs; None where the task says nothing of this item."""
    mixture = str(folder / item["mixture"])
    if task == "both":
        found = score.arguments("score", item, folder, names)
        examples = {name: score.example(item, folder, name) for name in names}
        return found and found + [
            part for name, path in examples.items() if path.exists() for part in ("--example", f"{name}={path}")
        ]
    if task == "pieces":
        other_kit = item["kind"] == "drums" and set(names) != {"kick", "snare", "hihat"}
        return ["drums", mixture, "--pieces", ",".join(names)] if other_kit else None
    return ["drums", mixture] if score.drum_stems(item) else None


def scored(score, args, item, folder, names):
    command = arguments(score, args.task, item, folder, names)
    if not command:
        return None
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([args.binary, *command, "-o", out, "--float32", "-q", *args.extra], check=True)
        stems = {path.stem: sf.read(path, always_2d=True)[0] for path in pathlib.Path(out).glob("*/*.wav")}
    mixture = sf.read(folder / item["mixture"], always_2d=True)[0]
    references = {name: sf.read(score.file_of(item, folder, name), always_2d=True)[0] for name in names}
    if args.task == "songs":
        drums = sum(references[name] for name in score.drum_stems(item))
        references = {"drums": drums, "rest": mixture - drums}
        rest = stems.get("residual", np.zeros_like(mixture))
        stems = {"drums": mixture - rest, "rest": rest}
    if "drums" in references and "drums" not in stems:
        pieces = [stem for name, stem in stems.items() if name not in references and name != "residual"]
        stems["drums"] = sum(pieces)
    sdr = score.bss(np.stack(list(references.values())), np.stack([stems[name] for name in references]))[0]
    found = {name: round(float(value), 2) for name, value in zip(references, sdr)}
    return {"drums": found["drums"]} if args.task == "songs" else found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("score", metavar="SCORE.PY", type=pathlib.Path)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--set", action="append", type=pathlib.Path, required=True)
    parser.add_argument("--task", choices=["both", "pieces", "songs"], required=True)
    parser.add_argument("extra", nargs="*", help="further options for partita, after --")
    args = parser.parse_args()
    score = load(args.score)
    for folder in args.set:
        kinds = {}
        for item, where, names in items_of(folder):
            stems = scored(score, args, item, where, names)
            if stems:
                mean = sum(stems.values()) / len(stems)
                kinds.setdefault(item["kind"], []).append(mean)
                print(f"{item['id']:28}{mean:8.2f}  {stems}", flush=True)
        for kind, means in kinds.items():
            print(f"{folder.name}, {kind} ({len(means)}): {sum(means) / len(means):.2f}", flush=True)


if __name__ == "__main__":
    main()
