//! Standard MIDI Files: [`Score::load`], bytes to parts and back. The only file that knows midly.
//! No byte is trusted: nothing here panics, and limits hold before memory is spent.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Fps, Header, MetaMessage, MidiMessage, Timing, TrackEvent, TrackEventKind};

use super::instrument::{self, Class};
use super::{MAX_SECONDS, Note, Part, Score, Warning};
use crate::{Error, Result, names};

/// Notes of one score: a symphony of an hour has some 100,000.
const MAX_NOTES: usize = 1_000_000;

/// Tempo changes, program changes and pedal moves of one score.
const MAX_CHANGES: usize = 1_000_000;

/// Parts of one score: each becomes a file.
const MAX_PARTS: usize = 256;

/// Tracks that are read: what is kept of one, with all of its 16 channels, takes some kilobytes, and an orchestra has a
/// hundred.
const MAX_READ_TRACKS: usize = 4096;

/// Channel 10, counted from 0 as in the bytes.
const DRUM_CHANNEL: u8 = 9;

/// Microseconds per quarter note where the file says nothing: 120 beats per minute.
const DEFAULT_TEMPO_US: f64 = 500_000.0;

/// Longest file, in bytes; a million notes have some 8 million.
const MAX_FILE_BYTES: u64 = 64 << 20;

impl Score {
    /// Reads a Standard MIDI File of format 0 or 1, whatever its timing.
    ///
    /// Each track is a part. A track that uses several channels, as in format 0, is split by channel. Channel 10 is
    /// split by drum (`kick`, `snare`, `hihat`, ...), and the same drum in several tracks is one part. A part is named
    /// after its track, else after its General MIDI program; equal names are numbered, and what a file name may not
    /// hold is replaced. Its class follows from its name or else its program, by the tables of [`instrument`]. The
    /// sustain pedal lengthens the notes of struck strings.
    ///
    /// # Errors
    /// [`Error::MalformedScore`] for bytes that are no MIDI file, for format 2, and for more than a million notes,
    /// 4096 tracks, 256 parts or 24 hours; [`Error::EmptyScore`] where no track has a note.
    ///
    /// # Cost
    /// One pass over the bytes; memory for the notes only.
    ///
    /// # References
    /// MIDI Manufacturers Association, "Standard MIDI Files 1.0", RP-001, 1996.
    pub fn from_midi(bytes: &[u8]) -> Result<Self> {
        read(bytes)
    }

    /// [`Score::from_midi`] of a file.
    ///
    /// # Errors
    /// [`Error::ReadScore`] where the system does not give the file or it is longer than 64 MiB, and those of
    /// [`Score::from_midi`].
    pub fn load(path: &Path) -> Result<Self> {
        let read = || {
            let mut bytes = Vec::new();
            File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > MAX_FILE_BYTES {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 MiB"));
            }
            Ok(bytes)
        };
        let bytes = read().map_err(|source| Error::ReadScore { path: path.to_owned(), source })?;
        Self::from_midi(&bytes)
    }

    /// The bytes of a MIDI file of format 1, at 120 beats per minute in ticks of 1/1920 s: one track per part, named
    /// after it.
    pub fn to_midi(&self) -> Vec<u8> {
        write(self)
    }
}

// ---- in ----------------------------------------------------------------------------------------------------------

/// A note in ticks.
struct RawNote {
    start: u64,
    /// `None` until it ends.
    end: Option<u64>,
    pitch: u8,
    velocity: u8,
}

/// What one channel of one track holds.
#[derive(Default)]
struct Line {
    notes: Vec<RawNote>,
    /// Notes that sound, by pitch: the first to start is the first to end.
    sounding: BTreeMap<u8, VecDeque<usize>>,
    /// Program at the first note, else the last one set.
    program: Option<u8>,
    /// Ticks at which the sustain pedal goes down (`true`) or up.
    pedal: Vec<(u64, bool)>,
}

/// One track, read.
#[derive(Default)]
struct Track {
    name: Option<String>,
    instrument: Option<String>,
    /// By channel.
    lines: BTreeMap<u8, Line>,
    end: u64,
}

