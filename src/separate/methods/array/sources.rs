//! What the sources do over time, and which bins belong together: a factorization of the power of each source.
//! Knows no phases.

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::bins::Bin;

/// Variances are at least this, where the mean power of what is heard is 1.
pub(super) const FLOOR: f32 = 1e-15;

/// Bins whose sums are added in order.
const CHUNK: usize = 16;

/// The variance of a source: `r = b h`.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Bins x components.
    pub(super) templates: Array2<f32>,
    /// Components x frames.
    pub(super) activations: Array2<f32>,
}

impl Source {
    /// Random factors; activations are zero in frames in which the source cannot sound.
    pub(super) fn new(
        (n_bins, n_components, n_frames): (usize, usize, usize),
        seed: u64,
        may_sound: impl Fn(usize) -> bool,
    ) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let templates = Array2::from_shape_simple_fn((n_bins, n_components), || random.random_range(0.1..1.0));
        let activations = Array2::from_shape_fn((n_components, n_frames), |(_, frame)| {
            let level = random.random_range(0.1..1.0);
            if may_sound(frame) { level } else { 0.0 }
        });
        Self { templates, activations }
    }

    /// The variance in one bin.
    pub(super) fn variance(&self, bin: usize) -> Vec<f32> {
        let mut variance = vec![0.0f32; self.activations.ncols()];
        for (b, h) in self.templates.row(bin).iter().zip(self.activations.outer_iter()) {
            variance.iter_mut().zip(h).for_each(|(r, h)| *r += b * h);
        }
        variance.iter_mut().for_each(|r| *r = r.max(FLOOR));
        variance
    }

    /// `b <- b sqrt(sum of P r^-2 h / sum of r^-1 h)`, in every bin.
    ///
    /// # References
    /// D. Kitamura, N. Ono, H. Sawada, H. Kameoka and H. Saruwatari, "Determined blind source separation unifying
    /// independent vector analysis and nonnegative matrix factorization", IEEE/ACM TASLP 24(9), 2016, equations 25 and
    /// 26.
    pub(super) fn improve_templates(&mut self, bins: &[Bin], source: usize) {
        let this = &*self;
        let rows: Vec<Vec<f32>> = (0..bins.len())
            .into_par_iter()
            .map(|f| {
                let (first, second) = inverses(&this.variance(f), &bins[f].power[source]);
                let factor = |h: ndarray::ArrayView1<'_, f32>| {
                    let h = h.to_slice().expect("a row of a matrix of its own");
                    root_ratio(dot(&second, h), dot(&first, h))
                };
                this.activations.outer_iter().map(factor).collect()
            })
            .collect();
        for (mut row, factors) in self.templates.outer_iter_mut().zip(rows) {
            row.iter_mut().zip(factors).for_each(|(b, factor)| *b = (*b * factor).max(FLOOR));
        }
    }

    /// `h <- h sqrt(sum of P r^-2 b / sum of r^-1 b)`, in every frame.
    pub(super) fn improve_activations(&mut self, bins: &[Bin], source: usize) {
        let this = &*self;
        let shape = self.activations.raw_dim();
        let first_bins: Vec<usize> = (0..bins.len()).step_by(CHUNK).collect();
        // Some chunks at a time, so that their sums take little memory.
        let (mut upper, mut lower) = (Array2::<f32>::zeros(shape), Array2::<f32>::zeros(shape));
        for group in first_bins.chunks(CHUNK) {
            let sums: Vec<_> = group
                .par_iter()
                .map(|start| {
                    let (mut upper, mut lower) = (Array2::<f32>::zeros(shape), Array2::<f32>::zeros(shape));
                    let end = (start + CHUNK).min(bins.len());
                    for (f, bin) in (*start..end).zip(&bins[*start..end]) {
                        let (first, second) = inverses(&this.variance(f), &bin.power[source]);
                        for (k, b) in this.templates.row(f).iter().enumerate() {
                            upper.row_mut(k).iter_mut().zip(&second).for_each(|(sum, x)| *sum += b * x);
                            lower.row_mut(k).iter_mut().zip(&first).for_each(|(sum, x)| *sum += b * x);
                        }
                    }
                    (upper, lower)
                })
                .collect();
            for (more_upper, more_lower) in sums {
                upper += &more_upper;
                lower += &more_lower;
            }
        }
        ndarray::Zip::from(&mut self.activations).and(&upper).and(&lower).for_each(|h, upper, lower| {
            if *h > 0.0 {
                *h = (*h * root_ratio(*upper, *lower)).max(FLOOR);
            }
        });
    }
}

/// `1 / r` and `P / r^2`.
fn inverses(variance: &[f32], power: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let first: Vec<f32> = variance.iter().map(|r| 1.0 / r).collect();
    let second = first.iter().zip(power).map(|(x, p)| p * x * x).collect();
    (first, second)
}

fn root_ratio(upper: f32, lower: f32) -> f32 {
    let ratio = (upper / lower.max(f32::MIN_POSITIVE)).sqrt();
    if ratio.is_finite() { ratio } else { 1.0 }
}

/// In eight sums, whose order is the same for any processor.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a_whole, b_whole) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_whole.remainder().iter().zip(b_whole.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_whole.zip(b_whole) {
        (0..8).for_each(|lane| sums[lane] += x[lane] * y[lane]);
    }
    sums.iter().sum::<f32>() + rest
}
