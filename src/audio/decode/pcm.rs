//! Samples that lie side by side in a file, each in a place of its own: read, passed over, and judged by what they are
//! like. Knows no header, and of tags only who reads them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::fault::Fault;
use super::format::in_bytes;
use super::metadata::{self, Place};
use super::tags::{self, left_out};
use crate::audio::tags::Tags;

/// Samples of an opened file, stretch by stretch and block by block.
#[derive(Debug)]
pub(super) struct Pcm {
    input: BufReader<File>,
    n_channels: usize,
    /// What is still to be read; the first is being read.
    stretches: VecDeque<Stretch>,
    /// What is wrong behind the last stretch.
    fault: Option<Fault>,
    /// Where the tags are.
    tags: Vec<Place>,
    scratch: Vec<u8>,
}

/// Samples of one kind, without a gap. What is left of them, once they are being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// Where they are, in bytes from the start of the file.
    pub(super) at: u64,
    pub(super) n_bytes: u64,
    pub(super) encoding: Encoding,
    pub(super) is_big_endian: bool,
}

/// How one sample is stored, but for the order of its bytes; integers shorter than their bytes are left-justified.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Encoding {
    Signed8,
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
    Alaw,
    Mulaw,
}

/// What stands in a file where its samples should have ended.
pub(super) enum Rest {
    /// Nothing, or nothing to speak of: tags, zeros.
    Nothing,
    /// What looks like more of the samples.
    Samples,
    Other,
}

/// Bytes that are read at a time, whatever the number of channels: 16,384 samples of 16-bit stereo.
const BLOCK_BYTES: usize = 1 << 16;

/// Bytes that may be missing at the end of samples: headers of up to 80 bytes are counted in by mistake, and sizes are
/// rounded up. Of 16-bit stereo at 44.1 kHz these are 0.7 ms.
const SLACK: u64 = 128;

/// How many bytes of samples are missing in a file that is cut off; if they are few, its header is wrong, which is noted.
pub(super) fn n_missing(declared: u64, available: u64, notes: &mut Vec<String>) -> u64 {
    let n_missing = declared.saturating_sub(available);
    if n_missing == 0 || n_missing > SLACK.min(available) {
        return n_missing;
    }
    notes.push(format!("its header promises {} more of samples than there are", in_bytes(n_missing)));
    0
}

/// Notes the end of samples that is no whole sample of all channels.
pub(super) fn note_part_of_a_sample(n_bytes: u64, row_bytes: u64, notes: &mut Vec<String>) {
    if !n_bytes.is_multiple_of(row_bytes) {
        let over = in_bytes(n_bytes % row_bytes);
        notes.push(format!("{over} at the end of its samples are no whole sample, and left out"));
    }
}

impl Rest {
    /// How many bytes are samples, of those that are declared and those that there are. What is odd about it is noted.
    pub(super) fn note(self, notes: &mut Vec<String>, declared: u64, available: u64, declared_s: f64) -> u64 {
        match self {
            Self::Nothing => declared,
            Self::Samples => {
                notes.push(format!("its header ends it at {declared_s:.1} s, but its samples go on: all are read"));
                available
            }
            Self::Other => {
                notes.push(left_out(available - declared));
                declared
            }
        }
    }
}

impl Pcm {
    pub(super) fn new(
        input: BufReader<File>,
        n_channels: usize,
        stretches: Vec<Stretch>,
        fault: Option<Fault>,
        tags: Vec<Place>,
    ) -> Result<Self, Fault> {
        let mut pcm = Self { input, n_channels, stretches: stretches.into(), fault, tags, scratch: Vec::new() };
        pcm.start_stretch()?;
        Ok(pcm)
    }

    /// What the file says of its sound.
    pub(super) fn tags(&mut self) -> Tags {
        metadata::of_chunks(&mut self.input, &self.tags)
    }

