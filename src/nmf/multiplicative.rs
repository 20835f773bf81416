//! Multiplicative updates for the Kullback-Leibler divergence, with and without extrapolation, over the fused kernel.
//! Decides what is free, how the matrices are scaled and what runs in parallel; the arithmetic is in `kernel`.
//!
//! One iteration is W <- W * ((V / WH) H^T) / (1 H^T), then H <- H * (W^T (V / WH)) / (W^T 1). To read V only once,
//! the numerators of the next W are gathered while V is at hand for H.

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::driver::Solve;
use super::kernel::{self, Activations, BLOCK, Kernel, Panels, Row, Scratch, TILE, Tile, ZERO_ROW};

/// Frames are split into at most so many chunks, whatever the number of threads, and the chunks' sums are added in
/// order: the same bits for any number of threads.
const MAX_CHUNKS: usize = 16;

/// Relative rise of the divergence, from one check to the next, that is taken for more than rounding.
const RISE: f64 = 1e-6;

/// V, W and H between two iterations.
#[derive(Debug)]
pub(super) struct Multiplicative {
    kernel: Kernel,
    chunks: Vec<Chunk>,
    w: Panels,
    /// Which columns of W and rows of H may change.
    free_w: Vec<bool>,
    free_h: Vec<bool>,
    /// Whether the chunks hold the numerators of the next W.
    has_numerators: bool,
    momentum: Option<Momentum>,
    /// The factors as they were given: in the end, free components are written over.
    given_w: Array2<f32>,
    given_h: Array2<f32>,
    scales: Scales,
}

/// Some consecutive frames, with all that belongs to them.
#[derive(Debug)]
struct Chunk {
    v: Vec<Tile>,
    h: Vec<Activations>,
    /// The sum of each row of `h`.
    h_sums: Vec<f64>,
    /// H one iteration ago and at the last check; empty without momentum.
    h_before: Vec<Activations>,
    h_best: Vec<Activations>,
    /// (V / WH) H^T over these frames; empty where W is fixed.
    w_numerators: Vec<Row>,
    scratch: Scratch,
}

/// What extrapolation needs to know of the past.
#[derive(Debug)]
struct Momentum {
    /// Nesterov's sequence, 1 at a (re)start.
    t: f64,
    /// How far to go on, in units of the last step: 0 at a (re)start, then growing towards 1.
    factor: f32,
    /// W one iteration ago, before extrapolation, and at the last check.
    w_before: Vec<Row>,
    w_best: Vec<Row>,
    best: f64,
    has_restarted: bool,
}

/// Powers of two by which the matrices are multiplied inside, exact unless they leave the range of f32.
#[derive(Debug)]
struct Scales {
    /// Gives V a mean of 1 to 2.
    v: f64,
    /// Give the fixed factor of a component (W, if none or both are) a largest entry of 1 to 2, so that neither comes
    /// near the floor.
    w: Vec<f64>,
    h: Vec<f64>,
}

impl Multiplicative {
    /// # Cost
    /// Memory: one packed copy of V; of W and H one packed copy, with momentum three, beside the given ones; and at
    /// most [`MAX_CHUNKS`] W numerators, which together are no larger than half of V (one is always there).
    pub(super) fn new(
        kernel: Kernel,
        v: ArrayView2<'_, f32>,
        mean: f64,
        (w, h): (Array2<f32>, Array2<f32>),
        (free_w, free_h): (Vec<bool>, Vec<bool>),
        extrapolate: bool,
    ) -> Self {
        let n_components = w.ncols();
        let scales = Scales::new(mean, &w, &h, &free_w, &free_h);
        let panels = Panels::pack(w.view(), &scales.w);
        let n_tiles = v.ncols().div_ceil(TILE);
        let n_chunks = (v.ncols() / (2 * n_components)).clamp(1, MAX_CHUNKS).min(n_tiles);
        let is_w_free = free_w.contains(&true);
        let pack = |i: usize| {
            let frames = i * n_tiles / n_chunks * TILE..((i + 1) * n_tiles / n_chunks * TILE).min(v.ncols());
            let packed_h = kernel::pack_activations(h.slice(s![.., frames.clone()]), &scales.h);
            let past = if extrapolate { packed_h.clone() } else { Vec::new() };
            Chunk {
                v: kernel::pack_columns(v.slice(s![.., frames]), scales.v),
                h: packed_h,
                h_sums: vec![0.0; n_components],
                h_before: past.clone(),
                h_best: past,
                w_numerators: vec![ZERO_ROW; if is_w_free { panels.rows.len() } else { 0 }],
                scratch: Scratch::new(n_components),
            }
        };
        let momentum = extrapolate.then(|| Momentum {
            t: 1.0,
            factor: 0.0,
            w_before: panels.rows.clone(),
            w_best: panels.rows.clone(),
            best: f64::INFINITY,
            has_restarted: false,
        });
        let mut solve = Self {
            kernel,
            chunks: (0..n_chunks).into_par_iter().map(pack).collect(),
            w: panels,
            free_w,
            free_h,
            has_numerators: false,
            momentum,
            given_w: w,
            given_h: h,
            scales,
        };
        solve.chunks.par_iter_mut().for_each(Chunk::sum_h);
        solve
    }

