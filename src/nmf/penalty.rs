//! Penalties in the units of the scaled problem, each as a majorizer that multiplicative updates can use.
//!
//! Here W is rows x K and H is transposed, columns x K.

use ndarray::{Array1, Array2, ArrayView1};

use super::Real;
use super::config::Regularization;
use super::data::column_sums;
use super::kernel::wide;

/// What the factors pay for, ready for the updates.
///
/// # References
/// Sparsity is that of J. Le Roux, F. J. Weninger and J. R. Hershey, "Sparse NMF: half-baked or well done?", MERL
/// TR2015-023, 2015. There the columns of W are normalized inside the objective; here each activation costs the norm of
/// its column, which is the same objective without a constraint. Linear in H, it is exact there; for W, a norm n lies
/// below `n0 / 2 + n^2 / (2 n0)` with n0 the present one, a square, so that the objective falls.
///
/// The group penalty is that of A. Lefevre, F. Bach and C. Fevotte, "Itakura-Saito nonnegative matrix factorization
/// with group sparsity", ICASSP 2011: the logarithm of a group's level, majorized by its tangent. There the columns of
/// W sum to one; here the level takes in the sums of the columns of W, which is the same penalty without a
/// constraint, and the updates of W see it, too.
///
/// The cost of changes is that of T. Virtanen, "Monaural sound source separation by nonnegative matrix factorization
/// with temporal continuity and sparseness criteria", IEEE TASLP 15(3), 2007. His update splits its gradient in a way
/// that may raise the objective; the split here comes from a majorizer, see [`Continuity`].
#[derive(Debug, Clone)]
pub(super) struct Penalties {
    pub(super) l1_w: f64,
    pub(super) l2_w: f64,
    pub(super) l1_h: f64,
    pub(super) l2_h: f64,
    group: Option<Group>,
    /// An activation costs this times the norm of its template.
    sparsity: f64,
    /// Virtanen's cost counts this much.
    continuity: f64,
}

#[derive(Debug, Clone)]
struct Group {
    /// Group of each component, from 0.
    group_of: Vec<usize>,
    n_groups: usize,
    /// Cost of one group and column, per row and logarithm.
    strength: f64,
    offset: f64,
    /// Mean of V: levels are relative to it.
    mean: f64,
}

/// The scales between the problem's units and the input's: V = `v` V', W = `w` W', H = `h` H'.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scales {
    pub(super) v: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

impl Penalties {
    /// `mean` is that of V in the problem's units.
    pub(super) fn new(r: &Regularization, shape: (usize, usize), scales: Scales, beta: f64, mean: f64) -> Self {
        let (n_rows, n_columns) = (shape.0 as f64, shape.1 as f64);
        // The divergence shrinks by v^beta, and so does what is added to it.
        let to_scale = scales.v.powf(-beta);
        let relative = mean.powf(beta);
        let l1_ratio = r.l1_ratio;
        let (alpha_w, alpha_h) = (r.alpha_dictionary * n_columns, r.alpha_activations * n_rows);
        Self {
            l1_w: alpha_w * l1_ratio * scales.w * to_scale,
            l2_w: alpha_w * (1.0 - l1_ratio) * scales.w * scales.w * to_scale,
            l1_h: alpha_h * l1_ratio * scales.h * to_scale,
            l2_h: alpha_h * (1.0 - l1_ratio) * scales.h * scales.h * to_scale,
            group: r.group_sparsity.as_ref().map(|group| {
                let mut names = group.groups.clone();
                names.sort_unstable();
                names.dedup();
                Group {
                    group_of: group.groups.iter().map(|name| names.partition_point(|other| other < name)).collect(),
                    n_groups: names.len(),
                    strength: group.strength * relative,
                    offset: group.offset,
                    mean,
                }
            }),
            sparsity: r.sparsity * n_rows.sqrt() * mean.powf(beta - 1.0),
            continuity: r.temporal_continuity * n_rows * relative,
        }
    }

    /// The sum of all penalties, in the problem's units (the divergence's, that is, over v^beta).
    pub(super) fn value<T: Real>(&self, w: &Array2<T>, h: &Array2<T>) -> f64 {
        let mut total = elastic(w, self.l1_w, self.l2_w) + elastic(h, self.l1_h, self.l2_h);
        if let Some(group) = &self.group {
            let sums = column_sums(w);
            let mut levels = vec![0.0; group.n_groups];
            let mut logs = 0.0;
            for row in h.rows() {
                group.levels(row, &sums, w.nrows(), &mut levels);
                logs += levels.iter().map(|level| (level / group.offset).ln_1p()).sum::<f64>();
            }
            total += group.strength * w.nrows() as f64 * logs;
        }
        if self.sparsity > 0.0 {
            let costs = column_norms(w) * column_sums(h);
            total += self.sparsity * costs.sum();
        }
        if self.continuity > 0.0 {
            total += self.continuity * h.columns().into_iter().map(changes).sum::<f64>();
        }
        total
    }

