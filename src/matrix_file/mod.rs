//! Matrices in files: [`read`] for `.npy` and `.csv`, [`NpzWriter`] for what a factorization gives, [`market`] for sparse
//! matrices, [`blocks`] for those that are larger than the memory.
//! Values are taken as they stand; nothing here knows what they are for.

pub mod blocks;
mod csv;
pub mod market;
pub mod npy;
mod npz;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use ndarray::Array2;

pub use npz::{NpzWriter, check_name, read_member};

use crate::error::MatrixFiles;
use crate::{Error, Result};

/// What entries that are NaN mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// An error, as negative and infinite ones are.
    #[default]
    None,
    /// That the entry is missing; it stays NaN, and is to get a weight of 0 ([`hide_missing`]).
    Nan,
}

impl Missing {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::None, Self::Nan];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nan => "nan",
        }
    }
}

/// Reads a non-negative matrix from a `.npy` or a text file (`.csv`, `.tsv`, `.txt`), rows first.
///
/// - `.npy`: two dimensions; floating point of 32 or 64 bits, integers or booleans; C or Fortran order; either byte
///   order.
/// - Text: one row per line, its numbers with a decimal point and parted by tabs, semicolons, commas or spaces (the
///   first of these that the first line has). A first line without any number is a heading; empty lines and lines that
///   begin with `#` are skipped. An empty field is NaN.
///
/// Values are rounded to the nearest `f32`.
///
/// # Errors
/// [`Error::MatrixFileFormat`] for another ending, [`Error::ReadMatrix`] if the system says no,
/// [`Error::MalformedMatrix`] for a file that is not what its ending says, is cut off, has no entries, or has one
/// beyond the range of `f32`; [`Error::MatrixEntry`] for the first entry (by rows) that is negative or infinite, or NaN
/// if `missing` does not allow it.
///
/// # Cost
/// The memory of the matrix; twice that for Fortran order. A shape that the file is too short for is refused before.
///
/// # Examples
/// ```
/// use partita::matrix_file::{self, Missing};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("v.csv");
/// std::fs::write(&path, "left;right\n1;2.5\n0;1e3\n")?;
/// assert_eq!(matrix_file::read(&path, Missing::None)?, ndarray::array![[1.0, 2.5], [0.0, 1e3]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: &Path, missing: Missing) -> Result<Array2<f32>> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let read: fn(BufReader<File>, &Path) -> Result<Array2<f32>> = match ending.as_deref() {
        Some("npy") => npy::read,
        Some("csv" | "tsv" | "txt") => csv::read,
        _ => return Err(Error::MatrixFileFormat { path: path.into(), expected: MatrixFiles::Matrix }),
    };
    let values = read(BufReader::new(File::open(path).map_err(unreadable(path))?), path)?;
    check_values(values, path, missing)
}

/// Refuses what is no non-negative matrix.
fn check_values(values: Array2<f32>, path: &Path, missing: Missing) -> Result<Array2<f32>> {
    if values.is_empty() {
        return Err(malformed(path, format!("it has no entries ({} x {})", values.nrows(), values.ncols())));
    }
    let is_fine = |x: f32| (x.is_finite() && x >= 0.0) || (missing == Missing::Nan && x.is_nan());
    match values.indexed_iter().find(|(_, x)| !is_fine(**x)) {
        Some(((row, column), &value)) => Err(Error::MatrixEntry { row, column, value: f64::from(value) }),
        None => Ok(values),
    }
}

/// Weights under which NaN entries of `values` do not count: those given, or 1, and 0 where an entry is NaN.
pub fn hide_missing(values: &Array2<f32>, weights: Option<Array2<f32>>) -> Array2<f32> {
    let mut weights = weights.unwrap_or_else(|| Array2::ones(values.dim()));
    for (at, _) in values.indexed_iter().filter(|(_, x)| x.is_nan()) {
        // Weights of another shape are refused where they are used.
        if let Some(weight) = weights.get_mut(at) {
            *weight = 0.0;
        }
    }
    weights
}

/// The nearest `f32`.
fn narrow(value: f64, row: usize, column: usize, path: &Path) -> Result<f32> {
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        let reason = format!("it has {value:e} at row {row}, column {column}, expected at most {:e}", f32::MAX);
        return Err(malformed(path, reason));
    }
    Ok(narrow)
}

fn malformed(path: &Path, reason: impl Into<String>) -> Error {
    Error::MalformedMatrix { path: path.into(), reason: reason.into() }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::ReadMatrix { path: path.into(), source }
}
