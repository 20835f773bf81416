//! The columns of the dictionary: which pitches, attacks and drums there are, and when each may be active.

use std::ops::Range;

use ndarray::ArrayView2;

use super::grid::Grid;
use crate::knowledge::score::{Class, Note, Part};
use crate::nmf::support::SparseColumn;

/// Notes may start this much before the score says, and sound on this much after their end.
const BEFORE_S: f64 = 0.05;
const AFTER_S: f64 = 0.15;

/// The noise of a hammer or a pick lasts this long.
const ATTACK_S: f64 = 0.06;

/// What is not in the score starts from this, and notes from 1.
const UNSCORED_START: f32 = 0.01;

/// One column of the dictionary, and where it may be active.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// The part that it is of, in one of the ways in which that is played.
    pub(super) voice: usize,
    pub(super) kind: Kind,
    /// Frames of the recording, apart and in order.
    pub(super) spans: Vec<Range<usize>>,
    /// Frames at which its notes start, in order.
    pub(super) onsets: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A pitch of an instrument.
    Pitch(u8),
    /// The attacks of a struck instrument.
    Attack,
    /// A drum, in one frame of its hits.
    Drum { pitch: u8, lag: u8 },
    /// A pitch that no note of the score has there.
    Unscored(u8),
    /// What neither explains.
    Residual,
}

impl Template {
    fn new(voice: usize, kind: Kind, grid: &Grid, notes: &[Note], span_s: impl Fn(&Note) -> (f64, f64)) -> Self {
        let mut spans: Vec<_> = notes
            .iter()
            .filter(|note| note.onset_s < grid.span_s.end && note.offset_s >= grid.span_s.start)
            .map(|note| {
                let (start_s, end_s) = span_s(note);
                grid.frames(start_s, end_s)
            })
            .filter(|span| !span.is_empty())
            .collect();
        spans.sort_by_key(|span| (span.start, span.end));
        spans.dedup_by(|next, last| {
            let joins = next.start <= last.end;
            if joins {
                last.end = last.end.max(next.end);
            }
            joins
        });
        let onsets = notes.iter().map(|note| grid.frame(note.onset_s)).filter(|frame| *frame < grid.n_frames).collect();
        Self { voice, kind, spans, onsets }
    }

    pub(super) fn is_active(&self, frame_idx: usize) -> bool {
        let next = self.spans.partition_point(|span| span.start <= frame_idx);
        next.checked_sub(1).and_then(|i| self.spans.get(i)).is_some_and(|span| frame_idx < span.end)
    }

    /// What an activation starts from: 1, and little for what is not in the score.
    pub(super) fn first_guess(&self) -> f32 {
        if matches!(self.kind, Kind::Unscored(_)) { UNSCORED_START } else { 1.0 }
    }

    /// Whether it is of the same drum, some frames before another.
    pub(super) fn is_hit_before(&self, next: &Self) -> bool {
        match (self.kind, next.kind) {
            (Kind::Drum { pitch, lag }, Kind::Drum { pitch: other, lag: later }) => {
                self.voice == next.voice && pitch == other && lag < later
            }
            _ => false,
        }
    }
}

/// The templates of a part that plays pitches.
pub(super) fn pitched(voice: usize, part: &Part, grid: &Grid) -> Vec<Template> {
    let of_pitch = |(pitch, notes): (u8, Vec<Note>)| {
        Template::new(voice, Kind::Pitch(pitch), grid, &notes, |note| {
            (note.onset_s - BEFORE_S, note.offset_s + AFTER_S)
        })
    };
    let mut templates: Vec<_> = by_pitch(part).map(of_pitch).collect();
    if part.class == Class::Struck {
        templates.push(Template::new(voice, Kind::Attack, grid, &part.notes, |note| {
            (note.onset_s - BEFORE_S, note.onset_s + ATTACK_S)
        }));
    }
    templates
}

/// The pitches of a part, from the lowest on, and the notes of each.
pub(super) fn by_pitch(part: &Part) -> impl Iterator<Item = (u8, Vec<Note>)> {
    let mut pitches: Vec<_> = part.notes.iter().map(|note| note.pitch).collect();
    pitches.sort_unstable();
    pitches.dedup();
    pitches.into_iter().map(|pitch| (pitch, part.notes.iter().filter(|note| note.pitch == pitch).copied().collect()))
}

/// The start of a template from what the onsets have in common: in each bin, the rise from just before them that most of
/// them exceed, relative to the mean magnitude.
pub(super) struct CommonRise<'a, R> {
    v: ArrayView2<'a, f32>,
    mean: f32,
    row_of: R,
    /// The onsets that it was last found for, and what it was: the templates of a drum have the same.
    onsets: Vec<usize>,
    rise: Vec<f32>,
}

impl<'a, R: Fn(usize) -> Option<usize>> CommonRise<'a, R> {
    pub(super) fn new(v: ArrayView2<'a, f32>, mean: f32, row_of: R) -> Self {
        Self { v, mean, row_of, onsets: Vec::new(), rise: Vec::new() }
    }

    pub(super) fn of(&mut self, template: &Template) -> &[f32] {
        if self.rise.is_empty() || self.onsets != template.onsets {
            self.onsets.clone_from(&template.onsets);
            self.rise = self.find();
        }
        &self.rise
    }

    fn find(&self) -> Vec<f32> {
        /// Frames after an onset in which the sound is fullest, and before it, where it has not begun.
        const FULL: usize = 2;
        const BEFORE: usize = 3;
        const QUANTILE: f64 = 0.2;
        /// No bin is ruled out.
        const LEAST: f32 = 1e-3;
        let row_of = &self.row_of;
        let rows = |onset: &usize| Some((row_of(onset.saturating_sub(BEFORE))?, row_of(*onset)?));
        let rows: Vec<_> = self.onsets.iter().filter_map(rows).collect();
        let (v, mean) = (self.v, self.mean);
        let mut rises = Vec::with_capacity(rows.len());
        let rise = |bin| {
            rises.clear();
            rises.extend(rows.iter().map(|(before, onset)| {
                let full = (*onset..(onset + FULL + 1).min(v.nrows())).map(|row| v[[row, bin]]);
                (full.fold(0.0f32, f32::max) / mean - v[[*before, bin]] / mean).max(0.0)
            }));
            let chosen = (rises.len().saturating_sub(1) as f64 * QUANTILE) as usize;
            let rise = if rises.is_empty() { 0.0 } else { *rises.select_nth_unstable_by(chosen, f32::total_cmp).1 };
            rise + LEAST
        };
        (0..v.ncols()).map(rise).collect()
    }
}

/// The start in a frame: the templates that may be active.
pub(super) fn start(templates: &[Template], frame_idx: usize) -> SparseColumn {
    let mut column = SparseColumn::default();
    for (k, template) in templates.iter().enumerate().filter(|(_, template)| template.is_active(frame_idx)) {
        column.components.push(k as u32);
        column.activations.push(template.first_guess());
    }
    column
}
