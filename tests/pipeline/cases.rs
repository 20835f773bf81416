//! One recording, and a separation of it by every method: in small transforms, so that several blocks of frames fit.

use std::f32::consts::TAU;
use std::sync::{LazyLock, OnceLock};

use ndarray::{Array2, Axis, concatenate};
use partita::knowledge::score::{Note, Part, Score};
use partita::nmf::NmfConfig;
use partita::separate::blind::{self, BlindConfig};
use partita::separate::denoise::{self, Content, DenoiseConfig, Noise, NoiseProfile};
use partita::separate::drums::{self, DrumsConfig};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{Analysis, AnalysisConfig, Example, Stems};
use partita::watch::Watch;
use partita::{Audio, Dictionary, DictionaryConfig, Separation, StftOptions};

pub(crate) const SAMPLE_RATE: u32 = 8000;
pub(crate) const N_FFT: usize = 256;
pub(crate) const HOP: usize = 64;

/// Samples of a block of 64 frames.
pub(crate) const BLOCK: usize = 64 * HOP;

/// One window; exactly some blocks; and a length that is a multiple of nothing.
pub(crate) const LENGTHS: [usize; 3] = [N_FFT, 3 * BLOCK, 4 * BLOCK + 1234];

pub(crate) const STFT: StftOptions =
    StftOptions { n_fft: Some(N_FFT), hop_length: Some(HOP), window: partita::stft::window::Window::Hann };

/// Keeps all frames.
pub(crate) fn complete() -> AnalysisConfig {
    AnalysisConfig { stft: STFT, ..AnalysisConfig::default() }
}

/// Keeps two runs of 64 frames.
pub(crate) fn incomplete() -> AnalysisConfig {
    AnalysisConfig { max_frames: 128, ..complete() }
}

/// White noise that is the same each time.
fn noise(i: usize) -> f32 {
    let mut x = (i as u32).wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    x = (x ^ (x >> 16)).wrapping_mul(2_246_822_519);
    ((x ^ (x >> 13)) >> 8) as f32 / 8_388_608.0 - 1.0
}

fn tone(hz: f32, i: usize) -> f32 {
    (TAU * hz * i as f32 / SAMPLE_RATE as f32).sin()
}

/// Two notes that take turns four times a second.
fn flute(i: usize) -> f32 {
    let hz = if (i / 2000).is_multiple_of(2) { 440.0 } else { 659.26 };
    0.3 * (tone(hz, i) + 0.3 * tone(2.0 * hz, i))
}

/// A low note that lasts, and another after it.
fn bass(i: usize) -> f32 {
    let hz = if (i / 5000).is_multiple_of(2) { 110.0 } else { 146.83 };
    0.3 * (tone(hz, i) + 0.5 * tone(3.0 * hz, i))
}

/// Hits that fade within 30 ms.
fn clicks(i: usize) -> f32 {
    let age = (i % 3000) as f32;
    0.6 * (-age / 240.0).exp() * noise(i)
}

/// One of the three voices as the first channel has it.
pub(crate) fn voice(name: &str, n_samples: usize) -> Vec<f32> {
    let of = |i| match name {
        "flute" => flute(i),
        "bass" => bass(i) / 2.0,
        _ => clicks(i),
    };
    (0..n_samples).map(of).collect()
}

/// Everything at once; in further channels, at other levels.
pub(crate) fn recording(n_channels: usize, n_samples: usize) -> Audio {
    let samples = Array2::from_shape_fn((n_channels, n_samples), |(channel, i)| {
        let side = channel as f32;
        flute(i) / (1.0 + side) + bass(i) * (1.0 + 0.5 * side) / 2.0 + clicks(i) + 0.02 * noise(i + 7919 * channel)
    });
    Audio::new(samples, SAMPLE_RATE).expect("audio")
}

/// One voice by itself.
fn alone(voice: impl Fn(usize) -> f32) -> Audio {
    let samples = Array2::from_shape_fn((1, 12_000), |(_, i)| voice(i));
    Audio::new(samples, SAMPLE_RATE).expect("audio")
}

pub(crate) fn few_components() -> BlindConfig {
    let nmf = NmfConfig { n_components: 6, max_iter: 30, ..NmfConfig::default() };
    BlindConfig { n_sources: Some(3), nmf, ..BlindConfig::default() }
}

