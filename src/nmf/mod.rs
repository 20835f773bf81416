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
mod connectivity;
mod consensus;
mod convolutive;
mod coordinate_descent;
mod data;
mod device;
mod divergence;
mod driver;
mod encoder;
mod euclidean;
mod factor;
mod general;
#[cfg(feature = "gpu")]
pub mod gpu;
mod guidance;
mod guided;
mod init;
mod k_means;
pub(crate) mod kernel;
mod least_squares;
pub(crate) mod linkage;
mod mini_batch;
mod mini_batch_state;
mod misuse;
mod momentum;
mod moved;
mod multiplicative;
mod normal;
mod online;
mod penalty;
mod prepared;
mod projected_gradient;
mod rank;
mod real;
mod replicates;
mod sampled;
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
    Divergence, Factorization, GroupSparsity, Init, NmfConfig, Regularization, Solver, StopReason, Stopping,
};
pub use connectivity::Connectivity;
pub use consensus::{Consensus, ConsensusConfig, most_stable};
pub use convolutive::{ConvolutiveConfig, ConvolutiveFactorization, convolve, fit_convolutive};
pub use device::{Device, fit_on};
pub use divergence::divergence;
pub use encoder::{Encoder, EncoderConfig};
pub use factor::{Factor, Part};
pub use guidance::{Guidance, MAX_GROUPS, Run};
pub use mini_batch::{MiniBatch, MiniBatchConfig};
pub use mini_batch_state::MiniBatchState;
pub use online::Online;
pub use rank::{HoldOut, RankScore, RankSelection, select_rank, select_rank_with};
pub use real::Real;
pub use replicates::{Matrix, NoShelf, Replicate, Replicates, ReplicatesConfig, Shelf};
pub use share::{Share, Statistics};
pub use sparse::SparseMatrix;
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
/// half as much as `v`, or a copy of W; with [`NmfConfig::sampled_start`] a packed copy of every second column before the
/// first iteration on all. Other divergences, weights and penalties: 12 operations instead of 8 (with the
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
    Ok(Factorization { warnings, ..sampled::fit(v, factors, config, watch) })
}

/// Factorizes a sparse matrix, as [`fit`] does with the same matrix held in full: from the same seed or the
/// same given factors, the same updates in the same order.
///
/// Every solver, divergence, penalty and start; no weights and no guidance. Kullback-Leibler and Euclidean fits go through
/// the entries of V alone; others through a block of columns of WH at a time. Of unpenalized Euclidean fits with
/// multiplicative updates, only those with [`Solver::Mu`] go the way of [`fit`] step by step;
/// [`Solver::MuExtrapolated`] extrapolates as it does for Kullback-Leibler. The same seed gives the same bits for any
/// number of threads.
///
/// # Errors
/// Those of [`fit`]; [`Error::Setting`] also for what only a matrix held in full
/// can have.
///
/// # Cost
/// An iteration takes 4 multiply-adds per entry and component (2 in the Euclidean case, and `n_components` per entry
/// of the factors); for other divergences as much as with all of V. Memory: two copies of V, and the factors twice, with
/// extrapolation four times; for other divergences up to 32 copies of W, too.
pub fn fit_sparse<T: Real>(v: &SparseMatrix<T>, config: &NmfConfig<T>) -> Result<Factorization<T>> {
    fit_sparse_with(v, config, &mut Watch::none())
}

/// [`fit_sparse`], telling `watch` of every iteration, as [`fit_with`] does.
///
/// # Errors
/// Those of [`fit_sparse`].
pub fn fit_sparse_with<T: Real>(
    v: &SparseMatrix<T>,
    config: &NmfConfig<T>,
    watch: &mut Watch<'_>,
) -> Result<Factorization<T>> {
    config.check_sparse(v.dim())?;
    let mean = v.mean();
    let factors = init::sparse_factors(v, mean, config);
    let warnings = misuse::warnings(None, (&factors.0, &factors.1), config);
    let v = prepared::Prepared::sparse(v, mean, config);
    Ok(Factorization { warnings, ..v.fit(factors, config, watch) })
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
