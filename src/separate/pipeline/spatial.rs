//! Several channels: where each part stands among them, and the filter that tells parts apart by it.
//! One step of the multichannel Wiener filter over the masks of any model; sound comes from the renderer.

use std::sync::Arc;

use ndarray::Array2;
use rayon::prelude::*;
use realfft::num_complex::{Complex32, Complex64};

use super::filtered::{Filter, Filtered, frame_by_frame, read_masks};
use super::mask;
use super::model::Model;
use crate::Result;
use crate::audio::Recording;
use crate::stft::Stft;
use crate::watch::Watch;

/// Added to the diagonal of the mixture's covariance, relative to its mean: channels that are equal, or silent, leave it
/// singular otherwise. -50 dB, far below what any source is apart from another.
const REGULARIZATION: f64 = 1e-5;

/// Frames that places are learned from at the most: 93 s at 44.1 kHz, for covariances of a few channels in each bin.
const ENOUGH_FRAMES: usize = 4000;

/// Bins that are gone through at once.
const PIECE: usize = 16;

/// Finds where the parts of a model stand among the channels, from at most about `max_frames` frames, and no more than
/// [`ENOUGH_FRAMES`], in blocks spread evenly over the recording, and gives a model that uses it. For a single channel it is
/// the model itself.
///
/// # Errors
/// [`crate::Error::Cancelled`], and those of the recording and the model.
///
/// # Cost
/// One pass over the recording, with masks for those frames.
pub(in crate::separate) fn locate(
    recording: &dyn Recording,
    stft: &Stft,
    model: Arc<dyn Model>,
    n_frames: usize,
    max_frames: usize,
    watch: &mut Watch<'_>,
) -> Result<Arc<dyn Model>> {
    let n_channels = recording.n_channels();
    if n_channels < 2 {
        return Ok(model);
    }
    let frames = (n_frames, max_frames.min(ENOUGH_FRAMES));
    let mut sums = SpatialSums::new(n_channels, model.n_parts(), stft.config().n_bins(), model.mask_exponent());
    read_masks(recording, stft, &*model, frames, watch, |spectra, masks| sums.add(spectra, masks))?;
    Ok(Arc::new(Filtered { model, filter: sums.finish() }))
}

/// The spatial covariance of each part in each bin: how the channels of its image go together.
///
/// # References
/// N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source separation using a full-rank
/// spatial covariance model", IEEE TASLP 18(7), 2010: the model, and equations for its multichannel Wiener filter and
/// the update of the covariances. S. Uhlich et al., "Improving music source separation based on deep neural networks
/// through data augmentation and network blending", ICASSP 2017: one such step after another separation.
#[derive(Debug)]
struct Spatial {
    n_channels: usize,
    n_parts: usize,
    n_bins: usize,
    /// Bins x parts x channels x channels.
    covariances: Vec<Complex64>,
    /// Masks to this power are models again, up to a factor that the parts share.
    to_model: f32,
}

/// [`Spatial`] in the making.
#[derive(Debug)]
struct SpatialSums {
    sums: Spatial,
    /// Bins x parts: the sums of the models.
    weights: Vec<f64>,
}

impl SpatialSums {
    /// `mask_exponent` is that of the masks to come.
    fn new(n_channels: usize, n_parts: usize, n_bins: usize, mask_exponent: f32) -> Self {
        let covariances = vec![Complex64::ZERO; n_bins * n_parts * n_channels * n_channels];
        let sums = Spatial { n_channels, n_parts, n_bins, covariances, to_model: 1.0 / mask_exponent };
        Self { sums, weights: vec![0.0; n_bins * n_parts] }
    }

