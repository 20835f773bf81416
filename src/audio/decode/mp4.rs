//! Reads what symphonia leaves out of an MP4 file: the edit list, iTunes' gapless note, encryption, and whether the
//! file is all there. Decodes nothing.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::fault::Fault;

/// Which part of the audio track is to be heard, in ticks of `1 / timescale` seconds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Edit {
    start: u64,
    timescale: u32,
    /// Packets from this time on are not heard. Programs round it to milliseconds, so the one before is kept whole.
    pub(super) end: Option<u64>,
    /// The file ends within a box.
    pub(super) is_cut_off: bool,
}

/// What is gathered from the boxes of the first audio track.
#[derive(Debug, Default)]
struct Track {
    is_audio: bool,
    media_timescale: u32,
    /// `(duration in movie ticks, start in media ticks)`; a start of -1 is a gap.
    edits: Vec<(u64, i64)>,
}

/// Longest movie box, in bytes: it holds tables of some 12 bytes a packet, so this is 5 days of AAC. It is held as a
/// whole, here and by symphonia.
const MAX_MOVIE_LEN: u64 = 1 << 28;

impl Edit {
    /// Samples to drop at the start.
    pub(super) fn start(&self, sample_rate: u32) -> u64 {
        let scale = u128::from(self.timescale.max(1));
        let samples = (u128::from(self.start) * u128::from(sample_rate) + scale / 2) / scale;
        u64::try_from(samples).unwrap_or(u64::MAX)
    }
}

/// Walks the boxes of a file.
pub(super) fn scan(file: &mut File) -> Result<Edit, Fault> {
    let file_len = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut input = BufReader::new(file);
    let mut position = 0;
    let mut movie = None;
    let mut is_cut_off = false;
    while position < file_len {
        let Some((name, header_len, len)) = read_box_header(&mut input)? else { break };
        // A length of 0 means up to the end of the file.
        let len = if len == 0 { file_len - position } else { len };
        if len < header_len {
            return Err(Fault::Malformed("a box is shorter than its header".into()));
        }
        is_cut_off |= position.saturating_add(len) > file_len;
        if is_cut_off {
            break;
        }
        // What is left of the box; it lies within the file.
        let mut rest = len - header_len;
        if &name == b"moov" {
            if len > MAX_MOVIE_LEN {
                return Err(Fault::Malformed("its movie box is too long".into()));
            }
            let mut body = Vec::new();
            input.by_ref().take(rest).read_to_end(&mut body)?;
            rest -= body.len() as u64;
            movie = Some(body);
        }
        // Within what was read already: a file may have millions of boxes without content.
        input.seek_relative(rest.cast_signed())?;
        position += len;
    }
    match movie {
        Some(movie) => Ok(Edit { is_cut_off, ..edit_of(&movie)? }),
        // Most programs write the movie box last, and without it nothing can be found.
        None if is_cut_off => Err(Fault::CutOff { n_samples: None }),
        None => Err(Fault::Malformed("it has no movie box".into())),
    }
}

fn edit_of(movie: &[u8]) -> Result<Edit, Fault> {
    let mut movie_timescale = 0;
    let mut audio: Option<Track> = None;
    let mut itunes_priming = None;
    for (name, body) in boxes(movie) {
        match name {
            b"mvhd" => movie_timescale = timescale(body).unwrap_or(0),
            b"trak" if audio.is_none() => audio = Some(read_track(body)?).filter(|track| track.is_audio),
            b"udta" => itunes_priming = read_itunes_priming(body),
            _ => {}
        }
    }
    let Some(track) = audio else { return Ok(Edit::default()) };
    let timescale = track.media_timescale;

    // Leading gaps delay the track against a picture and are no part of the sound.
    let mut edits = track.edits.iter().filter_map(|&(len, start)| Some((len, u64::try_from(start).ok()?)));
    match (edits.next(), edits.next()) {
        (Some(_), Some(_)) => Err(Fault::Unsupported { codec: "MP4 cut together from several edits".into() }),
        (Some((len, start)), None) => {
            let ticks = u128::from(len) * u128::from(timescale);
            let len = ticks.checked_div(movie_timescale.into()).and_then(|ticks| u64::try_from(ticks).ok());
            // Fragmented files do not know their length when the list is written, and leave it 0.
            let end = len.filter(|&len| len > 0).map(|len| start.saturating_add(len));
            Ok(Edit { start, timescale, end, is_cut_off: false })
        }
        (None, _) => Ok(Edit { start: itunes_priming.unwrap_or(0), timescale, ..Edit::default() }),
    }
}

