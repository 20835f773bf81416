//! `partita debleed`: a microphone for each source, cleaned of what it hears of the others.

use clap::Args;
use partita::Error;
use partita::audio::Recording;
use partita::separate::bleed::{self, BleedConfig, Microphone};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;

use super::context::Context;
use super::failure::Failure;
use super::flags::{ExcerptArgs, InputArgs, OutputArgs, TransformArgs};
use super::parse;
use super::stems::{self, Method, Outcome};

#[derive(Debug, Args)]
pub(super) struct DebleedArgs {
    #[command(flatten)]
    pub(super) inputs: InputArgs,

    /// The channel of a microphone in each recording, counted from 1 (repeatable)
    #[arg(long, value_name = "NAME=CHANNEL", value_parser = parse::named_channel)]
    pub(super) mic: Vec<(String, usize)>,
    #[arg(long)]
    pub(super) rest: bool,
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    pub(super) strength: f32,
    #[arg(short = 'k', long = "components", value_name = "K", default_value_t = 16)]
    pub(super) n_components: usize,
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(super) max_iter: usize,
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) steps: usize,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) excerpt: ExcerptArgs,
    #[command(flatten)]
    pub(super) transform: TransformArgs,
}

pub(super) fn run(args: &DebleedArgs, context: &Context) -> Result<u8, Failure> {
    let microphones = args.mic.iter().map(|(name, channel)| Microphone { name: name.clone(), channel: channel - 1 });
    let config = BleedConfig {
        has_rest: args.rest,
        strength: args.strength,
        n_components: args.n_components,
        max_iter: args.max_iter,
        n_steps: args.steps,
        seed: context.seed,
        ..BleedConfig::new(microphones.collect())
    };
    let analysis =
        AnalysisConfig { stft: args.transform.options(), ..BleedConfig::analysis(config.microphones.len()) };
    stems::run(&args.inputs, &args.output, &args.excerpt, context, &Bleed { analysis, config })
}

struct Bleed {
    analysis: AnalysisConfig,
    config: BleedConfig,
}

impl Method for Bleed {
    fn names(&self) -> Vec<String> {
        self.config.names()
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn has_places(&self) -> bool {
        false
    }

    fn fit(&self, _: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        Ok(bleed::fit(analysis, &self.config, None, watch)?.into())
    }
}
