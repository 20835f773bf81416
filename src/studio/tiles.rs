//! Spectrograms in tiles of one size, as the page draws them: bytes, column after column.
//! Knows no recording and no stems; `pyramid` has those.

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use crate::stft::{Stft, StftConfig};

/// Columns of a tile.
pub(super) const COLUMNS: usize = 256;

/// Rows of a tile, from the lowest frequency to the highest.
pub(super) const ROWS: usize = 512;

/// The lowest frequency of the logarithmic axis, in Hz; below it is no note that is played (A0: 27.5).
pub(super) const MIN_HZ: f64 = 30.0;

/// What one step of a byte is, in dB; 255 is a tone of amplitude 1, and 0 silence, or 102 dB less.
pub(super) const STEP_DB: f64 = 0.4;

/// How rows lie along frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scale {
    /// Octaves are of one height, from [`MIN_HZ`] to half the sample rate.
    Log,
    /// Hz are of one height, from 0 to half the sample rate.
    Linear,
}

/// Where a row takes its value from.
#[derive(Debug, Clone, PartialEq)]
enum Row {
    /// Between the levels of this bin and the next, in dB, so far from the first.
    Between(usize, f32),
    /// The loudest of these bins.
    Loudest(usize, usize),
}

/// How spectra become columns of tiles.
#[derive(Debug)]
pub(super) struct Grid {
    stft: Stft,
    log: Vec<Row>,
    linear: Vec<Row>,
    /// Power of a tone of amplitude 1.
    full_scale: f32,
}

impl Grid {
    /// For spectra that are sums over so many channels.
    pub(super) fn new(stft: Stft, sample_rate: u32, n_channels: usize) -> Self {
        let config = *stft.config();
        let sum: f32 = config.window.values(config.win_length).iter().sum();
        let nyquist = 0.5 * f64::from(sample_rate);
        let low = MIN_HZ.min(0.5 * nyquist);
        let part = |row: usize| row as f64 / ROWS as f64;
        let log = |row| low * (nyquist / low).powf(part(row));
        let linear = |row| nyquist * part(row);
        Self {
            log: rows(&config, sample_rate, &log),
            linear: rows(&config, sample_rate, &linear),
            full_scale: 0.25 * sum * sum * n_channels as f32,
            stft,
        }
    }

    pub(super) fn stft(&self) -> &Stft {
        &self.stft
    }

    /// Mean power in columns of so many frames, summed over channels. `signal` begins at a frame of the recording, and
    /// `first_frame` counts from there.
    pub(super) fn powers(
        &self,
        signal: ArrayView2<'_, f32>,
        first_frame: usize,
        n_frames: usize,
        frames_per_column: usize,
    ) -> Array2<f32> {
        let n_bins = self.stft.config().n_bins();
        let mut powers = Array2::zeros((n_frames.div_ceil(frames_per_column), n_bins));
        let mut spectrum = Array2::<Complex32>::zeros((n_frames, n_bins));
        for channel in signal.outer_iter() {
            self.stft.forward_frames(channel, first_frame, &mut spectrum);
            add_power(&mut powers, spectrum.view(), frames_per_column, |_, x| x.norm_sqr());
        }
        powers
    }

    /// The bytes of one column after the other.
    pub(super) fn bytes(&self, powers: ArrayView2<'_, f32>, scale: Scale) -> Vec<u8> {
        let rows = match scale {
            Scale::Log => &self.log,
            Scale::Linear => &self.linear,
        };
        let mut bytes = vec![0; powers.nrows() * ROWS];
        let n_between =
            rows.iter().map(|row| if let Row::Between(bin, _) = row { bin + 2 } else { 0 }).max().unwrap_or(0);
        bytes.par_chunks_mut(ROWS).zip(powers.axis_iter(Axis(0)).into_par_iter()).for_each(|(column, power)| {
            let level = |power: &f32| level_of(power / self.full_scale);
            let levels: Vec<f32> = power.iter().take(n_between).map(level).collect();
            for (byte, row) in column.iter_mut().zip(rows) {
                // The cast keeps to 0 to 255.
                *byte = match *row {
                    Row::Between(bin, part) => (1.0 - part) * levels[bin] + part * levels[bin + 1],
                    Row::Loudest(first, end) => level(&power.slice(s![first..end]).iter().copied().fold(0.0, f32::max)),
                }
                .round() as u8;
            }
        });
        bytes
    }
}

/// Adds the mean over the frames of each column.
pub(super) fn add_power<T: Copy + Sync>(
    powers: &mut Array2<f32>,
    frames: ArrayView2<'_, T>,
    frames_per_column: usize,
    power: impl Fn((usize, usize), T) -> f32 + Sync,
) {
    let n_frames = frames.nrows();
    powers.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(column, mut sums)| {
        let range = column * frames_per_column..((column + 1) * frames_per_column).min(n_frames);
        let weight = 1.0 / range.len().max(1) as f32;
        for frame in range {
            let row = frames.row(frame);
            sums.iter_mut().zip(row).enumerate().for_each(|(bin, (sum, x))| *sum += weight * power((frame, bin), *x));
        }
    });
}

