//! What to measure, and how; and what of it is refused.
//! Nothing is measured here.

use super::signals::Signals;
use crate::error::Advice;
use crate::{Error, Result};

/// What to measure, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalConfig {
    /// What BSS Eval forgives. Default: nothing, as in version 4.
    pub mode: Mode,
    /// What becomes of several channels. Default: together.
    pub channels: Channels,
    /// Windows that are judged one by one, with the filters of the whole. Default: the whole signal at once.
    pub framing: Option<Framing>,
    /// Which estimate belongs to which reference. Default: the one in its place.
    pub matching: Matching,
    /// Taps of the distortion filters, 1 to 16384. Default 512, as in all published figures.
    pub n_taps: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            channels: Channels::default(),
            framing: None,
            matching: Matching::default(),
            n_taps: 512,
        }
    }
}

impl EvalConfig {
    /// Refuses settings out of range, and numbers of signals that they do not allow.
    pub(super) fn check(&self, signals: &dyn Signals) -> Result<()> {
        let setting = |name, got: String, expected: String, advice: Advice| {
            Err(Error::Setting { name, got, expected, advice: Some(advice.into()) })
        };
        let (n_references, n_estimates) = (signals.n_references(), signals.n_estimates());
        let is_enough = match self.matching {
            Matching::InOrder => n_estimates == n_references,
            Matching::BestSir => n_estimates >= n_references,
        };
        if n_references == 0 || !is_enough {
            return Err(Error::EstimateCount { got: n_estimates, expected: n_references });
        }
        let n_joined = match self.channels {
            Channels::Together => n_references * signals.n_channels(),
            Channels::Apart => n_references,
        };
        let most = (MAX_ROWS / n_joined).min(MAX_TAPS);
        if !(1..=most).contains(&self.n_taps) {
            let expected = format!("1 to {most} (for {n_joined} signals at once)");
            let advice = Advice::set("n_taps", 512).or("channels", "apart");
            return setting("n_taps", self.n_taps.to_string(), expected, advice);
        }
        if let Some(framing) = self.framing {
            let sample_s = f64::from(signals.sample_rate()).recip();
            for (name, seconds) in [("window_s", framing.window_s), ("hop_s", framing.hop_s)] {
                if !(seconds >= sample_s && seconds.is_finite()) {
                    let expected = format!("at least {sample_s:.6} (one sample)");
                    return setting(name, seconds.to_string(), expected, Advice::set(name, 1));
                }
            }
        }
        Ok(())
    }
}

/// Rows of the largest system: 2.1 GB of memory.
const MAX_ROWS: usize = 23_000;
/// Taps of the longest filter: a third of a second at 48 kHz.
const MAX_TAPS: usize = 16_384;

/// What BSS Eval forgives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing: every difference from the reference counts, and ISR says how much of it filters could undo. What
    /// version 4 and the campaigns on music report.
    #[default]
    Images,
    /// Whatever filters of `n_taps` taps do to the reference, delays and gains among it. What `bss_eval_sources`
    /// reports. There is no ISR.
    Sources,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Images, Self::Sources];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Sources => "sources",
        }
    }
}

/// What becomes of several channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channels {
    /// They are one signal: filters go from every channel to every channel, and energies are added up.
    #[default]
    Together,
    /// Each is judged for itself, and the scores are averaged over those in which the reference sounds.
    Apart,
}

impl Channels {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Together, Self::Apart];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Together => "together",
            Self::Apart => "apart",
        }
    }
}

/// Which estimate belongs to which reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matching {
    /// The one in its place; there are as many estimates as references.
    #[default]
    InOrder,
    /// The one that makes the mean of all SIR largest; there may be more estimates than references.
    BestSir,
}

/// Windows that are judged one by one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Framing {
    /// Length of a window, in seconds. Default 1.
    pub window_s: f64,
    /// From the start of one to the start of the next, in seconds. Default 1.
    pub hop_s: f64,
}

impl Default for Framing {
    fn default() -> Self {
        Self { window_s: 1.0, hop_s: 1.0 }
    }
}
