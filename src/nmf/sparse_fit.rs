//! Multiplicative updates that touch only the entries of a sparse matrix.
//! Both halves of an iteration are one loop: over the rows of V for W, over those of its transpose for H.

use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use super::alternate::{Alternate, Halves};
use super::divergence::{at_least_zero, entry};
use super::kernel::{self, Job, Kernel, Lanes, Simd, wide};
use super::misuse::warnings;
use super::scales::{Scales, given_back, inverse};
use super::{Divergence, Factorization, NmfConfig, Real, SparseMatrix, init};
use crate::Result;
use crate::watch::Watch;

/// Rows of a factor that one job improves.
const ROWS_PER_JOB: usize = 64;

/// Entries of a row of V whose quotients are held at once: what they need of the other factor, 32 kB at K = 32, is
/// still in the first-level cache the second time.
const SEGMENT: usize = 256;

/// Factorizes a sparse matrix, as [`fit`](super::fit) does with the same matrix held in full: from the same seed or the
/// same given factors, the same updates in the same order.
///
/// Takes the Kullback-Leibler and the Euclidean divergence with the multiplicative solvers, random or given starts, and
/// neither weights nor penalties. Of Euclidean fits, only those with [`Solver::Mu`](super::Solver::Mu) go the way of [`fit`](super::fit)
/// step by step; [`Solver::MuExtrapolated`](super::Solver::MuExtrapolated) extrapolates as it does for Kullback-Leibler. The same seed gives the same
/// bits for any number of threads.
///
/// # Errors
/// Those of [`fit`](super::fit); [`Error::Setting`](crate::Error::Setting) also for what only a matrix held in full
/// can have.
///
/// # Cost
/// An iteration takes 4 multiply-adds per entry and component (2 in the Euclidean case, and `n_components` per entry
/// of the factors). Memory: two copies of V, and the factors twice, with extrapolation four times.
pub fn fit_sparse<T: Real>(v: &SparseMatrix<T>, config: &NmfConfig<T>) -> Result<Factorization<T>> {
    fit_sparse_with(v, config, &mut Watch::none())
}

/// [`fit_sparse`], telling `watch` of every iteration, as [`fit_with`](super::fit_with) does.
///
/// # Errors
/// Those of [`fit_sparse`].
pub fn fit_sparse_with<T: Real>(
    v: &SparseMatrix<T>,
    config: &NmfConfig<T>,
    watch: &mut Watch<'_>,
) -> Result<Factorization<T>> {
    config.check_plain("for a sparse matrix", &[1.0, 2.0])?;
    config.check_factors(v.dim())?;
    let (n_rows, n_columns) = v.dim();
    let sum: f64 = v.entries().map(|(_, _, x)| wide(x)).sum();
    let mean = sum / (n_rows as f64 * n_columns as f64).max(1.0);
    let (mut w, mut h) = init::random_factors(v.dim(), mean, config);
    let warnings = warnings(None, (&w, &h), config);
    let k = config.n_components;
    let (free_w, free_h) = (config.dictionary.is_free(k), config.activations.is_free(k));
    let scales = Scales::new(mean, &w, &h, &free_w, &free_h);
    let rows = v.scaled(scales.v);
    let halves = Sparse {
        kernel: Kernel::detect(),
        divergence: config.divergence,
        columns: rows.transposed(),
        rows,
        w: Packed::new(w.view(), &scales.w, free_w),
        h: Packed::new(h.t(), &scales.h, free_h),
    };
    let mut solve = Alternate::new(halves, config.solver, scales.v.powf(-config.divergence.beta()));
    let run = solve.run(config, watch);
    solve.halves.w.unpack(w.view_mut(), &scales.w);
    solve.halves.h.unpack(h.view_mut().reversed_axes(), &scales.h);
    Ok(Factorization {
        dictionary: w,
        activations: h,
        n_iter: run.n_iter,
        divergence: run.curve[run.curve.len() - 1].1,
        divergence_curve: run.curve,
        stop_reason: run.stop_reason,
        warnings,
    })
}

/// V and its factors between two halves of an iteration, scaled to a mean of 1 to 2.
struct Sparse<T: Real> {
    kernel: Kernel,
    divergence: Divergence,
    /// V, and V transposed.
    rows: SparseMatrix<T>,
    columns: SparseMatrix<T>,
    w: Packed<T>,
    /// H, transposed.
    h: Packed<T>,
}

