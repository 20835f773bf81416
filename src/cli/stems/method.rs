//! What a separating command is to the work that they share: a way from a recording to a separation.

use std::ops::Range;

use partita::audio::Recording;
use partita::separate::{Analysis, AnalysisConfig, Detail, Places};
use partita::watch::Watch;
use partita::{Error, Separation, StftConfig};

use crate::cli::failure::Failure;
use crate::cli::inputs::Input;
use crate::cli::sound::{self, Excerpt, Sound};
use crate::cli::terminal::Terminal;

/// What a command does with one recording.
pub(in crate::cli) trait Method: Sync {
    /// The stems that are known before a recording is read.
    fn names(&self) -> Vec<String>;

    /// Whether there are others beside [`Method::names`]. Default: no.
    fn has_more_names(&self) -> bool {
        false
    }

    /// [`Method::names`] of one input, where it depends on that.
    fn names_of(&self, _: &Input) -> Vec<String> {
        self.names()
    }

    /// Whether several files can be one input ([`Method::sessions`]). Default: no.
    fn has_sessions(&self) -> bool {
        false
    }

    /// Puts files together that are one input.
    fn sessions(&self, inputs: Vec<Input>) -> Result<Vec<Input>, Failure> {
        Ok(inputs)
    }

    /// Opens an input.
    fn open(&self, input: &Input, excerpt: &Excerpt, terminal: &Terminal) -> Result<Box<dyn Sound>, Failure> {
        Ok(Box::new(sound::open(input, excerpt, terminal)?))
    }

    /// The samples that the stem of this name has of the recording. Default: all of them.
    fn extent_of(&self, _: &Input, _: &dyn Sound, _name: &str) -> Option<Range<u64>> {
        None
    }

    /// How a recording is looked at, and what is kept of it.
    fn analysis(&self) -> AnalysisConfig;

    /// [`Method::analysis`] of a recording of so many channels, where it depends on that.
    fn analysis_of(&self, _n_channels: usize) -> AnalysisConfig {
        self.analysis()
    }

    /// Looks at a recording. Default: as [`Method::analysis_of`] says.
    fn look(&self, recording: &dyn Recording, watch: &mut Watch<'_>) -> Result<Analysis, Error> {
        Analysis::of(recording, &self.analysis_of(recording.n_channels()), watch)
    }

    /// What tells stems apart beside their masks. Default: nothing.
    fn places(&self) -> Places {
        Places::default()
    }

    /// Bytes that the fit of a recording of so many channels takes beside the analysis. Default: none.
    fn more_bytes(&self, _n_channels: usize) -> u64 {
        0
    }

    /// Takes a recording apart.
    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error>;

    /// [`Method::fit`], where it depends on the input.
    fn fit_input(
        &self,
        _: &Input,
        recording: &dyn Recording,
        analysis: &Analysis,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome, Error> {
        self.fit(recording, analysis, watch)
    }
}

/// Bytes that the work takes whatever the recording: buffers of decoders and encoders, templates, threads.
const FIXED_BYTES: u64 = 64 << 20;

/// Matrices of the size of the magnitudes that a fit holds: these, a packed copy, and the model of them.
const N_MATRICES: u64 = 3;

/// Frames that are kept of a recording at the least, whatever `--max-frames` says: two runs of 64.
const MIN_FRAMES: u64 = 128;

/// Frames that are rendered side by side at the most: 8 blocks of 64.
const RENDERED_FRAMES: u64 = 512;

/// How much of a recording is held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Extent {
    pub(in crate::cli) stft: StftConfig,
    /// Frames that the fit keeps at the most.
    pub(in crate::cli) max_frames: usize,
    /// Whether the spectra of all channels are kept, too.
    pub(in crate::cli) has_spectra: bool,
}

impl Extent {
    /// Of recordings of this sample rate that are looked at so.
    pub(in crate::cli) fn new(config: &AnalysisConfig, sample_rate: u32) -> Self {
        let max_frames = if config.detail == Detail::Outline { 0 } else { config.max_frames };
        Self { stft: config.transform(sample_rate), max_frames, has_spectra: config.detail == Detail::Spectra }
    }

