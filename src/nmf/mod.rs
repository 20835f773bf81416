//! Non-negative matrix factorization: V ~ W H, with every entry at least 0.
//! Knows matrices only: no sound, no files, and nothing is printed.
//!
//! The caller speaks of a *dictionary* (W, one template per column) and *activations* (H, one row per template);
//! the single letters live in the kernels.

mod alternate;
mod anls;
#[doc(hidden)]
pub mod bench;
mod beta;
mod blocks;
mod coarse;
mod config;
mod convolutive;
mod coordinate_descent;
mod data;
mod divergence;
mod driver;
mod encoder;
mod general;
mod guidance;
mod guided;
mod init;
mod kernel;
mod least_squares;
mod mini_batch;
mod mini_batch_state;
mod misuse;
mod momentum;
mod multiplicative;
mod normal;
mod online;
mod penalty;
mod projected_gradient;
mod rank;
mod real;
mod scales;
mod share;
mod sparse;
mod sparse_fit;
mod sparse_loops;
pub mod support;
mod svd;
#[cfg(test)]
mod testing;
mod warning;

use ndarray::{Array2, ArrayView2};

pub use blocks::{BlockConfig, ColumnBlocks, WarmStart, fit_blocks};
pub use coarse::{Coarse, fit_coarse_to_fine};
pub use config::{
    Divergence, Factor, Factorization, GroupSparsity, Init, NmfConfig, Part, Regularization, Solver, StopReason,
    Stopping,
};
pub use convolutive::{ConvolutiveConfig, ConvolutiveFactorization, convolve, fit_convolutive};
pub use divergence::divergence;
pub use encoder::{Encoder, EncoderConfig};
pub use guidance::{Guidance, MAX_GROUPS, Run};
pub use mini_batch::{MiniBatch, MiniBatchConfig};
pub use mini_batch_state::MiniBatchState;
pub use online::Online;
pub use rank::{HoldOut, RankScore, RankSelection, select_rank, select_rank_with};
pub use real::Real;
pub use share::{Share, Statistics};
pub use sparse::SparseMatrix;
pub use sparse_fit::{fit_sparse, fit_sparse_with};
pub use warning::{Side, Warning};

use crate::watch::Watch;
use crate::{Error, Result};

/// Factorizes a non-negative matrix, and returns the dictionary, the activations and how the fit went.
///
/// The objective, the divergence and whatever penalties are asked for, never rises from one check to the next (up to
/// rounding, and but for the exception at [`Solver::Mu`]); the factors are finite and non-negative whatever the input;
/// and the same seed gives the same bits for any number of threads.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `v` | `n_rows` x `n_columns` (bins x frames) | any; the factors' product has the same |
/// | `dictionary` | `n_rows` x `n_components` | |
/// | `activations` | `n_components` x `n_columns` | |
///
/// For Kullback-Leibler, what belongs to rows or columns of zeros comes back as exact zeros, so a matrix of zeros gives
/// factors of zeros.
///
/// # Errors
/// [`Error::MatrixEntry`] for a negative, NaN or infinite entry, [`Error::MatrixShape`] for a given factor that does
/// not fit, [`Error::Setting`] for a setting out of range, or that the solver cannot do.
///
/// # Cost
/// For Kullback-Leibler: 8 `n_rows` `n_columns` `n_components` floating-point operations per iteration, half of that
/// where one factor is fixed; they are shared out among rayon's threads. Memory beside `v`: one packed copy of it,
/// with [`Solver::MuExtrapolated`] four copies of W and H (with [`Solver::Mu`] two), and sums for W that take at most
/// half as much as `v`, or a copy of W. Other divergences, weights and penalties: 12 operations instead of 8 (with the
/// unweighted Euclidean divergence 4), one packed copy of `v` and of the weights, and up to 32 of W.
///
/// # References
/// D. D. Lee and H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2001, theorem 2 (KL).
/// L. T. K. Hien, V. Leplat and N. Gillis, "Block majorization minimization with extrapolation and application to
/// beta-NMF", 2024 (extrapolation). The other solvers and the penalties name theirs.
///
/// # Examples
/// ```
/// use partita::nmf::{NmfConfig, fit};
/// let v = ndarray::array![[1.0f32, 2.0, 3.0], [2.0, 4.0, 6.0]];
/// let parts = fit(v.view(), &NmfConfig { n_components: 1, ..NmfConfig::default() })?;
/// let gap = (&parts.product() - &v).iter().fold(0.0, |worst: f32, x| worst.max(x.abs()));
/// assert!(gap < 1e-3, "a matrix of rank one is found: {gap}");
/// # Ok::<(), partita::Error>(())
/// ```
pub fn fit<T: Real>(v: ArrayView2<'_, T>, config: &NmfConfig<T>) -> Result<Factorization<T>> {
    fit_with(v, config, &mut Watch::none())
}

/// [`fit`], telling `watch` of every iteration; where that cancels it, the fit ends with the factors it has and
/// [`StopReason::Cancelled`], which [`Factorization::complete`] makes an error.
///
/// # Errors
/// Those of [`fit`].
pub fn fit_with<T: Real>(
    v: ArrayView2<'_, T>,
    config: &NmfConfig<T>,
    watch: &mut Watch<'_>,
) -> Result<Factorization<T>> {
    config.check(v)?;
    let factors = init::factors(v, config);
    let warnings = misuse::warnings(Some(v), (&factors.0, &factors.1), config);
    if !config.is_plain_kl() {
        let weights = config.weights.as_ref().map(|weights| weights.view());
        let data = data::Data::new(v, weights, config.divergence.beta());
        return Ok(Factorization { warnings, ..general::fit(data, factors, config, watch) });
    }
    let mean = v.iter().map(|&x| kernel::wide(x)).sum::<f64>() / (v.len().max(1) as f64);
    let k = config.n_components;
    let free = (config.dictionary.is_free(k), config.activations.is_free(k));
    let extrapolate = config.solver == Solver::MuExtrapolated;
    let guidance = config.guidance.as_ref();
    let kernel = kernel::Kernel::detect();
    let mut solve = multiplicative::Multiplicative::new(kernel, v, mean, factors, free, extrapolate, guidance);
    if config.stopping == Stopping::ScikitLearn && !extrapolate {
        solve = solve.with_small_entries_dropped();
    }
    let run = driver::run(&mut solve, config, watch);
    let (dictionary, activations) = solve.into_factors();
    Ok(Factorization {
        dictionary,
        activations,
        n_iter: run.n_iter,
        divergence: run.curve[run.curve.len() - 1].1,
        divergence_curve: run.curve,
        stop_reason: run.stop_reason,
        warnings,
    })
}

/// Finds the activations of new data under a dictionary that stays as it is.
///
/// # Errors
/// Those of [`fit`].
pub fn transform<T: Real>(
    v: ArrayView2<'_, T>,
    dictionary: Array2<T>,
    config: &NmfConfig<T>,
) -> Result<Factorization<T>> {
    let n_components = dictionary.ncols();
    fit(v, &NmfConfig { n_components, dictionary: Factor::Fixed(dictionary), ..config.clone() })
}
