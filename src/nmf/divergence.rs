//! Beta-divergences, as sums over all entries in f64.

use ndarray::{ArrayView2, Zip};

use super::Divergence;

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
pub fn divergence(v: ArrayView2<'_, f32>, approximation: ArrayView2<'_, f32>, kind: Divergence) -> f64 {
    assert_eq!(v.dim(), approximation.dim());
    let beta = kind.beta();
    let level = level(v.iter().map(|&x| f64::from(x)).sum::<f64>(), v.len() as f64);
    let lift = f64::from(lift(kind.beta())) * level;
    let least = if beta <= 0.0 { lift } else { 0.0 };
    let mut total = 0.0;
    Zip::from(&v).and(&approximation).for_each(|&v, &y| {
        total += entry(f64::from(v).max(least), f64::from(y) + lift, beta);
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

/// The weighted sum of the divergences of some entries; where the weight is 0, they may be anything.
pub(super) fn entries(v: &[f32], y: &[f32], weights: &[f32], beta: f64) -> f64 {
    v.iter()
        .zip(y)
        .zip(weights)
        .filter(|(_, weight)| **weight > 0.0)
        .fold(0.0, |sum, ((&v, &y), &weight)| sum + f64::from(weight) * entry(f64::from(v), f64::from(y), beta))
}

/// What is added to every entry of W H, relative to the level of V, so that its negative powers stay finite in `f32`.
/// As a constant added to the model, it leaves the proofs that the divergence never rises as they are.
pub(super) fn lift(beta: f64) -> f32 {
    if beta < 1.0 {
        1e-8 // y^(beta - 2) down to 1e-24, times a V of up to 1e8
    } else if beta < 2.0 {
        1e-20 // y^(beta - 2) down to 1e-20
    } else {
        0.0
    }
}

/// The mean of V as the next power of two, by which it can be divided without rounding; 1 where V is silent.
pub(super) fn level(sum: f64, count: f64) -> f64 {
    let mean = sum / count;
    if mean > 0.0 { mean.log2().round().exp2() } else { 1.0 }
}
