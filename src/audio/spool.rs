//! A recording that was decoded once, in a temporary file: any part of it is read at once, and it never is in memory.
//! Knows no format but its own: samples as they are in memory, those of all channels side by side.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use super::{BLOCK_SAMPLES, Recording};
use crate::{Error, Result};

/// A recording that was decoded once, in a temporary file without a name: 32 bits for each sample, 1.27 GB for an hour of
/// stereo at 44.1 kHz. Any range is read without what is before it, from any number of threads.
///
/// # Examples
/// ```
/// use partita::audio::{Audio, Recording, spool::Spool};
/// let ramp = Audio::new(ndarray::Array2::from_shape_fn((2, 100_000), |(c, i)| (c + i) as f32), 8000)?;
/// let spool = Spool::of(&ramp, &mut |_| Ok(()))?;
/// let mut read = Vec::new();
/// spool.read_range(99_998..200_000, &mut |block| Ok(read.extend(block.iter().copied())))?;
/// assert_eq!(read, [99_998.0, 99_999.0, 99_999.0, 100_000.0]);
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug)]
pub struct Spool {
    file: File,
    sample_rate: u32,
    n_channels: usize,
    channel_mask: Option<u32>,
    start_s: f64,
    /// Per channel.
    n_samples: u64,
}

/// Bytes of a sample.
const SAMPLE_BYTES: usize = size_of::<f32>();

impl Spool {
    /// Reads a recording once, and hands each block to `seen` when it is on its way to the file.
    ///
    /// # Errors
    /// [`Error::Spool`] where the temporary file cannot be written, those of the recording, and whatever `seen` returns.
    ///
    /// # Cost
    /// One pass, and 4 bytes on the disk for each sample of each channel. Memory for a block.
    pub fn of(recording: &dyn Recording, seen: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<Self> {
        let refused = |source| Error::Spool { source };
        let mut file = BufWriter::with_capacity(1 << 20, tempfile::tempfile().map_err(refused)?);
        let mut bytes = Vec::new();
        let mut n_samples = 0;
        recording.read(&mut |block| {
            bytes.clear();
            bytes.reserve(block.len() * SAMPLE_BYTES);
            // The file has the samples of all channels side by side, so that a range is one piece.
            for column in block.columns() {
                column.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
            }
            file.write_all(&bytes).map_err(refused)?;
            n_samples += block.ncols() as u64;
            seen(block)
        })?;
        Ok(Self {
            file: file.into_inner().map_err(|error| refused(error.into_error()))?,
            sample_rate: recording.sample_rate(),
            n_channels: recording.n_channels(),
            channel_mask: recording.channel_mask(),
            start_s: recording.start_s(),
            n_samples,
        })
    }

    /// Samples per channel.
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }
}

impl Recording for Spool {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn n_channels(&self) -> usize {
        self.n_channels
    }

    fn channel_mask(&self) -> Option<u32> {
        self.channel_mask
    }

    fn n_samples_hint(&self) -> Option<u64> {
        Some(self.n_samples)
    }

    fn start_s(&self) -> f64 {
        self.start_s
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        self.read_range(0..self.n_samples, sink)
    }

    fn read_range(&self, range: Range<u64>, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        let row_bytes = self.n_channels * SAMPLE_BYTES;
        // No more memory for a thousand channels than for two.
        let block_samples = (2 * BLOCK_SAMPLES / self.n_channels.max(2)).max(1) as u64;
        let (mut start, end) = (range.start, range.end.min(self.n_samples));
        let mut bytes = Vec::new();
        while start < end {
            let n_samples = (end - start).min(block_samples) as usize;
            bytes.resize(n_samples * row_bytes, 0);
            let read = read_at(&self.file, &mut bytes, start * row_bytes as u64);
            read.map_err(|source| Error::Spool { source })?;
            let mut block = Array2::zeros((self.n_channels, n_samples));
            for (channel_idx, mut channel) in block.outer_iter_mut().enumerate() {
                let samples = bytes.chunks_exact(SAMPLE_BYTES).skip(channel_idx).step_by(self.n_channels);
                channel.iter_mut().zip(samples).for_each(|(x, bytes)| {
                    *x = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                });
            }
            sink(block.view())?;
            start += n_samples as u64;
        }
        Ok(())
    }
}

/// Fills the buffer from this place of the file on, whatever other threads read.
#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills the buffer from this place of the file on, whatever other threads read.
#[cfg(windows)]
fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                buffer = &mut buffer[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Audio;

    #[test]
    fn any_range_is_that_of_the_recording() {
        let samples = Array2::from_shape_fn((3, 150_000), |(channel, i)| ((channel + 1) * i % 977) as f32 - 400.5);
        let audio = Audio::new(samples, 48_000).expect("audio").with_channel_mask(Some(7));
        let mut n_seen = 0;
        let spool = Spool::of(&audio, &mut |block| {
            n_seen += block.ncols();
            Ok(())
        });
        let spool = spool.expect("spool");
        assert_eq!((n_seen, spool.n_samples()), (150_000, 150_000));
        assert_eq!((spool.sample_rate(), spool.channel_mask()), (48_000, Some(7)));
        for (from, to) in [(0, 150_000), (0, 0), (1, 2), (43_689, 43_692), (149_999, 150_000), (149_000, 999_999)] {
            let read = |recording: &dyn Recording| {
                let mut samples = vec![Vec::<f32>::new(); 3];
                let mut append = |block: ArrayView2<'_, f32>| {
                    samples.iter_mut().zip(block.outer_iter()).for_each(|(all, channel)| all.extend(channel));
                    Ok(())
                };
                recording.read_range(from..to, &mut append).expect("range");
                samples
            };
            assert_eq!(read(&spool), read(&audio), "samples {from} to {to}");
        }
    }

    #[test]
    fn what_stops_the_reader_stops_the_spool() {
        let audio = Audio::new(Array2::zeros((1, 200_000)), 8000).expect("audio");
        let mut n_blocks = 0;
        let spool = Spool::of(&audio, &mut |_| {
            n_blocks += 1;
            Err(Error::Cancelled)
        });
        assert!(matches!(spool, Err(Error::Cancelled)));
        assert_eq!(n_blocks, 1);
    }
}
