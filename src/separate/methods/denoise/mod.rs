//! A noise that can be heard alone, in a file, in a stretch of the recording or in its pauses: taken out.

mod decision_directed;
mod denoiser;
mod evidence;
mod pauses;
mod profile;
mod speech;

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use self::denoiser::{Denoiser, lowness};
use self::evidence::Evidence;
pub use self::profile::NoiseProfile;
use self::speech::{NoiseTemplates, SpeechModel};
use super::{check_mask_exponent, silence};
use crate::error::Advice;
use crate::nmf::{Factor, NmfConfig, fit_with};
use crate::separate::pipeline::Analysis;
use crate::separate::separation::{Found, Separation};
use crate::watch::Watch;
use crate::{Error, Result, names};

/// Templates of the noise. 8 and 32 give 0.2 dB less.
const NOISE_TEMPLATES: usize = 16;

/// Iterations of the noise's factorization, and of one that goes on from an earlier fit.
const NOISE_ITERATIONS: usize = 60;
const WARM_ITERATIONS: usize = 10;

/// How to take the noise out of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct DenoiseConfig {
    /// Where the noise can be heard alone. Default: the quietest parts of the recording.
    pub noise: Noise,
    /// What there is beside the noise. Default: found out.
    pub content: Content,
    /// How much of the noise goes: 0 nothing, 1 what the masks say, above 1 more, at the cost of the rest; at most 4.
    /// It multiplies the masks' decibels. Default 1.
    pub strength: f32,
    /// Exponent of the masks between speech and noise, above 0. Default 1.5.
    pub mask_exponent: f32,
    /// Seed of the noise's factorization. Default 0.
    pub seed: u64,
}

impl Default for DenoiseConfig {
    fn default() -> Self {
        Self { noise: Noise::Quietest, content: Content::Auto, strength: 1.0, mask_exponent: 1.5, seed: 0 }
    }
}

/// Where a noise can be heard alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Noise {
    /// In the pauses: the quietest tenth of the recording, at least half a second, that is not silence. Digital or
    /// dithered silence far below the noise, and the edges beside it, are not where the noise is heard.
    Quietest,
    /// It was heard.
    Profile(NoiseProfile),
}

/// What there is beside the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// Speech where the model of speech explains the recording, else anything.
    #[default]
    Auto,
    /// Speech: what speech cannot be is noise.
    Speech,
    /// Anything, such as music: only what the noise can be is taken out.
    Any,
}

impl Content {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Speech, Self::Any];

    /// Its name on the command line and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Speech => "speech",
            Self::Any => "any",
        }
    }
}

