//! Reads what symphonia leaves out of a Matroska file (`WebM` is one): which sound tracks there are, how much of each
//! is padding, and whether the file is all there. Decodes nothing.

use std::io::{self, BufReader, Read};

use super::format::{SoundTrack, Trim};
use super::section::Section;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    tracks: Vec<Track>,
    /// The file ends within an element.
    pub(super) is_cut_off: bool,
    /// Bytes up to where its elements end.
    pub(super) len: u64,
}

#[derive(Debug)]
struct Track {
    number: u64,
    is_sound: bool,
    is_default: bool,
    name: String,
    /// Nanoseconds that the encoder put before the start.
    delay: u64,
    /// Nanoseconds that it padded the end with.
    padding: u64,
}

/// Elements that are entered or looked at (RFC 9559, section 27.1).
mod id {
    pub(super) const EBML: u64 = 0x1a45_dfa3;
    pub(super) const SEGMENT: u64 = 0x1853_8067;
    pub(super) const CLUSTER: u64 = 0x1f43_b675;
    pub(super) const BLOCK_GROUP: u64 = 0xa0;
    pub(super) const BLOCK: u64 = 0xa1;
    pub(super) const SIMPLE_BLOCK: u64 = 0xa3;
    pub(super) const DISCARD_PADDING: u64 = 0x75a2;
    pub(super) const TRACKS: u64 = 0x1654_ae6b;
    pub(super) const TRACK_ENTRY: u64 = 0xae;
    pub(super) const TRACK_NUMBER: u64 = 0xd7;
    pub(super) const TRACK_TYPE: u64 = 0x83;
    pub(super) const FLAG_DEFAULT: u64 = 0x88;
    pub(super) const NAME: u64 = 0x536e;
    pub(super) const CODEC_DELAY: u64 = 0x56aa;
    pub(super) const VOID: u64 = 0xec;
}

/// The type of a track with sound.
const SOUND: u64 = 2;

/// Longest padding that is believed, in nanoseconds: a second, where the longest packet of Opus has 0.12. As much sound
/// as that is held back until it is clear where the end is.
const MAX_PADDING_NS: u64 = 1_000_000_000;

/// Longest name that is kept, in bytes.
const MAX_NAME_LEN: u64 = 1024;

/// A live stream leaves the sizes of its segment and clusters open.
const OPEN_SIZE: u64 = u64::MAX;

impl Scan {
    /// The sound tracks, in the order of the file.
    pub(super) fn sound_tracks(&self) -> Vec<SoundTrack> {
        let told = |track: &Track| {
            let id = u32::try_from(track.number).ok()?;
            Some(SoundTrack { id, is_default: track.is_default, name: track.name.clone() })
        };
        self.tracks.iter().filter(|track| track.is_sound).filter_map(told).collect()
    }

    /// Which part of a track is to be heard.
    pub(super) fn trim(&self, track: u32, sample_rate: u32) -> Trim {
        let track = self.tracks.iter().find(|known| known.number == u64::from(track));
        // At most a second of at most 2^32 samples.
        let samples = |ns: u64| (ns.min(MAX_PADDING_NS) * u64::from(sample_rate) + 500_000_000) / 1_000_000_000;
        track.map_or(Trim::default(), |track| Trim {
            skip: samples(track.delay),
            padding: samples(track.padding),
            limit: None,
        })
    }

    fn track(&mut self, number: u64) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|track| track.number == number)
    }
}

