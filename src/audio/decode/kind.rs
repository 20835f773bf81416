//! Tells what a file is from its first bytes, never from its name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::fault::Fault;
use super::tags::id3_len;
use super::{au, frames, wav};

/// A container that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its kin: RF64, BW64, RIFX and Wave64.
    Wav,
    Au,
    Aiff,
    Caf,
    Flac,
    Ogg,
    Mp4,
    Matroska,
    /// MPEG audio layers 1 to 3, without a container.
    Mpeg,
    /// AAC in its own frames.
    Adts,
}

/// Bytes looked at: two packets of an MPEG transport stream.
pub(super) const HEAD_LEN: u64 = 512;

/// Files that are not read, by how they start. What `ffmpeg` can convert comes first.
const UNSUPPORTED: &[(&[u8], &str)] = &[
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (b"\x0b\x77", "AC-3"),
    (b"\x7f\xfe\x80\x01", "DTS"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"TTA1", "TTA"),
    (b"DSD ", "DSD"),
    (b"FRM8", "DSD"),
    (b"#!AMR", "AMR"),
    (b".RMF", "RealAudio"),
    (b"FLV\x01", "Flash video"),
    (b"ADIF", "AAC in ADIF"),
    (b"\0\0\x01\xba", "MPEG program stream"),
];

/// Files that hold no sound.
const NOT_AUDIO: &[(&[u8], &str)] = &[
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"MThd", "a MIDI file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x93NUMPY", "a NumPy array"),
];

impl Kind {
    /// Recognizes a file. `Err` names what it is instead.
    pub(super) fn recognize(file: &mut File) -> Result<Self, Fault> {
        let mut head = read_at(file, 0, HEAD_LEN)?;
        let mut start = 0;
        if head.is_empty() {
            return Err(Fault::Empty);
        }
        // Tags stand before the audio in MP3, and sometimes in AAC and FLAC files.
        if let Some(tag_len) = id3_len(&head) {
            start = tag_len;
            head = read_at(file, start, HEAD_LEN)?;
            // Padding after the tag.
            let n_zeros = head.iter().take_while(|&&byte| byte == 0).count();
            head.drain(..n_zeros);
        }
        if let Some(kind) = Self::of(&head) {
            return Ok(kind);
        }
        let starts = |table: &[(&[u8], &'static str)]| {
            table.iter().find(|(magic, _)| head.starts_with(magic)).map(|&(_, name)| name)
        };
        if let Some(codec) = starts(UNSUPPORTED) {
            return Err(Fault::Unsupported { codec: codec.into() });
        }
        if head.starts_with(b"RIFF") {
            let form = head.get(8..12).map(String::from_utf8_lossy).unwrap_or_default();
            return Err(match form.as_ref() {
                "AVI " => Fault::Unsupported { codec: "AVI".into() },
                "WEBP" => Fault::NotAudio { found: "a WebP image".into() },
                _ => Fault::Malformed("it is no WAVE file, though it starts like one".into()),
            });
        }
        if head.first() == Some(&0x47) && head.get(188) == Some(&0x47) && head.get(376) == Some(&0x47) {
            return Err(Fault::Unsupported { codec: "MPEG transport stream".into() });
        }
        let found = match starts(NOT_AUDIO) {
            Some(found) => found,
            None if is_text(&head) => "text",
            None if head.iter().all(|&b| b == 0) => "only zeros",
            None => {
                // A stream that was recorded begins anywhere.
                let head = read_at(file, start, frames::START_LEN)?;
                let is_whole = (head.len() as u64) < frames::START_LEN;
                let (_, is_adts) = frames::first(&head, is_whole).ok_or_else(Fault::unknown)?;
                return Ok(if is_adts { Self::Adts } else { Self::Mpeg });
            }
        };
        Err(Fault::NotAudio { found: found.into() })
    }

    /// The format's name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::Au => "AU",
            Self::Aiff => "AIFF",
            Self::Caf => "CAF",
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg",
            Self::Mp4 => "MP4",
            Self::Matroska => "Matroska",
            Self::Mpeg => "MPEG audio",
            Self::Adts => "ADTS",
        }
    }

    /// The kind of container that starts like this.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let form = head.get(8..12);
        Some(match head.first_chunk::<4>()? {
            _ if wav::is_wave(head) => Self::Wav,
            _ if au::is_au(head) => Self::Au,
            b"FORM" if form == Some(b"AIFF") || form == Some(b"AIFC") => Self::Aiff,
            b"caff" => Self::Caf,
            b"fLaC" => Self::Flac,
            b"OggS" => Self::Ogg,
            b"\x1a\x45\xdf\xa3" => Self::Matroska,
            // Layer bits of zero: ADTS. All else is MPEG audio, unless one of its fields has a reserved value.
            [0xff, b, ..] if b & 0xf6 == 0xf0 => Self::Adts,
            &[0xff, b, c, _]
                if b & 0xe0 == 0xe0 && (b >> 3) & 3 != 1 && (b >> 1) & 3 != 0 && c >> 4 != 15 && (c >> 2) & 3 != 3 =>
            {
                Self::Mpeg
            }
            _ => match head.get(4..8)? {
                b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot" => Self::Mp4,
                _ => return None,
            },
        })
    }
}

fn read_at(file: &mut File, position: u64, n_bytes: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(position))?;
    file.take(n_bytes).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether these bytes are printable text, perhaps cut within a character.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let (valid, _) = head.split_at(error.valid_up_to());
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_fields_are_no_mpeg_audio() {
        assert_eq!(Kind::of(&[0xff, 0xfb, 0x90, 0x64]), Some(Kind::Mpeg));
        assert_eq!(Kind::of(&[0xff, 0xf1, 0x50, 0x80]), Some(Kind::Adts));
        assert_eq!(Kind::of(&[0xff, 0xfe, 0x41, 0x00]), Some(Kind::Mpeg), "UTF-16 looks like layer 1");
        assert_eq!(Kind::of(&[0xff, 0xfb, 0xf0, 0x64]), None, "bit rate 15");
        assert_eq!(Kind::of(&[0xff, 0xff, 0xff, 0xff]), None, "sample rate 3");
    }

    #[test]
    fn text_may_be_cut_within_a_character() {
        assert!(is_text(b"hello, w\xc3"));
        assert!(!is_text(b"hello\x00"));
        assert!(!is_text(b"\xc3hello"));
    }
}
