//! When drums were hit, read off their activations, and the hits as a score.

use ndarray::{Array2, Axis};

use super::kit::Drum;
use super::levels::{HIT_DISTANCE_S, HIT_THRESHOLD};
use super::model::DrumModel;
use crate::knowledge::score::{self, Note, Score, instrument};
use crate::separate::methods::peaks::peaks;
use crate::separate::separation::Hit;
use crate::stft::StftConfig;

/// A sound that goes on after its template is at most so many times as loud as the template's end.
const ECHO_LEVEL: f32 = 1.5;

/// The hits as a score, one drum part for each drum that was hit: what a MIDI file of them holds.
///
/// A drum has its key of General MIDI by its name, and one beyond General MIDI where the name is none of its drums.
pub fn hits_to_score(kit: &[Drum], hits: &[Hit]) -> Score {
    let mut free = BEYOND_GENERAL_MIDI;
    let part = |(i, drum): (usize, &Drum)| {
        let pitch = pitch(&drum.name).unwrap_or_else(|| free.next().unwrap_or(u8::MAX >> 1));
        let note = |hit: &Hit| Note {
            onset_s: hit.onset_s,
            offset_s: hit.onset_s + NOTE_S,
            pitch,
            velocity: (127.0 * hit.level).round().clamp(1.0, 127.0) as u8,
        };
        let notes: Vec<_> = hits.iter().filter(|hit| hit.drum == i).map(note).collect();
        (!notes.is_empty()).then(|| score::Part::drum(&drum.name, notes))
    };
    Score { parts: kit.iter().enumerate().filter_map(part).collect(), ..Score::default() }
}

/// The key of General MIDI's channel 10 that a drum of this name has; of several, the usual one.
fn pitch(name: &str) -> Option<u8> {
    // The acoustic bass drum comes before the kick that every kit has.
    let usual = [36, 38, 42, 45, 49, 51];
    usual.into_iter().chain(0..128).find(|pitch| instrument::drum(*pitch) == name)
}

/// Keys that General MIDI gives no drum.
const BEYOND_GENERAL_MIDI: std::ops::Range<u8> = 82..128;

/// Length of a hit as a note, in seconds: drums have none, files need one.
const NOTE_S: f64 = 0.1;

impl DrumModel {
    /// The hits of each drum by its activations, given the frame of each of their columns; times count from the first frame.
    pub(super) fn hits(
        &self,
        activations: &Array2<f32>,
        frame_of: impl Fn(usize) -> usize,
        stft: &StftConfig,
        sample_rate: u32,
    ) -> Vec<Hit> {
        let distance = (HIT_DISTANCE_S * f64::from(sample_rate) / stft.hop_length as f64).round().max(1.0) as usize;
        let mut hits = Vec::new();
        for drum in 0..self.kit.len() {
            // The level of each hit in the frame where its attack is: templates need not begin with it.
            let mut level = vec![0.0f32; activations.ncols()];
            // How loud a template still is at its end, relative to its loudest frame.
            let mut end_level = 0.0f32;
            for k in (0..self.partition.len()).filter(|k| self.partition[*k] == drum) {
                let loudness = self.template(k).sum_axis(Axis(0));
                let rise = |lag: usize| loudness[lag] - if lag > 0 { loudness[lag - 1] } else { 0.0 };
                let attack = (0..self.n_lags).fold(0, |best, lag| if rise(lag) > rise(best) { lag } else { best });
                let most = loudness.iter().fold(0.0f32, |most, x| most.max(*x));
                if most > 0.0 {
                    end_level = end_level.max(loudness[self.n_lags - 1] / most);
                }
                let late = level.iter_mut().skip(attack);
                late.zip(activations.row(k)).for_each(|(level, x)| *level += most * x);
            }
            let strongest = level.iter().fold(0.0f32, |most, x| most.max(*x));
            let found = without_echoes(peaks(&level, distance, HIT_THRESHOLD), &level, self.n_lags, end_level);
            hits.extend(found.into_iter().map(|at| {
                // The level of a hit between two frames is shared out among them.
                let around = level[at.saturating_sub(1)..(at + 2).min(level.len())].iter();
                let weight: f32 = around.clone().sum();
                let first = at.saturating_sub(1);
                let center = around.zip(first..).map(|(x, i)| x * i as f32).sum::<f32>() / weight;
                let onset_s = f64::from(center + (frame_of(at) - at) as f32) * stft.frame_s(1, sample_rate);
                Hit { drum, onset_s, level: level[at] / strongest }
            }));
        }
        hits.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
        hits
    }
}

/// Hits of an excerpt at their times in the whole recording.
pub(super) fn later(hits: Vec<Hit>, start_s: f64) -> Vec<Hit> {
    hits.into_iter().map(|hit| Hit { onset_s: hit.onset_s + start_s, ..hit }).collect()
}

/// Leaves out what only goes on with a hit: a sound longer than its template is played again where the template ends,
/// about as loud as it is there.
fn without_echoes(peaks: Vec<usize>, level: &[f32], n_lags: usize, end_level: f32) -> Vec<usize> {
    let mut before: Option<usize> = None;
    let is_hit = |at: &usize| {
        let is_echo = before.is_some_and(|before| {
            (n_lags.saturating_sub(2)..=n_lags + 2).contains(&(at - before))
                && level[*at] <= ECHO_LEVEL * end_level * level[before]
        });
        before = Some(*at);
        !is_echo
    };
    peaks.into_iter().filter(is_hit).collect()
}
