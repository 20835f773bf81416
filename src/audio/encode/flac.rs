//! The frames of a FLAC file, encoded as their samples come. The only file that knows flacenc.
//!
//! # References
//! RFC 9639, "Free Lossless Audio Codec (FLAC)", 2024.

use std::{
    fmt,
    io::{self, Seek, SeekFrom, Write},
};

use flacenc::{
    bitsink::ByteSink,
    component::{BitRepr, Frame, MetadataBlockData, Stream, StreamInfo},
    config::Encoder,
    error::{Verified, Verify},
    source::{Context, Fill, FrameBuf},
};

use super::format::{SampleFormat, Spec};

/// The most that FLAC itself has.
pub(super) const MAX_CHANNELS: usize = 8;

/// The most that flacenc does, in Hz; FLAC could express more.
pub(super) const MAX_SAMPLE_RATE: u32 = 96_000;

/// A FLAC file on its way to `W`.
pub(super) struct Flac<W> {
    file: W,
    best: Verified<Encoder>,
    verbatim: Verified<Encoder>,
    info: StreamInfo,
    comments: Option<MetadataBlockData>,
    md5: Context,
    block: FrameBuf,
    /// Samples that wait for their block to be full: interleaved, little-endian.
    waiting: Vec<u8>,
    n_bytes: usize,
    n_frames: usize,
}

impl<W: Write + Seek> Flac<W> {
    /// Writes a header that [`finish`](Self::finish) completes.
    pub(super) fn new(
        file: W,
        spec: &Spec,
        sample_format: SampleFormat,
        mut comments: Vec<String>,
    ) -> io::Result<Self> {
        comments.extend(channel_mask_comment(spec));
        let n_bytes = sample_format.n_bytes();
        let mut verbatim = Encoder::default();
        verbatim.subframe_coding.use_fixed = false;
        verbatim.subframe_coding.use_lpc = false;
        let mut flac = Self {
            file,
            best: Encoder::default().into_verified().map_err(|(_, error)| refused(error))?,
            verbatim: verbatim.into_verified().map_err(|(_, error)| refused(error))?,
            info: StreamInfo::new(spec.sample_rate as usize, spec.n_channels, 8 * n_bytes).map_err(refused)?,
            comments: comment_block(&comments)?,
            md5: Context::new(8 * n_bytes, spec.n_channels),
            block: FrameBuf::with_size(spec.n_channels, BLOCK_SAMPLES).map_err(refused)?,
            waiting: Vec::new(),
            n_bytes,
            n_frames: 0,
        };
        flac.write_header()?;
        Ok(flac)
    }

    /// Appends interleaved little-endian samples.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(bytes);
        let waiting = std::mem::take(&mut self.waiting);
        let blocks = waiting.chunks_exact(BLOCK_SAMPLES * self.block.channels() * self.n_bytes);
        self.waiting.extend_from_slice(blocks.remainder());
        blocks.into_iter().try_for_each(|block| self.write_frame(block))
    }

    /// Writes the last, shorter block, and the header with what is known only now.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let last = std::mem::take(&mut self.waiting);
        if !last.is_empty() {
            self.write_frame(&last)?;
        }
        // The last block does not count (RFC 9639, 8.2), so all blocks have one size.
        self.info.set_block_sizes(BLOCK_SAMPLES, BLOCK_SAMPLES).map_err(refused)?;
        if self.n_frames == 0 {
            self.info.set_frame_sizes(0, 0).map_err(refused)?;
        }
        if self.info.total_samples() as u64 >= UNKNOWN_FROM {
            self.info.set_total_samples(0);
        }
        self.info.set_md5_digest(&self.md5.md5_digest());
        self.file.seek(SeekFrom::Start(0))?;
        self.write_header()?;
        Ok(self.file)
    }

    fn write_frame(&mut self, samples: &[u8]) -> io::Result<()> {
        self.block.fill_le_bytes(samples, self.n_bytes).map_err(refused)?;
        self.md5.fill_le_bytes(samples, self.n_bytes).map_err(refused)?;
        let mut frame = self.encode(&self.best)?;
        // flacenc 0.5 chooses a predictor by an estimate, and its Rice parameters end at 14: one second of a loud
        // 24-bit square wave became 600 MB. Whatever is no smaller than the samples themselves is stored as they are.
        if frame.count_bits() > 8 * samples.len() {
            frame = self.encode(&self.verbatim)?;
        }
        self.info.update_frame_info(&frame);
        self.n_frames += 1;
        let mut bytes = ByteSink::with_capacity(frame.count_bits());
        frame.write(&mut bytes).map_err(refused)?;
        self.file.write_all(bytes.as_slice())
    }

    fn encode(&self, config: &Verified<Encoder>) -> io::Result<Frame> {
        flacenc::encode_fixed_size_frame(config, &self.block, self.n_frames, &self.info).map_err(refused)
    }

    fn write_header(&mut self) -> io::Result<()> {
        let mut stream = Stream::with_stream_info(self.info.clone());
        if let Some(comments) = &self.comments {
            stream.add_metadata_block(comments.clone());
        }
        let mut bytes = ByteSink::new();
        stream.write(&mut bytes).map_err(refused)?;
        self.file.write_all(bytes.as_slice())
    }
}

