//! V as the general solvers see it: time-major blocks of columns, scaled to a mean of about 1.
//! Holds no copy of V; a solver works through its blocks, and V / WH exists for one block at a time.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::divergence::{entry, level, lift};

/// Columns that are worked on at once: with 1025 rows a block is 262 kB, and stays in the second-level cache.
const BLOCK: usize = 64;

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
}

/// A block of columns: everything is frames x rows.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) columns: Range<usize>,
    pub(super) v: Array2<f32>,
    pub(super) weights: Option<Array2<f32>>,
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
        Self { v, weights, scale, mean, beta, least }
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
        let rows_of = |x: ArrayView2<'a, f32>| x.slice_move(s![.., columns.clone()]).reversed_axes();
        let to_scale = 1.0 / self.scale;
        let scaled = |&x: &f32| ((f64::from(x) * to_scale) as f32).max(self.least);
        let weights = self.weights.map(|weights| rows_of(weights).as_standard_layout().into_owned());
        let v = rows_of(self.v);
        let mut scaled_v = Array2::zeros(v.dim());
        ndarray::Zip::from(&mut scaled_v).and(&v).for_each(|to, from| *to = scaled(from));
        if let Some(weights) = &weights {
            // Missing entries may hold anything, and `max` turns NaN into `least`, but not infinity.
            ndarray::Zip::from(&mut scaled_v).and(weights).for_each(|v, &weight| {
                if weight == 0.0 {
                    *v = self.least;
                }
            });
        }
        Block { columns, v: scaled_v, weights }
    }

    /// V H^T: rows x K. `h` is columns x K.
    pub(super) fn times_activations(&self, h: &Array2<f32>) -> Array2<f32> {
        let shape = (self.n_rows(), h.ncols());
        let parts = self.map_chunks(
            || Array2::zeros(shape),
            |sum, block| {
                general_mat_mul(1.0, &block.v.t(), &h.slice(s![block.columns.clone(), ..]), 1.0, sum);
            },
        );
        sum_in_order(parts, shape)
    }

    /// V^T W: columns x K. `w` is rows x K.
    pub(super) fn times_dictionary(&self, w: &Array2<f32>) -> Array2<f32> {
        let mut product = Array2::zeros((self.n_columns(), w.ncols()));
        self.for_each_block(&mut product, |block, mut part| general_mat_mul(1.0, &block.v, w, 0.0, &mut part));
        product
    }

    /// Does `work` on each block and its rows of `out` (columns x anything), one chunk per job.
    pub(super) fn for_each_block(
        &self,
        out: &mut Array2<f32>,
        work: impl Fn(&Block, ndarray::ArrayViewMut2<'_, f32>) + Sync,
    ) {
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
        let sums = self.map_chunks(
            || 0.0,
            |sum: &mut f64, block| {
                let y = self.model(block, w, h);
                let mut add = |v: f32, y: f32, weight: f32| {
                    *sum += f64::from(weight) * entry(f64::from(v), f64::from(y), beta);
                };
                match &block.weights {
                    None => ndarray::Zip::from(&block.v).and(&y).for_each(|&v, &y| add(v, y, 1.0)),
                    Some(weights) => ndarray::Zip::from(&block.v).and(&y).and(weights).for_each(|&v, &y, &weight| {
                        if weight > 0.0 {
                            add(v, y, weight);
                        }
                    }),
                }
            },
        );
        sums.iter().sum::<f64>() * self.scale.powf(beta)
    }

    /// W H for one block, frames x rows, lifted above 0. `h` is columns x K.
    pub(super) fn model(&self, block: &Block, w: &Array2<f32>, h: &Array2<f32>) -> Array2<f32> {
        product(&h.slice(s![block.columns.clone(), ..]), w, lift(self.beta))
    }
}

/// H^T W^T for some frames of H, frames x rows, plus `lift`.
pub(super) fn product(h: &ArrayView2<'_, f32>, w: &Array2<f32>, lift: f32) -> Array2<f32> {
    let mut y = Array2::from_elem((h.nrows(), w.nrows()), lift);
    general_mat_mul(1.0, h, &w.t(), 1.0, &mut y);
    y
}

/// The sum of the chunks' results, from the first to the last.
pub(super) fn sum_in_order(parts: Vec<Array2<f32>>, shape: (usize, usize)) -> Array2<f32> {
    parts.into_iter().reduce(|sum, part| sum + part).unwrap_or_else(|| Array2::zeros(shape))
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
