//! A fit that begins on some of the columns: what they teach costs a fraction of what all columns take to teach it.
//! Knows which columns to look at and when; how they are fitted is for the solvers.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2, s};

use super::kernel::wide;
use super::prepared::Prepared;
use super::{Factor, Factorization, NmfConfig, Real, Solver, StopReason, Stopping};
use crate::watch::{Progress, Watch};

/// Fewer columns than this are all looked at from the start.
const LEAST_COLUMNS: usize = 2400;

/// Columns that are looked at first, at least; and at least so many for each component.
const LEAST_SAMPLE: (usize, usize) = (300, 5);

/// Columns that are looked at before all are, at the most.
const LARGEST_SAMPLE: usize = 4000;

/// Iterations on the last sample, on the one of half as many columns before it, and so on.
const ITERATIONS: [usize; 3] = [20, 40, 60];

/// Steps of the activations alone, where columns are new.
const NEW: usize = 4;

/// Iterations that a fit has to be allowed to begin like this.
const LEAST_ITERATIONS: usize = 100;

/// Activations of new columns are at least this share of the component's mean, so that none is out of reach.
const LEAST_SHARE: f64 = 1e-3;

/// Fits V from these factors: where the config lets it, on some of the columns first.
pub(super) fn fit<T: Real>(
    v: ArrayView2<'_, T>,
    factors: (Array2<T>, Array2<T>),
    config: &NmfConfig<T>,
    watch: &mut Watch<'_>,
) -> Factorization<T> {
    let whole = Prepared::dense(v, config);
    let strides = strides(v.ncols(), config);
    let Some(last) = strides.last() else { return whole.fit(factors, config, watch) };
    let config = NmfConfig { dictionary: Factor::Free, activations: Factor::Free, ..config.clone() };
    let steps = |max_iter| NmfConfig { max_iter, tol: 0.0, target_divergence: None, ..config.clone() };
    // Activations of some columns under a dictionary that stays.
    let known = |columns: &Prepared<'_, T>, w: Array2<T>, h: Array2<T>| {
        let with_dictionary = NmfConfig { dictionary: Factor::Fixed(w.clone()), ..steps(NEW) };
        columns.fit((w, h), &with_dictionary, &mut Watch::none())
    };
    // Activations of every `stride`-th column from those of every `ratio`-th of these; what is given as 0 stays 0.
    let spread = |h: &Array2<T>, ratio: usize, stride: usize| {
        let given = factors.1.slice(s![.., ..;stride]);
        let mut all = between(h, ratio, given.ncols());
        all.zip_mut_with(&given, |x, given| *x = if *given > T::of(0.0) { *x } else { T::of(0.0) });
        all
    };
    let mut is_cancelled = false;
    let mut tell = |at: Progress| {
        // What the divergence of a sample is says nothing of the whole.
        let at = Progress { done: 0, total: Some(config.max_iter as u64), divergence: None, ..at };
        is_cancelled |= watch.tell(at).is_err();
        if is_cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };

    let at_first = whole.fit(factors.clone(), &steps(0), &mut Watch::none()).divergence;
    if config.target_divergence.is_some_and(|target| at_first <= target) {
        return whole.fit(factors, &config, watch);
    }
    let (mut w, mut h) = (factors.0.clone(), factors.1.slice(s![.., ..;strides[0]]).to_owned());
    for (i, stride) in strides.iter().enumerate() {
        let sample = v.slice(s![.., ..;*stride]);
        let columns = Prepared::dense(sample, &config);
        if i > 0 {
            h = known(&columns, w.clone(), spread(&h, strides[i - 1] / stride, *stride)).activations;
        }
        let max_iter = ITERATIONS[strides.len() - 1 - i];
        let found = columns.fit((w, h), &steps(max_iter), &mut Watch::new(&mut tell));
        (w, h) = (found.dictionary, found.activations);
    }
    let start = known(&whole, w, spread(&h, *last, 1));
    let (factors, share) = if start.divergence >= at_first {
        (factors, 1.0)
    } else {
        // The tolerance is a share of what the divergence was at first.
        ((start.dictionary, start.activations), at_first / start.divergence)
    };
    if is_cancelled {
        let found = whole.fit(factors, &steps(0), &mut Watch::none());
        return Factorization { stop_reason: StopReason::Cancelled, ..found };
    }
    whole.fit(factors, &NmfConfig { tol: config.tol * share, ..config }, watch)
}

