//! Reads what symphonia leaves out of an MP4 file: which sound tracks there are, what of them is to be heard (the edit
//! list, iTunes' gapless note, a short last packet), encryption, and whether the file is all there. Decodes nothing.

use std::io::{self, BufReader, Read};

use super::fault::Fault;
use super::format::{SoundTrack, Trim};
use super::section::Section;

/// The movie of a file.
#[derive(Debug, Default)]
pub(super) struct Movie {
    tracks: Vec<Track>,
    /// Ticks per second of the edit lists; 0 where that is not told.
    timescale: u32,
    itunes: Option<Gapless>,
    /// The file ends within a box.
    pub(super) is_cut_off: bool,
    /// Bytes up to where its boxes end.
    pub(super) len: u64,
}

/// What is gathered from the boxes of a track.
#[derive(Debug, Default)]
struct Track {
    id: u32,
    is_enabled: bool,
    is_audio: bool,
    is_encrypted: bool,
    name: String,
    /// Ticks per second of the times below.
    timescale: u32,
    /// `(duration in movie ticks, start in ticks)`; a start of -1 is a gap.
    edits: Vec<(u64, i64)>,
    /// Ticks of all packets together.
    len: u64,
    /// Ticks by which the last packet is shorter than the others.
    padding: u64,
}

/// iTunes' note, in samples.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Gapless {
    priming: u64,
    n_samples: u64,
}

/// Longest movie box, in bytes: it holds tables of some 12 bytes a packet, so this is 5 days of AAC. It is held as a
/// whole, here and by symphonia.
const MAX_MOVIE_LEN: u64 = 1 << 28;

impl Movie {
    /// The sound tracks, in the order of the file.
    pub(super) fn sound_tracks(&self) -> Vec<SoundTrack> {
        let sound = self.tracks.iter().filter(|track| track.is_audio);
        let told = |track: &Track| SoundTrack { id: track.id, is_default: track.is_enabled, name: track.name.clone() };
        sound.map(told).collect()
    }

    /// Which part of a track is to be heard.
    pub(super) fn trim(&self, track_id: u32, sample_rate: u32) -> Result<Trim, Fault> {
        let Some(track) = self.tracks.iter().find(|track| track.is_audio && track.id == track_id) else {
            return Ok(Trim::default());
        };
        if track.is_encrypted {
            return Err(Fault::Unsupported { codec: "MP4 with copy protection (DRM)".into() });
        }
        let scale = u128::from(track.timescale.max(1));
        let samples = |ticks: u64| {
            let samples = (u128::from(ticks) * u128::from(sample_rate) + scale / 2) / scale;
            u64::try_from(samples).unwrap_or(u64::MAX)
        };
        // Leading gaps delay the track against a picture and are no part of the sound.
        let mut edits = track.edits.iter().filter_map(|&(len, start)| Some((len, u64::try_from(start).ok()?)));
        match (edits.next(), edits.next()) {
            (Some(_), Some(_)) => Err(Fault::Unsupported { codec: "MP4 cut together from several edits".into() }),
            (Some((len, start)), None) => {
                let skip = samples(start);
                // Fragmented files do not know their length when the list is written, and leave it 0.
                let limit = (self.timescale > 0 && len > 0).then(|| {
                    let movie_scale = u128::from(self.timescale);
                    let told = (u128::from(len) * u128::from(sample_rate) + movie_scale / 2) / movie_scale;
                    let told = u64::try_from(told).unwrap_or(u64::MAX);
                    // Programs round it to ticks of the movie, often milliseconds, so that others may know better.
                    let tick = u64::from(sample_rate / self.timescale) + 1;
                    let exact = [self.itunes.map(|itunes| itunes.n_samples), samples(track.len).checked_sub(skip)];
                    exact.into_iter().flatten().find(|exact| exact.abs_diff(told) <= tick).unwrap_or(told)
                });
                Ok(Trim { skip, limit, padding: 0 })
            }
            (None, _) => Ok(match self.itunes {
                Some(Gapless { priming, n_samples }) => {
                    Trim { skip: priming, limit: Some(n_samples).filter(|&n| n > 0), padding: 0 }
                }
                // Times in other units are rounded.
                None if track.timescale != sample_rate => Trim::default(),
                None => Trim { padding: track.padding, ..Trim::default() },
            }),
        }
    }
}

