//! The dictionaries that a fit went through, which blocks go through again.

use crate::nmf::support::TemplateRows;

/// Iterations in which a note's template is a comb under the envelope of its instrument.
pub(super) const TIED_ITERATIONS: usize = 30;

/// The dictionaries that the fit went through, each templates x bins.
#[derive(Debug)]
pub(super) struct Course {
    /// At the end of the tied iterations.
    pub(super) tied: TemplateRows,
    /// After each free iteration.
    pub(super) free: Vec<TemplateRows>,
}

impl Course {
    pub(super) fn scale(&mut self, factor: f32) {
        for dictionary in std::iter::once(&mut self.tied).chain(&mut self.free) {
            dictionary.edit(|rows| *rows *= factor);
        }
    }

    /// The one of the masks.
    pub(super) fn last(&self) -> &TemplateRows {
        self.free.last().unwrap_or(&self.tied)
    }

    /// The dictionaries under which the activations were updated, and how often: the last one came after the last update.
    pub(super) fn updates(&self) -> impl Iterator<Item = (&TemplateRows, usize)> {
        let n_free = self.free.len().saturating_sub(1);
        std::iter::once((&self.tied, TIED_ITERATIONS + 1)).chain(self.free.iter().take(n_free).map(|free| (free, 1)))
    }
}