/// A factor, its components side by side in whole vectors, padded with zeros.
struct Packed<T: Real> {
    lanes: Vec<Lanes<T>>,
    /// Vectors per row.
    n_lanes: usize,
    free: Vec<bool>,
}

impl<T: Real> Halves for Sparse<T> {
    type W = Lanes<T>;
    type H = Lanes<T>;

    fn w(&mut self) -> &mut [Lanes<T>] {
        &mut self.w.lanes
    }

    fn h(&mut self) -> &mut [Lanes<T>] {
        &mut self.h.lanes
    }

    fn improve_w(&mut self) {
        improve(self.kernel, self.divergence, &self.rows, &mut self.w, &self.h);
    }

    fn improve_h(&mut self, want_divergence: bool) -> f64 {
        improve(self.kernel, self.divergence, &self.columns, &mut self.h, &self.w);
        if want_divergence { self.divergence() } else { 0.0 }
    }

    /// Where V is 0 an entry of WH adds itself, or half its square: the sum of these over all of WH has a closed form, from
    /// which the entries of V are taken. Both parts are at least 0 but for rounding.
    fn divergence(&mut self) -> f64 {
        let Self { kernel, rows, w, h, .. } = self;
        let is_kl = is_kl(self.divergence);
        let parts: Vec<[f64; 2]> = (0..rows.dim().0.div_ceil(ROWS_PER_JOB))
            .into_par_iter()
            .map(|job| kernel.run(Diverge { v: rows, first: job * ROWS_PER_JOB, w, h, is_kl }))
            .collect();
        let [at_entries, model] = parts.iter().fold([0.0; 2], |[a, b], part| [a + part[0], b + part[1]]);
        let dot = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let whole = if is_kl { dot(w.sums(), h.sums()) } else { 0.5 * dot(w.gram(*kernel), h.gram(*kernel)) };
        at_entries + at_least_zero(whole - model)
    }
}

fn is_kl(divergence: Divergence) -> bool {
    divergence.beta() == 1.0
}

/// X <- X * numerator / denominator, the rows of X belonging to those of V, and Y being the other factor:
///
/// | divergence | numerator | denominator |
/// |---|---|---|
/// | Kullback-Leibler | (V / X Y^T) Y | 1 Y |
/// | Euclidean | V Y | X Y^T Y |
fn improve<T: Real>(kernel: Kernel, divergence: Divergence, v: &SparseMatrix<T>, x: &mut Packed<T>, y: &Packed<T>) {
    if !x.free.contains(&true) {
        return;
    }
    let mut free = vec![Lanes::default(); x.n_lanes];
    x.free.iter().enumerate().filter(|(_, free)| **free).for_each(|(k, _)| free[k / T::LANES][k % T::LANES] = T::of(1.0));
    let rule = if is_kl(divergence) {
        let mut inverse_sums = vec![Lanes::default(); x.n_lanes];
        let inverse = inverse(&y.sums(), &x.free);
        inverse.iter().enumerate().for_each(|(k, inverse)| inverse_sums[k / T::LANES][k % T::LANES] = inverse.unwrap_or(T::of(0.0)));
        Rule::KullbackLeibler { inverse_sums }
    } else {
        let gram = y.gram(kernel);
        let mut lanes = vec![Lanes::default(); y.free.len() * y.n_lanes];
        for (row, gram) in lanes.chunks_exact_mut(y.n_lanes).zip(gram.chunks_exact(T::LANES * y.n_lanes)) {
            gram.iter().enumerate().for_each(|(k, &g)| row[k / T::LANES][k % T::LANES] = T::of(g));
        }
        Rule::Euclidean { gram: lanes, components: (0..y.free.len() as u32).collect() }
    };
    x.lanes.par_chunks_mut(ROWS_PER_JOB * x.n_lanes).enumerate().for_each(|(job, x)| {
        kernel.run(Improve { v, first: job * ROWS_PER_JOB, x, y, rule: &rule, free: &free });
    });
}

impl<T: Real> Packed<T> {
    /// Packs a factor (rows x K), each column times its scale.
    fn new(x: ArrayView2<'_, T>, scales: &[f64], free: Vec<bool>) -> Self {
        let n_lanes = x.ncols().div_ceil(T::LANES);
        let mut lanes = vec![Lanes::default(); x.nrows() * n_lanes];
        for ((row, k), &x) in x.indexed_iter() {
            lanes[row * n_lanes + k / T::LANES][k % T::LANES] = kernel::lift(wide(x) * scales[k]);
        }
        Self { lanes, n_lanes, free }
    }

