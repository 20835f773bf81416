//! Harmonic and percussive sound: tones and clicks are told apart, and nothing is lost.

mod common;

use std::f32::consts::TAU;

use common::{analyze_and_fit, assert_sum, partita, sample, si_sdr, stderr, stems_of};
use ndarray::{Array2, ArrayView1};
use partita::audio::decode;
use partita::separate::hpss::{HpssConfig, fit};
use partita::separate::{AnalysisConfig, Detail, Stems};
use partita::watch::Watch;
use partita::{Audio, Error, Result, Separation};

/// A chord that lasts.
fn chord(i: usize, sample_rate: u32) -> f32 {
    [220.0, 277.2, 329.6, 1318.5].iter().map(|hz| 0.1 * (TAU * hz * i as f32 / sample_rate as f32).sin()).sum()
}

/// A click of two milliseconds every third of a second.
fn click(i: usize, sample_rate: u32) -> f32 {
    let at = (i + sample_rate as usize / 6) % (sample_rate as usize / 3);
    if at < sample_rate as usize / 500 { if at.is_multiple_of(2) { 0.8 } else { -0.4 } } else { 0.0 }
}

fn mixture(n_samples: usize, sample_rate: u32, n_channels: usize) -> Audio {
    let samples = Array2::from_shape_fn((n_channels, n_samples), |(channel, i)| {
        chord(i, sample_rate) / (1.0 + channel as f32) + click(i, sample_rate)
    });
    Audio::new(samples, sample_rate).expect("audio")
}

/// An outline of the recording is enough.
fn try_to_separate(audio: &Audio, config: &HpssConfig) -> Result<Separation> {
    let outline = AnalysisConfig { detail: Detail::Outline, ..AnalysisConfig::default() };
    analyze_and_fit(audio, &outline, fit, config)
}

fn separate(audio: &Audio, config: &HpssConfig) -> Separation {
    try_to_separate(audio, config).expect("separation")
}

#[test]
fn a_chord_and_clicks_are_told_apart() {
    for (sample_rate, n_channels) in [(8000, 1), (16_000, 2), (44_100, 1), (48_000, 6), (96_000, 2)] {
        let audio = mixture(2 * sample_rate as usize, sample_rate, n_channels);
        let audio = audio.with_channel_mask((n_channels == 6).then_some(0x3f));
        let parts = separate(&audio, &HpssConfig::default());
        assert_eq!(parts.names(), ["harmonic", "percussive"]);
        let stems = stems_of(&parts, &audio);
        assert_sum(&audio, &stems, &format!("{sample_rate} Hz"));
        assert!(stems.iter().all(|stem| stem.channel_mask() == audio.channel_mask()));
        let n_samples = audio.n_samples();
        let chord: Vec<_> = (0..n_samples).map(|i| chord(i, sample_rate)).collect();
        let clicks: Vec<_> = (0..n_samples).map(|i| click(i, sample_rate)).collect();
        let scores = [&chord, &clicks].map(|reference| ArrayView1::from(&reference[..]));
        let harmonic = si_sdr(scores[0], stems[0].channel(0));
        let percussive = si_sdr(scores[1], stems[1].channel(0));
        assert!(harmonic > 14.0 && percussive > 8.0, "{sample_rate} Hz: {harmonic:.1} and {percussive:.1} dB");
    }
}

#[test]
fn a_margin_leaves_a_residual_and_makes_both_kinds_purer() {
    let mut audio = mixture(44_100, 22_050, 1).samples().to_owned();
    // Noise is neither.
    let mut state = 1u32;
    audio.iter_mut().for_each(|x| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *x += 0.1 * ((state >> 8) as f32 / 8_388_608.0 - 1.0);
    });
    let audio = Audio::new(audio, 22_050).expect("audio");
    let chord: Vec<_> = (0..44_100).map(|i| chord(i, 22_050)).collect();
    let purity = |margin| {
        let parts = separate(&audio, &HpssConfig { margin, ..HpssConfig::default() });
        let stems = stems_of(&parts, &audio);
        assert_sum(&audio, &stems, &format!("margin {margin}"));
        (parts.names().to_vec(), si_sdr(ArrayView1::from(&chord), stems[0].channel(0)))
    };
    let (plain, strict) = (purity(1.0), purity(3.0));
    assert_eq!(strict.0, ["harmonic", "percussive", "residual"]);
    assert!(strict.1 > plain.1 + 1.0, "{:.1} dB, with a margin {:.1} dB", plain.1, strict.1);
}

