//! The command line as it is typed. Fields are named as the library names its settings, so that a message about
//! `hop_length` can be shown as one about `--hop-length`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use partita::DictionaryConfig;
use partita::StftOptions;
use partita::audio::encode::{ClipMode, FileFormat};
use partita::batch::Shard;
use partita::eval::{Channels, EvalConfig, Mode};
use partita::matrix_file::Missing;
use partita::nmf::{Divergence, Init, NmfConfig, Solver};
use partita::plot::ColorMap;
use partita::separate::Multichannel;
use partita::separate::denoise::{Content, DenoiseConfig};
use partita::separate::{DrumsConfig, HpssConfig};
use partita::stft::window::Window;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Takes the parts out of a recording.
#[derive(Debug, Parser)]
#[command(name = "partita", version, styles = STYLES, max_term_width = 100, infer_subcommands = false)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) global: Global,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Separates recordings into sources, each written as a file of its own
    Separate(Box<Separate>),
    /// Takes drums apart: kick, snare, hi-hat, or drums of which there are recordings
    Drums(Box<Drums>),
    /// Tells harmonic from percussive sound
    Hpss(Box<Hpss>),
    /// Takes a noise out of recordings, of speech or of anything else
    Denoise(Box<Denoise>),
    /// Learns what sources sound like from recordings of each alone
    Learn(Box<Learn>),
    /// Draws the spectrogram of a recording
    Spectrogram(Box<Spectrogram>),
    /// Factorizes a matrix from a file: V ~ W H
    Factorize(Box<Factorize>),
    /// Scores estimates of sources against the sources themselves
    Evaluate(Box<Evaluate>),
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints a manual page
    Man {
        /// The command it is about; without one, the program as a whole
        command: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Print errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say more about what is done
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
    /// When to use color; `NO_COLOR` is respected
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(super) color: Color,
    /// Print one JSON object per line on standard output
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Worker threads in all, and recordings worked on at once; 0: one per core. The result does not depend on it
    #[arg(short, long, global = true, default_value_t = 0, value_name = "N")]
    pub(super) jobs: usize,
    /// Seed of every random number; the same seed gives the same bytes
    #[arg(long, global = true, default_value_t = 0, value_name = "N")]
    pub(super) seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    pub(super) fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Debug, Args)]
pub(super) struct Separate {
    /// Recordings, folders of recordings (walked recursively), patterns such as `songs/**/*.flac`, or `-` for standard
    /// input
    #[arg(required_unless_present = "files_from", value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(super) inputs: Vec<PathBuf>,

    /// Number of sources [default: suggested by the components]
    #[arg(short, long = "sources", value_name = "N", conflicts_with_all = ["example", "dictionary"])]
    pub(super) n_sources: Option<usize>,
    /// Number of components, which are grouped into the sources; with examples, of each source [default: 32; of each
    /// source 20]
    #[arg(short = 'k', long = "components", value_name = "K")]
    pub(super) n_components: Option<usize>,
    /// Also write a file in which the components can be given names, and their factors beside it, as .npz
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, conflicts_with_all = ["example", "dictionary"])]
    pub(super) labels_out: Option<PathBuf>,
    /// Make the stems that this file names, of the components that were found before
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath, conflicts_with_all = [
        "labels_out", "components_out", "n_sources", "n_components", "max_iter", "tol", "n_fft", "hop_length", "window",
        "mask_exponent", "divergence", "max_frames", "example", "dictionary",
    ])]
    pub(super) labels: Option<PathBuf>,

    #[command(flatten)]
    pub(super) score: Score,
    #[command(flatten)]
    pub(super) knowledge: Knowledge,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) excerpt: Excerpt,
    #[command(flatten)]
    pub(super) method: Method,
}

#[derive(Debug, Args)]
pub(super) struct Denoise {
    /// Recordings, folders of recordings (walked recursively), patterns such as `songs/**/*.flac`, or `-` for standard
    /// input
    #[arg(required_unless_present = "files_from", value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(super) inputs: Vec<PathBuf>,

