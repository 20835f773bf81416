//! Multiplicative updates for the Euclidean divergence of a dense V without weights, over packed factors.
//!
//! One iteration is W <- W * (V H^T) / (W H H^T), then H <- H * (W^T V) / (W^T W H). To read V only once, V H^T for the
//! next W is gathered while V is at hand for H. Penalties of a whole factor alike go into the denominators; those that
//! look at single entries are for `beta`.

use ndarray::{Array2, s};
use rayon::prelude::*;

use super::data::Data;
use super::driver::Solve;
use super::kernel::{self, Activations, Panels, Row, SquaresStep, TILE, Tile, zero_row, zero_tile};
use super::momentum::{Extrapolation, Factors, extrapolate};
use super::penalty::Penalties;
use super::{NmfConfig, Real, Solver};

/// Panels of W that one job works on.
const PANELS_PER_JOB: usize = 32;

/// W and H between two iterations.
///
/// # References
/// D. D. Lee and H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2001, theorem 1.
pub(super) struct Euclidean<T: Real> {
    data: Data<T>,
    factors: Packed<T>,
    /// H, turned: as V lies, components in place of rows.
    turned: Vec<Tile<T>>,
    free_w: Vec<bool>,
    free_h: Vec<bool>,
    penalties: Penalties,
    /// V H^T and H H^T for the next W, where they are known.
    next: Option<(Vec<Row<T>>, Array2<T>)>,
    extrapolation: Option<Extrapolation<Packed<T>>>,
    /// The divergence at the last check.
    divergence: f64,
}

/// Both factors, as the kernel has them.
#[derive(Debug, Clone)]
struct Packed<T: Real> {
    w: Panels<T>,
    h: Vec<Activations<T>>,
}

impl<T: Real> Factors for Packed<T> {
    fn go_on(&mut self, before: &Self, factor: f32) {
        let mut before = before.clone();
        extrapolate(self.w.rows.as_flattened_mut(), before.w.rows.as_flattened_mut(), factor);
        extrapolate(self.h.as_flattened_mut(), before.h.as_flattened_mut(), factor);
    }
}

/// Whether these updates can do it.
pub(super) fn can_do<T: Real>(data: &Data<T>, config: &NmfConfig<T>) -> bool {
    let r = &config.regularization;
    let is_even = r.sparsity == 0.0 && r.temporal_continuity == 0.0 && r.group_sparsity.is_none();
    // With a squared penalty the steps of this solver are shorter: roots of these.
    let is_plain = config.solver == Solver::Mu
        || config.solver == Solver::MuExtrapolated && r.alpha_dictionary == 0.0 && r.alpha_activations == 0.0;
    is_even
        && is_plain
        && data.beta == 2.0
        && !data.is_weighted()
        && data.blocks().is_some_and(|b| !b.is_empty())
        && data.n_rows() > 0
}

impl<T: Real> Euclidean<T> {
    /// W is rows x K, H columns x K.
    ///
    /// # Cost
    /// Memory: two packed copies of H and one of W, with extrapolation two more of both; and at most 16 of W for its
    /// numerators.
    pub(super) fn new(
        data: Data<T>,
        (w, h): (Array2<T>, Array2<T>),
        (free_w, free_h): (Vec<bool>, Vec<bool>),
        penalties: Penalties,
        solver: Solver,
    ) -> Self {
        let factors = Packed { w: Panels::pack_as_is(w.view()), h: kernel::pack_frames(h.view()) };
        let n_tiles = h.nrows().div_ceil(TILE);
        let mut solve = Self {
            data,
            turned: vec![zero_tile(); n_tiles * w.ncols().div_ceil(T::PANEL)],
            factors,
            free_w,
            free_h,
            penalties,
            next: None,
            extrapolation: (solver == Solver::MuExtrapolated).then(Extrapolation::new),
            divergence: f64::NAN,
        };
        solve.turn();
        solve
    }

    /// The divergence of the factors, after a run.
    pub(super) fn divergence(&self) -> f64 {
        // The last check may have gone back to others.
        if self.extrapolation.is_some() { self.measured() } else { self.divergence }
    }

    /// W, rows x K, and H, columns x K.
    pub(super) fn into_factors(self) -> (Array2<T>, Array2<T>) {
        self.unpacked()
    }

    fn unpacked(&self) -> (Array2<T>, Array2<T>) {
        let k = self.free_w.len();
        let mut h = Array2::zeros((self.data.n_columns(), k));
        kernel::unpack_frames(&self.factors.h, h.view_mut());
        (self.factors.w.unpacked(self.data.n_rows()), h)
    }

    fn turn(&mut self) {
        kernel::turn(&self.factors.h, self.free_h.len(), &mut self.turned);
    }

