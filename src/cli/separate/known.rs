//! `separate` where the sources are known: by recordings of each alone, or by dictionaries learned from such.

use std::path::PathBuf;
use std::sync::Mutex;

use partita::audio::Recording;
use partita::nmf::Divergence;
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;
use partita::{Dictionary, DictionaryConfig, Error, names};

use super::args::SeparateArgs;
use crate::cli::failure::Failure;
use crate::cli::sound::Solo;
use crate::cli::stems::{Method, Outcome};
use crate::cli::terminal::Terminal;

/// How the sources are looked for.
struct Search {
    n_residual: usize,
    n_semitones: usize,
    max_iter: Option<usize>,
    mask_exponent: f32,
    seed: u64,
}

impl Search {
    fn of(&self, dictionary: Dictionary) -> ExamplesConfig {
        let config = ExamplesConfig::new(dictionary);
        ExamplesConfig {
            n_residual: self.n_residual,
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
    solos: Vec<Solo>,
    dictionaries: Vec<Dictionary>,
    analysis: AnalysisConfig,
    has_places: bool,
    search: Search,
    learn: DictionaryConfig,
    /// What was learned from the examples for the sample rate of the last input.
    learned: Mutex<Option<Dictionary>>,
}

impl Known {
    pub(super) fn new(args: &SeparateArgs, seed: u64, terminal: &Terminal) -> Result<Self, Failure> {
        let (knowledge, method) = (&args.knowledge, &args.method);
        if method.divergence != Divergence::KullbackLeibler {
            let message = "`--divergence` is not `kl`, the one that examples are learned with";
            return Err(Failure::usage(message, "leave it out"));
        }
        let load = |path: &PathBuf| Dictionary::load(path);
        let dictionaries: Vec<_> = knowledge.dictionary.iter().map(load).collect::<Result<_, _>>()?;
        let defaults = DictionaryConfig::default();
        let n_context = knowledge.n_context.or(dictionaries.first().map(Dictionary::n_context));
        let learn = DictionaryConfig {
            n_components: args.n_components.unwrap_or(defaults.n_components),
            n_context: n_context.unwrap_or(defaults.n_context),
            seed,
            ..defaults
        };
        learn.check()?;
        let search = Search {
            n_residual: knowledge.n_residual,
            n_semitones: knowledge.n_semitones,
            max_iter: method.max_iter,
            mask_exponent: method.mask_exponent,
            seed,
        };
        Ok(Self {
            solos: Solo::open_all(&knowledge.example, terminal)?,
            dictionaries,
            analysis: method.analysis(),
            has_places: args.places.is_wanted(true),
            search,
            learn,
            learned: Mutex::new(None),
        })
    }

    /// All that is known, for recordings of this sample rate.
    fn dictionary(&self, sample_rate: u32, watch: &mut Watch<'_>) -> Result<Dictionary, Error> {
        // Held while learning, so that inputs side by side learn once: each has a thread of its own, none of which is one
        // of those that learn.
        let mut learned = self.learned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut all = match learned.as_ref().filter(|learned| learned.sample_rate() == sample_rate) {
            Some(before) => before.clone(),
            None => {
                let known: Vec<_> = self.solos.iter().map(Solo::example).collect();
                let found = examples::learn(&known, sample_rate, &self.analysis.stft, &self.learn, watch)?;
                learned.insert(found).clone()
            }
        };
        drop(learned);
        for dictionary in &self.dictionaries {
            all.join(dictionary.clone())?;
        }
        Ok(all)
    }
}

impl Method for Known {
    fn names(&self) -> Vec<String> {
        let loaded = self.dictionaries.iter().flat_map(Dictionary::sources).map(|source| &source.name);
        let residual = (self.search.n_residual > 0).then(|| names::RESIDUAL.to_owned());
        let mut names: Vec<String> = Vec::new();
        for name in self.solos.iter().map(|solo| &solo.name).chain(loaded).chain(&residual) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn has_places(&self) -> bool {
        self.has_places
    }

    fn fit(&self, _: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let config = self.search.of(self.dictionary(analysis.sample_rate(), watch)?);
        let separation = examples::fit(analysis, &config, None, watch)?;
        let dictionary = &config.dictionary;
        let n_templates: usize = dictionary.sources().iter().map(|source| source.templates.ncols()).sum();
        let remark = format!(
            "{} {} from {n_templates} templates of {} frames",
            separation.names().len(),
            if separation.names().len() == 1 { "source" } else { "sources" },
            dictionary.n_context()
        );
        Ok(Outcome { remarks: vec![remark], ..separation.into() })
    }
}
