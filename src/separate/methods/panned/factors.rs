//! Components of places: the power of each place is a factorization, learned by expectation and maximization from both
//! channels with their phases. Knows no sources.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use crate::Result;
use crate::nmf::kernel::{Loops, widest};
use crate::separate::pipeline::{BLOCK_FRAMES, Covariance, N_PLACES, Row, center_of, step_by_levels};
use crate::watch::{Step, Watch};

/// Iterations in which the power of a place is what is heard from around it: where the fit begins.
const START_ITERATIONS: usize = 15;

/// Iterations after these, at the most.
const MAX_ITERATIONS: usize = 40;

/// Iterations of each kind that find the activations of one block with the templates as they are.
const BLOCK_START_ITERATIONS: usize = 5;
const BLOCK_ITERATIONS: usize = 15;

/// What is heard from around a place, one standard deviation.
const WIDTH: f64 = 0.15;

/// Least power of a place, where the mean power of the mixture is 1, and least factor.
const FLOOR: f32 = 1e-10;

/// A place, or anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// -1 to 1; `None`: anywhere.
    pub(super) at: Option<f64>,
    /// How much is heard from there, 0 to 1.
    pub(super) share: f64,
    pub(super) covariance: Covariance,
}

/// The templates of each place.
#[derive(Debug)]
pub(super) struct Factors {
    /// Of each place: components x bins, powers where the mean power of the mixture is 1.
    pub(super) templates: Vec<Array2<f32>>,
    pub(super) covariances: Vec<Covariance>,
    /// The share of each place in what is heard at each step between left and right.
    shares: Vec<[f32; N_PLACES]>,
    /// What the mixture is to be multiplied with for a mean power of 1.
    pub(super) gain: f32,
}

/// Which power of a place the factors are to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// What is heard from around it.
    Around,
    /// What is expected with the factors as they are.
    Expected,
}

/// Sums over frames for the update of one place's templates: components x bins.
struct TemplateSums {
    upper: Array2<f32>,
    lower: Array2<f32>,
}

