//! The step over any method's masks of two channels: every part has one covariance in all bins, learned from where it
//! is the one that is heard; sound comes from the renderer.

use std::sync::Arc;

use ndarray::Array2;
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::covariance::Covariance;
use super::histogram::{N_PLACES, PlaceHistogram, center_of, step_by_levels};
use crate::Result;
use crate::audio::Recording;
use crate::separate::pipeline::filtered::{Filter, Filtered, frame_by_frame, read_masks};
use crate::separate::pipeline::model::Model;
use crate::separate::pipeline::spatial::models;
use crate::stft::Stft;
use crate::watch::Watch;

/// Frames that places are learned from at the most: one covariance for all bins needs few.
const MAX_FRAMES: usize = 1024;

/// What a part holds of a place, to this power, is what the place counts for in the part. Of 0, 1, 2 and 4, by examples
/// and scores: 2.1, 2.7, 2.9 and 3.1 dB above the masks on the mean, and 0.5 dB below on the worst item with 4.
const SHARPNESS: i32 = 2;

/// How far from where a part is said to stand it may be, one standard deviation.
const SAID_WIDTH: f64 = 0.1;

/// Times that the power of each part is looked at again with the phases.
const N_LOOKS: usize = 3;

/// The power of a part is at least this share of the mixture's.
const FLOOR: f32 = 1e-7;

/// How the two channels of each part go together.
#[derive(Debug)]
struct BetweenTwo {
    covariances: Vec<Covariance>,
    /// Masks to this power are the powers of the parts, up to a factor that they share.
    to_power: f32,
}

/// Finds where the parts of a model stand between two channels, and gives a model that uses it; parts that are said to
/// stand somewhere are looked for there. Where nothing is said, and sources do not stand apart, it is the model itself.
///
/// # Errors
/// [`crate::Error::Cancelled`], and those of the recording and the model.
///
/// # Cost
/// One pass over the recording, with masks for some 1000 frames.
pub(in crate::separate) fn locate_between(
    recording: &dyn Recording,
    stft: &Stft,
    model: Arc<dyn Model>,
    n_frames: usize,
    said: &[Option<f64>],
    watch: &mut Watch<'_>,
) -> Result<Arc<dyn Model>> {
    let mut sums = Sums::new(model.n_parts());
    let frames = (n_frames, MAX_FRAMES);
    read_masks(recording, stft, &*model, frames, watch, |spectra, masks| sums.add(spectra, masks))?;
    if said.iter().all(Option::is_none) && sums.all.places().len() < 2 {
        return Ok(model);
    }
    let filter = BetweenTwo { covariances: sums.covariances(said), to_power: 2.0 / model.mask_exponent() };
    Ok(Arc::new(Filtered { model, filter }))
}

/// What is heard of each part at each place.
struct Sums {
    all: PlaceHistogram,
    /// Of each part: how loud it is at each place, as the histogram counts it.
    steady: Vec<Vec<f64>>,
    /// Of each part and place: products of the channels, left with left, left with right, right with right.
    products: Vec<Vec<[f64; 3]>>,
}

impl Sums {
    fn new(n_parts: usize) -> Self {
        Self {
            all: PlaceHistogram::new(),
            steady: vec![vec![0.0; N_PLACES]; n_parts],
            products: vec![vec![[0.0; 3]; N_PLACES]; n_parts],
        }
    }

    /// Takes consecutive frames: the spectra of both channels (frames x bins, row by row), and the masks of each part.
    fn add(&mut self, spectra: &[&[Complex32]], masks: &[Array2<f32>]) {
        let (Some(mask), [left, right]) = (masks.first(), spectra) else { return };
        let (n_frames, n_bins) = mask.dim();
        let row = |frame: usize| frame * n_bins..(frame + 1) * n_bins;
        let mut steady: Vec<Vec<(usize, usize, f32)>> = vec![Vec::new(); n_frames];
        self.all.skip();
        for (frame, steady) in steady.iter_mut().enumerate() {
            let each = |bin, step, weight| steady.push((bin, step, weight));
            self.all.add_with(&left[row(frame)], &right[row(frame)], each);
        }
        let steps: Vec<usize> = left.par_iter().zip(*right).map(|(l, r)| step_by_levels(*l, *r)).collect();
        let parts = self.steady.par_iter_mut().zip(&mut self.products).zip(masks);
        parts.for_each(|((own, products), mask)| {
            for (frame, steady) in steady.iter().enumerate() {
                for (bin, step, weight) in steady {
                    own[*step] += f64::from(weight * mask[(frame, *bin)]);
                }
            }
            for (((l, r), step), m) in left.iter().zip(*right).zip(&steps).zip(mask) {
                let power = m * m;
                let of = &mut products[*step];
                of[0] += f64::from(power * l.norm_sqr());
                of[1] += f64::from(power * (l.re * r.re + l.im * r.im));
                of[2] += f64::from(power * r.norm_sqr());
            }
        });
    }

