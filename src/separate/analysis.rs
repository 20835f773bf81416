//! The first pass over a recording: its magnitudes, all of them or, of a long one, runs spread evenly over its length.
//! Keeps magnitudes only; the second pass, in `render`, transforms the sound again.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::{Progress, Step};
use crate::audio::Recording;
use crate::stft::{Analyzer, Stft};
use crate::{Error, Result};

/// Frames that are kept for the fit at the most, unless a method says otherwise: 7.7 minutes at 44.1 kHz with a hop of
/// 1024, and 164 MB with 2049 bins.
pub(super) const MAX_FRAMES: usize = 20_000;

/// Frames of a long recording are kept in runs of this many: long enough for what looks at neighbors (1.5 s at 44.1 kHz
/// with a hop of 1024).
pub(super) const RUN: usize = 64;

/// What the first pass keeps.
#[derive(Debug)]
pub(super) struct Analysis {
    /// Samples per channel.
    pub(super) n_samples: usize,
    /// Frames of the whole recording.
    pub(super) n_frames: usize,
    /// Kept frames x `n_bins`: the root of the channel-summed power.
    pub(super) magnitude: Array2<f32>,
    /// One run of [`RUN`] frames of this many is kept.
    stride: usize,
}

impl Analysis {
    /// Whether every frame was kept.
    pub(super) fn is_complete(&self) -> bool {
        self.stride == 1
    }

    /// The frame of the recording that a row of `magnitude` holds.
    #[expect(dead_code, reason = "methods that know times use it")]
    pub(super) fn frame_idx(&self, row: usize) -> usize {
        row / RUN * self.stride * RUN + row % RUN
    }
}

/// Reads a recording once.
///
/// # Errors
/// [`Error::Silent`] and [`Error::TooShort`] where there is nothing to separate, [`Error::Cancelled`], and those of the
/// recording.
pub(super) fn analyze(
    recording: &dyn Recording,
    stft: &Stft,
    max_frames: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Analysis> {
    let mut front = Front::new(stft, recording.n_channels());
    let mut kept = Kept::new(stft.config().n_bins(), max_frames);
    let mut peak = 0.0f32;
    let total = recording.n_samples_hint();
    recording.read(&mut |block| {
        peak = block.iter().fold(peak, |peak, x| peak.max(x.abs()));
        front.push(block);
        kept.take(&mut front);
        let done = front.n_samples as u64;
        match progress(Progress { step: Step::Reading, done, total, divergence: None }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    })?;
    let (n_samples, win_length) = (front.n_samples, stft.config().win_length);
    if n_samples < win_length {
        return Err(Error::TooShort { n_samples, win_length, sample_rate: recording.sample_rate() });
    }
    if peak == 0.0 {
        return Err(Error::Silent);
    }
    front.finish();
    kept.take(&mut front);
    let n_kept = kept.magnitude.len() / kept.n_bins;
    let magnitude = Array2::from_shape_vec((n_kept, kept.n_bins), kept.magnitude).expect("whole frames were kept");
    Ok(Analysis { n_samples, n_frames: kept.n_frames, magnitude, stride: kept.stride })
}

/// The frames that are kept, thinned out by half whenever there are too many.
struct Kept {
    n_bins: usize,
    max_runs: usize,
    magnitude: Vec<f32>,
    /// Frames seen.
    n_frames: usize,
    stride: usize,
}

impl Kept {
    fn new(n_bins: usize, max_frames: usize) -> Self {
        // Even, so that runs go in pairs of which one stays.
        let max_runs = (max_frames / RUN / 2 * 2).max(2);
        Self { n_bins, max_runs, magnitude: Vec::new(), n_frames: 0, stride: 1 }
    }

    /// Takes all frames out of `front`.
    fn take(&mut self, front: &mut Front<'_>) {
        let magnitude = front.magnitude();
        front.spectra.iter_mut().for_each(Vec::clear);
        for frame in magnitude.outer_iter() {
            if (self.n_frames / RUN).is_multiple_of(self.stride) {
                if self.magnitude.len() == self.max_runs * RUN * self.n_bins {
                    self.thin_out();
                }
                // What was kept until now may be one to leave out from now on.
                if (self.n_frames / RUN).is_multiple_of(self.stride) {
                    self.magnitude.extend(frame);
                }
            }
            self.n_frames += 1;
        }
    }

    fn thin_out(&mut self) {
        let run = RUN * self.n_bins;
        for i in 1..self.max_runs / 2 {
            self.magnitude.copy_within(2 * i * run..(2 * i + 1) * run, i * run);
        }
        self.magnitude.truncate(self.max_runs / 2 * run);
        self.stride *= 2;
    }
}

/// The spectra of all channels, block by block.
pub(super) struct Front<'a> {
    stft: &'a Stft,
    analyzers: Vec<Analyzer<'a>>,
    /// Samples per channel that were taken.
    pub(super) n_samples: usize,
    /// Frames that are complete and were not removed, of each channel, one after the other.
    pub(super) spectra: Vec<Vec<Complex32>>,
}

impl std::fmt::Debug for Front<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("n_samples", &self.n_samples).finish_non_exhaustive()
    }
}

