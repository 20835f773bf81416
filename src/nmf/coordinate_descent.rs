//! Coordinate descent: each entry in turn to its own minimum, the others held.

use ndarray::{ArrayView1, ArrayViewMut1};

use super::least_squares::Normal;

/// One pass over the free entries of one row of X.
///
/// With the rows taken one by one and, in each, the components in order, this is what scikit-learn's `cd` does
/// without shuffling, and fast HALS without its normalization: entries of one component in different rows do not see
/// each other, so that a whole column at a time is the same.
///
/// # References
/// A. Cichocki and A.-H. Phan, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations",
/// IEICE Transactions on Fundamentals E92-A(3), 2009 (fast HALS). C.-J. Hsieh and I. S. Dhillon, "Fast coordinate
/// descent methods with variable selection for non-negative matrix factorization", KDD 2011.
pub(super) fn sweep(normal: &Normal, x: &mut ArrayViewMut1<'_, f32>, cross: ArrayView1<'_, f32>) {
    for &k in &normal.free {
        let curvature = normal.gram[(k, k)];
        if curvature > 0.0 {
            let slope = x.iter().zip(normal.gram.row(k)).map(|(x, g)| f64::from(*x) * g).sum::<f64>()
                - (f64::from(cross[k]) - normal.l1);
            x[k] = (f64::from(x[k]) - slope / curvature).max(0.0) as f32;
        }
    }
}
