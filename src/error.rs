//! The one error type of the crate: what failed, on what, why, and what to do about it.
//!
//! `Display` says what failed and on which thing, `source()` the cause, [`Error::hint`] the advice.

#[expect(unused_imports, reason = "the file variants come next")]
use std::path::PathBuf;

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

    // ---- pictures ------------------------------------------------------------------------------------------------

    // ---- parts ---------------------------------------------------------------------------------------------------
    /// No source has this name.
    #[error("there is no stem `{name}`, expected one of {}", list(names))]
    UnknownStem {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// A recording is not the one that was taken apart.
    #[error("the recording has {got} samples, expected about {expected}, as the one that was separated")]
    Length {
        /// Samples per channel that were given.
        got: usize,
        /// Samples per channel of the recording that was separated, to within one hop.
        expected: usize,
    },

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
            Self::UnknownStem { names, .. } => names.first().map(|name| format!("use `stem {name}`")),
            Self::MatrixShape { .. } | Self::Length { .. } | Self::Cancelled => None,
        }
    }
}

/// Names as a message lists them: `kick`, `snare`.
fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
