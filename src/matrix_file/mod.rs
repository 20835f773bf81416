//! Matrices in files: [`read`] for `.npy` and `.csv`, [`NpzWriter`] for what a factorization gives, [`market`] for sparse
//! matrices, [`blocks`] for those that are larger than the memory.
//! Values are taken as they stand; nothing here knows what they are for.

pub mod blocks;
mod csv;
pub mod market;
pub mod npy;
mod npz;
mod values;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ndarray::Array2;

pub use npz::{NpzWriter, check_name, read_member};
pub use values::{Missing, hide_missing};

use self::values::{check_values, unreadable};
use crate::error::MatrixFiles;
use crate::{Error, Result};

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