    /// Slope per component of what is linear in W, after majorization.
    pub(super) fn dictionary_slopes<T: Real>(&self, w: &Array2<T>, h: &Array2<T>) -> Array1<T> {
        let mut slopes = Array1::from_elem(w.ncols(), self.l1_w);
        if let Some(group) = &self.group {
            let sums = column_sums(w);
            let mut levels = vec![0.0; group.n_groups];
            for row in h.rows() {
                group.levels(row, &sums, w.nrows(), &mut levels);
                for ((slope, &h), &at) in slopes.iter_mut().zip(row).zip(&group.group_of) {
                    *slope += group.strength / group.mean * wide(h) / (group.offset + levels[at]);
                }
            }
        }
        slopes.mapv(T::of)
    }

    /// What multiplies the squares of W, per component and twice over, after majorization.
    pub(super) fn dictionary_squares<T: Real>(&self, w: &Array2<T>, h: &Array2<T>) -> Array1<T> {
        if self.sparsity == 0.0 {
            return Array1::from_elem(w.ncols(), T::of(self.l2_w));
        }
        let norms = column_norms(w).mapv(|norm| if norm > 0.0 { norm } else { f64::INFINITY });
        (self.sparsity * column_sums(h) / norms + self.l2_w).mapv(T::of)
    }

    /// Whether steps of W have to be shorter for the squares that it pays for; with `Mu`, as with scikit-learn's, those of
    /// `alpha_dictionary` do not count.
    pub(super) fn has_dictionary_squares(&self, minds_alpha: bool) -> bool {
        self.sparsity > 0.0 || minds_alpha && self.l2_w > 0.0
    }

    /// The slopes for H: gives those of one frame, from W and its column sums.
    pub(super) fn activation_slopes<'a, T: Real>(
        &'a self,
        w: &Array2<T>,
        sums: &'a Array1<f64>,
    ) -> impl Fn(ArrayView1<'_, T>, &mut [T]) + Sync + use<'a, T> {
        let n_rows = w.nrows();
        let constant = if self.sparsity > 0.0 {
            column_norms(w).mapv(|norm| T::of(self.l1_h + self.sparsity * norm))
        } else {
            Array1::from_elem(w.ncols(), T::of(self.l1_h))
        };
        move |row, slopes| {
            slopes.iter_mut().zip(&constant).for_each(|(slope, constant)| *slope = *constant);
            if let Some(group) = &self.group {
                let mut levels = vec![0.0; group.n_groups];
                group.levels(row, sums, n_rows, &mut levels);
                for ((slope, sum), &at) in slopes.iter_mut().zip(sums).zip(&group.group_of) {
                    *slope += T::of(group.strength / group.mean * sum / (group.offset + levels[at]));
                }
            }
        }
    }

    /// The majorizer of the cost of changes at the present H, where there is such a cost.
    pub(super) fn continuity<T: Real>(&self, h: &Array2<T>) -> Option<Continuity<T>> {
        (self.continuity > 0.0).then(|| Continuity::new(h, self.continuity))
    }
}

impl Group {
    /// Mean over the rows of what each group adds to one frame, relative to the mean of V.
    fn levels<T: Real>(&self, row: ArrayView1<'_, T>, sums: &Array1<f64>, n_rows: usize, levels: &mut [f64]) {
        levels.fill(0.0);
        for ((&h, sum), &at) in row.iter().zip(sums).zip(&self.group_of) {
            levels[at] += wide(h) * sum / (n_rows as f64 * self.mean);
        }
    }
}

/// The cost of changes of one component, N A / B with A the sum of its squared steps and B that of its squares,
/// around the present H (written h0).
///
/// With Q = 2B - A, the sum over n of `h_n (h_(n-1) + h_(n+1))`, a missing neighbor at an end being `h_n` itself, the
/// cost is N (2 - Q / B). As Q / B >= (Q0 / B0) (1 + ln(Q / Q0) - ln(B / B0)), as ln B lies below its tangent, and
/// as ln Q, a log of a sum of products, lies above its mean of logs (Jensen), the cost is at most, up to a constant,
///
/// ```text
/// N sum over n of  h_n^2 Q0 / B0^2  -  2 h0_n (h0_(n-1) + h0_(n+1)) / B0 ln h_n
/// ```
///
/// with equality at h0. Its slope is `plus_n h_n / h0_n - minus_n h0_n / h_n` in the notation below: the gradient is
/// Virtanen's, split in another place.
#[derive(Debug)]
pub(super) struct Continuity<T: Real> {
    /// The positive part of the slope, columns x K.
    pub(super) plus: Array2<T>,
    /// The negative part.
    pub(super) minus: Array2<T>,
}

