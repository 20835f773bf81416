//! Scores: which instrument plays which note when, from the bytes of a MIDI file and back.
//! Knows no masks and no stems. Only `midi.rs` in this folder knows the file format, only `Score::load` opens a file.

pub mod align;
pub mod instrument;
mod midi;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use instrument::Class;

use crate::error::Advice;
use crate::{Error, Result};

/// What is to be played: parts, each with its notes.
///
/// # Examples
/// ```
/// use partita::score::{Class, Note, Part, Score};
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
    /// The parts in the order of the file, none without notes, no two of one name.
    pub parts: Vec<Part>,
    /// What reading the file left out or had to guess.
    pub warnings: Vec<Warning>,
}

/// What one instrument plays, or one drum.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Name, safe as that of a file.
    pub name: String,
    /// How its sound behaves.
    pub class: Class,
    /// Whether it comes from, and goes to, MIDI channel 10, where a pitch means a drum.
    pub is_drum: bool,
    /// Program of General MIDI, 0 to 127, where the file gives one.
    pub program: Option<u8>,
    /// Notes in the order of their onsets.
    pub notes: Vec<Note>,
}

/// One note, or one hit of a drum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    /// Start, in seconds from the start of the score.
    pub onset_s: f64,
    /// End, in seconds, not before the onset.
    pub offset_s: f64,
    /// Key of MIDI, 0 to 127: 69 is A4, 440 Hz; on a drum part the number of the drum.
    pub pitch: u8,
    /// Loudness, 1 to 127.
    pub velocity: u8,
}

impl Note {
    /// Frequency of a key in equal temperament, in Hz, A4 at 440 Hz.
    pub fn pitch_hz(pitch: u8) -> f64 {
        440.0 * ((f64::from(pitch) - 69.0) / 12.0).exp2()
    }
}

impl Part {
    /// A part that is no drum of channel 10; its class follows from its name.
    pub fn new(name: &str, notes: Vec<Note>) -> Self {
        let class = instrument::class_of_name(name).unwrap_or(Class::Sustained);
        Self { name: name.to_owned(), class, is_drum: false, program: None, notes }
    }

    /// A drum of channel 10.
    pub fn drum(name: &str, notes: Vec<Note>) -> Self {
        Self { name: name.to_owned(), class: Class::Percussion, is_drum: true, program: None, notes }
    }
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
    /// A track has no end mark, so that the file may be cut off.
    TrackCutOff {
        /// Number of the track, from 1.
        track: usize,
    },
    /// Notes that are never ended; they last to the end of their track.
    MissingNoteOffs {
        /// How many.
        n_notes: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyTrack { name } => write!(f, "the track `{name}` of the score has no notes and is left out"),
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
        midi::read(bytes)
    }

    /// [`Score::from_midi`] of a file.
    ///
    /// # Errors
    /// [`Error::ReadScore`] where the system does not give the file or it is longer than 64 MiB, and those of
    /// [`Score::from_midi`].
    pub fn load(path: &Path) -> Result<Self> {
        /// Bytes; a million notes have some 8 million.
        const MAX_BYTES: u64 = 64 << 20;
        let read = || {
            let mut bytes = Vec::new();
            File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > MAX_BYTES {
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
        midi::write(self)
    }

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

    /// The score played `stretch` times as slow, and then `offset_s` seconds later.
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
        if !(-midi::MAX_SECONDS..=midi::MAX_SECONDS).contains(&offset_s) {
            return Err(Error::Setting {
                name: "score_offset",
                got: offset_s.to_string(),
                expected: format!("-{0} to {0} seconds", midi::MAX_SECONDS),
                advice: Some(
                    Advice::set("score_offset", 0.5).note("for example, to start the score half a second later").into(),
                ),
            });
        }
        Ok(self.warped(|time_s| time_s * stretch + offset_s))
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
