//! V as the general solvers see it: blocks of columns, packed for the kernel and scaled to a mean of about 1, or its
//! entries other than 0, of which a block is packed when it is its turn.
//! Knows products and the divergence; V / WH never exists as a whole.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::divergence::{ZERO, entries, level, lift};
use super::kernel::{self, Activations, Kernel, Lanes, Panels, Power, Row, TILE, Tile, wide, zero_row, zero_tile};
use super::sparse_loops::{Packed, diverged, gathered};
use super::{Real, SparseMatrix};

/// Columns that are worked on at once.
const BLOCK: usize = kernel::BLOCK / 2 * TILE;

/// Pieces into which the columns are shared out, at the most. It does not depend on the number of threads, so that
/// neither do the sums.
const MAX_CHUNKS: usize = 16;

/// V (rows x columns), its weights, and the scale that brings its mean to about 1.
///
/// Scales are powers of two: dividing by them rounds nothing. Clones share V.
#[derive(Debug, Clone)]
pub(super) struct Data<T: Real> {
    shape: (usize, usize),
    source: Arc<Source<T>>,
    is_weighted: bool,
    /// V on the input's scale over V as the blocks have it.
    pub(super) scale: f64,
    /// Mean of V as the blocks have it, about 1; 1 where V is silent.
    pub(super) mean: f64,
    /// As exact as the numbers are.
    pub(super) beta: f64,
    pub(super) kernel: Kernel,
    guard: Guard<T>,
}

/// Where the blocks come from.
#[derive(Debug)]
enum Source<T: Real> {
    Packed(Vec<Block<T>>),
    /// V and its transpose, over the scale.
    Sparse {
        rows: SparseMatrix<T>,
        columns: SparseMatrix<T>,
    },
}

/// What keeps WH from 0.
#[derive(Debug, Clone, Copy)]
struct Guard<T> {
    /// Added to it.
    lift: T,
    /// It counts as at least this.
    least: T,
}

/// A block of columns.
#[derive(Debug, Clone)]
pub(super) struct Block<T: Real> {
    pub(super) columns: Range<usize>,
    v: Vec<Tile<T>>,
    weights: Option<Vec<Tile<T>>>,
}

impl<T: Real> Data<T> {
    /// # Cost
    /// Memory: one packed copy of V and one of the weights.
    pub(super) fn new(v: ArrayView2<'_, T>, weights: Option<ArrayView2<'_, T>>, beta: f64) -> Self {
        let (sum, count) = sum_and_count(v, weights);
        Self::with_scale(v, weights, beta, level(sum, count))
    }

    /// V over a given scale.
    pub(super) fn with_scale(v: ArrayView2<'_, T>, weights: Option<ArrayView2<'_, T>>, beta: f64, scale: f64) -> Self {
        let (sum, count) = sum_and_count(v, weights);
        let least = if beta <= 0.0 { T::of(ZERO) } else { T::of(0.0) };
        let blocks = (0..v.ncols().div_ceil(BLOCK)).into_par_iter().map(|i| {
            let columns = i * BLOCK..((i + 1) * BLOCK).min(v.ncols());
            Block::new(v.slice(s![.., columns.clone()]), weights, columns, scale, least)
        });
        Self {
            shape: v.dim(),
            source: Arc::new(Source::Packed(blocks.collect())),
            is_weighted: weights.is_some(),
            scale,
            mean: if sum > 0.0 { sum / count / scale } else { 1.0 },
            beta: wide(T::of(beta)),
            kernel: Kernel::detect(),
            guard: Guard { lift: lift(beta), least: T::of(0.0) },
        }
    }

    /// A V that is mostly zero.
    ///
    /// # Cost
    /// Memory: two copies of its entries, and a block at a time for each thread where a divergence asks for all of WH.
    pub(super) fn sparse(v: &SparseMatrix<T>, beta: f64) -> Self {
        let count = v.dim().0 as f64 * v.dim().1 as f64;
        Self::sparse_with_scale(v, beta, level(v.entries().map(|(_, _, x)| wide(x)).sum(), count))
    }

