//! Cross-spectra of signals, summed over blocks; correlations come out of them.
//! Knows nothing of where one block ends and the next begins.

use std::sync::Arc;

use rayon::prelude::*;
use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::nmf::kernel::{Loops, widest};

/// Sums of cross-spectra of some signals, the references, with all.
pub(super) struct CrossSpectra {
    n_fft: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    n_references: usize,
    /// One for each signal; the references come first.
    rooms: Vec<Room>,
    /// Blocks whose spectra are not yet in `sums`.
    n_waiting: usize,
    /// These spectra: bands x signals x [`BATCH`] blocks. Those of each signal's new samples, then those of each
    /// reference's delayed ones.
    waiting: Vec<Band>,
    /// Cut into bands of [`BAND`] bins: in each, references x signals.
    sums: Vec<Vec<Band>>,
}

/// Where the last block of a signal is transformed.
struct Room {
    samples: Vec<f64>,
    scratch: Vec<Complex64>,
    spectrum: Vec<Complex64>,
    /// Of a reference, to be delayed; else empty.
    delayed: Vec<Complex64>,
}

/// Blocks whose spectra are kept before they are multiplied, so that the sums go through the caches once for several.
const BATCH: usize = 8;
/// Bins that are multiplied at once: those of the blocks that wait fit into the first cache, for some twenty signals.
const BAND: usize = 8;
/// Bands that one thread works on at once.
const BANDS: usize = 16;

/// Sums that are transformed back one after the other: so many lie side by side in each band.
const GROUP: usize = 8;

/// Real and imaginary parts of a spectrum in one band, apart, so that the processor multiplies several at a time.
type Band = [[f64; BAND]; 2];

/// One block of a signal.
pub(super) struct Block<'a> {
    /// Its samples.
    pub(super) new: &'a [f64],
    /// Of a reference: what is delayed, from so many samples before on.
    pub(super) delayed: &'a [f64],
}

impl CrossSpectra {
    pub(super) fn new(n_references: usize, n_signals: usize, n_fft: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
        let n_bands = (n_fft / 2 + 1).div_ceil(BAND);
        let room = |signal: usize| Room {
            samples: forward.make_input_vec(),
            scratch: forward.make_scratch_vec(),
            spectrum: forward.make_output_vec(),
            delayed: if signal < n_references { forward.make_output_vec() } else { Vec::new() },
        };
        Self {
            n_fft,
            rooms: (0..n_signals).map(room).collect(),
            forward,
            inverse,
            n_references,
            n_waiting: 0,
            waiting: vec![[[0.0; BAND]; 2]; n_bands * (n_signals + n_references) * BATCH],
            sums: vec![vec![[[0.0; BAND]; 2]; n_references * n_signals]; n_bands],
        }
    }

    /// Adds one block of each signal, given by its number. Its delayed samples begin `n_old` before its new ones; lags
    /// of up to `n_old` are right where both fit into the transforms.
    pub(super) fn add<'a>(&mut self, n_old: usize, block: impl Fn(usize) -> Block<'a> + Sync) {
        let (slot, forward) = (self.n_waiting, &*self.forward);
        self.rooms.par_iter_mut().enumerate().for_each(|(signal, room)| {
            let Block { new, delayed } = block(signal);
            room.transform(n_old, new, false, forward);
            if !room.delayed.is_empty() {
                room.transform(0, delayed, true, forward);
            }
        });
        let delayed = self.rooms.iter().map(|room| &room.delayed[..]).filter(|spectrum| !spectrum.is_empty());
        let spectra: Vec<_> = self.rooms.iter().map(|room| &room.spectrum[..]).chain(delayed).collect();
        let per_group = BANDS * spectra.len() * BATCH;
        self.waiting.par_chunks_mut(per_group).enumerate().for_each(|(group, bands)| {
            widest(Spread { bands, first: group * BANDS, spectra: &spectra, slot });
        });
        self.n_waiting += 1;
        if self.n_waiting == BATCH {
            self.multiply();
        }
    }

    /// Adds the cross-spectra of the waiting blocks to the sums.
    fn multiply(&mut self) {
        let n_blocks = std::mem::take(&mut self.n_waiting);
        if n_blocks == 0 {
            return;
        }
        let n_signals = self.rooms.len();
        let per_band = (n_signals + self.n_references) * BATCH;
        let bands = self.sums.par_chunks_mut(BANDS).zip(self.waiting.par_chunks(BANDS * per_band));
        bands.for_each(|(bands, spectra)| {
            for (sums, spectra) in bands.iter_mut().zip(spectra.chunks_exact(per_band)) {
                widest(Accumulate { sums, spectra, n_signals, n_blocks });
            }
        });
    }

    /// The correlations of all blocks since the last time: references x signals x `n_taps` lags, from 0 on.
    pub(super) fn take_lags(&mut self, n_taps: usize) -> Vec<f64> {
        self.multiply();
        let (sums, n_fft, inverse) = (&self.sums, self.n_fft, &*self.inverse);
        let rooms = || (vec![inverse.make_input_vec(); GROUP], inverse.make_output_vec(), inverse.make_scratch_vec());
        let mut lags = vec![0.0; self.n_references * self.rooms.len() * n_taps];
        lags.par_chunks_mut(GROUP * n_taps).enumerate().for_each_init(
            rooms,
            |(spectra, out, scratch), (group, lags)| {
                for (band, sums) in sums.iter().enumerate() {
                    for (spectrum, [re, im]) in spectra.iter_mut().zip(&sums[group * GROUP..]) {
                        let bins = spectrum[band * BAND..].iter_mut();
                        bins.zip(re.iter().zip(im)).for_each(|(x, (re, im))| *x = Complex64::new(*re, *im));
                    }
                }
                for (lags, spectrum) in lags.chunks_exact_mut(n_taps).zip(spectra) {
                    // What is real at both ends by definition is so but for rounding.
                    spectrum[0].im = 0.0;
                    spectrum[n_fft / 2].im = 0.0;
                    inverse.process_with_scratch(spectrum, out, scratch).expect("lengths as planned");
                    lags.iter_mut().zip(&*out).for_each(|(lag, x)| *lag = x / n_fft as f64);
                }
            },
        );
        self.sums.iter_mut().flatten().for_each(|sum| *sum = [[0.0; BAND]; 2]);
        lags
    }
}

impl Room {
    /// Transforms samples that begin at `start`.
    fn transform(&mut self, start: usize, samples: &[f64], is_delayed: bool, forward: &dyn RealToComplex<f64>) {
        let end = start + samples.len();
        self.samples[..start].fill(0.0);
        self.samples[start..end].copy_from_slice(samples);
        self.samples[end..].fill(0.0);
        let spectrum = if is_delayed { &mut self.delayed } else { &mut self.spectrum };
        forward.process_with_scratch(&mut self.samples, spectrum, &mut self.scratch).expect("lengths as planned");
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
    n_signals: usize,
    n_blocks: usize,
}

impl Loops for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (new, delayed) = self.spectra.split_at(self.n_signals * BATCH);
        for (sums, delayed) in self.sums.chunks_exact_mut(self.n_signals).zip(delayed.chunks_exact(BATCH)) {
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
