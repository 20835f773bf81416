//! Several channels: where each part stands among them, and the filter that tells parts apart by it.
//! One step of the multichannel Wiener filter over the masks of any model; sound comes from the renderer.

mod lanes;

use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut1, CowArray, Ix2};
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use self::lanes::{LANES, Lanes, Which, load, which};

use super::filtered::{Filter, Filtered, frame_by_frame, read_masks};
use super::mask;
use super::model::Model;
use crate::Result;
use crate::audio::Recording;
use crate::nmf::kernel::{Loops, widest};
use crate::stft::Stft;
use crate::watch::Watch;

/// Added to the diagonal of the mixture's covariance, relative to its mean: channels that are equal, or silent, leave it
/// singular otherwise. -50 dB, far below what any source is apart from another.
const REGULARIZATION: f64 = 1e-5;

/// Frames that places are learned from at the most: 93 s at 44.1 kHz, for covariances of a few channels in each bin.
const ENOUGH_FRAMES: usize = 4000;

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
    /// Bands of [`LANES`] bins x parts x channels x channels; above the diagonal nothing, and on it no imaginary part counts.
    covariances: Vec<Lanes>,
    /// Masks to this power are models again, up to a factor that the parts share.
    to_model: f32,
}

/// [`Spatial`] in the making.
#[derive(Debug)]
struct SpatialSums {
    sums: Spatial,
    /// Bands x parts: the sums of the models.
    weights: Vec<[f64; LANES]>,
}

impl SpatialSums {
    /// `mask_exponent` is that of the masks to come.
    fn new(n_channels: usize, n_parts: usize, n_bins: usize, mask_exponent: f32) -> Self {
        let n_bands = n_bins.div_ceil(LANES);
        let covariances = vec![Lanes::ZERO; n_bands * n_parts * n_channels * n_channels];
        let sums = Spatial { n_channels, n_parts, n_bins, covariances, to_model: 1.0 / mask_exponent };
        Self { sums, weights: vec![[0.0; LANES]; n_bands * n_parts] }
    }

    /// Takes frames: the spectra of each channel (frames x bins, row by row), and the masks of each part.
    fn add(&mut self, spectra: &[&[Complex32]], masks: &[Array2<f32>]) {
        let Spatial { n_channels, n_parts, to_model, .. } = self.sums;
        let n_frames = masks.first().map_or(0, Array2::nrows);
        let models: Vec<_> = (0..n_frames).into_par_iter().map(|frame| models(masks, frame, to_model)).collect();
        // Bands are independent of one another; the frames of each are added in their order.
        let covariances = self.sums.covariances.par_chunks_exact_mut(n_parts * n_channels * n_channels);
        let bands = covariances.zip(self.weights.par_chunks_exact_mut(n_parts)).enumerate();
        let (n_bins, masks) = (self.sums.n_bins, in_rows(masks));
        let masks = slices(&masks);
        let room = || vec![Lanes::ZERO; n_channels];
        bands.for_each_init(room, |x, (band, (covariances, weights))| {
            widest(AddFrames { band, n_bins, spectra, masks: &masks, models: &models, x, covariances, weights });
        });
    }

    /// The covariances, each relative to the sum of the model that goes with it.
    fn finish(mut self) -> Spatial {
        let size = self.sums.n_channels * self.sums.n_channels;
        for (covariance, weights) in self.sums.covariances.chunks_exact_mut(size).zip(&self.weights) {
            let factors = weights.map(|weight| if weight > 0.0 { 1.0 / weight } else { 0.0 });
            covariance.iter_mut().for_each(|x| *x = x.times(&factors));
        }
        self.sums
    }
}

/// Adds what one band has in some frames.
struct AddFrames<'a> {
    band: usize,
    n_bins: usize,
    spectra: &'a [&'a [Complex32]],
    masks: &'a [&'a [f32]],
    models: &'a [Vec<f32>],
    /// Room for each channel.
    x: &'a mut [Lanes],
    covariances: &'a mut [Lanes],
    weights: &'a mut [[f64; LANES]],
}