    /// The same over a given scale.
    pub(super) fn sparse_with_scale(v: &SparseMatrix<T>, beta: f64, scale: f64) -> Self {
        let sum: f64 = v.entries().map(|(_, _, x)| wide(x)).sum();
        let count = v.dim().0 as f64 * v.dim().1 as f64;
        let rows = v.scaled(1.0 / scale);
        Self {
            shape: v.dim(),
            source: Arc::new(Source::Sparse { columns: rows.transposed(), rows }),
            is_weighted: false,
            scale,
            mean: if sum > 0.0 { sum / count / scale } else { 1.0 },
            beta: wide(T::of(beta)),
            kernel: Kernel::detect(),
            guard: Guard { lift: lift(beta), least: T::of(0.0) },
        }
    }

    /// Lets WH count as at least `least` on the input's scale where a power of it is negative, and adds nothing to it.
    pub(super) fn with_least(mut self, least: f64) -> Self {
        if self.beta < 2.0 {
            self.guard = Guard { lift: T::of(0.0), least: T::of(least / self.scale) };
        }
        self
    }

    pub(super) fn n_rows(&self) -> usize {
        self.shape.0
    }

    pub(super) fn n_columns(&self) -> usize {
        self.shape.1
    }

    pub(super) fn is_weighted(&self) -> bool {
        self.is_weighted
    }

    /// The blocks of a V that is held dense.
    pub(super) fn blocks(&self) -> Option<&[Block<T>]> {
        match &*self.source {
            Source::Packed(blocks) => Some(blocks),
            Source::Sparse { .. } => None,
        }
    }

    /// Tiles of frames in a block; the last may have fewer.
    pub(super) fn tiles_per_block(&self) -> usize {
        BLOCK / TILE
    }

    /// Blocks whose results are summed before they meet those of others.
    pub(super) fn blocks_per_chunk(&self) -> usize {
        self.n_blocks().div_ceil(MAX_CHUNKS).max(1)
    }

    fn n_blocks(&self) -> usize {
        self.n_columns().div_ceil(BLOCK)
    }

