//! A dictionary that learns from mini-batches by scikit-learn's steps: one of the batch's activations, one of W.
//! Decides on the steps and when they end; the updates' terms are those of `beta`.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Zip, s};

use super::beta::{BetaMu, dictionary_terms, power};
use super::config::setting;
use super::data::Data;
use super::divergence::level;
use super::general::{SCIKIT_LEARNS_LEAST, scaled, scales};
use super::kernel::wide;
use super::mini_batch_state::MiniBatchState;
use super::misuse::warnings;
use super::penalty::{Penalties, Scales, exponent};
use super::{Factor, Factorization, NmfConfig, Real, Solver, SparseMatrix, StopReason, init};
use crate::watch::{Progress, Step, Watch};
use crate::{Error, Result};

/// What to learn from mini-batches, and how. The settings are those of scikit-learn's `MiniBatchNMF`, for V transposed: its
/// samples are our columns, its `components_` our dictionary, and its `alpha_W` our `alpha_activations`.
#[derive(Debug, Clone, PartialEq)]
pub struct MiniBatchConfig<T: Real = f32> {
    /// What to fit: any divergence, starts, `alpha_*` and `l1_ratio`; `max_iter` counts passes over all batches, and `tol`
    /// ends the fit where W changes by no more than this share of its norm from one batch to the next. The solver is
    /// [`Solver::Mu`], whatever is asked for, and the stopping rule scikit-learn's.
    pub nmf: NmfConfig<T>,
    /// Columns in a batch, at least 1. Default 1024.
    pub batch_size: usize,
    /// Share of the running sums that each pass over all batches leaves, 0 to 1. Default 0.7.
    pub forget_factor: f64,
    /// Whether the activations of each batch start anew, and are searched for. Default no: they go on by one step from the
    /// pass before.
    pub fresh_restarts: bool,
    /// Iterations for a fresh restart, at the most. Default 30.
    pub fresh_restarts_max_iter: usize,
    /// Iterations of [`MiniBatch::transform`], at the most. Default: `max_iter`.
    pub transform_max_iter: Option<usize>,
    /// Ends the fit after so many batches without a lower smoothed cost. Default 10; none never does.
    pub max_no_improvement: Option<usize>,
}

impl<T: Real> Default for MiniBatchConfig<T> {
    fn default() -> Self {
        Self {
            nmf: NmfConfig { solver: Solver::Mu, ..NmfConfig::default() },
            batch_size: 1024,
            forget_factor: 0.7,
            fresh_restarts: false,
            fresh_restarts_max_iter: 30,
            transform_max_iter: None,
            max_no_improvement: Some(10),
        }
    }
}

/// A dictionary that learns from mini-batches, as scikit-learn's `MiniBatchNMF` does: from the same start, the same steps
/// and as many. [`Online`](super::Online) searches longer in each block.
///
/// # References
/// A. Lefevre, F. Bach and C. Fevotte, "Online algorithms for nonnegative matrix factorization with the Itakura-Saito
/// divergence", WASPAA 2011, algorithm 1.
///
/// # Examples
/// ```
/// use partita::nmf::{MiniBatch, MiniBatchConfig, NmfConfig};
/// let v = ndarray::Array2::from_shape_fn((6, 40), |(i, j)| (1 + i) as f64 * (1 + j % 5) as f64);
/// let nmf = NmfConfig { n_components: 1, max_iter: 50, tol: 0.0, ..NmfConfig::default() };
/// let config = MiniBatchConfig { nmf, batch_size: 10, max_no_improvement: None, ..MiniBatchConfig::default() };
/// let (parts, n_steps) = MiniBatch::new(config)?.fit(v.view())?;
/// assert_eq!(n_steps, 200);
/// assert!((parts.dictionary[(5, 0)] / parts.dictionary[(0, 0)] - 6.0).abs() < 1e-2);
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MiniBatch<T: Real = f32> {
    config: MiniBatchConfig<T>,
    state: Option<State<T>>,
}

