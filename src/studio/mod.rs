//! The studio: a page on this machine, on which a recording and its parts are heard, painted and fitted again.
//! The page itself is in `page/`; what it may ask for stands in `routes`. Only this module knows axum, hyper and tokio.

mod assets;
mod desk;
mod export;
mod files;
mod guard;
mod lock;
mod pyramid;
mod reply;
mod routes;
mod server;
mod sound;
mod tiles;
mod upload;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::watch::Watch;
use crate::{Error, Result};
use desk::Desk;

/// What a studio is opened with.
#[derive(Debug, Clone)]
pub struct StudioConfig {
    /// The recording.
    pub recording: PathBuf,
    /// The project file; it need not exist.
    pub project: PathBuf,
    /// The folder that stems are exported to.
    pub out: PathBuf,
    /// The port on 127.0.0.1; 0: any that is free.
    pub port: u16,
    /// The random seed of fits where the project does not say another.
    pub seed: u64,
    /// How errors are worded.
    pub words: Words,
}

/// How errors are worded: the message, and what to do. Whoever opens the studio knows what its flags are called.
#[derive(Clone)]
pub struct Words(Arc<dyn Fn(&Error) -> (String, Option<String>) + Send + Sync>);

impl Words {
    /// In these words.
    pub fn new(words: impl Fn(&Error) -> (String, Option<String>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(words))
    }

    /// The message and what to do; files that came from the page are called by their names alone.
    fn of(&self, error: &Error, folder: &Path) -> (String, Option<String>) {
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

/// A recording on the desk: decoded, looked at, with what its project knows of it.
#[derive(Debug)]
pub struct Studio {
    desk: Arc<Desk>,
}

impl Studio {
    /// Decodes the recording into a temporary file, and opens its project, if there is one.
    ///
    /// # Errors
    /// Those of the recording and of the project; [`Error::ProjectInUse`] where another studio has it open,
    /// [`Error::OtherRecording`] where it is of another recording, [`Error::Cancelled`].
    ///
    /// # Cost
    /// One pass over the recording, two where there is a project; 4 bytes on the disk for each sample. Memory: 20 MB for an
    /// hour.
    pub fn open(config: StudioConfig, watch: &mut Watch<'_>) -> Result<Self> {
        Ok(Self { desk: Arc::new(Desk::open(config, watch)?) })
    }

    /// What was odd about the recording's file, each a sentence.
    pub fn notes(&self) -> &[String] {
        self.desk.notes()
    }

    /// Serves the page until `is_over` says that it is enough; `ready` is told its address, with the token that lets in.
    ///
    /// # Errors
    /// [`Error::Serve`] where the port cannot be had.
    pub fn serve(self, ready: &mut dyn FnMut(&str), is_over: &dyn Fn() -> bool) -> Result<()> {
        server::serve(self.desk, ready, is_over)
    }
}
