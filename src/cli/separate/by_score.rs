//! `separate` by a score: one stem for each of its parts.

use std::path::Path;

use partita::audio::Recording;
use partita::error::shown;
use partita::knowledge::score::align::align;
use partita::separate::score::{self, ScoreConfig, Unscored};
use partita::separate::{Analysis, AnalysisConfig, HowPlaced, Places, together};
use partita::watch::Watch;
use partita::{Error, names};

use super::args::SeparateArgs;
use super::known::Search;
use crate::cli::failure::Failure;
use crate::cli::sources::Sources;
use crate::cli::stems::{Extra, Method, Outcome};
use crate::cli::terminal::Terminal;

pub(super) struct ByScore {
    analysis: AnalysisConfig,
    places: Places,
    config: ScoreConfig,
    /// Whether the score's time is to be found in the recording.
    is_aligned: bool,
    /// Whether the notes are written, where they are in the recording.
    has_midi: bool,
    /// What parts sound like alone, and how they are looked for.
    examples: Option<(Sources, Search)>,
}

impl ByScore {
    /// Reads the score and puts it where the arguments say.
    pub(super) fn new(path: &Path, args: &SeparateArgs, seed: u64, terminal: &Terminal) -> Result<Self, Failure> {
        let score = args.score.read.load(path)?;
        let moved = score.moved(args.score.score_offset, args.score.score_stretch).map_err(Failure::at(shown(path)))?;
        let method = &args.method;
        let config = ScoreConfig {
            unscored: if args.score.no_residual { Unscored::Shared } else { Unscored::Residual },
            mask_exponent: method.mask_exponent,
            ..ScoreConfig::new(moved)
        };
        let examples = match args.knowledge.example.is_empty() {
            true => None,
            false => {
                let sources =
                    Sources::new(&args.knowledge, args.n_components, method.transform.options(), seed, terminal)?;
                Some((sources, Search::new(args, seed)))
            }
        };
        Ok(Self {
            analysis: method.analysis(),
            places: args.places.or_pan(&args.pan, HowPlaced::Pan)?,
            config,
            is_aligned: args.score.align,
            has_midi: args.midi_out,
            examples,
        })
    }
}

impl Method for ByScore {
    fn names(&self) -> Vec<String> {
        let residual = (self.config.unscored == Unscored::Residual).then(|| names::RESIDUAL.to_owned());
        self.config.score.parts.iter().map(|part| part.name.clone()).chain(residual).collect()
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn places(&self) -> Places {
        self.places.clone()
    }

    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let mut config = self.config.clone();
        if self.is_aligned {
            config.score = align(&config.score, recording, watch)?;
        }
        let separation = match &self.examples {
            None => score::fit(analysis, &config, None, watch)?,
            Some((sources, search)) => {
                let players = sources.players(analysis.sample_rate(), &self.analysis, watch)?;
                let dictionary = sources.dictionary(analysis.sample_rate(), watch)?;
                together::fit(analysis, &config, &search.of(dictionary), &players, watch)?
            }
        };
        let score = &self.config.score;
        let parts = score.parts.iter().map(|part| {
            let notes = part.notes.len();
            format!("{} ({}, {notes} {})", part.name, part.class.name(), if notes == 1 { "note" } else { "notes" })
        });
        let remarks = vec![format!("by the score: {}", parts.collect::<Vec<_>>().join(", "))];
        let written = || Extra { name: "notes", extension: "mid", bytes: config.score.to_midi() };
        let extras = self.has_midi.then(written).into_iter().collect();
        Ok(Outcome { remarks, extras, ..separation.into() })
    }
}