    fn block(&self, i: usize) -> Cow<'_, Block<T>> {
        match &*self.source {
            Source::Packed(blocks) => Cow::Borrowed(&blocks[i]),
            Source::Sparse { columns, .. } => {
                let range = i * BLOCK..((i + 1) * BLOCK).min(self.n_columns());
                let is_needed = self.sparse_entries().is_none();
                let v = if is_needed { pack_sparse(columns, &range, self.least_entry()) } else { Vec::new() };
                Cow::Owned(Block { v, columns: range, weights: None })
            }
        }
    }

    /// What a zero of V counts as.
    fn least_entry(&self) -> T {
        T::of(if self.beta <= 0.0 { ZERO } else { 0.0 })
    }

    /// V and its transpose, where their entries other than 0 are all that counts: with gram matrices or sums for the rest.
    fn sparse_entries(&self) -> Option<(&SparseMatrix<T>, &SparseMatrix<T>)> {
        match &*self.source {
            Source::Sparse { rows, columns } if self.beta == 1.0 || self.beta == 2.0 => Some((rows, columns)),
            _ => None,
        }
    }

    /// Does `work` on each block, one chunk per job, and returns the chunks' results in order.
    pub(super) fn map_chunks<R: Send>(
        &self,
        start: impl Fn() -> R + Sync,
        work: impl Fn(&mut R, &Block<T>) + Sync,
    ) -> Vec<R> {
        let (n_blocks, chunk_len) = (self.n_blocks(), self.blocks_per_chunk());
        let chunk = |i: usize| {
            let mut result = start();
            let blocks = i * chunk_len..((i + 1) * chunk_len).min(n_blocks);
            blocks.for_each(|i| work(&mut result, &self.block(i)));
            result
        };
        (0..n_blocks.div_ceil(chunk_len)).into_par_iter().map(chunk).collect()
    }

    /// V H^T: rows x K. `h` is columns x K.
    pub(super) fn times_activations(&self, h: &Array2<T>) -> Array2<T> {
        let k = h.ncols();
        if let Some((rows, _)) = self.sparse_entries() {
            return gathered(self.kernel, rows, &(0..self.n_rows()), None, &packed(h.view()), T::of(0.0));
        }
        let parts = self.map_chunks(
            || self.zero_panels(k),
            |sum, block| self.kernel.gather_onto_w(&block.v, &pack_activations(block, h), k, sum),
        );
        self.sum_panels(parts, k)
    }

    /// V^T W: columns x K. `w` is rows x K.
    pub(super) fn times_dictionary(&self, w: &Array2<T>) -> Array2<T> {
        let k = w.ncols();
        if let Some((_, columns)) = self.sparse_entries() {
            return gathered(self.kernel, columns, &(0..self.n_columns()), None, &packed(w.view()), T::of(0.0));
        }
        let panels = pack_dictionary(w);
        let mut product = Array2::zeros((self.n_columns(), k));
        self.for_each_block(&mut product, |block, part| {
            kernel::unpack_frames(&self.gathered_tiles(block, &panels), part);
        });
        product
    }

    /// V^T W, of which `improve` takes each block to improve its part of H by (columns x K); and, where it is wanted, V H^T
    /// of what came of it, for which V is near then. Returns the sums of what `improve` returned, chunk by chunk.
    pub(super) fn improve_by_blocks(
        &self,
        w: &Array2<T>,
        h: &mut Array2<T>,
        wants_product: bool,
        improve: impl Fn(ArrayViewMut2<'_, T>, ArrayView2<'_, T>) -> f64 + Sync,
    ) -> (Vec<f64>, Option<Array2<T>>) {
        let (k, panels, chunk_len) = (w.ncols(), pack_dictionary(w), self.blocks_per_chunk());
        let chunk = |(i, mut h): (usize, ArrayViewMut2<'_, T>)| {
            let (mut total, mut sum) = (0.0, if wants_product { self.zero_panels(k) } else { Vec::new() });
            for (j, mut h) in h.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate() {
                let block = self.block(i * chunk_len + j);
                total += improve(h.view_mut(), self.gathered(&block, &panels).view());
                if wants_product {
                    self.kernel.gather_onto_w(&block.v, &pack_frames(h.view()), k, &mut sum);
                }
            }
            (total, sum)
        };
        let chunks = h.axis_chunks_iter_mut(Axis(0), chunk_len * BLOCK).into_par_iter().enumerate();
        let (totals, sums) = chunks.map(chunk).collect::<Vec<_>>().into_iter().unzip();
        (totals, wants_product.then(|| self.sum_panels(sums, k)))
    }

    /// Sums for W, packed as W is.
    pub(super) fn zero_panels(&self, k: usize) -> Vec<Row<T>> {
        vec![zero_row(); self.n_rows().div_ceil(T::PANEL) * k]
    }

    /// The sum of the chunks' results, from the first to the last: rows x K.
    pub(super) fn sum_panels(&self, parts: Vec<Vec<Row<T>>>, k: usize) -> Array2<T> {
        let sum = parts.into_iter().reduce(|mut sum, part| {
            for (sum, part) in sum.as_flattened_mut().iter_mut().zip(part.as_flattened()) {
                sum.iter_mut().zip(part.iter()).for_each(|(sum, part)| *sum += *part);
            }
            sum
        });
        let panels = Panels { rows: sum.unwrap_or_else(|| self.zero_panels(k)), n_components: k };
        panels.unpacked(self.n_rows())
    }

    /// Does `work` on each block and its rows of `out` (columns x anything).
    pub(super) fn for_each_block(&self, out: &mut Array2<T>, work: impl Fn(&Block<T>, ArrayViewMut2<'_, T>) + Sync) {
        let rows = out.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter();
        rows.enumerate().for_each(|(i, rows)| work(&self.block(i), rows));
    }

    /// The divergence of V from W H, on the input's scale. `h` is columns x K.
    pub(super) fn divergence(&self, w: &Array2<T>, h: &Array2<T>) -> f64 {
        let beta = self.beta;
        if let Some((rows, _)) = self.sparse_entries() {
            let (w, h) = (packed(w.view()), packed(h.view()));
            return diverged(self.kernel, rows, &w, &h, beta == 1.0) * self.scale.powf(beta);
        }
        let panels = pack_dictionary(w);
        let n_panels = self.n_rows().div_ceil(T::PANEL);
        let sums = self.map_chunks(
            || 0.0,
            |sum: &mut f64, block| {
                let mut y = vec![zero_tile(); block.v.len()];
                self.kernel.multiply(&panels, &pack_activations(block, h), self.guard.lift, &mut y);
                if beta == 2.0 && !self.is_weighted {
                    *sum += 0.5 * self.kernel.squared_gaps(&block.v, &y);
                    return;
                }
                for frame in 0..block.columns.len() {
                    let tiles = frame / TILE * n_panels..(frame / TILE + 1) * n_panels;
                    for (panel, tile) in tiles.enumerate() {
                        let n_bins = (self.n_rows() - panel * T::PANEL).min(T::PANEL);
                        for half in 0..2 {
                            let here = ..n_bins.saturating_sub(T::LANES * half).min(T::LANES);
                            let of = |x: &[Tile<T>]| x[tile][frame % TILE][half];
                            let weights = block.weights.as_deref().map_or(Lanes::splat(T::of(1.0)), of);
                            let (v, y) = (of(&block.v), of(&y));
                            *sum += entries(&v[here], &y[here], &weights[here], self.guard.least, beta);
                        }
                    }
                }
            },
        );
        sums.iter().sum::<f64>() * self.scale.powf(beta)
    }

    /// V^T W for one block: frames x K.
    pub(super) fn gathered(&self, block: &Block<T>, w: &Panels<T>) -> Array2<T> {
        unpack_frames(&self.gathered_tiles(block, w), (block.columns.len(), w.n_components))
    }

    /// The same, packed as H is.
    fn gathered_tiles(&self, block: &Block<T>, w: &Panels<T>) -> Vec<Activations<T>> {
        let mut sums = vec![[T::of(0.0); TILE]; block.n_tiles() * w.n_components];
        self.kernel.gather_onto_h(w, &block.v, &mut sums);
        sums
    }

    /// What a multiplicative step of H divides by what, for one block: frames x K. No second where it is but sums of W.
    pub(super) fn activation_terms(
        &self,
        block: &Block<T>,
        w: &Panels<T>,
        h: &[Activations<T>],
    ) -> (Array2<T>, Option<Array2<T>>) {
        let shape = (block.columns.len(), w.n_components);
        let mut numerator = vec![[T::of(0.0); TILE]; h.len()];
        let mut denominator = if self.needs_denominator() { numerator.clone() } else { Vec::new() };
        self.kernel.terms_onto_h(self.entries(block), w, h, &mut numerator, &mut denominator);
        let denominator = self.needs_denominator().then(|| unpack_frames(&denominator, shape));
        (unpack_frames(&numerator, shape), denominator)
    }

    /// The numerators of [`Data::dictionary_terms`] from the entries of a sparse V, where they are all that counts.
    pub(super) fn sparse_dictionary_terms(&self, w: &Array2<T>, h: &Array2<T>) -> Option<Array2<T>> {
        let (rows, _) = self.sparse_entries()?;
        let (w, h) = (packed(w.view()), packed(h.view()));
        let x = (self.beta == 1.0).then_some(&w);
        Some(gathered(self.kernel, rows, &(0..self.n_rows()), x, &h, self.guard.least))
    }

    /// The same for [`Data::activation_terms`], with W as [`packed`] gives it.
    pub(super) fn sparse_activation_terms(
        &self,
        block: &Block<T>,
        w: &Packed<T>,
        h: ArrayView2<'_, T>,
    ) -> Option<Array2<T>> {
        let (_, columns) = self.sparse_entries()?;
        let h = packed(h);
        let x = (self.beta == 1.0).then_some(&h);
        Some(gathered(self.kernel, columns, &block.columns, x, w, self.guard.least))
    }

    /// Whether the entries of V other than 0 are all that counts.
    pub(super) fn is_sparse(&self) -> bool {
        self.sparse_entries().is_some()
    }

    /// The same for W: rows x K.
    pub(super) fn dictionary_terms(&self, w: &Panels<T>, h: &Array2<T>) -> (Array2<T>, Option<Array2<T>>) {
        let k = w.n_components;
        let parts = self.map_chunks(
            || (self.zero_panels(k), if self.needs_denominator() { self.zero_panels(k) } else { Vec::new() }),
            |(numerator, denominator), block| {
                let h = pack_activations(block, h);
                self.kernel.terms_onto_w(self.entries(block), w, &h, numerator, denominator);
            },
        );
        let (numerators, denominators) = parts.into_iter().unzip();
        let denominator = self.needs_denominator().then(|| self.sum_panels(denominators, k));
        (self.sum_panels(numerators, k), denominator)
    }

    /// Whether (WH)^(beta-1) times the weights is anything but ones.
    fn needs_denominator(&self) -> bool {
        self.beta != 1.0 || self.is_weighted
    }

    fn entries<'b>(&self, block: &'b Block<T>) -> kernel::Entries<'b, T> {
        let power = Power::of(self.beta);
        kernel::Entries {
            v: &block.v,
            weights: block.weights.as_deref(),
            power,
            least: self.guard.least,
            lift: self.guard.lift,
        }
    }
}

