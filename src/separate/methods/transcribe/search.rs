//! Who plays which pitch when: a factorization whose combs are held, more and more, to a path for each player.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, Zip, concatenate, s};
use rayon::prelude::*;

use super::comb::Combs;
use super::path;
use super::player::{Player, levels, likelihoods, trust};
use crate::Result;
use crate::nmf::{Encoder, EncoderConfig};

/// Iterations before the first path, between two, and in all.
const FIRST: usize = 8;
const EVERY: usize = 4;
const TOTAL: usize = 36;

/// The certainty of a line is that of its first paths, when activations are still free to lie beside them.
const SURE_UP_TO: usize = 22;

/// Activations off the path go down by this factor each time, to this share of their mean.
const OFF_PATH: f32 = 0.6;
const LEAST: f32 = 1e-3;

/// What the logarithm of a likelihood counts for: of the shape of what a player has of a frame, and, in the end, of a frame
/// beside the other players.
const WEIGHT: f32 = 5.0;
const LAST_WEIGHT: f32 = 90.0;

/// What was found of a player.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The pitch in each frame, on the grid.
    pub(super) path: Vec<usize>,
    /// The sum of its magnitude in each frame.
    pub(super) level: Vec<f32>,
    /// Share of its activations on the path while they are free to lie beside it.
    pub(super) certainty: f32,
}

/// The templates of a player, and what is known of each.
struct Voice {
    pitches: Range<usize>,
    /// `n_bands` x pitches, and the same one pitch after the other.
    templates: Array2<f32>,
    columns: Array2<f32>,
    /// What each pitch costs.
    register: Vec<f32>,
    /// The rows of the activations.
    rows: Range<usize>,
}

/// Looks for the lines of all players in a run of frames (frames x `n_bins`).
///
/// # References
/// J.-L. Durrieu, G. Richard, B. David and C. Fevotte, "Source/filter model for unsupervised main melody extraction from
/// polyphonic audio signals", IEEE TASLP 18(3), 2010, for combs under an envelope and a path over them.
pub(super) fn search(frames: ArrayView2<'_, f32>, players: &[Player], combs: &Combs) -> Result<Vec<Line>> {
    let v = combs.bands.pool(frames, 1);
    let mut voices: Vec<Voice> = Vec::new();
    for player in players {
        let pitches = player.range();
        let start = voices.last().map_or(0, |voice| voice.rows.end);
        let templates = combs.templates(&player.timbre, pitches.clone());
        let columns = templates.t().as_standard_layout().into_owned();
        let rows = start..start + pitches.len();
        voices.push(Voice { pitches, templates, columns, register: player.register(), rows });
    }
    let mut lines = held(v.view(), &voices)?;
    beside_the_others(v.view(), &voices, &mut lines);
    for (line, voice) in lines.iter_mut().zip(&voices) {
        line.path.iter_mut().for_each(|pitch| *pitch += voice.pitches.start);
    }
    Ok(lines)
}

/// The lines by a factorization that is held to them; paths count from the first pitch of each voice.
fn held(v: ArrayView2<'_, f32>, voices: &[Voice]) -> Result<Vec<Line>> {
    let templates: Vec<_> = voices.iter().map(|voice| voice.templates.view()).collect();
    let dictionary = concatenate(Axis(1), &templates).expect("templates of one grid have the same bands");
    let config = EncoderConfig { max_iter: FIRST, ..EncoderConfig::default() };
    let encoder = Encoder::new(dictionary.view(), &config)?;
    let mut activations = encoder.encode(v.t())?;
    let loud = levels(v).1 / voices.len() as f32;
    let mut lines: Vec<Line> = voices.iter().map(|_| Line { certainty: 1.0, ..Line::default() }).collect();
    for n_done in (FIRST..TOTAL).step_by(EVERY) {
        let shares = shares(v, voices, activations.view());
        for ((voice, line), share) in voices.iter().zip(&mut lines).zip(&shares) {
            let mut likely = likelihoods(share.view(), voice.templates.view());
            let level = share.sum_axis(Axis(1));
            for (mut row, level) in likely.outer_iter_mut().zip(&level) {
                let weight = WEIGHT * trust(*level, loud);
                row.iter_mut().zip(&voice.register).for_each(|(x, cost)| *x = weight * *x - cost);
            }
            line.path = path::best(likely.view());
            let mut own = activations.slice_mut(s![voice.rows.clone(), ..]);
            let (mut on_path, mut sum) = (0.0, 0.0);
            for ((pitch, level), mut column) in line.path.iter().zip(&level).zip(own.columns_mut()) {
                let least = LEAST * level / voice.pitches.len() as f32;
                sum += column.sum();
                for (k, x) in column.iter_mut().enumerate() {
                    if k.abs_diff(*pitch) <= 1 {
                        on_path += *x;
                    } else {
                        *x = (*x * OFF_PATH).max(least);
                    }
                }
            }
            if n_done < SURE_UP_TO {
                line.certainty = on_path / sum.max(f32::MIN_POSITIVE);
            }
        }
        activations = encoder.encode_from(v.t(), activations, EVERY)?;
    }
    for (line, share) in lines.iter_mut().zip(shares(v, voices, activations.view())) {
        line.level = share.sum_axis(Axis(1)).to_vec();
    }
    Ok(lines)
}

