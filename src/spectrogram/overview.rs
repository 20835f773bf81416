//! A recording in as many columns as a picture has: made frame by frame or block by block, in bounded memory.
//! Draws nothing.

use ndarray::{Array2, ArrayView2, Axis};

use super::bands::{Bands, N_CLASSES};
use super::constant_q::BANDS_PER_OCTAVE;
use super::frames::Frames;
use crate::stft::{Stft, StftConfig};

/// A recording in as many columns as a picture has, whatever its length: means over time, `n_columns` x `n_bins`.
///
/// The values are power for a spectrogram, and whatever was pushed otherwise (masks). Means of power keep the level of
/// a steady sound whatever the length of the recording, where a maximum would raise noise by some 10 dB.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    pub(super) values: Array2<f32>,
    pub(super) frames_per_column: usize,
    pub(super) sample_rate: u32,
    pub(super) bands: Bands,
    /// Where the first column begins.
    pub(super) first_frame: usize,
    span_s: (f64, f64),
    full_scale: f32,
}

impl Overview {
    /// Mean values, `n_columns` x the number of bands.
    pub fn values(&self) -> ArrayView2<'_, f32> {
        self.values.view()
    }

    /// Columns, at most what was asked for.
    pub fn n_columns(&self) -> usize {
        self.values.nrows()
    }

    /// Frames in each column but the last, which may hold fewer.
    pub fn frames_per_column(&self) -> usize {
        self.frames_per_column
    }

    /// Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// What the values of a column belong to.
    pub fn bands(&self) -> &Bands {
        &self.bands
    }

    /// What is shown of the recording, from its first sample on, in seconds.
    pub fn span_s(&self) -> (f64, f64) {
        self.span_s
    }

    /// Length in seconds; of an empty recording, one hop.
    pub fn duration_s(&self) -> f64 {
        self.span_s.1 - self.span_s.0
    }

    /// Power of a tone of amplitude 1 in each channel: what values of other transforms are compared by.
    pub fn full_scale(&self) -> f32 {
        self.full_scale
    }

    /// Of constant-Q bands, the power in each pitch class; anything else as it is.
    pub fn pitch_classes(self) -> Self {
        let Bands::ConstantQ { hop_length } = self.bands else { return self };
        let mut values = Array2::zeros((self.n_columns(), N_CLASSES));
        let per_semitone = BANDS_PER_OCTAVE / N_CLASSES;
        for (band_idx, powers) in self.values.axis_iter(Axis(1)).enumerate() {
            // The middle band of a semitone is its note.
            let class = (band_idx + per_semitone / 2) / per_semitone % N_CLASSES;
            values.column_mut(class).zip_mut_with(&powers, |sum, power| *sum += power);
        }
        Self { values, bands: Bands::PitchClasses { hop_length }, ..self }
    }

    /// The largest value, 0 for silence.
    pub fn peak(&self) -> f32 {
        self.values.iter().copied().fold(0.0, f32::max)
    }

    /// The share of each of several powers in their sum, from 0 to 1; where all are 0, all share alike.
    ///
    /// # Panics
    /// If they have not one shape.
    pub fn shares(powers: &[Self]) -> Vec<Self> {
        let Some(first) = powers.first() else { return Vec::new() };
        let total = powers.iter().fold(Array2::<f32>::zeros(first.values.raw_dim()), |sum, power| sum + &power.values);
        let even = 1.0 / powers.len() as f32;
        let share = |power: &Self| {
            let mut values = power.values.clone();
            values.zip_mut_with(&total, |x, total| *x = if *total > 0.0 { *x / total } else { even });
            Self { values, ..power.clone() }
        };
        powers.iter().map(share).collect()
    }
}

/// Makes an [`Overview`] frame by frame, without knowing how many will come.
///
/// Columns start with one frame each; whenever they run out, neighbors are joined, and each holds twice as many.
///
/// # Cost
/// Memory of `max_columns` x `n_bins` x 4 bytes, whatever the number of frames; between half of `max_columns` and all of
/// them are filled in the end (if there are as many frames).
#[derive(Debug, Clone)]
pub struct OverviewBuilder {
    bands: Bands,
    n_bands: usize,
    full_scale: f32,
    sample_rate: u32,
    /// Even, so that columns join in pairs.
    max_columns: usize,
    frames_per_column: usize,
    first_frame: usize,
    /// Those from the first on.
    n_frames: usize,
    /// Sums over the frames of each column, one after the other.
    sums: Vec<f32>,
}

