//! Which groups of components may not have some entries of V, as it is asked for. What becomes of it is in `guided`.

use std::ops::Range;

use crate::{Error, Result};

/// Groups at the most: as many as a word has bits.
pub const MAX_GROUPS: usize = 64;

/// Which groups of components may not have some entries of V.
///
/// # References
/// N. J. Bryan and G. J. Mysore, "An efficient posterior regularized latent variable model for interactive sound source
/// separation", ICML 2013.
#[derive(Debug, Clone, PartialEq)]
pub struct Guidance {
    /// Group of each component, `n_components` of them, each below [`MAX_GROUPS`].
    pub groups: Vec<usize>,
    /// The entries, in the order of columns, then of rows; none twice.
    pub runs: Vec<Run>,
    /// What a group that is denied an entry has of what it models there, above 0 to 1; 1 is no guidance.
    pub leak: f32,
}

/// Some consecutive rows of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The column of V.
    pub column: u32,
    /// The first row.
    pub start: u32,
    /// The row after the last.
    pub end: u32,
    /// The groups that are denied these entries, a bit for each.
    pub denied: u64,
}

impl Guidance {
    /// Refuses guidance that does not fit the factors.
    pub(super) fn check(&self, (n_rows, n_columns): (usize, usize), n_components: usize) -> Result<()> {
        let Self { groups, runs, leak } = self;
        if groups.len() != n_components {
            let expected = format!("{n_components}, one for each component");
            return Err(setting("guidance.groups", format!("{} groups", groups.len()), &expected));
        }
        if let Some(group) = groups.iter().find(|group| **group >= MAX_GROUPS) {
            return Err(setting("guidance.groups", group, &format!("numbers below {MAX_GROUPS}")));
        }
        if !(*leak > 0.0 && *leak <= 1.0) {
            return Err(setting("guidance.leak", leak, "above 0 to 1"));
        }
        let is_in_order = runs.windows(2).all(|pair| {
            let place = |run: &Run| (run.column, run.start);
            place(&pair[0]) < place(&pair[1]) && (pair[0].column < pair[1].column || pair[0].end <= pair[1].start)
        });
        let is_inside =
            |run: &Run| run.start < run.end && run.end as usize <= n_rows && (run.column as usize) < n_columns;
        if !is_in_order || !runs.iter().all(is_inside) {
            return Err(setting("guidance.runs", "others", "runs within the matrix, in order, none over another"));
        }
        Ok(())
    }

    /// The runs of some columns.
    pub(super) fn of_columns(&self, columns: &Range<usize>) -> &[Run] {
        let first = self.runs.partition_point(|run| (run.column as usize) < columns.start);
        let end = self.runs.partition_point(|run| (run.column as usize) < columns.end);
        &self.runs[first..end]
    }
}

fn setting(name: &'static str, got: impl ToString, expected: &str) -> Error {
    Error::Setting { name, got: got.to_string(), expected: expected.into(), advice: None }
}
