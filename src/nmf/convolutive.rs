//! Convolutive NMF for the Kullback-Leibler divergence: each template is a short sequence of columns, such as the attack
//! and the decay of a drum, and one activation plays all of it.
//! Decides what is free, how lags become components and what runs in parallel; the arithmetic is in `kernel`.
//!
//! With lag t of template k as component (k, t), whose activations are those of k moved by t columns, the model is the
//! product of a dictionary of K T components with stacked activations, and the kernel of plain NMF does it. Only
//! the update of H differs: it sums the terms of all lags.

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::driver::{self, Solve};
use super::kernel::{self, Activations, BLOCK, Entries, Kernel, Panels, Power, Row, Scratch, TILE, Tile, zero_row};
use super::scales::given_back;
use super::{Error, Factor, NmfConfig, Part, Result, StopReason, init, moved};
use crate::watch::Watch;

/// Columns are split into at most so many chunks, whatever the number of threads, and the chunks' sums are added in
/// order: the same bits for any number of threads.
const MAX_CHUNKS: usize = 16;

/// Templates with more columns than any use has, and few enough for all sizes to be numbers.
const MAX_LAGS: usize = 1 << 12;

/// What to fit, and how long.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvolutiveConfig {
    /// Number of templates, K, at least 1. Default 3.
    pub n_components: usize,
    /// Columns of each template, T, 1 to 4096. Default 10: 116 ms of drums at the usual hop of 12 ms.
    pub n_lags: usize,
    /// Treatment of the templates, as a matrix of `n_rows` x (K T), in which column k T + t is column t of template k.
    /// Default free.
    pub dictionary: Factor,
    /// Treatment of the activations, K x `n_columns`. Default free.
    pub activations: Factor,
    /// Iterations, the first ones, in which templates that were given as a seed stay as they are: meanwhile the
    /// activations find out what each of them is for. Default 0.
    pub n_held: usize,
    /// Columns of V that belong together: no template reaches from one run of so many columns into the next. Default:
    /// all.
    pub run_length: Option<usize>,
    /// Iterations at the most. Default 60.
    pub max_iter: usize,
    /// Ends the fit when the divergence fell by less than this share of its first value since the check before
    /// (every 10 iterations); 0 never does. Default 0.
    pub tol: f64,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
}

impl Default for ConvolutiveConfig {
    fn default() -> Self {
        Self {
            n_components: 3,
            n_lags: 10,
            dictionary: Factor::Free,
            activations: Factor::Free,
            n_held: 0,
            run_length: None,
            max_iter: 60,
            tol: 0.0,
            seed: 0,
        }
    }
}

/// A matrix as a sum of templates, each played at some columns: V ~ sum over k and t of `dictionary[:, k T + t]` times
/// `activations[k, :]` moved by t columns to the right.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvolutiveFactorization {
    /// W, `n_rows` x (K T); column k T + t is column t of template k.
    pub dictionary: Array2<f32>,
    /// H, K x `n_columns`.
    pub activations: Array2<f32>,
    /// Columns of each template, T.
    pub n_lags: usize,
    /// Iterations done.
    pub n_iter: usize,
    /// The divergence at each check, as (iteration, divergence), from iteration 0 to the last; unnormalized and on the
    /// input's scale.
    pub divergence_curve: Vec<(usize, f64)>,
    /// Why the fit ended.
    pub stop_reason: StopReason,
}

impl ConvolutiveFactorization {
    /// Turns a fit that was cancelled into an error.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the fit was told to end before it was done.
    pub fn complete(self) -> Result<Self> {
        if self.stop_reason == StopReason::Cancelled { Err(Error::Cancelled) } else { Ok(self) }
    }
}

