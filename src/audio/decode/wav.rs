//! Reads WAV, RF64 and BW64 files of PCM, floating-point, A-law or mu-law samples, of any length, rate and channel
//! count. Knows no encoding in packets: WAV files with ADPCM go on to symphonia.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::fault::Fault;
use super::format::{Format, MAX_CHANNELS};
use super::tags;
use crate::audio::tags::Tags;

/// The samples of an opened file, block by block.
#[derive(Debug)]
pub(super) struct Wav {
    input: BufReader<File>,
    encoding: Encoding,
    bytes_per_sample: usize,
    /// Bytes of samples that are still to come.
    bytes_left: u64,
    /// The data chunk declares more bytes than the file holds.
    cut_off: Option<Fault>,
    scratch: Vec<u8>,
}

/// What the headers of a WAV file told.
pub(super) enum Opened {
    /// The samples can be read here.
    Plain(Box<Wav>, Format),
    /// The samples are in packets (ADPCM). `cut_off`: the file ends before its data chunk does.
    Packets { cut_off: bool },
}

/// How one sample is stored. All are little-endian; integers shorter than their bytes are left-justified.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Encoding {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
    Alaw,
    Mulaw,
}

/// The `fmt ` chunk.
struct FormatChunk {
    tag: u16,
    n_channels: u16,
    sample_rate: u32,
    block_align: u16,
    bits: u16,
    channel_mask: Option<u32>,
}

/// Bytes that are read at a time, whatever the number of channels: 16,384 samples of 16-bit stereo.
const BLOCK_BYTES: usize = 1 << 16;

/// The part of a `fmt ` chunk that is looked at; WAVEFORMATEXTENSIBLE has 40 bytes.
const FORMAT_CHUNK_LEN: usize = 40;

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_ADPCM_MS: u16 = 2;
const TAG_ALAW: u16 = 6;
const TAG_MULAW: u16 = 7;
const TAG_ADPCM_IMA: u16 = 0x11;
const TAG_EXTENSIBLE: u16 = 0xfffe;

/// The tail shared by the subformat GUIDs of Microsoft's registered formats; the tag stands in the first two bytes.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

impl Wav {
    /// Reads the headers of a file that starts with `RIFF`, `RF64` or `BW64`, up to the first sample.
    pub(super) fn open(mut file: File) -> Result<Opened, Fault> {
        let file_len = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut input = BufReader::new(file);

        let id = read_array::<4>(&mut input)?;
        let riff_size = u64::from(read_u32(&mut input)?);
        input.seek_relative(4)?; // "WAVE", which brought us here
        let mut position = 12;
        let mut data_size_64 = None;
        let mut format = None;

        loop {
            let Some((chunk, declared)) = read_chunk_header(&mut input)? else {
                return Err(Fault::Malformed("it has no data chunk".into()));
            };
            position += 8;
            let size = u64::from(declared);
            let mut n_read = 0;
            match &chunk {
                b"ds64" => {
                    let body = read_up_to(&mut input, size.min(24))?;
                    n_read = body.len() as u64;
                    data_size_64 = body.get(8..16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
                }
                b"fmt " => {
                    let body = read_up_to(&mut input, size.min(FORMAT_CHUNK_LEN as u64))?;
                    n_read = body.len() as u64;
                    format = Some(FormatChunk::parse(&body)?);
                }
                b"data" => {
                    let format = format.ok_or_else(|| Fault::Malformed("its data comes before its format".into()))?;
                    let available = file_len.saturating_sub(position);
                    let declared = match data_size_64 {
                        Some(size) if declared == u32::MAX => Some(size),
                        _ => declared_size(declared, riff_size, file_len, position, &format),
                    };
                    return open_data(input, &id, &format, declared, available);
                }
                _ => {}
            }
            // Chunks are padded to even lengths.
            let padded = size + size % 2;
            position += padded;
            if position > file_len {
                return Err(Fault::Malformed("it ends before its data chunk".into()));
            }
            // Within what was read already: a file may have millions of chunks without content.
            input.seek_relative((padded - n_read).cast_signed())?;
        }
    }

    /// What the file says of its sound.
    pub(super) fn tags(&mut self) -> Tags {
        tags::of_wav(&mut self.input)
    }

    /// Appends the next samples, interleaved. `false`: there are none left.
    pub(super) fn next(&mut self, block: &mut Vec<f32>, n_channels: usize) -> Result<bool, Fault> {
        let bytes_per_row = self.bytes_per_sample * n_channels;
        let n_rows = (self.bytes_left / bytes_per_row as u64).min((BLOCK_BYTES / bytes_per_row).max(1) as u64) as usize;
        if n_rows == 0 {
            return self.cut_off.take().map_or(Ok(false), Err);
        }
        self.scratch.resize(n_rows * bytes_per_row, 0);
        self.input.read_exact(&mut self.scratch)?;
        self.bytes_left -= self.scratch.len() as u64;
        self.encoding.decode(&self.scratch, block);
        Ok(true)
    }

    /// Passes over at most `n_samples` samples per channel, without reading them. Returns how many there were.
    pub(super) fn skip(&mut self, n_samples: u64, n_channels: usize) -> Result<u64, Fault> {
        let bytes_per_row = (self.bytes_per_sample * n_channels) as u64;
        let n_rows = n_samples.min(self.bytes_left / bytes_per_row);
        let n_bytes = n_rows * bytes_per_row;
        // Within the file.
        self.input.seek_relative(n_bytes.cast_signed())?;
        self.bytes_left -= n_bytes;
        Ok(n_rows)
    }
}

impl FormatChunk {
    fn parse(body: &[u8]) -> Result<Self, Fault> {
        let short = || Fault::Malformed("its format chunk is too short".into());
        let u16_at = |at: usize| body.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes);
        let u32_at = |at: usize| body.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
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

