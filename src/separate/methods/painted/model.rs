//! The model: masks of any frames, by the components of each source and by what was painted.

use std::sync::Arc;

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use super::guidance;
use crate::Result;
use crate::knowledge::painting::Painting;
use crate::nmf::{Encoder, Factor, NmfConfig, Solver, fit};
use crate::separate::pipeline::{Block, Model, Split, mask};

/// Iterations that find the activations of one block where those of the fit do not cover it, as for components that nobody
/// painted; and as many again where something is painted.
const BLOCK_ITERATIONS: usize = 30;

/// Components of sources, and what was painted.
#[derive(Debug, Clone)]
pub(super) struct PaintedModel {
    /// The dictionary, `n_bins` x `n_components`.
    pub(super) encoder: Arc<Encoder>,
    /// `n_components` x all frames; `None`: found block by block.
    pub(super) activations: Option<Arc<Array2<f32>>>,
    /// The source of each component.
    pub(super) groups: Vec<usize>,
    pub(super) n_sources: usize,
    pub(super) painting: Arc<Painting>,
    pub(super) mask_exponent: f32,
}

impl PaintedModel {
    fn activations(&self, block: &Block<'_>) -> Result<Array2<f32>> {
        if let Some(activations) = &self.activations {
            return Ok(activations.slice(s![.., block.frames.clone()]).to_owned());
        }
        let v = block.core();
        let mut activations = self.encoder.encode(v.t())?;
        let mut runs = self.painting.runs_of(&block.frames).to_vec();
        if runs.is_empty() {
            return Ok(activations);
        }
        // Only painted frames differ.
        let mut rows: Vec<usize> = runs.iter().map(|run| run.column as usize - block.frames.start).collect();
        rows.dedup();
        for run in &mut runs {
            let row = run.column as usize - block.frames.start;
            run.column = rows.partition_point(|painted| *painted < row) as u32;
        }
        let config = NmfConfig {
            n_components: self.groups.len(),
            solver: Solver::Mu,
            dictionary: Factor::Fixed(self.encoder.dictionary().to_owned()),
            activations: Factor::Seed(activations.select(Axis(1), &rows)),
            guidance: Some(guidance(self.groups.clone(), runs)),
            max_iter: BLOCK_ITERATIONS,
            tol: 0.0,
            ..NmfConfig::default()
        };
        let found = fit(v.select(Axis(0), &rows).t(), &config)?.activations;
        for (row, found) in rows.into_iter().zip(found.columns()) {
            activations.column_mut(row).assign(&found);
        }
        Ok(activations)
    }

    /// What each source has in the frames of a block, frames x `n_bins`.
    fn magnitudes(&self, block: &Block<'_>) -> Result<Vec<Array2<f32>>> {
        let activations = self.activations(block)?;
        let dictionary = self.encoder.dictionary();
        let magnitudes = (0..self.n_sources).into_par_iter().map(|source| {
            let members: Vec<_> = (0..self.groups.len()).filter(|k| self.groups[*k] == source).collect();
            let (w, h) = (dictionary.select(Axis(1), &members), activations.select(Axis(0), &members));
            h.t().dot(&w.t())
        });
        Ok(magnitudes.collect())
    }

    /// Leaves nothing to sources where they are denied it.
    fn deny(&self, magnitudes: &mut [Array2<f32>], block: &Block<'_>) {
        let n_bins = block.core().ncols();
        let mut deny = |frame: usize, bins: std::ops::Range<usize>, denied: u64| {
            for (source, magnitude) in magnitudes.iter_mut().enumerate() {
                let is_denied = denied >> source & 1 == 1;
                magnitude.slice_mut(s![frame - block.frames.start, bins.clone()]).mapv_inplace(|x| {
                    // Someone has what is there, even if no model does.
                    if is_denied { 0.0 } else { x.max(f32::MIN_POSITIVE) }
                });
            }
        };
        for run in self.painting.runs_of(&block.frames) {
            deny(run.column as usize, run.start as usize..run.end as usize, run.denied);
        }
        for alone in self.painting.alone_in(&block.frames) {
            let frames = alone.frames.start.max(block.frames.start)..alone.frames.end.min(block.frames.end);
            frames.for_each(|frame| deny(frame, 0..n_bins, !alone.sources));
        }
    }
}

impl Model for PaintedModel {
    fn n_parts(&self) -> usize {
        self.n_sources
    }

    fn mask_exponent(&self) -> f32 {
        self.mask_exponent
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let mut magnitudes = self.magnitudes(block)?;
        self.deny(&mut magnitudes, block);
        mask::wiener(&mut magnitudes, self.mask_exponent);
        Ok(Split::Masks(magnitudes))
    }
}

/// Prepares a dictionary for the blocks of a recording.
pub(super) fn encoder(dictionary: &Array2<f32>) -> Result<Arc<Encoder>> {
    let config = crate::nmf::EncoderConfig { max_iter: BLOCK_ITERATIONS, ..Default::default() };
    Ok(Arc::new(Encoder::new(dictionary.view(), &config)?))
}
