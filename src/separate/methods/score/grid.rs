//! The frames of a recording, and the places of frequencies among the bumps that envelopes are made of.

use std::ops::Range;

use crate::knowledge::score::Note;
use crate::separate::pipeline::Analysis;
use crate::stft::StftConfig;

/// Triangular bumps that make up an envelope, evenly spaced in log frequency from [`LOWEST_HZ`] to half the sample rate.
pub(super) const N_BUMPS: usize = 32;
const LOWEST_HZ: f64 = 60.0;

/// A time half-way between two frames is of the later one, whatever the rounding of its place, in frames.
const HALF_WAY_UP: f64 = 1e-6;

/// The frames of a recording, and how high it sounds.
pub(super) struct Grid {
    pub(super) sample_rate: u32,
    pub(super) transform: StftConfig,
    pub(super) n_frames: usize,
    /// The times of the recording.
    pub(super) span_s: Range<f64>,
    /// By how many semitones the recording sounds higher than the score.
    pub(super) transposition: f64,
}

impl Grid {
    pub(super) fn new(analysis: &Analysis) -> Self {
        Self {
            sample_rate: analysis.sample_rate(),
            transform: *analysis.stft().config(),
            n_frames: analysis.n_frames(),
            span_s: analysis.span_s(),
            transposition: 0.0,
        }
    }

    /// Time from one frame to the next, in seconds.
    pub(super) fn hop_s(&self) -> f64 {
        self.transform.hop_length as f64 / f64::from(self.sample_rate)
    }

    /// The frequency at which a pitch of the score sounds.
    pub(super) fn pitch_hz(&self, pitch: u8) -> f64 {
        Note::pitch_hz(pitch) * (self.transposition / 12.0).exp2()
    }

    /// The frame nearest to a time, within the recording.
    pub(super) fn frame(&self, time_s: f64) -> usize {
        let sample = (time_s - self.span_s.start) * f64::from(self.sample_rate);
        let frame = (sample / self.transform.hop_length as f64 + HALF_WAY_UP).round();
        (frame.max(0.0) as usize).min(self.n_frames)
    }

    /// The bump below a frequency, and how far the frequency lies on the way to the next.
    pub(super) fn place(&self, hz: f64) -> (usize, f32) {
        let octaves = (f64::from(self.sample_rate) / 2.0 / LOWEST_HZ).log2().max(1.0);
        let place = ((hz / LOWEST_HZ).max(1.0).log2() / octaves).clamp(0.0, 1.0) * (N_BUMPS - 1) as f64;
        let bump = (place as usize).min(N_BUMPS - 2);
        (bump, (place - bump as f64) as f32)
    }

    /// The frames from one time to another, both included.
    pub(super) fn frames(&self, start_s: f64, end_s: f64) -> Range<usize> {
        self.frame(start_s)..(self.frame(end_s) + 1).min(self.n_frames)
    }
}
