//! Systems whose matrix holds the correlations of delayed signals: symmetric, positive, and of Toeplitz blocks.
//! Knows numbers only, not what they measure.
//!
//! The unknowns are filters, one of `n_taps` taps for each of `n_channels` signals. Row (a, i) and column (c, j) of the
//! matrix G meet in the sum over n of `x_a[n - i] x_c[n - j]`, which depends on i - j alone. Signals that are nearly the same, or
//! that have next to nothing in a band, make G nearly singular. The solver is direct where it can be and iterative where
//! it must be: a factorization of G with a small load on its diagonal (Schur's algorithm, in the square of the size
//! instead of the cube), and conjugate gradients from there on, which take the effect of the load away again.

use std::cmp::Ordering;
use std::sync::Arc;

use rayon::prelude::*;
use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Correlations of signals with one another, and the fast product with their matrix G.
#[derive(Clone)]
pub(super) struct BlockToeplitz {
    n_channels: usize,
    n_taps: usize,
    /// `lags[a * n_channels + c][l]` is the sum over n of `x_a[n - l] x_c[n]`, l from 0 to `n_taps - 1`.
    lags: Vec<Vec<f64>>,
    /// Spectra of the blocks of G, each as a filter with lags from -(`n_taps` - 1) to `n_taps` - 1.
    spectra: Vec<Vec<Complex64>>,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

/// The first load that is tried, relative to the energy of each signal: large enough for Schur's algorithm on a matrix
/// of 4096 rows in double precision (their product is 1e-12), and some 50 dB below the rounding noise of 16-bit samples.
const FIRST_LOAD: f64 = 1e-11;
/// The load with which every such matrix is positive in double precision; beyond lies a fault.
const LAST_LOAD: f64 = 1e-3;
/// Steps of the conjugate gradients at the most; 3 to 10 are usual.
const MAX_STEPS: usize = 60;
/// The steps end when one gains less than this share of what is left unexplained: a change of 4e-7 dB.
const GAIN: f64 = 1e-7;
/// What is left unexplained counts as rounding below this share of the whole (-150 dB).
const ROUNDING: f64 = 1e-15;

impl BlockToeplitz {
    /// Takes correlations, `n_channels` x `n_channels` lists of `n_taps`, one row of G's blocks after the other.
    pub(super) fn new(n_channels: usize, n_taps: usize, lags: Vec<Vec<f64>>) -> Self {
        debug_assert!(lags.len() == n_channels * n_channels && lags.iter().all(|lags| lags.len() == n_taps));
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(2 * n_taps), planner.plan_fft_inverse(2 * n_taps));
        let spectrum = |block: usize| {
            let (a, c) = (block / n_channels, block % n_channels);
            let mut filter = vec![0.0; 2 * n_taps];
            filter[..n_taps].copy_from_slice(&lags[block]);
            for (i, lag) in lags[c * n_channels + a].iter().enumerate().skip(1) {
                filter[2 * n_taps - i] = *lag;
            }
            transform(&*forward, &mut filter)
        };
        let spectra = (0..n_channels * n_channels).map(spectrum).collect();
        Self { n_channels, n_taps, lags, spectra, forward, inverse }
    }

    /// The part of G that is about the signals `first..first + n_channels`.
    pub(super) fn part(&self, first: usize, n_channels: usize) -> Self {
        let blocks = (first..first + n_channels)
            .flat_map(|a| (first..first + n_channels).map(move |c| (a, c)))
            .map(|(a, c)| a * self.n_channels + c);
        Self {
            n_channels,
            n_taps: self.n_taps,
            lags: blocks.clone().map(|block| self.lags[block].clone()).collect(),
            spectra: blocks.map(|block| self.spectra[block].clone()).collect(),
            forward: self.forward.clone(),
            inverse: self.inverse.clone(),
        }
    }

    /// Rows and columns of G.
    fn n_rows(&self) -> usize {
        self.n_channels * self.n_taps
    }

