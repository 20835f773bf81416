//! Alternating updates, with and without extrapolation, for matrices that are not held dense.
//! Knows two lists of numbers and in which order they are improved; what V is, only the two halves know.

use super::driver::{Run, Solve, run};
use super::kernel::Lanes;
use super::multiplicative::RISE;
use super::{NmfConfig, Solver};
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

/// Some entries of a factor.
pub(super) trait Entries: Copy {
    fn entries(&mut self) -> &mut [f32];
}

impl Entries for f32 {
    fn entries(&mut self) -> &mut [f32] {
        std::slice::from_mut(self)
    }
}

impl Entries for Lanes {
    fn entries(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

/// W, then H, in the order in which `multiplicative` does it, so that the factors are the same.
pub(super) struct Alternate<X: Halves> {
    pub(super) halves: X,
    /// The divergence on the input's scale over the one that the halves know.
    to_input: f64,
    momentum: Option<Momentum<X>>,
    /// Whether W stays as it is once, after a restart.
    skips_w: bool,
}

/// What extrapolation needs to know of the past.
struct Momentum<X: Halves> {
    /// Nesterov's sequence, 1 at a (re)start.
    t: f64,
    /// How far to go on, in units of the last step.
    factor: f32,
    w: Past<X::W>,
    h: Past<X::H>,
    best: f64,
    has_restarted: bool,
}

/// A factor one iteration ago, before its extrapolation, and at the best check.
struct Past<T> {
    before: Vec<T>,
    best: Vec<T>,
}

impl<X: Halves> Alternate<X> {
    pub(super) fn new(mut halves: X, solver: Solver, to_input: f64) -> Self {
        let momentum = (solver == Solver::MuExtrapolated).then(|| Momentum {
            t: 1.0,
            factor: 0.0,
            w: Past::new(halves.w()),
            h: Past::new(halves.h()),
            best: f64::INFINITY,
            has_restarted: false,
        });
        Self { halves, to_input, momentum, skips_w: false }
    }

    /// Runs to the end.
    pub(super) fn run(&mut self, config: &NmfConfig, watch: &mut Watch<'_>) -> Run {
        run(self, config, watch)
    }

    fn step(&mut self, want_divergence: bool) -> f64 {
        if let Some(momentum) = &mut self.momentum {
            let next = 0.5 * (1.0 + (1.0 + 4.0 * momentum.t * momentum.t).sqrt());
            momentum.factor = ((momentum.t - 1.0) / next) as f32;
            momentum.t = next;
        }
        if !std::mem::take(&mut self.skips_w) {
            self.halves.improve_w();
            if let Some(momentum) = &mut self.momentum {
                momentum.w.extrapolate(self.halves.w(), momentum.factor);
            }
        }
        if let Some(momentum) = &mut self.momentum {
            momentum.h.extrapolate(self.halves.h(), momentum.factor);
        }
        self.halves.improve_h(want_divergence)
    }

    /// Notes the divergence; where extrapolation made it rise, the best factors come back.
    fn settle(&mut self, divergence: f64) -> f64 {
        let Some(momentum) = &mut self.momentum else { return divergence * self.to_input };
        momentum.has_restarted = divergence > momentum.best * (1.0 + RISE);
        if momentum.has_restarted {
            momentum.t = 1.0;
            momentum.w.restore(self.halves.w());
            momentum.h.restore(self.halves.h());
            self.skips_w = true;
        } else {
            momentum.best = divergence;
            momentum.w.best.copy_from_slice(self.halves.w());
            momentum.h.best.copy_from_slice(self.halves.h());
        }
        momentum.best * self.to_input
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
        self.momentum.as_ref().is_some_and(|momentum| momentum.has_restarted)
    }
}

impl<T: Entries> Past<T> {
    fn new(x: &[T]) -> Self {
        Self { before: x.to_vec(), best: x.to_vec() }
    }

    /// `x` goes on in the direction in which it grew.
    fn extrapolate(&mut self, x: &mut [T], factor: f32) {
        for (x, before) in x.iter_mut().zip(&mut self.before) {
            for (x, before) in x.entries().iter_mut().zip(before.entries()) {
                let now = *x;
                *x = now + factor * (now - *before).max(0.0);
                *before = now;
            }
        }
    }

    fn restore(&mut self, x: &mut [T]) {
        x.copy_from_slice(&self.best);
        self.before.copy_from_slice(&self.best);
    }
}
