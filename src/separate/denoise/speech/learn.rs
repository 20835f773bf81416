//! How the shipped envelopes are learned; `examples/learn_speech_envelopes.rs` calls it.
//! Not part of any separation.

use ndarray::{Array2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{TINY, bumps, n_bins, normalize, ratio, sources};
use crate::stft::Stft;
use crate::{Audio, Result, StftConfig};

/// Rounds of clustering that the envelopes start from.
const CLUSTER_ITERATIONS: usize = 12;

/// Iterations of the fit.
const FIT_ITERATIONS: usize = 20;

/// Frames of less than this share of a voice's 95th percentile are pauses.
const PAUSE_SHARE: f32 = 0.02;

/// Only every so many frames are used: neighbors overlap.
const STRIDE: usize = 10;

/// Learns `n_envelopes` filters of `n_bumps` coefficients from voices without noise, all at one sample rate.
///
/// The model is that of a separation without noise, and the coefficients are free as well. It starts from clusters of
/// frames in bump energies (k-means under the Kullback-Leibler divergence).
///
/// # Errors
/// Those of [`Stft::new`].
#[doc(hidden)]
pub fn learn_envelopes(voices: &[Audio], n_envelopes: usize, n_bumps: usize, seed: u64) -> Result<Array2<f32>> {
    let Some(first) = voices.first() else { return Ok(Array2::zeros((n_envelopes, n_bumps))) };
    let sample_rate = first.sample_rate();
    let config = StftConfig::nearest(sample_rate, super::super::WINDOW_S);
    let stft = Stft::new(config)?;
    let n_bins = n_bins(&config, sample_rate);
    let mut frames = Vec::new();
    for voice in voices {
        let magnitude = stft.magnitude(voice.samples());
        let sums = magnitude.sum_axis(Axis(1));
        let mut sorted = sums.to_vec();
        sorted.sort_by(f32::total_cmp);
        let threshold = PAUSE_SHARE * sorted[sorted.len() * 95 / 100];
        let loud = (0..sums.len()).filter(|i| sums[*i] > threshold).step_by(STRIDE);
        // Loud frames count by the root of their level, and all voices alike.
        frames.extend(loud.map(|i| magnitude.row(i).mapv(|x| x / (sums[i] * threshold).sqrt())));
    }
    let mut v = Array2::zeros((frames.len(), n_bins));
    v.outer_iter_mut().zip(&frames).for_each(|(mut row, frame)| row.assign(&frame.slice(ndarray::s![..n_bins])));

    let (sources, bumps) = (sources(&config, sample_rate, n_bins), bumps(&config, sample_rate, n_bins, n_bumps));
    let (mut g, mut b) = clusters(&v.dot(&bumps.t()), n_envelopes, seed);
    g /= &bumps.sum_axis(Axis(1));
    let mut a = Array2::from_elem((v.nrows(), sources.nrows()), 1.0 / sources.nrows() as f32);
    let none = Array2::zeros(v.raw_dim());
    for _ in 0..FIT_ITERATIONS {
        let mut envelopes = g.dot(&bumps);
        let sums = envelopes.sum_axis(Axis(1));
        envelopes /= &sums.view().insert_axis(Axis(1));
        g /= &sums.view().insert_axis(Axis(1));
        b *= &sums;

        let filter = b.dot(&envelopes);
        let source = a.dot(&sources);
        let fit = ratio(v.view(), &source, &filter, &none) * &filter;
        a *= &(fit.dot(&sources.t()) / (filter.dot(&sources.t()) + TINY));
        let sums = (a.sum_axis(Axis(1)) + TINY).insert_axis(Axis(1));
        a /= &sums;
        b *= &sums;

        let source = a.dot(&sources);
        let filter = b.dot(&envelopes);
        let fit = ratio(v.view(), &source, &filter, &none) * &source;
        b *= &(fit.dot(&envelopes.t()) / (source.dot(&envelopes.t()) + TINY));

        let filter = b.dot(&envelopes);
        let fit = ratio(v.view(), &source, &filter, &none) * &source;
        g *= &(b.t().dot(&fit).dot(&bumps.t()) / (b.t().dot(&source).dot(&bumps.t()) + TINY));
    }
    let mut envelopes = g.dot(&bumps);
    let sums = envelopes.sum_axis(Axis(1)).insert_axis(Axis(1));
    normalize(&mut envelopes);
    Ok(g / sums)
}

/// k-means of rows under the Kullback-Leibler divergence: the centers, and activations that begin near them.
fn clusters(energies: &Array2<f32>, n_clusters: usize, seed: u64) -> (Array2<f32>, Array2<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = energies.clone();
    normalize(&mut rows);
    let n_rows = rows.nrows();
    let mut centers = Array2::from_elem((n_clusters, rows.ncols()), 0.0);
    for mut center in centers.outer_iter_mut() {
        center.assign(&rows.row(rng.random_range(0..n_rows)));
        center += 1e-4;
    }
    let mut members = vec![0; n_rows];
    for _ in 0..CLUSTER_ITERATIONS {
        normalize(&mut centers);
        let likelihoods = rows.dot(&centers.mapv(f32::ln).t());
        for (member, likelihoods) in members.iter_mut().zip(likelihoods.outer_iter()) {
            let best = (0..n_clusters).max_by(|a, b| likelihoods[*a].total_cmp(&likelihoods[*b]));
            *member = best.unwrap_or(0);
        }
        for (cluster, mut center) in centers.outer_iter_mut().enumerate() {
            let own: Vec<_> = (0..n_rows).filter(|row| members[*row] == cluster).collect();
            let mean = rows.select(Axis(0), &own).mean_axis(Axis(0));
            center.assign(&mean.unwrap_or_else(|| rows.row(rng.random_range(0..n_rows)).to_owned()));
            center += 1e-5;
        }
    }
    let mut activations = Array2::from_elem((n_rows, n_clusters), 1e-2);
    members.iter().enumerate().for_each(|(row, cluster)| activations[[row, *cluster]] = 1.0);
    (centers, activations)
}