    /// G x, where x holds one filter of `n_taps` after the other.
    pub(super) fn product(&self, x: &[f64]) -> Vec<f64> {
        let spectra: Vec<_> = x
            .chunks_exact(self.n_taps)
            .map(|filter| {
                let mut padded = vec![0.0; 2 * self.n_taps];
                padded[..self.n_taps].copy_from_slice(filter);
                transform(&*self.forward, &mut padded)
            })
            .collect();
        let mut y = Vec::with_capacity(x.len());
        let mut sum = self.forward.make_output_vec();
        let mut padded = self.inverse.make_output_vec();
        let scale = 1.0 / (2 * self.n_taps) as f64;
        for row in self.spectra.chunks_exact(self.n_channels) {
            sum.fill(Complex64::ZERO);
            for (block, filter) in row.iter().zip(&spectra) {
                sum.iter_mut().zip(block).zip(filter).for_each(|((sum, block), filter)| *sum += block * filter);
            }
            self.untransform(&mut sum, &mut padded);
            y.extend(padded[..self.n_taps].iter().map(|y| scale * y));
        }
        y
    }

    fn untransform(&self, spectrum: &mut [Complex64], out: &mut [f64]) {
        // What is real at both ends by definition is so but for rounding.
        spectrum[0].im = 0.0;
        spectrum[self.n_taps].im = 0.0;
        self.inverse.process(spectrum, out).expect("lengths as planned");
    }

    /// x' G x: the energy of all signals, each filtered by its filter in x, together.
    pub(super) fn energy(&self, x: &[f64]) -> f64 {
        dot(x, &self.product(x)).max(0.0)
    }

    /// The filters x that bring the signals as near as they come to each of several targets: G x = d.
    ///
    /// # Shapes and units
    /// | name | shape | |
    /// |---|---|---|
    /// | `targets` | one per target: `d`, `n_channels` filters of `n_taps`, and the target's energy | correlation of target and signals |
    ///
    /// # Cost
    /// Time O(`n_channels`^3 `n_taps`^2), memory of (`n_channels` `n_taps`)^2 / 2 numbers: 67 MB for 8 signals and 512
    /// taps.
    pub(super) fn solve(&self, targets: &[(Vec<f64>, f64)]) -> Vec<Vec<f64>> {
        // With each signal at energy 1, one load fits all, however quiet some are.
        let scale: Vec<f64> = (0..self.n_channels)
            .map(|a| match self.lags[a * self.n_channels + a].first() {
                Some(energy) if *energy > 0.0 => energy.sqrt().recip(),
                _ => 1.0,
            })
            .collect();
        let scaled = |block: usize| {
            let factor = scale[block / self.n_channels] * scale[block % self.n_channels];
            self.lags[block].iter().map(|lag| factor * lag).collect()
        };
        let unit = Self::new(self.n_channels, self.n_taps, (0..self.lags.len()).map(scaled).collect());
        let mut load = FIRST_LOAD;
        let factor = loop {
            match Factor::new(&unit, load) {
                Some(factor) => break factor,
                None if load < LAST_LOAD => load *= 10.0,
                // Not reached with correlations of real signals: their matrix has no eigenvalue below zero but for
                // rounding.
                None => return vec![vec![0.0; self.n_rows()]; targets.len()],
            }
        };
        let rescale = |x: &[f64]| -> Vec<f64> {
            let taps = x.chunks_exact(self.n_taps).zip(&scale);
            taps.flat_map(|(taps, scale)| taps.iter().map(move |x| scale * x)).collect()
        };
        let solve = |(d, energy): &(Vec<f64>, f64)| rescale(&unit.solve_one(&factor, &rescale(d), *energy));
        targets.par_iter().map(solve).collect()
    }

