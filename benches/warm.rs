//! A second fit that goes on from the first: how long it takes until a change is heard, as a share of the first time. Four
//! minutes of stereo at 44.1 kHz, made here: two instruments and a drum that play a score.
//!
//! `cargo bench --bench warm`

use std::f32::consts::TAU;
use std::time::Instant;

use ndarray::Array2;
use partita::knowledge::score::{Class, Note, Part, Score};
use partita::separate::blind::{self, BlindConfig};
use partita::separate::drums::{self, DrumsConfig};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{Analysis, AnalysisConfig, Example, Separation, Stems};
use partita::watch::Watch;
use partita::{Audio, DictionaryConfig, Result, StftOptions};

const RATE: u32 = 44_100;
const SECONDS: usize = 240;

fn main() -> Result<()> {
    let score = score();
    let song = play(&score);
    println!("{SECONDS} s of stereo; seconds until one second of all stems is there");
    println!("{:<10} {:>10} {:>10} {:>8}", "", "first", "second", "ratio");

    let config = AnalysisConfig::default();
    let known: Vec<_> = score.parts.iter().map(|part| (part.name.clone(), solo(part))).collect();
    let example = |i: usize| Example { name: &known[i].0, label: &known[i].0, recording: &known[i].1 };
    let learn = |examples: &[Example<'_>]| {
        let (stft, settings) = (StftOptions::default(), DictionaryConfig::default());
        examples::learn(examples, RATE, &stft, &settings, &mut Watch::none()).map(ExamplesConfig::new)
    };
    // Four parts more or less, one example more, a wrong note less: the change that is to be heard.
    let blinds = [8, 4].map(|n| BlindConfig { n_sources: Some(n), ..BlindConfig::default() });
    measure("blind", &song, &config, |analysis, is_second, previous, watch| {
        blind::fit(analysis, &blinds[usize::from(is_second)], previous, watch)
    })?;
    let dictionaries = [learn(&[example(0), example(1)])?, learn(&[example(0), example(1), example(2)])?];
    measure("examples", &song, &config, |analysis, is_second, previous, watch| {
        examples::fit(analysis, &dictionaries[usize::from(is_second)], previous, watch)
    })?;
    let mut wrong = score.clone();
    wrong.parts[1].notes.iter_mut().step_by(7).for_each(|note| note.pitch += 1);
    let scores = [ScoreConfig::new(wrong), ScoreConfig::new(score.clone())];
    measure("score", &song, &config, |analysis, is_second, previous, watch| {
        score::fit(analysis, &scores[usize::from(is_second)], previous, watch)
    })?;
    let kits = [2.0, 1.5].map(|mask_exponent| DrumsConfig { mask_exponent, ..DrumsConfig::default() });
    measure("drums", &song, &AnalysisConfig::drums(), |analysis, is_second, previous, watch| {
        drums::fit(analysis, &kits[usize::from(is_second)], previous, watch)
    })?;
    Ok(())
}

/// The first time: analysis, fit, one second of stems. The second: fit, one second of stems.
fn measure(
    name: &str,
    song: &Audio,
    config: &AnalysisConfig,
    fit: impl Fn(&Analysis, bool, Option<&Separation>, &mut Watch<'_>) -> Result<Separation>,
) -> Result<()> {
    let watch = &mut Watch::none();
    let hear = |parts: &Separation| {
        let start = RATE as usize * SECONDS / 2;
        parts.render_range(song, &Stems::All, start..start + RATE as usize, &mut |_| Ok(()))
    };
    let began = Instant::now();
    let analysis = Analysis::of(song, config, watch)?;
    let first = fit(&analysis, false, None, watch)?;
    hear(&first)?;
    let first_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    hear(&fit(&analysis, true, Some(&first), watch)?)?;
    let second_s = began.elapsed().as_secs_f64();
    println!("{name:<10} {first_s:>10.2} {second_s:>10.2} {:>8.3}", second_s / first_s);
    Ok(())
}

/// A melody, chords below it, and a drum.
fn score() -> Score {
    let note =
        |onset_s: f64, length_s: f64, pitch: u8| Note { onset_s, offset_s: onset_s + length_s, pitch, velocity: 90 };
    let beats = |step_s: f64| (0..((SECONDS - 1) as f64 / step_s) as usize).map(move |i| (i, i as f64 * step_s));
    let melody = beats(0.5).map(|(i, at)| note(at, 0.5, 67 + (i * 5 % 12) as u8)).collect();
    let chords = beats(2.0).flat_map(|(i, at)| [0, 4, 7].map(|k| note(at, 2.0, 48 + (i * 5 % 7) as u8 + k))).collect();
    let hits = beats(0.5).map(|(_, at)| note(at, 0.1, 36)).collect();
    let tones = |name: &str, class, notes| Part { class, is_drum: false, ..Part::drum(name, notes) };
    let parts = vec![
        tones("melody", Class::Sustained, melody),
        tones("chords", Class::Struck, chords),
        Part::drum("kick", hits),
    ];
    Score { parts, ..Score::default() }
}

/// The samples of a note, `2 x n`, added to those that are there.
fn add(samples: &mut Array2<f32>, part: usize, note: &Note) {
    let (start, end) = ((note.onset_s * f64::from(RATE)) as usize, (note.offset_s * f64::from(RATE)) as usize);
    let hz = 440.0 * 2f32.powf((f32::from(note.pitch) - 69.0) / 12.0);
    let pan = [0.3, 0.6, 0.5][part];
    for i in start..end.min(samples.ncols()) {
        let t = (i - start) as f32 / RATE as f32;
        let x = match part {
            0 => (1..8).map(|h| (TAU * hz * h as f32 * t).sin() / h as f32).sum::<f32>() * 0.1,
            1 => (1..6).map(|h| (TAU * hz * h as f32 * t).sin() / (h * h) as f32).sum::<f32>() * 0.1 * (-2.0 * t).exp(),
            _ => (TAU * 60.0 * t).sin() * 0.5 * (-25.0 * t).exp(),
        };
        samples[(0, i)] += (1.0 - pan) * x;
        samples[(1, i)] += pan * x;
    }
}

fn play(score: &Score) -> Audio {
    // A bed of noise, 40 dB below.
    let mut state = 1u32;
    let mut samples = Array2::from_shape_simple_fn((2, SECONDS * RATE as usize), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 0.005
    });
    for (i, part) in score.parts.iter().enumerate() {
        part.notes.iter().for_each(|note| add(&mut samples, i, note));
    }
    Audio::new(samples, RATE).expect("finite samples")
}

/// Ten seconds of a part alone.
fn solo(part: &Part) -> Audio {
    let i = ["melody", "chords", "kick"].iter().position(|name| *name == part.name).unwrap_or(0);
    let mut samples = Array2::zeros((2, 10 * RATE as usize));
    part.notes.iter().filter(|note| note.offset_s < 10.0).for_each(|note| add(&mut samples, i, note));
    Audio::new(samples, RATE).expect("finite samples")
}
