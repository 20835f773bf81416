//! Multiplicative updates for the Kullback-Leibler divergence, with and without extrapolation, over the fused kernel.
//! Decides what is free, how the matrices are scaled and what runs in parallel; the arithmetic is in `kernel`.
//!
//! One iteration is W <- W * ((V / WH) H^T) / (1 H^T), then H <- H * (W^T (V / WH)) / (W^T 1). To read V only once,
//! the numerators of the next W are gathered while V is at hand for H.

use std::borrow::Cow;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::Real;
use super::driver::Solve;
use super::guidance::Guidance;
use super::guided::Guided;
use super::kernel::{self, Activations, Kernel, Lanes, Panels, Row, Scratch, TILE, Tile, Wanted, wide, zero_row};
use super::momentum::{Momentum, Past, extrapolate};
use super::scales::{Scales, given_back, inverse};

/// Frames are split into at most so many chunks, whatever the number of threads, and the chunks' sums are added in
/// order: the same bits for any number of threads.
const MAX_CHUNKS: usize = 16;

/// Panels of W that one job improves.
const PANELS_PER_JOB: usize = 8;

/// V, W and H between two iterations.
#[derive(Debug)]
pub(super) struct Multiplicative<'v, T: Real> {
    kernel: Kernel,
    chunks: Vec<Chunk<'v, T>>,
    w: Panels<T>,
    /// Which columns of W and rows of H may change.
    free_w: Vec<bool>,
    free_h: Vec<bool>,
    /// Whether the chunks hold the numerators of the next W.
    has_numerators: bool,
    momentum: Option<Momentum>,
    /// What `w` was; empty without momentum.
    w_past: Past<Lanes<T>>,
    /// The factors as they were given: in the end, free components are written over.
    given_w: Array2<T>,
    given_h: Array2<T>,
    scales: Scales,
    /// Below it, an activation becomes 0, one number per component; none where nothing is dropped.
    drops: Option<Vec<T>>,
}

/// Some consecutive frames, with all that belongs to them.
#[derive(Debug)]
pub(super) struct Chunk<'v, T: Real> {
    v: Cow<'v, [Tile<T>]>,
    h: Vec<Activations<T>>,
    /// The sum of each row of `h`.
    h_sums: Vec<f64>,
    /// What `h` was; empty without momentum.
    h_past: Past<T>,
    /// (V / WH) H^T over these frames; empty where W is fixed.
    w_numerators: Vec<Row<T>>,
    /// Entries of V that not every component may have, which are 0 in `v`; none without guidance.
    guided: Option<Guided<T>>,
    scratch: Scratch<T>,
}

