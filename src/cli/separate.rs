//! `partita separate`: recordings in, one file per source out.

use std::ops::ControlFlow;
use std::path::Path;

use partita::audio::Recording;
use partita::error::shown;
use partita::nmf::NmfConfig;
use partita::separate::{Progress, RESIDUAL, ScoreConfig, Timing, Unscored, by_score_and_examples, separate_with};
use partita::{Error, Score, SeparateConfig};

use super::args::Separate;
use super::failure::Failure;
use super::labels;
use super::learn::{self, Solo};
use super::stems::{self, Method, Outcome};
use super::terminal::Terminal;

pub(super) fn run(args: &Separate, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    if let Some(path) = &args.labels {
        return labels::run(path, args, seed, terminal);
    }
    if let Some(path) = &args.score.score {
        let method = ByScore::new(path, args, terminal)?;
        return stems::run(&args.inputs, &args.output, &args.excerpt, seed, terminal, &method);
    }
    if !args.knowledge.example.is_empty() || !args.knowledge.dictionary.is_empty() {
        let method = learn::Known::new(args, seed, terminal)?;
        return stems::run(&args.inputs, &args.output, &args.excerpt, seed, terminal, &method);
    }
    if args.knowledge.n_residual > 0 {
        let hint = "give `--example NAME=FILE` for what is known";
        return Err(Failure::usage("`--residual` needs `--example` or `--dictionary`", hint));
    }
    let method = Blind { config: config(args, seed), labels: labels::Output::new(args)? };
    stems::run(&args.inputs, &args.output, &args.excerpt, seed, terminal, &method)
}

struct Blind {
    config: SeparateConfig,
    labels: Option<labels::Output>,
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
        if let Some(output) = &self.labels {
            remarks.push(output.write(recording, &separation, &self.config, progress)?);
        }
        Ok(Outcome { remarks, ..separation.into() })
    }
}

struct ByScore {
    config: ScoreConfig,
    solos: Vec<Solo>,
}

impl ByScore {
    /// Reads the score and puts it where the arguments say; with `--start`, its time is that of the whole file.
    fn new(path: &Path, args: &Separate, terminal: &Terminal) -> Result<Self, Failure> {
        let at = || Failure::at(shown(path));
        let score = Score::load(path).map_err(at())?;
        let start_s = args.excerpt.start.unwrap_or_default().as_secs_f64();
        let moved = score.moved(args.score.score_offset, args.score.score_stretch).map_err(at())?;
        let method = &args.method;
        let config = ScoreConfig {
            timing: if args.score.align { Timing::Aligned } else { Timing::Exact },
            unscored: if args.score.no_residual { Unscored::Shared } else { Unscored::Residual },
            stft: method.transform.options(),
            mask_exponent: method.mask_exponent,
            max_frames: method.max_frames,
            ..ScoreConfig::new(moved.warped(|time_s| time_s - start_s))
        };
        Ok(Self { config, solos: Solo::open_all(&args.knowledge.example, terminal)? })
    }
}

impl Method for ByScore {
    fn names(&self) -> Vec<String> {
        let residual = (self.config.unscored == Unscored::Residual).then(|| RESIDUAL.to_owned());
        self.config.score.parts.iter().map(|part| part.name.clone()).chain(residual).collect()
    }

    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let examples: Vec<_> = self.solos.iter().map(Solo::example).collect();
        let separation = by_score_and_examples(recording, &self.config, &examples, progress)?;
        let score = &self.config.score;
        let parts = score.parts.iter().map(|part| {
            let notes = part.notes.len();
            format!("{} ({}, {notes} {})", part.name, part.class.name(), if notes == 1 { "note" } else { "notes" })
        });
        let remarks = vec![format!("by the score: {}", parts.collect::<Vec<_>>().join(", "))];
        Ok(Outcome { remarks, ..separation.into() })
    }
}

fn config(args: &Separate, seed: u64) -> SeparateConfig {
    let method = &args.method;
    let defaults = SeparateConfig::default();
    SeparateConfig {
        n_sources: args.n_sources,
        stft: method.transform.options(),
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