    /// How the channels of each part go together.
    fn covariances(&self, said: &[Option<f64>]) -> Vec<Covariance> {
        let near = |sums: &[f64], step: usize| -> f64 {
            sums[step.saturating_sub(1)..(step + 2).min(N_PLACES)].iter().sum::<f64>()
        };
        let total = |step: usize| self.steady.iter().map(|own| near(own, step)).sum::<f64>();
        let n_parts = self.steady.len() as f64;
        let of = |(part, (own, products)): (usize, (&Vec<f64>, &Vec<[f64; 3]>))| {
            let said = said.get(part).copied().flatten();
            let mut sums = [0.0; 3];
            for (step, products) in products.iter().enumerate() {
                let total = total(step);
                let held = if total > 0.0 { near(own, step) / total } else { 1.0 / n_parts };
                let near_said = said.map_or(1.0, |at| (-0.5 * ((center_of(step) - at) / SAID_WIDTH).powi(2)).exp());
                let weight = held.powi(SHARPNESS) * near_said;
                sums.iter_mut().zip(products).for_each(|(sum, x)| *sum += weight * x);
            }
            match said {
                Some(at) if sums[0] + sums[2] <= 0.0 => Covariance::at(at),
                _ => Covariance::of_sums(sums),
            }
        };
        self.steady.iter().zip(&self.products).enumerate().map(of).collect()
    }
}

impl Filter for BetweenTwo {
    fn images(&self, spectra: &[&[Complex32]], masks: &[Array2<f32>]) -> Vec<Vec<Array2<Complex32>>> {
        let (n_parts, n_bins) = (masks.len(), masks.first().map_or(0, Array2::ncols));
        let room = || (vec![0.0f32; n_parts], vec![[Complex32::ZERO; 2]; n_parts]);
        frame_by_frame(masks, 2, room, |(powers, images), frame, rows| {
            let models = models(masks, frame, self.to_power);
            for bin in 0..n_bins {
                let at = frame * n_bins + bin;
                let of_bin = powers.iter_mut().zip(models.iter().skip(bin).step_by(n_bins));
                of_bin.for_each(|(power, model)| *power = model.max(FLOOR));
                self.split_bin([spectra[0][at], spectra[1][at]], |part| masks[part][(frame, bin)], powers, images);
                for (rows, [left, right]) in rows.chunks_exact_mut(2).zip(&*images) {
                    (rows[0][bin], rows[1][bin]) = (*left, *right);
                }
            }
        })
    }
}

impl BetweenTwo {
    /// One bin: `powers`, looked at again with the phases, and the Wiener filter.
    fn split_bin(
        &self,
        x: [Complex32; 2],
        mask: impl Fn(usize) -> f32,
        powers: &mut [f32],
        images: &mut [[Complex32; 2]],
    ) {
        let level = x[0].norm_sqr() + x[1].norm_sqr();
        let parts = 0..powers.len();
        if !(level.is_normal() && level < 1e30) {
            images.iter_mut().enumerate().for_each(|(part, y)| *y = x.map(|x| x * mask(part)));
            return;
        }
        // At a level of 1 nothing overflows.
        let scale = level.sqrt().recip();
        let unit = x.map(|x| x * scale);
        let mixture = |powers: &[f32]| {
            let mut mixture = Covariance::default();
            powers.iter().zip(&self.covariances).for_each(|(power, of)| mixture.add(of, *power));
            mixture
        };
        for _ in 0..N_LOOKS {
            let excess = mixture(powers).excess(unit);
            for (power, covariance) in powers.iter_mut().zip(&self.covariances) {
                *power = (*power + *power * *power * excess.of(covariance)).max(FLOOR);
            }
        }
        let z = mixture(powers).excess(unit).z;
        let mut sum = [Complex32::ZERO; 2];
        for part in parts.clone() {
            let y = self.covariances[part].times(z).map(|y| y * (powers[part] / scale));
            sum = [sum[0] + y[0], sum[1] + y[1]];
            images[part] = y;
        }
        // What rounding leaves over.
        for part in parts {
            let rest = [x[0] - sum[0], x[1] - sum[1]];
            let m = mask(part);
            images[part] = [images[part][0] + rest[0] * m, images[part][1] + rest[1] * m];
        }
    }
}
