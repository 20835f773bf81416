//! From masks to sound, the second pass: forward transform, masks, inverse transform, block by block, so that memory
//! does not grow with the recording.

use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::analysis::Front;
use super::model::{Block, Model};
use super::multichannel::{self, Spatial, SpatialSums};
use super::{Progress, Step};
use crate::audio::Recording;
use crate::stft::{Stft, Synthesizer};
use crate::{Error, Result};

/// Frames rendered at once: enough to keep all threads busy, and at 2049 bins half a megabyte per matrix.
pub(super) const BLOCK_FRAMES: usize = 64;

/// Blocks whose masks are made side by side at the most: one for each thread, and on large machines no more than these,
/// whose masks all are in memory. Blocks are the same however many there are at a time.
const MAX_GROUP: usize = 8;

/// A transform, and a model that splits what it is given in that transform.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) stft: Stft,
    pub(super) model: Arc<dyn Model>,
    /// Where the parts stand among the channels, if that is to tell them apart; else one mask serves all channels.
    pub(super) spatial: Option<Arc<Spatial>>,
}

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

/// Makes one stem for each entry of `outputs`, which lists the parts that it sums, and hands over blocks of samples, one
/// `n_channels` x n matrix per stem.
pub(super) fn render(
    stages: &[Stage],
    recording: &dyn Recording,
    outputs: &[Vec<usize>],
    sink: &mut dyn FnMut(&[Array2<f32>]) -> Result<()>,
) -> Result<Rendered> {
    let n_channels = recording.n_channels();
    let mut splitters = Vec::with_capacity(stages.len());
    let mut first_part = 0;
    for (i, stage) in stages.iter().enumerate() {
        let is_last = i + 1 == stages.len();
        let n_own = stage.model.n_parts() - usize::from(!is_last);
        let own = first_part..first_part + n_own;
        let mut sums = Vec::new();
        for (output, parts) in outputs.iter().enumerate() {
            let parts: Vec<_> = parts.iter().filter(|part| own.contains(part)).map(|part| part - own.start).collect();
            if !parts.is_empty() {
                sums.push((Some(output), parts));
            }
        }
        if !is_last {
            sums.push((None, vec![n_own]));
        }
        splitters.push(Splitter::new(stage, n_channels, sums));
        first_part += n_own;
    }
    let mut peaks = vec![0.0f32; outputs.len()];
    let mut energies = vec![0.0; outputs.len()];
    let (mut n_samples, mut mixture_energy) = (0, 0.0);
    let mut emit = |splitters: &mut [Splitter<'_>]| -> Result<()> {
        let n_ready = splitters.iter().filter_map(Splitter::n_ready).min().unwrap_or(0);
        if n_ready == 0 {
            return Ok(());
        }
        let mut blocks = vec![Array2::zeros((n_channels, n_ready)); outputs.len()];
        splitters.iter_mut().for_each(|splitter| splitter.take(n_ready, &mut blocks));
        for ((block, peak), energy) in blocks.iter().zip(&mut peaks).zip(&mut energies) {
            *peak = block.iter().fold(*peak, |peak, x| peak.max(x.abs()));
            *energy += block.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        }
        sink(&blocks)
    };
    recording.read(&mut |block| {
        n_samples += block.ncols();
        mixture_energy += block.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let mut rest: Option<Array2<f32>> = None;
        for splitter in &mut splitters {
            splitter.push(rest.as_ref().map_or(block, |rest| rest.view()));
            rest = splitter.rest();
        }
        emit(&mut splitters)
    })?;
    let mut rest: Option<Array2<f32>> = None;
    for splitter in &mut splitters {
        if let Some(rest) = &rest {
            splitter.push(rest.view());
        }
        splitter.finish();
        rest = splitter.rest();
    }
    emit(&mut splitters)?;
    let share = |energy: &f64| energy / f64::max(mixture_energy, f64::MIN_POSITIVE);
    Ok(Rendered { n_samples, peaks, energy_shares: energies.iter().map(share).collect() })
}

/// A block, and the spectra of its frames, one per channel.
type Heard<'a> = (Block<'a>, Vec<&'a [Complex32]>);

/// A recording cut into the blocks that a model is asked about: [`BLOCK_FRAMES`] frames and the model's margin.
struct Blocks<'a> {
    model: &'a dyn Model,
    n_bins: usize,
    front: Front<'a>,
    /// The frame that the first of the front's spectra belongs to.
    first_frame: usize,
    /// The first frame that was in no block.
    next_frame: usize,
}

