//! Fits with the general solvers: any divergence, weights, penalties.

use ndarray::{Array2, ArrayView2};

use super::beta::BetaMu;
use super::data::Data;
use super::driver::run;
use super::kernel::wide;
use super::least_squares::LeastSquares;
use super::penalty::{Penalties, Scales};
use super::{Factorization, NmfConfig, Real, Solver};
use crate::watch::Watch;

/// Improves W (rows x K) and H (K x columns). V, W and H are scaled to a mean of about 1 inside, by powers of two, so
/// that what does not change comes back bit for bit.
pub(super) fn fit<T: Real>(
    v: ArrayView2<'_, T>,
    (w, h): (Array2<T>, Array2<T>),
    config: &NmfConfig<T>,
    watch: &mut Watch<'_>,
) -> Factorization<T> {
    let data = Data::new(v, config.weights.as_ref().map(|weights| weights.view()), config.divergence.beta());
    let scales = scales(data.scale, &w);
    let penalties = Penalties::new(&config.regularization, v.dim(), scales, data.beta, data.mean);
    let k = config.n_components;
    let free = (config.dictionary.is_free(k), config.activations.is_free(k));
    let start = (scaled(w, 1.0 / scales.w), scaled(h.reversed_axes(), 1.0 / scales.h));
    let (run, w, h, divergence) = match config.solver {
        Solver::Mu | Solver::MuExtrapolated => {
            let mut solve = BetaMu::new(data, start, free, penalties, config.solver);
            let run = run(&mut solve, config, watch);
            let divergence = solve.data.divergence(&solve.w, &solve.h);
            (run, solve.w, solve.h, divergence)
        }
        Solver::CoordinateDescent | Solver::Anls | Solver::ProjectedGradient => {
            let mut solve = LeastSquares::new(data, start, free, penalties, scales, config);
            let run = run(&mut solve, config, watch);
            let divergence = solve.data.divergence(&solve.w, &solve.h);
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
