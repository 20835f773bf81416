//! The loop that all solvers share: iterate, check, stop.

use std::ops::ControlFlow;

use super::{NmfConfig, Progress, StopReason};

/// Iterations from one check of the divergence to the next.
pub(super) const CHECK_EVERY: usize = 10;

/// A solver at work: the present factors and what it needs to improve them.
pub(super) trait Solve {
    /// One iteration over W and H.
    fn iterate(&mut self);

    /// The objective of the present factors, on the input's scale. A solver that went astray returns to better
    /// factors first.
    fn check(&mut self) -> f64;
}

/// How a run went.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) n_iter: usize,
    /// (iteration, objective) at each check, from iteration 0 to the last.
    pub(super) curve: Vec<(usize, f64)>,
    pub(super) stop_reason: StopReason,
}

pub(super) fn run(
    solve: &mut dyn Solve,
    config: &NmfConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Run {
    let first = solve.check();
    let mut curve = vec![(0, first)];
    let mut before = first;
    for n_iter in 1..=config.max_iter {
        solve.iterate();
        let is_check = n_iter.is_multiple_of(CHECK_EVERY) || n_iter == config.max_iter;
        let now = is_check.then(|| solve.check());
        let mut stop_reason = (n_iter == config.max_iter).then_some(StopReason::MaxIter);
        if let Some(now) = now {
            curve.push((n_iter, now));
            if config.tol > 0.0 && before - now < config.tol * first {
                stop_reason = Some(StopReason::Converged);
            }
            if config.target_divergence.is_some_and(|target| now <= target) {
                stop_reason = Some(StopReason::TargetReached);
            }
            before = now;
        }
        if progress(Progress { iteration: n_iter, max_iter: config.max_iter, divergence: now }).is_break() {
            if now.is_none() {
                curve.push((n_iter, solve.check()));
            }
            stop_reason = stop_reason.or(Some(StopReason::Cancelled));
        }
        if let Some(stop_reason) = stop_reason {
            return Run { n_iter, curve, stop_reason };
        }
    }
    Run { n_iter: 0, curve, stop_reason: StopReason::MaxIter }
}
