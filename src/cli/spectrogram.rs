//! `partita spectrogram`: a recording in, a picture out.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use partita::Stft;
use partita::audio::Recording;
use partita::batch::text;
use partita::error::shown;
use partita::plot::{self, ColorMap, PlotConfig};
use partita::spectrogram::{FrequencyScale, OverviewStream};
use serde_json::json;

use super::exit::{DONE, is_interrupted};
use super::failure::Failure;
use super::flags::{ExcerptArgs, TransformArgs};
use super::inputs::Input;
use super::parse;
use super::terminal::Terminal;
use super::{outputs, sound};

/// Between what separates tones and what separates beats.
const WINDOW_S: f64 = 0.046;

#[derive(Debug, Args)]
pub(super) struct SpectrogramArgs {
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
    #[arg(long, default_value = ColorMap::default().name(), value_parser = parse::named(ColorMap::ALL, ColorMap::name), help_heading = "Picture")]
    pub(super) colormap: ColorMap,
    /// Size of the picture in pixels
    #[arg(long, value_name = "WxH", default_value = "1600x900", value_parser = parse::size, help_heading = "Picture")]
    pub(super) size: (u32, u32),

    #[command(flatten)]
    pub(super) excerpt: ExcerptArgs,

    #[command(flatten)]
    pub(super) transform: TransformArgs,
}

pub(super) fn run(args: &SpectrogramArgs, terminal: &Terminal) -> Result<u8, Failure> {
    let input = Input { path: args.input.clone(), track: args.input.clone() };
    let name = input.label();
    outputs::refuse_existing(std::slice::from_ref(&args.out), args.force)?;
    let scale = match (args.linear, args.mel) {
        (true, _) => FrequencyScale::Linear,
        (_, true) => FrequencyScale::Mel,
        _ => FrequencyScale::Log,
    };
    let config = PlotConfig {
        title: args.input.file_name().unwrap_or(args.input.as_os_str()).to_string_lossy().into_owned(),
        width: args.size.0,
        height: args.size.1,
        color_map: args.colormap,
        scale,
        range_db: f64::from(args.range_db),
        existing: outputs::may_replace(args.force),
        ..PlotConfig::default()
    };
    config.check(&args.out)?;
    outputs::check_writable(args.out.parent().unwrap_or(Path::new("")))?;
    let recording = sound::open(&input, &sound::Excerpt::new(&args.excerpt), terminal)?;
    let config = PlotConfig { start_s: recording.start_s(), ..config };
    let (sample_rate, n_channels) = (recording.sample_rate(), recording.n_channels());
    let options = args.transform.options();
    let stft = Stft::new(options.resolve(sample_rate, WINDOW_S))?;
    let mut stream = OverviewStream::new(&stft, sample_rate, n_channels, config.max_columns());
    let bar = terminal.bar(recording.n_samples_hint().unwrap_or(0), "reading");
    let mut n_read = 0;
    let read = recording.read(&mut |block| {
        if is_interrupted() {
            return Err(partita::Error::Cancelled);
        }
        n_read += block.ncols() as u64;
        bar.set(n_read);
        stream.push(block);
        Ok(())
    });
    read.map_err(Failure::at(&name))?;
    drop(bar);
    plot::spectrogram(&stream.finish(), &config, &args.out)?;
    terminal.say(&format!("{name} -> {}", shown(&args.out)));
    terminal
        .event(json!({ "event": "drawn", "input": text(&input.path), "path": text(&args.out), "n_samples": n_read }));
    Ok(DONE)
}
