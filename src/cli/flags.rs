//! Options that several commands share. Fields are named as the library names its settings, so that a message about
//! `hop_length` can be shown as one about `--hop-length`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use partita::audio::encode::{ClipMode, FileFormat};
use partita::batch::Shard;
use partita::error::shown;
use partita::knowledge::score::MidiConfig;
use partita::separate::examples::ExamplesConfig;
use partita::separate::{HowPlaced, Places};
use partita::stft::window::Window;
use partita::{Score, StftOptions};

use super::failure::Failure;
use super::parse;

/// Where stems go if nothing is said.
pub(super) const SEPARATED: &str = "separated";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArgs {
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

/// What a separating command works on.
#[derive(Debug, Args)]
pub(super) struct InputArgs {
    /// Recordings, folders of recordings (walked recursively), patterns such as `songs/**/*.flac`, or `-` for standard
    /// input
    #[arg(id = "inputs", required_unless_present = "files_from", value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(super) paths: Vec<PathBuf>,
}

/// Where stems go and in what form; shared by the separating commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Folder to write to
    #[arg(short, long, default_value = SEPARATED, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) out: PathBuf,
    /// File name of each stem, below the folder
    #[arg(long, default_value = "{track}/{stem}.{ext}", value_name = "TEMPLATE")]
    pub(super) filename: String,
    /// File format
    #[arg(long, default_value = "wav", value_parser = parse::named(FileFormat::ALL, FileFormat::extension))]
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
    #[arg(long, value_parser = parse::named(ClipMode::ALL, ClipMode::name))]
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
    /// Write no tags: title (with the stem's name), artist, cue points and whatever else the recording says of itself
    #[arg(long)]
    pub(super) no_tags: bool,
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
    pub(super) batch: BatchArgs,
}

/// How many inputs are worked through; `--jobs` says how many at once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Batch")]
pub(super) struct BatchArgs {
    /// Read the names of more inputs from this file, or `-` for standard input: one per line, or separated by NUL
    #[arg(long, value_name = "LIST", value_hint = ValueHint::FilePath)]
    pub(super) files_from: Option<PathBuf>,
    /// Memory for the recordings that are worked on at the same time, as in 2GiB [default: half of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = parse::size_bytes)]
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

/// What the sources sound like.
#[derive(Debug, Args)]
#[command(next_help_heading = "Knowledge")]
pub(super) struct KnowledgeArgs {
    /// A recording of one source alone, to learn it from (repeatable; those of one NAME are learned together). Beside a
    /// single source there is a stem `residual` for all the rest
    #[arg(long, value_name = "NAME=FILE", value_parser = parse::named_file)]
    pub(super) example: Vec<(String, PathBuf)>,
    /// A dictionary that `partita learn` made (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) dictionary: Vec<PathBuf>,
    /// Look for the sound of each example also this many semitones higher and lower, for notes that it lacks
    #[arg(id = "n_semitones", long = "transpose", value_name = "N", default_value_t = ExamplesConfig::N_SEMITONES)]
    pub(super) n_semitones: usize,
    /// Consecutive frames in one template of an example [default: that of the dictionary, else 3]
    #[arg(id = "n_context", long = "context", value_name = "N")]
    pub(super) n_context: Option<usize>,
}

/// Which part of the input is used.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(super) struct ExcerptArgs {
    /// Start here, in seconds or as [h:]m:s
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(super) start: Option<Duration>,
    /// Use this much, in seconds or as [h:]m:s
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(super) duration: Option<Duration>,
    #[command(flatten)]
    pub(super) track: TrackArgs,
}

/// Which sound of a file with several is used.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(super) struct TrackArgs {
    /// Of a file with several audio tracks, use this one, counted from 1 [default: the one that the file marks as the
    /// default, else the first]
    #[arg(long, value_name = "N")]
    pub(super) audio_track: Option<usize>,
}

