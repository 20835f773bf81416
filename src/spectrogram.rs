//! Magnitudes of a recording over time and frequency, and the scales they are looked at in: mel, logarithm, decibel.
//! An [`Overview`] holds a recording of any length in as many columns as a picture has; drawing it is not done here.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::error::Advice;
use crate::stft::{Analyzer, Stft, StftConfig};
use crate::{Audio, Error, Result};

/// Magnitudes of one recording, `n_frames` x `n_bins`: time-major, as the transform makes them.
///
/// Several channels are one spectrogram, the root of the channel-summed power.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// `n_frames` x `n_bins`.
    pub(crate) magnitude: Array2<f32>,
    /// Hz.
    pub(crate) sample_rate: u32,
    /// Samples per channel of the recording.
    pub(crate) n_samples: usize,
    /// How it was made.
    pub(crate) config: StftConfig,
}

impl Spectrogram {
    /// Transforms a recording, all channels into one spectrogram.
    ///
    /// # Cost
    /// That of [`Stft::magnitude`]; 4 bytes for each frame and bin. For a long recording of which only a picture is
    /// wanted, see [`OverviewStream`].
    pub fn new(audio: &Audio, stft: &Stft) -> Self {
        Self {
            magnitude: stft.magnitude(audio.samples()),
            sample_rate: audio.sample_rate(),
            n_samples: audio.n_samples(),
            config: *stft.config(),
        }
    }

    /// Magnitudes, `n_frames` x `n_bins`.
    pub fn magnitude(&self) -> ArrayView2<'_, f32> {
        self.magnitude.view()
    }

    /// Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples per channel of the recording.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// How it was made.
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// The mean power over time, in at most `max_columns` columns: what a picture needs.
    ///
    /// # Examples
    /// ```
    /// use partita::{Audio, Spectrogram, Stft, StftConfig};
    /// let stft = Stft::new(StftConfig::new(512))?;
    /// let audio = Audio::new(ndarray::Array2::ones((1, 100_000)), 8000)?;
    /// let overview = Spectrogram::new(&audio, &stft).overview(300);
    /// assert_eq!((overview.n_columns(), overview.frames_per_column()), (196, 4));
    /// # Ok::<(), partita::Error>(())
    /// ```
    pub fn overview(&self, max_columns: usize) -> Overview {
        let mut builder = OverviewBuilder::new(&self.config, self.sample_rate, max_columns);
        for frame in self.magnitude.outer_iter() {
            builder.push(frame.iter().map(|x| x * x));
        }
        builder.finish(self.n_samples)
    }
}

/// What a frequency axis is spaced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrequencyScale {
    /// Hz: equal steps for equal differences.
    Linear,
    /// Octaves: equal steps for equal ratios, as notes are spaced. The default, because recordings are mostly music.
    #[default]
    Log,
    /// Mel: linear to 1 kHz, logarithmic above, see [`hz_to_mel`].
    Mel,
}

impl FrequencyScale {
    /// All scales.
    pub const ALL: [Self; 3] = [Self::Linear, Self::Log, Self::Mel];

    /// The scale's name, as the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Log => "log",
            Self::Mel => "mel",
        }
    }

    /// From Hz to the unit in which the scale is even. `Log` has no place for 0 Hz.
    fn position(self, hz: f64) -> f64 {
        match self {
            Self::Linear => hz,
            Self::Log => hz.log2(),
            Self::Mel => hz_to_mel(hz),
        }
    }

    fn hz(self, position: f64) -> f64 {
        match self {
            Self::Linear => position,
            Self::Log => position.exp2(),
            Self::Mel => mel_to_hz(position),
        }
    }
}

/// Where the mel scale turns from linear to logarithmic.
const MEL_BREAK_HZ: f64 = 1000.0;
/// Hz per mel below the break.
const MEL_STEP_HZ: f64 = 200.0 / 3.0;
/// Mels per factor of e above the break: 27 mels for a factor of 6.4.
const MEL_PER_E: f64 = 27.0 / 1.856_297_990_365_626; // ln 6.4

/// From Hz to mel, by Slaney's definition (librosa's default, not HTK's): linear to 1 kHz, logarithmic above.
///
/// # References
/// M. Slaney, "Auditory Toolbox, version 2", Interval Research, technical report 1998-010, 1998, `MakeMel`.
pub fn hz_to_mel(hz: f64) -> f64 {
    if hz < MEL_BREAK_HZ { hz / MEL_STEP_HZ } else { MEL_BREAK_HZ / MEL_STEP_HZ + MEL_PER_E * (hz / MEL_BREAK_HZ).ln() }
}

