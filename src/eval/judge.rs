//! Scores of all pairs that may belong together, and which of them do.
//! Reads signals; knows nothing of where they are.

use std::sync::Arc;

use super::assignment;
use super::bss_eval::{self, Filters};
use super::config::{EvalConfig, Matching};
use super::correlation::{Correlator, Layout, Statistics};
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

/// Judges all pairs that may belong together; `tell` learns how many samples per channel were read.
pub(super) fn judge(
    signals: &dyn Signals,
    config: &EvalConfig,
    tell: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Judged> {
    let (n_references, n_estimates) = (signals.n_references(), signals.n_estimates());
    let mut pairs: Vec<_> = match config.matching {
        Matching::InOrder => (0..n_references).map(|i| (i, i)).collect(),
        Matching::BestSir => (0..n_references).flat_map(|r| (0..n_estimates).map(move |e| (r, e))).collect(),
    };
    if signals.has_mixture() {
        pairs.extend((0..n_references).map(|reference| (reference, n_estimates)));
    }
    let layout = Arc::new(Layout {
        n_references,
        n_estimates: n_estimates + usize::from(signals.has_mixture()),
        n_channels: signals.n_channels(),
        pairs,
    });
    let mut correlator = Correlator::new(layout.clone(), config.n_taps);
    let mut n_samples = 0;
    signals.read(&mut |block| {
        correlator.push(block);
        n_samples += block.ncols();
        tell(n_samples)
    })?;
    let whole = correlator.finish();
    let silent_references: Vec<_> = (0..n_references).map(|r| whole.reference_energy(r) == 0.0).collect();
    let silent_estimates: Vec<_> = (0..layout.n_estimates).map(|e| whole.estimate_energy(e) == 0.0).collect();
    tell(n_samples)?;
    let filters = Filters::new(&whole);
    let judge = |statistics: &Statistics| {
        let is_silent = (0..n_references).any(|r| !silent_references[r] && statistics.reference_energy(r) == 0.0);
        if is_silent {
            return vec![None; layout.pairs.len()];
        }
        let scores = bss_eval::scores(statistics, &filters, config.mode).into_iter().zip(&layout.pairs);
        scores.map(|(scores, (reference, _))| (!silent_references[*reference]).then_some(scores)).collect()
    };
    let mut frames = Vec::new();
    if let Some(framing) = config.framing {
        let in_samples = |seconds: f64| ((seconds * f64::from(signals.sample_rate())) as usize).max(1);
        let mut windows = Windows::new(in_samples(framing.window_s), in_samples(framing.hop_s));
        let mut n_read = 0;
        signals.read(&mut |block| {
            windows.push(block, &mut |window| {
                correlator.push(window);
                frames.push(judge(&correlator.finish()));
                tell(n_samples + n_read)
            })?;
            n_read += block.ncols();
            tell(n_samples + n_read)
        })?;
    }
    // Also where the whole is shorter than a window.
    if frames.is_empty() {
        frames.push(judge(&whole));
    }
    Ok(Judged { pairs: layout.pairs.clone(), frames, silent_references, silent_estimates, n_samples })
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
