//! A recording that is worked on: looked at once, fitted as often as what is known of it changes.

use std::path::Path;
use std::sync::Arc;

use super::Factors;
use super::document::{Document, ExampleFile, ScoreFile};
use crate::audio::Recording;
use crate::audio::decode::AudioFile;
use crate::error::shown;
use crate::knowledge::dictionary::DictionaryConfig;
use crate::knowledge::score::align::align;
use crate::knowledge::score::{Class, Part, Score, instrument};
use crate::separate::examples::{self, ExamplesConfig};
use crate::separate::painted::{self, Known, PaintedConfig};
use crate::separate::score::{self, ScoreConfig};
use crate::separate::{Analysis, AnalysisConfig, Example, Separation, bleed, together, transcribe};
use crate::stft::StftOptions;
use crate::watch::Watch;
use crate::{Error, Result};

/// A recording that was looked at, and what is fitted of it.
#[derive(Debug, Clone)]
pub struct Session {
    analysis: Analysis,
    stft: StftOptions,
    told: Option<Told>,
}

/// What a score and examples say, fitted once.
#[derive(Debug, Clone)]
struct Told {
    score: Option<ScoreFile>,
    examples: Vec<ExampleFile>,
    /// The sources. They were found by the names they had then.
    ids: Vec<u32>,
    exponent: f32,
    seed: u64,
    /// Frames that were kept.
    n_frames: usize,
    known: Option<Arc<Known>>,
}

impl Session {
    /// Looks at a recording, and reads and fits the score and the examples of the document, which lie in `folder`.
    ///
    /// # Errors
    /// Those of [`Document::check`], [`Analysis::of`], and of reading and fitting scores and examples.
    ///
    /// # Cost
    /// One pass over the recording, and one more for an alignment.
    pub fn open(recording: &dyn Recording, document: &Document, folder: &Path, watch: &mut Watch<'_>) -> Result<Self> {
        document.check()?;
        let analysis = Analysis::of(recording, &document.analysis(), watch)?;
        Self::of(analysis, recording, document, folder, watch)
    }

    /// [`Session::open`] of a recording that was looked at already, by [`Document::analysis`].
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn of(
        analysis: Analysis,
        recording: &dyn Recording,
        document: &Document,
        folder: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        document.check()?;
        let mut session = Self { analysis, stft: document.stft(), told: None };
        session.prepare(recording, document, folder, watch)?;
        Ok(session)
    }

