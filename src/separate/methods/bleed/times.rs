//! When sources can sound, in frames.

use std::ops::{Range, RangeInclusive};

use super::config::BleedConfig;
use crate::separate::pipeline::Analysis;

/// The frames in which each source can sound; `None` for all of them.
#[derive(Debug)]
pub(super) struct Times(Vec<Option<Vec<RangeInclusive<usize>>>>);

impl Times {
    pub(super) fn new(analysis: &Analysis, config: &BleedConfig) -> Self {
        let stft = analysis.stft().config();
        let (half, hop) = (stft.win_length as f64 / 2.0, stft.hop_length as f64);
        let frame = |time_s: f64| (time_s - analysis.span_s().start) * f64::from(analysis.sample_rate());
        let frames = |times: &Vec<Range<f64>>| {
            let of_time = |time: &Range<f64>| {
                // Every frame that a note reaches into.
                let (first, last) = ((frame(time.start) - half) / hop, (frame(time.end) + half) / hop);
                first.max(0.0).ceil() as usize..=last.max(0.0) as usize
            };
            times.iter().map(of_time).collect()
        };
        let of_source =
            |name: &String| config.times_s.iter().find(|(known, _)| known == name).map(|(_, times)| frames(times));
        Self(config.sources().iter().map(|(name, _)| of_source(name)).collect())
    }

    pub(super) fn may_sound(&self, source: usize, frame_idx: usize) -> bool {
        self.0[source].as_ref().is_none_or(|times| times.iter().any(|time| time.contains(&frame_idx)))
    }
}
