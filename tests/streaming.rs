//! A recording that is too long to be kept is separated in blocks: nobody hears where one ends.

mod common;

use std::fs;

use common::{analyze_and_fit, assert_sum, sample, stems_of};
use ndarray::{Array2, Axis};
use partita::audio::decode;
use partita::audio::resample::resample;
use partita::separate::blind::{self, BlindConfig};
use partita::separate::denoise::{self, Content, DenoiseConfig, Noise, NoiseProfile};
use partita::separate::drums::{self, DrumsConfig};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{Analysis, AnalysisConfig, Example};
use partita::stft::window::Window;
use partita::watch::Watch;
use partita::{Audio, DictionaryConfig, Score, Separation, StftOptions};

const SAMPLE_RATE: u32 = 16_000;
const N_SAMPLES: usize = 40 * SAMPLE_RATE as usize;

/// Samples of a loop: no multiple of a block, so that blocks end everywhere in it.
const PERIOD: usize = 2 * SAMPLE_RATE as usize + 4567;

/// Frames that are kept of the 2,500: one in twenty.
const MAX_FRAMES: usize = 128;

const N_FFT: usize = 1024;

const FEW: StftOptions = StftOptions { n_fft: Some(N_FFT), hop_length: Some(N_FFT / 4), window: Window::Hann };

/// Samples of a block of 64 frames.
const BLOCK: usize = 64 * N_FFT / 4;

/// The start of a sample, mono, again and again.
fn looped(name: &str) -> Vec<f32> {
    let audio = resample(&decode::read(&sample(name)).expect(name), SAMPLE_RATE).expect("another rate");
    let mono = audio.samples().mean_axis(Axis(0)).expect("channels");
    (0..N_SAMPLES).map(|i| mono[i % PERIOD]).collect()
}

fn audio(samples: &[f32]) -> Audio {
    let samples = Array2::from_shape_vec((1, samples.len()), samples.to_vec()).expect("one row");
    Audio::new(samples, SAMPLE_RATE).expect("audio")
}

/// Of which few frames are kept.
fn config() -> AnalysisConfig {
    AnalysisConfig { stft: FEW, max_frames: MAX_FRAMES, ..AnalysisConfig::default() }
}

/// What a stem has too much or too little has no more energy where blocks meet than elsewhere.
fn assert_no_seams(what: &str, mixture: &Audio, separation: &Separation, references: &[(&str, &[f32])]) {
    let stems = stems_of(separation, mixture);
    assert_sum(mixture, &stems, what);
    let near = N_FFT / 2;
    for (name, reference) in references {
        let stem = separation.names().iter().position(|own| own == name).expect("a stem of that name");
        let (mut at_borders, mut elsewhere) = ((0.0, 0), (0.0, 0));
        // The first and the last block are unlike the others.
        for (i, (x, y)) in stems[stem].channel(0).iter().zip(*reference).enumerate().take(N_SAMPLES - BLOCK).skip(BLOCK)
        {
            let is_border = (i + near) % BLOCK < 2 * near;
            let (energy, n) = if is_border { &mut at_borders } else { &mut elsewhere };
            *energy += f64::from(x - y).powi(2);
            *n += 1;
        }
        let ratio = at_borders.0 / f64::from(at_borders.1) / (elsewhere.0 / f64::from(elsewhere.1));
        println!("{what}, {name}: error at borders {ratio:.3} of that elsewhere");
        assert!(ratio < 1.25, "{what}, {name}: {ratio:.2} times the error elsewhere");
    }
}

/// The bundled song: the mixture, its drums, and the rest.
fn song() -> (Audio, Vec<f32>, Vec<f32>) {
    let [drums, bass, guitar] =
        ["drums", "bass", "guitar"].map(|name| looped(&format!("drums-bass-guitar/{name}.wav")));
    let rest: Vec<_> = bass.iter().zip(&guitar).map(|(a, b)| a + b).collect();
    let mixture: Vec<_> = drums.iter().zip(&rest).map(|(a, b)| a + b).collect();
    (audio(&mixture), drums, rest)
}

#[test]
fn medians_reach_across_blocks() {
    let (mixture, drums, rest) = song();
    let parts = analyze_and_fit(&mixture, &config(), hpss::fit, &HpssConfig::default()).expect("separation");
    assert_no_seams("hpss", &mixture, &parts, &[("percussive", &drums), ("harmonic", &rest)]);
}