    /// Takes frames: the spectra of each channel (frames x bins, row by row), and the masks of each part.
    fn add(&mut self, spectra: &[&[Complex32]], masks: &[Array2<f32>]) {
        let Spatial { n_channels, n_parts, n_bins, to_model, .. } = self.sums;
        let n_frames = masks.first().map_or(0, Array2::nrows);
        let per_bin = n_parts * n_channels * n_channels;
        let models: Vec<_> = (0..n_frames).into_par_iter().map(|frame| models(masks, frame, to_model)).collect();
        // Bins are independent of one another; the frames of each are added in their order.
        let (size, pieces) = (n_channels * n_channels, n_bins.div_ceil(PIECE));
        let covariances = self.sums.covariances.par_chunks_mut(PIECE * per_bin);
        let of_pieces = covariances.zip(self.weights.par_chunks_mut(PIECE * n_parts)).enumerate();
        debug_assert_eq!(of_pieces.len(), pieces);
        of_pieces.for_each(|(piece, (covariances, weights))| {
            let mut x = vec![Complex64::ZERO; n_channels];
            let mut outer = vec![Complex64::ZERO; size];
            for (frame, models) in models.iter().enumerate() {
                let bins = covariances.chunks_exact_mut(per_bin).zip(weights.chunks_exact_mut(n_parts));
                for (bin, (covariances, weights)) in (piece * PIECE..).zip(bins) {
                    read(spectra, frame * n_bins + bin, &mut x);
                    let level = x.iter().map(Complex64::norm_sqr).sum::<f64>().sqrt();
                    for (row, a) in outer.chunks_exact_mut(n_channels).zip(&x) {
                        row.iter_mut().zip(&x).for_each(|(y, b)| *y = a * b.conj());
                    }
                    for (part, covariance) in covariances.chunks_exact_mut(size).enumerate() {
                        // y y* of the image y = mask x.
                        let power = f64::from(masks[part][(frame, bin)]).powi(2);
                        covariance.iter_mut().zip(&outer).for_each(|(sum, y)| *sum += y * power);
                        weights[part] += level * f64::from(models[part * n_bins + bin]);
                    }
                }
            }
        });
    }

    /// The covariances, each relative to the sum of the model that goes with it.
    fn finish(mut self) -> Spatial {
        let size = self.sums.n_channels * self.sums.n_channels;
        for (covariance, weight) in self.sums.covariances.chunks_exact_mut(size).zip(&self.weights) {
            let factor = if *weight > 0.0 { 1.0 / weight } else { 0.0 };
            covariance.iter_mut().for_each(|x| *x *= factor);
        }
        self.sums
    }
}

impl Filter for Spatial {
    /// What the regularization leaves over is shared out by the masks.
    fn images(&self, spectra: &[&[Complex32]], masks: &[Array2<f32>]) -> Vec<Vec<Array2<Complex32>>> {
        let (n_channels, n_parts, n_bins) = (self.n_channels, self.n_parts, self.n_bins);
        frame_by_frame(
            masks,
            n_channels,
            || WienerFilter::new(n_channels, n_parts),
            |filter, frame, rows| {
                let models = models(masks, frame, self.to_model);
                let size = n_parts * n_channels * n_channels;
                for (bin, covariances) in self.covariances.chunks_exact(size).enumerate() {
                    read(spectra, frame * n_bins + bin, &mut filter.x);
                    let of_bin = filter.models.iter_mut().zip(models.iter().skip(bin).step_by(n_bins));
                    of_bin.for_each(|(to, model)| *to = f64::from(*model));
                    filter.apply(covariances, |part| masks[part][(frame, bin)]);
                    rows.iter_mut().zip(&filter.images).for_each(|(row, y)| {
                        row[bin] = Complex32::new(y.re as f32, y.im as f32);
                    });
                }
            },
        )
    }
}

/// The sample of every channel at one place.
fn read(spectra: &[&[Complex32]], at: usize, x: &mut [Complex64]) {
    for (x, spectrum) in x.iter_mut().zip(spectra) {
        *x = Complex64::new(f64::from(spectrum[at].re), f64::from(spectrum[at].im));
    }
}

/// The models of a frame, as shares that sum to one: parts x bins.
pub(super) fn models(masks: &[Array2<f32>], frame: usize, to_model: f32) -> Vec<f32> {
    let n_bins = masks.first().map_or(0, Array2::ncols);
    let mut models: Vec<f32> = Vec::with_capacity(masks.len() * n_bins);
    let mut sum = vec![0.0f32; n_bins];
    for mask in masks {
        let start = models.len();
        models.extend(mask.row(frame).iter().map(|x| mask::power(*x, to_model)));
        sum.iter_mut().zip(&models[start..]).for_each(|(sum, x)| *sum += x);
    }
    for model in models.chunks_exact_mut(n_bins.max(1)) {
        model.iter_mut().zip(&sum).for_each(|(x, sum)| *x /= sum);
    }
    models
}

