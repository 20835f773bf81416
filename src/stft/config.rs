//! Sizes of a transform: what suits a recording, what fits together, and which frames and samples belong together.

use std::ops::Range;

use super::window::Window;
use crate::error::Advice;
use crate::{Error, Result};

/// Sizes and window of a transform, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StftConfig {
    /// Length of the transform, 2 to 2^22; gives `n_fft / 2 + 1` bins.
    pub n_fft: usize,
    /// Length of the window, at most `n_fft`; padded with zeros on both sides to `n_fft`.
    pub win_length: usize,
    /// Samples from one frame to the next.
    pub hop_length: usize,
    /// Shape of the window.
    pub window: Window,
}

/// What a caller may leave open: the sizes that suit the sample rate and the task are filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StftOptions {
    /// Length of the transform and of the window. Default: the power of two nearest to a duration that suits the task.
    pub n_fft: Option<usize>,
    /// Samples from one frame to the next. Default: a quarter of `n_fft`.
    pub hop_length: Option<usize>,
    /// Shape of the window. Default Hann.
    pub window: Window,
}

impl StftOptions {
    /// Fills in what was left open, for a window of about `window_s` seconds.
    pub fn resolve(&self, sample_rate: u32, window_s: f64) -> StftConfig {
        let config = self.n_fft.map_or_else(|| StftConfig::nearest(sample_rate, window_s), StftConfig::new);
        let hop_length = self.hop_length.unwrap_or(config.hop_length);
        StftConfig { hop_length, window: self.window, ..config }
    }
}

/// Longest transform accepted: 95 s at 44.1 kHz, beyond any use for sound, and 32 MB per frame.
const MAX_N_FFT: usize = 1 << 22;

/// The weakest overlap-add accepted, relative to the strongest: below it the inverse would raise rounding errors by
/// more than 30 dB where windows barely overlap.
const MIN_OVERLAP: f32 = 1e-3;

impl StftConfig {
    /// A Hann window over the whole of `n_fft`, and a hop of a quarter of it.
    pub fn new(n_fft: usize) -> Self {
        Self { n_fft, win_length: n_fft, hop_length: (n_fft / 4).max(1), window: Window::Hann }
    }

    /// [`StftConfig::new`] with the power of two that is nearest (in log2) to a duration: 0.093 s suits sustained
    /// music, 0.046 s drums, 0.064 s speech.
    pub fn nearest(sample_rate: u32, window_s: f64) -> Self {
        let exponent = (f64::from(sample_rate) * window_s).log2().round().clamp(4.0, 20.0);
        Self::new(1 << exponent as u32)
    }

    /// Frequency bins, `n_fft / 2 + 1`.
    pub fn n_bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Frames of a signal. They are centered on the samples 0, `hop_length`, 2 `hop_length`, ..., and the last lies at
    /// or after the end, so that every sample is well inside a window.
    pub fn n_frames(&self, n_samples: usize) -> usize {
        1 + n_samples.div_ceil(self.hop_length)
    }

    /// The first sample of a signal that lies in a frame.
    pub fn first_sample(&self, frame_idx: usize) -> usize {
        (frame_idx * self.hop_length).saturating_sub(self.n_fft / 2)
    }

    /// The frames that a range of samples lies in, of a signal of `n_frames`.
    pub fn frames_of(&self, samples: &Range<usize>, n_frames: usize) -> Range<usize> {
        let half = self.n_fft / 2;
        // Frame m holds the samples from m hop - half to m hop - half + n_fft.
        let first = (samples.start + half + 1).saturating_sub(self.n_fft).div_ceil(self.hop_length);
        let last = (samples.end + half).saturating_sub(1) / self.hop_length;
        first.min(n_frames)..(last + 1).min(n_frames).max(first.min(n_frames))
    }

    /// Time of the center of a frame, in seconds.
    pub fn frame_s(&self, frame_idx: usize, sample_rate: u32) -> f64 {
        (frame_idx * self.hop_length) as f64 / f64::from(sample_rate)
    }

    /// Center frequency of a bin, in Hz.
    pub fn bin_hz(&self, bin_idx: usize, sample_rate: u32) -> f64 {
        bin_idx as f64 * f64::from(sample_rate) / self.n_fft as f64
    }