    /// Samples per channel that are still to come.
    pub(super) fn n_samples(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.n_bytes / stretch.row_bytes(self.n_channels)).sum()
    }

    /// Appends the next samples, interleaved. `false`: there are none left.
    pub(super) fn next(&mut self, block: &mut Vec<f32>) -> Result<bool, Fault> {
        let Some(stretch) = self.stretch()? else { return self.fault.take().map_or(Ok(false), Err) };
        let row_bytes = stretch.row_bytes(self.n_channels) as usize;
        let n_rows = (BLOCK_BYTES / row_bytes).max(1).min((stretch.n_bytes / row_bytes as u64) as usize);
        self.scratch.resize(n_rows * row_bytes, 0);
        self.input.read_exact(&mut self.scratch)?;
        self.advance(self.scratch.len() as u64);
        stretch.decode(&mut self.scratch, block);
        Ok(true)
    }

    /// Passes over at most `n_samples` samples per channel, without reading them. Returns how many there were.
    pub(super) fn skip(&mut self, n_samples: u64) -> Result<u64, Fault> {
        let mut n_left = n_samples;
        while n_left > 0 {
            let Some(stretch) = self.stretch()? else { break };
            let row_bytes = stretch.row_bytes(self.n_channels);
            let n_rows = n_left.min(stretch.n_bytes / row_bytes);
            // Within the file.
            self.input.seek_relative((n_rows * row_bytes).cast_signed())?;
            self.advance(n_rows * row_bytes);
            n_left -= n_rows;
        }
        Ok(n_samples - n_left)
    }

    /// The stretch that is being read, if one with a whole sample is left.
    fn stretch(&mut self) -> io::Result<Option<Stretch>> {
        while let Some(&stretch) = self.stretches.front() {
            if stretch.n_bytes >= stretch.row_bytes(self.n_channels) {
                return Ok(Some(stretch));
            }
            self.stretches.pop_front();
            self.start_stretch()?;
        }
        Ok(None)
    }

    fn start_stretch(&mut self) -> io::Result<()> {
        let Some(stretch) = self.stretches.front() else { return Ok(()) };
        self.input.seek(SeekFrom::Start(stretch.at)).map(drop)
    }

    fn advance(&mut self, n_bytes: u64) {
        if let Some(stretch) = self.stretches.front_mut() {
            stretch.at += n_bytes;
            stretch.n_bytes -= n_bytes;
        }
    }
}

impl Stretch {
    /// Bytes of one sample of all channels.
    pub(super) fn row_bytes(&self, n_channels: usize) -> u64 {
        (self.encoding.n_bytes() * n_channels) as u64
    }

    fn decode(&self, bytes: &mut [u8], samples: &mut Vec<f32>) {
        if self.is_big_endian {
            bytes.chunks_exact_mut(self.encoding.n_bytes()).for_each(<[u8]>::reverse);
        }
        self.encoding.decode(bytes, samples);
    }

    /// What stands behind these samples, up to the end of the file: for a header that says too little.
    pub(super) fn rest(&self, input: &mut BufReader<File>, n_channels: usize) -> io::Result<Rest> {
        let row_bytes = self.row_bytes(n_channels);
        // From the first sample that is not whole.
        let at = self.at + self.n_bytes / row_bytes * row_bytes;
        let end = self.at + self.n_bytes;
        input.seek(SeekFrom::Start(end))?;
        if tags::is_no_content(input)? {
            return Ok(Rest::Nothing);
        }
        input.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        input.take(BLOCK_BYTES as u64 / row_bytes * row_bytes).read_to_end(&mut bytes)?;
        bytes.truncate(bytes.len() / row_bytes as usize * row_bytes as usize);
        let mut samples = Vec::new();
        self.decode(&mut bytes, &mut samples);
        Ok(if is_smooth(&samples, n_channels) { Rest::Samples } else { Rest::Other })
    }
}

/// Whether samples differ less from the ones before than from their mean. Sound does; of bytes that are something else
/// the differences have twice the power.
fn is_smooth(samples: &[f32], n_channels: usize) -> bool {
    let (mut total, mut differences) = (0.0, 0.0);
    for channel_idx in 0..n_channels {
        let channel: Vec<_> = samples.iter().skip(channel_idx).step_by(n_channels).map(|&x| f64::from(x)).collect();
        let mean = channel.iter().sum::<f64>() / channel.len() as f64;
        total += channel.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        differences += channel.array_windows().map(|[a, b]| (b - a).powi(2)).sum::<f64>();
    }
    // False for NaN.
    differences < total
}

impl Encoding {
    /// Bytes of one sample.
    pub(super) fn n_bytes(self) -> usize {
        match self {
            Self::Signed8 | Self::Unsigned8 | Self::Alaw | Self::Mulaw => 1,
            Self::Signed16 => 2,
            Self::Signed24 => 3,
            Self::Signed32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    /// Appends samples scaled so that the largest negative integer is -1. Exact up to 24 bits.
    fn decode(self, bytes: &[u8], samples: &mut Vec<f32>) {
        match self {
            Self::Signed8 => samples.extend(bytes.iter().map(|&b| f32::from(b.cast_signed()) / 128.0)),
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

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Signed8 | Self::Unsigned8 => "8-bit PCM",
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
