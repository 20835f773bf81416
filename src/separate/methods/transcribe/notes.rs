//! From lines to notes.

use super::comb::key;
use super::search::Line;
use crate::knowledge::score::Note;

/// Frames below this share of the player's loud ones are rests: 26 dB.
const GATE: f32 = 0.05;

/// Fewer frames make no note: they belong to the one before.
const SHORTEST: usize = 3;

/// Whether the player is heard, in each frame.
pub(super) fn sounding(line: &Line) -> Vec<bool> {
    let loud = loud(line);
    line.level.iter().map(|level| *level > GATE * loud).collect()
}

/// The notes of a line; `frame_s` gives the times of its frames.
pub(super) fn notes(line: &Line, frame_s: impl Fn(usize) -> f64) -> Vec<Note> {
    let loud = loud(line).max(f32::MIN_POSITIVE);
    let mut runs: Vec<(Option<u8>, usize, usize)> = Vec::new();
    for (t, (pitch, sounds)) in line.path.iter().zip(sounding(line)).enumerate() {
        let own = key(*pitch);
        // Half a semitone aside belongs to the key that it comes from.
        let before = runs.last().and_then(|run| run.0).filter(|before| (own - f64::from(*before)).abs() < 0.6);
        let pitch = sounds.then(|| before.unwrap_or(own.round() as u8));
        match runs.last_mut().filter(|run| run.0 == pitch) {
            Some(run) => run.2 = t + 1,
            None => runs.push((pitch, t, t + 1)),
        }
    }
    let mut notes: Vec<Note> = Vec::new();
    let mut end_of_last = 0;
    for (pitch, start, end) in runs {
        let Some(pitch) = pitch else { continue };
        let last = notes.last_mut().filter(|_| end_of_last == start);
        match last {
            Some(last) if end - start < SHORTEST => last.offset_s = frame_s(end),
            _ if end - start < SHORTEST => continue,
            _ => {
                let level = line.level[start..end].iter().sum::<f32>() / (end - start) as f32;
                let velocity = (100.0 * (level / loud).sqrt()).round().clamp(1.0, 127.0) as u8;
                notes.push(Note { onset_s: frame_s(start), offset_s: frame_s(end), pitch, velocity });
            }
        }
        end_of_last = end;
    }
    notes
}

/// The level of the loud frames: the 90th percentile.
fn loud(line: &Line) -> f32 {
    let mut sorted = line.level.clone();
    sorted.sort_by(f32::total_cmp);
    sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_end_at_rests_and_new_pitches_and_a_wavering_pitch_is_one() {
        // 69 with vibrato, then 71 at half the level, a rest, 71 again, and a frame of something else.
        let path = [72, 73, 72, 73, 72, 76, 76, 76, 76, 76, 76, 76, 76, 10, 76].to_vec();
        let level = [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0].to_vec();
        let found = notes(&Line { path, level, certainty: 1.0 }, |frame| frame as f64);
        let found: Vec<_> = found.iter().map(|n| (n.pitch, n.onset_s, n.offset_s, n.velocity)).collect();
        assert_eq!(found, [(69, 0.0, 5.0, 100), (71, 5.0, 8.0, 71), (71, 10.0, 15.0, 100)]);
    }
}
