//! What the sources do over time, and which bins belong together: a factorization of the power of each source.
//! Knows no phases.

use ndarray::{Array2, Axis, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::bins::{Bin, LANES};
use crate::nmf::kernel::{Loops, widest};

/// Variances are at least this, where the mean power of what is heard is 1.
pub(super) const FLOOR: f32 = 1e-15;

/// Bins whose sums are added in order.
const CHUNK: usize = 16;

/// The variance of a source: `r = b h`.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Bins x components.
    pub(super) templates: Array2<f32>,
    /// Components x frames, as many as a [`Bin`] has.
    pub(super) activations: Array2<f32>,
}

impl Source {
    /// Random factors; activations are zero in frames in which the source cannot sound, and after the last. Templates begin
    /// nearly alike, so that at first a source comes and goes in all bins together.
    pub(super) fn new(
        (n_bins, n_components, n_frames): (usize, usize, usize),
        seed: u64,
        may_sound: impl Fn(usize) -> bool,
    ) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let templates = Array2::from_shape_simple_fn((n_bins, n_components), || random.random_range(0.8..1.0));
        let activations = Array2::from_shape_fn((n_components, n_frames), |(_, frame)| {
            let level = random.random_range(0.1..1.0);
            if may_sound(frame) { level } else { 0.0 }
        });
        let mut padded = Array2::zeros((n_components, n_frames.next_multiple_of(LANES)));
        padded.slice_mut(s![.., ..n_frames]).assign(&activations);
        let activations = padded;
        Self { templates, activations }
    }

    /// This share of the mean variance of all bins, in each frame.
    pub(super) fn in_all_bins(&self, share: f32) -> Vec<f32> {
        let levels = self.templates.sum_axis(Axis(0)) * (share / self.templates.nrows().max(1) as f32);
        levels.dot(&self.activations).to_vec()
    }

    /// `1 / (r + more)` in one bin, with more in each frame.
    pub(super) fn weights(&self, bin: usize, more: &[f32], weights: &mut Vec<f32>) {
        let b = self.templates.row(bin);
        let b = b.to_slice().expect("a row of a matrix of its own");
        weights.resize(self.activations.ncols(), 0.0);
        let h = self.activations.as_slice().expect("a matrix of its own stands row by row");
        widest(Weigh { b, h, more, weights });
    }

    /// `b <- b sqrt(sum of P r^-2 h / sum of r^-1 h)` in every bin, where it is wanted, and with these
    /// `h <- h sqrt(sum of P r^-2 b / sum of r^-1 b)` in every frame.
    ///
    /// # References
    /// D. Kitamura, N. Ono, H. Sawada, H. Kameoka and H. Saruwatari, "Determined blind source separation unifying
    /// independent vector analysis and nonnegative matrix factorization", IEEE/ACM TASLP 24(9), 2016, equations 25 and
    /// 26.
    pub(super) fn improve(&mut self, bins: &[Bin], source: usize, with_templates: bool) {
        let n_components = self.templates.ncols();
        let Self { templates, activations } = self;
        let h = activations.as_slice().expect("a matrix of its own stands row by row");
        let b = templates.as_slice_mut().expect("a matrix of its own stands row by row");
        let (mut upper, mut lower) = (vec![0.0f32; h.len()], vec![0.0f32; h.len()]);
        // Some chunks at a time, so that their sums take little memory.
        for (b, bins) in b.chunks_mut(CHUNK * CHUNK * n_components).zip(bins.chunks(CHUNK * CHUNK)) {
            let sums: Vec<_> = b
                .par_chunks_mut(CHUNK * n_components)
                .zip(bins.par_chunks(CHUNK))
                .map(|(b, bins)| {
                    let powers: Vec<&[f32]> = bins.iter().map(|bin| &bin.power[source][..]).collect();
                    widest(Improve { b, h, powers: &powers, with_templates })
                })
                .collect();
            for (more_upper, more_lower) in sums {
                add(&mut upper, &more_upper);
                add(&mut lower, &more_lower);
            }
        }
        for ((h, upper), lower) in activations.iter_mut().zip(upper).zip(lower) {
            if *h > 0.0 {
                *h = (*h * root_ratio(upper, lower)).max(FLOOR);
            }
        }
    }
}

/// [`Source::weights`].
struct Weigh<'a> {
    b: &'a [f32],
    h: &'a [f32],
    more: &'a [f32],
    weights: &'a mut [f32],
}

