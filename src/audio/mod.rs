//! Sound in memory: [`Audio`], a block of samples with its sample rate and channel layout.
//! This file does no I/O; [`decode`] reads files and [`encode`] writes them.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};

use crate::{Error, Result};

pub mod decode;
pub mod encode;
pub mod gathered;
pub mod loudness;
pub mod resample;
pub mod spool;
pub mod tags;

/// A recording that can be read from its start to its end, as often as it takes: in memory ([`Audio`]) or in a file
/// ([`decode::AudioFile`]), of any length.
pub trait Recording {
    /// Samples per second and channel, in Hz.
    fn sample_rate(&self) -> u32;

    /// Number of channels, at least 1.
    fn n_channels(&self) -> usize;

    /// Speaker positions as in a WAV file's `dwChannelMask`, where they are known.
    fn channel_mask(&self) -> Option<u32>;

    /// Samples per channel where they are known beforehand. They may be wrong: good for a progress bar, not for an
    /// allocation.
    fn n_samples_hint(&self) -> Option<u64>;

    /// The time of the first sample, in seconds: for an excerpt, where it begins in the whole recording. All times that are
    /// given or told in seconds count from the start of that whole; samples and frames, from the first that is there.
    /// Default 0.
    fn start_s(&self) -> f64 {
        0.0
    }

    /// Hands over all samples in order, in blocks of `n_channels` x any number, every one finite.
    ///
    /// # Errors
    /// Those of the place the samples come from, and whatever `sink` returns; nothing is handed over after it.
    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()>;

    /// Hands over the samples of a range, counted per channel from the start of the recording, in order: the same bits
    /// that [`read`](Self::read) hands over there, in blocks of its own. A range that ends after the recording is cut
    /// there; one that begins after it hands over nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read), for what lies before the end of the range; nothing behind it is looked at.
    ///
    /// # Cost
    /// Unless a recording knows better, all before the range is read and dropped.
    ///
    /// # Examples
    /// ```
    /// use partita::audio::{Audio, Recording};
    /// let ramp = Audio::new(ndarray::Array2::from_shape_fn((1, 100), |(_, i)| i as f32), 8000)?;
    /// let mut read = Vec::new();
    /// ramp.read_range(97..1000, &mut |block| Ok(read.extend(block.iter().copied())))?;
    /// assert_eq!(read, [97.0, 98.0, 99.0]);
    /// # Ok::<(), partita::Error>(())
    /// ```
    fn read_range(&self, range: Range<u64>, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (mut position, mut is_over) = (0, false);
        let read = self.read(&mut |block| {
            let n_samples = block.ncols() as u64;
            // Within the block, so that they fit.
            let at = |sample: u64| sample.clamp(position, position + n_samples).abs_diff(position) as usize;
            let wanted = at(range.start)..at(range.end);
            if !wanted.is_empty() {
                sink(block.slice(s![.., wanted]))?;
            }
            position += n_samples;
            is_over = position >= range.end;
            // The only way to stop reading: what comes of it is no error.
            if is_over { Err(Error::Cancelled) } else { Ok(()) }
        });
        if is_over { Ok(()) } else { read }
    }
}

/// A recording, or a part of one: `n_channels` x `n_samples`, every sample finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    samples: Array2<f32>,
    sample_rate: u32,
    channel_mask: Option<u32>,
}

impl Audio {
    /// Takes samples as they are, after checking that they can be worked with.
    ///
    /// # Shapes and units
    /// | name | shape | unit |
    /// |---|---|---|
    /// | `samples` | `n_channels` x `n_samples` | full scale is -1 to 1; larger values are kept |
    /// | `sample_rate` | | Hz |
    ///
    /// # Errors
    /// [`Error::Setting`] without a channel or with a sample rate of 0; [`Error::NonFiniteSample`] on NaN, infinity
    /// or more than 1e12.
    ///
    /// # Examples
    /// ```
    /// let silence = partita::Audio::new(ndarray::Array2::zeros((2, 44_100)), 44_100)?;
    /// assert_eq!((silence.n_channels(), silence.duration_s()), (2, 1.0));
    /// # Ok::<(), partita::Error>(())
    /// ```
    pub fn new(samples: Array2<f32>, sample_rate: u32) -> Result<Self> {
        if samples.nrows() == 0 {
            return Err(Error::Setting {
                name: "n_channels",
                got: "0".into(),
                expected: "at least 1".into(),
                advice: None,
            });
        }
        if sample_rate == 0 {
            return Err(Error::Setting {
                name: "sample_rate",
                got: "0".into(),
                expected: "at least 1 Hz".into(),
                advice: None,
            });
        }
        check_finite(samples.view(), 0, sample_rate)?;
        Ok(Self { samples, sample_rate, channel_mask: None })
    }