/// V, or a part of it.
#[derive(Debug, Clone, Copy)]
enum Matrix<'a, T: Real> {
    Full(ArrayView2<'a, T>),
    Sparse(&'a SparseMatrix<T>),
}

#[derive(Debug, Clone)]
struct State<T: Real> {
    scales: Scales,
    beta: f64,
    exponent: f64,
    /// Share of the running sums that one batch leaves.
    keeps: T,
    /// W over `scales.w`, rows x K.
    w: Array2<T>,
    /// The running sums, in the problem's units.
    numerator: Array2<T>,
    denominator: Array2<T>,
    n_steps: usize,
}

impl<T: Real> MiniBatch<T> {
    /// Takes the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for one out of range, for weights, guidance, components that are fixed, and penalties that
    /// scikit-learn does not know.
    pub fn new(config: MiniBatchConfig<T>) -> Result<Self> {
        config.nmf.check_settings()?;
        let refused = |name, got: String, expected: &str| Err(setting(name, got, expected));
        if config.batch_size == 0 {
            return refused("batch_size", "0".into(), "at least 1");
        }
        if !(0.0..=1.0).contains(&config.forget_factor) {
            return refused("forget_factor", config.forget_factor.to_string(), "a number from 0 to 1");
        }
        if config.nmf.weights.is_some() || config.nmf.guidance.is_some() {
            let name = if config.nmf.weights.is_some() { "weights" } else { "guidance" };
            return refused(name, "given".into(), "none for mini-batches");
        }
        for (name, factor) in [("dictionary", &config.nmf.dictionary), ("activations", &config.nmf.activations)] {
            if !matches!(factor, Factor::Free | Factor::Seed(_)) {
                return refused(name, "fixed in part".into(), "`Free` or `Seed` for mini-batches");
            }
        }
        let r = &config.nmf.regularization;
        if r.sparsity > 0.0 || r.temporal_continuity > 0.0 || r.group_sparsity.is_some() {
            return refused("regularization", "another".into(), "`alpha_*` alone for mini-batches");
        }
        Ok(Self { config, state: None })
    }

    /// Goes on from what another learned. The settings may be others.
    ///
    /// # Errors
    /// Those of [`MiniBatch::new`]; [`Error::MatrixShape`] for sums that are not of the dictionary's shape, or a dictionary
    /// without `n_components` columns; [`Error::Setting`] for a scale that is not a finite number above 0.
    pub fn resumed(config: MiniBatchConfig<T>, from: MiniBatchState<T>) -> Result<Self> {
        let learner = Self::new(config)?;
        let shape = (from.dictionary.nrows(), learner.config.nmf.n_components);
        for (what, sums) in [
            ("the dictionary", &from.dictionary),
            ("the sum of the numerators", &from.numerator),
            ("the sum of the denominators", &from.denominator),
        ] {
            if sums.dim() != shape {
                return Err(Error::MatrixShape { what, got: sums.dim(), expected: shape });
            }
        }
        if !(from.scale.is_finite() && from.scale > 0.0) {
            return Err(setting("scale", from.scale, "a finite number above 0"));
        }
        let beta = wide(T::of(learner.config.nmf.divergence.beta()));
        let scales = scales(from.scale, &from.dictionary);
        let exponent = exponent(beta, false, false);
        let (of_numerator, of_denominator) = units(scales, beta, exponent);
        let state = State {
            scales,
            beta,
            exponent,
            keeps: T::of(from.keeps),
            w: scaled(from.dictionary, 1.0 / scales.w),
            numerator: scaled(from.numerator, 1.0 / of_numerator),
            denominator: scaled(from.denominator, 1.0 / of_denominator),
            n_steps: from.n_steps,
        };
        Ok(Self { state: Some(state), ..learner })
    }

    /// What was learned so far; none before the first batch.
    pub fn state(&self) -> Option<MiniBatchState<T>> {
        self.state.as_ref().map(|state| {
            let (of_numerator, of_denominator) = units(state.scales, state.beta, state.exponent);
            MiniBatchState {
                dictionary: scaled(state.w.clone(), state.scales.w),
                numerator: scaled(state.numerator.clone(), of_numerator),
                denominator: scaled(state.denominator.clone(), of_denominator),
                keeps: wide(state.keeps),
                scale: state.scales.v,
                n_steps: state.n_steps,
            }
        })
    }

    /// Learns from all columns of V, batch after batch, over and over; returns the factors and the number of batches that
    /// it took. `n_iter` counts the passes that were begun. What was learned before is forgotten.
    ///
    /// # Errors
    /// Those of [`fit`](super::fit).
    ///
    /// # Cost
    /// Memory: one packed copy of V, and W seven times.
    pub fn fit(&mut self, v: ArrayView2<'_, T>) -> Result<(Factorization<T>, usize)> {
        self.fit_with(v, &mut Watch::none())
    }

    /// [`MiniBatch::fit`], telling `watch` of every batch; where that cancels it, the fit ends with what it has.
    ///
    /// # Errors
    /// Those of [`fit`](super::fit).
    pub fn fit_with(&mut self, v: ArrayView2<'_, T>, watch: &mut Watch<'_>) -> Result<(Factorization<T>, usize)> {
        self.config.nmf.check(v)?;
        let factors = init::factors(v, &self.config.nmf);
        self.run(Matrix::Full(v), factors, watch)
    }

    /// [`MiniBatch::fit_with`] for a sparse matrix.
    ///
    /// # Errors
    /// Those of [`fit_sparse`](super::fit_sparse).
    pub fn fit_sparse_with(&mut self, v: &SparseMatrix<T>, watch: &mut Watch<'_>) -> Result<(Factorization<T>, usize)> {
        self.config.nmf.check_sparse(v.dim())?;
        let factors = init::sparse_factors(v, mean(Matrix::Sparse(v)), &self.config.nmf);
        self.run(Matrix::Sparse(v), factors, watch)
    }

    /// Learns from one batch (`n_rows` x any number of columns), whose activations are searched for as for a fresh restart.
    /// Only the first batch reads the starts in the config, of which `activations` plays no part.
    ///
    /// # Errors
    /// Those of [`fit`](super::fit); [`Error::MatrixShape`] for a batch with another number of rows than the dictionary.
    pub fn partial_fit(&mut self, batch: ArrayView2<'_, T>) -> Result<()> {
        let config = NmfConfig { activations: Factor::Free, ..self.config.nmf.clone() };
        config.check(batch)?;
        self.check_rows(batch.dim())?;
        let start = || init::factors(batch, &config).0;
        let state = self.state.take().unwrap_or_else(|| self.begun(Matrix::Full(batch), start()));
        self.partial_step(state, Matrix::Full(batch));
        Ok(())
    }

    /// [`MiniBatch::partial_fit`] for a sparse batch.
    ///
    /// # Errors
    /// Those of [`MiniBatch::partial_fit`].
    pub fn partial_fit_sparse(&mut self, batch: &SparseMatrix<T>) -> Result<()> {
        let config = NmfConfig { activations: Factor::Free, ..self.config.nmf.clone() };
        config.check_sparse(batch.dim())?;
        self.check_rows(batch.dim())?;
        let start = || init::sparse_factors(batch, mean(Matrix::Sparse(batch)), &config).0;
        let state = self.state.take().unwrap_or_else(|| self.begun(Matrix::Sparse(batch), start()));
        self.partial_step(state, Matrix::Sparse(batch));
        Ok(())
    }

    /// Finds the activations of columns under the dictionary so far, `n_components` x columns; zeros before there is one.
    ///
    /// # Errors
    /// [`Error::MatrixShape`] for another number of rows than the dictionary's, [`Error::MatrixEntry`] for a negative, NaN
    /// or infinite entry.
    pub fn transform(&self, v: ArrayView2<'_, T>) -> Result<Array2<T>> {
        NmfConfig {
            dictionary: Factor::Free,
            activations: Factor::Free,
            init: super::Init::Random,
            ..self.config.nmf.clone()
        }
        .check(v)?;
        self.check_rows(v.dim())?;
        Ok(self.transformed(Matrix::Full(v)))
    }

    /// [`MiniBatch::transform`] for a sparse matrix.
    ///
    /// # Errors
    /// Those of [`MiniBatch::transform`].
    pub fn transform_sparse(&self, v: &SparseMatrix<T>) -> Result<Array2<T>> {
        self.check_rows(v.dim())?;
        Ok(self.transformed(Matrix::Sparse(v)))
    }

    /// The dictionary so far, `n_rows` x `n_components`; none before the first batch.
    pub fn dictionary(&self) -> Option<Array2<T>> {
        self.state.as_ref().map(|state| scaled(state.w.clone(), state.scales.w))
    }

    /// Batches that the dictionary has learned from.
    pub fn n_steps(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.n_steps)
    }

    fn check_rows(&self, got: (usize, usize)) -> Result<()> {
        match &self.state {
            Some(state) if state.w.nrows() != got.0 => {
                Err(Error::MatrixShape { what: "the batch", got, expected: (state.w.nrows(), got.1) })
            }
            _ => Ok(()),
        }
    }

    /// The state before the first batch of a V with so many columns.
    fn begun(&self, v: Matrix<'_, T>, w: Array2<T>) -> State<T> {
        let MiniBatchConfig { nmf, batch_size, forget_factor, .. } = &self.config;
        let (n_rows, n_columns) = v.dim();
        let beta = wide(T::of(nmf.divergence.beta()));
        let sum = mean(v) * n_rows as f64 * n_columns as f64;
        let scales = scales(level(sum, n_rows as f64 * n_columns as f64), &w);
        let w = scaled(w, 1.0 / scales.w);
        let exponent = exponent(beta, false, false);
        // Scikit-learn's sums start from W and from ones, on the input's scale.
        let (of_numerator, of_denominator) = units(scales, beta, exponent);
        let numerator = w.mapv(|w| T::of(wide(w) * scales.w / of_numerator));
        let share = (*batch_size).min(n_columns) as f64 / n_columns.max(1) as f64;
        State {
            scales,
            beta,
            exponent,
            keeps: T::of(forget_factor.powf(share)),
            denominator: Array2::from_elem(w.dim(), T::of(1.0 / of_denominator)),
            w,
            numerator,
            n_steps: 0,
        }
    }

    fn partial_step(&mut self, mut state: State<T>, batch: Matrix<'_, T>) {
        let data = state.data(batch);
        let penalties = self.penalties(&state, &data);
        let start = equal_activations(&state, batch);
        let n_iter = self.config.fresh_restarts_max_iter;
        let (data, mut h) = state.searched(data, start, &penalties, n_iter, self.config.nmf.tol);
        state.drop_small(&mut h);
        state.learn(&data, &h, &penalties);
        self.state = Some(state);
    }

    fn transformed(&self, v: Matrix<'_, T>) -> Array2<T> {
        let Some(state) = &self.state else { return Array2::zeros((self.config.nmf.n_components, v.dim().1)) };
        let mut state = state.clone();
        let data = state.data(v);
        let penalties = self.penalties(&state, &data);
        let n_iter = self.config.transform_max_iter.unwrap_or(self.config.nmf.max_iter);
        let start = equal_activations(&state, v);
        let (_, h) = state.searched(data, start, &penalties, n_iter, self.config.nmf.tol);
        scaled(h, state.scales.h).reversed_axes().as_standard_layout().into_owned()
    }

    fn penalties(&self, state: &State<T>, data: &Data<T>) -> Penalties {
        let shape = (data.n_rows(), data.n_columns());
        Penalties::new(&self.config.nmf.regularization, shape, state.scales, state.beta, data.mean)
    }

    /// Batch after batch, until nothing improves.
    fn run(
        &mut self,
        v: Matrix<'_, T>,
        (w, h): (Array2<T>, Array2<T>),
        watch: &mut Watch<'_>,
    ) -> Result<(Factorization<T>, usize)> {
        let MiniBatchConfig { batch_size, fresh_restarts, fresh_restarts_max_iter, max_no_improvement, .. } =
            self.config;
        let (tol, max_iter) = (self.config.nmf.tol, self.config.nmf.max_iter);
        let full = if let Matrix::Full(v) = v { Some(v) } else { None };
        let warnings = warnings(full, (&w, &h), &NmfConfig { solver: Solver::Mu, ..self.config.nmf.clone() });
        let mut state = self.begun(v, w);
        let mut h = scaled(h.reversed_axes(), 1.0 / state.scales.h);
        let n_columns = v.dim().1;
        let parts: Vec<Range<usize>> =
            (0..n_columns).step_by(batch_size).map(|start| start..(start + batch_size).min(n_columns)).collect();
        let samples = v.transposed();
        let mut batches: Vec<Option<(Data<T>, Array2<T>)>> = Vec::new();
        for part in &parts {
            let of_part = |batch: Matrix<'_, T>| (state.data(batch), equal_activations(&state, batch));
            batches.push(Some(v.with_columns(samples.as_ref(), part, of_part)));
        }
        let max_steps = max_iter.saturating_mul(parts.len());
        let mut patience = Patience::new(tol, max_no_improvement, n_columns);
        let (mut curve, mut stop_reason) = (Vec::new(), StopReason::MaxIter);
        for i in 0..max_steps {
            let part = parts[i % parts.len()].clone();
            let Some((data, equal)) = batches[i % parts.len()].take() else { continue };
            let penalties = self.penalties(&state, &data);
            let mut rows = h.slice_mut(s![part.clone(), ..]);
            let (data, mut improved) = if fresh_restarts {
                state.searched(data, equal.clone(), &penalties, fresh_restarts_max_iter, tol)
            } else {
                state.searched(data, rows.to_owned(), &penalties, 1, 0.0)
            };
            state.drop_small(&mut improved);
            rows.assign(&improved);
            let cost = state.cost(&data, &improved, &penalties) / part.len() as f64;
            let before = state.w.clone();
            state.learn(&data, &improved, &penalties);
            batches[i % parts.len()] = Some((data, equal));
            curve.push((i + 1, cost));
            let (done, total) = (i as u64 + 1, Some(max_steps as u64));
            let is_cancelled =
                watch.tell(Progress { step: Step::Fitting, done, total, divergence: Some(cost) }).is_err();
            if i > 0 && patience.is_over(cost, part.len(), &state.w, &before) {
                stop_reason = StopReason::Converged;
                break;
            }
            if is_cancelled {
                stop_reason = StopReason::Cancelled;
                break;
            }
        }
        drop(batches);
        let whole = state.data(v);
        let (whole, h) = if fresh_restarts {
            let n_iter = self.config.transform_max_iter.unwrap_or(max_iter);
            let penalties = self.penalties(&state, &whole);
            let start = equal_activations(&state, v);
            state.searched(whole, start, &penalties, n_iter, tol)
        } else {
            (whole, h)
        };
        let divergence = whole.divergence(&state.w, &h);
        let n_steps = state.n_steps;
        let factorization = Factorization {
            dictionary: scaled(state.w.clone(), state.scales.w),
            activations: scaled(h, state.scales.h).reversed_axes().as_standard_layout().into_owned(),
            n_iter: n_steps.div_ceil(parts.len().max(1)),
            divergence,
            divergence_curve: curve,
            stop_reason,
            warnings,
        };
        self.state = Some(state);
        Ok((factorization, n_steps))
    }
}

