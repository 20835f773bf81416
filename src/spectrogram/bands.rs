//! What the values of a spectrogram belong to, and the axis that they are shown on.
//! Knows no recording.

use super::cell::Cell;
use super::constant_q::{BANDS_PER_OCTAVE, LOWEST_HZ, upper_end_hz};
use super::scale::{FrequencyAxis, FrequencyScale};
use crate::Result;
use crate::stft::StftConfig;

/// What the values of each frame of a spectrogram belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bands {
    /// The bins of a Fourier transform, all as wide.
    Fourier(StftConfig),
    /// Constant-Q bands, 36 to an octave from C1 (32.7 Hz) on, see [`ConstantQ`](super::ConstantQ).
    ConstantQ {
        /// Samples from one frame to the next.
        hop_length: usize,
    },
    /// The twelve pitch classes at A = 440 Hz, C first: constant-Q bands of all octaves, a semitone together.
    PitchClasses {
        /// Samples from one frame to the next.
        hop_length: usize,
    },
}

/// Pitch classes.
pub(super) const N_CLASSES: usize = 12;

impl Bands {
    /// Samples from one frame to the next.
    pub fn hop_length(&self) -> usize {
        match self {
            Self::Fourier(config) => config.hop_length,
            Self::ConstantQ { hop_length } | Self::PitchClasses { hop_length } => *hop_length,
        }
    }

    /// The axis that they are shown on, or the part of it from `min_hz` to `max_hz`; constant-Q bands have a
    /// logarithmic one, pitch classes one of their own.
    ///
    /// # Errors
    /// Those of [`FrequencyAxis::new`].
    pub fn axis(
        &self,
        scale: FrequencyScale,
        sample_rate: u32,
        min_hz: Option<f64>,
        max_hz: Option<f64>,
    ) -> Result<VerticalAxis> {
        match self {
            Self::Fourier(config) => FrequencyAxis::new(scale, config, sample_rate, min_hz, max_hz).map(Into::into),
            Self::ConstantQ { .. } => {
                // The bins of a transform, which say where an axis begins by itself, have no part in it.
                let (bins, min_hz) = (StftConfig::new(2), min_hz.or(Some(LOWEST_HZ)));
                let max_hz = max_hz.or(Some(upper_end_hz(sample_rate)));
                FrequencyAxis::new(FrequencyScale::Log, &bins, sample_rate, min_hz, max_hz).map(Into::into)
            }
            Self::PitchClasses { .. } => Ok(VerticalAxis::PitchClass),
        }
    }

    /// The values under each of `n_rows` rows of a picture, the highest first.
    pub(super) fn rows(&self, axis: &VerticalAxis, sample_rate: u32, n_rows: usize) -> Vec<Cell> {
        match (self, axis) {
            (Self::Fourier(config), VerticalAxis::Frequency(axis)) => axis.rows(config.bin_hz(1, sample_rate), n_rows),
            (Self::ConstantQ { .. }, VerticalAxis::Frequency(axis)) => {
                axis.cells(n_rows, |hz| BANDS_PER_OCTAVE as f64 * (hz / LOWEST_HZ).log2() + 0.5)
            }
            // Nothing lies between two classes.
            _ => {
                let rows = Cell::evenly(N_CLASSES as f64, 0.0, n_rows).into_iter();
                rows.map(|row| Cell { start: row.end, end: row.start }.whole()).collect()
            }
        }
    }
}

/// What stands at the left of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VerticalAxis {
    /// Frequencies.
    Frequency(FrequencyAxis),
    /// The twelve pitch classes, C at the bottom.
    PitchClass,
}

impl From<FrequencyAxis> for VerticalAxis {
    fn from(axis: FrequencyAxis) -> Self {
        Self::Frequency(axis)
    }
}

impl VerticalAxis {
    /// Where a note is, as a MIDI key at A = 440 Hz, fractions included: from 0 at the bottom of the axis to 1 at its top,
    /// half a semitone down and up. What lies outside of the axis is below 0 or above 1.
    pub fn key(&self, key: f64) -> (f64, f64) {
        match self {
            Self::Frequency(axis) => {
                let at = |semitones: f64| axis.fraction(440.0 * ((key - 69.0 + semitones) / 12.0).exp2());
                (at(-0.5), at(0.5))
            }
            Self::PitchClass => {
                let class = key.round().rem_euclid(N_CLASSES as f64);
                (class / N_CLASSES as f64, (class + 1.0) / N_CLASSES as f64)
            }
        }
    }
}
