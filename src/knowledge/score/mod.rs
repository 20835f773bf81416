//! Scores: which instrument plays which note when, from the bytes of a MIDI file and back.
//! Knows no masks and no stems. Only `midi` in this folder knows the file format, and opens files.

pub mod align;
pub mod instrument;
mod midi;
mod parts;
mod text;
mod track;
pub mod transposition;

use std::fmt;

pub use instrument::Class;

use crate::error::Advice;
use crate::{Error, Result};

/// A day, in seconds: longer scores are read wrong.
const MAX_SECONDS: f64 = 86_400.0;

/// Farthest transposition, in semitones: four octaves.
const MAX_SEMITONES: f64 = 48.0;

/// What is to be played: parts, each with its notes.
///
/// # Examples
/// ```
/// use partita::knowledge::score::{Class, Note, Part, Score};
/// let note = Note { onset_s: 0.5, offset_s: 1.0, pitch: 69, velocity: 80 };
/// let score = Score { parts: vec![Part::new("violin", vec![note])], ..Score::default() };
/// let read = Score::from_midi(&score.to_midi())?;
/// assert_eq!(read.parts[0].name, "violin");
/// assert_eq!(read.parts[0].class, Class::Sustained);
/// assert!((read.parts[0].notes[0].onset_s - 0.5).abs() < 1e-3);
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Score {
    /// The parts in the order of the file, none without notes, no two of the same name.
    pub parts: Vec<Part>,
    /// By how many semitones the recording sounds higher than the keys say: -1.01 where its A4 is at 415 Hz. Not of drums.
    /// `None`: to be found, which is the default.
    pub transposition: Option<f64>,
    /// What reading the file left out or had to guess.
    pub warnings: Vec<Warning>,
}

/// What one instrument plays, or one drum.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Name, safe as the name of a file.
    pub name: String,
    /// How its sound behaves.
    pub class: Class,
    /// Whether it comes from, and goes to, MIDI channel 10, where a pitch means a drum.
    pub is_drum: bool,
    /// Program of General MIDI, 0 to 127, where the file gives one.
    pub program: Option<u8>,
    /// Notes in the order of their onsets.
    pub notes: Vec<Note>,
    /// The program of each note, where they differ, as in a violin's part for bow and fingers; else empty.
    pub note_programs: Vec<Option<u8>>,
}

/// One note, or one hit of a drum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    /// Start, in seconds from the start of the score.
    pub onset_s: f64,
    /// End, in seconds, not before the onset.
    pub offset_s: f64,
    /// MIDI key, 0 to 127: 69 is A4, 440 Hz; in a drum part, the number of the drum.
    pub pitch: u8,
    /// Loudness, 1 to 127.
    pub velocity: u8,
}

impl Note {
    /// Frequency of a MIDI key in Hz: equal temperament, A4 at 440 Hz.
    pub fn pitch_hz(pitch: u8) -> f64 {
        440.0 * ((f64::from(pitch) - 69.0) / 12.0).exp2()
    }
}

impl Part {
    /// A part outside of channel 10; its class follows from its name.
    pub fn new(name: &str, notes: Vec<Note>) -> Self {
        let class = instrument::class_of_name(name).unwrap_or(Class::Sustained);
        Self { name: name.to_owned(), class, is_drum: false, program: None, notes, note_programs: Vec::new() }
    }

    /// A drum of channel 10.
    pub fn drum(name: &str, notes: Vec<Note>) -> Self {
        Self { class: Class::Percussion, is_drum: true, ..Self::new(name, notes) }
    }

    /// The program of a note, where the file gives one.
    pub fn note_program(&self, i: usize) -> Option<u8> {
        self.note_programs.get(i).copied().flatten().or(self.program)
    }

    /// The part as several of the same name, one for each program that it is played with, in the order of their first
    /// notes; the class of each follows from its program. A part that is played in one way is left as it is.
    pub fn by_program(&self) -> Vec<Self> {
        if self.note_programs.is_empty() {
            return vec![self.clone()];
        }
        let mut parts: Vec<Self> = Vec::new();
        for (i, note) in self.notes.iter().enumerate() {
            let program = self.note_program(i);
            match parts.iter_mut().find(|part| part.program == program) {
                Some(part) => part.notes.push(*note),
                None => {
                    let class = program.and_then(instrument::program).map_or(self.class, |(_, class)| class);
                    let (name, notes) = (self.name.clone(), vec![*note]);
                    parts.push(Self { name, class, program, notes, note_programs: Vec::new(), ..*self });
                }
            }
        }
        parts
    }
}

