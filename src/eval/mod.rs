//! How good estimates of sources are, where the sources themselves are known: SI-SDR and BSS Eval version 4.
//! Compares samples and says numbers; where the samples come from is the caller's business.
//!
//! Beside [`crate::stft`] the only place that knows realfft. All arithmetic is in double precision.

mod assignment;
mod block_toeplitz;
mod bss_eval;
mod correlation;
mod si_sdr;

use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use self::bss_eval::Filters;
use self::correlation::{Correlator, Layout, Statistics};
use crate::error::Advice;
pub use crate::error::Quantity;
use crate::{Audio, Error, Result};

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
    /// Each is judged for itself, and the scores are averaged.
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

/// The scores of one estimate, in dB: higher is better. NaN where there is nothing to compare.
///
/// No score lies outside -150 to 150 dB: beyond, double precision tells nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Source to distortion ratio.
    pub bss_sdr: f64,
    /// Image to spatial distortion ratio; NaN in [`Mode::Sources`].
    pub bss_isr: f64,
    /// Source to interference ratio.
    pub bss_sir: f64,
    /// Sources to artifacts ratio.
    pub bss_sar: f64,
    /// Scale-invariant signal to distortion ratio, zero mean, channels averaged.
    pub si_sdr: f64,
}

impl Scores {
    /// Scores of nothing.
    pub const NAN: Self =
        Self { bss_sdr: f64::NAN, bss_isr: f64::NAN, bss_sir: f64::NAN, bss_sar: f64::NAN, si_sdr: f64::NAN };

    /// SDR, ISR, SIR, SAR and SI-SDR, in this order.
    pub fn values(&self) -> [f64; 5] {
        [self.bss_sdr, self.bss_isr, self.bss_sir, self.bss_sar, self.si_sdr]
    }

    fn from_values([bss_sdr, bss_isr, bss_sir, bss_sar, si_sdr]: [f64; 5]) -> Self {
        Self { bss_sdr, bss_isr, bss_sir, bss_sar, si_sdr }
    }

    /// The mean of each score, over those of them that are not NaN.
    pub fn mean(all: &[Self]) -> Self {
        Self::summary(all, |values| mean(values.iter().copied()))
    }

    /// The median of each score, over those of them that are not NaN.
    pub fn median(all: &[Self]) -> Self {
        Self::summary(all, median)
    }

    fn summary(all: &[Self], summarize: impl Fn(&mut [f64]) -> f64) -> Self {
        Self::from_values(std::array::from_fn(|k| {
            let mut values: Vec<_> = all.iter().map(|scores| scores.values()[k]).collect();
            summarize(&mut values)
        }))
    }

    fn minus(&self, other: &Self) -> Self {
        let (a, b) = (self.values(), other.values());
        Self::from_values(std::array::from_fn(|k| a[k] - b[k]))
    }
}

/// Why there is no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The reference is silent throughout.
    Reference,
    /// The estimate is.
    Estimate,
}

/// How one source came out.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceEvaluation {
    /// The estimate that belongs to it.
    pub estimate: usize,
    /// Why all its scores are NaN, where they are.
    pub silence: Option<Silence>,
    /// Scores of each window in the order of time, or of the whole alone. A window in which any reference or estimate
    /// is silent has none: what belongs to whom cannot be told there.
    pub frames: Vec<Scores>,
    /// The scores that the mixture would get as the estimate, where it was given.
    pub mixture_frames: Vec<Scores>,
}

impl SourceEvaluation {
    /// The scores of the whole: the medians over windows.
    pub fn scores(&self) -> Scores {
        Scores::median(&self.frames)
    }

    /// How much better it is than the mixture, which was given for comparison; the first of these is known as `SDRi`.
    pub fn improvement(&self) -> Option<Scores> {
        (!self.mixture_frames.is_empty()).then(|| self.scores().minus(&Scores::median(&self.mixture_frames)))
    }

