//! Groups components into sources by how alike their spectra and their activations are, and says what they may be.
//! Without knowledge this is a suggestion: nothing in a component says which instrument it belongs to.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use super::likeness::{features, medians_along_time, radius, shares_under};
use super::median::median;
use super::ward;
use crate::nmf::Factorization;
use crate::nmf::linkage::ward_costs;
use crate::stft::StftConfig;

/// A median along frequency of this width leaves nothing of a partial.
const NOISE_HZ: f64 = 190.0;
/// Components weigh by their energy to this power.
const LOUDNESS: f64 = 0.2;
/// A component weighs as much as if it had at least this share of the energy.
const LEAST_SHARE: f64 = 1e-12;
/// Squared distance of components at different places, far above what components of one place are apart.
const ANOTHER_PLACE: f32 = 1e4;
/// Most sources that are suggested where nobody says how many there are.
const MOST_SOURCES: usize = 6;

/// The source of each component, from 0: hierarchical clustering by Ward's criterion into `n_sources` groups, or into
/// as many as the components fall into by themselves (2 to 6). Components weigh as much as they are loud, so that a
/// source is not spent on one that is hardly there.
///
/// # References
/// J. H. Ward, "Hierarchical grouping to optimize an objective function", JASA 58(301), 1963.
pub fn by_likeness(
    factorization: &Factorization,
    stft: &StftConfig,
    sample_rate: u32,
    n_sources: Option<usize>,
) -> Vec<usize> {
    let n_components = factorization.n_components();
    grouped(factorization, stft, sample_rate, &vec![0; n_components], n_sources)
}

/// [`by_likeness`] of components that stand at places: those of one place first, and only then places.
///
/// # Panics
/// If `places` has not one entry for each component.
pub(super) fn within_places(
    factorization: &Factorization,
    stft: &StftConfig,
    sample_rate: u32,
    places: &[usize],
    n_sources: usize,
) -> Vec<usize> {
    assert_eq!(places.len(), factorization.n_components(), "a place for each component");
    grouped(factorization, stft, sample_rate, places, Some(n_sources))
}

fn grouped(
    factorization: &Factorization,
    stft: &StftConfig,
    sample_rate: u32,
    places: &[usize],
    n_sources: Option<usize>,
) -> Vec<usize> {
    let n_components = factorization.n_components();
    let features = features(factorization.dictionary.view(), factorization.activations.view(), stft, sample_rate);
    let apart = |i: usize, j: usize| if places[i] == places[j] { 0.0 } else { ANOTHER_PLACE };
    let squared =
        Array2::from_shape_fn((n_components, n_components), |(i, j)| features[i].squared(&features[j]) + apart(i, j));
    let n_sources = n_sources.unwrap_or_else(|| natural_count(&squared));
    let energies = energies(factorization);
    let total = energies.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let masses: Vec<_> = energies.iter().map(|energy| (energy / total + LEAST_SHARE).powf(LOUDNESS) as f32).collect();
    cut(n_components, n_sources, ward::merges(&squared, &masses).into_iter())
}

/// The source of each component where some are known: each of the others goes to the source of the known component that it
/// is most like, or to source 0 where none is known.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `dictionary` | `n_bins` x `n_components` | magnitude |
/// | `activations` | `n_components` x frames | gain |
/// | `known` | `n_components` | source, from 0; `None`: unknown |
///
/// # Panics
/// If `known` has not one entry for each component.
pub fn follow(
    dictionary: ArrayView2<'_, f32>,
    activations: ArrayView2<'_, f32>,
    stft: &StftConfig,
    sample_rate: u32,
    known: &[Option<usize>],
) -> Vec<usize> {
    assert_eq!(known.len(), dictionary.ncols(), "a label, or none, for each component");
    let features = features(dictionary, activations, stft, sample_rate);
    let named: Vec<_> = (0..known.len()).filter_map(|k| Some((k, known[k]?))).collect();
    let nearest = |k: usize| {
        let distance = |other: usize| features[k].squared(&features[other]);
        let nearest = named.iter().min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
        nearest.map_or(0, |(_, source)| *source)
    };
    (0..known.len()).map(|k| known[k].unwrap_or_else(|| nearest(k))).collect()
}