/// V as it is given: as a matrix, of which each chunk packs its part, or packed and scaled, which many fits can share.
#[derive(Debug, Clone, Copy)]
pub(super) enum Columns<'v, T: Real> {
    Matrix(ArrayView2<'v, T>),
    Packed { tiles: &'v [Tile<T>], shape: (usize, usize) },
}

impl<'v, T: Real> Multiplicative<'v, T> {
    /// # Cost
    /// Memory: one packed copy of V, where it is not given packed; of W and H one packed copy, with momentum three, beside the given ones; and at
    /// most [`MAX_CHUNKS`] W numerators, which together are no larger than half of V (one is always there).
    pub(super) fn new(
        kernel: Kernel,
        v: Columns<'v, T>,
        mean: f64,
        (w, h): (Array2<T>, Array2<T>),
        (free_w, free_h): (Vec<bool>, Vec<bool>),
        extrapolate: bool,
        guidance: Option<&Guidance>,
    ) -> Self {
        let n_components = w.ncols();
        let scales = Scales::new(mean, &w, &h, &free_w, &free_h);
        let panels = Panels::pack(w.view(), &scales.w);
        let (n_rows, n_columns) = match v {
            Columns::Matrix(v) => v.dim(),
            Columns::Packed { shape, .. } => shape,
        };
        let n_panels = n_rows.div_ceil(T::PANEL);
        let n_tiles = n_columns.div_ceil(TILE);
        let n_chunks = (n_columns / (2 * n_components)).clamp(1, MAX_CHUNKS).min(n_tiles);
        let is_w_free = free_w.contains(&true);
        let pack = |i: usize| {
            let tiles = i * n_tiles / n_chunks..(i + 1) * n_tiles / n_chunks;
            let frames = tiles.start * TILE..(tiles.end * TILE).min(n_columns);
            let packed_h = kernel::pack_activations(h.slice(s![.., frames.clone()]), &scales.h);
            let mut packed_v = match v {
                Columns::Matrix(v) => Cow::Owned(kernel::pack_columns(v.slice(s![.., frames.clone()]), scales.v)),
                Columns::Packed { tiles: all, .. } => Cow::Borrowed(&all[tiles.start * n_panels..tiles.end * n_panels]),
            };
            let guided = guidance.filter(|guidance| !guidance.of_columns(&frames).is_empty());
            Chunk {
                guided: guided.map(|guidance| Guided::take(guidance, &frames, n_rows, packed_v.to_mut())),
                v: packed_v,
                h_past: Past::new(if extrapolate { packed_h.as_flattened() } else { &[] }),
                h: packed_h,
                h_sums: vec![0.0; n_components],
                w_numerators: vec![zero_row(); if is_w_free { panels.rows.len() } else { 0 }],
                scratch: Scratch::new(n_components),
            }
        };
        let mut solve = Self {
            kernel,
            chunks: (0..n_chunks).into_par_iter().map(pack).collect(),
            w_past: Past::new(if extrapolate { panels.rows.as_flattened() } else { &[] }),
            w: panels,
            free_w,
            free_h,
            has_numerators: false,
            momentum: extrapolate.then(Momentum::new),
            given_w: w,
            given_h: h,
            scales,
            drops: None,
        };
        solve.chunks.par_iter_mut().for_each(Chunk::sum_h);
        solve
    }

    /// Drops activations where scikit-learn does: below the spacing of doubles at 1 on the input's scale.
    pub(super) fn with_small_entries_dropped(mut self) -> Self {
        let limit = |(scale, free): (&f64, &bool)| T::of(if *free { f64::EPSILON * scale } else { 0.0 });
        self.drops = Some(self.scales.h.iter().zip(&self.free_h).map(limit).collect());
        self
    }

    /// W and H on the input's scale. Fixed components are as they were given, bit by bit; what sank to the floor is 0.
    pub(super) fn into_factors(mut self) -> (Array2<T>, Array2<T>) {
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
        let (pass, chunks) = self.plan(improve_h, want_divergence);
        let totals: Vec<f64> = chunks.par_iter_mut().map(|chunk| pass.over(chunk)).collect();
        self.has_numerators = self.free_w.contains(&true);
        totals.iter().sum()
    }

    /// What a pass has to know, and what it goes over.
    pub(super) fn plan(&mut self, improve_h: bool, want_divergence: bool) -> (Pass<'_, T>, &mut [Chunk<'v, T>]) {
        let pass = Pass {
            kernel: self.kernel,
            w: &self.w,
            inverse_sums: inverse(&self.w.sums(), &self.free_h),
            improve_h: improve_h && self.free_h.contains(&true),
            wanted: Wanted::of(&self.free_w, want_divergence),
            drops: self.drops.as_deref(),
            factor: self.momentum.as_ref().map_or(0.0, Momentum::factor),
        };
        (pass, &mut self.chunks)
    }

    /// The W phase, from the numerators that the pass before gathered; then W's extrapolation.
    pub(super) fn improve_w(&mut self) {
        let n_components = self.w.n_components;
        let mut h_sums = vec![0.0; n_components];
        for chunk in &self.chunks {
            h_sums.iter_mut().zip(&chunk.h_sums).for_each(|(sum, part)| *sum += part);
        }
        let inverse_sums = inverse::<T>(&h_sums, &self.free_w);
        let (kernel, chunks) = (self.kernel, &self.chunks);
        let per_job = PANELS_PER_JOB * n_components;
        self.w.rows.par_chunks_mut(per_job).enumerate().for_each(|(job, w)| {
            let here = job * per_job..job * per_job + w.len();
            let numerators: Vec<&[Row<T>]> = chunks.iter().map(|chunk| &chunk.w_numerators[here.clone()]).collect();
            kernel.improve_w(&numerators, &inverse_sums, w);
        });
        if let Some(momentum) = &self.momentum {
            self.w_past.extrapolate(self.w.rows.as_flattened_mut(), momentum.factor());
        }
    }

    /// Notes the divergence, on the scale inside; a solver with momentum whose divergence rose goes back.
    fn settle(&mut self, divergence: f64) -> f64 {
        let Some(momentum) = &mut self.momentum else { return divergence / self.scales.v };
        if momentum.settle(divergence) {
            self.w_past.restore(self.w.rows.as_flattened_mut());
            self.chunks.par_iter_mut().for_each(|chunk| {
                chunk.h_past.restore(chunk.h.as_flattened_mut());
                chunk.sum_h();
            });
            self.has_numerators = false;
        } else {
            self.w_past.keep(self.w.rows.as_flattened());
            self.chunks.par_iter_mut().for_each(|chunk| chunk.h_past.keep(chunk.h.as_flattened()));
        }
        momentum.best() / self.scales.v
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

impl<T: Real> Solve for Multiplicative<'_, T> {
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
        self.momentum.as_ref().is_some_and(Momentum::has_restarted)
    }
}

