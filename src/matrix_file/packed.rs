//! Matrix files as streams of bytes, unpacked where gzip packed them.
//! Knows no format of matrices.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::values::unreadable;
use crate::Result;

/// What a file that gzip packed begins with.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How many times larger a file may become: numbers as text take 2 to 10 times less packed, and one that takes 1,000 times
/// less may be made to fill the memory.
const MAX_GROWTH: u64 = 200;

/// Bytes that any file may become.
const ALWAYS: u64 = 1 << 28;

/// A file to be read from its start.
pub(super) struct Stream {
    pub(super) reader: Box<dyn BufRead>,
    /// How many bytes will come, where that is known.
    pub(super) n_bytes: Option<u64>,
}

/// Opens a file. What tells a packed one is its content: browsers and mail programs unpack files and leave their names.
pub(super) fn open(path: &Path) -> Result<Stream> {
    let file = File::open(path).map_err(unreadable(path))?;
    let metadata = file.metadata().map_err(unreadable(path))?;
    let mut reader = BufReader::new(file);
    if !reader.fill_buf().map_err(unreadable(path))?.starts_with(&GZIP) {
        let n_bytes = metadata.is_file().then_some(metadata.len());
        return Ok(Stream { reader: Box::new(reader), n_bytes });
    }
    let left = metadata.len().saturating_mul(MAX_GROWTH).saturating_add(ALWAYS);
    let unpacked = Bounded { reader: MultiGzDecoder::new(reader), left };
    Ok(Stream { reader: Box::new(BufReader::new(unpacked)), n_bytes: None })
}

/// A reader that refuses to go on after so many bytes.
struct Bounded<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(n_bytes as u64).ok_or_else(|| {
            let reason =
                format!("unpacked, it has more than {MAX_GROWTH} times its size; if that is right, unpack it first");
            io::Error::new(ErrorKind::InvalidData, reason)
        })?;
        Ok(n_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_small_file_that_unpacks_to_fill_the_memory_is_refused() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&vec![0; 1 << 22]).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(packed.len() < 8192, "{} bytes", packed.len());
        let unpack = |left| {
            let mut unpacked = Vec::new();
            Bounded { reader: MultiGzDecoder::new(&*packed), left }.read_to_end(&mut unpacked).map(|_| unpacked.len())
        };
        assert_eq!(unpack(1 << 22).unwrap(), 1 << 22);
        let error = unpack((1 << 22) - 1).unwrap_err().to_string();
        assert!(error.starts_with("unpacked, it has more than 200 times its size"), "{error}");
    }
}