/// Factorizes a non-negative matrix into templates of several columns and their activations.
///
/// The divergence never rises, the factors are finite and non-negative, zeros of given factors stay zero, and the same
/// seed gives the same bits for any number of threads.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `v` | `n_rows` x `n_columns` (bins x frames) | any; the model has the same |
///
/// # Errors
/// Those of [`super::fit`]; [`Error::Setting`] for an `n_lags` or a `run_length` out of range.
///
/// # Cost
/// 8 `n_rows` `n_columns` K T floating-point operations per iteration, half of that where the dictionary is fixed.
/// Memory beside `v`: one packed copy of it, two matrices of K T x `n_columns`, and at most 16 of W.
///
/// # References
/// P. Smaragdis, "Non-negative matrix factor deconvolution; extraction of multiple sound sources from monophonic
/// inputs", ICA 2004. Here H is updated from all lags at once, not by the mean of their updates, so the divergence
/// falls.
pub fn fit_convolutive(
    v: ArrayView2<'_, f32>,
    config: &ConvolutiveConfig,
    watch: &mut Watch<'_>,
) -> Result<ConvolutiveFactorization> {
    let (w, h) = factors(v, config)?;
    let mut solve = Convolutive::new(Kernel::detect(), v, w, h, config);
    let driver_config = NmfConfig::<f32> { max_iter: config.max_iter, tol: config.tol, ..NmfConfig::default() };
    let run = driver::run(&mut solve, &driver_config, watch);
    let (dictionary, activations) = solve.into_factors();
    Ok(ConvolutiveFactorization {
        dictionary,
        activations,
        n_lags: config.n_lags,
        n_iter: run.n_iter,
        divergence_curve: run.curve,
        stop_reason: run.stop_reason,
    })
}

/// What one template contributes: the sum over t of its column t times its activations moved by t columns, as
/// `n_columns` x `n_rows` (frames x bins), for the columns of `activations` from `first` on.
///
/// # Shapes and units
/// | name | shape |
/// |---|---|
/// | `template` | `n_rows` x T |
/// | `activations` | any number of columns, of which those before `first` only reach into the result |
///
/// # Panics
/// If `first` is beyond the activations.
pub fn convolve(template: ArrayView2<'_, f32>, activations: &[f32], first: usize) -> Array2<f32> {
    let n_lags = template.ncols();
    let stacked = Array2::from_shape_fn((activations.len() - first, n_lags), |(i, lag)| {
        (first + i).checked_sub(lag).map_or(0.0, |at| activations[at])
    });
    stacked.dot(&template.t())
}

/// Checks the config at the door, and gives W and H before the first iteration.
fn factors(v: ArrayView2<'_, f32>, config: &ConvolutiveConfig) -> Result<(Array2<f32>, Array2<f32>)> {
    let refuse =
        |name, got: usize, expected: String| Err(Error::Setting { name, got: got.to_string(), expected, advice: None });
    if !(1..=MAX_LAGS).contains(&config.n_lags) {
        return refuse("n_lags", config.n_lags, format!("1 to {MAX_LAGS}"));
    }
    if config.run_length == Some(0) {
        return refuse("run_length", 0, "at least 1".into());
    }
    let nmf = |n_components: usize, dictionary: &Factor, activations: &Factor| NmfConfig {
        n_components,
        dictionary: dictionary.clone(),
        activations: activations.clone(),
        tol: config.tol,
        seed: config.seed,
        ..NmfConfig::default()
    };
    let rows = nmf(config.n_components, &Factor::Free, &config.activations);
    rows.check(v)?;
    let columns = nmf(config.n_components.saturating_mul(config.n_lags), &config.dictionary, &Factor::Free);
    columns.check(v)?;
    let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len().max(1) as f64;
    let (_, activations) = init::random_factors(v.dim(), mean, &rows);
    // The activations that come with the templates are not used: one column is enough.
    let (dictionary, _) = init::random_factors((v.nrows(), 1), mean, &columns);
    Ok((dictionary, activations))
}

/// Which components are learned from given values.
fn seeded(factor: &Factor, n_components: usize) -> Vec<bool> {
    match factor {
        Factor::Seed(_) => vec![true; n_components],
        Factor::Free | Factor::Fixed(_) => vec![false; n_components],
        Factor::PerComponent(parts) => parts.iter().map(|part| matches!(part, Part::Seed(_))).collect(),
    }
}

/// V, W and H between two iterations.
#[derive(Debug)]
struct Convolutive {
    kernel: Kernel,
    chunks: Vec<Chunk>,
    n_lags: usize,
    run_length: usize,
    w: Panels,
    /// H, one row of `n_columns` per template.
    h: Array2<f32>,
    /// Whether the chunks hold `h` as it is.
    is_stacked: bool,
    /// Which columns of W and rows of H may change.
    free_w: Vec<bool>,
    free_h: Vec<bool>,
    /// Columns of W that stay as they are for the next `n_held` iterations.
    held_w: Vec<bool>,
    n_held: usize,
    /// The factors as they were given: in the end, what is free is written over.
    given_w: Array2<f32>,
    given_h: Array2<f32>,
    /// V is multiplied by it inside, and so is H.
    scale: f64,
}

