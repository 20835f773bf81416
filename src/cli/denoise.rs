//! `partita denoise`: recordings in, what is clean and what is noise out.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use partita::audio::{Recording, decode};
use partita::error::shown;
use partita::separate::Progress;
use partita::separate::denoise::{Content, DenoiseConfig, Denoised, Noise, denoise};
use partita::{Error, SeparateConfig, names};

use super::context::Context;
use super::failure::Failure;
use super::flags::{ExcerptArgs, InputArgs, OutputArgs, TransformArgs};
use super::parse;
use super::stems::{self, Extent, Method, Outcome, SPEECH_WINDOW_S};

/// Pauses that are listed at the most.
const MAX_LISTED: usize = 6;

#[derive(Debug, Args)]
pub(super) struct DenoiseArgs {
    #[command(flatten)]
    pub(super) inputs: InputArgs,

    /// The noise alone, as loud as it is in the recordings [default: the quietest parts of each]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "noise_range")]
    pub(super) noise: Option<PathBuf>,
    /// Where in each recording the noise is alone, from A to B, in seconds or as [h:]m:s
    #[arg(long, value_name = "A-B", value_parser = parse::time_range)]
    pub(super) noise_range: Option<(Duration, Duration)>,
    /// What there is beside the noise; auto: speech where a model of speech explains the recording
    #[arg(long, default_value = Content::default().name(), value_parser = parse::named(Content::ALL, Content::name))]
    pub(super) content: Content,
    /// How much of the noise goes: 0 nothing, 1 all that is found, above 1 more, at the cost of the rest
    #[arg(long, value_name = "S", default_value_t = DenoiseConfig::default().strength)]
    pub(super) strength: f32,

    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) excerpt: ExcerptArgs,

    #[command(flatten)]
    pub(super) transform: TransformArgs,
    /// Exponent of the masks between speech and noise: 1 is softest, 2 the Wiener filter's
    #[arg(long, value_name = "A", default_value_t = DenoiseConfig::default().mask_exponent, help_heading = "Method")]
    pub(super) mask_exponent: f32,
}

pub(super) fn run(args: &DenoiseArgs, context: &Context) -> Result<u8, Failure> {
    let method = KnownNoise { config: config(args, context.seed)? };
    stems::run(&args.inputs, &args.output, &args.excerpt, context, &method)
}

struct KnownNoise {
    config: DenoiseConfig,
}

impl Method for KnownNoise {
    fn names(&self) -> Vec<String> {
        vec![names::CLEAN.into(), names::NOISE.into()]
    }

    fn extent(&self, sample_rate: u32) -> Extent {
        let max_frames = SeparateConfig::default().max_frames;
        Extent { stft: self.config.stft.resolve(sample_rate, SPEECH_WINDOW_S), max_frames }
    }

    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let denoised = denoise(recording, &self.config, progress)?;
        let remarks = remarks(&denoised, &self.config);
        Ok(Outcome { remarks, ..denoised.separation.into() })
    }
}

/// What the noise was learned from, and what the recording was taken for.
fn remarks(denoised: &Denoised, config: &DenoiseConfig) -> Vec<String> {
    let mut remarks = Vec::new();
    let parts = &denoised.noise_parts_s;
    if config.noise == Noise::Quietest {
        let mut listed: Vec<_> =
            parts.iter().take(MAX_LISTED).map(|part| format!("{:.2}-{:.2}", part.start, part.end)).collect();
        if parts.len() > MAX_LISTED {
            listed.push(format!("{} more", parts.len() - MAX_LISTED));
        }
        let total_s: f64 = parts.iter().map(|part| part.end - part.start).sum();
        remarks.push(format!(
            "noise learned from the quietest {total_s:.1} s ({} s); `--noise-range A-B` says where it is alone",
            listed.join(", ")
        ));
    }
    if config.content == Content::Auto {
        remarks.push(match denoised.content {
            Content::Speech => "taken for speech; `--content any` where it is not".into(),
            _ => "not taken for speech; `--content speech` where it is".into(),
        });
    }
    remarks
}

fn config(args: &DenoiseArgs, seed: u64) -> Result<DenoiseConfig, Failure> {
    let noise = match (&args.noise, args.noise_range) {
        (Some(path), _) => {
            let audio = decode::read(path).map_err(Failure::at(shown(path)))?;
            Noise::Example { name: shown(path), audio }
        }
        (None, Some((start, end))) => Noise::Range { start_s: start.as_secs_f64(), end_s: end.as_secs_f64() },
        (None, None) => Noise::Quietest,
    };
    Ok(DenoiseConfig {
        noise,
        content: args.content,
        strength: args.strength,
        stft: args.transform.options(),
        mask_exponent: args.mask_exponent,
        seed,
    })
}