    /// The noise alone, as loud as it is in the recordings [default: the quietest parts of each]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "noise_range")]
    pub(super) noise: Option<PathBuf>,
    /// Where in each recording the noise is alone, from A to B, in seconds or as [h:]m:s
    #[arg(long, value_name = "A-B", value_parser = parse_time_range)]
    pub(super) noise_range: Option<(Duration, Duration)>,
    /// What there is beside the noise; auto: speech where a model of speech explains the recording
    #[arg(long, default_value = Content::default().name(), value_parser = named(Content::ALL, Content::name))]
    pub(super) content: Content,
    /// How much of the noise goes: 0 nothing, 1 all that is found, above 1 more, at the cost of the rest
    #[arg(long, value_name = "S", default_value_t = DenoiseConfig::default().strength)]
    pub(super) strength: f32,

    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) excerpt: Excerpt,

    #[command(flatten)]
    pub(super) transform: Transform,
    /// Exponent of the masks between speech and noise: 1 is softest, 2 the Wiener filter's
    #[arg(long, value_name = "A", default_value_t = DenoiseConfig::default().mask_exponent, help_heading = "Method")]
    pub(super) mask_exponent: f32,
}

/// What the sources sound like.
#[derive(Debug, Args)]
#[command(next_help_heading = "Knowledge")]
pub(super) struct Knowledge {
    /// A recording of one source alone, to learn it from (repeatable; those of one NAME are learned together); with
    /// --score, of the part of this name
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_named_file)]
    pub(super) example: Vec<(String, PathBuf)>,
    /// A dictionary that `partita learn` made (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) dictionary: Vec<PathBuf>,
    /// Templates for what no example explains, as a stem `residual`
    #[arg(id = "n_residual", long = "residual", value_name = "K", default_value_t = 0)]
    pub(super) n_residual: usize,
    /// Look for the sound of each example also this many semitones higher and lower, for notes that it lacks
    #[arg(id = "n_semitones", long = "transpose", value_name = "N", default_value_t = partita::separate::ExamplesConfig::default().n_semitones)]
    pub(super) n_semitones: usize,
    /// With several channels, tell sources apart by their places, too, or by one mask for all channels
    #[arg(long, default_value = Multichannel::default().name(), value_parser = named(Multichannel::ALL, Multichannel::name))]
    pub(super) multichannel: Multichannel,
    /// Consecutive frames in one template of an example [default: that of the dictionary, else 3]
    #[arg(id = "n_context", long = "context", value_name = "N")]
    pub(super) n_context: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Learn {
    /// Recordings of one source alone (repeatable; those of one NAME are learned together)
    #[arg(required = true, value_name = "NAME=SOLO", value_parser = parse_named_file)]
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
    pub(super) transform: Transform,
}

/// What is known from a score.
#[derive(Debug, Args)]
#[command(next_help_heading = "Score")]
pub(super) struct Score {
    /// A MIDI file of what is played: one stem for each of its parts, and `residual`
    #[arg(long, value_name = "FILE.mid", value_hint = ValueHint::FilePath, conflicts_with_all = [
        "n_sources", "n_components", "dictionary", "n_residual", "n_semitones", "n_context", "multichannel", "labels_out",
        "labels", "components_out", "max_iter", "tol", "divergence",
    ])]
    pub(super) score: Option<PathBuf>,
    /// Play the score this much later (or, below 0, earlier)
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, allow_negative_numbers = true, requires = "score")]
    pub(super) score_offset: f64,
    /// Play the score this many times as slow, before it is moved
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "score")]
    pub(super) score_stretch: f64,
    /// Find when the recording plays each note of the score
    #[arg(long, requires = "score")]
    pub(super) align: bool,
    /// Share out among the parts what the score does not explain [default: a stem `residual`]
    #[arg(long, requires = "score")]
    pub(super) no_residual: bool,
}