impl Factors {
    /// Learns them from the spectra of both channels, frames x bins: with the activations, frames x components, and the
    /// number of iterations.
    pub(super) fn learn(
        spots: &[Spot],
        spectra: [ArrayView2<'_, Complex32>; 2],
        n_components: usize,
        max_iter: usize,
        seed: u64,
        watch: &mut Watch<'_>,
    ) -> Result<(Self, Array2<f32>, usize)> {
        let (n_frames, n_bins) = spectra[0].dim();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut positive = |shape| Array2::from_shape_simple_fn(shape, || random.random_range(0.1..1.0f32));
        let n_of = |place: usize| n_components / spots.len() + usize::from(place < n_components % spots.len());
        let templates: Vec<_> = (0..spots.len()).map(|place| positive((n_of(place), n_bins))).collect();
        let mut activations = positive((n_frames, n_components));
        let mut factors = Self {
            templates,
            covariances: spots.iter().map(|spot| spot.covariance).collect(),
            shares: shares(spots),
            gain: gain(spectra),
        };
        let steps = steps_of(spectra);
        let n_start = START_ITERATIONS.min(max_iter.max(1));
        let n_iter = n_start + MAX_ITERATIONS.min(max_iter);
        for i in 0..n_iter {
            watch.at(Step::Fitting, i as u64, Some(n_iter as u64))?;
            let aim = if i < n_start { Aim::Around } else { Aim::Expected };
            let this = &factors;
            let chunks = activations.axis_chunks_iter_mut(Axis(0), BLOCK_FRAMES).into_par_iter().enumerate();
            let sums: Vec<Vec<TemplateSums>> = chunks
                .map(|(chunk, mut h)| {
                    let frames = chunk * BLOCK_FRAMES..chunk * BLOCK_FRAMES + h.nrows();
                    let spectra = spectra.map(|x| x.slice_move(s![frames.clone(), ..]));
                    let mut own = h.to_owned();
                    let steps = &steps[frames.start * n_bins..frames.end * n_bins];
                    let sums = this.improve(spectra, steps, &mut own, aim, true);
                    h.assign(&own);
                    sums
                })
                .collect();
            // In the order of time.
            let mut sums = sums.into_iter();
            let Some(mut total) = sums.next() else { break };
            for more in sums {
                for (sum, more) in total.iter_mut().zip(more) {
                    sum.upper += &more.upper;
                    sum.lower += &more.lower;
                }
            }
            for (templates, sums) in factors.templates.iter_mut().zip(&total) {
                multiply(templates, sums);
            }
        }
        Ok((factors, activations, n_iter))
    }

    /// The place of each component.
    pub(super) fn places(&self) -> Vec<usize> {
        self.templates.iter().enumerate().flat_map(|(place, w)| vec![place; w.nrows()]).collect()
    }

    /// The activations of some frames, with the templates as they are: frames x components.
    pub(super) fn encode(&self, spectra: [ArrayView2<'_, Complex32>; 2]) -> Array2<f32> {
        let n_components = self.templates.iter().map(Array2::nrows).sum();
        let steps = steps_of(spectra);
        let mut activations = Array2::ones((spectra[0].nrows(), n_components));
        for i in 0..BLOCK_START_ITERATIONS + BLOCK_ITERATIONS {
            let aim = if i < BLOCK_START_ITERATIONS { Aim::Around } else { Aim::Expected };
            self.improve(spectra, &steps, &mut activations, aim, false);
        }
        activations
    }

    /// One iteration on some frames: better activations and, with those, the sums for better templates.
    ///
    /// # References
    /// A. Ozerov and C. Févotte, IEEE TASLP 18(3), 2010: the expected power of each source is factorized anew, here by
    /// one multiplicative step of the Itakura-Saito divergence for either factor.
    fn improve(
        &self,
        spectra: [ArrayView2<'_, Complex32>; 2],
        steps: &[u8],
        activations: &mut Array2<f32>,
        aim: Aim,
        wants_sums: bool,
    ) -> Vec<TemplateSums> {
        let mut powers = self.powers(activations);
        // Of each place: what its power is to be, divided by the square of what it is.
        let aims = self.aims(spectra, steps, &powers, aim);
        let mut sums = Vec::new();
        let mut first = 0;
        for ((templates, power), aims) in self.templates.iter().zip(&mut powers).zip(aims) {
            let mut h = activations.slice_mut(s![.., first..first + templates.nrows()]);
            first += templates.nrows();
            let inverse = power.mapv(f32::recip);
            let (upper, lower) = (aims.dot(&templates.t()), inverse.dot(&templates.t()));
            ndarray::Zip::from(&mut h).and(&upper).and(&lower).for_each(|h, upper, lower| {
                *h = (*h * ratio(*upper, *lower)).max(FLOOR);
            });
            if wants_sums {
                // The aim stays, relative to the power that comes of the new activations.
                let mut inverse = Array2::from_elem(power.raw_dim(), FLOOR);
                general_mat_mul(1.0, &h, templates, 1.0, &mut inverse);
                inverse.mapv_inplace(f32::recip);
                let mut aims = aims;
                ndarray::Zip::from(&mut aims).and(&*power).and(&inverse).for_each(|aim, before, inverse| {
                    let change = before * inverse;
                    *aim *= change * change;
                });
                sums.push(TemplateSums { upper: h.t().dot(&aims), lower: h.t().dot(&inverse) });
            }
        }
        sums
    }

    /// The power of each place, frames x bins.
    pub(super) fn powers(&self, activations: &Array2<f32>) -> Vec<Array2<f32>> {
        let mut first = 0;
        let power = |templates: &Array2<f32>| {
            let own = activations.slice(s![.., first..first + templates.nrows()]);
            first += templates.nrows();
            let mut power = Array2::from_elem((activations.nrows(), templates.ncols()), FLOOR);
            general_mat_mul(1.0, &own, templates, 1.0, &mut power);
            power
        };
        self.templates.iter().map(power).collect()
    }

    /// What the power of each place is to be, divided by the square of what it is.
    fn aims(
        &self,
        spectra: [ArrayView2<'_, Complex32>; 2],
        steps: &[u8],
        powers: &[Array2<f32>],
        aim: Aim,
    ) -> Vec<Array2<f32>> {
        let mut aims: Vec<Array2<f32>> = powers.iter().map(|power| Array2::zeros(power.raw_dim())).collect();
        widest(FindAims { factors: self, spectra, steps, powers, aim, aims: &mut aims });
        aims
    }
}

/// [`Factors::aims`], onto zeros.
struct FindAims<'a> {
    factors: &'a Factors,
    spectra: [ArrayView2<'a, Complex32>; 2],
    steps: &'a [u8],
    powers: &'a [Array2<f32>],
    aim: Aim,
    aims: &'a mut [Array2<f32>],
}

impl Loops for FindAims<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { factors, spectra, steps, powers, aim, aims } = self;
        let (n_frames, n_bins) = spectra[0].dim();
        let mut levels = vec![0.0; n_bins];
        for frame in 0..n_frames {
            let [left, right] = spectra.map(|x| row_of(x, frame));
            match aim {
                Aim::Around => {
                    for (level, (l, r)) in levels.iter_mut().zip(left.iter().zip(right)) {
                        *level = (l.norm_sqr() + r.norm_sqr()) * factors.gain * factors.gain;
                    }
                    let steps = &steps[frame * n_bins..(frame + 1) * n_bins];
                    for ((aims, powers), shares) in aims.iter_mut().zip(powers).zip(&factors.shares) {
                        let bins = row_of_mut(aims, frame).iter_mut().zip(row_of(powers.view(), frame));
                        for ((to, v), (step, level)) in bins.zip(steps.iter().zip(&levels)) {
                            *to = (shares[usize::from(*step)] * level + FLOOR) / (v * v);
                        }
                    }
                }
                Aim::Expected => {
                    let mut mixture = Row::new(n_bins, 0.0);
                    for (powers, covariance) in powers.iter().zip(&factors.covariances) {
                        mixture.add(covariance, row_of(powers.view(), frame));
                    }
                    let excess = mixture.into_excess([left, right], factors.gain);
                    for ((aims, powers), covariance) in aims.iter_mut().zip(powers).zip(&factors.covariances) {
                        excess.expected(covariance, row_of(powers.view(), frame), row_of_mut(aims, frame));
                    }
                }
            }
        }
    }
}

/// One row of a matrix whose rows are contiguous.
pub(super) fn row_of<'a, T>(matrix: ArrayView2<'a, T>, row: usize) -> &'a [T] {
    let n = matrix.ncols();
    let all = matrix.to_slice().expect("frames stand one after the other");
    &all[row * n..(row + 1) * n]
}

