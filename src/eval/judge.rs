//! Scores of all pairs that may belong together, and which of them do.
//! Reads signals; knows nothing of where they are.

use std::sync::Arc;

use ndarray::Axis;

use super::assignment;
use super::bss_eval::{self, Filters};
use super::config::{EvalConfig, Framing, Matching};
use super::correlation::{Correlations, Correlator, Layout, Statistics};
use super::scores::{Evaluation, MAX_DB, Scores, Silence, SourceEvaluation, mean};
use super::signals::Signals;
use super::windows::Windows;
use crate::{Error, Result};

/// The scores of all pairs that may belong together, before they are matched.
pub(super) struct Judged {
    pairs: Vec<(usize, usize)>,
    /// For each window: scores of each pair, where the references sound.
    frames: Vec<Vec<Option<Scores>>>,
    /// Which references and estimates (the mixture last) are silent throughout.
    silent_references: Vec<bool>,
    silent_estimates: Vec<bool>,
    pub(super) n_samples: usize,
}

/// Bytes of correlations of windows that are kept at the most: 512 windows of four stereo sources, with filters of 512
/// taps.
pub(super) const MAX_KEPT: usize = 1 << 28;

/// Windows that are judged one by one, in samples.
#[derive(Clone, Copy)]
struct Frames {
    length: usize,
    hop: usize,
}

impl Frames {
    fn new(framing: Framing, signals: &dyn Signals) -> Self {
        let in_samples = |seconds: f64| ((seconds * f64::from(signals.sample_rate())) as usize).max(1);
        Self { length: in_samples(framing.window_s), hop: in_samples(framing.hop_s) }
    }

    /// Whether the whole can be put together of what is gathered of each, so that signals are read once.
    fn make_up_the_whole(&self, n_taps: usize) -> bool {
        self.hop == self.length && self.length >= n_taps
    }
}

/// The signals that are compared.
fn layout(signals: &dyn Signals, matching: Matching) -> Layout {
    let (n_references, n_estimates) = (signals.n_references(), signals.n_estimates());
    let mut pairs: Vec<_> = match matching {
        Matching::InOrder => (0..n_references).map(|i| (i, i)).collect(),
        Matching::BestSir => (0..n_references).flat_map(|r| (0..n_estimates).map(move |e| (r, e))).collect(),
    };
    if signals.has_mixture() {
        pairs.extend((0..n_references).map(|reference| (reference, n_estimates)));
    }
    Layout {
        n_references,
        n_estimates: n_estimates + usize::from(signals.has_mixture()),
        n_channels: signals.n_channels(),
        pairs,
    }
}

/// How often [`judge`] reads the signals, as far as their length is known.
pub(super) fn n_passes(signals: &dyn Signals, config: &EvalConfig, max_kept: usize) -> u64 {
    let Some(frames) = config.framing.map(|framing| Frames::new(framing, signals)) else { return 1 };
    let n_frames = signals.n_samples_hint().map_or(0, |n_samples| n_samples / frames.length as u64);
    let n_kept = Correlations::n_bytes(&layout(signals, config.matching), config.n_taps) as u64;
    let is_enough = n_frames.saturating_mul(n_kept) <= max_kept as u64;
    if frames.make_up_the_whole(config.n_taps) && is_enough { 1 } else { 2 }
}

