//! `partita separate`: recordings in, one file per source out.

use std::ops::ControlFlow;

use partita::audio::Recording;
use partita::nmf::NmfConfig;
use partita::separate::{Progress, separate_with};
use partita::{Error, SeparateConfig, StftOptions};

use super::args::Separate;
use super::failure::Failure;
use super::learn;
use super::stems::{self, Method, Outcome};
use super::terminal::Terminal;

pub(super) fn run(args: &Separate, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    if !args.knowledge.example.is_empty() || !args.knowledge.dictionary.is_empty() {
        let method = learn::Known::new(args, seed, terminal)?;
        return stems::run(&args.inputs, &args.output, &args.excerpt, seed, terminal, &method);
    }
    if args.knowledge.n_residual > 0 {
        let hint = "give `--example NAME=FILE` for what is known";
        return Err(Failure::usage("`--residual` needs `--example` or `--dictionary`", hint));
    }
    let method = Blind { config: config(args, seed) };
    stems::run(&args.inputs, &args.output, &args.excerpt, seed, terminal, &method)
}

struct Blind {
    config: SeparateConfig,
}

impl Method for Blind {
    fn names(&self) -> Vec<String> {
        (1..=self.config.n_sources.unwrap_or(1)).map(|i| format!("source-{i}")).collect()
    }

    fn has_more_names(&self) -> bool {
        self.config.n_sources.is_none()
    }

    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let separation = separate_with(recording, &self.config, progress)?;
        let n_sources = separation.names().len();
        let mut remarks = Vec::new();
        if let Some(factors) = separation.factorization() {
            remarks.push(format!(
                "{n_sources} {}{} from {} components after {} iterations ({})",
                if n_sources == 1 { "source" } else { "sources" },
                if self.config.n_sources.is_none() { ", a number suggested by the grouping," } else { "" },
                factors.n_components(),
                factors.n_iter,
                factors.stop_reason.name(),
            ));
        }
        if n_sources > 1 {
            remarks.push(
                "Grouping without knowledge is a suggestion: listen, and try another `-n` or `-k`, or `--components-out`."
                    .into(),
            );
        }
        Ok(Outcome { remarks, ..separation.into() })
    }
}

fn config(args: &Separate, seed: u64) -> SeparateConfig {
    let method = &args.method;
    let defaults = SeparateConfig::default();
    SeparateConfig {
        n_sources: args.n_sources,
        stft: StftOptions { n_fft: method.n_fft, hop_length: method.hop_length, window: method.window },
        nmf: NmfConfig {
            n_components: args.n_components.unwrap_or(defaults.nmf.n_components),
            divergence: method.divergence,
            max_iter: method.max_iter.unwrap_or(defaults.nmf.max_iter),
            tol: method.tol,
            seed,
            ..defaults.nmf
        },
        mask_exponent: method.mask_exponent,
        max_frames: method.max_frames,
    }
}