/// What a component is like, in numbers that a person can use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Description {
    /// Its share in the energy of all components.
    pub energy_share: f64,
    /// Middle of its power spectrum, in Hz.
    pub centroid_hz: f64,
    /// Fundamental frequency in Hz, where its spectrum is that of a harmonic tone.
    pub pitch_hz: Option<f64>,
    /// How often it begins, per second.
    pub onsets_per_s: f64,
}

/// Describes every component.
pub fn describe(factorization: &Factorization, stft: &StftConfig, sample_rate: u32) -> Vec<Description> {
    let pairs: Vec<_> =
        factorization.dictionary.axis_iter(Axis(1)).zip(factorization.activations.outer_iter()).collect();
    let energies = energies(factorization);
    let total = energies.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let describe = |((template, activation), own): (&(ArrayView1<'_, f32>, ArrayView1<'_, f32>), &f64)| {
        let moment: f64 = template
            .iter()
            .enumerate()
            .map(|(bin_idx, x)| stft.bin_hz(bin_idx, sample_rate) * f64::from(*x).powi(2))
            .sum();
        let duration_s = (activation.len() * stft.hop_length) as f64 / f64::from(sample_rate);
        Description {
            energy_share: own / total,
            centroid_hz: moment / energy(*template).max(f64::MIN_POSITIVE),
            pitch_hz: pitch_hz(*template, stft, sample_rate),
            onsets_per_s: n_onsets(*activation) as f64 / duration_s,
        }
    };
    pairs.iter().zip(&energies).map(describe).collect()
}

fn energy(x: ArrayView1<'_, f32>) -> f64 {
    x.iter().map(|x| f64::from(*x).powi(2)).sum()
}

/// The energy of each component: its spectrogram has one entry for each pair, so that it is the product of theirs.
fn energies(factorization: &Factorization) -> Vec<f64> {
    let templates = factorization.dictionary.axis_iter(Axis(1));
    templates.zip(factorization.activations.outer_iter()).map(|(w, h)| energy(w) * energy(h)).collect()
}

/// What a source may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Hits of noise.
    Drums,
    /// Low tones that last.
    Bass,
}

impl Kind {
    /// `drums` or `bass`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drums => "drums",
            Self::Bass => "bass",
        }
    }
}

/// Drums last less, and have more noise: of 45 sources that did on the development items, 31 were mostly drums, of 42 that
/// were to be found.
const DRUMS_LAST: f64 = 0.3;
const DRUMS_NOISE: f64 = 0.2;
/// A bass has half of its energy below this (Hz), and lasts: of 12 sources, 9 were mostly a bass, of 16.
const BASS_HZ: f64 = 200.0;
const BASS_LASTS: f64 = 0.5;

/// What each source may be, where that is likely.
///
/// # Panics
/// If `assignment` has not one source for each component.
pub fn kinds(
    factorization: &Factorization,
    assignment: &[usize],
    stft: &StftConfig,
    sample_rate: u32,
) -> Vec<Option<Kind>> {
    assert_eq!(assignment.len(), factorization.n_components(), "a source for each component");
    let (dictionary, activations) = (factorization.dictionary.view(), factorization.activations.view());
    let energies = energies(factorization);
    let lasts = shares_under(activations, &medians_along_time(activations, stft, sample_rate), Axis(0));
    let radius = radius(NOISE_HZ, stft.bin_hz(1, sample_rate));
    let noise = shares_under(dictionary, &median(dictionary, Axis(0), radius, 0..dictionary.nrows()), Axis(1));
    let loudness: Vec<_> = activations.outer_iter().map(energy).collect();
    let kind = |source: usize| {
        let members: Vec<_> = (0..assignment.len()).filter(|k| assignment[*k] == source).collect();
        let total: f64 = members.iter().map(|k| energies[*k]).sum();
        if total <= 0.0 {
            return None;
        }
        let mean = |x: &[f32]| members.iter().map(|k| f64::from(x[*k]) * energies[*k]).sum::<f64>() / total;
        let spectrum = |bin_idx: usize| {
            let of = |k: &usize| f64::from(dictionary[[bin_idx, *k]]).powi(2) * loudness[*k];
            members.iter().map(of).sum::<f64>()
        };
        let middle = stft.bin_hz(quantile((0..dictionary.nrows()).map(spectrum), 0.5), sample_rate);
        if mean(&lasts) < DRUMS_LAST && mean(&noise) > DRUMS_NOISE {
            Some(Kind::Drums)
        } else if mean(&lasts) > BASS_LASTS && middle < BASS_HZ {
            Some(Kind::Bass)
        } else {
            None
        }
    };
    (0..assignment.iter().max().map_or(0, |last| last + 1)).map(kind).collect()
}

