//! Standard MIDI Files: [`Score::load`], bytes to parts and back. The only file that knows midly.
//! No byte is trusted: nothing here panics, and limits hold before memory is spent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Fps, Header, MetaMessage, MidiMessage, Timing, TrackEvent, TrackEventKind};

use super::parts::{Layout, parts};
use super::text::{RawText, decode};
use super::track::{Clock, DEFAULT_TEMPO_US, DRUM_CHANNEL, Track};
use super::{MidiConfig, Score, Warning};
use crate::{Error, Result, names};

/// Notes of one score: a symphony of an hour has some 100,000.
const MAX_NOTES: usize = 1_000_000;

/// Tempo changes, program changes and pedal moves of one score.
const MAX_CHANGES: usize = 1_000_000;

/// Tracks that are read: what is kept of one, with all of its 16 channels, takes some kilobytes, and an orchestra has a
/// hundred.
const MAX_READ_TRACKS: usize = 4096;

/// Longest file, in bytes; a million notes have some 8 million.
const MAX_FILE_BYTES: u64 = 64 << 20;

impl Score {
    /// Reads a Standard MIDI File of format 0 or 1, whatever its timing.
    ///
    /// Each track is a part. One without a name that uses several channels is split by channel, and so is the one track of
    /// format 0; of format 1, a track that alone holds programs of several families is such a piece, too. Channel 10 is
    /// split by drum (`kick`, `snare`, `hihat`, ...), and the same drum in several tracks is one part. A part is named
    /// after its track, else after its General MIDI program; equal names are numbered, and what a file name may not
    /// hold is replaced. Its class follows from its name or else its program, by the tables of
    /// [`instrument`](super::instrument); where it has several programs, that of each note from its own. The sustain pedal
    /// lengthens the notes of struck strings. Names are UTF-16 or UTF-8 where they say so, else Shift-JIS where they are
    /// Japanese in it, else Latin-1.
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
        Self::from_midi_with(bytes, &MidiConfig::default())
    }

    /// [`Score::from_midi`] of a file of which more is known.
    ///
    /// # Errors
    /// [`Error::UnknownTrack`] for a track of `config` that is not there or has no notes, and those of
    /// [`Score::from_midi`].
    pub fn from_midi_with(bytes: &[u8], config: &MidiConfig) -> Result<Self> {
        read(bytes, config)
    }

    /// [`Score::from_midi`] of a file.
    ///
    /// # Errors
    /// [`Error::ReadScore`] where the system does not give the file or it is longer than 64 MiB, and those of
    /// [`Score::from_midi`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, &MidiConfig::default())
    }

    /// [`Score::from_midi_with`] of a file.
    ///
    /// # Errors
    /// Those of [`Score::load`] and of [`Score::from_midi_with`].
    pub fn load_with(path: &Path, config: &MidiConfig) -> Result<Self> {
        let read = || {
            let mut bytes = Vec::new();
            File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > MAX_FILE_BYTES {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 MiB"));
            }
            Ok(bytes)
        };
        let bytes = read().map_err(|source| Error::ReadScore { path: path.to_owned(), source })?;
        Self::from_midi_with(&bytes, config)
    }

    /// The bytes of a MIDI file of format 1, at 120 beats per minute in ticks of 1/1920 s: one track per part, named
    /// after it.
    pub fn to_midi(&self) -> Vec<u8> {
        write(self)
    }
}

// ---- in ----------------------------------------------------------------------------------------------------------

fn read(bytes: &[u8], config: &MidiConfig) -> Result<Score> {
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
        let mut reader =
            Reader { track: Track { number: track_idx + 1, ..Track::default() }, name: None, instrument: None };
        let is_whole = reader.read(events, &mut tempi, &mut programs, &mut budget)?;
        if !is_whole {
            warnings.push(Warning::TrackCutOff { track: track_idx + 1 });
        }
        if read.len() >= MAX_READ_TRACKS {
            return Err(malformed(&format!("it has more than {MAX_READ_TRACKS} tracks")));
        }
        read.push(reader);
    }
    let clock = clock(header.timing, tempi)?;
    let layout = if header.format == Format::SingleTrack { Layout::WholePiece } else { Layout::Instrument };
    let parts = parts(&named(read), layout, config, &programs, &clock, &mut warnings)?;
    if parts.is_empty() {
        return Err(Error::EmptyScore);
    }
    Ok(Score { parts, warnings, ..Score::default() })
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

