//! Fits on a graphics processor, alone or many at once: what each starts from, when it is checked, and when it ends.

use ndarray::{Array2, ArrayView1, ArrayViewMut2};

use super::matrix::GpuMatrix;
use super::scope;
use super::slots::{Plan, Slots, Turn};
use crate::error::GpuTrouble;
use crate::nmf::driver::{Check, Course};
use crate::nmf::kernel::lift;
use crate::nmf::momentum::Momentum;
use crate::nmf::scales::{Scales, given_back};
use crate::nmf::{Factorization, Init, NmfConfig, Solver, StopReason, Warning, init, misuse};
use crate::watch::{Progress, Step, Watch};
use crate::{Error, Result};

impl GpuMatrix<'_> {
    /// Factorizes the matrix, as [`nmf::fit_with`](crate::nmf::fit_with) does on the processor: from the same start, by
    /// the same steps and checks. The divergence is within 1e-5 of what it finds there; the bits are others.
    ///
    /// What can be fitted: the Kullback-Leibler divergence by [`Solver::Mu`] or [`Solver::MuExtrapolated`], with any
    /// [`Factor`](crate::nmf::Factor)s. `watch` is told when the device has done some iterations, not of each.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting out of range, or one that only the processor knows; [`Error::MatrixShape`] and
    /// [`Error::MatrixEntry`] for given factors; [`Error::Gpu`] where the device has not enough memory, or went away.
    ///
    /// # Cost
    /// On the device: 8 `n_rows` `n_columns` `n_components` operations per iteration, the components padded to 16, 32
    /// or a multiple of 32; memory for the factors, three times with extrapolation, and for sums that take at most as
    /// much as V. Here: the factors.
    pub fn fit(&self, config: &NmfConfig, watch: &mut Watch<'_>) -> Result<Factorization> {
        let mut found = self.fit_many(config, &[config.seed], watch)?;
        // One seed, one fit.
        found.pop().ok_or(Error::Cancelled)
    }

    /// Factorizes the matrix once for each seed, side by side, in the order of the seeds: each as [`GpuMatrix::fit`]
    /// does with that seed alone, bit by bit. Where one ends, the others go on. As many run at once as there is memory
    /// for.
    ///
    /// Where `watch` ends the work, the fits that did not come to their end have [`StopReason::Cancelled`].
    ///
    /// # Errors
    /// Those of [`GpuMatrix::fit`].
    pub fn fit_many(&self, config: &NmfConfig, seeds: &[u64], watch: &mut Watch<'_>) -> Result<Vec<Factorization>> {
        scope::check(config)?;
        config.check_settings()?;
        config.check_factors(self.v.dim())?;
        let k = config.n_components;
        let (free_w, free_h) = (config.dictionary.is_free(k), config.activations.is_free(k));
        let rows_are_long = self.shape.rows_are_long;
        let (free_long, free_short) = if rows_are_long { (free_w, free_h) } else { (free_h, free_w) };
        let extrapolates = config.solver == Solver::MuExtrapolated;
        let plan = Plan { n_components: k, free_long, free_short, extrapolates };
        let mut room = Slots::room(self, &plan)?.min(seeds.len());
        let mut found = Vec::with_capacity(seeds.len());
        while found.len() < seeds.len() {
            let n = room.min(seeds.len() - found.len());
            match Slots::new(self, plan.clone(), n) {
                Ok(slots) => {
                    let (n_total, seeds) = (seeds.len(), &seeds[found.len()..][..n]);
                    let mut group = Group::new(self, slots, config, seeds)?;
                    group.run(config, watch, (found.len(), n_total))?;
                    found.extend(group.finish()?);
                }
                // Memory for fewer, then.
                Err(Error::Gpu(GpuTrouble::Memory { .. })) if n > 1 => room = n / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

/// Fits side by side.
struct Group<'a, 'v> {
    slots: Slots<'a, 'v>,
    fits: Vec<Fit>,
}

/// One of them: what is on this side of the bus.
struct Fit {
    /// The factors as they were given: in the end, free components are written over.
    w: Array2<f32>,
    h: Array2<f32>,
    free_w: Vec<bool>,
    free_h: Vec<bool>,
    scales: Scales,
    momentum: Option<Momentum>,
    warnings: Vec<Warning>,
    /// From the first check on.
    course: Option<Course>,
    end: Option<(usize, StopReason)>,
}

impl Fit {
    fn new(matrix: &GpuMatrix<'_>, config: &NmfConfig) -> Self {
        let (w, h) = if config.init == Init::Random || !config.needs_init() {
            init::random_factors(matrix.v.dim(), matrix.mean, config)
        } else {
            init::factors(matrix.v, config)
        };
        let mut warnings = misuse::warnings(Some(matrix.v), (&w, &h), config);
        if matrix.gpu.is_software() {
            warnings.push(Warning::SoftwareGpu { device: matrix.gpu.name().to_owned() });
        }
        let k = config.n_components;
        let (free_w, free_h) = (config.dictionary.is_free(k), config.activations.is_free(k));
        let scales = Scales::new(matrix.mean, &w, &h, &free_w, &free_h);
        let momentum = (config.solver == Solver::MuExtrapolated).then(Momentum::new);
        Self { w, h, free_w, free_h, scales, momentum, warnings, course: None, end: None }
    }

    fn is_due(&self, n_iter: usize) -> bool {
        self.course.as_ref().is_some_and(|course| course.is_due(n_iter, false))
    }
}

impl<'a, 'v> Group<'a, 'v> {
    /// Puts what the fits start from in their slots.
    fn new(matrix: &'a GpuMatrix<'v>, slots: Slots<'a, 'v>, config: &NmfConfig, seeds: &[u64]) -> Result<Self> {
        let w_axis = slots.dictionary();
        let mut fits = Vec::with_capacity(seeds.len());
        for (slot, &seed) in seeds.iter().enumerate() {
            let fit = Fit::new(matrix, &NmfConfig { seed, ..config.clone() });
            let scaled = |entries: ArrayView1<'_, f32>, scale: f64| -> Vec<f32> {
                entries.iter().map(|&x| lift(f64::from(x) * scale)).collect()
            };
            for k in 0..config.n_components {
                slots.put(w_axis, slot, k, &scaled(fit.w.column(k), fit.scales.w[k]))?;
                slots.put(w_axis.other(), slot, k, &scaled(fit.h.row(k), fit.scales.h[k]))?;
            }
            slots.begin(slot)?;
            fits.push(fit);
        }
        Ok(Self { slots, fits })
    }

    /// The fits that have not ended.
    fn running(&self) -> Vec<usize> {
        (0..self.fits.len()).filter(|i| self.fits[*i].end.is_none()).collect()
    }

    /// Fits all; `n_before` fits of `n_total` came before.
    fn run(&mut self, config: &NmfConfig, watch: &mut Watch<'_>, (n_before, n_total): (usize, usize)) -> Result<()> {
        let max_iter = config.max_iter;
        for (i, check) in self.check(&self.running())? {
            self.fits[i].course = Some(Course::new(config, check.objective, None));
        }
        let mut n_iter = 0;
        while n_iter < max_iter {
            let running = self.running();
            let is_due = |n: &usize| running.iter().any(|i| self.fits[*i].is_due(*n));
            let Some(next) = (n_iter + 1..=max_iter).find(is_due) else { break };
            let n_done = n_before + self.fits.len() - running.len();
            let mut tell = |n_iter: usize, divergence| {
                let done = (n_done * max_iter + running.len() * n_iter) as u64;
                let total = Some((n_total * max_iter) as u64);
                watch.tell(Progress { step: Step::Fitting, done, total, divergence }).is_err()
            };
            let mut is_cancelled = false;
            while n_iter < next && !is_cancelled {
                let turn = |&slot: &usize| {
                    let factor = self.fits[slot].momentum.as_mut().map_or(0.0, |momentum| {
                        momentum.advance();
                        momentum.factor()
                    });
                    Turn { slot: slot as u32, factor }
                };
                self.slots.iterate(running.iter().map(turn).collect());
                n_iter += 1;
                if n_iter < next && self.slots.is_full() {
                    self.slots.run()?;
                    is_cancelled = tell(n_iter, None);
                }
            }
            let due: Vec<_> =
                running.iter().copied().filter(|i| is_cancelled || self.fits[*i].is_due(n_iter)).collect();
            let checks = self.check(&due)?;
            let divergence = checks.first().filter(|_| n_total == 1).map(|(_, check)| check.objective);
            for (i, check) in checks {
                self.note(i, n_iter, &check);
            }
            if !is_cancelled && tell(n_iter, divergence) {
                is_cancelled = true;
                let unchecked: Vec<_> = running.iter().copied().filter(|i| !due.contains(i)).collect();
                for (i, check) in self.check(&unchecked)? {
                    self.note(i, n_iter, &check);
                }
            }
            if is_cancelled {
                self.fits.iter_mut().for_each(|fit| fit.end = fit.end.or(Some((n_iter, StopReason::Cancelled))));
                break;
            }
        }
        Ok(())
    }

    /// The objectives of some fits, on the scale of the input. One that went astray goes back first.
    fn check(&mut self, which: &[usize]) -> Result<Vec<(usize, Check)>> {
        if which.is_empty() {
            return Ok(Vec::new());
        }
        let mut checks = Vec::with_capacity(which.len());
        for (&slot, inside) in which.iter().zip(self.slots.divergences(which)?) {
            let fit = &mut self.fits[slot];
            let (mut best, mut has_restarted) = (inside, false);
            if let Some(momentum) = &mut fit.momentum {
                has_restarted = momentum.settle(inside);
                best = momentum.best();
                if has_restarted { self.slots.restore(slot)? } else { self.slots.keep(slot)? }
            }
            checks.push((slot, Check { objective: best / fit.scales.v, divergence: None, has_restarted }));
        }
        Ok(checks)
    }

    /// Notes a check, also one that was not due, and whether the fit ends there.
    fn note(&mut self, i: usize, n_iter: usize, check: &Check) {
        let fit = &mut self.fits[i];
        let Some(course) = &mut fit.course else { return };
        if course.is_due(n_iter, false) {
            fit.end = course.note(n_iter, check, false).map(|reason| (n_iter, reason));
        } else {
            course.curve.push((n_iter, check.objective));
        }
    }

    /// The factors, on the scale of the input. Fixed components are as they were given, bit by bit; what sank to the
    /// floor is 0.
    fn finish(self) -> Result<Vec<Factorization>> {
        let w_axis = self.slots.dictionary();
        let mut found = Vec::with_capacity(self.fits.len());
        for (slot, mut fit) in self.fits.into_iter().enumerate() {
            if fit.free_w.contains(&true) {
                let w = self.slots.take(w_axis, slot, fit.w.nrows())?;
                put_back(&w, fit.w.view_mut().reversed_axes(), &fit.free_w, &fit.scales.w);
            }
            if fit.free_h.contains(&true) {
                let h = self.slots.take(w_axis.other(), slot, fit.h.ncols())?;
                put_back(&h, fit.h.view_mut(), &fit.free_h, &fit.scales.h);
            }
            let curve = fit.course.map(|course| course.curve).unwrap_or_default();
            let (n_iter, stop_reason) = fit.end.unwrap_or((0, StopReason::MaxIter));
            found.push(Factorization {
                dictionary: fit.w,
                activations: fit.h,
                n_iter,
                divergence: curve.last().map_or(0.0, |(_, divergence)| *divergence),
                divergence_curve: curve,
                stop_reason,
                warnings: fit.warnings,
            });
        }
        Ok(found)
    }
}

/// Puts the free components, one after the other in `values`, in the rows of a factor.
fn put_back(values: &[f32], mut factor: ArrayViewMut2<'_, f32>, free: &[bool], scales: &[f64]) {
    let n = factor.ncols().max(1);
    for (((mut row, values), free), scale) in factor.rows_mut().into_iter().zip(values.chunks(n)).zip(free).zip(scales)
    {
        if *free {
            row.iter_mut().zip(values).for_each(|(to, &x)| *to = given_back(x, *scale));
        }
    }
}
