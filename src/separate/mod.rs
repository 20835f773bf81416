//! A recording in, its parts out: one file per kind of knowledge, all shaped alike, and the rendering they share.

mod blind;
#[allow(missing_docs, missing_debug_implementations, clippy::all)]
pub mod score;
mod render;

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2};

use crate::nmf::{Factorization, NmfConfig, Progress};
use crate::spectrogram::{Overview, OverviewBuilder, OverviewStream};
use crate::stft::{Stft, StftOptions};
use crate::{Audio, Error, Result};

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
}

impl Default for SeparateConfig {
    fn default() -> Self {
        Self {
            n_sources: None,
            stft: StftOptions::default(),
            nmf: NmfConfig { n_components: 32, ..NmfConfig::default() },
            mask_exponent: 1.5,
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
/// Time O(`n_frames` `n_bins` `n_components` `max_iter`). Memory: two matrices of `n_frames` x `n_bins`.
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
pub fn separate(audio: &Audio, config: &SeparateConfig) -> Result<Separation> {
    separate_with(audio, config, &mut |_| ControlFlow::Continue(()))
}

/// [`separate`], telling `progress` of every iteration of the factorization; where it answers `Break`, the work ends
/// with [`Error::Cancelled`].
///
/// # Errors
/// Those of [`separate`], and [`Error::Cancelled`].
pub fn separate_with(
    audio: &Audio,
    config: &SeparateConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Separation> {
    if !(config.mask_exponent > 0.0 && config.mask_exponent.is_finite()) {
        return Err(Error::Setting {
            name: "mask_exponent",
            got: config.mask_exponent.to_string(),
            expected: "a number above 0".into(),
            hint: Some("use `mask_exponent 1.5`, or 2 for the Wiener filter's".into()),
        });
    }
    let stft = Stft::new(config.stft.resolve(audio.sample_rate(), MUSIC_WINDOW_S))?;
    check_audible(audio, stft.config().win_length)?;
    blind::separate(audio, stft, config, progress)
}

/// Refuses at once what can only give nothing.
fn check_audible(audio: &Audio, win_length: usize) -> Result<()> {
    let (n_samples, sample_rate) = (audio.n_samples(), audio.sample_rate());
    if n_samples < win_length {
        return Err(Error::TooShort { n_samples, win_length, sample_rate });
    }
    if audio.peak() == 0.0 {
        return Err(Error::Silent);
    }
    Ok(())
}

/// A recording taken apart: the components that were found, and the source each of them belongs to.
#[derive(Debug, Clone)]
pub struct Separation {
    stft: Stft,
    factorization: Factorization,
    /// Source of each component.
    assignment: Vec<usize>,
    names: Vec<String>,
    energy_shares: Vec<f64>,
    mask_exponent: f32,
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
    /// Names of the sources, the one with the most energy first.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Share of each source in the energy of all, in the order of [`Separation::names`]; they sum to one.
    pub fn energy_shares(&self) -> &[f64] {
        &self.energy_shares
    }

    /// The components, and how the fit went.
    pub fn factorization(&self) -> &Factorization {
        &self.factorization
    }

    /// The source of each component, as an index into [`Separation::names`].
    pub fn assignment(&self) -> &[usize] {
        &self.assignment
    }

    /// The transform in which the masks apply.
    pub fn stft(&self) -> &Stft {
        &self.stft
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
    /// `audio` is the recording that was taken apart.
    ///
    /// # Errors
    /// [`Error::Length`] for a recording of another length.
    pub fn stems(&self, audio: &Audio) -> Result<Vec<Audio>> {
        let mut stems = vec![Array2::zeros(audio.samples().raw_dim()); self.names.len()];
        let mut start = 0;
        self.render(audio, &Stems::All, &mut |blocks| {
            for (stem, block) in stems.iter_mut().zip(blocks) {
                stem.slice_mut(ndarray::s![.., start..start + block.ncols()]).assign(block);
            }
            start += blocks[0].ncols();
            Ok(())
        })?;
        stems
            .into_iter()
            .map(|stem| Ok(Audio::new(stem, audio.sample_rate())?.with_channel_mask(audio.channel_mask())))
            .collect()
    }

    /// Largest absolute sample of any of these stems: what decides whether integers can hold them.
    ///
    /// # Errors
    /// Those of [`Separation::render`].
    pub fn peak(&self, audio: &Audio, stems: &Stems) -> Result<f32> {
        let mut peak = 0.0f32;
        self.render(audio, stems, &mut |blocks| {
            peak = blocks.iter().flatten().fold(peak, |peak, x| peak.max(x.abs()));
            Ok(())
        })?;
        Ok(peak)
    }

    /// Makes the stems block by block, and hands each block to `sink`: one `n_channels` x n matrix for each of
    /// [`Separation::stem_names`], all of one length, in the order of time.
    ///
    /// # Errors
    /// [`Error::UnknownStem`], [`Error::Length`] for a recording of another length, and whatever `sink` returns.
    ///
    /// # Cost
    /// One forward transform per channel and one inverse per stem and channel; memory for 64 frames of each.
    pub fn render(
        &self,
        audio: &Audio,
        stems: &Stems,
        sink: &mut dyn FnMut(&[Array2<f32>]) -> Result<()>,
    ) -> Result<()> {
        let n_frames = self.factorization.activations.ncols();
        if self.stft.config().n_frames(audio.n_samples()) != n_frames {
            let expected = n_frames.saturating_sub(1) * self.stft.config().hop_length;
            return Err(Error::Length { got: audio.n_samples(), expected });
        }
        let outputs = self.outputs(stems)?;
        let partition = match stems {
            Stems::Components => (0..self.assignment.len()).collect(),
            _ => self.assignment.clone(),
        };
        let sources: Vec<_> = outputs.into_iter().map(|output| output.sources).collect();
        let masks = |frames| render::masks(&self.factorization, &partition, self.mask_exponent, frames);
        render::render(&self.stft, audio, &sources, &masks, sink)
    }

    /// The components of each source.
    pub fn groups(&self) -> Vec<(&str, Vec<usize>)> {
        let members = |source| (0..self.assignment.len()).filter(|k| self.assignment[*k] == source).collect();
        self.names.iter().enumerate().map(|(source, name)| (name.as_str(), members(source))).collect()
    }

    /// Spectrograms of the mixture and of each source, in at most `max_columns` columns: for pictures.
    ///
    /// # Errors
    /// Those of [`Separation::render`].
    pub fn overviews(&self, audio: &Audio, max_columns: usize) -> Result<Vec<Overview>> {
        let new = || OverviewStream::new(&self.stft, audio.sample_rate(), audio.n_channels(), max_columns);
        let mut mixture = new();
        mixture.push(audio.samples());
        let mut stems: Vec<_> = self.names.iter().map(|_| new()).collect();
        self.render(audio, &Stems::All, &mut |blocks| {
            stems.iter_mut().zip(blocks).for_each(|(stem, block)| stem.push(block.view()));
            Ok(())
        })?;
        Ok(std::iter::once(mixture).chain(stems).map(OverviewStream::finish).collect())
    }

    /// The masks of the sources, in at most `max_columns` columns: for pictures.
    pub fn mask_overviews(&self, audio: &Audio, max_columns: usize) -> Vec<Overview> {
        let config = self.stft.config();
        let new = || OverviewBuilder::new(config, audio.sample_rate(), max_columns);
        let mut overviews: Vec<_> = self.names.iter().map(|_| new()).collect();
        for frames in render::blocks(self.factorization.activations.ncols()) {
            let masks = render::masks(&self.factorization, &self.assignment, self.mask_exponent, frames);
            for (overview, mask) in overviews.iter_mut().zip(&masks) {
                mask.outer_iter().for_each(|frame| overview.push(frame.iter().copied()));
            }
        }
        overviews.into_iter().map(|overview| overview.finish(audio.n_samples())).collect()
    }

    fn outputs(&self, stems: &Stems) -> Result<Vec<Output>> {
        let source = |name: &String| {
            let unknown = || Error::UnknownStem { name: name.clone(), names: self.names.clone() };
            self.names.iter().position(|n| n == name).ok_or_else(unknown)
        };
        let output = |name: String, sources| Output { name, sources };
        Ok(match stems {
            Stems::All => self.names.iter().enumerate().map(|(s, name)| output(name.clone(), vec![s])).collect(),
            Stems::Only(names) => {
                names.iter().map(|name| Ok(output(name.clone(), vec![source(name)?]))).collect::<Result<_>>()?
            }
            Stems::Two(name) => {
                let wanted = source(name)?;
                let others = (0..self.names.len()).filter(|s| *s != wanted).collect();
                vec![output(name.clone(), vec![wanted]), output(format!("no_{name}"), others)]
            }
            Stems::Components => {
                (0..self.assignment.len()).map(|k| output(format!("component-{:02}", k + 1), vec![k])).collect()
            }
        })
    }
}

/// A stem to make, and the sources whose masks it sums.
struct Output {
    name: String,
    sources: Vec<usize>,
}

/// Energy of each source under its mask, as shares of the whole.
fn energy_shares(
    magnitude: ArrayView2<'_, f32>,
    factorization: &Factorization,
    assignment: &[usize],
    mask_exponent: f32,
) -> Vec<f64> {
    let n_sources = assignment.iter().max().map_or(0, |last| last + 1);
    let mut energies = vec![0.0; n_sources];
    for frames in render::blocks(magnitude.nrows()) {
        let masks = render::masks(factorization, assignment, mask_exponent, frames.clone());
        let block = magnitude.slice(ndarray::s![frames, ..]);
        for (energy, mask) in energies.iter_mut().zip(&masks) {
            *energy += mask.iter().zip(&block).map(|(m, v)| f64::from(m * v).powi(2)).sum::<f64>();
        }
    }
    let total: f64 = energies.iter().sum();
    energies.iter().map(|energy| energy / total.max(f64::MIN_POSITIVE)).collect()
}
