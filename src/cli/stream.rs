//! `partita stream`: raw samples in, those of one stem out, as they come.

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum, ValueHint};
use ndarray::Array2;
use partita::audio::Recording;
use partita::error::shown;
use partita::separate::denoise::{self, Content, DenoiseConfig, Noise, NoiseProfile};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::{Analysis, AnalysisConfig, Renderer, Stems};
use partita::watch::Watch;
use partita::{Audio, Error, Separation};
use serde_json::json;

use super::context::Context;
use super::exit::{self, is_interrupted};
use super::failure::Failure;
use super::flags::{KnowledgeArgs, TransformArgs};
use super::parse;
use super::sound;
use super::sources::Sources;
use super::terminal::Terminal;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("known").args(["example", "dictionary", "noise", "hpss"]).multiple(true).required(true))]
pub(super) struct StreamArgs {
    /// The stem to put out
    #[arg(long, value_name = "NAME")]
    pub(super) stem: String,
    /// Samples per second and channel, in Hz [default: that of the dictionary, the example or the noise]
    #[arg(id = "sample_rate", long = "rate", value_name = "HZ")]
    pub(super) sample_rate: Option<u32>,
    /// Channels, whose samples alternate
    #[arg(id = "n_channels", long = "channels", value_name = "N", default_value_t = 1)]
    pub(super) n_channels: usize,
    /// Samples, in and out: 32-bit floating point, or 16-bit whole numbers; little-endian
    #[arg(long, value_enum, default_value_t = Format::F32)]
    pub(super) format: Format,

    #[command(flatten)]
    pub(super) knowledge: KnowledgeArgs,
    /// A recording of the noise alone, as loud as it will be: stems `clean` and `noise`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Knowledge", conflicts_with_all = ["example", "dictionary", "hpss"])]
    pub(super) noise: Option<PathBuf>,
    /// With a noise, what there is beside it
    #[arg(long, default_value = Content::Speech.name(), value_parser = parse::named([Content::Speech, Content::Any], Content::name), help_heading = "Knowledge")]
    pub(super) content: Content,
    /// That some sound lasts and some hits: stems `harmonic` and `percussive`
    #[arg(long, help_heading = "Knowledge", conflicts_with_all = ["example", "dictionary"])]
    pub(super) hpss: bool,

    #[command(flatten)]
    pub(super) transform: TransformArgs,
    /// Iterations that find what sounds in each frame, with examples [default: 30]
    #[arg(long, value_name = "N", help_heading = "Method")]
    pub(super) max_iter: Option<usize>,
    /// Exponent of the masks: 1 is softest, 2 the Wiener filter's [default: 1.5; with `--hpss` 2]
    #[arg(long, value_name = "A", help_heading = "Method")]
    pub(super) mask_exponent: Option<f32>,
}

/// How a sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// 32-bit floating point, full scale at 1
    F32,
    /// 16-bit whole numbers
    S16,
}

/// Bytes that are read at once at the most; less are taken as they come.
const MAX_READ: usize = 1 << 16;

/// Reads that wait for the separation at the most, so that memory is bounded where it does not keep up.
const MAX_WAITING: usize = 4;

/// How often an interruption is looked for while no samples come.
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn run(args: &StreamArgs, context: &Context) -> Result<u8, Failure> {
    let terminal = &context.terminal;
    let (separation, sample_rate) = separation(args, context)?;
    let stems = Stems::Only(vec![args.stem.clone()]);
    let renderer = separation.live_renderer(&stems)?;
    let latency = renderer.latency();
    let latency_ms = 1e3 * latency as f64 / f64::from(sample_rate);
    let config = separation.stft().config();
    terminal.say(&format!(
        "{}: {sample_rate} Hz, {} {}, latency {latency_ms:.0} ms ({latency} samples; a window has {})",
        args.stem,
        args.n_channels,
        if args.n_channels == 1 { "channel" } else { "channels" },
        config.n_fft,
    ));
    terminal.event(json!({
        "event": "streaming", "stem": args.stem, "sample_rate": sample_rate, "n_channels": args.n_channels,
        "latency_samples": latency, "n_fft": config.n_fft, "hop_length": config.hop_length,
    }));
    let pipe = Pipe { format: args.format, n_channels: args.n_channels, sample_rate, output: io::stdout().lock() };
    pipe.run(renderer, terminal)
}

