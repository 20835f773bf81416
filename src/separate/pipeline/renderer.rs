//! From masks to sound, the second pass: forward transform, masks, inverse transform, block by block, so that memory
//! does not grow with the recording. Samples are pushed in, stems come out; where both are from and go to is the
//! caller's business.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::blocks::{Blocks, Pace};
use super::model::{Split, Stage};
use crate::stft::{Stft, Synthesizer};
use crate::{Error, Result};

/// What takes blocks of stems, one `n_channels` x n matrix for each, all of one length, in the order of time.
pub(super) type Sink<'s> = dyn FnMut(&[Array2<f32>]) -> Result<()> + 's;

/// What was rendered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rendered {
    /// Samples per channel.
    pub n_samples: usize,
    /// Largest absolute sample of each stem.
    pub peaks: Vec<f32>,
    /// Energy of each stem, relative to that of the mixture.
    pub energy_shares: Vec<f64>,
}

/// The form of a recording: what a separation of it can be rendered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::separate) struct Form {
    pub(in crate::separate) sample_rate: u32,
    pub(in crate::separate) n_channels: usize,
    /// Channels of each stem: as many, or one.
    pub(in crate::separate) n_stem_channels: usize,
    /// Samples per channel; `None`: any number.
    pub(in crate::separate) n_samples: Option<usize>,
}

/// A stem to make, and the parts that it sums.
#[derive(Debug, Clone)]
pub(in crate::separate) struct Output {
    pub(in crate::separate) name: String,
    pub(in crate::separate) parts: Vec<usize>,
}

/// Takes the samples of a recording as they come, and hands over the samples of its stems as soon as they are known.
///
/// Made by [`crate::Separation::renderer`] and [`crate::Separation::live_renderer`].
///
/// # Examples
/// ```
/// use partita::separate::{Stems, hpss};
/// use partita::separate::{Analysis, AnalysisConfig};
/// use partita::watch::Watch;
/// let analysis = Analysis::live(8000, 1, &AnalysisConfig::default())?;
/// let parts = hpss::fit(&analysis, &hpss::HpssConfig::default(), None, &mut Watch::none())?;
/// let mut renderer = parts.live_renderer(&Stems::All)?;
/// let (latency, mut n_samples) = (renderer.latency(), 0);
/// for _ in 0..100 {
///     let block = ndarray::Array2::zeros((1, 100));
///     renderer.push(block.view(), &mut |stems| {
///         n_samples += stems[0].ncols();
///         Ok(())
///     })?;
/// }
/// assert!(n_samples >= 100 * 100 - latency, "{n_samples} samples are out");
/// # Ok::<(), partita::Error>(())
/// ```
pub struct Renderer<'a> {
    stages: Vec<Splitter<'a>>,
    n_channels: usize,
    n_stem_channels: usize,
    /// Samples per channel that are expected, where that is known.
    n_expected: Option<usize>,
    /// Samples of each stem that are yet to be handed over at the most.
    n_wanted: usize,
    n_outputs: usize,
    /// Samples that were pushed, and their energy.
    n_samples: usize,
    mixture_energy: f64,
    /// Of each stem.
    peaks: Vec<f32>,
    energies: Vec<f64>,
}

impl std::fmt::Debug for Renderer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").field("n_samples", &self.n_samples).finish_non_exhaustive()
    }
}

impl<'a> Renderer<'a> {
    /// Of a whole recording.
    pub(in crate::separate) fn new(stages: &'a [Stage], form: &Form, outputs: &[Output], is_live: bool) -> Self {
        let pace = if is_live { Pace::Live } else { Pace::File };
        let splitters = Splitter::chain(stages, outputs, |stage, sums| {
            let blocks = Blocks::new(&stage.stft, &*stage.model, form.n_channels, pace);
            Splitter::new(blocks, &stage.stft, sums, form.n_stem_channels, |_| 0)
        });
        Self { n_expected: form.n_samples, ..Self::of_range(splitters, form, outputs.len(), usize::MAX) }
    }

    /// Of so many samples, from the one with which the splitters begin.
    pub(super) fn of_range(stages: Vec<Splitter<'a>>, form: &Form, n_outputs: usize, n_wanted: usize) -> Self {
        Self {
            stages,
            n_channels: form.n_channels,
            n_stem_channels: form.n_stem_channels,
            n_expected: None,
            n_wanted,
            n_outputs,
            n_samples: 0,
            mixture_energy: 0.0,
            peaks: vec![0.0; n_outputs],
            energies: vec![0.0; n_outputs],
        }
    }

