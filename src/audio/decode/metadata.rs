//! What files say of their sound, from the chunks of WAV files, the tags around frames, and what symphonia found elsewhere.
//! Bounded: what is larger than any text that people write is passed over.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

use symphonia::core::formats::FormatReader;
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::{MetadataOptions, MetadataReader as _, MetadataRevision, RawValue, StandardTag, Tag};
use symphonia::default::meta::{Id3v1Reader, Id3v2Reader};

use super::fault::guarded;
use super::tags::{ID3V1_LEN, id3_len};
use crate::audio::tags::{Broadcast, Cue, Tags};

/// A chunk of tags that is larger, in bytes, is passed over: it holds pictures, or is wrong.
const MAX_CHUNK_BYTES: u64 = 1 << 20;

/// A tag before the sound that is larger, in bytes, is passed over; pictures in it are often above a megabyte.
const MAX_ID3_BYTES: u64 = 1 << 24;

/// Cues and fields that are kept.
const MAX_ENTRIES: usize = 4096;

/// Where a chunk of tags has its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    id: [u8; 4],
    /// In bytes from the start of the file.
    at: u64,
    n_bytes: u64,
}

impl Place {
    /// `None` where a chunk holds no tags, or too many.
    pub(super) fn new(id: [u8; 4], at: u64, n_bytes: u64) -> Option<Self> {
        let is_wanted = matches!(&id, b"LIST" | b"bext" | b"cue " | b"id3 " | b"ID3 ") && n_bytes <= MAX_CHUNK_BYTES;
        is_wanted.then_some(Self { id, at, n_bytes })
    }
}

/// Fields of `LIST INFO` chunks.
const INFO: [(&[u8; 4], &str); 12] = [
    (b"INAM", "TITLE"),
    (b"IART", "ARTIST"),
    (b"IPRD", "ALBUM"),
    (b"ITRK", "TRACKNUMBER"),
    (b"IPRT", "TRACKNUMBER"),
    (b"ICRD", "DATE"),
    (b"IGNR", "GENRE"),
    (b"ICMT", "COMMENT"),
    (b"ICOP", "COPYRIGHT"),
    (b"IMUS", "COMPOSER"),
    (b"IWRI", "LYRICIST"),
    (b"IENG", "ENGINEER"),
];

/// The tags in these chunks of a WAV file; the place in the file is the same afterwards. What is damaged or missing is no
/// reason not to read the sound, so that it is left out.
pub(super) fn of_chunks(input: &mut BufReader<File>, places: &[Place]) -> Tags {
    let Ok(position) = input.stream_position() else { return Tags::default() };
    let mut found = Chunks::default();
    // What was read up to a fault stays.
    let _ = found.read(input, places);
    let _ = input.seek(SeekFrom::Start(position));
    found.tags()
}

/// The tags of a file that symphonia reads.
pub(super) fn of_reader(reader: &mut dyn FormatReader) -> Tags {
    let mut tags = Tags::default();
    let mut metadata = reader.metadata();
    while let Some(revision) = metadata.pop() {
        add(&mut tags.fields, fields_of(&revision));
    }
    if let Some(revision) = metadata.current() {
        add(&mut tags.fields, fields_of(revision));
    }
    tags
}

/// The tags before and behind the frames of a file: `ID3v2` at its start, then what `ID3v1` at its end knows beside it.
pub(super) fn of_frames(file: &mut File) -> Tags {
    let mut tags = Tags::default();
    // What cannot be read is left out.
    let mut head = Vec::new();
    if file.rewind().and_then(|()| file.by_ref().take(10).read_to_end(&mut head)).is_ok()
        && let Some(len) = id3_len(&head).filter(|len| *len <= MAX_ID3_BYTES)
        && file.take(len - 10).read_to_end(&mut head).is_ok()
    {
        add(&mut tags.fields, id3(head));
    }
    let mut tail = Vec::new();
    if file.seek(SeekFrom::End(-(ID3V1_LEN.cast_signed()))).and_then(|_| file.read_to_end(&mut tail)).is_ok() {
        add(&mut tags.fields, id3v1(tail));
    }
    tags
}

