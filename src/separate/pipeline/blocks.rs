//! A stream of sound, cut into the blocks of frames that a model is asked about.
//! Transforms only forward; what becomes of the blocks is the caller's business.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::model::{Block, Margin, Model};
use crate::Result;
use crate::audio::Recording;
use crate::stft::{Analyzer, Stft};
use crate::watch::{Step, Watch};

/// Frames that are split at once: enough to keep all threads busy, and at 2049 bins half a megabyte per matrix.
pub(in crate::separate) const BLOCK_FRAMES: usize = 64;

/// Blocks whose masks are made side by side at the most: one for each thread, and on large machines no more than these,
/// whose masks all are in memory. Blocks are the same however many there are at a time.
const MAX_GROUP: usize = 8;

/// The spectra of all channels, as samples come in.
pub(super) struct SpectraBuffer<'a> {
    stft: &'a Stft,
    analyzers: Vec<Analyzer<'a>>,
    /// Samples per channel up to which the recording was taken.
    pub(super) n_samples: usize,
    /// The frame that the first of the spectra belongs to.
    first_frame: usize,
    /// Frames that are complete and were not let go, of each channel, one after the other.
    spectra: Vec<Vec<Complex32>>,
}

impl<'a> SpectraBuffer<'a> {
    /// Begins with a frame; samples are taken from the first one that lies in it on.
    pub(super) fn new(stft: &'a Stft, n_channels: usize, first_frame: usize) -> Self {
        let analyzers = (0..n_channels).map(|_| stft.analyzer_at(first_frame)).collect();
        let n_samples = stft.config().first_sample(first_frame);
        Self { stft, analyzers, n_samples, first_frame, spectra: vec![Vec::new(); n_channels] }
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

    /// Frames that are there.
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

    /// The spectra of these frames, of each channel.
    pub(super) fn spectra(&self) -> impl Iterator<Item = ArrayView2<'_, Complex32>> {
        let shape = (self.n_frames(), self.stft.config().n_bins());
        self.spectra.iter().map(move |all| ArrayView2::from_shape(shape, all).expect("whole frames"))
    }

    /// Lets go of the first frames.
    pub(super) fn let_go(&mut self, n_frames: usize) {
        let n_gone = n_frames * self.stft.config().n_bins();
        self.spectra.iter_mut().for_each(|spectrum| drop(spectrum.drain(..n_gone)));
        self.first_frame += n_frames;
    }
}

/// How many frames are split at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Blocks of [`BLOCK_FRAMES`], as many side by side as there are threads.
    File,
    /// Every frame as soon as it can be.
    Live,
}

/// A recording cut into the blocks that a model is asked about.
pub(super) struct Blocks<'a> {
    pub(super) model: &'a dyn Model,
    pub(super) buffer: SpectraBuffer<'a>,
    pace: Pace,
    /// The first frame that was in no block.
    next_frame: usize,
    /// Frames from here on are not asked for.
    end_frame: usize,
}

impl<'a> Blocks<'a> {
    /// Blocks of all frames.
    pub(super) fn new(stft: &'a Stft, model: &'a dyn Model, n_channels: usize, pace: Pace) -> Self {
        let buffer = SpectraBuffer::new(stft, n_channels, 0);
        Self { model, buffer, pace, next_frame: 0, end_frame: usize::MAX }
    }

    /// Blocks of some frames, of which the first begins a block; the buffer begins with the first of its margin.
    pub(super) fn of(stft: &'a Stft, model: &'a dyn Model, n_channels: usize, frames: Range<usize>) -> Self {
        debug_assert!(frames.start.is_multiple_of(BLOCK_FRAMES), "blocks lie on one grid");
        let buffer = SpectraBuffer::new(stft, n_channels, first_needed(model, frames.start));
        Self { model, buffer, pace: Pace::File, next_frame: frames.start, end_frame: frames.end }
    }

    /// The first frame of the next block.
    pub(super) fn next_frame(&self) -> usize {
        self.next_frame
    }

