//! The hot loop of coordinate descent.

use ndarray::Array2;

use super::simd::{Element, Job, Simd, wide};

/// Rows of X that coordinate descent takes at once: six vectors, as each of two adders takes three cycles.
pub(in crate::nmf) const BATCH: usize = 24;
/// One component in some rows of X.
pub(in crate::nmf) type RowBatch = [f64; BATCH];

pub(super) struct Sweep<'a> {
    pub(super) gram: &'a Array2<f64>,
    pub(super) order: &'a [usize],
    pub(super) targets: &'a [RowBatch],
    pub(super) x: &'a mut [RowBatch],
}

impl<T: Element> Job<T> for Sweep<'_> {
    type Output = RowBatch;

    #[inline(always)]
    fn run<S: Simd<T>>(self, _: S) -> RowBatch {
        let mut violations = [0.0; BATCH];
        for &k in self.order {
            let curvature = self.gram[(k, k)];
            let mut slopes = self.targets[k].map(|target| -target);
            for (x, &g) in self.x.iter().zip(self.gram.row(k)) {
                for (slope, x) in slopes.iter_mut().zip(x) {
                    *slope += x * g;
                }
            }
            for ((violation, slope), x) in violations.iter_mut().zip(slopes).zip(&self.x[k]) {
                *violation += if *x == 0.0 { slope.min(0.0).abs() } else { slope.abs() };
            }
            if curvature > 0.0 {
                for (x, slope) in self.x[k].iter_mut().zip(slopes) {
                    // What is stored is rounded, and the next components are to see that.
                    *x = wide(T::of((*x - slope / curvature).max(0.0)));
                }
            }
        }
        violations
    }
}