/// Adds the fields that are not there yet.
fn add(fields: &mut Vec<(String, String)>, more: Vec<(String, String)>) {
    let known: Vec<_> = fields.iter().map(|(name, _)| name.clone()).collect();
    let news = more.into_iter().filter(|(name, value)| !known.contains(name) && !value.is_empty());
    fields.extend(news.take(MAX_ENTRIES));
}

fn fields_of(revision: &MetadataRevision) -> Vec<(String, String)> {
    let containers = std::iter::once(&revision.media).chain(revision.per_track.iter().map(|track| &track.metadata));
    let tags: Vec<_> = containers.flat_map(|container| &container.tags).collect();
    // Matroska files have what is about their one song as what is about its album; symphonia takes the artist for another.
    let has_artist = tags.iter().any(|tag| matches!(tag.std, Some(StandardTag::Artist(_))));
    let is_artist = |tag: &Tag| !has_artist && tag.raw.key.contains('@');
    tags.into_iter()
        .filter_map(|tag| {
            let Some(standard) = &tag.std else { return by_name(tag) };
            let (name, value) = match standard {
                StandardTag::TrackTitle(text) => ("TITLE", text.to_string()),
                StandardTag::Artist(text) => ("ARTIST", text.to_string()),
                StandardTag::Album(text) => ("ALBUM", text.to_string()),
                StandardTag::AlbumArtist(text) if !is_artist(tag) => ("ALBUMARTIST", text.to_string()),
                StandardTag::TrackNumber(number) => ("TRACKNUMBER", number.to_string()),
                StandardTag::TrackTotal(number) => ("TRACKTOTAL", number.to_string()),
                StandardTag::DiscNumber(number) => ("DISCNUMBER", number.to_string()),
                StandardTag::DiscTotal(number) => ("DISCTOTAL", number.to_string()),
                StandardTag::RecordingDate(text) | StandardTag::ReleaseDate(text) => ("DATE", text.to_string()),
                StandardTag::RecordingYear(year) | StandardTag::ReleaseYear(year) => ("DATE", year.to_string()),
                StandardTag::Genre(text) => ("GENRE", text.to_string()),
                StandardTag::Comment(text) => ("COMMENT", text.to_string()),
                StandardTag::Description(text) => ("DESCRIPTION", text.to_string()),
                StandardTag::Composer(text) => ("COMPOSER", text.to_string()),
                StandardTag::Lyricist(text) => ("LYRICIST", text.to_string()),
                StandardTag::Performer(text) => ("PERFORMER", text.to_string()),
                StandardTag::Conductor(text) => ("CONDUCTOR", text.to_string()),
                StandardTag::Engineer(text) => ("ENGINEER", text.to_string()),
                StandardTag::Copyright(text) => ("COPYRIGHT", text.to_string()),
                StandardTag::Label(text) => ("LABEL", text.to_string()),
                StandardTag::IdentIsrc(text) => ("ISRC", text.to_string()),
                StandardTag::Bpm(number) => ("BPM", number.to_string()),
                StandardTag::InitialKey(text) => ("KEY", text.to_string()),
                _ => return by_name(tag),
            };
            Some((name.to_owned(), value)).filter(|(_, value)| value.len() as u64 <= MAX_CHUNK_BYTES)
        })
        .collect()
}

/// A field that symphonia takes for something else, such as the title of an album of one song, by the name that it has.
fn by_name(tag: &Tag) -> Option<(String, String)> {
    const NAMES: [&str; 6] = ["TITLE", "ARTIST", "ALBUM", "DATE", "COMMENT", "COMPOSER"];
    // Matroska has what a tag is about before its name.
    let key = tag.raw.key.rsplit('@').next()?;
    let name = NAMES.iter().find(|name| name.eq_ignore_ascii_case(key))?;
    let RawValue::String(value) = &tag.raw.value else { return None };
    Some(((*name).to_owned(), value.to_string())).filter(|(_, value)| value.len() as u64 <= MAX_CHUNK_BYTES)
}

