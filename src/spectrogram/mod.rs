//! Magnitudes of a recording over time and frequency, and the scales they are looked at in: mel, logarithm,
//! decibel, constant-Q bands and pitch classes.
//! An [`Overview`] holds a recording of any length in as many columns as a picture has; drawing it is not done here.

use ndarray::{Array2, ArrayView2};

use crate::Audio;
use crate::stft::{Stft, StftConfig};

pub use self::bands::{Bands, VerticalAxis};
pub use self::cell::Level;
pub use self::constant_q::ConstantQ;
pub use self::frames::Channels;
pub use self::overview::{Overview, OverviewBuilder, OverviewStream};
pub use self::scale::{FrequencyAxis, FrequencyScale, hz_to_mel, mel_filterbank, mel_to_hz};
pub use self::views::{Survey, Tiles, View, ViewConfig, survey, tiles, views};
pub use self::waveform::Waveform;

#[cfg(feature = "plot")]
pub(crate) use self::cell::Cell;

mod bands;
mod cell;
mod constant_q;
mod frames;
mod overview;
mod raster;
mod scale;
mod views;
mod waveform;

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

#[cfg(test)]
mod tests {
    use ndarray::Axis;

    use super::*;

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
}
