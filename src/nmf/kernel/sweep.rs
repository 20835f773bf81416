//! The hot loop of coordinate descent.

use ndarray::Array2;

use super::simd::{Job, Simd};

/// Rows of X that coordinate descent takes at once.
pub(in crate::nmf) const BATCH: usize = 16;
/// One component in some rows of X.
pub(in crate::nmf) type RowBatch = [f64; BATCH];

pub(super) struct Sweep<'a> {
    pub(super) gram: &'a Array2<f64>,
    pub(super) free: &'a [usize],
    pub(super) targets: &'a [RowBatch],
    pub(super) x: &'a mut [RowBatch],
}

impl Job for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for &k in self.free {
            let curvature = self.gram[(k, k)];
            if curvature > 0.0 {
                let mut slopes = self.targets[k].map(|target| -target);
                for (x, &g) in self.x.iter().zip(self.gram.row(k)) {
                    for (slope, x) in slopes.iter_mut().zip(x) {
                        *slope += x * g;
                    }
                }
                for (x, slope) in self.x[k].iter_mut().zip(slopes) {
                    // What is stored is rounded, and the next components are to see that.
                    *x = f64::from((*x - slope / curvature).max(0.0) as f32);
                }
            }
        }
    }
}