impl Loops for AddFrames<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { band, n_bins, spectra, masks, models, x, covariances, weights } = self;
        let n = x.len();
        for (frame, models) in models.iter().enumerate() {
            let first = frame * n_bins;
            let mut level = [0.0; LANES];
            for (x, all) in x.iter_mut().zip(spectra) {
                *x = Lanes::load(&all[first..first + n_bins], band);
                x.add_power_to(&mut level);
            }
            for level in &mut level {
                *level = level.sqrt();
            }
            let parts = covariances.chunks_exact_mut(n * n).zip(weights.iter_mut()).zip(masks);
            for (part, ((covariance, weight), mask)) in parts.enumerate() {
                let model = load(&models[part * n_bins..(part + 1) * n_bins], band);
                let mask = load(&mask[first..first + n_bins], band);
                for l in 0..LANES {
                    weight[l] += level[l] * model[l];
                }
                // y y* of the image y = mask x.
                for i in 0..n {
                    let image = x[i].times(&mask).times(&mask);
                    for j in 0..=i {
                        covariance[i * n + j].add_conj_product(&x[j], &image);
                    }
                }
            }
        }
    }
}

impl Filter for Spatial {
    /// What the regularization leaves over is shared out by the masks.
    fn images(&self, spectra: &[&[Complex32]], masks: &[Array2<f32>]) -> Vec<Vec<Array2<Complex32>>> {
        let in_rows = in_rows(masks);
        let slices = slices(&in_rows);
        frame_by_frame(
            masks,
            self.n_channels,
            || WienerFilter::new(self.n_channels, self.n_parts),
            |filter, frame, rows| {
                let models = models(masks, frame, self.to_model);
                widest(FilterFrame { spatial: self, frame, spectra, masks: &slices, models: &models, filter, rows });
            },
        )
    }
}

/// Masks whose frames stand one after the other, as most do already.
fn in_rows(masks: &[Array2<f32>]) -> Vec<CowArray<'_, f32, Ix2>> {
    masks.iter().map(|mask| mask.as_standard_layout()).collect()
}

fn slices<'a>(masks: &'a [CowArray<'_, f32, Ix2>]) -> Vec<&'a [f32]> {
    masks.iter().map(|mask| mask.as_slice().expect("frames stand one after the other")).collect()
}

/// The models of a frame, as shares that sum to one: parts x bins.
pub(super) fn models(masks: &[Array2<f32>], frame: usize, to_model: f32) -> Vec<f32> {
    let n_bins = masks.first().map_or(0, Array2::ncols);
    let mut models: Vec<f32> = Vec::with_capacity(masks.len() * n_bins);
    masks.iter().for_each(|mask| models.extend(mask.row(frame)));
    widest(Models { shares: &mut models, n_bins: n_bins.max(1), to_model });
    models
}

/// Turns the masks of one frame, parts x bins, into models.
struct Models<'a> {
    shares: &'a mut [f32],
    n_bins: usize,
    to_model: f32,
}

impl Loops for Models<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut sum = vec![0.0f32; self.n_bins];
        for shares in self.shares.chunks_exact_mut(self.n_bins) {
            for (x, sum) in shares.iter_mut().zip(&mut sum) {
                *x = mask::power(*x, self.to_model);
                *sum += *x;
            }
        }
        for shares in self.shares.chunks_exact_mut(self.n_bins) {
            for (x, sum) in shares.iter_mut().zip(&sum) {
                *x /= sum;
            }
        }
    }
}

/// Room for the filter of one band.
struct WienerFilter {
    /// The mixture.
    x: Vec<Lanes>,
    models: Vec<[f64; LANES]>,
    /// Covariance of the mixture, then its Cholesky factor, both up to the diagonal.
    mixture: Vec<Lanes>,
    z: Vec<Lanes>,
    /// Parts x channels.
    images: Vec<Lanes>,
}

impl WienerFilter {
    fn new(n_channels: usize, n_parts: usize) -> Self {
        Self {
            x: vec![Lanes::ZERO; n_channels],
            models: vec![[0.0; LANES]; n_parts],
            mixture: vec![Lanes::ZERO; n_channels * n_channels],
            z: vec![Lanes::ZERO; n_channels],
            images: vec![Lanes::ZERO; n_channels * n_parts],
        }
    }