    /// Conjugate gradients, preconditioned by the factorization of the loaded matrix.
    fn solve_one(&self, factor: &Factor, d: &[f64], energy: f64) -> Vec<f64> {
        let mut x = vec![0.0; d.len()];
        let mut residual = d.to_vec();
        let mut direction = vec![0.0; d.len()];
        let mut before = 0.0;
        let mut left = energy;
        for _ in 0..MAX_STEPS {
            let step = factor.solve(&residual);
            let now = dot(&residual, &step);
            if now <= 0.0 {
                break;
            }
            let turn = if before > 0.0 { now / before } else { 0.0 };
            direction.iter_mut().zip(&step).for_each(|(direction, step)| *direction = step + turn * *direction);
            let image = self.product(&direction);
            let curvature = dot(&direction, &image);
            if curvature <= 0.0 {
                break;
            }
            let length = now / curvature;
            x.iter_mut().zip(&direction).for_each(|(x, direction)| *x += length * direction);
            residual.iter_mut().zip(&image).for_each(|(residual, image)| *residual -= length * image);
            // The energy that this step explains.
            let gain = length * now;
            left -= gain;
            if gain <= GAIN * left.max(ROUNDING * energy) {
                break;
            }
            before = now;
        }
        x
    }
}

fn transform(plan: &dyn RealToComplex<f64>, samples: &mut [f64]) -> Vec<Complex64> {
    let mut spectrum = plan.make_output_vec();
    plan.process(samples, &mut spectrum).expect("lengths as planned");
    spectrum
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum_of(a, b, |a, b| a * b)
}

/// The sum of a function of two lists of numbers, as far as both go, in lanes that the processor adds
/// at once.
pub(super) fn sum_of(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let n = a.len().min(b.len());
    let (a_chunks, b_chunks) = (a[..n].chunks_exact(8), b[..n].chunks_exact(8));
    let rest: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| term(*a, *b)).sum();
    let mut lanes = [0.0; 8];
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += term(*a, *b);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The triangular factor L of G + load I = L L', columns packed one after the other.
///
/// Rows are ordered by tap first and channel second, in which the matrix is Toeplitz in blocks of `n_channels`.
struct Factor {
    n_channels: usize,
    n_taps: usize,
    /// Column i holds the rows from i on.
    columns: Vec<f64>,
}

/// Columns of a generator.
type Columns = Vec<Vec<f64>>;

/// Rows of the generator that are worked on at once: 2 x 8 columns of them fit into the first cache.
const ROWS: usize = 256;

impl Factor {
    /// Schur's algorithm on G + `load`; `None` where that is not positive in this precision.
    ///
    /// With Z, the shift by one block of rows, M - Z M Z' = U U' - V V' for two matrices of `n_channels` columns. Each
    /// step turns the columns of U among themselves and those of V among themselves until only one entry of each is left
    /// in the current row, then both against each other until only U's is: that column is the next of L. Shifted by Z
    /// it takes part in the rest.
    ///
    /// # References
    /// T. Kailath and A. H. Sayed, "Displacement structure: theory and applications", SIAM Review 37(3), 1995,
    /// section 4; the order of operations in the hyperbolic rotation is that of A. W. Bojanczyk, R. P. Brent, P. Van
    /// Dooren and F. R. de Hoog, "A note on downdating the Cholesky factorization", SIAM J. Sci. Stat. Comput. 8(3),
    /// 1987, which is the stable one.
    fn new(g: &BlockToeplitz, load: f64) -> Option<Self> {
        let (width, n_rows) = (g.n_channels, g.n_rows());
        let (mut u, mut v) = Self::generator(g, load)?;
        let mut columns = Vec::with_capacity(n_rows * (n_rows + 1) / 2);
        for i in 0..n_rows {
            let pivot = i % width;
            let turn_u = Reflection::new(&u, i, pivot);
            let turn_v = Reflection::new(&v, i, pivot);
            turn_u.apply(&mut u, i);
            turn_v.apply(&mut v, i);
            let (left, right) = (&mut u[pivot], &mut v[pivot]);
            let (a, b) = (left[i], right[i]);
            // NaN is refused too.
            if b.abs().partial_cmp(&a.abs()) != Some(Ordering::Less) {
                return None;
            }
            let tangent = b / a;
            let cosine = ((1.0 - tangent) * (1.0 + tangent)).sqrt();
            let inverse = cosine.recip();
            if b == 0.0 {
                columns.extend_from_slice(&left[i..]);
            } else {
                left[i..].iter_mut().zip(&mut right[i..]).for_each(|(u, v)| {
                    *u = (*u - tangent * *v) * inverse;
                    *v = cosine * *v - tangent * *u;
                });
                columns.extend_from_slice(&left[i..]);
            }
            if i + width < n_rows {
                left.copy_within(i..n_rows - width, i + width);
            }
            let end = (i + width).min(n_rows);
            left[i..end].fill(0.0);
        }
        Some(Self { n_channels: width, n_taps: g.n_taps, columns })
    }

