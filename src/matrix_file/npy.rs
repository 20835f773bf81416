//! The `.npy` format: its header, both ways, and its values.
//! Other types than numbers, and other shapes than matrices, are refused by name.
//!
//! Reference: NumPy, "numpy.lib.format", versions 1.0 to 3.0.

use std::io::{ErrorKind, Read};
use std::path::Path;

use ndarray::{Array2, ShapeBuilder};

use super::packed::GZIP;
use super::table::{Note, Table};
use super::values::{malformed, narrow, unreadable, wide};
use crate::Result;
use crate::nmf::Real;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read, in bytes: the one NumPy itself allows. One of a matrix has about 100.
const MAX_HEADER: usize = 10_000;
/// Values are read in pieces of this many.
const PIECE: usize = 1 << 13;

/// What an `.npy` file holds, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type of the values.
    pub kind: Kind,
    /// Bytes of a value: 1, 2, 4 or 8.
    pub width: usize,
    /// Whether the first byte of a value is its highest.
    pub is_big_endian: bool,
    /// Whether values follow each other down the columns.
    pub is_fortran: bool,
    /// Rows and columns.
    pub shape: (usize, usize),
    /// Bytes before the first value.
    pub offset: usize,
}

/// What the bytes of a value mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Floating point of 32 or 64 bits.
    Float,
    /// An integer.
    Signed,
    /// An integer of at least 0, or a boolean.
    Unsigned,
}

impl Header {
    /// Reads the header, and leaves the reader at the first value. `path` is for messages.
    ///
    /// # Errors
    /// [`crate::Error::ReadMatrix`] if the system says no, [`crate::Error::MalformedMatrix`] for what is not the header
    /// of a matrix of numbers.
    pub fn read(reader: &mut dyn Read, path: &Path) -> Result<Self> {
        let cut_off = |error: std::io::Error| match error.kind() {
            ErrorKind::UnexpectedEof => malformed(path, "it is no .npy file, or cut off in its header"),
            _ => unreadable(path)(error),
        };
        let mut start = [0; 8];
        reader.read_exact(&mut start).map_err(cut_off)?;
        if start.starts_with(&GZIP) {
            return Err(malformed(path, "it is packed by gzip, and cannot be read from the middle: unpack it first"));
        }
        if !start.starts_with(MAGIC) {
            return Err(malformed(path, "it is no .npy file"));
        }
        let (length, offset) = match start[6] {
            1 => {
                let mut length = [0; 2];
                reader.read_exact(&mut length).map_err(cut_off)?;
                (usize::from(u16::from_le_bytes(length)), 10)
            }
            2 | 3 => {
                let mut length = [0; 4];
                reader.read_exact(&mut length).map_err(cut_off)?;
                (usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX), 12)
            }
            version => return Err(malformed(path, format!("it has version {version}, expected 1 to 3"))),
        };
        if length > MAX_HEADER {
            return Err(malformed(path, format!("its header has {length} bytes, expected at most {MAX_HEADER}")));
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text).map_err(cut_off)?;
        Self::parse(&String::from_utf8_lossy(&text), offset + length).map_err(|reason| malformed(path, reason))
    }

    /// Bytes of the values, if that is a number at all.
    pub fn n_bytes(&self) -> Option<u64> {
        let n_values = self.shape.0.checked_mul(self.shape.1)?.checked_mul(self.width)?;
        u64::try_from(n_values).ok()
    }

    /// Refuses a file that is too short for the values it declares.
    ///
    /// # Errors
    /// [`crate::Error::MalformedMatrix`].
    pub fn check_length(&self, file_bytes: u64, path: &Path) -> Result<()> {
        match self.n_bytes() {
            Some(n_bytes) if n_bytes <= file_bytes.saturating_sub(self.offset as u64) => Ok(()),
            _ => Err(self.cut_off(path)),
        }
    }

    fn cut_off(&self, path: &Path) -> crate::Error {
        let (n_rows, n_columns) = self.shape;
        malformed(path, format!("it is too short for the {n_rows} x {n_columns} entries it declares"))
    }

    /// Values one after the other, as the nearest `f32`.
    pub(crate) fn decode<'a>(&self, bytes: &[u8], out: impl Iterator<Item = &'a mut f32>) {
        if (self.kind, self.width, self.is_big_endian) == (Kind::Float, 4, false) {
            out.zip(bytes.as_chunks().0).for_each(|(out, x)| *out = f32::from_le_bytes(*x));
        } else {
            out.zip(bytes.chunks_exact(self.width)).for_each(|(out, x)| *out = self.value(x) as f32);
        }
    }

    fn parse(text: &str, offset: usize) -> std::result::Result<Self, String> {
        let field = |key: &str| {
            let (_, value) = text.split_once(&format!("'{key}':")).ok_or(format!("its header has no `{key}`"))?;
            Ok::<_, String>(value.trim_start())
        };
        let is_fortran = match field("fortran_order")? {
            value if value.starts_with("True") => true,
            value if value.starts_with("False") => false,
            _ => return Err("its header has no `fortran_order` of True or False".into()),
        };
        let shape = field("shape")?;
        let shape = shape.strip_prefix('(').and_then(|shape| Some(shape.split_once(')')?.0));
        let sizes = shape.unwrap_or_default().split(',').map(str::trim).filter(|size| !size.is_empty());
        // Python 2 wrote 3L.
        let sizes: std::result::Result<Vec<usize>, _> = sizes.map(|size| size.trim_end_matches('L').parse()).collect();
        let shape = match sizes.as_deref() {
            Ok([n_rows, n_columns]) => (*n_rows, *n_columns),
            Ok(sizes) if shape.is_some() => return Err(format!("its array has {}, expected 2", dimensions(sizes))),
            _ => return Err("its header has no `shape` of whole numbers".into()),
        };
        let descr = field("descr")?;
        let descr = descr.strip_prefix('\'').and_then(|descr| Some(descr.split_once('\'')?.0)).unwrap_or("a record");
        let mut letters = descr.chars();
        let is_big_endian = letters.next() == Some('>');
        let (kind, width) = match letters.as_str() {
            "f4" => (Kind::Float, 4),
            "f8" => (Kind::Float, 8),
            "i1" => (Kind::Signed, 1),
            "i2" => (Kind::Signed, 2),
            "i4" => (Kind::Signed, 4),
            "i8" => (Kind::Signed, 8),
            "u1" | "b1" => (Kind::Unsigned, 1),
            "u2" => (Kind::Unsigned, 2),
            "u4" => (Kind::Unsigned, 4),
            "u8" => (Kind::Unsigned, 8),
            _ => {
                return Err(format!(
                    "its entries are of type `{descr}`, expected floating point of 32 or 64 bits, or integers"
                ));
            }
        };
        Ok(Self { kind, width, is_big_endian, is_fortran, shape, offset })
    }

    /// One value, of `width` bytes.
    fn value(&self, bytes: &[u8]) -> f64 {
        // The lowest byte first, in an integer of 64 bits.
        let mut wide = [0; 8];
        for (i, wide) in wide.iter_mut().take(self.width).enumerate() {
            let i = if self.is_big_endian { self.width - 1 - i } else { i };
            *wide = bytes.get(i).copied().unwrap_or_default();
        }
        let bits = u64::from_le_bytes(wide);
        let n_unused = 64 - 8 * self.width;
        match (self.kind, self.width) {
            (Kind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Kind::Float, _) => f64::from_bits(bits),
            // Up, and back down with the sign.
            (Kind::Signed, _) => (((bits << n_unused) as i64) >> n_unused) as f64,
            (Kind::Unsigned, _) => bits as f64,
        }
    }
}

