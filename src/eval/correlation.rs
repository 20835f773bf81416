//! Correlations of several signals, gathered block by block: memory does not grow with their length.

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2, Axis};

use super::block_toeplitz::{BlockToeplitz, sum_of};
use super::cross_spectra::{Block, CrossSpectra};

/// Which of the signals go with which: rows of the blocks that are pushed.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) n_references: usize,
    /// Estimates, and the mixture where there is one.
    pub(super) n_estimates: usize,
    pub(super) n_channels: usize,
    /// Reference and estimate of each pair that is compared sample by sample.
    pub(super) pairs: Vec<(usize, usize)>,
}

impl Layout {
    /// Signals of the references, which come first.
    pub(super) fn n_reference_rows(&self) -> usize {
        self.n_references * self.n_channels
    }

    /// Signals in all.
    pub(super) fn n_rows(&self) -> usize {
        (self.n_references + self.n_estimates) * self.n_channels
    }

    pub(super) fn reference_row(&self, reference: usize, channel: usize) -> usize {
        reference * self.n_channels + channel
    }

    pub(super) fn estimate_row(&self, estimate: usize, channel: usize) -> usize {
        (self.n_references + estimate) * self.n_channels + channel
    }
}

/// Sums over the samples of a stretch of time.
#[derive(Clone)]
pub(super) struct Correlations {
    /// References x signals x taps: the sum over n of `x_a[n - l] x_c[n]`.
    lags: Vec<f64>,
    /// Of each signal.
    sums: Vec<f64>,
    energies: Vec<f64>,
    /// For each pair and channel: sum of products, and sum of squared differences.
    crossed: Vec<(f64, f64)>,
    n_samples: usize,
}

impl Correlations {
    /// Adds those of another stretch, without the products of samples of both.
    fn add(&mut self, other: &Self) {
        self.add_lags(&other.lags);
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, x)| *sum += x);
        self.energies.iter_mut().zip(&other.energies).for_each(|(energy, x)| *energy += x);
        self.crossed.iter_mut().zip(&other.crossed).for_each(|(crossed, (product, difference))| {
            crossed.0 += product;
            crossed.1 += difference;
        });
        self.n_samples += other.n_samples;
    }

    fn add_lags(&mut self, lags: &[f64]) {
        self.lags.iter_mut().zip(lags).for_each(|(lag, x)| *lag += x);
    }

    /// The memory that those of such signals take, but for what is small.
    pub(super) fn n_bytes(layout: &Layout, n_taps: usize) -> usize {
        layout.n_reference_rows() * layout.n_rows() * n_taps * size_of::<f64>()
    }
}

/// Gathers [`Correlations`] of signals that come in blocks.
pub(super) struct Correlator {
    layout: Arc<Layout>,
    n_taps: usize,
    /// Length of the transforms; a block holds `n_fft - n_taps + 1` new samples.
    n_fft: usize,
    rows: Vec<Row>,
    within: CrossSpectra,
    /// The last samples of stretches with the first ones of those that followed.
    between: CrossSpectra,
    /// For each pair and channel: sum of products, and sum of squared differences.
    crossed: Vec<(f64, f64)>,
    n_samples: usize,
    /// Of the stretches before this one.
    before: Option<Correlations>,
}

/// One signal on its way into the sums.
struct Row {
    /// The last samples, for the delays, and then those that wait for a full block.
    waiting: Vec<f64>,
    /// The last samples of the stretch before, until they have met the first ones of this.
    tail: Vec<f64>,
    sum: f64,
    energy: f64,
}

impl Row {
    fn push(&mut self, samples: ArrayView1<'_, f32>) {
        let n_before = self.waiting.len();
        let samples = samples.as_standard_layout();
        let samples = samples.as_slice().expect("the samples of one signal, one after the other");
        self.waiting.extend(samples.iter().map(|x| f64::from(*x)));
        let new = &self.waiting[n_before..];
        // In two steps: sums of a block first, so that rounding does not grow with the length.
        self.sum += sum_of(new, new, |x, _| x);
        self.energy += sum_of(new, new, |x, _| x * x);
    }
}