#[test]
fn templates_from_examples_reach_across_blocks() {
    let (mixture, drums, rest) = song();
    let (a, b) = (audio(&drums[..4 * SAMPLE_RATE as usize]), audio(&rest[..4 * SAMPLE_RATE as usize]));
    let known = [
        Example { name: "drums", label: "drums", recording: &a },
        Example { name: "rest", label: "rest", recording: &b },
    ];
    let learning = DictionaryConfig { n_components: 16, ..DictionaryConfig::default() };
    let dictionary = examples::learn(&known, SAMPLE_RATE, &FEW, &learning, &mut Watch::none()).expect("dictionary");
    let parts = analyze_and_fit(&mixture, &config(), examples::fit, &ExamplesConfig::new(dictionary));
    let parts = parts.expect("separation");
    assert_no_seams("examples", &mixture, &parts, &[("drums", &drums), ("rest", &rest)]);
}

#[test]
fn hits_reach_across_blocks() {
    let tracks = ["kick", "snare", "hihat"].map(|name| looped(&format!("kick-snare-hihat/{name}.wav")));
    let mixture: Vec<_> = (0..N_SAMPLES).map(|i| tracks.iter().map(|track| track[i]).sum()).collect();
    let mixture = audio(&mixture);
    let parts = analyze_and_fit(&mixture, &config(), drums::fit, &DrumsConfig::default()).expect("separation");
    let references: Vec<_> = ["kick", "snare", "hihat"].into_iter().zip(tracks.iter().map(Vec::as_slice)).collect();
    assert_no_seams("drums", &mixture, &parts, &references);
}

#[test]
fn notes_reach_across_blocks() {
    let (mixture, ..) = song();
    let bass = looped("drums-bass-guitar/bass.wav");
    let mut score = Score::from_midi(&fs::read(sample("drums-bass-guitar.mid")).expect("score")).expect("score");
    let period_s = PERIOD as f64 / f64::from(SAMPLE_RATE);
    for part in &mut score.parts {
        let once: Vec<_> = part.notes.iter().filter(|note| note.onset_s < period_s).copied().collect();
        let shifted = |k: usize| {
            once.iter().map(move |note| partita::knowledge::score::Note {
                onset_s: note.onset_s + k as f64 * period_s,
                offset_s: note.offset_s.min(period_s) + k as f64 * period_s,
                ..*note
            })
        };
        part.notes = (0..N_SAMPLES / PERIOD).flat_map(shifted).collect();
    }
    let parts = analyze_and_fit(&mixture, &config(), score::fit, &ScoreConfig::new(score)).expect("separation");
    assert_no_seams("score", &mixture, &parts, &[("bass", &bass)]);
}

#[test]
fn noise_estimates_reach_across_blocks() {
    let guitar = looped("drums-bass-guitar/guitar.wav");
    let mut state = 1u32;
    let mut hiss = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.02 * ((state >> 8) as f32 / 8_388_608.0 - 1.0)
    };
    let mixture = audio(&guitar.iter().map(|x| x + hiss()).collect::<Vec<_>>());
    let noise = audio(&(0..2 * SAMPLE_RATE).map(|_| hiss()).collect::<Vec<_>>());
    let watch = &mut Watch::none();
    let analysis = Analysis::of(&mixture, &config(), watch).expect("analysis");
    let noise = Noise::Profile(NoiseProfile::of(&noise, "hiss", &analysis, watch).expect("noise"));
    for content in [Content::Any, Content::Speech] {
        let config = DenoiseConfig { noise: noise.clone(), content, ..DenoiseConfig::default() };
        let parts = denoise::fit(&analysis, &config, None, watch).expect("separation");
        let clean = parts.names()[0].clone();
        assert_no_seams(&format!("{content:?}"), &mixture, &parts, &[(&clean, &guitar)]);
    }
}

#[test]
fn components_go_on_across_blocks() {
    let tracks = ["kick", "snare", "hihat"].map(|name| looped(&format!("kick-snare-hihat/{name}.wav")));
    let mixture: Vec<_> = (0..N_SAMPLES).map(|i| tracks.iter().map(|track| track[i]).sum()).collect();
    let mixture = audio(&mixture);
    let three = BlindConfig { n_sources: Some(3), ..BlindConfig::default() };
    let parts = analyze_and_fit(&mixture, &config(), blind::fit, &three).expect("separation");
    // Sources have no names of their own: each is compared to the drum that it is nearest to.
    let stems = stems_of(&parts, &mixture);
    let error = |stem: &Audio, track: &[f32]| -> f64 {
        stem.channel(0).iter().zip(track).map(|(x, y)| f64::from(x - y).powi(2)).sum()
    };
    let nearest = |stem: &Audio| {
        let errors = tracks.iter().map(|track| error(stem, track));
        errors.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i).expect("tracks")
    };
    let references: Vec<_> = parts
        .names()
        .iter()
        .zip(&stems)
        .map(|(name, stem)| (name.as_str(), tracks[nearest(stem)].as_slice()))
        .collect();
    assert_no_seams("components", &mixture, &parts, &references);
}