/// Takes a noise out of a recording: stems `clean` and `noise`, which sum to it.
///
/// Speech is told from the noise by what speech can be: harmonics of one pitch, or breath, under the filters of a mouth,
/// against templates of the noise, frame by frame. Anything else, and what lies above 8 kHz, is told from it by level
/// alone: decision-directed Wiener filtering against the mean spectrum of the noise.
/// [`crate::separate::AnalysisConfig::speech`] has the transform that suits. With a profile of the noise, and the content
/// said, sound that is yet to come ([`Analysis::live`]) will do.
///
/// `previous`, a fit in the same transform, is gone on from: the templates of the noise start where it left them.
///
/// # Errors
/// [`Error::Setting`] for a setting out of range, for an analysis without magnitudes where they are needed, and for a profile
/// of another transform; [`Error::SilentNoise`] where there is no noise to learn; and [`Error::Cancelled`].
///
/// # Cost
/// Time for each rendering: about 20 000 floating-point operations per frame and bin for speech, a hundred for anything
/// else.
///
/// # References
/// Y. Ephraim and D. Malah, 1984, equation (51), and J.-L. Durrieu et al., 2010, as cited where they are used.
///
/// # Examples
/// ```
/// use partita::separate::denoise::{DenoiseConfig, Noise, NoiseProfile, fit};
/// use partita::separate::{Analysis, AnalysisConfig};
/// use partita::{Audio, watch::Watch};
/// let mut state = 1u32;
/// let samples = ndarray::Array2::from_shape_fn((1, 16_000), |(_, i)| {
///     state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
///     let tone = if i < 8000 { 0.0 } else { (0.1 * i as f32).sin() };
///     0.1 * (state as f32 / u32::MAX as f32 - 0.5) + tone
/// });
/// let recording = Audio::new(samples, 16_000)?;
/// let watch = &mut Watch::none();
/// let analysis = Analysis::of(&recording, &AnalysisConfig::speech(), watch)?;
/// let noise = Noise::Profile(NoiseProfile::of_range(&recording, 0.0..0.4, &analysis, watch)?);
/// let parts = fit(&analysis, &DenoiseConfig { noise, ..DenoiseConfig::default() }, None, watch)?;
/// let stems = parts.stems(&recording, watch)?; // clean, noise
/// let energy = |audio: &Audio| audio.samples().iter().take(6000).map(|x| x * x).sum::<f32>();
/// assert!(energy(&stems[0]) < 0.1 * energy(&recording), "the noise before the tone is gone");
/// # Ok::<(), partita::Error>(())
/// ```
pub fn fit(
    analysis: &Analysis,
    config: &DenoiseConfig,
    previous: Option<&Separation>,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    config.check(analysis)?;
    let stems = vec![names::CLEAN.into(), names::NOISE.into()];
    if analysis.is_silent() {
        return silence(analysis, stems);
    }
    let mut warnings = Vec::new();
    let (noise, parts_s) = match &config.noise {
        Noise::Quietest => {
            let rows = pauses::quietest(analysis);
            let noise = analysis.magnitude().select(Axis(0), &rows);
            if noise.iter().all(|x| *x == 0.0) {
                return Err(Error::SilentNoise { noise: "the quietest part of the recording".into() });
            }
            (noise, parts_s(&rows, analysis))
        }
        Noise::Profile(profile) => {
            let noise = profile.heard_by(analysis)?;
            warnings.extend(odd_level(profile, power(noise.view()), power(analysis.magnitude())));
            (noise, profile.parts_s().to_vec())
        }
    };
    let noise_power = noise.mapv(|x| x * x).mean_axis(Axis(0)).unwrap_or_default();
    let stft = analysis.stft().config();
    let low = Array1::from_shape_fn(noise_power.len(), |bin| lowness(stft.bin_hz(bin, analysis.sample_rate())));
    let mut model = Denoiser {
        speech: None,
        noise_power,
        speech_weight: 0.0,
        low,
        low_weight: 1.0,
        share: 1.0,
        strength: config.strength,
        mask_exponent: config.mask_exponent,
    };
    // A content that is said is taken at its word, as for sound that is yet to come.
    let is_found_out = config.content == Content::Auto;
    let mut state = None;
    if config.content != Content::Any {
        let previous =
            previous.and_then(|previous| previous.state_for::<NoiseDictionary>(analysis)).map(|before| &before.0);
        let learn = |noise: &Example, watch: &mut Watch<'_>| {
            let (templates, dictionary) = templates(noise, config.seed, previous, watch)?;
            Ok::<_, Error>((SpeechModel::new(stft, analysis.sample_rate(), &templates), dictionary))
        };
        let mut example = Example { noise, weights: None };
        let (mut speech, mut dictionary) = learn(&example, watch)?;
        let like_speech = evidence::like_speech(&speech, example.noise.view(), config.mask_exponent);
        model.speech_weight = evidence::speech_weight(like_speech);
        if is_found_out {
            model.low_weight = evidence::low_weight(&model, analysis);
            // The noise of the recording is never quite that of its example.
            let heard = match &config.noise {
                Noise::Profile(_) => evidence::noise_alone(&model, &speech, analysis),
                Noise::Quietest => Vec::new(),
            };
            if !heard.is_empty() {
                example.add(analysis.magnitude().select(Axis(0), &heard));
                (speech, dictionary) = learn(&example, watch)?;
            }
        }
        warnings.extend(evidence::is_like_speech(like_speech).then(|| LIKE_SPEECH.into()));
        model.speech = Some(speech);
        state = Some(NoiseDictionary(dictionary));
    }
    let mut is_speech = model.speech.is_some();
    if is_found_out {
        let (of_speech, unsure) = hold_back(&mut model, config, analysis);
        is_speech &= of_speech > 0.5;
        warnings.extend(unsure);
    }
    let found = Found::Noise { parts_s, is_speech };
    let separation = Separation::new(analysis, model, stems)?;
    let separation = match state {
        Some(state) => separation.with_state(state),
        None => separation,
    };
    Ok(Separation { found, warnings, ..separation })
}