/// Some consecutive columns of V.
#[derive(Debug)]
struct Chunk {
    first_column: usize,
    v: Vec<Tile>,
    /// Moved activations, packed as H of the K T components.
    stacked: Vec<Activations>,
    /// W^T (V / WH), packed alike.
    h_terms: Vec<Activations>,
    /// (V / WH) H^T over these columns; empty where W is fixed.
    w_terms: Vec<Row>,
    scratch: Scratch,
}

impl Convolutive {
    fn new(kernel: Kernel, v: ArrayView2<'_, f32>, w: Array2<f32>, h: Array2<f32>, config: &ConvolutiveConfig) -> Self {
        let n_components = w.ncols();
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len().max(1) as f64;
        let scale = if mean > 0.0 { 1.0 / mean } else { 1.0 };
        let panels = Panels::pack(w.view(), &vec![1.0; n_components]);
        let free_w = config.dictionary.is_free(n_components);
        let n_tiles = v.ncols().div_ceil(TILE);
        let n_chunks = (v.ncols() / (2 * n_components)).clamp(1, MAX_CHUNKS).min(n_tiles.max(1));
        let pack = |i: usize| {
            let columns = i * n_tiles / n_chunks * TILE..((i + 1) * n_tiles / n_chunks * TILE).min(v.ncols());
            let n_packed = columns.len().div_ceil(TILE) * n_components;
            Chunk {
                first_column: columns.start,
                v: kernel::pack_columns(v.slice(s![.., columns]), scale),
                stacked: vec![[0.0; TILE]; n_packed],
                h_terms: vec![[0.0; TILE]; n_packed],
                w_terms: vec![zero_row(); if free_w.contains(&true) { panels.rows.len() } else { 0 }],
                scratch: Scratch::new(n_components),
            }
        };
        Self {
            kernel,
            chunks: (0..n_chunks).into_par_iter().map(pack).collect(),
            n_lags: config.n_lags,
            run_length: config.run_length.unwrap_or(usize::MAX),
            h: h.mapv(|x| kernel::lift(f64::from(x) * scale)),
            is_stacked: false,
            free_h: config.activations.is_free(h.nrows()),
            w: panels,
            free_w,
            held_w: seeded(&config.dictionary, n_components),
            n_held: config.n_held,
            given_w: w,
            given_h: h,
            scale,
        }
    }

    /// W and H on the input's scale. Fixed parts are as they were given, bit by bit; what sank to the floor is 0.
    fn into_factors(mut self) -> (Array2<f32>, Array2<f32>) {
        for (k, mut column) in self.given_w.columns_mut().into_iter().enumerate().filter(|(k, _)| self.free_w[*k]) {
            column.indexed_iter_mut().for_each(|(bin, w)| *w = given_back(self.w.at(bin, k), 1.0));
        }
        for (k, mut row) in self.given_h.rows_mut().into_iter().enumerate().filter(|(k, _)| self.free_h[*k]) {
            row.zip_mut_with(&self.h.row(k), |h, &x| *h = given_back(x, self.scale));
        }
        (self.given_w, self.given_h)
    }

    /// The first column after the run that a column belongs to.
    fn run_end(&self, column: usize) -> usize {
        (column / self.run_length).saturating_add(1).saturating_mul(self.run_length).min(self.h.ncols())
    }

    /// Moves the activations of each template by each lag, for the product with W, where they have changed since.
    fn stack(&mut self) {
        if std::mem::replace(&mut self.is_stacked, true) {
            return;
        }
        let (h, n_lags, run_length) = (self.h.view(), self.n_lags, self.run_length);
        let n_components = self.w.n_components;
        self.chunks.par_iter_mut().for_each(|chunk| {
            for (i, tile) in chunk.stacked.chunks_exact_mut(n_components).enumerate() {
                moved::stack(h, chunk.first_column + i * TILE, n_lags, run_length, tile);
            }
        });
    }

