//! The number of components that explains entries the fit has not seen.

use std::ops::{ControlFlow, RangeInclusive};

use ndarray::{Array2, ArrayView2, Zip};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardUniform};

use super::data::Data;
use super::kernel::wide;
use super::{Factor, NmfConfig, Real, Solver, fit_with};
use crate::error::Advice;
use crate::watch::{Progress, Watch};
use crate::{Error, Result};

/// What is held out, and how often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoldOut {
    /// Share of the entries that a fit does not see, above 0 and at most 0.5. Default 0.1.
    pub share: f64,
    /// Draws of held-out entries, each used for every number of components; at least 2. Default 5.
    pub n_repeats: usize,
}

impl Default for HoldOut {
    fn default() -> Self {
        Self { share: 0.1, n_repeats: 5 }
    }
}

/// How well each number of components does, and the one to take.
#[derive(Debug, Clone, PartialEq)]
pub struct RankSelection {
    /// One score per number of components, in order.
    pub curve: Vec<RankScore>,
    /// The number of components to take.
    pub best: usize,
}

/// How well one number of components does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankScore {
    /// Number of components.
    pub n_components: usize,
    /// Divergence of the held-out entries, mean per entry and over the repeats, on the input's scale.
    pub held_out: f64,
    /// Standard error of that mean, from the repeats.
    pub std_error: f64,
}

/// Finds the number of components that predicts hidden entries best.
///
/// Single entries are hidden at random (by a weight of 0), the rest is factorized, and the divergence of the hidden
/// ones from W H is the score: too few components cannot express them, too many follow the noise of the rest.
/// Every number of components sees the same hidden entries, so that their scores are compared pair by pair. The
/// choice is the smallest number whose score is worse than the best one by no more than one standard error of their
/// difference: where two numbers do equally well, the smaller one is the safer reading.
///
/// `config.n_components` is not used; everything else is.
///
/// # Errors
/// Those of [`fit`](super::fit); [`Error::Setting`] for an empty range, a share or a number of repeats out of range, a
/// solver without weights, or factors that are given.
///
/// # Cost
/// `n_repeats` fits per number of components, and one weight matrix of the size of V at a time.
///
/// # References
/// S. Wold, "Cross-validatory estimation of the number of components in factor and principal components models",
/// Technometrics 20(4), 1978 (single entries held out). A. B. Owen and P. O. Perry, "Bi-cross-validation of the SVD
/// and the nonnegative matrix factorization", Annals of Applied Statistics 3(2), 2009.
///
/// # Examples
/// ```
/// use partita::nmf::{HoldOut, NmfConfig, select_rank};
/// let v = ndarray::Array2::from_shape_fn((20, 30), |(i, j)| (1 + i % 3) as f32 * (1 + j % 4) as f32);
/// let ranks = select_rank(v.view(), 1..=2, &NmfConfig::default(), &HoldOut::default())?;
/// assert_eq!(ranks.best, 1, "an outer product has rank one");
/// # Ok::<(), partita::Error>(())
/// ```
pub fn select_rank<T: Real>(
    v: ArrayView2<'_, T>,
    range: RangeInclusive<usize>,
    config: &NmfConfig<T>,
    hold_out: &HoldOut,
) -> Result<RankSelection> {
    select_rank_with(v, range, config, hold_out, &mut Watch::none())
}

/// [`select_rank`], telling `watch` of every iteration, counted over all fits as if each took all that it may.
///
/// # Errors
/// Those of [`select_rank`], and [`Error::Cancelled`] where `watch` cancels it.
pub fn select_rank_with<T: Real>(
    v: ArrayView2<'_, T>,
    range: RangeInclusive<usize>,
    config: &NmfConfig<T>,
    hold_out: &HoldOut,
    watch: &mut Watch<'_>,
) -> Result<RankSelection> {
    check(v, &range, config, hold_out)?;
    let ranks: Vec<usize> = range.collect();
    let max_iter = config.max_iter.saturating_mul(ranks.len()).saturating_mul(hold_out.n_repeats);
    let mut n_done = 0usize;
    // scores[i][r]: of ranks[i] in repeat r
    let mut scores = vec![Vec::with_capacity(hold_out.n_repeats); ranks.len()];
    for repeat in 0..hold_out.n_repeats {
        let seed = config.seed.wrapping_add(repeat as u64);
        let (seen, hidden) = split(v.dim(), config, hold_out.share, seed);
        let n_hidden: f64 = hidden.iter().map(|&x| wide(x)).sum();
        let mut config = NmfConfig { weights: Some(seen), seed, ..config.clone() };
        for (&n_components, scores) in ranks.iter().zip(&mut scores) {
            config.n_components = n_components;
            let mut tell = |fit: Progress| {
                let done = (n_done as u64).saturating_add(fit.done);
                match watch.tell(Progress { done, total: Some(max_iter as u64), divergence: None, ..fit }) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            };
            let parts = fit_with(v, &config, &mut Watch::new(&mut tell))?.complete()?;
            n_done = n_done.saturating_add(config.max_iter);
            let data = Data::new(v, Some(hidden.view()), config.divergence.beta());
            let (w, h) = on_scale(parts.dictionary, parts.activations, data.scale);
            scores.push(data.divergence(&w, &h) / n_hidden.max(f64::MIN_POSITIVE));
        }
    }
    Ok(choose(&ranks, &scores))
}