/// How far the columns of each sample lie apart, from the first to the last; none where all columns are looked at from the
/// start.
fn strides<T: Real>(n_columns: usize, config: &NmfConfig<T>) -> Vec<usize> {
    let is_whole = |factor: &Factor<T>| matches!(factor, Factor::Free | Factor::Seed(_));
    let is_usual = config.solver == Solver::MuExtrapolated && config.stopping == Stopping::Divergence;
    let is_free = is_whole(&config.dictionary) && is_whole(&config.activations);
    let is_plain = config.is_plain_kl() && config.guidance.is_none();
    let is_long = n_columns >= LEAST_COLUMNS && config.max_iter >= LEAST_ITERATIONS;
    // A fit that goes through all its iterations would only take longer.
    let may_end_early = config.tol > 0.0 || config.target_divergence.is_some();
    if !(config.sampled_start && is_usual && is_free && is_plain && is_long && may_end_early) {
        return Vec::new();
    }
    let least = LEAST_SAMPLE.0.max(LEAST_SAMPLE.1.saturating_mul(config.n_components));
    let samples = (1..usize::BITS).map(|power| 1 << power).map(|stride| (stride, n_columns.div_ceil(stride)));
    let strides = samples.skip_while(|(_, n)| *n > LARGEST_SAMPLE).take_while(|(_, n)| *n >= least);
    let mut strides: Vec<usize> = strides.map(|(stride, _)| stride).take(ITERATIONS.len()).collect();
    strides.reverse();
    strides
}

