//! Fits with the general solvers: any divergence, weights, penalties.

use ndarray::Array2;

use super::beta::BetaMu;
use super::data::Data;
use super::driver::{Whole, run};
use super::euclidean::{self, Euclidean};
use super::kernel::wide;
use super::least_squares::LeastSquares;
use super::penalty::{Penalties, Scales};
use super::{Factorization, NmfConfig, Real, Solver, Stopping};
use crate::watch::Watch;

/// What WH counts as at the least, on the input's scale, with scikit-learn: the spacing of `f32` at 1.
pub(super) const SCIKIT_LEARNS_LEAST: f64 = f32::EPSILON as f64;

/// Improves W (rows x K) and H (K x columns). V, W and H are scaled to a mean of about 1 inside, by powers of two, so
/// that what does not change comes back bit for bit.
pub(super) fn fit<T: Real>(
    data: Data<T>,
    (w, h): (Array2<T>, Array2<T>),
    config: &NmfConfig<T>,
    watch: &mut Watch<'_>,
) -> Factorization<T> {
    let is_scikit_learns = config.stopping == Stopping::ScikitLearn;
    let data = if is_scikit_learns { data.with_least(SCIKIT_LEARNS_LEAST) } else { data };
    let shape = (data.n_rows(), data.n_columns());
    let scales = scales(data.scale, &w);
    let penalties = Penalties::new(&config.regularization, shape, scales, data.beta, data.mean);
    let k = config.n_components;
    let free = (config.dictionary.is_free(k), config.activations.is_free(k));
    let start = (scaled(w, 1.0 / scales.w), scaled(h.reversed_axes(), 1.0 / scales.h));
    let (run, w, h, divergence) = match config.solver {
        Solver::Mu | Solver::MuExtrapolated if euclidean::can_do(&data, config) => {
            let mut solve = Euclidean::new(data, start, free, penalties, config.solver);
            let run = run(&mut Whole(&mut solve), config, watch);
            let divergence = solve.divergence();
            let (w, h) = solve.into_factors();
            (run, w, h, divergence)
        }
        Solver::Mu | Solver::MuExtrapolated => {
            let mut solve = BetaMu::new(data, start, free, penalties, config.solver);
            if is_scikit_learns {
                solve = solve.with_small_entries_dropped(scales);
            }
            let run = run(&mut Whole(&mut solve), config, watch);
            let divergence = solve.divergence();
            (run, solve.w, solve.h, divergence)
        }
        Solver::CoordinateDescent | Solver::Anls | Solver::ProjectedGradient => {
            let mut solve = LeastSquares::new(data, start, free, penalties, scales, config);
            let run = run(&mut Whole(&mut solve), config, watch);
            let divergence = solve.divergence();
            (run, solve.w, solve.h, divergence)
        }
    };
    Factorization {
        dictionary: scaled(w, scales.w),
        activations: scaled(h, scales.h).reversed_axes().as_standard_layout().into_owned(),
        n_iter: run.n_iter,
        divergence,
        divergence_curve: run.curve,
        stop_reason: run.stop_reason,
        warnings: Vec::new(),
    }
}

/// Scales that bring V and W to a mean of about 1, and H to what then fits.
pub(super) fn scales<T: Real>(v: f64, w: &Array2<T>) -> Scales {
    let of_w = super::divergence::level(w.iter().map(|&x| wide(x)).sum(), w.len() as f64);
    Scales { v, w: of_w, h: v / of_w }
}

/// `x` times a power of two, in rows.
pub(super) fn scaled<T: Real>(x: Array2<T>, factor: f64) -> Array2<T> {
    let x = if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() };
    x.mapv_into(|x| T::of((wide(x) * factor).min(wide(T::LARGEST))))
}
