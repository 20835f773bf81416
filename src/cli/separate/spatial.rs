//! `separate --spatial`: as many sources as microphones, told apart by where they stand.

use std::path::PathBuf;

use partita::audio::Recording;
use partita::separate::array::{self, ArrayConfig};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;
use partita::{Error, Score};

use super::args::SeparateArgs;
use crate::cli::failure::Failure;
use crate::cli::flags::KnowledgeArgs;
use crate::cli::sources::Sources;
use crate::cli::stems::{Method, Outcome};
use crate::cli::terminal::Terminal;

pub(super) struct Spatial {
    analysis: AnalysisConfig,
    /// Whether `--max-frames` was given.
    max_frames: Option<usize>,
    config: ArrayConfig,
    examples: Option<Sources>,
}

impl Spatial {
    pub(super) fn new(args: &SeparateArgs, seed: u64, terminal: &Terminal) -> Result<Self, Failure> {
        let method = &args.method;
        let defaults = ArrayConfig::default();
        let n_components = args.n_components.unwrap_or(defaults.n_components);
        let examples = match args.knowledge.example.is_empty() {
            true => None,
            false => {
                let example: Vec<(String, PathBuf)> = args.knowledge.example.clone();
                let alone = KnowledgeArgs { example, dictionary: Vec::new(), n_semitones: 0, n_context: Some(1) };
                Some(Sources::new(&alone, args.n_components, method.transform.options(), seed, terminal)?)
            }
        };
        let config = ArrayConfig {
            n_sources: args.n_sources,
            names: examples.as_ref().map(Sources::names).unwrap_or_default(),
            n_components,
            max_iter: method.max_iter.unwrap_or(defaults.max_iter),
            seed,
            ..defaults
        };
        let config = match &args.score.score {
            None => config,
            Some(path) => {
                let score: Score = args.score.read.load(path)?;
                config.with_score(&score.moved(args.score.score_offset, args.score.score_stretch)?)
            }
        };
        let usual = AnalysisConfig::default().max_frames;
        let max_frames = Some(method.max_frames).filter(|max_frames| *max_frames != usual);
        Ok(Self { analysis: method.analysis(), max_frames, config, examples })
    }
}

impl Method for Spatial {
    fn names(&self) -> Vec<String> {
        self.config.stem_names(self.config.n_sources.unwrap_or(0))
    }

    fn has_more_names(&self) -> bool {
        self.config.n_sources.is_none()
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis_of(2)
    }

    fn analysis_of(&self, n_channels: usize) -> AnalysisConfig {
        let spatial = ArrayConfig::analysis(n_channels);
        let max_frames = self.max_frames.unwrap_or(spatial.max_frames);
        AnalysisConfig { stft: self.analysis.stft, max_frames, ..spatial }
    }

    fn fit(&self, _: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let mut config = self.config.clone();
        if let Some(examples) = &self.examples {
            config.examples = Some(examples.dictionary(analysis.sample_rate(), watch)?);
        }
        Ok(array::fit(analysis, &config, None, watch)?.into())
    }
}
