//! A fit that begins on a smaller matrix: some of the columns, and sums of rows. Most iterations are spent there, where
//! they cost little, and what they found is carried over to the whole.
//! Knows which sums and which columns only as it is told.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::config::setting;
use super::sampled::between;
use super::{Factor, Factorization, Init, NmfConfig, Solver, Stopping, fit_with};
use crate::Result;
use crate::watch::{Progress, Watch};

/// Iterations that find W on all rows under the activations that were found on sums of rows.
const ROWS: usize = 5;

/// Iterations over both factors on all rows of the columns that were looked at first, where there are others.
const FEW: usize = 10;

/// Iterations that find the activations of the other columns, on sums of rows.
const OTHERS: usize = 8;

/// Iterations over both factors on the whole matrix.
const ALL: usize = 10;

/// What a fit looks at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coarse {
    /// The first of the rows that are looked at together, for each group of them, from 0, and last the number of rows.
    pub edges: Vec<usize>,
    /// Columns that are looked at first, at the most, spread evenly over all; at least 1.
    pub max_columns: usize,
}

/// [`fit_with`](super::fit_with), begun on sums of rows of some columns. The Kullback-Leibler divergence of sums is that of
/// a coarser look at the same model, so that its activations serve the whole matrix, and the templates follow from them.
///
/// It is for neighboring rows that are alike, such as bins at high frequencies, and for columns that repeat one another,
/// such as frames of music. What comes out is another minimum than that of `fit`, usually a little higher: by 0.6 % on three
/// minutes of songs at 32 components, for a sixth of the time. Iterations are counted over all stages; the curve is that of
/// the last one. Where the config asks for what has no coarser look (other divergences, penalties, weights, guidance, given
/// factors, a target), it is `fit_with` alone.
///
/// # Errors
/// Those of `fit_with`, and [`Error::Setting`](crate::Error::Setting) for edges that do not go from 0 to the number of rows,
/// and for no columns; [`Error::Cancelled`](crate::Error::Cancelled) where `watch` ends a fit before its last stage.
///
/// # Cost
/// With G groups of rows and C columns: 8 G C `n_components` operations per iteration of the config, and 8 `n_rows`
/// `n_columns` `n_components` for each of ten more. Memory beside what `fit_with` takes: the smaller matrix.
pub fn fit_coarse_to_fine(
    v: ArrayView2<'_, f32>,
    config: &NmfConfig,
    coarse: &Coarse,
    watch: &mut Watch<'_>,
) -> Result<Factorization> {
    let Coarse { edges, max_columns } = coarse;
    let is_whole = edges.first() == Some(&0) && edges.last() == Some(&v.nrows());
    if !is_whole || edges.windows(2).any(|pair| pair[0] >= pair[1]) {
        let expected = format!("rising numbers from 0 to {} (the number of rows)", v.nrows());
        return Err(setting("edges", format!("{} numbers", edges.len()), &expected));
    }
    if *max_columns == 0 {
        return Err(setting("max_columns", "0", "at least 1"));
    }
    let stride = v.ncols().div_ceil(*max_columns).max(1);
    let is_smaller = stride > 1 || edges.len() <= v.nrows();
    if !is_smaller || !has_coarser_look(config) {
        return fit_with(v, config, watch);
    }
    config.check(v)?;
    let few: Vec<usize> = (0..v.ncols()).step_by(stride).collect();
    let n_few = if stride > 1 { FEW } else { 0 };
    let n_others = if stride > 1 { OTHERS } else { 0 };
    let mut stages = Stages { done: 0, total: config.max_iter + ROWS + n_few + n_others + ALL, watch };

    let sums = pooled(v, edges);
    let sums_of_few = if stride > 1 { sums.select(Axis(0), &few) } else { sums.clone() };
    let first = stages.fit(sums_of_few.t(), config.clone())?;
    let stop_reason = first.stop_reason;
    let n_before = first.n_iter;

    // Each template as it was found, evenly over the rows of a group, and then as the rows want it.
    let mut w = Array2::zeros((v.nrows(), config.n_components));
    for (group, edge) in first.dictionary.outer_iter().zip(edges.windows(2)) {
        let share = 1.0 / (edge[1] - edge[0]) as f32;
        w.slice_mut(s![edge[0]..edge[1], ..]).outer_iter_mut().for_each(|mut row| row.assign(&(&group * share)));
    }
    let mut h = first.activations;
    let v_of_few = if stride > 1 { v.select(Axis(1), &few) } else { Array2::zeros((0, 0)) };
    let fine = if stride > 1 { v_of_few.view() } else { v };
    let steps =
        |dictionary, activations, max_iter| NmfConfig { dictionary, activations, max_iter, tol: 0.0, ..config.clone() };
    w = stages.fit(fine, steps(Factor::Seed(w), Factor::Fixed(h.clone()), ROWS))?.dictionary;
    if stride > 1 {
        let both = stages.fit(fine, steps(Factor::Seed(w), Factor::Seed(h), FEW))?;
        w = both.dictionary;
        let start = between(&both.activations, stride, v.ncols());
        let pooled_w = pooled(w.view(), edges).reversed_axes();
        h = stages.fit(sums.t(), steps(Factor::Fixed(pooled_w), Factor::Seed(start), OTHERS))?.activations;
    }
    let last = stages.fit(v, steps(Factor::Seed(w), Factor::Seed(h), ALL))?;
    let n_before = n_before + ROWS + n_few + n_others;
    Ok(Factorization {
        n_iter: n_before + last.n_iter,
        divergence_curve: last.divergence_curve.into_iter().map(|(i, x)| (n_before + i, x)).collect(),
        stop_reason,
        ..last
    })
}

