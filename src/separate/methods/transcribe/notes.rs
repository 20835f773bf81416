//! From paths to notes.

use super::comb::key;
use super::search::Line;
use crate::knowledge::score::Note;

/// Notes below this share of the player's loud frames are none.
const GATE: f32 = 0.05;

/// Shorter notes belong to their neighbors, in frames.
const SHORTEST: usize = 3;

/// The notes of a line; `frame_s` gives the times of its frames.
pub(super) fn notes(line: &Line, frame_s: impl Fn(usize) -> f64) -> Vec<Note> {
    let mut sorted = line.level.clone();
    sorted.sort_by(f32::total_cmp);
    let loud = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(0.0);
    let mut runs: Vec<(Option<u8>, usize, usize)> = Vec::new();
    for (t, (pitch, level)) in line.path.iter().zip(&line.level).enumerate() {
        let own = (*level > GATE * loud).then(|| key(*pitch));
        // A half step belongs to the note that it comes from, if it is its neighbor.
        let before = runs.last().and_then(|run| run.0);
        let pitch = own.map(|own| match before {
            Some(before) if (own - f64::from(before)).abs() < 0.6 => before,
            _ => own.round() as u8,
        });
        match runs.last_mut().filter(|run| run.0 == pitch) {
            Some(run) => run.2 = t + 1,
            None => runs.push((pitch, t, t + 1)),
        }
    }
    let mut notes: Vec<Note> = Vec::new();
    for (pitch, start, end) in runs {
        let Some(pitch) = pitch else { continue };
        if end - start < SHORTEST {
            if let Some(last) = notes.last_mut().filter(|last| last.offset_s >= frame_s(start) - 1e-6) {
                last.offset_s = frame_s(end);
            }
            continue;
        }
        let level = line.level[start..end].iter().sum::<f32>() / (end - start) as f32;
        let velocity = (127.0 * (level / loud.max(f32::MIN_POSITIVE)).sqrt()).clamp(1.0, 127.0) as u8;
        notes.push(Note { onset_s: frame_s(start), offset_s: frame_s(end), pitch, velocity });
    }
    notes
}