/// Templates of some of `flute`, `bass` and `clicks`, of so many frames.
fn dictionary(names: &[&str], n_context: usize) -> Dictionary {
    let voices = [("flute", alone(flute)), ("bass", alone(bass)), ("clicks", alone(clicks))];
    let known = voices.iter().filter(|(name, _)| names.contains(name));
    let known: Vec<_> = known.map(|(name, recording)| Example { name, label: name, recording }).collect();
    let config = DictionaryConfig { n_components: 6, n_context, max_iter: 30, ..DictionaryConfig::default() };
    examples::learn(&known, SAMPLE_RATE, &STFT, &config, &mut Watch::none()).expect("learned")
}

pub(crate) fn known(names: &[&str]) -> ExamplesConfig {
    ExamplesConfig { n_semitones: 1, ..ExamplesConfig::new(dictionary(names, 3)) }
}

/// [`known`], in templates of single frames.
pub(crate) fn single_frames(names: &[&str]) -> ExamplesConfig {
    ExamplesConfig { n_semitones: 1, ..ExamplesConfig::new(dictionary(names, 1)) }
}

/// What flute and bass play.
pub(crate) fn written(duration_s: f64) -> Score {
    let part = |name: &str, step_s: f64, pitches: [u8; 2]| {
        let n_notes = (duration_s / step_s).ceil() as usize;
        let note = |i: usize| Note {
            onset_s: i as f64 * step_s,
            offset_s: (i + 1) as f64 * step_s,
            pitch: pitches[i % 2],
            velocity: 90,
        };
        Part::new(name, (0..n_notes).map(note).collect())
    };
    Score { parts: vec![part("flute", 0.25, [69, 76]), part("bass", 0.625, [45, 50])], ..Score::default() }
}

/// The noise of the recording.
pub(crate) fn hiss(analysis: &Analysis) -> Noise {
    let alone = alone(|i| 0.02 * noise(i + 31));
    Noise::Profile(NoiseProfile::of(&alone, "hiss", analysis, &mut Watch::none()).expect("a profile"))
}

pub(crate) fn denoised(analysis: &Analysis, content: Content) -> DenoiseConfig {
    DenoiseConfig { noise: hiss(analysis), content, ..DenoiseConfig::default() }
}

/// A separation, and all of what it makes.
pub(crate) struct Case {
    pub(crate) what: String,
    pub(crate) recording: Audio,
    pub(crate) separation: Separation,
    pub(crate) stems: Stems,
    /// Each stem.
    pub(crate) whole: Vec<Array2<f32>>,
    /// Whether every sample can come as soon as it is known.
    pub(crate) is_live: bool,
}

/// The samples that a rendering handed over.
pub(crate) fn joined(blocks: &[Vec<Array2<f32>>], n_stems: usize, n_channels: usize) -> Vec<Array2<f32>> {
    let stem = |stem: usize| {
        let of_stem: Vec<_> = blocks.iter().map(|block| block[stem].view()).collect();
        if of_stem.is_empty() {
            return Array2::zeros((n_channels, 0));
        }
        concatenate(Axis(1), &of_stem).expect("blocks of one shape")
    };
    (0..n_stems).map(stem).collect()
}

pub(crate) fn rendered(separation: &Separation, recording: &Audio, stems: &Stems) -> Vec<Array2<f32>> {
    let mut blocks = Vec::new();
    let render = separation.render(recording, stems, &mut Watch::none(), &mut |block| {
        blocks.push(block.to_vec());
        Ok(())
    });
    render.expect("rendered");
    joined(&blocks, separation.stem_names(stems).expect("names").len(), recording.n_channels())
}

