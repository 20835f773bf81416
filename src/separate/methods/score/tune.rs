//! Where the harmonics of each part lie: the tuning of its instrument, learned from the recording.

use ndarray::Array2;
use rayon::prelude::*;

use super::comb::{Tuning, comb, draw};
use super::grid::{Grid, N_BUMPS};
use super::template::{Kind, Template};
use crate::knowledge::score::Score;

/// Finds where the harmonics of each part lie, and narrows their range to there: one width for all of its pitches, and
/// centers that differ by little.
///
/// It is the maximization step of expectation-maximization, over a grid: `attributed`, templates x bins, is what the
/// templates explain by now, and of all combs the most likely one, with whatever gain, has the largest sum over f of
/// `E[f] ln(W[f] / sum(W))`. A pitch of which nothing was heard is tuned as the others are, and a part of which nothing
/// was heard not at all.
pub(super) fn tune(
    score: &Score,
    templates: &[Template],
    tunings: &mut [Tuning],
    envelopes: &[[f32; N_BUMPS]],
    attributed: &Array2<f32>,
    grid: &Grid,
) {
    /// Half widths that are tried, in semitones: vibrato, and a voice or a section that is not of one mind.
    const HALF_WIDTHS: [f64; 3] = [0.1, 0.15, 0.2];
    /// Centers that are tried: this far from the nominal place on both sides, in steps of [`STEP`] semitones.
    const N_STEPS: i32 = 7;
    const STEP: f64 = 0.05;
    /// Pitches of one instrument differ by this much in tuning, in semitones.
    const SPREAD: f64 = 0.1;
    /// What lies between harmonics counts as this share of the mean, so that noise rules nothing out.
    const FLOOR: f64 = 1e-2;
    let candidates: Vec<_> = HALF_WIDTHS
        .into_iter()
        .flat_map(|half_width| (-N_STEPS..=N_STEPS).map(move |i| Tuning { center: f64::from(i) * STEP, half_width }))
        .collect();
    let likelihoods: Vec<Vec<f64>> = templates
        .par_iter()
        .enumerate()
        .map(|(k, t)| {
            let Kind::Pitch(pitch) = t.kind else { return vec![0.0; candidates.len()] };
            let explained = attributed.row(k);
            let mut drawn = vec![0.0; explained.len()];
            let likelihood = |tuning: &Tuning| {
                draw(&comb(score.parts[t.voice].class, pitch, *tuning, grid), &envelopes[t.voice], &mut drawn);
                let sum = drawn.iter().map(|x| f64::from(*x)).sum::<f64>().max(f64::MIN_POSITIVE);
                let floor = FLOOR * sum / drawn.len() as f64;
                let log = |(e, w): (&f32, &f32)| f64::from(*e) * (f64::from(*w).max(floor) / sum).ln();
                explained.iter().zip(&drawn).map(log).sum()
            };
            candidates.iter().map(likelihood).collect()
        })
        .collect();
    for part_idx in 0..score.parts.len() {
        let pitches = || templates.iter().enumerate().filter(|(_, template)| template.voice == part_idx);
        let is_heard = |k: usize| attributed.row(k).iter().any(|x| *x > 0.0);
        if !pitches().any(|(k, _)| is_heard(k)) {
            continue;
        }
        let together = |c: usize| pitches().map(|(k, _)| likelihoods[k][c]).sum::<f64>();
        let totals: Vec<_> = (0..candidates.len()).map(together).collect();
        let best = (0..candidates.len()).max_by(|a, b| totals[*a].total_cmp(&totals[*b])).unwrap_or(0);
        let common = candidates[best];
        let is_near = |c: &usize| {
            let Tuning { center, half_width } = candidates[*c];
            half_width == common.half_width && (center - common.center).abs() < SPREAD + STEP / 2.0
        };
        for (k, t) in pitches() {
            if !matches!(t.kind, Kind::Pitch(_)) {
                continue;
            }
            let near = (0..candidates.len()).filter(|c| is_near(c) && is_heard(k));
            let own = near.max_by(|a, b| likelihoods[k][*a].total_cmp(&likelihoods[k][*b])).unwrap_or(best);
            tunings[k] = candidates[own];
        }
    }
}
