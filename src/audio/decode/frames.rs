//! Follows the frames of an MP3 or ADTS file: whether one comes after the other without a gap, because symphonia looks for
//! the next one without a word, and where one stream ends and the next begins. Knows their headers only.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use super::fault::Fault;
use super::format::in_bytes;
use super::ogg::Damage;
use super::tags;

/// A frame as its header describes it.
#[derive(Debug, PartialEq)]
struct Frame {
    len: u64,
    n_samples: u64,
    /// What all frames of a stream have in common: version, layer and sample rate. Layer bits of zero are ADTS.
    kind: u16,
    /// Bytes from the start of the frame to where a Xing header would be.
    side_len: usize,
}

/// The streams of a file.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) streams: Vec<Stream>,
    pub(super) damage: Option<Damage>,
    pub(super) notes: Vec<String>,
}

/// Frames that belong together.
#[derive(Debug, PartialEq)]
pub(super) struct Stream {
    /// Where they are, in bytes from the start of the file, without the tags between them.
    pub(super) ranges: Vec<Range<u64>>,
    /// It has as many frames as its header says, or fewer, so that padding can be cut off as it says.
    pub(super) is_exact: bool,
}

/// Bytes of a frame that are looked at: a Xing header ends before, and so does the start of any tag.
const HEAD_LEN: u64 = 64;

/// Bytes in which a first frame is looked for: some frames, of at most 1,728 bytes, behind the rest of one.
pub(super) const START_LEN: u64 = 1 << 14;

/// Frames that follow each other; fewer are found in bytes of any kind. By chance, one in 2^15 places looks like a frame.
const N_WITNESSES: usize = 4;

/// Frames before the place that are given up: encoders delay the sound by up to two.
const MARGIN: u64 = 2;

/// Where the first of some frames in a row is that are of one kind, and whether they are ADTS; `is_whole`: nothing
/// follows these bytes.
pub(super) fn first(bytes: &[u8], is_whole: bool) -> Option<(usize, bool)> {
    (0..bytes.len()).find_map(|start| {
        let (mut at, mut kind, mut n_frames) = (start, None, 0);
        while n_frames < N_WITNESSES {
            match bytes.get(at..).and_then(frame) {
                Some(frame) if frame.len > 0 && kind.is_none_or(|kind| kind == frame.kind) => {
                    kind = Some(frame.kind);
                    at += frame.len as usize;
                    n_frames += 1;
                }
                // At the start of a file, others may be damaged or cut off.
                _ if start == 0 && n_frames > 1 => break,
                _ if is_whole && at == bytes.len() && n_frames > usize::from(start > 0) => break,
                _ => return None,
            }
        }
        kind.map(|kind: u16| (start, kind & 0x600 == 0))
    })
}

/// Goes from frame to frame. An error says that these are no frames at all.
pub(super) fn scan(file: &mut File) -> Result<Frames, Fault> {
    let end = tags::content_end(file)?;
    file.rewind()?;
    let mut input = BufReader::new(file);
    let mut found = Frames::default();
    let mut position = 0;
    let mut n_frames = 0u64;
    let mut n_samples = 0u64;
    // Frames of the stream so far, and how many its header says there are.
    let (mut n_of_stream, mut promised) = (0u64, None);
    while position < end {
        let mut head = Vec::new();
        input.by_ref().take(HEAD_LEN.min(end - position)).read_to_end(&mut head)?;
        let at = n_samples - n_samples.checked_div(n_frames).unwrap_or(0) * MARGIN.min(n_frames);
        let len = match (frame(&head), tags::len(&head, &mut input)?) {
            // A frame of unknown length cannot be followed.
            (Some(Frame { len: 0, .. }), _) if n_frames == 0 => {
                let rest = position..end;
                found.streams.push(Stream { ranges: vec![rest], is_exact: false });
                return Ok(found);
            }
            // Files that were strung together have tags in the middle.
            (_, Some(tag_len)) => tag_len,
            // Padding between a tag and the first frame.
            _ if n_frames == 0 && head.first() == Some(&0) => 1,
            (found_here, None) => {
                let next = found_here.filter(|frame| frame.len > 0);
                if n_frames == 0 {
                    // Two bytes that look like a frame are found in many files.
                    let mut bytes = head.clone();
                    let n_more = START_LEN.min(end - position).saturating_sub(HEAD_LEN);
                    input.by_ref().take(n_more).read_to_end(&mut bytes)?;
                    input.seek(SeekFrom::Start(position + head.len() as u64))?;
                    let (start, _) = first(&bytes, position + bytes.len() as u64 == end).ok_or_else(Fault::unknown)?;
                    if start > 0 {
                        let note = format!(
                            "it begins in the middle of a frame, which is left out: {}",
                            in_bytes(start as u64)
                        );
                        found.notes.push(note);
                        position += start as u64;
                        input.seek(SeekFrom::Start(position))?;
                        continue;
                    }
                } else if next.is_none() {
                    input.seek(SeekFrom::Start(position))?;
                    if !tags::is_no_content(&mut input)? {
                        found.damage = Some((at, Fault::Corrupt("a frame is damaged".into())));
                    }
                    break;
                }
                let Some(frame) = next else { return Err(Fault::unknown()) };
                if position + frame.len > end {
                    found.damage = Some((at, Fault::CutOff { n_samples: None }));
                    break;
                }
                let header = n_promised(&head, &frame);
                let is_over = promised == Some(n_of_stream) && starts_anew(&head, &frame);
                if header.is_some() || is_over || found.streams.is_empty() {
                    found.streams.push(Stream { ranges: Vec::new(), is_exact: true });
                    (n_of_stream, promised) = (0, header);
                }
                n_of_stream += u64::from(header.is_none());
                if let Some(stream) = found.streams.last_mut() {
                    stream.is_exact &= promised.is_none_or(|n_promised| n_of_stream <= n_promised);
                    stream.extend(position..position + frame.len);
                }
                n_frames += 1;
                n_samples += frame.n_samples;
                frame.len
            }
        };
        position += len;
        input.seek_relative(len.cast_signed() - head.len() as i64)?;
    }
    if found.streams.is_empty() { Err(Fault::unknown()) } else { Ok(found) }
}