/// The first bin up to which this share of a spectrum lies.
fn quantile(power: impl Iterator<Item = f64> + Clone, share: f64) -> usize {
    let wanted = share * power.clone().sum::<f64>();
    let mut sum = 0.0;
    let is_reached = |x: f64| {
        sum += x;
        sum >= wanted
    };
    power.map(is_reached).position(|is_reached| is_reached).unwrap_or(0)
}

/// Lowest and highest fundamental frequency that is looked for, in Hz: those of a piano's keys but for the highest
/// octave, where there are no harmonics left to tell.
const PITCHES_HZ: (f64, f64) = (27.5, 2093.0);
/// Harmonics that are looked at.
const N_HARMONICS: usize = 20;
/// A comb must hold this share of the energy, and this much more than its share of the bins.
const HARMONIC_SHARE: f64 = 0.7;
const HARMONIC_EXCESS: f64 = 0.3;

/// The fundamental frequency whose harmonics hold most of a template, where they hold enough of it.
fn pitch_hz(template: ArrayView1<'_, f32>, stft: &StftConfig, sample_rate: u32) -> Option<f64> {
    let power: Vec<_> = template.iter().map(|x| f64::from(*x).powi(2)).collect();
    let total: f64 = power.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let bin_hz = stft.bin_hz(1, sample_rate);
    // To a harmonic belongs the main lobe of the window on both sides.
    let lobe = stft.window.half_lobe_bins();
    // What the comb holds more than it would hold of noise.
    let excess = |pitch_hz: f64| {
        let (mut held, mut n_held, mut next) = (0.0, 0, 0);
        for harmonic in 1..=N_HARMONICS {
            let center = harmonic as f64 * pitch_hz / bin_hz;
            let first = ((center - lobe).ceil().max(0.0) as usize).max(next);
            let end = ((center + lobe).floor() as usize + 1).min(power.len());
            if first >= end {
                continue;
            }
            held += power[first..end].iter().sum::<f64>();
            n_held += end - first;
            next = end;
        }
        // Only the bins up to the last harmonic could have been missed.
        let n_bins = ((N_HARMONICS as f64 + 0.5) * pitch_hz / bin_hz).min(power.len() as f64);
        let (share, chance) = (held / total, n_held as f64 / n_bins.max(1.0));
        (share >= HARMONIC_SHARE && share - chance >= HARMONIC_EXCESS).then_some(share - chance)
    };
    let n_steps = (48.0 * (PITCHES_HZ.1 / PITCHES_HZ.0).log2()) as usize;
    let pitches = (0..=n_steps).map(|step| PITCHES_HZ.0 * 2f64.powf(step as f64 / 48.0));
    let found = pitches.filter_map(|pitch_hz| Some((pitch_hz, excess(pitch_hz)?)));
    found.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(pitch_hz, _)| pitch_hz)
}

/// Times that an activation rises above a third of its peak after it was below a sixth.
fn n_onsets(activation: ArrayView1<'_, f32>) -> usize {
    let peak = activation.iter().fold(0.0f32, |peak, x| peak.max(*x));
    let (mut n, mut is_on) = (0, false);
    for x in activation {
        if !is_on && *x > peak / 3.0 {
            (n, is_on) = (n + 1, true);
        } else if *x < peak / 6.0 {
            is_on = false;
        }
    }
    n
}

