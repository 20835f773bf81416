//! How alike components are, in what their spectra are like and in how they come and go.
//! Numbers only: what is made of them is the caller's business.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};

use super::median::median;
use crate::stft::StftConfig;

/// Lowest band edge, in Hz.
const LOWEST_HZ: f64 = 40.0;
/// The spectral envelope is energy in so many bands per octave, smoothed, to this power.
const COLOR_BANDS: usize = 6;
const COLOR_POWER: f32 = 0.5;
/// Weight of the likeness of envelopes.
const COLOR_WEIGHT: f32 = 0.5;
/// Partials are energy in bands of a semitone, to this power.
const PARTIALS_BANDS: usize = 12;
const PARTIALS_POWER: f32 = 0.25;
/// One of two components may be moved by so many bands: notes of one instrument are alike wherever they are.
const MAX_SHIFT: usize = 6;
/// How much of a component lasts, from 0 to 1: what hits is not what sings. A median along time of this length leaves
/// nothing of a hit.
const STEADY_S: f64 = 0.4;
const STEADY_WEIGHT: f32 = 0.5;
/// How much of a component is left after this time, as autocorrelation tells it.
const LATER_S: f64 = 0.4;
const LATER_WEIGHT: f32 = 0.5;
/// Whether it rises faster than it falls, as struck and plucked strings do, or not, as what is blown, bowed and sung;
/// over this time.
const RISE_S: f64 = 0.05;
const RISE_WEIGHT: f32 = 2.0;

/// What components are compared by.
pub(super) struct Features {
    /// Spectral envelope, of unit norm.
    color: Array1<f32>,
    /// Spectrum in semitones, of unit norm.
    partials: Array1<f32>,
    /// How much of it lasts, from 0 to 1.
    steady: f32,
    /// Its autocorrelation, from -1 to 1.
    later: f32,
    /// From -1, where it only falls at once, to 1, where it only rises at once.
    rise: f32,
}

impl Features {
    /// Squared distance.
    pub(super) fn squared(&self, other: &Self) -> f32 {
        let color = COLOR_WEIGHT * (1.0 - self.color.dot(&other.color));
        let steady = STEADY_WEIGHT * (self.steady - other.steady).powi(2);
        let later = LATER_WEIGHT * (self.later - other.later).powi(2);
        let rise = RISE_WEIGHT * (self.rise - other.rise).powi(2);
        color.max(0.0) + (1.0 - self.shifted(other)).max(0.0) + steady + later + rise
    }

    /// How alike the partials are where the pitch does not matter.
    fn shifted(&self, other: &Self) -> f32 {
        let n_bands = self.partials.len();
        let likeness = |shift: usize| {
            let (low, high) = (s![..n_bands - shift], s![shift..]);
            let lower = self.partials.slice(low).dot(&other.partials.slice(high));
            lower.max(self.partials.slice(high).dot(&other.partials.slice(low)))
        };
        (0..=MAX_SHIFT.min(n_bands)).map(likeness).fold(0.0, f32::max)
    }
}

/// The features of every component.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `dictionary` | `n_bins` x `n_components` | magnitude |
/// | `activations` | `n_components` x frames | gain |
pub(super) fn features(
    dictionary: ArrayView2<'_, f32>,
    activations: ArrayView2<'_, f32>,
    stft: &StftConfig,
    sample_rate: u32,
) -> Vec<Features> {
    let frames = |seconds: f64| (seconds * f64::from(sample_rate) / stft.hop_length as f64).round().max(1.0) as usize;
    let steady = shares_under(activations, &medians_along_time(activations, stft, sample_rate), Axis(0));
    let color = bands(dictionary, COLOR_BANDS, stft, sample_rate).mapv(|x| x.powf(COLOR_POWER));
    let partials = bands(dictionary, PARTIALS_BANDS, stft, sample_rate).mapv(|x| x.powf(PARTIALS_POWER));
    let of_one = |(k, activation): (usize, ArrayView1<'_, f32>)| Features {
        color: unit(smooth(color.column(k))),
        partials: unit(partials.column(k).to_owned()),
        steady: steady[k],
        later: autocorrelation(activation, frames(LATER_S)),
        rise: rise(activation, frames(RISE_S)),
    };
    activations.outer_iter().enumerate().map(of_one).collect()
}