    /// Hands over groups of blocks once enough of them are complete; at the end of the recording all that is left.
    pub(super) fn for_each(&mut self, is_last: bool, each: &mut dyn FnMut(&[Block<'_>]) -> Result<()>) -> Result<()> {
        let after = self.model.margin().after;
        let first_frame = self.buffer.first_frame;
        let known = first_frame + self.buffer.n_frames();
        let end = known.min(self.end_frame);
        let (block_frames, group_frames) = match self.pace {
            Pace::File => (BLOCK_FRAMES, BLOCK_FRAMES * rayon::current_num_threads().clamp(1, MAX_GROUP)),
            Pace::Live => (1, 1),
        };
        let is_ready = |next_frame: usize| {
            next_frame < end && (is_last || (next_frame + group_frames).min(self.end_frame) + after <= known)
        };
        if !is_ready(self.next_frame) {
            return Ok(());
        }
        let magnitude = self.buffer.magnitude();
        let spectra: Vec<_> = self.buffer.spectra().collect();
        let block = |start: usize| {
            let frames = start..(start + block_frames).min(end);
            let first = first_needed(self.model, start).max(first_frame);
            let rows = first - first_frame..(frames.end + after).min(known) - first_frame;
            let spectra = spectra.iter().map(|all| (*all).slice_move(s![rows.clone(), ..])).collect();
            Block { frames, magnitude: magnitude.slice(s![rows, ..]), spectra, before: start - first }
        };
        while is_ready(self.next_frame) {
            let frames = self.next_frame..(self.next_frame + group_frames).min(end);
            each(&frames.clone().step_by(block_frames).map(block).collect::<Vec<_>>())?;
            self.next_frame = frames.end;
        }
        drop(spectra);
        let n_done = first_needed(self.model, self.next_frame).max(first_frame) - first_frame;
        self.buffer.let_go(n_done);
        Ok(())
    }
}

/// The first frame that a model sees with this one: the margin counts from the start of a block of [`BLOCK_FRAMES`], so
/// that what looks far back, as a recursion does, looks back to the same frame whatever the pace.
pub(super) fn first_needed(model: &dyn Model, frame: usize) -> usize {
    (frame / BLOCK_FRAMES * BLOCK_FRAMES).saturating_sub(model.margin().before)
}

/// Hands over all frames of a recording in spans, each with a margin as far as the recording reaches.
///
/// # Errors
/// [`crate::Error::Cancelled`], those of the recording, and whatever `each` returns.
pub(in crate::separate) fn each_span(
    recording: &dyn Recording,
    stft: &Stft,
    span: usize,
    margin: Margin,
    watch: &mut Watch<'_>,
    each: &mut dyn FnMut(&Block<'_>) -> Result<()>,
) -> Result<()> {
    let mut buffer = SpectraBuffer::new(stft, recording.n_channels(), 0);
    let mut hand_over = |buffer: &mut SpectraBuffer<'_>, before: usize, n_frames: usize| {
        let n_seen = (before + n_frames + margin.after).min(buffer.n_frames());
        let magnitude = buffer.magnitude();
        let start = buffer.first_frame + before;
        each(&Block {
            frames: start..start + n_frames,
            magnitude: magnitude.slice(s![..n_seen, ..]),
            spectra: buffer.spectra().map(|all| all.slice_move(s![..n_seen, ..])).collect(),
            before,
        })?;
        let done = before + n_frames;
        let before = done.min(margin.before);
        buffer.let_go(done - before);
        Ok::<_, crate::Error>(before)
    };
    let (mut before, total) = (0, recording.n_samples_hint());
    recording.read(&mut |block| {
        buffer.push(block);
        while buffer.n_frames() >= before + span + margin.after {
            before = hand_over(&mut buffer, before, span)?;
        }
        watch.at(Step::Fitting, buffer.n_samples as u64, total)
    })?;
    buffer.finish();
    let n_left = buffer.n_frames() - before;
    hand_over(&mut buffer, before, n_left).map(drop)
}
