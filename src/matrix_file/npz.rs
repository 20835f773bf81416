//! The `.npz` format: a zip archive of `.npy` files, which `numpy.load` opens.
//! Members are stored, not compressed: the values of factors hardly shrink.
//!
//! Every size is written in 64 bits (ZIP64), as `numpy.savez` does: one form for small and large arrays alike.
//! Reference: PKWARE, "APPNOTE.TXT - .ZIP File Format Specification", 6.3.10, sections 4.3 to 4.5.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::Path;

use ndarray::{Array2, ArrayView2};

use super::npy;
use super::values::{Missing, check_values, malformed, unreadable, wide};
use crate::atomic::{AtomicFile, Existing};
use crate::error::MatrixFiles;
use crate::nmf::Real;
use crate::{Error, Result};

/// Version of the format that ZIP64 needs.
const VERSION: u16 = 45;
/// 1980-01-01, the first day that the format knows: the same factors give the same bytes on any day.
const DATE: u16 = 1 << 5 | 1;
/// In the place of a size of 32 bits: the extra field has it in 64.
const ELSEWHERE: u32 = u32::MAX;
/// Tag of that extra field.
const ZIP64: u16 = 1;

/// Writes arrays and text as members of an `.npz` file, which is there once it is finished, whole or not at all.
///
/// # Examples
/// ```
/// use partita::atomic::Existing;
/// use partita::matrix_file::NpzWriter;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("factors.npz");
/// let mut writer = NpzWriter::create(&path, Existing::Refuse)?;
/// writer.array("W", ndarray::array![[1.0, 2.0]].view())?;
/// writer.text("info.json", "{}")?;
/// assert!(!path.exists());
/// writer.finish()?;
/// assert!(path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NpzWriter {
    file: AtomicFile,
    /// Bytes written so far.
    position: u64,
    members: Vec<Member>,
}

/// What the directory at the end says of a member.
#[derive(Debug)]
struct Member {
    name: String,
    crc: u32,
    size: u64,
    /// Where its own header begins.
    offset: u64,
}

impl NpzWriter {
    /// Opens the file under a temporary name.
    ///
    /// # Errors
    /// [`Error::MatrixFileFormat`] if the name does not end in `.npz`, and those of [`AtomicFile::create`].
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        check_name(path)?;
        Ok(Self { file: AtomicFile::create(path, existing)?, position: 0, members: Vec::new() })
    }

    /// Adds a matrix, `name` in `numpy.load`.
    ///
    /// # Errors
    /// [`Error::WriteFile`] if the system says no.
    pub fn array<T: Real>(&mut self, name: &str, values: ArrayView2<'_, T>) -> Result<()> {
        let header = npy::header::<T>(values.dim());
        self.member(format!("{name}.npy"), &|sink| {
            sink(&header)?;
            let mut row = Vec::new();
            for values in values.outer_iter() {
                row.clear();
                for &x in values {
                    match size_of::<T>() {
                        4 => row.extend((wide(x) as f32).to_le_bytes()),
                        _ => row.extend(wide(x).to_le_bytes()),
                    }
                }
                sink(&row)?;
            }
            Ok(())
        })
    }

    /// Adds a text; `numpy.load` gives its bytes.
    ///
    /// # Errors
    /// Those of [`NpzWriter::array`].
    pub fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.member(name.into(), &|sink| sink(text.as_bytes()))
    }

    /// Writes the directory of members, and gives the file its name.
    ///
    /// # Errors
    /// Those of [`AtomicFile::commit`].
    pub fn finish(self) -> Result<()> {
        self.complete()?.commit()
    }

    /// Writes the directory of members; the file has no name as yet, so that it can get it with others
    /// ([`crate::atomic::commit_all`]).
    ///
    /// # Errors
    /// [`Error::WriteFile`] if the system says no.
    pub fn complete(mut self) -> Result<AtomicFile> {
        let directory = self.position;
        let entries: Vec<u8> = self.members.iter().flat_map(Member::entry).collect();
        let end = directory + entries.len() as u64;
        let n_members = self.members.len() as u64;
        let mut tail = Fields(entries);
        // The end of the directory, in 64 bits; where that is; and the old end, which points there.
        tail.u32(0x0606_4b50).u64(44).u16(VERSION).u16(VERSION).u32(0).u32(0);
        tail.u64(n_members).u64(n_members).u64(end - directory).u64(directory);
        tail.u32(0x0706_4b50).u32(0).u64(end).u32(1);
        tail.u32(0x0605_4b50).u16(0).u16(0).u16(u16::MAX).u16(u16::MAX).u32(ELSEWHERE).u32(ELSEWHERE).u16(0);
        self.write(&tail.0)?;
        Ok(self.file)
    }

    /// Adds a member. Its content is gone through twice: the checksum comes first in the file.
    fn member(&mut self, name: String, content: Content<'_>) -> Result<()> {
        debug_assert!(name.len() <= usize::from(u16::MAX));
        let (mut crc, mut size) = (crc32fast::Hasher::new(), 0);
        let counted = content(&mut |bytes| {
            crc.update(bytes);
            size += bytes.len() as u64;
            Ok(())
        });
        counted.map_err(|source| Error::WriteFile { path: self.file.path().into(), source })?;
        let member = Member { name, crc: crc.finalize(), size, offset: self.position };
        self.write(&member.header())?;
        let path = self.file.path().to_path_buf();
        content(&mut |bytes| self.file.write_all(bytes)).map_err(|source| Error::WriteFile { path, source })?;
        self.position += size;
        self.members.push(member);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.position += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| Error::WriteFile { path: self.file.path().into(), source })
    }
}