/// Walks the boxes of a file, up to where another begins or something else follows.
pub(super) fn scan(section: Section) -> Result<Movie, Fault> {
    let file_len = section.len();
    let mut input = BufReader::new(section);
    let mut position = 0;
    let mut movie = None;
    let mut is_cut_off = false;
    while position < file_len {
        let Some((name, header_len, len)) = read_box_header(&mut input)? else { break };
        let is_name = name.iter().all(|&byte| byte.is_ascii_graphic() || byte == b' ' || byte == 0xa9);
        if movie.is_some() && (&name == b"ftyp" || !is_name) {
            break;
        }
        // A length of 0 means up to the end of the file.
        let len = if len == 0 { file_len - position } else { len };
        if len < header_len {
            return Err(Fault::Malformed("a box is shorter than its header".into()));
        }
        is_cut_off |= position.saturating_add(len) > file_len;
        if is_cut_off {
            position = file_len;
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
        Some(movie) => Ok(Movie { is_cut_off, len: position, ..read_movie(&movie) }),
        // Most programs write the movie box last, and without it nothing can be found.
        None if is_cut_off => Err(Fault::CutOff { n_samples: None }),
        None => Err(Fault::Malformed("it has no movie box".into())),
    }
}

fn read_movie(body: &[u8]) -> Movie {
    let mut movie = Movie::default();
    for (name, body) in boxes(body) {
        match name {
            b"mvhd" => movie.timescale = timescale(body).unwrap_or(0),
            b"trak" => movie.tracks.push(read_track(body)),
            b"udta" => movie.itunes = read_itunes(body),
            _ => {}
        }
    }
    movie
}

fn read_track(body: &[u8]) -> Track {
    let mut track = Track::default();
    let mut name_of_handler = String::new();
    for (name, body) in boxes(body) {
        match name {
            b"tkhd" => {
                track.is_enabled = body.get(3).is_some_and(|flags| flags & 1 == 1);
                track.id = u32_at(body, if body.first() == Some(&1) { 20 } else { 12 }).unwrap_or(0);
            }
            b"edts" => track.edits = child(body, b"elst").map_or(vec![], edits),
            b"udta" => track.name = child(body, b"name").map_or(String::new(), text),
            b"mdia" => {
                for (name, body) in boxes(body) {
                    match name {
                        b"mdhd" => track.timescale = timescale(body).unwrap_or(0),
                        b"hdlr" => {
                            track.is_audio = body.get(8..12) == Some(b"soun");
                            name_of_handler = body.get(24..).map_or(String::new(), text);
                        }
                        b"minf" => {
                            let table = child(body, b"stbl");
                            track.is_encrypted = table.is_some_and(has_encrypted_entry);
                            let times = table.and_then(|table| child(table, b"stts")).unwrap_or_default();
                            (track.len, track.padding) = packet_times(times);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    // "SoundHandler" and "Apple Sound Media Handler" are no names of what is heard.
    if track.name.is_empty() && !name_of_handler.to_lowercase().contains("handler") {
        track.name = name_of_handler;
    }
    track
}

/// The text of a box, without what some programs put around it.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches(|c: char| c.is_control() || c.is_whitespace()).into()
}

/// The ticks of all packets of an `stts` box, and by how many the last is shorter than the ones before it.
fn packet_times(body: &[u8]) -> (u64, u64) {
    let entries = body.get(8..).unwrap_or_default().chunks_exact(8);
    let entries = entries.filter_map(|entry| Some((u64::from(u32_at(entry, 0)?), u64::from(u32_at(entry, 4)?))));
    let (mut total, mut padding, mut usual) = (0u64, 0, 0);
    for (n_packets, ticks) in entries {
        total = total.saturating_add(n_packets.saturating_mul(ticks));
        padding = if n_packets == 1 && ticks < usual { usual - ticks } else { 0 };
        usual = ticks;
    }
    (total, padding)
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

fn child<'a>(body: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(body).find(|(name, _)| *name == wanted).map(|(_, body)| body)
}

/// Whether a sample description is that of an encrypted stream.
fn has_encrypted_entry(stbl: &[u8]) -> bool {
    let entries = child(stbl, b"stsd").and_then(|stsd| stsd.get(8..));
    entries.is_some_and(|entries| boxes(entries).any(|(name, _)| matches!(name, b"enca" | b"drms")))
}

/// What the `iTunSMPB` note says: its second hexadecimal word is the priming, its fourth the length.
fn read_itunes(user_data: &[u8]) -> Option<Gapless> {
    let find = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).position(|window| window == wanted);
    let note = user_data.get(find(user_data, b"iTunSMPB")?..)?;
    // Version, flags and locale stand between the name of the data box and the text.
    let text = note.get(find(note, b"data")? + 12..)?;
    let mut words = text
        .split(|&b| b == b' ')
        .filter(|word| !word.is_empty())
        .map(|word| u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    Some(Gapless { priming: words.nth(1)??, n_samples: words.nth(1).flatten().unwrap_or(0) })
}

/// Name, length of the header and of the whole box; `None` where no whole header is left.
fn read_box_header(input: &mut BufReader<Section>) -> io::Result<Option<([u8; 4], u64, u64)>> {
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

    /// What of the only track is to be heard, as `(skip, limit)`.
    fn heard(movie: &Movie, sample_rate: u32) -> (u64, Option<u64>) {
        let trim = movie.trim(0, sample_rate).expect("trim");
        (trim.skip, trim.limit)
    }

    #[test]
    fn an_edit_list_names_start_and_end() {
        let edited = read_movie(&movie(&[(2_000, 1_024)], &[]));
        assert_eq!(heard(&edited, 44_100), (1_024, Some(88_200)));
        assert_eq!(heard(&edited, 22_050), (512, Some(44_100)));
        let after_a_gap = read_movie(&movie(&[(500, -1), (2_000, 1_024)], &[]));
        assert_eq!(heard(&after_a_gap, 44_100), (1_024, Some(88_200)));
        assert!(read_movie(&movie(&[(10, 0), (10, 4_410)], &[])).trim(0, 44_100).is_err(), "two pieces");
    }

    #[test]
    fn the_note_of_itunes_counts_without_an_edit_list_and_where_that_is_rounded() {
        let text = b"\0\0\0\x01\0\0\0\0 00000000 00000840 000001CA 000000000000AC50 00000000";
        let note = [b"iTunSMPB".as_slice(), &make_box(b"data", text)].concat();
        let user_data = make_box(b"udta", &note);
        assert_eq!(heard(&read_movie(&movie(&[], &user_data)), 44_100), (0x840, Some(44_112)));
        assert_eq!(heard(&read_movie(&movie(&[(1_000, 0x840)], &user_data)), 44_100), (0x840, Some(44_112)));
        assert_eq!(heard(&read_movie(&movie(&[(900, 0x840)], &user_data)), 44_100), (0x840, Some(39_690)));
        assert_eq!(heard(&read_movie(&movie(&[], &make_box(b"udta", b"iTunSMPB"))), 44_100), (0, None));
    }

    #[test]
    fn a_short_last_packet_says_how_much_of_it_is_padding() {
        let times = |entries: &[(u32, u32)]| {
            let entries = entries.iter().flat_map(|(n, ticks)| [n.to_be_bytes(), ticks.to_be_bytes()].concat());
            packet_times(&[0; 8].into_iter().chain(entries).collect::<Vec<_>>())
        };
        assert_eq!(times(&[(130, 1_024), (1, 204)]), (133_324, 820));
        assert_eq!(times(&[(131, 1_024)]), (134_144, 0));
        assert_eq!(times(&[(1, 100), (1, 1_024)]), (1_124, 0));
        assert_eq!(times(&[]), (0, 0));
    }

    #[test]
    fn broken_boxes_end_the_walk() {
        assert!(read_movie(&[0xff; 40]).tracks.is_empty());
        assert!(!read_movie(b"\0\0\0\x04trak").tracks.iter().any(|track| track.is_audio));
    }
}
