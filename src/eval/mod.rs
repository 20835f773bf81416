//! How good estimates of sources are, where the sources themselves are known: SI-SDR and BSS Eval version 4.
//! Compares samples and says numbers; where the samples come from is the caller's business.
//!
//! Beside [`crate::stft`] the only place that knows realfft. All arithmetic is in double precision.

mod assignment;
mod block_toeplitz;
mod bss_eval;
mod config;
mod correlation;
mod cross_spectra;
mod judge;
mod scores;
mod si_sdr;
mod signals;
mod windows;

use self::judge::{Judged, MAX_KEPT, judge, n_passes};
use self::signals::{InMemory, OneChannel};
use crate::watch::{Step, Watch};
use crate::{Audio, Result};

pub use self::config::{Channels, EvalConfig, Framing, Matching, Mode};
pub use self::scores::{Evaluation, Scores, Silence, SourceEvaluation};
pub use self::signals::Signals;
pub use crate::error::Quantity;

/// Judges estimates of sources by the sources themselves.
///
/// # Errors
/// [`Unequal`](crate::Error::Unequal) where sample rates, channels or lengths differ;
/// [`EstimateCount`](crate::Error::EstimateCount) where there are not as many estimates as references;
/// [`Silent`](crate::Error::Silent) where all references are silent; [`Setting`](crate::Error::Setting) for a setting out
/// of range.
///
/// # Cost
/// With b = references x channels: time O(b^2) per sample and O(b^3 `n_taps`^2), memory of b^2 `n_taps`^2 / 2 numbers
/// beside the recordings; four stereo sources of three minutes take some seconds.
///
/// # Examples
/// ```
/// use partita::{Audio, eval::{EvalConfig, evaluate}};
/// let noise = |seed: usize| Audio::new(ndarray::Array2::from_shape_fn((1, 9000), |(_, i)| {
///     ((i + 1) * (i + 7 * seed) % 8191) as f32 / 4096.0 - 1.0
/// }), 8000);
/// let (a, b) = (noise(1)?, noise(2)?);
/// let leaky = Audio::new(&a.samples() + &(0.1 * &b.samples()), 8000)?;
/// let scores = evaluate(&[a, b.clone()], &[leaky, b], None, &EvalConfig::default())?;
/// assert!((scores.sources[0].scores().bss_sir - 20.0).abs() < 1.0, "a tenth of the other one: 20 dB");
/// # Ok::<(), partita::Error>(())
/// ```
pub fn evaluate(
    references: &[Audio],
    estimates: &[Audio],
    mixture: Option<&Audio>,
    config: &EvalConfig,
) -> Result<Evaluation> {
    let signals = InMemory::new(references, estimates, mixture)?;
    evaluate_with(&signals, config, &mut Watch::none())
}

/// [`evaluate`] for signals that are read block by block. `watch` is told how many samples per channel were read
/// ([`Step::Scoring`]), and may stop it.
///
/// # Errors
/// Those of [`evaluate`] and of reading, and [`Cancelled`](crate::Error::Cancelled).
///
/// # Cost
/// As [`evaluate`]; memory does not grow with the length, but for that of a window, and correlations of windows, 256 MB
/// at the most. Signals are read once; twice where windows do not lie side by side, or are too many to be kept; where
/// channels are judged apart, so often for each channel.
pub fn evaluate_with(signals: &dyn Signals, config: &EvalConfig, watch: &mut Watch<'_>) -> Result<Evaluation> {
    config.check(signals)?;
    let apart: Vec<_> = match config.channels {
        Channels::Together => Vec::new(),
        Channels::Apart => (0..signals.n_channels()).map(|channel| OneChannel { signals, channel }).collect(),
    };
    let n_passes: u64 = match config.channels {
        Channels::Together => n_passes(signals, config, MAX_KEPT),
        Channels::Apart => apart.iter().map(|signals| n_passes(signals, config, MAX_KEPT)).sum(),
    };
    let total = signals.n_samples_hint().map(|n_samples| n_samples.saturating_mul(n_passes));
    let mut n_done = 0;
    let mut judge_next = |signals: &dyn Signals| {
        let n_before = n_done;
        judge(signals, config, MAX_KEPT, &mut |n_read| {
            n_done = n_before + n_read as u64;
            watch.at(Step::Scoring, n_done, total)
        })
    };
    let judged = match config.channels {
        Channels::Together => judge_next(signals)?,
        Channels::Apart => Judged::average(apart.iter().map(|signals| judge_next(signals)).collect::<Result<_>>()?)?,
    };
    judged.match_up(signals.n_references(), signals.n_estimates(), config.matching)
}
