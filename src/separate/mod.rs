//! A recording in, its parts out: one file per kind of knowledge, all shaped alike, and the rendering they share.

mod analysis;
mod blind;
pub mod denoise;
mod drums;
mod examples;
mod hpss;
mod labelled;
mod median;
mod model;
mod multichannel;
mod render;
mod score;

use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::Array2;

pub use self::drums::{Drum, DrumsConfig, Hit, Sound, drums, hits_to_score};
pub use self::examples::{Example, ExamplesConfig, examples, learn};
pub use self::hpss::{HpssConfig, hpss};
pub use self::labelled::{labelled, labels};
use self::model::Model;
pub use self::multichannel::Multichannel;
pub use self::render::Rendered;
use self::render::Stage;
pub use self::score::{ScoreConfig, Timing, Unscored, by_score, by_score_and_examples};
use crate::audio::Recording;
use crate::error::Advice;
pub use crate::names::RESIDUAL;
use crate::nmf::{Factorization, NmfConfig};
use crate::spectrogram::{Overview, OverviewStream};
use crate::stft::{Stft, StftOptions};
use crate::{Audio, Error, Result, names};

/// Window for sustained music: long enough to tell a semitone apart from 200 Hz on.
const MUSIC_WINDOW_S: f64 = 0.093;

/// How to take a recording apart.
#[derive(Debug, Clone, PartialEq)]
pub struct SeparateConfig {
    /// Number of sources, 1 to `nmf.n_components`. Default: estimated from the components.
    pub n_sources: Option<usize>,
    /// Sizes of the transform. Default: the power of two nearest to 93 ms, and a hop of a quarter of it.
    pub stft: StftOptions,
    /// The factorization. Default: 32 components, and else [`NmfConfig::default`].
    pub nmf: NmfConfig,
    /// Exponent of the masks, above 0; 2 is the Wiener filter's, higher is harder. Default 1.5.
    pub mask_exponent: f32,
    /// Frames that the components are learned from at the most, at least 128; of a longer recording, runs of frames are
    /// spread evenly over its length. Default 20 000: 7.7 minutes at 44.1 kHz, 164 MB.
    pub max_frames: usize,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Samples read, or iterations done.
    pub done: u64,
    /// Of how many at the most, where that is known.
    pub total: Option<u64>,
    /// The objective of a factorization, where it was computed.
    pub divergence: Option<f64>,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The recording is read and transformed.
    Reading,
    /// What is in it is found out.
    Fitting,
}

impl Step {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Fitting => "separating",
        }
    }
}

impl Default for SeparateConfig {
    fn default() -> Self {
        Self {
            n_sources: None,
            stft: StftOptions::default(),
            nmf: NmfConfig { n_components: 32, ..NmfConfig::default() },
            mask_exponent: 1.5,
            max_frames: analysis::MAX_FRAMES,
        }
    }
}

/// Takes a recording apart without being told what is in it: components are found by NMF and grouped into sources by
/// likeness. The grouping is a suggestion; knowledge is what names an instrument.
///
/// # Errors
/// [`Error::Silent`] and [`Error::TooShort`] where there is nothing to separate, [`Error::Setting`] for a setting out
/// of range.
///
/// # Cost
/// Time O(`n_frames` `n_bins` `n_components` `max_iter`). Memory: two matrices of `n_frames` (or `max_frames`) x `n_bins`,
/// whatever the length of the recording, which is read once here and once for each rendering.
///
/// # References
/// P. Smaragdis and J. C. Brown, "Non-negative matrix factorization for polyphonic music transcription", WASPAA 2003.
///
/// # Examples
/// ```
/// use partita::{Audio, SeparateConfig, separate};
/// let tone = |hz: f32, i: usize| (std::f32::consts::TAU * hz * i as f32 / 8000.0).sin();
/// let mixture = ndarray::Array2::from_shape_fn((1, 8000), |(_, i)| {
///     if i < 4000 { tone(440.0, i) } else { 0.5 * tone(1500.0, i) }
/// });
/// let mixture = Audio::new(mixture, 8000)?;
/// let parts = separate(&mixture, &SeparateConfig { n_sources: Some(2), ..SeparateConfig::default() })?;
/// let stems = parts.stems(&mixture)?;
/// let gap = &stems[0].samples() + &stems[1].samples() - mixture.samples();
/// assert!(gap.iter().all(|x| x.abs() < 1e-5), "stems sum to the mixture");
/// # Ok::<(), partita::Error>(())
/// ```
pub fn separate(recording: &dyn Recording, config: &SeparateConfig) -> Result<Separation> {
    separate_with(recording, config, &mut |_| ControlFlow::Continue(()))
}

