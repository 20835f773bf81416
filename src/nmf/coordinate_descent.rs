//! Coordinate descent: each entry in turn to its own minimum, the others held.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Real;
use super::kernel::{BATCH, Kernel, RowBatch, wide};

/// One pass over some entries of some rows of X, from the gram matrix and the L1 cost, the components in the given order;
/// returns the sum of the absolute
/// projected gradients that it met.
///
/// With the rows taken one by one and, in each, the components in order, this is what scikit-learn's `cd` does
/// without shuffling, and fast HALS without its normalization: entries of one component in different rows do not see
/// each other, so that a whole column at a time is the same.
///
/// # References
/// A. Cichocki and A.-H. Phan, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations",
/// IEICE Transactions on Fundamentals E92-A(3), 2009 (fast HALS). C.-J. Hsieh and I. S. Dhillon, "Fast coordinate
/// descent methods with variable selection for non-negative matrix factorization", KDD 2011.
pub(super) fn sweep<T: Real>(
    kernel: Kernel,
    (gram, l1): (&Array2<f64>, f64),
    order: &[usize],
    x: &mut ArrayViewMut2<'_, T>,
    cross: ArrayView2<'_, T>,
) -> f64 {
    let k = x.ncols().max(1);
    let x = x.as_slice_mut().expect("rows one after the other");
    let cross = cross.to_slice().expect("rows one after the other");
    let (mut batch, mut targets) = (vec![[0.0; BATCH]; k], vec![[0.0; BATCH]; k]);
    let mut violation = 0.0;
    for (x, cross) in x.chunks_mut(BATCH * k).zip(cross.chunks(BATCH * k)) {
        turn(x, 0.0, &mut batch);
        turn(cross, l1, &mut targets);
        let violations = kernel.sweep::<T>(gram, order, &targets, &mut batch);
        violation += violations[..x.len() / k].iter().sum::<f64>();
        for (i, row) in x.chunks_exact_mut(k).enumerate() {
            row.iter_mut().zip(&batch).for_each(|(x, batch)| *x = T::of(batch[i]));
        }
    }
    violation
}

/// Puts rows less `offset` side by side.
fn turn<T: Real>(rows: &[T], offset: f64, batch: &mut [RowBatch]) {
    for (i, row) in rows.chunks_exact(batch.len()).enumerate() {
        row.iter().zip(&mut *batch).for_each(|(&x, batch)| batch[i] = wide(x) - offset);
    }
}