impl Correlator {
    pub(super) fn new(layout: Arc<Layout>, n_taps: usize) -> Self {
        // An eighth of each transform repeats samples of the last one.
        let n_fft = (8 * n_taps).next_power_of_two();
        let (n_rows, n_references) = (layout.n_rows(), layout.n_reference_rows());
        let row = |_| Row { waiting: vec![0.0; n_taps - 1], tail: Vec::new(), sum: 0.0, energy: 0.0 };
        Self {
            n_taps,
            n_fft,
            rows: (0..n_rows).map(row).collect(),
            within: CrossSpectra::new(n_references, n_rows, n_fft),
            between: CrossSpectra::new(n_references, n_rows, (2 * n_taps).next_power_of_two()),
            crossed: vec![(0.0, 0.0); layout.pairs.len() * layout.n_channels],
            n_samples: 0,
            before: None,
            layout,
        }
    }

    /// Samples of the stretch so far.
    pub(super) fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Takes the next samples, signals x n.
    pub(super) fn push(&mut self, block: ArrayView2<'_, f32>) {
        // What was just read is in the caches.
        block.axis_chunks_iter(Axis(1), self.n_fft).for_each(|part| self.push_part(part));
    }

    fn push_part(&mut self, block: ArrayView2<'_, f32>) {
        let layout = Arc::clone(&self.layout);
        let n_before = self.rows.first().map_or(0, |row| row.waiting.len());
        self.n_samples += block.ncols();
        self.rows.iter_mut().zip(block.outer_iter()).for_each(|(row, samples)| row.push(samples));
        for (k, (product, difference)) in self.crossed.iter_mut().enumerate() {
            let ((reference, estimate), channel) = (layout.pairs[k / layout.n_channels], k % layout.n_channels);
            let s = &self.rows[layout.reference_row(reference, channel)].waiting[n_before..];
            let e = &self.rows[layout.estimate_row(estimate, channel)].waiting[n_before..];
            *product += sum_of(s, e, |s, e| s * e);
            *difference += sum_of(s, e, |s, e| (e - s) * (e - s));
        }
        let n_new = self.n_fft - (self.n_taps - 1);
        let mut start = 0;
        while self.rows.first().is_some_and(|row| row.waiting.len() - start >= self.n_fft) {
            self.take(start, self.n_fft);
            start += n_new;
        }
        self.rows.iter_mut().for_each(|row| drop(row.waiting.drain(..start)));
    }

    /// Adds one block of each signal: `n` samples from `start` on, of which the first `n_taps - 1` are old.
    fn take(&mut self, start: usize, n: usize) {
        let (rows, n_old) = (&self.rows, self.n_taps - 1);
        self.within.add(n_old, |row| {
            let delayed = &rows[row].waiting[start..start + n];
            Block { new: &delayed[n_old..], delayed }
        });
        if rows.first().is_some_and(|row| !row.tail.is_empty()) {
            // More of the new samples no delay reaches.
            let end = n.min(2 * n_old);
            self.between.add(n_old, |row| Block { new: &rows[row].waiting[n_old..end], delayed: &rows[row].tail });
            self.rows.iter_mut().for_each(|row| row.tail.clear());
        }
    }

    /// What was gathered since the last call of this or [`Self::finish`]; the next samples go on from here. Between two
    /// calls there must be at least `n_taps`.
    pub(super) fn cut(&mut self) -> Correlations {
        debug_assert!(self.n_samples >= self.n_taps, "delays reach further back than the stretch before");
        let found = self.end();
        match &mut self.before {
            Some(before) => before.add(&found),
            None => self.before = Some(found.clone()),
        }
        let n_old = self.n_taps - 1;
        for row in &mut self.rows {
            row.tail.extend_from_slice(&row.waiting[row.waiting.len() - n_old..]);
        }
        self.start_again();
        found
    }

    /// What was gathered since the last call, cut or not; the next samples are the first of something else.
    pub(super) fn finish(&mut self) -> Correlations {
        let mut found = self.end();
        if let Some(before) = self.before.take() {
            found.add(&before);
            found.add_lags(&self.between.take_lags(self.n_taps));
        }
        self.rows.iter_mut().for_each(|row| row.tail.clear());
        self.start_again();
        found
    }

    /// Those of this stretch, of which no more samples come.
    fn end(&mut self) -> Correlations {
        let n_left = self.rows.first().map_or(0, |row| row.waiting.len());
        if n_left > self.n_taps - 1 {
            self.take(0, n_left);
        }
        Correlations {
            lags: self.within.take_lags(self.n_taps),
            sums: self.rows.iter().map(|row| row.sum).collect(),
            energies: self.rows.iter().map(|row| row.energy).collect(),
            crossed: self.crossed.clone(),
            n_samples: self.n_samples,
        }
    }