impl Loops for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { b, h, more, weights } = self;
        let n_frames = weights.len();
        let chunks = weights.chunks_exact_mut(LANES).zip(more.chunks_exact(LANES));
        for (i, (weights, more)) in chunks.enumerate() {
            let variance = variance(b, h, n_frames, i * LANES);
            for lane in 0..LANES {
                weights[lane] = 1.0 / (variance[lane] + more[lane]);
            }
        }
    }
}

/// [`Source::improve`] in some bins, as far as it goes without the others.
struct Improve<'a> {
    b: &'a mut [f32],
    h: &'a [f32],
    powers: &'a [&'a [f32]],
    with_templates: bool,
}

impl Loops for Improve<'_> {
    type Output = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { b, h, powers, with_templates } = self;
        if with_templates {
            let n_components = b.len() / powers.len();
            let mut terms = vec![[[0.0; LANES]; 2]; powers[0].len() / LANES];
            for (b, power) in b.chunks_exact_mut(n_components).zip(powers) {
                improve_templates(b, h, power, &mut terms);
            }
        }
        terms_of_activations(b, h, powers)
    }
}

fn add(sums: &mut [f32], more: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(more) {
        *sum += x;
    }
}

/// `r = b h` from a frame on; `h` has rows of so many frames.
#[inline(always)]
fn variance(b: &[f32], h: &[f32], n_frames: usize, first: usize) -> [f32; LANES] {
    let mut variance = [0.0f32; LANES];
    for (b, h) in b.iter().zip(h.chunks_exact(n_frames)) {
        let h = &h[first..first + LANES];
        for lane in 0..LANES {
            variance[lane] += b * h[lane];
        }
    }
    for r in &mut variance {
        *r = r.max(FLOOR);
    }
    variance
}

/// `1 / r` and `P / r^2`.
#[inline(always)]
fn inverses(variance: [f32; LANES], power: &[f32]) -> [[f32; LANES]; 2] {
    let (mut first, mut second) = ([0.0f32; LANES], [0.0f32; LANES]);
    for lane in 0..LANES {
        first[lane] = 1.0 / variance[lane];
        second[lane] = power[lane] * first[lane] * first[lane];
    }
    [first, second]
}

/// The templates of one bin.
#[inline(always)]
fn improve_templates(b: &mut [f32], h: &[f32], power: &[f32], terms: &mut [[[f32; LANES]; 2]]) {
    let n_frames = power.len();
    for (i, (terms, power)) in terms.iter_mut().zip(power.chunks_exact(LANES)).enumerate() {
        *terms = inverses(variance(b, h, n_frames, i * LANES), power);
    }
    for (b, h) in b.iter_mut().zip(h.chunks_exact(n_frames)) {
        let (mut lower, mut upper) = ([0.0f32; LANES], [0.0f32; LANES]);
        for (h, [first, second]) in h.chunks_exact(LANES).zip(&*terms) {
            for lane in 0..LANES {
                lower[lane] += first[lane] * h[lane];
                upper[lane] += second[lane] * h[lane];
            }
        }
        *b = (*b * root_ratio(upper.iter().sum(), lower.iter().sum())).max(FLOOR);
    }
}

/// `sum of P r^-2 b` and `sum of r^-1 b` over some bins, components x frames.
#[inline(always)]
fn terms_of_activations(b: &[f32], h: &[f32], powers: &[&[f32]]) -> (Vec<f32>, Vec<f32>) {
    let n_frames = powers[0].len();
    let n_components = b.len() / powers.len();
    let (mut upper, mut lower) = (vec![0.0f32; h.len()], vec![0.0f32; h.len()]);
    let mut terms = vec![[[0.0; LANES]; 2]; powers.len()];
    for first in (0..n_frames).step_by(LANES) {
        for ((terms, b), power) in terms.iter_mut().zip(b.chunks_exact(n_components)).zip(powers) {
            *terms = inverses(variance(b, h, n_frames, first), &power[first..first + LANES]);
        }
        for k in 0..n_components {
            let (mut p, mut q) = ([0.0f32; LANES], [0.0f32; LANES]);
            for (b, [first, second]) in b[k..].iter().step_by(n_components).zip(&terms) {
                for lane in 0..LANES {
                    p[lane] += b * second[lane];
                    q[lane] += b * first[lane];
                }
            }
            let at = k * n_frames + first;
            upper[at..at + LANES].copy_from_slice(&p);
            lower[at..at + LANES].copy_from_slice(&q);
        }
    }
    (upper, lower)
}

fn root_ratio(upper: f32, lower: f32) -> f32 {
    let ratio = (upper / lower.max(f32::MIN_POSITIVE)).sqrt();
    if ratio.is_finite() { ratio } else { 1.0 }
}