/// Reads a matrix that [`NpzWriter::array`] or `numpy.savez` wrote: no entry is negative, NaN or infinite.
///
/// # Errors
/// [`Error::ReadMatrix`] if the system says no; [`Error::MalformedMatrix`] for a file that is no such archive, is
/// compressed, or has no matrix of this name; [`Error::MatrixEntry`].
pub fn read_member<T: Real>(path: &Path, name: &str) -> Result<Array2<T>> {
    // How long a member says it is does not matter: a matrix says so itself.
    let (mut reader, _) = member(path, &format!("{name}.npy"), &format!("matrix `{name}`"))?;
    let n_bytes = reader.get_ref().metadata().map_err(unreadable(path))?.len();
    check_values(npy::read(&mut reader, Some(n_bytes), path)?.values, path, Missing::None)
}

/// Reads a text that [`NpzWriter::text`] wrote.
///
/// # Errors
/// Those of [`read_member`].
pub fn read_text(path: &Path, name: &str) -> Result<String> {
    let (reader, size) = member(path, name, &format!("text `{name}`"))?;
    let mut text = String::new();
    reader.take(size).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => malformed(path, format!("`{name}` is no text")),
        _ => unreadable(path)(error),
    })?;
    Ok(text)
}

/// The file from the content of a member on, and how long the member says that is; `what` it is, for messages.
fn member(path: &Path, wanted: &str, what: &str) -> Result<(BufReader<File>, u64)> {
    let mut reader = BufReader::new(File::open(path).map_err(unreadable(path))?);
    let cut_off = |error: io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => malformed(path, "it is cut off"),
        _ => unreadable(path)(error),
    };
    loop {
        let mut header = [0; 30];
        reader.read_exact(&mut header).map_err(cut_off)?;
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        match u32_at(0) {
            0x0403_4b50 => {}
            // The directory, after the last member.
            0x0201_4b50 | 0x0606_4b50 | 0x0605_4b50 => {
                return Err(malformed(path, format!("it has no {what}")));
            }
            _ => return Err(malformed(path, "it is no .npz file")),
        }
        let (mut name, mut extra) = (vec![0; usize::from(u16_at(26))], vec![0; usize::from(u16_at(28))]);
        reader.read_exact(&mut name).map_err(cut_off)?;
        reader.read_exact(&mut extra).map_err(cut_off)?;
        // Sizes that follow the content, or a content that is compressed: numpy.savez writes neither.
        if u16_at(6) & 8 != 0 || u16_at(8) != 0 {
            return Err(malformed(path, "it is compressed, expected what `numpy.savez` writes"));
        }
        let size = match u32_at(18) {
            ELSEWHERE => size_elsewhere(&extra).ok_or_else(|| malformed(path, "it does not say how long a part is"))?,
            size => u64::from(size),
        };
        if name == wanted.as_bytes() {
            return Ok((reader, size));
        }
        let skipped = io::copy(&mut reader.by_ref().take(size), &mut io::sink()).map_err(cut_off)?;
        if skipped < size {
            return Err(malformed(path, "it is cut off"));
        }
    }
}

/// The size of the stored content, the second of two in the ZIP64 field.
fn size_elsewhere(mut extra: &[u8]) -> Option<u64> {
    loop {
        let (head, rest) = extra.split_first_chunk::<4>()?;
        let (tag, length) = (u16::from_le_bytes([head[0], head[1]]), u16::from_le_bytes([head[2], head[3]]));
        let (field, rest) = rest.split_at_checked(usize::from(length))?;
        if tag == ZIP64 {
            return field.get(8..16)?.try_into().ok().map(u64::from_le_bytes);
        }
        extra = rest;
    }
}

/// Refuses a name that `numpy.load` would not take for an archive.
///
/// # Errors
/// [`Error::MatrixFileFormat`].
pub fn check_name(path: &Path) -> Result<()> {
    match path.extension() {
        Some(ending) if ending.eq_ignore_ascii_case("npz") => Ok(()),
        _ => Err(Error::MatrixFileFormat { path: path.into(), expected: MatrixFiles::Archive }),
    }
}

/// Hands the bytes of a member to a sink.
type Content<'a> = &'a dyn Fn(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>;

impl Member {
    /// What stands before its content.
    fn header(&self) -> Vec<u8> {
        let mut fields = Fields(Vec::new());
        fields.u32(0x0403_4b50).u16(VERSION);
        self.common(&mut fields, 20);
        fields.bytes(self.name.as_bytes());
        fields.u16(ZIP64).u16(16).u64(self.size).u64(self.size);
        fields.0
    }

    /// Its entry in the directory.
    fn entry(&self) -> Vec<u8> {
        let mut fields = Fields(Vec::new());
        fields.u32(0x0201_4b50).u16(VERSION).u16(VERSION);
        self.common(&mut fields, 28);
        // No comment, one disk, no attributes.
        fields.u16(0).u16(0).u16(0).u32(0).u32(ELSEWHERE).bytes(self.name.as_bytes());
        fields.u16(ZIP64).u16(24).u64(self.size).u64(self.size).u64(self.offset);
        fields.0
    }

    /// No flags, stored, midnight, the date; the checksum; sizes; lengths of the name and of the extra field.
    fn common(&self, fields: &mut Fields, extra: u16) {
        fields.u16(0).u16(0).u16(0).u16(DATE).u32(self.crc).u32(ELSEWHERE).u32(ELSEWHERE);
        fields.u16(self.name.len() as u16).u16(extra);
    }
}

/// Fields of a record, lowest byte first.
struct Fields(Vec<u8>);

impl Fields {
    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}