fn read(bytes: &[u8]) -> Result<Score> {
    let malformed = |reason: &str| Error::MalformedScore { reason: reason.to_owned() };
    if bytes.is_empty() {
        return Err(malformed("it is empty"));
    }
    // A timing of 80 00 makes midly overflow, where overflows are checked. Bytes must not end the program.
    let parsed = std::panic::catch_unwind(|| midly::parse(bytes));
    let (header, tracks) =
        parsed.ok().and_then(std::result::Result::ok).ok_or_else(|| malformed("it is no MIDI file"))?;
    if header.format == Format::Sequential {
        return Err(malformed("it is of format 2, independent patterns in no order; expected format 0 or 1"));
    }
    let mut warnings = Vec::new();
    let mut tempi = Vec::new();
    let mut programs = BTreeMap::new();
    let mut budget = Budget { notes: MAX_NOTES, changes: MAX_CHANGES };
    let mut read = Vec::new();
    for (track_idx, events) in tracks.enumerate() {
        let Ok(events) = events else { break };
        let mut track = Track::default();
        let is_whole = track.read(events, &mut tempi, &mut programs, &mut budget)?;
        if !is_whole {
            warnings.push(Warning::TrackCutOff { track: track_idx + 1 });
        }
        if read.len() >= MAX_READ_TRACKS {
            return Err(malformed(&format!("it has more than {MAX_READ_TRACKS} tracks")));
        }
        read.push(track);
    }
    let clock = Clock::new(header.timing, tempi)?;
    let mut parts = parts(read, &programs, &clock, &mut warnings)?;
    if parts.is_empty() {
        return Err(Error::EmptyScore);
    }
    number_equal_names(&mut parts);
    Ok(Score { parts, warnings })
}

/// What may still be kept.
struct Budget {
    notes: usize,
    changes: usize,
}

impl Budget {
    fn take(left: &mut usize, what: &str, limit: usize) -> Result<()> {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| Error::MalformedScore { reason: format!("it has more than {limit} {what}") })?;
        Ok(())
    }
}

impl Track {
    /// Takes in all events; whether the track has its end mark.
    fn read(
        &mut self,
        events: midly::EventIter<'_>,
        tempi: &mut Vec<(u64, f64)>,
        programs: &mut BTreeMap<u8, u8>,
        budget: &mut Budget,
    ) -> Result<bool> {
        let mut tick = 0u64;
        let mut is_whole = false;
        for event in events {
            let Ok(event) = event else { break };
            tick = tick.saturating_add(u64::from(event.delta.as_int()));
            match event.kind {
                TrackEventKind::Midi { channel, message } => {
                    let channel = channel.as_int();
                    self.message(tick, channel, message, programs, budget)?;
                }
                TrackEventKind::Meta(MetaMessage::Tempo(tempo)) => {
                    Budget::take(&mut budget.changes, "changes of tempo, program and pedal", MAX_CHANGES)?;
                    tempi.push((tick, f64::from(tempo.as_int())));
                }
                TrackEventKind::Meta(MetaMessage::TrackName(name)) if self.name.is_none() => {
                    self.name = names::tidy(&text(name));
                }
                TrackEventKind::Meta(MetaMessage::InstrumentName(name)) if self.instrument.is_none() => {
                    self.instrument = names::tidy(&text(name));
                }
                TrackEventKind::Meta(MetaMessage::EndOfTrack) => {
                    is_whole = true;
                    break;
                }
                _ => {}
            }
        }
        self.end = tick;
        Ok(is_whole)
    }

