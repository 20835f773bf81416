//! What sources sound like, as the command line is told: recordings of each alone, and dictionaries.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use partita::audio::Recording;
use partita::separate::examples;
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
    /// What was learned from the solos for the sample rate of the last input.
    learned: Mutex<Option<Dictionary>>,
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
        Ok(Self { solos, dictionaries, stft, learn, learned: Mutex::new(None) })
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

    pub(super) fn examples(&self) -> Vec<partita::separate::Example<'_>> {
        self.solos.iter().map(Solo::example).collect()
    }

    /// All that is known, for recordings of this sample rate.
    pub(super) fn dictionary(&self, sample_rate: u32, watch: &mut Watch<'_>) -> Result<Dictionary, Error> {
        // Held while learning, so that inputs side by side learn once: each has a thread of its own, none of which is one
        // of those that learn.
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = match learned.as_ref().filter(|learned| learned.sample_rate() == sample_rate) {
            Some(before) => before.clone(),
            None => {
                let known: Vec<_> = self.solos.iter().map(Solo::example).collect();
                let found = examples::learn(&known, sample_rate, &self.stft, &self.learn, watch)?;
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
