//! Reads blocks of a matrix in a `.npy` file by their position, so that files larger than the memory can be factorized.
//! Holds nothing of the file but its header.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayViewMut2};

use crate::matrix_file::npy::Header;
use crate::nmf::{BlockConfig, ColumnBlocks, Factor, Factorization, Warning, fit_blocks};
use crate::watch::Watch;
use crate::{Error, Result};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// A matrix of numbers in a `.npy` file, rounded to `f32` where it is asked for.
///
/// Blocks of columns have to lie together in the file. NumPy stores rows after rows unless told otherwise (C order),
/// so such a file is shown as the transpose of its matrix ([`NpyBlocks::is_transposed`]), whose columns are the rows of
/// the file; one in Fortran order is shown as it is. V^T ~ H^T W^T, so a fit of the transpose is a fit of the matrix
/// with the factors in each other's places; [`factorize`] minds that.
#[derive(Debug)]
pub struct NpyBlocks {
    path: PathBuf,
    file: File,
    header: Header,
    buffer: Vec<u8>,
}

impl NpyBlocks {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`Error::ReadMatrix`] if the system says no, [`Error::MalformedMatrix`] for anything but a whole `.npy` file with
    /// two dimensions of numbers.
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable = |source| Error::ReadMatrix { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        let header = Header::read(&mut file, path)?;
        let n_bytes = file.metadata().map_err(unreadable)?.len();
        header.check_length(n_bytes, path)?;
        // One side of no length would leave the other one any length.
        let (n_rows, n_columns) = header.shape;
        if n_rows == 0 || n_columns == 0 {
            let reason = format!("it has no entries ({n_rows} x {n_columns})");
            return Err(Error::MalformedMatrix { path: path.to_owned(), reason });
        }
        Ok(Self { path: path.to_owned(), file, header, buffer: Vec::new() })
    }

    /// Rows and columns of the matrix in the file.
    pub fn shape(&self) -> (usize, usize) {
        self.header.shape
    }

    /// Whether [`ColumnBlocks`] sees the transpose of the matrix in the file.
    pub fn is_transposed(&self) -> bool {
        !self.header.is_fortran
    }

    fn unreadable(&self, source: std::io::Error) -> Error {
        Error::ReadMatrix { path: self.path.clone(), source }
    }
}

impl ColumnBlocks for NpyBlocks {
    fn dim(&self) -> (usize, usize) {
        let (n_rows, n_columns) = self.header.shape;
        if self.is_transposed() { (n_columns, n_rows) } else { (n_rows, n_columns) }
    }

    fn read(&mut self, columns: Range<usize>, block: ArrayViewMut2<'_, f32>) -> Result<()> {
        let Header { width, offset, .. } = self.header;
        let first = columns.start as u64 * self.dim().0 as u64;
        let place = offset as u64 + first * width as u64;
        self.file.seek(SeekFrom::Start(place)).map_err(|error| self.unreadable(error))?;
        let mut by_columns = block.reversed_axes();
        let mut rest = by_columns.len();
        let mut entries = by_columns.iter_mut();
        while rest > 0 {
            let n_entries = rest.min(READ_BYTES / width);
            self.buffer.resize(n_entries * width, 0);
            self.file.read_exact(&mut self.buffer).map_err(|error| self.unreadable(error))?;
            self.header.decode(&self.buffer, entries.by_ref().take(n_entries));
            rest -= n_entries;
        }
        Ok(())
    }
}

/// Factorizes the matrix in a `.npy` file without ever holding it whole.
///
/// For a file in C order, the updates are those of [`fit`](crate::nmf::fit) on the transposed matrix: H before W, and
/// other random starts. A [`WarmStart`](crate::nmf::WarmStart) then takes some rows instead of some columns, and wants
/// the dictionary free.
///
/// # Errors
/// Those of [`NpyBlocks::open`] and [`fit_blocks`].
pub fn factorize(path: &Path, config: &BlockConfig, watch: &mut Watch<'_>) -> Result<Factorization> {
    let mut blocks = NpyBlocks::open(path)?;
    if !blocks.is_transposed() {
        return fit_blocks(&mut blocks, config, watch);
    }
    let mut transposed = config.clone();
    transposed.nmf.dictionary = exchanged(&config.nmf.activations);
    transposed.nmf.activations = exchanged(&config.nmf.dictionary);
    let found = fit_blocks(&mut blocks, &transposed, watch)?;
    let rows = |x: Array2<f32>| x.reversed_axes().as_standard_layout().into_owned();
    let warnings = found.warnings.into_iter().map(Warning::transposed).collect();
    Ok(Factorization { dictionary: rows(found.activations), activations: rows(found.dictionary), warnings, ..found })
}

/// A factor's treatment, for the other factor of the transpose.
fn exchanged(factor: &Factor) -> Factor {
    match factor {
        Factor::Free => Factor::Free,
        Factor::Seed(x) => Factor::Seed(x.t().to_owned()),
        Factor::Fixed(x) => Factor::Fixed(x.t().to_owned()),
        Factor::PerComponent(parts) => Factor::PerComponent(parts.clone()),
    }
}
