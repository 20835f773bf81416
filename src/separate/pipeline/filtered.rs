//! The step over any method's masks: a filter that looks at the phases of several channels, too.
//! Knows when a filter learns and what it is given; what it does with that is its own.

use std::fmt::Debug;
use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut1};
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::blocks::{BLOCK_FRAMES, Blocks, Pace};
use super::model::{Block, Margin, Model, Split};
use crate::Result;
use crate::audio::Recording;
use crate::stft::Stft;
use crate::watch::{Step, Watch};

/// Makes the images of all parts of the channels' spectra (frames x bins, row by row) and of the parts' masks.
pub(super) trait Filter: Debug + Send + Sync {
    /// One spectrum (frames x bins) per part and channel. Together they are the mixture, up to rounding.
    fn images(&self, spectra: &[&[Complex32]], masks: &[Array2<f32>]) -> Vec<Vec<Array2<Complex32>>>;
}

/// A model whose masks go through a filter.
#[derive(Debug)]
pub(super) struct Filtered<F> {
    pub(super) model: Arc<dyn Model>,
    pub(super) filter: F,
}

impl<F: Filter> Model for Filtered<F> {
    fn n_parts(&self) -> usize {
        self.model.n_parts()
    }

    fn margin(&self) -> Margin {
        self.model.margin()
    }

    fn mask_exponent(&self) -> f32 {
        self.model.mask_exponent()
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let split = self.model.split(block)?;
        split.check(self.n_parts(), block)?;
        Ok(match split {
            Split::Masks(masks) => Split::Images(self.filter.images(&block.core_spectra(), &masks)),
            // The model filters by place already.
            split @ (Split::Images(_) | Split::Tracks(_)) => split,
        })
    }
}

/// Hands the spectra and masks of blocks to `learn`: of at most about `max_frames` of `n_frames` frames, spread evenly over the
/// recording.
///
/// # Errors
/// [`crate::Error::Cancelled`], and those of the recording and the model.
pub(super) fn read_masks(
    recording: &dyn Recording,
    stft: &Stft,
    model: &dyn Model,
    (n_frames, max_frames): (usize, usize),
    watch: &mut Watch<'_>,
    mut learn: impl FnMut(&[&[Complex32]], &[Array2<f32>]),
) -> Result<()> {
    let stride = n_frames.div_ceil(max_frames.max(1)).max(1);
    let mut add = |group: &[Block<'_>]| {
        for block in group.iter().filter(|block| (block.frames.start / BLOCK_FRAMES).is_multiple_of(stride)) {
            let split = model.split(block)?;
            split.check(model.n_parts(), block)?;
            if let Split::Masks(masks) = split {
                learn(&block.core_spectra(), &masks);
            }
        }
        Ok(())
    };
    let mut blocks = Blocks::new(stft, model, recording.n_channels(), Pace::File);
    let total = recording.n_samples_hint();
    recording.read(&mut |block| {
        blocks.buffer.push(block);
        blocks.for_each(false, &mut add)?;
        watch.at(Step::Reading, blocks.buffer.n_samples as u64, total)
    })?;
    blocks.buffer.finish();
    blocks.for_each(true, &mut add)
}

/// Images made frame by frame, each of which is independent of the others: `fill` is given room to work in, the number of the
/// frame, and its row of each part and channel.
pub(super) fn frame_by_frame<R>(
    masks: &[Array2<f32>],
    n_channels: usize,
    room: impl Fn() -> R + Sync + Send,
    fill: impl Fn(&mut R, usize, &mut [ArrayViewMut1<'_, Complex32>]) + Sync + Send,
) -> Vec<Vec<Array2<Complex32>>> {
    let (n_frames, n_bins) = masks.first().map_or((0, 0), Array2::dim);
    let mut images: Vec<_> = (0..masks.len() * n_channels).map(|_| Array2::zeros((n_frames, n_bins))).collect();
    let mut rows: Vec<Vec<_>> = (0..n_frames).map(|_| Vec::with_capacity(images.len())).collect();
    for image in &mut images {
        image.outer_iter_mut().zip(&mut rows).for_each(|(row, rows)| rows.push(row));
    }
    rows.into_par_iter().enumerate().for_each_init(room, |room, (frame, mut rows)| fill(room, frame, &mut rows));
    let mut images = images.into_iter();
    (0..masks.len()).map(|_| images.by_ref().take(n_channels).collect()).collect()
}