impl OverviewBuilder {
    /// Starts without frames. `max_columns` is rounded up to an even number.
    pub fn new(config: &StftConfig, sample_rate: u32, max_columns: usize) -> Self {
        let sum: f32 = config.window.values(config.win_length).iter().sum();
        Self::of_bands(Bands::Fourier(*config), config.n_bins(), 0.25 * sum * sum, sample_rate, max_columns)
    }

    /// Starts without frames of `n_bands` values, in which a tone of amplitude 1 has a power of `full_scale`.
    pub(super) fn of_bands(
        bands: Bands,
        n_bands: usize,
        full_scale: f32,
        sample_rate: u32,
        max_columns: usize,
    ) -> Self {
        Self {
            bands,
            n_bands,
            full_scale,
            sample_rate,
            max_columns: max_columns.clamp(2, usize::MAX - 1).next_multiple_of(2),
            frames_per_column: 1,
            first_frame: 0,
            n_frames: 0,
            sums: Vec::new(),
        }
    }

    /// With so many frames in each column, whatever becomes of their number.
    pub(super) fn with_frames_per_column(self, frames_per_column: usize) -> Self {
        Self { frames_per_column, max_columns: usize::MAX - 1, ..self }
    }

    /// With frames that are sums over so many channels.
    pub(super) fn with_added(self, n_channels: f32) -> Self {
        Self { full_scale: n_channels * self.full_scale, ..self }
    }

    /// Frames since the columns were last taken.
    pub(super) fn n_frames(&self) -> usize {
        self.n_frames
    }

    fn n_columns(&self) -> usize {
        self.n_frames.div_ceil(self.frames_per_column)
    }

    /// Takes the next frame: a value for each bin, power for a spectrogram. Missing values count as 0, more are ignored.
    pub fn push(&mut self, frame: impl IntoIterator<Item = f32>) {
        if self.n_frames == self.max_columns.saturating_mul(self.frames_per_column) {
            self.join_columns();
        }
        if self.n_frames.is_multiple_of(self.frames_per_column) {
            self.sums.resize(self.sums.len() + self.n_bands, 0.0);
        }
        self.n_frames += 1;
        let start = self.sums.len() - self.n_bands;
        self.sums[start..].iter_mut().zip(frame).for_each(|(sum, x)| *sum += x);
    }

    /// Ends the recording, which had `n_samples` per channel.
    pub fn finish(mut self, n_samples: usize) -> Overview {
        if self.n_frames == 0 {
            self.push([]);
        }
        let hop_length = match self.bands {
            Bands::Fourier(config) => config.hop_length.min(config.n_fft),
            Bands::ConstantQ { hop_length } | Bands::PitchClasses { hop_length } => hop_length,
        };
        let duration_s = n_samples.max(hop_length) as f64 / f64::from(self.sample_rate);
        self.take((0.0, duration_s))
    }

    /// Parts with the columns so far, and goes on behind them. Each column lies around the centers of its frames.
    pub(super) fn take_columns(&mut self) -> Overview {
        let hop_s = self.bands.hop_length() as f64 / f64::from(self.sample_rate);
        let edge_s = |frame: usize| (frame as f64 - 0.5) * hop_s;
        let end = self.first_frame + self.n_columns() * self.frames_per_column;
        self.take((edge_s(self.first_frame), edge_s(end)))
    }

    fn take(&mut self, span_s: (f64, f64)) -> Overview {
        let per_column = self.frames_per_column;
        let shape = (self.n_columns(), self.n_bands);
        let mut values = Array2::from_shape_vec(shape, std::mem::take(&mut self.sums)).expect("whole columns");
        for (column, mut bins) in values.outer_iter_mut().enumerate() {
            let in_column = per_column.min(self.n_frames - column * per_column) as f32;
            bins.mapv_inplace(|sum| sum / in_column);
        }
        let first_frame = self.first_frame;
        (self.first_frame, self.n_frames) = (first_frame + self.n_frames, 0);
        Overview {
            values,
            frames_per_column: per_column,
            sample_rate: self.sample_rate,
            bands: self.bands,
            first_frame,
            span_s,
            full_scale: self.full_scale,
        }
    }

    fn join_columns(&mut self) {
        let n_bins = self.n_bands;
        for column in 0..self.max_columns / 2 {
            for bin_idx in 0..n_bins {
                let (left, right) = (2 * column * n_bins + bin_idx, (2 * column + 1) * n_bins + bin_idx);
                self.sums[column * n_bins + bin_idx] = self.sums[left] + self.sums[right];
            }
        }
        self.sums.truncate(self.max_columns / 2 * n_bins);
        self.frames_per_column *= 2;
    }
}

