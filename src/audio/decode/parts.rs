//! Finds the streams that are strung together in one file, and what each says about itself. Decodes nothing.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use super::fault::Fault;
use super::kind::Kind;
use super::matroska::{self, Scan};
use super::mp4::{self, Movie};
use super::ogg::Damage;
use super::section::Section;
use super::tags::{self, left_out};
use super::{frames, ogg};

/// The streams of a file.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// In order; at least one.
    pub(super) all: Vec<Part>,
    /// Where the file stops being whole, and why.
    pub(super) damage: Option<Damage>,
    pub(super) notes: Vec<String>,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Part {
    /// Where it is, in bytes from the start of the file.
    pub(super) ranges: Vec<Range<u64>>,
    pub(super) says: Says,
}

/// What was found out about a stream that symphonia does not tell.
#[derive(Debug)]
pub(super) enum Says {
    Nothing,
    Movie(Movie),
    Elements(Scan),
    /// Whether its header counts its frames rightly.
    Frames {
        is_exact: bool,
    },
}

/// What a FLAC stream starts with: its marker, and the header of its first block.
const FLAC_STARTS: [&[u8]; 2] = [b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"];

/// Bytes that are searched at a time.
const BLOCK_LEN: u64 = 1 << 20;

/// Finds the streams of a file of a known kind. Those of WAV files and whether they are `cut_off` are known beforehand.
pub(super) fn find(kind: Kind, file: &mut File, known: Vec<Range<u64>>, mut cut_off: bool) -> Result<Parts, Fault> {
    let end = tags::content_end(file)?;
    let mut found = Parts::default();
    match kind {
        Kind::Wav | Kind::Au => found.all.extend(known.into_iter().map(|range| Part::new(range, Says::Nothing))),
        // Its pages tell where one begins.
        Kind::Ogg => {
            let file_len = file.seek(SeekFrom::End(0))?;
            let mut pages_end = file_len;
            found.damage = ogg::find_damage(file, &mut pages_end)?;
            found.all.push(Part::new(0..pages_end, Says::Nothing));
            if pages_end < file_len {
                found.notes.push(left_out(end.saturating_sub(pages_end)));
            }
        }
        Kind::Mpeg | Kind::Adts => {
            let frames = frames::scan(file)?;
            let part = |stream: frames::Stream| Part {
                ranges: stream.ranges,
                says: Says::Frames { is_exact: stream.is_exact },
            };
            found.all.extend(frames.streams.into_iter().map(part));
            (found.damage, found.notes) = (frames.damage, frames.notes);
        }
        Kind::Flac => {
            let ranges = flac_streams(file, end)?;
            found.all.extend(ranges.into_iter().map(|range| Part::new(range, Says::Nothing)));
        }
        Kind::Aiff | Kind::Caf | Kind::Mp4 | Kind::Matroska => {
            let mut start = 0;
            loop {
                let rest = start..end;
                let section = Section::new(file, vec![rest])?;
                let (len, says) = match kind {
                    Kind::Mp4 => {
                        let movie = mp4::scan(section)?;
                        cut_off |= movie.is_cut_off;
                        (movie.len, Says::Movie(movie))
                    }
                    Kind::Matroska => {
                        let scan = matroska::scan(section)?;
                        cut_off |= scan.is_cut_off;
                        (scan.len, Says::Elements(scan))
                    }
                    Kind::Aiff => (aiff_len(section)?, Says::Nothing),
                    _ => (caf_len(section)?, Says::Nothing),
                };
                let next = start + len;
                found.all.push(Part::new(start..next, says));
                if next >= end || len == 0 {
                    break;
                }
                file.seek(SeekFrom::Start(next))?;
                let mut head = Vec::new();
                file.by_ref().take(12).read_to_end(&mut head)?;
                if Kind::of(&head) != Some(kind) {
                    file.seek(SeekFrom::Start(next))?;
                    if !tags::is_no_content(file)? {
                        found.notes.push(left_out(end - next));
                    }
                    break;
                }
                start = next;
            }
        }
    }
    if cut_off {
        // Only at the end is it known where that is.
        found.damage = Some((u64::MAX, Fault::CutOff { n_samples: None }));
    }
    Ok(found)
}

impl Part {
    fn new(range: Range<u64>, says: Says) -> Self {
        Self { ranges: vec![range], says }
    }
}

/// Where the streams of a FLAC file are, without the tags before the later ones.
fn flac_streams(file: &mut File, end: u64) -> io::Result<Vec<Range<u64>>> {
    let mut starts = Vec::new();
    let mut position = 0;
    let mut bytes = Vec::new();
    while position < end {
        // Blocks overlap by the length of what is looked for.
        file.seek(SeekFrom::Start(position))?;
        bytes.clear();
        file.by_ref().take((BLOCK_LEN + 7).min(end - position)).read_to_end(&mut bytes)?;
        let mut from = 0;
        while let Some(at) = bytes.get(from..).and_then(|rest| rest.iter().position(|&byte| byte == b'f')) {
            let at = from + at;
            if FLAC_STARTS.iter().any(|start| bytes.get(at..).is_some_and(|rest| rest.starts_with(start))) {
                starts.push(position + at as u64);
            }
            from = at + 1;
        }
        position += BLOCK_LEN;
    }
    starts.dedup();
    let mut ranges = Vec::new();
    let mut start = 0;
    for next in starts.into_iter().skip(1) {
        ranges.push(start..tag_start(file, start, next)?);
        start = next;
    }
    ranges.push(start..end);
    Ok(ranges)
}

/// Where the tags begin that end before a stream that starts at `next`.
fn tag_start(file: &mut File, start: u64, next: u64) -> io::Result<u64> {
    let from = next.saturating_sub(BLOCK_LEN).max(start);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(next - from).read_to_end(&mut bytes)?;
    let mut end = bytes.len();
    // The last `ID3v2` tag that ends right there, and the `ID3v1` tag of the stream before it.
    let ids = |end: usize| (0..end).rev().filter(move |&at| at + 10 <= end);
    if let Some(at) = ids(end)
        .find(|&at| bytes.get(at..).and_then(tags::id3_len).is_some_and(|len| at as u64 + len == bytes.len() as u64))
    {
        end = at;
    }
    if let Some(at) = end.checked_sub(128).filter(|&at| bytes.get(at..at + 3) == Some(b"TAG")) {
        end = at;
    }
    Ok(from + end as u64)
}

/// Length of an AIFF file: as it says, if another one follows there, or nothing that belongs to it.
fn aiff_len(section: Section) -> io::Result<u64> {
    let file_len = section.len();
    let mut input = BufReader::new(section);
    let mut head = [0; 8];
    input.read_exact(&mut head)?;
    let [.., a, b, c, d] = head;
    let size = u64::from(u32::from_be_bytes([a, b, c, d]));
    let mut len = 8 + size + size % 2;
    if len >= file_len {
        return Ok(file_len);
    }
    // The byte of padding may be left out.
    for end in [len, 8 + size] {
        let mut next = Vec::new();
        input.seek(SeekFrom::Start(end))?;
        input.by_ref().take(4).read_to_end(&mut next)?;
        if next == b"FORM" {
            return Ok(end);
        }
        // A size that says too little cuts no chunk off.
        if matches!(next.as_slice(), b"SSND" | b"COMM") {
            len = file_len;
        }
    }
    Ok(len)
}

/// Length of a CAF file, up to the last of its chunks.
fn caf_len(section: Section) -> io::Result<u64> {
    let file_len = section.len();
    let mut input = BufReader::new(section);
    let mut position = 8;
    let mut has_data = false;
    loop {
        let mut head = Vec::new();
        input.seek(SeekFrom::Start(position))?;
        input.by_ref().take(12).read_to_end(&mut head)?;
        let (Some(name), Some(&size)) = (head.first_chunk::<4>(), head.last_chunk::<8>()) else { break };
        // A size of -1 means up to the end of the file.
        let end = u64::try_from(i64::from_be_bytes(size)).ok().and_then(|size| (position + 12).checked_add(size));
        let is_whole = head.len() == 12 && end.is_some_and(|end| end <= file_len);
        if !is_whole || !name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return Ok(if has_data && !head.is_empty() && name != b"data" { position } else { file_len });
        }
        has_data |= name == b"data";
        position = end.unwrap_or(file_len);
    }
    Ok(position.min(file_len))
}