/// [`separate`], telling `progress` of every block and iteration; where it answers `Break`, the work ends with
/// [`Error::Cancelled`].
///
/// # Errors
/// Those of [`separate`], and [`Error::Cancelled`].
pub fn separate_with(
    recording: &dyn Recording,
    config: &SeparateConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Separation> {
    check_mask_exponent(config.mask_exponent)?;
    let stft = Stft::new(config.stft.resolve(recording.sample_rate(), MUSIC_WINDOW_S))?;
    blind::separate(recording, stft, config, progress)
}

/// Refuses an exponent that makes no masks.
fn check_mask_exponent(mask_exponent: f32) -> Result<()> {
    if mask_exponent > 0.0 && mask_exponent.is_finite() {
        return Ok(());
    }
    Err(Error::Setting {
        name: "mask_exponent",
        got: mask_exponent.to_string(),
        expected: "a number above 0".into(),
        advice: Some(Advice::set("mask_exponent", 1.5).note("or 2 for the Wiener filter's").into()),
    })
}

/// A recording taken apart: what is needed to make its stems, as often as one likes.
#[derive(Debug, Clone)]
pub struct Separation {
    /// The last part of each stage but the last is split further by the next.
    stages: Vec<Stage>,
    names: Vec<String>,
    /// The source of each part.
    assignment: Vec<usize>,
    /// Samples per channel of the recording.
    n_samples: usize,
    components: Option<Components>,
    warnings: Vec<String>,
}

/// The components of a separation by factorization.
#[derive(Debug, Clone)]
struct Components {
    factorization: Factorization,
    /// The source of each component.
    assignment: Vec<usize>,
    /// Their masks, one by one.
    model: Arc<dyn Model>,
}

/// Which stems to make of a [`Separation`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stems {
    /// One per source.
    #[default]
    All,
    /// Only the sources of these names.
    Only(Vec<String>),
    /// The source of this name, and all others together as `no_NAME`.
    Two(String),
    /// One per component, `component-01` and so on.
    Components,
}

impl Separation {
    /// One stage whose parts are the sources.
    fn new(stft: Stft, model: impl Model + 'static, names: Vec<String>, n_samples: usize) -> Self {
        debug_assert_eq!(model.n_parts(), names.len(), "a name for each part");
        Self {
            stages: vec![Stage { stft, model: Arc::new(model), spatial: None }],
            assignment: (0..names.len()).collect(),
            names,
            n_samples,
            components: None,
            warnings: Vec::new(),
        }
    }

    /// Names of the sources.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The components, and how the fit went, where a factorization found them.
    pub fn factorization(&self) -> Option<&Factorization> {
        self.components.as_ref().map(|components| &components.factorization)
    }

    /// The components of each source; none without a factorization.
    pub fn groups(&self) -> Vec<(&str, Vec<usize>)> {
        let assignment = self.components.as_ref().map_or(&[][..], |components| &components.assignment);
        let members = |source| (0..assignment.len()).filter(|k| assignment[*k] == source).collect();
        self.names.iter().enumerate().map(|(source, name)| (name.as_str(), members(source))).collect()
    }

    /// Samples per channel of the recording, and of each stem.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// The transform of the first stage.
    pub fn stft(&self) -> &Stft {
        &self.stages[0].stft
    }

    /// What the caller should know although there is a result.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Names of the stems that [`Separation::render`] makes.
    ///
    /// # Errors
    /// [`Error::UnknownStem`] for a name that no source has.
    pub fn stem_names(&self, stems: &Stems) -> Result<Vec<String>> {
        Ok(self.outputs(stems)?.into_iter().map(|output| output.name).collect())
    }

    /// All stems, each with the sample rate, the channels and the length of the mixture; together they sum to it.
    ///
    /// `recording` is the one that was taken apart.
    ///
    /// # Errors
    /// Those of [`Separation::render`].
    ///
    /// # Cost
    /// Memory for all samples of all stems; [`Separation::render`] needs only some blocks of them.
    pub fn stems(&self, recording: &dyn Recording) -> Result<Vec<Audio>> {
        let shape = (recording.n_channels(), self.n_samples);
        let mut stems = vec![Array2::zeros(shape); self.names.len()];
        let mut start = 0;
        self.render(recording, &Stems::All, &mut |blocks| {
            for (stem, block) in stems.iter_mut().zip(blocks) {
                stem.slice_mut(ndarray::s![.., start..start + block.ncols()]).assign(block);
            }
            start += blocks[0].ncols();
            Ok(())
        })?;
        let audio = |stem| Ok(Audio::new(stem, recording.sample_rate())?.with_channel_mask(recording.channel_mask()));
        stems.into_iter().map(audio).collect()
    }

