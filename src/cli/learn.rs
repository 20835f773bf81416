//! `partita learn`: recordings of sources in, a dictionary out; and `separate` with what such recordings teach.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use partita::audio::Recording;
use partita::audio::decode::AudioFile;
use partita::batch::text;
use partita::error::shown;
use partita::nmf::Divergence;
use partita::separate::{Example, ExamplesConfig, Progress, RESIDUAL, examples, learn};
use partita::{Dictionary, DictionaryConfig, Error};
use serde_json::json;

use super::args::{Learn, Separate};
use super::exit::{self, is_interrupted};
use super::failure::Failure;
use super::stems::{Method, Outcome};
use super::terminal::Terminal;
use super::outputs;

pub(super) fn run(args: &Learn, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    if args.out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Failure::usage(
            format!("`{}` is no dictionary by its name, expected one that ends in `.safetensors`", shown(&args.out)),
            format!("use `{}`", shown(&args.out.with_extension("safetensors"))),
        ));
    }
    outputs::refuse_existing(std::slice::from_ref(&args.out), args.force)?;
    outputs::check_writable(args.out.parent().unwrap_or(Path::new("")))?;
    let solos = Solo::open_all(&args.examples, terminal)?;
    let sample_rate = args.sample_rate.or(solos.first().map(|solo| solo.file.sample_rate())).unwrap_or_default();
    let config =
        DictionaryConfig { n_components: args.n_components, n_context: args.n_context, max_iter: args.max_iter, seed };
    let stft = args.transform.options();
    let known: Vec<_> = solos.iter().map(Solo::example).collect();
    let mut steps = terminal.steps();
    let dictionary = learn(&known, sample_rate, &stft, &config, &mut |progress: Progress| {
        steps.set(progress.step.name(), progress.done, progress.total.unwrap_or(0));
        if is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    drop(steps);
    dictionary.save(&args.out, outputs::may_replace(args.force))?;
    report(args, &dictionary, terminal);
    Ok(exit::DONE)
}

/// Says what was learned, and where it went.
fn report(args: &Learn, dictionary: &Dictionary, terminal: &Terminal) {
    let stft = dictionary.stft();
    terminal.say(&format!(
        "{} for recordings at {} Hz, with `--n-fft {}`",
        shown(&args.out),
        dictionary.sample_rate(),
        stft.n_fft
    ));
    let sources = dictionary.sources();
    for source in sources {
        let n_examples = args.examples.iter().filter(|(name, _)| *name == source.name).count();
        terminal.say(&format!(
            "  {:<14} {} templates of {} frames, from {n_examples} {}",
            source.name,
            source.templates.ncols(),
            dictionary.n_context(),
            if n_examples == 1 { "recording" } else { "recordings" },
        ));
    }
    let sources: Vec<_> =
        sources.iter().map(|source| json!({ "name": source.name, "n_components": source.templates.ncols() })).collect();
    terminal.event(json!({
        "event": "learned", "path": text(&args.out), "sample_rate": dictionary.sample_rate(),
        "n_fft": stft.n_fft, "hop_length": stft.hop_length, "window": stft.window.name(),
        "n_context": dictionary.n_context(), "sources": sources,
    }));
}

/// A recording of one source, opened.
pub(super) struct Solo {
    name: String,
    label: String,
    file: AudioFile,
}

impl Solo {
    pub(super) fn open_all(examples: &[(String, PathBuf)], terminal: &Terminal) -> Result<Vec<Self>, Failure> {
        let open = |(name, path): &(String, PathBuf)| {
            let file = AudioFile::open(path)?;
            terminal.detail(&format!(
                "{name}: {} in {}, {} Hz, {} channels",
                file.codec(),
                file.container(),
                file.sample_rate(),
                file.n_channels()
            ));
            Ok(Self { name: name.clone(), label: shown(path), file })
        };
        examples.iter().map(open).collect()
    }

    pub(super) fn example(&self) -> Example<'_> {
        Example { name: &self.name, label: &self.label, recording: &self.file }
    }
}

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
    pub(super) fn new(args: &Separate, seed: u64, terminal: &Terminal) -> Result<Self, Failure> {
        let (knowledge, method) = (&args.knowledge, &args.method);
        if method.divergence != Divergence::KullbackLeibler {
            let message = "`--divergence` is another than `kl`, which is what examples are learned with";
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
        let residual = (self.config.n_residual > 0).then(|| RESIDUAL.to_owned());
        let mut names: Vec<String> = Vec::new();
        for name in self.solos.iter().map(|solo| &solo.name).chain(loaded).chain(&residual) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
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
