//! Alternating updates, with and without extrapolation, for matrices that are not held dense.
//! Knows two lists of numbers and in which order they are improved; what V is, only the two halves know.

use super::driver::{Run, Solve, run};
use super::momentum::{Entries, Momentum, Past};
use super::{NmfConfig, Real, Solver};
use crate::watch::Watch;

/// The two halves of an iteration, over factors that are held in some packed form.
pub(super) trait Halves {
    type W: Entries;
    type H: Entries;

    fn w(&mut self) -> &mut [Self::W];
    fn h(&mut self) -> &mut [Self::H];

    /// Improves W.
    fn improve_w(&mut self);

    /// Improves H, and returns the divergence of the factors that it leaves where it is wanted.
    fn improve_h(&mut self, want_divergence: bool) -> f64;

    /// The divergence of the present factors.
    fn divergence(&mut self) -> f64;
}

/// W, then H, in the order in which `multiplicative` does it, so that the factors are the same.
pub(super) struct Alternate<X: Halves> {
    pub(super) halves: X,
    /// The divergence on the input's scale over the one that the halves know.
    to_input: f64,
    extrapolation: Option<Extrapolation<X>>,
    /// Whether W stays as it is once, after a restart.
    skips_w: bool,
}

/// What extrapolation knows of the past.
struct Extrapolation<X: Halves> {
    momentum: Momentum,
    w: Past<X::W>,
    h: Past<X::H>,
}

impl<X: Halves> Alternate<X> {
    pub(super) fn new(mut halves: X, solver: Solver, to_input: f64) -> Self {
        let extrapolation = (solver == Solver::MuExtrapolated).then(|| Extrapolation {
            momentum: Momentum::new(),
            w: Past::new(halves.w()),
            h: Past::new(halves.h()),
        });
        Self { halves, to_input, extrapolation, skips_w: false }
    }

    /// Runs to the end.
    pub(super) fn run<T: Real>(&mut self, config: &NmfConfig<T>, watch: &mut Watch<'_>) -> Run {
        run(self, config, watch)
    }

    fn step(&mut self, want_divergence: bool) -> f64 {
        if let Some(past) = &mut self.extrapolation {
            past.momentum.advance();
        }
        if !std::mem::take(&mut self.skips_w) {
            self.halves.improve_w();
            if let Some(past) = &mut self.extrapolation {
                past.w.extrapolate(self.halves.w(), past.momentum.factor());
            }
        }
        if let Some(past) = &mut self.extrapolation {
            past.h.extrapolate(self.halves.h(), past.momentum.factor());
        }
        self.halves.improve_h(want_divergence)
    }

    /// Notes the divergence; where extrapolation made it rise, the best factors come back.
    fn settle(&mut self, divergence: f64) -> f64 {
        let Some(past) = &mut self.extrapolation else { return divergence * self.to_input };
        if past.momentum.settle(divergence) {
            past.w.restore(self.halves.w());
            past.h.restore(self.halves.h());
            self.skips_w = true;
        } else {
            past.w.keep(self.halves.w());
            past.h.keep(self.halves.h());
        }
        past.momentum.best() * self.to_input
    }
}

impl<X: Halves> Solve for Alternate<X> {
    fn iterate(&mut self) {
        self.step(false);
    }

    fn check(&mut self) -> f64 {
        let divergence = self.halves.divergence();
        self.settle(divergence)
    }

    fn iterate_and_check(&mut self) -> f64 {
        let divergence = self.step(true);
        self.settle(divergence)
    }

    fn has_restarted(&self) -> bool {
        self.extrapolation.as_ref().is_some_and(|past| past.momentum.has_restarted())
    }
}