impl<T: Real> State<T> {
    /// V over the scale, with scikit-learn's guard.
    fn data(&self, v: Matrix<'_, T>) -> Data<T> {
        let data = match v {
            Matrix::Full(v) => Data::with_scale(v, None, self.beta, self.scales.v),
            Matrix::Sparse(v) => Data::sparse_with_scale(v, self.beta, self.scales.v),
        };
        data.with_least(SCIKIT_LEARNS_LEAST)
    }

    /// Steps of H (columns x K) under the present W, until one changes it by no more than `tol` of its norm; 0 never ends it.
    fn searched(
        &mut self,
        data: Data<T>,
        h: Array2<T>,
        penalties: &Penalties,
        max_iter: usize,
        tol: f64,
    ) -> (Data<T>, Array2<T>) {
        let k = h.ncols();
        let start = (std::mem::take(&mut self.w), h);
        let mut solve = BetaMu::new(data, start, (vec![false; k], vec![true; k]), penalties.clone(), Solver::Mu);
        for _ in 0..max_iter {
            let before = if tol > 0.0 { Some(solve.h.clone()) } else { None };
            solve.step_activations();
            if before.is_some_and(|before| change(&solve.h, &before) <= tol) {
                break;
            }
        }
        self.w = solve.w;
        (solve.data, solve.h)
    }