/// The tracks, each under its name, or else that of its instrument.
fn named(read: Vec<Reader>) -> Vec<Track> {
    let texts = || read.iter().flat_map(|reader| reader.name.iter().chain(&reader.instrument));
    let mut decoded = decode(texts()).into_iter();
    let mut name = |text: &Option<RawText>| text.as_ref().and_then(|_| names::tidy(&decoded.next()?));
    let names: Vec<_> = read.iter().map(|reader| (name(&reader.name), name(&reader.instrument))).collect();
    read.into_iter().zip(names).map(|(reader, (own, other))| Track { name: own.or(other), ..reader.track }).collect()
}

/// One track as it is read.
struct Reader {
    track: Track,
    name: Option<RawText>,
    instrument: Option<RawText>,
}

impl Reader {
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
                    self.name = RawText::new(name);
                }
                TrackEventKind::Meta(MetaMessage::InstrumentName(name)) if self.instrument.is_none() => {
                    self.instrument = RawText::new(name);
                }
                TrackEventKind::Meta(MetaMessage::EndOfTrack) => {
                    is_whole = true;
                    break;
                }
                _ => {}
            }
        }
        self.track.end = tick;
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
        let line = self.track.lines.entry(channel).or_default();
        match message {
            MidiMessage::NoteOn { key, vel } if vel.as_int() > 0 => {
                Budget::take(&mut budget.notes, "notes", MAX_NOTES)?;
                line.start_note(tick, key.as_int(), vel.as_int());
            }
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => line.end_note(tick, key.as_int()),
            MidiMessage::ProgramChange { program } => {
                programs.entry(channel).or_insert(program.as_int());
                line.set_program(program.as_int());
            }
            MidiMessage::Controller { controller, value } => match controller.as_int() {
                SUSTAIN => {
                    let is_down = value.as_int() >= 64;
                    if line.pedal.last().is_some_and(|(_, down)| *down) != is_down {
                        Budget::take(&mut budget.changes, "changes of tempo, program and pedal", MAX_CHANGES)?;
                        line.pedal.push((tick, is_down));
                    }
                }
                ALL_SOUND_OFF | ALL_NOTES_OFF => line.end_all(tick),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

/// The clock of a file.
fn clock(timing: Timing, tempi: Vec<(u64, f64)>) -> Result<Clock> {
    match timing {
        Timing::Metrical(ticks) if ticks.as_int() > 0 => Ok(Clock::of_beats(f64::from(ticks.as_int()), tempi)),
        Timing::Timecode(fps, subframe) if subframe > 0 => {
            let frames_per_s = match fps {
                Fps::Fps24 => 24.0,
                Fps::Fps25 => 25.0,
                Fps::Fps29 => 30_000.0 / 1001.0,
                Fps::Fps30 => 30.0,
            };
            Ok(Clock::steady(1.0 / (frames_per_s * f64::from(subframe))))
        }
        _ => Err(Error::MalformedScore { reason: "its header has 0 ticks per beat".into() }),
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
        // Tick, whether a note starts there, and which one: ends before starts at one tick.
        let mut events: Vec<(u32, bool, usize)> = Vec::with_capacity(2 * part.notes.len());
        for (i, note) in part.notes.iter().enumerate() {
            let start = ticks(note.onset_s);
            events.push((start, true, i));
            events.push((ticks(note.offset_s).max(start.saturating_add(1)), false, i));
        }
        events.sort_by_key(|(tick, is_start, _)| (*tick, *is_start));
        let (mut last, mut program) = (0, None);
        for (tick, is_start, i) in events {
            let mut push = |event| {
                track.push(TrackEvent { delta: u28::new(tick - last), kind: message(event) });
                last = tick;
            };
            let (note, own) = (part.notes[i], part.note_program(i));
            let key = u7::new(note.pitch & 0x7f);
            if let Some(own) = own.filter(|own| is_start && program != Some(*own)) {
                push(MidiMessage::ProgramChange { program: u7::new(own & 0x7f) });
                program = Some(own);
            }
            push(if is_start {
                MidiMessage::NoteOn { key, vel: u7::new(note.velocity.clamp(1, 127)) }
            } else {
                MidiMessage::NoteOff { key, vel: u7::new(0) }
            });
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
