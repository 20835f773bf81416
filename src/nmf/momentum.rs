//! Extrapolation: factors go on in the direction in which they grew, and go back where that made things worse.
//! Knows lists of entries and the divergence at the checks; what they are entries of, only the solvers know.

use super::kernel::{Element, Lanes, wide};

/// Relative rise of the divergence, from one check to the next, that is taken for more than rounding.
const RISE: f64 = 1e-6;

/// Nesterov's sequence.
///
/// # References
/// L. T. K. Hien, V. Leplat and N. Gillis, "Block majorization minimization with extrapolation and application to
/// beta-NMF", 2024.
#[derive(Debug)]
pub(super) struct Sequence {
    /// 1 at a (re)start.
    t: f64,
}

impl Sequence {
    pub(super) fn new() -> Self {
        Self { t: 1.0 }
    }

    /// How far to go on next, in units of the last step: 0 at a (re)start, then growing towards 1.
    ///
    /// a = (t - 1) / t', t' = (1 + sqrt(1 + 4 t^2)) / 2
    pub(super) fn advance(&mut self) -> f32 {
        let next = 0.5 * (1.0 + (1.0 + 4.0 * self.t * self.t).sqrt());
        let factor = ((self.t - 1.0) / next) as f32;
        self.t = next;
        factor
    }
}

/// How far to go on, and how low the divergence was.
#[derive(Debug)]
pub(super) struct Momentum {
    sequence: Sequence,
    factor: f32,
    best: f64,
    has_restarted: bool,
}

impl Momentum {
    pub(super) fn new() -> Self {
        Self { sequence: Sequence::new(), factor: 0.0, best: f64::INFINITY, has_restarted: false }
    }

    /// The next iteration begins.
    pub(super) fn advance(&mut self) {
        self.factor = self.sequence.advance();
    }

    /// How far this iteration goes on, in units of the last step.
    pub(super) fn factor(&self) -> f32 {
        self.factor
    }

    /// Notes the divergence at a check; whether it rose, so that the best factors have to come back.
    pub(super) fn settle(&mut self, divergence: f64) -> bool {
        self.has_restarted = divergence > self.best * (1.0 + RISE);
        if self.has_restarted {
            self.sequence = Sequence::new();
        } else {
            self.best = divergence;
        }
        self.has_restarted
    }

    /// The divergence of the present factors, after [`Momentum::settle`].
    pub(super) fn best(&self) -> f64 {
        self.best
    }

    /// Whether the last check found a rise.
    pub(super) fn has_restarted(&self) -> bool {
        self.has_restarted
    }
}

/// A rise of the objective by less than this share is rounding: its sums are of f32 products.
const ROUNDING: f64 = 1e-6;

/// Both factors, as some solver holds them.
pub(super) trait Factors: Clone {
    /// Both go on in the direction in which they grew: `X + a max(X - X_before, 0)` stays positive.
    fn go_on(&mut self, before: &Self, factor: f32);
}

/// Nesterov's momentum over both factors at once, upward only.
///
/// Where it led to a rise, the iterations up to the next check go without it.
///
/// # References
/// L. T. K. Hien, V. Leplat and N. Gillis, "Block majorization minimization with extrapolation and application to
/// beta-NMF".
pub(super) struct Extrapolation<F> {
    sequence: Sequence,
    /// The factors after the iteration before the last.
    before: Option<F>,
    /// Objective and factors at the last check that found no rise.
    best: Option<(f64, F)>,
    has_restarted: bool,
}

impl<F: Factors> Extrapolation<F> {
    pub(super) fn new() -> Self {
        Self { sequence: Sequence::new(), before: None, best: None, has_restarted: false }
    }

    /// The next iteration begins, from further on; whether the factors have changed.
    pub(super) fn extrapolate(&mut self, factors: &mut F) -> bool {
        if self.has_restarted {
            return false;
        }
        let present = factors.clone();
        let before = self.before.replace(present);
        if let Some(before) = &before {
            factors.go_on(before, self.sequence.advance());
        }
        before.is_some()
    }

    /// Notes the objective; where it rose, the best factors come back. Returns that of the factors that are left, and
    /// whether they are others.
    pub(super) fn settle(&mut self, now: f64, factors: &mut F) -> (f64, bool) {
        if let Some((best, kept)) = &self.best {
            // A NaN counts as a rise.
            self.has_restarted = (now - best).partial_cmp(&(ROUNDING * best)).is_none_or(|order| order.is_gt());
            if self.has_restarted {
                factors.clone_from(kept);
                (self.sequence, self.before) = (Sequence::new(), None);
                return (*best, true);
            }
            if now > *best {
                return (now, false);
            }
        }
        self.best = Some((now, factors.clone()));
        (now, false)
    }

    /// Whether the last check went back to earlier factors.
    pub(super) fn has_restarted(&self) -> bool {
        self.has_restarted
    }
}

/// Some entries of a factor.
pub(super) trait Entries: Copy {
    type Number: Element;

    fn entries(&mut self) -> &mut [Self::Number];
}

impl<T: Element> Entries for T {
    type Number = T;

    fn entries(&mut self) -> &mut [T] {
        std::slice::from_mut(self)
    }
}

impl<T: Element> Entries for Lanes<T> {
    type Number = T;

    fn entries(&mut self) -> &mut [T] {
        self
    }
}

/// A factor one iteration ago, before its extrapolation, and at the best check.
#[derive(Debug)]
pub(super) struct Past<T> {
    pub(super) before: Vec<T>,
    best: Vec<T>,
}

impl<T: Entries> Past<T> {
    pub(super) fn new(x: &[T]) -> Self {
        Self { before: x.to_vec(), best: x.to_vec() }
    }

    /// `x` goes on in the direction in which it grew.
    pub(super) fn extrapolate(&mut self, x: &mut [T], factor: f32) {
        extrapolate(x, &mut self.before, factor);
    }

    /// `x` is the best so far.
    pub(super) fn keep(&mut self, x: &[T]) {
        self.best.copy_from_slice(x);
    }

    /// `x` becomes the best again.
    pub(super) fn restore(&mut self, x: &mut [T]) {
        x.copy_from_slice(&self.best);
        self.before.copy_from_slice(&self.best);
    }
}

/// `x` goes on in the direction in which it grew since `before`, and `before` becomes what `x` was.
pub(super) fn extrapolate<T: Entries>(x: &mut [T], before: &mut [T], factor: f32) {
    let (factor, zero) = (T::Number::of(wide(factor)), T::Number::of(0.0));
    for (x, before) in x.iter_mut().zip(before) {
        for (x, before) in x.entries().iter_mut().zip(before.entries()) {
            let now = *x;
            *x = now + factor * (now - *before).max(zero);
            *before = now;
        }
    }
}
