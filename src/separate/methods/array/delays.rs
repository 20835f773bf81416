//! Where sources are, as far as delays tell: by how much later each microphone hears a source than the first does.
//! Knows nothing of where microphones stand.

use std::f64::consts::TAU;

use rayon::prelude::*;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex32;

use super::bins::Bin;

/// Steps of a phase in a whole turn.
const STEPS: usize = 64;

/// Terms of the Fourier series of how well a phase fits, without the constant: the next is 0.0001 of the first.
const N_HARMONICS: usize = 12;

/// Delays that are tried, in seconds either way (1.4 m), and how many of them in a sample.
const MAX_S: f64 = 0.004;
const PER_SAMPLE: usize = 4;

/// How exactly phases must fit a delay where delays are looked for, where what was found is left out, and where bins
/// are shared out: `exp(k (cos(error) - 1))`.
const SHARP: f64 = 8.0;
const BLUNT: f64 = 1.0;
const SHARING: f32 = 2.0;

/// An onset is so many times as strong as either of the two frames before, and no weaker than this part of the
/// strongest: there, little of what is heard has come by way of the walls.
const ONSET: f32 = 1.5;
const MIN_POWER: f32 = 1e-6;

/// A delay is that of a source where it stands out from other delays by so many of their standard deviations.
const MIN_PROMINENCE: f64 = 5.0;

/// What a source has of any bin, beside 1 where its delays fit; and what a source without delays has.
const NOWHERE: f32 = 0.02;
const REST: f32 = 0.25;

/// Delays of one source in samples: one for each microphone but the first.
pub(super) type Delays = Vec<f64>;

/// Onsets in one bin: phases of each microphone but the first against the first, in steps, and how much of each is
/// not yet explained.
struct Onsets {
    phases: Vec<Vec<u8>>,
    left: Vec<f32>,
}

impl Onsets {
    fn of(bin: &Bin, strongest: f32) -> Self {
        let n = bin.n_microphones();
        let power = |frame: usize| (0..n).map(|mic| bin.heard(mic, frame).norm_sqr()).sum::<f32>();
        let mut found = Self { phases: vec![Vec::new(); n - 1], left: Vec::new() };
        let (mut before, mut last) = (0.0f32, 0.0f32);
        for frame in 0..bin.n_frames {
            let now = power(frame);
            if now > ONSET * last.max(before) && now > MIN_POWER * strongest {
                let first = bin.heard(0, frame).conj();
                for (mic, phases) in found.phases.iter_mut().enumerate() {
                    let turn = f64::from((bin.heard(mic + 1, frame) * first).arg()) / TAU;
                    phases.push((turn * STEPS as f64).round().rem_euclid(STEPS as f64) as u8);
                }
                found.left.push(1.0);
            }
            (before, last) = (last, now);
        }
        found
    }

    /// How well each onset fits the delays that are known of a source, given as phases in steps.
    fn fits(&self, expected: &[Option<usize>], kernel: &[f32; STEPS]) -> Vec<f32> {
        let mut fits = vec![1.0; self.left.len()];
        for (phases, expected) in self.phases.iter().zip(expected) {
            if let Some(expected) = expected {
                let fit = |phase: &u8| kernel[(usize::from(*phase) + STEPS - expected) % STEPS];
                fits.iter_mut().zip(phases).for_each(|(to, phase)| *to *= fit(phase));
            }
        }
        fits
    }
}

/// `exp(k (cos(error) - 1))` of an error in steps.
fn kernel(sharpness: f64) -> [f32; STEPS] {
    std::array::from_fn(|step| (sharpness * ((TAU * step as f64 / STEPS as f64).cos() - 1.0)).exp() as f32)
}

/// The phase of a delay in a bin, in steps.
fn phase(delay: f64, bin: usize, n_fft: usize) -> usize {
    /// Turns that make any phase positive: delays of [`MAX_S`] have fewer by far.
    const TURNS: f64 = (1 << 20) as f64;
    ((TURNS - delay * bin as f64 / n_fft as f64) * STEPS as f64).round() as usize % STEPS
}

