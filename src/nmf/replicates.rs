//! Many fits of one V from different seeds, side by side, and what is kept of each.
//! V is packed once for all of them; what they have in common is found in `consensus`.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use ndarray::{Array2, ArrayView2};

use super::init::random_factors;
use super::prepared::Prepared;
use super::{Factor, Factorization, Init, NmfConfig, Real, Side, SparseMatrix, StopReason};
use crate::error::Advice;
use crate::watch::{Progress, Step, Watch};
use crate::{Error, Result};

/// A matrix to factorize, held in full or by its entries.
#[derive(Debug, Clone, Copy)]
pub enum Matrix<'v, T: Real = f32> {
    /// In full.
    Dense(ArrayView2<'v, T>),
    /// Its entries other than 0.
    Sparse(&'v SparseMatrix<T>),
}

/// What to fit how often.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicatesConfig<T: Real = f32> {
    /// The fits: their seeds begin at its `seed` and rise by 1; its `n_components` is not used. Both factors are free and
    /// start at random.
    pub nmf: NmfConfig<T>,
    /// Fits per number of components, at least 2. Default 20.
    pub n_runs: usize,
    /// The factor whose components are compared; the other one says how much each is used. Default the dictionary: V has
    /// a column per sample (cell, patient, text) and a row per feature (gene, mutation, word).
    pub side: Side,
}

impl<T: Real> Default for ReplicatesConfig<T> {
    fn default() -> Self {
        Self { nmf: NmfConfig::default(), n_runs: 20, side: Side::Dictionary }
    }
}

/// What is kept of one fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicate<T: Real = f32> {
    /// What it started from.
    pub seed: u64,
    /// The factor that is compared: features x components.
    pub components: Array2<T>,
    /// For each sample, the component that it uses most, components being of the same size.
    pub clusters: Vec<u32>,
    /// Its divergence.
    pub divergence: f64,
    /// Its iterations.
    pub n_iter: usize,
    /// Why it ended.
    pub stop_reason: StopReason,
}

/// Where fits are kept once they are done, so that none has to be done twice. It is asked from several threads at once.
pub trait Shelf<T: Real = f32>: Sync {
    /// The fit with so many components from this seed, if it is there.
    ///
    /// # Errors
    /// Whatever stops it from looking.
    fn find(&self, n_components: usize, seed: u64) -> Result<Option<Replicate<T>>>;

    /// Keeps a fit.
    ///
    /// # Errors
    /// Whatever stops it from being kept, which ends all other fits, too.
    fn keep(&self, replicate: &Replicate<T>) -> Result<()>;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoShelf;

impl<T: Real> Shelf<T> for NoShelf {
    fn find(&self, _: usize, _: u64) -> Result<Option<Replicate<T>>> {
        Ok(None)
    }

    fn keep(&self, _: &Replicate<T>) -> Result<()> {
        Ok(())
    }
}

/// Many fits of one V.
///
/// # Examples
/// ```
/// use partita::nmf::{Matrix, NmfConfig, NoShelf, Replicates, ReplicatesConfig};
/// use partita::watch::Watch;
/// let v = ndarray::Array2::from_shape_fn((20, 30), |(i, j)| (1 + i % 3) as f32 * (1 + j % 4) as f32);
/// let config = ReplicatesConfig { n_runs: 3, ..ReplicatesConfig::default() };
/// let replicates = Replicates::new(Matrix::Dense(v.view()), &config)?;
/// let runs = replicates.fit(&[1, 2], &NoShelf, &mut Watch::none())?;
/// assert_eq!((runs.len(), runs[0].len()), (2, 3));
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug)]
pub struct Replicates<'v, T: Real = f32> {
    v: Prepared<'v, T>,
    config: ReplicatesConfig<T>,
}

