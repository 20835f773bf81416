//! What a studio is opened with.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;

/// What a studio is opened with.
#[derive(Debug, Clone)]
pub struct StudioConfig {
    /// The recording: a file, or the folder of a session.
    pub recording: PathBuf,
    /// The files of the session's microphones; none where the recording is no session.
    pub microphones: Vec<PathBuf>,
    /// Samples of silence before each of them; those that are not named begin at once.
    pub delays: Vec<u64>,
    /// The project file; it need not exist.
    pub project: PathBuf,
    /// The folder that stems are exported to.
    pub out: PathBuf,
    /// The port on 127.0.0.1; 0: any that is free.
    pub port: u16,
    /// The random seed of fits where the project does not say another.
    pub seed: u64,
    /// How long the head of a request may take, and each piece of its body.
    pub read_timeout: Duration,
    /// How errors are worded.
    pub words: Words,
}

impl StudioConfig {
    /// How long requests may take to come where nobody says another time.
    pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

    /// The files that are read.
    pub(super) fn files(&self) -> &[PathBuf] {
        if self.microphones.is_empty() { slice::from_ref(&self.recording) } else { &self.microphones }
    }

    /// What the folder of its stems is called.
    pub(super) fn track(&self) -> &OsStr {
        let is_file = self.files().contains(&self.recording);
        let name = if is_file { self.recording.file_stem() } else { self.recording.file_name() };
        name.unwrap_or_default()
    }
}

/// How errors are worded: the message, and what to do. Whoever opens the studio knows what its flags are called.
#[derive(Clone)]
pub struct Words(Arc<Wording>);

/// From an error to its message and its hint.
type Wording = dyn Fn(&Error) -> (String, Option<String>) + Send + Sync;

impl Words {
    /// In these words.
    pub fn new(words: impl Fn(&Error) -> (String, Option<String>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(words))
    }

    /// The message and what to do; files that came from the page are called by their names alone.
    pub(super) fn of(&self, error: &Error, folder: &Path) -> (String, Option<String>) {
        let (message, hint) = (self.0)(error);
        let before = format!("{}/", crate::error::shown(folder));
        (message.replace(&before, ""), hint.map(|hint| hint.replace(&before, "")))
    }
}

impl Default for Words {
    /// Those of the library.
    fn default() -> Self {
        Self::new(|error| (error.to_string(), error.hint()))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}
