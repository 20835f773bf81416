//! `partita learn`: recordings of sources in, a dictionary out.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use partita::audio::Recording;
use partita::batch::text;
use partita::error::shown;
use partita::separate::examples;
use partita::watch::Watch;
use partita::{Dictionary, DictionaryConfig};
use serde_json::json;

use super::exit;
use super::failure::Failure;
use super::flags::{TrackArgs, TransformArgs};
use super::outputs;
use super::parse;
use super::sound::Solo;
use super::terminal::Terminal;

#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    /// Recordings of one source alone (repeatable; those of one NAME are learned together)
    #[arg(required = true, value_name = "NAME=SOLO", value_parser = parse::named_file)]
    pub(super) examples: Vec<(String, PathBuf)>,
    /// The .safetensors to write
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) out: PathBuf,
    /// Overwrite the file if it exists
    #[arg(short, long)]
    pub(super) force: bool,

    /// Sample rate of the recordings that it is for, in Hz [default: that of the first example]
    #[arg(long, value_name = "HZ", help_heading = "Method")]
    pub(super) sample_rate: Option<u32>,
    /// Templates of each source
    #[arg(short = 'k', long = "components", value_name = "K", default_value_t = DictionaryConfig::default().n_components, help_heading = "Method")]
    pub(super) n_components: usize,
    /// Consecutive frames in one template
    #[arg(id = "n_context", long = "context", value_name = "N", default_value_t = DictionaryConfig::default().n_context, help_heading = "Method")]
    pub(super) n_context: usize,
    /// Iterations of the factorization
    #[arg(long, value_name = "N", default_value_t = DictionaryConfig::default().max_iter, help_heading = "Method")]
    pub(super) max_iter: usize,
    #[command(flatten)]
    pub(super) track: TrackArgs,
    #[command(flatten)]
    pub(super) transform: TransformArgs,
}

pub(super) fn run(args: &LearnArgs, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    if args.out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Failure::usage(
            format!("`{}` must end in `.safetensors`, as the name of a dictionary does", shown(&args.out)),
            format!("use `{}`", shown(&args.out.with_extension("safetensors"))),
        ));
    }
    outputs::refuse_existing(std::slice::from_ref(&args.out), args.force)?;
    outputs::check_writable(args.out.parent().unwrap_or(Path::new("")))?;
    let solos = Solo::open_all(&args.examples, args.track.audio_track, terminal)?;
    let sample_rate = args.sample_rate.or(solos.first().map(|solo| solo.file.sample_rate())).unwrap_or_default();
    let config =
        DictionaryConfig { n_components: args.n_components, n_context: args.n_context, max_iter: args.max_iter, seed };
    let stft = args.transform.options();
    let known: Vec<_> = solos.iter().map(Solo::example).collect();
    let mut steps = terminal.steps();
    let mut tell = |progress| steps.tell(progress);
    let dictionary = examples::learn(&known, sample_rate, &stft, &config, &mut Watch::new(&mut tell))?;
    drop(steps);
    dictionary.save(&args.out, outputs::may_replace(args.force))?;
    report(args, &dictionary, terminal);
    Ok(exit::DONE)
}

/// Says what was learned, and where it went.
fn report(args: &LearnArgs, dictionary: &Dictionary, terminal: &Terminal) {
    let stft = dictionary.stft();
    terminal.say(&format!(
        "{} for recordings at {} Hz, with `--n-fft {}`",
        shown(&args.out),
        dictionary.sample_rate(),
        stft.n_fft
    ));
    let sources = dictionary.sources();
    for source in sources {
        let n_examples = args.examples.iter().filter(|(name, _)| *name == source.name).count();
        terminal.say(&format!(
            "  {:<14} {} templates of {} frames, from {n_examples} {}",
            source.name,
            source.templates.ncols(),
            dictionary.n_context(),
            if n_examples == 1 { "recording" } else { "recordings" },
        ));
    }
    let sources: Vec<_> =
        sources.iter().map(|source| json!({ "name": source.name, "n_components": source.templates.ncols() })).collect();
    terminal.event(json!({
        "event": "learned", "path": text(&args.out), "sample_rate": dictionary.sample_rate(),
        "n_fft": stft.n_fft, "hop_length": stft.hop_length, "window": stft.window.name(),
        "n_context": dictionary.n_context(), "sources": sources,
    }));
}
