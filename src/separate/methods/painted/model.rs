//! The model: masks of any frames, by the components of each source and by what was painted.

use std::sync::Arc;

use ndarray::{Array2, Axis, Zip, s};

use super::factors::{BLOCK_ITERATIONS, bits, guidance, products, with_rest};
use super::known::Known;
use crate::Result;
use crate::knowledge::painting::Painting;
use crate::nmf::{Encoder, Factor, NmfConfig, Solver, fit};
use crate::separate::pipeline::{Block, Margin, Model, Split, mask};

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
    /// Sources that marks can be about: all but the rest.
    pub(super) n_marked: usize,
    pub(super) painting: Arc<Painting>,
    pub(super) mask_exponent: f32,
    pub(super) known: Option<Arc<Known>>,
}

impl PaintedModel {
    fn activations(&self, block: &Block<'_>) -> Result<Array2<f32>> {
        if let Some(activations) = &self.activations {
            return Ok(activations.slice(s![.., block.frames.clone()]).to_owned());
        }
        let v = block.core();
        let mut activations = self.encoder.encode(v.t())?;
        let mut runs = self.painting.runs_of(&block.frames).to_vec();
        runs.iter_mut().for_each(|run| run.denied = with_rest(run.denied, self.n_marked));
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
        let painted = products(self.encoder.dictionary(), &activations, &self.groups, self.n_sources);
        let Some(known) = &self.known else { return Ok(painted) };
        let masks = known.source_masks(block)?;
        let mut magnitudes = known.magnitudes(masks, block.core(), self.mask_exponent);
        // What paint gave is added, and what it took is taken in proportion: little paint changes little.
        for ((x, painted), before) in magnitudes.iter_mut().zip(&painted).zip(&known.components(block)?) {
            Zip::from(x).and(painted).and(before).for_each(|x, painted, before| {
                *x = if painted > before {
                    *x + (painted - before)
                } else if *before > 0.0 {
                    *x * (painted / before)
                } else {
                    *x
                };
            });
        }
        Ok(magnitudes)
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
            deny(run.column as usize, run.start as usize..run.end as usize, with_rest(run.denied, self.n_marked));
        }
        for alone in self.painting.alone_in(&block.frames) {
            let frames = alone.frames.start.max(block.frames.start)..alone.frames.end.min(block.frames.end);
            frames.for_each(|frame| {
                deny(frame, 0..n_bins, with_rest(!alone.sources & bits(self.n_marked), self.n_marked))
            });
        }
    }
}

impl Model for PaintedModel {
    fn n_parts(&self) -> usize {
        self.n_sources
    }

    fn margin(&self) -> Margin {
        self.known.as_ref().map_or(Margin::default(), |known| known.margin())
    }

    fn mask_exponent(&self) -> f32 {
        self.mask_exponent
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        if let Some(known) = self.known.as_ref().filter(|_| self.painting.is_empty()) {
            return known.source_masks(block).map(Split::Masks);
        }
        let mut magnitudes = self.magnitudes(block)?;
        self.deny(&mut magnitudes, block);
        mask::wiener(&mut magnitudes, self.mask_exponent);
        Ok(Split::Masks(magnitudes))
    }
}
