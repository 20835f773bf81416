//! Drums, each by itself: convolutive NMF from templates of what a kick, a snare and a hi-hat sound like, or of recorded
//! hits. Also tells when each was hit.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::{check_mask_exponent, silence};
use crate::audio::Recording;
use crate::audio::resample::resample;
use crate::error::Advice;
use crate::knowledge::score::{self, Note, Score, instrument};
use crate::names::RESIDUAL;
use crate::nmf::{ConvolutiveConfig, Factor, Part, convolve, fit_convolutive};
use crate::separate::pipeline::{Analysis, Block, Margin, Model, RUN, Split, mask};
use crate::separate::separation::{Found, Hit, Separation};
use crate::stft::{Stft, StftConfig};
use crate::watch::Watch;
use crate::{Audio, Error, Result, names};

/// Iterations in which the templates stay as they are given.
const HELD_ITERATIONS: usize = 5;

/// Iterations that learn a template from recorded hits.
const HIT_ITERATIONS: usize = 20;

/// Longest template, in seconds: a crash cymbal.
const MAX_TEMPLATE_S: f64 = 5.0;

/// A hit is a peak of at least this share of the drum's strongest: weaker ones are echoes of other drums.
const HIT_THRESHOLD: f32 = 0.1;

/// Two hits of a drum are at least so far apart, in seconds: faster than any roll.
const HIT_DISTANCE_S: f64 = 0.05;

/// A sound that goes on after its template is at most so many times as loud as the template's end.
const ECHO_LEVEL: f32 = 1.5;

/// Frames whose activations are found at once, where those of the fit do not cover the recording.
const SPAN: usize = 512;

/// Iterations of a fit that goes on from an earlier one.
const WARM_ITERATIONS: usize = 6;

/// Iterations that find them.
const SPAN_ITERATIONS: usize = 30;

/// How to take drums apart.
#[derive(Debug, Clone, PartialEq)]
pub struct DrumsConfig {
    /// The drums, in the order of the stems. Default: kick, snare and hi-hat.
    pub kit: Vec<Drum>,
    /// Length of each template in seconds, above 0 to 5: what a hit sounds like before it fades. Default 0.12.
    pub template_s: f64,
    /// Free templates for what no drum of the kit explains, which go to a part `residual`. Default 0: all of the sound
    /// is shared out among the drums.
    pub n_residual: usize,
    /// Iterations. Default 80.
    pub max_iter: usize,
    /// Exponent of the masks, above 0; 2 is the Wiener filter's. Default 2.
    pub mask_exponent: f32,
    /// The free templates start from it.
    pub seed: u64,
}

impl Default for DrumsConfig {
    fn default() -> Self {
        Self { kit: Drum::standard(), template_s: 0.12, n_residual: 0, max_iter: 80, mask_exponent: 2.0, seed: 0 }
    }
}

/// One drum: a name, and what it sounds like.
#[derive(Debug, Clone, PartialEq)]
pub struct Drum {
    /// The name of its stem.
    pub name: String,
    /// Its sounds, at least one; each gets a template of its own.
    pub sounds: Vec<Sound>,
}

/// What a drum sounds like, before it is heard in the recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Sound {
    /// A low tone that fades within an eighth of a second.
    Kick,
    /// A tone of 200 Hz and noise of all frequencies.
    Snare,
    /// Noise above 5 kHz.
    HiHat,
    /// A recording of one hit or of several hits of this drum alone, at any sample rate.
    Recording {
        /// The hits.
        audio: Audio,
        /// What the recording is called in messages: its file.
        label: String,
    },
}

impl Drum {
    /// A kick, a snare and a hi-hat.
    pub fn standard() -> Vec<Self> {
        let drum = |name: &str, sound| Self { name: name.into(), sounds: vec![sound] };
        vec![drum("kick", Sound::Kick), drum("snare", Sound::Snare), drum("hihat", Sound::HiHat)]
    }
}

