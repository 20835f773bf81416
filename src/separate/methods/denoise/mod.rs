//! A noise that can be heard alone, in a file, in a stretch of the recording or in its pauses: taken out.

mod decision_directed;
mod pauses;
mod profile;
mod speech;

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};

pub use self::profile::NoiseProfile;
use self::speech::{NoiseTemplates, SpeechModel};
use super::{check_mask_exponent, silence};
use crate::error::Advice;
use crate::nmf::{Factor, NmfConfig, fit_with};
use crate::separate::pipeline::{Analysis, Block, Margin, Model, Split};
use crate::separate::separation::{Found, Separation};
use crate::watch::Watch;
use crate::{Error, Result, names};

/// Templates of the noise. 8 and 32 give 0.2 dB less.
const NOISE_TEMPLATES: usize = 16;

/// Iterations of the noise's factorization, and of one that goes on from an earlier fit.
const NOISE_ITERATIONS: usize = 60;
const WARM_ITERATIONS: usize = 10;

/// Least gain of the clean part at full strength, -30 dB: an even rest of the noise covers what tinkles.
const FLOOR: f32 = 0.03;

/// Bell of one bin's deviation: smooths the models over frequency before the masks are made (0.1 dB more).
const BELL: [f32; 5] = [0.054_49, 0.244_2, 0.402_62, 0.244_2, 0.054_49];

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
    let mut model =
        Denoiser { speech: None, noise_power, strength: config.strength, mask_exponent: config.mask_exponent };
    let mut state = None;
    if config.content != Content::Any {
        let previous =
            previous.and_then(|previous| previous.state_for::<NoiseDictionary>(analysis)).map(|before| &before.0);
        let (templates, dictionary) = templates(noise.view(), config.seed, previous, watch)?;
        let speech = SpeechModel::new(analysis.stft().config(), analysis.sample_rate(), &templates);
        if config.content == Content::Speech || is_speech(&speech, analysis, &model.noise_power) {
            model.speech = Some(speech);
        }
        state = Some(NoiseDictionary(dictionary));
    }
    let found = Found::Noise { parts_s, is_speech: model.speech.is_some() };
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

/// Mean power of all entries.
fn power(magnitude: ArrayView2<'_, f32>) -> f64 {
    magnitude.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / (magnitude.len().max(1) as f64)
}

/// Frames that are looked at to tell speech from other things, at the most.
const LOOK_FRAMES: usize = 1500;

/// A frame is a pause up to this many times the mean power of the noise, 3 dB.
const PAUSE: f32 = 2.0;

/// A bin stands out from this many times the mean power of the noise on, 10 dB.
const STANDS_OUT: f32 = 10.0;

/// The divergence of a recording from the model of speech, per magnitude that stands out: 0.08 to 0.19 for the
/// development recordings of speech (one with a noise unlike its example: 0.26), 0.18 to 0.58 for those of music.
const SPEECH_MISFIT: f64 = 0.16;

/// More misfit is allowed by so much where all is pause. Speech pauses, music hardly does; and the fewer the frames above
/// the noise, the more a model of speech is needed to find them.
const PAUSE_BONUS: f64 = 0.2;

/// Whether a recording can be speech: by how well what stands out of the noise is explained, and by its pauses.
fn is_speech(speech: &SpeechModel, analysis: &Analysis, noise_power: &Array1<f32>) -> bool {
    let n_bins = speech.n_bins();
    let noise_power = noise_power.slice(s![..n_bins]);
    let threshold = PAUSE * noise_power.sum();
    let magnitude = analysis.magnitude();
    let magnitude = magnitude.slice(s![.., ..n_bins]);
    let is_loud = |row: &usize| magnitude.row(*row).iter().map(|x| x * x).sum::<f32>() > threshold;
    let sound = pauses::with_sound(analysis);
    let pauses = 1.0 - sound.iter().filter(|row| is_loud(row)).count() as f64 / sound.len() as f64;
    let loud: Vec<_> = sound.into_iter().filter(is_loud).collect();
    let stride = loud.len().div_ceil(LOOK_FRAMES).max(1);
    let rows: Vec<_> = loud.into_iter().step_by(stride).collect();
    let v = magnitude.select(Axis(0), &rows);
    let explained = speech.explain(v.view());
    let (mut divergence, mut total) = (0.0, 0.0);
    for ((v, speech), noise) in v.outer_iter().zip(explained.speech.outer_iter()).zip(explained.noise.outer_iter()) {
        Zip::from(v).and(speech).and(noise).and(noise_power).for_each(|v, speech, noise, noise_power| {
            if v * v > STANDS_OUT * noise_power {
                let (v, y) = (f64::from(*v), f64::from(speech + noise).max(1e-30));
                divergence += v * (v / y).ln() - v + y;
                total += v;
            }
        });
    }
    divergence <= (SPEECH_MISFIT + PAUSE_BONUS * pauses) * total
}