/// The activations of all columns, between those of every `stride`-th, and none so small that it is out of reach.
pub(super) fn between<T: Real>(few: &Array2<T>, stride: usize, n_columns: usize) -> Array2<T> {
    let last = few.ncols().saturating_sub(1);
    let mut all = Array2::zeros((few.nrows(), n_columns));
    for (few, mut all) in few.outer_iter().zip(all.outer_iter_mut()) {
        let least = few.iter().map(|&x| wide(x)).sum::<f64>() / few.len().max(1) as f64 * LEAST_SHARE;
        for (column, x) in all.iter_mut().enumerate() {
            let (before, share) = (column / stride, (column % stride) as f64 / stride as f64);
            let between = wide(few[before]) * (1.0 - share) + wide(few[(before + 1).min(last)]) * share;
            *x = T::of(between.max(least));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmf::testing::noise;
    use crate::nmf::{fit, fit_with};

    /// Four templates over 20 rows in 2500 columns that change slowly, and noise.
    fn matrix() -> Array2<f32> {
        let w = noise((20, 4), 1).mapv(|x| x.powi(4));
        let h = Array2::from_shape_fn((4, 2500), |(k, i)| (1.0 + (0.02 * (k + 1) as f32 * i as f32).sin()).powi(2));
        w.dot(&h) + 0.02 * noise((20, 2500), 2)
    }

    fn config() -> NmfConfig {
        NmfConfig { n_components: 4, ..NmfConfig::default() }
    }

    #[test]
    fn it_gets_as_low_in_fewer_iterations_on_all_columns() {
        let v = matrix();
        let (mut iterations, mut divergences) = ([0, 0], [0.0, 0.0]);
        for seed in 0..4 {
            for (i, sampled_start) in [false, true].into_iter().enumerate() {
                let found = fit(v.view(), &NmfConfig { sampled_start, seed, ..config() }).expect("fit");
                iterations[i] += found.n_iter;
                divergences[i] += found.divergence;
                let curve = &found.divergence_curve;
                assert!(curve.windows(2).all(|pair| pair[1].1 <= pair[0].1 * (1.0 + 1e-6)), "{curve:?}");
                assert_eq!(curve.last(), Some(&(found.n_iter, found.divergence)));
            }
        }
        assert!(2 * iterations[1] < iterations[0], "{iterations:?}");
        assert!(divergences[1] < 1.02 * divergences[0], "{divergences:?}");
    }

    #[test]
    fn the_bits_are_the_same_for_any_number_of_threads() {
        let v = matrix();
        let of = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
            pool.install(|| fit(v.view(), &config()).expect("fit"))
        };
        assert_eq!(of(1), of(3));
    }

    #[test]
    fn what_sounds_between_the_columns_of_the_samples_is_found() {
        // A template that sounds in every eighth column, and in none that is looked at first.
        let v = Array2::from_shape_fn((12, 2500), |(row, i)| if i % 8 == 3 && row < 6 { 1.0 } else { 0.0 });
        let v = v + Array2::from_shape_fn((12, 2500), |(row, i)| if row >= 6 { 1.0 + (i % 5) as f32 } else { 0.0 });
        let config = NmfConfig { n_components: 2, max_iter: 200, tol: 1e-12, ..NmfConfig::default() };
        let found = fit(v.view(), &config).expect("fit");
        assert!(found.divergence < 1e-2 * v.sum() as f64, "{} of {}", found.divergence, v.sum());
    }

    #[test]
    fn what_cannot_begin_like_this_is_fitted_as_ever() {
        let v = matrix();
        let few = v.slice(s![.., ..2399]);
        let whole = |config: &NmfConfig| NmfConfig { sampled_start: false, ..config.clone() };
        let fixed = NmfConfig { dictionary: Factor::Fixed(noise((20, 4), 3)), ..config() };
        for (v, config) in [
            (few, config()),
            (v.view(), fixed),
            (v.view(), NmfConfig { solver: Solver::Mu, ..config() }),
            (v.view(), NmfConfig { max_iter: 99, ..config() }),
            (v.view(), NmfConfig { max_iter: 100, tol: 0.0, ..config() }),
            (v.view(), NmfConfig { n_components: 1000, max_iter: 100, tol: 1.0, ..config() }),
        ] {
            assert_eq!(fit(v, &config).expect("fit"), fit(v, &whole(&config)).expect("fit"));
        }
    }

    #[test]
    fn factors_that_are_good_enough_stay_as_they_are() {
        let v = matrix();
        let good = fit(v.view(), &config()).expect("fit");
        let again = NmfConfig {
            dictionary: Factor::Seed(good.dictionary.clone()),
            activations: Factor::Seed(good.activations.clone()),
            ..config()
        };
        let found = fit(v.view(), &again).expect("fit");
        assert!(found.divergence <= good.divergence, "{} after {}", found.divergence, good.divergence);
        let mut seed = good.activations.clone();
        seed.slice_mut(s![1, 1000..1400]).fill(0.0);
        let with_zeros = NmfConfig { activations: Factor::Seed(seed), dictionary: Factor::Free, ..again.clone() };
        let found = fit(v.view(), &with_zeros).expect("fit");
        assert!(found.activations.slice(s![1, 1000..1400]).iter().all(|h| *h == 0.0), "zeros stay zero");
        let reached = NmfConfig { target_divergence: Some(1.001 * good.divergence), ..again };
        let found = fit(v.view(), &reached).expect("fit");
        assert!(found.divergence <= 1.001 * good.divergence && found.n_iter <= 10, "{}", found.n_iter);
    }

    #[test]
    fn a_fit_that_is_cancelled_early_has_whole_factors() {
        let v = matrix();
        for n_heard in [1, 30, 150] {
            let mut heard = 0;
            let mut tell = |_: Progress| {
                heard += 1;
                if heard >= n_heard { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let found =
                fit_with(v.view(), &NmfConfig { tol: 1e-12, ..config() }, &mut Watch::new(&mut tell)).expect("fit");
            assert_eq!(found.stop_reason, StopReason::Cancelled, "after {n_heard}");
            assert_eq!((found.dictionary.dim(), found.activations.dim()), ((20, 4), (4, 2500)));
        }
    }
}
