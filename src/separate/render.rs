//! From masks to sound: forward transform, masks, inverse transform, block by block, so that memory does not grow with
//! the recording.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, Zip, s};
use rayon::prelude::*;

use crate::nmf::Factorization;
use crate::stft::{Stft, Synthesizer};
use crate::{Audio, Result, mask};

/// Frames rendered at once: enough to keep all threads busy, and at 2049 bins half a megabyte per matrix.
const BLOCK_FRAMES: usize = 64;

/// The frames of a recording, cut into blocks.
pub(super) fn blocks(n_frames: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n_frames).step_by(BLOCK_FRAMES).map(move |start| start..(start + BLOCK_FRAMES).min(n_frames))
}

/// Masks of some frames, one `frames` x `n_bins` per source; `partition` gives the source of each component.
pub(super) fn masks(
    factorization: &Factorization,
    partition: &[usize],
    mask_exponent: f32,
    frames: Range<usize>,
) -> Vec<Array2<f32>> {
    let n_sources = partition.iter().max().map_or(0, |last| last + 1);
    let activations = factorization.activations.slice(s![.., frames]);
    let mut models: Vec<_> = (0..n_sources)
        .into_par_iter()
        .map(|source| {
            let members: Vec<_> = (0..partition.len()).filter(|k| partition[*k] == source).collect();
            let select = |axis, matrix: ndarray::ArrayView2<'_, f32>| matrix.select(axis, &members);
            let templates = select(ndarray::Axis(1), factorization.dictionary.view());
            select(ndarray::Axis(0), activations).t().dot(&templates.t())
        })
        .collect();
    mask::wiener(&mut models, mask_exponent);
    models
}

/// Makes one stem for each entry of `outputs`, which lists the sources whose masks it sums, and hands over blocks of
/// samples, one `n_channels` x n matrix per stem.
pub(super) fn render(
    stft: &Stft,
    audio: &Audio,
    outputs: &[Vec<usize>],
    masks: &dyn Fn(Range<usize>) -> Vec<Array2<f32>>,
    sink: &mut dyn FnMut(&[Array2<f32>]) -> Result<()>,
) -> Result<()> {
    let (n_channels, n_samples) = (audio.n_channels(), audio.n_samples());
    let n_frames = stft.config().n_frames(n_samples);
    let mut stems: Vec<Vec<Channel<'_>>> =
        outputs.iter().map(|_| (0..n_channels).map(|_| Channel::new(stft)).collect()).collect();
    for frames in blocks(n_frames) {
        let shape = (frames.len(), stft.config().n_bins());
        let spectra: Vec<_> = (0..n_channels)
            .map(|channel_idx| {
                let mut spectrum = Array2::zeros(shape);
                stft.forward_frames(audio.channel(channel_idx), frames.start, &mut spectrum);
                spectrum
            })
            .collect();
        let masks = masks(frames.clone());
        let is_last = frames.end == n_frames;
        stems.par_iter_mut().zip(outputs).for_each(|(channels, sources)| {
            let summed;
            let mask = match &sources[..] {
                [source] => &masks[*source],
                _ => {
                    summed = sources.iter().fold(Array2::zeros(shape), |sum, source| sum + &masks[*source]);
                    &summed
                }
            };
            channels.par_iter_mut().zip(&spectra).for_each(|(channel, spectrum)| {
                let mut masked = spectrum.clone();
                Zip::from(&mut masked).and(mask).for_each(|x, m| *x *= *m);
                for mut frame in masked.outer_iter_mut() {
                    channel.push(frame.as_slice_mut().expect("a row of a new matrix is contiguous"));
                }
                if is_last {
                    channel.finish(n_samples);
                }
            });
        });
        let ready: Vec<_> = stems.iter_mut().map(|channels| take(channels)).collect();
        if ready.first().is_some_and(|block| block.ncols() > 0) {
            sink(&ready)?;
        }
    }
    Ok(())
}

/// One channel of one stem in the making.
struct Channel<'a> {
    synthesizer: Option<Synthesizer<'a>>,
    ready: Vec<f32>,
}

impl<'a> Channel<'a> {
    fn new(stft: &'a Stft) -> Self {
        Self { synthesizer: Some(stft.synthesizer()), ready: Vec::new() }
    }

    fn push(&mut self, frame: &mut [realfft::num_complex::Complex32]) {
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

/// The finished samples of all channels.
fn take(channels: &mut [Channel<'_>]) -> Array2<f32> {
    let n_samples = channels.first().map_or(0, |channel| channel.ready.len());
    let mut block = Array2::zeros((channels.len(), n_samples));
    for (mut row, channel) in block.outer_iter_mut().zip(channels) {
        row.assign(&ArrayView1::from(&channel.ready[..]));
        channel.ready.clear();
    }
    block
}
