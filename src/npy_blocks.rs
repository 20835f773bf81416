//! Reads blocks of a matrix in a `.npy` file by their position, so that files larger than the memory can be factorized.
//! Holds nothing of the file but its header.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayViewMut2};

use crate::nmf::{BlockConfig, ColumnBlocks, Factor, Factorization, Progress, fit_blocks};
use crate::{Error, Result};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// Bytes of a header at the most; those of matrices have about 100.
const MAX_HEADER_BYTES: u64 = 1 << 16;

/// A matrix of `float32` or `float64` in a `.npy` file, any byte order, read as `f32` where it is asked for.
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

/// What the head of the file says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Header {
    /// Bytes before the first entry.
    len: u64,
    entry: Entry,
    is_fortran: bool,
    /// Rows and columns, as NumPy shows them.
    shape: (usize, usize),
}

/// How an entry is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Entry {
    F32 { is_big_endian: bool },
    F64 { is_big_endian: bool },
}

impl NpyBlocks {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`Error::OpenMatrix`], and [`Error::MalformedMatrix`] for anything but a whole `.npy` file with two dimensions
    /// of `float32` or `float64`.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot_open = |source| Error::OpenMatrix { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(cannot_open)?;
        let n_bytes = file.metadata().map_err(cannot_open)?.len();
        let header = Header::read(&mut file)
            .and_then(|header| header.fits(n_bytes).map(|()| header))
            .map_err(|reason| Error::MalformedMatrix { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), file, header, buffer: Vec::new() })
    }

    /// Whether [`ColumnBlocks`] sees the transpose of the matrix in the file.
    pub fn is_transposed(&self) -> bool {
        !self.header.is_fortran
    }

    fn cannot_read(&self, source: std::io::Error) -> Error {
        Error::ReadMatrix { path: self.path.clone(), source }
    }
}

impl ColumnBlocks for NpyBlocks {
    fn dim(&self) -> (usize, usize) {
        let (n_rows, n_columns) = self.header.shape;
        if self.is_transposed() { (n_columns, n_rows) } else { (n_rows, n_columns) }
    }