/// What one pass does to each chunk.
pub(super) struct Pass<'a, T: Real> {
    kernel: Kernel,
    w: &'a Panels<T>,
    /// 1 / (W^T 1), or none for a component that stays as it is.
    inverse_sums: Vec<Option<T>>,
    improve_h: bool,
    wanted: Wanted,
    drops: Option<&'a [T]>,
    /// How far H goes on in the direction of its last step, first of all.
    factor: f32,
}

impl<T: Real> Pass<'_, T> {
    /// Returns the divergence, if it is wanted.
    pub(super) fn over(&self, chunk: &mut Chunk<'_, T>) -> f64 {
        let (n_components, n_panels) = (self.w.n_components, self.w.rows.len() / self.w.n_components);
        chunk.w_numerators.fill(zero_row());
        let mut total = 0.0;
        let n_tiles = kernel::tiles_per_block::<T>(n_panels, chunk.h.len() / n_components);
        let mut past = chunk.h_past.before.chunks_mut(n_tiles * n_components * TILE);
        let blocks = chunk.v.chunks((n_tiles * n_panels).max(1)).zip(chunk.h.chunks_mut(n_tiles * n_components));
        let (gather_w, want_divergence) = (!self.wanted.components.is_empty(), self.wanted.divergence);
        let mut first_frame = 0;
        for (v, h) in blocks {
            let frames = first_frame..first_frame + h.len() / n_components * TILE;
            first_frame = frames.end;
            if self.improve_h {
                if let Some(before) = past.next() {
                    extrapolate(h.as_flattened_mut(), before, self.factor);
                }
                if let Some(guided) = &mut chunk.guided {
                    guided.prepare_h(&frames, self.w, &self.inverse_sums, h);
                }
                self.kernel.improve_h(v, self.w, &self.inverse_sums, h, &mut chunk.scratch);
                if let Some(guided) = &chunk.guided {
                    guided.add_to_h(&frames, h);
                }
                if let Some(drops) = self.drops {
                    drop_small(h, drops);
                }
            }
            let mut numerators = gather_w.then_some(&mut chunk.w_numerators[..]);
            if let Some(numerators) = &mut numerators {
                total += self.kernel.gather_w(v, self.w, h, numerators, &self.wanted, &mut chunk.scratch);
            } else if want_divergence {
                total += self.kernel.divergence(v, self.w, h);
            }
            if let (Some(guided), true) = (&mut chunk.guided, gather_w || want_divergence) {
                let added = guided.add_to_w(&frames, self.w, h, numerators);
                total += if want_divergence { added } else { 0.0 };
            }
        }
        chunk.sum_h();
        total
    }
}

fn drop_small<T: Real>(h: &mut [Activations<T>], drops: &[T]) {
    for tile in h.chunks_exact_mut(drops.len()) {
        for (activations, &least) in tile.iter_mut().zip(drops) {
            activations.iter_mut().for_each(|h| *h = if *h < least { T::of(0.0) } else { *h });
        }
    }
}

