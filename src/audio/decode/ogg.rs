//! Checks the pages of an Ogg file before it is decoded, because symphonia skips damaged ones without a word.
//! Knows as much of the codecs as is needed to tell the time.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::fault::Fault;
use super::tags;

/// Where a file stops being whole, in samples per channel, and why.
pub(super) type Damage = (u64, Fault);

/// The stream of audio that is being followed.
struct Stream {
    serial: u32,
    sequence: u32,
    /// Samples per channel that do not count: Opus' pre-skip.
    pre_skip: u64,
    /// Samples per channel up to the end of the last page.
    granule: u64,
    has_ended: bool,
}

/// A page, its checksum found to be right.
struct Page {
    flags: u8,
    granule: i64,
    serial: u32,
    sequence: u32,
    body: Vec<u8>,
}

enum Next {
    Page(Page),
    /// The file ends with the last page.
    End,
    CutOff,
    Damaged,
    /// These bytes are of no page.
    Foreign,
}

const FIRST: u8 = 2;
const LAST: u8 = 4;

/// Reads all pages; `None` if they are whole, in order, and end where they say. `end` becomes the place where something
/// else follows them. An error names the codec of a file that holds none that is read here.
pub(super) fn find_damage(file: &mut File, end: &mut u64) -> Result<Option<Damage>, Fault> {
    file.rewind()?;
    let mut input = BufReader::new(file);
    let mut stream: Option<Stream> = None;
    // Samples in the streams before this one, where several are strung together.
    let mut n_before = 0u64;
    let mut other = None;
    loop {
        let time = |stream: &Option<Stream>| n_before.saturating_add(stream.as_ref().map_or(0, Stream::n_samples));
        let at = input.stream_position()?;
        let page = match next_page(&mut input)? {
            Next::Page(page) => page,
            Next::End if stream.as_ref().is_some_and(|stream| !stream.has_ended) => {
                return Ok(Some((time(&stream), Fault::CutOff { n_samples: None })));
            }
            Next::End if stream.is_none() => return Err(other.unwrap_or(Fault::NoAudioTrack)),
            Next::End => return Ok(None),
            Next::CutOff => return Ok(Some((time(&stream), Fault::CutOff { n_samples: None }))),
            // Some programs put tags behind the last page, and files are strung together with them.
            Next::Foreign if stream.as_ref().is_some_and(|stream| stream.has_ended) => {
                input.seek(SeekFrom::Start(at))?;
                if tags::is_no_content(&mut input)? {
                    return Ok(None);
                }
                let mut head = Vec::new();
                input.seek(SeekFrom::Start(at))?;
                input.by_ref().take(64).read_to_end(&mut head)?;
                let Some(len) = tags::len(&head, &mut input)? else {
                    *end = at;
                    return Ok(None);
                };
                input.seek(SeekFrom::Start(at.saturating_add(len)))?;
                continue;
            }
            Next::Damaged | Next::Foreign => {
                return Ok(Some((time(&stream), Fault::Corrupt("a page is damaged".into()))));
            }
        };
        match &mut stream {
            Some(stream) if stream.serial == page.serial && page.flags & FIRST == 0 => {
                if page.sequence != stream.sequence.wrapping_add(1) {
                    let at = n_before.saturating_add(stream.n_samples());
                    return Ok(Some((at, Fault::Corrupt("a page is missing".into()))));
                }
                stream.sequence = page.sequence;
                stream.has_ended |= page.flags & LAST != 0;
                // No packet ends in a page with granule -1.
                stream.granule = u64::try_from(page.granule).unwrap_or(stream.granule);
            }
            Some(stream) if !stream.has_ended => {}
            _ if page.flags & FIRST != 0 => {
                if let Some(next) = Stream::start(&page) {
                    n_before = time(&stream);
                    stream = Some(next);
                } else {
                    other = other.or_else(|| unsupported(&page.body));
                }
            }
            _ => {}
        }
    }
}

impl Stream {
    /// The stream that starts with this page, if it is of a codec that is read here.
    fn start(page: &Page) -> Option<Self> {
        let body = page.body.as_slice();
        let pre_skip = match body.strip_prefix(b"OpusHead") {
            Some(head) => u64::from(u16::from_le_bytes(*head.get(2..4)?.first_chunk()?)),
            None if body.starts_with(b"\x01vorbis") || body.starts_with(b"\x7fFLAC") => 0,
            None => return None,
        };
        let has_ended = page.flags & LAST != 0;
        Some(Self { serial: page.serial, sequence: page.sequence, pre_skip, granule: 0, has_ended })
    }

    fn n_samples(&self) -> u64 {
        self.granule.saturating_sub(self.pre_skip)
    }
}

/// Names audio that is not read here by its first packet. Pictures and texts are not meant.
fn unsupported(body: &[u8]) -> Option<Fault> {
    let magics: [(&[u8], &str); 4] = [
        (b"Speex   ", "Speex"),
        (b"PCM     ", "PCM in Ogg"),
        (b"CELT    ", "CELT"),
        (b"fLaC", "FLAC in old Ogg files"),
    ];
    let (_, codec) = magics.iter().find(|(magic, _)| body.starts_with(magic))?;
    Some(Fault::Unsupported { codec: (*codec).into() })
}

/// Reads one page: a header of 27 bytes, a table of segment lengths, the segments (RFC 3533, section 6).
fn next_page(input: &mut impl Read) -> io::Result<Next> {
    const CHECKSUM: std::ops::Range<usize> = 22..26;
    let mut bytes = Vec::new();
    input.take(27).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(Next::End);
    }
    let Some(&header) = bytes.first_chunk::<27>() else {
        return Ok(if bytes.starts_with(b"OggS") { Next::CutOff } else { Next::Foreign });
    };
    if !header.starts_with(b"OggS\0") {
        return Ok(Next::Foreign);
    }
    let n_segments = usize::from(header[26]);
    input.take(n_segments as u64).read_to_end(&mut bytes)?;
    let body_len = bytes.iter().skip(27).map(|&len| u64::from(len)).sum::<u64>();
    let body_at = 27 + n_segments;
    input.take(body_len).read_to_end(&mut bytes)?;
    if bytes.len() < body_at + body_len as usize {
        return Ok(Next::CutOff);
    }
    let u32_at = |at: usize| header.get(at..).and_then(|b| b.first_chunk()).map_or(0, |&b| u32::from_le_bytes(b));
    let checksum = u32_at(CHECKSUM.start);
    bytes[CHECKSUM].fill(0);
    if crc(&bytes) != checksum {
        return Ok(Next::Damaged);
    }
    Ok(Next::Page(Page {
        flags: header[5],
        granule: (u64::from(u32_at(10)) << 32 | u64::from(u32_at(6))).cast_signed(),
        serial: u32_at(14),
        sequence: u32_at(18),
        body: bytes.split_off(body_at),
    }))
}

/// CRC-32 with polynomial `04c11db7`, most significant bit first, starting from 0.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, &byte| crc << 8 ^ CRC_TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_format() {
        // CRC-32/MPEG-2 starts from all ones; with the same polynomial from 0, one byte gives the table's entry.
        assert_eq!(crc(&[1]), 0x04c1_1db7);
        assert_eq!(crc(b"123456789"), 0x89a1_897f);
    }
}