/// The hits as a score, one drum part for each drum that was hit: what a MIDI file of them holds.
///
/// A drum has its key of General MIDI by its name, and one beyond General MIDI where the name is none of its drums.
pub fn hits_to_score(kit: &[Drum], hits: &[Hit]) -> Score {
    let mut free = BEYOND_GENERAL_MIDI;
    let part = |(i, drum): (usize, &Drum)| {
        let pitch = pitch(&drum.name).unwrap_or_else(|| free.next().unwrap_or(u8::MAX >> 1));
        let note = |hit: &Hit| Note {
            onset_s: hit.onset_s,
            offset_s: hit.onset_s + NOTE_S,
            pitch,
            velocity: (127.0 * hit.level).round().clamp(1.0, 127.0) as u8,
        };
        let notes: Vec<_> = hits.iter().filter(|hit| hit.drum == i).map(note).collect();
        (!notes.is_empty()).then(|| score::Part::drum(&drum.name, notes))
    };
    Score { parts: kit.iter().enumerate().filter_map(part).collect(), ..Score::default() }
}

/// The key of General MIDI's channel 10 that a drum of this name has; of several, the usual one.
fn pitch(name: &str) -> Option<u8> {
    // The acoustic bass drum comes before the kick that every kit has.
    let usual = [36, 38, 42, 49, 51];
    usual.into_iter().chain(0..128).find(|pitch| instrument::drum(*pitch) == name)
}

/// Keys that General MIDI gives no drum.
const BEYOND_GENERAL_MIDI: std::ops::Range<u8> = 82..128;

/// Length of a hit as a note, in seconds: drums have none, files need one.
const NOTE_S: f64 = 0.1;

/// Takes drums apart, and lists the hits of each ([`Separation::hits`]).
///
/// Every drum starts from a template, its spectrum in the frames after a hit. Convolutive NMF finds when it is played
/// and adapts it to the recording. What no template explains is shared out among the drums, unless there are free
/// templates for a part `residual`. [`crate::separate::AnalysisConfig::drums`] has the transform that suits.
///
/// Of a recording of which only some frames were kept, the hits are those in these frames, and what sounds elsewhere is
/// found block by block; [`follow`] finds all of it.
///
/// `previous`, a fit of the same kit with templates of the same length in the same transform, is gone on from, in 6 iterations at
/// the most.
///
/// # Errors
/// [`Error::Example`] for a recording of a hit that is silent; [`Error::Setting`] for a setting out of range and for an
/// analysis without magnitudes, and [`Error::Cancelled`].
///
/// # Cost
/// 8 `n_frames` `n_bins` K T operations per iteration, for K templates of T frames. Memory: as much as the analysis, and the
/// activations, K `n_frames`.
///
/// # References
/// P. Smaragdis, "Non-negative matrix factor deconvolution; extraction of multiple sound sources from monophonic
/// inputs", ICA 2004. C. Dittmar and M. Mueller, "Reverse engineering the Amen break: score-informed separation and
/// restoration applied to drum recordings", IEEE/ACM Trans. ASLP 24(9), 2016.
///
/// # Examples
/// ```
/// use partita::separate::{Analysis, AnalysisConfig, drums};
/// use partita::{Audio, watch::Watch};
/// let mixture = ndarray::Array2::from_shape_fn((1, 16_000), |(_, i)| {
///     let t = (i % 8000) as f32 / 16_000.0;
///     (-t / 0.05).exp() * (std::f32::consts::TAU * 60.0 * t).sin()
/// });
/// let mixture = Audio::new(mixture, 16_000)?;
/// let analysis = Analysis::of(&mixture, &AnalysisConfig::drums(), &mut Watch::none())?;
/// let parts = drums::fit(&analysis, &drums::DrumsConfig::default(), None, &mut Watch::none())?;
/// assert_eq!(parts.names(), ["kick", "snare", "hihat"]);
/// assert!(parts.hits().iter().any(|hit| hit.drum == 0 && (hit.onset_s - 0.5).abs() < 0.03), "{:?}", parts.hits());
/// # Ok::<(), partita::Error>(())
/// ```
pub fn fit(
    analysis: &Analysis,
    config: &DrumsConfig,
    previous: Option<&Separation>,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    config.check()?;
    analysis.need_magnitudes()?;
    let mut names: Vec<_> = config.kit.iter().map(|drum| drum.name.clone()).collect();
    names.extend((config.n_residual > 0).then(|| RESIDUAL.to_owned()));
    if analysis.is_silent() {
        return silence(analysis, names);
    }
    let (stft, sample_rate, magnitude) = (analysis.stft(), analysis.sample_rate(), analysis.magnitude());
    let n_lags = n_lags(config.template_s, stft.config(), sample_rate);
    let templates = templates(config, stft, sample_rate, n_lags)?;
    let n_templates = templates.len() + config.n_residual;
    let mut columns: Vec<_> = templates
        .iter()
        .flat_map(|template| template.columns().into_iter().map(|x| Part::Seed(x.to_owned())))
        .collect();
    columns.resize(n_templates * n_lags, Part::Free);
    let mut nmf = ConvolutiveConfig {
        n_components: n_templates,
        n_lags,
        dictionary: Factor::PerComponent(columns),
        activations: Factor::Seed(even(n_templates, magnitude)),
        n_held: HELD_ITERATIONS,
        run_length: (!analysis.is_complete()).then_some(RUN),
        max_iter: config.max_iter,
        tol: 0.0,
        seed: config.seed,
    };
    let previous = previous.and_then(|previous| previous.state_for::<Arc<DrumModel>>(analysis)).filter(|previous| {
        previous.kit == config.kit
            && previous.n_lags == n_lags
            && previous.dictionary.dim() == (magnitude.ncols(), n_templates * n_lags)
    });
    if let Some(previous) = previous {
        nmf.dictionary = Factor::Seed(previous.dictionary.clone());
        nmf.n_held = 0;
        nmf.max_iter = config.max_iter.min(WARM_ITERATIONS);
        if let Some(before) = previous.activations.as_ref().filter(|before| before.ncols() == magnitude.nrows()) {
            nmf.activations = Factor::Seed(before.clone());
        }
    }
    let found = fit_convolutive(magnitude.t(), &nmf, watch)?.complete()?;
    let mut partition: Vec<_> =
        config.kit.iter().enumerate().flat_map(|(i, drum)| std::iter::repeat_n(i, drum.sounds.len())).collect();
    if config.n_residual > 0 {
        partition.resize(n_templates, config.kit.len());
    }
    let model = DrumModel {
        dictionary: found.dictionary,
        activations: None,
        n_lags,
        kit: config.kit.clone(),
        partition,
        mask_exponent: config.mask_exponent,
    };
    let hits = match analysis.is_complete() {
        true => model.hits(&found.activations, |frame_idx| frame_idx, stft.config(), sample_rate),
        false => model.hits(&found.activations, |row| analysis.frame_idx(row), stft.config(), sample_rate),
    };
    let hits = later(hits, analysis.span_s().start);
    let activations = analysis.is_complete().then_some(found.activations);
    let model = Arc::new(DrumModel { activations, ..model });
    let separation = Separation::new(analysis, model.clone(), names)?.with_state(model);
    Ok(Separation { found: Found::Hits(hits), ..separation })
}

