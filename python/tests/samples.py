"""Where the bundled samples are."""

from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "samples"

SONG = SAMPLES / "drums-bass-guitar.wav"