    /// Largest absolute sample of any of these stems: what decides whether integers can hold them.
    ///
    /// # Errors
    /// Those of [`Separation::render`], and what `on_block` returns, which is told the number of samples done.
    pub fn peak(
        &self,
        recording: &dyn Recording,
        stems: &Stems,
        on_block: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<f32> {
        let mut n_samples = 0;
        let rendered = self.render(recording, stems, &mut |blocks| {
            n_samples += blocks.first().map_or(0, Array2::ncols);
            on_block(n_samples)
        })?;
        Ok(rendered.peaks.into_iter().fold(0.0, f32::max))
    }

    /// Makes the stems block by block, and hands each block to `sink`: one `n_channels` x n matrix for each of
    /// [`Separation::stem_names`], all of one length, in the order of time.
    ///
    /// # Errors
    /// [`Error::UnknownStem`], [`Error::Length`] for a recording of another length, [`Error::NoComponents`] where
    /// components are asked for that no factorization found, and whatever `sink` returns.
    ///
    /// # Cost
    /// One pass over the recording: one forward transform per channel and one inverse per stem and channel; memory for
    /// some 64 frames of each.
    pub fn render(
        &self,
        recording: &dyn Recording,
        stems: &Stems,
        sink: &mut dyn FnMut(&[Array2<f32>]) -> Result<()>,
    ) -> Result<Rendered> {
        let outputs: Vec<_> = self.outputs(stems)?.into_iter().map(|output| output.parts).collect();
        let stages = match (stems, &self.components) {
            (Stems::Components, Some(Components { model, .. })) => {
                &[Stage { stft: self.stages[0].stft.clone(), model: model.clone(), spatial: None }][..]
            }
            (Stems::Components, None) => return Err(Error::NoComponents),
            _ => &self.stages,
        };
        let rendered = render::render(stages, recording, &outputs, sink)?;
        if rendered.n_samples != self.n_samples {
            return Err(Error::Length { got: rendered.n_samples, expected: self.n_samples });
        }
        Ok(rendered)
    }

    /// Spectrograms of the mixture and of each source, in at most `max_columns` columns: for pictures. Their shares
    /// ([`Overview::shares`]) are the masks.
    ///
    /// # Errors
    /// Those of [`Separation::render`].
    pub fn overviews(&self, recording: &dyn Recording, max_columns: usize) -> Result<Vec<Overview>> {
        let stft = self.stft();
        let new = || OverviewStream::new(stft, recording.sample_rate(), recording.n_channels(), max_columns);
        let mut mixture = new();
        recording.read(&mut |block| {
            mixture.push(block);
            Ok(())
        })?;
        let mut stems: Vec<_> = self.names.iter().map(|_| new()).collect();
        self.render(recording, &Stems::All, &mut |blocks| {
            stems.iter_mut().zip(blocks).for_each(|(stem, block)| stem.push(block.view()));
            Ok(())
        })?;
        Ok(std::iter::once(mixture).chain(stems).map(OverviewStream::finish).collect())
    }

    fn outputs(&self, stems: &Stems) -> Result<Vec<Output>> {
        let source = |name: &String| {
            let unknown = || Error::UnknownStem { name: name.clone(), names: self.names.clone() };
            self.names.iter().position(|n| n == name).ok_or_else(unknown)
        };
        let parts = |wanted: &dyn Fn(usize) -> bool| {
            (0..self.assignment.len()).filter(|part| wanted(self.assignment[*part])).collect()
        };
        let output = |name: &str, wanted: &dyn Fn(usize) -> bool| Output { name: name.into(), parts: parts(wanted) };
        Ok(match stems {
            Stems::All => self.names.iter().enumerate().map(|(s, name)| output(name, &|source| source == s)).collect(),
            Stems::Only(names) => {
                let only = |name| {
                    let wanted = source(name)?;
                    Ok(output(name, &|source| source == wanted))
                };
                names.iter().map(only).collect::<Result<_>>()?
            }
            Stems::Two(name) => {
                let wanted = source(name)?;
                let rest = names::without(name);
                vec![output(name, &|source| source == wanted), output(&rest, &|source| source != wanted)]
            }
            Stems::Components => {
                let n_components = self.factorization().map_or(0, Factorization::n_components);
                (0..n_components).map(|k| Output { name: names::component(k + 1), parts: vec![k] }).collect()
            }
        })
    }
}

/// A stem to make, and the parts whose masks it sums.
struct Output {
    name: String,
    parts: Vec<usize>,
}

/// What a progress callback of the factorization is told, told on as progress of the separation.
fn fitting(
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> impl FnMut(crate::nmf::Progress) -> ControlFlow<()> + '_ {
    move |at| {
        let (done, total) = (at.iteration as u64, Some(at.max_iter as u64));
        progress(Progress { step: Step::Fitting, done, total, divergence: at.divergence })
    }
}