/// The delays of up to as many sources as microphones, those first from which most sets in. Sources are looked for one
/// after another, the delays of each one microphone after another, in onsets that neither an earlier source nor another
/// delay of this one contradicts.
///
/// # References
/// B. Loesch and B. Yang, "Blind source separation based on time-frequency sparseness in the presence of spatial
/// aliasing", LVA/ICA 2010, for the sum over all bins of how well a delay fits.
pub(super) fn find(bins: &[Bin], sample_rate: u32, n_fft: usize) -> Vec<Delays> {
    let n = bins[0].n_microphones();
    let powers = |bin: &Bin| (0..bin.n_frames).map(|t| bin.heard(0, t).norm_sqr()).fold(0.0, f32::max);
    let strongest = n as f32 * bins.iter().map(powers).fold(0.0, f32::max);
    // A constant has no phase.
    let mut onsets: Vec<Onsets> = bins[1..].par_iter().map(|bin| Onsets::of(bin, strongest)).collect();
    let n_tried = (MAX_S * f64::from(sample_rate)).ceil() as usize * PER_SAMPLE;
    let (sharp, blunt) = (kernel(SHARP), kernel(BLUNT));
    let search = Search::new(&sharp, PER_SAMPLE * n_fft);
    let mut found = Vec::new();
    for _ in 0..n {
        let mut delays: Vec<Option<f64>> = vec![None; n - 1];
        let mut prominence = vec![0.0; n - 1];
        let phases = |delays: &[Option<f64>], row: usize| -> Vec<Option<usize>> {
            delays.iter().map(|delay| delay.map(|delay| phase(delay, row + 1, n_fft))).collect()
        };
        // Later rounds know the other delays.
        for _ in 0..if n > 2 { 3 } else { 1 } {
            for mic in 0..n - 1 {
                delays[mic] = None;
                let known = &delays;
                let terms: Vec<Terms> = onsets
                    .par_iter()
                    .enumerate()
                    .map(|(row, onsets)| search.terms(onsets, mic, &onsets.fits(&phases(known, row), &sharp)))
                    .collect();
                let sums = search.sums(&terms, n_tried);
                let (best, height) = highest(&sums);
                delays[mic] = Some((best as f64 - n_tried as f64) / PER_SAMPLE as f64);
                prominence[mic] = height;
            }
        }
        onsets.par_iter_mut().enumerate().for_each(|(row, onsets)| {
            let fits = onsets.fits(&phases(&delays, row), &blunt);
            onsets.left.iter_mut().zip(fits).for_each(|(left, fit)| *left *= 1.0 - fit);
        });
        if prominence.iter().all(|height| *height >= MIN_PROMINENCE) {
            found.push(delays.into_iter().flatten().collect());
        }
    }
    found
}

/// Of one bin and microphone, real and imaginary parts of each harmonic: `c_h sum of weights exp(j h phase)`.
type Terms = [[f32; N_HARMONICS]; 2];

/// How well onsets fit each delay, summed over all bins. As a function of the error a fit is a Fourier series, and as a
/// function of the delay, harmonic h of bin f is an oscillation of frequency h f: one inverse transform makes all sums.
struct Search {
    /// The terms of one onset at each phase.
    table: [Terms; STEPS],
    /// Length of the transform: delays after which all phases are the same again.
    n: usize,
}

impl Search {
    fn new(kernel: &[f32; STEPS], n: usize) -> Self {
        let turn = |h: usize, step: usize| TAU * (h * step) as f64 / STEPS as f64;
        let coefficients: [f64; N_HARMONICS] = std::array::from_fn(|i| {
            let terms = kernel.iter().enumerate().map(|(step, fit)| f64::from(*fit) * turn(i + 1, step).cos());
            terms.sum::<f64>() / STEPS as f64
        });
        let term = |i: usize, step: usize, part: fn(f64) -> f64| (coefficients[i] * part(turn(i + 1, step))) as f32;
        let terms = |step: usize| [f64::cos, f64::sin].map(|part| std::array::from_fn(|i| term(i, step, part)));
        Self { table: std::array::from_fn(terms), n }
    }

    fn terms(&self, onsets: &Onsets, mic: usize, weights: &[f32]) -> Terms {
        let mut sums = [[0.0f32; N_HARMONICS]; 2];
        for ((phase, left), weight) in onsets.phases[mic].iter().zip(&onsets.left).zip(weights) {
            let [re, im] = &self.table[usize::from(*phase)];
            for h in 0..N_HARMONICS {
                sums[0][h] += left * weight * re[h];
                sums[1][h] += left * weight * im[h];
            }
        }
        sums
    }

    /// For delays from so many steps before to so many after none.
    fn sums(&self, bins: &[Terms], n_tried: usize) -> Vec<f32> {
        let n = self.n;
        let mut spectrum = vec![Complex32::ZERO; n];
        for (row, [re, im]) in bins.iter().enumerate() {
            for h in 0..N_HARMONICS {
                spectrum[(h + 1) * (row + 1) % n] += Complex32::new(re[h], im[h]);
            }
        }
        // The real part: half of what is there and of its mirror image.
        let mut half: Vec<Complex32> = (0..=n / 2).map(|k| spectrum[k] + spectrum[(n - k) % n].conj()).collect();
        let mut sums = vec![0.0; n];
        let inverse = RealFftPlanner::new().plan_fft_inverse(n);
        inverse.process(&mut half, &mut sums).expect("lengths are its own, and the ends are real");
        (0..=2 * n_tried).map(|i| sums[(i as isize - n_tried as isize).rem_euclid(n as isize) as usize]).collect()
    }
}

