//! What can be wrong with a file, from which the errors of reading are made.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use symphonia::core::errors;

use crate::Error;
use crate::error::shown;

/// What is wrong with a file, before its name and the time are known.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Empty,
    NotAudio {
        found: String,
    },
    NoAudioTrack,
    /// The track that is wanted, counted from 1, and those that there are, in words.
    NoSuchTrack {
        wanted: usize,
        tracks: Vec<String>,
    },
    Unsupported {
        codec: String,
    },
    Malformed(String),
    Corrupt(String),
    /// `n_samples`: the length per channel that was promised.
    CutOff {
        n_samples: Option<u64>,
    },
    /// Sample rate and channel count, before and after.
    Changed {
        from: (u32, usize),
        to: (u32, usize),
    },
}

/// What a file holds that nothing else is known of.
const UNKNOWN: &str = "nothing that is known to be audio";

impl Fault {
    pub(super) fn unknown() -> Self {
        Self::NotAudio { found: UNKNOWN.into() }
    }

    pub(super) fn channels(n_channels: usize) -> Self {
        Self::Malformed(format!("it declares {n_channels} channels"))
    }

    /// The error, `n_samples` samples per channel into the file.
    pub(super) fn at(self, path: &Path, n_samples: u64, sample_rate: u32) -> Error {
        let path = path.to_path_buf();
        let seconds = |n_samples: u64| n_samples as f64 / f64::from(sample_rate);
        let time_s = seconds(n_samples);
        match self {
            Self::Io(source) => Error::ReadAudio { path, time_s, source },
            Self::Empty => Error::EmptyAudioFile { path },
            Self::NotAudio { found } => Error::NotAudio { path, found },
            Self::NoAudioTrack => Error::NoAudioTrack { path },
            Self::NoSuchTrack { wanted, tracks } => {
                let range = if tracks.len() == 1 { "1".into() } else { format!("1 to {}", tracks.len()) };
                let expected = format!("{range}: `{}` has {}", shown(&path), numbered(&tracks).join(", "));
                Error::Setting { name: "audio_track", got: wanted.to_string(), expected, advice: None }
            }
            Self::Unsupported { codec } => Error::UnsupportedAudio { path, codec },
            Self::Malformed(reason) => Error::MalformedAudio { path, reason },
            Self::Corrupt(reason) => Error::CorruptAudio { path, time_s, reason },
            Self::CutOff { n_samples: declared } => Error::AudioCutOff {
                path,
                time_s: (n_samples > 0).then_some(time_s),
                declared_s: declared.map(seconds),
            },
            Self::Changed { from, to } => Error::AudioChanges { path, time_s, from, to },
        }
    }
}

/// Tracks in words, with their numbers.
pub(super) fn numbered(tracks: &[String]) -> Vec<String> {
    tracks.iter().enumerate().map(|(i, told)| format!("{} ({told})", i + 1)).collect()
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Headers are all that is read before there is a position to speak of.
            io::ErrorKind::UnexpectedEof => Self::CutOff { n_samples: None },
            _ => Self::Io(error),
        }
    }
}

/// Runs decoding code of other crates. A panic there means damaged data, and must not end the program.
pub(super) fn guarded<T>(decode: impl FnOnce() -> errors::Result<T>) -> errors::Result<T> {
    let gave_up = errors::Error::DecodeError("the decoder gave up");
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(gave_up))
}
