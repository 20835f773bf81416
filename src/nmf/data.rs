//! V as the general solvers see it: blocks of columns, packed for the kernel and scaled to a mean of about 1.
//! Holds no copy of V; a solver works through its blocks, and V / WH exists for one block at a time.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::divergence::{entries, level, lift};
use super::kernel::{self, Activations, Kernel, Lanes, PANEL, Panels, Row, TILE, Tile, ZERO_ROW, ZERO_TILE};

/// Columns that are worked on at once.
const BLOCK: usize = kernel::BLOCK * TILE;

/// Pieces into which the columns are shared out, at the most. It does not depend on the number of threads, so that
/// neither do the sums.
const MAX_CHUNKS: usize = 32;

/// V (rows x columns), its weights, and the scale that brings its mean to about 1.
///
/// Scales are powers of two: dividing by them rounds nothing.
#[derive(Debug)]
pub(super) struct Data<'a> {
    v: ArrayView2<'a, f32>,
    weights: Option<ArrayView2<'a, f32>>,
    /// V on the input's scale over V as the blocks have it.
    pub(super) scale: f64,
    /// Mean of V as the blocks have it, about 1; 1 where V is silent.
    pub(super) mean: f64,
    pub(super) beta: f32,
    /// Least entry of a block, see [`lift`].
    least: f32,
    pub(super) kernel: Kernel,
}

/// A block of columns.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) columns: Range<usize>,
    pub(super) v: Vec<Tile>,
    pub(super) weights: Option<Vec<Tile>>,
}

impl<'a> Data<'a> {
    pub(super) fn new(v: ArrayView2<'a, f32>, weights: Option<ArrayView2<'a, f32>>, beta: f32) -> Self {
        let (sum, count) = match weights {
            None => (v.iter().map(|&x| f64::from(x)).sum(), v.len() as f64),
            Some(weights) => weighted_sum(v, weights),
        };
        let least = if beta <= 0.0 { lift(beta) } else { 0.0 };
        let scale = level(sum, count);
        let mean = if sum > 0.0 { sum / count / scale } else { 1.0 };
        Self { v, weights, scale, mean, beta, least, kernel: Kernel::detect() }
    }

    /// The same on another scale.
    pub(super) fn with_scale(self, scale: f64) -> Self {
        Self { mean: self.mean * self.scale / scale, scale, ..self }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.v.nrows()
    }

    pub(super) fn n_columns(&self) -> usize {
        self.v.ncols()
    }

    pub(super) fn is_weighted(&self) -> bool {
        self.weights.is_some()
    }

    /// Columns per chunk, whole blocks except for the last.
    pub(super) fn chunk_len(&self) -> usize {
        self.n_columns().div_ceil(MAX_CHUNKS).next_multiple_of(BLOCK).max(BLOCK)
    }

    /// Does `work` on each block, one chunk per job, and returns the chunks' results in order.
    pub(super) fn map_chunks<T: Send>(
        &self,
        start: impl Fn() -> T + Sync,
        work: impl Fn(&mut T, &Block) + Sync,
    ) -> Vec<T> {
        let chunk_len = self.chunk_len();
        (0..self.n_columns().div_ceil(chunk_len))
            .into_par_iter()
            .map(|chunk| {
                let first = chunk * chunk_len;
                let mut result = start();
                for block in self.blocks(first..(first + chunk_len).min(self.n_columns())) {
                    work(&mut result, &block);
                }
                result
            })
            .collect()
    }

    /// Blocks that cover the given columns.
    pub(super) fn blocks(&self, columns: Range<usize>) -> impl Iterator<Item = Block> {
        columns.clone().step_by(BLOCK).map(move |first| self.block(first..(first + BLOCK).min(columns.end)))
    }

