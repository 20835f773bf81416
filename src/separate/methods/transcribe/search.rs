//! Who plays which pitch when: a factorization whose combs are held to a path for each player.

use std::ops::Range;

use rayon::prelude::*;
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};

use super::comb::{Combs, STEPS};
use super::path;
use super::player::{Player, WEIGHT, likelihoods};
use crate::Result;
use crate::nmf::{Encoder, EncoderConfig};

/// What was found of each player.
#[derive(Debug)]
pub(super) struct Line {
    /// The pitch in each frame.
    pub(super) path: Vec<usize>,
    /// The magnitude on the path in each frame.
    pub(super) level: Vec<f32>,
    /// Share of its sound that lies on the path before the last rounds hold it there.
    pub(super) certainty: f32,
}

use super::env;

/// Looks for the paths of all players in a run of frames (frames x `n_bins`).
pub(super) fn search(frames: ArrayView2<'_, f32>, players: &[&Player], combs: &Combs) -> Result<Vec<Line>> {
    let v = combs.bands.pool(frames, 1);
    let ranges: Vec<Range<usize>> = players.iter().map(|player| player.range()).collect();
    let templates: Vec<_> =
        players.iter().zip(&ranges).map(|(player, range)| combs.templates(&player.timbre, range.clone())).collect();
    let views: Vec<_> = templates.iter().map(|part| part.view()).collect();
    let dictionary = concatenate(Axis(1), &views).expect("templates of one grid have the same bands");
    let cost = env("COST", 0.15);
    let encoder = Encoder::new(
        dictionary.view(),
        &EncoderConfig { costs: Some(Array1::from_elem(dictionary.ncols(), cost)), ..EncoderConfig::default() },
    )?;
    let mut rows = Vec::new();
    let mut start = 0;
    for range in &ranges {
        rows.push(start..start + range.len());
        start += range.len();
    }
    let n_frames = v.nrows();
    let mut activations = Array2::zeros((dictionary.ncols(), n_frames));
    for (mut column, frame) in activations.columns_mut().into_iter().zip(v.outer_iter()) {
        column.fill(frame.sum() / dictionary.ncols() as f32);
    }
    let first = env("FIRST", 8.0) as usize;
    let every = env("EVERY", 3.0) as usize;
    let total = env("TOTAL", 60.0) as usize;
    let (prior, jump, off, near) = (env("PRIOR", 12.0), env("JUMP", 6.0), env("OFF", 0.6), env("NEAR", 1.0) as usize);
    activations = encoder.encode_from(v.t(), activations, first)?;
    let mut done = first;
    let mut paths = vec![Vec::new(); players.len()];
    let mut certainty = vec![1.0f32; players.len()];
    while done < total {
        let attributed = attribute(v.view(), &views, &rows, activations.view());
        let (_, reference) = super::player::levels(v.view());
        let reference = reference / players.len() as f32;
        for (i, player) in players.iter().enumerate() {
            let mut likely = likelihoods(attributed[i].view(), templates[i].view());
            let level = attributed[i].sum_axis(Axis(1));
            let register = register_of(player, &ranges[i], prior);
            for (mut row, level) in likely.outer_iter_mut().zip(&level) {
                let n = env("WEIGHT", 8.0) * level / (level + 0.15 * reference);
                for (x, register) in row.iter_mut().zip(&register) {
                    *x = n * *x - register;
                }
            }
            let path = path::best(likely.view(), jump);
            let mut part = activations.slice_mut(s![rows[i].clone(), ..]);
            let (mut on, mut sum) = (0.0, 0.0);
            for (t, pitch) in path.iter().enumerate() {
                for (k, x) in part.column_mut(t).iter_mut().enumerate() {
                    sum += *x;
                    if k.abs_diff(*pitch) > near {
                        *x = (*x * off).max(1e-3 * level[t] / ranges[i].len() as f32);
                    } else {
                        on += *x;
                    }
                }
            }
            if paths[i].is_empty() || done < total / 2 {
                certainty[i] = on / sum.max(f32::MIN_POSITIVE);
            }
            paths[i] = path;
        }
        activations = encoder.encode_from(v.t(), activations, every)?;
        done += every;
    }
    let _ = WEIGHT;
    let n_rounds = env("ROUNDS", 0.0) as usize;
    if n_rounds > 0 {
        let attributed = attribute(v.view(), &views, &rows, activations.view());
        let mut gains: Vec<Vec<f32>> = attributed.iter().map(|a| a.sum_axis(Axis(1)).to_vec()).collect();
        let columns: Vec<Array2<f32>> = templates.iter().map(|w| w.t().as_standard_layout().into_owned()).collect();
        let (levels, reference) = super::player::levels(v.view());
        for _ in 0..n_rounds {
            for i in 0..players.len() {
                let register = register_of(players[i], &ranges[i], prior);
                let scored: Vec<(Vec<f32>, Vec<f32>)> = (0..n_frames)
                    .into_par_iter()
                    .map(|t| {
                        let mut rest = vec![1e-6 * levels[t] / v.ncols() as f32 + 1e-12; v.ncols()];
                        for other in (0..players.len()).filter(|other| *other != i) {
                            let w = columns[other].row(paths[other][t]);
                            rest.iter_mut().zip(w).for_each(|(x, w)| *x += gains[other][t] * w);
                        }
                        let frame = v.row(t);
                        let frame = frame.as_slice().unwrap_or_default();
                        let mut score = Vec::with_capacity(ranges[i].len());
                        let mut best_gain = Vec::with_capacity(ranges[i].len());
                        for w in columns[i].outer_iter() {
                            let w = w.to_slice().unwrap_or_default();
                            let mut gain = gains[i][t].max(0.05 * levels[t]).max(1e-9);
                            for _ in 0..3 {
                                let mut sum = 0.0f32;
                                for ((v, rest), w) in frame.iter().zip(&rest).zip(w) {
                                    sum += v * w / (rest + gain * w);
                                }
                                gain *= sum;
                            }
                            let mut delta = -gain;
                            for ((v, rest), w) in frame.iter().zip(&rest).zip(w) {
                                delta += v * (1.0 + gain * w / rest).ln();
                            }
                            score.push(delta);
                            best_gain.push(gain);
                        }
                        let n = env("W2", 30.0) / (levels[t] + 0.15 * reference);
                        score.iter_mut().zip(&register).for_each(|(x, r)| *x = n * *x - r);
                        (score, best_gain)
                    })
                    .collect();
                let likely = Array2::from_shape_fn((n_frames, ranges[i].len()), |(t, k)| scored[t].0[k]);
                paths[i] = path::best(likely.view(), jump);
                for t in 0..n_frames {
                    gains[i][t] = scored[t].1[paths[i][t]];
                }
            }
        }
        return Ok(paths
            .into_iter()
            .enumerate()
            .map(|(i, path)| Line {
                path: path.iter().map(|pitch| pitch + ranges[i].start).collect(),
                level: gains[i].clone(),
                certainty: certainty[i],
            })
            .collect());
    }
    let attributed = attribute(v.view(), &views, &rows, activations.view());
    Ok(paths
        .into_iter()
        .enumerate()
        .map(|(i, path)| Line {
            path: path.iter().map(|pitch| pitch + ranges[i].start).collect(),
            level: attributed[i].sum_axis(Axis(1)).to_vec(),
            certainty: certainty[i],
        })
        .collect())
}