/// The dictionary of a noise, which a later fit goes on from.
#[derive(Debug)]
struct NoiseDictionary(Array2<f32>);

impl DenoiseConfig {
    fn check(&self, analysis: &Analysis) -> Result<()> {
        check_mask_exponent(self.mask_exponent)?;
        if !(0.0..=4.0).contains(&self.strength) {
            return Err(Error::Setting {
                name: "strength",
                got: self.strength.to_string(),
                expected: "0 (nothing) to 4".into(),
                advice: Some(Advice::set("strength", 1).note("or a little more to take more out").into()),
            });
        }
        if self.noise == Noise::Quietest || self.content == Content::Auto && !analysis.is_live() {
            analysis.need_magnitudes()?;
        }
        if self.content == Content::Auto && analysis.is_live() {
            return Err(Error::Setting {
                name: "content",
                got: "auto".into(),
                expected: "speech or any, as the sound is yet to come".into(),
                advice: Some(Advice::set("content", "speech").into()),
            });
        }
        Ok(())
    }
}

/// A noise is warned of when it has this many times the power of the recording, 1 dB.
const LOUDER: f64 = 1.26;

/// And when it has this share of it, -60 dB: dithered silence rather than a noise that somebody wants to be rid of.
const ALMOST_SILENT: f64 = 1e-6;

/// What is odd about the power of a given noise beside that of the recording, if that is known.
fn odd_level(profile: &NoiseProfile, of_noise: f64, of_recording: f64) -> Option<String> {
    let (name, gap_db) = (profile.name(), 10.0 * (of_noise / of_recording).log10());
    if of_recording > 0.0 && of_noise < ALMOST_SILENT * of_recording {
        return Some(format!(
            "the noise given (`{name}`) is almost silent, {:.0} dB below the recording: is it the right place?",
            -gap_db
        ));
    }
    let is_elsewhere = profile.parts_s().is_empty();
    (is_elsewhere && of_recording > 0.0 && of_noise > LOUDER * of_recording).then(|| {
        format!(
            "the noise in `{name}` is {gap_db:.1} dB louder than the recording: expected one that is as loud as in it"
        )
    })
}

/// Mean power of a frame.
fn frame_power(magnitude: ArrayView2<'_, f32>) -> f64 {
    power(magnitude) * magnitude.ncols() as f64
}

/// Mean power of all entries.
fn power(magnitude: ArrayView2<'_, f32>) -> f64 {
    magnitude.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / (magnitude.len().max(1) as f64)
}

/// What the caller is told of a noise that the model of speech takes for speech.
const LIKE_SPEECH: &str =
    "the noise sounds like speech: it is told from the voice mostly by its level, and less of it is taken out";

/// And of pauses that are unlike each other.
const UNSTEADY: &str = "the quietest parts are unlike each other, and may hold more than noise: \
     it is surer where the noise can be heard alone and is given";

/// The share of a noise that is steady, -3 dB, below which its pauses are warned of.
const STEADY: f32 = 0.5;

/// The share of what looks like noise, below which it is said that little is taken out.
const LITTLE: f32 = 0.5;

/// It is said where the noise has this share of the recording, -30 dB: of less, little is to be taken out.
const WORTH_SAYING: f32 = 1e-3;