/// The highest of the sums, and by how many standard deviations of those elsewhere it stands out from them.
fn highest(sums: &[f32]) -> (usize, f64) {
    let best = (0..sums.len()).fold(0, |best, i| if sums[i] > sums[best] { i } else { best });
    let elsewhere: Vec<f64> = sums
        .iter()
        .enumerate()
        .filter(|(i, _)| i.abs_diff(best) > 2 * PER_SAMPLE)
        .map(|(_, sum)| f64::from(*sum))
        .collect();
    let mean = elsewhere.iter().sum::<f64>() / elsewhere.len().max(1) as f64;
    let variance = elsewhere.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / elsewhere.len().max(1) as f64;
    let prominence = (f64::from(sums[best]) - mean) / variance.sqrt();
    (best, if prominence.is_finite() { prominence } else { 0.0 })
}

/// Shares each bin out among sources by how well its phases fit their delays, and so many steps of iterative projection
/// towards that. A source without delays is what fits none.
pub(super) fn aim(bins: &mut [Bin], sources: &[Delays], n_fft: usize, n_steps: usize) {
    bins.par_iter_mut().enumerate().for_each(|(f, bin)| {
        let weights = weights(bin, f, sources, n_fft);
        for _ in 0..n_steps {
            weights.iter().enumerate().for_each(|(source, weights)| bin.project(source, weights));
        }
    });
}

/// One by the variance of each source: its share of the power that is heard.
fn weights(bin: &Bin, f: usize, sources: &[Delays], n_fft: usize) -> Vec<Vec<f32>> {
    let n = bin.n_microphones();
    let turns = |delays: &Delays| -> Vec<Complex32> {
        let turn = |delay: &f64| Complex32::cis((TAU * delay * f as f64 / n_fft as f64).rem_euclid(TAU) as f32);
        delays.iter().map(turn).collect()
    };
    let turns: Vec<Vec<Complex32>> = sources.iter().map(turns).collect();
    let mut weights = vec![vec![0.0; bin.power[0].len()]; n];
    let (mut phases, mut shares) = (vec![Complex32::ZERO; n - 1], vec![REST; n]);
    for frame in 0..bin.n_frames {
        let first = bin.heard(0, frame);
        let mut power = first.norm_sqr();
        for (mic, phase) in phases.iter_mut().enumerate() {
            let heard = bin.heard(mic + 1, frame);
            power += heard.norm_sqr();
            *phase = heard * first.conj();
            *phase /= phase.norm_sqr().sqrt().max(f32::MIN_POSITIVE);
        }
        for (share, turns) in shares.iter_mut().zip(&turns) {
            let error: f32 = phases.iter().zip(turns).map(|(phase, turn)| (phase * turn).re - 1.0).sum();
            *share = (SHARING * error).exp();
        }
        let total: f32 = shares.iter().map(|share| share + NOWHERE).sum();
        for (weights, share) in weights.iter_mut().zip(&shares) {
            weights[frame] = 1.0 / ((share + NOWHERE) / total * power / n as f32).max(1e-6);
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    const N_FFT: usize = 256;

    /// Two microphones, in every fourth frame of which a sound sets in, heard later by the second one by one of these
    /// delays.
    fn bins(delays: [f64; 2]) -> Vec<Bin> {
        let wave = |f: usize, t: usize| ((t * 7919 + f * 104_729) % 1009) as f32 / 1009.0;
        let bin = |f: usize| {
            let mut parts = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
            for t in 0..400 {
                let level = if t % 4 == 2 { 1.0 } else { 0.01 };
                let delay = delays[usize::from(wave(f, t) > 0.5)];
                let heard = Complex32::from_polar(level, TAU as f32 * wave(t, f));
                let later = Complex32::cis((-TAU * delay * f as f64 / N_FFT as f64) as f32);
                for (part, x) in parts.iter_mut().zip([heard, heard * later]) {
                    part[0].push(x.re);
                    part[1].push(x.im);
                }
            }
            Bin::new(parts.into())
        };
        (0..=N_FFT / 2).map(bin).collect()
    }

    #[test]
    fn delays_of_two_sources_are_found_and_tell_them_apart() {
        let mut bins = bins([3.0, -5.5]);
        let mut found = find(&bins, 16_000, N_FFT);
        found.sort_by(|a, b| b[0].total_cmp(&a[0]));
        assert_eq!(found, [[3.0], [-5.5]]);
        aim(&mut bins, &found, N_FFT, 6);
        // Of each onset, one source has nearly all (2.7 % are left), but in bins where both delays have about the same phase.
        let onsets = bins[20..].iter().flat_map(|bin| (2..400).step_by(4).map(|t| [bin.power[0][t], bin.power[1][t]]));
        let (mut own, mut other) = (0.0, 0.0);
        for powers in onsets {
            own += powers[0].max(powers[1]);
            other += powers[0].min(powers[1]);
        }
        assert!(other < 0.05 * own, "{other} beside {own}");
    }

    #[test]
    fn channels_that_are_alike_have_one_delay_at_the_most() {
        let found = find(&bins([0.0, 0.0]), 16_000, N_FFT);
        assert!(found.len() < 2, "{found:?}");
    }
}