    /// `y_j = v_j R_j (sum over i of v_i R_i + e I)^-1 x`, and what is left of x shared out by the masks, for `n` channels.
    #[inline(always)]
    fn apply(&mut self, n: usize, covariances: &[Lanes], mask: impl Fn(usize) -> [f64; LANES]) {
        let (mixture, z, rest) = (&mut self.mixture[..n * n], &mut self.z[..n], &mut self.x[..n]);
        mixture.fill(Lanes::ZERO);
        for (covariance, model) in covariances.chunks_exact(n * n).zip(&self.models) {
            for i in 0..n {
                for j in 0..i {
                    mixture[i * n + j].add(&covariance[i * n + j].times(model));
                }
                mixture[i * n + i].add_real_product(&covariance[i * n + i].re, model);
            }
        }
        let mut trace = Lanes::ZERO;
        for i in 0..n {
            trace.add(&mixture[i * n + i]);
        }
        for i in 0..n {
            mixture[i * n + i].add_real_product(&trace.re, &[REGULARIZATION / n as f64; LANES]);
        }
        z.copy_from_slice(rest);
        let solved = solve(n, mixture, z);
        let parts = self.images.chunks_exact_mut(n).zip(covariances.chunks_exact(n * n)).zip(&self.models);
        for ((image, covariance), model) in parts {
            for (i, y) in image.iter_mut().enumerate() {
                let mut sum = Lanes::ZERO;
                for j in 0..i {
                    sum.add_product(&covariance[i * n + j], &z[j]);
                }
                sum.add(&z[i].times(&covariance[i * n + i].re));
                for j in i + 1..n {
                    sum.add_conj_product(&covariance[j * n + i], &z[j]);
                }
                let explained = sum.times(model).only(&solved);
                rest[i].sub(&explained);
                *y = explained;
            }
        }
        for (part, image) in self.images.chunks_exact_mut(n).enumerate() {
            let mask = mask(part);
            for (y, rest) in image.iter_mut().zip(&*rest) {
                y.add(&rest.times(&mask));
            }
        }
    }
}

/// Filters one frame.
struct FilterFrame<'a, 'r> {
    spatial: &'a Spatial,
    frame: usize,
    spectra: &'a [&'a [Complex32]],
    masks: &'a [&'a [f32]],
    models: &'a [f32],
    filter: &'a mut WienerFilter,
    /// Of each part and channel.
    rows: &'a mut [ArrayViewMut1<'r, Complex32>],
}

impl Loops for FilterFrame<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        // Loops over two channels, by far the most usual number, are unrolled.
        match self.spatial.n_channels {
            2 => self.filtered(2),
            n => self.filtered(n),
        }
    }
}

impl FilterFrame<'_, '_> {
    #[inline(always)]
    fn filtered(self, n: usize) {
        let Self { spatial, frame, spectra, masks, models, filter, rows } = self;
        let n_bins = spatial.n_bins;
        let first = frame * n_bins;
        let size = spatial.n_parts * spatial.n_channels * spatial.n_channels;
        for (band, covariances) in spatial.covariances.chunks_exact(size).enumerate() {
            for (x, all) in filter.x.iter_mut().zip(spectra) {
                *x = Lanes::load(&all[first..first + n_bins], band);
            }
            for (to, model) in filter.models.iter_mut().zip(models.chunks_exact(n_bins)) {
                *to = load(model, band);
            }
            filter.apply(n, covariances, |part| load(&masks[part][first..first + n_bins], band));
            for (row, y) in rows.iter_mut().zip(&filter.images) {
                y.store(row.as_slice_mut().expect("a row of a new matrix is contiguous"), band);
            }
        }
    }
}

