//! The options of `partita separate`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use partita::DictionaryConfig;
use partita::nmf::Divergence;
use partita::separate::AnalysisConfig;
use partita::separate::blind::BlindConfig;
use partita::separate::examples::ExamplesConfig;

use crate::cli::flags::{
    ExcerptArgs, InputArgs, KnowledgeArgs, OutputArgs, PanArgs, PlacesArgs, ScoreReadArgs, TransformArgs,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct SeparateArgs {
    #[command(flatten)]
    pub(in crate::cli) inputs: InputArgs,

    /// Number of sources [default: suggested by the components]
    #[arg(short, long = "sources", value_name = "N", conflicts_with_all = ["example", "dictionary"])]
    pub(in crate::cli) n_sources: Option<usize>,
    #[arg(short = 'k', long = "components", value_name = "K", help = components_help())]
    pub(in crate::cli) n_components: Option<usize>,
    /// Also write a file in which the components can be given names, and their factors beside it, as .npz
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, conflicts_with_all = ["example", "dictionary"])]
    pub(in crate::cli) labels_out: Option<PathBuf>,
    /// Make the stems that this file names, of the components that were found before
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, conflicts_with_all = [
        "labels_out", "components_out", "n_sources", "n_components", "max_iter", "tol", "n_fft", "hop_length", "window",
        "mask_exponent", "divergence", "max_frames", "example", "dictionary",
    ])]
    pub(in crate::cli) labels: Option<PathBuf>,

    /// Make the stems of a project that was saved in the studio: with its components, or anew where it has none
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, conflicts_with_all = [
        "labels_out", "labels", "components_out", "n_sources", "n_components", "max_iter", "tol", "n_fft", "hop_length",
        "window", "mask_exponent", "divergence", "max_frames", "example", "dictionary", "score", "n_residual", "midi_out",
    ])]
    pub(in crate::cli) project: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) score: ScoreArgs,
    #[command(flatten)]
    pub(in crate::cli) knowledge: KnowledgeArgs,
    #[arg(id = "n_residual", long = "residual", value_name = "K", help = residual_help(), help_heading = "Knowledge")]
    pub(in crate::cli) n_residual: Option<usize>,
    /// Also write the notes as a MIDI file, `notes.mid`, beside the stems: those that were found with the help of the examples,
    /// or those of the score, where they are in the recording; corrected, it is the next `--score`
    #[arg(long, help_heading = "Knowledge")]
    pub(in crate::cli) midi_out: bool,
    /// Separate by what the examples sound like alone: look for no notes, as `stream` does
    #[arg(long, requires = "example", conflicts_with = "midi_out", help_heading = "Knowledge")]
    pub(in crate::cli) no_notes: bool,
    #[command(flatten)]
    pub(in crate::cli) pan: PanArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
    #[command(flatten)]
    pub(in crate::cli) excerpt: ExcerptArgs,
    #[command(flatten)]
    pub(in crate::cli) method: MethodArgs,
    #[command(flatten)]
    pub(in crate::cli) places: PlacesArgs,
    /// Several distant microphones: tell as many sources apart as there are channels, by where they stand; with
    /// `--example` or `--score` by what is known of them, too
    #[arg(long, help_heading = "Method", conflicts_with_all = [
        "labels", "labels_out", "project", "dictionary", "n_residual", "components_out", "multichannel", "pan", "divergence",
        "mask_exponent", "midi_out",
    ])]
    pub(in crate::cli) spatial: bool,
}

fn components_help() -> String {
    format!(
        "Number of components, which are grouped into the sources; with examples, of each source [default: {}; of each \
         source {}]",
        BlindConfig::default().nmf.n_components,
        DictionaryConfig::default().n_components,
    )
}

fn residual_help() -> String {
    format!(
        "Templates for what no example explains, as a stem `residual` [default: {} where one source is known, else 0]",
        ExamplesConfig::N_RESIDUAL,
    )
}

/// What is known from a score.
#[derive(Debug, Args)]
#[command(next_help_heading = "Score")]
pub(in crate::cli) struct ScoreArgs {
    /// A MIDI file of what is played: one stem for each of its parts, and `residual`; `--example` teaches what the part of
    /// this name sounds like
    #[arg(long, value_name = "FILE.mid", value_hint = ValueHint::FilePath, conflicts_with_all = [
        "n_sources", "n_components", "dictionary", "n_residual", "n_semitones", "n_context", "labels_out",
        "labels", "components_out", "max_iter", "tol", "divergence",
    ])]
    pub(in crate::cli) score: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) read: ScoreReadArgs,
    /// Play the score this much later (or, below 0, earlier)
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, allow_negative_numbers = true, requires = "score")]
    pub(in crate::cli) score_offset: f64,
    /// Play the score this many times as slow, before it is moved
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "score")]
    pub(in crate::cli) score_stretch: f64,
    /// Find when the recording plays each note of the score
    #[arg(long, requires = "score")]
    pub(in crate::cli) align: bool,
    /// Share out among the parts what the score does not explain [default: a stem `residual`]
    #[arg(long, requires = "score")]
    pub(in crate::cli) no_residual: bool,
}

/// How the parts are found.
#[derive(Debug, Args)]
#[command(next_help_heading = "Method")]
pub(in crate::cli) struct MethodArgs {
    /// Iterations of the factorization at the most [default: 200; with examples 30]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) max_iter: Option<usize>,
    /// Stop when 10 iterations lower the divergence by less than this share of its first value; 0: never
    #[arg(long, value_name = "T", default_value_t = BlindConfig::default().nmf.tol)]
    pub(in crate::cli) tol: f64,
    #[command(flatten)]
    pub(in crate::cli) transform: TransformArgs,
    /// Exponent of the masks: 1 is softest, 2 the Wiener filter's
    #[arg(long, value_name = "A", default_value_t = BlindConfig::default().mask_exponent)]
    pub(in crate::cli) mask_exponent: f32,
    /// What the factorization makes small: kl, is, euclidean, or a number for any beta
    #[arg(long, value_name = "D", default_value = "kl")]
    pub(in crate::cli) divergence: Divergence,
    /// Learn from this many frames at the most, spread evenly over a longer recording; bounds the memory
    #[arg(long, value_name = "N", default_value_t = AnalysisConfig::default().max_frames)]
    pub(in crate::cli) max_frames: usize,
}

impl MethodArgs {
    /// How a recording is looked at.
    pub(in crate::cli) fn analysis(&self) -> AnalysisConfig {
        AnalysisConfig { stft: self.transform.options(), max_frames: self.max_frames, ..AnalysisConfig::default() }
    }
}