impl<'a> Front<'a> {
    pub(super) fn new(stft: &'a Stft, n_channels: usize) -> Self {
        let analyzers = (0..n_channels).map(|_| stft.analyzer()).collect();
        Self { stft, analyzers, n_samples: 0, spectra: vec![Vec::new(); n_channels] }
    }

    /// Takes a block, `n_channels` x any number of samples.
    pub(super) fn push(&mut self, block: ArrayView2<'_, f32>) {
        self.n_samples += block.ncols();
        let channels = self.analyzers.iter_mut().zip(&mut self.spectra).zip(block.outer_iter());
        for ((analyzer, spectrum), channel) in channels {
            match channel.as_slice() {
                Some(samples) => analyzer.append(samples, spectrum),
                None => analyzer.append(&channel.to_vec(), spectrum),
            }
        }
    }

    /// Ends the recording.
    pub(super) fn finish(&mut self) {
        for (analyzer, spectrum) in std::mem::take(&mut self.analyzers).into_iter().zip(&mut self.spectra) {
            analyzer.append_last(spectrum);
        }
    }

    /// Frames that `spectra` holds.
    pub(super) fn n_frames(&self) -> usize {
        self.spectra.first().map_or(0, Vec::len) / self.stft.config().n_bins()
    }

    /// Root of the channel-summed power of these frames, frames x `n_bins`.
    pub(super) fn magnitude(&self) -> Array2<f32> {
        let n_bins = self.stft.config().n_bins();
        let mut magnitude = Array2::zeros((self.n_frames(), n_bins));
        magnitude.outer_iter_mut().into_par_iter().enumerate().for_each(|(i, mut row)| {
            for spectrum in &self.spectra {
                let frame = &spectrum[i * n_bins..(i + 1) * n_bins];
                row.iter_mut().zip(frame).for_each(|(power, x)| *power += x.norm_sqr());
            }
            row.mapv_inplace(f32::sqrt);
        });
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Audio, StftConfig};

    fn noise(n_samples: usize) -> Audio {
        let mut state = 1u32;
        let samples = Array2::from_shape_fn((2, n_samples), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        });
        Audio::new(samples, 8000).expect("audio")
    }

    #[test]
    fn a_short_recording_is_kept_whole() {
        let (audio, stft) = (noise(20_000), Stft::new(StftConfig::new(64)).expect("stft"));
        let analysis = analyze(&audio, &stft, 20_000, &mut |_| ControlFlow::Continue(())).expect("analysis");
        assert!(analysis.is_complete());
        assert_eq!(analysis.magnitude, stft.magnitude(audio.samples()));
        assert_eq!((analysis.n_samples, analysis.n_frames), (20_000, stft.config().n_frames(20_000)));
    }

    #[test]
    fn of_a_long_recording_runs_of_frames_are_kept_in_bounded_memory() {
        let (audio, stft) = (noise(100_000), Stft::new(StftConfig::new(64)).expect("stft"));
        let whole = stft.magnitude(audio.samples());
        let analysis = analyze(&audio, &stft, 1024, &mut |_| ControlFlow::Continue(())).expect("analysis");
        assert!(!analysis.is_complete());
        let n_kept = analysis.magnitude.nrows();
        assert!((512..=1024).contains(&n_kept), "{n_kept} frames of {}", analysis.n_frames);
        for (row, frame) in analysis.magnitude.outer_iter().enumerate() {
            let frame_idx = row / RUN * analysis.stride * RUN + row % RUN;
            assert_eq!(frame, whole.row(frame_idx), "row {row} is frame {frame_idx}");
        }
    }
}
