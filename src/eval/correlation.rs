//! Correlations of several signals, gathered block by block: memory does not grow with their length.

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::block_toeplitz::{BlockToeplitz, sum_of};
use crate::nmf::kernel::{Loops, widest};

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
    rows: Vec<Row>,
    /// Blocks whose spectra are not yet in `products`.
    n_waiting: usize,
    /// These spectra: bands x signals x [`BATCH`] blocks. Those of the new samples of each signal, then the delayed ones of
    /// each reference.
    spectra: Vec<Band>,
    /// Cross-spectra, cut into bands of [`BAND`] bins: in each, references x signals.
    products: Vec<Vec<Band>>,
    /// For each pair and channel: sum of products, and sum of squared differences.
    crossed: Vec<(f64, f64)>,
    n_samples: usize,
}

/// One signal on its way into the sums.
struct Row {
    /// The last samples, for the delays, and then those that wait for a full block.
    waiting: Vec<f64>,
    sum: f64,
    energy: f64,
    /// Spectra of the last block: of its new samples, and, of a reference, of these and the samples before.
    new: Vec<Complex64>,
    delayed: Vec<Complex64>,
    /// Room for one transform.
    samples: Vec<f64>,
    scratch: Vec<Complex64>,
}

/// Blocks whose spectra are kept before they are multiplied, so that the sums go through the caches once for several.
const BATCH: usize = 8;
/// Bins that are multiplied at once: those of the blocks that wait fit into the first cache, for some twenty signals.
const BAND: usize = 8;
/// Bands that one thread works on at once.
const BANDS: usize = 16;

/// Real and imaginary parts of a spectrum in one band, apart, so that the processor multiplies several at a time.
type Band = [[f64; BAND]; 2];

impl Row {
    fn new(n_taps: usize, is_reference: bool, forward: &dyn RealToComplex<f64>) -> Self {
        Self {
            waiting: vec![0.0; n_taps - 1],
            sum: 0.0,
            energy: 0.0,
            new: forward.make_output_vec(),
            delayed: if is_reference { forward.make_output_vec() } else { Vec::new() },
            samples: forward.make_input_vec(),
            scratch: forward.make_scratch_vec(),
        }
    }

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

    /// Transforms `n` samples from `start` on, of which the first `n_old` are old.
    fn transform(&mut self, start: usize, n_old: usize, n: usize, forward: &dyn RealToComplex<f64>) {
        for (first, spectrum) in [(n_old, &mut self.new), (0, &mut self.delayed)] {
            if spectrum.is_empty() {
                continue;
            }
            self.samples[..first].fill(0.0);
            self.samples[first..n].copy_from_slice(&self.waiting[start + first..start + n]);
            self.samples[n..].fill(0.0);
            forward.process_with_scratch(&mut self.samples, spectrum, &mut self.scratch).expect("lengths as planned");
        }
    }
}

