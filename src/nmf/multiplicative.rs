//! Multiplicative updates for the Kullback-Leibler divergence.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2, Axis, Zip};

use super::{Divergence, Factor, Factorization, NmfConfig, Progress, StopReason, divergence, init};
use crate::Result;

/// Entries of W and H stay at or above it, so that nothing becomes subnormal and no division is by zero.
const FLOOR: f32 = 1e-16;
/// The divergence is computed every so many iterations.
const CHECK_EVERY: usize = 10;

pub(super) fn fit(
    v: ArrayView2<'_, f32>,
    config: &NmfConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Factorization> {
    let mean = v.mean().unwrap_or(0.0);
    let (w, h) = init::random(v.nrows(), v.ncols(), config.n_components, mean, config.seed);
    let start = |factor: &Factor, free: Array2<f32>| match factor {
        Factor::Seed(x) | Factor::Fixed(x) => x.clone(),
        Factor::Free | Factor::PerComponent(_) => free,
    };
    let (mut w, mut h) = (start(&config.dictionary, w), start(&config.activations, h));
    let loss = |w: &Array2<f32>, h: &Array2<f32>| divergence(v, w.dot(h).view(), Divergence::KullbackLeibler);
    let first = loss(&w, &h);
    let mut curve = vec![(0, first)];
    let mut stop_reason = StopReason::MaxIter;
    let mut n_iter = 0;
    while n_iter < config.max_iter {
        if !matches!(config.dictionary, Factor::Fixed(_)) {
            let ratio = ratio(v, &w, &h);
            update(&mut w, &ratio.dot(&h.t()), &h.sum_axis(Axis(1)).insert_axis(Axis(0)));
        }
        if !matches!(config.activations, Factor::Fixed(_)) {
            let ratio = ratio(v, &w, &h);
            update(&mut h, &w.t().dot(&ratio), &w.sum_axis(Axis(0)).insert_axis(Axis(1)));
        }
        n_iter += 1;
        let check = n_iter % CHECK_EVERY == 0 || n_iter == config.max_iter;
        let now = check.then(|| loss(&w, &h));
        if let Some(now) = now {
            let before = curve[curve.len() - 1].1;
            curve.push((n_iter, now));
            if config.target_divergence.is_some_and(|target| now <= target) {
                stop_reason = StopReason::TargetReached;
                break;
            }
            if config.tol > 0.0 && before - now < config.tol * first {
                stop_reason = StopReason::Converged;
                break;
            }
        }
        if progress(Progress { iteration: n_iter, max_iter: config.max_iter, divergence: now }).is_break() {
            stop_reason = StopReason::Cancelled;
            break;
        }
    }
    let divergence = curve[curve.len() - 1].1;
    Ok(Factorization { dictionary: w, activations: h, n_iter, divergence, divergence_curve: curve, stop_reason })
}

fn ratio(v: ArrayView2<'_, f32>, w: &Array2<f32>, h: &Array2<f32>) -> Array2<f32> {
    let mut y = w.dot(h);
    Zip::from(&mut y).and(&v).for_each(|y, &v| *y = v / y.max(FLOOR));
    y
}

fn update(x: &mut Array2<f32>, numerator: &Array2<f32>, denominator: &Array2<f32>) {
    Zip::from(x)
        .and(numerator)
        .and_broadcast(denominator)
        .for_each(|x, &n, &d| *x = (*x * n / d.max(FLOOR)).max(FLOOR));
}
