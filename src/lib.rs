//! Takes the parts out of a recording, by non-negative matrix factorization.
//!
//! ```text
//! file -> audio -> stft -> nmf (+ knowledge) -> mask -> stft inverse -> audio -> file
//! ```
//!
//! The pipeline, from a recording to its parts:
//!
//! ```no_run
//! use partita::audio::{decode::AudioFile, encode};
//! use partita::separate::{Analysis, AnalysisConfig, score};
//! use partita::{Score, watch::Watch};
//! # fn main() -> partita::Result<()> {
//! let watch = &mut Watch::none(); // nobody is told how far it is, nobody stops it
//! let song = AudioFile::open("song.wav".as_ref())?; // of any length
//! let analysis = Analysis::of(&song, &AnalysisConfig::default(), watch)?; // first pass: what is in it
//! let knowledge = score::ScoreConfig::new(Score::load("song.mid".as_ref())?); // what you know
//! let parts = score::fit(&analysis, &knowledge, None, watch)?; // which part is what
//! for (name, stem) in parts.names().iter().zip(parts.stems(&song, watch)?) {
//!     // second pass: masks, inverse transform
//!     encode::write(format!("{name}.wav").as_ref(), &stem, &encode::EncodeConfig::default())?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The modules below stand in the order in which a sound passes through them, and each uses only the ones above it
//! (`tests/architecture.rs` holds them to it). Only `atomic`, `matrix_file`, `audio::decode`, `audio::encode`,
//! `audio::spool`, `batch`, `plot`, `studio`, and the functions `load` and `save` of knowledge, touch files; nothing but `cli` prints.

pub mod error;
pub mod watch;
pub mod names;
pub mod text;
mod hash;
pub mod atomic;
pub mod audio;
pub mod stft;
pub mod spectrogram;
pub mod nmf;
pub mod matrix_file;
pub mod knowledge;
pub mod separate;
pub mod project;
pub mod batch;
pub mod eval;
#[cfg(feature = "plot")]
pub mod plot;
#[cfg(feature = "studio")]
pub mod studio;
#[cfg(feature = "cli")]
pub mod cli;

/// The command line is written as a user of the library would: by its name, and with what is public.
#[cfg(feature = "cli")]
extern crate self as partita;

pub use audio::Audio;
pub use error::{Error, Result};
pub use knowledge::dictionary::{Dictionary, DictionaryConfig};
pub use knowledge::score::Score;
pub use separate::{Separation, separate};
pub use spectrogram::Spectrogram;
pub use stft::{Stft, StftConfig, StftOptions};

/// The README's Rust code is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
