//! Parts of a file that are read as if they were a file of their own. Knows no format.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::io::MediaSource;

/// Parts of a file, one behind the other.
#[derive(Debug)]
pub(super) struct Section {
    file: File,
    ranges: Vec<Range<u64>>,
    len: u64,
    /// Bytes from the start of the section.
    position: u64,
}

impl Section {
    /// The bytes in some ranges, all of which are in the file.
    pub(super) fn new(file: &File, ranges: Vec<Range<u64>>) -> io::Result<Self> {
        let len = ranges.iter().map(|range| range.end - range.start).sum();
        Ok(Self { file: file.try_clone()?, ranges, len, position: 0 })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut before = 0;
        for range in &self.ranges {
            let len = range.end - range.start;
            if self.position < before + len {
                // Another handle may have moved: handles on one file share a place in it.
                self.file.seek(SeekFrom::Start(range.start + (self.position - before)))?;
                let n_read = (&mut self.file).take(before + len - self.position).read(buffer)?;
                self.position += n_read as u64;
                return Ok(n_read);
            }
            before += len;
        }
        Ok(0)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl MediaSource for Section {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}