/// The inverse of [`hz_to_mel`].
pub fn mel_to_hz(mel: f64) -> f64 {
    let mel_break = MEL_BREAK_HZ / MEL_STEP_HZ;
    if mel < mel_break { mel * MEL_STEP_HZ } else { MEL_BREAK_HZ * ((mel - mel_break) / MEL_PER_E).exp() }
}

/// Triangular filters at equal steps on the mel scale, each of the same area (`librosa.filters.mel`'s defaults).
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `range_hz` | | Hz, from the lowest filter's lower edge to the highest filter's upper edge |
/// | result | `n_mels` x `n_bins` | per Hz |
///
/// # Errors
/// [`Error::Setting`] if `range_hz` is not an increasing pair of finite numbers of at least 0.
pub fn mel_filterbank(
    config: &StftConfig,
    sample_rate: u32,
    n_mels: usize,
    (min_hz, max_hz): (f64, f64),
) -> Result<Array2<f32>> {
    if !(0.0 <= min_hz && min_hz < max_hz && max_hz.is_finite()) {
        return Err(range_error(min_hz, max_hz, "0 or more, and rising"));
    }
    let (low, high) = (hz_to_mel(min_hz), hz_to_mel(max_hz));
    let corner_hz = |i: usize| mel_to_hz(low + (high - low) * i as f64 / (n_mels + 1) as f64);
    Ok(Array2::from_shape_fn((n_mels, config.n_bins()), |(i, bin_idx)| {
        let hz = config.bin_hz(bin_idx, sample_rate);
        let (left, center, right) = (corner_hz(i), corner_hz(i + 1), corner_hz(i + 2));
        let triangle = ((hz - left) / (center - left)).min((right - hz) / (right - center)).max(0.0);
        (triangle * 2.0 / (right - left)) as f32
    }))
}

/// A frequency axis: a scale, and the part of it that is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrequencyAxis {
    scale: FrequencyScale,
    min_hz: f64,
    max_hz: f64,
}

/// Where a logarithmic axis starts if nothing else is asked for, in Hz: the lowest frequency that is heard as a tone.
const LOWEST_TONE_HZ: f64 = 20.0;

impl FrequencyAxis {
    /// An axis over the bins of a transform, or the part of them from `min_hz` to `max_hz`.
    ///
    /// Without a lower end it starts at 0 Hz; on [`FrequencyScale::Log`] at 20 Hz or the first bin, whichever is higher.
    ///
    /// # Errors
    /// [`Error::Setting`] if the ends do not rise, lie outside 0 Hz to half the sample rate, or start a logarithmic
    /// axis at 0.
    pub fn new(
        scale: FrequencyScale,
        config: &StftConfig,
        sample_rate: u32,
        min_hz: Option<f64>,
        max_hz: Option<f64>,
    ) -> Result<Self> {
        let nyquist_hz = f64::from(sample_rate) / 2.0;
        let lowest_hz = match scale {
            FrequencyScale::Log => config.bin_hz(1, sample_rate).max(LOWEST_TONE_HZ).min(nyquist_hz / 2.0),
            FrequencyScale::Linear | FrequencyScale::Mel => 0.0,
        };
        let (min_hz, max_hz) = (min_hz.unwrap_or(lowest_hz), max_hz.unwrap_or(nyquist_hz));
        let starts_right = if scale == FrequencyScale::Log { min_hz > 0.0 } else { min_hz >= 0.0 };
        if !(starts_right && min_hz < max_hz && max_hz <= nyquist_hz) {
            let start = if scale == FrequencyScale::Log { "above 0" } else { "0 or more" };
            return Err(range_error(min_hz, max_hz, &format!("{start}, rising, and at most {nyquist_hz}")));
        }
        Ok(Self { scale, min_hz, max_hz })
    }

    /// What it is spaced by.
    pub fn scale(&self) -> FrequencyScale {
        self.scale
    }

    /// Its two ends, in Hz.
    pub fn range_hz(&self) -> (f64, f64) {
        (self.min_hz, self.max_hz)
    }

    /// Where a frequency lies: 0 at the lower end of the axis, 1 at the upper.
    pub fn fraction(&self, hz: f64) -> f64 {
        let (low, high) = (self.scale.position(self.min_hz), self.scale.position(self.max_hz));
        (self.scale.position(hz) - low) / (high - low)
    }