impl<W: fmt::Debug> fmt::Debug for Flac<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flac").field("file", &self.file).field("info", &self.info).finish_non_exhaustive()
    }
}

/// Samples per channel in a block: 93 ms at 44.1 kHz, the reference encoder's choice.
const BLOCK_SAMPLES: usize = 4096;

/// The header has 36 bits for the number of samples; 0 means that it is not known.
const UNKNOWN_FROM: u64 = 1 << 36;

/// An error of flacenc, whose types cannot pass between threads. None is expected after `EncodeConfig::check`.
fn refused(error: impl fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// The Vorbis comment that names the speakers, where they are not those that FLAC assumes for so many channels
/// (RFC 9639, 8.6.2 and 9.1.3); a mask of 0 says that the channels belong to no speakers.
fn channel_mask_comment(spec: &Spec) -> Option<String> {
    let assumed = match spec.n_channels {
        1 => 0x4,
        2 => 0x3,
        3 => 0x7,
        4 => 0x33,
        5 => 0x37,
        6 => 0x3F,
        7 => 0x70F,
        _ => 0x63F,
    };
    let channel_mask = spec.channel_mask.unwrap_or(if spec.n_channels <= 2 { assumed } else { 0 });
    (channel_mask != assumed).then(|| format!("WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x{channel_mask:X}"))
}

/// The block that holds Vorbis comments; none without any.
fn comment_block(comments: &[String]) -> io::Result<Option<MetadataBlockData>> {
    if comments.is_empty() {
        return Ok(None);
    }
    let vendor = concat!("partita ", env!("CARGO_PKG_VERSION"));
    let mut content = Vec::new();
    content.extend_from_slice(&(vendor.len() as u32).to_le_bytes());
    content.extend_from_slice(vendor.as_bytes());
    content.extend_from_slice(&(comments.len() as u32).to_le_bytes());
    for comment in comments {
        content.extend_from_slice(&(comment.len() as u32).to_le_bytes());
        content.extend_from_slice(comment.as_bytes());
    }
    MetadataBlockData::new_unknown(VORBIS_COMMENT, &content).map(Some).map_err(refused)
}

/// Type of a metadata block.
const VORBIS_COMMENT: u8 = 4;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_header_states_what_is_known_at_the_end() {
        for (n_samples, frame_sizes_known) in [(0, false), (1, true), (4_096, true), (10_000, true)] {
            let file = written(2, Some(0x3), n_samples);
            assert_eq!(&file[..8], b"fLaC\x80\x00\x00\x22", "one block of metadata, of 34 bytes");
            let number = |start: usize, end: usize| file[start..end].iter().fold(0_u64, |n, &b| n << 8 | u64::from(b));
            assert_eq!((number(8, 10), number(10, 12)), (4_096, 4_096), "sizes of blocks");
            let (min, max) = (number(12, 15), number(15, 18));
            assert_eq!((min <= max, min > 0), (true, frame_sizes_known), "sizes of frames: {min} to {max}");
            // 20 bits of sample rate, 3 of channels - 1, 5 of bits - 1, 36 of samples.
            assert_eq!(number(18, 26), 44_100 << 44 | 1 << 41 | 15 << 36 | n_samples as u64);
        }
    }

    #[test]
    fn speakers_that_flac_does_not_assume_are_named() {
        let name = b"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x";
        for (n_channels, channel_mask, expected) in [
            (1, None, None),
            (2, None, None),
            (2, Some(0x3), None),
            (6, Some(0x3F), None),
            (2, Some(0x30), Some("30")),
            (6, Some(0x60F), Some("60F")),
            (4, None, Some("0")),
        ] {
            let file = written(n_channels, channel_mask, 100);
            let found = file.windows(name.len()).position(|window| window == name);
            let named = found.map(|start| {
                let digits = file[start + name.len()..].iter().take_while(|b| b.is_ascii_hexdigit()).copied().collect();
                String::from_utf8(digits).unwrap()
            });
            assert_eq!(named.as_deref(), expected, "{channel_mask:x?} of {n_channels}");
        }
    }

    /// A 16-bit file of a ramp.
    fn written(n_channels: usize, channel_mask: Option<u32>, n_samples: usize) -> Vec<u8> {
        let spec = Spec { sample_rate: 44_100, n_channels, channel_mask, n_samples: None };
        let mut flac = Flac::new(Cursor::new(Vec::new()), &spec, SampleFormat::Int16, Vec::new()).unwrap();
        let samples: Vec<u8> = (0..n_samples * n_channels).flat_map(|i| (i as i16).to_le_bytes()).collect();
        flac.write(&samples).unwrap();
        flac.finish().unwrap().into_inner()
    }
}
