//! Beta-divergences, as sums over all entries in f64.

use ndarray::{ArrayView2, Zip};

use super::kernel::wide;
use super::{Divergence, Real};

/// The divergence of V from its approximation, unnormalized, in f64.
///
/// Entries count as they do in a fit: the approximation is lifted by a hair (1e-8 of the mean of V for a beta below 1,
/// 1e-20 below 2), and so are zeros of V where beta is at most 0, for the divergence from zero is infinite there.
///
/// # Panics
/// If the shapes differ.
///
/// # References
/// C. Fevotte and J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
/// Computation 23(9), 2011, equation (2).
pub fn divergence<T: Real>(v: ArrayView2<'_, T>, approximation: ArrayView2<'_, T>, kind: Divergence) -> f64 {
    assert_eq!(v.dim(), approximation.dim());
    let beta = kind.beta();
    let level = level(v.iter().map(|&x| wide(x)).sum::<f64>(), v.len() as f64);
    let lift = wide(lift::<T>(beta)) * level;
    let least = if beta <= 0.0 { ZERO * level } else { 0.0 };
    let mut total = 0.0;
    Zip::from(&v).and(&approximation).for_each(|&v, &y| {
        total += entry(wide(v).max(least), wide(y) + lift, beta);
    });
    total
}

/// The divergence of one entry; `v` at least 0 (above 0 for a beta of at most 0), `y` above 0.
pub(super) fn entry(v: f64, y: f64, beta: f64) -> f64 {
    at_least_zero(if beta == 1.0 {
        if v > 0.0 { v * (v / y).ln() - v + y } else { y }
    } else if beta == 0.0 {
        let ratio = v / y;
        ratio - ratio.ln() - 1.0
    } else if beta == 2.0 {
        0.5 * (v - y) * (v - y)
    } else {
        // (v^beta + (beta - 1) y^beta - beta v y^(beta - 1)) / (beta (beta - 1))
        (power(v, beta) + power(y, beta - 1.0) * ((beta - 1.0) * y - beta * v)) / (beta * (beta - 1.0))
    })
}

/// A divergence, where it is a difference of larger numbers: below 0, it is their rounding. NaN stays NaN.
pub(super) fn at_least_zero(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// x^p, fast for the halves that sound is worked with.
fn power(x: f64, p: f64) -> f64 {
    if p == 0.5 {
        x.sqrt()
    } else if p == -0.5 {
        1.0 / x.sqrt()
    } else if p == 1.5 {
        x * x.sqrt()
    } else {
        x.powf(p)
    }
}

/// The weighted sum of the divergences of some entries, their models counting as at least `least`; where the weight is 0, they may be anything.
pub(super) fn entries<T: Real>(v: &[T], y: &[T], weights: &[T], least: T, beta: f64) -> f64 {
    v.iter()
        .zip(y)
        .zip(weights)
        .filter(|(_, weight)| **weight > T::of(0.0))
        .fold(0.0, |sum, ((&v, &y), &weight)| sum + wide(weight) * entry(wide(v), wide(least.max(y)), beta))
}

/// What a zero of V counts as where beta is at most 0, relative to the mean of V.
pub(super) const ZERO: f64 = 1e-8;

/// What is added to every entry of W H, relative to the level of V, so that its negative powers stay finite. As a constant
/// added to the model, it leaves the proofs that the divergence never rises as they are.
pub(super) fn lift<T: Real>(beta: f64) -> T {
    let is_single = wide(T::LARGEST) < 1e100;
    T::of(match beta {
        _ if beta >= 2.0 => 0.0,
        // In f32, y^(beta - 2) down to 1e-24, times a V of up to 1e8; from a beta of 1 on, down to 1e-20.
        _ if is_single => {
            if beta < 1.0 {
                1e-8
            } else {
                1e-20
            }
        }
        _ => 10f64.powf(-140.0 / (2.0 - beta).max(1.0)),
    })
}

/// The mean of V as the next power of two, by which it can be divided without rounding; 1 where V is silent.
pub(super) fn level(sum: f64, count: f64) -> f64 {
    let mean = sum / count;
    if mean > 0.0 { mean.log2().round().exp2() } else { 1.0 }
}
