//! Pitches that no note of the score has: a comb for each, in every frame, under one envelope of all. They cost more than
//! notes do, so that they take what notes cannot explain: an instrument that the score lacks.

use std::ops::RangeInclusive;

use super::template::{Kind, Template};
use crate::knowledge::score::{Class, Score};
use crate::nmf::support::{SparseColumn, TemplateRows};

/// From the lowest C of a piano to three octaves above middle C.
const PITCHES: RangeInclusive<u8> = 24..=96;

/// What they cost, as a share of what they explain.
pub(super) const COST: f32 = 1.0;

/// Tied iterations after which a frame keeps so many of them at the most: at last as many as may sound at once.
const THIN_OUT_AFTER: [(usize, usize); 5] = [(5, 32), (10, 16), (15, 8), (20, 8), (25, 8)];

/// Where they explain less than this share of the model, the score lacks nothing.
const LEAST_SHARE: f64 = 0.115;

/// One template for each pitch, active in all frames.
pub(super) fn templates(voice: usize, n_frames: usize) -> impl Iterator<Item = Template> {
    PITCHES.map(move |pitch| Template {
        voice,
        kind: Kind::Unscored(pitch),
        spans: std::iter::once(0..n_frames).collect(),
        onsets: Vec::new(),
    })
}

/// How many of them a frame keeps after so many tied iterations of those that there are.
pub(super) fn kept_after(n_done: usize, is_warm: bool) -> Option<usize> {
    let [.., (_, at_once)] = THIN_OUT_AFTER;
    match is_warm {
        true => (n_done == 1).then_some(at_once),
        false => THIN_OUT_AFTER.iter().find(|(after, _)| *after == n_done).map(|(_, n)| *n),
    }
}

/// Keeps the `n` strongest of them in a frame.
pub(super) fn thin_out(column: &mut SparseColumn, n: usize, templates: &[Template], dictionary: &TemplateRows) {
    let is_unscored = |k: usize| matches!(templates[k].kind, Kind::Unscored(_));
    let mut strengths: Vec<_> =
        column.iter().filter(|(k, _)| is_unscored(*k)).map(|(k, h)| (k, h * dictionary.sums()[k])).collect();
    if strengths.len() <= n {
        return;
    }
    strengths.sort_by(|a, b| b.1.total_cmp(&a.1));
    let kept = &strengths[..n];
    let is_kept = |k: usize| !is_unscored(k) || kept.iter().any(|(other, _)| *other == k);
    let (components, activations) = column.iter().filter(|(k, _)| is_kept(*k)).map(|(k, h)| (k as u32, h)).unzip();
    *column = SparseColumn { components, activations };
}

/// Whether the score lacks something, by what these templates explain. Where it has percussion they may explain little and
/// still be needed, for what lacks can hit, too.
pub(super) fn are_needed(
    score: &Score,
    columns: &[SparseColumn],
    templates: &[Template],
    dictionary: &TemplateRows,
) -> bool {
    let mut explained = (0.0, 0.0);
    for (k, h) in columns.iter().flat_map(SparseColumn::iter) {
        let amount = f64::from(h) * f64::from(dictionary.sums()[k]);
        explained.1 += amount;
        if matches!(templates[k].kind, Kind::Unscored(_)) {
            explained.0 += amount;
        }
    }
    score.parts.iter().any(|part| part.class == Class::Percussion) || explained.0 >= LEAST_SHARE * explained.1
}
