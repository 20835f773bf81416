//! A recording in, its parts out: an [`Analysis`], a method's `fit`, and a [`Separation`] that makes stems.
//!
//! Methods are shaped alike, one for each kind of knowledge: `fit(&analysis, &config, previous, &mut watch)`, where
//! `previous` is an earlier fit of the same method to go on from.

mod methods;
mod pipeline;
mod separation;

pub(crate) use self::methods::check_mask_exponent;
pub use self::methods::{
    Example, array, bleed, blind, denoise, drums, examples, group, hpss, labelled, painted, panned, score, together,
    transcribe,
};
pub use self::pipeline::{
    Analysis, AnalysisConfig, Block, DRUMS_WINDOW_S, Detail, MUSIC_WINDOW_S, Margin, Model, Place, Rendered, Renderer,
    SPEECH_WINDOW_S, Split, mask,
};
pub use self::separation::{Components, Found, Hit, Separation, Stems};
use crate::audio::Recording;
use crate::watch::Watch;
use crate::{Result, names};

/// Takes a recording apart without being told what is in it, in the transform that suits music: [`Analysis::of`], then
/// [`blind::fit`].
///
/// # Errors
/// Those of the two.
///
/// # Examples
/// ```
/// use partita::separate::blind::BlindConfig;
/// use partita::{Audio, separate, watch::Watch};
/// let tone = |hz: f32, i: usize| (std::f32::consts::TAU * hz * i as f32 / 8000.0).sin();
/// let mixture = ndarray::Array2::from_shape_fn((1, 8000), |(_, i)| {
///     if i < 4000 { tone(440.0, i) } else { 0.5 * tone(1500.0, i) }
/// });
/// let mixture = Audio::new(mixture, 8000)?;
/// let parts = separate(&mixture, &BlindConfig { n_sources: Some(2), ..BlindConfig::default() })?;
/// let stems = parts.stems(&mixture, &mut Watch::none())?;
/// let gap = &stems[0].samples() + &stems[1].samples() - mixture.samples();
/// assert!(gap.iter().all(|x| x.abs() < 1e-5), "stems sum to the mixture");
/// # Ok::<(), partita::Error>(())
/// ```
pub fn separate(recording: &dyn Recording, config: &blind::BlindConfig) -> Result<Separation> {
    let analysis = Analysis::of(recording, &AnalysisConfig::default(), &mut Watch::none())?;
    blind::fit(&analysis, config, None, &mut Watch::none())
}

/// How sources are told apart beside their masks, where there are several channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HowPlaced {
    /// By nothing: one mask for all channels.
    #[default]
    Mask,
    /// By a filter for each bin ([`Separation::with_places`]).
    Wiener,
    /// By where they stand between left and right ([`Separation::with_pans`]); where they do not stand apart, by one mask.
    Pan,
    /// The same; where they do not stand apart, by a filter for each bin.
    PanOrWiener,
}

/// What tells sources apart beside their masks, where there are several channels: the step over any method's masks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Places {
    /// How. Default: by one mask for all channels.
    pub how: HowPlaced,
    /// Sources that are known to stand somewhere, from -1 (left) to 1 (right) by gains of constant power.
    pub said: Vec<(String, f64)>,
}

impl Places {
    /// Whether sources are told apart by where they stand.
    pub fn is_pan(&self) -> bool {
        matches!(self.how, HowPlaced::Pan | HowPlaced::PanOrWiener)
    }

    /// Takes this step. `found` is the number of [`Analysis::places`], where they were looked for; filters for each bin are
    /// learned from about `max_frames` frames.
    ///
    /// # Errors
    /// Those of [`Separation::with_places`] and [`Separation::with_pans`].
    pub fn tell_apart(
        &self,
        separation: Separation,
        recording: &dyn Recording,
        found: Option<usize>,
        max_frames: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Separation> {
        let is_apart = !self.said.is_empty() || found.is_none_or(|n_places| n_places > 1);
        match self.how {
            HowPlaced::Wiener => separation.with_places(recording, max_frames, watch),
            HowPlaced::PanOrWiener if !is_apart => separation.with_places(recording, max_frames, watch),
            _ if self.is_pan() && is_apart => separation.with_pans(recording, &self.said, watch),
            _ => Ok(separation),
        }
    }
}

/// Whether other instruments play beside the drums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accompaniment {
    /// It is listened for ([`drums::has_accompaniment`]).
    #[default]
    Auto,
    /// They do.
    Present,
    /// There are only drums.
    Absent,
}

/// Takes drums apart and finds all of their hits: [`drums::fit`] and [`drums::follow`]. Where other instruments play, hits
/// are told from what lasts before ([`hpss`]), and what lasts is a part `residual`, so that stems sum to the recording.
///
/// `analysis` is that of the recording by `analysis_config`.
///
/// # Errors
/// Those of the three.
///
/// # Cost
/// Without other instruments, that of [`drums::fit`] and [`drums::follow`]; else two more passes over the recording.
pub fn drums_of(
    recording: &dyn Recording,
    analysis: &Analysis,
    analysis_config: &AnalysisConfig,
    config: &drums::DrumsConfig,
    accompaniment: Accompaniment,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    let has_others = match accompaniment {
        Accompaniment::Auto => drums::has_accompaniment(analysis)?,
        Accompaniment::Present => !analysis.is_silent(),
        Accompaniment::Absent => false,
    };
    if !has_others {
        let separation = drums::fit(analysis, config, None, watch)?;
        return drums::follow(separation, recording, watch);
    }
    let outline = AnalysisConfig { detail: Detail::Outline, ..AnalysisConfig::default() };
    let outline = Analysis::of(recording, &outline, watch)?;
    let hits_and_rest = hpss::fit(&outline, &hpss::HpssConfig::default(), None, watch)?;
    let hits = hits_and_rest.rest(recording);
    let analysis = Analysis::of(&hits, analysis_config, watch)?;
    let separation = drums::fit(&analysis, config, None, watch)?;
    let separation = drums::follow(separation, &hits, watch)?;
    drop(hits);
    Ok(hits_and_rest.then(separation, names::RESIDUAL))
}
