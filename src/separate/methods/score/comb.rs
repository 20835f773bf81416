//! Combs: the harmonics of a pitch, as lobes of the window, under the spectral envelope of an instrument.

use ndarray::{Array1, Array2};

use super::grid::{Grid, N_BUMPS};
use super::template::Template;
use crate::knowledge::score::Class;
use crate::nmf::support::dot;

/// Harmonics of a note at the most; above, there is next to nothing.
const N_HARMONICS: usize = 60;

/// Inharmonicity B of struck strings: that of a grand piano in the octaves below middle C, to within its order.
const STIFFNESS: f64 = 1e-4;

/// Where harmonics may lie at first, in semitones around their nominal place: instruments are out of tune by less.
pub(super) const UNTUNED: Tuning = Tuning { center: 0.0, half_width: 0.3 };

/// One harmonic of a template: a lobe, and its place in the envelope.
pub(super) struct Harmonic {
    first_bin: usize,
    lobe: Vec<f32>,
    /// Sum of the lobe.
    area: f32,
    /// The bump below it, and the share of the one above.
    bump: usize,
    share: f32,
}

/// Where the harmonics of a pitch lie, in semitones: each covers a range around a center beside the nominal pitch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tuning {
    pub(super) center: f64,
    pub(super) half_width: f64,
}

/// The comb of a pitch: lobes at f0 h sqrt(1 + B h^2) for h = 1, 2, ....
pub(super) fn comb(class: Class, pitch: u8, tuning: Tuning, grid: &Grid) -> Vec<Harmonic> {
    let hz_per_bin = grid.transform.bin_hz(1, grid.sample_rate);
    let nyquist_hz = f64::from(grid.sample_rate) / 2.0;
    let last_bin = grid.transform.n_bins() - 1;
    let window = grid.transform.window;
    let reach = window.half_lobe_bins();
    let stiffness = if class == Class::Struck { STIFFNESS } else { 0.0 };
    let fundamental_hz = grid.pitch_hz(pitch);
    let bins_of = |hz: f64, semitones: f64| hz * (semitones / 12.0).exp2() / hz_per_bin;
    let mut harmonics = Vec::new();
    for number in 1..=N_HARMONICS {
        let number = number as f64;
        let hz = fundamental_hz * number * (1.0 + stiffness * number * number).sqrt();
        let low = bins_of(hz, tuning.center - tuning.half_width);
        let high = bins_of(hz, tuning.center + tuning.half_width);
        let first_bin = (low - reach).ceil().max(0.0) as usize;
        if hz >= nyquist_hz || first_bin > last_bin {
            break;
        }
        let end_bin = ((high + reach).floor() as usize).min(last_bin);
        let lobe: Vec<_> = (first_bin..=end_bin)
            .map(|bin| window.lobe((low - bin as f64).max(bin as f64 - high).max(0.0)) as f32)
            .collect();
        let (bump, share) = grid.place(hz);
        harmonics.push(Harmonic { first_bin, area: lobe.iter().sum(), lobe, bump, share });
    }
    harmonics
}

/// Writes the comb under an envelope.
pub(super) fn draw(comb: &[Harmonic], envelope: &[f32; N_BUMPS], template: &mut [f32]) {
    template.fill(0.0);
    for Harmonic { first_bin, lobe, bump, share, .. } in comb {
        let gain = envelope[*bump] * (1.0 - share) + envelope[*bump + 1] * share;
        for (x, lobe) in template[*first_bin..].iter_mut().zip(lobe) {
            *x += gain * lobe;
        }
    }
}

/// The envelope of a spectrum: its mean under each bump, on a scale of its own.
pub(super) fn envelope(spectrum: &Array1<f32>, grid: &Grid) -> [f32; N_BUMPS] {
    let mut sums = [(0.0f32, 0.0f32); N_BUMPS];
    for (bin_idx, x) in spectrum.iter().enumerate() {
        let (bump, share) = grid.place(grid.transform.bin_hz(bin_idx, grid.sample_rate));
        for (at, weight) in [(bump, 1.0 - share), (bump + 1, share)] {
            sums[at].0 += weight * x;
            sums[at].1 += weight;
        }
    }
    let peak = sums.iter().map(|(sum, weight)| sum / weight.max(f32::MIN_POSITIVE)).fold(f32::MIN_POSITIVE, f32::max);
    // Nothing is ruled out by an example: what it lacks starts 60 dB below its peak.
    sums.map(|(sum, weight)| if weight > 0.0 { (sum / weight / peak).max(1e-3) } else { 1e-3 })
}

/// a <- a * A^T N / A^T M, over all pitches of an instrument, with N the numerators of its templates and M their masses.
pub(super) fn learn_envelopes(
    envelopes: &mut [[f32; N_BUMPS]],
    templates: &[Template],
    combs: &[Vec<Harmonic>],
    numerators: &Array2<f32>,
    masses: &[f32],
) {
    let mut fractions = vec![[(0.0f64, 0.0f64); N_BUMPS]; envelopes.len()];
    for (k, (t, comb)) in templates.iter().zip(combs).enumerate() {
        let numerator = numerators.row(k);
        let numerator = numerator.to_slice().expect("numerators stand row by row");
        for Harmonic { first_bin, lobe, area, bump, share } in comb {
            let above = f64::from(dot(lobe, &numerator[*first_bin..*first_bin + lobe.len()]));
            let below = f64::from(*area) * f64::from(masses[k]);
            for (bump, share) in [(*bump, 1.0 - f64::from(*share)), (*bump + 1, f64::from(*share))] {
                let fraction = &mut fractions[t.voice][bump];
                fraction.0 += share * above;
                fraction.1 += share * below;
            }
        }
    }
    for (a, (above, below)) in envelopes.iter_mut().flatten().zip(fractions.iter().flatten()) {
        if *below > 0.0 {
            *a *= (above / below) as f32;
        }
    }
}