/// The header of a matrix in C order.
pub(super) fn header<T: Real>((n_rows, n_columns): (usize, usize)) -> Vec<u8> {
    let width = size_of::<T>();
    let fields = format!("{{'descr': '<f{width}', 'fortran_order': False, 'shape': ({n_rows}, {n_columns}), }}");
    // Two sizes have 40 digits at the most: with these, the values begin at a multiple of 64, as the format asks.
    const LENGTH: u8 = 128;
    let length = LENGTH - 10;
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0, length, 0]);
    bytes.extend(format!("{fields:<width$}\n", width = usize::from(length) - 1).bytes());
    bytes
}

/// Reads a matrix from a file of so many bytes, if that is known.
pub(super) fn read<T: Real>(reader: &mut dyn Read, n_bytes: Option<u64>, path: &Path) -> Result<Table<T>> {
    let header = Header::read(reader, path)?;
    let (n_rows, n_columns) = header.shape;
    let cut_off = || header.cut_off(path);
    header.n_bytes().ok_or_else(cut_off)?;
    let n_values = n_rows * n_columns;
    let (mut values, mut is_rounded) = (Vec::<T>::new(), false);
    // What comes from a pipe or is packed does not tell its length, and is believed piece by piece.
    if let Some(n_bytes) = n_bytes {
        header.check_length(n_bytes, path)?;
        let refused = |_| unreadable(path)(ErrorKind::OutOfMemory.into());
        values.try_reserve_exact(n_values).map_err(refused)?;
    }
    let mut piece = vec![0; PIECE * header.width];
    while values.len() < n_values {
        let n = PIECE.min(n_values - values.len());
        let bytes = &mut piece[..n * header.width];
        reader.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => cut_off(),
            _ => unreadable(path)(error),
        })?;
        for bytes in bytes.chunks_exact(header.width) {
            let i = values.len();
            let (row, column) =
                if header.is_fortran { (i % n_rows, i / n_rows) } else { (i / n_columns, i % n_columns) };
            let value = header.value(bytes);
            values.push(narrow(value, row, column, path)?);
            is_rounded |= wide(values[i]) != value && !value.is_nan();
        }
    }
    let values = Array2::from_shape_vec(header.shape.set_f(header.is_fortran), values).map_err(|_| cut_off())?;
    let values = if header.is_fortran { values.as_standard_layout().into_owned() } else { values };
    Ok(Table { values, notes: if is_rounded { vec![Note::Rounded] } else { Vec::new() } })
}

fn dimensions(sizes: &[usize]) -> String {
    if sizes.len() == 1 { "1 dimension".into() } else { format!("{} dimensions", sizes.len()) }
}