    /// Bytes that the work on a recording takes at the most, as far as can be said beforehand: the matrices of the fit,
    /// and what is rendered at a time, complex spectra of each channel before and after a mask for each stem.
    pub(super) fn bytes(&self, recording: &dyn Recording, n_stems: usize) -> u64 {
        let n_bins = self.stft.n_bins() as u64;
        let n_samples = recording.n_samples_hint().unwrap_or(u64::MAX);
        let n_frames = (n_samples / self.stft.hop_length.max(1) as u64).saturating_add(1);
        let kept = n_frames.min((self.max_frames as u64).max(MIN_FRAMES));
        // Spectra of each channel, their magnitudes, and a model of each.
        let per_channel = if self.has_spectra { 16 * recording.n_channels() as u64 } else { 0 };
        let fitted = (4 * N_MATRICES + per_channel).saturating_mul(kept);
        let rendered = n_frames.min(RENDERED_FRAMES) * (16 * recording.n_channels() as u64 + 4 * n_stems as u64);
        fitted.saturating_add(rendered).saturating_mul(n_bins).saturating_add(FIXED_BYTES)
    }
}

/// What came of it.
pub(in crate::cli) struct Outcome {
    pub(in crate::cli) separation: Separation,
    /// Files to write beside the stems.
    pub(in crate::cli) extras: Vec<Extra>,
    /// Lines for the person at the terminal.
    pub(in crate::cli) remarks: Vec<String>,
}

impl From<Separation> for Outcome {
    fn from(separation: Separation) -> Self {
        Self { separation, extras: Vec::new(), remarks: Vec::new() }
    }
}

/// A file beside the stems.
pub(in crate::cli) struct Extra {
    /// Its name, where a stem's name would stand.
    pub(in crate::cli) name: &'static str,
    pub(in crate::cli) extension: &'static str,
    pub(in crate::cli) bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use partita::Audio;

    use super::*;

    fn bytes(n_fft: usize, max_frames: usize, n_channels: usize, n_samples: usize) -> u64 {
        let audio = Audio::new(Array2::zeros((n_channels, n_samples)), 44_100).expect("audio");
        Extent { stft: StftConfig::new(n_fft), max_frames, has_spectra: false }.bytes(&audio, 2)
    }

    #[test]
    fn memory_follows_the_options_and_the_recording() {
        let n_samples = 1 << 21;
        let usual = bytes(4096, 20_000, 1, n_samples);
        // 2049 frames of 2049 bins, three times.
        assert!(usual > FIXED_BYTES + 3 * 4 * 2049 * 2049, "{usual}");
        assert!(bytes(4096, 500, 1, n_samples) < usual - 3 * 4 * 1500 * 2049, "`--max-frames` bounds it");
        assert!(bytes(4096, 20_000, 2, n_samples) > usual, "each channel is rendered");
        assert!(bytes(4096, 20_000, 1, 2 * n_samples) > usual + 3 * 4 * 2000 * 2049, "it grows with the recording");
        let narrow = Extent {
            stft: StftConfig { hop_length: 256, ..StftConfig::new(4096) },
            max_frames: 20_000,
            has_spectra: false,
        };
        let audio = Audio::new(Array2::zeros((1, n_samples)), 44_100).expect("audio");
        assert!(narrow.bytes(&audio, 2) > usual + 3 * 4 * 6000 * 2049, "`--hop-length` makes more frames");
        let long = bytes(1 << 20, 20_000, 1, n_samples);
        assert!(long > FIXED_BYTES + 3 * 4 * 9 * (1 << 19), "{long} for the longest windows");
    }

    #[test]
    fn settings_that_are_refused_later_have_an_extent_too() {
        let audio = Audio::new(Array2::zeros((1, 100)), 44_100).expect("audio");
        let stft = StftConfig { hop_length: 0, ..StftConfig::new(usize::MAX) };
        assert!(Extent { stft, max_frames: usize::MAX, has_spectra: false }.bytes(&audio, 1) > FIXED_BYTES);
    }
}
