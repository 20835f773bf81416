//! Combs that are computed, not heard: the harmonics of every pitch, under the timbre of a player.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use crate::knowledge::dictionary::Bands;
use crate::stft::StftConfig;

/// Pitches that are told apart in a semitone.
pub(super) const STEPS: usize = 2;

/// Lowest pitch, as a MIDI key: the A below the lowest of a cello.
pub(super) const LOWEST: usize = 33;

/// Pitches, from [`LOWEST`] to the D seven octaves up.
pub(super) const N_PITCHES: usize = 66 * STEPS - 1;

/// Triangular bumps that make up an envelope, evenly spaced in log frequency.
pub(super) const N_BUMPS: usize = 32;

/// Harmonics whose level is a matter of the player; all above are level with one another.
pub(super) const N_FREE: usize = 12;

/// Harmonics of a pitch at the most, and the highest frequency that counts, in Hz.
const N_HARMONICS: usize = 40;
const HIGHEST_HZ: f64 = 12_000.0;

/// The lowest bump, in Hz.
const LOWEST_HZ: f64 = 60.0;

/// Harmonics lie this far around their place, in semitones: vibrato, and a pitch between two of the grid.
const HALF_WIDTH: f64 = 0.2;

/// Share of a template that is spread evenly over all bands: nothing rules a pitch out.
const FLOOR: f32 = 0.02;

/// One harmonic of a pitch, in bands.
#[derive(Debug, Clone)]
struct Harmonic {
    first_band: usize,
    lobe: Vec<f32>,
    /// The bump below it, and the share of the one above.
    bump: usize,
    share: f32,
    /// Its number, up to [`N_FREE`].
    number: usize,
}

impl Harmonic {
    fn gain(&self, timbre: &Timbre) -> f32 {
        let envelope = timbre.envelope[self.bump] * (1.0 - self.share) + timbre.envelope[self.bump + 1] * self.share;
        envelope * timbre.harmonics[self.number]
    }
}

/// What a player's notes have in common whatever their pitch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timbre {
    /// The body: gains over frequency.
    pub(super) envelope: [f32; N_BUMPS],
    /// The string or the reed: gains of the harmonics, from the first; the last is that of all above.
    pub(super) harmonics: [f32; N_FREE + 1],
}

impl Timbre {
    /// Before anything is known: each harmonic has less than the one before. Without that, the octave below every note
    /// fits as well.
    pub(super) fn unknown() -> Self {
        /// Of 0.8, 0.7 and 0.6, the last two find more of the notes: 0.66, 0.69 and 0.69.
        const DECAY: f32 = 0.65;
        let mut level = 1.0 / DECAY;
        let harmonics = std::array::from_fn(|_| {
            level *= DECAY;
            level
        });
        Self { envelope: [1.0; N_BUMPS], harmonics }
    }
}

/// What of a timbre is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learn {
    Envelope,
    All,
}

/// The combs of all pitches in the bands of a transform.
#[derive(Debug)]
pub(super) struct Combs {
    pub(super) bands: Bands,
    pub(super) n_bands: usize,
    combs: Vec<Vec<Harmonic>>,
}

impl Combs {
    pub(super) fn new(stft: &StftConfig, sample_rate: u32) -> Self {
        let bands = Bands::new(stft, sample_rate);
        let n_bands = bands.n_bands();
        let hz_per_bin = stft.bin_hz(1, sample_rate);
        let top_hz = HIGHEST_HZ.min(f64::from(sample_rate) / 2.0);
        let octaves = (top_hz / LOWEST_HZ).log2().max(1.0);
        let reach = stft.window.half_lobe_bins();
        let comb = |pitch: usize| {
            let f0_hz = pitch_hz(pitch);
            let mut comb = Vec::new();
            for number in 1..=N_HARMONICS {
                let hz = f0_hz * number as f64;
                let at = |semitones: f64| hz * (semitones / 12.0).exp2() / hz_per_bin;
                let (low, high) = (at(-HALF_WIDTH), at(HALF_WIDTH));
                let end = (high + reach).floor() as usize + 1;
                if hz >= top_hz || end > stft.n_bins() {
                    break;
                }
                let first = (low - reach).ceil().max(0.0) as usize;
                let mut bins = Array2::zeros((1, stft.n_bins()));
                for bin in first..end {
                    let beside = (low - bin as f64).max(bin as f64 - high).max(0.0);
                    bins[(0, bin)] = stft.window.lobe(beside) as f32;
                }
                let pooled = bands.pool(bins.view(), 1);
                let lobe = pooled.as_slice().unwrap_or_default();
                let first_band = lobe.iter().position(|x| *x > 0.0).unwrap_or(0);
                let end_band = lobe.iter().rposition(|x| *x > 0.0).map_or(0, |last| last + 1);
                let place = ((hz / LOWEST_HZ).max(1.0).log2() / octaves).clamp(0.0, 1.0) * (N_BUMPS - 1) as f64;
                let bump = (place as usize).min(N_BUMPS - 2);
                comb.push(Harmonic {
                    first_band,
                    lobe: lobe[first_band.min(end_band)..end_band].to_vec(),
                    bump,
                    share: (place - bump as f64) as f32,
                    number: (number - 1).min(N_FREE),
                });
            }
            comb
        };
        Self { n_bands, combs: (0..N_PITCHES).map(comb).collect(), bands }
    }

