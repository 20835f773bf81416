//! Guidance: which groups of components may not have some entries of V, in Kullback-Leibler updates.
//! Only these entries are gone through here, each with all components; all others are the kernel's.
//!
//! A group that is denied an entry has only a leak L of what it models there. With G the sum of what all groups then have,
//! the updates are those of the plain objective but for V / WH, which becomes L V / G for each group. They are the steps of
//! a majorizer of sum(WH - V ln G), so the objective never rises. The kernel is given a V of 0 in these entries, and what
//! they add to its sums is added afterwards: nothing is subtracted.

use std::ops::Range;

use super::Real;
use super::guidance::Guidance;
use super::kernel::{Activations, Lanes, Panels, Row, TILE, Tile, wide, zero_row};

/// The guided entries of one panel of bins in one frame for which the same groups are denied.
#[derive(Debug, Clone)]
struct Entry<T: Real> {
    /// Counted from the first of the chunk.
    frame: u32,
    panel: u32,
    denied: u64,
    /// V, and 0 where an entry is not guided so.
    v: Row<T>,
}

/// The guided entries of some consecutive frames.
#[derive(Debug, Clone, Default)]
pub(super) struct Guided<T: Real> {
    /// In the order of frames.
    entries: Vec<Entry<T>>,
    /// What a component has of what it models in an entry that its group is denied.
    leak: T,
    /// The bit of each component's group.
    bits: Vec<u64>,
    /// What the entries add to H, frame after frame, while the kernel is at work on the rest.
    additions: Vec<(u32, Vec<T>)>,
    gains: Vec<T>,
}

impl<T: Real> Guided<T> {
    /// Takes the guided entries of these frames out of `v`, where they become 0.
    pub(super) fn take(guidance: &Guidance, frames: &Range<usize>, n_bins: usize, v: &mut [Tile<T>]) -> Self {
        let n_panels = n_bins.div_ceil(T::PANEL);
        let mut entries: Vec<Entry<T>> = Vec::new();
        for run in guidance.of_columns(frames) {
            let frame = run.column as usize - frames.start;
            let bins = run.start as usize..run.end as usize;
            for panel in bins.start / T::PANEL..bins.end.div_ceil(T::PANEL) {
                let here = bins.start.max(panel * T::PANEL)..bins.end.min((panel + 1) * T::PANEL);
                let row = &mut v[frame / TILE * n_panels + panel][frame % TILE];
                let (frame, panel, denied) = (frame as u32, panel as u32, run.denied);
                let is_same = |last: &&mut Entry<T>| (last.frame, last.panel, last.denied) == (frame, panel, denied);
                if entries.last_mut().as_ref().is_none_or(|last| !is_same(last)) {
                    entries.push(Entry { frame, panel, denied, v: zero_row() });
                }
                let Some(entry) = entries.last_mut() else { continue };
                for bin in here {
                    let lane = bin % T::PANEL;
                    let (vector, place) = (lane / T::LANES, lane % T::LANES);
                    entry.v[vector][place] = std::mem::take(&mut row[vector][place]);
                }
            }
        }
        let bits = guidance.groups.iter().map(|group| 1 << group).collect();
        let gains = vec![T::of(1.0); guidance.groups.len()];
        Self { entries, leak: T::of(wide(guidance.leak)), bits, additions: Vec::new(), gains }
    }

    /// Notes what the entries of these frames add to H, before the kernel improves it: H * (W^T (L V / G)) / (W^T 1).
    pub(super) fn prepare_h(
        &mut self,
        frames: &Range<usize>,
        w: &Panels<T>,
        inverse_sums: &[Option<T>],
        h: &[Activations<T>],
    ) {
        self.additions.clear();
        let n_components = w.n_components;
        let here = self.of_frames(frames);
        for entry in &self.entries[here] {
            self.gains.iter_mut().zip(&self.bits).for_each(|(gain, bit)| {
                *gain = if entry.denied & bit == 0 { T::of(1.0) } else { self.leak };
            });
            if self.additions.last().is_none_or(|(frame, _)| *frame != entry.frame) {
                self.additions.push((entry.frame, vec![T::of(0.0); n_components]));
            }
            let Some((_, sums)) = self.additions.last_mut() else { continue };
            let panel = &w.rows[entry.panel as usize * n_components..][..n_components];
            let (tile, i) = place(entry.frame, frames, h, n_components);
            let quotient = quotient(entry, panel, tile, i, &self.gains).1;
            for ((sum, row), gain) in sums.iter_mut().zip(panel).zip(&self.gains) {
                *sum += *gain * dot(row, &quotient);
            }
        }
        for (frame, sums) in &mut self.additions {
            let (tile, i) = place(*frame, frames, h, n_components);
            for ((sum, h), inverse) in sums.iter_mut().zip(tile).zip(inverse_sums) {
                // A component that stays as it is gets nothing.
                *sum *= h[i] * inverse.unwrap_or(T::of(0.0));
            }
        }
    }

