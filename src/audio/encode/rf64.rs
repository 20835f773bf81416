//! RF64 files, and WAV files that may yet become one or that hound cannot express ([`super::wav`] has the others).
//! Room for 64-bit sizes is kept from the first byte, and used where 32 bits do not hold them.
//!
//! # References
//! "Multimedia Programming Interface and Data Specifications 1.0", IBM and Microsoft, 1991 (RIFF, `fmt `, `fact`);
//! Microsoft's `WAVEFORMATEXTENSIBLE`; EBU Tech 3306, "RF64: an extended file format for audio", 2009.

use std::io::{self, Seek, SeekFrom, Write};

use super::format::{SampleFormat, Spec, names_usual_speakers};

/// An RF64 file on its way to `W`.
#[derive(Debug)]
pub(super) struct Rf64<W> {
    file: W,
    frame: Frame,
    data_bytes: u64,
    /// What stands behind the samples.
    chunks: Vec<u8>,
}

impl<W: Write + Seek> Rf64<W> {
    /// Writes the header; `chunks` will stand behind the samples.
    pub(super) fn new(file: W, spec: &Spec, sample_format: SampleFormat, chunks: Vec<u8>) -> io::Result<Self> {
        Self::with_limit(file, spec, sample_format, chunks, MAX_RIFF_BYTES)
    }

    fn with_limit(
        mut file: W,
        spec: &Spec,
        sample_format: SampleFormat,
        chunks: Vec<u8>,
        max_riff_bytes: u64,
    ) -> io::Result<Self> {
        let frame = Frame {
            sample_rate: spec.sample_rate,
            n_channels: spec.n_channels,
            channel_mask: spec.channel_mask,
            sample_format,
            max_riff_bytes,
            chunk_bytes: chunks.len() as u64,
        };
        let n_samples = spec.n_samples.unwrap_or(0);
        file.write_all(&frame.header(n_samples.saturating_mul(frame.block_bytes())))?;
        Ok(Self { file, frame, data_bytes: 0, chunks })
    }

    /// Appends interleaved little-endian samples.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.data_bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Writes the header again, now that the sizes are known.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.data_bytes % 2 == 1 {
            self.file.write_all(&[0])?;
        }
        self.file.write_all(&self.chunks)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.frame.header(self.data_bytes))?;
        Ok(self.file)
    }
}

/// Largest size that a RIFF file may state; one more, all bits set, is what RF64 states instead of a size.
pub(super) const MAX_RIFF_BYTES: u64 = 0xFFFF_FFFE;

/// Sizes of chunks, in bytes, with their name and length.
const CHUNK_HEADER_BYTES: u64 = 8;
const DS64_BYTES: u64 = CHUNK_HEADER_BYTES + 28;

/// `wFormatTag`, and the first bytes of the `SubFormat` of an extensible format.
const PCM: u16 = 1;
const IEEE_FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xFFFE;

/// The other bytes of `KSDATAFORMAT_SUBTYPE_PCM` and `_IEEE_FLOAT`.
const SUBTYPE: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

/// All that the header depends on, except the number of samples.
#[derive(Debug)]
struct Frame {
    sample_rate: u32,
    n_channels: usize,
    channel_mask: Option<u32>,
    sample_format: SampleFormat,
    max_riff_bytes: u64,
    /// Bytes of what stands behind the samples.
    chunk_bytes: u64,
}

impl Frame {
    /// Everything up to the first sample; of the same length for any number of samples.
    fn header(&self, data_bytes: u64) -> Vec<u8> {
        let riff_bytes = self.riff_bytes(data_bytes);
        let n_samples = data_bytes / self.block_bytes();
        let is_rf64 = riff_bytes > self.max_riff_bytes;
        let size_32 = |size: u64| if is_rf64 { u32::MAX } else { size as u32 };

        let mut header = Vec::new();
        header.extend_from_slice(if is_rf64 { b"RF64" } else { b"RIFF" });
        header.extend_from_slice(&size_32(riff_bytes).to_le_bytes());
        header.extend_from_slice(b"WAVE");
        // Of one length, so that the file can change its mind at its end.
        if is_rf64 {
            let sizes = [riff_bytes, data_bytes, n_samples].map(u64::to_le_bytes).concat();
            let no_table = [0; 4];
            push_chunk(&mut header, b"ds64", &[&sizes[..], &no_table].concat());
        } else {
            push_chunk(&mut header, b"JUNK", &[0; 28]);
        }
        push_chunk(&mut header, b"fmt ", &self.fmt());
        if self.sample_format == SampleFormat::Float32 {
            push_chunk(&mut header, b"fact", &size_32(n_samples).to_le_bytes());
        }
        header.extend_from_slice(b"data");
        header.extend_from_slice(&size_32(data_bytes).to_le_bytes());
        header
    }