/// Energy of templates in bands of equal width in octaves, bands x `n_components`.
fn bands(dictionary: ArrayView2<'_, f32>, per_octave: usize, stft: &StftConfig, sample_rate: u32) -> Array2<f32> {
    let band = |hz: f64| ((hz.max(LOWEST_HZ) / LOWEST_HZ).log2() * per_octave as f64) as usize;
    let n_bands = band(f64::from(sample_rate) / 2.0) + 1;
    let mut bands = Array2::zeros((n_bands, dictionary.ncols()));
    for (bin_idx, row) in dictionary.outer_iter().enumerate() {
        let own = band(stft.bin_hz(bin_idx, sample_rate)).min(n_bands - 1);
        bands.row_mut(own).zip_mut_with(&row, |sum, x| *sum += x * x);
    }
    bands
}

/// Each entry and half of each of its neighbors.
fn smooth(x: ArrayView1<'_, f32>) -> Array1<f32> {
    let at = |i: usize| x.get(i).copied().unwrap_or(0.0);
    Array1::from_shape_fn(x.len(), |i| 0.5 * at(i.wrapping_sub(1)) + at(i) + 0.5 * at(i + 1))
}

fn unit(x: Array1<f32>) -> Array1<f32> {
    let norm = x.dot(&x).sqrt();
    if norm > 0.0 { x / norm } else { x }
}

/// The correlation of an activation with itself, so many frames later.
fn autocorrelation(activation: ArrayView1<'_, f32>, lag: usize) -> f32 {
    let mean = activation.mean().unwrap_or(0.0);
    let deviations = activation.mapv(|x| f64::from(x - mean));
    let energy = deviations.dot(&deviations);
    if lag >= deviations.len() || energy <= 0.0 {
        return 0.0;
    }
    let later = deviations.slice(s![lag..]).dot(&deviations.slice(s![..deviations.len() - lag]));
    (later / energy) as f32
}

/// Root mean squares of how an activation rises and falls over so many frames: their difference over their sum.
fn rise(activation: ArrayView1<'_, f32>, over: usize) -> f32 {
    if over >= activation.len() {
        return 0.0;
    }
    let (mut rises, mut falls) = (0.0, 0.0);
    for (before, after) in activation.iter().zip(activation.iter().skip(over)) {
        let step = f64::from(after - before);
        *(if step > 0.0 { &mut rises } else { &mut falls }) += step * step;
    }
    let (rises, falls) = (f64::sqrt(rises), f64::sqrt(falls));
    if rises + falls > 0.0 { ((rises - falls) / (rises + falls)) as f32 } else { 0.0 }
}

/// Half the width of a median, in steps.
pub(super) fn radius(width: f64, step: f64) -> usize {
    (0.5 * width / step).round().max(1.0) as usize
}

/// Medians of activations, of which nothing of a hit is left.
pub(super) fn medians_along_time(activations: ArrayView2<'_, f32>, stft: &StftConfig, sample_rate: u32) -> Array2<f32> {
    let radius = radius(STEADY_S, stft.hop_length as f64 / f64::from(sample_rate));
    median(activations, Axis(1), radius, 0..activations.ncols())
}

