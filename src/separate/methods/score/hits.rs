//! Drums that the score lacks: where percussion rises above all that its notes explain, and often enough so where it has no
//! drum, one of its drums is missing.

use ndarray::ArrayView2;

use super::grid::Grid;
use super::percussion::Percussion;
use super::template::{Kind, Template};
use crate::separate::methods::peaks::peaks;

/// They are looked for after so many tied iterations: notes explain most of what they can, and drums have not yet taken in
/// what is not theirs.
pub(super) const LOOK_AFTER: usize = 10;

/// What they are looked for as: bass drum, snare and ride cymbal, by their notes in General MIDI.
const LIKE: [u8; 3] = [36, 38, 51];

/// A hit rises within so many frames,
const RISE: usize = 2;
/// by this share of the whole spectrum there, in the drum's range,
const LEAST_SHARE: f64 = 0.2;
/// and by this share of the steepest rise.
const LEAST_OF_STEEPEST: f32 = 0.2;

/// Hits are at least so far apart, in seconds.
const APART_S: f64 = 0.07;

/// So near to a hit of the score one is no other, in seconds.
const SAME_S: f64 = 0.06;

/// A drum is missing where so many hits are no hits of the score, for each of those that it has; and there are so many hits.
const MISSING: f64 = 0.15;
const LEAST_HITS: usize = 3;

/// The drums that are missing, by what they are like, and the frames of their hits.
///
/// `excess`, frames x bins, is how much the recording `v`, on the same scale, exceeds the model. Of each row `frames` has the frame.
pub(super) fn find(
    templates: &[Template],
    excess: ArrayView2<'_, f32>,
    v: impl Fn(usize, usize) -> f32,
    frames: &[usize],
    percussion: &Percussion<'_>,
) -> Vec<(u8, Vec<usize>)> {
    let grid = percussion.grid;
    let is_drum = |template: &&Template| matches!(template.kind, Kind::Drum { .. });
    let mut scored: Vec<_> = templates.iter().filter(is_drum).flat_map(|template| &template.onsets).copied().collect();
    scored.sort_unstable();
    scored.dedup();
    let same = (SAME_S / grid.hop_s()).round() as usize;
    let is_new = |frame: usize| {
        let next = scored.partition_point(|onset| onset + same < frame);
        scored.get(next).is_none_or(|onset| onset.abs_diff(frame) > same)
    };
    let mut missing = Vec::new();
    for like in LIKE {
        let hits = hits(percussion.gains(like), excess, &v, frames, grid);
        let n_new = hits.iter().filter(|frame| is_new(**frame)).count();
        if hits.len() >= LEAST_HITS && n_new as f64 >= MISSING * scored.len() as f64 && n_new > 0 {
            missing.push((like, hits));
        }
    }
    missing
}

/// The frames in which the excess rises most, weighted by `gains`.
fn hits(
    gains: &[f64],
    excess: ArrayView2<'_, f32>,
    v: impl Fn(usize, usize) -> f32,
    frames: &[usize],
    grid: &Grid,
) -> Vec<usize> {
    let mut rises = vec![0.0f32; frames.len()];
    let mut shares = vec![0.0; frames.len()];
    for row in RISE..frames.len() {
        if frames[row] != frames[row - RISE] + RISE {
            continue;
        }
        let (mut rise, mut whole) = (0.0, 0.0);
        for (bin, gain) in gains.iter().enumerate() {
            rise += f64::from((excess[[row, bin]] - excess[[row - RISE, bin]]).max(0.0)) * gain;
            whole += f64::from(v(row, bin)) * gain;
        }
        rises[row] = rise as f32;
        shares[row] = if whole > 0.0 { rise / whole } else { 0.0 };
    }
    let apart = (APART_S / grid.hop_s()).round() as usize;
    let steepest = peaks(&rises, apart, LEAST_OF_STEEPEST);
    steepest.into_iter().filter(|row| shares[*row] > LEAST_SHARE).map(|row| frames[row]).collect()
}