    /// The frequency at a place, the inverse of [`FrequencyAxis::fraction`].
    pub fn hz(&self, fraction: f64) -> f64 {
        let (low, high) = (self.scale.position(self.min_hz), self.scale.position(self.max_hz));
        self.scale.hz(low + fraction * (high - low))
    }

    /// The bins under each of `n_rows` rows of a picture, highest frequency first.
    pub(crate) fn rows(&self, hz_per_bin: f64, n_rows: usize) -> Vec<Cell> {
        let bin = |row: usize| self.hz(1.0 - row as f64 / n_rows as f64) / hz_per_bin + 0.5;
        (0..n_rows).map(|row| Cell { start: bin(row + 1), end: bin(row) }).collect()
    }
}

fn range_error(min_hz: f64, max_hz: f64, expected: &str) -> Error {
    Error::Setting {
        name: "range_hz",
        got: format!("{min_hz} to {max_hz}"),
        expected: expected.into(),
        advice: Some(Advice::plain("leave the range out to see every frequency").into()),
    }
}

/// How a value becomes a brightness from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Level {
    /// Values are power; brightness 1 is `peak`, and 0 is `range_db` below it. Without a peak all is dark.
    Decibel {
        /// The power at 0 dB.
        peak: f32,
        /// dB from bright to dark, above 0.
        range_db: f32,
    },
    /// Values are their own brightness.
    Linear,
}

impl Level {
    /// The brightness of a value: 0 to 1, and 0 for NaN.
    pub fn brightness(self, value: f32) -> f32 {
        let brightness = match self {
            Self::Decibel { peak, .. } if peak <= 0.0 => 0.0,
            Self::Decibel { peak, range_db } => 1.0 + 10.0 * (value / peak).log10() / range_db,
            Self::Linear => value,
        };
        if brightness.is_nan() { 0.0 } else { brightness.clamp(0.0, 1.0) }
    }
}

/// A recording in as many columns as a picture has, whatever its length: means over time, `n_columns` x `n_bins`.
///
/// The values are power for a spectrogram, and whatever was pushed otherwise (masks). Means of power keep the level of
/// a steady sound whatever the length of the recording, where a maximum would raise noise by some 10 dB.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    values: Array2<f32>,
    frames_per_column: usize,
    sample_rate: u32,
    n_samples: usize,
    config: StftConfig,
}

impl Overview {
    /// Mean values, `n_columns` x `n_bins`.
    pub fn values(&self) -> ArrayView2<'_, f32> {
        self.values.view()
    }

    /// Columns, at most what was asked for.
    pub fn n_columns(&self) -> usize {
        self.values.nrows()
    }

    /// Frames in each column but the last, which may hold fewer: a power of two.
    pub fn frames_per_column(&self) -> usize {
        self.frames_per_column
    }

    /// Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The transform it comes from.
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// Length in seconds; of an empty recording, one hop.
    pub fn duration_s(&self) -> f64 {
        self.n_samples.max(self.config.hop_length.min(self.config.n_fft)) as f64 / f64::from(self.sample_rate)
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

    /// Resamples to a picture of exactly `n_columns` x `n_rows` of brightness, 0 to 1, highest frequency first.
    ///
    /// Where a cell of the picture covers several frames, they are averaged; where it covers several bins, the loudest
    /// counts (for [`Level::Linear`], the mean); where it covers a part of one, the brightness is interpolated.
    ///
    /// # Shapes and units
    /// The result is `n_rows` x `n_columns`, over all of [`Overview::duration_s`] and of `axis`.
    pub fn raster(&self, axis: &FrequencyAxis, level: Level, n_columns: usize, n_rows: usize) -> Array2<f32> {
        let rows = axis.rows(f64::from(self.sample_rate) / self.config.n_fft as f64, n_rows);
        let columns_per_s =
            f64::from(self.sample_rate) / (self.config.hop_length as f64 * self.frames_per_column as f64);
        // Frame 0 is centered on time 0.
        let before = 0.5 / self.frames_per_column as f64;
        let columns = Cell::evenly(before, before + self.duration_s() * columns_per_s, n_columns);

        let resample = |bins: &[f32]| -> Vec<f32> { rows.iter().map(|row| row.brightness(bins, level)).collect() };
        // Time-major, `n_columns` x `n_rows`, turned at the end.
        let brightness: Vec<Vec<f32>> = if columns.first().is_some_and(Cell::is_wide) {
            columns.par_iter().map(|column| resample(&column.mean_row(self.values.view()))).collect()
        } else {
            let each: Vec<Vec<f32>> = self.values.axis_iter(Axis(0)).map(|bins| resample(&bins.to_vec())).collect();
            columns.iter().map(|column| column.between(&each)).collect()
        };
        Array2::from_shape_fn((n_rows, n_columns), |(row, column)| brightness[column][row])
    }
}