/// Two tiles, one after the other, as one of the next level; what is missing is silent.
pub(super) fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut joined = vec![0; COLUMNS * ROWS];
    let powers: Vec<f32> = (0..=255).map(power_of).collect();
    for (tile, half) in [first, second].into_iter().zip(joined.chunks_mut(COLUMNS / 2 * ROWS)) {
        for (pair, column) in tile.chunks(2 * ROWS).zip(half.chunks_mut(ROWS)) {
            // The last column may be alone.
            let (left, right) = pair.split_at(ROWS.min(pair.len()));
            for (row, byte) in column.iter_mut().enumerate() {
                let right = right.get(row).unwrap_or(&left[row]);
                *byte = byte_of(0.5 * (powers[usize::from(left[row])] + powers[usize::from(*right)]));
            }
        }
    }
    joined
}

/// In steps; 0 for silence, too.
fn level_of(power: f32) -> f32 {
    (255.0 + 10.0 * power.log10() / STEP_DB as f32).max(0.0)
}

fn byte_of(power: f32) -> u8 {
    // The cast keeps to 255.
    level_of(power).round() as u8
}

fn power_of(byte: u16) -> f32 {
    if byte == 0 { 0.0 } else { 10f32.powf((f32::from(byte) - 255.0) * STEP_DB as f32 / 10.0) }
}

/// Where each row takes its value from, where row `r` lies between `edge(r)` and `edge(r + 1)`, in Hz.
fn rows(config: &StftConfig, sample_rate: u32, edge: &dyn Fn(usize) -> f64) -> Vec<Row> {
    let last = config.n_bins() - 1;
    let bin = |hz: f64| (hz * config.n_fft as f64 / f64::from(sample_rate)).clamp(0.0, last as f64);
    let row = |row: usize| {
        let (low, high) = (bin(edge(row)), bin(edge(row + 1)));
        let (first, end) = (low.ceil() as usize, high.floor() as usize + 1);
        if end > first + 1 {
            return Row::Loudest(first, end.min(last + 1));
        }
        let middle = 0.5 * (low + high);
        let bin = (middle as usize).min(last.saturating_sub(1));
        Row::Between(bin, (middle - bin as f64) as f32)
    };
    (0..ROWS).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid::new(Stft::new(StftConfig::new(1024)).expect("sizes"), 8000, 2)
    }

    fn tone(hz: f32) -> Array2<f32> {
        Array2::from_shape_fn((2, 40_000), |(_, i)| (std::f32::consts::TAU * hz * i as f32 / 8000.0).sin())
    }

    #[test]
    fn a_tone_of_full_scale_is_brightest_in_its_row() {
        for hz in [62.5, 440.0, 1000.0, 3000.0] {
            let powers = grid().powers(tone(hz).view(), 40, 8, 8);
            assert_eq!(powers.dim(), (1, 513));
            for (scale, row) in [
                (Scale::Log, ROWS as f64 * (f64::from(hz) / 30.0).ln() / (4000.0f64 / 30.0).ln()),
                (Scale::Linear, ROWS as f64 * f64::from(hz) / 4000.0),
            ] {
                let column = grid().bytes(powers.view(), scale);
                let (brightest, byte) = column.iter().enumerate().max_by_key(|(_, byte)| **byte).expect("rows");
                // The window smears a tone over two bins of 7.8 Hz on both sides; it lies between two of them.
                assert!(*byte >= 250, "{hz} Hz in {scale:?}: {byte}");
                let off = match scale {
                    Scale::Log => 512.0 / 7.06 * (1.0 + 8.0 / f64::from(hz)).log2() + 1.0,
                    Scale::Linear => 2.0,
                };
                assert!((brightest as f64 - row).abs() <= off, "{hz} Hz in {scale:?}: row {brightest}, not {row}");
            }
        }
        let silent = grid().powers(Array2::zeros((2, 5000)).view(), 0, 16, 4);
        assert!(grid().bytes(silent.view(), Scale::Log).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn rows_between_two_bins_go_evenly_from_the_one_to_the_other() {
        let grid = grid();
        let mut powers = Array2::zeros((1, 513));
        // 10 dB less from bin to bin of 7.8 Hz.
        powers.iter_mut().zip(0..12).for_each(|(power, bin)| *power = grid.full_scale * 0.1f32.powi(bin));
        let column = grid.bytes(powers.view(), Scale::Log);
        for (row, pair) in column.windows(2).enumerate() {
            let hz = |row: usize| 30.0 * (4000.0f64 / 30.0).powf((row as f64 + 0.5) / ROWS as f64);
            let expected = 10.0 / STEP_DB * (hz(row + 1) - hz(row)) / 7.8125;
            let step = f64::from(pair[0]) - f64::from(pair[1]);
            // Both are rounded.
            assert!(hz(row + 1) > 78.0 || (step - expected).abs() <= 1.01, "row {row}: {step}, expected {expected:.2}");
        }
    }

    #[test]
    fn tiles_join_to_means_of_power() {
        let first: Vec<u8> = (0..COLUMNS * ROWS).map(|i| if (i / ROWS).is_multiple_of(2) { 255 } else { 0 }).collect();
        let joined = join(&first, &first[..3 * ROWS]);
        assert_eq!(joined.len(), COLUMNS * ROWS);
        // Half the power is 3 dB less.
        assert!(joined[..COLUMNS / 2 * ROWS].iter().all(|byte| *byte == 255 - 8), "{}", joined[0]);
        // 3 columns: a pair, and one alone.
        assert_eq!([joined[128 * ROWS], joined[129 * ROWS], joined[130 * ROWS]], [247, 255, 0]);
    }
}
