//! The methods of separation, with the settings that Python hands over as a dict: every key there, defaults filled in.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ndarray::Array2;
use partita::knowledge::marks::Marks;
use partita::knowledge::score::align::align;
use partita::knowledge::score::{MidiConfig, Note, Part};
use partita::nmf::NmfConfig;
use partita::separate::denoise::{self, Content, DenoiseConfig, Noise, NoiseProfile};
use partita::separate::drums::{Drum, DrumsConfig, Sound};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::painted::{self, PaintedConfig};
use partita::separate::panned::{self, PannedConfig};
use partita::separate::score::{self, ScoreConfig, Unscored};
use partita::separate::transcribe::{self, Player};
use partita::separate::{
    Accompaniment, Analysis, AnalysisConfig, Detail, Example, HowPlaced, Places, blind, drums_of, together,
};
use partita::stft::window::Window;
use partita::watch::Watch;
use partita::{Audio, Dictionary, DictionaryConfig, Score, StftOptions};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::audio::{Recording, Shared, named};
use crate::errors::{raise, value_error};

/// How a recording is looked at, and by what method it is taken apart.
pub(crate) struct Method {
    pub(crate) analysis: AnalysisConfig,
    /// What tells stems apart beside their masks.
    pub(crate) places: Places,
    knowledge: Knowledge,
    /// What was learned of it, for the sample rate in front.
    learned: Mutex<Option<(u32, Dictionary, Vec<Player>)>>,
}

/// What is known of a recording.
enum Knowledge {
    Nothing(blind::BlindConfig),
    Kinds(HpssConfig),
    Kit { config: DrumsConfig, song: Accompaniment },
    Noise { config: DenoiseConfig, noise: Option<(String, Shared)>, range_s: Option<(f64, f64)> },
    Score { config: ScoreConfig, align: bool, examples: Option<Sources> },
    Examples { sources: Sources, has_notes: bool },
    Marks(PaintedConfig),
}

/// What sources sound like, and how they are looked for.
struct Sources {
    solos: Vec<(String, String, Shared)>,
    dictionaries: Vec<Dictionary>,
    learn: DictionaryConfig,
    /// Whether nobody said how many frames are in a template.
    has_open_context: bool,
    n_residual: Option<usize>,
    n_semitones: usize,
    max_iter: Option<usize>,
    mask_exponent: f32,
    seed: u64,
}

// ---- from Python ---------------------------------------------------------------------------------------------------