    /// U and V as lists of columns: the first block column of M over the root of its first block, and the same without
    /// that block.
    fn generator(g: &BlockToeplitz, load: f64) -> Option<(Columns, Columns)> {
        let (width, n_rows) = (g.n_channels, g.n_rows());
        // Column c of M: row (tap i, channel a) meets tap 0 of channel c in `lags[a][c][i]`.
        let mut u: Vec<Vec<f64>> = (0..width)
            .map(|c| {
                let mut column: Vec<f64> =
                    (0..n_rows).map(|row| g.lags[row % width * width + c][row / width]).collect();
                column[c] += load;
                column
            })
            .collect();
        // Cholesky's algorithm on the first block; the columns below go along.
        for c in 0..width {
            let (done, rest) = u.split_at_mut(c);
            let column = &mut rest[0];
            for other in done {
                let factor = other[c];
                column.iter_mut().zip(other).for_each(|(x, y)| *x -= factor * *y);
            }
            let diagonal = column[c];
            if diagonal.is_nan() || diagonal <= 0.0 {
                return None;
            }
            let scale = diagonal.sqrt().recip();
            column.iter_mut().for_each(|x| *x *= scale);
            column[..c].fill(0.0);
        }
        let mut v = u.clone();
        v.iter_mut().for_each(|column| column[..width].fill(0.0));
        Some((u, v))
    }

    /// (L L')^-1 d, with filters one after the other on both sides.
    fn solve(&self, d: &[f64]) -> Vec<f64> {
        let n_rows = self.n_channels * self.n_taps;
        let place = |row: usize| row % self.n_channels * self.n_taps + row / self.n_channels;
        let mut x: Vec<f64> = (0..n_rows).map(|row| d[place(row)]).collect();
        let mut rest = &self.columns[..];
        for i in 0..n_rows {
            let (column, others) = rest.split_at(n_rows - i);
            let (head, tail) = x[i..].split_at_mut(1);
            head[0] /= column[0];
            let factor = head[0];
            tail.iter_mut().zip(&column[1..]).for_each(|(x, l)| *x -= factor * l);
            rest = others;
        }
        let mut end = self.columns.len();
        for i in (0..n_rows).rev() {
            let column = &self.columns[end - (n_rows - i)..end];
            x[i] = (x[i] - dot(&column[1..], &x[i + 1..])) / column[0];
            end -= n_rows - i;
        }
        let mut filters = vec![0.0; n_rows];
        for (row, x) in x.into_iter().enumerate() {
            filters[place(row)] = x;
        }
        filters
    }
}

/// A reflection of columns that leaves only one entry of a row.
struct Reflection {
    /// I - `normal` `normal`', of the square root of 2 in length; empty where there is nothing to do.
    normal: Vec<f64>,
}

impl Reflection {
    fn new(columns: &[Vec<f64>], row: usize, pivot: usize) -> Self {
        let mut normal: Vec<f64> = columns.iter().map(|column| column[row]).collect();
        let length = dot(&normal, &normal).sqrt();
        let others: f64 = normal.iter().enumerate().filter(|(c, _)| *c != pivot).map(|(_, x)| x * x).sum();
        if others == 0.0 {
            return Self { normal: Vec::new() };
        }
        normal[pivot] += length.copysign(normal[pivot]);
        let scale = (2.0 / dot(&normal, &normal)).sqrt();
        normal.iter_mut().for_each(|x| *x *= scale);
        Self { normal }
    }