    /// Activations below the spacing of doubles at 1 become 0 for a beta below 1.
    fn drop_small(&self, h: &mut Array2<T>) {
        if self.beta < 1.0 {
            drop_below(h, f64::EPSILON / self.scales.h);
        }
    }

    /// One step of W from the running sums, which the batch joins.
    fn learn(&mut self, data: &Data<T>, h: &Array2<T>, penalties: &Penalties) {
        let exponent = T::of(self.exponent);
        let inverse = T::of(1.0 / self.exponent);
        let terms = dictionary_terms(data, &self.w, h);
        let (l1, l2) = (T::of(penalties.l1_w), T::of(penalties.l2_w));
        let (_, unit) = units(self.scales, self.beta, self.exponent);
        let least = T::of(SCIKIT_LEARNS_LEAST / unit);
        // Of a component that is silent throughout the batch; scikit-learn's Kullback-Leibler counts it as 1.
        let silent = T::of(if self.beta == 1.0 { 1.0 / unit } else { 0.0 });
        Zip::from(&mut self.numerator)
            .and(&mut self.denominator)
            .and(&mut self.w)
            .and(&terms.numerator)
            .and(&terms.denominator)
            .for_each(|numerator, denominator, w, &n, &d| {
                let sounding = if d == T::of(0.0) { silent } else { d };
                let d = sounding + l1 + l2 * *w;
                *numerator = self.keeps * *numerator + power(*w, inverse) * n;
                *denominator = self.keeps * *denominator + if d == T::of(0.0) { least } else { d };
                *w = power(*numerator / *denominator, exponent).min(T::CEILING);
            });
        if self.beta <= 1.0 {
            drop_below(&mut self.w, f64::EPSILON / self.scales.w);
        }
        self.n_steps += 1;
    }