    fn message(
        &mut self,
        tick: u64,
        channel: u8,
        message: MidiMessage,
        programs: &mut BTreeMap<u8, u8>,
        budget: &mut Budget,
    ) -> Result<()> {
        /// Controller number of the sustain pedal.
        const SUSTAIN: u8 = 64;
        /// Controllers that end all notes of a channel.
        const ALL_SOUND_OFF: u8 = 120;
        const ALL_NOTES_OFF: u8 = 123;
        let line = self.lines.entry(channel).or_default();
        match message {
            MidiMessage::NoteOn { key, vel } if vel.as_int() > 0 => {
                Budget::take(&mut budget.notes, "notes", MAX_NOTES)?;
                line.sounding.entry(key.as_int()).or_default().push_back(line.notes.len());
                line.notes.push(RawNote { start: tick, end: None, pitch: key.as_int(), velocity: vel.as_int() });
            }
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => line.end_note(tick, key.as_int()),
            MidiMessage::ProgramChange { program } => {
                programs.entry(channel).or_insert(program.as_int());
                if line.notes.is_empty() || line.program.is_none() {
                    line.program = Some(program.as_int());
                }
            }
            MidiMessage::Controller { controller, value } => match controller.as_int() {
                SUSTAIN => {
                    let is_down = value.as_int() >= 64;
                    if line.pedal.last().is_some_and(|(_, down)| *down) != is_down {
                        Budget::take(&mut budget.changes, "changes of tempo, program and pedal", MAX_CHANGES)?;
                        line.pedal.push((tick, is_down));
                    }
                }
                ALL_SOUND_OFF | ALL_NOTES_OFF => {
                    let pitches: Vec<_> = line.sounding.keys().copied().collect();
                    for pitch in pitches {
                        while line.sounding.contains_key(&pitch) {
                            line.end_note(tick, pitch);
                        }
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

impl Line {
    /// Ends the note of this pitch that has sounded for longest.
    fn end_note(&mut self, tick: u64, pitch: u8) {
        let Some(queue) = self.sounding.get_mut(&pitch) else { return };
        if let Some(note) = queue.pop_front().and_then(|idx| self.notes.get_mut(idx)) {
            note.end = Some(tick);
        }
        if queue.is_empty() {
            self.sounding.remove(&pitch);
        }
    }

    /// The notes in seconds, and how many of them never end.
    fn notes(self, track_end: u64, class: Class, clock: &Clock) -> Result<(Vec<Note>, usize)> {
        let mut n_open = 0;
        let mut notes = Vec::with_capacity(self.notes.len());
        for note in &self.notes {
            let mut end = note.end.unwrap_or_else(|| {
                n_open += 1;
                track_end
            });
            if class == Class::Struck {
                end = pedaled(end, &self.pedal, track_end);
            }
            let onset_s = clock.seconds(note.start);
            let offset_s = clock.seconds(end).max(onset_s);
            if offset_s.is_nan() || offset_s > MAX_SECONDS {
                let reason = format!("it lasts longer than {} hours", MAX_SECONDS / 3600.0);
                return Err(Error::MalformedScore { reason });
            }
            notes.push(Note { onset_s, offset_s, pitch: note.pitch, velocity: note.velocity });
        }
        // Stable: chords keep their order.
        notes.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
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
struct Clock {
    /// Tick, its second, and seconds per tick from there on.
    changes: Vec<(u64, f64, f64)>,
}

impl Clock {
    fn new(timing: Timing, mut tempi: Vec<(u64, f64)>) -> Result<Self> {
        let malformed = |reason: &str| Err(Error::MalformedScore { reason: reason.to_owned() });
        let ticks_per_quarter = match timing {
            Timing::Metrical(ticks) if ticks.as_int() > 0 => f64::from(ticks.as_int()),
            Timing::Timecode(fps, subframe) if subframe > 0 => {
                let frames_per_s = match fps {
                    Fps::Fps24 => 24.0,
                    Fps::Fps25 => 25.0,
                    Fps::Fps29 => 30_000.0 / 1001.0,
                    Fps::Fps30 => 30.0,
                };
                return Ok(Self { changes: vec![(0, 0.0, 1.0 / (frames_per_s * f64::from(subframe)))] });
            }
            _ => return malformed("its header has 0 ticks per beat"),
        };
        // Stable: of changes at one tick the last in the file holds.
        tempi.sort_by_key(|(tick, _)| *tick);
        let mut last = (0, 0.0, 1e-6 * DEFAULT_TEMPO_US / ticks_per_quarter);
        let mut changes = vec![last];
        for (tick, tempo_us) in tempi {
            let time_s = last.1 + tick.saturating_sub(last.0) as f64 * last.2;
            last = (tick, time_s, 1e-6 * tempo_us / ticks_per_quarter);
            changes.push(last);
        }
        Ok(Self { changes })
    }

    fn seconds(&self, tick: u64) -> f64 {
        let next = self.changes.partition_point(|(start, ..)| *start <= tick);
        // The first change is at tick 0.
        let change = self.changes.get(next.saturating_sub(1));
        change.map_or(0.0, |(start, start_s, s_per_tick)| start_s + tick.saturating_sub(*start) as f64 * s_per_tick)
    }
}

/// The parts of all tracks; drums of one name are put together.
fn parts(
    tracks: Vec<Track>,
    programs: &BTreeMap<u8, u8>,
    clock: &Clock,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut n_missing = 0;
    for track in tracks {
        let name = track.name.or(track.instrument);
        let n_lines = track.lines.values().filter(|line| !line.notes.is_empty()).count();
        if n_lines == 0 {
            // The first track of many files only names the piece; where it also has a channel, notes were meant.
            if let Some(name) = name.filter(|_| !track.lines.is_empty()) {
                warnings.push(Warning::EmptyTrack { name });
            }
            continue;
        }
        // In a track of several channels, its name is that of the piece.
        let track_name = name.filter(|_| n_lines == 1);
        for (channel, line) in track.lines {
            if line.notes.is_empty() {
                continue;
            }
            let program = line.program.or_else(|| programs.get(&channel).copied());
            let is_drum = channel == DRUM_CHANNEL;
            let by_program = program.and_then(instrument::program);
            let class = if is_drum {
                Class::Percussion
            } else {
                let by_name = track_name.as_deref().and_then(instrument::class_of_name);
                by_name.or(by_program.map(|(_, class)| class)).unwrap_or(Class::Sustained)
            };
            let (notes, n_open) = line.notes(track.end, class, clock)?;
            n_missing += n_open;
            if is_drum {
                add_drums(&mut parts, notes, track_name.as_deref());
            } else {
                let name = track_name.clone().unwrap_or_else(|| {
                    by_program.map_or_else(|| format!("channel-{}", channel + 1), |(name, _)| name.to_owned())
                });
                parts.push(Part { name, class, is_drum, program, notes });
            }
            if parts.len() > MAX_PARTS {
                let reason = format!("it has more than {MAX_PARTS} parts");
                return Err(Error::MalformedScore { reason });
            }
        }
    }
    // Once, at the end: the same drum may come from thousands of tracks. Stable: hits at one time keep their order.
    for part in parts.iter_mut().filter(|part| part.is_drum) {
        part.notes.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
    }
    if n_missing > 0 {
        warnings.push(Warning::MissingNoteOffs { n_notes: n_missing });
    }
    Ok(parts)
}

/// Splits a track of channel 10 by drum. A track of one drum that is named as one keeps its name.
fn add_drums(parts: &mut Vec<Part>, notes: Vec<Note>, track_name: Option<&str>) {
    let mut drums: BTreeMap<String, Vec<Note>> = BTreeMap::new();
    // In the order of the first hit.
    let mut order = Vec::new();
    for note in notes {
        let name = instrument::drum(note.pitch);
        if !drums.contains_key(&name) {
            order.push(name.clone());
        }
        drums.entry(name).or_default().push(note);
    }
    let own_name = track_name.filter(|name| order.len() == 1 && !instrument::is_kit(name));
    for name in order {
        let notes = drums.remove(&name).unwrap_or_default();
        let name = own_name.map_or(name, str::to_owned);
        match parts.iter_mut().find(|part| part.is_drum && part.name == name) {
            Some(part) => part.notes.extend(notes),
            None => parts.push(Part::drum(&name, notes)),
        }
    }
}

/// Text of a MIDI file: UTF-8 where it is, else Latin-1.
fn text(bytes: &[u8]) -> String {
    // Four times what is kept of a name: bounded before memory is spent, and enough where it starts with spaces.
    let start = bytes.get(..4 * names::MAX_BYTES).unwrap_or(bytes);
    let is_cut = start.len() < bytes.len();
    match str::from_utf8(start) {
        Ok(text) => text.to_owned(),
        // The cut went through a letter.
        Err(error) if is_cut && error.error_len().is_none() => text(&start[..error.valid_up_to()]),
        Err(_) => start.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Gives parts of equal names, in any case, a number each: two violins are `violin-1` and `violin-2`.
fn number_equal_names(parts: &mut [Part]) {
    let key = |name: &str| name.to_lowercase();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for part in &*parts {
        *counts.entry(key(&part.name)).or_default() += 1;
    }
    let is_free = |counts: &BTreeMap<String, usize>, name: &str| !counts.contains_key(&key(name));
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for part in parts {
        let own = key(&part.name);
        if counts.get(&own).is_none_or(|n| *n < 2) && own != names::RESIDUAL {
            continue;
        }
        let number = next.entry(own).or_insert(1);
        let mut name = format!("{}-{number}", part.name);
        while !is_free(&counts, &name) {
            *number += 1;
            name = format!("{}-{number}", part.name);
        }
        *number += 1;
        counts.insert(key(&name), 1);
        part.name = name;
    }
}

// ---- out ---------------------------------------------------------------------------------------------------------

/// Ticks per quarter note of the files written here.
const TICKS_PER_QUARTER: u16 = 960;

/// Parts of the files written here: a file counts its tracks in 16 bits.
const MAX_TRACKS: usize = 60_000;

/// Ticks per second of the files written here, at [`DEFAULT_TEMPO_US`].
const TICKS_PER_S: f64 = TICKS_PER_QUARTER as f64 * 1e6 / DEFAULT_TEMPO_US;

fn write(score: &Score) -> Vec<u8> {
    let header = Header::new(Format::Parallel, Timing::Metrical(u15::new(TICKS_PER_QUARTER)));
    let meta = |message| TrackEvent { delta: u28::new(0), kind: TrackEventKind::Meta(message) };
    let conductor = vec![meta(MetaMessage::Tempo(u24::new(DEFAULT_TEMPO_US as u32))), meta(MetaMessage::EndOfTrack)];
    let mut tracks = vec![conductor];
    // Channels go round, as a track has its own; channel 10 is for drums.
    let mut pitched = (0..16u8).filter(|channel| *channel != DRUM_CHANNEL).cycle();
    for part in score.parts.iter().take(MAX_TRACKS) {
        let channel = if part.is_drum { DRUM_CHANNEL } else { pitched.next().unwrap_or(0) };
        let message = |message| TrackEventKind::Midi { channel: u4::new(channel), message };
        let mut track = vec![meta(MetaMessage::TrackName(part.name.as_bytes()))];
        if let Some(program) = part.program {
            let program = u7::new(program & 0x7f);
            track.push(TrackEvent { delta: u28::new(0), kind: message(MidiMessage::ProgramChange { program }) });
        }
        // Tick, whether it starts a note, pitch, velocity: ends before starts at one tick.
        let mut events: Vec<(u32, bool, u8, u8)> = Vec::with_capacity(2 * part.notes.len());
        for note in &part.notes {
            let start = ticks(note.onset_s);
            events.push((start, true, note.pitch, note.velocity));
            events.push((ticks(note.offset_s).max(start.saturating_add(1)), false, note.pitch, 0));
        }
        events.sort_by_key(|event| (event.0, event.1));
        let mut last = 0;
        for (tick, is_start, pitch, velocity) in events {
            let key = u7::new(pitch & 0x7f);
            let event = if is_start {
                MidiMessage::NoteOn { key, vel: u7::new(velocity.clamp(1, 127)) }
            } else {
                MidiMessage::NoteOff { key, vel: u7::new(0) }
            };
            track.push(TrackEvent { delta: u28::new(tick - last), kind: message(event) });
            last = tick;
        }
        track.push(meta(MetaMessage::EndOfTrack));
        tracks.push(track);
    }
    let mut bytes = Vec::new();
    midly::write(&header, &tracks, &mut bytes).expect("a vector takes any bytes, and names and tracks are bounded");
    bytes
}

/// Seconds to ticks, within what a file can hold: 28 bits, 38 hours.
fn ticks(time_s: f64) -> u32 {
    (time_s * TICKS_PER_S).round().clamp(0.0, f64::from((1u32 << 28) - 2)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_letters() {
        // 320 is no multiple of three: the cut goes through a letter.
        let long = "\u{3042}".repeat(200);
        assert_eq!(names::tidy(&text(long.as_bytes())), Some("\u{3042}".repeat((names::MAX_BYTES - 8) / 3)));
        assert_eq!(text(b"caf\xe9"), "caf\u{e9}", "Latin-1");
    }
}
