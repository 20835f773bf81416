//! V as the solvers read it: packed once, for one fit or for many at once.
//! Knows which solver can do what is asked; what the factors start from is decided before.

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::data::{Data, sum};
use super::driver::{Whole, run};
use super::kernel::{self, Kernel, TILE, Tile, zero_tile};
use super::multiplicative::{Columns, Multiplicative};
use super::scales::scale_of;
use super::sparse_fit::{fit_entries, is_plain};
use super::{Factorization, NmfConfig, Real, Solver, SparseMatrix, Stopping, general};
use crate::watch::Watch;

/// Tiles of frames that one job packs.
const TILES_PER_JOB: usize = 16;

/// V, packed for the solver that a config asks for.
#[derive(Debug)]
pub(super) struct Prepared<'v, T: Real> {
    shape: (usize, usize),
    mean: f64,
    packed: Packed<'v, T>,
}

#[derive(Debug)]
enum Packed<'v, T: Real> {
    /// For plain Kullback-Leibler fits.
    Tiles(Vec<Tile<T>>),
    /// The same where some components may not have all entries: each fit packs what is left.
    Guided(ArrayView2<'v, T>),
    /// Entries other than 0, and those of the transpose, for plain fits.
    Entries([SparseMatrix<T>; 2]),
    /// For everything else.
    General(Data<T>),
}

impl<'v, T: Real> Prepared<'v, T> {
    /// # Cost
    /// Memory: one packed copy of V, and of the weights where there are any.
    pub(super) fn dense(v: ArrayView2<'v, T>, config: &NmfConfig<T>) -> Self {
        let mean = sum(v) / (v.len().max(1) as f64);
        let packed = if !config.is_plain_kl() {
            let weights = config.weights.as_ref().map(|weights| weights.view());
            Packed::General(Data::new(v, weights, config.divergence.beta()))
        } else if config.guidance.is_some() {
            Packed::Guided(v)
        } else {
            Packed::Tiles(pack(v, mean))
        };
        Self { shape: v.dim(), mean, packed }
    }

    /// # Cost
    /// Memory: two copies of the entries.
    pub(super) fn sparse(v: &SparseMatrix<T>, mean: f64, config: &NmfConfig<T>) -> Self {
        let packed = if is_plain(config) {
            let rows = v.scaled(scale_of(mean));
            Packed::Entries([rows.transposed(), rows])
        } else {
            Packed::General(Data::sparse(v, config.divergence.beta()))
        };
        Self { shape: v.dim(), mean, packed }
    }

    /// Rows and columns.
    pub(super) fn dim(&self) -> (usize, usize) {
        self.shape
    }

    /// Mean of V.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// Improves factors that start from the given values. The config is that of [`Prepared::dense`] or
    /// [`Prepared::sparse`] but for the number of components, how the factors are treated, the seed, and when to stop.
    pub(super) fn fit(
        &self,
        factors: (Array2<T>, Array2<T>),
        config: &NmfConfig<T>,
        watch: &mut Watch<'_>,
    ) -> Factorization<T> {
        let columns = match &self.packed {
            Packed::Tiles(tiles) => Columns::Packed { tiles, shape: self.shape },
            Packed::Guided(v) => Columns::Matrix(*v),
            Packed::Entries([columns, rows]) => {
                return fit_entries([rows, columns], self.mean, factors, config, watch);
            }
            Packed::General(data) => return general::fit(data.clone(), factors, config, watch),
        };
        let k = config.n_components;
        let free = (config.dictionary.is_free(k), config.activations.is_free(k));
        let extrapolate = config.solver == Solver::MuExtrapolated;
        let (kernel, guidance) = (Kernel::detect(), config.guidance.as_ref());
        let mut solve = Multiplicative::new(kernel, columns, self.mean, factors, free, extrapolate, guidance);
        if config.stopping == Stopping::ScikitLearn && !extrapolate {
            solve = solve.with_small_entries_dropped();
        }
        let run = run(&mut Whole(&mut solve), config, watch);
        let (dictionary, activations) = solve.into_factors();
        Factorization {
            dictionary,
            activations,
            n_iter: run.n_iter,
            divergence: run.curve[run.curve.len() - 1].1,
            divergence_curve: run.curve,
            stop_reason: run.stop_reason,
            warnings: Vec::new(),
        }
    }
}

/// A V of this mean, packed and scaled as the updates have it.
fn pack<T: Real>(v: ArrayView2<'_, T>, mean: f64) -> Vec<Tile<T>> {
    let n_panels = v.nrows().div_ceil(T::PANEL).max(1);
    let mut tiles = vec![zero_tile(); n_panels * v.ncols().div_ceil(TILE)];
    let scale = scale_of(mean);
    tiles.par_chunks_mut(TILES_PER_JOB * n_panels).enumerate().for_each(|(job, tiles)| {
        let first = job * TILES_PER_JOB * TILE;
        let columns = first..v.ncols().min(first + TILES_PER_JOB * TILE);
        kernel::pack_onto(v.slice(s![.., columns]), |_| scale, tiles);
    });
    tiles
}