    /// The most samples by which a stem can lag behind what was pushed, when it is made live: in each stage one window and
    /// the frames that the model looks ahead.
    pub fn latency(&self) -> usize {
        let of = |stage: &Splitter<'_>| {
            let config = stage.stft.config();
            config.n_fft + stage.blocks.model.margin().after * config.hop_length
        };
        self.stages.iter().map(of).sum()
    }

    /// Takes the next samples of the recording, `n_channels` x any number, and hands to `sink` what they complete: a matrix
    /// of `n_channels` x n for each stem, all of one length.
    ///
    /// # Errors
    /// [`Error::OtherRecording`] for another number of channels, [`Error::Length`] for more samples than the recording
    /// has that was separated, those of the model, and whatever `sink` returns.
    pub fn push(&mut self, block: ArrayView2<'_, f32>, sink: &mut Sink<'_>) -> Result<()> {
        check_channels(block.nrows(), self.n_channels)?;
        self.n_samples += block.ncols();
        if let Some(expected) = self.n_expected.filter(|expected| self.n_samples > *expected) {
            return Err(Error::Length { got: self.n_samples, expected });
        }
        self.mixture_energy += level(block).1;
        let mut rest: Option<Array2<f32>> = None;
        for stage in &mut self.stages {
            stage.push(rest.as_ref().map_or(block, |rest| rest.view()))?;
            rest = stage.rest();
        }
        self.emit(sink)
    }

    /// Ends the recording, and hands over what is left of the stems.
    ///
    /// # Errors
    /// [`Error::Length`] for fewer samples than the recording has that was separated, those of the model, and whatever
    /// `sink` returns.
    pub fn finish(mut self, sink: &mut Sink<'_>) -> Result<Rendered> {
        if let Some(expected) = self.n_expected.filter(|expected| self.n_samples != *expected) {
            return Err(Error::Length { got: self.n_samples, expected });
        }
        self.finish_stages(&vec![true; self.stages.len()], sink)?;
        let share = |energy: &f64| energy / f64::max(self.mixture_energy, f64::MIN_POSITIVE);
        let energy_shares = self.energies.iter().map(share).collect();
        Ok(Rendered { n_samples: self.n_samples, peaks: self.peaks, energy_shares })
    }

    /// Ends the stages that have seen the end of the recording.
    pub(super) fn finish_stages(&mut self, ends: &[bool], sink: &mut Sink<'_>) -> Result<()> {
        let mut rest: Option<Array2<f32>> = None;
        for (stage, is_end) in self.stages.iter_mut().zip(ends) {
            if let Some(rest) = &rest {
                stage.push(rest.view())?;
            }
            if *is_end {
                stage.finish()?;
            }
            rest = stage.rest();
        }
        self.emit(sink)
    }

    fn emit(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let n_ready = self.stages.iter().filter_map(Splitter::n_ready).min().unwrap_or(0).min(self.n_wanted);
        if n_ready == 0 {
            return Ok(());
        }
        let mut blocks = vec![Array2::zeros((self.n_stem_channels, n_ready)); self.n_outputs];
        self.stages.iter_mut().for_each(|stage| stage.take(n_ready, &mut blocks));
        for ((block, peak), energy) in blocks.iter().zip(&mut self.peaks).zip(&mut self.energies) {
            let (own_peak, own_energy) = level(block.view());
            *peak = peak.max(own_peak);
            *energy += own_energy;
        }
        self.n_wanted -= n_ready;
        sink(&blocks)
    }
}

/// The largest absolute sample of a block, and its energy.
fn level(block: ArrayView2<'_, f32>) -> (f32, f64) {
    // Several side by side: one sum would wait for each sample.
    const LANES: usize = 16;
    let (mut peaks, mut energies) = ([0.0f32; LANES], [0.0f64; LANES]);
    let mut add = |samples: &[f32]| {
        for ((peak, energy), x) in peaks.iter_mut().zip(&mut energies).zip(samples) {
            *peak = if x.abs() > *peak { x.abs() } else { *peak };
            *energy += f64::from(*x) * f64::from(*x);
        }
    };
    for channel in block.outer_iter() {
        let channel = channel.as_standard_layout();
        let (chunks, rest) = channel.as_slice().unwrap_or_default().as_chunks::<LANES>();
        chunks.iter().for_each(|chunk| add(chunk));
        add(rest);
    }
    (peaks.into_iter().fold(0.0, f32::max), energies.iter().sum())
}