    /// Windows without scores.
    pub fn n_silent_frames(&self) -> usize {
        self.frames.iter().filter(|scores| scores.bss_sdr.is_nan()).count()
    }
}

/// How all sources came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// One per reference, in their order.
    pub sources: Vec<SourceEvaluation>,
    /// Samples per channel that were compared.
    pub n_samples: usize,
}

impl Evaluation {
    /// The mean over sources that have scores.
    pub fn mean(&self) -> Scores {
        Scores::mean(&self.sources.iter().map(SourceEvaluation::scores).collect::<Vec<_>>())
    }

    /// The mean over sources of [`SourceEvaluation::improvement`].
    pub fn mean_improvement(&self) -> Option<Scores> {
        let all: Option<Vec<_>> = self.sources.iter().map(SourceEvaluation::improvement).collect();
        all.map(|all| Scores::mean(&all))
    }
}

/// Recordings of one sample rate, channel count and length, read side by side, as often as it takes.
pub trait Signals: Sync {
    /// Of all recordings, in Hz.
    fn sample_rate(&self) -> u32;
    /// Channels of each recording.
    fn n_channels(&self) -> usize;
    /// Sources as they are.
    fn n_references(&self) -> usize;
    /// Sources as they were estimated.
    fn n_estimates(&self) -> usize;
    /// Whether the mixture comes last, to be judged as an estimate of each source.
    fn has_mixture(&self) -> bool;
    /// Hands over all samples in order, in blocks: a row for each channel of each reference, then of each estimate, then
    /// of the mixture.
    ///
    /// # Errors
    /// Whatever goes wrong on the way, or `sink` returns.
    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()>;
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Samples are read for the first time.
    Reading,
    /// Filters are computed.
    Solving,
    /// Samples are read again, and windows judged.
    Judging,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Samples per channel read in this step; where channels are judged apart, of all channels together.
    pub n_samples: usize,
}

/// Judges estimates of sources by the sources themselves.
///
/// # Errors
/// [`Error::Unequal`] where sample rates, channels or lengths differ; [`Error::EstimateCount`] where there are not as
/// many estimates as references; [`Error::Silent`] where all references are silent; [`Error::Setting`] for a setting out
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
    evaluate_with(&signals, config, &mut |_| ControlFlow::Continue(()))
}

