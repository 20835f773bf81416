//! Non-negative least squares, solved to the end by block principal pivoting.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};

use super::Real;
use super::coordinate_descent::sweep;
use super::kernel::{Kernel, wide};
use super::normal::Normal;

/// Full exchanges that need not lower the number of infeasible entries, as in Kim and Park.
const PATIENCE: usize = 3;

/// What counts as negative, relative to the largest entry: rounding stays well below it, as G has a condition of at
/// most about 1e10 (see [`RIDGE`]).
const TOLERANCE: f64 = 1e-10;

/// Added to G's diagonal, relative to its largest entry, so that dependent templates have a solution, too.
const RIDGE: f64 = 1e-10;

/// Sweeps of coordinate descent for a row on which rounding keeps the pivoting from an end.
const FALLBACK_SWEEPS: usize = 100;

/// The least-squares problem of all rows of X, split into free and fixed components.
///
/// # References
/// J. Kim and H. Park, "Fast nonnegative matrix factorization: an active-set-like method and comparisons", SIAM
/// Journal on Scientific Computing 33(6), 2011: block principal pivoting with several right-hand sides, the backup
/// rule, and the grouping of rows by passive set.
pub(super) struct Pivoting<'a, T: Real> {
    normal: &'a Normal<T>,
    kernel: Kernel,
    /// G of the free components, with the ridge.
    gram: Array2<f64>,
}

/// One row at work.
struct Row {
    /// Right-hand side: V B - l1, less what the fixed components explain.
    rhs: Vec<f64>,
    x: Vec<f64>,
    /// Slope of the objective, G x - rhs.
    slope: Vec<f64>,
    /// Which entries may differ from zero; the slope of these is zero.
    passive: Vec<bool>,
    /// The fewest infeasible entries so far.
    fewest: usize,
    patience: usize,
}

impl<'a, T: Real> Pivoting<'a, T> {
    pub(super) fn new(normal: &'a Normal<T>, kernel: Kernel) -> Self {
        let free = &normal.free;
        let mut gram = Array2::from_shape_fn((free.len(), free.len()), |(i, j)| normal.gram[(free[i], free[j])]);
        let largest = gram.diag().fold(0.0, |largest: f64, x| largest.max(*x));
        for entry in gram.diag_mut() {
            *entry += (RIDGE * largest).max(f64::MIN_POSITIVE);
        }
        Self { normal, kernel, gram }
    }

    /// Puts the solution into each row of X.
    pub(super) fn solve(&self, mut x: ArrayViewMut2<'_, T>, cross: ArrayView2<'_, T>) {
        let n = self.normal.free.len();
        let mut rows: Vec<Row> = x.rows().into_iter().zip(cross.rows()).map(|(x, cross)| self.row(x, cross)).collect();
        let mut open: Vec<usize> = (0..rows.len()).collect();
        // Kim and Park's method ends after finitely many exchanges, usually fewer than n; the bound is for rounding.
        for _ in 0..10 * n + 20 {
            self.refresh(&mut rows, &open);
            open.retain(|&i| rows[i].exchange());
            if open.is_empty() {
                break;
            }
        }
        for (i, (mut x, row)) in x.axis_chunks_iter_mut(Axis(0), 1).zip(&rows).enumerate() {
            if open.contains(&i) {
                for _ in 0..FALLBACK_SWEEPS {
                    let system = (&self.normal.gram, self.normal.l1);
                    sweep(self.kernel, system, &self.normal.free, &mut x, cross.slice(s![i..=i, ..]));
                }
            } else {
                for (&k, value) in self.normal.free.iter().zip(&row.x) {
                    x[(0, k)] = T::of(value.max(0.0));
                }
            }
        }
    }