/// Solves A z = x for a Hermitian, positive definite A (n x n, row by row, up to the diagonal), by its Cholesky factor, which
/// takes the place of A; z takes that of x. Told is in which lanes A is positive definite; in others nothing is of use.
#[inline(always)]
fn solve(n: usize, a: &mut [Lanes], x: &mut [Lanes]) -> Which {
    let (a, x) = (&mut a[..n * n], &mut x[..n]);
    let mut definite = [u64::MAX; LANES];
    for j in 0..n {
        let mut pivot = a[j * n + j].re;
        for k in 0..j {
            a[j * n + k].sub_power_from(&mut pivot);
        }
        let good = which(|l| (pivot[l] >= f64::MIN_POSITIVE) & (pivot[l] <= f64::MAX));
        let mut inverse = [0.0; LANES];
        for l in 0..LANES {
            definite[l] &= good[l];
            inverse[l] = 1.0 / if good[l] != 0 { pivot[l] } else { 1.0 }.sqrt();
        }
        // What is divided by is kept as its inverse.
        a[j * n + j] = Lanes { re: inverse, im: [0.0; LANES] };
        for i in j + 1..n {
            let mut left = a[i * n + j];
            for k in 0..j {
                left.sub_conj_product(&a[j * n + k], &a[i * n + k]);
            }
            a[i * n + j] = left.times(&inverse);
        }
    }
    // L u = x, then L* z = u.
    for i in 0..n {
        let mut left = x[i];
        for k in 0..i {
            left.sub_product(&a[i * n + k], &x[k]);
        }
        x[i] = left.times(&a[i * n + i].re);
    }
    for i in (0..n).rev() {
        let mut left = x[i];
        for k in i + 1..n {
            left.sub_conj_product(&a[k * n + i], &x[k]);
        }
        x[i] = left.times(&a[i * n + i].re);
    }
    for x in x.iter() {
        let finite = which(|l| x.re[l].is_finite() & x.im[l].is_finite());
        definite.iter_mut().zip(finite).for_each(|(definite, finite)| *definite &= finite);
    }
    definite
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use realfft::num_complex::Complex64;

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

    fn everywhere(x: &Complex64) -> Lanes {
        Lanes { re: [x.re; LANES], im: [x.im; LANES] }
    }

    proptest! {
        #[test]
        fn two_channels_are_filtered_by_the_inverse(
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
            let covariances = [of(&values[..6]), of(&values[6..])];
            let shares = [f64::from(share), 1.0 - f64::from(share)];
            let x = [c(x[0], x[1]), c(x[2], x[3])];
            let mut sum: [Complex64; 4] = std::array::from_fn(|i| covariances[0][i] * shares[0] + covariances[1][i] * shares[1]);
            let regularization = REGULARIZATION * (sum[0].re + sum[3].re) / 2.0;
            sum[0] += regularization;
            sum[3] += regularization;
            let determinant = sum[0] * sum[3] - sum[1] * sum[2];
            let z = [(sum[3] * x[0] - sum[1] * x[1]) / determinant, (sum[0] * x[1] - sum[2] * x[0]) / determinant];
            let image = |part: usize, i: usize| {
                let r = &covariances[part];
                (r[2 * i] * z[0] + r[2 * i + 1] * z[1]) * shares[part]
            };
            let expected = |part: usize, i: usize| image(part, i) + (x[i] - image(0, i) - image(1, i)) * shares[part];

            let mut filter = WienerFilter::new(2, 2);
            filter.x = x.iter().map(everywhere).collect();
            filter.models = shares.map(|share| [share; LANES]).to_vec();
            let covariances: Vec<_> = covariances.iter().flatten().map(everywhere).collect();
            filter.apply(2, &covariances, |part| [shares[part]; LANES]);
            for (k, got) in filter.images.iter().enumerate() {
                let expected = expected(k / 2, k % 2);
                for l in 0..LANES {
                    // The regularization leaves a condition of up to 1e5.
                    let got = c(got.re[l], got.im[l]);
                    prop_assert!((got - expected).norm() < 1e-8, "{got}, expected {expected}");
                }
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
        let (mut factor, mut z) = (a.each_ref().map(everywhere), x.each_ref().map(everywhere));
        assert_eq!(solve(3, &mut factor, &mut z), [u64::MAX; LANES]);
        let z = z.map(|z| c(z.re[1], z.im[1]));
        for (row, x) in a.chunks(3).zip(x) {
            let product: Complex64 = row.iter().zip(&z).map(|(a, z)| a * z).sum();
            assert!((product - x).norm() < 1e-12, "{product}, expected {x}");
        }
        assert_eq!(solve(1, &mut [Lanes::ZERO], &mut [everywhere(&c(1.0, 0.0))]), [0; LANES], "a singular one is not");
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