/// Finds when drums are played in all of a recording of which the analysis kept only some frames, and all hits. Where
/// it kept all, nothing is left to find.
///
/// # Errors
/// Those of [`Separation::render`].
///
/// # Cost
/// One pass over the recording, and 30 iterations over all of its frames. Memory: the activations.
pub fn follow(separation: Separation, recording: &dyn Recording, watch: &mut Watch<'_>) -> Result<Separation> {
    let Some(model) = separation.state::<Arc<DrumModel>>().filter(|model| model.activations.is_none()).cloned() else {
        return Ok(separation);
    };
    let stft = separation.stft().clone();
    let margin = Margin { before: 2 * model.n_lags, after: model.n_lags };
    let mut found = vec![Vec::new(); model.n_templates()];
    separation.each_span(recording, SPAN, margin, watch, &mut |block| {
        let activations = model.solve(block.magnitude)?;
        for (found, row) in found.iter_mut().zip(activations.outer_iter()) {
            found.extend(row.iter().skip(block.before).take(block.frames.len()));
        }
        Ok(())
    })?;
    let shape = (found.len(), found.first().map_or(0, Vec::len));
    let activations = Array2::from_shape_vec(shape, found.concat()).expect("as many activations of each template");
    let hits = model.hits(&activations, |frame_idx| frame_idx, stft.config(), recording.sample_rate());
    let hits = later(hits, recording.start_s());
    let model = Arc::new(DrumModel { activations: Some(activations), ..(*model).clone() });
    let separation = separation.with_model(model.clone()).with_state(model);
    Ok(Separation { found: Found::Hits(hits), ..separation })
}

/// Hits of an excerpt at their times in the whole recording.
fn later(hits: Vec<Hit>, start_s: f64) -> Vec<Hit> {
    hits.into_iter().map(|hit| Hit { onset_s: hit.onset_s + start_s, ..hit }).collect()
}