    /// The templates of some pitches under a timbre, `n_bands` x pitches; each sums to one.
    pub(super) fn templates(&self, timbre: &Timbre, pitches: Range<usize>) -> Array2<f32> {
        let mut templates = Array2::<f32>::zeros((self.n_bands, pitches.len()));
        for (comb, mut template) in self.combs[pitches].iter().zip(templates.columns_mut()) {
            for harmonic in comb {
                let gain = harmonic.gain(timbre);
                for (i, x) in harmonic.lobe.iter().enumerate() {
                    template[harmonic.first_band + i] += gain * x;
                }
            }
            let sum = template.sum().max(f32::MIN_POSITIVE);
            let even = FLOOR / self.n_bands as f32;
            template.mapv_inplace(|x| (1.0 - FLOOR) * x / sum + even);
        }
        templates
    }

    /// Brings a timbre closer to what was heard of each pitch (pitches x `n_bands`), by multiplicative updates for the
    /// Kullback-Leibler divergence; the envelope alone, or envelope and harmonics in turn.
    pub(super) fn learn(&self, timbre: &mut Timbre, heard: ArrayView2<'_, f32>, what: Learn) {
        const ITERATIONS: usize = 12;
        /// What was never heard is 60 dB below the rest.
        const LEAST: f32 = 1e-3;
        /// No harmonic is ruled out, and least of all the first: else a note is the second harmonic of the octave below.
        const LEAST_HARMONIC: f32 = 0.1;
        const LEAST_FIRST: f32 = 0.3;
        for iteration in 0..ITERATIONS {
            let mut bumps = [(0.0f64, 0.0f64); N_BUMPS];
            let mut numbers = [(0.0f64, 0.0f64); N_FREE + 1];
            let templates = self.templates(timbre, 0..N_PITCHES);
            for (pitch, comb) in self.combs.iter().enumerate() {
                let heard = heard.row(pitch);
                let mass = heard.sum();
                if mass <= 0.0 {
                    continue;
                }
                let raw: f32 = comb.iter().map(|h| h.gain(timbre) * h.lobe.iter().sum::<f32>()).sum();
                let scale = (1.0 - FLOOR) / raw.max(f32::MIN_POSITIVE);
                for harmonic in comb {
                    let (mut above, mut below) = (0.0f64, 0.0f64);
                    for (i, x) in harmonic.lobe.iter().enumerate() {
                        let band = harmonic.first_band + i;
                        // The model of what was heard is mass * template.
                        above += f64::from(x * scale * heard[band] / templates[(band, pitch)].max(f32::MIN_POSITIVE));
                        below += f64::from(x * scale * mass);
                    }
                    let gain = f64::from(harmonic.gain(timbre));
                    // Each part is weighted by what the other makes of it.
                    let number = &mut numbers[harmonic.number];
                    number.0 += gain * above;
                    number.1 += gain * below;
                    let weight = f64::from(timbre.harmonics[harmonic.number]);
                    let share = f64::from(harmonic.share);
                    for (bump, share) in [(harmonic.bump, 1.0 - share), (harmonic.bump + 1, share)] {
                        bumps[bump].0 += share * weight * above;
                        bumps[bump].1 += share * weight * below;
                    }
                }
            }
            let (gains, fractions): (&mut [f32], &[(f64, f64)]) = if what == Learn::Envelope || iteration % 2 == 0 {
                (&mut timbre.envelope, &bumps)
            } else {
                (&mut timbre.harmonics, &numbers)
            };
            for (gain, (above, below)) in gains.iter_mut().zip(fractions) {
                if *below > 0.0 {
                    *gain *= (above / below) as f32;
                }
            }
            let most = gains.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(*x));
            gains.iter_mut().for_each(|gain| *gain = (*gain / most).max(LEAST));
            timbre.harmonics.iter_mut().for_each(|gain| *gain = gain.max(LEAST_HARMONIC));
            timbre.harmonics[0] = timbre.harmonics[0].max(LEAST_FIRST);
        }
    }
}

/// The frequency of a pitch of the grid, in Hz.
pub(super) fn pitch_hz(pitch: usize) -> f64 {
    440.0 * ((key(pitch) - 69.0) / 12.0).exp2()
}

/// A pitch of the grid as a MIDI key, with fractions.
pub(super) fn key(pitch: usize) -> f64 {
    LOWEST as f64 + pitch as f64 / STEPS as f64
}