#[test]
fn any_length_is_kept() {
    // One window, one sample more, and what fills no block.
    for n_samples in [1024, 1025, 8000, 20_001] {
        let audio = mixture(n_samples, 8000, 2);
        for margin in [1.0, 2.0] {
            let parts = separate(&audio, &HpssConfig { margin, ..HpssConfig::default() });
            assert_sum(&audio, &stems_of(&parts, &audio), &format!("{n_samples} samples"));
        }
    }
}

#[test]
fn two_stems_are_the_one_and_all_others() {
    let audio = mixture(16_000, 8000, 1);
    let parts = separate(&audio, &HpssConfig { margin: 2.0, ..HpssConfig::default() });
    let stems = Stems::Two("percussive".into());
    assert_eq!(parts.stem_names(&stems).expect("names"), ["percussive", "no_percussive"]);
    let mut sum: Vec<f32> = Vec::new();
    let rendered = parts.render(&audio, &stems, &mut Watch::none(), &mut |blocks| {
        sum.extend((&blocks[0] + &blocks[1]).row(0));
        Ok(())
    });
    assert_eq!(rendered.expect("rendered").n_samples, 16_000);
    let worst = sum.iter().zip(audio.channel(0)).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(sum.len() == 16_000 && worst < 1e-5, "{} samples, {worst}", sum.len());
}

#[test]
fn what_gives_nothing_is_refused() {
    let audio = mixture(16_000, 8000, 1);
    let error = |audio: &Audio, config: &HpssConfig| try_to_separate(audio, config).expect_err("refused");
    let none = HpssConfig::default;
    for (config, setting) in [
        (HpssConfig { margin: 0.5, ..none() }, "margin"),
        (HpssConfig { margin: f32::NAN, ..none() }, "margin"),
        (HpssConfig { harmonic_s: 0.0, ..none() }, "harmonic_s"),
        (HpssConfig { harmonic_s: 11.0, ..none() }, "harmonic_s"),
        (HpssConfig { percussive_hz: f64::INFINITY, ..none() }, "percussive_hz"),
        (HpssConfig { mask_exponent: -1.0, ..none() }, "mask_exponent"),
    ] {
        match error(&audio, &config) {
            Error::Setting { name, .. } => assert_eq!(name, setting),
            other => panic!("{setting}: {other}"),
        }
    }
    let silence = |n| Audio::new(Array2::zeros((1, n)), 8000).expect("audio");
    assert!(matches!(error(&silence(100), &none()), Error::TooShort { .. }));
}

#[test]
fn the_bundled_song_scores_as_recorded() {
    let read = |name: &str| decode::read(&sample(name)).expect(name);
    let audio = read("drums-bass-guitar.wav");
    let stems = stems_of(&separate(&audio, &HpssConfig::default()), &audio);
    let score = si_sdr(read("drums-bass-guitar/drums.wav").channel(0), stems[1].channel(0));
    const RECORDED: f64 = 1.74;
    assert!((score - RECORDED).abs() < 0.1, "{score:.2} dB, recorded {RECORDED}");
}

#[test]
fn the_program_writes_what_it_found() {
    let folder = tempfile::tempdir().expect("folder");
    let song = sample("drums-bass-guitar.wav");
    let run = |args: &[&str]| {
        let output = partita(folder.path(), &[&["hpss", song.to_str().expect("UTF-8")], args].concat());
        (output.status.code(), stderr(&output))
    };
    for (args, names) in [
        (&["-o", "two"][..], &["harmonic", "percussive"][..]),
        (&["-o", "three", "--margin", "2"], &["harmonic", "percussive", "residual"]),
    ] {
        let (code, message) = run(args);
        assert_eq!(code, Some(0), "{message}");
        let folder = folder.path().join(args[1]).join("drums-bass-guitar");
        let stems: Vec<_> =
            names.iter().map(|name| decode::read(&folder.join(format!("{name}.wav"))).expect(name)).collect();
        assert_sum(&decode::read(&song).expect("song"), &stems, args[1]);
        assert_eq!(folder.read_dir().expect("folder").count(), names.len());
    }
    let (code, message) = run(&["--margin", "0.5"]);
    assert!(code == Some(2) && message.contains("`--margin` is 0.5, expected at least 1"), "{message}");
}
