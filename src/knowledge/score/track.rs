//! Tracks of a file: notes in ticks, by channel, and the clock that turns ticks into seconds.
//! Knows no bytes, and not what makes a part.

use std::collections::{BTreeMap, VecDeque};

use super::instrument::Class;
use super::{MAX_SECONDS, Note};
use crate::{Error, Result};

/// Channel 10, counted from 0 as in the bytes.
pub(super) const DRUM_CHANNEL: u8 = 9;

/// Microseconds per quarter note where the file says nothing: 120 beats per minute.
pub(super) const DEFAULT_TEMPO_US: f64 = 500_000.0;

/// A note in ticks.
pub(super) struct RawNote {
    pub(super) start: u64,
    /// `None` until it ends.
    pub(super) end: Option<u64>,
    pub(super) pitch: u8,
    pub(super) velocity: u8,
    /// Program that the channel has set by then.
    pub(super) program: Option<u8>,
}

/// A note and its program.
pub(super) type Played = (Note, Option<u8>);

/// What one channel of one track holds.
#[derive(Default)]
pub(super) struct Line {
    pub(super) notes: Vec<RawNote>,
    /// Notes that sound, by pitch: the first to start is the first to end.
    sounding: BTreeMap<u8, VecDeque<usize>>,
    /// Program at the first note, else the first one after it.
    pub(super) program: Option<u8>,
    /// Program set last.
    current: Option<u8>,
    /// Ticks at which the sustain pedal goes down (`true`) or up.
    pub(super) pedal: Vec<(u64, bool)>,
}

/// One track, read.
#[derive(Default)]
pub(super) struct Track {
    /// Number in the file, from 1.
    pub(super) number: usize,
    pub(super) name: Option<String>,
    /// By channel.
    pub(super) lines: BTreeMap<u8, Line>,
    pub(super) end: u64,
}

impl Track {
    /// Its channels with notes.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u8, &Line)> {
        self.lines.iter().filter(|(_, line)| !line.notes.is_empty()).map(|(channel, line)| (*channel, line))
    }
}

impl Line {
    pub(super) fn start_note(&mut self, tick: u64, pitch: u8, velocity: u8) {
        self.sounding.entry(pitch).or_default().push_back(self.notes.len());
        self.notes.push(RawNote { start: tick, end: None, pitch, velocity, program: self.current });
    }

    /// Ends the note of this pitch that has sounded for longest.
    pub(super) fn end_note(&mut self, tick: u64, pitch: u8) {
        let Some(queue) = self.sounding.get_mut(&pitch) else { return };
        if let Some(note) = queue.pop_front().and_then(|idx| self.notes.get_mut(idx)) {
            note.end = Some(tick);
        }
        if queue.is_empty() {
            self.sounding.remove(&pitch);
        }
    }

    pub(super) fn end_all(&mut self, tick: u64) {
        let pitches: Vec<_> = self.sounding.keys().copied().collect();
        for pitch in pitches {
            while self.sounding.contains_key(&pitch) {
                self.end_note(tick, pitch);
            }
        }
    }

    pub(super) fn set_program(&mut self, program: u8) {
        self.current = Some(program);
        if self.notes.is_empty() || self.program.is_none() {
            self.program = Some(program);
        }
    }

    /// The notes in seconds, each with its program, and how many of them never end. The pedal holds those that are struck.
    pub(super) fn notes(
        &self,
        track_end: u64,
        class: impl Fn(Option<u8>) -> Class,
        clock: &Clock,
    ) -> Result<(Vec<Played>, usize)> {
        let mut n_open = 0;
        let mut notes = Vec::with_capacity(self.notes.len());
        for note in &self.notes {
            let program = note.program.or(self.program);
            let mut end = note.end.unwrap_or_else(|| {
                n_open += 1;
                track_end
            });
            if class(program) == Class::Struck {
                end = pedaled(end, &self.pedal, track_end);
            }
            let onset_s = clock.seconds(note.start);
            let offset_s = clock.seconds(end).max(onset_s);
            if offset_s.is_nan() || offset_s > MAX_SECONDS {
                let reason = format!("it lasts longer than {} hours", MAX_SECONDS / 3600.0);
                return Err(Error::MalformedScore { reason });
            }
            notes.push((Note { onset_s, offset_s, pitch: note.pitch, velocity: note.velocity }, program));
        }
        Ok((notes, n_open))
    }
}

/// Where a note that ends at `end` stops sounding: where the pedal is down then, when it goes up.
fn pedaled(end: u64, pedal: &[(u64, bool)], track_end: u64) -> u64 {
    let next = pedal.partition_point(|(tick, _)| *tick <= end);
    let is_down = next.checked_sub(1).and_then(|i| pedal.get(i)).is_some_and(|(_, down)| *down);
    if is_down { pedal.get(next).map_or(track_end, |(tick, _)| *tick).max(end) } else { end }
}

/// Ticks to seconds.
pub(super) struct Clock {
    /// Tick, its second, and seconds per tick from there on.
    changes: Vec<(u64, f64, f64)>,
}

impl Clock {
    /// A clock without tempo.
    pub(super) fn steady(s_per_tick: f64) -> Self {
        Self { changes: vec![(0, 0.0, s_per_tick)] }
    }

    /// A clock of beats, whose tempo (microseconds per quarter note) changes at these ticks.
    pub(super) fn of_beats(ticks_per_quarter: f64, mut tempi: Vec<(u64, f64)>) -> Self {
        // Stable: of changes at one tick the last in the file holds.
        tempi.sort_by_key(|(tick, _)| *tick);
        let mut last = (0, 0.0, 1e-6 * DEFAULT_TEMPO_US / ticks_per_quarter);
        let mut changes = vec![last];
        for (tick, tempo_us) in tempi {
            let time_s = last.1 + tick.saturating_sub(last.0) as f64 * last.2;
            last = (tick, time_s, 1e-6 * tempo_us / ticks_per_quarter);
            changes.push(last);
        }
        Self { changes }
    }

    fn seconds(&self, tick: u64) -> f64 {
        let next = self.changes.partition_point(|(start, ..)| *start <= tick);
        // The first change is at tick 0.
        let change = self.changes.get(next.saturating_sub(1));
        change.map_or(0.0, |(start, start_s, s_per_tick)| start_s + tick.saturating_sub(*start) as f64 * s_per_tick)
    }
}