    /// The divergence and, as scikit-learn counts them here, the penalties, on the input's scale.
    fn cost(&self, data: &Data<T>, h: &Array2<T>, penalties: &Penalties) -> f64 {
        let sums = |x: &Array2<T>| x.iter().fold((0.0, 0.0), |(a, b), &x| (a + wide(x), b + wide(x) * wide(x)));
        let ((w_sum, w_squares), (h_sum, h_squares)) = (sums(&self.w), sums(h));
        let costs =
            penalties.l1_w * w_sum + penalties.l2_w * w_squares + penalties.l1_h * h_sum + penalties.l2_h * h_squares;
        data.divergence(&self.w, h) + self.scales.v.powf(self.beta) * costs
    }
}

impl<T: Real> Matrix<'_, T> {
    fn dim(&self) -> (usize, usize) {
        match self {
            Self::Full(v) => v.dim(),
            Self::Sparse(v) => v.dim(),
        }
    }

    /// The transpose of a sparse matrix, in which columns are found.
    fn transposed(&self) -> Option<SparseMatrix<T>> {
        match self {
            Self::Full(_) => None,
            Self::Sparse(v) => Some(v.transposed()),
        }
    }

    /// Does `work` on some columns; `transposed` is what [`Matrix::transposed`] gave.
    fn with_columns<R>(
        &self,
        transposed: Option<&SparseMatrix<T>>,
        columns: &Range<usize>,
        work: impl Fn(Matrix<'_, T>) -> R,
    ) -> R {
        match (self, transposed) {
            (Self::Full(v), _) => work(Matrix::Full(v.slice(s![.., columns.clone()]))),
            (Self::Sparse(_), Some(rows)) => work(Matrix::Sparse(&rows.some_rows(columns).transposed())),
            (Self::Sparse(v), None) => work(Matrix::Sparse(&v.transposed().some_rows(columns).transposed())),
        }
    }
}