/// Makes an [`Overview`] of a recording that comes block by block.
///
/// # Cost
/// That of [`OverviewBuilder`], and for each block its frames.
///
/// # Examples
/// ```
/// use partita::spectrogram::OverviewStream;
/// use partita::{Stft, StftConfig};
/// let stft = Stft::new(StftConfig::new(512))?;
/// let mut stream = OverviewStream::new(&stft, 8000, 2, 100);
/// for _ in 0..50 {
///     stream.push(ndarray::Array2::<f32>::ones((2, 1000)).view());
/// }
/// assert_eq!(stream.finish().n_columns(), 98);
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug)]
pub struct OverviewStream<'a> {
    frames: Frames<'a>,
    builder: OverviewBuilder,
    n_samples: usize,
}

impl<'a> OverviewStream<'a> {
    /// Starts a recording of `n_channels`, to be shown in at most `max_columns`.
    pub fn new(stft: &'a Stft, sample_rate: u32, n_channels: usize, max_columns: usize) -> Self {
        Self {
            frames: Frames::of_stft(stft, n_channels),
            builder: OverviewBuilder::new(stft.config(), sample_rate, max_columns).with_added(n_channels as f32),
            n_samples: 0,
        }
    }

    /// Takes the next block, `n_channels` x any number of samples.
    ///
    /// # Panics
    /// If the block has not `n_channels` rows.
    pub fn push(&mut self, block: ArrayView2<'_, f32>) {
        self.n_samples += block.ncols();
        let builder = &mut self.builder;
        self.frames.push(block, &mut |_, frame| builder.push(frame.iter().copied()));
    }

    /// Ends the recording.
    pub fn finish(self) -> Overview {
        let mut builder = self.builder;
        self.frames.finish(&mut |_, frame| builder.push(frame.iter().copied()));
        builder.finish(self.n_samples)
    }
}

/// Overviews for tests.
#[cfg(test)]
pub(super) mod made {
    use super::*;

    /// Power of `n_frames` frames, each bin of each frame another number.
    pub(in super::super) fn frames(n_frames: usize, n_bins: usize) -> Array2<f32> {
        Array2::from_shape_fn((n_frames, n_bins), |(frame, bin)| ((frame * 31 + bin * 17) % 101) as f32)
    }

    pub(in super::super) fn overview_of(frames: &Array2<f32>, config: &StftConfig, max_columns: usize) -> Overview {
        let mut builder = OverviewBuilder::new(config, 8000, max_columns);
        frames.outer_iter().for_each(|frame| builder.push(frame.iter().copied()));
        builder.finish(frames.nrows() * config.hop_length)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;

    use super::made::{frames, overview_of};
    use super::*;

    #[test]
    fn pooled_frames_are_the_means_of_their_columns() {
        let config = StftConfig::new(16);
        for n_frames in [1, 2, 7, 8, 9, 16, 17, 100, 1000, 1025] {
            let frames = frames(n_frames, config.n_bins());
            let overview = overview_of(&frames, &config, 8);
            let per_column = overview.frames_per_column();
            assert_eq!(overview.n_columns(), n_frames.div_ceil(per_column), "{n_frames} frames");
            assert!(overview.n_columns() <= 8 && (n_frames <= 8 || overview.n_columns() > 4), "{n_frames} frames");
            for (column, chunk) in frames.axis_chunks_iter(Axis(0), per_column).enumerate() {
                let mean = chunk.mean_axis(Axis(0)).expect("frames");
                for (bin, (x, expected)) in overview.values().row(column).iter().zip(&mean).enumerate() {
                    // Sums of whole numbers below 2^24 are exact; the division rounds once, in either order.
                    assert!((x - expected).abs() <= 1e-5 * expected, "column {column}, bin {bin}: {x}, {expected}");
                }
            }
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_recording() {
        let config = StftConfig::new(64);
        let mut builder = OverviewBuilder::new(&config, 44_100, 20);
        let frame = vec![1.0; config.n_bins()];
        for _ in 0..100_000 {
            builder.push(frame.iter().copied());
            assert!(builder.sums.len() <= 20 * config.n_bins());
        }
        // `Vec` grows by doubling.
        assert!(builder.sums.capacity() <= 2 * 20 * config.n_bins(), "{}", builder.sums.capacity());
        assert!(builder.finish(1).values().iter().all(|x| *x == 1.0), "the level of a steady sound stays");
    }
}