    /// W and H on the input's scale. Fixed components are as they were given, bit by bit; what sank to the floor is 0.
    pub(super) fn into_factors(mut self) -> (Array2<f32>, Array2<f32>) {
        let given_back = |x: f32, scale: f64| {
            if x <= kernel::FLOOR { 0.0 } else { (f64::from(x) / scale).min(f64::from(f32::MAX)) as f32 }
        };
        for (k, mut column) in self.given_w.columns_mut().into_iter().enumerate().filter(|(k, _)| self.free_w[*k]) {
            column.indexed_iter_mut().for_each(|(bin, w)| *w = given_back(self.w.at(bin, k), self.scales.w[k]));
        }
        let n_components = self.free_h.len();
        let mut first_frame = 0;
        for chunk in &self.chunks {
            for tile in chunk.h.chunks_exact(n_components) {
                let last_frame = self.given_h.ncols().min(first_frame + TILE);
                let mut frames = self.given_h.slice_mut(s![.., first_frame..last_frame]);
                for (k, mut row) in frames.rows_mut().into_iter().enumerate().filter(|(k, _)| self.free_h[*k]) {
                    row.iter_mut().zip(&tile[k]).for_each(|(h, &x)| *h = given_back(x, self.scales.h[k]));
                }
                first_frame = last_frame;
            }
        }
        (self.given_w, self.given_h)
    }

    /// Goes over V once: the H phase, then the numerators of the next W; returns the divergence of the factors that
    /// it leaves, if it is wanted, on the scale inside.
    fn pass(&mut self, improve_h: bool, want_divergence: bool) -> f64 {
        let inverse_sums = inverse(&self.w.sums(), &self.free_h);
        let improve_h = improve_h && self.free_h.contains(&true);
        let gather_w = self.free_w.contains(&true);
        let factor = self.momentum.as_ref().map_or(0.0, |momentum| momentum.factor);
        let (kernel, w) = (self.kernel, &self.w);
        let (n_components, n_panels) = (w.n_components, w.rows.len() / w.n_components);
        let work = |chunk: &mut Chunk| {
            chunk.w_numerators.fill(ZERO_ROW);
            let mut total = 0.0;
            let mut past = chunk.h_before.chunks_mut(BLOCK * n_components);
            let blocks = chunk.v.chunks((BLOCK * n_panels).max(1)).zip(chunk.h.chunks_mut(BLOCK * n_components));
            for (v, h) in blocks {
                if improve_h {
                    if let Some(before) = past.next() {
                        extrapolate(h.as_flattened_mut(), before.as_flattened_mut(), factor);
                    }
                    kernel.improve_h(v, w, &inverse_sums, h, &mut chunk.scratch);
                }
                if gather_w {
                    let numerators = &mut chunk.w_numerators;
                    total += kernel.gather_w(v, w, h, numerators, want_divergence, &mut chunk.scratch);
                } else if want_divergence {
                    total += kernel.divergence(v, w, h);
                }
            }
            chunk.sum_h();
            total
        };
        let totals: Vec<f64> = self.chunks.par_iter_mut().map(work).collect();
        self.has_numerators = gather_w;
        totals.iter().sum()
    }

    /// The W phase, from the numerators that the pass before gathered; then W's extrapolation.
    fn improve_w(&mut self) {
        let n_components = self.w.n_components;
        let mut h_sums = vec![0.0; n_components];
        for chunk in &self.chunks {
            h_sums.iter_mut().zip(&chunk.h_sums).for_each(|(sum, part)| *sum += part);
        }
        let inverse_sums = inverse(&h_sums, &self.free_w);
        let chunks = &self.chunks;
        self.w.rows.par_chunks_exact_mut(n_components).enumerate().for_each(|(panel_idx, panel)| {
            for ((k, row), inverse) in panel.iter_mut().enumerate().zip(&inverse_sums) {
                let Some(inverse) = inverse else { continue };
                let mut numerator = ZERO_ROW;
                for chunk in chunks {
                    let part = &chunk.w_numerators[panel_idx * n_components + k];
                    for (sum, part) in numerator.iter_mut().zip(part) {
                        sum.0.iter_mut().zip(part.0).for_each(|(sum, part)| *sum += part);
                    }
                }
                for (w, numerator) in row.iter_mut().zip(numerator) {
                    w.0.iter_mut().zip(numerator.0).for_each(|(w, n)| *w = kernel::improved(*w, n * inverse));
                }
            }
        });
        if let Some(Momentum { factor, w_before, .. }) = &mut self.momentum {
            for (row, before) in self.w.rows.iter_mut().zip(w_before) {
                row.iter_mut().zip(before).for_each(|(w, before)| extrapolate(&mut w.0, &mut before.0, *factor));
            }
        }
    }

