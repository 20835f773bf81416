//! Correlations of several signals, gathered block by block: memory does not grow with their length.

use std::sync::Arc;

use ndarray::ArrayView2;
use rayon::prelude::*;
use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::block_toeplitz::BlockToeplitz;

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

/// Gathers [`Statistics`] of signals that come in blocks.
pub(super) struct Correlator {
    layout: Arc<Layout>,
    n_taps: usize,
    /// Length of the transforms; a block holds `n_fft - n_taps + 1` new samples.
    n_fft: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    /// The last samples of each signal, for the delays, and then those that wait for a full block.
    waiting: Vec<Vec<f64>>,
    /// Spectra of the blocks that are not yet in `products`: new samples of all signals, and of the references the
    /// same with the samples before.
    new: Vec<Vec<Split>>,
    delayed: Vec<Vec<Split>>,
    /// Cross-spectra: references x signals.
    products: Vec<Split>,
    sums: Vec<f64>,
    energies: Vec<f64>,
    /// For each pair and channel: sum of products, and sum of squared differences.
    crossed: Vec<(f64, f64)>,
    n_samples: usize,
}

/// A spectrum with its real and imaginary parts apart, which the processor multiplies several at a time.
#[derive(Clone)]
struct Split {
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Split {
    fn zeros(n: usize) -> Self {
        Self { re: vec![0.0; n], im: vec![0.0; n] }
    }
}

/// Blocks whose spectra are kept before they are multiplied, so that the sums go through the caches once for several.
const BATCH: usize = 8;

impl Correlator {
    pub(super) fn new(layout: Arc<Layout>, n_taps: usize) -> Self {
        // An eighth of each transform repeats samples of the last one.
        let n_fft = (8 * n_taps).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (n_rows, n_bins) = (layout.n_rows(), n_fft / 2 + 1);
        Self {
            n_taps,
            n_fft,
            forward: planner.plan_fft_forward(n_fft),
            inverse: planner.plan_fft_inverse(n_fft),
            waiting: vec![vec![0.0; n_taps - 1]; n_rows],
            new: Vec::new(),
            delayed: Vec::new(),
            products: vec![Split::zeros(n_bins); layout.n_reference_rows() * n_rows],
            sums: vec![0.0; n_rows],
            energies: vec![0.0; n_rows],
            crossed: vec![(0.0, 0.0); layout.pairs.len() * layout.n_channels],
            n_samples: 0,
            layout,
        }
    }

    /// Takes the next samples, signals x n.
    pub(super) fn push(&mut self, block: ArrayView2<'_, f32>) {
        let layout = Arc::clone(&self.layout);
        self.n_samples += block.ncols();
        for ((waiting, row), (sum, energy)) in
            self.waiting.iter_mut().zip(block.outer_iter()).zip(self.sums.iter_mut().zip(&mut self.energies))
        {
            waiting.extend(row.iter().map(|x| f64::from(*x)));
            // In two steps: sums of a block first, so that rounding does not grow with the length.
            *sum += row.iter().map(|x| f64::from(*x)).sum::<f64>();
            *energy += row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        }
        for (k, (product, difference)) in self.crossed.iter_mut().enumerate() {
            let ((reference, estimate), channel) = (layout.pairs[k / layout.n_channels], k % layout.n_channels);
            let (s, e) = (layout.reference_row(reference, channel), layout.estimate_row(estimate, channel));
            let (mut se, mut dd) = (0.0, 0.0);
            for (s, e) in block.row(s).iter().zip(block.row(e)) {
                let (s, e) = (f64::from(*s), f64::from(*e));
                se += s * e;
                dd += (e - s) * (e - s);
            }
            *product += se;
            *difference += dd;
        }
        let n_new = self.n_fft - (self.n_taps - 1);
        let mut start = 0;
        while self.waiting.first().is_some_and(|waiting| waiting.len() - start >= self.n_fft) {
            self.take(start, self.n_fft);
            start += n_new;
        }
        self.waiting.iter_mut().for_each(|waiting| drop(waiting.drain(..start)));
    }

    /// Transforms one block of each signal: `n` samples from `start` on, of which the first `n_taps - 1` are old.
    fn take(&mut self, start: usize, n: usize) {
        let (n_old, n_fft, forward) = (self.n_taps - 1, self.n_fft, &*self.forward);
        let transform = |waiting: &Vec<f64>, first: usize| {
            let mut samples = vec![0.0; n_fft];
            samples[first..n].copy_from_slice(&waiting[start + first..start + n]);
            let mut spectrum = forward.make_output_vec();
            forward.process(&mut samples, &mut spectrum).expect("lengths as planned");
            Split { re: spectrum.iter().map(|x| x.re).collect(), im: spectrum.iter().map(|x| x.im).collect() }
        };
        self.new.push(self.waiting.par_iter().map(|waiting| transform(waiting, n_old)).collect());
        let references = &self.waiting[..self.layout.n_reference_rows()];
        self.delayed.push(references.par_iter().map(|waiting| transform(waiting, 0)).collect());
        if self.new.len() == BATCH {
            self.multiply();
        }
    }