impl Correlator {
    pub(super) fn new(layout: Arc<Layout>, n_taps: usize) -> Self {
        // An eighth of each transform repeats samples of the last one.
        let n_fft = (8 * n_taps).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
        let (n_rows, n_references) = (layout.n_rows(), layout.n_reference_rows());
        let n_bands = (n_fft / 2 + 1).div_ceil(BAND);
        Self {
            n_taps,
            n_fft,
            rows: (0..n_rows).map(|row| Row::new(n_taps, row < n_references, &*forward)).collect(),
            forward,
            inverse,
            n_waiting: 0,
            spectra: vec![[[0.0; BAND]; 2]; n_bands * (n_rows + n_references) * BATCH],
            products: vec![vec![[[0.0; BAND]; 2]; n_references * n_rows]; n_bands],
            crossed: vec![(0.0, 0.0); layout.pairs.len() * layout.n_channels],
            n_samples: 0,
            layout,
        }
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

    /// Transforms one block of each signal: `n` samples from `start` on, of which the first `n_taps - 1` are old.
    fn take(&mut self, start: usize, n: usize) {
        let (slot, n_old, forward) = (self.n_waiting, self.n_taps - 1, &*self.forward);
        self.rows.par_iter_mut().for_each(|row| row.transform(start, n_old, n, forward));
        let delayed = self.rows.iter().map(|row| &row.delayed[..]).filter(|spectrum| !spectrum.is_empty());
        let spectra: Vec<_> = self.rows.iter().map(|row| &row.new[..]).chain(delayed).collect();
        let per_group = BANDS * spectra.len() * BATCH;
        self.spectra.par_chunks_mut(per_group).enumerate().for_each(|(group, bands)| {
            widest(Spread { bands, first: group * BANDS, spectra: &spectra, slot });
        });
        self.n_waiting += 1;
        if self.n_waiting == BATCH {
            self.multiply();
        }
    }

    /// Signals of which there are spectra: all, and references once more.
    fn n_signals(&self) -> usize {
        self.layout.n_rows() + self.layout.n_reference_rows()
    }

    /// Adds the cross-spectra of the waiting blocks to the sums.
    fn multiply(&mut self) {
        let n_blocks = std::mem::take(&mut self.n_waiting);
        if n_blocks == 0 {
            return;
        }
        let per_band = self.n_signals() * BATCH;
        let (spectra, n_rows) = (&self.spectra, self.layout.n_rows());
        self.products.par_chunks_mut(BANDS).zip(spectra.par_chunks(BANDS * per_band)).for_each(|(bands, spectra)| {
            for (sums, spectra) in bands.iter_mut().zip(spectra.chunks_exact(per_band)) {
                widest(Accumulate { sums, spectra, n_rows, n_blocks });
            }
        });
    }

    /// What was gathered since the last time; the next samples are the first of another stretch.
    pub(super) fn finish(&mut self) -> Statistics {
        let n_left = self.rows.first().map_or(0, |row| row.waiting.len());
        if n_left > self.n_taps - 1 {
            self.take(0, n_left);
        }
        self.multiply();
        let (n_rows, n_references) = (self.layout.n_rows(), self.layout.n_reference_rows());
        let products = &self.products;
        let (n_taps, n_fft, inverse) = (self.n_taps, self.n_fft, &*self.inverse);
        let rooms = || (inverse.make_input_vec(), inverse.make_output_vec(), inverse.make_scratch_vec());
        let lags: Vec<Vec<f64>> = (0..n_references * n_rows)
            .into_par_iter()
            .map_init(rooms, |(spectrum, lags, scratch), k| {
                for (bins, band) in spectrum.chunks_mut(BAND).zip(products) {
                    let [re, im] = &band[k];
                    bins.iter_mut().zip(re.iter().zip(im)).for_each(|(x, (re, im))| *x = Complex64::new(*re, *im));
                }
                // What is real at both ends by definition is so but for rounding.
                spectrum[0].im = 0.0;
                spectrum[n_fft / 2].im = 0.0;
                inverse.process_with_scratch(spectrum, lags, scratch).expect("lengths as planned");
                lags[..n_taps].iter().map(|lag| lag / n_fft as f64).collect()
            })
            .collect();
        let mut among = Vec::with_capacity(n_references * n_references);
        let mut with_estimates = vec![Vec::with_capacity(n_references * n_taps); n_rows - n_references];
        for (k, lags) in lags.into_iter().enumerate() {
            match (k % n_rows).checked_sub(n_references) {
                None => among.push(lags),
                Some(estimate) => with_estimates[estimate].extend(lags),
            }
        }
        let statistics = Statistics {
            gram: BlockToeplitz::new(n_references, n_taps, among),
            with_estimates,
            sums: self.rows.iter().map(|row| row.sum).collect(),
            energies: self.rows.iter().map(|row| row.energy).collect(),
            crossed: self.crossed.clone(),
            n_samples: self.n_samples,
            layout: self.layout.clone(),
            n_taps,
        };
        self.start_again();
        statistics
    }

    fn start_again(&mut self) {
        for row in &mut self.rows {
            row.waiting.clear();
            row.waiting.resize(self.n_taps - 1, 0.0);
            (row.sum, row.energy) = (0.0, 0.0);
        }
        self.products.iter_mut().flatten().for_each(|product| *product = [[0.0; BAND]; 2]);
        self.crossed.fill((0.0, 0.0));
        self.n_samples = 0;
    }
}

/// Puts the spectra of one block side by side, band by band.
struct Spread<'a> {
    /// Bands x signals x [`BATCH`] blocks.
    bands: &'a mut [Band],
    /// The number of the first.
    first: usize,
    spectra: &'a [&'a [Complex64]],
    /// The place of the block.
    slot: usize,
}

impl Loops for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (band, signals) in (self.first..).zip(self.bands.chunks_exact_mut(self.spectra.len() * BATCH)) {
            for (spectrum, blocks) in self.spectra.iter().zip(signals.chunks_exact_mut(BATCH)) {
                let [re, im] = &mut blocks[self.slot];
                let (whole, rest) = spectrum.as_chunks::<BAND>();
                match whole.get(band) {
                    Some(bins) => {
                        for i in 0..BAND {
                            re[i] = bins[i].re;
                            im[i] = bins[i].im;
                        }
                    }
                    // What lies above the last bin stays zero.
                    None => rest.iter().zip(re.iter_mut().zip(im)).for_each(|(x, (re, im))| (*re, *im) = (x.re, x.im)),
                }
            }
        }
    }
}

/// `sum += new * conj(delayed)` over all blocks, for each reference and each signal.
struct Accumulate<'a> {
    sums: &'a mut [Band],
    /// Signals x [`BATCH`] blocks.
    spectra: &'a [Band],
    n_rows: usize,
    n_blocks: usize,
}

impl Loops for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (new, delayed) = self.spectra.split_at(self.n_rows * BATCH);
        for (sums, delayed) in self.sums.chunks_exact_mut(self.n_rows).zip(delayed.chunks_exact(BATCH)) {
            let delayed = &delayed[..self.n_blocks];
            for (sum, new) in sums.iter_mut().zip(new.chunks_exact(BATCH)) {
                let [mut re, mut im] = *sum;
                for ([a, b], [c, d]) in new.iter().zip(delayed) {
                    for i in 0..BAND {
                        re[i] += a[i] * c[i] + b[i] * d[i];
                        im[i] += b[i] * c[i] - a[i] * d[i];
                    }
                }
                *sum = [re, im];
            }
        }
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
