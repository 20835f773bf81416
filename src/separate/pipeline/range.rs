//! A part of a recording, rendered with the same bits as in the whole: which frames each stage needs for it, and which
//! samples these lie in.

use std::ops::Range;

use ndarray::{Array2, s};
use realfft::num_complex::Complex32;

use super::blocks::{BLOCK_FRAMES, Blocks, first_needed};
use super::model::{Model, Split, Stage};
use super::renderer::{Form, Goal, Output, Renderer, Sink, Splitter, check_channels};
use crate::audio::Recording;
use crate::stft::{Stft, StftConfig};
use crate::{Error, Result};

/// More samples than any recording has.
const ENDLESS: usize = usize::MAX / 4;

/// What a stage needs to make a range of samples.
struct Need {
    /// Whole blocks of frames.
    frames: Range<usize>,
    /// The samples that these and the model's margin lie in.
    samples: Range<usize>,
}

impl Need {
    fn of(samples: &Range<usize>, stft: &StftConfig, model: &dyn Model, n_samples: usize) -> Self {
        Self::of_frames(&stft.frames_of(samples, stft.n_frames(n_samples)), stft, model, n_samples)
    }

    fn of_frames(frames: &Range<usize>, stft: &StftConfig, model: &dyn Model, n_samples: usize) -> Self {
        let start = frames.start / BLOCK_FRAMES * BLOCK_FRAMES;
        let end = frames.end.next_multiple_of(BLOCK_FRAMES).min(stft.n_frames(n_samples));
        let first_sample = stft.first_sample(first_needed(model, start));
        // The last frame of the margin ends there.
        let last_sample =
            (end + model.margin().after).saturating_sub(1) * stft.hop_length + stft.n_fft - stft.n_fft / 2;
        Self { frames: start..end, samples: first_sample.min(n_samples)..last_sample.min(n_samples) }
    }
}

/// Makes a range of the samples of each stem: reads what it takes, and no more.
pub(in crate::separate) fn render_range(
    stages: &[Stage],
    recording: &dyn Recording,
    form: &Form,
    outputs: &[Output],
    samples: Range<usize>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let n_samples = form.n_samples.unwrap_or(ENDLESS);
    let samples = samples.start.min(n_samples)..samples.end.min(n_samples);
    if samples.is_empty() {
        return Ok(());
    }
    let mut needs: Vec<Need> = Vec::with_capacity(stages.len());
    for stage in stages.iter().rev() {
        // Samples of a stage go to stems and on to the next stage.
        let wanted = needs
            .last()
            .map_or(samples.clone(), |next| next.samples.start.min(samples.start)..next.samples.end.max(samples.end));
        needs.push(Need::of(&wanted, stage.stft.config(), &*stage.model, n_samples));
    }
    needs.reverse();
    let mut i = 0;
    let splitters = Splitter::chain(stages, outputs, |stage, sums| {
        let (need, next) = (&needs[i], needs.get(i + 1));
        i += 1;
        let blocks = Blocks::of(&stage.stft, &*stage.model, form.n_channels, need.frames.clone());
        Splitter::new(blocks, &stage.stft, sums, form.n_stem_channels, |goal| match goal {
            Goal::Stem(_) => samples.start,
            Goal::Next => next.map_or(samples.start, |next| next.samples.start),
        })
    });
    let wanted = needs[0].samples.clone();
    let mut renderer = Renderer::of_range(splitters, form, outputs.len(), samples.len());
    let mut n_read = 0;
    recording.read_range(wanted.start as u64..wanted.end as u64, &mut |block| {
        n_read += block.ncols();
        renderer.push(block, sink)
    })?;
    let is_cut = n_read < wanted.len();
    check_end(is_cut, recording, form)?;
    let ends = needs.iter().map(|need| is_cut || need.samples.end == n_samples).collect::<Vec<_>>();
    renderer.finish_stages(&ends, sink)
}

/// Refuses a recording that ends within a range although the one that was separated went on.
fn check_end(is_cut: bool, recording: &dyn Recording, form: &Form) -> Result<()> {
    match form.n_samples {
        Some(expected) if is_cut => Err(Error::Length { got: count_samples(recording)?, expected }),
        _ => Ok(()),
    }
}

/// Samples per channel, which only reading all of them tells for sure.
pub(in crate::separate) fn count_samples(recording: &dyn Recording) -> Result<usize> {
    let mut n_samples = 0;
    recording.read(&mut |block| {
        n_samples += block.ncols();
        Ok(())
    })?;
    Ok(n_samples)
}