    /// Refuses sizes that do not fit together, and overlap-adds that cannot be inverted.
    ///
    /// # Errors
    /// [`Error::Setting`], naming `n_fft`, `win_length` or `hop_length`.
    pub fn check(&self) -> Result<()> {
        let setting = |name, got: usize, expected: String, advice: Option<Advice>| {
            Err(Error::Setting { name, got: got.to_string(), expected, advice: advice.map(Box::new) })
        };
        if !(2..=MAX_N_FFT).contains(&self.n_fft) {
            let advice = Some(Advice::set("n_fft", 2048).note("46 ms at 44.1 kHz"));
            return setting("n_fft", self.n_fft, format!("2 to {MAX_N_FFT}"), advice);
        }
        if !(2..=self.n_fft).contains(&self.win_length) {
            return setting("win_length", self.win_length, format!("2 to {} (n_fft)", self.n_fft), None);
        }
        if self.is_invertible(self.hop_length) {
            return Ok(());
        }
        // The longer the hop, the weaker the overlap: the first that fails is found by bisection.
        let (mut good, mut bad) = (0, self.win_length + 1);
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            if self.is_invertible(middle) { good = middle } else { bad = middle }
        }
        let expected = format!("1 to {good} (a {} window of {})", self.window.name(), self.win_length);
        let advice = Advice::set("hop_length", (self.win_length / 4).max(1)).note("a quarter of the window");
        setting("hop_length", self.hop_length, expected, Some(advice))
    }

    /// Whether every sample of every signal is covered by windows of enough weight: at the start, where frames before
    /// the first are missing, and so, by symmetry, at the end and in between.
    fn is_invertible(&self, hop_length: usize) -> bool {
        if hop_length == 0 || hop_length > self.win_length {
            return false;
        }
        let window = self.window.values(self.win_length);
        let center = self.win_length / 2;
        let weight = |sample: usize| -> f32 {
            // Frame m covers the sample at window index `sample + center - m * hop_length`.
            let last = (sample + center) / hop_length;
            let at = |m: usize| window.get(sample + center - m * hop_length).map_or(0.0, |w| w * w);
            (0..=last).rev().take(self.win_length.div_ceil(hop_length)).map(at).sum()
        };
        let (low, high) = (0..hop_length)
            .chain(self.win_length..self.win_length + hop_length)
            .map(weight)
            .fold((f32::INFINITY, 0.0f32), |(low, high), w| (low.min(w), high.max(w)));
        low >= MIN_OVERLAP * high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_that_leaves_gaps_is_refused_with_the_longest_that_would_do() {
        let config = StftConfig { hop_length: 4096, ..StftConfig::new(2048) };
        let error = config.check().expect_err("gaps");
        assert!(error.to_string().starts_with("`hop_length` is 4096, expected 1 to "), "{error}");
        assert_eq!(error.hint().as_deref(), Some("use `hop_length 512`, a quarter of the window"));
        assert!(StftConfig { hop_length: 2048, window: Window::Boxcar, ..config }.check().is_ok());
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let new = StftConfig::new;
        for (config, expected) in [
            (new(1), "`n_fft` is 1, expected 2 to 4194304"),
            (new(2 * MAX_N_FFT), "`n_fft` is 8388608, expected 2 to 4194304"),
            (StftConfig { win_length: 4096, ..new(2048) }, "`win_length` is 4096, expected 2 to 2048 (n_fft)"),
            (
                StftConfig { hop_length: 0, ..new(2048) },
                "`hop_length` is 0, expected 1 to 1852 (a hann window of 2048)",
            ),
        ] {
            assert_eq!(config.check().expect_err(expected).to_string(), expected);
        }
    }

    #[test]
    fn default_sizes_are_the_powers_of_two_nearest_to_the_duration() {
        let music = [
            (8_000, 1024),
            (16_000, 2048),
            (22_050, 2048),
            (32_000, 4096),
            (44_100, 4096),
            (48_000, 4096),
            (96_000, 8192),
        ];
        for (sample_rate, n_fft) in music {
            assert_eq!(StftConfig::nearest(sample_rate, 0.093).n_fft, n_fft, "{sample_rate} Hz");
        }
        assert_eq!(StftConfig::nearest(44_100, 0.046).n_fft, 2048);
        assert_eq!(StftConfig::nearest(16_000, 0.064).n_fft, 1024);
    }
}