/// How much of each component lies below its medians; `of` is the axis of the components.
pub(super) fn shares_under(values: ArrayView2<'_, f32>, medians: &Array2<f32>, of: Axis) -> Vec<f32> {
    let share = |(values, medians): (ArrayView1<'_, f32>, ArrayView1<'_, f32>)| {
        let under: f32 = values.iter().zip(medians).map(|(x, median)| x.min(*median)).sum();
        under / values.sum().max(f32::MIN_POSITIVE)
    };
    values.axis_iter(of).zip(medians.axis_iter(of)).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 44_100;

    /// A tone with partials up to 5 kHz that get weaker by this power, and how it sounds over time.
    fn tone(pitch_hz: f64, fall: i32, activation: &[f32]) -> (Array1<f32>, Array1<f32>) {
        let stft = StftConfig::new(4096);
        let mut template = Array1::zeros(stft.n_bins());
        for partial in 1..=(5000.0 / pitch_hz) as i32 {
            let center = (f64::from(partial) * pitch_hz / stft.bin_hz(1, RATE)).round() as usize;
            template.slice_mut(s![center - 1..=center + 1]).fill((partial as f32).powi(-fall));
        }
        (template, activation.iter().copied().collect())
    }

    fn features_of(components: &[(Array1<f32>, Array1<f32>)]) -> Vec<Features> {
        let (templates, activations): (Vec<_>, Vec<_>) = components.iter().map(|(w, h)| (w.view(), h.view())).unzip();
        let dictionary = ndarray::stack(Axis(1), &templates).expect("templates of one length");
        let activations = ndarray::stack(Axis(0), &activations).expect("activations of one length");
        features(dictionary.view(), activations.view(), &StftConfig::new(4096), RATE)
    }

    #[test]
    fn notes_of_one_instrument_are_alike_whatever_their_pitch() {
        let on = [1.0; 100];
        let found = features_of(&[tone(440.0, 1, &on), tone(523.25, 1, &on), tone(880.0, 1, &on)]);
        let at_one_pitch = found[0].partials.dot(&found[1].partials);
        let (third, octave) = (found[0].shifted(&found[1]), found[0].shifted(&found[2]));
        assert!(third > at_one_pitch + 0.2, "{third}, and {at_one_pitch} at one pitch");
        assert!(third > octave + 0.1, "{third}, and {octave} beyond half an octave");
    }

    #[test]
    fn what_is_struck_and_what_is_blown_are_apart() {
        let struck: Vec<f32> = (0..200).map(|i| 0.9f32.powi(i % 50)).collect();
        let blown: Vec<f32> = (0..200).map(|i| if i % 50 < 5 { 0.2 * (i % 50) as f32 } else { 0.9 }).collect();
        let backwards: Vec<f32> = struck.iter().rev().copied().collect();
        let found = features_of(&[tone(440.0, 1, &struck), tone(440.0, 1, &blown), tone(440.0, 1, &backwards)]);
        assert!(found[0].rise > 0.3, "{}", found[0].rise);
        assert!((found[0].rise + found[2].rise).abs() < 1e-6, "time turned round");
        assert!(found[0].squared(&found[1]) > 0.1, "{}", found[0].squared(&found[1]));
    }

    #[test]
    fn distances_do_not_depend_on_order_and_are_0_of_the_same() {
        let hits: Vec<f32> = (0..100).map(|i| if i % 10 == 0 { 1.0 } else { 0.0 }).collect();
        let found = features_of(&[tone(220.0, 1, &[1.0; 100]), tone(300.0, 2, &hits), tone(300.0, 2, &[0.0; 100])]);
        for a in &found {
            assert!(a.squared(a) < 1e-6, "{}", a.squared(a));
            for b in &found {
                assert_eq!(a.squared(b), b.squared(a));
            }
        }
    }

    #[test]
    fn a_recording_of_a_frame_and_silence_have_features() {
        for frames in [1, 3] {
            let (template, _) = tone(440.0, 1, &[]);
            let found = features_of(&[(template, Array1::zeros(frames)), (Array1::zeros(2049), Array1::ones(frames))]);
            assert!(found.iter().all(|a| found.iter().all(|b| a.squared(b).is_finite())), "{frames} frames");
        }
    }

    #[test]
    fn what_repeats_is_like_itself_later() {
        let beats = Array1::from_shape_fn(400, |i| if i % 10 < 5 { 1.0 } else { 0.0 });
        assert!((autocorrelation(beats.view(), 10) - 0.975).abs() < 1e-3, "{}", autocorrelation(beats.view(), 10));
        assert!(autocorrelation(beats.view(), 5) < -0.95);
        assert_eq!(autocorrelation(Array1::ones(9).view(), 3), 0.0);
    }
}