impl<T: Real> Continuity<T> {
    fn new(h: &Array2<T>, strength: f64) -> Self {
        let (mut plus, mut minus) = (Array2::zeros(h.dim()), Array2::zeros(h.dim()));
        let n = h.nrows();
        for (k, column) in h.columns().into_iter().enumerate() {
            let (steps, squares) = steps_and_squares(column);
            if squares == 0.0 {
                continue;
            }
            let up = 2.0 * strength * n as f64 * (2.0 * squares - steps) / (squares * squares);
            let down = 2.0 * strength * n as f64 / squares;
            for i in 0..n {
                let neighbors = wide(column[i.saturating_sub(1)]) + wide(column[(i + 1).min(n - 1)]);
                plus[(i, k)] = T::of(up * wide(column[i]));
                minus[(i, k)] = T::of(down * neighbors);
            }
        }
        Self { plus, minus }
    }
}

/// Euclidean norms of columns.
fn column_norms<T: Real>(x: &Array2<T>) -> Array1<f64> {
    x.columns().into_iter().map(|x| x.iter().map(|&x| wide(x).powi(2)).sum::<f64>().sqrt()).collect()
}

/// l1 sum(X) + l2 / 2 sum(X^2)
fn elastic<T: Real>(x: &Array2<T>, l1: f64, l2: f64) -> f64 {
    if l1 == 0.0 && l2 == 0.0 {
        return 0.0;
    }
    let sums = x.fold((0.0, 0.0), |(sum, squares), &x| {
        let x = wide(x);
        (sum + x, squares + x * x)
    });
    l1 * sums.0 + 0.5 * l2 * sums.1
}

/// Virtanen's cost of one component: N A / B, 0 where it is silent.
fn changes<T: Real>(component: ArrayView1<'_, T>) -> f64 {
    let (steps, squares) = steps_and_squares(component);
    if squares > 0.0 { component.len() as f64 * steps / squares } else { 0.0 }
}

/// A and B: the sums of squared steps and of squares.
fn steps_and_squares<T: Real>(component: ArrayView1<'_, T>) -> (f64, f64) {
    let steps = component.windows(2).into_iter().map(|pair| (wide(pair[1]) - wide(pair[0])).powi(2)).sum();
    (steps, component.iter().map(|&x| wide(x).powi(2)).sum())
}

/// The exponent that keeps a multiplicative step `(numerator / denominator)^exponent` from overshooting the minimum
/// of its majorizer.
///
/// With r the new entry over the old, the majorizer's slope is a sum of powers of r, positive ones from the
/// denominator's terms and negative ones from the numerator's: those of the divergence (Fevotte and Idier 2011, table
/// of MM updates) are `r^(beta - 1)`, or `r^0` where that part is concave (beta < 1), and `r^(beta - 2)`, or `r^0`
/// (beta > 2); squares add `r^1`, the cost of changes `r^1` and `r^-1`, linear terms `r^0`. One over the distance from
/// the lowest negative to the highest positive exponent is safe: for r > 1 no positive term then grows faster, and no
/// negative one falls faster, than in the step's own equation, so that the slope is still negative there; for r < 1
/// likewise. Without squares and changes this is Fevotte and Idier's gamma(beta).
pub(super) fn exponent(beta: f64, has_squares: bool, has_changes: bool) -> f64 {
    let mut highest = (beta - 1.0).max(0.0);
    let mut lowest = (beta - 2.0).min(0.0);
    if has_squares || has_changes {
        highest = highest.max(1.0);
    }
    if has_changes {
        lowest = lowest.min(-1.0);
    }
    1.0 / (highest - lowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_fevottes_and_idiers_without_penalties() {
        for (beta, gamma) in [(-1.0, 1.0 / 3.0), (0.0, 0.5), (0.5, 1.0 / 1.5), (1.0, 1.0), (1.7, 1.0), (3.0, 0.5)] {
            let ours = exponent(beta, false, false);
            assert!((ours - gamma).abs() < 1e-6, "beta {beta}: {ours}, expected {gamma}");
        }
    }
}
