//! Multiplicative updates that touch only the entries of a sparse matrix.
//! Both halves of an iteration are one loop: over the rows of V for W, over those of its transpose for H.

use ndarray::Array2;
use rayon::prelude::*;

use super::alternate::{Alternate, Halves};
use super::driver::{Whole, run};
use super::kernel::{self, Job, Kernel, Lanes, Simd};
use super::scales::{Scales, inverse};
use super::sparse_loops::{Packed, ROWS_PER_JOB, SEGMENT, combine, diverged, products};
use super::{Divergence, Factorization, NmfConfig, Real, Solver, SparseMatrix, Stopping};
use crate::watch::Watch;

/// Improves factors that start from the given values. V, of this mean, comes scaled, with its transpose.
pub(super) fn fit_entries<T: Real>(
    [rows, columns]: [&SparseMatrix<T>; 2],
    mean: f64,
    (mut w, mut h): (Array2<T>, Array2<T>),
    config: &NmfConfig<T>,
    watch: &mut Watch<'_>,
) -> Factorization<T> {
    let k = config.n_components;
    let (free_w, free_h) = (config.dictionary.is_free(k), config.activations.is_free(k));
    let scales = Scales::new(mean, &w, &h, &free_w, &free_h);
    let halves = Sparse {
        kernel: Kernel::detect(),
        divergence: config.divergence,
        rows,
        columns,
        w: Packed::new(w.view(), &scales.w, free_w),
        h: Packed::new(h.t(), &scales.h, free_h),
    };
    let mut solve = Alternate::new(halves, config.solver, scales.v.powf(-config.divergence.beta()));
    let run = run(&mut Whole(&mut solve), config, watch);
    solve.halves.w.unpack(w.view_mut(), &scales.w);
    solve.halves.h.unpack(h.view_mut().reversed_axes(), &scales.h);
    Factorization {
        dictionary: w,
        activations: h,
        n_iter: run.n_iter,
        divergence: run.curve[run.curve.len() - 1].1,
        divergence_curve: run.curve,
        stop_reason: run.stop_reason,
        warnings: Vec::new(),
    }
}

/// Whether these updates can do it.
pub(super) fn is_plain<T: Real>(config: &NmfConfig<T>) -> bool {
    let is_multiplicative = matches!(config.solver, Solver::Mu | Solver::MuExtrapolated);
    // Scikit-learn drops small entries of H here.
    let is_general = config.stopping == Stopping::ScikitLearn && config.divergence.beta() == 1.0;
    !is_general
        && is_multiplicative
        && [1.0, 2.0].contains(&config.divergence.beta())
        && config.regularization.is_none()
}

/// V and its factors between two halves of an iteration, scaled to a mean of 1 to 2.
struct Sparse<'v, T: Real> {
    kernel: Kernel,
    divergence: Divergence,
    /// V, and V transposed.
    rows: &'v SparseMatrix<T>,
    columns: &'v SparseMatrix<T>,
    w: Packed<T>,
    /// H, transposed.
    h: Packed<T>,
}

impl<T: Real> Halves for Sparse<'_, T> {
    type W = Lanes<T>;
    type H = Lanes<T>;

    fn w(&mut self) -> &mut [Lanes<T>] {
        &mut self.w.lanes
    }

    fn h(&mut self) -> &mut [Lanes<T>] {
        &mut self.h.lanes
    }

    fn improve_w(&mut self) {
        improve(self.kernel, self.divergence, self.rows, &mut self.w, &self.h);
    }

    fn improve_h(&mut self, want_divergence: bool) -> f64 {
        improve(self.kernel, self.divergence, self.columns, &mut self.h, &self.w);
        if want_divergence { self.divergence() } else { 0.0 }
    }

    fn divergence(&mut self) -> f64 {
        diverged(self.kernel, self.rows, &self.w, &self.h, is_kl(self.divergence))
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
    x.free
        .iter()
        .enumerate()
        .filter(|(_, free)| **free)
        .for_each(|(k, _)| free[k / T::LANES][k % T::LANES] = T::of(1.0));
    let rule = if is_kl(divergence) {
        let mut inverse_sums = vec![Lanes::default(); x.n_lanes];
        let inverse = inverse(&y.sums(), &x.free);
        inverse
            .iter()
            .enumerate()
            .for_each(|(k, inverse)| inverse_sums[k / T::LANES][k % T::LANES] = inverse.unwrap_or(T::of(0.0)));
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