fn read_track(body: &[u8]) -> Result<Track, Fault> {
    let mut track = Track::default();
    let mut is_encrypted = false;
    for (name, body) in boxes(body) {
        match name {
            b"edts" => track.edits = boxes(body).find(|(name, _)| *name == b"elst").map_or(vec![], |(_, b)| edits(b)),
            b"mdia" => {
                for (name, body) in boxes(body) {
                    match name {
                        b"mdhd" => track.media_timescale = timescale(body).unwrap_or(0),
                        b"hdlr" => track.is_audio = body.get(8..12) == Some(b"soun"),
                        b"minf" => is_encrypted = has_encrypted_entry(body),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if track.is_audio && is_encrypted {
        return Err(Fault::Unsupported { codec: "MP4 with copy protection (DRM)".into() });
    }
    Ok(track)
}

/// The boxes inside another, up to the first that does not fit.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let len = u32_at(bytes, 0)? as usize;
        let name = bytes.get(4..)?.first_chunk()?;
        let len = if len == 0 { bytes.len() } else { len };
        let body = bytes.get(8..len)?;
        bytes = bytes.get(len..)?;
        Some((name, body))
    })
}

/// Ticks per second of an `mvhd` or `mdhd` box.
fn timescale(body: &[u8]) -> Option<u32> {
    let at = if body.first() == Some(&1) { 20 } else { 12 };
    u32_at(body, at).filter(|&scale| scale > 0)
}

/// The entries of an `elst` box.
fn edits(body: &[u8]) -> Vec<(u64, i64)> {
    let is_long = body.first() == Some(&1);
    let Some(entries) = body.get(8..) else { return Vec::new() };
    entries
        .chunks_exact(if is_long { 20 } else { 12 })
        .filter_map(|entry| {
            if is_long {
                Some((u64_at(entry, 0)?, u64_at(entry, 8)?.cast_signed()))
            } else {
                Some((u64::from(u32_at(entry, 0)?), i64::from(u32_at(entry, 4)?.cast_signed())))
            }
        })
        .collect()
}

/// Whether a sample description is that of an encrypted stream.
fn has_encrypted_entry(minf: &[u8]) -> bool {
    let child = |body, wanted: &[u8; 4]| boxes(body).find(|(name, _)| *name == wanted).map(|(_, body)| body);
    let entries = child(minf, b"stbl").and_then(|stbl| child(stbl, b"stsd")).and_then(|stsd| stsd.get(8..));
    entries.is_some_and(|entries| boxes(entries).any(|(name, _)| matches!(name, b"enca" | b"drms")))
}

/// Samples to drop at the start, from the `iTunSMPB` note: the second of its hexadecimal words.
fn read_itunes_priming(user_data: &[u8]) -> Option<u64> {
    let find = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).position(|window| window == wanted);
    let note = user_data.get(find(user_data, b"iTunSMPB")?..)?;
    // Version, flags and locale stand between the name of the data box and the text.
    let text = note.get(find(note, b"data")? + 12..)?;
    let word = text.split(|&b| b == b' ').filter(|word| !word.is_empty()).nth(1)?;
    u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()
}

/// Name, length of the header and of the whole box; `None` where no whole header is left.
fn read_box_header(input: &mut BufReader<&mut File>) -> io::Result<Option<([u8; 4], u64, u64)>> {
    let mut header = Vec::new();
    input.by_ref().take(16).read_to_end(&mut header)?;
    let (Some(len), Some(name)) = (u32_at(&header, 0), header.get(4..8).and_then(|b| b.first_chunk())) else {
        return Ok(None);
    };
    // A length of 1 is followed by a long one.
    let (header_len, len) = match len {
        1 => (16, u64_at(&header, 8).unwrap_or(u64::MAX)),
        len => (8, u64::from(len)),
    };
    input.seek_relative(header_len - header.len() as i64)?;
    Ok(Some((*name, header_len.unsigned_abs(), len)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&b| u32::from_be_bytes(b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|&b| u64::from_be_bytes(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_box(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), name.as_slice(), body].concat()
    }

    /// A movie of one sound track at 44.1 kHz, in milliseconds, with these edits of `(duration, start)`.
    fn movie(edits: &[(u32, i32)], more: &[u8]) -> Vec<u8> {
        let time = |scale: u32| [&[0; 12], scale.to_be_bytes().as_slice(), &[0; 4]].concat();
        let mut list = vec![0; 8];
        for (duration, start) in edits {
            list.extend(duration.to_be_bytes());
            list.extend(start.to_be_bytes());
            list.extend([0, 1, 0, 0]);
        }
        let edits = make_box(b"edts", &make_box(b"elst", &list));
        let handler = make_box(b"hdlr", b"\0\0\0\0\0\0\0\0soun");
        let media = make_box(b"mdia", &[make_box(b"mdhd", &time(44_100)), handler].concat());
        [make_box(b"mvhd", &time(1_000)), make_box(b"trak", &[edits, media].concat()), more.to_vec()].concat()
    }

    #[test]
    fn an_edit_list_names_start_and_end() {
        let edit = edit_of(&movie(&[(2_000, 1_024)], &[])).expect("edit");
        assert_eq!((edit.start(44_100), edit.start(22_050), edit.end), (1_024, 512, Some(1_024 + 88_200)));
        let after_a_gap = edit_of(&movie(&[(500, -1), (2_000, 1_024)], &[])).expect("edit");
        assert_eq!(after_a_gap, edit);
        assert!(edit_of(&movie(&[(10, 0), (10, 4_410)], &[])).is_err(), "two pieces");
    }

    #[test]
    fn the_note_of_itunes_counts_without_an_edit_list() {
        let text = b"\0\0\0\x01\0\0\0\0 00000000 00000840 000001CA 00000000003F31F6 00000000";
        let note = [b"iTunSMPB".as_slice(), &make_box(b"data", text)].concat();
        let edit = edit_of(&movie(&[], &make_box(b"udta", &note))).expect("note");
        assert_eq!(edit.start(44_100), 0x840);
        assert_eq!(edit_of(&movie(&[], &make_box(b"udta", b"iTunSMPB"))).expect("no note").start(44_100), 0);
    }

    #[test]
    fn broken_boxes_end_the_walk() {
        assert_eq!(edit_of(&[0xff; 40]).expect("nothing found"), Edit::default());
        assert_eq!(edit_of(b"\0\0\0\x04trak").expect("nothing found"), Edit::default());
    }
}