impl<T: Real> Block<T> {
    fn new(
        v: ArrayView2<'_, T>,
        weights: Option<ArrayView2<'_, T>>,
        columns: Range<usize>,
        scale: f64,
        least: T,
    ) -> Self {
        let to_scale = 1.0 / scale;
        let mut v = if is_exact::<T>(to_scale) {
            // A power of two: f32 is as exact as f64.
            let to_scale = T::of(to_scale);
            pack(v, |x| (x * to_scale).max(least))
        } else {
            pack(v, |x| T::of(wide(x) * to_scale).max(least))
        };
        let weights = weights.map(|weights| pack(weights.slice(s![.., columns.clone()]), |x| x));
        if let Some(weights) = &weights {
            // Missing entries may hold anything.
            for (v, weight) in lanes_mut(&mut v).zip(lanes(weights)) {
                for (v, weight) in v.iter_mut().zip(weight.iter()) {
                    if *weight == T::of(0.0) {
                        *v = least;
                    }
                }
            }
        }
        Self { columns, v, weights }
    }

    /// V over the scale.
    pub(super) fn tiles(&self) -> &[Tile<T>] {
        &self.v
    }

    /// Tiles of frames.
    fn n_tiles(&self) -> usize {
        self.columns.len().div_ceil(TILE)
    }
}