/// Where stems go and in what form; shared by the separating commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Folder to write to
    #[arg(short, long, default_value = "separated", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) out: PathBuf,
    /// File name of each stem, below the folder
    #[arg(long, default_value = "{track}/{stem}.{ext}", value_name = "TEMPLATE")]
    pub(super) filename: String,
    /// File format
    #[arg(long, default_value = "wav", value_parser = named(FileFormat::ALL, FileFormat::extension))]
    pub(super) format: FileFormat,
    /// 16-bit samples, with dither
    #[arg(long, group = "sample_format")]
    pub(super) int16: bool,
    /// 24-bit samples (the default for FLAC)
    #[arg(long, group = "sample_format")]
    pub(super) int24: bool,
    /// Floating-point samples: nothing clips, and stems sum to the mixture (the default for WAV)
    #[arg(long, group = "sample_format")]
    pub(super) float32: bool,
    /// What to do where a stem exceeds full scale: one lower gain for all stems, cut the samples off, or nothing
    /// [default: none for --float32, else rescale]
    #[arg(long, value_parser = named(ClipMode::ALL, ClipMode::name))]
    pub(super) clip_mode: Option<ClipMode>,
    /// Write only this stem (repeatable)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["two_stems", "components_out"])]
    pub(super) stem: Vec<String>,
    /// Write two stems: NAME, and everything else as `no_NAME`
    #[arg(long, value_name = "NAME", conflicts_with = "components_out")]
    pub(super) two_stems: Option<String>,
    /// Also write each component as a file, in a folder `components` beside the stems
    #[arg(long)]
    pub(super) components_out: bool,
    /// Also draw pictures beside the stems: spectrograms, masks, dictionary, activations, divergence
    #[arg(long)]
    pub(super) plot: bool,
    /// Overwrite files that exist
    #[arg(short, long, conflicts_with = "skip_existing")]
    pub(super) force: bool,
    /// Skip inputs whose stems exist [default: refuse to start]
    #[arg(long)]
    pub(super) skip_existing: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) batch: Batch,
}

/// How many inputs are worked through; `--jobs` says how many at once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Batch")]
pub(super) struct Batch {
    /// Read the names of more inputs from this file, or `-` for standard input: one per line, or separated by NUL
    #[arg(long, value_name = "LIST", value_hint = ValueHint::FilePath)]
    pub(super) files_from: Option<PathBuf>,
    /// Memory for the recordings that are worked on at the same time, as in 2GiB [default: half of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size_bytes)]
    pub(super) memory: Option<u64>,
    /// Write a line of JSON to this file for each recording that is finished
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) manifest: Option<PathBuf>,
    /// Skip what the manifest says is done, if neither the recording nor the options have changed since, and its files
    /// are there; do the rest again
    #[arg(long, requires = "manifest", conflicts_with = "skip_existing")]
    pub(super) resume: bool,
    /// Only the I-th of N shares of the inputs: the same on every machine
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
}

/// Which part of the input is used.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(super) struct Excerpt {
    /// Start here, in seconds or as [h:]m:s
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) start: Option<Duration>,
    /// Use this much, in seconds or as [h:]m:s
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) duration: Option<Duration>,
}

/// How sound is cut into frames.
#[derive(Debug, Args)]
#[command(next_help_heading = "Method")]
pub(super) struct Transform {
    /// Length of the transform in samples [default: the power of two nearest to 93 ms for music, 46 ms for drums and
    /// pictures, 64 ms for speech; the second stage of `hpss` has an eighth]
    #[arg(long, value_name = "N")]
    n_fft: Option<usize>,
    /// Samples from one frame to the next [default: a quarter of the transform]
    #[arg(long, value_name = "N")]
    hop_length: Option<usize>,
    /// Shape of the window
    #[arg(long, default_value = Window::default().name(), value_parser = named(Window::ALL, Window::name))]
    window: Window,
}

impl Transform {
    pub(super) fn options(&self) -> StftOptions {
        StftOptions { n_fft: self.n_fft, hop_length: self.hop_length, window: self.window }
    }
}