/// What is known of a MIDI file beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MidiConfig {
    /// Tracks that are drums whatever their channel, split as channel 10 is: the name of each in any case, else its number
    /// in the file, from 1, or the name that the part would have otherwise. Default: none.
    pub drum_tracks: Vec<String>,
}

/// What is odd about a score, though it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A track has a name, but no notes.
    EmptyTrack {
        /// Its name.
        name: String,
    },
    /// A part looks like drums, by its name or its notes, but is not on channel 10.
    LikeDrums {
        /// Its name.
        name: String,
    },
    /// A track has no end mark, so that the file may be cut off.
    TrackCutOff {
        /// Number of the track, from 1.
        track: usize,
    },
    /// Notes that never end; they are held to the end of their track.
    MissingNoteOffs {
        /// How many.
        n_notes: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyTrack { name } => write!(f, "the track `{name}` of the score has no notes and is left out"),
            Self::LikeDrums { name } => write!(
                f,
                "`{name}` of the score looks like drums, but is not on channel 10, and stays one part; if it is drums, \
                 `--drum-track \"{name}\"` splits it by drum"
            ),
            Self::TrackCutOff { track } => {
                write!(f, "track {track} of the score has no end mark: the file may be cut off or damaged there")
            }
            Self::MissingNoteOffs { n_notes } => {
                let notes = if *n_notes == 1 { "1 note" } else { &format!("{n_notes} notes") };
                write!(f, "{notes} of the score never end; they are held to the end of their track")
            }
        }
    }
}

impl Score {
    /// Number of notes of all parts.
    pub fn n_notes(&self) -> usize {
        self.parts.iter().map(|part| part.notes.len()).sum()
    }

    /// First onset and last end of all notes, in seconds; `None` without notes.
    pub fn span_s(&self) -> Option<(f64, f64)> {
        let notes = || self.parts.iter().flat_map(|part| &part.notes);
        let start = notes().map(|note| note.onset_s).min_by(f64::total_cmp)?;
        let end = notes().map(|note| note.offset_s).max_by(f64::total_cmp)?;
        Some((start, end))
    }

    /// The score with all its times multiplied by `stretch`, and then `offset_s` seconds later.
    ///
    /// # Errors
    /// [`Error::Setting`] for a stretch outside 0.01 to 100, or an offset of more than a day.
    pub fn moved(&self, offset_s: f64, stretch: f64) -> Result<Self> {
        if !(0.01..=100.0).contains(&stretch) {
            return Err(Error::Setting {
                name: "score_stretch",
                got: stretch.to_string(),
                expected: "0.01 to 100".into(),
                advice: Some(
                    Advice::set("score_stretch", 1.05).note("for example, to make the score last 5 % longer").into(),
                ),
            });
        }
        if !(-MAX_SECONDS..=MAX_SECONDS).contains(&offset_s) {
            return Err(Error::Setting {
                name: "score_offset",
                got: offset_s.to_string(),
                expected: format!("-{0} to {0} seconds", MAX_SECONDS),
                advice: Some(
                    Advice::set("score_offset", 0.5).note("for example, to start the score half a second later").into(),
                ),
            });
        }
        Ok(self.warped(|time_s| time_s * stretch + offset_s))
    }

    /// The score for a recording that sounds so many semitones higher than the keys say; fractions are a matter of tuning.
    ///
    /// # Errors
    /// [`Error::Setting`] for more than four octaves.
    pub fn transposed(self, semitones: f64) -> Result<Self> {
        if !(-MAX_SEMITONES..=MAX_SEMITONES).contains(&semitones) {
            return Err(Error::Setting {
                name: "score_transpose",
                got: semitones.to_string(),
                expected: format!("-{MAX_SEMITONES} to {MAX_SEMITONES} semitones"),
                advice: Some(
                    Advice::set("score_transpose", -1).note("for example, for a recording at A = 415 Hz").into(),
                ),
            });
        }
        Ok(Self { transposition: Some(semitones), ..self })
    }

    /// The score with every time mapped by `warp`, which must not decrease.
    pub fn warped(&self, warp: impl Fn(f64) -> f64) -> Self {
        let mut score = self.clone();
        for note in score.parts.iter_mut().flat_map(|part| &mut part.notes) {
            note.onset_s = warp(note.onset_s);
            note.offset_s = warp(note.offset_s).max(note.onset_s);
        }
        score
    }
}