    /// Writes the free columns back on the input's scale.
    fn unpack(&self, mut x: ArrayViewMut2<'_, T>, scales: &[f64]) {
        for ((row, k), x) in x.indexed_iter_mut().filter(|((_, k), _)| self.free[*k]) {
            *x = given_back(self.lanes[row * self.n_lanes + k / T::LANES][k % T::LANES], scales[k]);
        }
    }

    fn row(&self, row: usize) -> &[Lanes<T>] {
        &self.lanes[row * self.n_lanes..][..self.n_lanes]
    }

    /// Sum of each column.
    fn sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.free.len()];
        for row in self.lanes.chunks_exact(self.n_lanes) {
            let entries = row.iter().flat_map(|lanes| lanes.0);
            sums.iter_mut().zip(entries).for_each(|(sum, x)| *sum += wide(x));
        }
        sums
    }

    /// X^T X, K rows of whole vectors.
    fn gram(&self, kernel: Kernel) -> Vec<f64> {
        let n_components = self.free.len();
        let parts: Vec<Vec<Lanes<T>>> = self
            .lanes
            .par_chunks(ROWS_PER_JOB * self.n_lanes)
            .map(|x| kernel.run(Gram { x, n_lanes: self.n_lanes, n_components }))
            .collect();
        let mut gram = vec![0.0; T::LANES * n_components * self.n_lanes];
        for part in parts {
            let entries = part.iter().flat_map(|lanes| lanes.0);
            gram.iter_mut().zip(entries).for_each(|(sum, x)| *sum += wide(x));
        }
        gram
    }
}

/// What the numerators are and by what they are divided.
enum Rule<T: Real> {
    KullbackLeibler { inverse_sums: Vec<Lanes<T>> },
    Euclidean { gram: Vec<Lanes<T>>, components: Vec<u32> },
}

// ---- loops -----------------------------------------------------------------------------------------------------------

/// Improves some rows of X, from the one numbered `first` on.
struct Improve<'a, T: Real> {
    v: &'a SparseMatrix<T>,
    first: usize,
    x: &'a mut [Lanes<T>],
    y: &'a Packed<T>,
    rule: &'a Rule<T>,
    /// 1 where X may change.
    free: &'a [Lanes<T>],
}

impl<T: Real> Job<T> for Improve<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let (y, n_lanes) = (&self.y.lanes, self.y.n_lanes);
        let mut numerators = vec![Lanes::default(); n_lanes];
        let mut denominators = numerators.clone();
        let mut quotients = [T::of(0.0); SEGMENT];
        for (i, x) in self.x.chunks_exact_mut(n_lanes).enumerate() {
            numerators.fill(Lanes::default());
            let (others, values) = self.v.row(self.first + i);
            match self.rule {
                Rule::KullbackLeibler { inverse_sums } => {
                    for (others, values) in others.chunks(SEGMENT).zip(values.chunks(SEGMENT)) {
                        let quotients = &mut quotients[..values.len()];
                        products(s, x, y, others, quotients);
                        quotients.iter_mut().zip(values).for_each(|(q, v)| *q = *v / *q);
                        combine(s, others, quotients, y, &mut numerators);
                    }
                    for (n, inverse) in numerators.iter_mut().zip(inverse_sums) {
                        s.store(s.mul(s.load(n), s.load(inverse)), n);
                    }
                }
                Rule::Euclidean { gram, components } => {
                    combine(s, others, values, y, &mut numerators);
                    denominators.fill(Lanes::splat(T::TINY));
                    for (components, x) in components.chunks(T::LANES).zip(x.iter()) {
                        combine(s, components, &x[..components.len()], gram, &mut denominators);
                    }
                    for (n, d) in numerators.iter_mut().zip(&denominators) {
                        s.store(s.div(s.load(n), s.load(d)), n);
                    }
                }
            }
            for ((x, gain), free) in x.iter_mut().zip(&numerators).zip(self.free) {
                for i in 0..T::LANES {
                    let better = kernel::improved(x.0[i], gain.0[i]);
                    x.0[i] = if free.0[i] > T::of(0.0) { better } else { x.0[i] };
                }
            }
        }
    }
}

