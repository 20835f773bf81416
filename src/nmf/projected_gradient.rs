//! Projected gradient descent for non-negative least squares.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Zip};

use super::Real;
use super::kernel::wide;
use super::normal::Normal;

/// A step must lower the objective by this share of what its slope promises (Lin's sigma).
const SUFFICIENT: f64 = 0.01;

/// From one step length tried to the next (Lin's beta).
const SHRINK: f64 = 0.1;

/// Step lengths tried for one step.
const MAX_TRIALS: usize = 20;

/// Steps in one half of an iteration: more bring little before the other factor has moved.
const MAX_STEPS: usize = 20;

/// A tolerance starts at this share of the first projected gradient.
const FIRST_TOLERANCE: f64 = 1e-3;

/// Descends until the projected gradient is below `tolerance`, which starts from the first gradient seen and becomes
/// smaller when the first step already meets it. `x` and `cross` are some rows of X and of V B: the rows of X are
/// problems of their own, and a group of them has its own step length.
///
/// # References
/// C.-J. Lin, "Projected gradient methods for nonnegative matrix factorization", Neural Computation 19(10), 2007: the
/// improved projected gradient method, and its stopping conditions for the subproblems.
pub(super) fn descend<T: Real>(
    normal: &Normal<T>,
    x: &mut ArrayViewMut2<'_, T>,
    cross: ArrayView2<'_, T>,
    tolerance: &mut Option<f64>,
) {
    let mut gradient = gradient(normal, &x.view(), cross);
    let mut step = 1.0;
    for n_steps in 0..MAX_STEPS {
        let size = projected_size(&gradient, &x.view());
        let tolerance = tolerance.get_or_insert(FIRST_TOLERANCE * size);
        if size <= *tolerance {
            if n_steps == 0 {
                *tolerance *= 0.1;
            }
            return;
        }
        let Some(found) = search(normal, &x.view(), &gradient, &mut step) else { return };
        x.assign(&found.x);
        gradient += &found.gradient_change;
    }
}

/// A step that was tried.
struct Trial<T: Real> {
    x: Array2<T>,
    /// d G, with d the step: what it adds to the gradient.
    gradient_change: Array2<f64>,
}

/// The longest step of the form `step * SHRINK^i` that lowers the objective enough; `step` starts where it ended the
/// last time. None where rounding leaves no such step.
fn search<T: Real>(
    normal: &Normal<T>,
    x: &ArrayView2<'_, T>,
    gradient: &Array2<f64>,
    step: &mut f64,
) -> Option<Trial<T>> {
    let mut best: Option<Trial<T>> = None;
    let mut is_too_long = false;
    for _ in 0..MAX_TRIALS {
        match try_step(normal, x, gradient, *step) {
            Some(trial) if is_too_long => return Some(trial),
            // All that can reach 0 has reached it.
            Some(trial) if best.as_ref().is_some_and(|best| best.x == trial.x) => return best,
            Some(trial) => {
                best = Some(trial);
                *step /= SHRINK;
            }
            None => {
                *step *= SHRINK;
                if best.is_some() {
                    return best;
                }
                is_too_long = true;
            }
        }
    }
    best
}

/// X - step * gradient, projected, where that lowers the objective enough: for a quadratic with slope and curvature
/// along the step d, Lin's condition is `(1 - SUFFICIENT) <gradient, d> + 1/2 <d, d G> <= 0`.
fn try_step<T: Real>(normal: &Normal<T>, x: &ArrayView2<'_, T>, gradient: &Array2<f64>, step: f64) -> Option<Trial<T>> {
    let (mut next, mut d) = (x.to_owned(), Array2::zeros(x.dim()));
    Zip::from(&mut next).and(&mut d).and(gradient).for_each(|x, d, &g| {
        let before = wide(*x);
        *x = T::of((before - step * g).max(0.0));
        *d = wide(*x) - before;
    });
    let slope = (&d * gradient).sum();
    let mut gradient_change = d.dot(&normal.gram);
    let curvature = (&gradient_change * &d).sum();
    keep_fixed(normal, &mut gradient_change);
    ((1.0 - SUFFICIENT) * slope + 0.5 * curvature <= 0.0).then_some(Trial { x: next, gradient_change })
}

/// X G - C, 0 at the fixed components.
fn gradient<T: Real>(normal: &Normal<T>, x: &ArrayView2<'_, T>, cross: ArrayView2<'_, T>) -> Array2<f64> {
    let mut gradient = x.mapv(wide).dot(&normal.gram);
    Zip::from(&mut gradient).and(&cross).for_each(|g, &c| *g -= wide(c) - normal.l1);
    keep_fixed(normal, &mut gradient);
    gradient
}

/// Sets the columns of fixed components to 0.
fn keep_fixed<T: Real>(normal: &Normal<T>, gradient: &mut Array2<f64>) {
    for (k, mut column) in gradient.axis_iter_mut(Axis(1)).enumerate() {
        if normal.free.binary_search(&k).is_err() {
            column.fill(0.0);
        }
    }
}

/// Norm of the gradient where a step along it stays feasible.
fn projected_size<T: Real>(gradient: &Array2<f64>, x: &ArrayView2<'_, T>) -> f64 {
    let mut squares = 0.0;
    Zip::from(gradient).and(x).for_each(|&g, &x| {
        if g < 0.0 || x > T::of(0.0) {
            squares += g * g;
        }
    });
    squares.sqrt()
}