    /// Encoding and bytes per sample; `None` for data in packets.
    fn encoding(&self) -> Result<Option<(Encoding, usize)>, Fault> {
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
        Ok(Some((encoding, bytes)))
    }
}

impl Encoding {
    /// Appends samples scaled so that the largest negative integer is -1. Exact up to 24 bits.
    fn decode(self, bytes: &[u8], samples: &mut Vec<f32>) {
        match self {
            Self::Unsigned8 => samples.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
            Self::Signed16 => {
                samples.extend(bytes.as_chunks().0.iter().map(|&b| f32::from(i16::from_le_bytes(b)) / 32_768.0));
            }
            Self::Signed24 => {
                let widen = |&[a, b, c]: &[u8; 3]| i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0;
                samples.extend(bytes.as_chunks().0.iter().map(widen));
            }
            Self::Signed32 => {
                let scale = |&b: &[u8; 4]| i32::from_le_bytes(b) as f32 / 2_147_483_648.0;
                samples.extend(bytes.as_chunks().0.iter().map(scale));
            }
            Self::Float32 => samples.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            Self::Float64 => samples.extend(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32)),
            Self::Alaw => samples.extend(bytes.iter().map(|&b| f32::from(alaw(b)) / 32_768.0)),
            Self::Mulaw => samples.extend(bytes.iter().map(|&b| f32::from(mulaw(b)) / 32_768.0)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unsigned8 => "8-bit PCM",
            Self::Signed16 => "16-bit PCM",
            Self::Signed24 => "24-bit PCM",
            Self::Signed32 => "32-bit PCM",
            Self::Float32 => "32-bit float PCM",
            Self::Float64 => "64-bit float PCM",
            Self::Alaw => "A-law",
            Self::Mulaw => "mu-law",
        }
    }
}

/// Expands an A-law byte to 16 bits (ITU-T G.711, table 1a): sign, 3 bits of exponent, 4 of mantissa, every other bit
/// inverted.
fn alaw(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let (exponent, mantissa) = ((bits >> 4) & 7, i16::from(bits & 0xf));
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
}

/// Expands a mu-law byte to 16 bits (ITU-T G.711, table 2a): as A-law, but all bits inverted and a bias of 132.
fn mulaw(byte: u8) -> i16 {
    let bits = !byte;
    let magnitude = (((i16::from(bits & 0xf) << 3) + 132) << ((bits >> 4) & 7)) - 132;
    if bits & 0x80 != 0 { -magnitude } else { magnitude }
}

/// Sets up the reading of a data chunk that starts here. `declared`: its size in bytes, where the header knows it.
fn open_data(
    input: BufReader<File>,
    id: &[u8; 4],
    format: &FormatChunk,
    declared: Option<u64>,
    available: u64,
) -> Result<Opened, Fault> {
    let n_channels = usize::from(format.n_channels);
    if n_channels == 0 || n_channels > MAX_CHANNELS {
        return Err(Fault::channels(n_channels));
    }
    let cut_off = declared.is_some_and(|declared| declared > available);
    let Some((encoding, bytes_per_sample)) = format.encoding()? else {
        return match format.tag {
            TAG_ADPCM_MS | TAG_ADPCM_IMA if id == b"RIFF" => Ok(Opened::Packets { cut_off }),
            tag => Err(Fault::Unsupported { codec: format!("WAV with {}", tag_name(tag)) }),
        };
    };
    let bytes_per_row = (bytes_per_sample * n_channels) as u64;
    let n_samples = declared.unwrap_or(available) / bytes_per_row;
    let wav = Wav {
        input,
        encoding,
        bytes_per_sample,
        bytes_left: declared.unwrap_or(available).min(available),
        cut_off: cut_off.then_some(Fault::CutOff { n_samples: Some(n_samples) }),
        scratch: Vec::new(),
    };
    let format = Format {
        container: if id == b"RIFF" { "WAV" } else { "RF64" },
        codec: encoding.name().into(),
        sample_rate: format.sample_rate,
        n_channels,
        channel_mask: format.channel_mask,
        n_samples: Some(n_samples),
    };
    Ok(Opened::Plain(Box::new(wav), format))
}

/// The size of the data chunk, or `None` where its writer could not know it: FFmpeg writes `0xffff_ffff` into a pipe,
/// SoX `0x7fff_f000` in whole blocks, others `0x7fff_ffff` or leave the 0 they started with.
fn declared_size(size: u32, riff_size: u64, file_len: u64, position: u64, format: &FormatChunk) -> Option<u64> {
    const SOX: u32 = 0x7fff_f000;
    let block = u32::from(format.block_align).max(1);
    let is_open_end = match size {
        // An empty recording is a file whose RIFF size agrees with its length.
        0 => riff_size == 0 || riff_size == u64::from(u32::MAX) || (riff_size + 8 <= position && position < file_len),
        u32::MAX | 0x7fff_ffff => true,
        size => size == SOX - SOX % block && position.saturating_add(u64::from(size)) > file_len,
    };
    (!is_open_end).then_some(u64::from(size))
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

/// Name and declared size of the next chunk; `None` at the end of the file.
fn read_chunk_header(input: &mut impl Read) -> io::Result<Option<([u8; 4], u32)>> {
    let bytes = read_up_to(input, 8)?;
    let (Some(id), Some(size)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) else { return Ok(None) };
    Ok((bytes.len() == 8).then_some((*id, u32::from_le_bytes(*size))))
}

/// At most `len` bytes, fewer at the end of the file.
fn read_up_to(input: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_u32(input: &mut impl Read) -> io::Result<u32> {
    read_array(input).map(u32::from_le_bytes)
}
