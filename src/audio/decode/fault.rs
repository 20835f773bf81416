//! What can be wrong with a file, from which the errors of reading are made.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use symphonia::core::errors::Error as Symphonia;

use crate::Error;

/// What is wrong with a file, before its name and the time are known.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Empty,
    NotAudio {
        found: String,
    },
    NoAudioTrack,
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

impl Fault {
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
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, Symphonia>) -> Result<T, Symphonia> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(Symphonia::DecodeError("the decoder gave up")))
}