/// What takes the stream apart, and its sample rate.
fn separation(args: &StreamArgs, context: &Context) -> Result<(Separation, u32), Failure> {
    let (terminal, seed) = (&context.terminal, context.seed);
    let mut steps = terminal.steps();
    let mut tell = |progress| steps.tell(progress);
    let watch = &mut Watch::new(&mut tell);
    let stft = args.transform.options();
    let live = |config: AnalysisConfig, known: Option<u32>| {
        let Some(sample_rate) = args.sample_rate.or(known) else {
            return Err(Failure::usage("nothing tells the sample rate", "use `--rate 44100`"));
        };
        Ok(Analysis::live(sample_rate, args.n_channels, &config)?)
    };
    if let Some(path) = &args.noise {
        let name = shown(path);
        let file = sound::open_file(path, None, terminal).map_err(Failure::at(&name))?;
        let config = AnalysisConfig { stft, ..AnalysisConfig::speech() };
        let analysis = live(config, Some(file.sample_rate()))?;
        let noise = Noise::Profile(NoiseProfile::of(&file, &name, &analysis, watch)?);
        let defaults = DenoiseConfig { noise, content: args.content, seed, ..DenoiseConfig::default() };
        let mask_exponent = args.mask_exponent.unwrap_or(defaults.mask_exponent);
        let config = DenoiseConfig { mask_exponent, ..defaults };
        return Ok((denoise::fit(&analysis, &config, None, watch)?, analysis.sample_rate()));
    }
    let config = AnalysisConfig { stft, ..AnalysisConfig::default() };
    if args.hpss {
        let analysis = live(config, None)?;
        let defaults = HpssConfig::default();
        let config = HpssConfig { mask_exponent: args.mask_exponent.unwrap_or(defaults.mask_exponent), ..defaults };
        return Ok((hpss::fit(&analysis, &config, None, watch)?, analysis.sample_rate()));
    }
    let sources = Sources::new(&args.knowledge, None, stft, seed, terminal)?;
    let analysis = live(config, sources.sample_rate())?;
    let defaults = ExamplesConfig::new(sources.dictionary(analysis.sample_rate(), watch)?);
    let config = ExamplesConfig {
        n_semitones: args.knowledge.n_semitones,
        max_iter: args.max_iter.unwrap_or(defaults.max_iter),
        mask_exponent: args.mask_exponent.unwrap_or(defaults.mask_exponent),
        seed,
        ..defaults
    };
    Ok((examples::fit(&analysis, &config, None, watch)?, analysis.sample_rate()))
}

/// Standard input through to standard output.
struct Pipe<W> {
    format: Format,
    n_channels: usize,
    sample_rate: u32,
    output: W,
}