/// Some columns of a sparse matrix, whose transpose is given, as tiles; zeros count as `least`.
fn pack_sparse<T: Real>(transposed: &SparseMatrix<T>, columns: &Range<usize>, least: T) -> Vec<Tile<T>> {
    let n_rows = transposed.dim().1;
    let n_panels = n_rows.div_ceil(T::PANEL);
    let mut tiles = vec![zero_tile(); n_panels * columns.len().div_ceil(TILE)];
    for (frame, column) in columns.clone().enumerate() {
        let tiles = &mut tiles[frame / TILE * n_panels..][..n_panels];
        let mut put = |row: usize, x: T| {
            tiles[row / T::PANEL][frame % TILE][row % T::PANEL / T::LANES][row % T::LANES] = x.max(least);
        };
        if least > T::of(0.0) {
            (0..n_rows).for_each(|row| put(row, least));
        }
        let (rows, values) = transposed.row(column);
        rows.iter().zip(values).for_each(|(&row, &x)| put(row as usize, x));
    }
    tiles
}

/// A factor (rows x K) for the loops over the entries of a sparse V.
pub(super) fn packed<T: Real>(x: ArrayView2<'_, T>) -> Packed<T> {
    Packed::new(x, &vec![1.0; x.ncols()], vec![true; x.ncols()])
}

