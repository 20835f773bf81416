//! `partita hpss`: harmonic and percussive sound, told apart.

use clap::Args;
use partita::audio::Recording;
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::{Analysis, AnalysisConfig, Detail, Places};
use partita::watch::Watch;
use partita::{Error, names};

use super::context::Context;
use super::failure::Failure;
use super::flags::{ExcerptArgs, InputArgs, OutputArgs, PlacesArgs, TransformArgs};
use super::stems::{self, Method, Outcome};

#[derive(Debug, Args)]
pub(super) struct HpssArgs {
    #[command(flatten)]
    pub(super) inputs: InputArgs,

    /// How many times stronger one kind must be than the other; above 1, what is neither goes to a stem `residual`
    #[arg(long, value_name = "M", default_value_t = HpssConfig::default().margin)]
    pub(super) margin: f32,

    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) excerpt: ExcerptArgs,

    /// Length of the median along time, in seconds: what lasts half as long or less is not harmonic
    #[arg(long, value_name = "S", default_value_t = HpssConfig::default().harmonic_s, help_heading = "Method")]
    pub(super) harmonic_s: f64,
    /// Width of the median along frequency, in Hz: what is half as wide or less is not percussive
    #[arg(long, value_name = "HZ", default_value_t = HpssConfig::default().percussive_hz, help_heading = "Method")]
    pub(super) percussive_hz: f64,
    #[command(flatten)]
    pub(super) transform: TransformArgs,
    /// Exponent of the masks of the first stage; that of the second is 0.7 of it
    #[arg(long, value_name = "A", default_value_t = HpssConfig::default().mask_exponent, help_heading = "Method")]
    pub(super) mask_exponent: f32,
    #[command(flatten)]
    pub(super) places: PlacesArgs,
}

pub(super) fn run(args: &HpssArgs, context: &Context) -> Result<u8, Failure> {
    let config = HpssConfig {
        harmonic_s: args.harmonic_s,
        percussive_hz: args.percussive_hz,
        margin: args.margin,
        mask_exponent: args.mask_exponent,
    };
    // Nothing is fitted.
    let analysis =
        AnalysisConfig { stft: args.transform.options(), detail: Detail::Outline, ..AnalysisConfig::default() };
    let method = Medians { analysis, places: args.places.or_mask(), config };
    stems::run(&args.inputs, &args.output, &args.excerpt, context, &method)
}

struct Medians {
    analysis: AnalysisConfig,
    places: Places,
    config: HpssConfig,
}

impl Method for Medians {
    fn names(&self) -> Vec<String> {
        let names = [names::HARMONIC, names::PERCUSSIVE, names::RESIDUAL];
        let n_names = if self.config.margin > 1.0 { 3 } else { 2 };
        names[..n_names].iter().map(|name| (*name).to_owned()).collect()
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn places(&self) -> Places {
        self.places.clone()
    }

    fn fit(&self, _: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        Ok(hpss::fit(analysis, &self.config, None, watch)?.into())
    }
}