impl Stream {
    fn extend(&mut self, frame: Range<u64>) {
        match self.ranges.last_mut().filter(|last| last.end == frame.start) {
            Some(last) => last.end = frame.end,
            None => self.ranges.push(frame),
        }
    }
}

/// The number of frames in a stream, if this one is its header (Xing, Info or VBRI) instead of sound. A header that does
/// not say promises more than there are.
fn n_promised(head: &[u8], frame: &Frame) -> Option<u64> {
    let number = |at: usize| Some(u32::from_be_bytes(*head.get(at..)?.first_chunk()?));
    let name = |at: usize| head.get(at..at + 4);
    if frame.side_len == 0 {
        return None;
    }
    if matches!(name(frame.side_len), Some(b"Xing" | b"Info")) {
        let has_number = number(frame.side_len + 4)? & 1 == 1;
        return Some(if has_number { number(frame.side_len + 8)?.into() } else { u64::MAX });
    }
    (name(36) == Some(b"VBRI")).then(|| number(36 + 14).map_or(u64::MAX, u64::from))
}

/// Whether a frame of layer 3 needs nothing of the frames before it, as the first of a stream does.
fn starts_anew(head: &[u8], frame: &Frame) -> bool {
    // The first 9 bits, or 8 of MPEG 2, behind the header and its checksum.
    let at = if head.get(1).is_some_and(|byte| byte & 1 == 0) { 6 } else { 4 };
    let is_mpeg_1 = frame.n_samples == 1152;
    let bits = head.get(at).zip(head.get(at + 1));
    bits.is_some_and(|(first, second)| *first == 0 && !(is_mpeg_1 && second >> 7 == 1))
}

/// Reads the header of a frame; a length of 0 is one that it does not tell.
fn frame(head: &[u8]) -> Option<Frame> {
    let &[0xff, b, c, d, e, f] = head.first_chunk()? else { return None };
    // ADTS: layer bits of zero, and a length of 13 bits.
    if b & 0xf6 == 0xf0 {
        let len = u64::from(d & 3) << 11 | u64::from(e) << 3 | u64::from(f >> 5);
        let kind = u16::from(b & 0xfe) << 8 | u16::from(c & 0x3c);
        return (len >= 7).then_some(Frame { len, n_samples: 1024, kind, side_len: 0 });
    }
    // MPEG audio (ISO/IEC 11172-3, section 2.4.2.3): 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5; layers count down from 3.
    let (version, layer) = ((b >> 3) & 3, 4 - ((b >> 1) & 3));
    if b & 0xe0 != 0xe0 || version == 1 || layer == 4 {
        return None;
    }
    let sample_rate = [44_100u64, 48_000, 32_000].get(usize::from((c >> 2) & 3))? >> (3 - version).min(2);
    let kbps = u64::from(*bit_rates(version == 3, layer).get(usize::from(c >> 4))?);
    let padding = u64::from(c >> 1 & 1);
    let n_samples = match layer {
        1 => 384,
        3 if version != 3 => 576,
        _ => 1152,
    };
    let len = match layer {
        _ if kbps == 0 => 0,
        1 => (12_000 * kbps / sample_rate + padding) * 4,
        _ => n_samples / 8 * 1_000 * kbps / sample_rate + padding,
    };
    // Mono is 3.
    let side_len = match (layer, version == 3, d >> 6 == 3) {
        (3, true, false) => 36,
        (3, true, true) | (3, false, false) => 21,
        (3, false, true) => 13,
        _ => 0,
    };
    Some(Frame { len, n_samples, kind: u16::from(b & 0xfe) << 8 | u16::from(c & 0xc), side_len })
}

/// Bit rates by their index, in kbit/s; 0 is any other.
fn bit_rates(is_mpeg_1: bool, layer: u8) -> &'static [u16; 15] {
    match (is_mpeg_1, layer) {
        (true, 1) => &[0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        (true, 2) => &[0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        (true, _) => &[0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        (false, 1) => &[0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        (false, _) => &[0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_lengths_follow_the_standard() {
        let of = |head: &[u8]| frame(head).map(|frame| (frame.len, frame.n_samples));
        let mp3 = |b, c| of(&[0xff, b, c, 0, 0, 0]);
        assert_eq!(mp3(0xfb, 0x90), Some((417, 1152)), "128 kbit/s at 44.1 kHz");
        assert_eq!(mp3(0xfb, 0x92), Some((418, 1152)), "padded");
        assert_eq!(mp3(0xf3, 0x80), Some((208, 576)), "MPEG 2, 64 kbit/s at 22.05 kHz");
        assert_eq!(mp3(0xe3, 0x18), Some((72, 576)), "MPEG 2.5, 8 kbit/s at 8 kHz");
        assert_eq!(mp3(0xfd, 0xa4), Some((576, 1152)), "layer 2, 192 kbit/s at 48 kHz");
        assert_eq!(mp3(0xff, 0x10), Some((32, 384)), "layer 1, 32 kbit/s at 44.1 kHz");
        assert_eq!(mp3(0xfb, 0x00), Some((0, 1152)), "free format");
        assert_eq!(mp3(0xfb, 0xf0), None);
        assert_eq!(of(&[0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f]), Some((371, 1024)), "ADTS");
    }
}
