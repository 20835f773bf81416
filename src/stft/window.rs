//! Analysis windows, periodic, as spectral analysis needs them, and the lobe that a steady tone has under each.
//! No transform is done here.

use std::f64::consts::{PI, TAU};

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
        let phase = |i: usize| TAU * i as f64 / length as f64;
        let cosines = |terms: &[f64]| -> Vec<f32> {
            let value = |i: usize| -> f64 {
                terms.iter().enumerate().map(|(order, term)| term * (order as f64 * phase(i)).cos()).sum()
            };
            (0..length).map(|i| value(i) as f32).collect()
        };
        match self {
            Self::Hann => cosines(&HANN),
            Self::Hamming => cosines(&HAMMING),
            Self::Blackman => cosines(&BLACKMAN),
            Self::BlackmanHarris => cosines(&BLACKMAN_HARRIS),
            Self::Sine => (0..length).map(|i| (0.5 * phase(i)).sin() as f32).collect(),
            Self::Boxcar => vec![1.0; length],
        }
    }

    /// From the center of the main lobe to its first zero, in bins of a transform as long as the window (`n_fft` =
    /// `win_length`): a steady tone reaches so far on either side.
    pub fn half_lobe_bins(self) -> f64 {
        match self {
            Self::Hann | Self::Hamming => 2.0,
            Self::Blackman => 3.0,
            Self::BlackmanHarris => 4.0,
            Self::Sine => 1.5,
            Self::Boxcar => 1.0,
        }
    }

    /// Magnitude of a steady tone at a distance from its frequency, in the bins of [`Window::half_lobe_bins`], relative
    /// to that at its frequency: 1 at the center of the main lobe, 0 beyond its first zero.
    ///
    /// It is the limit for long windows; one of N samples differs by less than 100 / N^2.
    ///
    /// # References
    /// F. J. Harris, as in [`Window::values`]: the spectral windows of section V, for long windows.
    ///
    /// # Examples
    /// ```
    /// use partita::stft::window::Window;
    /// assert_eq!([0.0, 1.0, -1.0, 2.0].map(|bins| Window::Hann.lobe(bins)), [1.0, 0.5, 0.5, 0.0]);
    /// ```
    pub fn lobe(self, distance_bins: f64) -> f64 {
        let x = distance_bins.abs();
        if x >= self.half_lobe_bins() {
            return 0.0;
        }
        // The transform of cos(TAU k (t - 1/2)) over 0 <= t < 1 is half a lobe of the boxcar at -k, half at k; the terms
        // are those of a window that begins at 0, where every other sign is turned.
        let cosines = |terms: &[f64]| -> f64 {
            let lobes = terms.iter().enumerate().skip(1).map(|(order, term)| {
                let order = order as f64;
                let sign = (PI * order).cos();
                0.5 * sign * term * (sinc(x - order) + sinc(x + order))
            });
            (terms[0] * sinc(x) + lobes.sum::<f64>()) / terms[0]
        };
        match self {
            Self::Hann if x < NEAR => 1.0,
            Self::Hann if (x - 1.0).abs() < NEAR => 0.5,
            Self::Hann => (PI * x).sin() / (PI * x * (1.0 - x * x)),
            Self::Hamming => cosines(&HAMMING),
            Self::Blackman => cosines(&BLACKMAN),
            Self::BlackmanHarris => cosines(&BLACKMAN_HARRIS),
            // Half a period of a sine: two lobes of the boxcar, half a bin apart on either side.
            Self::Sine => 0.25 * PI * (sinc(x - 0.5) + sinc(x + 0.5)),
            Self::Boxcar => sinc(x),
        }
    }
}

/// Terms of the sums of cosines: of no, one, two, ... periods over the window.
const HANN: [f64; 2] = [0.5, -0.5];
const HAMMING: [f64; 2] = [0.54, -0.46];
const BLACKMAN: [f64; 3] = [0.42, -0.5, 0.08];
const BLACKMAN_HARRIS: [f64; 4] = [0.35875, -0.48829, 0.14128, -0.01168];

/// Bins so near to a quotient of zeros that its limit is nearer than what would be computed.
const NEAR: f64 = 1e-9;

/// The lobe of a boxcar: sin(pi x) / (pi x).
fn sinc(x: f64) -> f64 {
    if x.abs() < NEAR { 1.0 } else { (PI * x).sin() / (PI * x) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Magnitude of the window's transform at a place between bins, relative to that at 0.
    fn transformed(values: &[f32], bins: f64) -> f64 {
        let at = |bins: f64| {
            let (re, im) = values.iter().enumerate().fold((0.0, 0.0), |(re, im), (i, &w)| {
                let (sin, cos) = (TAU * bins * i as f64 / values.len() as f64).sin_cos();
                (re + f64::from(w) * cos, im + f64::from(w) * sin)
            });
            re.hypot(im)
        };
        at(bins) / at(0.0)
    }

    proptest! {
        #[test]
        fn a_lobe_is_the_transform_of_its_window(length in 16_usize..1000, distance in -5.0..5.0) {
            for window in Window::ALL {
                let values = window.values(length);
                let name = window.name();
                let (lobe, half) = (window.lobe(distance), window.half_lobe_bins());
                prop_assert_eq!(lobe, window.lobe(-distance));
                if f64::abs(distance) >= half {
                    prop_assert_eq!(lobe, 0.0);
                } else {
                    prop_assert!(lobe > 0.0 && lobe <= 1.0, "{name} at {distance}: {lobe}");
                    let expected = transformed(&values, distance);
                    // A sum in place of an integral: y / sin(y) - 1 < y^2 / 5 for each term, at most y = 7 pi / length
                    // (a Blackman-Harris window's third cosine at 4 bins); with the weights of the terms, below 100.
                    let tolerance = 100.0 / (length * length) as f64 + 1e-6; // and values that are f32
                    prop_assert!((lobe - expected).abs() < tolerance, "{name} of {length} at {distance}: {lobe}, {expected}");
                }
            }
        }
    }

    #[test]
    fn a_lobe_ends_at_the_first_zero() {
        for window in Window::ALL {
            let (values, half) = (window.values(4096), window.half_lobe_bins());
            let zero = transformed(&values, half);
            assert!(zero < 1e-5, "{}: {zero} at {half} bins", window.name());
            assert!(transformed(&values, half - 0.1) > 1e-5, "{} has a zero before", window.name());
            assert!(transformed(&values, half + 0.1) > 1e-6, "{} has none after", window.name());
            let whole_bins = (0..).map(f64::from).take_while(|bins| *bins < half);
            for bins in whole_bins {
                assert!((window.lobe(bins) - transformed(&values, bins)).abs() < 1e-5, "{} at {bins}", window.name());
            }
        }
    }
}