/// Templates of a noise and how loud each of them is, and the dictionary that a later fit goes on from.
fn templates(
    noise: ArrayView2<'_, f32>,
    seed: u64,
    previous: Option<&Array2<f32>>,
    watch: &mut Watch<'_>,
) -> Result<(NoiseTemplates, Array2<f32>)> {
    // Several frames for each template, or it would hold single frames.
    let n_components = (noise.nrows() / 4).clamp(1, NOISE_TEMPLATES);
    let mut config = NmfConfig { n_components, max_iter: NOISE_ITERATIONS, seed, ..NmfConfig::default() };
    if let Some(previous) = previous.filter(|previous| previous.dim() == (noise.ncols(), n_components)) {
        config.dictionary = Factor::Seed(previous.clone());
        config.max_iter = WARM_ITERATIONS;
    }
    let factors = fit_with(noise.t(), &config, watch)?.complete()?;
    let sums = factors.dictionary.sum_axis(Axis(0));
    let mut levels = factors.activations.mean_axis(Axis(1)).unwrap_or_default();
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

/// What is known after the fit.
#[derive(Debug)]
struct Denoiser {
    /// `None`: what there is beside the noise can be anything.
    speech: Option<SpeechModel>,
    /// Mean power of the noise in each bin.
    noise_power: Array1<f32>,
    strength: f32,
    mask_exponent: f32,
}

impl Denoiser {
    /// Bins for which speech is known.
    fn n_speech_bins(&self) -> usize {
        self.speech.as_ref().map_or(0, SpeechModel::n_bins)
    }
}

impl Model for Denoiser {
    fn n_parts(&self) -> usize {
        2
    }

    fn margin(&self) -> Margin {
        let is_all_speech = self.n_speech_bins() == self.noise_power.len();
        Margin { before: if is_all_speech { 0 } else { decision_directed::SETTLING_FRAMES }, after: 0 }
    }

    fn mask_exponent(&self) -> f32 {
        self.mask_exponent
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let mut clean = Array2::zeros(block.core().raw_dim());
        let n_bins = self.n_speech_bins();
        if let Some(speech) = &self.speech {
            let explained = speech.explain(block.core());
            let (speech, noise) = (smooth(explained.speech.view()), smooth(explained.noise.view()));
            Zip::from(clean.slice_mut(s![.., ..n_bins])).and(&speech).and(&noise).for_each(|clean, speech, noise| {
                *clean = share(*speech, *noise, self.mask_exponent);
            });
        }
        if n_bins < clean.ncols() {
            let magnitude = block.magnitude.slice(s![.., n_bins..]);
            let gains = decision_directed::gains(magnitude, self.noise_power.slice(s![n_bins..]), block.before);
            clean.slice_mut(s![.., n_bins..]).assign(&gains);
        }
        clean.mapv_inplace(|gain| gain.max(FLOOR).powf(self.strength).min(1.0));
        let noise = clean.mapv(|gain| 1.0 - gain);
        Ok(Split::Masks(vec![clean, noise]))
    }
}

/// The share of speech in a bin.
fn share(speech: f32, noise: f32, exponent: f32) -> f32 {
    let loudest = speech.max(noise);
    if loudest <= 0.0 {
        return 1.0;
    }
    let (speech, noise) = ((speech / loudest).powf(exponent), (noise / loudest).powf(exponent));
    speech / (speech + noise)
}

/// Every row convolved with [`BELL`]; what lies beyond the ends counts as the last value before.
fn smooth(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let last = rows.ncols().saturating_sub(1);
    let reach = BELL.len() / 2;
    Array2::from_shape_fn(rows.raw_dim(), |(row, bin)| {
        BELL.iter().enumerate().map(|(i, w)| w * rows[[row, (bin + i).saturating_sub(reach).min(last)]]).sum()
    })
}