/// The number of clusters at which the next merge costs most, against the one before. Here all components weigh the same:
/// how many kinds of sound there are is not a matter of how loud they are.
fn natural_count(squared: &Array2<f32>) -> usize {
    let n = squared.nrows();
    let costs = ward_costs(n, |pair| squared[pair].sqrt());
    // Going from `count` clusters to one less is merge number `n - count`.
    let cost = |count: usize| costs.get(n.wrapping_sub(count)).copied().unwrap_or(0.0);
    let gain = |count: usize| cost(count) - cost(count + 1);
    (2..=MOST_SOURCES.min(n)).max_by(|a, b| gain(*a).total_cmp(&gain(*b)).then(b.cmp(a))).unwrap_or(1)
}

/// Follows the merges until `n_clusters` are left, and numbers the clusters in order of their first member.
fn cut(n: usize, n_clusters: usize, merges: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    // Cluster n + i is made by merge i.
    let mut members: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    for (a, b) in merges.take(n - n_clusters.clamp(1, n)) {
        let mut merged = std::mem::take(&mut members[a]);
        merged.append(&mut members[b]);
        members.push(merged);
    }
    members.retain(|cluster| !cluster.is_empty());
    members.sort_by_key(|cluster| cluster.iter().min().copied());
    let mut assignment = vec![0; n];
    for (label, cluster) in members.iter().enumerate() {
        cluster.iter().for_each(|k| assignment[*k] = label);
    }
    assignment
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::nmf::StopReason;

    /// Two low templates that sound together, and two high ones that sound together at other times.
    fn two_pairs() -> Factorization {
        let mut dictionary = Array2::zeros((257, 4));
        let mut activations = Array2::zeros((4, 400));
        for (k, (bin, frames)) in
            [(20, s![0..200]), (120, s![200..400]), (20, s![0..190]), (120, s![200..390])].iter().enumerate()
        {
            dictionary[[*bin, k]] = 1.0;
            activations.row_mut(k).slice_mut(*frames).fill(1.0);
        }
        let (divergence, divergence_curve) = (0.0, vec![(0, 0.0)]);
        Factorization {
            dictionary,
            activations,
            n_iter: 0,
            divergence,
            divergence_curve,
            stop_reason: StopReason::MaxIter,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn components_that_sound_alike_and_together_are_one_source() {
        let parts = two_pairs();
        for n_sources in [Some(2), None] {
            assert_eq!(by_likeness(&parts, &StftConfig::new(512), 16_000, n_sources), [0, 1, 0, 1], "{n_sources:?}");
        }
    }

    #[test]
    fn components_without_a_label_follow_those_that_they_are_like() {
        let parts = two_pairs();
        let follow = |known: &[Option<usize>]| {
            follow(parts.dictionary.view(), parts.activations.view(), &StftConfig::new(512), 16_000, known)
        };
        assert_eq!(follow(&[Some(1), Some(0), None, None]), [1, 0, 1, 0]);
        assert_eq!(follow(&[None, None, Some(0), Some(1)]), [0, 1, 0, 1]);
        assert_eq!(follow(&[Some(2), Some(0), Some(0), Some(1)]), [2, 0, 0, 1], "labels stay");
        assert_eq!(follow(&[None; 4]), [0; 4]);
    }

    #[test]
    fn hits_of_noise_may_be_drums_and_low_tones_a_bass() {
        let (mut dictionary, mut activations) = (Array2::zeros((2049, 4)), Array2::zeros((4, 400)));
        let stft = StftConfig::new(4096);
        // Noise, two partials of a bass, two of a violin, and a low drone that is but a pulse.
        dictionary.column_mut(0).fill(1.0);
        dictionary.slice_mut(s![7..10, 1]).fill(1.0);
        dictionary.slice_mut(s![50..53, 2]).fill(1.0);
        dictionary.slice_mut(s![7..10, 3]).fill(1.0);
        for i in 0..400 {
            for (k, is_on) in [i % 20 == 0, i % 100 < 80, i % 90 < 70, i % 30 < 3].into_iter().enumerate() {
                activations[[k, i]] = if is_on { 1.0f32 } else { 0.0 };
            }
        }
        let parts = Factorization { dictionary, activations, ..two_pairs() };
        let found = kinds(&parts, &[0, 1, 2, 3], &stft, 44_100);
        assert_eq!(found, [Some(Kind::Drums), Some(Kind::Bass), None, None]);
        let silent = Factorization { activations: Array2::zeros((4, 400)), ..parts };
        assert_eq!(kinds(&silent, &[0, 0, 1, 1], &stft, 44_100), [None, None]);
    }

    #[test]
    fn what_hits_and_what_lasts_are_not_one_source() {
        // Three of one color that sound in the same slots: one rings on, two only hit.
        let (mut dictionary, mut activations) = (Array2::zeros((2049, 3)), Array2::zeros((3, 400)));
        for k in 0..3 {
            dictionary.slice_mut(s![90..120, k]).fill(1.0f32);
            for i in 0..400 {
                activations[[k, i]] = if k == 1 || i % 8 == k { 1.0f32 } else { 0.0 };
            }
        }
        let parts = Factorization { dictionary, activations, ..two_pairs() };
        assert_eq!(by_likeness(&parts, &StftConfig::new(4096), 44_100, Some(2)), [0, 1, 0]);
    }

    #[test]
    fn harmonic_templates_have_a_pitch_and_noise_has_none() {
        let stft = StftConfig::new(4096);
        let tone = |pitch_hz: f64, n_harmonics: usize| {
            let mut template = ndarray::Array1::<f32>::zeros(stft.n_bins());
            for harmonic in 1..=n_harmonics {
                let center = (harmonic as f64 * pitch_hz / stft.bin_hz(1, 44_100)).round() as usize;
                template.slice_mut(s![center - 1..=center + 1]).fill(1.0 / harmonic as f32);
            }
            template
        };
        for (pitch, n_harmonics) in [(110.0, 8), (440.0, 10), (1000.0, 4), (196.0, 3)] {
            let found = pitch_hz(tone(pitch, n_harmonics).view(), &stft, 44_100).expect("a pitch");
            // Within half a semitone: steps of a quarter, and bins of 11 Hz.
            assert!((found / pitch).log2().abs() < 1.0 / 24.0, "{found} Hz, expected {pitch} Hz");
        }
        let noise = ndarray::Array1::from_shape_fn(stft.n_bins(), |i| 0.5 + (i * 7919 % 1009) as f32 / 1009.0);
        assert_eq!(pitch_hz(noise.view(), &stft, 44_100), None);
    }

    #[test]
    fn descriptions_hold_share_centroid_and_onsets() {
        let parts = two_pairs();
        let found = describe(&parts, &StftConfig::new(512), 16_000);
        let total: f64 = found.iter().map(|component| component.energy_share).sum();
        assert!((total - 1.0).abs() < 1e-12, "{total}");
        assert_eq!(found[1].centroid_hz, 120.0 * 16_000.0 / 512.0);
        // One beginning in 400 frames of 8 ms.
        assert!((found[1].onsets_per_s - 1.0 / 3.2).abs() < 1e-12, "{:?}", found[1]);
        let beats = ndarray::Array1::from_shape_fn(100, |i| if i % 10 < 3 { 1.0f32 } else { 0.01 });
        assert_eq!(n_onsets(beats.view()), 10);
    }

    #[test]
    fn any_number_of_sources_up_to_that_of_the_components_can_be_had() {
        for n_sources in 1..=4 {
            let assignment = by_likeness(&two_pairs(), &StftConfig::new(512), 16_000, Some(n_sources));
            let mut labels = assignment.clone();
            labels.sort_unstable();
            labels.dedup();
            assert_eq!(labels, (0..n_sources).collect::<Vec<_>>(), "{assignment:?}");
        }
    }
}