/// Whether sums and some of the columns tell what is asked for.
fn has_coarser_look(config: &NmfConfig) -> bool {
    let is_free = config.dictionary == Factor::Free && config.activations == Factor::Free;
    let is_usual = config.solver == Solver::MuExtrapolated && config.stopping == Stopping::Divergence;
    let has_time = config.max_iter > ALL && config.target_divergence.is_none();
    is_free && is_usual && has_time && config.init == Init::Random && config.is_plain_kl() && config.guidance.is_none()
}

/// The stages of a fit, as one to whoever watches.
struct Stages<'a, 'w> {
    done: usize,
    total: usize,
    watch: &'a mut Watch<'w>,
}

impl Stages<'_, '_> {
    fn fit(&mut self, v: ArrayView2<'_, f32>, config: NmfConfig) -> Result<Factorization> {
        let Self { done, total, watch } = self;
        let mut tell = |at: Progress| {
            let told = watch.tell(Progress { done: *done as u64 + at.done, total: Some(*total as u64), ..at });
            if told.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let found = fit_with(v, &config, &mut Watch::new(&mut tell))?.complete()?;
        self.done += config.max_iter;
        Ok(found)
    }
}

/// The sums of groups of rows, columns x groups.
fn pooled(v: ArrayView2<'_, f32>, edges: &[usize]) -> Array2<f32> {
    let mut sums = Array2::zeros((v.ncols(), edges.len().saturating_sub(1)));
    let columns = v.axis_iter(Axis(1)).into_par_iter();
    sums.outer_iter_mut().into_par_iter().zip(columns).for_each(|(mut sums, column)| {
        for (sum, edge) in sums.iter_mut().zip(edges.windows(2)) {
            *sum = column.slice(s![edge[0]..edge[1]]).sum();
        }
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::nmf::testing::noise;
    use crate::nmf::{Regularization, fit};

    /// Three templates over 60 rows, the upper 40 of which come in fours that are alike, in 300 columns that change slowly.
    fn matrix() -> (Array2<f32>, Coarse) {
        let templates = noise((60, 3), 1);
        let w = Array2::from_shape_fn((60, 3), |(row, k)| {
            let group = if row < 20 { row } else { row / 4 * 4 };
            templates[(group, k)].powi(3) * (0.9 + 0.1 * templates[(row, k)])
        });
        let h =
            Array2::from_shape_fn((3, 300), |(k, i)| (1.0 + (0.03 * (k + 1) as f32 * i as f32).sin()).powi(2) + 0.01);
        let v = w.dot(&h) + 0.01 * noise((60, 300), 2);
        (v, Coarse { edges: (0..20).chain((20..=60).step_by(4)).collect(), max_columns: 40 })
    }

    fn config() -> NmfConfig {
        NmfConfig { n_components: 3, ..NmfConfig::default() }
    }

    #[test]
    fn a_coarse_start_ends_about_as_close_as_a_whole_fit() {
        let (v, coarse) = matrix();
        let whole = fit(v.view(), &config()).expect("fit");
        for max_columns in [40, 300] {
            let coarse = Coarse { max_columns, ..coarse.clone() };
            let found = fit_coarse_to_fine(v.view(), &config(), &coarse, &mut Watch::none()).expect("fit");
            assert_eq!((found.dictionary.dim(), found.activations.dim()), ((60, 3), (3, 300)));
            let (got, expected) = (found.divergence, whole.divergence);
            assert!(got < 1.1 * expected, "{got} with {max_columns} columns, {expected} by a whole fit");
            assert_eq!(found.divergence_curve.last().map(|(n_iter, _)| *n_iter), Some(found.n_iter));
        }
    }

    #[test]
    fn what_has_no_coarser_look_is_fitted_as_ever() {
        let (v, coarse) = matrix();
        let sparse = Regularization { sparsity: 0.1, ..Regularization::default() };
        for config in [
            NmfConfig { regularization: sparse, ..config() },
            NmfConfig { solver: Solver::Mu, ..config() },
            NmfConfig { max_iter: 3, ..config() },
            NmfConfig { dictionary: Factor::Seed(noise((60, 3), 5)), ..config() },
        ] {
            let found = fit_coarse_to_fine(v.view(), &config, &coarse, &mut Watch::none()).expect("fit");
            assert_eq!(found, fit(v.view(), &config).expect("fit"));
        }
        let nothing_less = Coarse { edges: (0..=60).collect(), max_columns: 300 };
        let found = fit_coarse_to_fine(v.view(), &config(), &nothing_less, &mut Watch::none()).expect("fit");
        assert_eq!(found, fit(v.view(), &config()).expect("fit"));
    }

    #[test]
    fn edges_that_miss_rows_and_no_columns_are_refused() {
        let (v, coarse) = matrix();
        for edges in [vec![], vec![0, 59], vec![1, 60], vec![0, 30, 30, 60], vec![0, 40, 20, 60]] {
            let wrong = Coarse { edges, ..coarse.clone() };
            let error = fit_coarse_to_fine(v.view(), &config(), &wrong, &mut Watch::none()).expect_err("edges");
            assert!(matches!(error, Error::Setting { name: "edges", .. }), "{error}");
        }
        let none = Coarse { max_columns: 0, ..coarse };
        let error = fit_coarse_to_fine(v.view(), &config(), &none, &mut Watch::none()).expect_err("no columns");
        assert!(matches!(error, Error::Setting { name: "max_columns", .. }), "{error}");
    }

    #[test]
    fn whoever_watches_sees_one_fit_and_may_stop_it() {
        let (v, coarse) = matrix();
        let run = |n_heard: usize| {
            let mut heard = Vec::new();
            let mut tell = |at: Progress| {
                heard.push((at.done, at.total));
                if heard.len() == n_heard { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let found = fit_coarse_to_fine(v.view(), &config(), &coarse, &mut Watch::new(&mut tell));
            (found, heard)
        };
        let (found, heard) = run(usize::MAX);
        assert!(
            found.is_ok() && heard.is_sorted() && heard.iter().all(|(done, total)| Some(*done) <= *total),
            "{heard:?}"
        );
        assert_eq!(heard.last(), Some(&(233, Some(233))), "200, 5, 10, 8 and 10");
        for n_heard in [3, heard.len() - 2] {
            assert!(matches!(run(n_heard).0, Err(Error::Cancelled)), "stopped after {n_heard}");
        }
    }
}