    /// Does again what a change of the document asks for beside a fit: another transform, painted places of a long
    /// recording that were not kept, another score, other examples. To be called before a fit; costs nothing where nothing
    /// of it changed.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn prepare(
        &mut self,
        recording: &dyn Recording,
        document: &Document,
        folder: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        document.check()?;
        if document.stft() != self.stft {
            self.analysis = Analysis::of(recording, &document.analysis(), watch)?;
            // Only now: what ends half done is begun anew next time.
            self.stft = document.stft();
            self.told = None;
        }
        self.analysis.keep(recording, &document.marks.times_s())?;
        let ids: Vec<_> = document.marks.sources.iter().map(|source| source.id).collect();
        let (exponent, seed) = (document.mask_exponent(), document.seed()?);
        let n_frames = self.analysis.magnitude().nrows();
        let is_told = |told: &Told| {
            told.score == document.score
                && told.examples == document.examples
                && (told.known.is_none()
                    || told.ids == ids && told.exponent == exponent && told.seed == seed && told.n_frames == n_frames)
        };
        if self.told.as_ref().is_some_and(is_told) {
            return Ok(());
        }
        let separation = self.told_separation(recording, document, folder, watch)?;
        let known = separation.map(|told| Known::new(&self.analysis, &document.marks, &told, seed, watch));
        self.told = Some(Told {
            score: document.score.clone(),
            examples: document.examples.clone(),
            ids,
            exponent,
            seed,
            n_frames,
            known: known.transpose()?.map(Arc::new),
        });
        Ok(())
    }

    /// What the score and the examples alone say; `None` without them.
    fn told_separation(
        &self,
        recording: &dyn Recording,
        document: &Document,
        folder: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Separation>> {
        let name = |id: u32| {
            let source = document.marks.sources.iter().find(|source| source.id == id);
            source.map(|source| source.name.clone()).unwrap_or_default()
        };
        let mut solos = Vec::new();
        for example in &document.examples {
            let path = folder.join(&example.file);
            solos.push((name(example.source), shown(&path), AudioFile::open(&path)?));
        }
        let known: Vec<_> = solos.iter().map(|(name, label, file)| Example { name, label, recording: file }).collect();
        let look = AnalysisConfig { stft: self.stft, ..AnalysisConfig::default() };
        let sample_rate = self.analysis.sample_rate();
        if let Some(file) = &document.score {
            let mut score = Score::load(&folder.join(&file.file))?;
            if file.align {
                score = align(&score, recording, watch)?;
            }
            // Parts that are given to one source are told apart until they were found.
            let given = |part: &Part| file.tracks.get(&part.name).map_or_else(|| part.name.clone(), |id| name(*id));
            let names: Vec<_> = score.parts.iter().map(given).collect();
            let config = ScoreConfig { mask_exponent: document.mask_exponent(), ..ScoreConfig::new(score) };
            let heard = of_parts(&known, &config.score.parts, &names);
            let separation = if heard.is_empty() {
                score::fit(&self.analysis, &config, None, watch)?
            } else {
                let players = transcribe::listen(&heard, sample_rate, &look, watch)?;
                let examples = self.by_examples(&heard, document, watch)?;
                together::fit(&self.analysis, &config, &examples, &players, watch)?
            };
            return Ok(Some(separation.renamed(&names)));
        }
        if known.is_empty() {
            return Ok(None);
        }
        let mut config = self.by_examples(&known, document, watch)?;
        let players = match config.dictionary.sources().len() {
            1 => Vec::new(),
            _ => transcribe::listen(&known, sample_rate, &look, watch)?,
        };
        if config.n_residual == 0 && document.marks.sources.len() > config.dictionary.sources().len() {
            config.n_residual = ExamplesConfig::N_RESIDUAL;
        }
        transcribe::fit(recording, &self.analysis, &config, &players, watch).map(Some)
    }

    /// How a recording is taken apart by these examples.
    fn by_examples(&self, known: &[Example<'_>], document: &Document, watch: &mut Watch<'_>) -> Result<ExamplesConfig> {
        let learn = DictionaryConfig { seed: document.seed()?, ..DictionaryConfig::default() };
        let dictionary = examples::learn(known, self.analysis.sample_rate(), &self.stft, &learn, watch)?;
        let (mask_exponent, seed) = (document.mask_exponent(), document.seed()?);
        Ok(ExamplesConfig { mask_exponent, seed, ..ExamplesConfig::new(dictionary) })
    }

    /// Fits what is known: on from an earlier fit of the session, or anew. The stems are the sources of the document, in its
    /// order, and one more where a score or examples know a part that is none of them. Of a document without sources, those
    /// that the components suggest. Microphones are cleaned anew, so that the same document gives the same bits; where
    /// the strength alone is another than before, without a fit.
    ///
    /// # Errors
    /// Those of [`painted::fit`], or of [`bleed::fit`].
    pub fn fit(&self, document: &Document, previous: Option<&Separation>, watch: &mut Watch<'_>) -> Result<Separation> {
        let config = self.config(document)?;
        match document.bleed()? {
            Some(microphones) => {
                let reuse = |previous| bleed::reuse(&self.analysis, &microphones, previous);
                let reused = previous.map(reuse).transpose()?.flatten();
                reused.map_or_else(|| bleed::fit(&self.analysis, &microphones, None, watch), Ok)
            }
            None => painted::fit(&self.analysis, &config, previous, watch),
        }
    }

    /// Makes the separation whose components were found before, without a fit: the same bits as the fit that found them.
    ///
    /// # Errors
    /// Those of [`painted::restore`].
    pub fn restore(&self, document: &Document, factors: &Factors) -> Result<Separation> {
        painted::restore(&self.analysis, &self.config(document)?, factors)
    }

    /// What was found at the first look.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    fn config(&self, document: &Document) -> Result<PaintedConfig> {
        document.check()?;
        if document.stft() != self.stft {
            return Err(Error::Setting {
                name: "n_fft",
                got: "another than before".into(),
                expected: "a call of `prepare` first".into(),
                advice: None,
            });
        }
        Ok(PaintedConfig {
            mask_exponent: document.mask_exponent(),
            seed: document.seed()?,
            known: self.told.as_ref().and_then(|told| told.known.clone()),
            ..PaintedConfig::new(document.marks.clone())
        })
    }
}

/// The examples of what plays in a score, under the names of its parts: of a source that one part is given to, or of drums,
/// where several of them are given to it or have none of their own.
fn of_parts<'a>(known: &[Example<'a>], parts: &'a [Part], names: &[String]) -> Vec<Example<'a>> {
    let has_drums = parts.iter().any(|part| part.class == Class::Percussion);
    let of_part = |example: &Example<'a>| {
        let own: Vec<_> = parts.iter().zip(names).filter(|(_, name)| *name == example.name).collect();
        match own[..] {
            [(part, _)] => Some(Example { name: &part.name, ..*example }),
            _ => (has_drums && instrument::is_kit(example.name)).then_some(*example),
        }
    };
    known.iter().filter_map(of_part).collect()
}