    /// Names the speaker of each channel, as the bits of `dwChannelMask` in a WAV file do (1: front left, 2: front
    /// right, 4: front center, 8: low frequency, ...). `None`: not known, or simply mono or stereo.
    #[must_use]
    pub fn with_channel_mask(self, channel_mask: Option<u32>) -> Self {
        Self { channel_mask, ..self }
    }

    /// All samples, `n_channels` x `n_samples`.
    pub fn samples(&self) -> ArrayView2<'_, f32> {
        self.samples.view()
    }

    /// The samples of one channel, counted from 0.
    ///
    /// # Panics
    /// If `channel_idx >= n_channels()`.
    pub fn channel(&self, channel_idx: usize) -> ArrayView1<'_, f32> {
        self.samples.row(channel_idx)
    }

    /// Number of channels, at least 1.
    pub fn n_channels(&self) -> usize {
        self.samples.nrows()
    }

    /// Number of samples per channel.
    pub fn n_samples(&self) -> usize {
        self.samples.ncols()
    }

    /// Samples per second and channel, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Speaker positions as in a WAV file's `dwChannelMask`, where they are known.
    pub fn channel_mask(&self) -> Option<u32> {
        self.channel_mask
    }

    /// Length in seconds.
    pub fn duration_s(&self) -> f64 {
        self.n_samples() as f64 / f64::from(self.sample_rate)
    }

    /// Largest absolute sample; 0 for no samples.
    pub fn peak(&self) -> f32 {
        self.samples.iter().fold(0.0, |peak, x| x.abs().max(peak))
    }

    /// The samples from `start` on, `n_samples` of them or as many as there are.
    #[must_use]
    pub fn excerpt(&self, start: usize, n_samples: usize) -> Self {
        let start = start.min(self.n_samples());
        let end = start.saturating_add(n_samples).min(self.n_samples());
        Self { samples: self.samples.slice(s![.., start..end]).to_owned(), ..*self }
    }
}

impl Recording for Audio {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn n_channels(&self) -> usize {
        self.samples.nrows()
    }

    fn channel_mask(&self) -> Option<u32> {
        self.channel_mask
    }

    fn n_samples_hint(&self) -> Option<u64> {
        Some(self.n_samples() as u64)
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        self.samples.axis_chunks_iter(Axis(1), BLOCK_SAMPLES).try_for_each(sink)
    }

    fn read_range(&self, range: Range<u64>, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        let at = |sample: u64| usize::try_from(sample).unwrap_or(usize::MAX).min(self.n_samples());
        let (start, end) = (at(range.start), at(range.end));
        let wanted = self.samples.slice(s![.., start..end.max(start)]);
        wanted.axis_chunks_iter(Axis(1), BLOCK_SAMPLES).try_for_each(sink)
    }
}

/// Samples per channel that are handed over at once: 1.5 s at 44.1 kHz, half a megabyte for stereo.
pub(crate) const BLOCK_SAMPLES: usize = 1 << 16;

/// Largest sample that is worked with: 240 dB above full scale, far beyond integers that were written as floats. The
/// power of a spectrum of the longest transform of such samples (2^22) still fits into an `f32`.
const MAX_SAMPLE: f32 = 1e12;

/// Refuses the first NaN, infinity or sample beyond [`MAX_SAMPLE`] of a block that starts `first_sample` samples into the
/// recording.
pub(crate) fn check_finite(samples: ArrayView2<'_, f32>, first_sample: usize, sample_rate: u32) -> Result<()> {
    for (channel_idx, channel) in samples.outer_iter().enumerate() {
        // All at once, which is faster than up to the first.
        if channel.fold(true, |is_fine, x| is_fine & (x.abs() <= MAX_SAMPLE)) {
            continue;
        }
        if let Some((i, &value)) = channel.iter().enumerate().find(|(_, x)| x.is_nan() || x.abs() > MAX_SAMPLE) {
            let time_s = (first_sample + i) as f64 / f64::from(sample_rate);
            return Err(Error::NonFiniteSample { channel: channel_idx + 1, time_s, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_refused_with_its_place() {
        let mut samples = Array2::zeros((2, 100));
        samples[[1, 50]] = f32::NAN;
        let error = Audio::new(samples, 100).expect_err("NaN");
        assert_eq!(error.to_string(), "channel 2 has a sample that is NaN, at 0.500 s");
    }

    #[test]
    fn no_channels_and_no_rate_are_refused() {
        for (n_channels, sample_rate, expected) in [
            (0, 44_100, "`n_channels` is 0, expected at least 1"),
            (1, 0, "`sample_rate` is 0, expected at least 1 Hz"),
        ] {
            let error = Audio::new(Array2::zeros((n_channels, 5)), sample_rate).expect_err("nothing to work with");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn an_excerpt_past_the_end_is_cut_there() {
        let audio = Audio::new(Array2::zeros((1, 10)), 10).expect("audio");
        assert_eq!(audio.excerpt(8, 5).n_samples(), 2);
        assert_eq!(audio.excerpt(20, 5).n_samples(), 0);
    }
}
