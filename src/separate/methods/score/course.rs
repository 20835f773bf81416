//! The dictionaries that a fit went through, which blocks go through again.

use super::template::Template;
use super::unscored;
use crate::nmf::support::{SparseColumn, TemplateRows};

/// Iterations in which a note's template is a comb under the envelope of its instrument.
pub(super) const TIED_ITERATIONS: usize = 30;

/// The dictionaries that the fit went through, each templates x bins.
#[derive(Debug)]
pub(super) struct Course {
    /// At the end of the tied iterations.
    pub(super) tied: TemplateRows,
    /// At the beginning of each free iteration.
    pub(super) free: Vec<TemplateRows>,
    /// At the end: the one of the masks.
    pub(super) last: TemplateRows,
}

impl Course {
    pub(super) fn scale(&mut self, factor: f32) {
        for dictionary in std::iter::once(&mut self.tied).chain(&mut self.free).chain(std::iter::once(&mut self.last)) {
            dictionary.edit(|rows| *rows *= factor);
        }
    }

    /// Goes through them with the activations of a frame as the fit did: with the tied templates as often as it had such, then
    /// once with each state of the free ones, since few steps leave activations short of what the last templates alone would
    /// make of them.
    pub(super) fn follow(&self, templates: &[Template], v: &[f32], column: &mut SparseColumn) {
        let mut quotient = vec![0.0; v.len()];
        for n_done in 1..=TIED_ITERATIONS {
            column.update(v, &self.tied, &mut quotient);
            if let Some(n) = unscored::kept_after(n_done, false) {
                unscored::thin_out(column, n, templates, &self.tied);
            }
        }
        self.free.iter().for_each(|dictionary| column.update(v, dictionary, &mut quotient));
    }
}
