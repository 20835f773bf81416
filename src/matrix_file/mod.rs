//! Matrices in files: [`read`] for `.npy` and text, [`NpzWriter`] for what a factorization gives, [`market`] for sparse
//! matrices, [`blocks`] for those that are larger than the memory, [`FitFolder`] for many fits of one.
//! Values are taken as they stand; nothing here knows what they are for.

pub mod blocks;
mod cells;
mod fits;
pub mod market;
pub mod npy;
mod npz;
mod packed;
mod table;
mod text;
mod values;

use std::path::Path;

use ndarray::Array2;

pub use fits::FitFolder;
pub use npz::{NpzWriter, check_name, read_member, read_text};
pub use table::{Note, Presence, ReadConfig, Table};
pub use values::{Missing, hide_missing};

use self::packed::Stream;
use self::values::{check_values, malformed};
use crate::error::MatrixFiles;
use crate::nmf::{Real, SparseMatrix};
use crate::{Error, Result};

/// What a matrix file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// NumPy's `.npy`.
    Npy,
    /// Text: `.csv`, `.tsv` or `.txt`.
    Text,
    /// The sparse Matrix Market format, `.mtx`.
    Market,
}

impl Kind {
    /// The kind of a file, packed by gzip (`.mtx.gz`) or not.
    ///
    /// # Errors
    /// [`Error::MatrixFileFormat`] for another ending.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let ending = match ending(path) {
            Some(gz) if gz == "gz" => ending(&path.with_extension("")),
            other => other,
        };
        match ending.as_deref() {
            Some("npy") => Ok(Self::Npy),
            Some("csv" | "tsv" | "txt") => Ok(Self::Text),
            Some("mtx") => Ok(Self::Market),
            _ => Err(Error::MatrixFileFormat { path: path.into(), expected: MatrixFiles::Matrix }),
        }
    }
}

/// Reads a non-negative matrix from a `.npy` or a text file (`.csv`, `.tsv`, `.txt`), rows first; packed by gzip or not.
///
/// - `.npy`: two dimensions; floating point of 32 or 64 bits, integers or booleans; C or Fortran order; either byte
///   order.
/// - Text: one row per line, its numbers parted by tabs, semicolons, commas or spaces (the first of these that the first
///   line has); with decimal commas, where these do not part the numbers. Cells may be quoted; an empty one, and a word
///   such as `NA` or `NaN`, is NaN. Empty lines and those that begin with `#` or `%` are skipped. A first line of names
///   is a heading, a first column of labels or under an empty name an index: neither is data. [`read_with`] tells what
///   was taken for what, and can be told.
///
/// Values are rounded to the nearest `f32`, or, as `f64`, kept whole.
///
/// # Errors
/// [`Error::MatrixFileFormat`] for another ending, [`Error::ReadMatrix`] if the system says no,
/// [`Error::MalformedMatrix`] for a file that is not what its ending says, is cut off, has no entries, or has one
/// beyond the range of the numbers; [`Error::UnclearTable`] where a heading or an index cannot be told from data;
/// [`Error::MatrixEntry`] for the first entry (by rows) that is negative or infinite, or NaN if `missing` does not allow
/// it.
///
/// # Cost
/// The memory of the matrix; twice that for Fortran order. A shape that the file is too short for is refused before; so is
/// a packed file that becomes more than 200 times as large and exceeds 256 MiB.
///
/// # Examples
/// ```
/// use partita::matrix_file::{self, Missing};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("v.csv");
/// std::fs::write(&path, "left;right\n1;2.5\n0;1e3\n")?;
/// assert_eq!(matrix_file::read::<f32>(&path, Missing::None)?, ndarray::array![[1.0, 2.5], [0.0, 1e3]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read<T: Real>(path: &Path, missing: Missing) -> Result<Array2<T>> {
    Ok(read_with(path, &ReadConfig { missing, ..ReadConfig::default() })?.values)
}

/// [`read`], told how to understand a text, and telling how it did.
///
/// # Errors
/// Those of [`read`].
pub fn read_with<T: Real>(path: &Path, config: &ReadConfig) -> Result<Table<T>> {
    let kind = Kind::of(path)?;
    if kind == Kind::Market {
        return Err(malformed(path, "it is sparse, expected a dense matrix"));
    }
    let Stream { mut reader, n_bytes } = packed::open(path)?;
    let mut table = match kind {
        Kind::Npy => npy::read(&mut reader, n_bytes, path)?,
        Kind::Text | Kind::Market => text::read(&mut reader, path, config)?,
    };
    table.values = check_values(table.values, path, config.missing)?;
    Ok(table)
}

/// Reads a sparse matrix from a `.mtx` file, packed by gzip or not.
///
/// # Errors
/// [`Error::ReadMatrix`] if the system says no, and those of [`market::read`].
pub fn read_sparse<T: Real>(path: &Path) -> Result<SparseMatrix<T>> {
    market::read(packed::open(path)?.reader)
}