    /// H[k, n] <- H[k, n] * (sum over t of (W^T (V / WH))[(k, t), n + t]) / (sum over t of (W^T 1)[(k, t)]), each sum
    /// over the lags that stay inside the run.
    fn improve_h(&mut self) {
        if !self.free_h.contains(&true) {
            return;
        }
        self.stack();
        let (kernel, w, n_components) = (self.kernel, &self.w, self.w.n_components);
        self.chunks.par_iter_mut().for_each(|chunk| {
            let entries = Entries { v: &chunk.v, weights: None, power: Power::KullbackLeibler, least: 0.0, lift: 0.0 };
            kernel.terms_onto_h(entries, w, &chunk.stacked, &mut chunk.h_terms, &mut []);
        });
        let (w_sums, n_lags) = (w.sums(), self.n_lags);
        let ends: Vec<_> = (0..self.h.ncols()).map(|column| self.run_end(column)).collect();
        let (chunks, free_h) = (&self.chunks, &self.free_h);
        self.h.outer_iter_mut().into_par_iter().enumerate().filter(|(k, _)| free_h[*k]).for_each(|(k, mut row)| {
            let lags = k * n_lags..(k + 1) * n_lags;
            let mut numerators = vec![0.0; ends.len()];
            for chunk in chunks {
                for (first, tile) in (chunk.first_column..).step_by(TILE).zip(chunk.h_terms.chunks_exact(n_components))
                {
                    moved::add_back(&tile[lags.clone()], first, &ends, &mut numerators);
                }
            }
            // Of the lags that stay inside the run, of which there may be any number.
            let mut denominators = vec![0.0];
            w_sums[lags].iter().for_each(|x| denominators.push(denominators[denominators.len() - 1] + x));
            for ((n, h), (end, numerator)) in row.iter_mut().enumerate().zip(ends.iter().zip(numerators)) {
                let denominator = denominators[n_lags.min(end - n)];
                if denominator > 0.0 {
                    *h = kernel::improved(*h, (f64::from(numerator) / denominator) as f32);
                }
            }
        });
        self.is_stacked = false;
    }

    /// W[:, (k, t)] <- W[:, (k, t)] * ((V / WH) H^T) / (1 H^T) over the moved activations.
    fn improve_w(&mut self) {
        let changes = |k: usize| self.free_w[k] && !(self.n_held > 0 && self.held_w[k]);
        let changes: Vec<_> = (0..self.w.n_components).map(changes).collect();
        if !changes.contains(&true) {
            return;
        }
        self.stack();
        let (kernel, w, n_components) = (self.kernel, &self.w, self.w.n_components);
        let (n_panels, wanted) = (w.rows.len() / n_components, kernel::Wanted::of(&vec![true; n_components], false));
        let h_sums: Vec<Vec<f64>> = self
            .chunks
            .par_iter_mut()
            .map(|chunk| {
                chunk.w_terms.fill(zero_row());
                let blocks = chunk.v.chunks((BLOCK * n_panels).max(1)).zip(chunk.stacked.chunks(BLOCK * n_components));
                for (v, h) in blocks {
                    kernel.gather_w(v, w, h, &mut chunk.w_terms, &wanted, &mut chunk.scratch);
                }
                let mut sums = vec![0.0; n_components];
                for tile in chunk.stacked.chunks_exact(n_components) {
                    sums.iter_mut().zip(tile).for_each(|(sum, h)| *sum += f64::from(h.iter().sum::<f32>()));
                }
                sums
            })
            .collect();
        let total = |k: usize| h_sums.iter().map(|sums| sums[k]).sum::<f64>();
        let inverse: Vec<_> =
            (0..n_components).map(|k| (changes[k] && total(k) > 0.0).then(|| (1.0 / total(k)) as f32)).collect();
        let chunks = &self.chunks;
        self.w.rows.par_chunks_exact_mut(n_components).enumerate().for_each(|(panel_idx, panel)| {
            for ((k, row), inverse) in panel.iter_mut().enumerate().zip(&inverse) {
                let Some(inverse) = inverse else { continue };
                let mut numerator: Row = zero_row();
                for chunk in chunks {
                    let part = &chunk.w_terms[panel_idx * n_components + k];
                    for (sum, part) in numerator.iter_mut().zip(part) {
                        sum.0.iter_mut().zip(part.0).for_each(|(sum, part)| *sum += part);
                    }
                }
                for (w, numerator) in row.iter_mut().zip(numerator) {
                    w.0.iter_mut().zip(numerator.0).for_each(|(w, n)| *w = kernel::improved(*w, n * inverse));
                }
            }
        });
    }
}

impl Solve for Convolutive {
    fn iterate(&mut self) {
        self.improve_h();
        self.improve_w();
        self.n_held = self.n_held.saturating_sub(1);
    }

