//! What sources sound like, as the command line is told: recordings of each alone, and dictionaries.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use partita::audio::Recording;
use partita::separate::transcribe::{Learning, Player};
use partita::separate::{AnalysisConfig, examples, transcribe};
use partita::watch::Watch;
use partita::{Dictionary, DictionaryConfig, Error, StftOptions};

use super::failure::Failure;
use super::flags::KnowledgeArgs;
use super::sound::Solo;
use super::terminal::Terminal;

/// What sources sound like.
pub(super) struct Sources {
    solos: Vec<Solo>,
    dictionaries: Vec<Dictionary>,
    stft: StftOptions,
    learn: DictionaryConfig,
    /// Whether nobody said how many frames are in a template.
    has_open_context: bool,
    /// What was learned from the solos for the sample rate of the last input.
    learned: Mutex<Option<Dictionary>>,
    /// What was heard in them, for the sample rate of the last input.
    heard: Mutex<Option<(u32, Vec<Player>)>>,
}

impl Sources {
    pub(super) fn new(
        args: &KnowledgeArgs,
        n_components: Option<usize>,
        stft: StftOptions,
        seed: u64,
        terminal: &Terminal,
    ) -> Result<Self, Failure> {
        let load = |path: &PathBuf| Dictionary::load(path);
        let dictionaries: Vec<_> = args.dictionary.iter().map(load).collect::<Result<_, _>>()?;
        let defaults = DictionaryConfig::default();
        let n_context = args.n_context.or(dictionaries.first().map(Dictionary::n_context));
        let learn = DictionaryConfig {
            n_components: n_components.unwrap_or(defaults.n_components),
            n_context: n_context.unwrap_or(defaults.n_context),
            seed,
            ..defaults
        };
        learn.check()?;
        let solos = Solo::open_all(&args.example, None, terminal)?;
        let has_open_context = n_context.is_none();
        Ok(Self {
            solos,
            dictionaries,
            stft,
            learn,
            has_open_context,
            learned: Mutex::new(None),
            heard: Mutex::new(None),
        })
    }

    /// Names of the sources, each once.
    pub(super) fn names(&self) -> Vec<String> {
        let loaded = self.dictionaries.iter().flat_map(Dictionary::sources).map(|source| &source.name);
        let mut names: Vec<String> = Vec::new();
        for name in self.solos.iter().map(|solo| &solo.name).chain(loaded) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The sample rate that the first dictionary is for, or that the first solo has, in Hz.
    pub(super) fn sample_rate(&self) -> Option<u32> {
        let loaded = self.dictionaries.first().map(Dictionary::sample_rate);
        loaded.or(self.solos.first().map(|solo| solo.file.sample_rate()))
    }

    /// What plays in the solos, for recordings of this sample rate that are looked at so; none beside dictionaries, whose
    /// sources nobody can listen to.
    pub(super) fn players(
        &self,
        sample_rate: u32,
        analysis: &AnalysisConfig,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Player>, Error> {
        if !self.dictionaries.is_empty() {
            return Ok(Vec::new());
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, players)) = heard.as_ref().filter(|(rate, _)| *rate == sample_rate) {
            return Ok(players.clone());
        }
        let known: Vec<_> = self.solos.iter().map(Solo::example).collect();
        let players = transcribe::listen(&known, sample_rate, analysis, watch)?;
        *heard = Some((sample_rate, players.clone()));
        Ok(players)
    }

    /// All that is known, for recordings of this sample rate.
    pub(super) fn dictionary(&self, sample_rate: u32, watch: &mut Watch<'_>) -> Result<Dictionary, Error> {
        let asked = Learning { stft: self.stft, n_context: self.learn.n_context };
        self.dictionary_by(&asked, sample_rate, watch)
    }

    /// All that is known, learned as follows from the sample rate.
    pub(super) fn dictionary_by(
        &self,
        learning: &Learning,
        sample_rate: u32,
        watch: &mut Watch<'_>,
    ) -> Result<Dictionary, Error> {
        // Held while learning, so that inputs side by side learn once: each has a thread of its own, none of which is one
        // of those that learn.
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = match learned.as_ref().filter(|learned| learned.sample_rate() == sample_rate) {
            Some(before) => before.clone(),
            None => {
                let known: Vec<_> = self.solos.iter().map(Solo::example).collect();
                let n_context = if self.has_open_context { learning.n_context } else { self.learn.n_context };
                let learn = DictionaryConfig { n_context, ..self.learn };
                let found = examples::learn(&known, sample_rate, &learning.stft, &learn, watch)?;
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
