//! Analysis windows, periodic, as spectral analysis needs them.

use std::f64::consts::TAU;

/// A window shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    /// Raised cosine: the default, and right for almost everything.
    #[default]
    Hann,
    /// Raised cosine on a pedestal: side lobes at -43 dB.
    Hamming,
    /// Three cosine terms: side lobes at -58 dB, a main lobe half as wide again as Hann's.
    Blackman,
    /// Four cosine terms: side lobes at -92 dB.
    BlackmanHarris,
    /// Half a period of a sine; squared and overlapped by half it adds up to one.
    Sine,
    /// No taper.
    Boxcar,
}

impl Window {
    /// All shapes.
    pub const ALL: [Self; 6] =
        [Self::Hann, Self::Hamming, Self::Blackman, Self::BlackmanHarris, Self::Sine, Self::Boxcar];

    /// The shape's name, as the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hann => "hann",
            Self::Hamming => "hamming",
            Self::Blackman => "blackman",
            Self::BlackmanHarris => "blackman-harris",
            Self::Sine => "sine",
            Self::Boxcar => "boxcar",
        }
    }

    /// One period of the window, `length` values; value `length / 2` is the largest.
    ///
    /// # References
    /// F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform", Proc. IEEE
    /// 66(1), 1978, section V (its coefficients, in the periodic form).
    pub fn values(self, length: usize) -> Vec<f32> {
        let cosines = |terms: &[f64]| -> Vec<f32> {
            let value = |i: usize| -> f64 {
                let phase = TAU * i as f64 / length as f64;
                terms.iter().enumerate().map(|(order, term)| term * (order as f64 * phase).cos()).sum()
            };
            (0..length).map(|i| value(i) as f32).collect()
        };
        match self {
            Self::Hann => cosines(&[0.5, -0.5]),
            Self::Hamming => cosines(&[0.54, -0.46]),
            Self::Blackman => cosines(&[0.42, -0.5, 0.08]),
            Self::BlackmanHarris => cosines(&[0.35875, -0.48829, 0.14128, -0.01168]),
            Self::Sine => (0..length).map(|i| (0.5 * TAU * i as f64 / length as f64).sin() as f32).collect(),
            Self::Boxcar => vec![1.0; length],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_peaks_at_its_center_and_is_symmetric_about_it() {
        for window in Window::ALL {
            for length in [2, 3, 8, 9, 512] {
                let values = window.values(length);
                let peak = values.iter().copied().fold(0.0, f32::max);
                if length % 2 == 0 {
                    assert!((values[length / 2] - peak).abs() < 1e-6, "{} of {length}", window.name());
                }
                for i in 1..length {
                    // Values are rounded once from f64, so mirror images differ by less than one unit of f32.
                    assert!((values[i] - values[length - i]).abs() < 1e-6, "{} of {length} at {i}", window.name());
                }
            }
        }
    }
}