impl<'v, T: Real> Replicates<'v, T> {
    /// Checks all that can be, and packs V.
    ///
    /// # Errors
    /// Those of [`fit`](super::fit) and [`fit_sparse`](super::fit_sparse), and [`Error::Setting`] for less than two runs,
    /// factors that are given, or a start that is not random.
    ///
    /// # Cost
    /// Memory: one packed copy of V (of a sparse one, two copies of its entries).
    pub fn new(v: Matrix<'v, T>, config: &ReplicatesConfig<T>) -> Result<Self> {
        let refused = |name, got: String, expected: &str, advice: Option<Advice>| {
            Err(Error::Setting { name, got, expected: expected.into(), advice: advice.map(Box::new) })
        };
        if config.n_runs < 2 {
            return refused("n_runs", config.n_runs.to_string(), "at least 2", None);
        }
        let nmf = &config.nmf;
        if nmf.init != Init::Random {
            let advice = Some(Advice::set("init", "random"));
            return refused("init", nmf.init.name().into(), "random: other starts are the same for each run", advice);
        }
        for (name, factor) in [("dictionary", &nmf.dictionary), ("activations", &nmf.activations)] {
            if *factor != Factor::Free {
                return refused(name, "given".into(), "`Free`: the runs differ by their starts", None);
            }
        }
        let v = match v {
            Matrix::Dense(v) => {
                nmf.check(v)?;
                Prepared::dense(v, nmf)
            }
            Matrix::Sparse(v) => {
                nmf.check_sparse(v.dim())?;
                Prepared::sparse(v, v.mean(), nmf)
            }
        };
        Ok(Self { v, config: config.clone() })
    }

    /// What was asked for.
    pub fn config(&self) -> &ReplicatesConfig<T> {
        &self.config
    }

