//! Who plays which pitch when: a factorization whose combs are held to a path for each player.

use std::ops::Range;

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

fn env(name: &str, default: f32) -> f32 {
    std::env::var(name).ok().and_then(|x| x.parse().ok()).unwrap_or(default)
}

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
    let (prior, jump, off, near) = (env("PRIOR", 4.0), env("JUMP", 6.0), env("OFF", 0.6), env("NEAR", 1.0) as usize);
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
            let register: Vec<f32> = ranges[i]
                .clone()
                .map(|pitch| {
                    let beside = (pitch as f32 - player.middle) / STEPS as f32;
                    let spread = player.spread / STEPS as f32 + 5.0;
                    prior * (beside / spread).powi(2) / 2.0
                })
                .collect();
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
