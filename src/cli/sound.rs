//! What all commands do with their inputs: read one, or work through all of them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use partita::Audio;
use partita::audio::decode::{self, Reader};
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

    /// Skips to the start, and returns the number of samples that are wanted from there on.
    pub(super) fn seek(&self, reader: &mut Reader) -> Result<Option<u64>, Failure> {
        let sample_rate = reader.sample_rate();
        let n_samples = |time: Duration| (time.as_secs_f64() * f64::from(sample_rate)).round() as u64;
        let start = n_samples(self.start);
        let skipped = reader.skip(start)?;
        if skipped < start {
            return Err(Failure::usage(
                format!(
                    "`--start` is {:.1} s, expected at most {:.1} s (the length of the recording)",
                    self.start.as_secs_f64(),
                    skipped as f64 / f64::from(sample_rate)
                ),
                "give an earlier start",
            ));
        }
        Ok(self.duration.map(n_samples))
    }
}

/// Opens a file, or standard input.
pub(super) fn open(input: &Input) -> Result<Reader, Failure> {
    let reader = if input.is_stdin() {
        Reader::from_stream("standard input", io::stdin().lock())
    } else {
        Reader::open(&input.path)
    };
    reader.map_err(Failure::at(input.path.display()))
}

/// Reads the wanted part of a recording into memory.
pub(super) fn read(input: &Input, excerpt: &Excerpt, terminal: &Terminal) -> Result<Audio, Failure> {
    let bar = terminal.bar(1, "reading");
    let mut reader = open(input)?;
    terminal.detail(&format!(
        "{}: {} in {}, {} Hz, {} channels",
        input.path.display(),
        reader.codec(),
        reader.container(),
        reader.sample_rate(),
        reader.n_channels()
    ));
    let n_samples = excerpt.seek(&mut reader)?;
    let audio = decode::read_rest(&mut reader, n_samples).map_err(Failure::at(input.path.display()))?;
    drop(bar);
    Ok(audio)
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
