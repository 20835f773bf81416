//! What a method knows after its fit: how any block of frames is split into parts.
//! Transforms and sound are the business of the renderer.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, s};
use realfft::num_complex::Complex32;

use crate::stft::Stft;
use crate::{Error, Result};

/// Splits blocks of frames into parts.
///
/// What comes out for a frame may depend on nothing but the block's frames and the margin around them, so that a part of
/// a recording sounds as it does in the whole. A model that looks at each frame by itself, or with its margin, can also
/// be rendered live, in blocks of a single frame, with the same result.
pub trait Model: Send + Sync + fmt::Debug {
    /// Number of parts.
    fn n_parts(&self) -> usize;

    /// Frames before and after a block that its parts depend on. Default: none.
    fn margin(&self) -> Margin {
        Margin::default()
    }

    /// The power of the modeled magnitudes that masks are shares of. Default 2, as for the Wiener filter.
    fn mask_exponent(&self) -> f32 {
        2.0
    }

    /// Splits the block's frames, without its margin.
    ///
    /// # Errors
    /// Whatever keeps the model from doing so; the rendering ends with it.
    fn split(&self, block: &Block<'_>) -> Result<Split>;
}

impl<M: Model + ?Sized> Model for Arc<M> {
    fn n_parts(&self) -> usize {
        (**self).n_parts()
    }

    fn margin(&self) -> Margin {
        (**self).margin()
    }

    fn mask_exponent(&self) -> f32 {
        (**self).mask_exponent()
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        (**self).split(block)
    }
}

/// A number of frames on both sides of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Margin {
    /// Before it.
    pub before: usize,
    /// After it. Sound that is live waits for them.
    pub after: usize,
}

/// A run of frames of the mixture.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    /// The frames to split, counted from the start of the recording.
    pub frames: Range<usize>,
    /// Root of the channel-summed power of these frames and of at least the model's margin on both sides, as far as the
    /// recording reaches: frames x `n_bins`.
    pub magnitude: ArrayView2<'a, f32>,
    /// The spectra of each channel, of the same frames as `magnitude`.
    pub spectra: Vec<ArrayView2<'a, Complex32>>,
    /// Rows of `magnitude` before `frames.start`.
    pub before: usize,
}

impl<'a> Block<'a> {
    /// The magnitudes of the frames to split, without the margin.
    pub fn core(&self) -> ArrayView2<'_, f32> {
        self.magnitude.slice(s![self.before..self.before + self.frames.len(), ..])
    }

    /// The spectra of the frames to split, row by row, of each channel.
    pub(in crate::separate) fn core_spectra(&self) -> Vec<&'a [Complex32]> {
        let rows = self.before..self.before + self.frames.len();
        let core = |spectrum: &ArrayView2<'a, Complex32>| {
            let n_bins = spectrum.ncols();
            &spectrum.to_slice().expect("spectra stand row by row")[rows.start * n_bins..rows.end * n_bins]
        };
        self.spectra.iter().map(core).collect()
    }
}

/// A block, split.
#[derive(Debug, Clone)]
pub enum Split {
    /// One mask for each part, frames x `n_bins`, the same for all channels. Masks lie in [0, 1] and sum to one in every
    /// bin: then stems sum to the mixture.
    Masks(Vec<Array2<f32>>),
    /// What is left of the mixture in each part and channel once a spatial filter went over it, frames x `n_bins` each.
    /// Over the parts they sum to the spectra of the block.
    Images(Vec<Vec<Array2<Complex32>>>),
    /// What each part is in the one channel that it is heard in, frames x `n_bins` each. Their stems are mono
    /// ([`crate::Separation::n_stem_channels`]).
    Tracks(Vec<Array2<Complex32>>),
}

impl Split {
    /// Refuses what does not fit the block, so that a mistake in a model is told as one.
    pub(super) fn check(&self, n_parts: usize, block: &Block<'_>) -> Result<()> {
        let size = (block.frames.len(), block.magnitude.ncols());
        let wrong = |what, got, expected| Err(Error::MatrixShape { what, got, expected });
        match self {
            Self::Masks(masks) if masks.len() != n_parts => {
                wrong("the list of masks of a model", (masks.len(), 1), (n_parts, 1))
            }
            Self::Masks(masks) => match masks.iter().find(|mask| mask.dim() != size) {
                Some(mask) => wrong("a mask of a model", mask.dim(), size),
                None => Ok(()),
            },
            Self::Tracks(tracks) if tracks.len() != n_parts => {
                wrong("the list of tracks of a model", (tracks.len(), 1), (n_parts, 1))
            }
            Self::Tracks(tracks) => match tracks.iter().find(|track| track.dim() != size) {
                Some(track) => wrong("a track of a model", track.dim(), size),
                None => Ok(()),
            },
            Self::Images(images) => {
                let n_channels = block.spectra.len();
                let got = (images.len(), images.first().map_or(0, Vec::len));
                if got != (n_parts, n_channels) || images.iter().any(|image| image.len() != n_channels) {
                    return wrong("the table of images of a model", got, (n_parts, n_channels));
                }
                match images.iter().flatten().find(|image| image.dim() != size) {
                    Some(image) => wrong("an image of a model", image.dim(), size),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A transform, and a model that splits what it is given in that transform. Each stage's last part feeds the next stage.
#[derive(Debug, Clone)]
pub(in crate::separate) struct Stage {
    pub(in crate::separate) stft: Stft,
    pub(in crate::separate) model: Arc<dyn Model>,
}
