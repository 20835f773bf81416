//! How a file is to be understood, and how it was.
//! Reads nothing.

use std::fmt;

use ndarray::Array2;

use super::values::Missing;
use crate::error::Advice;
use crate::nmf::Real;

/// How a file is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadConfig {
    /// What entries that are NaN mean. Default: an error.
    pub missing: Missing,
    /// Whether the first line of a text is a heading. Default: what it looks like.
    pub header: Presence,
    /// Whether the first column of a text is an index, labels of the rows. Default: what it looks like.
    pub index: Presence,
}

/// Whether something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// If it looks like it; where both are as likely, the file is refused.
    #[default]
    Auto,
    /// Yes.
    Yes,
    /// No.
    No,
}

impl Presence {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Yes, Self::No];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// A matrix as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Table<T: Real = f32> {
    /// The entries.
    pub values: Array2<T>,
    /// What was taken for something else than an entry, or may be, or was not kept whole.
    pub notes: Vec<Note>,
}

/// How a file was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A line was taken for a heading.
    Heading {
        /// Its number, from 1.
        line: usize,
        /// Its first cells.
        shown: String,
    },
    /// The first column was taken for an index, and left out.
    Index {
        /// Why.
        reason: &'static str,
    },
    /// Every line ends with a separator: the empty column behind it was left out.
    TrailingSeparator,
    /// Numbers have decimal commas.
    DecimalComma {
        /// The first line with one, from 1.
        line: usize,
        /// The first such cell.
        cell: String,
    },
    /// Rows of empty cells at the end were left out.
    BlankRows {
        /// How many.
        n_rows: usize,
    },
    /// The first line counts evenly, as a heading of years would, and was taken for data.
    MayBeHeading {
        /// Its number, from 1.
        line: usize,
        /// Its first cells.
        shown: String,
    },
    /// The first column counts the rows, as an index would, and was taken for data.
    MayBeIndex {
        /// From 0 or 1.
        from: u32,
    },
    /// Entries of a `.npy` have more digits than single precision holds.
    Rounded,
}

impl Note {
    /// What to do if it was understood wrongly, where that is likely.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::MayBeHeading { .. } => Some(Advice::set("header", "yes").note("if it is a heading")),
            Self::MayBeIndex { .. } => Some(Advice::set("index", "yes").note("if it is an index")),
            _ => None,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heading { line, shown } => write!(f, "line {line} is a heading: {shown}"),
            Self::Index { reason } => write!(f, "the first column is left out: {reason}"),
            Self::TrailingSeparator => write!(f, "each line ends with a separator, and nothing behind it"),
            Self::DecimalComma { line, cell } => write!(f, "numbers have decimal commas, as `{cell}` in line {line}"),
            Self::BlankRows { n_rows: 1 } => write!(f, "an empty row at the end is left out"),
            Self::BlankRows { n_rows } => write!(f, "{n_rows} empty rows at the end are left out"),
            Self::Rounded => write!(f, "entries are rounded to single precision"),
            Self::MayBeHeading { line, shown } => {
                write!(f, "line {line} ({shown}) is taken for data and counts as a heading would")
            }
            Self::MayBeIndex { from } => {
                write!(f, "the first column is taken for data and counts the rows from {from}, as an index would")
            }
        }
    }
}