impl<T: Real> Chunk<'_, T> {
    fn sum_h(&mut self) {
        self.h_sums.fill(0.0);
        for tile in self.h.chunks_exact(self.h_sums.len()) {
            for (sum, h) in self.h_sums.iter_mut().zip(tile) {
                *sum += wide(h.iter().copied().sum::<T>());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use ndarray::Axis;
    use proptest::prelude::*;

    use super::*;
    use crate::Error;
    use crate::nmf::{Divergence, Factor, NmfConfig, Solver, StopReason, divergence, fit, fit_with, testing};
    use crate::watch::Watch;

    const SOLVERS: [Solver; 2] = [Solver::Mu, Solver::MuExtrapolated];

    /// Numbers from 0.05 to 1.05, and this share of zeros.
    fn noise(shape: (usize, usize), zeros: f32, seed: u64) -> Array2<f32> {
        let (numbers, draws) = (testing::noise(shape, seed), testing::noise(shape, seed ^ 0xabcd));
        Array2::from_shape_fn(shape, |at| if draws[at] <= zeros { 0.0 } else { 0.05 + numbers[at] })
    }

    fn plain<'v>(kernel: Kernel, v: &'v Array2<f32>, w: &Array2<f32>, h: &Array2<f32>) -> Multiplicative<'v, f32> {
        let free = vec![true; w.ncols()];
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
        let v = Columns::Matrix(v.view());
        Multiplicative::new(kernel, v, mean, (w.clone(), h.clone()), (free.clone(), free), false, None)
    }

    fn seeded(w: &Array2<f32>, h: &Array2<f32>, solver: Solver, max_iter: usize) -> NmfConfig {
        NmfConfig {
            n_components: w.ncols(),
            solver,
            dictionary: Factor::Seed(w.clone()),
            activations: Factor::Seed(h.clone()),
            max_iter,
            tol: 0.0,
            ..NmfConfig::default()
        }
    }

    /// W <- W * ((V / WH) H^T) / (1 H^T), then H <- H * (W^T (V / WH)) / (W^T 1), entry by entry in f64.
    fn by_the_formulas(v: &Array2<f32>, w: &Array2<f32>, h: &Array2<f32>, n_iter: usize) -> (Array2<f64>, Array2<f64>) {
        let (mut w, mut h) = (w.mapv(f64::from), h.mapv(f64::from));
        let ((n_bins, n_frames), n_components) = (v.dim(), w.ncols());
        let ratio = |w: &Array2<f64>, h: &Array2<f64>, i: usize, j: usize| {
            let y: f64 = (0..n_components).map(|k| w[[i, k]] * h[[k, j]]).sum();
            // A silent row or column gives 0 / 0.
            f64::from(v[[i, j]]) / y.max(1e-30)
        };
        for _ in 0..n_iter {
            let old = w.clone();
            for ((i, k), w) in w.indexed_iter_mut() {
                let up: f64 = (0..n_frames).map(|j| ratio(&old, &h, i, j) * h[[k, j]]).sum();
                *w *= up / h.row(k).sum().max(1e-30);
            }
            let old = h.clone();
            for ((k, j), h) in h.indexed_iter_mut() {
                let up: f64 = (0..n_bins).map(|i| ratio(&w, &old, i, j) * w[[i, k]]).sum();
                *h *= up / w.column(k).sum().max(1e-30);
            }
        }
        (w, h)
    }

    fn assert_close(what: &str, got: &Array2<f32>, expected: &Array2<f64>, tolerance: f64) {
        assert_eq!(got.dim(), expected.dim(), "{what}");
        let largest = expected.iter().fold(0.0, |a: f64, &b| a.max(b));
        for ((at, &got), &expected) in got.indexed_iter().zip(expected) {
            let gap = (f64::from(got) - expected).abs();
            assert!(gap <= tolerance * (expected + 1e-3 * largest), "{what} at {at:?}: {got}, expected {expected}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn iterations_follow_the_formulas(
            (n_bins, n_frames, n_components) in (1usize..50, 1usize..120, 1usize..20),
            n_iter in 1usize..4,
            seed: u64,
        ) {
            let v = noise((n_bins, n_frames), 0.2, seed);
            let (w, h) = (noise((n_bins, n_components), 0.0, seed ^ 1), noise((n_components, n_frames), 0.0, seed ^ 2));
            prop_assume!(v.sum() > 0.0);
            let (w_expected, h_expected) = by_the_formulas(&v, &w, &h, n_iter);
            for kernel in [Kernel::detect(), Kernel::Portable] {
                let mut solve = plain(kernel, &v, &w, &h);
                solve.check();
                (0..n_iter).for_each(|_| solve.iterate());
                let (w, h) = solve.into_factors();
                // Sums of at most 120 positive terms in f32, three iterations: some 1e-6; twenty times that is left.
                assert_close("the dictionary", &w, &w_expected, 2e-5);
                assert_close("the activations", &h, &h_expected, 2e-5);
            }
        }

        #[test]
        fn the_divergence_is_that_of_the_factors(
            (n_bins, n_frames, n_components) in (1usize..50, 1usize..120, 1usize..12),
            zeros in prop::sample::select(vec![0.0, 0.3, 1.0]),
            seed: u64,
        ) {
            let v = noise((n_bins, n_frames), zeros, seed);
            for solver in SOLVERS {
                let config = NmfConfig { n_components, solver, max_iter: 7, seed, ..NmfConfig::default() };
                let found = fit(v.view(), &config).unwrap();
                let y = found.dictionary.mapv(f64::from).dot(&found.activations.mapv(f64::from));
                let kl = |v: f32, y: f64| if v > 0.0 { f64::from(v) * (f64::from(v) / y).ln() - f64::from(v) + y } else { y };
                let expected: f64 = v.iter().zip(&y).map(|(&v, &y)| kl(v, y)).sum();
                // Rounding of single entries is 1e-7 of V; in a small matrix, or where the fit is near, it does not
                // average out. The kernel lifts WH by its EPS, in whole tiles: at most 16 bins and 6 frames for one entry.
                let tolerance = 2e-7 * (expected + f64::from(v.sum())) + 96.0 * 1e-20 * v.len() as f64;
                prop_assert!((found.divergence - expected).abs() <= tolerance, "{} for {expected}", found.divergence);
            }
        }

        #[test]
        fn the_divergence_never_rises(
            (n_bins, n_frames, n_components) in (1usize..40, 1usize..80, 1usize..10),
            zeros in 0.0f32..0.9,
            seed: u64,
        ) {
            let v = noise((n_bins, n_frames), zeros, seed);
            for solver in SOLVERS {
                let config = NmfConfig { n_components, solver, max_iter: 150, tol: 0.0, seed, ..NmfConfig::default() };
                let found = fit(v.view(), &config).unwrap();
                for step in found.divergence_curve.windows(2) {
                    // Rounding: 1e-6 of the divergence, and 2e-7 of V where the fit is exact.
                    let highest = step[0].1 * (1.0 + 1e-6) + 2e-7 * f64::from(v.sum());
                    prop_assert!(step[1].1 <= highest, "{solver:?}: {:?} after {:?}", step[1], step[0]);
                }
            }
        }
    }

    #[test]
    fn any_shape_follows_the_formulas() {
        for (n_bins, n_frames, n_components) in
            [(1, 700, 3), (700, 1, 3), (1, 1, 1), (300, 7, 130), (16, 6, 6), (17, 7, 7), (33, 900, 5), (9, 50, 300)]
        {
            let v = noise((n_bins, n_frames), 0.1, 1);
            let (w, h) = (noise((n_bins, n_components), 0.0, 2), noise((n_components, n_frames), 0.0, 3));
            let (w_expected, h_expected) = by_the_formulas(&v, &w, &h, 2);
            let found = fit(v.view(), &seeded(&w, &h, Solver::Mu, 2)).unwrap();
            let shape = format!("{n_bins} x {n_frames}, {n_components} components");
            // Sums of up to 900 terms.
            assert_close(&shape, &found.dictionary, &w_expected, 5e-5);
            assert_close(&shape, &found.activations, &h_expected, 5e-5);
        }
    }

    #[test]
    fn scaling_the_matrix_scales_the_divergence_and_the_activations() {
        let v = noise((30, 90), 0.2, 1);
        let (w, h) = (noise((30, 4), 0.0, 2), noise((4, 90), 0.0, 3));
        for solver in SOLVERS {
            let config = seeded(&w, &h, solver, 40);
            let reference = fit(v.view(), &config).unwrap();
            // A power of two changes no digit.
            for exponent in [-90, 40] {
                let scale = 2.0f32.powi(exponent);
                let found = fit((&v * scale).view(), &seeded(&w, &(&h * scale), solver, 40)).unwrap();
                assert_eq!(found.dictionary, reference.dictionary, "2^{exponent}");
                assert_eq!(found.activations, &reference.activations * scale, "2^{exponent}");
                assert_eq!(found.divergence, reference.divergence * f64::from(scale), "2^{exponent}");
            }
        }
    }

    #[test]
    fn permuting_rows_permutes_the_dictionary() {
        let v = noise((35, 80), 0.1, 1);
        let (w, h) = (noise((35, 5), 0.0, 2), noise((5, 80), 0.0, 3));
        let order: Vec<usize> = (0..35).map(|i| (i * 12) % 35).collect();
        let found = fit(v.view(), &seeded(&w, &h, Solver::Mu, 10)).unwrap();
        let (v, w) = (v.select(Axis(0), &order), w.select(Axis(0), &order));
        let permuted = fit(v.view(), &seeded(&w, &h, Solver::Mu, 10)).unwrap();
        let expected = found.dictionary.select(Axis(0), &order).mapv(f64::from);
        // Sums over bins are taken in another order, ten times.
        assert_close("the dictionary", &permuted.dictionary, &expected, 1e-4);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let v = noise((60, 500), 0.1, 1);
        for solver in SOLVERS {
            let config = NmfConfig { n_components: 7, solver, max_iter: 30, ..NmfConfig::default() };
            let found = [1, 2, 3].map(|n_threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
                pool.install(|| fit(v.view(), &config).unwrap())
            });
            assert_eq!(found[0], found[1], "{solver:?}, 1 and 2 threads");
            assert_eq!(found[0], found[2], "{solver:?}, 1 and 3 threads");
        }
    }

    #[test]
    fn portable_and_detected_instructions_agree() {
        let v = noise((70, 200), 0.1, 1);
        let (w, h) = (noise((70, 11), 0.0, 2), noise((11, 200), 0.0, 3));
        let [(detected, a), (portable, b)] = [Kernel::detect(), Kernel::Portable].map(|kernel| {
            let mut solve = plain(kernel, &v, &w, &h);
            solve.check();
            (0..20).for_each(|_| solve.iterate());
            let divergence = solve.check();
            (solve.into_factors(), divergence)
        });
        assert!((a - b).abs() < 1e-6 * b, "divergence: {a} and {b}");
        // A multiply-add rounds once, a product and a sum twice.
        assert_close("the dictionary", &detected.0, &portable.0.mapv(f64::from), 1e-4);
        assert_close("the activations", &detected.1, &portable.1.mapv(f64::from), 1e-4);
    }

    #[test]
    fn a_rise_brings_the_last_good_factors_back() {
        let v = noise((30, 90), 0.1, 1);
        let (w, h) = (noise((30, 4), 0.0, 2), noise((4, 90), 0.0, 3));
        let free = (vec![true; 4], vec![true; 4]);
        let start = || {
            Multiplicative::new(
                Kernel::detect(),
                Columns::Matrix(v.view()),
                1.0,
                (w.clone(), h.clone()),
                free.clone(),
                true,
                None,
            )
        };
        let (mut solve, mut undisturbed) = (start(), start());
        for solve in [&mut solve, &mut undisturbed] {
            solve.check();
            (0..9).for_each(|_| solve.iterate());
            solve.iterate_and_check();
        }
        let good = undisturbed.check();
        (0..3).for_each(|_| solve.iterate());
        assert_eq!(solve.settle(f64::MAX), good);
        assert!(solve.has_restarted());
        assert!(solve.iterate_and_check() < good, "it goes on from there");
        assert!(!solve.has_restarted());

        (0..3).for_each(|_| solve.iterate());
        let better = solve.check();
        (0..3).for_each(|_| solve.iterate());
        solve.settle(f64::MAX);
        let restored = solve.into_factors();
        let y = restored.0.dot(&restored.1);
        let of_restored = divergence(v.view(), y.view(), Divergence::KullbackLeibler);
        assert!((of_restored - better).abs() < 1e-5 * better, "{of_restored}, expected {better}");
        assert_ne!(undisturbed.into_factors(), restored);
    }

    #[test]
    fn a_cancelled_fit_reports_the_divergence_of_its_factors() {
        let v = noise((30, 60), 0.1, 1);
        for solver in SOLVERS {
            let mut stop_at_7 = |progress: crate::watch::Progress| {
                if progress.done == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let config = NmfConfig { solver, ..NmfConfig::default() };
            let found = fit_with(v.view(), &config, &mut Watch::new(&mut stop_at_7)).unwrap();
            assert_eq!((found.n_iter, found.stop_reason), (7, StopReason::Cancelled));
            let expected = divergence(v.view(), found.product().view(), Divergence::KullbackLeibler);
            assert!((found.divergence - expected).abs() < 1e-5 * expected, "{} for {expected}", found.divergence);
            assert!(matches!(found.complete(), Err(Error::Cancelled)));
        }
    }
}
