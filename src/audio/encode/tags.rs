//! Tags as files hold them: chunks of WAV and RF64 files, and comments of FLAC.
//!
//! # References
//! "Multimedia Programming Interface and Data Specifications 1.0", IBM and Microsoft, 1991 (`LIST`, `cue `); EBU Tech 3285
//! (`bext`); "ID3 tag version 2.4.0 - Main Structure", M. Nilsson, 2000; "Ogg Vorbis I format specification: comment field".

use crate::audio::tags::{Cue, Tags};

/// A field, what a `LIST INFO` chunk calls it, if it does, and the frame of it in ID3.
type Name = (&'static str, Option<&'static [u8; 4]>, &'static [u8; 4]);

/// Fields that have names of their own. Others stand in ID3 by those of Vorbis comments.
const NAMES: [Name; 16] = [
    ("TITLE", Some(b"INAM"), b"TIT2"),
    ("ARTIST", Some(b"IART"), b"TPE1"),
    ("ALBUM", Some(b"IPRD"), b"TALB"),
    ("ALBUMARTIST", None, b"TPE2"),
    ("TRACKNUMBER", Some(b"ITRK"), b"TRCK"),
    ("DISCNUMBER", None, b"TPOS"),
    ("DATE", Some(b"ICRD"), b"TDRC"),
    ("GENRE", Some(b"IGNR"), b"TCON"),
    ("COMMENT", Some(b"ICMT"), b"COMM"),
    ("COPYRIGHT", Some(b"ICOP"), b"TCOP"),
    ("COMPOSER", None, b"TCOM"),
    ("LYRICIST", None, b"TEXT"),
    ("CONDUCTOR", None, b"TPE3"),
    ("ISRC", None, b"TSRC"),
    ("BPM", None, b"TBPM"),
    ("KEY", None, b"TKEY"),
];

/// The chunks that stand behind the samples of a WAV file; nothing, where nothing is said.
pub(super) fn chunks(tags: &Tags) -> Vec<u8> {
    let mut chunks = Vec::new();
    if let Some(broadcast) = &tags.broadcast {
        push_chunk(&mut chunks, b"bext", broadcast.as_bytes());
    }
    // Places have 32 bits there.
    let cues: Vec<_> = tags.cues.iter().filter_map(|cue| Some((u32::try_from(cue.at).ok()?, &cue.label))).collect();
    if !cues.is_empty() {
        let mut content = (cues.len() as u32).to_le_bytes().to_vec();
        let mut labels = b"adtl".to_vec();
        for (number, (at, label)) in (1_u32..).zip(cues) {
            let [number, at] = [number, at].map(u32::to_le_bytes);
            content.extend([number, at, *b"data", [0; 4], [0; 4], at].concat());
            if !label.is_empty() {
                push_chunk(&mut labels, b"labl", &[&number[..], label.as_bytes(), &[0]].concat());
            }
        }
        push_chunk(&mut chunks, b"cue ", &content);
        if labels.len() > 4 {
            push_chunk(&mut chunks, b"LIST", &labels);
        }
    }
    let fields = with_totals(tags);
    let mut info = b"INFO".to_vec();
    for (name, value) in &fields {
        if let Some((_, Some(id), _)) = NAMES.iter().find(|(known, ..)| known == name) {
            push_chunk(&mut info, id, &[value.as_bytes(), &[0]].concat());
        }
    }
    if info.len() > 4 {
        push_chunk(&mut chunks, b"LIST", &info);
    }
    if !fields.is_empty() {
        push_chunk(&mut chunks, b"id3 ", &id3(&fields));
    }
    chunks
}

/// The fields with totals as WAV files have them, behind the number: `3/9`.
fn with_totals(tags: &Tags) -> Vec<(String, String)> {
    let mut fields = tags.fields.clone();
    for (number, total) in [("TRACKNUMBER", "TRACKTOTAL"), ("DISCNUMBER", "DISCTOTAL")] {
        let Some(n_total) = tags.field(total) else { continue };
        if let Some((_, value)) = fields.iter_mut().find(|(name, value)| name == number && !value.contains('/')) {
            *value = format!("{value}/{n_total}");
            fields.retain(|(name, _)| name != total);
        }
    }
    fields
}

/// The comments of a FLAC file. Those of a Broadcast Wave have the names that FFmpeg gives them, and cues are chapters.
pub(super) fn comments(tags: &Tags, sample_rate: u32) -> Vec<String> {
    let mut fields = tags.fields.clone();
    for (name, value) in tags.broadcast.iter().flat_map(crate::audio::tags::Broadcast::fields) {
        if !fields.iter().any(|(known, _)| *known == name) {
            fields.push((name, value));
        }
    }
    let mut comments: Vec<_> = fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    for (number, Cue { at, label }) in tags.cues.iter().enumerate().take(1000) {
        let ms = at.saturating_mul(1000) / u64::from(sample_rate.max(1));
        let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        comments.push(format!("CHAPTER{number:03}={h:02}:{m:02}:{s:02}.{ms:03}"));
        comments.push(format!("CHAPTER{number:03}NAME={label}"));
    }
    comments
}

/// An ID3 tag, version 2.4, all in UTF-8.
fn id3(fields: &[(String, String)]) -> Vec<u8> {
    const UTF_8: u8 = 3;
    let mut frames = Vec::new();
    for (name, value) in fields {
        let known = NAMES.iter().find(|(known, ..)| known == name).map(|(_, _, id)| *id);
        let (id, content): (&[u8; 4], Vec<u8>) = match known {
            // A language that is not known, and no description.
            Some(b"COMM") => (b"COMM", [&[UTF_8], &b"und\0"[..], value.as_bytes()].concat()),
            Some(id) => (id, [&[UTF_8], value.as_bytes()].concat()),
            None => (b"TXXX", [&[UTF_8], name.as_bytes(), &[0], value.as_bytes()].concat()),
        };
        frames.extend_from_slice(id);
        frames.extend(synchsafe(content.len()));
        frames.extend([0, 0]); // flags
        frames.extend(content);
    }
    let mut tag = b"ID3\x04\0\0".to_vec();
    tag.extend(synchsafe(frames.len()));
    tag.extend(frames);
    tag
}

/// A size, seven bits to a byte.
fn synchsafe(size: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (size >> shift & 0x7F) as u8)
}

/// Appends a chunk, padded to an even length.
fn push_chunk(chunks: &mut Vec<u8>, id: &[u8; 4], content: &[u8]) {
    chunks.extend_from_slice(id);
    chunks.extend_from_slice(&(content.len() as u32).to_le_bytes());
    chunks.extend_from_slice(content);
    if content.len() % 2 == 1 {
        chunks.push(0);
    }
}