    fn block(&self, columns: Range<usize>) -> Block {
        let to_scale = 1.0 / self.scale;
        let weights = self.weights.map(|weights| pack(weights, columns.clone(), |x| x));
        let mut v = if (to_scale as f32).is_normal() {
            // A power of two: f32 is as exact as f64.
            let (to_scale, least) = (to_scale as f32, self.least);
            pack(self.v, columns.clone(), |x| (x * to_scale).max(least))
        } else {
            pack(self.v, columns.clone(), |x| ((f64::from(x) * to_scale) as f32).max(self.least))
        };
        if let Some(weights) = &weights {
            // Missing entries may hold anything.
            zip_lanes(&mut v, weights, |v, weight| {
                for i in 0..8 {
                    if weight.0[i] == 0.0 {
                        v.0[i] = self.least;
                    }
                }
            });
        }
        Block { columns, v, weights }
    }

    /// V H^T: rows x K. `h` is columns x K.
    pub(super) fn times_activations(&self, h: &Array2<f32>) -> Array2<f32> {
        let k = h.ncols();
        let parts = self.map_chunks(
            || self.zero_panels(k),
            |sum, block| self.kernel.gather_onto_w(&block.v, &pack_activations(block, h), k, sum),
        );
        self.sum_panels(parts, k)
    }

    /// V^T W: columns x K. `w` is rows x K.
    pub(super) fn times_dictionary(&self, w: &Array2<f32>) -> Array2<f32> {
        let k = w.ncols();
        let panels = pack_dictionary(w);
        let mut product = Array2::zeros((self.n_columns(), k));
        self.for_each_block(&mut product, |block, mut part| {
            let mut sums = vec![[0.0; TILE]; block.n_tiles() * k];
            self.kernel.gather_onto_h(&panels, &block.v, &mut sums);
            part.indexed_iter_mut().for_each(|((frame, k_idx), x)| *x = sums[frame / TILE * k + k_idx][frame % TILE]);
        });
        product
    }

    /// Sums for W, packed as W is.
    pub(super) fn zero_panels(&self, k: usize) -> Vec<Row> {
        vec![ZERO_ROW; self.n_rows().div_ceil(PANEL) * k]
    }

    /// The sum of the chunks' results, from the first to the last: rows x K.
    pub(super) fn sum_panels(&self, parts: Vec<Vec<Row>>, k: usize) -> Array2<f32> {
        let mut sum = Array2::zeros((self.n_rows(), k));
        for part in parts {
            for ((row, k_idx), sum) in sum.indexed_iter_mut() {
                *sum += part[row / PANEL * k + k_idx][row % PANEL / 8].0[row % 8];
            }
        }
        sum
    }

