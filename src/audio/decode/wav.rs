//! Reads the headers of WAV, RF64, BW64, RIFX (big-endian) and Wave64 files of PCM, floating-point, A-law or mu-law
//! samples, of any length, rate and channel count, several strung together, too. Knows no encoding in packets: WAV files
//! with ADPCM go on to symphonia.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use super::fault::Fault;
use super::format::{Format, MAX_CHANNELS, in_bytes};
use super::metadata::Place;
use super::pcm::{self, Encoding, Pcm, Stretch};
use super::tags::{is_no_content, left_out};

/// What the headers of a WAV file told.
pub(super) enum Opened {
    /// The samples can be read here.
    Plain(Box<Pcm>, Format),
    /// The samples are in packets (ADPCM), in these parts of the file. `cut_off`: it ends before its data chunk does.
    Packets { parts: Vec<Range<u64>>, cut_off: bool, notes: Vec<String> },
}

/// A file that is being looked through.
struct Walk {
    input: BufReader<File>,
    len: u64,
    /// Where tags are, but of RIFX and Wave64.
    tags: Vec<Place>,
    notes: Vec<String>,
}

/// One of several files that are strung together.
struct Member {
    container: &'static str,
    format: FormatChunk,
    /// `None`: in packets.
    samples: Option<Stretch>,
    /// Bytes of samples that are declared, but not there.
    n_missing: u64,
    /// Where the next one begins, if there is one; else where the file ends.
    end: u64,
}

/// How chunks are written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Dialect {
    /// A name of four letters and a size of 32 bits, padded to an even length.
    Riff { is_big_endian: bool },
    /// A GUID and a size of 64 bits that counts both, padded to a multiple of 8.
    Wave64,
}

/// The header of a chunk.
struct Chunk {
    id: [u8; 4],
    /// Where its content begins, in bytes from the start of the file.
    at: u64,
    size: u64,
}

/// The `fmt ` chunk.
#[derive(Debug, Clone, Copy)]
struct FormatChunk {
    tag: u16,
    n_channels: u16,
    sample_rate: u32,
    block_align: u16,
    bits: u16,
    channel_mask: Option<u32>,
}

/// The part of a `fmt ` chunk that is looked at; WAVEFORMATEXTENSIBLE has 40 bytes.
const FORMAT_CHUNK_LEN: usize = 40;

/// The note on a header whose writer did not know the length; of a pipe it could not, so there it is not odd.
pub(super) const OPEN_LENGTH: &str = "its header does not say how long it is: it is read to the end of the file";

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_ADPCM_MS: u16 = 2;
const TAG_ALAW: u16 = 6;
const TAG_MULAW: u16 = 7;
const TAG_ADPCM_IMA: u16 = 0x11;
const TAG_EXTENSIBLE: u16 = 0xfffe;

/// The tail shared by the subformat GUIDs of Microsoft's registered formats; the tag stands in the first two bytes.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// What a Wave64 file begins with: `riff` and the rest of its GUID. Other names have the other rest.
pub(super) const WAVE64: [u8; 16] = *b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0";
const WAVE64_TAIL: [u8; 12] = *b"\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a";

