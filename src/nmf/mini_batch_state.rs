//! What was learned from mini-batches, as plain numbers.
//! Only holds them: `mini_batch` goes on from them.

use ndarray::Array2;

use super::Real;

/// What a [`MiniBatch`](super::MiniBatch) has learned: enough to go on elsewhere, or later.
#[derive(Debug, Clone, PartialEq)]
pub struct MiniBatchState<T: Real = f32> {
    /// W, `n_rows` x `n_components`.
    pub dictionary: Array2<T>,
    /// The running sum of the numerators of W's updates, of the shape of W, on the input's scale.
    pub numerator: Array2<T>,
    /// The running sum of their denominators.
    pub denominator: Array2<T>,
    /// Share of these sums that one batch leaves.
    pub keeps: f64,
    /// What the matrix is multiplied by while it is worked on.
    pub scale: f64,
    /// Batches that were learned from.
    pub n_steps: usize,
}
