//! Multiplicative updates for the Kullback-Leibler divergence, spelled out.

use ndarray::{Array2, ArrayView2, Axis, Zip};

use super::driver::Solve;
use super::{Divergence, divergence};

/// Entries of W and H stay at or above it, so that nothing becomes subnormal and no division is by zero.
const FLOOR: f32 = 1e-16;

/// V, W and H between two iterations.
pub(super) struct Multiplicative<'a> {
    pub(super) v: ArrayView2<'a, f32>,
    pub(super) w: Array2<f32>,
    pub(super) h: Array2<f32>,
    /// Which columns of W and rows of H may change.
    pub(super) free_w: Vec<bool>,
    pub(super) free_h: Vec<bool>,
}

impl Solve for Multiplicative<'_> {
    fn iterate(&mut self) {
        // W <- W * ((V / WH) H^T) / (1 H^T)
        let numerator = self.ratio().dot(&self.h.t());
        let denominator = self.h.sum_axis(Axis(1));
        for (k, mut column) in self.w.columns_mut().into_iter().enumerate().filter(|(k, _)| self.free_w[*k]) {
            let d = denominator[k].max(FLOOR);
            Zip::from(&mut column).and(numerator.column(k)).for_each(|w, n| *w = (*w * n / d).max(FLOOR));
        }
        // H <- H * (W^T (V / WH)) / (W^T 1)
        let numerator = self.w.t().dot(&self.ratio());
        let denominator = self.w.sum_axis(Axis(0));
        for (k, mut row) in self.h.rows_mut().into_iter().enumerate().filter(|(k, _)| self.free_h[*k]) {
            let d = denominator[k].max(FLOOR);
            Zip::from(&mut row).and(numerator.row(k)).for_each(|h, n| *h = (*h * n / d).max(FLOOR));
        }
    }

    fn check(&mut self) -> f64 {
        divergence(self.v, self.w.dot(&self.h).view(), Divergence::KullbackLeibler)
    }
}

impl Multiplicative<'_> {
    /// V / WH
    fn ratio(&self) -> Array2<f32> {
        let mut y = self.w.dot(&self.h);
        Zip::from(&mut y).and(&self.v).for_each(|y, &v| *y = v / y.max(FLOOR));
        y
    }
}