/// Walks the elements of a file down to its blocks, without reading what is in them, up to where another begins or
/// something else follows.
pub(super) fn scan(section: Section) -> io::Result<Scan> {
    let file_len = section.len();
    let mut input = BufReader::new(section);
    let mut scan = Scan::default();
    let mut position = 0u64;
    let mut segment_end = OPEN_SIZE;
    // The track of the block group that is being read.
    let mut track = 0;
    while position < file_len {
        let start = position;
        let header = (read_number(&mut input, true)?, read_number(&mut input, false)?);
        if let (Some((found, _)), _) = header
            && (start > 0 && found == id::EBML || start >= segment_end && found != id::VOID)
        {
            position = start;
            break;
        }
        let (Some((id, id_len)), Some((size, size_len))) = header else {
            scan.is_cut_off = position < segment_end;
            break;
        };
        position += id_len + size_len;
        scan.is_cut_off |= size != OPEN_SIZE && position.saturating_add(size) > file_len;
        if id == id::SEGMENT && size != OPEN_SIZE {
            segment_end = position.saturating_add(size);
        }
        // The children of these follow right behind their headers.
        if matches!(id, id::SEGMENT | id::CLUSTER | id::BLOCK_GROUP | id::TRACKS | id::TRACK_ENTRY) {
            if id == id::TRACK_ENTRY {
                // Flags that are left out have their defaults.
                let (number, name) = (0, String::new());
                scan.tracks.push(Track { number, is_sound: false, is_default: true, name, delay: 0, padding: 0 });
            }
            continue;
        }
        let mut n_read = 0;
        match id {
            id::BLOCK | id::SIMPLE_BLOCK => {
                if let Some((number, len)) = read_number(&mut input, false)? {
                    (track, n_read) = (number, len);
                    // A later block shows that the padding of an earlier one was not at the end.
                    if let Some(track) = scan.track(number) {
                        track.padding = 0;
                    }
                }
            }
            id::DISCARD_PADDING if size <= 8 => {
                let value = read_unsigned(&mut input, size)?;
                n_read = size;
                // Negative values would be padding at the start of a block.
                let is_negative = size > 0 && value >> (8 * size - 1) == 1;
                if let Some(track) = scan.track(track).filter(|_| !is_negative) {
                    track.padding = value;
                }
            }
            id::NAME if size <= MAX_NAME_LEN => {
                let mut bytes = Vec::new();
                input.by_ref().take(size).read_to_end(&mut bytes)?;
                n_read = bytes.len() as u64;
                if let Some(track) = scan.tracks.last_mut() {
                    track.name = String::from_utf8_lossy(&bytes).trim_matches(char::from(0)).into();
                }
            }
            id::TRACK_NUMBER | id::TRACK_TYPE | id::FLAG_DEFAULT | id::CODEC_DELAY if size <= 8 => {
                let value = read_unsigned(&mut input, size)?;
                n_read = size;
                if let Some(track) = scan.tracks.last_mut() {
                    match id {
                        id::TRACK_NUMBER => track.number = value,
                        id::TRACK_TYPE => track.is_sound = value == SOUND,
                        id::FLAG_DEFAULT => track.is_default = value != 0,
                        _ => track.delay = value,
                    }
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
    scan.len = position.min(file_len);
    Ok(scan)
}

/// A big-endian number of at most 8 bytes.
fn read_unsigned(input: &mut impl Read, size: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(bytes.split_at_mut(8 - size as usize).1)?;
    Ok(u64::from_be_bytes(bytes))
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &[0x80 | body.len() as u8], body].concat()
    }

    #[test]
    fn a_track_tells_its_name_its_flag_and_what_is_no_sound_of_it() {
        let entry = |number: u8, kind: u8, more: &[u8]| {
            element(b"\xae", &[element(b"\xd7", &[number]), element(b"\x83", &[kind]), more.to_vec()].concat())
        };
        let sound = [
            element(b"\x88", &[0]),
            element(b"\x53\x6e", b"Main"),
            // 10 ms
            element(b"\x56\xaa", &10_000_000u32.to_be_bytes()),
        ];
        let tracks = [entry(1, 1, &[]), entry(2, 2, &sound.concat()), entry(3, 2, &[])].concat();
        // 20 ms behind the only block of track 2
        let padding = element(b"\x75\xa2", &20_000_000u32.to_be_bytes());
        let group = element(b"\xa0", &[element(b"\xa1", b"\x82\0\0\0sound"), padding].concat());
        let segment = [element(b"\x16\x54\xae\x6b", &tracks), element(b"\x1f\x43\xb6\x75", &group)].concat();
        let file = [element(b"\x1a\x45\xdf\xa3", &[]), element(b"\x18\x53\x80\x67", &segment)].concat();
        let scanned = |bytes: &[u8]| {
            let mut written = tempfile::tempfile().expect("file");
            written.write_all(bytes).expect("written");
            let all = 0..bytes.len() as u64;
            scan(Section::new(&written, vec![all]).expect("section")).expect("scan")
        };
        let found = scanned(&[file.as_slice(), &file].concat());
        assert_eq!((found.len, found.is_cut_off), (file.len() as u64, false), "up to the next file");
        let told = found.sound_tracks().into_iter().map(|track| (track.id, track.is_default, track.name));
        assert_eq!(told.collect::<Vec<_>>(), [(2, false, "Main".into()), (3, true, String::new())]);
        assert_eq!(found.trim(2, 48_000), Trim { skip: 480, padding: 960, limit: None });
        assert!(scanned(&file[..file.len() - 5]).is_cut_off);
    }
}