/// How a score is read.
#[derive(Debug, Args)]
pub(super) struct ScoreReadArgs {
    /// This track of the score is drums though it is not on channel 10: its name, or its number in the file (repeatable)
    #[arg(long, value_name = "TRACK", requires = "score")]
    drum_track: Vec<String>,
    /// The recording sounds this many semitones higher than the score (or, below 0, lower; fractions are allowed: -1 at
    /// A = 415 Hz) [default: `separate` finds it within half an octave]
    #[arg(long, value_name = "SEMITONES", allow_negative_numbers = true, requires = "score")]
    score_transpose: Option<f64>,
}

impl ScoreReadArgs {
    /// Reads a score.
    pub(super) fn load(&self, path: &Path) -> Result<Score, Failure> {
        let at = || Failure::at(shown(path));
        let score = Score::load_with(path, &MidiConfig { drum_tracks: self.drum_track.clone() }).map_err(at())?;
        match self.score_transpose {
            Some(semitones) => score.transposed(semitones).map_err(at()),
            None => Ok(score),
        }
    }
}

/// How sound is cut into frames.
#[derive(Debug, Args)]
#[command(next_help_heading = "Method")]
pub(super) struct TransformArgs {
    /// Length of the transform in samples [default: the power of two nearest to 93 ms for music, 46 ms for drums and
    /// pictures, 64 ms for speech; the second stage of `hpss` has a quarter]
    #[arg(long, value_name = "N")]
    n_fft: Option<usize>,
    /// Samples from one frame to the next [default: a quarter of the transform]
    #[arg(long, value_name = "N")]
    hop_length: Option<usize>,
    /// Shape of the window
    #[arg(long, default_value = Window::default().name(), value_parser = parse::named(Window::ALL, Window::name))]
    window: Window,
}

/// How stems are told apart where there are several channels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Method")]
pub(super) struct PlacesArgs {
    /// With several channels, tell stems apart by their places, too: by where they stand between left and right, or by a
    /// filter for each bin; or by one mask for all channels [default: mask; `separate`: pan where sources of a stereo
    /// recording stand apart, else mask, with examples wiener]
    #[arg(long, value_enum, value_name = "HOW")]
    multichannel: Option<Multichannel>,
}

/// Where sources stand.
#[derive(Debug, Args)]
#[command(next_help_heading = "Knowledge")]
pub(super) struct PanArgs {
    /// Where the source NAME stands in a stereo recording, from -1 (left) over 0 (the middle) to 1 (right) (repeatable); of
    /// what is not known otherwise, this makes a stem
    #[arg(long, value_name = "NAME=PLACE", value_parser = parse::named_place)]
    pan: Vec<(String, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
enum Multichannel {
    Pan,
    Wiener,
    Mask,
}

impl PlacesArgs {
    /// By one mask for all channels, where nothing else is said.
    pub(super) fn or_mask(&self) -> Places {
        Places { how: self.how(HowPlaced::Mask), said: Vec::new() }
    }

    /// As `default` says, where nothing else is said.
    pub(super) fn or_pan(&self, pan: &PanArgs, default: HowPlaced) -> Result<Places, Failure> {
        if matches!(self.multichannel, Some(Multichannel::Wiener | Multichannel::Mask)) && !pan.pan.is_empty() {
            let message = "`--pan` says where sources stand, and `--multichannel` is not to use it";
            return Err(Failure::usage(message, "leave `--multichannel` out"));
        }
        let how = if pan.pan.is_empty() { self.how(default) } else { HowPlaced::Pan };
        Ok(Places { how, said: pan.pan.clone() })
    }

    fn how(&self, default: HowPlaced) -> HowPlaced {
        match self.multichannel {
            None => default,
            Some(Multichannel::Pan) => HowPlaced::Pan,
            Some(Multichannel::Wiener) => HowPlaced::Wiener,
            Some(Multichannel::Mask) => HowPlaced::Mask,
        }
    }
}

impl TransformArgs {
    pub(super) fn options(&self) -> StftOptions {
        StftOptions { n_fft: self.n_fft, hop_length: self.hop_length, window: self.window }
    }
}
