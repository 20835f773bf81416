//! Factors and loops for matrices that hold few entries: only these are gone through, and the rows of a factor that
//! they name.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::divergence::{at_least_zero, entry};
use super::kernel::{self, Job, Kernel, Lanes, Simd, wide};
use super::scales::given_back;
use super::{Real, SparseMatrix};

/// Rows of a factor that one job improves.
pub(super) const ROWS_PER_JOB: usize = 64;

/// Entries of a row of V whose quotients are held at once: what they need of the other factor, 32 kB at K = 32, is
/// still in the first-level cache the second time.
pub(super) const SEGMENT: usize = 256;

/// A factor, its components side by side in whole vectors, padded with zeros.
pub(super) struct Packed<T: Real> {
    pub(super) lanes: Vec<Lanes<T>>,
    /// Vectors per row.
    pub(super) n_lanes: usize,
    pub(super) free: Vec<bool>,
}

impl<T: Real> Packed<T> {
    /// Packs a factor (rows x K), each column times its scale.
    pub(super) fn new(x: ArrayView2<'_, T>, scales: &[f64], free: Vec<bool>) -> Self {
        let n_lanes = x.ncols().div_ceil(T::LANES);
        let mut lanes = vec![Lanes::default(); x.nrows() * n_lanes];
        let x = x.as_standard_layout();
        for (row, lanes) in x.rows().into_iter().zip(lanes.chunks_exact_mut(n_lanes.max(1))) {
            let row = row.to_slice().expect("a row in standard layout is one slice");
            for ((lanes, row), scales) in lanes.iter_mut().zip(row.chunks(T::LANES)).zip(scales.chunks(T::LANES)) {
                let entries = row.iter().zip(scales);
                lanes.iter_mut().zip(entries).for_each(|(lane, (&x, &scale))| *lane = kernel::lift(wide(x) * scale));
            }
        }
        Self { lanes, n_lanes, free }
    }

    /// Writes the free columns back on the input's scale.
    pub(super) fn unpack(&self, mut x: ArrayViewMut2<'_, T>, scales: &[f64]) {
        for ((row, k), x) in x.indexed_iter_mut().filter(|((_, k), _)| self.free[*k]) {
            *x = given_back(self.lanes[row * self.n_lanes + k / T::LANES][k % T::LANES], scales[k]);
        }
    }

    pub(super) fn row(&self, row: usize) -> &[Lanes<T>] {
        &self.lanes[row * self.n_lanes..][..self.n_lanes]
    }

    /// Sum of each column.
    pub(super) fn sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.free.len()];
        for row in self.lanes.chunks_exact(self.n_lanes) {
            let entries = row.iter().flat_map(|lanes| lanes.0);
            sums.iter_mut().zip(entries).for_each(|(sum, x)| *sum += wide(x));
        }
        sums
    }

    /// X^T X, K rows of whole vectors.
    pub(super) fn gram(&self, kernel: Kernel) -> Vec<f64> {
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

/// V Y, or (V / X Y^T) Y where X is given, for some rows of V: these rows x K. X has these rows, too.
pub(super) fn gathered<T: Real>(
    kernel: Kernel,
    v: &SparseMatrix<T>,
    rows: &Range<usize>,
    x: Option<&Packed<T>>,
    y: &Packed<T>,
    least: T,
) -> Array2<T> {
    let mut out = Array2::zeros((rows.len(), y.free.len()));
    let jobs = out.axis_chunks_iter_mut(Axis(0), ROWS_PER_JOB).into_par_iter();
    jobs.enumerate().for_each(|(job, out)| {
        let first = job * ROWS_PER_JOB;
        let x = x.map(|x| &x.lanes[first * x.n_lanes..]);
        kernel.run(Gather { v, first: rows.start + first, x, y, least, out });
    });
    out
}

/// The divergence of V from W H, V and the rows of W going together.
///
/// Where V is 0 an entry of WH adds itself, or half its square: the sum of these over all of WH has a closed form, from
/// which the entries of V are taken. Both parts are at least 0 but for rounding.
pub(super) fn diverged<T: Real>(kernel: Kernel, v: &SparseMatrix<T>, w: &Packed<T>, h: &Packed<T>, is_kl: bool) -> f64 {
    let parts: Vec<[f64; 2]> = (0..v.dim().0.div_ceil(ROWS_PER_JOB))
        .into_par_iter()
        .map(|job| kernel.run(Diverge { v, first: job * ROWS_PER_JOB, w, h, is_kl }))
        .collect();
    let [at_entries, model] = parts.iter().fold([0.0; 2], |[a, b], part| [a + part[0], b + part[1]]);
    let dot = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let whole = if is_kl { dot(w.sums(), h.sums()) } else { 0.5 * dot(w.gram(kernel), h.gram(kernel)) };
    at_entries + at_least_zero(whole - model)
}

// ---- loops -----------------------------------------------------------------------------------------------------------

/// V Y, or (V / X Y^T) Y, for some rows of V, from the one numbered `first` on.
struct Gather<'a, T: Real> {
    v: &'a SparseMatrix<T>,
    first: usize,
    /// These rows of X.
    x: Option<&'a [Lanes<T>]>,
    y: &'a Packed<T>,
    /// X Y^T counts as at least this.
    least: T,
    out: ArrayViewMut2<'a, T>,
}