    /// A row that starts with the present zeros of X as its zeros.
    fn row(&self, x: ArrayView1<'_, T>, cross: ArrayView1<'_, T>) -> Row {
        let Normal { gram, l1, free, .. } = self.normal;
        let rhs = free.iter().map(|&k| {
            let by_fixed: f64 =
                (0..x.len()).filter(|j| free.binary_search(j).is_err()).map(|j| gram[(k, j)] * wide(x[j])).sum();
            wide(cross[k]) - l1 - by_fixed
        });
        let n = free.len();
        Row {
            rhs: rhs.collect(),
            x: vec![0.0; n],
            slope: vec![0.0; n],
            passive: free.iter().map(|&k| x[k] > T::of(0.0)).collect(),
            fewest: n + 1,
            patience: PATIENCE,
        }
    }

    /// Solves for the passive entries of the open rows, one factorization for all rows with the same ones.
    fn refresh(&self, rows: &mut [Row], open: &[usize]) {
        let mut groups: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
        for &i in open {
            groups.entry(rows[i].passive.clone()).or_default().push(i);
        }
        for (passive, members) in groups {
            let at: Vec<usize> = (0..passive.len()).filter(|k| passive[*k]).collect();
            let factor = Cholesky::new(Array2::from_shape_fn((at.len(), at.len()), |(i, j)| self.gram[(at[i], at[j])]));
            for i in members {
                let row = &mut rows[i];
                let mut solution: Vec<f64> = at.iter().map(|&k| row.rhs[k]).collect();
                factor.solve(&mut solution);
                row.x.fill(0.0);
                for (&k, value) in at.iter().zip(solution) {
                    row.x[k] = value;
                }
                for (k, (slope, passive)) in row.slope.iter_mut().zip(&passive).enumerate() {
                    let along: f64 = self.gram.row(k).iter().zip(&row.x).map(|(g, x)| g * x).sum();
                    *slope = if *passive { 0.0 } else { along - row.rhs[k] };
                }
            }
        }
    }
}

impl Row {
    /// Moves infeasible entries to the other set; false where there are none, and the row is solved.
    fn exchange(&mut self) -> bool {
        let largest = |values: &[f64]| values.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let (least_x, least_slope) = (-TOLERANCE * largest(&self.x), -TOLERANCE * largest(&self.rhs));
        let is_infeasible =
            |k: &usize| if self.passive[*k] { self.x[*k] < least_x } else { self.slope[*k] < least_slope };
        let mut infeasible: Vec<usize> = (0..self.x.len()).filter(is_infeasible).collect();
        let Some(&last) = infeasible.last() else { return false };
        if infeasible.len() < self.fewest {
            self.fewest = infeasible.len();
            self.patience = PATIENCE;
        } else if self.patience > 0 {
            self.patience -= 1;
        } else {
            // The backup rule: only the last one, which cannot cycle.
            infeasible = vec![last];
        }
        for k in infeasible {
            self.passive[k] = !self.passive[k];
        }
        true
    }
}

/// L of a positive definite matrix L L^T.
struct Cholesky(Array2<f64>);

impl Cholesky {
    fn new(mut a: Array2<f64>) -> Self {
        let n = a.nrows();
        for j in 0..n {
            for i in j..n {
                let before: f64 = (0..j).map(|k| a[(i, k)] * a[(j, k)]).sum();
                let rest = a[(i, j)] - before;
                // Rounding can bring a pivot to 0 or below; the smallest positive pivot sets its entry to about 0.
                a[(i, j)] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / a[(j, j)] };
            }
        }
        Self(a)
    }

    /// Replaces the right-hand side by the solution.
    fn solve(&self, b: &mut [f64]) {
        let (l, n) = (&self.0, b.len());
        for i in 0..n {
            let before: f64 = (0..i).map(|k| l[(i, k)] * b[k]).sum();
            b[i] = (b[i] - before) / l[(i, i)];
        }
        for i in (0..n).rev() {
            let after: f64 = (i + 1..n).map(|k| l[(k, i)] * b[k]).sum();
            b[i] = (b[i] - after) / l[(i, i)];
        }
    }
}