/// Every method, with all that it is made of.
pub(crate) fn separations(recording: &Audio) -> Vec<(String, Separation, bool)> {
    let watch = &mut Watch::none();
    let look = |config: &AnalysisConfig| Analysis::of(recording, config, &mut Watch::none()).expect("analysis");
    let live = Analysis::live(SAMPLE_RATE, recording.n_channels(), &complete()).expect("a form");
    let mut found: Vec<(String, Separation, bool)> = Vec::new();
    let mut add = |what: &str, separation: partita::Result<Separation>, is_live: bool| {
        found.push((what.to_owned(), separation.unwrap_or_else(|error| panic!("{what}: {error}")), is_live));
    };
    let score = written(recording.duration_s());
    let all = known(&["flute", "bass", "clicks"]);
    for (extent, analysis) in [("complete", look(&complete())), ("incomplete", look(&incomplete()))] {
        let is_complete = analysis.is_complete();
        if is_complete && extent == "incomplete" {
            continue;
        }
        let name = |method: &str| format!("{method}, {extent}");
        add(&name("blind"), blind::fit(&analysis, &few_components(), None, watch), is_complete);
        add(&name("examples"), examples::fit(&analysis, &all, None, watch), true);
        let residual = ExamplesConfig { n_residual: 2, ..known(&["flute", "bass"]) };
        add(&name("examples with a residual"), examples::fit(&analysis, &residual, None, watch), true);
        add(&name("score"), score::fit(&analysis, &ScoreConfig::new(score.clone()), None, watch), true);
        let drums = DrumsConfig { max_iter: 10, ..DrumsConfig::default() };
        add(&name("drums"), drums::fit(&analysis, &drums, None, watch), is_complete);
        for content in [Content::Any, Content::Speech] {
            let config = denoised(&analysis, content);
            let what = name(&format!("denoise {}", content.name()));
            add(&what, denoise::fit(&analysis, &config, None, watch), true);
        }
        // Stages of several transforms, whatever is kept.
        if extent == "complete" {
            add("hpss", hpss::fit(&analysis, &HpssConfig::default(), None, watch), true);
            let strict = HpssConfig { margin: 2.0, ..HpssConfig::default() };
            add("hpss with a margin", hpss::fit(&analysis, &strict, None, watch), true);
        }
    }
    add("hpss of sound to come", hpss::fit(&live, &HpssConfig::default(), None, watch), true);
    add("examples of sound to come", examples::fit(&live, &all, None, watch), true);
    add("denoise of sound to come", denoise::fit(&live, &denoised(&live, Content::Any), None, watch), true);
    found
}

fn of_recording(recording: &Audio) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |what: String, separation: Separation, stems: Stems, is_live: bool| {
        let whole = rendered(&separation, recording, &stems);
        cases.push(Case { what, recording: recording.clone(), separation, stems, whole, is_live });
    };
    for (what, separation, is_live) in separations(recording) {
        let what = format!("{what}, {} channels, {} samples", recording.n_channels(), recording.n_samples());
        if recording.n_channels() > 1 && separation.n_samples().is_some() {
            let placed = separation.clone().with_places(recording, 1000, &mut Watch::none()).expect("places");
            add(format!("{what}, by places"), placed, Stems::All, is_live);
        }
        if separation.factorization().is_some() {
            add(format!("{what}, components"), separation.clone(), Stems::Components, is_live);
        }
        if what.starts_with("hpss") || what.starts_with("drums") {
            let first = separation.names()[0].clone();
            add(format!("{what}, two stems"), separation.clone(), Stems::Two(first), is_live);
        }
        add(what, separation, Stems::All, is_live);
    }
    cases
}

/// Of all lengths, mono and stereo.
pub(crate) fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let recordings =
            LENGTHS.iter().flat_map(|n_samples| [1, 2].map(|n_channels| recording(n_channels, *n_samples)));
        recordings.flat_map(|recording| of_recording(&recording)).collect()
    });
    &CASES
}

/// Every method once, on the longest recording.
pub(crate) fn long_cases() -> impl Iterator<Item = &'static Case> {
    cases().iter().filter(|case| case.recording.n_samples() == LENGTHS[2])
}

/// The masks of all frames of a case.
pub(crate) fn all_masks(case_idx: usize) -> &'static [Array2<f32>] {
    static MASKS: LazyLock<Vec<OnceLock<Vec<Array2<f32>>>>> =
        LazyLock::new(|| cases().iter().map(|_| OnceLock::new()).collect());
    MASKS[case_idx].get_or_init(|| {
        let Case { separation, recording, .. } = &cases()[case_idx];
        let n_frames = separation.stft().config().n_frames(recording.n_samples());
        separation.masks(recording, 0..n_frames).expect("masks")
    })
}