    /// Does `work` on each block and its rows of `out` (columns x anything), one chunk per job.
    pub(super) fn for_each_block(&self, out: &mut Array2<f32>, work: impl Fn(&Block, ArrayViewMut2<'_, f32>) + Sync) {
        let chunk_len = self.chunk_len();
        out.axis_chunks_iter_mut(Axis(0), chunk_len).into_par_iter().enumerate().for_each(|(chunk, mut rows)| {
            let first = chunk * chunk_len;
            for block in self.blocks(first..first + rows.nrows()) {
                let here = block.columns.start - first..block.columns.end - first;
                work(&block, rows.slice_mut(s![here, ..]));
            }
        });
    }

    /// The divergence of V from W H, on the input's scale. `h` is columns x K.
    pub(super) fn divergence(&self, w: &Array2<f32>, h: &Array2<f32>) -> f64 {
        let beta = f64::from(self.beta);
        let panels = pack_dictionary(w);
        let n_panels = self.n_rows().div_ceil(PANEL);
        let sums = self.map_chunks(
            || 0.0,
            |sum: &mut f64, block| {
                let y = self.model(block, &panels, &pack_activations(block, h));
                for frame in 0..block.columns.len() {
                    let tiles = frame / TILE * n_panels..(frame / TILE + 1) * n_panels;
                    for (panel, tile) in tiles.enumerate() {
                        let n_bins = (self.n_rows() - panel * PANEL).min(PANEL);
                        for half in 0..2 {
                            let here = ..n_bins.saturating_sub(8 * half).min(8);
                            let of = |x: &[Tile]| x[tile][frame % TILE][half];
                            let weights = block.weights.as_deref().map_or(Lanes([1.0; 8]), of);
                            let (v, y) = (of(&block.v), of(&y));
                            *sum += entries(&v.0[here], &y.0[here], &weights.0[here], beta);
                        }
                    }
                }
            },
        );
        sums.iter().sum::<f64>() * self.scale.powf(beta)
    }

    /// W H for one block, lifted above 0.
    pub(super) fn model(&self, block: &Block, w: &Panels, h: &[Activations]) -> Vec<Tile> {
        let mut y = vec![ZERO_TILE; block.v.len()];
        self.kernel.multiply(w, h, &mut y);
        let lift = lift(self.beta);
        if lift > lift_of_kernel() {
            for row in y.iter_mut().flatten() {
                for lanes in row {
                    for y in &mut lanes.0 {
                        *y += lift;
                    }
                }
            }
        }
        y
    }
}

impl Block {
    /// Tiles of frames.
    pub(super) fn n_tiles(&self) -> usize {
        self.columns.len().div_ceil(TILE)
    }
}

/// What the kernel lifts WH by: enough for a beta of at least 1.
fn lift_of_kernel() -> f32 {
    lift(1.0)
}

/// Some columns of a matrix as tiles, padded with zeros.
fn pack(x: ArrayView2<'_, f32>, columns: Range<usize>, convert: impl Fn(f32) -> f32) -> Vec<Tile> {
    let n_panels = x.nrows().div_ceil(PANEL);
    let mut tiles = vec![ZERO_TILE; n_panels * columns.len().div_ceil(TILE)];
    let mut copy = Vec::new();
    for (frame, column) in columns.enumerate() {
        let column = x.column(column);
        let column = column.as_slice().unwrap_or_else(|| {
            copy.clear();
            copy.extend(column.iter());
            &copy
        });
        let tiles = &mut tiles[frame / TILE * n_panels..][..n_panels];
        let (whole, rest) = column.as_chunks::<PANEL>();
        for (tile, bins) in tiles.iter_mut().zip(whole) {
            for (i, &x) in bins.iter().enumerate() {
                tile[frame % TILE][i / 8].0[i % 8] = convert(x);
            }
        }
        if let (Some(tile), false) = (tiles.last_mut(), rest.is_empty()) {
            for (i, &x) in rest.iter().enumerate() {
                tile[frame % TILE][i / 8].0[i % 8] = convert(x);
            }
        }
    }
    tiles
}

/// W (rows x K) for the kernel.
pub(super) fn pack_dictionary(w: &Array2<f32>) -> Panels {
    Panels::pack(w.view(), &vec![1.0; w.ncols()])
}

/// A block's part of H (columns x K) for the kernel.
pub(super) fn pack_activations(block: &Block, h: &Array2<f32>) -> Vec<Activations> {
    pack_frames(h.slice(s![block.columns.clone(), ..]))
}

/// Some frames of H (frames x K) for the kernel.
pub(super) fn pack_frames(h: ArrayView2<'_, f32>) -> Vec<Activations> {
    kernel::pack_activations(h.t(), &vec![1.0; h.ncols()])
}

/// Does `work` on all vectors of two lists of tiles, side by side.
pub(super) fn zip_lanes(x: &mut [Tile], other: &[Tile], work: impl Fn(&mut Lanes, &Lanes)) {
    for (x, other) in x.iter_mut().zip(other) {
        for (x, other) in x.iter_mut().zip(other) {
            for (x, other) in x.iter_mut().zip(other) {
                work(x, other);
            }
        }
    }
}

/// Sums over rows, in f64: one number per component.
pub(super) fn column_sums(x: &Array2<f32>) -> Array1<f64> {
    let mut sums = Array1::zeros(x.ncols());
    for row in x.rows() {
        ndarray::Zip::from(&mut sums).and(row).for_each(|sum: &mut f64, &x| *sum += f64::from(x));
    }
    sums
}

/// The weighted sum of V's entries, and the sum of their weights.
pub(super) fn weighted_sum(v: ArrayView2<'_, f32>, weights: ArrayView2<'_, f32>) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    ndarray::Zip::from(&v).and(&weights).for_each(|&x, &weight| {
        if weight > 0.0 {
            sums = (sums.0 + f64::from(weight) * f64::from(x), sums.1 + f64::from(weight));
        }
    });
    sums
}
