//! Beta-divergences, as sums over all entries in f64.

use ndarray::{ArrayView2, Zip};

use super::Divergence;

/// The divergence of V from its approximation, unnormalized, in f64.
///
/// # Panics
/// If the shapes differ.
///
/// # References
/// C. Fevotte and J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
/// Computation 23(9), 2011, equation (2).
pub fn divergence(v: ArrayView2<'_, f32>, approximation: ArrayView2<'_, f32>, kind: Divergence) -> f64 {
    const FLOOR: f64 = 1e-30;
    assert_eq!(v.dim(), approximation.dim());
    let mut total = 0.0;
    Zip::from(&v).and(&approximation).for_each(|&v, &y| {
        let (v, y) = (f64::from(v), f64::from(y).max(FLOOR));
        total += match kind {
            Divergence::KullbackLeibler if v > 0.0 => v * (v / y).ln() - v + y,
            Divergence::KullbackLeibler => y,
            Divergence::ItakuraSaito => {
                let ratio = v.max(FLOOR) / y;
                ratio - ratio.ln() - 1.0
            }
            Divergence::Euclidean => 0.5 * (v - y) * (v - y),
            Divergence::Beta(beta) => {
                let b = f64::from(beta);
                (v.powf(b) + (b - 1.0) * y.powf(b) - b * v * y.powf(b - 1.0)) / (b * (b - 1.0))
            }
        };
    });
    total
}
