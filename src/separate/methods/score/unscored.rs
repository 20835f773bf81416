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

/// Tied iterations after which a frame keeps [`AT_ONCE`] of them.
const THIN_OUT_AFTER: [usize; 3] = [15, 20, 25];

/// Pitches that sound at once at the most.
const AT_ONCE: usize = 8;

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

/// Whether it is time to [`thin_out`], after so many tied iterations of those that there are.
pub(super) fn is_time_to_thin_out(n_done: usize, is_warm: bool) -> bool {
    if is_warm { n_done == 1 } else { THIN_OUT_AFTER.contains(&n_done) }
}

/// Keeps the strongest of them in a frame.
pub(super) fn thin_out(column: &mut SparseColumn, templates: &[Template], dictionary: &TemplateRows) {
    let is_unscored = |k: usize| matches!(templates[k].kind, Kind::Unscored(_));
    let mut strengths: Vec<_> =
        column.iter().filter(|(k, _)| is_unscored(*k)).map(|(k, h)| (k, h * dictionary.sums()[k])).collect();
    if strengths.len() <= AT_ONCE {
        return;
    }
    strengths.sort_by(|a, b| b.1.total_cmp(&a.1));
    let kept = &strengths[..AT_ONCE];
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
