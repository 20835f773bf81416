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
    let mut course = Course::new(config, first, solve.divergence_alone());
    let mut first_violation = None;
    for n_iter in 1..=config.max_iter {
        let is_due = course.is_due(n_iter, by_violation(solve, config).is_some());
        let now = if is_due {
            Some(solve.iterate_and_check())
        } else {
            solve.iterate();
            None
        };
        let mut stop_reason = now.and_then(|objective| {
            let check = Check { objective, divergence: solve.divergence_alone(), has_restarted: solve.has_restarted() };
            course.note(n_iter, &check, by_violation(solve, config).is_some())
        });
        if by_violation(solve, config).is_some_and(|violation| {
            let first = *first_violation.get_or_insert(violation);
            first == 0.0 || violation / first <= config.tol
        }) {
            if now.is_none() {
                course.curve.push((n_iter, solve.check()));
            }
            stop_reason = Some(StopReason::Converged);
        }
        let (done, total) = (n_iter as u64, Some(config.max_iter as u64));
        if watch.tell(Progress { step: Step::Fitting, done, total, divergence: now }).is_err() {
            if course.last() != n_iter {
                course.curve.push((n_iter, solve.check()));
            }
            stop_reason = stop_reason.or(Some(StopReason::Cancelled));
        }
        if let Some(stop_reason) = stop_reason {
            return Run { n_iter, curve: course.curve, stop_reason };
        }
    }
    Run { n_iter: 0, curve: course.curve, stop_reason: StopReason::MaxIter }
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

/// What the rule of scikit-learn's coordinate descent looks at, where that rules.
fn by_violation<T: Real>(solve: &dyn Solve, config: &NmfConfig<T>) -> Option<f64> {
    if config.stopping == Stopping::ScikitLearn { solve.violation() } else { None }
}

/// What a check found.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) objective: f64,
    /// The divergence, where that is not all of the objective.
    pub(super) divergence: Option<f64>,
    /// Whether the solver went back to earlier factors.
    pub(super) has_restarted: bool,
}

/// A fit from check to check: which iterations want one, and which ends it.
#[derive(Debug)]
pub(super) struct Course {
    /// (iteration, objective) at each check.
    pub(super) curve: Vec<(usize, f64)>,
    max_iter: usize,
    tol: f64,
    stopping: Stopping,
    target: Option<f64>,
    /// What the first check found, and the one before.
    first: f64,
    before: f64,
    /// When a check is due for the sake of the target.
    next_check: usize,
}

impl Course {
    /// `objective` and `divergence` as in a [`Check`], before the first iteration.
    pub(super) fn new<T: Real>(config: &NmfConfig<T>, objective: f64, divergence: Option<f64>) -> Self {
        let first = measured(config.stopping, objective, divergence);
        Self {
            curve: vec![(0, objective)],
            max_iter: config.max_iter,
            tol: config.tol,
            stopping: config.stopping,
            target: config.target_divergence,
            first,
            before: first,
            next_check: CHECK_EVERY,
        }
    }

    /// Whether there is to be a check after this iteration. What goes by violations has no regular ones.
    pub(super) fn is_due(&self, n_iter: usize, goes_by_violations: bool) -> bool {
        let is_regular = n_iter.is_multiple_of(CHECK_EVERY) && !goes_by_violations;
        is_regular || (n_iter == self.next_check && self.target.is_some()) || n_iter == self.max_iter
    }

    /// The iteration of the last check.
    pub(super) fn last(&self) -> usize {
        self.curve.last().map_or(0, |(n_iter, _)| *n_iter)
    }

    /// Takes what the check after an iteration found; why the fit ends there, if it does.
    pub(super) fn note(&mut self, n_iter: usize, check: &Check, goes_by_violations: bool) -> Option<StopReason> {
        let mut stop_reason = (n_iter == self.max_iter).then_some(StopReason::MaxIter);
        self.curve.push((n_iter, check.objective));
        if n_iter.is_multiple_of(CHECK_EVERY) && !goes_by_violations && self.has_converged(check) {
            stop_reason = Some(StopReason::Converged);
        }
        if self.target.is_some_and(|target| check.objective <= target) {
            stop_reason = Some(StopReason::TargetReached);
        }
        self.next_check = n_iter + self.target.map_or(CHECK_EVERY, |target| iterations_to(target, &self.curve));
        stop_reason
    }

    fn has_converged(&mut self, check: &Check) -> bool {
        let now = measured(self.stopping, check.objective, check.divergence);
        let fall = self.before - now;
        self.before = now;
        self.tol > 0.0
            && match self.stopping {
                Stopping::Divergence => fall < self.tol * self.first && !check.has_restarted || now == 0.0,
                Stopping::ScikitLearn => fall / self.first < self.tol && !check.has_restarted,
            }
    }
}

/// What the rule looks at.
fn measured(stopping: Stopping, objective: f64, divergence: Option<f64>) -> f64 {
    match stopping {
        Stopping::Divergence => objective,
        Stopping::ScikitLearn => (2.0 * divergence.unwrap_or(objective)).max(0.0).sqrt(),
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
