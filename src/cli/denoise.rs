//! `partita denoise`: recordings in, what is clean and what is noise out.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use partita::audio::Recording;
use partita::audio::decode::AudioFile;
use partita::error::shown;
use partita::separate::denoise::{self, Content, DenoiseConfig, Noise, NoiseProfile};
use partita::separate::{Analysis, AnalysisConfig, Found, Places};
use partita::watch::Watch;
use partita::{Error, names};

use super::context::Context;
use super::failure::Failure;
use super::flags::{ExcerptArgs, InputArgs, OutputArgs, PlacesArgs, TransformArgs};
use super::parse;
use super::sound;
use super::stems::{self, Method, Outcome};

/// Pauses that are listed at the most.
const MAX_LISTED: usize = 6;

#[derive(Debug, Args)]
pub(super) struct DenoiseArgs {
    #[command(flatten)]
    pub(super) inputs: InputArgs,

    /// The noise alone, as loud as it is in the recordings [default: the quietest parts of each
    /// that are not silence]
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
    #[command(flatten)]
    pub(super) places: PlacesArgs,
}

pub(super) fn run(args: &DenoiseArgs, context: &Context) -> Result<u8, Failure> {
    let open = |path| sound::open_file(path, None, &context.terminal).map_err(Failure::at(shown(path)));
    let source = match (&args.noise, args.noise_range) {
        (Some(path), _) => Source::File(shown(path), Box::new(open(path)?)),
        (None, Some((start, end))) => Source::Range(start.as_secs_f64()..end.as_secs_f64()),
        (None, None) => Source::Pauses,
    };
    let method = KnownNoise {
        analysis: AnalysisConfig { stft: args.transform.options(), ..AnalysisConfig::speech() },
        places: args.places.or_mask(),
        source,
        config: DenoiseConfig {
            noise: Noise::Quietest,
            content: args.content,
            strength: args.strength,
            mask_exponent: args.mask_exponent,
            seed: context.seed,
        },
    };
    stems::run(&args.inputs, &args.output, &args.excerpt, context, &method)
}

/// Where the noise is alone.
enum Source {
    File(String, Box<AudioFile>),
    Range(Range<f64>),
    Pauses,
}

struct KnownNoise {
    analysis: AnalysisConfig,
    places: Places,
    source: Source,
    /// Without the noise yet.
    config: DenoiseConfig,
}

impl Method for KnownNoise {
    fn names(&self) -> Vec<String> {
        vec![names::CLEAN.into(), names::NOISE.into()]
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn places(&self) -> Places {
        self.places.clone()
    }

    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let noise = match &self.source {
            Source::File(name, file) => Noise::Profile(NoiseProfile::of(file.as_ref(), name, analysis, watch)?),
            Source::Range(range_s) => {
                Noise::Profile(NoiseProfile::of_range(recording, range_s.clone(), analysis, watch)?)
            }
            Source::Pauses => Noise::Quietest,
        };
        let config = DenoiseConfig { noise, ..self.config.clone() };
        let separation = denoise::fit(analysis, &config, None, watch)?;
        let remarks = remarks(separation.found(), &config);
        Ok(Outcome { remarks, ..separation.into() })
    }
}

/// What the noise was learned from, and what the recording was taken for.
fn remarks(found: &Found, config: &DenoiseConfig) -> Vec<String> {
    let Found::Noise { parts_s: parts, is_speech } = found else { return Vec::new() };
    let mut remarks = Vec::new();
    if config.noise == Noise::Quietest {
        let listed: Vec<_> =
            parts.iter().take(MAX_LISTED).map(|part| format!("{:.2}-{:.2}", part.start, part.end)).collect();
        let n_more = parts.len().saturating_sub(MAX_LISTED);
        let more = if n_more > 0 { format!(" and {n_more} more") } else { String::new() };
        let total_s: f64 = parts.iter().map(|part| part.end - part.start).sum();
        remarks.push(format!(
            "noise learned from the quietest {total_s:.1} s ({} s{more}); `--noise-range A-B` says where it is alone",
            listed.join(", ")
        ));
    }
    if config.content == Content::Auto {
        remarks.push(match is_speech {
            true => "taken for speech; `--content any` where it is not".into(),
            false => "not taken for speech; `--content speech` where it is".into(),
        });
    }
    remarks
}
