//! What the command line itself can find wrong, beside the library's errors, and the exit code of each.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use partita::error::shown;

use super::spelling::Flags;
use super::{advice, exit};

/// Why a command, or its work on one input, ended without a result.
#[derive(Debug)]
pub(super) enum Failure {
    /// From the library; `thing` is the input at hand.
    Library { thing: Option<String>, error: partita::Error },
    /// The command line asks for something that cannot be done.
    Usage { message: String, hint: Option<String> },
    /// The system refuses something that the whole program needs.
    System { message: &'static str, cause: Box<dyn Error + Send + Sync> },
    /// A folder could not be walked.
    Walk { path: PathBuf, error: ignore::Error },
    /// What is to be written does not fit on the disk.
    NoSpace { input: PathBuf, folder: PathBuf, n_bytes: u64, free: u64 },
    /// Writing to standard output failed.
    Stdout(std::io::Error),
    /// A fault in the program.
    Fault(String),
    /// Some inputs of several failed; each was reported when it did.
    Some { n_failed: usize, n_inputs: usize, done: &'static str },
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// A library error while working on `thing`.
    pub(super) fn at(thing: impl fmt::Display) -> impl FnOnce(partita::Error) -> Self {
        move |error| Self::Library { thing: Some(thing.to_string()), error }
    }

    pub(super) fn signal(cause: std::io::Error) -> Self {
        Self::System { message: "cannot listen for Ctrl-C", cause: cause.into() }
    }

    pub(super) fn threads(cause: rayon::ThreadPoolBuildError) -> Self {
        Self::System { message: "cannot start worker threads", cause: cause.into() }
    }

    /// Whether the user asked to stop.
    pub(super) fn is_interruption(&self) -> bool {
        matches!(self, Self::Library { error: partita::Error::Cancelled, .. })
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            _ if self.is_interruption() => exit::interrupted(),
            Self::Library { error, .. } if is_usage(error) => exit::USAGE,
            Self::Usage { .. } => exit::USAGE,
            _ => exit::FAILED,
        }
    }

    /// What to do, where there is something to do.
    pub(super) fn hint(&self, flags: &Flags) -> Option<String> {
        match self {
            Self::Library { error, .. } => error.advice().map(|advice| advice::words(&advice, flags)),
            Self::Usage { hint, .. } => hint.clone(),
            Self::NoSpace { .. } => {
                Some("free some space, or use `--out` on another disk, `--int16` or `--format flac`".into())
            }
            Self::Fault(_) => Some("please report it, with the command and, if you can, the file".into()),
            _ => None,
        }
    }
}

/// Whether the fault lies in what was asked for: it is the same whichever input found it out.
fn is_usage(error: &partita::Error) -> bool {
    use partita::Error::{
        DictionaryMismatch, FileExists, Gpu, MatrixFileFormat, PictureFormat, Setting, SourceName, UnknownStem,
    };
    matches!(
        error,
        DictionaryMismatch { .. }
            | Setting { .. }
            | SourceName { .. }
            | UnknownStem { .. }
            | FileExists { .. }
            | PictureFormat { .. }
            | MatrixFileFormat { .. }
            | Gpu(partita::error::GpuTrouble::NotBuilt)
    )
}

impl From<partita::Error> for Failure {
    fn from(error: partita::Error) -> Self {
        Self::Library { thing: None, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library { error: partita::Error::Cancelled, .. } => write!(f, "interrupted"),
            Self::Library { thing: Some(thing), error } => {
                let (message, place) = (error.to_string(), format!("`{thing}`"));
                // The library names files itself; other errors say only what is wrong with their content.
                if message.contains(&place) { write!(f, "{message}") } else { write!(f, "{place}: {message}") }
            }
            Self::Library { thing: None, error } => write!(f, "{error}"),
            Self::Usage { message, .. } => write!(f, "{message}"),
            Self::System { message, .. } => write!(f, "{message}"),
            Self::Walk { path, .. } => write!(f, "cannot walk the folder `{}`", shown(path)),
            Self::NoSpace { input, folder, n_bytes, free } => {
                let mb = |bytes: &u64| *bytes as f64 / 1e6;
                let folder = shown(folder);
                write!(f, "`{}`: ", shown(input))?;
                write!(f, "the stems take {:.1} MB, and `{folder}` has room for {:.1} MB", mb(n_bytes), mb(free))
            }
            Self::Stdout(_) => write!(f, "cannot write to standard output"),
            Self::Fault(fault) => write!(f, "partita itself is at fault: {fault}"),
            Self::Some { n_failed, n_inputs, done } => write!(f, "{} of {n_inputs} {done}", n_inputs - n_failed),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Library { error, .. } => error.source(),
            Self::System { cause, .. } => Some(&**cause),
            Self::Walk { error, .. } => Some(error),
            Self::Stdout(error) => Some(error),
            Self::Usage { .. } | Self::NoSpace { .. } | Self::Some { .. } | Self::Fault(_) => None,
        }
    }
}
