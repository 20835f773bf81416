//! Scales of frequency: mel, logarithm, Hz; filters and axes on them.
//! Knows no recording.

use ndarray::Array2;

use super::cell::Cell;
use crate::error::Advice;
use crate::stft::StftConfig;
use crate::{Error, Result};

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
///
/// # Examples
/// ```
/// use partita::{Stft, StftConfig, spectrogram::mel_filterbank};
/// let stft = Stft::new(StftConfig::new(512))?;
/// let power = stft.magnitude(ndarray::Array2::ones((1, 10_000)).view()).mapv(|x| x * x);
/// let bank = mel_filterbank(stft.config(), 8000, 20, (0.0, 4000.0))?;
/// assert_eq!(power.dot(&bank.t()).dim(), (power.nrows(), 20), "a mel spectrogram");
/// # Ok::<(), partita::Error>(())
/// ```
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
        self.cells(n_rows, |hz| hz / hz_per_bin + 0.5)
    }

    /// What lies under each of `n_rows` rows of a picture in a list that has a place for each frequency.
    pub(super) fn cells(&self, n_rows: usize, place: impl Fn(f64) -> f64) -> Vec<Cell> {
        let edge = |row: usize| place(self.hz(1.0 - row as f64 / n_rows as f64));
        (0..n_rows).map(|row| Cell { start: edge(row + 1), end: edge(row) }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

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
        for (range_hz, got) in [
            ((100.0, 100.0), "100 to 100"),
            ((-1.0, 100.0), "-1 to 100"),
            ((0.0, f64::NAN), "0 to NaN"),
            ((0.0, f64::INFINITY), "0 to inf"),
        ] {
            let error = mel_filterbank(&StftConfig::new(512), 8000, 4, range_hz).expect_err(got);
            assert_eq!(error.to_string(), format!("`range_hz` is {got}, expected 0 or more, and rising"));
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
        for (scale, low, high, message) in [
            (FrequencyScale::Log, 0.0, 4000.0, "0 to 4000, expected above 0, rising, and at most 4000"),
            (FrequencyScale::Mel, 0.0, 4001.0, "0 to 4001, expected 0 or more, rising, and at most 4000"),
            (FrequencyScale::Linear, 500.0, 400.0, "500 to 400, expected 0 or more, rising, and at most 4000"),
            (FrequencyScale::Linear, f64::NAN, 4000.0, "NaN to 4000, expected 0 or more, rising, and at most 4000"),
        ] {
            let error = FrequencyAxis::new(scale, &config, 8000, Some(low), Some(high)).expect_err(message);
            assert_eq!(error.to_string(), format!("`range_hz` is {message}"));
        }
    }
}