    /// Turns the rows from `first` on.
    fn apply(&self, columns: &mut [Vec<f64>], first: usize) {
        if self.normal.is_empty() {
            return;
        }
        let n_rows = columns.first().map_or(0, Vec::len);
        let mut along = [0.0; ROWS];
        for start in (first..n_rows).step_by(ROWS) {
            let end = (start + ROWS).min(n_rows);
            let along = &mut along[..end - start];
            along.fill(0.0);
            for (column, normal) in columns.iter().zip(&self.normal) {
                along.iter_mut().zip(&column[start..end]).for_each(|(along, x)| *along += normal * x);
            }
            for (column, normal) in columns.iter_mut().zip(&self.normal) {
                column[start..end].iter_mut().zip(&*along).for_each(|(x, along)| *x -= normal * along);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| random.random_range(-1.0..1.0)).collect()
    }

    /// Correlations by their definition.
    fn correlation(x: &[f64], y: &[f64], n_taps: usize) -> Vec<f64> {
        (0..n_taps).map(|lag| dot(x, &y[lag.min(y.len())..])).collect()
    }

    fn gram(signals: &[Vec<f64>], n_taps: usize) -> BlockToeplitz {
        let lags = signals.iter().flat_map(|a| signals.iter().map(|c| correlation(a, c, n_taps))).collect();
        BlockToeplitz::new(signals.len(), n_taps, lags)
    }

    /// The sum of all signals, each filtered by its filter.
    fn filtered(signals: &[Vec<f64>], filters: &[f64], n_taps: usize) -> Vec<f64> {
        let mut sum = vec![0.0; signals[0].len() + n_taps - 1];
        for (signal, filter) in signals.iter().zip(filters.chunks(n_taps)) {
            for (i, tap) in filter.iter().enumerate() {
                sum[i..].iter_mut().zip(signal).for_each(|(sum, x)| *sum += tap * x);
            }
        }
        sum
    }

    #[test]
    fn the_energy_of_filtered_signals_follows_from_their_correlations() {
        let (n_taps, signals) = (7, [noise(100, 1), noise(100, 2), noise(100, 3)]);
        let filters = noise(21, 4);
        let (got, sum) = (gram(&signals, n_taps).energy(&filters), filtered(&signals, &filters, n_taps));
        let expected = dot(&sum, &sum);
        assert!((got / expected - 1.0).abs() < 1e-12, "{got}, expected {expected}");
    }

    #[test]
    fn filters_are_found_again() {
        let (n_taps, signals) = (16, [noise(400, 1), noise(400, 2), noise(400, 3)]);
        let filters = noise(48, 4);
        let target = filtered(&signals, &filters, n_taps);
        let d: Vec<f64> = signals.iter().flat_map(|x| correlation(x, &target, n_taps)).collect();
        let found = &gram(&signals, n_taps).solve(&[(d, dot(&target, &target))])[0];
        let gap = filters.iter().zip(found).fold(0.0f64, |gap, (a, b)| gap.max((a - b).abs()));
        assert!(gap < 1e-9, "filters of up to 1 differ by {gap}");
    }

    /// Two equal signals, a silent one, and one with nothing in its upper octaves: no unique filters, but a unique
    /// projection.
    #[test]
    fn what_is_explained_is_right_where_the_filters_are_not_unique() {
        let (n_taps, x) = (24, noise(600, 1));
        let smooth = |x: Vec<f64>| x.windows(16).map(|w| w.iter().sum::<f64>()).collect::<Vec<_>>();
        let mut y = (0..6).fold(noise(690, 2), |y, _| smooth(y));
        y.truncate(600);
        let signals = [x.clone(), x.clone(), vec![0.0; 600], y.clone()];
        let target = noise(623, 3);
        let explained = |signals: &[Vec<f64>]| {
            let g = gram(signals, n_taps);
            let d: Vec<f64> = signals.iter().flat_map(|x| correlation(x, &target, n_taps)).collect();
            let found = &g.solve(&[(d, dot(&target, &target))])[0];
            let sum = filtered(signals, found, n_taps);
            target.iter().zip(&sum).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
        };
        let (all, distinct) = (explained(&signals), explained(&[x, y]));
        // 0.01 dB is a share of 2.3e-3.
        assert!((all / distinct - 1.0).abs() < 1e-5, "{all} is left with copies, {distinct} without");
    }
}