/// The divergence at the entries of some rows of V, and what they have a part of in the sum over all of WH.
struct Diverge<'a, T: Real> {
    v: &'a SparseMatrix<T>,
    first: usize,
    w: &'a Packed<T>,
    h: &'a Packed<T>,
    is_kl: bool,
}

impl<T: Real> Job<T> for Diverge<'_, T> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> [f64; 2] {
        let mut model = [T::of(0.0); SEGMENT];
        let [mut total, mut sum] = [0.0; 2];
        let beta = if self.is_kl { 1.0 } else { 2.0 };
        for row in self.first..self.v.dim().0.min(self.first + ROWS_PER_JOB) {
            let (others, values) = self.v.row(row);
            for (others, values) in others.chunks(SEGMENT).zip(values.chunks(SEGMENT)) {
                let model = &mut model[..values.len()];
                products(s, self.w.row(row), &self.h.lanes, others, model);
                for (&v, &y) in values.iter().zip(model.iter()) {
                    let (v, y) = (wide(v), wide(y));
                    total += entry(v, y, beta);
                    sum += if self.is_kl { y } else { 0.5 * y * y };
                }
            }
        }
        [total, sum]
    }
}

/// X^T X over some rows of X.
struct Gram<'a, T: Real> {
    x: &'a [Lanes<T>],
    n_lanes: usize,
    n_components: usize,
}

impl<T: Real> Job<T> for Gram<'_, T> {
    type Output = Vec<Lanes<T>>;

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> Vec<Lanes<T>> {
        let mut gram = vec![Lanes::default(); self.n_components * self.n_lanes];
        for x in self.x.chunks_exact(self.n_lanes) {
            let entries = x.iter().flat_map(|lanes| lanes.0);
            for (gram, entry) in gram.chunks_exact_mut(self.n_lanes).zip(entries) {
                let entry = s.splat(entry);
                for (sum, x) in gram.iter_mut().zip(x) {
                    s.store(s.mul_add(s.load(x), entry, s.load(sum)), sum);
                }
            }
        }
        gram
    }
}

/// A hair plus the products of x with the rows of Y that `others` names.
#[inline(always)]
fn products<T: Real, S: Simd<T>>(s: S, x: &[Lanes<T>], y: &[Lanes<T>], others: &[u32], out: &mut [T]) {
    for (&other, out) in others.iter().zip(out) {
        let mut sum = s.splat(T::of(0.0));
        for (x, y) in x.iter().zip(&y[other as usize * x.len()..][..x.len()]) {
            sum = s.mul_add(s.load(x), s.load(y), sum);
        }
        *out = s.sum(sum) + T::EPS;
    }
}

/// Adds the rows of Y that `others` names, each times its factor.
#[inline(always)]
fn combine<T: Real, S: Simd<T>>(s: S, others: &[u32], factors: &[T], y: &[Lanes<T>], sums: &mut [Lanes<T>]) {
    let n_lanes = sums.len();
    let (groups, rest) = sums.as_chunks_mut::<4>();
    let n_groups = groups.len();
    for (i, group) in groups.iter_mut().enumerate() {
        combine_group::<T, S, 4>(s, others, factors, y, n_lanes, 4 * i, group);
    }
    match rest {
        [a, b, c] => combine_group::<T, S, 3>(s, others, factors, y, n_lanes, 4 * n_groups, [a, b, c]),
        [a, b] => combine_group::<T, S, 2>(s, others, factors, y, n_lanes, 4 * n_groups, [a, b]),
        [a] => combine_group::<T, S, 1>(s, others, factors, y, n_lanes, 4 * n_groups, [a]),
        _ => {}
    }
}

/// [`combine`] for N vectors of each row, from the one numbered `first` on, with the sums in registers.
#[inline(always)]
fn combine_group<'a, T: Real, S: Simd<T>, const N: usize>(
    s: S,
    others: &[u32],
    factors: &[T],
    y: &[Lanes<T>],
    n_lanes: usize,
    first: usize,
    sums: impl IntoIterator<Item = &'a mut Lanes<T>>,
) {
    let mut totals = [s.splat(T::of(0.0)); N];
    for (&other, &factor) in others.iter().zip(factors) {
        let row = &y[other as usize * n_lanes + first..][..N];
        let factor = s.splat(factor);
        for i in 0..N {
            totals[i] = s.mul_add(s.load(&row[i]), factor, totals[i]);
        }
    }
    for (sum, total) in sums.into_iter().zip(totals) {
        s.store(s.add(s.load(sum), total), sum);
    }
}