    fn start_again(&mut self) {
        for row in &mut self.rows {
            row.waiting.clear();
            row.waiting.resize(self.n_taps - 1, 0.0);
            (row.sum, row.energy) = (0.0, 0.0);
        }
        self.crossed.fill((0.0, 0.0));
        self.n_samples = 0;
    }
}

/// All that the metrics need to know of the signals in one stretch of time.
pub(super) struct Statistics {
    pub(super) layout: Arc<Layout>,
    pub(super) n_taps: usize,
    /// Correlations of the references with one another.
    pub(super) gram: BlockToeplitz,
    /// For each signal of an estimate: the sum over n of `x_a[n - l] e[n]` for each reference signal a and each lag l.
    pub(super) with_estimates: Vec<Vec<f64>>,
    /// Of each signal.
    pub(super) sums: Vec<f64>,
    pub(super) energies: Vec<f64>,
    /// For each pair and channel: sum of products, and sum of squared differences.
    pub(super) crossed: Vec<(f64, f64)>,
    pub(super) n_samples: usize,
}

impl Statistics {
    /// In the form that systems are solved in.
    pub(super) fn new(layout: Arc<Layout>, n_taps: usize, of: Correlations) -> Self {
        let (n_rows, n_references) = (layout.n_rows(), layout.n_reference_rows());
        let mut among = Vec::with_capacity(n_references * n_references);
        let mut with_estimates = vec![Vec::with_capacity(n_references * n_taps); n_rows - n_references];
        for (k, lags) in of.lags.chunks_exact(n_taps).enumerate() {
            match (k % n_rows).checked_sub(n_references) {
                None => among.push(lags.to_vec()),
                Some(estimate) => with_estimates[estimate].extend_from_slice(lags),
            }
        }
        Self {
            gram: BlockToeplitz::new(n_references, n_taps, among),
            with_estimates,
            sums: of.sums,
            energies: of.energies,
            crossed: of.crossed,
            n_samples: of.n_samples,
            layout,
            n_taps,
        }
    }

    /// Energy of all channels of a reference.
    pub(super) fn reference_energy(&self, reference: usize) -> f64 {
        let first = self.layout.reference_row(reference, 0);
        self.energies[first..first + self.layout.n_channels].iter().sum()
    }

    /// Energy of all channels of an estimate.
    pub(super) fn estimate_energy(&self, estimate: usize) -> f64 {
        let first = self.layout.estimate_row(estimate, 0);
        self.energies[first..first + self.layout.n_channels].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use ndarray::{Array2, s};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn correlations_are_those_of_the_definition_whatever_the_blocks_and_cuts() {
        let (n_taps, n_samples) = (32, 2000);
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let signals = Array2::from_shape_simple_fn((3, n_samples), || random.random_range(-1.0f32..1.0));
        let layout = Arc::new(Layout { n_references: 2, n_estimates: 1, n_channels: 1, pairs: vec![(1, 0)] });
        let at = |row: usize, n: usize| f64::from(signals[[row, n]]);
        let check = |found: Correlations, range: Range<usize>| {
            let found = Statistics::new(layout.clone(), n_taps, found);
            for (reference, lags) in found.with_estimates[0].chunks(n_taps).enumerate() {
                for (lag, got) in lags.iter().enumerate() {
                    let expected: f64 = (range.start + lag..range.end).map(|n| at(reference, n - lag) * at(2, n)).sum();
                    assert!((got - expected).abs() < 1e-10, "{range:?}, lag {lag}: {got}, expected {expected}");
                }
            }
            let expected: f64 = range.clone().map(|n| (at(1, n) - at(2, n)).powi(2)).sum();
            let got = found.crossed[0].1;
            assert!((got - expected).abs() < 1e-10, "{range:?}: {got}, expected {expected}");
            assert_eq!(found.n_samples, range.len());
        };
        for size in [1, 37, 700, 5000] {
            let mut correlator = Correlator::new(layout.clone(), n_taps);
            signals.axis_chunks_iter(Axis(1), size).for_each(|block| correlator.push(block));
            check(correlator.finish(), 0..n_samples);
            // The last stretches are shorter than the delays, and empty.
            for length in [32, 33, 399, 1000] {
                for range in (0..n_samples).step_by(length).map(|start| start..(start + length).min(n_samples)) {
                    let stretch = signals.slice(s![.., range.clone()]);
                    stretch.axis_chunks_iter(Axis(1), size).for_each(|block| correlator.push(block));
                    if range.len() == length {
                        check(correlator.cut(), range);
                    }
                }
                check(correlator.finish(), 0..n_samples);
            }
        }
    }
}
