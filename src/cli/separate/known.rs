//! `separate` where the sources are known: by recordings of each alone, or by dictionaries learned from such.

use partita::audio::Recording;
use partita::nmf::Divergence;
use partita::separate::examples::ExamplesConfig;
use partita::separate::transcribe::{self, Player};
use partita::separate::{Analysis, AnalysisConfig, HowPlaced, Places};
use partita::watch::Watch;
use partita::{Dictionary, Error, names};

use super::args::SeparateArgs;
use crate::cli::failure::Failure;
use crate::cli::sources::Sources;
use crate::cli::stems::{Extra, Method, Outcome};
use crate::cli::terminal::Terminal;

/// How the sources are looked for.
pub(super) struct Search {
    n_residual: Option<usize>,
    n_semitones: usize,
    max_iter: Option<usize>,
    mask_exponent: f32,
    seed: u64,
}

impl Search {
    pub(super) fn new(args: &SeparateArgs, seed: u64) -> Self {
        Self {
            n_residual: args.n_residual,
            n_semitones: args.knowledge.n_semitones,
            max_iter: args.method.max_iter,
            mask_exponent: args.method.mask_exponent,
            seed,
        }
    }

    pub(super) fn of(&self, dictionary: Dictionary) -> ExamplesConfig {
        let config = ExamplesConfig::new(dictionary);
        ExamplesConfig {
            n_residual: self.n_residual.unwrap_or(config.n_residual),
            n_semitones: self.n_semitones,
            max_iter: self.max_iter.unwrap_or(config.max_iter),
            mask_exponent: self.mask_exponent,
            seed: self.seed,
            ..config
        }
    }
}

/// `separate` where the sources are known.
pub(super) struct Known {
    sources: Sources,
    analysis: AnalysisConfig,
    places: Places,
    /// Whether the notes are looked for, and written, too.
    has_notes: bool,
    has_midi: bool,
    search: Search,
}

impl Known {
    pub(super) fn new(args: &SeparateArgs, seed: u64, terminal: &Terminal) -> Result<Self, Failure> {
        let (knowledge, method) = (&args.knowledge, &args.method);
        if method.divergence != Divergence::KullbackLeibler {
            let message = "`--divergence` is another than `kl`, which is what examples are learned with";
            return Err(Failure::usage(message, "leave it out"));
        }
        let analysis = method.analysis();
        Ok(Self {
            sources: Sources::new(knowledge, args.n_components, analysis.stft, seed, terminal)?,
            analysis,
            places: args.places.or_pan(&args.pan, HowPlaced::PanOrWiener)?,
            has_notes: !args.no_notes,
            has_midi: args.midi_out,
            search: Search::new(args, seed),
        })
    }
}

impl Known {
    /// What plays in the examples, where that is asked for: without a rest, and where there is more than one source.
    fn players(&self, sample_rate: u32, watch: &mut Watch<'_>) -> Result<Vec<Player>, Error> {
        let has_rest = self.search.n_residual.is_some_and(|n| n > 0);
        match self.has_notes && !has_rest && self.sources.names().len() > 1 {
            true => self.sources.players(sample_rate, &self.analysis, watch),
            false => Ok(Vec::new()),
        }
    }
}

impl Method for Known {
    fn names(&self) -> Vec<String> {
        let mut names = self.sources.names();
        let default = || ExamplesConfig::n_residual_beside(names.iter().map(String::as_str));
        let n_residual = self.search.n_residual.unwrap_or_else(default);
        let residual = (n_residual > 0).then(|| names::RESIDUAL.to_owned());
        names.extend(residual.filter(|residual| !names.contains(residual)));
        names
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn look(&self, recording: &dyn Recording, watch: &mut Watch<'_>) -> Result<Analysis, Error> {
        let sample_rate = recording.sample_rate();
        let players = self.players(sample_rate, watch)?;
        Analysis::of(recording, &transcribe::look(&players, &self.analysis, sample_rate), watch)
    }

    fn places(&self) -> Places {
        self.places.clone()
    }

    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let sample_rate = analysis.sample_rate();
        let players = self.players(sample_rate, watch)?;
        let learning = transcribe::learning(&players, &self.analysis, sample_rate);
        let config = self.search.of(self.sources.dictionary_by(&learning, sample_rate, watch)?);
        let separation = transcribe::fit(recording, analysis, &config, &players, watch)?;
        let dictionary = &config.dictionary;
        let n_templates: usize = dictionary.sources().iter().map(|source| source.templates.ncols()).sum();
        let remark = format!(
            "{} {} from {n_templates} templates of {} frames",
            separation.names().len(),
            if separation.names().len() == 1 { "source" } else { "sources" },
            dictionary.n_context()
        );
        let mut remarks = vec![remark];
        if let ([source], None, true) = (dictionary.sources(), self.search.n_residual, config.n_residual > 0) {
            remarks.push(format!(
                "`{}` is all that is known: the rest goes to `{}`; `--residual 0` makes no rest",
                source.name,
                names::RESIDUAL
            ));
        }
        let mut extras = Vec::new();
        if let Some(score) = separation.notes() {
            remarks.push(format!("{} notes were found", score.n_notes()));
            extras.extend(self.has_midi.then(|| Extra { name: "notes", extension: "mid", bytes: score.to_midi() }));
        } else if self.has_midi {
            let others: Vec<_> = players.iter().filter(|player| !player.is_melodic()).map(Player::name).collect();
            remarks.push(match others.is_empty() {
                true => {
                    "no notes are written: they are looked for where there are examples of two sources or more, no \
                         dictionary and no `--residual`"
                        .into()
                }
                false => format!("no notes are written: not all play one at a time (`{}`)", others.join("`, `")),
            });
        }
        Ok(Outcome { remarks, extras, ..separation.into() })
    }
}