    /// Adds the cross-spectra of the waiting blocks to the sums.
    fn multiply(&mut self) {
        let (n_rows, new, delayed) = (self.layout.n_rows(), &self.new, &self.delayed);
        self.products.par_iter_mut().enumerate().for_each(|(k, product)| {
            for (new, delayed) in new.iter().zip(delayed) {
                accumulate(product, &new[k % n_rows], &delayed[k / n_rows]);
            }
        });
        self.new.clear();
        self.delayed.clear();
    }

    /// What was gathered.
    pub(super) fn finish(mut self) -> Statistics {
        let n_left = self.waiting.first().map_or(0, Vec::len);
        if n_left > self.n_taps - 1 {
            self.take(0, n_left);
        }
        self.multiply();
        let (n_taps, n_fft, inverse) = (self.n_taps, self.n_fft, &*self.inverse);
        let mut lags: Vec<Vec<f64>> = self
            .products
            .into_par_iter()
            .map(|product| {
                let mut spectrum: Vec<_> =
                    product.re.into_iter().zip(product.im).map(|(re, im)| Complex64 { re, im }).collect();
                // What is real at both ends by definition is so but for rounding.
                spectrum[0].im = 0.0;
                spectrum[n_fft / 2].im = 0.0;
                let mut lags = vec![0.0; n_fft];
                inverse.process(&mut spectrum, &mut lags).expect("lengths as planned");
                lags.truncate(n_taps);
                lags.iter_mut().for_each(|lag| *lag /= n_fft as f64);
                lags
            })
            .collect();
        let (n_rows, n_references) = (self.layout.n_rows(), self.layout.n_reference_rows());
        let mut among = Vec::with_capacity(n_references * n_references);
        let mut with_estimates = vec![Vec::with_capacity(n_references * n_taps); n_rows - n_references];
        for row in lags.chunks_exact_mut(n_rows) {
            let (references, estimates) = row.split_at_mut(n_references);
            among.extend(references.iter_mut().map(std::mem::take));
            with_estimates.iter_mut().zip(estimates).for_each(|(all, lags)| all.append(lags));
        }
        Statistics {
            gram: BlockToeplitz::new(n_references, n_taps, among),
            with_estimates,
            sums: self.sums,
            energies: self.energies,
            crossed: self.crossed,
            n_samples: self.n_samples,
            layout: self.layout,
            n_taps,
        }
    }
}

/// `sum += new * conj(delayed)`.
fn accumulate(sum: &mut Split, new: &Split, delayed: &Split) {
    let sums = sum.re.iter_mut().zip(&mut sum.im);
    let factors = new.re.iter().zip(&new.im).zip(delayed.re.iter().zip(&delayed.im));
    for ((re, im), ((a, b), (c, d))) in sums.zip(factors) {
        *re += a * c + b * d;
        *im += b * c - a * d;
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
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn correlations_are_those_of_the_definition_whatever_the_blocks() {
        let (n_taps, n_samples) = (32, 2000);
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let signals = Array2::from_shape_simple_fn((3, n_samples), || random.random_range(-1.0f32..1.0));
        let layout = Arc::new(Layout { n_references: 2, n_estimates: 1, n_channels: 1, pairs: vec![(1, 0)] });
        let mut statistics = Vec::new();
        for size in [1, 37, 700, 5000] {
            let mut correlator = Correlator::new(layout.clone(), n_taps);
            for block in signals.axis_chunks_iter(ndarray::Axis(1), size) {
                correlator.push(block);
            }
            statistics.push(correlator.finish());
        }
        let at = |row: usize, n: usize| f64::from(signals[[row, n]]);
        for found in &statistics {
            for (reference, lags) in found.with_estimates[0].chunks(n_taps).enumerate() {
                for (lag, got) in lags.iter().enumerate() {
                    let expected: f64 = (lag..n_samples).map(|n| at(reference, n - lag) * at(2, n)).sum();
                    assert!((got - expected).abs() < 1e-10, "lag {lag}: {got}, expected {expected}");
                }
            }
            let expected: f64 = (0..n_samples).map(|n| (at(1, n) - at(2, n)).powi(2)).sum();
            assert!((found.crossed[0].1 - expected).abs() < 1e-10, "{}, expected {expected}", found.crossed[0].1);
            assert_eq!(found.n_samples, n_samples);
        }
    }
}
