//! Projected gradient descent for non-negative least squares.

use ndarray::{Array2, Axis, Zip};

use super::least_squares::Normal;

/// A step must lower the objective by this share of what its slope promises (Lin's sigma).
const SUFFICIENT: f64 = 0.01;

/// From one step length tried to the next (Lin's beta).
const SHRINK: f64 = 0.1;

/// Step lengths tried for one step.
const MAX_TRIALS: usize = 20;

/// Steps in one half of an iteration.
const MAX_STEPS: usize = 50;

/// A tolerance starts at this share of the first projected gradient.
const FIRST_TOLERANCE: f64 = 1e-3;

/// Descends until the projected gradient is below `tolerance`, which starts from the first gradient seen and becomes
/// smaller when the first step already meets it.
///
/// # References
/// C.-J. Lin, "Projected gradient methods for nonnegative matrix factorization", Neural Computation 19(10), 2007: the
/// improved projected gradient method, and its stopping conditions for the subproblems.
pub(super) fn descend(normal: &Normal, x: &mut Array2<f32>, tolerance: &mut Option<f64>) {
    let mut step = 1.0;
    for n_steps in 0..MAX_STEPS {
        let gradient = gradient(normal, x);
        let size = projected_size(&gradient, x);
        let tolerance = tolerance.get_or_insert(FIRST_TOLERANCE * size);
        if size <= *tolerance {
            if n_steps == 0 {
                *tolerance *= 0.1;
            }
            return;
        }
        let Some(next) = search(normal, x, &gradient, &mut step) else { return };
        *x = next;
    }
}

/// X - step * gradient, projected, for the longest step of the form `step * SHRINK^i` that lowers the objective
/// enough; `step` starts where it ended the last time.
fn search(normal: &Normal, x: &Array2<f32>, gradient: &Array2<f64>, step: &mut f64) -> Option<Array2<f32>> {
    let mut best = None;
    let mut grows = None;
    for _ in 0..MAX_TRIALS {
        let next = projected(x, gradient, *step);
        if lowers_enough(normal, x, &next, gradient) {
            let is_last = grows == Some(false) || best.as_ref() == Some(&next);
            best = Some(next);
            if is_last {
                return best;
            }
            grows = Some(true);
            *step /= SHRINK;
        } else {
            if grows == Some(true) {
                *step *= SHRINK;
                return best;
            }
            grows = Some(false);
            *step *= SHRINK;
        }
    }
    best
}

/// X G - C, 0 at the fixed components.
fn gradient(normal: &Normal, x: &Array2<f32>) -> Array2<f64> {
    let mut gradient = x.mapv(f64::from).dot(&normal.gram);
    Zip::from(&mut gradient).and(&normal.cross).for_each(|g, &c| *g -= f64::from(c) - normal.l1);
    for (k, mut column) in gradient.axis_iter_mut(Axis(1)).enumerate() {
        if normal.free.binary_search(&k).is_err() {
            column.fill(0.0);
        }
    }
    gradient
}

/// Norm of the gradient where a step along it stays feasible.
fn projected_size(gradient: &Array2<f64>, x: &Array2<f32>) -> f64 {
    let mut squares = 0.0;
    Zip::from(gradient).and(x).for_each(|&g, &x| {
        if g < 0.0 || x > 0.0 {
            squares += g * g;
        }
    });
    squares.sqrt()
}

fn projected(x: &Array2<f32>, gradient: &Array2<f64>, step: f64) -> Array2<f32> {
    let mut next = x.clone();
    Zip::from(&mut next).and(gradient).for_each(|x, &g| *x = (f64::from(*x) - step * g).max(0.0) as f32);
    next
}

/// Lin's sufficient decrease for a quadratic: (1 - sigma) <gradient, d> + 1/2 <d, d G> <= 0 with d the step.
fn lowers_enough(normal: &Normal, x: &Array2<f32>, next: &Array2<f32>, gradient: &Array2<f64>) -> bool {
    let d = next.mapv(f64::from) - x.mapv(f64::from);
    let slope = (&d * gradient).sum();
    let curvature = (&d.dot(&normal.gram) * &d).sum();
    (1.0 - SUFFICIENT) * slope + 0.5 * curvature <= 0.0
}