/// A cell of a picture, as the span that it covers of a list: value `i` reaches from `i` to `i + 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) start: f64,
    pub(crate) end: f64,
}

impl Cell {
    /// `n_cells` cells evenly from one place of a list to another.
    pub(crate) fn evenly(start: f64, end: f64, n_cells: usize) -> Vec<Self> {
        let edge = |i: usize| start + (end - start) * i as f64 / n_cells as f64;
        (0..n_cells).map(|i| Self { start: edge(i), end: edge(i + 1) }).collect()
    }

    /// Grown to the whole value around its center if it covers less than one, so that nothing is interpolated.
    #[cfg(feature = "plot")]
    pub(crate) fn whole(self) -> Self {
        let value = (0.5 * (self.start + self.end)).floor();
        if self.is_wide() { self } else { Self { start: value, end: value + 1.0 } }
    }

    /// The largest of the values that it covers by half or more, so that each value counts in some cell; where it
    /// covers less than one, interpolated. 0 for no values.
    pub(crate) fn largest(&self, values: &[f32]) -> f32 {
        // A little less than half, because cells are rounded.
        let in_cell = self.covered(values.len()).filter(|(_, share)| *share > 0.499);
        let largest = in_cell.filter_map(|(i, _)| values.get(i)).copied().reduce(f32::max);
        match largest {
            Some(largest) if self.is_wide() => largest,
            _ => self.interpolated(|i| values.get(i).copied().unwrap_or(0.0), values.len()),
        }
    }

    /// Whether it covers a whole value, so that values are pooled rather than interpolated.
    pub(crate) fn is_wide(&self) -> bool {
        self.end - self.start >= 1.0
    }

    /// The values it covers, each with the covered share; at least one if there are any.
    pub(crate) fn covered(&self, n_values: usize) -> impl Iterator<Item = (usize, f32)> + use<> {
        let end = self.end.min(n_values as f64);
        let start = self.start.clamp(0.0, (end - 1.0).max(0.0));
        (start as usize..(end.ceil() as usize).min(n_values))
            .map(move |i| (i, ((i as f64 + 1.0).min(end) - (i as f64).max(start)).max(0.0) as f32))
    }

    /// The two values whose centers the cell's center lies between, and how far it is from the first to the second.
    pub(crate) fn neighbors(&self, n_values: usize) -> (usize, usize, f32) {
        let last = n_values.saturating_sub(1);
        let center = (0.5 * (self.start + self.end) - 0.5).clamp(0.0, last as f64);
        (center as usize, (center as usize + 1).min(last), center.fract() as f32)
    }

    /// The brightness of the cell over a list of values: interpolated, or where it covers several that of the largest
    /// power, so that a tone among many bins stays as bright as it is, and otherwise that of the mean.
    pub(crate) fn brightness(&self, values: &[f32], level: Level) -> f32 {
        match level {
            _ if !self.is_wide() => {
                let at = |i: usize| values.get(i).map_or(0.0, |value| level.brightness(*value));
                self.interpolated(at, values.len())
            }
            Level::Decibel { .. } => level.brightness(self.largest(values)),
            Level::Linear => {
                let (sum, total) = self
                    .covered(values.len())
                    .filter_map(|(i, share)| values.get(i).map(|value| (share * value, share)))
                    .fold((0.0, 0.0), |(sum, total), (value, share)| (sum + value, total + share));
                level.brightness(sum / total)
            }
        }
    }

    fn interpolated(&self, at: impl Fn(usize) -> f32, n_values: usize) -> f32 {
        let (i, next, fraction) = self.neighbors(n_values);
        at(i) + fraction * (at(next) - at(i))
    }

