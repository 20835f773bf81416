//! Magnitudes of a recording over time and frequency, and the scales they are looked at in.

use ndarray::{Array2, ArrayView2};

use crate::stft::StftConfig;

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
}