impl DrumsConfig {
    fn check(&self) -> Result<()> {
        check_mask_exponent(self.mask_exponent)?;
        let refuse = |name, got: String, expected: String, advice: Option<Advice>| {
            Err(Error::Setting { name, got, expected, advice: advice.map(Box::new) })
        };
        if !(self.template_s > 0.0 && self.template_s <= MAX_TEMPLATE_S) {
            let expected = format!("above 0 to {MAX_TEMPLATE_S} s");
            return refuse("template_s", self.template_s.to_string(), expected, Some(Advice::set("template_s", 0.12)));
        }
        if self.kit.is_empty() {
            return refuse(
                "kit",
                "empty".into(),
                "at least one drum".into(),
                Some(Advice::set("kit", "kick=kick.wav")),
            );
        }
        for (i, drum) in self.kit.iter().enumerate() {
            names::check(&drum.name)?;
            if drum.sounds.is_empty() {
                return refuse(
                    "kit",
                    format!("`{}` without a sound", drum.name),
                    "at least one for each drum".into(),
                    None,
                );
            }
            if drum.name == RESIDUAL && self.n_residual > 0 {
                let advice = Some(Advice::plain("give the drum another name"));
                let expected = "other names beside a residual".into();
                return refuse("kit", "a drum called `residual`".into(), expected, advice);
            }
            if self.kit[..i].iter().any(|other| other.name == drum.name) {
                return refuse("kit", format!("`{}` twice", drum.name), "a name for each drum".into(), None);
            }
        }
        Ok(())
    }
}

/// Frames of a template.
fn n_lags(template_s: f64, stft: &StftConfig, sample_rate: u32) -> usize {
    (template_s * f64::from(sample_rate) / stft.hop_length as f64).round().max(1.0) as usize
}

/// Activations that play all templates all the time, each for its share of the sound.
fn even(n_templates: usize, magnitude: ArrayView2<'_, f32>) -> Array2<f32> {
    let sum = magnitude.iter().map(|&x| f64::from(x)).sum::<f64>();
    let share = sum / (magnitude.nrows().max(1) * n_templates) as f64;
    Array2::from_elem((n_templates, magnitude.nrows()), share as f32)
}

// ---- templates -------------------------------------------------------------------------------------------------------

/// One template for each sound of the kit, `n_bins` x `n_lags`; the first frame of a sound sums to about one.
fn templates(config: &DrumsConfig, stft: &Stft, sample_rate: u32, n_lags: usize) -> Result<Vec<Array2<f32>>> {
    let sounds = config.kit.iter().flat_map(|drum| drum.sounds.iter().map(move |sound| (drum, sound)));
    let analytic = |spectrum, fade_s| Ok(analytic(spectrum, fade_s, stft.config(), sample_rate, n_lags));
    let template = |(drum, sound): (&Drum, &Sound)| match sound {
        Sound::Kick => analytic(kick, KICK_FADE_S),
        Sound::Snare => analytic(snare, SNARE_FADE_S),
        Sound::HiHat => analytic(hihat, HIHAT_FADE_S),
        Sound::Recording { audio, label } => learned(audio, stft, sample_rate, n_lags).map_err(|source| {
            Error::Example { name: drum.name.clone(), label: label.clone(), source: Box::new(source) }
        }),
    };
    sounds.map(template).collect()
}

/// Seconds in which a drum fades to 37 %.
const KICK_FADE_S: f64 = 0.12;
const SNARE_FADE_S: f64 = 0.10;
const HIHAT_FADE_S: f64 = 0.06;

/// Magnitude of a kick over frequency in Hz: a hump of an octave and a half about 70 Hz, and a click 50 dB below.
fn kick(hz: f64) -> f64 {
    hump(hz, 70.0, 0.8) + 0.003 / (1.0 + hz / 2000.0)
}

/// Magnitude of a snare: a hump of an octave about 200 Hz, and noise from 300 Hz to 3.5 kHz.
fn snare(hz: f64) -> f64 {
    0.5 * hump(hz, 200.0, 0.5) + 0.3 / ((1.0 + (300.0 / hz).powi(2)) * (1.0 + (hz / 3500.0).powi(2)))
}

/// Magnitude of a hi-hat: noise from 5 kHz on.
fn hihat(hz: f64) -> f64 {
    1.0 / (1.0 + (5000.0 / hz).powi(4))
}

/// A bell of so many octaves, from the center to 61 %.
fn hump(hz: f64, center_hz: f64, octaves: f64) -> f64 {
    (-0.5 * ((hz / center_hz).log2() / octaves).powi(2)).exp()
}