/// How the parts are found.
#[derive(Debug, Args)]
#[command(next_help_heading = "Method")]
pub(super) struct Method {
    /// Iterations of the factorization at the most [default: 200; with examples 30]
    #[arg(long, value_name = "N")]
    pub(super) max_iter: Option<usize>,
    /// Stop when 10 iterations lower the divergence by less than this share of its first value; 0: never
    #[arg(long, value_name = "T", default_value_t = partita::SeparateConfig::default().nmf.tol)]
    pub(super) tol: f64,
    #[command(flatten)]
    pub(super) transform: Transform,
    /// Exponent of the masks: 1 is softest, 2 the Wiener filter's
    #[arg(long, value_name = "A", default_value_t = partita::SeparateConfig::default().mask_exponent)]
    pub(super) mask_exponent: f32,
    /// What the factorization makes small: kl, is, euclidean, or a number for any beta
    #[arg(long, value_name = "D", default_value = "kl")]
    pub(super) divergence: Divergence,
    /// Learn from this many frames at the most, spread evenly over a longer recording; bounds the memory
    #[arg(long, value_name = "N", default_value_t = partita::SeparateConfig::default().max_frames)]
    pub(super) max_frames: usize,
}

#[derive(Debug, Args)]
pub(super) struct Drums {
    /// Recordings, folders of recordings (walked recursively), patterns such as `songs/**/*.flac`, or `-` for standard
    /// input
    #[arg(required_unless_present = "files_from", value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(super) inputs: Vec<PathBuf>,

    /// A drum by a recording of one or more of its hits: another drum, or in place of kick, snare or hihat (repeatable;
    /// several recordings of one name are several sounds of one drum)
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_named_file, value_hint = ValueHint::FilePath)]
    pub(super) kit: Vec<(String, PathBuf)>,
    /// Look for the drums of `--kit` only, not for kick, snare and hihat
    #[arg(long, requires = "kit")]
    pub(super) kit_only: bool,
    /// Also write the hits as a MIDI file, `drums.mid`, beside the stems
    #[arg(long)]
    pub(super) midi_out: bool,

    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) excerpt: Excerpt,

    /// Free templates for what no drum explains, which goes to a stem `residual`
    #[arg(id = "n_residual", long = "residual", value_name = "K", default_value_t = DrumsConfig::default().n_residual, help_heading = "Method")]
    pub(super) n_residual: usize,
    /// Length of a hit in seconds, as far as it is modeled
    #[arg(long, value_name = "S", default_value_t = DrumsConfig::default().template_s, help_heading = "Method")]
    pub(super) template_s: f64,
    /// Iterations of the factorization
    #[arg(long, value_name = "N", default_value_t = DrumsConfig::default().max_iter, help_heading = "Method")]
    pub(super) max_iter: usize,
    #[command(flatten)]
    pub(super) transform: Transform,
    /// Exponent of the masks: 1 is softest, 2 the Wiener filter's
    #[arg(long, value_name = "A", default_value_t = DrumsConfig::default().mask_exponent, help_heading = "Method")]
    pub(super) mask_exponent: f32,
    /// Learn from this many frames at the most, spread evenly over a longer recording; bounds the memory
    #[arg(long, value_name = "N", default_value_t = DrumsConfig::default().max_frames, help_heading = "Method")]
    pub(super) max_frames: usize,
}

#[derive(Debug, Args)]
pub(super) struct Hpss {
    /// Recordings, folders of recordings (walked recursively), patterns such as `songs/**/*.flac`, or `-` for standard
    /// input
    #[arg(required_unless_present = "files_from", value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(super) inputs: Vec<PathBuf>,