    /// Fits V with each number of components from each seed, and returns the fits in order: `n_runs` per number.
    ///
    /// As many fits run side by side as rayon has threads, each with one thread (or its share, where there are less fits),
    /// the largest first. `shelf` is asked for each, and told of each as soon as it is done. `watch` is told of iterations,
    /// counted over all fits as if each took all that it may. Each fit is that of [`fit`](super::fit) with its seed, so
    /// that neither threads nor the order matter.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number of components out of range, [`Error::Cancelled`] where `watch` ends it, and those of
    /// `shelf`.
    pub fn fit(&self, ranks: &[usize], shelf: &dyn Shelf<T>, watch: &mut Watch<'_>) -> Result<Vec<Vec<Replicate<T>>>> {
        for &n_components in ranks {
            NmfConfig { n_components, ..self.config.nmf.clone() }.check_settings()?;
        }
        let n_runs = self.config.n_runs;
        let jobs: Vec<(usize, u64)> = ranks
            .iter()
            .flat_map(|&rank| (0..n_runs).map(move |run| (rank, run as u64)))
            .map(|(rank, run)| (rank, self.config.nmf.seed.wrapping_add(run)))
            .collect();
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|&job| std::cmp::Reverse(jobs[job].0));
        let mut found: Vec<Option<Replicate<T>>> = (0..jobs.len()).map(|_| None).collect();
        let queue = Mutex::new(VecDeque::from(order));
        let is_over = AtomicBool::new(false);
        let n_threads = rayon::current_num_threads();
        let n_workers = n_threads.min(jobs.len());
        let (tell, news) = mpsc::channel();
        let mut outcome = Ok(());
        std::thread::scope(|scope| {
            for worker in 0..n_workers {
                let threads = n_threads / n_workers + usize::from(worker < n_threads % n_workers);
                let (tell, queue, jobs, is_over) = (tell.clone(), &queue, &jobs, &is_over);
                scope.spawn(move || {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build();
                    // Without threads of its own it shares those of all.
                    let _pool = pool.ok();
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        let Some(job) = next.filter(|_| !is_over.load(Ordering::Relaxed)) else { return };
                        let (rank, seed) = jobs[job];
                        let done = self.one(rank, seed, shelf, is_over, &|n_iter| {
                            // Nobody listens any more once something failed.
                            let _ = tell.send(News::Iterated(job, n_iter));
                        });
                        let has_failed = done.is_err();
                        let _ = tell.send(News::Done(job, done));
                        // Told first: what this cancels is not the cause.
                        is_over.fetch_or(has_failed, Ordering::Relaxed);
                    }
                });
            }
            drop(tell);
            let max_iter = self.config.nmf.max_iter;
            let total = max_iter.saturating_mul(jobs.len()) as u64;
            let (mut counted, mut sum) = (vec![0; jobs.len()], 0u64);
            for news in news {
                let (job, n_iter) = match news {
                    News::Iterated(job, n_iter) => (job, n_iter),
                    News::Done(job, Ok(replicate)) => {
                        found[job] = Some(replicate);
                        (job, max_iter)
                    }
                    News::Done(_, Err(error)) => {
                        // The first one is the cause; those that it cancelled come after it.
                        outcome = std::mem::replace(&mut outcome, Ok(())).and(Err(error));
                        continue;
                    }
                };
                sum += (n_iter - counted[job]) as u64;
                counted[job] = n_iter;
                let progress = Progress { step: Step::Fitting, done: sum, total: Some(total), divergence: None };
                if watch.tell(progress).is_err() {
                    is_over.store(true, Ordering::Relaxed);
                }
            }
        });
        outcome?;
        let mut all = found.into_iter();
        let runs = ranks.iter().map(|_| all.by_ref().take(n_runs).collect::<Option<Vec<_>>>());
        runs.collect::<Option<Vec<_>>>().ok_or(Error::Cancelled)
    }

    /// One fit, from the shelf or onto it.
    fn one(
        &self,
        n_components: usize,
        seed: u64,
        shelf: &dyn Shelf<T>,
        is_over: &AtomicBool,
        told: &dyn Fn(usize),
    ) -> Result<Replicate<T>> {
        if let Some(replicate) = shelf.find(n_components, seed)? {
            return Ok(replicate);
        }
        let config = NmfConfig { n_components, seed, ..self.config.nmf.clone() };
        let mut tell = |progress: Progress| {
            told(progress.done as usize);
            if is_over.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let replicate = self.kept(seed, self.fitted(&config, &mut Watch::new(&mut tell))?);
        shelf.keep(&replicate)?;
        Ok(replicate)
    }

    /// Fits V as the config says, whose solver, divergence and penalties are those of all fits.
    pub(super) fn fitted(&self, config: &NmfConfig<T>, watch: &mut Watch<'_>) -> Result<Factorization<T>> {
        let factors = random_factors(self.v.dim(), self.v.mean(), config);
        self.v.fit(factors, config, watch).complete()
    }

    /// Rows and columns of V.
    pub(super) fn dim(&self) -> (usize, usize) {
        self.v.dim()
    }

    fn kept(&self, seed: u64, fit: Factorization<T>) -> Replicate<T> {
        let Factorization { dictionary, activations, divergence, n_iter, stop_reason, .. } = fit;
        let (components, usage) = match self.config.side {
            Side::Dictionary => (dictionary, activations.reversed_axes()),
            Side::Activations => (activations.reversed_axes().as_standard_layout().into_owned(), dictionary),
        };
        let sizes: Vec<T> = components.columns().into_iter().map(|column| column.iter().copied().sum::<T>()).collect();
        let largest = |row: ndarray::ArrayView1<'_, T>| {
            let of = |k: usize| row[k] * sizes[k];
            // The first of those that are used as much.
            (1..sizes.len()).fold(0, |best, k| if of(k) > of(best) { k } else { best }) as u32
        };
        let clusters = usage.rows().into_iter().map(largest).collect();
        Replicate { seed, components, clusters, divergence, n_iter, stop_reason }
    }
}

/// What a worker tells.
enum News<T: Real> {
    /// A job has done so many iterations.
    Iterated(usize, usize),
    Done(usize, Result<Replicate<T>>),
}