/// [`evaluate`] for signals that are read block by block, telling `progress` how far it is; where it answers `Break`, the
/// work ends with [`Error::Cancelled`].
///
/// # Errors
/// Those of [`evaluate`] and of reading, and [`Error::Cancelled`].
///
/// # Cost
/// As [`evaluate`]; memory does not grow with the length, but for that of a window. Signals are read once, with windows
/// twice; where channels are judged apart, so often for each channel.
pub fn evaluate_with(
    signals: &dyn Signals,
    config: &EvalConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Evaluation> {
    check(signals, config)?;
    let judged = match config.channels {
        Channels::Together => judge(signals, config, 0, progress)?,
        Channels::Apart => {
            let mut n_before = 0;
            let mut apart = Vec::with_capacity(signals.n_channels());
            for channel in 0..signals.n_channels() {
                let judged = judge(&OneChannel { signals, channel }, config, n_before, progress)?;
                n_before += judged.n_samples;
                apart.push(judged);
            }
            Judged::average(apart)?
        }
    };
    judged.match_up(signals.n_references(), signals.n_estimates(), config.matching)
}

/// Rows of the largest system: 2.1 GB of memory.
const MAX_ROWS: usize = 23_000;
/// Taps of the longest filter: a third of a second at 48 kHz.
const MAX_TAPS: usize = 16_384;

fn check(signals: &dyn Signals, config: &EvalConfig) -> Result<()> {
    let setting = |name, got: String, expected: String, advice: Advice| {
        Err(Error::Setting { name, got, expected, advice: Some(advice.into()) })
    };
    let (n_references, n_estimates) = (signals.n_references(), signals.n_estimates());
    let is_enough = match config.matching {
        Matching::InOrder => n_estimates == n_references,
        Matching::BestSir => n_estimates >= n_references,
    };
    if n_references == 0 || !is_enough {
        return Err(Error::EstimateCount { got: n_estimates, expected: n_references });
    }
    let n_joined = match config.channels {
        Channels::Together => n_references * signals.n_channels(),
        Channels::Apart => n_references,
    };
    let most = (MAX_ROWS / n_joined).min(MAX_TAPS);
    if !(1..=most).contains(&config.n_taps) {
        let expected = format!("1 to {most} (for {n_joined} signals at once)");
        return setting(
            "n_taps",
            config.n_taps.to_string(),
            expected,
            Advice::set("n_taps", 512).or("channels", "apart"),
        );
    }
    if let Some(framing) = config.framing {
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

/// The scores of all pairs that may belong together, before they are matched.
struct Judged {
    pairs: Vec<(usize, usize)>,
    /// For each window: scores of each pair.
    frames: Vec<Vec<Scores>>,
    /// Which references and estimates (the mixture last) are silent throughout.
    silent_references: Vec<bool>,
    silent_estimates: Vec<bool>,
    n_samples: usize,
}

/// Judges all pairs that may belong together; `n_before` samples were read already.
fn judge(
    signals: &dyn Signals,
    config: &EvalConfig,
    n_before: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
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
    let mut tell = |step, n_samples| match progress(Progress { step, n_samples: n_before + n_samples }) {
        ControlFlow::Break(()) => Err(Error::Cancelled),
        ControlFlow::Continue(()) => Ok(()),
    };
    let mut n_samples = 0;
    signals.read(&mut |block| {
        correlator.push(block);
        n_samples += block.ncols();
        tell(Step::Reading, n_samples)
    })?;
    let whole = correlator.finish();
    let silent_references: Vec<_> = (0..n_references).map(|r| whole.reference_energy(r) == 0.0).collect();
    let silent_estimates: Vec<_> = (0..layout.n_estimates).map(|e| whole.estimate_energy(e) == 0.0).collect();
    tell(Step::Solving, n_samples)?;
    let filters = Filters::new(&whole);
    let judge = |statistics: &Statistics| {
        let is_silent = (0..n_references).any(|r| !silent_references[r] && statistics.reference_energy(r) == 0.0)
            || (0..n_estimates).any(|e| !silent_estimates[e] && statistics.estimate_energy(e) == 0.0);
        if is_silent {
            return vec![Scores::NAN; layout.pairs.len()];
        }
        let mut scores = bss_eval::scores(statistics, &filters, config.mode);
        for (scores, (reference, estimate)) in scores.iter_mut().zip(&layout.pairs) {
            if silent_references[*reference] || silent_estimates[*estimate] {
                *scores = Scores::NAN;
            }
        }
        scores
    };
    let mut frames = Vec::new();
    if let Some(framing) = config.framing {
        let in_samples = |seconds: f64| ((seconds * f64::from(signals.sample_rate())) as usize).max(1);
        let mut windows = Windows::new(in_samples(framing.window_s), in_samples(framing.hop_s));
        let mut n_read = 0;
        signals.read(&mut |block| {
            windows.push(block, &mut |window| {
                let mut correlator = Correlator::new(layout.clone(), config.n_taps);
                correlator.push(window);
                frames.push(judge(&correlator.finish()));
                tell(Step::Judging, n_read)
            })?;
            n_read += block.ncols();
            tell(Step::Judging, n_read)
        })?;
    }
    // Also where the whole is shorter than a window.
    if frames.is_empty() {
        frames.push(judge(&whole));
    }
    Ok(Judged { pairs: layout.pairs.clone(), frames, silent_references, silent_estimates, n_samples })
}

impl Judged {
    /// The scores of several channels, averaged over those that have any.
    fn average(channels: Vec<Self>) -> Result<Self> {
        let n_samples = channels.first().map_or(0, |first| first.n_samples);
        let frames = (0..channels.iter().map(|channel| channel.frames.len()).min().unwrap_or(0))
            .map(|frame| {
                let of_pair = |pair: usize| {
                    Scores::mean(&channels.iter().map(|channel| channel.frames[frame][pair]).collect::<Vec<_>>())
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
    fn match_up(self, n_references: usize, n_estimates: usize, matching: Matching) -> Result<Evaluation> {
        if self.silent_references.iter().all(|is_silent| *is_silent) {
            return Err(Error::Silent);
        }
        let frames_of = |wanted: (usize, usize)| -> Vec<Scores> {
            let pair = self.pairs.iter().position(|pair| *pair == wanted);
            pair.map_or_else(Vec::new, |pair| self.frames.iter().map(|frame| frame[pair]).collect())
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

/// Cuts signals that come in blocks into windows.
struct Windows {
    length: usize,
    hop: usize,
    /// Samples from the start of the next window on.
    waiting: Option<Array2<f32>>,
    /// Samples to leave out before it.
    n_skipped: usize,
}

impl Windows {
    fn new(length: usize, hop: usize) -> Self {
        Self { length, hop, waiting: None, n_skipped: 0 }
    }

    fn push(
        &mut self,
        block: ArrayView2<'_, f32>,
        sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        let n_skipped = self.n_skipped.min(block.ncols());
        self.n_skipped -= n_skipped;
        let block = block.slice(s![.., n_skipped..]);
        let waiting = match self.waiting.take() {
            None => block.to_owned(),
            Some(waiting) => concatenate(Axis(1), &[waiting.view(), block]).expect("as many signals as before"),
        };
        let mut start = 0;
        while start + self.length <= waiting.ncols() {
            sink(waiting.slice(s![.., start..start + self.length]))?;
            start += self.hop;
        }
        self.n_skipped += start.saturating_sub(waiting.ncols());
        self.waiting = Some(waiting.slice(s![.., start.min(waiting.ncols())..]).to_owned());
        Ok(())
    }
}

/// One channel of each recording.
struct OneChannel<'a> {
    signals: &'a dyn Signals,
    channel: usize,
}

impl Signals for OneChannel<'_> {
    fn sample_rate(&self) -> u32 {
        self.signals.sample_rate()
    }

    fn n_channels(&self) -> usize {
        1
    }

    fn n_references(&self) -> usize {
        self.signals.n_references()
    }

    fn n_estimates(&self) -> usize {
        self.signals.n_estimates()
    }

    fn has_mixture(&self) -> bool {
        self.signals.has_mixture()
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        let n_channels = self.signals.n_channels();
        self.signals.read(&mut |block| sink(block.slice(s![self.channel..;n_channels, ..])))
    }
}

/// Recordings in memory.
struct InMemory<'a> {
    references: &'a [Audio],
    estimates: &'a [Audio],
    mixture: Option<&'a Audio>,
}

impl<'a> InMemory<'a> {
    fn new(references: &'a [Audio], estimates: &'a [Audio], mixture: Option<&'a Audio>) -> Result<Self> {
        let Some(first) = references.first() else {
            return Err(Error::EstimateCount { got: estimates.len(), expected: 0 });
        };
        let numbered = |name: &'static str| move |(i, audio): (usize, &'a Audio)| (format!("{name} {}", i + 1), audio);
        let named = (references.iter().enumerate().map(numbered("reference")))
            .chain(estimates.iter().enumerate().map(numbered("estimate")))
            .chain(mixture.map(|audio| ("mixture".to_owned(), audio)));
        for (name, audio) in named {
            for (what, got, expected) in [
                (Quantity::SampleRate, audio.sample_rate() as u64, first.sample_rate() as u64),
                (Quantity::Channels, audio.n_channels() as u64, first.n_channels() as u64),
                (Quantity::Samples, audio.n_samples() as u64, first.n_samples() as u64),
            ] {
                what.check((&name, got), ("reference 1", expected))?;
            }
        }
        Ok(Self { references, estimates, mixture })
    }
}

impl Signals for InMemory<'_> {
    fn sample_rate(&self) -> u32 {
        self.references.first().map_or(0, Audio::sample_rate)
    }

    fn n_channels(&self) -> usize {
        self.references.first().map_or(0, Audio::n_channels)
    }

    fn n_references(&self) -> usize {
        self.references.len()
    }

    fn n_estimates(&self) -> usize {
        self.estimates.len()
    }

    fn has_mixture(&self) -> bool {
        self.mixture.is_some()
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        /// Samples per channel at a time.
        const BLOCK: usize = 1 << 16;
        let n_samples = self.references.first().map_or(0, Audio::n_samples);
        for start in (0..n_samples).step_by(BLOCK) {
            let part = s![.., start..(start + BLOCK).min(n_samples)];
            let rows: Vec<_> = (self.references.iter().chain(self.estimates).chain(self.mixture))
                .map(|audio| audio.samples().slice_move(part))
                .collect();
            sink(concatenate(Axis(0), &rows).expect("lengths were checked").view())?;
        }
        Ok(())
    }
}

impl Quantity {
    /// Refuses two recordings, given by name, that do not have the same of it.
    ///
    /// # Errors
    /// [`Error::Unequal`].
    pub fn check(self, (name, got): (&str, u64), (other, expected): (&str, u64)) -> Result<()> {
        if got == expected {
            return Ok(());
        }
        Err(Error::Unequal { name: name.into(), got, other: other.into(), expected, unit: self })
    }
}

/// Ratios beyond it, in dB, are rounding.
const MAX_DB: f64 = 150.0;

/// A ratio of energies in dB; NaN where both are zero.
fn ratio_db(of: f64, to: f64) -> f64 {
    let (of, to) = (of.max(0.0), to.max(0.0));
    if of == 0.0 && to == 0.0 {
        return f64::NAN;
    }
    (10.0 * (of / to).log10()).clamp(-MAX_DB, MAX_DB)
}

/// The mean of the numbers among these; NaN of none.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.filter(|x| !x.is_nan()).fold((0.0, 0.0), |(sum, n), x| (sum + x, n + 1.0));
    sum / n
}

/// The median of the numbers among these; NaN of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.iter().filter(|x| !x.is_nan()).count();
    // NaN of either sign may stand at either end.
    let first = values.iter().position(|x| !x.is_nan()).unwrap_or(0);
    match values.get(first..first + n) {
        Some([]) | None => f64::NAN,
        Some(numbers) => numbers[(n - 1) / 2].midpoint(numbers[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_that_fit_whatever_the_blocks() {
        let signal = Array2::from_shape_fn((1, 23), |(_, i)| i as f32);
        for (length, hop, expected) in [(5, 5, 4), (5, 3, 7), (4, 6, 4), (23, 1, 1), (24, 1, 0)] {
            for size in [1, 4, 23] {
                let mut windows = Windows::new(length, hop);
                let mut starts = Vec::new();
                for block in signal.axis_chunks_iter(Axis(1), size) {
                    windows
                        .push(block, &mut |window| {
                            assert_eq!(window.ncols(), length);
                            starts.push(window[[0, 0]] as usize);
                            Ok(())
                        })
                        .expect("nothing fails");
                }
                let wanted: Vec<_> = (0..expected).map(|k| k * hop).collect();
                assert_eq!(starts, wanted, "windows of {length} each {hop}, in blocks of {size}");
            }
        }
    }

    #[test]
    fn medians_and_means_leave_out_what_is_no_number() {
        assert_eq!(median(&mut [3.0, f64::NAN, 1.0, -f64::NAN]), 2.0);
        assert_eq!(median(&mut [3.0, 7.0, 1.0]), 3.0);
        assert!(median(&mut [f64::NAN]).is_nan() && median(&mut []).is_nan());
        assert_eq!(mean([3.0, f64::NAN, 1.0].into_iter()), 2.0);
    }
}
