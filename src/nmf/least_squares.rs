//! Alternating least squares: the loop that the Euclidean solvers share.
//!
//! Each half of an iteration minimizes `1/2 |V - X B^T|^2 + l1 sum(X) + l2/2 sum(X^2)` over X >= 0. V enters only
//! through the products B^T B and V B; what a solver does with them is its own affair.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::data::Data;
use super::driver::Solve;
use super::kernel::{Kernel, wide};
use super::normal::Normal;
use super::penalty::{Penalties, Scales};
use super::{NmfConfig, Real, Solver};
use super::{anls, coordinate_descent, projected_gradient};

/// Rows of X that one job works on.
const ROWS_PER_JOB: usize = 128;

/// W (rows x K) and H (columns x K, transposed) between two iterations.
pub(super) struct LeastSquares<T: Real> {
    pub(super) data: Data<T>,
    pub(super) w: Array2<T>,
    pub(super) h: Array2<T>,
    /// V H^T, where the last iteration has left it.
    times_h: Option<Array2<T>>,
    free_w: Vec<usize>,
    free_h: Vec<usize>,
    penalties: Penalties,
    solver: Solver,
    /// What brings the slopes of W and of H to the input's scale.
    to_input: [f64; 2],
    /// What the projected gradients remember of W and of H.
    tolerances: [Tolerances; 2],
    /// Draws the order of the components for each sweep of coordinate descent, where they do not come in turn.
    shuffle: Option<ChaCha8Rng>,
    /// The sum of the absolute projected gradients that the last iteration met, with coordinate descent.
    violation: Option<f64>,
    /// The divergence at the last check.
    divergence: f64,
}

/// Where the projected gradient is small enough, for each job; none before the first iteration.
type Tolerances = Vec<Option<f64>>;

impl<T: Real> LeastSquares<T> {
    pub(super) fn new(
        data: Data<T>,
        (w, h): (Array2<T>, Array2<T>),
        (free_w, free_h): (Vec<bool>, Vec<bool>),
        penalties: Penalties,
        scales: Scales,
        config: &NmfConfig<T>,
    ) -> Self {
        let indices = |free: Vec<bool>| (0..free.len()).filter(|k| free[*k]).collect();
        let (free_w, free_h) = (indices(free_w), indices(free_h));
        let tolerances = [w.nrows(), h.nrows()].map(|n_rows| vec![None; n_rows.div_ceil(ROWS_PER_JOB)]);
        let is_shuffled = config.shuffle && config.solver == Solver::CoordinateDescent;
        Self {
            data,
            w,
            h,
            times_h: None,
            free_w,
            free_h,
            penalties,
            solver: config.solver,
            to_input: [scales.w, scales.h].map(|scale| scales.v * scales.v / scale),
            tolerances,
            shuffle: is_shuffled.then(|| ChaCha8Rng::seed_from_u64(config.seed)),
            violation: None,
            divergence: f64::NAN,
        }
    }
}

impl<T: Real> Solve for LeastSquares<T> {
    fn iterate(&mut self) {
        let Self { data, w, h, times_h, free_w, free_h, penalties, solver, to_input, tolerances, shuffle, .. } = self;
        let [tolerance_w, tolerance_h] = tolerances;
        let mut violation = 0.0;
        if !free_w.is_empty() {
            let (l1, l2) = (penalties.l1_w, penalties.l2_w);
            let cross = times_h.take().unwrap_or_else(|| data.times_activations(h));
            let normal = Normal { gram: gram(h, l2), cross, l1, free: free_w.clone() };
            let order = shuffled(shuffle, free_w);
            violation += to_input[0] * improve(*solver, data.kernel, &normal, order, w, tolerance_w);
        }
        if !free_h.is_empty() {
            let (l1, l2) = (penalties.l1_h, penalties.l2_h);
            let gram = gram(w, l2);
            let order = shuffled(shuffle, free_h);
            violation += to_input[1]
                * if *solver == Solver::CoordinateDescent && !data.is_sparse() {
                    let sweep = |mut h: ArrayViewMut2<'_, T>, cross: ArrayView2<'_, T>| {
                        coordinate_descent::sweep(data.kernel, (&gram, l1), &order, &mut h, cross)
                    };
                    let (violations, product) = data.improve_by_blocks(w, h, !free_w.is_empty(), sweep);
                    *times_h = product;
                    violations.iter().sum::<f64>()
                } else {
                    let normal = Normal { gram, cross: data.times_dictionary(w), l1, free: free_h.clone() };
                    improve(*solver, data.kernel, &normal, order, h, tolerance_h)
                };
        }
        self.violation = (self.solver == Solver::CoordinateDescent).then_some(violation);
    }

    fn check(&mut self) -> f64 {
        self.divergence = self.data.divergence(&self.w, &self.h);
        self.divergence + self.data.scale * self.data.scale * self.penalties.value(&self.w, &self.h)
    }

    fn divergence_alone(&self) -> Option<f64> {
        Some(self.divergence)
    }

    fn violation(&self) -> Option<f64> {
        self.violation
    }
}

impl<T: Real> LeastSquares<T> {
    /// The divergence at the last check.
    pub(super) fn divergence(&self) -> f64 {
        self.divergence
    }
}

/// The free components in the order of a sweep.
fn shuffled(rng: &mut Option<ChaCha8Rng>, free: &[usize]) -> Vec<usize> {
    let mut order = free.to_vec();
    if let Some(rng) = rng {
        order.shuffle(rng);
    }
    order
}

/// Hands X to the solver in groups of rows, which do not see each other; coordinate descent takes the components in the
/// given order, and its violations are returned.
fn improve<T: Real>(
    solver: Solver,
    kernel: Kernel,
    normal: &Normal<T>,
    order: Vec<usize>,
    x: &mut Array2<T>,
    tolerances: &mut Tolerances,
) -> f64 {
    let pivoting = (solver == Solver::Anls).then(|| anls::Pivoting::new(normal, kernel));
    let violations: Vec<f64> = x
        .axis_chunks_iter_mut(Axis(0), ROWS_PER_JOB)
        .into_par_iter()
        .zip(normal.cross.axis_chunks_iter(Axis(0), ROWS_PER_JOB))
        .zip(tolerances)
        .map(|((mut x, cross), tolerance)| match (&pivoting, solver) {
            (Some(pivoting), _) => {
                pivoting.solve(x, cross);
                0.0
            }
            (None, Solver::ProjectedGradient) => {
                projected_gradient::descend(normal, &mut x, cross, tolerance);
                0.0
            }
            (None, _) => coordinate_descent::sweep(kernel, (&normal.gram, normal.l1), &order, &mut x, cross),
        })
        .collect();
    violations.iter().sum()
}

/// B^T B + l2, in f64.
fn gram<T: Real>(b: &Array2<T>, l2: f64) -> Array2<f64> {
    let k = b.ncols();
    let mut gram = Array2::zeros((k, k));
    for rows in b.axis_chunks_iter(Axis(0), 1024) {
        let rows = rows.mapv(wide);
        gram += &rows.t().dot(&rows);
    }
    for entry in gram.diag_mut() {
        *entry += l2;
    }
    gram
}