/// What a pitch costs that lies beside the register of the player.
fn register_of(player: &Player, range: &Range<usize>, prior: f32) -> Vec<f32> {
    let cost = |pitch: usize| {
        let beside = (pitch as f32 - player.middle) / STEPS as f32;
        let spread = player.spread / STEPS as f32 + env("WIDEN", 5.0);
        prior * (beside / spread).powi(2) / 2.0
    };
    range.clone().map(cost).collect()
}

/// What the templates of each player explain of the sound: frames x bands.
fn attribute(
    v: ArrayView2<'_, f32>,
    templates: &[ArrayView2<'_, f32>],
    rows: &[Range<usize>],
    activations: ArrayView2<'_, f32>,
) -> Vec<Array2<f32>> {
    let models: Vec<Array2<f32>> =
        templates.iter().zip(rows).map(|(w, rows)| activations.slice(s![rows.clone(), ..]).t().dot(&w.t())).collect();
    let mut sum = Array2::<f32>::zeros(v.raw_dim());
    models.iter().for_each(|model| sum += model);
    models
        .into_iter()
        .map(|mut model| {
            ndarray::Zip::from(&mut model).and(&sum).and(&v).for_each(|m, sum, v| *m *= v / sum.max(f32::MIN_POSITIVE));
            model
        })
        .collect()
}
