//! Reads what symphonia leaves out of a Matroska file (`WebM` is one): how much of the last packet is padding, and
//! whether the file is all there. Decodes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scan {
    /// Nanoseconds that the encoder padded the end of each track with, by track number.
    padding: BTreeMap<u64, u64>,
    /// The file ends within an element.
    pub(super) is_cut_off: bool,
}

/// Elements that are entered or looked at (RFC 9559, section 27.1).
mod id {
    pub(super) const SEGMENT: u64 = 0x1853_8067;
    pub(super) const CLUSTER: u64 = 0x1f43_b675;
    pub(super) const BLOCK_GROUP: u64 = 0xa0;
    pub(super) const BLOCK: u64 = 0xa1;
    pub(super) const SIMPLE_BLOCK: u64 = 0xa3;
    pub(super) const DISCARD_PADDING: u64 = 0x75a2;
}

/// Longest padding that is believed, in nanoseconds: a second, where the longest packet of Opus has 0.12. As much sound
/// as that is held back until it is clear where the end is.
const MAX_PADDING_NS: u64 = 1_000_000_000;

/// A live stream leaves the sizes of its segment and clusters open.
const OPEN_SIZE: u64 = u64::MAX;

impl Scan {
    /// Samples that pad the end of a track.
    pub(super) fn padding(&self, track: u32, sample_rate: u32) -> u64 {
        let ns = self.padding.get(&u64::from(track)).copied().unwrap_or(0);
        // At most a second of at most 2^32 samples.
        (ns.min(MAX_PADDING_NS) * u64::from(sample_rate) + 500_000_000) / 1_000_000_000
    }
}

/// Walks the elements of a file down to its blocks, without reading what is in them.
pub(super) fn scan(file: &mut File) -> io::Result<Scan> {
    let file_len = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut input = BufReader::new(file);
    let mut scan = Scan::default();
    let mut position = 0u64;
    // The track of the block group that is being read.
    let mut track = 0;
    while position < file_len {
        let (Some((id, id_len)), Some((size, size_len))) =
            (read_number(&mut input, true)?, read_number(&mut input, false)?)
        else {
            scan.is_cut_off = true;
            break;
        };
        position += id_len + size_len;
        scan.is_cut_off |= size != OPEN_SIZE && position.saturating_add(size) > file_len;
        // The children of these follow right behind their headers.
        if matches!(id, id::SEGMENT | id::CLUSTER | id::BLOCK_GROUP) {
            continue;
        }
        let mut n_read = 0;
        match id {
            id::BLOCK | id::SIMPLE_BLOCK => {
                if let Some((number, len)) = read_number(&mut input, false)? {
                    (track, n_read) = (number, len);
                    // A later block shows that the padding of an earlier one was not at the end.
                    scan.padding.remove(&number);
                }
            }
            id::DISCARD_PADDING if size <= 8 => {
                let mut bytes = [0; 8];
                let body = bytes.split_at_mut(8 - size as usize).1;
                input.read_exact(body)?;
                n_read = size;
                // Negative values would be padding at the start of a block.
                if body.first().is_some_and(|byte| byte >> 7 == 0) {
                    scan.padding.insert(track, u64::from_be_bytes(bytes));
                }
            }
            _ => {}
        }
        position = position.saturating_add(size);
        let Ok(rest) = i64::try_from(size.saturating_sub(n_read)) else { break };
        if position > file_len {
            break;
        }
        input.seek_relative(rest)?;
    }
    Ok(scan)
}

/// A number of variable length and its length in bytes: as many leading zero bits as bytes follow the first (RFC 8794,
/// section 4). The marker bit belongs to an identifier, but not to a size. `None` at the end of the file.
fn read_number(input: &mut impl Read, keep_marker: bool) -> io::Result<Option<(u64, u64)>> {
    let mut first = [0];
    if input.read(&mut first)? == 0 {
        return Ok(None);
    }
    let n_more = first[0].leading_zeros();
    if n_more > 7 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    input.take(u64::from(n_more)).read_to_end(&mut bytes)?;
    if bytes.len() < n_more as usize {
        return Ok(None);
    }
    let marker = 0x80u8 >> n_more;
    let start = if keep_marker { first[0] } else { first[0] & !marker };
    let value = bytes.iter().fold(u64::from(start), |value, &byte| value << 8 | u64::from(byte));
    // All bits set means that the size is not known.
    let is_open = !keep_marker && value == (1 << (7 * (n_more + 1))) - 1;
    Ok(Some((if is_open { OPEN_SIZE } else { value }, u64::from(n_more) + 1)))
}