    /// How many times stronger one kind must be than the other; above 1, what is neither goes to a stem `residual`
    #[arg(long, value_name = "M", default_value_t = HpssConfig::default().margin)]
    pub(super) margin: f32,

    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) excerpt: Excerpt,

    /// Length of the median along time, in seconds: what lasts half as long or less is not harmonic
    #[arg(long, value_name = "S", default_value_t = HpssConfig::default().harmonic_s, help_heading = "Method")]
    pub(super) harmonic_s: f64,
    /// Width of the median along frequency, in Hz: what is half as wide or less is not percussive
    #[arg(long, value_name = "HZ", default_value_t = HpssConfig::default().percussive_hz, help_heading = "Method")]
    pub(super) percussive_hz: f64,
    #[command(flatten)]
    pub(super) transform: Transform,
    /// Exponent of the masks of the first stage; that of the second is half of it
    #[arg(long, value_name = "A", default_value_t = HpssConfig::default().mask_exponent, help_heading = "Method")]
    pub(super) mask_exponent: f32,
}

#[derive(Debug, Args)]
pub(super) struct Spectrogram {
    /// A recording, or `-` for standard input
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub(super) input: PathBuf,
    /// The picture to write, .png or .svg
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) out: PathBuf,
    /// Overwrite the picture if it exists
    #[arg(short, long)]
    pub(super) force: bool,

    /// Linear frequency axis
    #[arg(long, group = "frequency_scale", help_heading = "Picture")]
    pub(super) linear: bool,
    /// Logarithmic frequency axis (the default)
    #[arg(long, group = "frequency_scale", help_heading = "Picture")]
    pub(super) log: bool,
    /// Mel frequency axis
    #[arg(long, group = "frequency_scale", help_heading = "Picture")]
    pub(super) mel: bool,
    /// Levels shown, in dB below the peak
    #[arg(long, value_name = "DB", default_value_t = 80.0, help_heading = "Picture")]
    pub(super) range_db: f32,
    /// Colors
    #[arg(long, default_value = ColorMap::default().name(), value_parser = named(ColorMap::ALL, ColorMap::name), help_heading = "Picture")]
    pub(super) colormap: ColorMap,
    /// Size of the picture in pixels
    #[arg(long, value_name = "WxH", default_value = "1600x900", value_parser = parse_size, help_heading = "Picture")]
    pub(super) size: (u32, u32),

    #[command(flatten)]
    pub(super) excerpt: Excerpt,

    #[command(flatten)]
    pub(super) transform: Transform,
}

#[derive(Debug, Args)]
pub(super) struct Factorize {
    /// The matrix V, no entry below 0: .npy, text (.csv, .tsv, .txt) with a row per line, or sparse Matrix Market (.mtx)
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub(super) input: PathBuf,
    /// The .npz to write: W (rows x components), H (components x columns) and info.json
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) out: PathBuf,
    /// Overwrite files that exist
    #[arg(short, long)]
    pub(super) force: bool,
    /// Also draw dictionary, activations and divergence beside the .npz
    #[arg(long)]
    pub(super) plot: bool,

    /// Number of components [default: that of the given factors, else 8]
    #[arg(short = 'k', long = "components", value_name = "K")]
    pub(super) n_components: Option<usize>,
    /// Find the number of components that predicts hidden entries best, from A to B, and use it
    #[arg(id = "range", long = "select-rank", value_name = "A-B", value_parser = parse_range, conflicts_with_all = ["n_components", "init_dictionary", "init_activations"])]
    pub(super) select_rank: Option<RangeInclusive<usize>>,
    /// What is made small: kl, is, euclidean, or a number for any beta
    #[arg(long, value_name = "D", default_value = "kl", allow_negative_numbers = true)]
    pub(super) divergence: Divergence,
    /// How: multiplicative updates, plain or extrapolated, or, for the Euclidean divergence only, coordinate descent,
    /// alternating least squares or projected gradients
    #[arg(long, default_value = NmfConfig::default().solver.name(), value_parser = named(Solver::ALL, Solver::name))]
    pub(super) solver: Solver,
    /// Iterations at the most
    #[arg(long, value_name = "N", default_value_t = NmfConfig::default().max_iter)]
    pub(super) max_iter: usize,
    /// Stop when 10 iterations lower the divergence by less than this share of its first value; 0: never
    #[arg(long, value_name = "T", default_value_t = NmfConfig::default().tol)]
    pub(super) tol: f64,
    /// Stop at this divergence (with penalties, if any), on the scale of V
    #[arg(long, value_name = "D")]
    pub(super) target_divergence: Option<f64>,

    #[command(flatten)]
    pub(super) start: Start,
    #[command(flatten)]
    pub(super) entries: Entries,
    #[command(flatten)]
    pub(super) penalties: Penalties,
}