    /// The mean over the rows it covers.
    fn mean_row(&self, rows: ArrayView2<'_, f32>) -> Vec<f32> {
        let mut mean = vec![0.0; rows.ncols()];
        let total: f32 = self.covered(rows.nrows()).map(|(_, share)| share).sum();
        for (i, share) in self.covered(rows.nrows()) {
            mean.iter_mut().zip(rows.row(i)).for_each(|(sum, x)| *sum += share / total * x);
        }
        mean
    }

    /// Interpolates between two lists.
    fn between(&self, lists: &[Vec<f32>]) -> Vec<f32> {
        let (i, next, fraction) = self.neighbors(lists.len());
        match (lists.get(i), lists.get(next)) {
            (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| a + fraction * (b - a)).collect(),
            _ => Vec::new(),
        }
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
    config: StftConfig,
    sample_rate: u32,
    /// Even, so that columns join in pairs.
    max_columns: usize,
    frames_per_column: usize,
    n_frames: usize,
    /// Sums over the frames of each column, one after the other.
    sums: Vec<f32>,
}

impl OverviewBuilder {
    /// Starts without frames. `max_columns` is rounded up to an even number.
    pub fn new(config: &StftConfig, sample_rate: u32, max_columns: usize) -> Self {
        Self {
            config: *config,
            sample_rate,
            max_columns: max_columns.clamp(2, usize::MAX - 1).next_multiple_of(2),
            frames_per_column: 1,
            n_frames: 0,
            sums: Vec::new(),
        }
    }

    /// Takes the next frame: `n_bins` values, power for a spectrogram. Missing values count as 0, more are ignored.
    pub fn push(&mut self, frame: impl IntoIterator<Item = f32>) {
        let n_bins = self.config.n_bins();
        if self.n_frames == self.max_columns * self.frames_per_column {
            self.join_columns();
        }
        if self.n_frames.is_multiple_of(self.frames_per_column) {
            self.sums.resize(self.sums.len() + n_bins, 0.0);
        }
        self.n_frames += 1;
        let start = self.sums.len() - n_bins;
        self.sums[start..].iter_mut().zip(frame).for_each(|(sum, x)| *sum += x);
    }

    /// Ends the recording, which had `n_samples` per channel.
    pub fn finish(mut self, n_samples: usize) -> Overview {
        if self.n_frames == 0 {
            self.push([]);
        }
        let (n_bins, n_frames, per_column) = (self.config.n_bins(), self.n_frames, self.frames_per_column);
        let mut values = Array2::from_shape_fn((n_frames.div_ceil(per_column), n_bins), |(column, bin_idx)| {
            self.sums[column * n_bins + bin_idx]
        });
        for (column, mut bins) in values.outer_iter_mut().enumerate() {
            let in_column = per_column.min(n_frames - column * per_column);
            bins.mapv_inplace(|sum| sum / in_column as f32);
        }
        Overview {
            values,
            frames_per_column: per_column,
            sample_rate: self.sample_rate,
            n_samples,
            config: self.config,
        }
    }

    fn join_columns(&mut self) {
        let n_bins = self.config.n_bins();
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
    analyzers: Vec<Analyzer<'a>>,
    builder: OverviewBuilder,
    n_samples: usize,
    /// Channel-summed power of the frames that a block completes, one after the other.
    power: Vec<f32>,
}

impl<'a> OverviewStream<'a> {
    /// Starts a recording of `n_channels`, to be shown in at most `max_columns`.
    pub fn new(stft: &'a Stft, sample_rate: u32, n_channels: usize, max_columns: usize) -> Self {
        Self {
            analyzers: (0..n_channels).map(|_| stft.analyzer()).collect(),
            builder: OverviewBuilder::new(stft.config(), sample_rate, max_columns),
            n_samples: 0,
            power: Vec::new(),
        }
    }

    /// Takes the next block, `n_channels` x any number of samples.
    ///
    /// # Panics
    /// If the block has not `n_channels` rows.
    pub fn push(&mut self, block: ArrayView2<'_, f32>) {
        assert_eq!(block.nrows(), self.analyzers.len(), "channels");
        self.n_samples += block.ncols();
        for (analyzer, channel) in self.analyzers.iter_mut().zip(block.outer_iter()) {
            let mut sum = PowerSum { power: &mut self.power, at: 0 };
            analyzer.push(&channel.to_vec(), &mut |bins| sum.add(bins.iter().map(|x| x.norm_sqr())));
        }
        self.take_frames();
    }

