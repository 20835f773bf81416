//! What a method knows after its fit: the masks of any block of frames.
//! A model sees magnitudes only; transforms and sound are the business of `render`.

use std::fmt;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::mask;
use crate::nmf::{NmfConfig, transform};

/// Makes masks.
pub(super) trait Model: Send + Sync + fmt::Debug {
    /// Number of masks.
    fn n_parts(&self) -> usize;

    /// Frames before and after a block that its masks depend on.
    fn margin(&self) -> (usize, usize) {
        (0, 0)
    }

    /// One mask for each part, `block.frames.len()` x `n_bins`, in [0, 1]; they sum to one.
    fn masks(&self, block: &Block<'_>) -> Vec<Array2<f32>>;
}

/// A run of frames of the mixture.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// The frames whose masks are wanted.
    pub(super) frames: Range<usize>,
    /// Root of the channel-summed power of these frames and of the model's margin on both sides, as far as the recording
    /// reaches: frames x `n_bins`.
    pub(super) magnitude: ArrayView2<'a, f32>,
    /// Rows of `magnitude` before `frames.start`.
    pub(super) before: usize,
}

impl Block<'_> {
    /// The magnitudes of the wanted frames alone.
    pub(super) fn core(&self) -> ArrayView2<'_, f32> {
        self.magnitude.slice(s![self.before..self.before + self.frames.len(), ..])
    }
}

/// Iterations that find the activations of one block where those of the fit do not cover it: with these the SDR of every
/// development item is within 0.05 dB of that with the activations of the fit (20: 0.11 dB, 60: 0.03 dB).
const BLOCK_ITERATIONS: usize = 30;

/// A dictionary whose templates belong to parts.
#[derive(Debug, Clone)]
pub(super) struct Components {
    /// `n_bins` x `n_components`.
    pub(super) dictionary: Array2<f32>,
    /// `n_components` x all frames; `None`: found block by block, with the dictionary as it is.
    pub(super) activations: Option<Array2<f32>>,
    /// The part of each component.
    pub(super) partition: Vec<usize>,
    /// Exponent of the masks.
    pub(super) mask_exponent: f32,
    /// How the activations of a block are found.
    pub(super) nmf: NmfConfig,
}

impl Components {
    fn activations(&self, block: &Block<'_>) -> Array2<f32> {
        if let Some(activations) = &self.activations {
            return activations.slice(s![.., block.frames.clone()]).to_owned();
        }
        let config = NmfConfig { max_iter: BLOCK_ITERATIONS, ..self.nmf.clone() };
        match transform(block.core().t(), self.dictionary.clone(), &config) {
            Ok(found) => found.activations,
            // The settings and the dictionary come from a fit that took them, and magnitudes are finite.
            Err(error) => unreachable!("{error}"),
        }
    }
}

impl Model for Components {
    fn n_parts(&self) -> usize {
        self.partition.iter().max().map_or(0, |last| last + 1)
    }

    fn masks(&self, block: &Block<'_>) -> Vec<Array2<f32>> {
        let activations = self.activations(block);
        let mut models: Vec<_> = (0..self.n_parts())
            .into_par_iter()
            .map(|part| {
                let members: Vec<_> = (0..self.partition.len()).filter(|k| self.partition[*k] == part).collect();
                let templates = self.dictionary.select(Axis(1), &members);
                activations.select(Axis(0), &members).t().dot(&templates.t())
            })
            .collect();
        mask::wiener(&mut models, self.mask_exponent);
        models
    }
}