/// Reads the headers of a file that starts with `RIFF`, `RF64`, `BW64`, `RIFX` or the GUID of Wave64.
pub(super) fn open(mut file: File) -> Result<Opened, Fault> {
    let len = file.seek(SeekFrom::End(0))?;
    let mut walk = Walk { input: BufReader::new(file), len, tags: Vec::new(), notes: Vec::new() };
    let first = walk.member(0)?;
    // Those of the first file are those of all.
    let tags = std::mem::take(&mut walk.tags);
    let (sample_rate, n_channels) = (first.format.sample_rate, usize::from(first.format.n_channels));
    let (container, channel_mask) = (first.container, first.format.channel_mask);
    let (mut stretches, mut parts, mut fault) = (Vec::new(), Vec::new(), None);
    let (mut start, mut next) = (0, Ok(first));
    loop {
        let member = match next {
            Ok(member) => member,
            Err(error) => {
                fault = Some(error);
                break;
            }
        };
        let to = (member.format.sample_rate, usize::from(member.format.n_channels));
        if to != (sample_rate, n_channels) {
            fault = Some(Fault::Changed { from: (sample_rate, n_channels), to });
            break;
        }
        stretches.extend(member.samples);
        parts.push(start..member.end);
        if member.n_missing > 0 {
            let n_before: u64 = stretches.iter().map(|stretch| stretch.n_bytes / stretch.row_bytes(n_channels)).sum();
            let row_bytes = stretches.last().map_or(1, |stretch| stretch.row_bytes(n_channels));
            fault = Some(Fault::CutOff { n_samples: Some(n_before + member.n_missing / row_bytes) });
            break;
        }
        if member.end >= walk.len {
            break;
        }
        start = member.end;
        next = walk.member(start);
    }
    let Walk { input, notes, .. } = walk;
    if stretches.len() < parts.len() {
        return match fault {
            None | Some(Fault::CutOff { .. }) => Ok(Opened::Packets { parts, cut_off: fault.is_some(), notes }),
            Some(fault) => Err(fault),
        };
    }
    let codec = stretches.first().map_or("", |stretch| stretch.encoding.name()).into();
    let declared = if let Some(Fault::CutOff { n_samples }) = fault { n_samples } else { None };
    let pcm = Pcm::new(input, n_channels, stretches, fault, tags)?;
    let n_samples = declared.or(Some(pcm.n_samples()));
    let format = Format { container, codec, sample_rate, n_channels, channel_mask, n_samples, notes };
    Ok(Opened::Plain(Box::new(pcm), format))
}