/// What the factors start from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Start")]
pub(super) struct Start {
    /// How factors start that are not given
    #[arg(long, default_value = NmfConfig::default().init.name(), value_parser = named(Init::ALL, Init::name))]
    pub(super) init: Init,
    /// Start W from this matrix (rows x components)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) init_dictionary: Option<PathBuf>,
    /// Start H from this matrix (components x columns)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) init_activations: Option<PathBuf>,
    /// Keep W as given
    #[arg(long, requires = "init_dictionary")]
    pub(super) fix_dictionary: bool,
    /// Keep H as given
    #[arg(long, requires = "init_activations")]
    pub(super) fix_activations: bool,
    /// Start W from a fit to every eighth column; for matrices that are read by blocks
    #[arg(long, conflicts_with = "init_dictionary")]
    pub(super) warm_start: bool,
}

/// Which entries count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Entries")]
pub(super) struct Entries {
    /// How much each entry of V counts: a matrix of its shape
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) weights: Option<PathBuf>,
    /// Entries of V that are missing
    #[arg(long, default_value = Missing::default().name(), value_parser = named(Missing::ALL, Missing::name))]
    pub(super) missing: Missing,
    /// Read the matrix block by block in each iteration, in bounded memory [default: for .npy files above 2 GiB]
    #[arg(long)]
    pub(super) by_blocks: bool,
}

/// What the factors pay for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Penalties")]
pub(super) struct Penalties {
    /// Cost of large entries of W
    #[arg(long, value_name = "A", default_value_t = 0.0)]
    pub(super) alpha_dictionary: f32,
    /// Cost of large entries of H
    #[arg(long, value_name = "A", default_value_t = 0.0)]
    pub(super) alpha_activations: f32,
    /// From squares (0) to absolute values (1) in these two costs
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    pub(super) l1_ratio: f32,
    /// Cost of changes from one column of H to the next
    #[arg(long, value_name = "A", default_value_t = 0.0)]
    pub(super) temporal_continuity: f32,
    /// Cost of groups of components that are active in the same column; useful are 0.01 to 1
    #[arg(
        id = "group_sparsity.strength",
        long = "group-sparsity",
        value_name = "A",
        requires = "group_sparsity.groups"
    )]
    pub(super) group_sparsity: Option<f32>,
    /// Group of each component, as in 0,0,1,1
    #[arg(
        id = "group_sparsity.groups",
        long = "groups",
        value_name = "LIST",
        value_delimiter = ',',
        requires = "group_sparsity.strength"
    )]
    pub(super) groups: Vec<usize>,
    /// What counts as silence of a group, relative to the mean of V
    #[arg(id = "group_sparsity.offset", long = "group-offset", value_name = "X", default_value_t = 0.01)]
    pub(super) group_offset: f32,
}