/// What the chunks of a WAV file hold.
#[derive(Default)]
struct Chunks {
    info: Vec<(String, String)>,
    id3: Vec<(String, String)>,
    broadcast: Option<Broadcast>,
    /// Number and place of each cue.
    cues: Vec<(u32, u64)>,
    labels: Vec<(u32, String)>,
}

impl Chunks {
    fn read(&mut self, input: &mut BufReader<File>, places: &[Place]) -> io::Result<()> {
        for place in places {
            let mut content = vec![0; place.n_bytes as usize];
            input.seek(SeekFrom::Start(place.at))?;
            input.read_exact(&mut content)?;
            match &place.id {
                b"bext" => self.broadcast = Broadcast::new(content),
                b"cue " => self.read_cues(&content),
                b"LIST" => self.read_list(&content),
                _ => self.id3 = id3(content),
            }
        }
        Ok(())
    }

    fn read_cues(&mut self, content: &[u8]) {
        let entries = content.get(4..).unwrap_or_default().chunks_exact(24).take(MAX_ENTRIES);
        // Number, position in a play list, chunk, its start, its block, and the sample in it.
        self.cues = entries.filter_map(|cue| Some((u32_at(cue, 0)?, u64::from(u32_at(cue, 20)?)))).collect();
    }

    fn read_list(&mut self, content: &[u8]) {
        let (kind, mut rest) = content.split_at(content.len().min(4));
        while let Some((header, after)) = rest.split_at_checked(8) {
            let size = u32_at(header, 4).unwrap_or(0) as usize;
            let Some(content) = after.get(..size) else { break };
            if kind == b"INFO" {
                let field = INFO.iter().find(|(id, _)| header.starts_with(*id));
                self.info.extend(field.map(|(_, name)| ((*name).to_owned(), text(content))));
            } else if kind == b"adtl" && header.starts_with(b"labl") {
                self.labels.extend(u32_at(content, 0).map(|cue| (cue, text(&content[4..]))));
            }
            if self.info.len().max(self.labels.len()) > MAX_ENTRIES {
                break;
            }
            rest = after.get(size + size % 2..).unwrap_or_default();
        }
    }

    fn tags(self) -> Tags {
        let mut fields = Vec::new();
        add(&mut fields, self.id3);
        add(&mut fields, self.info);
        let label = |number: u32| self.labels.iter().find(|(of, _)| *of == number).map(|(_, label)| label.clone());
        let mut cues: Vec<_> =
            self.cues.iter().map(|(number, at)| Cue { at: *at, label: label(*number).unwrap_or_default() }).collect();
        cues.sort_by_key(|cue| cue.at);
        Tags { fields, broadcast: self.broadcast, cues }
    }
}

/// The fields of an ID3 tag.
fn id3(content: Vec<u8>) -> Vec<(String, String)> {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(content)), MediaSourceStreamOptions::default());
    let read = guarded(|| Id3v2Reader::try_new(stream, MetadataOptions::default())?.read_all());
    read.map_or_else(|_| Vec::new(), |found| fields_of(&found.revision))
}

/// The fields of an `ID3v1` tag, which are padded.
fn id3v1(content: Vec<u8>) -> Vec<(String, String)> {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(content)), MediaSourceStreamOptions::default());
    let read = guarded(|| Id3v1Reader::try_new(stream, MetadataOptions::default())?.read_all());
    let fields = read.map_or_else(|_| Vec::new(), |found| fields_of(&found.revision));
    let trimmed = fields.into_iter().map(|(name, value)| (name, value.trim().to_owned()));
    // A comment that is shorter than its place makes symphonia find a track 0.
    trimmed.filter(|(name, value)| name != "TRACKNUMBER" || value != "0").collect()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// A text that ends at a zero: UTF-8, or Latin-1 where it is not.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let bytes = &bytes[..end];
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().trim().to_owned(),
    }
}
