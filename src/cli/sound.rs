//! What all commands do with their inputs: read one, or work through all of them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use partita::audio::Recording;
use partita::audio::decode::AudioFile;
use serde_json::json;

use super::args;
use super::failure::{DONE, Failure};
use super::inputs::Input;
use super::is_interrupted;
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
        AudioFile::from_stream("standard input", io::stdin().lock())
    } else {
        AudioFile::open(&input.path)
    };
    let duration_s = excerpt.duration.map(|duration| duration.as_secs_f64());
    let file = file.and_then(|file| file.with_excerpt(excerpt.start.as_secs_f64(), duration_s));
    let file = file.map_err(Failure::at(input.path.display()))?;
    terminal.detail(&format!(
        "{}: {} in {}, {} Hz, {} channels",
        input.path.display(),
        file.codec(),
        file.container(),
        file.sample_rate(),
        file.n_channels()
    ));
    Ok(file)
}

/// Works through the inputs: one that fails is reported, and the others go on.
pub(super) fn each(
    inputs: &[Input],
    terminal: &Terminal,
    done: &'static str,
    mut work: impl FnMut(&Input) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    if let [input] = inputs {
        work(input)?;
        return Ok(DONE);
    }
    let mut failed: Vec<PathBuf> = Vec::new();
    for input in inputs {
        match work(input) {
            Err(failure) if failure.is_interruption() || is_interrupted() => return Err(failure),
            Err(failure) => {
                terminal.failure(&failure);
                failed.push(input.path.clone());
            }
            Ok(()) => {}
        }
    }
    let (n_failed, n_inputs) = (failed.len(), inputs.len());
    let failed: Vec<_> = failed.iter().map(|path| path.display().to_string()).collect();
    terminal.event(json!({ "event": "summary", "inputs": n_inputs, "failed": failed }));
    if n_failed > 0 {
        return Err(Failure::Some { n_failed, n_inputs, done });
    }
    terminal.say(&format!("{n_inputs} of {n_inputs} {done}"));
    Ok(DONE)
}
