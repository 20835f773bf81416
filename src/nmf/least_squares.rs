//! Alternating least squares: the loop that the Euclidean solvers share.
//!
//! Each half of an iteration minimizes `1/2 |V - X B^T|^2 + l1 sum(X) + l2/2 sum(X^2)` over X >= 0. V enters only
//! through the products B^T B and V B; what a solver does with them is its own affair.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::Solver;
use super::data::Data;
use super::driver::Solve;
use super::kernel::Kernel;
use super::normal::Normal;
use super::penalty::Penalties;
use super::{anls, coordinate_descent, projected_gradient};

/// Rows of X that one job works on.
const ROWS_PER_JOB: usize = 128;

/// W (rows x K) and H (columns x K, transposed) between two iterations.
pub(super) struct LeastSquares {
    pub(super) data: Data,
    pub(super) w: Array2<f32>,
    pub(super) h: Array2<f32>,
    free_w: Vec<usize>,
    free_h: Vec<usize>,
    penalties: Penalties,
    solver: Solver,
    /// What the projected gradients remember of W and of H.
    tolerances: [Tolerances; 2],
}

/// Where the projected gradient is small enough, for each job; none before the first iteration.
type Tolerances = Vec<Option<f64>>;

impl LeastSquares {
    pub(super) fn new(
        data: Data,
        (w, h): (Array2<f32>, Array2<f32>),
        (free_w, free_h): (Vec<bool>, Vec<bool>),
        penalties: Penalties,
        solver: Solver,
    ) -> Self {
        let indices = |free: Vec<bool>| (0..free.len()).filter(|k| free[*k]).collect();
        let (free_w, free_h) = (indices(free_w), indices(free_h));
        let tolerances = [w.nrows(), h.nrows()].map(|n_rows| vec![None; n_rows.div_ceil(ROWS_PER_JOB)]);
        Self { data, w, h, free_w, free_h, penalties, solver, tolerances }
    }
}

impl Solve for LeastSquares {
    fn iterate(&mut self) {
        let Self { data, w, h, free_w, free_h, penalties, solver, tolerances } = self;
        let [tolerance_w, tolerance_h] = tolerances;
        if !free_w.is_empty() {
            let (l1, l2) = (penalties.l1_w, penalties.l2_w);
            let cross = data.times_activations(h);
            improve(
                *solver,
                data.kernel,
                &Normal { gram: gram(h, l2), cross, l1, free: free_w.clone() },
                w,
                tolerance_w,
            );
        }
        if !free_h.is_empty() {
            let (l1, l2) = (penalties.l1_h, penalties.l2_h);
            let cross = data.times_dictionary(w);
            improve(
                *solver,
                data.kernel,
                &Normal { gram: gram(w, l2), cross, l1, free: free_h.clone() },
                h,
                tolerance_h,
            );
        }
    }

    fn check(&mut self) -> f64 {
        self.data.divergence(&self.w, &self.h)
            + self.data.scale * self.data.scale * self.penalties.value(&self.w, &self.h)
    }
}

/// Hands X to the solver in groups of rows, which do not see each other.
fn improve(solver: Solver, kernel: Kernel, normal: &Normal, x: &mut Array2<f32>, tolerances: &mut Tolerances) {
    let pivoting = (solver == Solver::Anls).then(|| anls::Pivoting::new(normal, kernel));
    x.axis_chunks_iter_mut(Axis(0), ROWS_PER_JOB)
        .into_par_iter()
        .zip(normal.cross.axis_chunks_iter(Axis(0), ROWS_PER_JOB))
        .zip(tolerances)
        .for_each(|((mut x, cross), tolerance)| match (&pivoting, solver) {
            (Some(pivoting), _) => pivoting.solve(x, cross),
            (None, Solver::ProjectedGradient) => projected_gradient::descend(normal, &mut x, cross, tolerance),
            (None, _) => coordinate_descent::sweep(kernel, normal, &mut x, cross),
        });
}

/// B^T B + l2, in f64.
fn gram(b: &Array2<f32>, l2: f64) -> Array2<f64> {
    let k = b.ncols();
    let mut gram = Array2::zeros((k, k));
    for rows in b.axis_chunks_iter(Axis(0), 1024) {
        let rows = rows.mapv(f64::from);
        gram += &rows.t().dot(&rows);
    }
    for entry in gram.diag_mut() {
        *entry += l2;
    }
    gram
}