    fn read(&mut self, columns: Range<usize>, block: ArrayViewMut2<'_, f32>) -> Result<()> {
        let entry = self.header.entry;
        let first = columns.start as u64 * self.dim().0 as u64;
        let place = self.header.len + first * entry.n_bytes() as u64;
        self.file.seek(SeekFrom::Start(place)).map_err(|error| self.cannot_read(error))?;
        let mut by_columns = block.reversed_axes();
        let mut rest = by_columns.len();
        let mut entries = by_columns.iter_mut();
        while rest > 0 {
            let n_entries = rest.min(READ_BYTES / entry.n_bytes());
            self.buffer.resize(n_entries * entry.n_bytes(), 0);
            self.file.read_exact(&mut self.buffer).map_err(|error| self.cannot_read(error))?;
            entry.decode(&self.buffer, entries.by_ref().take(n_entries));
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
pub fn factorize(
    path: &Path,
    config: &BlockConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Factorization> {
    let mut blocks = NpyBlocks::open(path)?;
    if !blocks.is_transposed() {
        return fit_blocks(&mut blocks, config, progress);
    }
    let mut transposed = config.clone();
    transposed.nmf.dictionary = exchanged(&config.nmf.activations);
    transposed.nmf.activations = exchanged(&config.nmf.dictionary);
    let found = fit_blocks(&mut blocks, &transposed, progress)?;
    let rows = |x: Array2<f32>| x.reversed_axes().as_standard_layout().into_owned();
    Ok(Factorization { dictionary: rows(found.activations), activations: rows(found.dictionary), ..found })
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

impl Header {
    /// Reads the head of a file, or says what is wrong with it.
    fn read(file: &mut impl Read) -> std::result::Result<Self, String> {
        let cut_off = |_| "it ends within its header".to_owned();
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(cut_off)?;
        if !magic.starts_with(b"\x93NUMPY") {
            return Err("it does not begin as a .npy file does".into());
        };
        let (before, text_len) = match magic[6] {
            1 => {
                let mut bytes = [0; 2];
                file.read_exact(&mut bytes).map_err(cut_off)?;
                (10, u64::from(u16::from_le_bytes(bytes)))
            }
            2 | 3 => {
                let mut bytes = [0; 4];
                file.read_exact(&mut bytes).map_err(cut_off)?;
                (12, u64::from(u32::from_le_bytes(bytes)))
            }
            version => return Err(format!("its format has version {version}, expected 1, 2 or 3")),
        };
        if text_len > MAX_HEADER_BYTES {
            return Err(format!("its header has {text_len} bytes, expected at most {MAX_HEADER_BYTES}"));
        }
        let mut text = vec![0; text_len as usize];
        file.read_exact(&mut text).map_err(cut_off)?;
        Self::parse(&String::from_utf8_lossy(&text), before + text_len)
    }

    /// Understands `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str, len: u64) -> std::result::Result<Self, String> {
        let value = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}':")).ok_or(format!("its header has no `{key}`"))?;
            Ok::<_, String>(rest.trim_start())
        };
        let kind = value("descr")?;
        let kind = kind.strip_prefix('\'').and_then(|kind| kind.split_once('\'')).map_or("structures", |kind| kind.0);
        let entry = match kind {
            "<f4" | ">f4" => Entry::F32 { is_big_endian: kind.starts_with('>') },
            "<f8" | ">f8" => Entry::F64 { is_big_endian: kind.starts_with('>') },
            _ => return Err(format!("its entries are `{kind}`, expected `<f4` or `<f8` (float32 or float64)")),
        };
        let order = value("fortran_order")?;
        let is_fortran = order.starts_with("True");
        if !is_fortran && !order.starts_with("False") {
            return Err("its header does not say in which order the entries are".into());
        }
        let shape = value("shape")?.strip_prefix('(').and_then(|shape| shape.split_once(')'));
        let (shape, _) = shape.ok_or("its header has no shape")?;
        let sides: Vec<_> = shape.split(',').map(str::trim).filter(|side| !side.is_empty()).collect();
        let [n_rows, n_columns] = sides[..] else {
            return Err(format!("it has {} dimensions, expected 2", sides.len()));
        };
        let (Ok(n_rows), Ok(n_columns)) = (n_rows.parse(), n_columns.parse()) else {
            return Err(format!("its shape is ({shape})"));
        };
        Ok(Self { len, entry, is_fortran, shape: (n_rows, n_columns) })
    }

    /// Whether a file of so many bytes holds all entries.
    fn fits(&self, n_bytes: u64) -> std::result::Result<(), String> {
        let (n_rows, n_columns) = self.shape;
        let expected = (n_rows as u64)
            .checked_mul(n_columns as u64)
            .and_then(|n_entries| n_entries.checked_mul(self.entry.n_bytes() as u64))
            .and_then(|n_bytes| n_bytes.checked_add(self.len));
        match expected {
            Some(expected) if expected <= n_bytes => Ok(()),
            Some(expected) => Err(format!("it is cut off: it has {n_bytes} bytes of {expected}")),
            None => Err(format!("{n_rows} x {n_columns} entries are more than any file holds")),
        }
    }
}

impl Entry {
    fn n_bytes(self) -> usize {
        match self {
            Self::F32 { .. } => 4,
            Self::F64 { .. } => 8,
        }
    }

    fn decode<'a>(self, bytes: &[u8], out: impl Iterator<Item = &'a mut f32>) {
        match self {
            Self::F32 { is_big_endian: false } => {
                out.zip(bytes.as_chunks().0).for_each(|(out, x)| *out = f32::from_le_bytes(*x));
            }
            Self::F32 { is_big_endian: true } => {
                out.zip(bytes.as_chunks().0).for_each(|(out, x)| *out = f32::from_be_bytes(*x));
            }
            Self::F64 { is_big_endian: false } => {
                out.zip(bytes.as_chunks().0).for_each(|(out, x)| *out = f64::from_le_bytes(*x) as f32);
            }
            Self::F64 { is_big_endian: true } => {
                out.zip(bytes.as_chunks().0).for_each(|(out, x)| *out = f64::from_be_bytes(*x) as f32);
            }
        }
    }
}
