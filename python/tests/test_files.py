"""Files in and out, and recordings that are never held in memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from samples import SAMPLES, SONG

import partita

QUICK = {"n_sources": 2, "n_components": 6, "max_iter": 10}


def test_what_is_written_is_read(tmp_path, stereo):
    samples, sample_rate = stereo
    for ending in ["wav", "flac"]:
        path = tmp_path / f"a.{ending}"
        partita.write(path, samples, sample_rate)
        read, rate = partita.read(path)
        assert (read.shape, read.dtype, rate) == (samples.shape, np.float32, sample_rate)
        np.testing.assert_allclose(read, samples, atol=0 if ending == "wav" else 2**-23)
    with pytest.raises(FileExistsError, match="exists already"):
        partita.write(tmp_path / "a.wav", samples, sample_rate)
    partita.write(tmp_path / "a.wav", samples[0], sample_rate, sample_format="int16", force=True)
    read, _ = partita.read(tmp_path / "a.wav", start=0.5, duration=0.2)
    assert read.shape == (round(0.2 * sample_rate),)
    first = round(0.5 * sample_rate)
    np.testing.assert_allclose(read, samples[0, first : first + read.size], atol=2**-14)


def test_stems_are_saved_as_they_are(tmp_path, stereo):
    parts = partita.separate(*stereo, **QUICK)
    saved = parts.save(tmp_path / "out", components_out=True)
    assert [(stem.name, stem.path) for stem in saved] == [
        (name, tmp_path / "out" / f"{name}.wav") for name in parts.names
    ]
    for stem in saved:
        np.testing.assert_array_equal(partita.read(stem.path)[0], parts[stem.name])
        energy = np.sum(parts[stem.name].astype(np.float64) ** 2) / np.sum(stereo[0].astype(np.float64) ** 2)
        assert stem.energy_share == pytest.approx(energy, rel=1e-3)
        assert (stem.gain, stem.n_clamped) == (1.0, 0)
    assert len(list((tmp_path / "out" / "components").iterdir())) == 6
    with pytest.raises(FileExistsError):
        parts.save(tmp_path / "out")


def test_what_and_how_is_saved_can_be_chosen(tmp_path):
    parts = partita.separate(SONG, duration=2, **QUICK)
    parts.save(tmp_path, filename="{track}_{stem}.{ext}", file_format="flac", sample_format="int16", stem="source-2")
    parts.save(tmp_path, two_stems="source-1")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["drums-bass-guitar_source-2.flac", "no_source-1.wav", "source-1.wav"]
    for wrong, message in [
        ({"filename": "{name}.wav"}, "expected {track}, {stem} and {ext}"),
        ({"filename": "a.wav"}, "one file for several stems"),
        ({"stem": "a", "two_stems": "b"}, "expected one of them"),
        ({"midi_out": True}, "there are no notes to write"),
        ({"sample_format": "int8"}, "`sample_format` is `int8`, expected one of `int16`"),
        ({"file_format": "mp3"}, "`file_format` is `mp3`, expected one of `wav`, `flac`"),
        ({"file_format": "flac", "sample_format": "float32"}, 'hint: use `sample_format="int24"`'),
    ]:
        with pytest.raises(ValueError, match=message.replace("{", r"\{")):
            parts.save(tmp_path / "wrong", **wrong)
    assert not (tmp_path / "wrong").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux tells it")
def test_a_recording_longer_than_memory_is_separated_into_files(tmp_path):
    samples, sample_rate = partita.read(SONG)
    n_repeats = 60 * 5 * sample_rate // samples.size
    partita.write(tmp_path / "long.wav", np.tile(samples, n_repeats), sample_rate, sample_format="int16")
    # In a process of its own, whose largest size is that of this work.
    code = f"""
        import resource, partita
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        quick = dict(n_sources=2, n_components=4, max_iter=5, max_frames=256)
        parts = partita.separate({str(tmp_path / "long.wav")!r}, **quick)
        saved = parts.save({str(tmp_path / "out")!r}, sample_format="int16")
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, len(saved))
    """
    printed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    ).stdout.split()
    used_mb, n_saved = map(int, printed)
    of_all_mb = 3 * 4 * n_repeats * samples.size / 2**20
    assert n_saved == 2
    assert used_mb < of_all_mb / 2, f"{used_mb} MB for what is {of_all_mb:.0f} MB as samples"


def test_notes_of_a_score_are_saved(tmp_path):
    parts = partita.by_score(SONG, score=SAMPLES / "drums-bass-guitar.mid", duration=3)
    parts.save(tmp_path, midi_out=True, stem="bass")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bass.wav", "notes.mid"]
    again = partita.by_score(SONG, score=tmp_path / "notes.mid", duration=3)
    assert again.names == parts.names
    assert {name: len(notes) for name, notes in again.notes.items()} == {
        name: len(notes) for name, notes in parts.notes.items()
    }