fn check<T: Real>(
    v: ArrayView2<'_, T>,
    range: &RangeInclusive<usize>,
    config: &NmfConfig<T>,
    hold_out: &HoldOut,
) -> Result<()> {
    let refused = |name, got: String, expected: &str, advice: Option<Advice>| {
        Err(Error::Setting { name, got, expected: expected.into(), advice: advice.map(Box::new) })
    };
    if range.is_empty() || *range.start() == 0 {
        return refused("range", format!("{range:?}"), "a range of at least one number, from 1 or more", None);
    }
    if !(hold_out.share > 0.0 && hold_out.share <= 0.5) {
        return refused("share", hold_out.share.to_string(), "above 0, at most 0.5", None);
    }
    if hold_out.n_repeats < 2 {
        return refused("n_repeats", hold_out.n_repeats.to_string(), "at least 2", None);
    }
    if !matches!(config.solver, Solver::Mu | Solver::MuExtrapolated) {
        let advice = Advice::plain("entries are hidden by weights, which the other solvers do not know");
        return refused("solver", config.solver.name().into(), "`mu` or `mu-extrapolated`", Some(advice));
    }
    for (name, factor) in [("dictionary", &config.dictionary), ("activations", &config.activations)] {
        if *factor != Factor::Free {
            return refused(name, "given".into(), "`Free`: given values fix the number of components", None);
        }
    }
    NmfConfig { n_components: *range.end(), ..config.clone() }.check(v)
}

/// Weights of the entries that are seen, and of those that are hidden.
fn split<T: Real>(shape: (usize, usize), config: &NmfConfig<T>, share: f64, seed: u64) -> (Array2<T>, Array2<T>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = config.weights.clone().unwrap_or_else(|| Array2::ones(shape));
    let mut hidden = Array2::zeros(shape);
    Zip::from(&mut seen).and(&mut hidden).for_each(|seen, hidden| {
        let x: f64 = StandardUniform.sample(&mut rng);
        if x < share {
            std::mem::swap(seen, hidden);
        }
    });
    (seen, hidden)
}

/// W and H as [`Data`] reads them: its scale in H, and H transposed.
fn on_scale<T: Real>(w: Array2<T>, h: Array2<T>, scale: f64) -> (Array2<T>, Array2<T>) {
    let scales = super::general::scales(scale, &w);
    (super::general::scaled(w, 1.0 / scales.w), super::general::scaled(h.reversed_axes(), 1.0 / scales.h))
}

/// The one-standard-error rule, on differences within a repeat.
fn choose(ranks: &[usize], scores: &[Vec<f64>]) -> RankSelection {
    let curve: Vec<RankScore> = ranks
        .iter()
        .zip(scores)
        .map(|(&n_components, scores)| {
            let (held_out, std_error) = mean_and_error(scores);
            RankScore { n_components, held_out, std_error }
        })
        .collect();
    let lowest = (0..curve.len()).min_by(|&i, &j| curve[i].held_out.total_cmp(&curve[j].held_out)).unwrap_or(0);
    let is_as_good = |score: &Vec<f64>| {
        let differences: Vec<f64> = score.iter().zip(&scores[lowest]).map(|(a, b)| a - b).collect();
        let (mean, error) = mean_and_error(&differences);
        mean <= error
    };
    let best = scores.iter().position(is_as_good).map_or(ranks[lowest], |i| ranks[i]);
    RankSelection { curve, best }
}

/// Mean, and its standard error.
fn mean_and_error(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}