/// A spectrum that fades, in every bin alike.
fn analytic(spectrum: fn(f64) -> f64, fade_s: f64, stft: &StftConfig, sample_rate: u32, n_lags: usize) -> Array2<f32> {
    // The lowest bin has some frequency, too: spectra are given over its logarithm.
    let bins: Array1<f64> = (0..stft.n_bins()).map(|bin| spectrum(stft.bin_hz(bin, sample_rate).max(10.0))).collect();
    let sum = bins.sum();
    Array2::from_shape_fn((stft.n_bins(), n_lags), |(bin, lag)| {
        (bins[bin] / sum * (-stft.frame_s(lag, sample_rate) / fade_s).exp()) as f32
    })
}

/// The template of recorded hits, by a fit of one template to them.
fn learned(audio: &Audio, stft: &Stft, sample_rate: u32, n_lags: usize) -> Result<Array2<f32>> {
    let audio = resample(audio, sample_rate)?;
    if audio.peak() == 0.0 {
        return Err(Error::Silent);
    }
    let magnitude = stft.magnitude(audio.samples());
    let level = magnitude.sum_axis(Axis(1));
    // A hit begins in the frame before the level rises most, where it comes into the window.
    let rise: Vec<_> =
        (0..level.len()).map(|i| level[i] - i.checked_sub(1).map_or(0.0, |before| level[before])).collect();
    let mut activations = Array2::zeros((1, level.len()));
    for at in peaks(&rise, n_lags, HIT_THRESHOLD) {
        activations[[0, at.saturating_sub(1)]] = rise[at];
    }
    // Spectra after each hit, as loud as it was.
    let mut seed = Array2::from_elem((magnitude.ncols(), n_lags), f32::MIN_POSITIVE);
    for (at, _) in activations.row(0).iter().enumerate().filter(|(_, x)| **x > 0.0) {
        for (mut column, frame) in seed.columns_mut().into_iter().zip(magnitude.outer_iter().skip(at)) {
            column += &frame;
        }
    }
    let config = ConvolutiveConfig {
        n_components: 1,
        n_lags,
        dictionary: Factor::Seed(seed),
        activations: Factor::Seed(activations),
        max_iter: HIT_ITERATIONS,
        ..ConvolutiveConfig::default()
    };
    let mut template = fit_convolutive(magnitude.t(), &config, &mut Watch::none())?.dictionary;
    let loudest = template.sum_axis(Axis(0)).fold(0.0f32, |most, x| most.max(*x));
    if loudest > 0.0 {
        template /= loudest;
    }
    Ok(template)
}

// ---- activations -----------------------------------------------------------------------------------------------------

/// Templates, and when each is played.
#[derive(Debug, Clone)]
struct DrumModel {
    /// `n_bins` x (templates x `n_lags`).
    dictionary: Array2<f32>,
    /// Templates x all frames; `None`: found block by block.
    activations: Option<Array2<f32>>,
    n_lags: usize,
    /// The first parts.
    kit: Vec<Drum>,
    /// The part of each template.
    partition: Vec<usize>,
    mask_exponent: f32,
}

impl DrumModel {
    fn n_templates(&self) -> usize {
        self.partition.len()
    }

