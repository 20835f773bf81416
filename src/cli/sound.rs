//! What all commands do with an input: open the part of it that is wanted.

use std::io;
use std::time::Duration;

use partita::audio::Recording;
use partita::audio::decode::AudioFile;

use super::args;
use super::failure::Failure;
use super::inputs::{Input, STANDARD_INPUT};
use super::terminal::Terminal;

/// The part of each recording that is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excerpt {
    start: Duration,
    duration: Option<Duration>,
}

impl Excerpt {
    pub(super) fn new(args: &args::Excerpt) -> Self {
        Self { start: args.start.unwrap_or_default(), duration: args.duration }
    }
}

/// Opens the wanted part of a file, or of standard input.
pub(super) fn open(input: &Input, excerpt: &Excerpt, terminal: &Terminal) -> Result<AudioFile, Failure> {
    let file = if input.is_stdin() {
        AudioFile::from_stream(STANDARD_INPUT, io::stdin().lock())
    } else {
        AudioFile::open(&input.path)
    };
    let duration_s = excerpt.duration.map(|duration| duration.as_secs_f64());
    let file = file.map(|file| file.with_excerpt(excerpt.start.as_secs_f64(), duration_s));
    let file = file.map_err(Failure::at(input.label()))?;
    terminal.detail(&format!(
        "{}: {} in {}, {} Hz, {} channels",
        input.label(),
        file.codec(),
        file.container(),
        file.sample_rate(),
        file.n_channels()
    ));
    Ok(file)
}
