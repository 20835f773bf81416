//! The options of `partita spectrogram`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use partita::plot::ColorMap;

use crate::cli::flags::{BatchArgs, ExcerptArgs, InputArgs, ScoreReadArgs, TransformArgs};
use crate::cli::parse;

#[derive(Debug, Args)]
pub(in crate::cli) struct SpectrogramArgs {
    #[command(flatten)]
    pub(super) inputs: InputArgs,

    /// The picture to write, .png or .svg, or a folder for pictures of several recordings
    #[arg(short, long, value_name = "FILE|DIR", value_hint = ValueHint::AnyPath, help_heading = "Output")]
    pub(super) out: PathBuf,
    /// File name of each picture, below the folder [default: {track}.png]
    #[arg(long, value_name = "TEMPLATE", help_heading = "Output")]
    pub(super) filename: Option<String>,
    /// Overwrite pictures that exist
    #[arg(short, long, conflicts_with = "skip_existing", help_heading = "Output")]
    pub(super) force: bool,
    /// Skip inputs whose pictures exist [default: refuse to start]
    #[arg(long, help_heading = "Output")]
    pub(super) skip_existing: bool,
    /// Print what would be done, and do nothing
    #[arg(long, help_heading = "Output")]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) batch: BatchArgs,

    /// All recordings in one picture, on the same scales of time, frequency and color
    #[arg(long, help_heading = "Picture", conflicts_with_all = [
        "filename", "skip_existing", "dry_run", "manifest", "resume", "shard", "frames_per_pixel",
    ])]
    pub(super) together: bool,
    /// Each channel by itself, below one another
    #[arg(long, help_heading = "Picture")]
    pub(super) channels: bool,
    /// Also draw the waveform, above the spectrogram
    #[arg(long, help_heading = "Picture")]
    pub(super) waveform: bool,
    /// Draw the notes of a MIDI file over the spectrogram
    #[arg(long, value_name = "FILE.mid", value_hint = ValueHint::FilePath, help_heading = "Picture")]
    pub(super) score: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Picture")]
    pub(super) score_read: ScoreReadArgs,

    /// Linear frequency axis
    #[arg(long, group = "frequency_scale", help_heading = "Picture")]
    pub(super) linear: bool,
    /// Logarithmic frequency axis (the default)
    #[arg(long, group = "frequency_scale", help_heading = "Picture")]
    pub(super) log: bool,
    /// Mel frequency axis
    #[arg(long, group = "frequency_scale", help_heading = "Picture")]
    pub(super) mel: bool,
    /// Constant-Q transform: 36 bands to an octave, each a semitone wide, on a logarithmic axis
    #[arg(long, group = "frequency_scale", help_heading = "Picture", conflicts_with_all = ["n_fft", "window"])]
    pub(super) cqt: bool,
    /// Chromagram: the twelve pitch classes, at A = 440 Hz
    #[arg(long, group = "frequency_scale", help_heading = "Picture", conflicts_with_all = ["n_fft", "window"])]
    pub(super) chroma: bool,
    /// Levels shown, in dB below the peak [default: 80, with --chroma 30]
    #[arg(long, value_name = "DB", help_heading = "Picture")]
    pub(super) range_db: Option<f32>,
    /// Colors
    #[arg(long, default_value = ColorMap::default().name(), value_parser = parse::named(ColorMap::ALL, ColorMap::name), help_heading = "Picture")]
    pub(super) colormap: ColorMap,
    /// Size of the picture in pixels; below 320 either way, without axes [default: 1600x900, or as wide as it takes up to
    /// 8192 with --frames-per-pixel]
    #[arg(long, value_name = "WxH", value_parser = parse::size, help_heading = "Picture")]
    pub(super) size: Option<(u32, u32)>,
    /// As wide as it takes to show so many frames in each column of pixels; what is wider than --size becomes several
    /// pictures: x-001.png, x-002.png, ...
    #[arg(long, value_name = "N", help_heading = "Picture")]
    pub(super) frames_per_pixel: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(super) excerpt: ExcerptArgs,

    #[command(flatten)]
    pub(super) transform: TransformArgs,
}
