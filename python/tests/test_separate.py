"""Arrays in, stems out."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
from samples import SAMPLES, SONG

import partita

QUICK = {"n_sources": 2, "n_components": 6, "max_iter": 10}


def gap(stems, mixture):
    return np.abs(sum(stems.values()) - mixture).max() / np.abs(mixture).max()


def methods(song):
    """Every method, at its quickest."""
    marks = partita.Marks(["a", "b"], n_components=3).box("a", time=(0, 1), hz=(30, 300))
    alone = {name: SAMPLES / "drums-bass-guitar" / f"{name}.wav" for name in ["drums", "bass"]}
    return {
        "separate": lambda y, sr: partita.separate(y, sr, **QUICK),
        "hpss": lambda y, sr: partita.hpss(y, sr, margin=1.5),
        "drums": lambda y, sr: partita.drums(y, sr, max_iter=2),
        "denoise": lambda y, sr: partita.denoise(y, sr, content="any"),
        "by_examples": lambda y, sr: partita.by_examples(y, sr, examples=alone, max_iter=3, n_components=4),
        "by_score": lambda y, sr: partita.by_score(y, sr, score=SAMPLES / "drums-bass-guitar.mid"),
        "painted": lambda y, sr: partita.painted(y, sr, marks=marks, max_iter=5),
    }


@pytest.mark.parametrize("method", ["separate", "hpss", "drums", "denoise", "by_examples", "by_score", "painted"])
def test_stems_of_every_method_sum_to_the_mixture_and_have_its_form(method, song, stereo):
    for samples, sample_rate in [song, stereo]:
        parts = methods(song)[method](samples, sample_rate)
        assert len(parts) == len(parts.names) >= 2
        for name, stem in parts.items():
            assert stem.shape == samples.shape, name
            assert stem.dtype == samples.dtype, name
        assert gap(parts.stems, samples) < 1e-5, f"{method}: off by {gap(parts.stems, samples):e} of the peak"


def test_a_separation_is_a_mapping_of_names(song):
    parts = partita.separate(*song, **QUICK)
    assert list(parts) == parts.names == ["source-1", "source-2"]
    assert "source-2" in parts and "piano" not in parts
    assert parts["source-1"] is parts.stems["source-1"]
    with pytest.raises(KeyError):
        parts["piano"]
    assert repr(parts) == "<Separation of an array (2.0 s): source-1, source-2>"


def test_float64_comes_back_as_float64_with_the_same_values(song):
    samples, sample_rate = song
    single = partita.separate(samples, sample_rate, **QUICK)
    double = partita.separate(samples.astype(np.float64), sample_rate, **QUICK)
    for name in single:
        assert double[name].dtype == np.float64
        np.testing.assert_array_equal(double[name], single[name])


def test_strided_and_read_only_arrays_are_taken(song):
    samples, sample_rate = song
    strided = np.repeat(samples, 2)[::2]
    strided.flags.writeable = False
    expected = partita.hpss(samples, sample_rate)["harmonic"]
    np.testing.assert_array_equal(partita.hpss(strided, sample_rate)["harmonic"], expected)
    fortran = np.asfortranarray(np.stack([samples, samples]))
    np.testing.assert_allclose(partita.hpss(fortran, sample_rate)["harmonic"][1], expected, atol=1e-6)


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(song):
    found = []
    for n_threads in [1, 2, 3]:
        partita.set_num_threads(n_threads)
        assert partita.num_threads() == n_threads
        found.append(partita.separate(*song, **QUICK, seed=3)["source-1"])
    partita.set_num_threads()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert not np.array_equal(found[0], partita.separate(*song, **QUICK, seed=4)["source-1"])


def test_a_file_gives_what_its_samples_give():
    samples, sample_rate = partita.read(SONG, start=0.5, duration="1.5")
    of_file = partita.separate(SONG, start="0:00.5", duration=1.5, **QUICK)
    of_array = partita.separate(samples, sample_rate, **QUICK)
    for name in of_array:
        np.testing.assert_array_equal(of_file[name], of_array[name])
    np.testing.assert_array_equal(of_file.mixture, samples)


def test_masks_are_shares_of_every_bin(song):
    parts = partita.separate(*song, **QUICK)
    masks = parts.masks
    assert masks.shape == (2, parts.n_fft // 2 + 1, parts.n_frames)
    assert masks.min() >= 0
    np.testing.assert_allclose(masks.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(parts.mask(3, 7), masks[:, :, 3:7])


def test_components_are_those_of_the_stems(song):
    # With an exponent of 1, masks of components add up to those of their stems.
    parts = partita.separate(*song, **QUICK, mask_exponent=1.0)
    found = parts.components
    assert found.dictionary.shape == (parts.n_fft // 2 + 1, 6)
    assert found.activations.shape == (6, parts.n_frames)
    assert sorted(k for group in found.groups.values() for k in group) == list(range(6))
    assert list(found.groups) == parts.names
    assert found.n_iter == 10 and found.stop_reason == "iteration limit"
    assert partita.hpss(*song).components is None
    components = parts.render(components=True)
    for name, group in found.groups.items():
        total = sum(stem for k, stem in enumerate(components.values()) if k in group)
        np.testing.assert_allclose(total, parts[name], atol=1e-5)


def test_components_that_are_named_by_hand_make_the_stems(song):
    parts = partita.separate(*song, **QUICK, mask_exponent=1.0)
    named = parts.label({"low": [0, 1], "high": [2, 3, 4, 5]})
    assert named.names == ["low", "high"]
    components = list(parts.render(components=True).values())
    np.testing.assert_allclose(named["low"], components[0] + components[1], atol=1e-5)
    with pytest.raises(ValueError, match="`low` has component 6, expected 0 to 5"):
        parts.label({"low": [6]})


def test_only_some_stems_are_made(song):
    parts = partita.separate(*song, n_sources=3, n_components=6, max_iter=5)
    only = parts.render(["source-3"])
    assert list(only) == ["source-3"]
    np.testing.assert_array_equal(only["source-3"], parts["source-3"])
    two = parts.render(two_stems="source-1")
    assert list(two) == ["source-1", "no_source-1"]
    np.testing.assert_allclose(two["no_source-1"], parts["source-2"] + parts["source-3"], atol=1e-5)
    with pytest.raises(ValueError, match="there is no stem `piano`, expected one of `source-1`"):
        parts.render(["piano"])


def test_a_refit_goes_on_from_what_was_found(song):
    cold = partita.separate(*song, n_sources=2, n_components=6, max_iter=200, tol=0)
    warm = cold.refit(n_sources=3)
    assert warm.names == ["source-1", "source-2", "source-3"]
    assert warm.components.n_iter <= 8
    assert warm.components.divergence <= cold.components.divergence * (1 + 1e-6)
    assert cold.names == ["source-1", "source-2"], "the one before stays as it was"
    with pytest.raises(TypeError, match="partita.separate has no setting `n_stems`"):
        cold.refit(n_stems=2)


def test_a_refit_takes_over_what_was_learned_and_more_marks(song):
    marks = partita.Marks(["a", "b"], n_components=3).box("a", time=(0, 2), hz=(30, 200))
    parts = partita.painted(*song, marks=marks, max_iter=5)
    more = parts.refit(marks=marks.box("b", time=(0, 2), hz=(5000, 11_000)))
    frequencies = np.fft.rfftfreq(len(song[0]), 1 / song[1])
    high = frequencies > 5500
    share = [np.sum(np.abs(np.fft.rfft(of["b"]))[high] ** 2) for of in (more, parts)]
    assert share[0] >= share[1]
    alone = {name: SAMPLES / "drums-bass-guitar" / f"{name}.wav" for name in ["drums", "bass"]}
    known = partita.by_examples(*song, examples=alone, max_iter=3, n_components=4)
    harder = known.refit(mask_exponent=2.0)
    cold = partita.by_examples(*song, examples=alone, max_iter=3, n_components=4, mask_exponent=2.0)
    np.testing.assert_allclose(harder["drums"], cold["drums"], atol=2e-2)


def test_hits_of_drums_are_found_and_written(tmp_path):
    parts = partita.drums(SAMPLES / "kick-snare-hihat.wav")
    assert [hit.drum for hit in parts.hits].count("kick") >= 2
    assert all(0 <= hit.onset < parts.n_samples / parts.sample_rate and 0 < hit.level <= 1 for hit in parts.hits)
    parts.save(tmp_path, midi_out=True)
    assert (tmp_path / "drums.mid").read_bytes()[:4] == b"MThd"


def test_a_kit_of_recordings_takes_the_place_of_pieces():
    kick, rate = partita.read(SAMPLES / "kick-snare-hihat" / "kick.wav", duration=1.0)
    parts = partita.drums(
        SAMPLES / "kick-snare-hihat.wav", kit={"kick": (kick, rate), "thing": [kick]}, pieces="kick,snare", max_iter=2
    )
    assert parts.names == ["kick", "snare", "thing"]


def test_notes_of_a_score_can_be_given_as_numbers():
    tone = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050).astype(np.float32)
    low = np.sin(2 * np.pi * 130.8 * np.arange(22_050) / 22_050).astype(np.float32)
    score = {"flute": [(0.0, 1.0, 69, 80)], "bass": [(0.0, 1.0, 48, 80)]}
    parts = partita.by_score(tone + low, 22_050, score=score)
    assert parts.names == ["flute", "bass", "residual"]
    assert parts.notes["flute"] == [(0.0, 1.0, 69, 80)]
    middle = slice(4000, 18_000)
    assert np.std(parts["flute"][middle] - tone[middle]) < 0.3 * np.std(tone)


def test_sources_are_told_apart_by_where_they_stand():
    alone = {name: SAMPLES / "drums-bass-guitar" / f"{name}.wav" for name in ["drums", "bass"]}
    (drums, sample_rate), (bass, _) = (partita.read(path) for path in alone.values())
    images = {"drums": np.stack([0.9 * drums, 0.1 * drums]), "bass": np.stack([0.1 * bass, 0.9 * bass])}
    mixture = images["drums"] + images["bass"]

    def error(**how):
        parts = partita.by_examples(mixture, sample_rate, examples=alone, max_iter=5, n_components=4, **how)
        assert gap(parts.stems, mixture) < 1e-5
        return sum(((parts[name] - image) ** 2).sum() for name, image in images.items())

    assert error(pan={"drums": -0.8, "bass": 0.8}) < 0.5 * error(multichannel="mask")


def test_the_defaults_are_those_of_the_command_line():
    commands = {
        "separate": [partita.separate],
        "hpss": [partita.hpss],
        "drums": [partita.drums],
        "denoise": [partita.denoise],
    }
    spelled = {"n_residual": "residual", "n_semitones": "transpose", "n_components": "components"}
    for command, functions in commands.items():
        shown = subprocess.run(
            [sys.executable, "-m", "partita", command, "--help"], capture_output=True, text=True, check=True
        ).stdout
        helped = {}
        for option in re.split(r"\n\s+(?:-\w, )?--", shown):
            default = re.search(r"\[default:\s+([^\]\s;,]+)\]", option)
            if default:
                helped[option.split()[0]] = default.group(1)
        if command == "separate":
            functions = [partita.separate, partita.by_examples, partita.by_score]
        compared = 0
        for function in functions:
            for name, parameter in inspect.signature(function).parameters.items():
                flag = spelled.get(name, name).replace("_", "-")
                if flag in helped and parameter.default not in (None, inspect.Parameter.empty) and name != "pieces":
                    default = parameter.default
                    expected = helped[flag]
                    same = expected == default if isinstance(default, str) else float(expected) == float(default)
                    assert same, f"{function.__name__}: {name} is {default}, --{flag} {expected}"
                    compared += 1
        assert compared >= 3, f"{command}: only {compared} defaults were compared"


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda y, r: partita.separate((y * 32767).astype(np.int16), r), TypeError, r"int16.*(?s:.)*/ 32768.0"),
        (lambda y, r: partita.separate(y.astype(np.complex64), r), TypeError, "complex64"),
        (lambda y, r: partita.separate(y), TypeError, "an array without a sample rate"),
        (lambda y, r: partita.separate(np.stack([y, y]).T, r), ValueError, r"transpose it: recording.T"),
        (lambda y, r: partita.separate(y[None, None], r), ValueError, "3 axes"),
        (lambda y, r: partita.separate(y[:100], r), ValueError, r"100 samples, expected at least \d+(?s:.)*hint: give"),
        (
            lambda y, r: partita.separate(np.where(y > 0.1, np.nan, y), r),
            ValueError,
            "channel 1 has a sample that is NaN",
        ),
        (lambda y, r: partita.separate(y, r, n_sources=0), ValueError, "`n_sources` is 0, expected at least 1"),
        (lambda y, r: partita.separate(y, r, n_sources=50), ValueError, r"hint: use `n_components=200`, or more"),
        (lambda y, r: partita.separate(y, r, n_components=2.5), TypeError, "`n_components` is 2.5, expected a whole"),
        (lambda y, r: partita.separate(y, r, window="hat"), ValueError, "`window` is `hat`, expected one of `hann`"),
        (lambda y, r: partita.separate(y, r, divergence="x"), ValueError, r'hint: use `divergence="kl"`'),
        (lambda y, r: partita.separate(y, r, multichannel="x"), ValueError, "expected `pan`, `wiener` or `mask`"),
        (lambda y, r: partita.separate(y, r, pan=0.5), ValueError, r'`pan` is 0.5(?s:.)*hint: give pan={"guitar": -0.6}'),
        (lambda y, r: partita.separate(y, r, pan={"a": "left"}), TypeError, "`pan` is 'left'"),
        (lambda y, r: partita.separate(y, r, pan={"a": 0}, multichannel="mask"), ValueError, "leave `multichannel` out"),
        (lambda y, r: partita.separate([y, y], r, pan={"a": 2}), ValueError, "."),
        (lambda y, r: partita.separate(y, r, start=1.0), ValueError, "`start` is for files"),
        (lambda y, r: partita.separate(y, r, progress=3), TypeError, "`progress` is 3"),
        (lambda y, r: partita.separate(SONG, r), ValueError, "which has its own"),
        (lambda y, r: partita.separate(SONG, start="x"), ValueError, r"expected seconds or \[h:\]m:s"),
        (lambda y, r: partita.separate(SONG, start=-1), ValueError, "`start` is -1"),
        (lambda y, r: partita.separate("no such file.wav"), FileNotFoundError, "no such file.wav"),
        (lambda y, r: partita.separate(__file__), ValueError, r"is not a recording: it holds text(?s:.)*hint"),
        (lambda y, r: partita.drums(y, r, pieces=["gong"]), ValueError, "`pieces` has `gong`, expected some of `kick`"),
        (lambda y, r: partita.drums(y, r, kit_only=True), ValueError, "`kit_only` is set without a `kit`"),
        (lambda y, r: partita.drums(y, r, song="maybe"), ValueError, "`song` is `maybe`"),
        (lambda y, r: partita.denoise(y, r, noise_range=(5, 6)), ValueError, "the noise range is 5 to 6 s"),
        (lambda y, r: partita.denoise(y, r, noise_range=3), ValueError, r"`noise_range` is 3, expected \(from, to\)"),
        (lambda y, r: partita.by_examples(y, r), ValueError, "there is no example"),
        (lambda y, r: partita.by_examples(y, r, examples=[1]), (TypeError, ValueError), "."),
        (lambda y, r: partita.by_examples(y, r, examples={"a": 0 * y}), ValueError, "cannot learn `a` from `an array`"),
        (lambda y, r: partita.by_score(y, r, score={"a": [(0, 1, 200, 1)]}), ValueError, r"a note is \(onset"),
        (lambda y, r: partita.by_score(y, r, score={"a": []}), ValueError, "."),
        (lambda y, r: partita.by_score(y, r, score=3), TypeError, "expected a MIDI file or a mapping"),
        (lambda y, r: partita.painted(y, r, marks={}), TypeError, "make them with partita.Marks"),
        (lambda y, r: partita.painted(y, r, marks=partita.Marks(["a/b"])), ValueError, "which no file can have"),
        (lambda y, r: partita.Marks(["a"]).box("b", time=(0, 1), hz=(1, 2)), ValueError, "there is no source `b`"),
        (lambda y, r: partita.Marks(["a"]).box("a", time=1, hz=(1, 2)), ValueError, r"expected \(from, to\)"),
        (lambda y, r: partita.set_num_threads(0), ValueError, "`n` is 0"),
    ],
)
def test_what_cannot_be_is_refused_with_advice(call, kind, message, song):
    with pytest.raises(kind, match=message):
        call(*song)


def test_silence_is_separated_into_silence_with_a_warning():
    parts = partita.separate(np.zeros(20_000), 22_050, n_sources=2)
    assert parts.warnings == ["the recording is silent, and so are its stems"]
    assert not any(stem.any() for stem in parts.values())


def test_marks_can_be_saved_and_compared(tmp_path):
    marks = partita.Marks({"a": 4, "b": 2}).brush("a", [(0, 200), (1, 220)]).harmonic("b", [(0, 100)], effect="is_not")
    marks.alone("a", time=(1, 2))
    marks.save(tmp_path / "marks.json")
    assert partita.Marks.load(tmp_path / "marks.json") == marks
    assert repr(marks) == "Marks(['a', 'b'], 2 strokes, 1 range)"
    copy = marks.copy()
    copy.alone("b", time=(3, 4))
    assert copy != marks