/// Refuses sound of another number of channels than that which was taken apart.
pub(in crate::separate) fn check_channels(got: usize, expected: usize) -> Result<()> {
    let told = |n_channels| format!("{n_channels} {}", if n_channels == 1 { "channel" } else { "channels" });
    if got == expected { Ok(()) } else { Err(Error::OtherRecording { got: told(got), expected: told(expected) }) }
}

/// One stage at work.
pub(super) struct Splitter<'a> {
    stft: &'a Stft,
    pub(super) blocks: Blocks<'a>,
    signals: Vec<Signal<'a>>,
}

/// Where a sum of parts goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// To a stem.
    Stem(usize),
    /// On to the next stage.
    Next,
}

/// A sum of parts in the making: where it goes, the parts, and its channels.
struct Signal<'a> {
    goal: Goal,
    parts: Vec<usize>,
    channels: Vec<Channel<'a>>,
}

impl<'a> Splitter<'a> {
    /// A splitter for each stage, made by `new` of the stage and what it is to sum up.
    pub(super) fn chain(
        stages: &'a [Stage],
        outputs: &[Output],
        mut new: impl FnMut(&'a Stage, Vec<(Goal, Vec<usize>)>) -> Self,
    ) -> Vec<Self> {
        let mut splitters = Vec::with_capacity(stages.len());
        let mut first_part = 0;
        for (i, stage) in stages.iter().enumerate() {
            let is_last = i + 1 == stages.len();
            let n_own = stage.model.n_parts() - usize::from(!is_last);
            let own = first_part..first_part + n_own;
            let mut sums = Vec::new();
            for (i, output) in outputs.iter().enumerate() {
                let parts = output.parts.iter().filter(|part| own.contains(part));
                let parts: Vec<_> = parts.map(|part| part - own.start).collect();
                if !parts.is_empty() {
                    sums.push((Goal::Stem(i), parts));
                }
            }
            if !is_last {
                sums.push((Goal::Next, vec![n_own]));
            }
            splitters.push(new(stage, sums));
            first_part += n_own;
        }
        splitters
    }

    /// Hands over samples of the recording from `first_sample` of each goal on.
    pub(super) fn new(
        blocks: Blocks<'a>,
        stft: &'a Stft,
        sums: Vec<(Goal, Vec<usize>)>,
        n_stem_channels: usize,
        first_sample: impl Fn(Goal) -> usize,
    ) -> Self {
        let n_all = blocks.buffer.spectra().count();
        let channel = |goal| Channel::new(stft, blocks.next_frame(), first_sample(goal));
        let n_channels = |goal| if goal == Goal::Next { n_all } else { n_stem_channels };
        let channels = |goal| (0..n_channels(goal)).map(|_| channel(goal)).collect();
        let signals = sums.into_iter().map(|(goal, parts)| Signal { goal, parts, channels: channels(goal) }).collect();
        Self { stft, blocks, signals }
    }

    pub(super) fn push(&mut self, block: ArrayView2<'_, f32>) -> Result<()> {
        self.blocks.buffer.push(block);
        self.split(false)
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        self.blocks.buffer.finish();
        self.split(true)?;
        let n_samples = self.blocks.buffer.n_samples;
        self.signals.iter_mut().flat_map(|signal| &mut signal.channels).for_each(|channel| channel.finish(n_samples));
        Ok(())
    }

    /// Turns the frames that are there into sound.
    fn split(&mut self, is_last: bool) -> Result<()> {
        let Self { blocks, signals, .. } = self;
        let model = blocks.model;
        blocks.for_each(is_last, &mut |group| {
            let splits = group.par_iter().map(|block| {
                let split = model.split(block)?;
                split.check(model.n_parts(), block)?;
                Ok(split)
            });
            for (block, split) in group.iter().zip(splits.collect::<Result<Vec<_>>>()?) {
                let spectra = block.core_spectra();
                signals.par_iter_mut().for_each(|signal| signal.push(&split, &spectra));
            }
            Ok(())
        })
    }

    /// Samples that all stems of this stage have; `None` without stems.
    fn n_ready(&self) -> Option<usize> {
        let stems = self.signals.iter().filter(|signal| signal.goal != Goal::Next);
        stems.filter_map(|signal| Some(signal.channels.first()?.ready.len())).min()
    }

    /// Adds the next samples to the stems that they belong to.
    fn take(&mut self, n_samples: usize, blocks: &mut [Array2<f32>]) {
        for signal in &mut self.signals {
            let Goal::Stem(stem) = signal.goal else { continue };
            for (mut row, channel) in blocks[stem].outer_iter_mut().zip(&mut signal.channels) {
                row.iter_mut().zip(channel.ready.drain(..n_samples)).for_each(|(sum, x)| *sum += x);
            }
        }
    }

    /// What goes to the next stage.
    fn rest(&mut self) -> Option<Array2<f32>> {
        let signal = self.signals.iter_mut().find(|signal| signal.goal == Goal::Next)?;
        let n_samples = signal.channels.first().map_or(0, |channel| channel.ready.len());
        let mut rest = Array2::zeros((signal.channels.len(), n_samples));
        for (mut row, channel) in rest.outer_iter_mut().zip(&mut signal.channels) {
            row.iter_mut().zip(channel.ready.drain(..)).for_each(|(to, x)| *to = x);
        }
        Some(rest)
    }
}

impl Signal<'_> {
    /// Adds up the parts, and turns the sum into sound.
    fn push(&mut self, split: &Split, spectra: &[&[Complex32]]) {
        let parts = &self.parts;
        match split {
            Split::Masks(masks) => {
                let summed;
                let mask = match &parts[..] {
                    [part] => &masks[*part],
                    parts => {
                        let mut sum = masks[parts[0]].clone();
                        parts[1..].iter().for_each(|part| sum += &masks[*part]);
                        summed = sum;
                        &summed
                    }
                };
                self.channels.par_iter_mut().zip(spectra).for_each(|(channel, spectrum)| {
                    channel.push_masked(spectrum, mask.view());
                });
            }
            Split::Images(images) => self.channels.par_iter_mut().enumerate().for_each(|(channel_idx, channel)| {
                let mut sum = images[parts[0]][channel_idx].clone();
                parts[1..].iter().for_each(|part| sum += &images[*part][channel_idx]);
                channel.push(sum);
            }),
            Split::Tracks(tracks) => {
                let mut sum = tracks[parts[0]].clone();
                parts[1..].iter().for_each(|part| sum += &tracks[*part]);
                self.channels.iter_mut().for_each(|channel| channel.push(sum.clone()));
            }
        }
    }
}

