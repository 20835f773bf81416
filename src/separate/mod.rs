//! A recording in, its parts out: an [`Analysis`], a method's `fit`, and a [`Separation`] that makes stems.
//!
//! Methods are shaped alike, one for each kind of knowledge: `fit(&analysis, &config, previous, &mut watch)`, where
//! `previous` is an earlier fit of the same method to go on from.

mod methods;
mod pipeline;
mod separation;

pub use self::methods::{Example, blind, denoise, drums, examples, group, hpss, labelled, score, transcribe};
pub use self::pipeline::{
    Analysis, AnalysisConfig, Block, DRUMS_WINDOW_S, Detail, MUSIC_WINDOW_S, Margin, Model, Rendered, Renderer,
    SPEECH_WINDOW_S, Split, mask,
};
pub use self::separation::{Components, Found, Hit, Separation, Stems};
use crate::Result;
use crate::audio::Recording;
use crate::watch::Watch;

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
