//! Learned templates, and when each is played: splits any block of frames, of the fit or not.

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::kit::Drum;
use super::levels::even;
use crate::Result;
use crate::nmf::{ConvolutiveConfig, Factor, convolve, fit_convolutive};
use crate::separate::pipeline::{Block, Margin, Model, Split, mask};
use crate::watch::Watch;

/// Iterations that find them.
const SPAN_ITERATIONS: usize = 30;

/// Templates, and when each is played.
#[derive(Debug, Clone)]
pub(super) struct DrumModel {
    /// `n_bins` x (templates x `n_lags`).
    pub(super) dictionary: Array2<f32>,
    /// Templates x all frames; `None`: found block by block.
    pub(super) activations: Option<Array2<f32>>,
    pub(super) n_lags: usize,
    /// The first parts.
    pub(super) kit: Vec<Drum>,
    /// The part of each template.
    pub(super) partition: Vec<usize>,
    pub(super) mask_exponent: f32,
}

impl DrumModel {
    pub(super) fn n_templates(&self) -> usize {
        self.partition.len()
    }

    pub(super) fn template(&self, k: usize) -> ArrayView2<'_, f32> {
        self.dictionary.slice(s![.., k * self.n_lags..(k + 1) * self.n_lags])
    }

    /// The activations of frames, with the templates as they are.
    pub(super) fn solve(&self, magnitude: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
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
        // What is not heard gets nothing, not even of what no template explains.
        let is_heard = |part: &usize| {
            let mut members = (0..self.partition.len()).filter(|k| self.partition[*k] == *part);
            members.any(|k| self.template(k).iter().any(|x| *x > 0.0))
        };
        let heard: Vec<_> = (0..self.n_parts()).filter(is_heard).collect();
        let heard = if heard.is_empty() { (0..self.n_parts()).collect() } else { heard };
        let mut found: Vec<_> = heard.par_iter().map(|i| part(*i)).collect();
        mask::wiener(&mut found, self.mask_exponent);
        let mut masks = vec![Array2::zeros(block.core().raw_dim()); self.n_parts()];
        heard.into_iter().zip(found).for_each(|(i, mask)| masks[i] = mask);
        Ok(Split::Masks(masks))
    }
}