    /// Goes over V once: H, where it may change, and what the next W needs, if it is wanted.
    fn pass(&mut self, improve_h: bool, gather_w: bool) {
        let Self { data, factors: Packed { w, h }, turned, free_h, penalties, .. } = self;
        let (kernel, n_components) = (data.kernel, w.n_components);
        let (improve_h, blocks) = (improve_h && free_h.contains(&true), data.blocks().unwrap_or_default());
        let gram = if improve_h { packed_gram(kernel, w) } else { Panels { rows: Vec::new(), n_components } };
        let step = SquaresStep { free: free_h, l1: T::of(penalties.l1_h), l2: T::of(penalties.l2_h), flush: T::FLUSH };
        let per_tile = n_components.div_ceil(T::PANEL);
        let (per_chunk, per_block) = (data.blocks_per_chunk(), data.tiles_per_block());
        let parts: Vec<[Vec<Row<T>>; 2]> = blocks
            .par_chunks(per_chunk)
            .zip(h.par_chunks_mut(per_chunk * per_block * n_components))
            .zip(turned.par_chunks_mut(per_chunk * per_block * per_tile))
            .map(|((blocks, h), turned)| {
                let zeros = |n_rows| vec![zero_row(); if gather_w { n_rows } else { 0 }];
                let (mut numerators, mut gram_h) = (zeros(w.rows.len()), zeros(per_tile * n_components));
                let h = h.chunks_mut(per_block * n_components).zip(turned.chunks_mut(per_block * per_tile));
                for (block, (h, turned)) in blocks.iter().zip(h) {
                    if improve_h {
                        kernel.squares_step_h(block.tiles(), w, &gram, step, h, turned);
                    }
                    if gather_w {
                        kernel.gather_onto_w(block.tiles(), h, n_components, &mut numerators);
                        kernel.gather_onto_w(turned, h, n_components, &mut gram_h);
                    }
                }
                [numerators, gram_h]
            })
            .collect();
        self.next =
            if gather_w { parts.into_iter().reduce(|sum, part| sum_of(sum, &part)) } else { None }.map(|sums| {
                let [numerators, gram] = sums;
                (numerators, Panels { rows: gram, n_components }.unpacked(n_components))
            });
    }

    fn improve_w(&mut self) {
        if self.next.is_none() {
            self.pass(false, true);
        }
        let Some((numerators, gram)) = self.next.take() else { return };
        let (kernel, k, penalties) = (self.data.kernel, self.free_w.len(), &self.penalties);
        let gram = kernel::pack_frames(gram.view());
        let step =
            SquaresStep { free: &self.free_w, l1: T::of(penalties.l1_w), l2: T::of(penalties.l2_w), flush: T::FLUSH };
        let jobs = self.factors.w.rows.par_chunks_mut(PANELS_PER_JOB * k);
        jobs.zip(numerators.par_chunks(PANELS_PER_JOB * k))
            .for_each(|(w, numerators)| kernel.squares_step_w(numerators, &gram, step, w));
    }

    /// The divergence of the present factors, on the input's scale.
    fn measured(&self) -> f64 {
        let Self { data, factors: Packed { w, h }, .. } = self;
        let per_block = data.tiles_per_block() * w.n_components;
        let blocks = data.blocks().unwrap_or_default();
        let sums: Vec<f64> = blocks
            .par_iter()
            .zip(h.par_chunks(per_block))
            .map(|(block, h)| {
                let mut y = vec![zero_tile(); block.tiles().len()];
                data.kernel.multiply(w, h, T::of(0.0), &mut y);
                0.5 * data.kernel.squared_gaps(block.tiles(), &y)
            })
            .collect();
        sums.iter().sum::<f64>() * data.scale * data.scale
    }
}

impl<T: Real> Solve for Euclidean<T> {
    fn iterate(&mut self) {
        let is_extrapolated = match &mut self.extrapolation {
            Some(extrapolation) => extrapolation.extrapolate(&mut self.factors),
            None => false,
        };
        if is_extrapolated {
            self.next = None;
            self.turn();
        }
        let is_w_free = self.free_w.contains(&true);
        if is_w_free {
            self.improve_w();
        }
        // Where H goes on from elsewhere, what is gathered now is of no use.
        self.pass(true, is_w_free && self.extrapolation.is_none());
    }

    fn check(&mut self) -> f64 {
        self.divergence = self.measured();
        let penalties = &self.penalties;
        let costs = if [penalties.l1_w, penalties.l2_w, penalties.l1_h, penalties.l2_h].iter().any(|&cost| cost > 0.0) {
            let (w, h) = self.unpacked();
            self.penalties.value(&w, &h)
        } else {
            0.0
        };
        let now = self.divergence + self.data.scale * self.data.scale * costs;
        let Some(extrapolation) = &mut self.extrapolation else { return now };
        let (objective, is_back) = extrapolation.settle(now, &mut self.factors);
        if is_back {
            self.next = None;
            self.turn();
        }
        objective
    }

    fn divergence_alone(&self) -> Option<f64> {
        Some(self.divergence)
    }

    fn has_restarted(&self) -> bool {
        self.extrapolation.as_ref().is_some_and(Extrapolation::has_restarted)
    }
}

/// W^T W as the steps of H need it.
fn packed_gram<T: Real>(kernel: kernel::Kernel, w: &Panels<T>) -> Panels<T> {
    let k = w.n_components;
    let parts: Vec<_> = w.rows.par_chunks(PANELS_PER_JOB * k).map(|rows| kernel.gram_w(rows, k)).collect();
    let mut sum = Array2::<T>::zeros((k, k.div_ceil(TILE) * TILE));
    for part in parts {
        for (group, part) in part.chunks_exact(k).enumerate() {
            for (mut row, part) in
                sum.slice_mut(s![.., group * TILE..(group + 1) * TILE]).rows_mut().into_iter().zip(part)
            {
                row.iter_mut().zip(part).for_each(|(sum, &x)| *sum += x);
            }
        }
    }
    Panels::pack_as_is(sum.slice(s![.., ..k]))
}

/// The sum of two lists of two lists.
fn sum_of<T: Real>(mut sum: [Vec<Row<T>>; 2], part: &[Vec<Row<T>>; 2]) -> [Vec<Row<T>>; 2] {
    for (sum, part) in sum.iter_mut().zip(part) {
        for (sum, part) in sum.as_flattened_mut().iter_mut().zip(part.as_flattened()) {
            sum.iter_mut().zip(part.iter()).for_each(|(sum, part)| *sum += *part);
        }
    }
    sum
}