/// What the running sums of numerators and of denominators are multiplied by for the input's scale.
fn units(scales: Scales, beta: f64, exponent: f64) -> (f64, f64) {
    let unit = scales.v.powf(beta - 1.0) * scales.h;
    (unit * scales.w.powf(1.0 / exponent), unit)
}

fn mean<T: Real>(v: Matrix<'_, T>) -> f64 {
    let (n_rows, n_columns) = v.dim();
    let sum: f64 = match v {
        Matrix::Full(v) => v.iter().map(|&x| wide(x)).sum(),
        Matrix::Sparse(v) => v.entries().map(|(_, _, x)| wide(x)).sum(),
    };
    sum / (n_rows as f64 * n_columns as f64).max(1.0)
}

/// The start of a search: every activation the root of the mean of V over the number of components.
fn equal_activations<T: Real>(state: &State<T>, v: Matrix<'_, T>) -> Array2<T> {
    let k = state.w.ncols();
    Array2::from_elem((v.dim().1, k), T::of((mean(v) / k as f64).sqrt() / state.scales.h))
}

fn drop_below<T: Real>(x: &mut Array2<T>, least: f64) {
    let least = T::of(least);
    x.mapv_inplace(|x| if x < least { T::of(0.0) } else { x });
}

/// Norm of the difference, over the norm.
fn change<T: Real>(x: &Array2<T>, before: &Array2<T>) -> f64 {
    let norm = |x: f64| x.sqrt();
    let squares = x.iter().map(|&x| wide(x).powi(2)).sum::<f64>();
    norm(x.iter().zip(before).map(|(&x, &y)| (wide(x) - wide(y)).powi(2)).sum()) / norm(squares)
}

/// When a fit ends early.
struct Patience {
    tol: f64,
    max_no_improvement: Option<usize>,
    n_columns: usize,
    /// The smoothed cost, and the lowest that it was.
    cost: Option<f64>,
    lowest: f64,
    n_without: usize,
}

impl Patience {
    fn new(tol: f64, max_no_improvement: Option<usize>, n_columns: usize) -> Self {
        Self { tol, max_no_improvement, n_columns, cost: None, lowest: f64::INFINITY, n_without: 0 }
    }

    fn is_over<T: Real>(&mut self, cost: f64, batch_len: usize, w: &Array2<T>, before: &Array2<T>) -> bool {
        let share = (batch_len as f64 / (self.n_columns as f64 + 1.0)).min(1.0);
        let smoothed = self.cost.map_or(cost, |smoothed| smoothed * (1.0 - share) + cost * share);
        self.cost = Some(smoothed);
        if self.tol > 0.0 && change(w, before) <= self.tol {
            return true;
        }
        if smoothed < self.lowest {
            (self.lowest, self.n_without) = (smoothed, 0);
        } else {
            self.n_without += 1;
        }
        self.max_no_improvement.is_some_and(|most| self.n_without >= most)
    }
}
