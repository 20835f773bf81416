//! Factorizes a matrix that is never held whole: it comes a few columns at a time, again in every iteration.
//! The updates are those of `multiplicative`, and so is the hot loop; where the columns come from, the caller knows.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::alternate::{Alternate, Halves};
use super::config::setting;
use super::kernel::{self, Activations, BLOCK, Element, Kernel, Lanes, Panels, Row, Scratch, TILE, zero_row};
use super::misuse::warnings;
use super::scales::{Scales, given_back, inverse};
use super::{Factor, Factorization, NmfConfig, fit, init};
use crate::watch::Watch;
use crate::{Error, Result};

/// Pieces of a block that are worked on side by side, whatever the number of threads.
const PIECES: usize = 8;

/// A matrix that can be read a few columns at a time.
pub trait ColumnBlocks: Send {
    /// Rows and columns.
    fn dim(&self) -> (usize, usize);

    /// Reads the given columns into `block`, which is `n_rows` x `columns.len()` and keeps each column together.
    /// It is asked for all columns in every iteration, and has to answer alike each time.
    ///
    /// # Errors
    /// Whatever keeps it from doing so; the fit ends with the same error.
    fn read(&mut self, columns: Range<usize>, block: ArrayViewMut2<'_, f32>) -> Result<()>;
}

/// What to fit to a matrix that is not held whole, and in how much memory.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockConfig {
    /// What to fit: Kullback-Leibler with [`Solver::Mu`](super::Solver::Mu) or
    /// [`Solver::MuExtrapolated`](super::Solver::MuExtrapolated), random or given starts, neither weights nor penalties.
    pub nmf: NmfConfig,
    /// Bytes of V in a block; fewer than 24 per row of V count as that. Default 64 MiB. Three blocks are held: one at work, packed as
    /// the kernel wants it, and one that is read meanwhile.
    pub block_bytes: usize,
    /// How the fit starts off. Default none: from the first value of the factors.
    pub warm_start: Option<WarmStart>,
}

impl Default for BlockConfig {
    fn default() -> Self {
        Self { nmf: NmfConfig::default(), block_bytes: 64 << 20, warm_start: None }
    }
}

/// A start from some of the columns, which are held whole, twice, for that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmStart {
    /// Takes every `every`-th column, at least 1. Default 8.
    pub every: usize,
    /// Iterations on these columns, at the most. Default 100.
    pub max_iter: usize,
    /// Steps of the activations of all columns under the dictionary that came out; they read V once. Default 10.
    pub activation_steps: usize,
}

impl Default for WarmStart {
    fn default() -> Self {
        Self { every: 8, max_iter: 100, activation_steps: 10 }
    }
}

