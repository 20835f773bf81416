//! The one error type of the crate: what failed, on what, why, and what to do about it.
//!
//! `Display` says what failed and on which thing, `source()` the cause, [`Error::hint`] the advice.

use std::{io, path::PathBuf};

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, one variant per thing that can be wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- settings ------------------------------------------------------------------------------------------------
    /// A setting lies outside its range.
    #[error("`{name}` is {got}, expected {expected}")]
    Setting {
        /// The setting, as the library spells it (`hop_length`); on the command line the flag `--hop-length`.
        name: &'static str,
        /// The value that was given.
        got: String,
        /// What would have been accepted, in words: "1 to 1024 (half of the window of 2048)".
        expected: String,
        /// What to do.
        hint: Option<String>,
    },

    // ---- sound ---------------------------------------------------------------------------------------------------
    /// A sample is NaN or infinite.
    #[error("channel {channel} has a sample that is {value}, at {time_s:.3} s")]
    NonFiniteSample {
        /// Channel, counted from 1.
        channel: usize,
        /// Seconds from the start.
        time_s: f64,
        /// NaN, inf or -inf.
        value: f32,
    },
    /// There is nothing to hear, so there is nothing to separate.
    #[error("the recording is silent")]
    Silent,
    /// The recording is shorter than one analysis window.
    #[error("the recording has {n_samples} samples, expected at least {win_length} (one window)")]
    TooShort {
        /// Samples per channel.
        n_samples: usize,
        /// The shortest length that would do, in samples.
        win_length: usize,
        /// Hz.
        sample_rate: u32,
    },

    // ---- matrices ------------------------------------------------------------------------------------------------
    /// The matrix to factorize holds a negative, NaN or infinite entry.
    #[error("the matrix has {value} at row {row}, column {column}, expected finite numbers of at least 0")]
    MatrixEntry {
        /// Row of the first such entry, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// A matrix has another shape than the problem needs.
    #[error("{what} is {} x {}, expected {} x {}", got.0, got.1, expected.0, expected.1)]
    MatrixShape {
        /// Which matrix: "the dictionary", "the activations".
        what: &'static str,
        /// Rows and columns that were given.
        got: (usize, usize),
        /// Rows and columns that fit.
        expected: (usize, usize),
    },

    // ---- audio files, in -----------------------------------------------------------------------------------------

    // ---- audio files, out ----------------------------------------------------------------------------------------
    /// A file of that name exists and may not be replaced.
    #[error("`{}` exists already", path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot have this name: there is a folder or a device, or it ends as only a folder's does.
    #[error("cannot write `{}`: expected the name of a file, got {got}", path.display())]
    NotAFile {
        /// The name that was given.
        path: PathBuf,
        /// What it is instead: "a folder", "a device".
        got: &'static str,
    },
    /// The folder for a file could not be made.
    #[error("cannot create the folder `{}`", path.display())]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system did not take a file, or not all of it.
    #[error("cannot write `{}`", path.display())]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A sample lies beyond full scale, which integers cannot hold.
    #[error("cannot write `{}`: channel {channel} reaches {value} at {time_s:.3} s, expected -1 to 1", path.display())]
    BeyondFullScale {
        /// The file.
        path: PathBuf,
        /// Channel, counted from 1.
        channel: usize,
        /// Seconds from the start.
        time_s: f64,
        /// The sample, after the gain.
        value: f32,
    },
    /// More or fewer samples came than had been announced.
    #[error("cannot write `{}`: got {got} samples per channel, expected {expected}", path.display())]
    SampleCount {
        /// The file.
        path: PathBuf,
        /// Samples per channel that were announced.
        expected: u64,
        /// Samples per channel that came, as far as is known.
        got: u64,
    },

    // ---- pictures ------------------------------------------------------------------------------------------------

    // ---- work ----------------------------------------------------------------------------------------------------
    /// A progress callback asked to stop.
    #[error("stopped before the end")]
    Cancelled,
}

impl Error {
    /// What to do about it, where there is something to do: one sentence, with a command that can be pasted if there
    /// is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Setting { hint, .. } => hint.clone(),
            Self::NonFiniteSample { .. } => {
                Some("export the recording again, without clipping or invalid floating-point values".into())
            }
            Self::Silent => Some("check that the right file or channel was exported".into()),
            Self::TooShort { sample_rate, n_samples, .. } => Some(format!(
                "give at least a tenth of a second, or a shorter `n_fft` (this clip lasts {:.1} ms)",
                1e3 * *n_samples as f64 / f64::from(*sample_rate)
            )),
            Self::MatrixEntry { .. } => {
                Some("clip negative entries to 0, and mark missing ones by a weight of 0".into())
            }
            Self::FileExists { .. } => Some("use `--force` to replace it, or `--skip-existing` to keep it".into()),
            Self::NotAFile { .. } => Some("give the name that the file is to have, with its ending".into()),
            Self::CreateFolder { source, .. } | Self::WriteFile { source, .. } => disk_hint(source.kind()),
            Self::BeyondFullScale { .. } => {
                Some("use `--clip-mode rescale` or `--clip-mode clamp`, or `--float32`, which holds any level".into())
            }
            Self::MatrixShape { .. } | Self::SampleCount { .. } | Self::Cancelled => None,
        }
    }
}

/// What to do about a file or folder that could not be written.
fn disk_hint(kind: io::ErrorKind) -> Option<String> {
    use io::ErrorKind::{
        InvalidFilename, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let hint = match kind {
        PermissionDenied | ReadOnlyFilesystem => "choose a folder that you may write to: `--out FOLDER`",
        StorageFull | QuotaExceeded => "free some space, or write to another disk: `--out FOLDER`",
        NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file is where a folder is needed; choose another: `--out FOLDER`"
        }
        InvalidFilename => "shorten the name: `--filename \"{stem}.{ext}\"`",
        _ => return None,
    };
    Some(hint.into())
}