/// The filter at one place, and room for its matrices.
struct WienerFilter {
    n_channels: usize,
    /// The mixture.
    x: Vec<Complex64>,
    models: Vec<f64>,
    /// Covariance of the mixture, then its Cholesky factor.
    mixture: Vec<Complex64>,
    z: Vec<Complex64>,
    /// Parts x channels.
    images: Vec<Complex64>,
}

impl WienerFilter {
    fn new(n_channels: usize, n_parts: usize) -> Self {
        Self {
            n_channels,
            x: vec![Complex64::ZERO; n_channels],
            models: vec![0.0; n_parts],
            mixture: vec![Complex64::ZERO; n_channels * n_channels],
            z: vec![Complex64::ZERO; n_channels],
            images: vec![Complex64::ZERO; n_channels * n_parts],
        }
    }

    /// `y_j = v_j R_j (sum over i of v_i R_i + e I)^-1 x`, and what is left of x shared out by the masks.
    fn apply(&mut self, covariances: &[Complex64], mask: impl Fn(usize) -> f32) {
        match self.x[..] {
            [x, y] => self.apply_to_two(covariances, mask, [x, y]),
            _ => self.apply_to_many(covariances, mask),
        }
    }

    fn apply_to_many(&mut self, covariances: &[Complex64], mask: impl Fn(usize) -> f32) {
        let n = self.n_channels;
        self.mixture.fill(Complex64::ZERO);
        for (covariance, model) in covariances.chunks_exact(n * n).zip(&self.models) {
            self.mixture.iter_mut().zip(covariance).for_each(|(sum, r)| *sum += r * model);
        }
        let trace: f64 = (0..n).map(|i| self.mixture[i * n + i].re).sum();
        let regularization = REGULARIZATION * trace / n as f64;
        (0..n).for_each(|i| self.mixture[i * n + i] += regularization);
        self.z.copy_from_slice(&self.x);
        self.images.fill(Complex64::ZERO);
        if solve(&mut self.mixture, &mut self.z) {
            let parts = self.images.chunks_exact_mut(n).zip(covariances.chunks_exact(n * n)).zip(&self.models);
            for ((image, covariance), model) in parts {
                for (y, row) in image.iter_mut().zip(covariance.chunks_exact(n)) {
                    *y = row.iter().zip(&self.z).map(|(r, z)| r * z).sum::<Complex64>() * model;
                }
            }
        }
        for channel in 0..n {
            let sum: Complex64 = self.images.iter().skip(channel).step_by(n).sum();
            let rest = self.x[channel] - sum;
            for (part, y) in self.images.iter_mut().skip(channel).step_by(n).enumerate() {
                *y += rest * f64::from(mask(part));
            }
        }
    }

    /// [`WienerFilter::apply`] to two channels, where the inverse can be written down.
    fn apply_to_two(&mut self, covariances: &[Complex64], mask: impl Fn(usize) -> f32, x: [Complex64; 2]) {
        let (mut a, mut b, mut d) = (0.0, Complex64::ZERO, 0.0);
        for (r, model) in covariances.chunks_exact(4).zip(&self.models) {
            a += r[0].re * model;
            b += r[1] * model;
            d += r[3].re * model;
        }
        let regularization = REGULARIZATION * (a + d) / 2.0;
        a += regularization;
        d += regularization;
        let pivot = d - b.norm_sqr() / a;
        let mut rest = x;
        let is_definite = a.is_normal() && a > 0.0 && pivot.is_normal() && pivot > 0.0;
        let second = (x[1] - b.conj() * x[0] / a) / pivot;
        let z = [(x[0] - b * second) / a, second];
        if is_definite && z.iter().all(|z| z.re.is_finite() && z.im.is_finite()) {
            let parts = self.images.chunks_exact_mut(2).zip(covariances.chunks_exact(4)).zip(&self.models);
            for ((image, r), model) in parts {
                image[0] = (r[0] * z[0] + r[1] * z[1]) * model;
                image[1] = (r[2] * z[0] + r[3] * z[1]) * model;
                rest[0] -= image[0];
                rest[1] -= image[1];
            }
        } else {
            self.images.fill(Complex64::ZERO);
        }
        for (part, image) in self.images.chunks_exact_mut(2).enumerate() {
            let mask = f64::from(mask(part));
            image[0] += rest[0] * mask;
            image[1] += rest[1] * mask;
        }
    }
}