    /// Adds what was noted, once the kernel improved H.
    pub(super) fn add_to_h(&self, frames: &Range<usize>, h: &mut [Activations<T>]) {
        let n_components = self.bits.len();
        for (frame, sums) in &self.additions {
            let frame = *frame as usize - frames.start;
            for (h, sum) in h[frame / TILE * n_components..][..n_components].iter_mut().zip(sums) {
                h[frame % TILE] += *sum;
            }
        }
    }

    /// Adds L (V / G) H^T to the W numerators; returns what the entries add to the divergence beside WH, which the
    /// kernel counted: the sum of `v ln(v / g) - v`.
    pub(super) fn add_to_w(
        &mut self,
        frames: &Range<usize>,
        w: &Panels<T>,
        h: &[Activations<T>],
        mut numerators: Option<&mut [Row<T>]>,
    ) -> f64 {
        let n_components = w.n_components;
        let mut total = 0.0;
        let here = self.of_frames(frames);
        for entry in &self.entries[here] {
            self.gains.iter_mut().zip(&self.bits).for_each(|(gain, bit)| {
                *gain = if entry.denied & bit == 0 { T::of(1.0) } else { self.leak };
            });
            let first = entry.panel as usize * n_components;
            let (tile, i) = place(entry.frame, frames, h, n_components);
            let (model, quotient) = quotient(entry, &w.rows[first..][..n_components], tile, i, &self.gains);
            let pairs = entry.v.iter().zip(&model).flat_map(|(v, g)| v.iter().zip(g.iter()));
            for (v, g) in pairs.map(|(v, g)| (wide(*v), wide(*g))).filter(|(v, _)| *v > 0.0) {
                total += v * (v / g).ln() - v;
            }
            let Some(numerators) = numerators.as_deref_mut() else { continue };
            for ((row, h), gain) in numerators[first..][..n_components].iter_mut().zip(tile).zip(&self.gains) {
                let factor = *gain * h[i];
                for (sums, x) in row.iter_mut().zip(&quotient) {
                    sums.iter_mut().zip(x.iter()).for_each(|(sum, x)| *sum += factor * *x);
                }
            }
        }
        total
    }

    fn of_frames(&self, frames: &Range<usize>) -> Range<usize> {
        let before = |frame: usize| self.entries.partition_point(|entry| (entry.frame as usize) < frame);
        before(frames.start)..before(frames.end)
    }
}

/// The activations of a frame's tile, and its place there; `h` begins with the first of `frames`.
fn place<'a, T: Real>(
    frame: u32,
    frames: &Range<usize>,
    h: &'a [Activations<T>],
    n_components: usize,
) -> (&'a [Activations<T>], usize) {
    let frame = frame as usize - frames.start;
    (&h[frame / TILE * n_components..][..n_components], frame % TILE)
}

/// G and V / G.
fn quotient<T: Real>(
    entry: &Entry<T>,
    panel: &[Row<T>],
    tile: &[Activations<T>],
    i: usize,
    gains: &[T],
) -> (Row<T>, Row<T>) {
    let mut model = [Lanes::splat(T::EPS); 2];
    for ((row, h), gain) in panel.iter().zip(tile).zip(gains) {
        let factor = *gain * h[i];
        for (sum, lanes) in model.iter_mut().zip(row) {
            sum.iter_mut().zip(lanes.iter()).for_each(|(sum, w)| *sum += factor * *w);
        }
    }
    let mut quotient = entry.v;
    for (v, g) in quotient.iter_mut().zip(&model) {
        v.iter_mut().zip(g.iter()).for_each(|(v, g)| *v /= *g);
    }
    (model, quotient)
}