    fn template(&self, k: usize) -> ArrayView2<'_, f32> {
        self.dictionary.slice(s![.., k * self.n_lags..(k + 1) * self.n_lags])
    }

    /// The activations of frames, with the templates as they are.
    fn solve(&self, magnitude: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        let config = ConvolutiveConfig {
            n_components: self.n_templates(),
            n_lags: self.n_lags,
            dictionary: Factor::Fixed(self.dictionary.clone()),
            activations: Factor::Seed(even(self.n_templates(), magnitude)),
            max_iter: SPAN_ITERATIONS,
            ..ConvolutiveConfig::default()
        };
        Ok(fit_convolutive(magnitude.t(), &config, &mut Watch::none())?.activations)
    }

    /// The hits of each drum by its activations, given the frame of each of their columns; times count from the first frame.
    fn hits(
        &self,
        activations: &Array2<f32>,
        frame_of: impl Fn(usize) -> usize,
        stft: &StftConfig,
        sample_rate: u32,
    ) -> Vec<Hit> {
        let distance = (HIT_DISTANCE_S * f64::from(sample_rate) / stft.hop_length as f64).round().max(1.0) as usize;
        let mut hits = Vec::new();
        for drum in 0..self.kit.len() {
            // The level of each hit in the frame where its attack is: templates need not begin with it.
            let mut level = vec![0.0f32; activations.ncols()];
            // How loud a template still is at its end, relative to its loudest frame.
            let mut end_level = 0.0f32;
            for k in (0..self.partition.len()).filter(|k| self.partition[*k] == drum) {
                let loudness = self.template(k).sum_axis(Axis(0));
                let rise = |lag: usize| loudness[lag] - if lag > 0 { loudness[lag - 1] } else { 0.0 };
                let attack = (0..self.n_lags).fold(0, |best, lag| if rise(lag) > rise(best) { lag } else { best });
                let most = loudness.iter().fold(0.0f32, |most, x| most.max(*x));
                if most > 0.0 {
                    end_level = end_level.max(loudness[self.n_lags - 1] / most);
                }
                let late = level.iter_mut().skip(attack);
                late.zip(activations.row(k)).for_each(|(level, x)| *level += most * x);
            }
            let strongest = level.iter().fold(0.0f32, |most, x| most.max(*x));
            let found = without_echoes(peaks(&level, distance, HIT_THRESHOLD), &level, self.n_lags, end_level);
            hits.extend(found.into_iter().map(|at| {
                // The level of a hit between two frames is shared out among them.
                let around = level[at.saturating_sub(1)..(at + 2).min(level.len())].iter();
                let weight: f32 = around.clone().sum();
                let first = at.saturating_sub(1);
                let center = around.zip(first..).map(|(x, i)| x * i as f32).sum::<f32>() / weight;
                let onset_s = f64::from(center + (frame_of(at) - at) as f32) * stft.frame_s(1, sample_rate);
                Hit { drum, onset_s, level: level[at] / strongest }
            }));
        }
        hits.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
        hits
    }
}

impl Model for DrumModel {
    fn n_parts(&self) -> usize {
        self.partition.iter().max().map_or(0, |last| last + 1)
    }

    fn margin(&self) -> Margin {
        match self.activations {
            Some(_) => Margin::default(),
            // What still sounds of hits before, as long again for these to be found, and as long after.
            None => Margin { before: 3 * self.n_lags, after: self.n_lags },
        }
    }

    fn mask_exponent(&self) -> f32 {
        self.mask_exponent
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        // From the first frame whose hit still sounds in the block.
        let before = block.frames.start.min(self.n_lags - 1);
        let activations = match &self.activations {
            Some(all) => all.slice(s![.., block.frames.start - before..block.frames.end]).to_owned(),
            None => {
                let end = block.before + block.frames.len();
                self.solve(block.magnitude)?.slice(s![.., block.before - before..end]).to_owned()
            }
        };
        let part = |part: usize| {
            let members = (0..self.partition.len()).filter(|k| self.partition[*k] == part);
            members.fold(Array2::zeros(block.core().raw_dim()), |sum, k| {
                sum + convolve(self.template(k), &activations.row(k).to_vec(), before)
            })
        };
        let mut masks: Vec<_> = (0..self.n_parts()).into_par_iter().map(part).collect();
        mask::wiener(&mut masks, self.mask_exponent);
        Ok(Split::Masks(masks))
    }
}

/// Leaves out what only goes on with a hit: a sound longer than its template is played again where the template ends,
/// about as loud as it is there.
fn without_echoes(peaks: Vec<usize>, level: &[f32], n_lags: usize, end_level: f32) -> Vec<usize> {
    let mut before: Option<usize> = None;
    let is_hit = |at: &usize| {
        let is_echo = before.is_some_and(|before| {
            (n_lags.saturating_sub(2)..=n_lags + 2).contains(&(at - before))
                && level[*at] <= ECHO_LEVEL * end_level * level[before]
        });
        before = Some(*at);
        !is_echo
    };
    peaks.into_iter().filter(is_hit).collect()
}

/// Indices of values that none within `distance` exceeds, and that are at least this share of the largest of all.
fn peaks(values: &[f32], distance: usize, threshold: f32) -> Vec<usize> {
    let largest = values.iter().fold(0.0f32, |most, x| most.max(*x));
    let mut found: Vec<usize> = Vec::new();
    for (i, &x) in values.iter().enumerate() {
        let around = &values[i.saturating_sub(distance)..(i + distance + 1).min(values.len())];
        let is_first = found.last().is_none_or(|last| i - last > distance);
        if x > 0.0 && x >= threshold * largest && is_first && around.iter().all(|y| *y <= x) {
            found.push(i);
        }
    }
    found
}
