//! Checks that the frames of an MP3 or ADTS file follow each other without a gap, because symphonia looks for the next
//! one without a word. Knows their headers only.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::fault::Fault;
use super::kind::{UNKNOWN, id3_len};
use super::ogg::Damage;

/// A frame as its header describes it.
#[derive(Debug, PartialEq)]
struct Frame {
    len: u64,
    n_samples: u64,
}

/// Bytes of the longest header, that of a tag in front.
const HEADER_LEN: u64 = 10;

/// Tags that may stand behind the last frame.
const TRAILERS: &[&[u8]] = &[b"TAG", b"APETAGEX", b"LYRICS", b"3DI"];

/// Frames before the place that are given up: encoders delay the sound by up to two.
const MARGIN: u64 = 2;

/// Walks from frame to frame; `None` if they are whole up to the end of the file. An error says that these are no frames
/// at all.
pub(super) fn find_damage(file: &mut File) -> Result<Option<Damage>, Fault> {
    let file_len = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut input = BufReader::new(file);
    let mut position = 0;
    let mut n_frames = 0u64;
    let mut n_samples = 0u64;
    while position < file_len {
        let mut head = Vec::new();
        input.by_ref().take(HEADER_LEN).read_to_end(&mut head)?;
        let len = match (frame(&head), id3_len(&head)) {
            // A frame of unknown length cannot be followed.
            (Some(Frame { len: 0, .. }), _) => return Ok(None),
            // Two bytes that look like a frame are found in many files.
            (Some(frame), _) if n_frames == 0 && position + frame.len > file_len => return Err(no_frames()),
            (Some(frame), _) => {
                let at = n_samples.saturating_sub(MARGIN * frame.n_samples);
                if position + frame.len > file_len {
                    return Ok(Some((at, Fault::CutOff { n_samples: None })));
                }
                n_frames += 1;
                n_samples += frame.n_samples;
                frame.len
            }
            // Files that were strung together have tags in the middle.
            (None, Some(tag_len)) => tag_len,
            // Padding between a tag and the first frame.
            _ if n_frames == 0 && head.first() == Some(&0) => 1,
            _ if is_trailer(&head, &mut input)? => return Ok(None),
            _ if n_frames < 2 => return Err(no_frames()),
            _ => {
                let at = n_samples - n_samples.checked_div(n_frames).unwrap_or(0) * MARGIN.min(n_frames);
                return Ok(Some((at, Fault::Corrupt("a frame is damaged".into()))));
            }
        };
        position += len;
        input.seek_relative(len.cast_signed() - head.len() as i64)?;
    }
    Ok(None)
}

fn no_frames() -> Fault {
    Fault::NotAudio { found: UNKNOWN.into() }
}

/// Whether a tag, or nothing but zeros, ends the file here.
fn is_trailer(head: &[u8], input: &mut impl Read) -> io::Result<bool> {
    if TRAILERS.iter().any(|tag| head.starts_with(tag)) {
        return Ok(true);
    }
    let mut rest = Vec::new();
    // Padding to a block of a disk or tape.
    input.take(65_536).read_to_end(&mut rest)?;
    Ok(head.iter().chain(&rest).all(|&byte| byte == 0))
}

/// Reads the header of a frame; a length of 0 is one that it does not tell.
fn frame(head: &[u8]) -> Option<Frame> {
    let &[0xff, b, c, d, e, f] = head.first_chunk()? else { return None };
    // ADTS: layer bits of zero, and a length of 13 bits.
    if b & 0xf6 == 0xf0 {
        let len = u64::from(d & 3) << 11 | u64::from(e) << 3 | u64::from(f >> 5);
        return (len >= 7).then_some(Frame { len, n_samples: 1024 });
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
    Some(Frame { len, n_samples })
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
        let mp3 = |b, c| frame(&[0xff, b, c, 0, 0, 0]);
        assert_eq!(mp3(0xfb, 0x90), Some(Frame { len: 417, n_samples: 1152 }), "128 kbit/s at 44.1 kHz");
        assert_eq!(mp3(0xfb, 0x92), Some(Frame { len: 418, n_samples: 1152 }), "padded");
        assert_eq!(mp3(0xf3, 0x80), Some(Frame { len: 208, n_samples: 576 }), "MPEG 2, 64 kbit/s at 22.05 kHz");
        assert_eq!(mp3(0xe3, 0x18), Some(Frame { len: 72, n_samples: 576 }), "MPEG 2.5, 8 kbit/s at 8 kHz");
        assert_eq!(mp3(0xfd, 0xa4), Some(Frame { len: 576, n_samples: 1152 }), "layer 2, 192 kbit/s at 48 kHz");
        assert_eq!(mp3(0xff, 0x10), Some(Frame { len: 32, n_samples: 384 }), "layer 1, 32 kbit/s at 44.1 kHz");
        assert_eq!(mp3(0xfb, 0x00), Some(Frame { len: 0, n_samples: 1152 }), "free format");
        assert_eq!(mp3(0xfb, 0xf0), None);
        assert_eq!(frame(&[0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f]), Some(Frame { len: 371, n_samples: 1024 }), "ADTS");
    }
}
