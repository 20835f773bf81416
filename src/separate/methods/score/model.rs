//! The model: masks of any frames, by what the fit found.

use std::sync::Arc;

use ndarray::Array2;
use rayon::prelude::*;

use super::config::Unscored;
use super::fit::Fitted;
use super::template::start;
use crate::Result;
use crate::nmf::support::SparseColumn;
use crate::separate::pipeline::{Block, Model, Split, mask};

/// What the fit found: makes the masks of any frames.
#[derive(Debug)]
pub(super) struct ScoreModel {
    pub(super) fitted: Arc<Fitted>,
    /// The part that each voice belongs to.
    pub(super) owners: Vec<usize>,
    /// Whether the fit has the activations of all frames; else they are found block by block.
    pub(super) is_complete: bool,
    pub(super) n_parts: usize,
    pub(super) unscored: Unscored,
    pub(super) mask_exponent: f32,
}

impl ScoreModel {
    /// Activations of a frame that the fit did not keep.
    fn solve(&self, frame_idx: usize, v: &[f32]) -> SparseColumn {
        let mut column = start(&self.fitted.templates, frame_idx);
        self.fitted.course.follow(&self.fitted.templates, v, &mut column);
        column
    }
}

impl Model for ScoreModel {
    fn n_parts(&self) -> usize {
        self.n_parts
    }

    fn mask_exponent(&self) -> f32 {
        self.mask_exponent
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let (v, templates, last) = (block.core(), &self.fitted.templates, &self.fitted.course.last);
        let solved: Vec<SparseColumn>;
        let columns = if self.is_complete {
            &self.fitted.columns[block.frames.clone()]
        } else {
            let frames = (0..v.nrows()).into_par_iter();
            solved = frames.map(|i| self.solve(block.frames.start + i, &v.row(i).to_vec())).collect();
            &solved
        };
        let mut models: Vec<Array2<f32>> = (0..self.n_parts)
            .into_par_iter()
            .map(|part| {
                let mut model = Array2::zeros(v.raw_dim());
                for (mut frame, column) in model.outer_iter_mut().zip(columns) {
                    if let Some(frame) = frame.as_slice_mut() {
                        column.product_of(|k| self.owners[templates[k].voice] == part, last, frame);
                    }
                }
                model
            })
            .collect();
        if self.unscored == Unscored::Residual
            && let Some((residual, parts)) = models.split_last_mut()
        {
            // Where no note explains anything, all of it is left over.
            for (i, mut frame) in residual.outer_iter_mut().enumerate() {
                for (bin, x) in frame.iter_mut().enumerate() {
                    if parts.iter().all(|part| part[[i, bin]] == 0.0) {
                        *x = v[[i, bin]].max(*x);
                    }
                }
            }
        }
        mask::wiener(&mut models, self.mask_exponent);
        Ok(Split::Masks(models))
    }
}