/// Solves A z = x for a Hermitian, positive definite A (n x n, row by row), by its Cholesky factor, which takes the place
/// of A; z takes that of x. `false`, and nothing of use in either, where A is not positive definite.
fn solve(a: &mut [Complex64], x: &mut [Complex64]) -> bool {
    let n = x.len();
    for j in 0..n {
        let done: f64 = (0..j).map(|k| a[j * n + k].norm_sqr()).sum();
        let pivot = a[j * n + j].re - done;
        if !(pivot.is_normal() && pivot > 0.0) {
            return false;
        }
        let root = pivot.sqrt();
        a[j * n + j] = root.into();
        for i in j + 1..n {
            let done: Complex64 = (0..j).map(|k| a[i * n + k] * a[j * n + k].conj()).sum();
            a[i * n + j] = (a[i * n + j] - done) / root;
        }
    }
    // L u = x, then L* z = u.
    for i in 0..n {
        let done: Complex64 = (0..i).map(|k| a[i * n + k] * x[k]).sum();
        x[i] = (x[i] - done) / a[i * n + i].re;
    }
    for i in (0..n).rev() {
        let done: Complex64 = (i + 1..n).map(|k| a[k * n + i].conj() * x[k]).sum();
        x[i] = (x[i] - done) / a[i * n + i].re;
    }
    x.iter().all(|z| z.re.is_finite() && z.im.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Spectra of frames x bins whose values come from a list.
    fn images_of(values: &[f32], n_channels: usize, shares: &[f32]) -> (Vec<Vec<Complex32>>, Vec<Array2<f32>>) {
        let (n_frames, n_bins) = (4, 3);
        let at = |i: usize| values[i % values.len()];
        let spectra = (0..n_channels)
            .map(|c| (0..n_frames * n_bins).map(|i| Complex32::new(at(7 * c + i), at(5 * c + 3 * i + 1))).collect())
            .collect();
        let total: f32 = shares.iter().sum();
        let masks = shares.iter().map(|share| Array2::from_elem((n_frames, n_bins), share / total)).collect();
        (spectra, masks)
    }

    fn filtered(spectra: &[Vec<Complex32>], masks: &[Array2<f32>]) -> Vec<Vec<Array2<Complex32>>> {
        let views: Vec<_> = spectra.iter().map(Vec::as_slice).collect();
        let mut sums = SpatialSums::new(spectra.len(), masks.len(), 3, 1.5);
        sums.add(&views, masks);
        sums.finish().images(&views, masks)
    }

    proptest! {
        #[test]
        fn two_channels_are_filtered_as_any_number_is(
            values in prop::collection::vec(-1.0f64..1.0, 12),
            x in prop::array::uniform4(-1.0f64..1.0),
            share in 0.0f32..1.0,
        ) {
            let c = Complex64::new;
            // Two covariances, each of two images.
            let of = |v: &[f64]| {
                let (a, b) = ((c(v[0], v[1]), c(v[2], v[3])), (c(v[4], v[5]), c(v[1], v[4])));
                let sum = |f: fn((Complex64, Complex64)) -> Complex64| f(a) + f(b);
                [sum(|(x, _)| x * x.conj()), sum(|(x, y)| x * y.conj()), sum(|(x, y)| y * x.conj()), sum(|(_, y)| y * y.conj())]
            };
            let covariances = [of(&values[..6]), of(&values[6..])].concat();
            let mut filter = WienerFilter::new(2, 2);
            filter.x = vec![c(x[0], x[1]), c(x[2], x[3])];
            filter.models = vec![f64::from(share), 1.0 - f64::from(share)];
            let mask = |part: usize| if part == 0 { share } else { 1.0 - share };
            filter.apply_to_many(&covariances, mask);
            let expected = std::mem::take(&mut filter.images);
            filter.images = vec![Complex64::ZERO; 4];
            filter.apply(&covariances, mask);
            for (got, expected) in filter.images.iter().zip(&expected) {
                // The regularization leaves a condition of up to 1e5.
                prop_assert!((got - expected).norm() < 1e-8, "{got}, expected {expected}");
            }
        }
    }

    #[test]
    fn a_hermitian_system_is_solved() {
        let c = Complex64::new;
        let a = [
            c(4.0, 0.0),
            c(1.0, 1.0),
            c(0.5, 0.0),
            c(1.0, -1.0),
            c(3.0, 0.0),
            c(0.0, 0.2),
            c(0.5, 0.0),
            c(0.0, -0.2),
            c(2.0, 0.0),
        ];
        let x = [c(1.0, 2.0), c(-1.0, 0.5), c(0.0, 1.0)];
        let (mut factor, mut z) = (a, x);
        assert!(solve(&mut factor, &mut z));
        for (row, x) in a.chunks(3).zip(x) {
            let product: Complex64 = row.iter().zip(&z).map(|(a, z)| a * z).sum();
            assert!((product - x).norm() < 1e-12, "{product}, expected {x}");
        }
        assert!(!solve(&mut [c(0.0, 0.0)], &mut [c(1.0, 0.0)]), "a singular one is not");
    }

    #[test]
    fn sources_in_different_channels_are_told_apart_where_masks_cannot() {
        // Part 0 sounds in the left channel in the first frames, part 1 in the right one in the last; in between both.
        let (n_frames, n_bins) = (6, 1);
        let one = |on: bool| Complex32::new(f32::from(u8::from(on)), 0.0);
        let left: Vec<_> = (0..n_frames).map(|t| one(t < 4)).collect();
        let right: Vec<_> = (0..n_frames).map(|t| one(t >= 2)).collect();
        let share = |t: usize| match t {
            0 | 1 => 0.999,
            2 | 3 => 0.5,
            _ => 0.001,
        };
        let masks = [
            Array2::from_shape_fn((n_frames, n_bins), |(t, _)| share(t)),
            Array2::from_shape_fn((n_frames, n_bins), |(t, _)| 1.0 - share(t)),
        ];
        let spectra = [&left[..], &right[..]];
        let mut sums = SpatialSums::new(2, 2, n_bins, 1.5);
        sums.add(&spectra, &masks);
        let images = sums.finish().images(&spectra, &masks);
        let leak = images[0][1][(2, 0)].norm();
        assert!(leak < 0.3, "a mask alone leaves 0.5 of the right channel in part 0, this {leak}");
        assert!(images[0][0][(2, 0)].norm() > 0.7, "{}", images[0][0][(2, 0)]);
    }

    proptest! {
        #[test]
        fn images_sum_to_the_mixture(
            values in prop::collection::vec(prop_oneof![Just(0.0f32), -1.0f32..1.0, -1e-12f32..1e-12], 40),
            n_channels in 1usize..7,
            shares in prop::collection::vec(1e-6f32..1.0, 1..5),
            equal in any::<bool>(),
        ) {
            let (mut spectra, masks) = images_of(&values, n_channels, &shares);
            if equal {
                // The same sound in all channels, and one of them silent: every covariance is singular.
                let first = spectra[0].clone();
                spectra.iter_mut().for_each(|spectrum| spectrum.clone_from(&first));
                spectra[n_channels - 1].fill(Complex32::ZERO);
            }
            let images = filtered(&spectra, &masks);
            let peak = values.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            for (channel, spectrum) in spectra.iter().enumerate() {
                let sum = images.iter().fold(Array2::<Complex32>::zeros((4, 3)), |sum, image| sum + &image[channel]);
                for (sum, x) in sum.iter().zip(spectrum) {
                    // Each part is rounded once to f32.
                    prop_assert!((sum - x).norm() <= 2e-6 * peak, "{sum}, expected {x}");
                }
            }
        }
    }
}
