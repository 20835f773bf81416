//! Plain WAV files, with the header that hound writes; the only file that knows it.
//! What hound cannot express, above all files of 4 GiB, is left to [`super::rf64`].

use std::io::{self, Write};

use hound::WavSpec;

use super::format::{SampleFormat, Spec, names_usual_speakers};
use super::rf64;

/// Whether hound can write such a file: of a known size that 32 bits hold, like its bytes per second, and of speakers
/// that its header has a place for.
pub(super) fn can_hold(spec: &Spec, sample_format: SampleFormat, chunks: &[u8]) -> bool {
    let block_bytes = (spec.n_channels * sample_format.n_bytes()) as u64;
    let byte_rate = u64::from(spec.sample_rate) * block_bytes;
    let has_place = is_extensible(spec, sample_format) || names_usual_speakers(spec.n_channels, spec.channel_mask);
    let max_data_bytes = (rf64::MAX_RIFF_BYTES - MAX_HEADER_BYTES).saturating_sub(chunks.len() as u64);
    spec.n_samples.is_some_and(|n_samples| n_samples.saturating_mul(block_bytes) <= max_data_bytes)
        && byte_rate <= u64::from(u32::MAX)
        && has_place
}

/// A WAV file on its way to `W`.
#[derive(Debug)]
pub(super) struct Wav<W> {
    file: W,
    /// Whether the samples are to be padded to an even number of bytes.
    is_odd: bool,
    /// What stands behind the samples.
    chunks: Vec<u8>,
}

impl<W: Write> Wav<W> {
    /// Writes the header, by hound, and into it what hound leaves out: the sizes, which are known ([`can_hold`]), and the
    /// speakers, which it guesses from their number. `chunks` will stand behind the samples.
    pub(super) fn new(mut file: W, spec: &Spec, sample_format: SampleFormat, chunks: Vec<u8>) -> io::Result<Self> {
        let wav_spec = WavSpec {
            channels: spec.n_channels as u16,
            sample_rate: spec.sample_rate,
            bits_per_sample: 8 * sample_format.n_bytes() as u16,
            sample_format: match sample_format {
                SampleFormat::Int16 | SampleFormat::Int24 => hound::SampleFormat::Int,
                SampleFormat::Float32 => hound::SampleFormat::Float,
            },
        };
        let mut header = wav_spec.into_header_for_infinite_file();
        let data_bytes = spec.n_samples.unwrap_or(0) * (spec.n_channels * sample_format.n_bytes()) as u64;
        let is_odd = data_bytes % 2 == 1;
        // The size of the file counts all that is put behind the samples.
        let riff_bytes = header.len() as u64 - 8 + data_bytes + u64::from(is_odd) + chunks.len() as u64;
        let data_size_at = header.len() - 4;
        put(&mut header, RIFF_SIZE_AT, riff_bytes as u32);
        put(&mut header, data_size_at, data_bytes as u32);
        if is_extensible(spec, sample_format) {
            let usual = match spec.n_channels {
                1 => 0x4,
                2 => 0x3,
                _ => 0,
            };
            put(&mut header, CHANNEL_MASK_AT, spec.channel_mask.unwrap_or(usual));
        }
        file.write_all(&header)?;
        Ok(Self { file, is_odd, chunks })
    }

    /// Appends interleaved little-endian samples.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Writes what stands behind the samples, all of which are there.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.is_odd {
            self.file.write_all(&[0])?;
        }
        self.file.write_all(&self.chunks)?;
        Ok(self.file)
    }
}

/// Where the header states the size of the file, in bytes, and the speakers.
const RIFF_SIZE_AT: usize = 4;
const CHANNEL_MASK_AT: usize = 40;

/// Bytes of hound's longer header, and one that may follow the samples.
const MAX_HEADER_BYTES: u64 = 68 + 1;

