//! `separate` where the sources are known: by recordings of each alone, or by dictionaries learned from such.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;

use partita::audio::Recording;
use partita::nmf::Divergence;
use partita::separate::{ExamplesConfig, Progress, examples, learn};
use partita::{Dictionary, DictionaryConfig, Error, names};

use super::args::SeparateArgs;
use crate::cli::failure::Failure;
use crate::cli::sound::Solo;
use crate::cli::stems::{Extent, MUSIC_WINDOW_S, Method, Outcome};
use crate::cli::terminal::Terminal;

/// `separate` where the sources are known.
pub(super) struct Known {
    solos: Vec<Solo>,
    dictionaries: Vec<Dictionary>,
    config: ExamplesConfig,
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
        let defaults = ExamplesConfig::default();
        let config = ExamplesConfig {
            stft: method.transform.options(),
            n_residual: knowledge.n_residual,
            n_semitones: knowledge.n_semitones,
            max_iter: method.max_iter.unwrap_or(defaults.max_iter),
            mask_exponent: method.mask_exponent,
            multichannel: knowledge.multichannel,
            max_frames: method.max_frames,
            seed,
        };
        let solos = Solo::open_all(&knowledge.example, terminal)?;
        Ok(Self { solos, dictionaries, config, learn, learned: Mutex::new(None) })
    }

    /// All that is known, for recordings of this sample rate.
    fn dictionary(
        &self,
        sample_rate: u32,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Dictionary, Error> {
        // Held while learning, so that inputs side by side learn once: each has a thread of its own, none of which is one
        // of those that learn.
        let mut learned = self.learned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut all = match learned.as_ref().filter(|learned| learned.sample_rate() == sample_rate) {
            Some(before) => before.clone(),
            None => {
                let known: Vec<_> = self.solos.iter().map(Solo::example).collect();
                learned.insert(learn(&known, sample_rate, &self.config.stft, &self.learn, progress)?).clone()
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
        let residual = (self.config.n_residual > 0).then(|| names::RESIDUAL.to_owned());
        let mut names: Vec<String> = Vec::new();
        for name in self.solos.iter().map(|solo| &solo.name).chain(loaded).chain(&residual) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn extent(&self, sample_rate: u32) -> Extent {
        Extent { stft: self.config.stft.resolve(sample_rate, MUSIC_WINDOW_S), max_frames: self.config.max_frames }
    }

    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let dictionary = self.dictionary(recording.sample_rate(), progress)?;
        let separation = examples(recording, &dictionary, &self.config, progress)?;
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