/// Factorizes a matrix that comes in blocks of columns, as [`fit`] does with the same matrix held whole: from the same
/// start, the same updates in the same order. The same seed and the same `block_bytes` give the same bits for any
/// number of threads.
///
/// # Errors
/// Those of [`fit`], those of [`ColumnBlocks::read`], and [`Error::Setting`] for what [`BlockConfig`] rules out.
///
/// # Cost
/// V is read once to check it, once for the first divergence, once per iteration, and once for a warm start; the next
/// block is read while one is worked on. Memory: three blocks, H twice and W 12 times, with extrapolation each two
/// more.
pub fn fit_blocks(v: &mut dyn ColumnBlocks, config: &BlockConfig, watch: &mut Watch<'_>) -> Result<Factorization> {
    check(v.dim(), config)?;
    let reader = Reader::new(v, config.block_bytes);
    let every = config.warm_start.map(|warm| warm.every);
    let (mut reader, mean, sample) = survey(reader, every)?;
    let mut start = config.nmf.clone();
    if let (Some(warm), Some(sample)) = (config.warm_start, sample) {
        let on_sample = NmfConfig { max_iter: warm.max_iter, target_divergence: None, ..config.nmf.clone() };
        start.dictionary = Factor::Seed(fit(sample.t(), &on_sample)?.dictionary);
    }
    let (mut w, mut h) = init::random_factors(reader.source.dim(), mean, &start);
    let warnings = warnings(None, (&w, &h), &config.nmf);
    let k = config.nmf.n_components;
    let (free_w, free_h) = (config.nmf.dictionary.is_free(k), config.nmf.activations.is_free(k));
    let scales = Scales::new(mean, &w, &h, &free_w, &free_h);
    let failure = RefCell::new(None);
    let mut halves = Blockwise::new(&mut reader, (w.view(), h.view()), &scales, (free_w, free_h), &failure);
    if let Some(warm) = config.warm_start {
        halves.pass(warm.activation_steps, false);
    }
    let mut solve = Alternate::new(halves, config.nmf.solver, 1.0 / scales.v);
    let mut tell = |now| {
        let goes_on = failure.borrow().is_none() && watch.tell(now).is_ok();
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let run = solve.run(&config.nmf, &mut Watch::new(&mut tell));
    solve.halves.unpack((w.view_mut(), h.view_mut()), &scales);
    drop(solve);
    match failure.into_inner() {
        Some(error) => Err(error),
        None => Ok(Factorization {
            dictionary: w,
            activations: h,
            n_iter: run.n_iter,
            divergence: run.curve[run.curve.len() - 1].1,
            divergence_curve: run.curve,
            stop_reason: run.stop_reason,
            warnings,
        }),
    }
}

fn check(shape: (usize, usize), config: &BlockConfig) -> Result<()> {
    config.nmf.check_plain("for a matrix in blocks", &[1.0])?;
    config.nmf.check_factors(shape)?;
    if let Some(warm) = config.warm_start {
        if warm.every == 0 {
            return Err(setting("warm_start.every", 0, "at least 1"));
        }
        if config.nmf.activations != Factor::Free {
            return Err(setting("activations", "given", "`Free` with a warm start"));
        }
    }
    Ok(())
}

/// Mean of V, and every `every`-th of its columns, as rows; refuses entries that cannot be worked with.
fn survey(mut reader: Reader<'_>, every: Option<usize>) -> Result<(Reader<'_>, f64, Option<Array2<f32>>)> {
    let (n_rows, n_columns) = reader.source.dim();
    let mut sample = every.map(|every| Array2::zeros((n_columns.div_ceil(every), n_rows)));
    let mut sum = 0.0;
    reader.for_each_block(|columns, block| {
        for (column, v) in columns.zip(block.outer_iter()) {
            if let Some((row, &value)) = v.iter().enumerate().find(|(_, x)| !(x.is_finite() && **x >= 0.0)) {
                return Err(Error::MatrixEntry { row, column, value: f64::from(value) });
            }
            sum += v.iter().map(|&x| f64::from(x)).sum::<f64>();
            if let (Some(every), Some(sample)) = (every, &mut sample)
                && column.is_multiple_of(every)
            {
                sample.row_mut(column / every).assign(&v);
            }
        }
        Ok(())
    })?;
    Ok((reader, sum / (n_rows as f64 * n_columns as f64).max(1.0), sample))
}

/// Reads a block ahead.
struct Reader<'a> {
    source: &'a mut dyn ColumnBlocks,
    /// Two blocks, columns x rows.
    buffers: [Array2<f32>; 2],
}

impl<'a> Reader<'a> {
    fn new(source: &'a mut dyn ColumnBlocks, block_bytes: usize) -> Self {
        let (n_rows, n_columns) = source.dim();
        let fitting = block_bytes / size_of::<f32>() / n_rows.max(1);
        // Whole tiles in each piece.
        let granule = if fitting >= PIECES * TILE { PIECES * TILE } else { TILE };
        let block_len = (fitting / granule * granule).max(TILE).min(n_columns.next_multiple_of(TILE)).max(TILE);
        let buffers = [(); 2].map(|()| Array2::zeros((block_len, n_rows)));
        Self { source, buffers }
    }