/// What each voice has of the sound, frames x bands: the shares of its model.
fn shares(v: ArrayView2<'_, f32>, voices: &[Voice], activations: ArrayView2<'_, f32>) -> Vec<Array2<f32>> {
    let model = |voice: &Voice| activations.slice(s![voice.rows.clone(), ..]).t().dot(&voice.columns);
    let mut models: Vec<Array2<f32>> = voices.par_iter().map(model).collect();
    let mut sum = Array2::<f32>::zeros(v.raw_dim());
    models.iter().for_each(|model| sum += model);
    for model in &mut models {
        Zip::from(model).and(&sum).and(&v).for_each(|x, sum, v| *x *= v / sum.max(f32::MIN_POSITIVE));
    }
    models
}

/// Each line once more, one player after the other, by what each of its pitches explains beside the lines of the others.
fn beside_the_others(v: ArrayView2<'_, f32>, voices: &[Voice], lines: &mut [Line]) {
    let (level, loud) = levels(v);
    for (own, voice) in voices.iter().enumerate() {
        let gains: Vec<(Vec<f32>, Vec<f32>)> = (v.outer_iter().into_par_iter().enumerate())
            .map(|(t, frame)| {
                let mut rest = vec![1e-6 * level[t] / frame.len() as f32 + f32::MIN_POSITIVE; frame.len()];
                for (other, line) in lines.iter().enumerate().filter(|(other, _)| *other != own) {
                    let template = voices[other].columns.row(line.path[t]);
                    rest.iter_mut().zip(template).for_each(|(x, w)| *x += line.level[t] * w);
                }
                let frame = frame.to_vec();
                let start = lines[own].level[t].max(0.05 * level[t]).max(f32::MIN_POSITIVE);
                let explained = |template: ArrayView2<'_, f32>| {
                    template.outer_iter().map(|w| explained(&frame, &rest, w.to_slice().unwrap_or(&[]), start)).unzip()
                };
                explained(voice.columns.view())
            })
            .collect();
        let weigh = |(t, pitch): (usize, usize)| {
            LAST_WEIGHT * gains[t].0[pitch] / (level[t] + 0.15 * loud) - voice.register[pitch]
        };
        let line = &mut lines[own];
        line.path = path::best(Array2::from_shape_fn((v.nrows(), voice.pitches.len()), weigh).view());
        line.level = line.path.iter().zip(&gains).map(|(pitch, gain)| gain.1[*pitch]).collect();
    }
}

/// By how much the divergence from a frame to what the others play of it goes down where a template is added with the gain
/// that suits it best, and that gain.
fn explained(frame: &[f32], rest: &[f32], template: &[f32], start: f32) -> (f32, f32) {
    /// Multiplicative updates of a single gain: it is near after these.
    const ITERATIONS: usize = 3;
    let mut gain = start;
    for _ in 0..ITERATIONS {
        let ratio = |((v, rest), w): ((&f32, &f32), &f32)| v * w / (rest + gain * w);
        gain *= frame.iter().zip(rest).zip(template).map(ratio).sum::<f32>();
    }
    let log = |((v, rest), w): ((&f32, &f32), &f32)| v * (1.0 + gain * w / rest).ln();
    (frame.iter().zip(rest).zip(template).map(log).sum::<f32>() - gain, gain)
}
