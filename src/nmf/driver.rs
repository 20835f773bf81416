//! The loop that all solvers share: iterate, check, stop.

use super::{NmfConfig, Real, StopReason, Stopping};
use crate::watch::{Progress, Step, Watch};

/// Iterations from one check of the divergence to the next.
pub(super) const CHECK_EVERY: usize = 10;

/// A solver at work: the present factors and what it needs to improve them.
pub(super) trait Solve {
    /// One iteration over W and H.
    fn iterate(&mut self);

    /// The objective of the present factors, on the input's scale. A solver that went astray returns to better
    /// factors first.
    fn check(&mut self) -> f64;

    /// [`Solve::iterate`], then [`Solve::check`], where both together cost less than one after the other.
    fn iterate_and_check(&mut self) -> f64 {
        self.iterate();
        self.check()
    }

    /// The divergence at the last check, where that was not all of the objective.
    fn divergence_alone(&self) -> Option<f64> {
        None
    }

    /// The sum of the absolute projected gradients that the last iteration met, where the solver knows it.
    fn violation(&self) -> Option<f64> {
        None
    }

    /// Whether the last check went back to earlier factors, so that standing still does not mean convergence.
    fn has_restarted(&self) -> bool {
        false
    }
}

/// How a run went.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) n_iter: usize,
    /// (iteration, objective) at each check, from iteration 0 to the last.
    pub(super) curve: Vec<(usize, f64)>,
    pub(super) stop_reason: StopReason,
}

pub(super) fn run<T: Real>(solve: &mut dyn Solve, config: &NmfConfig<T>, watch: &mut Watch<'_>) -> Run {
    let first = solve.check();
    let mut curve = vec![(0, first)];
    let mut rule = Rule::new(config, solve, first);
    let mut next_check = CHECK_EVERY;
    let has_target = config.target_divergence.is_some();
    for n_iter in 1..=config.max_iter {
        let is_regular = n_iter.is_multiple_of(CHECK_EVERY) && rule.wants_checks(solve);
        let now = if is_regular || (n_iter == next_check && has_target) || n_iter == config.max_iter {
            Some(solve.iterate_and_check())
        } else {
            solve.iterate();
            None
        };
        let mut stop_reason = (n_iter == config.max_iter).then_some(StopReason::MaxIter);
        if let Some(now) = now {
            curve.push((n_iter, now));
            if is_regular && rule.is_met_at_check(solve, now) {
                stop_reason = Some(StopReason::Converged);
            }
            if config.target_divergence.is_some_and(|target| now <= target) {
                stop_reason = Some(StopReason::TargetReached);
            }
            next_check = n_iter + config.target_divergence.map_or(CHECK_EVERY, |target| iterations_to(target, &curve));
        }
        if rule.is_met_after_iteration(solve) {
            if now.is_none() {
                curve.push((n_iter, solve.check()));
            }
            stop_reason = Some(StopReason::Converged);
        }
        let (done, total) = (n_iter as u64, Some(config.max_iter as u64));
        if watch.tell(Progress { step: Step::Fitting, done, total, divergence: now }).is_err() {
            if curve.last().is_none_or(|(last, _)| *last != n_iter) {
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

/// A solver whose iterations go to one of rayon's threads as a whole: to hand over each part by itself costs more than
/// small matrices take.
pub(super) struct Whole<'a, S>(pub(super) &'a mut S);

impl<S: Solve + Send> Solve for Whole<'_, S> {
    fn iterate(&mut self) {
        rayon::scope(|_| self.0.iterate());
    }

    fn check(&mut self) -> f64 {
        rayon::scope(|_| self.0.check())
    }

    fn iterate_and_check(&mut self) -> f64 {
        rayon::scope(|_| self.0.iterate_and_check())
    }

    fn divergence_alone(&self) -> Option<f64> {
        self.0.divergence_alone()
    }

    fn violation(&self) -> Option<f64> {
        self.0.violation()
    }

    fn has_restarted(&self) -> bool {
        self.0.has_restarted()
    }
}

/// When `tol` ends a run.
struct Rule {
    tol: f64,
    stopping: Stopping,
    /// What the check before found, and the first one.
    before: f64,
    first: f64,
    first_violation: Option<f64>,
}

impl Rule {
    fn new<T: Real>(config: &NmfConfig<T>, solve: &dyn Solve, objective: f64) -> Self {
        let (tol, stopping) = (config.tol, config.stopping);
        let first = measured(stopping, solve, objective);
        Self { tol, stopping, before: first, first, first_violation: None }
    }

    /// Whether anything is decided at regular checks; scikit-learn's coordinate descent goes by violations alone.
    fn wants_checks(&self, solve: &dyn Solve) -> bool {
        self.stopping == Stopping::Divergence || solve.violation().is_none()
    }

    fn is_met_at_check(&mut self, solve: &dyn Solve, objective: f64) -> bool {
        let now = measured(self.stopping, solve, objective);
        let fall = self.before - now;
        self.before = now;
        self.tol > 0.0
            && match self.stopping {
                Stopping::Divergence => fall < self.tol * self.first && !solve.has_restarted() || now == 0.0,
                Stopping::ScikitLearn if solve.violation().is_some() => false,
                Stopping::ScikitLearn => fall / self.first < self.tol && !solve.has_restarted(),
            }
    }

    fn is_met_after_iteration(&mut self, solve: &dyn Solve) -> bool {
        let violation = if self.stopping == Stopping::ScikitLearn { solve.violation() } else { None };
        violation.is_some_and(|violation| {
            let first = *self.first_violation.get_or_insert(violation);
            first == 0.0 || violation / first <= self.tol
        })
    }
}

/// What the rule looks at, where the objective is as given.
fn measured(stopping: Stopping, solve: &dyn Solve, objective: f64) -> f64 {
    match stopping {
        Stopping::Divergence => objective,
        Stopping::ScikitLearn => (2.0 * solve.divergence_alone().unwrap_or(objective)).max(0.0).sqrt(),
    }
}

/// Iterations from the last check to the target, 1 to [`CHECK_EVERY`], were the divergence to go on falling as it did
/// between the last two checks. It falls ever slower, so this comes early, and closer with each check.
fn iterations_to(target: f64, curve: &[(usize, f64)]) -> usize {
    let [.., (n_before, before), (n_now, now)] = curve else { return CHECK_EVERY };
    let fall = (before - now) / (n_now - n_before).max(1) as f64;
    let iterations = (now - target) / fall;
    // A standstill gives infinity or NaN.
    if iterations < CHECK_EVERY as f64 { (iterations.ceil() as usize).max(1) } else { CHECK_EVERY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_come_closer_near_the_target() {
        assert_eq!(iterations_to(50.0, &[(0, 100.0)]), CHECK_EVERY, "nothing is known yet");
        let falling = [(0, 100.0), (10, 90.0)];
        for (target, expected) in [(20.0, CHECK_EVERY), (86.5, 4), (90.0 - 1e-9, 1)] {
            assert_eq!(iterations_to(target, &falling), expected, "to {target}");
        }
        assert_eq!(iterations_to(50.0, &[(0, 100.0), (10, 100.0)]), CHECK_EVERY, "at a standstill");
    }
}