/// The masks of a stage in a range of frames, one for each part, frames x `n_bins`. Where the model gives no masks but
/// images, the share of each image in the sum of their magnitudes.
pub(in crate::separate) fn block_masks(
    stage: &Stage,
    recording: &dyn Recording,
    form: &Form,
    frames: Range<usize>,
) -> Result<Vec<Array2<f32>>> {
    check_channels(recording.n_channels(), form.n_channels)?;
    let (stft, model) = (&stage.stft, &*stage.model);
    let n_samples = form.n_samples.unwrap_or(ENDLESS);
    let need = Need::of_frames(&frames, stft.config(), model, n_samples);
    let mut masks = vec![Array2::zeros((frames.len(), stft.config().n_bins())); model.n_parts()];
    let mut blocks = Blocks::of(stft, model, form.n_channels, need.frames);
    let mut keep = |group: &[super::model::Block<'_>]| {
        for block in group {
            let split = model.split(block)?;
            split.check(model.n_parts(), block)?;
            let of_block = match split {
                Split::Masks(masks) => masks,
                Split::Images(images) => shares(images.iter().map(|image| magnitude(image)).collect()),
                Split::Tracks(tracks) => {
                    shares(tracks.iter().map(|track| magnitude(std::slice::from_ref(track))).collect())
                }
            };
            let both = block.frames.start.max(frames.start)..block.frames.end.min(frames.end);
            if both.is_empty() {
                continue;
            }
            let (from, to) = (both.start - block.frames.start, both.start - frames.start);
            for (mask, block) in masks.iter_mut().zip(of_block) {
                let block = block.slice(s![from..from + both.len(), ..]);
                mask.slice_mut(s![to..to + both.len(), ..]).assign(&block);
            }
        }
        Ok(())
    };
    let mut n_read = 0;
    recording.read_range(need.samples.start as u64..need.samples.end as u64, &mut |block| {
        n_read += block.ncols();
        blocks.buffer.push(block);
        blocks.for_each(false, &mut keep)
    })?;
    let is_cut = n_read < need.samples.len();
    check_end(is_cut, recording, form)?;
    if is_cut || need.samples.end == n_samples {
        blocks.buffer.finish();
        blocks.for_each(true, &mut keep)?;
    }
    Ok(masks)
}

/// The masks of stems that were made in several transforms, one after the other: their shares in the magnitude of a
/// transform, in a range of its frames. `render` gives samples of all stems.
pub(in crate::separate) fn masks_of_stems(
    stft: &Stft,
    form: &Form,
    frames: Range<usize>,
    render: impl FnOnce(Range<usize>) -> Result<Vec<Array2<f32>>>,
) -> Result<Vec<Array2<f32>>> {
    let config = stft.config();
    let start = config.first_sample(frames.start);
    let end = frames.end.saturating_sub(1) * config.hop_length + config.n_fft - config.n_fft / 2;
    let end = end.min(form.n_samples.unwrap_or(ENDLESS));
    let of_stem = |samples: &Array2<f32>| {
        let channels = samples.outer_iter().map(|channel| {
            let mut analyzer = stft.analyzer_at(frames.start);
            let mut spectrum = Vec::new();
            analyzer.append(channel.to_slice().expect("a row of a new matrix"), &mut spectrum);
            analyzer.append_last(&mut spectrum);
            spectrum.truncate(frames.len() * config.n_bins());
            spectrum.resize(frames.len() * config.n_bins(), Complex32::ZERO);
            Array2::from_shape_vec((frames.len(), config.n_bins()), spectrum).expect("whole frames")
        });
        magnitude(&channels.collect::<Vec<_>>())
    };
    Ok(shares(render(start..end)?.iter().map(of_stem).collect()))
}

/// Root of the channel-summed power.
fn magnitude(channels: &[Array2<Complex32>]) -> Array2<f32> {
    let mut power = Array2::zeros(channels.first().map_or((0, 0), Array2::dim));
    channels.iter().for_each(|channel| power.zip_mut_with(channel, |power, x: &Complex32| *power += x.norm_sqr()));
    power.mapv(f32::sqrt)
}

/// Each magnitude relative to the sum of all; where there is none, all share alike.
fn shares(mut magnitudes: Vec<Array2<f32>>) -> Vec<Array2<f32>> {
    super::mask::wiener(&mut magnitudes, 1.0);
    magnitudes
}