/// What all methods have.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Looks {
    n_fft: Option<usize>,
    hop_length: Option<usize>,
    window: String,
    multichannel: Option<String>,
    mask_exponent: f32,
    seed: u64,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Fitted {
    max_iter: Option<usize>,
    max_frames: usize,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Separate {
    n_sources: Option<usize>,
    n_components: Option<usize>,
    tol: f64,
    divergence: String,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Hpss {
    margin: f32,
    harmonic_s: f64,
    percussive_hz: f64,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Drums {
    pieces: Vec<String>,
    /// Name, label, hits.
    kit: Vec<(String, String, Py<Recording>)>,
    song: String,
    n_residual: usize,
    template_s: f64,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Denoise {
    noise: Option<(String, Py<Recording>)>,
    noise_range: Option<(f64, f64)>,
    content: String,
    strength: f32,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Known {
    /// Name, label, recording.
    examples: Vec<(String, String, Py<Recording>)>,
    dictionaries: Vec<PathBuf>,
    n_components: Option<usize>,
    n_context: Option<usize>,
    n_residual: Option<usize>,
    n_semitones: usize,
}

/// Onset, offset, pitch, velocity.
type Notes = Vec<(f64, f64, u8, u8)>;

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct ByScore {
    score: Option<PathBuf>,
    /// Name and notes, where no file is given.
    parts: Vec<(String, Notes)>,
    drum_tracks: Vec<String>,
    score_transpose: Option<f64>,
    score_offset: f64,
    score_stretch: f64,
    align: bool,
    residual: bool,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Painted {
    /// As JSON.
    marks: String,
}

impl Method {
    /// Reads the settings of a method.
    pub(crate) fn new(name: &str, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let looks: Looks = options.extract()?;
        let window = named("window", &looks.window, Window::ALL, Window::name)?;
        let stft = StftOptions { n_fft: looks.n_fft, hop_length: looks.hop_length, window };
        let is_fitted = !matches!(name, "hpss" | "denoise");
        let Fitted { max_iter, max_frames } = if is_fitted {
            options.extract()?
        } else {
            Fitted { max_iter: None, max_frames: AnalysisConfig::default().max_frames }
        };
        let (mask_exponent, seed) = (looks.mask_exponent, looks.seed);
        let base = AnalysisConfig { stft, max_frames, ..AnalysisConfig::default() };
        let (analysis, knowledge) = match name {
            "separate" => (base, Knowledge::Nothing(blind_config(options.extract()?, max_iter, mask_exponent, seed)?)),
            "hpss" => {
                let Hpss { margin, harmonic_s, percussive_hz } = options.extract()?;
                // Nothing is fitted.
                let analysis = AnalysisConfig { detail: Detail::Outline, ..base };
                (analysis, Knowledge::Kinds(HpssConfig { harmonic_s, percussive_hz, margin, mask_exponent }))
            }
            "drums" => {
                let analysis = AnalysisConfig { stft, max_frames, ..AnalysisConfig::drums() };
                (analysis, kit(options.extract()?, max_iter, mask_exponent, seed)?)
            }
            "denoise" => {
                let Denoise { noise, noise_range, content, strength } = options.extract()?;
                let content = named("content", &content, Content::ALL, Content::name)?;
                let noise = noise.map(|(label, recording)| (label, recording.get().shared.clone()));
                let config = DenoiseConfig { noise: Noise::Quietest, content, strength, mask_exponent, seed };
                let analysis = AnalysisConfig { stft, ..AnalysisConfig::speech() };
                (analysis, Knowledge::Noise { config, noise, range_s: noise_range })
            }
            "by_examples" | "by_score" => {
                let known: Known = options.extract()?;
                let has_examples = !known.examples.is_empty() || !known.dictionaries.is_empty();
                let sources = known.sources(max_iter, mask_exponent, seed)?;
                if name == "by_examples" {
                    let has_notes: bool = options.get_item("notes")?.map_or(Ok(true), |value| value.extract())?;
                    (base, Knowledge::Examples { sources, has_notes })
                } else {
                    let (config, align) = score_config(options.extract()?, mask_exponent)?;
                    (base, Knowledge::Score { config, align, examples: has_examples.then_some(sources) })
                }
            }
            "painted" => {
                let Painted { marks } = options.extract()?;
                let marks: Marks = serde_json::from_str(&marks).map_err(|error| {
                    value_error(format!("the marks cannot be read: {error}"), "make them with partita.Marks")
                })?;
                marks.check().map_err(raise)?;
                let analysis = AnalysisConfig { keep_s: marks.times_s(), ..base };
                let defaults = PaintedConfig::new(marks);
                let max_iter = max_iter.unwrap_or(defaults.max_iter);
                (analysis, Knowledge::Marks(PaintedConfig { max_iter, mask_exponent, seed, ..defaults }))
            }
            _ => {
                return Err(value_error(format!("there is no method `{name}`"), "use one of the functions of partita"));
            }
        };
        let how = match (looks.multichannel.as_deref(), &knowledge) {
            (None, Knowledge::Examples { .. }) => HowPlaced::PanOrWiener,
            (None, Knowledge::Nothing(_) | Knowledge::Score { .. }) => HowPlaced::Pan,
            (None, _) | (Some("mask"), _) => HowPlaced::Mask,
            (Some("wiener"), _) => HowPlaced::Wiener,
            (Some("pan"), _) => HowPlaced::Pan,
            (Some(other), _) => {
                let what = format!("`multichannel` is `{other}`, expected `pan`, `wiener` or `mask`");
                return Err(value_error(what, "leave it out for the default of the method"));
            }
        };
        let said: Option<Vec<(String, f64)>> = options.get_item("pan")?.map_or(Ok(None), |places| places.extract())?;
        let said = said.unwrap_or_default();
        if !said.is_empty() && matches!(looks.multichannel.as_deref(), Some("mask" | "wiener")) {
            let what = "`pan` says where sources stand, and `multichannel` is not to use it".to_owned();
            return Err(value_error(what, "leave `multichannel` out"));
        }
        let how = if said.is_empty() { how } else { HowPlaced::Pan };
        let places = Places { how, said };
        Ok(Self { analysis, places, knowledge, learned: Mutex::new(None) })
    }
}

fn blind_config(
    options: Separate,
    max_iter: Option<usize>,
    mask_exponent: f32,
    seed: u64,
) -> PyResult<blind::BlindConfig> {
    let defaults = blind::BlindConfig::default();
    let nmf = NmfConfig {
        n_components: options.n_components.unwrap_or(defaults.nmf.n_components),
        divergence: options.divergence.parse().map_err(raise)?,
        max_iter: max_iter.unwrap_or(defaults.nmf.max_iter),
        tol: options.tol,
        seed,
        ..defaults.nmf
    };
    Ok(blind::BlindConfig { n_sources: options.n_sources, nmf, mask_exponent })
}

/// The drums to look for: those of `pieces`, and the recorded ones, which take the place of one of the same name.
fn kit(options: Drums, max_iter: Option<usize>, mask_exponent: f32, seed: u64) -> PyResult<Knowledge> {
    let piece = |name: &String| {
        Drum::named(name).ok_or_else(|| {
            let known: Vec<_> = Drum::names().map(|name| format!("`{name}`")).collect();
            let what = format!("`pieces` has `{name}`, expected some of {}", known.join(", "));
            value_error(what, "give a recording of another drum as kit={NAME: RECORDING}")
        })
    };
    let mut kit: Vec<Drum> = options.pieces.iter().map(piece).collect::<PyResult<_>>()?;
    for (name, label, hits) in options.kit {
        let hits = hits.get().shared.clone();
        let samples: Array2<f32> = crate::audio::read_all(&hits, &mut Watch::none()).map_err(raise)?;
        let audio = Audio::new(samples, hits.sample_rate()).map_err(raise)?;
        let sound = Sound::Recording { audio, label };
        match kit.iter_mut().find(|drum| drum.name == name) {
            Some(drum) if drum.sounds.iter().all(|sound| matches!(sound, Sound::Recording { .. })) => {
                drum.sounds.push(sound);
            }
            Some(drum) => drum.sounds = vec![sound],
            None => kit.push(Drum { name, sounds: vec![sound] }),
        }
    }
    let song = match options.song.as_str() {
        "auto" => Accompaniment::Auto,
        "yes" => Accompaniment::Present,
        "no" => Accompaniment::Absent,
        other => {
            let what = format!("`song` is `{other}`, expected `auto`, `yes` or `no`");
            return Err(value_error(what, "say whether other instruments play, too"));
        }
    };
    let config = DrumsConfig {
        kit,
        template_s: options.template_s,
        n_residual: options.n_residual,
        max_iter: max_iter.unwrap_or(DrumsConfig::default().max_iter),
        mask_exponent,
        seed,
    };
    Ok(Knowledge::Kit { config, song })
}

fn score_config(options: ByScore, mask_exponent: f32) -> PyResult<(ScoreConfig, bool)> {
    let score = match &options.score {
        Some(path) => Score::load_with(path, &MidiConfig { drum_tracks: options.drum_tracks }).map_err(raise)?,
        None => {
            let parts = options.parts.into_iter().map(|(name, notes)| part(name, notes, &options.drum_tracks));
            Score { parts: parts.collect::<PyResult<_>>()?, ..Score::default() }
        }
    };
    let score = match options.score_transpose {
        Some(semitones) => score.transposed(semitones).map_err(raise)?,
        None => score,
    };
    let score = score.moved(options.score_offset, options.score_stretch).map_err(raise)?;
    let unscored = if options.residual { Unscored::Residual } else { Unscored::Shared };
    Ok((ScoreConfig { unscored, mask_exponent, ..ScoreConfig::new(score) }, options.align))
}

fn part(name: String, mut notes: Notes, drums: &[String]) -> PyResult<Part> {
    partita::names::check(&name).map_err(raise)?;
    let is_note = |(onset_s, offset_s, pitch, velocity): &(f64, f64, u8, u8)| {
        onset_s.is_finite()
            && offset_s.is_finite()
            && onset_s <= offset_s
            && *pitch < 128
            && (1..128).contains(velocity)
    };
    if let Some((onset_s, offset_s, pitch, velocity)) = notes.iter().find(|note| !is_note(note)) {
        return Err(value_error(
            format!("`{name}` has the note ({onset_s}, {offset_s}, {pitch}, {velocity})"),
            "a note is (onset, offset, pitch, velocity): seconds, a MIDI key of 0 to 127, and 1 to 127",
        ));
    }
    notes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let note = |(onset_s, offset_s, pitch, velocity)| Note { onset_s, offset_s, pitch, velocity };
    let notes = notes.into_iter().map(note).collect();
    Ok(if drums.contains(&name) { Part::drum(&name, notes) } else { Part::new(&name, notes) })
}

impl Known {
    fn sources(self, max_iter: Option<usize>, mask_exponent: f32, seed: u64) -> PyResult<Sources> {
        let load = |path: &PathBuf| Dictionary::load(path).map_err(raise);
        let dictionaries: Vec<_> = self.dictionaries.iter().map(load).collect::<PyResult<_>>()?;
        let defaults = DictionaryConfig::default();
        let n_context = self.n_context.or(dictionaries.first().map(Dictionary::n_context));
        let learn = DictionaryConfig {
            n_components: self.n_components.unwrap_or(defaults.n_components),
            n_context: n_context.unwrap_or(defaults.n_context),
            seed,
            ..defaults
        };
        learn.check().map_err(raise)?;
        let solo =
            |(name, label, recording): (String, String, Py<Recording>)| (name, label, recording.get().shared.clone());
        Ok(Sources {
            solos: self.examples.into_iter().map(solo).collect(),
            dictionaries,
            learn,
            has_open_context: n_context.is_none(),
            n_residual: self.n_residual,
            n_semitones: self.n_semitones,
            max_iter,
            mask_exponent,
            seed,
        })
    }
}

// ---- at work -------------------------------------------------------------------------------------------------------

impl Method {
    /// Takes a recording apart, on from an earlier fit of the same method where there is one.
    pub(crate) fn fit(
        &self,
        recording: &Shared,
        analysis: &Analysis,
        previous: Option<(&partita::Separation, &Self)>,
        watch: &mut Watch<'_>,
    ) -> partita::Result<partita::Separation> {
        if let Some((_, before)) = previous {
            self.take_over(before);
        }
        let previous = previous.map(|(separation, _)| separation);
        let recording: &dyn partita::audio::Recording = &**recording;
        let n_places = analysis.places().map(<[_]>::len);
        let separation = match &self.knowledge {
            Knowledge::Nothing(config) if self.places.is_pan() && n_places.is_some_and(|n_places| n_places > 1) => {
                let config = PannedConfig { blind: config.clone(), said: Vec::new() };
                return panned::fit(recording, analysis, &config, watch);
            }
            Knowledge::Nothing(config) => blind::fit(analysis, config, previous, watch)?,
            Knowledge::Kinds(config) => hpss::fit(analysis, config, previous, watch)?,
            Knowledge::Kit { config, song } => drums_of(recording, analysis, &self.analysis, config, *song, watch)?,
            Knowledge::Noise { config, noise, range_s } => {
                let noise = match (noise, range_s) {
                    (Some((label, noise)), _) => Noise::Profile(NoiseProfile::of(&**noise, label, analysis, watch)?),
                    (None, Some((start, end))) => {
                        Noise::Profile(NoiseProfile::of_range(recording, *start..*end, analysis, watch)?)
                    }
                    (None, None) => Noise::Quietest,
                };
                denoise::fit(analysis, &DenoiseConfig { noise, ..config.clone() }, previous, watch)?
            }
            Knowledge::Score { config, align: is_aligned, examples } => {
                let mut config = config.clone();
                if *is_aligned {
                    config.score = align(&config.score, recording, watch)?;
                }
                match examples {
                    None => score::fit(analysis, &config, previous, watch)?,
                    Some(sources) => {
                        let (dictionary, players) = self.learn(sources, analysis.sample_rate(), true, watch)?;
                        together::fit(analysis, &config, &sources.search(dictionary), &players, watch)?
                    }
                }
            }
            Knowledge::Examples { sources, has_notes } => {
                let has_notes = *has_notes && sources.wants_notes();
                let (dictionary, players) = self.learn(sources, analysis.sample_rate(), has_notes, watch)?;
                let config = sources.search(dictionary);
                match players.is_empty() {
                    true => examples::fit(analysis, &config, previous, watch)?,
                    false => transcribe::fit(recording, analysis, &config, &players, watch)?,
                }
            }
            Knowledge::Marks(config) => painted::fit(analysis, config, previous, watch)?,
        };
        self.places.tell_apart(separation, recording, n_places, self.analysis.max_frames, watch)
    }

    /// The drums that hits are of.
    pub(crate) fn kit(&self) -> &[Drum] {
        if let Knowledge::Kit { config, .. } = &self.knowledge { &config.kit } else { &[] }
    }

    /// The score that was followed, where it was given.
    pub(crate) fn score(&self) -> Option<&Score> {
        if let Knowledge::Score { config, .. } = &self.knowledge { Some(&config.score) } else { None }
    }

    /// The numbers of the sources that marks are about.
    pub(crate) fn source_ids(&self) -> Vec<u32> {
        let Knowledge::Marks(config) = &self.knowledge else { return Vec::new() };
        config.marks.sources.iter().map(|source| source.id).collect()
    }

    fn sources(&self) -> Option<&Sources> {
        match &self.knowledge {
            Knowledge::Examples { sources, .. } | Knowledge::Score { examples: Some(sources), .. } => Some(sources),
            _ => None,
        }
    }

    /// Takes over what was learned from the same examples.
    fn take_over(&self, before: &Self) {
        let (Some(ours), Some(theirs)) = (self.sources(), before.sources()) else { return };
        if ours.is_like(theirs) && self.analysis == before.analysis && !std::ptr::eq(self, before) {
            let learned = before.learned.lock().unwrap_or_else(PoisonError::into_inner).clone();
            *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = learned;
        }
    }

    /// What the examples sound like, and what plays in them.
    fn learn(
        &self,
        sources: &Sources,
        sample_rate: u32,
        has_players: bool,
        watch: &mut Watch<'_>,
    ) -> partita::Result<(Dictionary, Vec<Player>)> {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, dictionary, players)) = learned.as_ref().filter(|(rate, ..)| *rate == sample_rate) {
            return Ok((dictionary.clone(), if has_players { players.clone() } else { Vec::new() }));
        }
        let solos = sources.solos.iter();
        let known: Vec<_> = solos.map(|(name, label, solo)| Example { name, label, recording: &**solo }).collect();
        let players = match has_players && sources.dictionaries.is_empty() {
            true => transcribe::listen(&known, sample_rate, &self.analysis, watch)?,
            false => Vec::new(),
        };
        // Beside a score the recording is looked at in one transform.
        let look = match &self.knowledge {
            Knowledge::Examples { .. } => transcribe::learning(&players, &self.analysis, sample_rate),
            _ => transcribe::learning(&[], &self.analysis, sample_rate),
        };
        let n_context = if sources.has_open_context { look.n_context } else { sources.learn.n_context };
        let learn = DictionaryConfig { n_context, ..sources.learn };
        let mut dictionary = examples::learn(&known, sample_rate, &look.stft, &learn, watch)?;
        for other in &sources.dictionaries {
            dictionary.join(other.clone())?;
        }
        *learned = Some((sample_rate, dictionary.clone(), players.clone()));
        Ok((dictionary, players))
    }
}

impl Sources {
    fn search(&self, dictionary: Dictionary) -> ExamplesConfig {
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

    /// Whether notes are looked for: of two sources or more that share all of the recording.
    fn wants_notes(&self) -> bool {
        let loaded = self.dictionaries.iter().flat_map(Dictionary::sources).map(|source| source.name.as_str());
        let mut names: Vec<_> = self.solos.iter().map(|(name, ..)| name.as_str()).chain(loaded).collect();
        names.sort_unstable();
        names.dedup();
        let n_residual = self.n_residual.unwrap_or_else(|| ExamplesConfig::n_residual_beside(names.iter().copied()));
        n_residual == 0 && names.len() > 1
    }

    /// Whether the same is learned from the same.
    fn is_like(&self, other: &Self) -> bool {
        let same = |(a, b): (&(String, String, Shared), &(String, String, Shared))| {
            (&a.0, &a.1) == (&b.0, &b.1) && std::sync::Arc::ptr_eq(&a.2, &b.2)
        };
        (self.learn, self.has_open_context) == (other.learn, other.has_open_context)
            && self.dictionaries == other.dictionaries
            && self.solos.len() == other.solos.len()
            && self.solos.iter().zip(&other.solos).all(same)
    }
}