/// Holds a model back as far as the recording does not bear it out. Returns how much it is speech, and what is not sure.
///
/// Pauses that were found do not hold the gains back: in bursts there is more noise than in the quietest parts.
fn hold_back(model: &mut Denoiser, config: &DenoiseConfig, analysis: &Analysis) -> (f32, Vec<String>) {
    let evidence = Evidence::of(model, analysis);
    let of_speech = evidence.of_speech();
    if of_speech < 1.0 {
        model.speech_weight *= of_speech;
        if of_speech == 0.0 {
            model.speech = None;
        }
    }
    if config.noise == Noise::Quietest {
        let is_steady = pauses::steady(analysis, &model.noise_power).sum() >= STEADY * model.noise_power.sum();
        return (of_speech, if is_steady { Vec::new() } else { vec![UNSTEADY.into()] });
    }
    let evidence = if of_speech < 1.0 { Evidence::of(model, analysis) } else { evidence };
    model.share = evidence.share();
    let of_noise = f64::from(model.noise_power.sum());
    let is_worth_saying = of_noise > f64::from(WORTH_SAYING) * frame_power(analysis.magnitude());
    let is_unsure = model.share < LITTLE && is_worth_saying;
    let unsure = || {
        format!(
            "not sure what is noise: {:.0}% of what looks like it is taken out, as it has more power than the noise has alone",
            100.0 * model.share
        )
    };
    (of_speech, is_unsure.then(unsure).into_iter().collect())
}

/// A noise to learn from, frames x bins.
struct Example {
    noise: Array2<f32>,
    /// How much each frame counts, if not all do alike.
    weights: Option<Array1<f32>>,
}

impl Example {
    /// Adds frames that count as much as those before, together.
    fn add(&mut self, frames: Array2<f32>) {
        let (n_before, n_added) = (self.noise.nrows(), frames.nrows());
        let weight = n_before as f32 / n_added as f32;
        let weights = (0..n_before + n_added).map(|row| if row < n_before { 1.0 } else { weight }).collect();
        self.noise.append(Axis(0), frames.view()).expect("frames of one transform have one width");
        self.weights = Some(weights);
    }
}

/// Templates of a noise and how loud each of them is, and the dictionary that a later fit goes on from.
fn templates(
    example: &Example,
    seed: u64,
    previous: Option<&Array2<f32>>,
    watch: &mut Watch<'_>,
) -> Result<(NoiseTemplates, Array2<f32>)> {
    let (n_frames, n_bins) = example.noise.dim();
    // Several frames for each template, or it would hold single frames.
    let n_components = (n_frames / 4).clamp(1, NOISE_TEMPLATES);
    let mut config = NmfConfig { n_components, max_iter: NOISE_ITERATIONS, seed, ..NmfConfig::default() };
    if let Some(previous) = previous.filter(|previous| previous.dim() == (n_bins, n_components)) {
        config.dictionary = Factor::Seed(previous.clone());
        config.max_iter = WARM_ITERATIONS;
    }
    // The divergence of a column that is scaled is scaled alike: so it counts for more or less.
    let (factors, total) = match &example.weights {
        Some(weights) => {
            let weighted = &example.noise * &weights.view().insert_axis(Axis(1));
            (fit_with(weighted.t(), &config, watch)?, weights.sum())
        }
        None => (fit_with(example.noise.t(), &config, watch)?, n_frames as f32),
    };
    let factors = factors.complete()?;
    let sums = factors.dictionary.sum_axis(Axis(0));
    let mut levels = factors.activations.sum_axis(Axis(1)) / total.max(1.0);
    levels *= &sums;
    let templates = &factors.dictionary / &sums.mapv(|sum| sum.max(f32::MIN_POSITIVE));
    Ok((NoiseTemplates { templates: templates.t().to_owned(), levels }, factors.dictionary))
}

/// Stretches of time that rows belong to.
fn parts_s(rows: &[usize], analysis: &Analysis) -> Vec<Range<f64>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for frame_idx in rows.iter().map(|row| analysis.frame_idx(*row)) {
        match parts.last_mut() {
            Some(part) if part.end == frame_idx => part.end += 1,
            _ => parts.push(frame_idx..frame_idx + 1),
        }
    }
    let time_s = |frame_idx| analysis.frame_s(frame_idx).min(analysis.span_s().end);
    parts.into_iter().map(|part| time_s(part.start)..time_s(part.end)).collect()
}
