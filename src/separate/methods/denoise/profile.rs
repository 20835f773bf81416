//! A noise that was heard alone: in a recording of its own, or in a stretch of the one that it is in.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

use super::pauses;
use crate::audio::Recording;
use crate::audio::resample::Resampled;
use crate::separate::pipeline::{Analysis, AnalysisConfig};
use crate::stft::{StftConfig, StftOptions};
use crate::watch::Watch;
use crate::{Error, Result};

/// The magnitudes of a noise, in the transform of the recordings that it is in.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseProfile {
    name: String,
    /// Frames x `n_bins`.
    magnitude: Array2<f32>,
    n_channels: usize,
    sample_rate: u32,
    stft: StftConfig,
    parts_s: Vec<Range<f64>>,
}

impl NoiseProfile {
    /// Listens to a recording of the noise alone, as loud as it is in the recording of `analysis` and at any sample rate.
    /// `name` is what messages call it: its file. Silence before and after it that is far below the noise, and fades from it,
    /// do not count.
    ///
    /// # Errors
    /// [`Error::SilentNoise`], [`Error::ShortNoise`] for one that is shorter than a window, [`Error::Cancelled`], and those
    /// of the recording.
    ///
    /// # Cost
    /// The noise is read once. Memory: at most 20 000 of its frames.
    pub fn of(noise: &dyn Recording, name: &str, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Self> {
        let sample_rate = analysis.sample_rate();
        let stft = *analysis.stft().config();
        let (n_fft, hop_length) = (Some(stft.n_fft), Some(stft.hop_length));
        let options = StftOptions { n_fft, hop_length, window: stft.window };
        let config = AnalysisConfig { stft: options, ..AnalysisConfig::default() };
        let heard = Analysis::of(&Resampled::new(noise, sample_rate), &config, watch);
        // In a recording that is silent, so is the noise.
        let heard = if analysis.is_silent() { heard } else { heard.and_then(Analysis::need_sound) };
        let magnitude = match heard {
            Ok(heard) => heard.magnitude().slice(s![pauses::without_ends(&heard), ..]).to_owned(),
            Err(Error::Silent) => return Err(Error::SilentNoise { noise: name.into() }),
            Err(Error::TooShort { n_samples, win_length, sample_rate }) => {
                return Err(Error::ShortNoise { noise: name.into(), n_samples, win_length, sample_rate });
            }
            Err(error) => return Err(error),
        };
        let (name, n_channels) = (name.to_owned(), noise.n_channels());
        Ok(Self { name, magnitude, n_channels, sample_rate, stft, parts_s: Vec::new() })
    }

    /// Listens to a stretch of the recording of `analysis`, in seconds, where the noise is alone.
    ///
    /// # Errors
    /// [`Error::NoiseRange`] for a stretch that the recording does not have, and those of [`NoiseProfile::of`].
    pub fn of_range(
        recording: &dyn Recording,
        range_s: Range<f64>,
        analysis: &Analysis,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let (Range { start: start_s, end: end_s }, heard) = (range_s.clone(), analysis.span_s());
        // Ends that were added up are off by a rounding.
        let tolerance_s = 0.5 / f64::from(analysis.sample_rate());
        if !(start_s >= heard.start - tolerance_s && start_s < end_s && end_s <= heard.end + tolerance_s) {
            return Err(Error::NoiseRange { start_s, end_s, first_s: heard.start, last_s: heard.end });
        }
        let stretch = Stretch { recording, range_s: range_s.clone() };
        let profile = Self::of(&stretch, &format!("{start_s} to {end_s} s"), analysis, watch)?;
        Ok(Self { parts_s: vec![range_s], ..profile })
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stretch of the recording that it was heard in, in seconds; none where it was heard elsewhere.
    pub fn parts_s(&self) -> &[Range<f64>] {
        &self.parts_s
    }

    /// Its magnitudes as a recording of as many channels as that of `analysis` has them: magnitudes are sums over channels.
    pub(super) fn heard_by(&self, analysis: &Analysis) -> Result<Array2<f32>> {
        let same = self.sample_rate == analysis.sample_rate() && self.stft == *analysis.stft().config();
        if !same {
            let told = |rate: u32, stft: &StftConfig| format!("{rate} Hz and `n_fft {}`", stft.n_fft);
            return Err(Error::Setting {
                name: "noise",
                got: format!("a profile for {}", told(self.sample_rate, &self.stft)),
                expected: format!("one for {}", told(analysis.sample_rate(), analysis.stft().config())),
                advice: None,
            });
        }
        let mut magnitude = self.magnitude.clone();
        if self.n_channels != analysis.n_channels() {
            magnitude *= (analysis.n_channels() as f32 / self.n_channels as f32).sqrt();
        }
        Ok(magnitude)
    }
}

/// A stretch of a recording.
struct Stretch<'a> {
    recording: &'a dyn Recording,
    range_s: Range<f64>,
}

impl Recording for Stretch<'_> {
    fn sample_rate(&self) -> u32 {
        self.recording.sample_rate()
    }

    fn n_channels(&self) -> usize {
        self.recording.n_channels()
    }

    fn channel_mask(&self) -> Option<u32> {
        self.recording.channel_mask()
    }

    fn start_s(&self) -> f64 {
        self.range_s.start
    }

    fn n_samples_hint(&self) -> Option<u64> {
        None
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        let start_s = self.recording.start_s();
        let at = |time_s: f64| ((time_s - start_s) * f64::from(self.sample_rate())).round() as u64;
        self.recording.read_range(at(self.range_s.start)..at(self.range_s.end), sink)
    }
}