impl<T: Real> Job<T> for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, s: S) {
        let n_lanes = self.y.n_lanes;
        let mut sums = vec![Lanes::default(); n_lanes];
        let mut quotients = [T::of(0.0); SEGMENT];
        for (i, mut out) in self.out.rows_mut().into_iter().enumerate() {
            sums.fill(Lanes::default());
            let (others, values) = self.v.row(self.first + i);
            for (others, values) in others.chunks(SEGMENT).zip(values.chunks(SEGMENT)) {
                let factors = match self.x {
                    None => values,
                    Some(x) => {
                        let quotients = &mut quotients[..values.len()];
                        products(s, &x[i * n_lanes..][..n_lanes], &self.y.lanes, others, quotients);
                        quotients.iter_mut().zip(values).for_each(|(q, v)| *q = *v / q.max(self.least));
                        quotients
                    }
                };
                combine(s, others, factors, &self.y.lanes, &mut sums);
            }
            out.iter_mut().zip(sums.iter().flat_map(|lanes| lanes.0)).for_each(|(out, sum)| *out = sum);
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
pub(super) fn products<T: Real, S: Simd<T>>(s: S, x: &[Lanes<T>], y: &[Lanes<T>], others: &[u32], out: &mut [T]) {
    match *x {
        [a] => short_products(s, &[a], y, others, out),
        [a, b] => short_products(s, &[a, b], y, others, out),
        [a, b, c] => short_products(s, &[a, b, c], y, others, out),
        [a, b, c, d] => short_products(s, &[a, b, c, d], y, others, out),
        _ => {
            for (&other, out) in others.iter().zip(out) {
                let y = &y[other as usize * x.len()..][..x.len()];
                *out = s.sum(dot(s, x, y)) + T::EPS;
            }
        }
    }
}

/// [`products`] for rows of N vectors, eight at once: the sums over vectors wait for one another.
#[inline(always)]
fn short_products<T: Real, S: Simd<T>, const N: usize>(
    s: S,
    x: &[Lanes<T>; N],
    y: &[Lanes<T>],
    others: &[u32],
    out: &mut [T],
) {
    let rows = y.as_chunks::<N>().0;
    let ((eights, rest), (outs, out_rest)) = (others.as_chunks::<8>(), out.as_chunks_mut::<8>());
    for (others, out) in eights.iter().zip(outs) {
        let mut vectors = [s.splat(T::of(0.0)); 8];
        for i in 0..8 {
            vectors[i] = dot(s, x, &rows[others[i] as usize]);
        }
        *out = s.sums(vectors);
        for out in out {
            *out += T::EPS;
        }
    }
    for (&other, out) in rest.iter().zip(out_rest) {
        *out = s.sum(dot(s, x, &rows[other as usize])) + T::EPS;
    }
}

#[inline(always)]
fn dot<T: Real, S: Simd<T>>(s: S, x: &[Lanes<T>], y: &[Lanes<T>]) -> S::V {
    let mut sum = s.splat(T::of(0.0));
    for (x, y) in x.iter().zip(y) {
        sum = s.mul_add(s.load(x), s.load(y), sum);
    }
    sum
}

/// Adds the rows of Y that `others` names, each times its factor.
#[inline(always)]
pub(super) fn combine<T: Real, S: Simd<T>>(s: S, others: &[u32], factors: &[T], y: &[Lanes<T>], sums: &mut [Lanes<T>]) {
    match sums {
        [a] => return combine_rows(s, others, factors, y, [a]),
        [a, b] => return combine_rows(s, others, factors, y, [a, b]),
        [a, b, c] => return combine_rows(s, others, factors, y, [a, b, c]),
        [a, b, c, d] => return combine_rows(s, others, factors, y, [a, b, c, d]),
        _ => {}
    }
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

/// [`combine`] for rows of N vectors.
#[inline(always)]
fn combine_rows<T: Real, S: Simd<T>, const N: usize>(
    s: S,
    others: &[u32],
    factors: &[T],
    y: &[Lanes<T>],
    sums: [&mut Lanes<T>; N],
) {
    let rows = y.as_chunks::<N>().0;
    let mut totals = [s.splat(T::of(0.0)); N];
    for (&other, &factor) in others.iter().zip(factors) {
        let row = &rows[other as usize];
        let factor = s.splat(factor);
        for i in 0..N {
            totals[i] = s.mul_add(s.load(&row[i]), factor, totals[i]);
        }
    }
    for (sum, total) in sums.into_iter().zip(totals) {
        s.store(s.add(s.load(sum), total), sum);
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