    /// Notes the divergence, on the scale inside; a solver with momentum whose divergence rose goes back.
    fn settle(&mut self, divergence: f64) -> f64 {
        let Some(momentum) = &mut self.momentum else { return divergence / self.scales.v };
        momentum.has_restarted = divergence > momentum.best * (1.0 + RISE);
        if momentum.has_restarted {
            momentum.t = 1.0;
            self.w.rows.copy_from_slice(&momentum.w_best);
            momentum.w_before.copy_from_slice(&momentum.w_best);
            self.chunks.par_iter_mut().for_each(|chunk| {
                chunk.h.copy_from_slice(&chunk.h_best);
                chunk.h_before.copy_from_slice(&chunk.h_best);
                chunk.sum_h();
            });
            self.has_numerators = false;
        } else {
            momentum.best = divergence;
            momentum.w_best.copy_from_slice(&self.w.rows);
            self.chunks.par_iter_mut().for_each(|chunk| chunk.h_best.copy_from_slice(&chunk.h));
        }
        momentum.best / self.scales.v
    }

    fn step(&mut self, want_divergence: bool) -> f64 {
        if let Some(momentum) = &mut self.momentum {
            momentum.advance();
        }
        if self.has_numerators {
            self.improve_w();
        }
        self.pass(true, want_divergence)
    }
}

impl Solve for Multiplicative {
    fn iterate(&mut self) {
        self.step(false);
    }

    fn check(&mut self) -> f64 {
        let divergence = self.pass(false, true);
        self.settle(divergence)
    }

    fn iterate_and_check(&mut self) -> f64 {
        let divergence = self.step(true);
        self.settle(divergence)
    }

    fn has_restarted(&self) -> bool {
        self.momentum.as_ref().is_some_and(|momentum| momentum.has_restarted)
    }
}

impl Chunk {
    fn sum_h(&mut self) {
        self.h_sums.fill(0.0);
        for tile in self.h.chunks_exact(self.h_sums.len()) {
            for (sum, h) in self.h_sums.iter_mut().zip(tile) {
                *sum += f64::from(h.iter().sum::<f32>());
            }
        }
    }
}

impl Momentum {
    /// a = (t - 1) / t', t' = (1 + sqrt(1 + 4 t^2)) / 2
    fn advance(&mut self) {
        let next = 0.5 * (1.0 + (1.0 + 4.0 * self.t * self.t).sqrt());
        self.factor = ((self.t - 1.0) / next) as f32;
        self.t = next;
    }
}

impl Scales {
    fn new(mean: f64, w: &Array2<f32>, h: &Array2<f32>, free_w: &[bool], free_h: &[bool]) -> Self {
        let v = 1.0 / power_of_two(mean);
        let largest = |x: ndarray::ArrayView1<'_, f32>| f64::from(x.fold(0.0, |a: f32, &b| a.max(b)));
        let mut scales = Self { v, w: Vec::new(), h: Vec::new() };
        for k in 0..w.ncols() {
            let (w_scale, h_scale) = if free_w[k] && !free_h[k] {
                let h_scale = 1.0 / power_of_two(largest(h.row(k)));
                (v / h_scale, h_scale)
            } else {
                let w_scale = 1.0 / power_of_two(largest(w.column(k)));
                (w_scale, v / w_scale)
            };
            scales.w.push(w_scale);
            scales.h.push(h_scale);
        }
        scales
    }
}

/// The largest power of two that is at most x; 1 for 0.
fn power_of_two(x: f64) -> f64 {
    const EXPONENT: u64 = 0x7ff << 52;
    if x > 0.0 { f64::from_bits(x.to_bits() & EXPONENT) } else { 1.0 }
}

/// 1 / sum, or none for a component that stays as it is.
fn inverse(sums: &[f64], free: &[bool]) -> Vec<Option<f32>> {
    sums.iter().zip(free).map(|(sum, free)| free.then_some((1.0 / sum) as f32)).collect()
}

/// `x` goes on in the direction in which it grew since `before`, and `before` becomes what `x` was.
fn extrapolate(x: &mut [f32], before: &mut [f32], factor: f32) {
    for (x, before) in x.iter_mut().zip(before) {
        let now = *x;
        *x = now + factor * (now - *before).max(0.0);
        *before = now;
    }
}

/// For benches/kernel.rs only.
pub mod bench {
    use super::*;
    use crate::nmf::{NmfConfig, init};

    /// Alternating iterations on one matrix.
    #[derive(Debug)]
    pub struct Iterations(Multiplicative);

    impl Iterations {
        /// With the fastest instructions of this processor, or with those that every processor has.
        pub fn new(v: ArrayView2<'_, f32>, n_components: usize, is_portable: bool) -> Self {
            let factors = init::factors(v, &NmfConfig { n_components, ..NmfConfig::default() });
            let free = (vec![true; n_components], vec![true; n_components]);
            let mut solve = Multiplicative::new(kernel(is_portable), v, 1.0, factors, free, false);
            solve.check();
            Self(solve)
        }

        /// One iteration.
        pub fn run(&mut self) {
            self.0.iterate();
        }
    }

    /// Does 96 `n` multiply-adds, as fast as it can be done.
    pub fn multiply_adds(n: usize) -> f32 {
        Kernel::detect().multiply_adds(n)
    }

    fn kernel(is_portable: bool) -> Kernel {
        if is_portable { Kernel::Portable } else { Kernel::detect() }
    }
}