/// One channel of one signal.
struct Channel<'a> {
    synthesizer: Option<Synthesizer<'a>>,
    ready: Vec<f32>,
    /// Samples to drop before the first that is wanted.
    n_early: usize,
}

impl<'a> Channel<'a> {
    fn new(stft: &'a Stft, first_frame: usize, first_sample: usize) -> Self {
        let n_early = first_sample - stft.config().first_sample(first_frame).min(first_sample);
        Self { synthesizer: Some(stft.synthesizer_at(first_frame)), ready: Vec::new(), n_early }
    }

    fn push(&mut self, mut frames: Array2<Complex32>) {
        let Some(synthesizer) = &mut self.synthesizer else { return };
        for mut frame in frames.outer_iter_mut() {
            let frame = frame.as_slice_mut().expect("a row of a new matrix is contiguous");
            synthesizer.push(frame, &mut self.ready);
        }
        self.drop_early();
    }

    /// The frames of a spectrum under a mask, frames x bins.
    fn push_masked(&mut self, spectrum: &[Complex32], mask: ArrayView2<'_, f32>) {
        let Some(synthesizer) = &mut self.synthesizer else { return };
        let mut masked = vec![Complex32::default(); mask.ncols()];
        let mask = mask.as_standard_layout();
        let masks = mask.as_slice().unwrap_or_default().chunks_exact(masked.len());
        for (frame, mask) in spectrum.chunks_exact(masked.len()).zip(masks) {
            masked.iter_mut().zip(frame.iter().zip(mask)).for_each(|(to, (x, m))| *to = x * m);
            synthesizer.push(&mut masked, &mut self.ready);
        }
        self.drop_early();
    }

    fn finish(&mut self, n_samples: usize) {
        if let Some(synthesizer) = self.synthesizer.take() {
            synthesizer.finish(n_samples, &mut self.ready);
            self.drop_early();
        }
    }

    fn drop_early(&mut self) {
        let n_dropped = self.n_early.min(self.ready.len());
        self.ready.drain(..n_dropped);
        self.n_early -= n_dropped;
    }
}
