//! Why something that was asked for is not done. Knows no HTTP.

use crate::Error;

/// Why something is not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The library says no.
    Library(Error),
    /// The document is at another revision, this one.
    Revision(u64),
    /// These files would be replaced.
    Existing(Vec<String>),
    /// The recording is not where it was, of this name.
    Gone(String),
    /// What would be written takes so many bytes, and the disk has room for so many.
    Full(u64, u64),
    /// What is asked for makes no sense.
    Wrong(String),
    /// What is asked for is not there.
    Missing(String),
}

/// What is asked for, or why not.
pub(super) type Answer<T> = std::result::Result<T, Refusal>;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}
