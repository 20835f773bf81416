//! Drums, each by itself: convolutive NMF from templates of what a kick, a snare and a hi-hat sound like, or of recorded
//! hits. Also tells when each was hit.

mod hits;
mod kit;
mod levels;
mod model;
mod start;
mod tones;

use std::sync::Arc;

use ndarray::Array2;

use self::hits::later;
use self::kit::templates;
use self::levels::even;
use self::model::DrumModel;
use super::{check_mask_exponent, silence};
use crate::audio::Recording;
use crate::error::Advice;
use crate::names::RESIDUAL;
use crate::nmf::{ConvolutiveConfig, Factor, fit_convolutive};
use crate::separate::pipeline::{Analysis, Margin, Model, RUN};
use crate::separate::separation::{Found, Separation};
use crate::stft::StftConfig;
use crate::watch::Watch;
use crate::{Error, Result, names};

pub use self::hits::hits_to_score;
pub use self::kit::{Drum, Sound};
pub use self::tones::has_accompaniment;

/// Longest template, in seconds: a crash cymbal.
const MAX_TEMPLATE_S: f64 = 5.0;

/// Frames whose activations are found at once, where those of the fit do not cover the recording.
const SPAN: usize = 512;

/// Iterations of a fit that goes on from an earlier one.
const WARM_ITERATIONS: usize = 6;

/// How to take drums apart.
#[derive(Debug, Clone, PartialEq)]
pub struct DrumsConfig {
    /// The drums, in the order of the stems. Default: kick, snare and hi-hat. Any other one without a recording is looked for,
    /// and silent where it is not heard.
    pub kit: Vec<Drum>,
    /// Length of each template in seconds, above 0 to 5: what a hit sounds like before it fades. Default 0.12.
    pub template_s: f64,
    /// Free templates for what no drum of the kit explains, which go to a part `residual`. Default 0: all of the sound
    /// is shared out among the drums.
    pub n_residual: usize,
    /// Iterations on bins, which come after 100 on bands. Default 40.
    pub max_iter: usize,
    /// Exponent of the masks, above 0; 2 is the Wiener filter's. Default 2.
    pub mask_exponent: f32,
    /// The free templates start from it.
    pub seed: u64,
}

impl Default for DrumsConfig {
    fn default() -> Self {
        Self { kit: Drum::standard(), template_s: 0.12, n_residual: 0, max_iter: 40, mask_exponent: 2.0, seed: 0 }
    }
}

/// Takes drums apart, and lists the hits of each ([`Separation::hits`]).
///
/// Every drum starts from a template, its spectrum in the frames after a hit. Convolutive NMF finds when it is played
/// and adapts it to the recording: first on some 50 bands, where it is also found whether a drum has a second sound, such
/// as an open hi-hat, and which drum each template has become (not where a drum is given by a recording). What no template
/// explains is shared out among the drums, unless there are free templates for a part `residual`.
/// [`crate::separate::AnalysisConfig::drums`] has the transform that suits.
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
/// 8 `n_frames` `n_bins` K T operations per iteration, for K templates of T frames, and two to three fits of 100 iterations on
/// bands; for n drums beyond kick, snare and hi-hat up to n (n + 1) / 2 more of these. Memory: as much as the analysis, and the
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
    let templates = templates(&config.kit, stft, sample_rate, n_lags)?;
    let run_length = (!analysis.is_complete()).then_some(RUN);
    let previous = previous.and_then(|previous| previous.state_for::<Arc<DrumModel>>(analysis)).filter(|previous| {
        let n_parts = config.kit.len() + usize::from(config.n_residual > 0);
        previous.kit == config.kit && previous.n_lags == n_lags && previous.n_parts() == n_parts
    });
    let mut max_iter = config.max_iter;
    let (dictionary, activations, partition) = if let Some(previous) = previous {
        max_iter = config.max_iter.min(WARM_ITERATIONS);
        let before = previous.activations.clone().filter(|before| before.ncols() == magnitude.nrows());
        let activations = before.unwrap_or_else(|| even(previous.n_templates(), magnitude));
        (previous.dictionary.clone(), activations, previous.partition.clone())
    } else {
        let frames =
            start::Frames { magnitude, stft: stft.config(), sample_rate, n_lags, run_length, seed: config.seed };
        let start = start::find(&config.kit, templates, config.n_residual, &frames, watch)?;
        (start.dictionary, start.activations, start.partition)
    };
    let nmf = ConvolutiveConfig {
        n_components: partition.len(),
        n_lags,
        dictionary: Factor::Seed(dictionary),
        activations: Factor::Seed(activations),
        n_held: 0,
        run_length,
        max_iter,
        tol: 0.0,
        seed: config.seed,
    };
    let found = fit_convolutive(magnitude.t(), &nmf, watch)?.complete()?;
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
