//! A recording and what a person knows of it, as one thing that can be saved, opened and fitted again.
//! [`Document`] is what they know, [`Project`] its files, [`Session`] a recording that is worked on.

mod document;
mod file;
mod session;

pub use self::document::{Debleed, Document, ExampleFile, Group, ScoreFile, Settings};
pub use self::file::{MAX_BYTES, Project};
pub use self::session::Session;
use crate::Separation;
use crate::separate::painted;
pub use crate::separate::painted::Factors;

/// The components of a separation that a [`Session`] made; `None` where there are none: of silence.
pub fn factors(separation: &Separation) -> Option<Factors> {
    painted::factors(separation).cloned()
}
