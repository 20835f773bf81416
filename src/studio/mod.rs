//! The studio: a page on this machine, on which a recording and its parts are heard, painted and fitted again.
//! The page itself is in `page/`; what it may ask for stands in `routes`. Only this module knows axum, hyper and tokio.

mod assets;
mod components;
mod config;
mod desk;
mod export;
mod files;
mod guard;
mod lock;
mod pyramid;
mod refusal;
mod reply;
mod routes;
mod server;
mod sound;
mod tiles;
mod upload;

use std::sync::Arc;

pub use self::config::{StudioConfig, Words};
use crate::Result;
use crate::watch::Watch;
use desk::Desk;

/// A recording on the desk: decoded, looked at, with what its project knows of it.
#[derive(Debug)]
pub struct Studio {
    desk: Arc<Desk>,
}

impl Studio {
    /// Decodes the recording into a temporary file, and opens its project, if there is one.
    ///
    /// # Errors
    /// Those of the recording and of the project; [`crate::Error::ProjectInUse`] where another studio has it open,
    /// [`crate::Error::OtherRecording`] where it is of another recording, [`crate::Error::Cancelled`].
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
    /// [`crate::Error::Serve`] where the port cannot be had.
    pub fn serve(self, ready: &mut dyn FnMut(&str), is_over: &dyn Fn() -> bool) -> Result<()> {
        server::serve(self.desk, ready, is_over)
    }
}