/// Whether hound writes the header that names speakers: for what the old one was not made for.
fn is_extensible(spec: &Spec, sample_format: SampleFormat) -> bool {
    spec.n_channels > 2 || sample_format != SampleFormat::Int16
}

fn put(header: &mut [u8], position: usize, number: u32) {
    header[position..position + 4].copy_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers_are_those_of_the_recording() {
        for (n_channels, channel_mask, expected) in [
            (1, None, 0x4),
            (1, Some(0x1), 0x1),
            (2, None, 0x3),
            (2, Some(0x30), 0x30),
            (4, None, 0),
            (4, Some(0x33), 0x33),
        ] {
            let spec = Spec { n_channels, channel_mask, ..mono(2) };
            let file = written(&spec, SampleFormat::Float32);
            assert_eq!((u32_at(&file, 16), &file[20..22], u32_at(&file, 40)), (40, &[0xFE, 0xFF][..], expected));
        }
    }

    #[test]
    fn int16_has_the_old_header_which_every_reader_knows() {
        let file = written(&mono(100), SampleFormat::Int16);
        assert_eq!((file.len(), u32_at(&file, 4), u32_at(&file, 16), u32_at(&file, 40)), (244, 236, 16, 200));
        assert_eq!(file[20..24], [1, 0, 1, 0]);
    }

    #[test]
    fn an_odd_number_of_bytes_is_padded_and_the_padding_counted() {
        let file = written(&mono(5), SampleFormat::Int24);
        assert_eq!((file.len(), u32_at(&file, 4), u32_at(&file, 64)), (68 + 16, 60 + 16, 15));
    }

    #[test]
    fn what_hound_cannot_express_is_left_to_others() {
        // 4 GiB less 2 bytes of counted size, 60 of them headers, and perhaps a byte of padding.
        let largest = (rf64::MAX_RIFF_BYTES - 69) / 2;
        let stereo = |channel_mask| Spec { n_channels: 2, channel_mask, ..mono(1) };
        for (spec, sample_format, expected) in [
            (mono(0), SampleFormat::Int16, true),
            (mono(largest), SampleFormat::Int16, true),
            (mono(largest + 1), SampleFormat::Int16, false),
            (mono(u64::MAX), SampleFormat::Float32, false),
            (Spec { n_samples: None, ..mono(1) }, SampleFormat::Int16, false),
            // More bytes per second than the header has bits for.
            (Spec { sample_rate: u32::MAX / 4, ..mono(1) }, SampleFormat::Float32, true),
            (Spec { sample_rate: u32::MAX / 4 + 1, ..mono(1) }, SampleFormat::Float32, false),
            // Speakers that the old header does not name.
            (stereo(Some(0x3)), SampleFormat::Int16, true),
            (stereo(Some(0x30)), SampleFormat::Int16, false),
            (stereo(Some(0x30)), SampleFormat::Int24, true),
        ] {
            assert_eq!(can_hold(&spec, sample_format, &[]), expected, "{spec:?} {sample_format:?}");
        }
    }

    fn mono(n_samples: u64) -> Spec {
        Spec { sample_rate: 48_000, n_channels: 1, channel_mask: None, n_samples: Some(n_samples) }
    }

    /// The bytes of a file of as many samples as announced.
    fn written(spec: &Spec, sample_format: SampleFormat) -> Vec<u8> {
        let n_samples = spec.n_samples.unwrap_or(0) as usize * spec.n_channels;
        let samples: Vec<u8> = (0..n_samples * sample_format.n_bytes()).map(|i| i as u8).collect();
        let mut wav = Wav::new(Vec::new(), spec, sample_format, Vec::new()).unwrap();
        wav.write(&samples).unwrap();
        let file = wav.finish().unwrap();
        let start = file.len() - samples.len() - samples.len() % 2;
        assert_eq!(file[start..start + samples.len()], samples);
        file
    }

    fn u32_at(file: &[u8], start: usize) -> u32 {
        u32::from_le_bytes(file[start..start + 4].try_into().unwrap())
    }
}
