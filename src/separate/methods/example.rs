//! A recording of one source alone, which several methods learn from.

use std::fmt;

use crate::Error;
use crate::audio::Recording;

/// A recording of one source alone.
#[derive(Clone, Copy)]
pub struct Example<'a> {
    /// The source; several examples may be of one.
    pub name: &'a str,
    /// What messages call the recording: its file.
    pub label: &'a str,
    /// The recording, at any sample rate.
    pub recording: &'a dyn Recording,
}

impl fmt::Debug for Example<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Example").field("name", &self.name).field("label", &self.label).finish_non_exhaustive()
    }
}

impl Example<'_> {
    pub(super) fn error(&self, error: Error) -> Error {
        match error {
            Error::Silent | Error::TooShort { .. } | Error::NonFiniteSample { .. } => {
                Error::Example { name: self.name.into(), label: self.label.into(), source: Box::new(error) }
            }
            error => error,
        }
    }
}