    /// Hands each block (columns x rows) to `work`, while the next one is read.
    fn for_each_block(
        &mut self,
        mut work: impl FnMut(Range<usize>, ArrayView2<'_, f32>) -> Result<()> + Send,
    ) -> Result<()> {
        let n_columns = self.source.dim().1;
        let [present, next] = &mut self.buffers;
        let (block_len, source) = (present.nrows(), &mut *self.source);
        let mut columns = 0..block_len.min(n_columns);
        let mut read = |columns: Range<usize>, buffer: &mut Array2<f32>| match columns.len() {
            0 => Ok(()),
            n => source.read(columns, buffer.slice_mut(s![..n, ..]).reversed_axes()),
        };
        read(columns.clone(), present)?;
        while !columns.is_empty() {
            let ahead = columns.end..(columns.end + block_len).min(n_columns);
            let block = present.slice(s![..columns.len(), ..]);
            let (worked, was_read) = rayon::join(|| work(columns.clone(), block), || read(ahead.clone(), next));
            worked?;
            was_read?;
            std::mem::swap(present, next);
            columns = ahead;
        }
        Ok(())
    }
}

/// W and H between two halves of an iteration, scaled so that V has a mean of 1 to 2.
struct Blockwise<'a, 'b> {
    kernel: Kernel,
    reader: &'a mut Reader<'b>,
    scale: f64,
    w: Panels,
    h: Vec<Activations>,
    free_w: Vec<bool>,
    free_h: Vec<bool>,
    pieces: Vec<Piece>,
    /// (V / WH) H^T over all blocks, in the order of `w`.
    w_numerators: Vec<[[f64; 8]; 2]>,
    /// Why V could not be read, once it could not.
    failure: &'a RefCell<Option<Error>>,
}

/// Working space for a piece of a block.
struct Piece {
    w_numerators: Vec<Row>,
    scratch: Scratch,
}

impl<'a, 'b> Blockwise<'a, 'b> {
    fn new(
        reader: &'a mut Reader<'b>,
        (w, h): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        scales: &Scales,
        (free_w, free_h): (Vec<bool>, Vec<bool>),
        failure: &'a RefCell<Option<Error>>,
    ) -> Self {
        let w = Panels::pack(w, &scales.w);
        let n_numerators = if free_w.contains(&true) { w.rows.len() } else { 0 };
        let piece = || Piece { w_numerators: vec![zero_row(); n_numerators], scratch: Scratch::new(w.n_components) };
        Self {
            kernel: Kernel::detect(),
            reader,
            scale: scales.v,
            h: kernel::pack_activations(h, &scales.h),
            pieces: std::iter::repeat_with(piece).take(PIECES).collect(),
            w_numerators: vec![[[0.0; 8]; 2]; n_numerators],
            w,
            free_w,
            free_h,
            failure,
        }
    }

    /// Goes over V once: some steps of H, then the numerators of the next W; returns the divergence of the factors
    /// that it leaves, if it is wanted.
    fn pass(&mut self, h_steps: usize, want_divergence: bool) -> f64 {
        let Self { kernel, reader, scale, w, h, free_w, free_h, pieces, w_numerators, failure } = self;
        if failure.borrow().is_some() {
            return f64::INFINITY;
        }
        let inverse_sums = inverse(&w.sums(), free_h);
        let h_steps = if free_h.contains(&true) { h_steps } else { 0 };
        let wanted = kernel::Wanted::of(free_w, want_divergence);
        let n_components = w.n_components;
        let work_on_tiles = |v: ArrayView2<'_, f32>, h: &mut [Activations], piece: &mut Piece| {
            let v = kernel::pack_columns(v.reversed_axes(), *scale);
            for _ in 0..h_steps {
                kernel.improve_h(&v, w, &inverse_sums, h, &mut piece.scratch);
            }
            if !wanted.components.is_empty() {
                kernel.gather_w(&v, w, h, &mut piece.w_numerators, &wanted, &mut piece.scratch)
            } else if want_divergence {
                kernel.divergence(&v, w, h)
            } else {
                0.0
            }
        };
        w_numerators.fill([[0.0; 8]; 2]);
        let mut divergence = 0.0;
        let result = reader.for_each_block(|columns, block| {
            let h = &mut h[columns.start / TILE * n_components..columns.end.div_ceil(TILE) * n_components];
            let tiles_per_piece = block.nrows().div_ceil(TILE).div_ceil(PIECES);
            let totals: Vec<f64> = pieces
                .par_iter_mut()
                .zip(h.par_chunks_mut(tiles_per_piece * n_components))
                .enumerate()
                .map(|(i, (piece, h))| {
                    let first = i * tiles_per_piece * TILE;
                    let columns = first..(first + tiles_per_piece * TILE).min(block.nrows());
                    let v = block.slice_move(s![columns, ..]);
                    v.axis_chunks_iter(Axis(0), BLOCK * TILE)
                        .zip(h.chunks_mut(BLOCK * n_components))
                        .map(|(v, h)| work_on_tiles(v, h, piece))
                        .sum()
                })
                .collect();
            divergence += totals.iter().sum::<f64>();
            add_up(pieces, w_numerators, n_components);
            Ok(())
        });
        if let Err(error) = result {
            failure.replace(Some(error));
        }
        divergence
    }