    /// The `fmt ` chunk: the old short form where that says it all, which every reader knows; else the extensible one.
    fn fmt(&self) -> Vec<u8> {
        let format_tag = if self.sample_format == SampleFormat::Float32 { IEEE_FLOAT } else { PCM };
        let is_plain = self.n_channels <= 2 && names_usual_speakers(self.n_channels, self.channel_mask);
        let block_bytes = self.block_bytes() as u32;
        let n_bits = 8 * self.sample_format.n_bytes() as u16;

        let mut fmt = Vec::new();
        fmt.extend_from_slice(&if is_plain { format_tag } else { EXTENSIBLE }.to_le_bytes());
        fmt.extend_from_slice(&(self.n_channels as u16).to_le_bytes());
        fmt.extend_from_slice(&self.sample_rate.to_le_bytes());
        fmt.extend_from_slice(&self.sample_rate.saturating_mul(block_bytes).to_le_bytes());
        fmt.extend_from_slice(&(block_bytes as u16).to_le_bytes());
        fmt.extend_from_slice(&n_bits.to_le_bytes());
        if !is_plain {
            fmt.extend_from_slice(&22_u16.to_le_bytes()); // bytes to come
            fmt.extend_from_slice(&n_bits.to_le_bytes()); // of them valid: all
            fmt.extend_from_slice(&self.channel_mask.unwrap_or(0).to_le_bytes());
            fmt.extend_from_slice(&format_tag.to_le_bytes());
            fmt.extend_from_slice(&SUBTYPE);
        } else if format_tag != PCM {
            fmt.extend_from_slice(&0_u16.to_le_bytes()); // bytes to come
        }
        fmt
    }

    /// Bytes of one sample of all channels.
    fn block_bytes(&self) -> u64 {
        (self.n_channels * self.sample_format.n_bytes()) as u64
    }

    /// What the file states as its size: all of it, padded to an even number, but the first 8 bytes.
    fn riff_bytes(&self, data_bytes: u64) -> u64 {
        let fact_bytes = if self.sample_format == SampleFormat::Float32 { CHUNK_HEADER_BYTES + 4 } else { 0 };
        let fmt_bytes = CHUNK_HEADER_BYTES + self.fmt().len() as u64;
        let form_bytes = 4;
        (form_bytes + DS64_BYTES + fmt_bytes + fact_bytes + CHUNK_HEADER_BYTES)
            .saturating_add(data_bytes)
            .saturating_add(data_bytes % 2)
            .saturating_add(self.chunk_bytes)
    }
}

