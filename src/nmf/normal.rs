//! The least-squares problem that the Euclidean solvers are handed: two products, and V no more.

use ndarray::Array2;

use super::Real;

/// One half of an iteration, without V: the objective is `1/2 tr(X G X^T) - tr(C X^T)` up to a constant.
pub(super) struct Normal<T: Real> {
    /// G = B^T B + l2, K x K.
    pub(super) gram: Array2<f64>,
    /// C + l1 = V B, n x K.
    pub(super) cross: Array2<T>,
    pub(super) l1: f64,
    /// The components that may change.
    pub(super) free: Vec<usize>,
}