fn row_of_mut(matrix: &mut Array2<f32>, row: usize) -> &mut [f32] {
    let n = matrix.ncols();
    &mut matrix.as_slice_mut().expect("frames stand one after the other")[row * n..(row + 1) * n]
}

/// The step between left and right that each bin is heard from.
fn steps_of([left, right]: [ArrayView2<'_, Complex32>; 2]) -> Vec<u8> {
    left.iter().zip(&right).map(|(l, r)| step_by_levels(*l, *r) as u8).collect()
}

fn multiply(templates: &mut Array2<f32>, sums: &TemplateSums) {
    ndarray::Zip::from(templates).and(&sums.upper).and(&sums.lower).for_each(|w, upper, lower| {
        *w = (*w * ratio(*upper, *lower)).max(FLOOR);
    });
}

fn ratio(upper: f32, lower: f32) -> f32 {
    let ratio = upper / lower.max(f32::MIN_POSITIVE);
    if ratio.is_finite() { ratio.min(1e6) } else { 1.0 }
}

/// What each place has of what is heard at each step: by a bell around it; what comes from anywhere has as much
/// everywhere.
fn shares(spots: &[Spot]) -> Vec<[f32; N_PLACES]> {
    let bell = |spot: &Spot, step: usize| match spot.at {
        Some(at) => (-0.5 * ((center_of(step) - at) / WIDTH).powi(2)).exp() + 1e-9,
        None => 0.3,
    };
    let share =
        |spot: &Spot, step: usize| (bell(spot, step) / spots.iter().map(|other| bell(other, step)).sum::<f64>()) as f32;
    spots.iter().map(|spot| std::array::from_fn(|step| share(spot, step))).collect()
}

/// What makes the mean power 1.
fn gain(spectra: [ArrayView2<'_, Complex32>; 2]) -> f32 {
    let of_row = |row: ndarray::ArrayView1<'_, Complex32>| row.iter().map(|x| f64::from(x.norm_sqr())).sum::<f64>();
    let power: f64 = spectra.iter().flat_map(|spectrum| spectrum.outer_iter()).map(of_row).sum();
    (spectra[0].len().max(1) as f64 / power.max(f64::MIN_POSITIVE)).sqrt().min(f64::from(f32::MAX)) as f32
}