impl Walk {
    /// Reads the file that begins here.
    fn member(&mut self, start: u64) -> Result<Member, Fault> {
        let head = self.bytes(start, 40)?;
        let (dialect, container, mut position) = match head.first_chunk::<4>() {
            Some(b"riff") => (Dialect::Wave64, "Wave64", start + 40),
            Some(b"RIFX") => (Dialect::Riff { is_big_endian: true }, "RIFX", start + 12),
            Some(b"RIFF") => (Dialect::Riff { is_big_endian: false }, "WAV", start + 12),
            _ => (Dialect::Riff { is_big_endian: false }, "RF64", start + 12),
        };
        let is_big_endian = dialect == Dialect::Riff { is_big_endian: true };
        let riff_size =
            u64::from(u32_at(&head, 4, is_big_endian).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        let mut data_size_64 = None;
        let mut format = None;
        loop {
            let Some(chunk) = self.chunk(position, dialect)? else {
                return Err(Fault::Malformed("it has no data chunk".into()));
            };
            match &chunk.id {
                b"ds64" => {
                    let body = self.bytes(chunk.at, chunk.size.min(24))?;
                    data_size_64 = body.get(8..16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
                }
                b"fmt " => {
                    let body = self.bytes(chunk.at, chunk.size.min(FORMAT_CHUNK_LEN as u64))?;
                    format = Some(FormatChunk::parse(&body, is_big_endian)?);
                }
                b"data" => {
                    let format = format.ok_or_else(|| Fault::Malformed("its data comes before its format".into()))?;
                    let declared = match data_size_64 {
                        Some(size) if chunk.size == u64::from(u32::MAX) => Some(size),
                        _ => chunk.declared_size(riff_size, start, self.len, &format),
                    };
                    return self.data(&chunk, declared, dialect, container, format);
                }
                _ => self.keep_tags(&chunk, dialect),
            }
            position = self.next(&chunk, dialect)?;
            if position > self.len {
                return Err(Fault::Malformed("it ends before its data chunk".into()));
            }
        }
    }

    /// Finds the end of the samples of a data chunk, and of the file that it stands in.
    fn data(
        &mut self,
        chunk: &Chunk,
        declared: Option<u64>,
        dialect: Dialect,
        container: &'static str,
        format: FormatChunk,
    ) -> Result<Member, Fault> {
        let n_channels = usize::from(format.n_channels);
        if n_channels == 0 || n_channels > MAX_CHANNELS {
            return Err(Fault::channels(n_channels));
        }
        let encoding = format.encoding()?;
        if encoding.is_none() && !(matches!(format.tag, TAG_ADPCM_MS | TAG_ADPCM_IMA) && container == "WAV") {
            return Err(Fault::Unsupported { codec: format!("{container} with {}", tag_name(format.tag)) });
        }
        let available = self.len - chunk.at;
        let is_big_endian = dialect == Dialect::Riff { is_big_endian: true };
        let stretch =
            |n_bytes: u64| encoding.map(|encoding| Stretch { at: chunk.at, n_bytes, encoding, is_big_endian });
        let row_bytes = stretch(0).map_or(1, |stretch| stretch.row_bytes(n_channels));
        let member =
            |n_bytes: u64, n_missing, end| Member { container, format, samples: stretch(n_bytes), n_missing, end };
        let Some(declared) = declared else {
            self.notes.push(OPEN_LENGTH.into());
            return Ok(member(available, 0, self.len));
        };
        if declared > available {
            let n_missing = pcm::n_missing(declared, available, &mut self.notes);
            if n_missing == 0 {
                pcm::note_part_of_a_sample(available, row_bytes, &mut self.notes);
            }
            return Ok(member(available, n_missing, self.len));
        }
        // The byte of padding may be left out, or the size end within the last sample.
        let rounded = declared.next_multiple_of(row_bytes);
        let mut found = None;
        for size in [dialect.padded(declared), declared, rounded] {
            let at = chunk.at.saturating_add(size);
            if found.is_none() && (at >= self.len || self.is_chunk(at, dialect)? || self.is_file(at)?) {
                found = Some((if size < rounded { declared } else { rounded.min(available) }, at));
            }
        }
        let Some((n_bytes, at)) = found else {
            let n_bytes = match stretch(declared).map(|samples| samples.rest(&mut self.input, n_channels)) {
                Some(rest) => rest?.note(&mut self.notes, declared, available, format.seconds(declared, row_bytes)),
                None => declared,
            };
            return Ok(member(n_bytes, 0, self.len));
        };
        if n_bytes > declared {
            self.notes.push(format!("its samples are {} longer than its header says", in_bytes(n_bytes - declared)));
        }
        pcm::note_part_of_a_sample(n_bytes, row_bytes, &mut self.notes);
        let end = self.walk_to_end(at, dialect)?;
        Ok(member(n_bytes, 0, end))
    }

    /// Goes through the chunks behind the samples. Returns where another file begins, or the file ends.
    fn walk_to_end(&mut self, mut position: u64, dialect: Dialect) -> Result<u64, Fault> {
        while position < self.len && !self.is_file(position)? {
            if !self.is_chunk(position, dialect)? {
                self.input.seek(SeekFrom::Start(position))?;
                if !is_no_content(&mut self.input)? {
                    self.notes.push(left_out(self.len - position));
                }
                return Ok(self.len);
            }
            let Some(chunk) = self.chunk(position, dialect)? else { return Ok(self.len) };
            self.keep_tags(&chunk, dialect);
            position = self.next(&chunk, dialect)?;
        }
        Ok(position.min(self.len))
    }

    fn keep_tags(&mut self, chunk: &Chunk, dialect: Dialect) {
        /// A file may have millions of chunks.
        const MOST: usize = 1000;
        if dialect == (Dialect::Riff { is_big_endian: false }) && self.tags.len() < MOST {
            self.tags.extend(Place::new(chunk.id, chunk.at, chunk.size));
        }
    }

    /// Where the next chunk is: behind the padding, unless that was left out.
    fn next(&mut self, chunk: &Chunk, dialect: Dialect) -> io::Result<u64> {
        let (padded, plain) =
            (chunk.at.saturating_add(dialect.padded(chunk.size)), chunk.at.saturating_add(chunk.size));
        let is_unpadded = padded != plain
            && padded < self.len
            && !self.is_chunk(padded, dialect)?
            && self.is_chunk(plain, dialect)?;
        Ok(if is_unpadded { plain } else { padded })
    }

    /// Whether what stands here can be a chunk: a name in letters, and a size that fits.
    fn is_chunk(&mut self, at: u64, dialect: Dialect) -> io::Result<bool> {
        let Some(chunk) = self.chunk(at, dialect)? else { return Ok(false) };
        let is_name = chunk.id.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        Ok(is_name && chunk.at.saturating_add(chunk.size) <= self.len)
    }

    /// Whether another file begins here.
    fn is_file(&mut self, at: u64) -> io::Result<bool> {
        let head = self.bytes(at, 40)?;
        Ok(is_wave(&head))
    }

    fn chunk(&mut self, at: u64, dialect: Dialect) -> io::Result<Option<Chunk>> {
        let head = self.bytes(at, dialect.header_len())?;
        if (head.len() as u64) < dialect.header_len() {
            return Ok(None);
        }
        let id = *head.first_chunk().unwrap_or(&[0; 4]);
        let (id, size) = match dialect {
            Dialect::Riff { is_big_endian } => (id, u64::from(u32_at(&head, 4, is_big_endian).unwrap_or(0))),
            Dialect::Wave64 => {
                let size = head.get(16..).and_then(|b| b.first_chunk()).map_or(0, |&b| u64::from_le_bytes(b));
                // The name of none, if it is no name.
                let id = if head.get(4..16) == Some(&WAVE64_TAIL) { id } else { [0; 4] };
                (id, size.saturating_sub(dialect.header_len()))
            }
        };
        Ok(Some(Chunk { id, at: at + dialect.header_len(), size }))
    }

    /// At most `n_bytes` bytes from there on, fewer at the end of the file.
    fn bytes(&mut self, at: u64, n_bytes: u64) -> io::Result<Vec<u8>> {
        // Within what was read already: a file may have millions of chunks without content.
        let position = self.input.stream_position()?;
        match i64::try_from(i128::from(at) - i128::from(position)) {
            Ok(way) => self.input.seek_relative(way)?,
            Err(_) => self.input.seek(SeekFrom::Start(at)).map(drop)?,
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(n_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whether a WAV file in any of its forms begins like this.
pub(super) fn is_wave(head: &[u8]) -> bool {
    match head.first_chunk() {
        Some(b"RIFF" | b"RF64" | b"BW64" | b"RIFX") => head.get(8..12) == Some(b"WAVE"),
        _ => head.starts_with(&WAVE64) && head.get(24..28) == Some(b"wave"),
    }
}

impl Dialect {
    fn header_len(self) -> u64 {
        if self == Self::Wave64 { 24 } else { 8 }
    }

    fn padded(self, size: u64) -> u64 {
        let multiple = if self == Self::Wave64 { 8 } else { 2 };
        size.checked_next_multiple_of(multiple).unwrap_or(u64::MAX)
    }
}

impl Chunk {
    /// The size of a data chunk, or `None` where its writer could not know it: FFmpeg writes `0xffff_ffff` into a pipe
    /// (in Wave64 the largest that has a sign), SoX `0x7fff_f000` in whole blocks, others `0x7fff_ffff` or leave the 0
    /// they started with. `start`: where the file begins that the chunk is in.
    fn declared_size(&self, riff_size: u64, start: u64, file_len: u64, format: &FormatChunk) -> Option<u64> {
        const SOX: u64 = 0x7fff_f000;
        const OPEN: u64 = u32::MAX as u64;
        let block = u64::from(format.block_align).max(1);
        let is_open_end = match self.size {
            // An empty recording is a file whose RIFF size agrees with its length.
            0 => riff_size == 0 || riff_size == OPEN || (start + riff_size + 8 <= self.at && self.at < file_len),
            OPEN | 0x7fff_ffff => true,
            // No file has as many bytes.
            0x7fff_ffff_ffff_0000.. => true,
            size => size == SOX - SOX % block && self.at.saturating_add(size) > file_len,
        };
        (!is_open_end).then_some(self.size)
    }
}

impl FormatChunk {
    fn parse(body: &[u8], is_big_endian: bool) -> Result<Self, Fault> {
        let short = || Fault::Malformed("its format chunk is too short".into());
        let u32_at = |at: usize| u32_at(body, at, is_big_endian);
        let u16_at = |at: usize| {
            let bytes = *body.get(at..)?.first_chunk()?;
            Some(if is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
        };
        let mut format = Self {
            tag: u16_at(0).ok_or_else(short)?,
            n_channels: u16_at(2).ok_or_else(short)?,
            sample_rate: u32_at(4).ok_or_else(short)?,
            block_align: u16_at(12).ok_or_else(short)?,
            bits: u16_at(14).ok_or_else(short)?,
            channel_mask: None,
        };
        if format.tag == TAG_EXTENSIBLE {
            // An unknown GUID keeps the extensible tag, which names no encoding.
            if body.get(26..40).ok_or_else(short)? == GUID_TAIL {
                format.tag = u16_at(24).ok_or_else(short)?;
            }
            // A mask that does not name every channel once names none reliably, and simple mono and stereo need none.
            let is_news = |&mask: &u32| !matches!((format.n_channels, mask), (1, 0x4) | (2, 0x3));
            let is_whole = |mask: &u32| mask.count_ones() == u32::from(format.n_channels);
            format.channel_mask = u32_at(20).filter(is_news).filter(is_whole);
        }
        Ok(format)
    }

    /// How a sample is stored; `None` for data in packets.
    fn encoding(&self) -> Result<Option<Encoding>, Fault> {
        if !matches!(self.tag, TAG_PCM | TAG_FLOAT | TAG_ALAW | TAG_MULAW) {
            return Ok(None);
        }
        let (block_align, n_channels) = (usize::from(self.block_align), usize::from(self.n_channels));
        let bytes = match block_align.checked_div(n_channels) {
            // Some writers leave the block size out.
            Some(0) | None => usize::from(self.bits).div_ceil(8),
            Some(bytes) => bytes,
        };
        // Read with the wrong size, samples are noise.
        let is_whole = block_align == 0 || block_align == bytes * n_channels;
        let is_long_enough = usize::from(self.bits) <= 8 * bytes || !matches!(self.tag, TAG_PCM | TAG_FLOAT);
        if !(is_whole && is_long_enough) {
            let bits = self.bits;
            let reason = format!("it declares {block_align} bytes for {n_channels} samples of {bits} bits");
            return Err(Fault::Malformed(reason));
        }
        let encoding = match (self.tag, bytes) {
            (TAG_PCM, 1) => Encoding::Unsigned8,
            (TAG_PCM, 2) => Encoding::Signed16,
            (TAG_PCM, 3) => Encoding::Signed24,
            (TAG_PCM, 4) => Encoding::Signed32,
            (TAG_FLOAT, 4) => Encoding::Float32,
            (TAG_FLOAT, 8) => Encoding::Float64,
            (TAG_ALAW, 1) => Encoding::Alaw,
            (TAG_MULAW, 1) => Encoding::Mulaw,
            _ => return Err(Fault::Unsupported { codec: format!("WAV with {} bytes per sample", bytes) }),
        };
        Ok(Some(encoding))
    }

    fn seconds(&self, n_bytes: u64, row_bytes: u64) -> f64 {
        (n_bytes / row_bytes) as f64 / f64::from(self.sample_rate.max(1))
    }
}

/// What a format tag stands for (registered in Microsoft's mmreg.h).
fn tag_name(tag: u16) -> String {
    let name = match tag {
        TAG_ADPCM_MS | TAG_ADPCM_IMA => "ADPCM",
        0x31 => "GSM 6.10",
        0x45 => "G.726",
        0x50 => "MP2",
        0x55 => "MP3",
        0xff | 0x1600..=0x1602 => "AAC",
        0x160..=0x163 => "WMA",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        TAG_EXTENSIBLE => "an unknown subformat",
        tag => return format!("format tag {tag:#06x}"),
    };
    name.into()
}

fn u32_at(bytes: &[u8], at: usize, is_big_endian: bool) -> Option<u32> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}