    fn check(&mut self) -> f64 {
        self.stack();
        let (kernel, w) = (self.kernel, &self.w);
        let totals: Vec<f64> =
            self.chunks.par_iter().map(|chunk| kernel.divergence(&chunk.v, w, &chunk.stacked)).collect();
        totals.iter().sum::<f64>() / self.scale
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use ndarray::Axis;
    use proptest::prelude::*;

    use super::*;
    use crate::nmf::testing::noise;
    use crate::watch::Progress;

    /// The model by its definition, in f64.
    fn model(w: &Array2<f64>, h: &Array2<f64>, n_lags: usize, run_length: usize) -> Array2<f64> {
        let mut y = Array2::zeros((w.nrows(), h.ncols()));
        for ((k, n), &x) in h.indexed_iter() {
            for lag in (0..n_lags).filter(|lag| n % run_length + lag < run_length && n + lag < h.ncols()) {
                y.column_mut(n + lag).scaled_add(x, &w.column(k * n_lags + lag));
            }
        }
        y
    }

    /// One update of H, then one of W, entry by entry.
    fn iterate(
        v: &Array2<f64>,
        w: &mut Array2<f64>,
        h: &mut Array2<f64>,
        n_lags: usize,
        run_length: usize,
        hold: bool,
    ) {
        let n_columns = h.ncols();
        let reaches = |n: usize, lag: usize| n % run_length + lag < run_length && n + lag < n_columns;
        let quotients = v / &model(w, h, n_lags, run_length);
        for ((k, n), h) in h.indexed_iter_mut() {
            let (mut over, mut under) = (0.0, 0.0);
            for lag in (0..n_lags).filter(|lag| reaches(n, *lag)) {
                over += w.column(k * n_lags + lag).dot(&quotients.column(n + lag));
                under += w.column(k * n_lags + lag).sum();
            }
            *h *= over / under;
        }
        if hold {
            return;
        }
        let quotients = v / &model(w, h, n_lags, run_length);
        for ((bin, column), w) in w.indexed_iter_mut() {
            let (k, lag) = (column / n_lags, column % n_lags);
            let played: Vec<_> = (0..n_columns).filter(|n| reaches(*n, lag)).collect();
            let over: f64 = played.iter().map(|&n| h[[k, n]] * quotients[[bin, n + lag]]).sum();
            *w *= over / played.iter().map(|&n| h[[k, n]]).sum::<f64>();
        }
    }

    #[test]
    fn updates_are_those_of_the_definition() {
        for (n_columns, n_lags, run_length, n_held) in [(61, 4, None, 0), (40, 10, None, 2), (50, 7, Some(16), 1)] {
            let (v, w, h) = (noise((37, n_columns), 1), noise((37, 2 * n_lags), 2), noise((2, n_columns), 3));
            let config = ConvolutiveConfig {
                n_components: 2,
                n_lags,
                dictionary: Factor::Seed(w.clone()),
                activations: Factor::Seed(h.clone()),
                n_held,
                run_length,
                max_iter: 5,
                ..ConvolutiveConfig::default()
            };
            let fit = fit_convolutive(v.view(), &config, &mut Watch::none()).expect("fit");
            let (v, mut w, mut h) = (v.mapv(f64::from), w.mapv(f64::from), h.mapv(f64::from));
            (0..5).for_each(|i| iterate(&v, &mut w, &mut h, n_lags, run_length.unwrap_or(n_columns), i < n_held));
            let gap = |a: &Array2<f32>, b: &Array2<f64>| {
                a.iter().zip(b).fold(0.0f64, |worst, (a, b)| worst.max((f64::from(*a) - b).abs() / b.max(1e-3)))
            };
            assert_eq!((fit.dictionary.dim(), fit.activations.dim()), (w.dim(), h.dim()));
            // Five iterations in f32, over sums of some hundred terms.
            assert!(gap(&fit.dictionary, &w) < 1e-4, "dictionary: {}", gap(&fit.dictionary, &w));
            assert!(gap(&fit.activations, &h) < 1e-4, "activations: {}", gap(&fit.activations, &h));
        }
    }

    #[test]
    fn planted_templates_are_found_again() {
        let (n_lags, n_columns) = (5, 120);
        let w = noise((30, 2 * n_lags), 5).mapv(|x| x.powi(4));
        let mut h = Array2::zeros((2, n_columns));
        for (at, x) in [(3, 1.0), (30, 0.5), (62, 0.8), (90, 1.0)] {
            h[[0, at]] = x;
            h[[1, at + 9]] = 1.5 - x;
        }
        let v: Array2<f32> = (0..2)
            .map(|k| {
                let template = w.slice(s![.., k * n_lags..(k + 1) * n_lags]);
                convolve(template, h.row(k).as_slice().expect("a row"), 0)
            })
            .fold(Array2::zeros((n_columns, 30)), |sum, part| sum + part);
        let seed = &w + &(noise((30, 2 * n_lags), 6) * 0.1);
        let config = ConvolutiveConfig {
            n_components: 2,
            n_lags,
            dictionary: Factor::Seed(seed),
            max_iter: 200,
            ..ConvolutiveConfig::default()
        };
        let fit = fit_convolutive(v.t(), &config, &mut Watch::none()).expect("fit");
        let (first, last) = (fit.divergence_curve[0].1, fit.divergence_curve[fit.divergence_curve.len() - 1].1);
        assert!(last < 1e-3 * first, "{:?}", fit.divergence_curve);
        for k in 0..2 {
            let row = fit.activations.row(k);
            let strongest = |x: ndarray::ArrayView1<'_, f32>| {
                x.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i)
            };
            assert_eq!(strongest(row), strongest(h.row(k)), "template {k}");
        }
    }

    #[test]
    fn a_callback_that_breaks_ends_the_fit() {
        let v = noise((20, 30), 1);
        let mut n_calls = 0;
        let mut stop_at_7 = |progress: Progress| {
            n_calls += 1;
            if progress.done == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let fit = fit_convolutive(v.view(), &ConvolutiveConfig::default(), &mut Watch::new(&mut stop_at_7));
        let fit = fit.expect("fit");
        assert_eq!((n_calls, fit.n_iter, fit.stop_reason), (7, 7, StopReason::Cancelled));
        assert!(matches!(fit.complete(), Err(Error::Cancelled)));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let v = noise((20, 30), 1);
        let fit = |config| fit_convolutive(v.view(), &config, &mut Watch::none());
        let none = ConvolutiveConfig::default;
        let message = |config| fit(config).expect_err("refused").to_string();
        assert_eq!(message(ConvolutiveConfig { n_lags: 0, ..none() }), "`n_lags` is 0, expected 1 to 4096");
        assert_eq!(
            message(ConvolutiveConfig { run_length: Some(0), ..none() }),
            "`run_length` is 0, expected at least 1"
        );
        assert_eq!(
            message(ConvolutiveConfig { n_components: 0, ..none() }),
            "`n_components` is 0, expected at least 1"
        );
        let narrow = Factor::Seed(Array2::ones((20, 7)));
        let error = message(ConvolutiveConfig { dictionary: narrow, ..none() });
        assert_eq!(error, "the dictionary is 20 x 7, expected 20 x 30");
    }

    #[test]
    fn fixed_templates_come_back_bit_by_bit() {
        let (v, w) = (noise((20, 30), 1), noise((20, 30), 2));
        let config = ConvolutiveConfig { dictionary: Factor::Fixed(w.clone()), ..ConvolutiveConfig::default() };
        let fit = fit_convolutive(v.view(), &config, &mut Watch::none()).expect("fit");
        assert_eq!(fit.dictionary, w);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let v = noise((50, 700), 1);
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let config = ConvolutiveConfig { max_iter: 20, ..ConvolutiveConfig::default() };
            pool.install(|| fit_convolutive(v.view(), &config, &mut Watch::none())).expect("fit")
        };
        assert_eq!(fit(1), fit(3));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_divergence_never_rises_and_factors_stay_finite(
            seed in 0u64..1000,
            (n_rows, n_columns) in (1usize..40, 1usize..80),
            (n_components, n_lags) in (1usize..4, 1usize..12),
            run_length in prop::option::of(1usize..40),
            scale in prop_oneof![Just(1.0f32), Just(1e-20), Just(1e20)],
            is_sparse in any::<bool>(),
        ) {
            let mut v = noise((n_rows, n_columns), seed) * scale;
            if is_sparse {
                v.axis_iter_mut(Axis(1)).step_by(3).for_each(|mut column| column.fill(0.0));
            }
            let config = ConvolutiveConfig { n_components, n_lags, run_length, seed, ..ConvolutiveConfig::default() };
            let fit = fit_convolutive(v.view(), &config, &mut Watch::none()).expect("fit");
            prop_assert!(fit.dictionary.iter().chain(&fit.activations).all(|x| x.is_finite() && *x >= 0.0));
            let first = fit.divergence_curve[0].1;
            for pair in fit.divergence_curve.windows(2) {
                // A hundredth of a thousandth of the start: rounding in f32, where the fit is already exact.
                prop_assert!(pair[1].1 <= pair[0].1 + 1e-5 * first, "{:?}", fit.divergence_curve);
            }
        }
    }
}
