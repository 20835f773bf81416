//! Scales for V, W and H inside the solvers, so that nothing comes near the limits of `f32`, and the way back.

use ndarray::{Array2, ArrayView1};

use super::Real;
use super::kernel::wide;

/// Powers of two by which the matrices are multiplied inside, exact unless they leave the range of f32.
#[derive(Debug)]
pub(super) struct Scales {
    /// Gives V a mean of 1 to 2.
    pub(super) v: f64,
    /// Give the fixed factor of a component (W, if none or both are) a largest entry of 1 to 2, so that neither comes
    /// near the floor.
    pub(super) w: Vec<f64>,
    pub(super) h: Vec<f64>,
}

impl Scales {
    pub(super) fn new<T: Real>(mean: f64, w: &Array2<T>, h: &Array2<T>, free_w: &[bool], free_h: &[bool]) -> Self {
        let v = scale_of(mean);
        let largest = |x: ArrayView1<'_, T>| wide(x.fold(T::of(0.0), |a: T, &b| a.max(b)));
        let mut scales = Self { v, w: Vec::new(), h: Vec::new() };
        for k in 0..w.ncols() {
            let (w_scale, h_scale) = if free_w[k] && !free_h[k] {
                let h_scale = 1.0 / power_of_two(largest(h.row(k)));
                (v / h_scale, h_scale)
            } else {
                let w_scale = 1.0 / power_of_two(largest(w.column(k)));
                (w_scale, v / w_scale)
            };
            scales.w.push(w_scale);
            scales.h.push(h_scale);
        }
        scales
    }
}

/// What brings a V of this mean to one of 1 to 2.
pub(super) fn scale_of(mean: f64) -> f64 {
    1.0 / power_of_two(mean)
}

/// The largest power of two that is at most x; 1 for 0.
pub(super) fn power_of_two(x: f64) -> f64 {
    const EXPONENT: u64 = 0x7ff << 52;
    if x > 0.0 { f64::from_bits(x.to_bits() & EXPONENT) } else { 1.0 }
}

/// An entry on the input's scale; what sank to the floor is 0.
pub(super) fn given_back<T: Real>(x: T, scale: f64) -> T {
    if x <= T::FLOOR { T::of(0.0) } else { T::of((wide(x) / scale).min(wide(T::LARGEST))) }
}

/// 1 / sum, or none for a component that stays as it is.
pub(super) fn inverse<T: Real>(sums: &[f64], free: &[bool]) -> Vec<Option<T>> {
    sums.iter().zip(free).map(|(sum, free)| free.then_some(T::of(1.0 / sum))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_found_down_to_the_smallest_number() {
        assert_eq!([1.0, 1.9, 2.0, 0.75].map(power_of_two), [1.0, 1.0, 2.0, 0.5]);
        assert_eq!(power_of_two(0.0), 1.0);
        assert_eq!(power_of_two(f64::from(f32::from_bits(1))), 2.0f64.powi(-149));
    }
}