fn dot<T: Real>(row: &Row<T>, x: &Row<T>) -> T {
    let mut sums = Lanes::splat(T::of(0.0));
    for (lanes, x) in row.iter().zip(x) {
        sums.iter_mut().zip(lanes.iter()).zip(x.iter()).for_each(|((sum, w), x)| *sum += *w * *x);
    }
    sums.iter().copied().sum()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::nmf::{Factor, NmfConfig, Run, Solver, fit, testing};

    const LEAK: f32 = 0.01;

    /// Runs in some columns, in order, none over another.
    fn runs((n_rows, n_columns): (usize, usize), seed: u64) -> Vec<Run> {
        let draws = testing::noise((n_columns, 4), seed);
        let mut runs = Vec::new();
        for (column, draw) in draws.outer_iter().enumerate().filter(|(_, draw)| draw[0] < 0.5) {
            let start = (draw[1] * n_rows as f32) as u32 % n_rows as u32;
            let end = (start + 1 + (draw[2] * n_rows as f32) as u32).min(n_rows as u32);
            let denied = 1 + (draw[3] > 0.5) as u64;
            runs.push(Run { column: column as u32, start, end, denied });
            if end + 2 < n_rows as u32 {
                runs.push(Run { column: column as u32, start: end, end: end + 2, denied: 3 - denied });
            }
        }
        runs
    }

    fn config(k: usize, shape: (usize, usize), seed: u64, guidance: Option<Guidance>) -> NmfConfig {
        let positive = |shape, seed| testing::noise(shape, seed).mapv(|x| x + 0.05);
        NmfConfig {
            n_components: k,
            solver: Solver::Mu,
            dictionary: Factor::Seed(positive((shape.0, k), seed ^ 1)),
            activations: Factor::Seed(positive((k, shape.1), seed ^ 2)),
            guidance,
            max_iter: 4,
            tol: 0.0,
            ..NmfConfig::default()
        }
    }

    fn guidance(k: usize, shape: (usize, usize), seed: u64) -> Guidance {
        Guidance { groups: (0..k).map(|k| k % 3).collect(), runs: runs(shape, seed), leak: LEAK }
    }

    /// Entry by entry in f64: G = sum L W H, W <- W * ((L V / G) H^T) / (1 H^T), and the same for H.
    fn by_the_formulas(v: &Array2<f32>, config: &NmfConfig, n_iter: usize) -> (Array2<f64>, Array2<f64>, f64) {
        let (Factor::Seed(w), Factor::Seed(h)) = (&config.dictionary, &config.activations) else { unreachable!() };
        let (mut w, mut h) = (w.mapv(f64::from), h.mapv(f64::from));
        let guidance = config.guidance.as_ref().expect("guidance");
        let mut gains = vec![Array2::<f64>::ones(v.dim()); config.n_components];
        for run in &guidance.runs {
            for (k, gain) in gains.iter_mut().enumerate().filter(|(k, _)| run.denied >> guidance.groups[*k] & 1 == 1) {
                let _ = k;
                (run.start..run.end).for_each(|row| gain[[row as usize, run.column as usize]] = f64::from(LEAK));
            }
        }
        let model = |w: &Array2<f64>, h: &Array2<f64>, i: usize, j: usize| -> f64 {
            (0..gains.len()).map(|k| gains[k][[i, j]] * w[[i, k]] * h[[k, j]]).sum()
        };
        for _ in 0..n_iter {
            let old = w.clone();
            for ((i, k), w) in w.indexed_iter_mut() {
                let up = |j: usize| gains[k][[i, j]] * f64::from(v[[i, j]]) / model(&old, &h, i, j) * h[[k, j]];
                *w *= (0..v.ncols()).map(up).sum::<f64>() / h.row(k).sum();
            }
            let old = h.clone();
            for ((k, j), h) in h.indexed_iter_mut() {
                let up = |i: usize| gains[k][[i, j]] * f64::from(v[[i, j]]) / model(&w, &old, i, j) * w[[i, k]];
                *h *= (0..v.nrows()).map(up).sum::<f64>() / w.column(k).sum();
            }
        }
        let objective = v.indexed_iter().map(|((i, j), v)| {
            let (v, y) = (f64::from(*v), w.row(i).dot(&h.column(j)));
            y - v + if v > 0.0 { v * (v / model(&w, &h, i, j)).ln() } else { 0.0 }
        });
        let objective = objective.sum();
        (w, h, objective)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn iterations_follow_the_formulas(
            (n_rows, n_columns, k) in (1usize..60, 1usize..120, 3usize..12),
            seed: u64,
        ) {
            let v = testing::noise((n_rows, n_columns), seed);
            let config = config(k, v.dim(), seed, Some(guidance(k, v.dim(), seed ^ 3)));
            let found = fit(v.view(), &config).expect("fit");
            let (w, h, objective) = by_the_formulas(&v, &config, config.max_iter);
            let product = w.dot(&h);
            for (at, x) in found.product().indexed_iter() {
                prop_assert!((f64::from(*x) - product[at]).abs() < 1e-4 * (product[at] + 0.1), "{at:?}: {x}, {}", product[at]);
            }
            prop_assert!((found.divergence - objective).abs() < 1e-4 * (1.0 + v.sum() as f64), "{}, {objective}", found.divergence);
        }

        #[test]
        fn the_objective_never_rises(
            (n_rows, n_columns, k) in (2usize..50, 2usize..150, 3usize..10),
            is_extrapolated: bool,
            seed: u64,
        ) {
            let v = testing::noise((n_rows, n_columns), seed);
            let solver = if is_extrapolated { Solver::MuExtrapolated } else { Solver::Mu };
            let guidance = Some(guidance(k, v.dim(), seed ^ 3));
            let config = NmfConfig { solver, max_iter: 40, ..config(k, v.dim(), seed, guidance) };
            let found = fit(v.view(), &config).expect("fit");
            let level = v.sum() as f64;
            for pair in found.divergence_curve.windows(2) {
                prop_assert!(pair[1].1 <= pair[0].1 + 1e-6 * level, "{:?}", found.divergence_curve);
            }
        }

        #[test]
        fn without_runs_or_with_a_leak_of_one_it_is_the_plain_fit(seed: u64) {
            let v = testing::noise((40, 90), seed);
            let plain = fit(v.view(), &config(6, v.dim(), seed, None)).expect("fit");
            let none = Guidance { runs: Vec::new(), ..guidance(6, v.dim(), seed) };
            let guided = fit(v.view(), &config(6, v.dim(), seed, Some(none))).expect("fit");
            prop_assert_eq!(&plain.dictionary, &guided.dictionary);
            prop_assert_eq!(&plain.activations, &guided.activations);
            let open = Guidance { leak: 1.0, ..guidance(6, v.dim(), seed) };
            let guided = fit(v.view(), &config(6, v.dim(), seed, Some(open))).expect("fit");
            let gap = (&plain.product() - &guided.product()).iter().fold(0.0f32, |worst, x| worst.max(x.abs()));
            prop_assert!(gap < 1e-4, "{gap}");
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let v = testing::noise((70, 900), 5);
        let config = NmfConfig {
            solver: Solver::MuExtrapolated,
            max_iter: 12,
            ..config(6, v.dim(), 5, Some(guidance(6, v.dim(), 6)))
        };
        let with = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
            pool.install(|| fit(v.view(), &config).expect("fit"))
        };
        assert_eq!(with(1), with(5));
    }

    #[test]
    fn guidance_that_does_not_fit_is_refused() {
        let v = testing::noise((10, 10), 1);
        let run = |column, start, end| Run { column, start, end, denied: 1 };
        let good = guidance(3, v.dim(), 1);
        for (what, wrong) in [
            ("groups", Guidance { groups: vec![0; 2], ..good.clone() }),
            ("groups", Guidance { groups: vec![0, 1, 64], ..good.clone() }),
            ("leak", Guidance { leak: 0.0, ..good.clone() }),
            ("runs", Guidance { runs: vec![run(10, 0, 1)], ..good.clone() }),
            ("runs", Guidance { runs: vec![run(0, 5, 5)], ..good.clone() }),
            ("runs", Guidance { runs: vec![run(0, 0, 5), run(0, 4, 6)], ..good.clone() }),
            ("runs", Guidance { runs: vec![run(1, 0, 1), run(0, 0, 1)], ..good.clone() }),
        ] {
            let message = fit(v.view(), &config(3, v.dim(), 1, Some(wrong))).expect_err(what).to_string();
            assert!(message.contains(&format!("guidance.{what}")), "{message}");
        }
        let other = NmfConfig { divergence: crate::nmf::Divergence::Euclidean, ..config(3, v.dim(), 1, Some(good)) };
        assert!(fit(v.view(), &other).is_err());
    }
}
