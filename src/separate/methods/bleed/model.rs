//! The sources of any block of frames, each in its own microphone.

use std::sync::Arc;

use ndarray::Array2;
use rayon::prelude::*;
use realfft::num_complex::{Complex32, Complex64};

use super::config::BleedConfig;
use super::leaks::Leaks;
use super::places::{self, Bin, Image, Work};
use super::post_filter::PostFilter;
use super::times::Times;
use crate::Result;
use crate::knowledge::labels::Identity;
use crate::separate::pipeline::{Block, Model, Split};

/// Bins whose samples lie near each other.
const BINS: usize = 16;

/// So much of an image is what the post-filter makes of it, and the rest what the filter does.
const POST_FILTERED: f32 = 0.5;

/// Iterations that find what sounds in a block.
pub(super) const N_ITER: usize = 16;

/// Some images in one microphone, together.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) mic: usize,
    /// Which of the [`Cleaner::images`].
    pub(super) images: Vec<usize>,
}

/// One part: a track, or all else that its microphone hears.
#[derive(Debug)]
pub(super) struct Part {
    /// Which of the [`Cleaner::tracks`].
    pub(super) track: usize,
    pub(super) is_rest: bool,
}

/// What leaves each microphone as it is.
#[derive(Debug)]
pub(super) struct AsHeard {
    pub(super) channels: Vec<usize>,
}

impl Model for AsHeard {
    fn n_parts(&self) -> usize {
        self.channels.len()
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let (spectra, shape) = (block.core_spectra(), block.core().dim());
        let track =
            |channel: &usize| Array2::from_shape_fn(shape, |(frame, bin)| spectra[*channel][frame * shape.1 + bin]);
        Ok(Split::Tracks(self.channels.iter().map(track).collect()))
    }
}

/// What a fit found in a recording.
#[derive(Debug)]
pub(super) struct Learned {
    pub(super) identity: Identity,
    pub(super) config: BleedConfig,
    pub(super) leaks: Leaks,
    /// Of each bin.
    pub(super) covariances: Vec<Vec<Complex64>>,
    /// Of each microphone, what makes all alike in level.
    pub(super) gains: Vec<f32>,
}

/// What splits a block.
#[derive(Debug)]
pub(super) struct Cleaner {
    pub(super) learned: Arc<Learned>,
    /// The channel of each microphone.
    pub(super) channels: Vec<usize>,
    /// Of every source, first the one in its own microphone.
    pub(super) images: Vec<Image>,
    pub(super) tracks: Vec<Track>,
    pub(super) parts: Vec<Part>,
    /// How much of the bleed is taken out.
    pub(super) strength: f32,
    /// Looks at the power of each source before the filter.
    pub(super) n_looks: usize,
    pub(super) times: Times,
}

impl Model for Cleaner {
    fn n_parts(&self) -> usize {
        self.parts.len()
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let Learned { leaks, covariances, gains, .. } = &*self.learned;
        let spectra = block.core_spectra();
        let heard: Vec<_> = self.channels.iter().map(|channel| spectra[*channel]).collect();
        let (n_frames, n_bins) = block.core().dim();
        let magnitudes: Vec<_> = heard
            .iter()
            .zip(gains)
            .map(|(x, gain)| Array2::from_shape_fn((n_frames, n_bins), |(t, f)| x[t * n_bins + f].norm() * gain))
            .collect();
        let views: Vec<_> = magnitudes.iter().map(|magnitudes| magnitudes.view()).collect();
        let first = block.frames.start;
        let may_sound = |source: usize, row: usize| self.times.may_sound(source, first + row);
        let models = leaks.models(&leaks.activations(&views, N_ITER, &may_sound));
        let (images, tracks) = (&self.images, &self.tracks);
        let (n_mics, n_sources) = (heard.len(), models.len());
        // Bins are independent of one another: of each, tracks x frames.
        let bins: Vec<usize> = (0..n_bins).step_by(BINS).collect();
        let found: Vec<Vec<Complex32>> = bins
            .par_iter()
            .map(|first| {
                let bins = *first..(first + BINS).min(n_bins);
                let mut found = vec![Complex32::ZERO; bins.len() * tracks.len() * n_frames];
                let mut filtered = vec![Complex32::ZERO; images.len() * n_frames];
                let mut work = Work::new(n_mics, n_sources);
                let mut shares = vec![0.0; images.len()];
                for (at, bin) in bins.enumerate() {
                    let found = &mut found[at * tracks.len() * n_frames..][..tracks.len() * n_frames];
                    let mut here = Bin::new(n_mics, n_sources, n_frames);
                    for (mic, (x, gain)) in heard.iter().zip(gains).enumerate() {
                        here.hear(mic, x[bin..].iter().step_by(n_bins).copied(), *gain);
                    }
                    for (source, model) in models.iter().enumerate() {
                        here.expect(source, model.column(bin).iter().copied());
                    }
                    let covariances = &covariances[bin];
                    places::filter(&mut here, covariances, images, self.n_looks, &mut work, &mut |image, frame, y| {
                        filtered[image * n_frames + frame] = y;
                    });
                    let mut post_filter = PostFilter::new(images, covariances, n_mics, n_sources);
                    for frame in 0..n_frames {
                        let x = |mic: usize| heard[mic][frame * n_bins + bin] * gains[mic];
                        let y = |image: usize| filtered[image * n_frames + frame];
                        post_filter.shares(|mic| x(mic).norm_sqr(), |image| y(image).norm_sqr(), &mut shares);
                        for (number, (image, share)) in images.iter().zip(&shares).enumerate() {
                            let y = &mut filtered[number * n_frames + frame];
                            *y += (x(image.mic) * share - *y) * POST_FILTERED;
                        }
                        for (number, track) in tracks.iter().enumerate() {
                            let images = track.images.iter().map(|image| filtered[image * n_frames + frame]);
                            found[number * n_frames + frame] = images.sum();
                        }
                    }
                }
                found
            })
            .collect();
        let stem = |part: &Part| {
            let mic = tracks[part.track].mic;
            let (gain, x) = (gains[mic], heard[mic]);
            Array2::from_shape_fn((n_frames, n_bins), |(frame, bin)| {
                let x = x[frame * n_bins + bin];
                let y = found[bin / BINS][(bin % BINS * tracks.len() + part.track) * n_frames + frame] / gain;
                let bleed = (x - y) * self.strength;
                if part.is_rest { bleed } else { x - bleed }
            })
        };
        Ok(Split::Tracks(self.parts.par_iter().map(stem).collect()))
    }
}