fn push_chunk(header: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    header.extend_from_slice(name);
    header.extend_from_slice(&(content.len() as u32).to_le_bytes());
    header.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, process::Command};

    use super::*;

    const LIMIT: u64 = 1_000;

    #[test]
    fn a_file_that_grows_past_the_limit_becomes_rf64() {
        let spec = Spec { sample_rate: 48_000, n_channels: 2, channel_mask: None, n_samples: None };
        let file = written(&spec, SampleFormat::Float32, 400);
        assert_eq!(chunks(&file), ["RF64", "ds64", "fmt ", "fact", "data"]);
        assert_eq!(u32_at(&file, 4), u32::MAX);
        let (ds64, fact, data) = (12, 12 + 36 + 26, 12 + 36 + 26 + 12);
        assert_eq!(u32_at(&file, ds64 + 4), 28);
        assert_eq!(u64_at(&file, ds64 + 8), file.len() as u64 - 8, "size of the file");
        assert_eq!(u64_at(&file, ds64 + 16), 400 * 8, "size of the samples");
        assert_eq!(u64_at(&file, ds64 + 24), 400, "samples per channel");
        assert_eq!(u32_at(&file, ds64 + 32), 0, "entries of the table");
        assert_eq!((u32_at(&file, fact + 8), u32_at(&file, data + 4)), (u32::MAX, u32::MAX));
        assert_eq!(file.len(), data + 8 + 400 * 8);
    }

    #[test]
    fn a_file_that_stays_below_the_limit_becomes_riff() {
        let spec = Spec { sample_rate: 48_000, n_channels: 2, channel_mask: None, n_samples: None };
        let file = written(&spec, SampleFormat::Int16, 100);
        assert_eq!(chunks(&file), ["RIFF", "JUNK", "fmt ", "data"]);
        assert_eq!((u32_at(&file, 4) as usize, u32_at(&file, 12 + 36 + 24 + 4)), (file.len() - 8, 400));
    }

    #[test]
    fn a_known_size_is_stated_from_the_first_byte() {
        // What is left of a file whose writer was killed can be read.
        for (n_samples, expected) in [(464, "RIFF"), (465, "RF64")] {
            let spec = Spec { sample_rate: 48_000, n_channels: 1, channel_mask: None, n_samples: Some(n_samples) };
            let begun =
                Rf64::with_limit(Cursor::new(Vec::new()), &spec, SampleFormat::Int16, Vec::new(), LIMIT).unwrap();
            let file = written(&spec, SampleFormat::Int16, n_samples as usize);
            assert!(file.starts_with(begun.file.get_ref()), "{n_samples} samples");
            // 72 bytes of headers beside the samples count.
            assert_eq!(chunks(&file)[0], expected, "{n_samples} samples");
        }
    }

    #[test]
    fn an_odd_number_of_bytes_is_padded() {
        let spec = Spec { sample_rate: 48_000, n_channels: 1, channel_mask: None, n_samples: Some(5) };
        let file = written(&spec, SampleFormat::Int24, 5);
        assert_eq!((file.len(), u32_at(&file, 4), u32_at(&file, 76)), (80 + 16, 72 + 16, 15));
    }

    #[test]
    fn speakers_and_kind_of_samples_are_named_in_the_extensible_header() {
        for (channel_mask, expected) in [(None, 0), (Some(0x33), 0x33)] {
            let spec = Spec { sample_rate: 48_000, n_channels: 4, channel_mask, n_samples: Some(2) };
            let file = written(&spec, SampleFormat::Float32, 2);
            let fmt = &file[12 + 36..];
            assert_eq!((u32_at(fmt, 4), u16_at(fmt, 8), u16_at(fmt, 10)), (40, 0xFFFE, 4));
            assert_eq!((u32_at(fmt, 16), u16_at(fmt, 20), u16_at(fmt, 22)), (48_000 * 16, 16, 32));
            assert_eq!((u16_at(fmt, 24), u16_at(fmt, 26), u32_at(fmt, 28)), (22, 32, expected));
            // 00000003-0000-0010-8000-00AA00389B71
            let ieee_float = [3, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
            assert_eq!(fmt[32..48], ieee_float);
        }
    }

    #[test]
    fn ffmpeg_reads_rf64() {
        let spec = Spec { sample_rate: 48_000, n_channels: 3, channel_mask: Some(0x7), n_samples: None };
        let file = written(&spec, SampleFormat::Int24, 1_001);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        std::fs::write(&path, &file).unwrap();
        let output = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&path).args(["-f", "s24le", "-"]).output();
        match output {
            Err(_) => eprintln!("skipped: `ffmpeg` is not installed"),
            Ok(output) => assert!(output.stdout == samples(9 * 1_001), "{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// A file of so many samples per channel, RF64 past `LIMIT`.
    fn written(spec: &Spec, sample_format: SampleFormat, n_samples: usize) -> Vec<u8> {
        let mut rf64 = Rf64::with_limit(Cursor::new(Vec::new()), spec, sample_format, Vec::new(), LIMIT).unwrap();
        let samples = samples(n_samples * spec.n_channels * sample_format.n_bytes());
        let (first, second) = samples.split_at(samples.len() / 3);
        rf64.write(first).unwrap();
        rf64.write(second).unwrap();
        rf64.finish().unwrap().into_inner()
    }

    fn samples(n_bytes: usize) -> Vec<u8> {
        (0..n_bytes).map(|i| (i % 251) as u8).collect()
    }

    /// Names of the file and of its chunks up to `data`.
    fn chunks(file: &[u8]) -> Vec<&str> {
        let mut names = vec![str::from_utf8(&file[..4]).unwrap()];
        let mut start = 12;
        while names.last() != Some(&"data") {
            names.push(str::from_utf8(&file[start..start + 4]).unwrap());
            start += 8 + u32_at(file, start + 4) as usize;
        }
        names
    }

    fn u16_at(file: &[u8], start: usize) -> u16 {
        u16::from_le_bytes(file[start..start + 2].try_into().unwrap())
    }

    fn u32_at(file: &[u8], start: usize) -> u32 {
        u32::from_le_bytes(file[start..start + 4].try_into().unwrap())
    }

    fn u64_at(file: &[u8], start: usize) -> u64 {
        u64::from_le_bytes(file[start..start + 8].try_into().unwrap())
    }
}