impl<'a> Blocks<'a> {
    fn new(stft: &'a Stft, model: &'a dyn Model, n_channels: usize) -> Self {
        let front = Front::new(stft, n_channels);
        Self { model, n_bins: stft.config().n_bins(), front, first_frame: 0, next_frame: 0 }
    }

    /// Hands over groups of blocks once enough of them are complete; at the end of the recording all that is left.
    fn for_each(&mut self, is_last: bool, each: &mut dyn FnMut(&[Heard<'_>])) {
        let n_bins = self.n_bins;
        let (before, after) = self.model.margin();
        let end_frame = self.first_frame + self.front.n_frames();
        let group_frames = BLOCK_FRAMES * rayon::current_num_threads().clamp(1, MAX_GROUP);
        let is_ready = |next_frame: usize| match is_last {
            true => next_frame < end_frame,
            false => next_frame + group_frames + after <= end_frame,
        };
        if !is_ready(self.next_frame) {
            return;
        }
        let magnitude = self.front.magnitude();
        let block = |start: usize| {
            let frames = start..(start + BLOCK_FRAMES).min(end_frame);
            let first = start.saturating_sub(before).max(self.first_frame);
            let rows = first - self.first_frame..(frames.end + after).min(end_frame) - self.first_frame;
            let bins = (start - self.first_frame) * n_bins..(frames.end - self.first_frame) * n_bins;
            let spectra = self.front.spectra.iter().map(|spectrum| &spectrum[bins.clone()]).collect();
            (Block { frames, magnitude: magnitude.slice(s![rows, ..]), before: start - first }, spectra)
        };
        while is_ready(self.next_frame) {
            let frames = self.next_frame..(self.next_frame + group_frames).min(end_frame);
            each(&frames.clone().step_by(BLOCK_FRAMES).map(block).collect::<Vec<_>>());
            self.next_frame = frames.end;
        }
        let n_done = self.next_frame.saturating_sub(before).max(self.first_frame) - self.first_frame;
        self.front.spectra.iter_mut().for_each(|spectrum| drop(spectrum.drain(..n_done * n_bins)));
        self.first_frame += n_done;
    }
}

/// Finds where the parts of a model stand among the channels, from at most about `max_frames` frames, in blocks spread
/// evenly over the recording. `None` for a single channel.
///
/// # Errors
/// [`Error::Cancelled`], and those of the recording.
///
/// # Cost
/// One pass over the recording, with masks for those frames.
pub(super) fn locate(
    recording: &dyn Recording,
    stft: &Stft,
    model: &dyn Model,
    mask_exponent: f32,
    n_frames: usize,
    max_frames: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Option<Spatial>> {
    let n_channels = recording.n_channels();
    if n_channels < 2 {
        return Ok(None);
    }
    let stride = n_frames.div_ceil(max_frames.max(1)).max(1);
    let mut sums = SpatialSums::new(n_channels, model.n_parts(), stft.config().n_bins(), mask_exponent);
    let mut add = |group: &[Heard<'_>]| {
        let wanted = group.iter().filter(|(block, _)| (block.frames.start / BLOCK_FRAMES).is_multiple_of(stride));
        wanted.for_each(|(block, spectra)| sums.add(spectra, &model.masks(block)));
    };
    let mut blocks = Blocks::new(stft, model, n_channels);
    let total = recording.n_samples_hint();
    recording.read(&mut |block| {
        blocks.front.push(block);
        blocks.for_each(false, &mut add);
        let done = blocks.front.n_samples as u64;
        match progress(Progress { step: Step::Reading, done, total, divergence: None }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    })?;
    blocks.front.finish();
    blocks.for_each(true, &mut add);
    Ok(Some(sums.finish()))
}

/// One stage at work.
struct Splitter<'a> {
    spatial: Option<&'a Spatial>,
    blocks: Blocks<'a>,
    signals: Vec<Signal<'a>>,
}

/// A sum of parts in the making: what it adds to (`None`: the next stage), the parts, and its channels.
struct Signal<'a> {
    output: Option<usize>,
    parts: Vec<usize>,
    channels: Vec<Channel<'a>>,
}

impl<'a> Splitter<'a> {
    fn new(stage: &'a Stage, n_channels: usize, sums: Vec<(Option<usize>, Vec<usize>)>) -> Self {
        let channels = || (0..n_channels).map(|_| Channel::new(&stage.stft)).collect();
        let signals = sums.into_iter().map(|(output, parts)| Signal { output, parts, channels: channels() }).collect();
        let blocks = Blocks::new(&stage.stft, &*stage.model, n_channels);
        Self { spatial: stage.spatial.as_deref(), blocks, signals }
    }

    fn push(&mut self, block: ArrayView2<'_, f32>) {
        self.blocks.front.push(block);
        self.split(false);
    }

    fn finish(&mut self) {
        self.blocks.front.finish();
        self.split(true);
        let n_samples = self.blocks.front.n_samples;
        self.signals.iter_mut().flat_map(|signal| &mut signal.channels).for_each(|channel| channel.finish(n_samples));
    }

    /// Turns the frames that are there into sound.
    fn split(&mut self, is_last: bool) {
        let Self { spatial, blocks, signals } = self;
        let model = blocks.model;
        blocks.for_each(is_last, &mut |group| {
            let masks: Vec<_> = group.par_iter().map(|(block, _)| model.masks(block)).collect();
            for ((block, spectra), masks) in group.iter().zip(masks) {
                debug_assert!(masks.iter().all(|mask| mask.dim() == block.core().dim()), "frames and bins");
                match spatial {
                    None => signals.par_iter_mut().for_each(|signal| signal.push(&masks, spectra)),
                    Some(spatial) => {
                        let images = spatial.images(spectra, &masks);
                        signals.par_iter_mut().for_each(|signal| signal.push_images(&images));
                    }
                }
            }
        });
    }

    /// Samples that all sums have; `None` without sums.
    fn n_ready(&self) -> Option<usize> {
        let outputs = self.signals.iter().filter(|signal| signal.output.is_some());
        outputs.filter_map(|signal| Some(signal.channels.first()?.ready.len())).min()
    }

    /// Adds the next samples to the stems that they belong to.
    fn take(&mut self, n_samples: usize, blocks: &mut [Array2<f32>]) {
        for signal in &mut self.signals {
            let Some(output) = signal.output else { continue };
            for (mut row, channel) in blocks[output].outer_iter_mut().zip(&mut signal.channels) {
                row.iter_mut().zip(channel.ready.drain(..n_samples)).for_each(|(sum, x)| *sum += x);
            }
        }
    }

    /// What goes to the next stage.
    fn rest(&mut self) -> Option<Array2<f32>> {
        let signal = self.signals.iter_mut().find(|signal| signal.output.is_none())?;
        let n_samples = signal.channels.first().map_or(0, |channel| channel.ready.len());
        let mut rest = Array2::zeros((signal.channels.len(), n_samples));
        for (mut row, channel) in rest.outer_iter_mut().zip(&mut signal.channels) {
            row.iter_mut().zip(channel.ready.drain(..)).for_each(|(to, x)| *to = x);
        }
        Some(rest)
    }
}

impl Signal<'_> {
    /// Applies the sum of the parts' masks to the spectra of all channels.
    fn push(&mut self, masks: &[Array2<f32>], spectra: &[&[Complex32]]) {
        let summed;
        let mask = match &self.parts[..] {
            [part] => &masks[*part],
            parts => {
                let mut sum = masks[parts[0]].clone();
                parts[1..].iter().for_each(|part| sum += &masks[*part]);
                summed = sum;
                &summed
            }
        };
        self.channels.par_iter_mut().zip(spectra).for_each(|(channel, spectrum)| {
            channel.push_frames(multichannel::masked(spectrum, mask.view()));
        });
    }

    /// Adds up the parts' images.
    fn push_images(&mut self, images: &[Vec<Array2<Complex32>>]) {
        let parts = &self.parts;
        self.channels.par_iter_mut().enumerate().for_each(|(channel_idx, channel)| {
            channel.push_frames(multichannel::sum_of(images, parts, channel_idx));
        });
    }
}

/// One channel of one signal.
struct Channel<'a> {
    synthesizer: Option<Synthesizer<'a>>,
    ready: Vec<f32>,
}

impl<'a> Channel<'a> {
    fn new(stft: &'a Stft) -> Self {
        Self { synthesizer: Some(stft.synthesizer()), ready: Vec::new() }
    }

    fn push_frames(&mut self, mut frames: Array2<Complex32>) {
        for mut frame in frames.outer_iter_mut() {
            self.push(frame.as_slice_mut().expect("a row of a new matrix is contiguous"));
        }
    }

    fn push(&mut self, frame: &mut [Complex32]) {
        if let Some(synthesizer) = &mut self.synthesizer {
            synthesizer.push(frame, &mut self.ready);
        }
    }

    fn finish(&mut self, n_samples: usize) {
        if let Some(synthesizer) = self.synthesizer.take() {
            synthesizer.finish(n_samples, &mut self.ready);
        }
    }
}