    /// Ends the recording.
    pub fn finish(mut self) -> Overview {
        for analyzer in std::mem::take(&mut self.analyzers) {
            let mut sum = PowerSum { power: &mut self.power, at: 0 };
            analyzer.finish(&mut |bins| sum.add(bins.iter().map(|x| x.norm_sqr())));
        }
        self.take_frames();
        self.builder.finish(self.n_samples)
    }

    fn take_frames(&mut self) {
        for frame in self.power.chunks(self.builder.config.n_bins()) {
            self.builder.push(frame.iter().copied());
        }
        self.power.clear();
    }
}

/// Adds one channel's frames to those of the channels before it.
struct PowerSum<'a> {
    power: &'a mut Vec<f32>,
    at: usize,
}

impl PowerSum<'_> {
    fn add(&mut self, frame: impl ExactSizeIterator<Item = f32>) {
        let end = self.at + frame.len();
        if self.power.len() < end {
            self.power.resize(end, 0.0);
        }
        self.power[self.at..end].iter_mut().zip(frame).for_each(|(sum, x)| *sum += x);
        self.at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power of `n_frames` frames, each bin of each frame another number.
    fn frames(n_frames: usize, n_bins: usize) -> Array2<f32> {
        Array2::from_shape_fn((n_frames, n_bins), |(frame, bin)| ((frame * 31 + bin * 17) % 101) as f32)
    }

    fn overview_of(frames: &Array2<f32>, config: &StftConfig, max_columns: usize) -> Overview {
        let mut builder = OverviewBuilder::new(config, 8000, max_columns);
        frames.outer_iter().for_each(|frame| builder.push(frame.iter().copied()));
        builder.finish(frames.nrows() * config.hop_length)
    }

    #[test]
    fn the_mel_scale_is_that_of_librosa() {
        // librosa.hz_to_mel, librosa 0.11.0, printed by tests/golden/make_mel.py.
        let golden = [
            (0.0, 0.0),
            (60.0, 0.9),
            (440.0, 6.6),
            (999.0, 14.985),
            (1000.0, 15.0),
            (3000.0, 30.979401986098402),
            (11_025.0, 49.91059448015905),
            (96_000.0, 81.38880277264),
        ];
        for (hz, mel) in golden {
            // Both sides compute in f64, with logarithms that differ in the last digits.
            assert!((hz_to_mel(hz) - mel).abs() < 1e-10, "{hz} Hz: {} mel, expected {mel}", hz_to_mel(hz));
            assert!((mel_to_hz(hz_to_mel(hz)) - hz).abs() < 1e-8 * (1.0 + hz), "{hz} Hz and back");
        }
    }

    #[test]
    fn the_mel_filterbank_is_that_of_librosa() {
        // Written by tests/golden/make_mel.py, librosa 0.11.0.
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mel.npy");
        let golden: Array2<f32> = ndarray_npy::read_npy(path).expect("golden");
        let bank = mel_filterbank(&StftConfig::new(512), 22_050, 12, (50.0, 10_000.0)).expect("bank");
        assert_eq!(bank.dim(), golden.dim());
        let gap = (&bank - &golden).iter().fold(0.0, |worst: f32, x| worst.max(x.abs()));
        // Both sides are f64 rounded once to f32, whose unit at the largest value, 0.015, is 1e-9.
        assert!(gap < 2e-9, "{gap}");
    }

    #[test]
    fn a_mel_range_that_does_not_rise_is_refused() {
        for range_hz in [(100.0, 100.0), (-1.0, 100.0), (0.0, f64::NAN), (0.0, f64::INFINITY)] {
            assert!(mel_filterbank(&StftConfig::new(512), 8000, 4, range_hz).is_err(), "{range_hz:?}");
        }
    }

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

    #[test]
    fn a_stream_gives_the_overview_of_the_whole() {
        let stft = Stft::new(StftConfig::new(64)).expect("stft");
        let samples = Array2::from_shape_fn((2, 5000), |(channel, i)| ((i * (channel + 3)) as f32 * 0.1).sin());
        let audio = Audio::new(samples.clone(), 8000).expect("audio");
        let whole = Spectrogram::new(&audio, &stft).overview(50);
        for block in [1, 63, 999, 5000] {
            let mut stream = OverviewStream::new(&stft, 8000, 2, 50);
            samples.axis_chunks_iter(Axis(1), block).for_each(|block| stream.push(block));
            let streamed = stream.finish();
            assert_eq!(streamed.values().dim(), whole.values().dim(), "blocks of {block}");
            // The magnitudes of the whole are rooted and squared again, which rounds twice.
            let gap = (&streamed.values() - &whole.values()).iter().fold(0.0, |worst: f32, x| worst.max(x.abs()));
            assert!(gap <= 1e-6 * whole.peak(), "blocks of {block}: {gap}");
            assert_eq!(streamed.duration_s(), whole.duration_s());
        }
    }

    #[test]
    fn an_axis_runs_from_end_to_end_and_back() {
        let config = StftConfig::new(2048);
        for scale in FrequencyScale::ALL {
            let axis = FrequencyAxis::new(scale, &config, 44_100, None, None).expect("axis");
            let (low, high) = axis.range_hz();
            assert_eq!(high, 22_050.0);
            for (hz, at) in [(low, 0.0), (high, 1.0), (axis.hz(0.3), 0.3)] {
                assert!((axis.fraction(hz) - at).abs() < 1e-9, "{} at {hz} Hz", scale.name());
            }
        }
    }

    #[test]
    fn an_axis_outside_the_spectrum_is_refused() {
        let config = StftConfig::new(2048);
        let axis = |scale, low, high| FrequencyAxis::new(scale, &config, 8000, low, high);
        assert!(axis(FrequencyScale::Log, Some(0.0), None).is_err(), "a logarithm of 0");
        assert!(axis(FrequencyScale::Mel, Some(0.0), Some(4001.0)).is_err(), "above half the sample rate");
        assert!(axis(FrequencyScale::Linear, Some(500.0), Some(400.0)).is_err(), "falling");
        assert!(axis(FrequencyScale::Linear, Some(f64::NAN), None).is_err(), "NaN");
    }

    #[test]
    fn brightness_is_decibels_below_the_peak() {
        let level = Level::Decibel { peak: 4.0, range_db: 80.0 };
        for (power, expected) in [(4.0, 1.0), (4e-4, 0.5), (4e-8, 0.0), (0.0, 0.0), (8.0, 1.0), (f32::NAN, 0.0)] {
            assert!((level.brightness(power) - expected).abs() < 1e-6, "{power}: {}", level.brightness(power));
        }
        assert_eq!(Level::Decibel { peak: 0.0, range_db: 80.0 }.brightness(0.0), 0.0, "silence is dark");
    }

    #[test]
    fn a_raster_of_any_size_is_between_dark_and_bright() {
        for n_fft in [2, 4, 16, 64] {
            let config = StftConfig::new(n_fft);
            for n_frames in [1, 2, 50] {
                let overview = overview_of(&frames(n_frames, config.n_bins()), &config, 20);
                let level = Level::Decibel { peak: overview.peak(), range_db: 60.0 };
                for (scale, sample_rate) in FrequencyScale::ALL.into_iter().zip([8000, 44_100, 192_000]) {
                    let axis = FrequencyAxis::new(scale, &config, sample_rate, None, None).expect("axis");
                    for (n_columns, n_rows) in [(1, 1), (3, 7), (100, 40)] {
                        let raster = overview.raster(&axis, level, n_columns, n_rows);
                        assert_eq!(raster.dim(), (n_rows, n_columns));
                        assert!(raster.iter().all(|b| (0.0..=1.0).contains(b)), "n_fft {n_fft}, {n_frames} frames");
                    }
                }
            }
        }
    }

    #[test]
    fn a_raster_as_fine_as_the_frames_shows_them_as_they_are() {
        let config = StftConfig { hop_length: 4, ..StftConfig::new(16) };
        let overview = overview_of(&frames(12, 9), &config, 12);
        let axis = FrequencyAxis::new(FrequencyScale::Linear, &config, 8000, Some(250.0), Some(3750.0)).expect("axis");
        // 12 hops of time in 12 columns: each reaches from the center of one frame to that of the next; 7 rows of 500 Hz.
        let raster = overview.raster(&axis, Level::Decibel { peak: 100.0, range_db: 1000.0 }, 12, 7);
        for row in 0..7 {
            for column in 0..11 {
                let bin = 7 - row;
                let mean = 0.5 * (overview.values()[[column, bin]] + overview.values()[[column + 1, bin]]);
                let expected = Level::Decibel { peak: 100.0, range_db: 1000.0 }.brightness(mean);
                let got = raster[[row, column]];
                assert!((got - expected).abs() < 1e-5, "row {row}, column {column}: {got}, expected {expected}");
            }
        }
    }
}