/// Whether T holds a power of two and can multiply by it without rounding.
fn is_exact<T: Real>(power: f64) -> bool {
    (wide(T::SMALLEST)..=wide(T::LARGEST)).contains(&power)
}

/// A matrix as tiles, padded with zeros.
fn pack<T: Real>(x: ArrayView2<'_, T>, convert: impl Fn(T) -> T) -> Vec<Tile<T>> {
    let n_panels = x.nrows().div_ceil(T::PANEL);
    let mut tiles = vec![zero_tile(); n_panels * x.ncols().div_ceil(TILE)];
    let mut copy = Vec::new();
    for (frame, column) in x.columns().into_iter().enumerate() {
        let column = column.as_slice().unwrap_or_else(|| {
            copy.clear();
            copy.extend(column.iter().copied());
            &copy
        });
        let tiles = &mut tiles[frame / TILE * n_panels..][..n_panels];
        for (tile, bins) in tiles.iter_mut().zip(column.chunks(T::PANEL)) {
            for (lanes, bins) in tile[frame % TILE].iter_mut().zip(bins.chunks(T::LANES)) {
                lanes.iter_mut().zip(bins).for_each(|(x, &bin)| *x = convert(bin));
            }
        }
    }
    tiles
}

/// W (rows x K) for the kernel.
pub(super) fn pack_dictionary<T: Real>(w: &Array2<T>) -> Panels<T> {
    Panels::pack_as_is(w.view())
}

/// A block's part of H (columns x K) for the kernel.
pub(super) fn pack_activations<T: Real>(block: &Block<T>, h: &Array2<T>) -> Vec<Activations<T>> {
    pack_frames(h.slice(s![block.columns.clone(), ..]))
}

/// Some frames of H (frames x K) for the kernel.
pub(super) fn pack_frames<T: Real>(h: ArrayView2<'_, T>) -> Vec<Activations<T>> {
    kernel::pack_frames(h)
}

/// Some frames of what is packed as H is: frames x K.
fn unpack_frames<T: Real>(packed: &[Activations<T>], (n_frames, k): (usize, usize)) -> Array2<T> {
    let mut frames = Array2::zeros((n_frames, k));
    kernel::unpack_frames(packed, frames.view_mut());
    frames
}

fn lanes<T: Real>(tiles: &[Tile<T>]) -> impl Iterator<Item = &Lanes<T>> {
    tiles.as_flattened().as_flattened().iter()
}

fn lanes_mut<T: Real>(tiles: &mut [Tile<T>]) -> impl Iterator<Item = &mut Lanes<T>> {
    tiles.as_flattened_mut().as_flattened_mut().iter_mut()
}

/// Sums over rows, in f64: one number per component.
pub(super) fn column_sums<T: Real>(x: &Array2<T>) -> Array1<f64> {
    let mut sums = Array1::zeros(x.ncols());
    for row in x.rows() {
        ndarray::Zip::from(&mut sums).and(row).for_each(|sum: &mut f64, &x| *sum += wide(x));
    }
    sums
}

/// The sum of V's entries and their number, or the sum of their weights.
fn sum_and_count<T: Real>(v: ArrayView2<'_, T>, weights: Option<ArrayView2<'_, T>>) -> (f64, f64) {
    match weights {
        None => (v.iter().map(|&x| wide(x)).sum(), v.len() as f64),
        Some(weights) => weighted_sum(v, weights),
    }
}

/// The sum of V's entries, one after the other as they lie in memory.
pub(super) fn sum<T: Real>(v: ArrayView2<'_, T>) -> f64 {
    let v = if v.t().is_standard_layout() { v.reversed_axes() } else { v };
    v.iter().map(|&x| wide(x)).sum()
}

/// The weighted sum of V's entries, and the sum of their weights.
pub(super) fn weighted_sum<T: Real>(v: ArrayView2<'_, T>, weights: ArrayView2<'_, T>) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    ndarray::Zip::from(&v).and(&weights).for_each(|&x, &weight| {
        if weight > T::of(0.0) {
            sums = (sums.0 + wide(weight) * wide(x), sums.1 + wide(weight));
        }
    });
    sums
}
