//! Settings of a fit, by their names in Python.

use ndarray::Array2;
use partita::nmf::{
    Divergence, Factor, GroupSparsity, Init, MiniBatchConfig, NmfConfig, Part, Regularization, Solver, Stopping,
};
use pyo3::prelude::*;

use super::matrix::Number;
use crate::errors::value_error;

/// Activity of a group that counts as silence, relative to the mean of V.
const GROUP_OFFSET: f64 = 0.01;

#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct Settings {
    solver: String,
    beta: f64,
    max_iter: usize,
    tol: f64,
    #[pyo3(default)]
    alpha_dictionary: f64,
    #[pyo3(default)]
    alpha_activations: f64,
    #[pyo3(default)]
    l1_ratio: f64,
    #[pyo3(default)]
    sparsity: f64,
    #[pyo3(default)]
    temporal_continuity: f64,
    #[pyo3(default)]
    groups: Option<Vec<usize>>,
    #[pyo3(default)]
    group_sparsity: f64,
    #[pyo3(default)]
    shuffle: bool,
    #[pyo3(default)]
    seed: u64,
    /// How many components of W, from the first on, stay as they are.
    #[pyo3(default)]
    pub(super) fixed_dictionary: usize,
    /// How many of H.
    #[pyo3(default)]
    pub(super) fixed_activations: usize,
    #[pyo3(default)]
    pub(super) batches: Option<Batches>,
}

/// What mini-batches are asked for besides.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct Batches {
    batch_size: usize,
    forget_factor: f64,
    fresh_restarts: bool,
    fresh_restarts_max_iter: usize,
    transform_max_iter: Option<usize>,
    max_no_improvement: Option<usize>,
}

impl Settings {
    /// What the engine is asked for, with free factors.
    pub(super) fn config<T: Number>(&self, n_components: usize, weights: Option<Array2<T>>) -> PyResult<NmfConfig<T>> {
        let solver = Solver::ALL.into_iter().find(|solver| solver.name() == self.solver).ok_or_else(|| {
            value_error(format!("`solver` is `{}`, which is not known", self.solver), "use solver=\"mu\"")
        })?;
        let group_sparsity = self.groups.clone().filter(|_| self.group_sparsity > 0.0).map(|groups| GroupSparsity {
            groups,
            strength: self.group_sparsity,
            offset: GROUP_OFFSET,
        });
        // Where the solver is scikit-learn's, the fit takes its steps and as many of them.
        let stopping = match solver {
            Solver::Mu | Solver::CoordinateDescent => Stopping::ScikitLearn,
            Solver::MuExtrapolated | Solver::Anls | Solver::ProjectedGradient => Stopping::Divergence,
        };
        Ok(NmfConfig {
            n_components,
            divergence: divergence(self.beta),
            solver,
            init: Init::Random,
            regularization: Regularization {
                alpha_dictionary: self.alpha_dictionary,
                alpha_activations: self.alpha_activations,
                l1_ratio: self.l1_ratio,
                sparsity: self.sparsity,
                temporal_continuity: self.temporal_continuity,
                group_sparsity,
            },
            weights,
            max_iter: self.max_iter,
            tol: self.tol,
            stopping,
            shuffle: self.shuffle,
            seed: self.seed,
            ..NmfConfig::default()
        })
    }
}

impl Batches {
    /// What the engine is asked for.
    pub(super) fn config<T: Number>(&self, nmf: NmfConfig<T>) -> MiniBatchConfig<T> {
        MiniBatchConfig {
            nmf,
            batch_size: self.batch_size,
            forget_factor: self.forget_factor,
            fresh_restarts: self.fresh_restarts,
            fresh_restarts_max_iter: self.fresh_restarts_max_iter,
            transform_max_iter: self.transform_max_iter,
            max_no_improvement: self.max_no_improvement,
        }
    }
}

/// The divergence with this beta, by its name where it has one.
fn divergence(beta: f64) -> Divergence {
    match beta {
        0.0 => Divergence::ItakuraSaito,
        1.0 => Divergence::KullbackLeibler,
        2.0 => Divergence::Euclidean,
        beta => Divergence::Beta(beta),
    }
}

/// First values, one component per row, of which the first `n_fixed` components stay; `is_dictionary` for those of W.
pub(super) fn factor<T: Number>(rows: Array2<T>, n_fixed: usize, is_dictionary: bool) -> Factor<T> {
    if n_fixed > 0 && n_fixed < rows.nrows() {
        let part = |(k, row): (usize, ndarray::ArrayView1<'_, T>)| {
            if k < n_fixed { Part::Fixed(row.to_owned()) } else { Part::Seed(row.to_owned()) }
        };
        return Factor::PerComponent(rows.outer_iter().enumerate().map(part).collect());
    }
    let values = if is_dictionary { rows.reversed_axes() } else { rows };
    if n_fixed == 0 { Factor::Seed(values) } else { Factor::Fixed(values) }
}