impl<W: Write> Pipe<W> {
    fn run(mut self, mut renderer: Renderer<'_>, terminal: &Terminal) -> Result<u8, Failure> {
        let input = listen().map_err(|source| Failure::from(stdin_error(source)))?;
        let frame_bytes = self.format.n_bytes() * self.n_channels;
        // Bytes of a sample that has not come whole.
        let mut pending: Vec<u8> = Vec::new();
        let (mut n_samples, mut n_clipped) = (0, 0);
        loop {
            let bytes = match input.recv_timeout(LOOK) {
                Ok(bytes) => bytes.map_err(stdin_error)?,
                Err(RecvTimeoutError::Timeout) if !is_interrupted() => continue,
                // What has come is put out.
                Err(_) => break,
            };
            pending.extend(bytes);
            let whole = pending.len() / frame_bytes * frame_bytes;
            let block = self.decode(&pending[..whole], n_samples)?;
            pending.drain(..whole);
            n_samples += block.samples().ncols();
            match renderer.push(block.samples(), &mut |stems| {
                n_clipped += self.write(&stems[0])?;
                Ok(())
            }) {
                Ok(()) => {}
                Err(error) => return ended(error),
            }
            if is_interrupted() {
                break;
            }
        }
        if !pending.is_empty() {
            terminal.warning(&format!(
                "the input ends {} bytes into a sample of all channels, which has {frame_bytes}: they are left out",
                pending.len()
            ));
        }
        let finished = renderer.finish(&mut |stems| {
            n_clipped += self.write(&stems[0])?;
            Ok(())
        });
        if let Err(error) = finished {
            return ended(error);
        }
        if n_clipped > 0 {
            terminal.warning(&format!("{n_clipped} samples were cut off at full scale"));
        }
        if is_interrupted() { Err(Error::Cancelled.into()) } else { Ok(exit::DONE) }
    }

    /// Samples from bytes; every one is finite.
    fn decode(&self, bytes: &[u8], n_before: usize) -> Result<Audio, Failure> {
        let samples: Vec<f32> = match self.format {
            Format::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Format::S16 => {
                bytes.as_chunks().0.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / 32_768.0).collect()
            }
        };
        let n_samples = samples.len() / self.n_channels;
        let shape = (n_samples, self.n_channels);
        let samples = Array2::from_shape_vec(shape, samples).expect("whole samples of all channels");
        let samples = samples.reversed_axes().as_standard_layout().into_owned();
        let start_s = n_before as f64 / f64::from(self.sample_rate);
        Ok(Audio::new(samples, self.sample_rate).map_err(|error| error.in_whole(start_s))?)
    }

    /// Writes a block; tells how many samples were beyond full scale.
    fn write(&mut self, block: &Array2<f32>) -> Result<usize, Error> {
        let samples = block.t();
        let samples = samples.iter();
        let mut n_clipped = 0;
        let bytes: Vec<u8> = match self.format {
            Format::F32 => samples.flat_map(|x| x.to_le_bytes()).collect(),
            Format::S16 => {
                let whole = |x: &f32| {
                    let scaled = (x * 32_768.0).round();
                    n_clipped += usize::from(!(-32_768.0..=32_767.0).contains(&scaled));
                    (scaled.clamp(-32_768.0, 32_767.0) as i16).to_le_bytes()
                };
                samples.flat_map(whole).collect()
            }
        };
        let written = self.output.write_all(&bytes).and_then(|()| self.output.flush());
        written.map_err(|source| Error::WriteFile { path: STDOUT.into(), source })?;
        Ok(n_clipped)
    }
}

/// What messages call the other end of the pipe.
const STDOUT: &str = "standard output";

/// A reader that went away has heard enough.
fn ended(error: Error) -> Result<u8, Failure> {
    match error {
        Error::WriteFile { source, .. } if source.kind() == ErrorKind::BrokenPipe => Ok(exit::DONE),
        Error::WriteFile { source, .. } => Err(Failure::Stdout(source)),
        error => Err(error.into()),
    }
}

fn stdin_error(source: io::Error) -> Error {
    Error::ReadAudio { path: "-".into(), time_s: 0.0, source }
}

/// Bytes of standard input as they come, read beside the separation, so that an interruption does not wait for them.
fn listen() -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = sync_channel(MAX_WAITING);
    let read = move || {
        let mut input = io::stdin().lock();
        let mut buffer = vec![0; MAX_READ];
        loop {
            let read = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(n_bytes) => Ok(buffer[..n_bytes].to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_over = read.is_err();
            if sender.send(read).is_err() || is_over {
                return;
            }
        }
    };
    thread::Builder::new().name("input".into()).spawn(read)?;
    Ok(receiver)
}

impl Format {
    fn n_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::S16 => 2,
        }
    }
}