#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// Folder of the sources as they are, one file each, or of folders of them, one for each track
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) references: PathBuf,
    /// Folder of the estimates, under the same names
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) estimates: PathBuf,
    /// Find out which estimate belongs to which reference, by the best SIR, whatever their names
    #[arg(long)]
    pub(super) permutation: bool,
    /// The mixture, to say how much better the estimates are; with several tracks, its place in each folder of references
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) mixture: Option<PathBuf>,

    /// What BSS Eval forgives: nothing (images), or what a filter does to the source (sources)
    #[arg(long, default_value = Mode::default().name(), value_parser = named(Mode::ALL, Mode::name), help_heading = "Measure")]
    pub(super) mode: Mode,
    /// Judge channels as one signal, or each for itself and average
    #[arg(long, default_value = Channels::default().name(), value_parser = named(Channels::ALL, Channels::name), help_heading = "Measure")]
    pub(super) channels: Channels,
    /// Judge windows one by one, and tell the medians [default: the whole at once]
    #[arg(long, help_heading = "Measure")]
    pub(super) framewise: bool,
    /// Length of a window, in seconds; implies --framewise [default: 1]
    #[arg(long = "window", value_name = "S", help_heading = "Measure")]
    pub(super) window_s: Option<f64>,
    /// From one window to the next, in seconds; implies --framewise [default: the length of a window]
    #[arg(long = "hop", value_name = "S", help_heading = "Measure")]
    pub(super) hop_s: Option<f64>,
    /// Taps of the distortion filters
    #[arg(long = "filter-length", value_name = "N", default_value_t = EvalConfig::default().n_taps, help_heading = "Measure")]
    pub(super) n_taps: usize,
}

/// A parser of one of `all`, by name.
fn named<T, const N: usize>(all: [T; N], name: fn(T) -> &'static str) -> impl clap::builder::TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(all.map(name))
        .map(move |given| all.into_iter().find(|x| name(*x) == given).unwrap_or(all[0]))
}

/// `12.5`, `1:02.5` or `1:00:02.5`.
fn parse_time(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected seconds (12.5) or [h:]m:s (1:02.5)";
    let mut seconds = 0.0;
    let parts: Vec<_> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(EXPECTED.into());
    }
    for (i, part) in parts.iter().enumerate() {
        let is_last = i + 1 == parts.len();
        let value: f64 = part.parse().map_err(|_| EXPECTED)?;
        let is_plain = part.bytes().all(|b| b.is_ascii_digit() || (is_last && b == b'.'));
        if !is_plain || (i > 0 && value >= 60.0) {
            return Err(EXPECTED.into());
        }
        seconds = 60.0 * seconds + value;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| EXPECTED.into())
}

/// `0:01-0:02.5`.
fn parse_time_range(text: &str) -> Result<(Duration, Duration), String> {
    let (start, end) = text.split_once('-').ok_or("expected two times, as in 0:01-0:02.5")?;
    let (start, end) = (parse_time(start)?, parse_time(end)?);
    if start < end { Ok((start, end)) } else { Err("expected the earlier time first".into()) }
}

/// `500MB`, `2GiB` or a number of bytes.
fn parse_size_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let of = |(unit, bytes): &(&str, u64)| Some((text.strip_suffix(unit)?.trim_end(), *bytes));
    let (number, bytes) = UNITS.iter().find_map(of).unwrap_or((text, 1));
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes)).filter(|size| *size > 0);
    size.ok_or_else(|| "expected a size, as in 500MB or 2GiB".into())
}

/// `kick=one-shot.wav`.
fn parse_named_file(text: &str) -> Result<(String, PathBuf), String> {
    let named = text.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty());
    let (name, file) = named.ok_or("expected a name and a file, as in kick=kick.wav")?;
    if name.starts_with('.') || name.contains(['/', '\\', ':']) {
        return Err(format!("expected a name that a file can have, got `{name}`"));
    }
    Ok((name.into(), file.into()))
}

/// `2-12`.
fn parse_range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let range = text.split_once('-').and_then(|(a, b)| Some(a.parse().ok()?..=b.parse().ok()?));
    range.ok_or_else(|| "expected two numbers, as in 2-12".into())
}

/// `1600x900`.
fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let size = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    size.ok_or_else(|| "expected width and height, as in 1600x900".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_seconds_or_minutes_and_seconds() {
        let parse = |text| parse_time(text).map(|t| t.as_secs_f64());
        assert_eq!(parse("12.5"), Ok(12.5));
        assert_eq!(parse("1:02.5"), Ok(62.5));
        assert_eq!(parse("1:00:02"), Ok(3602.0));
        for text in ["", "abc", "-1", "1:60", "1:2:3:4", "1.5:00", "nan", "inf", "1e3", "1:"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
