//! Components into sources, by likeness of their spectra and of their activations.
//! Without knowledge this is a suggestion: nothing in a component says which instrument it belongs to.

use kodama::{Method, linkage};
use ndarray::{Array1, ArrayView1, Axis};

use crate::nmf::Factorization;
use crate::stft::StftConfig;

/// Bands of a template's envelope: about three per octave from 40 Hz to 20 kHz, so that the pitch does not matter and
/// the color does.
const N_BANDS: usize = 28;
/// Lowest band edge, in Hz.
const LOWEST_HZ: f64 = 40.0;
/// Activations are compared over slots of this length, so that a note's start need not be the same to the frame.
const SLOT_S: f64 = 0.1;
/// Weight of the likeness of activations against that of spectra.
const ACTIVATION_WEIGHT: f32 = 1.0;
/// Most sources that are suggested where nobody says how many there are.
const MOST_SOURCES: usize = 6;

/// The source of each component, from 0: hierarchical clustering by Ward's criterion into `n_sources` groups, or into
/// as many as the components fall into by themselves (2 to 6).
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
    let features: Vec<_> = (0..n_components)
        .map(|k| {
            let template = factorization.dictionary.column(k);
            let activation = factorization.activations.row(k);
            let slot = (SLOT_S * f64::from(sample_rate) / stft.hop_length as f64).round().max(1.0) as usize;
            (envelope(template, stft, sample_rate), unit(slots(activation, slot)))
        })
        .collect();
    let mut distances = Vec::with_capacity(n_components * n_components.saturating_sub(1) / 2);
    for (i, (spectrum, activation)) in features.iter().enumerate() {
        for (other_spectrum, other_activation) in &features[i + 1..] {
            let squared =
                (1.0 - spectrum.dot(other_spectrum)) + ACTIVATION_WEIGHT * (1.0 - activation.dot(other_activation));
            distances.push(squared.max(0.0).sqrt());
        }
    }
    let dendrogram = linkage(&mut distances, n_components, Method::Ward);
    let steps = dendrogram.steps();
    let n_sources = n_sources.unwrap_or_else(|| {
        let heights: Vec<_> = steps.iter().map(|step| step.dissimilarity).collect();
        natural_count(&heights)
    });
    cut(n_components, n_sources, steps.iter().map(|step| (step.cluster1, step.cluster2)))
}

/// The number of clusters at which the next merge costs most, against the one before.
fn natural_count(heights: &[f32]) -> usize {
    let n = heights.len() + 1;
    // Going from `count` clusters to one less is merge number `n - count`.
    let cost = |count: usize| heights.get(n.wrapping_sub(count)).copied().unwrap_or(0.0);
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

/// Energy of a template in bands of equal width in octaves, compressed as loudness is, with unit norm.
fn envelope(template: ArrayView1<'_, f32>, stft: &StftConfig, sample_rate: u32) -> Array1<f32> {
    let nyquist = f64::from(sample_rate) / 2.0;
    let octaves = (nyquist / LOWEST_HZ).log2().max(1.0);
    let mut bands = Array1::<f32>::zeros(N_BANDS);
    for (bin_idx, x) in template.iter().enumerate() {
        let place = (stft.bin_hz(bin_idx, sample_rate).max(LOWEST_HZ) / LOWEST_HZ).log2() / octaves;
        bands[((place * N_BANDS as f64) as usize).min(N_BANDS - 1)] += x * x;
    }
    // The cube root of energy is close to loudness (Stevens's law has an exponent of 0.3).
    unit(bands.mapv(f32::cbrt))
}

/// Root of the mean activation in slots of some frames.
fn slots(activation: ArrayView1<'_, f32>, frames: usize) -> Array1<f32> {
    activation.axis_chunks_iter(Axis(0), frames).map(|slot| slot.mean().unwrap_or(0.0).sqrt()).collect()
}

fn unit(x: Array1<f32>) -> Array1<f32> {
    let norm = x.dot(&x).sqrt();
    if norm > 0.0 { x / norm } else { x }
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