    /// Writes the free components back on the input's scale.
    fn unpack(&self, (mut w, mut h): (ArrayViewMut2<'_, f32>, ArrayViewMut2<'_, f32>), scales: &Scales) {
        for ((bin, k), w) in w.indexed_iter_mut().filter(|((_, k), _)| self.free_w[*k]) {
            *w = given_back(self.w.at(bin, k), scales.w[k]);
        }
        for ((k, column), h) in h.indexed_iter_mut().filter(|((k, _), _)| self.free_h[*k]) {
            *h = given_back(self.h[column / TILE * self.free_h.len() + k][column % TILE], scales.h[k]);
        }
    }
}

impl Halves for Blockwise<'_, '_> {
    type W = Lanes;
    type H = f32;

    fn w(&mut self) -> &mut [Lanes] {
        self.w.rows.as_flattened_mut()
    }

    fn h(&mut self) -> &mut [f32] {
        self.h.as_flattened_mut()
    }

    /// From the numerators that the pass before gathered.
    fn improve_w(&mut self) {
        let n_components = self.w.n_components;
        let mut sums = vec![0.0; n_components];
        for tile in self.h.chunks_exact(n_components) {
            sums.iter_mut().zip(tile).for_each(|(sum, h)| *sum += f64::from(h.iter().sum::<f32>()));
        }
        let inverse_sums: Vec<Option<f32>> = inverse(&sums, &self.free_w);
        for (i, (row, numerators)) in self.w.rows.iter_mut().zip(&self.w_numerators).enumerate() {
            let Some(inverse) = inverse_sums[i % n_components] else { continue };
            for (w, numerators) in row.iter_mut().zip(numerators) {
                w.0.iter_mut().zip(numerators).for_each(|(w, &n)| *w = kernel::improved(*w, n as f32 * inverse));
            }
        }
    }

    fn improve_h(&mut self, want_divergence: bool) -> f64 {
        self.pass(1, want_divergence)
    }

    fn divergence(&mut self) -> f64 {
        self.pass(0, true)
    }
}

/// Adds the numerators of the pieces, in order, to those of the blocks before, and clears them. Millions of columns
/// would be too many for sums in f32.
fn add_up(pieces: &mut [Piece], totals: &mut [[[f64; 8]; 2]], n_components: usize) {
    for piece in pieces {
        let rows = piece.w_numerators.par_chunks_mut(f32::PANEL * n_components);
        rows.zip(totals.par_chunks_mut(f32::PANEL * n_components)).for_each(|(rows, totals)| {
            for (row, total) in rows.iter_mut().zip(totals) {
                for (part, total) in row.iter().zip(total) {
                    total.iter_mut().zip(part.0).for_each(|(total, part)| *total += f64::from(part));
                }
                *row = zero_row();
            }
        });
    }
}