/// Judges all pairs that may belong together; `tell` learns how many samples per channel were read. Keeps at most
/// `max_kept` bytes of what is gathered of windows on the way; where they are not enough, signals are read again.
pub(super) fn judge(
    signals: &dyn Signals,
    config: &EvalConfig,
    max_kept: usize,
    tell: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Judged> {
    let (layout, n_taps) = (Arc::new(layout(signals, config.matching)), config.n_taps);
    let mut correlator = Correlator::new(layout.clone(), n_taps);
    let frames = config.framing.map(|framing| Frames::new(framing, signals));
    let stretch = frames.filter(|frames| frames.make_up_the_whole(n_taps)).map_or(usize::MAX, |frames| frames.length);
    let n_kept = max_kept / Correlations::n_bytes(&layout, n_taps);
    let mut kept = (stretch < usize::MAX).then(Vec::new);
    let mut n_samples = 0;
    signals.read(&mut |mut block| {
        n_samples += block.ncols();
        while block.ncols() > 0 {
            let (now, later) = block.split_at(Axis(1), block.ncols().min(stretch - correlator.n_samples()));
            correlator.push(now);
            if correlator.n_samples() == stretch {
                let of_window = correlator.cut();
                kept = kept.take().filter(|kept| kept.len() < n_kept);
                if let Some(kept) = &mut kept {
                    kept.push(of_window);
                }
            }
            block = later;
        }
        tell(n_samples)
    })?;
    let whole = Statistics::new(layout.clone(), n_taps, correlator.finish());
    let silent_references: Vec<_> = (0..layout.n_references).map(|r| whole.reference_energy(r) == 0.0).collect();
    let silent_estimates: Vec<_> = (0..layout.n_estimates).map(|e| whole.estimate_energy(e) == 0.0).collect();
    tell(n_samples)?;
    let filters = Filters::new(&whole);
    let judge = |statistics: &Statistics| {
        let is_silent =
            (0..layout.n_references).any(|r| !silent_references[r] && statistics.reference_energy(r) == 0.0);
        if is_silent {
            return vec![None; layout.pairs.len()];
        }
        let scores = bss_eval::scores(statistics, &filters, config.mode).into_iter().zip(&layout.pairs);
        scores.map(|(scores, (reference, _))| (!silent_references[*reference]).then_some(scores)).collect()
    };
    let mut judged = Vec::new();
    let mut judge_window = |correlations| judged.push(judge(&Statistics::new(layout.clone(), n_taps, correlations)));
    match (kept, frames) {
        (Some(kept), _) => {
            for of_window in kept {
                judge_window(of_window);
                tell(n_samples)?;
            }
        }
        (None, Some(frames)) => {
            let mut windows = Windows::new(frames.length, frames.hop);
            let mut n_read = 0;
            signals.read(&mut |block| {
                windows.push(block, &mut |window| {
                    correlator.push(window);
                    judge_window(correlator.finish());
                    tell(n_samples + n_read)
                })?;
                n_read += block.ncols();
                tell(n_samples + n_read)
            })?;
        }
        (None, None) => {}
    }
    // Also where the whole is shorter than a window.
    if judged.is_empty() {
        judged.push(judge(&whole));
    }
    Ok(Judged { pairs: layout.pairs.clone(), frames: judged, silent_references, silent_estimates, n_samples })
}

impl Judged {
    /// The scores of several channels, averaged over those in which the references sound.
    pub(super) fn average(channels: Vec<Self>) -> Result<Self> {
        let n_samples = channels.first().map_or(0, |first| first.n_samples);
        let frames = (0..channels.iter().map(|channel| channel.frames.len()).min().unwrap_or(0))
            .map(|frame| {
                let of_pair = |pair: usize| {
                    let heard: Vec<_> = channels.iter().filter_map(|channel| channel.frames[frame][pair]).collect();
                    (!heard.is_empty()).then(|| Scores::mean_of_all(&heard))
                };
                (0..channels[0].pairs.len()).map(of_pair).collect()
            })
            .collect();
        let all = |silent: fn(&Self) -> &Vec<bool>| -> Vec<bool> {
            let n = channels.first().map_or(0, |first| silent(first).len());
            (0..n).map(|i| channels.iter().all(|channel| silent(channel)[i])).collect()
        };
        let (silent_references, silent_estimates) =
            (all(|channel| &channel.silent_references), all(|channel| &channel.silent_estimates));
        let pairs = channels.into_iter().next().map_or_else(Vec::new, |first| first.pairs);
        Ok(Self { pairs, frames, silent_references, silent_estimates, n_samples })
    }

    /// Gives each reference its estimate.
    pub(super) fn match_up(self, n_references: usize, n_estimates: usize, matching: Matching) -> Result<Evaluation> {
        if self.silent_references.iter().all(|is_silent| *is_silent) {
            return Err(Error::Silent);
        }
        let frames_of = |wanted: (usize, usize)| -> Vec<Scores> {
            let pair = self.pairs.iter().position(|pair| *pair == wanted);
            let scores = |pair: usize| self.frames.iter().map(|frame| frame[pair].unwrap_or(Scores::NAN)).collect();
            pair.map_or_else(Vec::new, scores)
        };
        let estimates: Vec<usize> = match matching {
            Matching::InOrder => (0..n_references).collect(),
            Matching::BestSir => {
                let gains: Vec<f64> = (0..n_references)
                    .flat_map(|r| (0..n_estimates).map(move |e| (r, e)))
                    .map(|pair| mean(frames_of(pair).iter().map(|scores| scores.bss_sir)))
                    // What has no score is given to what is left over.
                    .map(|gain| if gain.is_nan() { -2.0 * MAX_DB } else { gain })
                    .collect();
                assignment::best(n_references, n_estimates, |r, e| gains[r * n_estimates + e])
            }
        };
        let source = |(reference, estimate): (usize, &usize)| SourceEvaluation {
            estimate: *estimate,
            silence: if self.silent_references[reference] {
                Some(Silence::Reference)
            } else {
                self.silent_estimates[*estimate].then_some(Silence::Estimate)
            },
            frames: frames_of((reference, *estimate)),
            mixture_frames: frames_of((reference, n_estimates)),
        };
        Ok(Evaluation { sources: estimates.iter().enumerate().map(source).collect(), n_samples: self.n_samples })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::signals::InMemory;
    use super::*;
    use crate::Audio;

    #[test]
    fn windows_that_are_too_many_to_be_kept_are_read_again_with_the_same_scores() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut noise = || Array2::from_shape_simple_fn((2, 5000), || random.random_range(-1.0f32..1.0));
        let references = [noise(), noise()];
        let estimates = references.each_ref().map(|reference| reference + 0.1 * noise());
        let audio = |samples: Array2<f32>| Audio::new(samples, 8000).expect("audio");
        let (references, estimates) = (references.map(audio), estimates.map(audio));
        let signals = InMemory::new(&references, &estimates, None).expect("alike");
        let framing = Some(Framing { window_s: 0.125, hop_s: 0.125 });
        let config = EvalConfig { framing, n_taps: 16, ..EvalConfig::default() };
        // Five windows, the last of which ends with the signals.
        let n_needed = 5 * Correlations::n_bytes(&layout(&signals, config.matching), config.n_taps);
        let judged = |max_kept: usize, expected: u64| {
            assert_eq!(n_passes(&signals, &config, max_kept), expected, "{max_kept} of {n_needed} bytes");
            let mut n_read = 0;
            let mut tell = |n: usize| {
                n_read = n;
                Ok(())
            };
            let judged = judge(&signals, &config, max_kept, &mut tell).expect("scores");
            assert_eq!(n_read as u64, expected * 5000);
            judged.frames
        };
        let (kept, again) = (judged(n_needed, 1), judged(n_needed - 1, 2));
        assert_eq!((kept.len(), again.len()), (5, 5));
        for (kept, again) in kept.iter().flatten().zip(again.iter().flatten()) {
            let (kept, again) = (kept.expect("sounds").values(), again.expect("sounds").values());
            // The filters of the whole come of sums in the same order either way.
            assert_eq!(kept, again);
        }
    }
}
