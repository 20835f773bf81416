//! `partita separate`: recordings in, one file per source out.

mod args;
mod blind;
mod by_score;
mod known;
mod labels;
mod project;
mod spatial;

use partita::separate::HowPlaced;

use super::context::Context;
use super::failure::Failure;
use super::stems::{self, Method};

pub(super) use args::SeparateArgs;

pub(super) fn run(args: &SeparateArgs, context: &Context) -> Result<u8, Failure> {
    stems::run(&args.inputs, &args.output, &args.excerpt, context, &*method(args, context)?)
}

/// What is known of the sources decides how they are found.
fn method(args: &SeparateArgs, context: &Context) -> Result<Box<dyn Method>, Failure> {
    let (seed, terminal) = (context.seed, &context.terminal);
    if let Some(path) = &args.labels {
        return Ok(Box::new(labels::Labelled::new(path, args.places.or_pan(&args.pan, HowPlaced::Pan)?)?));
    }
    if let Some(path) = &args.project {
        return Ok(Box::new(project::Painted::new(path, args.places.or_pan(&args.pan, HowPlaced::Mask)?)?));
    }
    if args.spatial {
        return Ok(Box::new(spatial::Spatial::new(args, seed, terminal)?));
    }
    if let Some(path) = &args.score.score {
        return Ok(Box::new(by_score::ByScore::new(path, args, seed, terminal)?));
    }
    if !args.knowledge.example.is_empty() || !args.knowledge.dictionary.is_empty() {
        return Ok(Box::new(known::Known::new(args, seed, terminal)?));
    }
    if args.n_residual.is_some_and(|n_residual| n_residual > 0) {
        let hint = "give `--example NAME=FILE` for what is known";
        return Err(Failure::usage("`--residual` needs `--example` or `--dictionary`", hint));
    }
    if args.midi_out {
        let hint = "give `--example NAME=FILE` for each source, or a score with `--score FILE.mid`";
        return Err(Failure::usage("`--midi-out` needs `--example` or `--score`", hint));
    }
    Ok(Box::new(blind::Blind::new(args, seed)?))
}
