//! What a person knows of a recording. Knows no files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::knowledge::marks::{Marks, Source};
use crate::separate::bleed::{BleedConfig, Microphone, Shared};
use crate::separate::{AnalysisConfig, check_mask_exponent};
use crate::stft::StftOptions;
use crate::{Error, Result};

/// Examples at the most.
const MAX_EXAMPLES: usize = 256;

/// Longest name of a file, in bytes.
const MAX_FILE_NAME: usize = 255;

/// What a person knows of a recording.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Document {
    /// How the recording is looked at; `None`: as suits its sample rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// What is played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<ScoreFile>,
    /// What sources sound like alone.
    #[serde(default, rename = "example", skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<ExampleFile>,
    /// That channels are microphones, which are cleaned of each other; `None`: marks, score and examples count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debleed: Option<Debleed>,
    /// Sources, and what was painted.
    #[serde(flatten)]
    pub marks: Marks,
}

/// How a recording is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Length of the transform, in samples.
    pub n_fft: usize,
    /// Samples from one frame to the next.
    pub hop_length: usize,
    /// Exponent of the masks.
    #[serde(default = "default_mask_exponent")]
    pub mask_exponent: f32,
    /// The random seed, a whole number: as text, for it may have more digits than JSON's numbers.
    #[serde(default = "default_seed")]
    pub seed: String,
}

fn default_mask_exponent() -> f32 {
    1.5
}

fn default_seed() -> String {
    "0".into()
}

/// A score, a MIDI file beside the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreFile {
    /// Its name.
    pub file: String,
    /// Whether its time is to be found in the recording.
    #[serde(default)]
    pub align: bool,
    /// The number of the source that a part of the score is; others are sources of their own names, if there are such.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tracks: BTreeMap<String, u32>,
}

/// A recording of one source alone, beside the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleFile {
    /// The number of the source.
    pub source: u32,
    /// The name of the file.
    pub file: String,
}

/// A session of microphones. Each source is one, and its number that of its channel, counted from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debleed {
    /// Channels of the session.
    pub n_channels: usize,
    /// How much of the bleed is taken out, 0 to 1.
    #[serde(default = "default_strength")]
    pub strength: f32,
    /// Whether it was taken out: it is again where the project is opened.
    #[serde(default)]
    pub is_done: bool,
    /// Microphones that stand before the same players.
    #[serde(default, rename = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}

/// Microphones that stand before the same players.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What the source is called.
    pub name: String,
    /// The numbers of the microphones.
    pub sources: Vec<u32>,
}

fn default_strength() -> f32 {
    1.0
}

impl Document {
    /// Of a session of these microphones, of so many channels; nothing was done as yet.
    pub fn of_microphones(config: &BleedConfig, n_channels: usize) -> Self {
        let id = |microphone: &Microphone| microphone.channel as u32 + 1;
        let source = |microphone: &Microphone| Source {
            id: id(microphone),
            name: microphone.name.clone(),
            n_components: config.n_components,
            color: id(microphone) - 1,
            gain_db: 0.0,
            mute: false,
            solo: false,
        };
        let group = |shared: &Shared| Group {
            name: shared.name.clone(),
            sources: shared.microphones.iter().map(|mic| id(&config.microphones[*mic])).collect(),
        };
        let groups = config.shared.iter().map(group).collect();
        Self {
            debleed: Some(Debleed { n_channels, strength: config.strength, is_done: false, groups }),
            marks: Marks { sources: config.microphones.iter().map(source).collect(), ..Marks::default() },
            ..Self::default()
        }
    }

    /// Refuses what cannot be worked with.
    ///
    /// # Errors
    /// [`Error::Project`] for marks, files or a seed that cannot be; [`Error::Setting`] for an exponent that makes no masks.
    pub fn check(&self) -> Result<()> {
        self.marks.check()?;
        let is_source = |id: &u32| self.marks.sources.iter().any(|source| source.id == *id);
        let tracks = self.score.iter().flat_map(|score| score.tracks.values());
        if let Some(id) = tracks.chain(self.examples.iter().map(|example| &example.source)).find(|id| !is_source(id)) {
            return wrong(format!("a score or an example is of source {id}, which is not there"));
        }
        if self.examples.len() > MAX_EXAMPLES {
            return wrong(format!("there are {} examples, expected at most {MAX_EXAMPLES}", self.examples.len()));
        }
        let files = self.score.iter().map(|score| &score.file).chain(self.examples.iter().map(|example| &example.file));
        files.into_iter().try_for_each(|file| check_file(file))?;
        self.seed()?;
        if let Some(debleed) = &self.debleed {
            let Marks { sources, strokes, ranges, names } = &self.marks;
            let is_marked = !strokes.is_empty() || !ranges.is_empty() || !names.is_empty();
            if is_marked || self.score.is_some() || !self.examples.is_empty() {
                return wrong("microphones are cleaned of each other without marks, a score or examples".into());
            }
            let is_channel = |source: &&Source| (1..=debleed.n_channels).contains(&(source.id as usize));
            if let Some(source) = sources.iter().find(|source| !is_channel(source)) {
                let (id, n_channels) = (source.id, debleed.n_channels);
                return wrong(format!("`{}` has the number {id}, which is no channel of {n_channels}", source.name));
            }
        }
        check_mask_exponent(self.mask_exponent())
    }

    /// The microphones and how they are cleaned, where there are any.
    ///
    /// # Errors
    /// [`Error::Project`] for a seed that is no number.
    pub fn bleed(&self) -> Result<Option<BleedConfig>> {
        let Some(debleed) = &self.debleed else { return Ok(None) };
        let sources = &self.marks.sources;
        let microphone =
            |source: &Source| Microphone { name: source.name.clone(), channel: (source.id as usize).saturating_sub(1) };
        let place = |id: &u32| sources.iter().position(|source| source.id == *id);
        let shared = |group: &Group| Shared {
            name: group.name.clone(),
            microphones: group.sources.iter().filter_map(place).collect(),
        };
        Ok(Some(BleedConfig {
            // Of a group of which one microphone is left, nothing is to be said.
            shared: debleed.groups.iter().map(shared).filter(|shared| shared.microphones.len() > 1).collect(),
            has_rest: true,
            strength: debleed.strength,
            seed: self.seed()?,
            ..BleedConfig::new(sources.iter().map(microphone).collect())
        }))
    }

    /// How a recording is looked at for it.
    pub fn analysis(&self) -> AnalysisConfig {
        let config = self.debleed.as_ref().map(|debleed| BleedConfig::analysis(debleed.n_channels)).unwrap_or_default();
        AnalysisConfig { stft: self.stft(), keep_s: self.marks.times_s(), ..config }
    }

    pub(super) fn stft(&self) -> StftOptions {
        let Some(settings) = &self.settings else { return StftOptions::default() };
        let (n_fft, hop_length) = (Some(settings.n_fft), Some(settings.hop_length));
        StftOptions { n_fft, hop_length, ..StftOptions::default() }
    }

    pub(super) fn mask_exponent(&self) -> f32 {
        self.settings.as_ref().map_or_else(default_mask_exponent, |settings| settings.mask_exponent)
    }

    pub(super) fn seed(&self) -> Result<u64> {
        let Some(settings) = &self.settings else { return Ok(0) };
        let seed = &settings.seed;
        seed.parse().or_else(|_| wrong(format!("`seed` is `{seed}`, expected a whole number")).map(|()| 0))
    }
}

/// Refuses what is no name of a file in the project's folder.
pub(super) fn check_file(file: &str) -> Result<()> {
    let is_wrong = file.is_empty()
        || file.len() > MAX_FILE_NAME
        || [".", ".."].contains(&file)
        || file.contains(['/', '\\', '\0']);
    if is_wrong { wrong(format!("`{file}` is no name of a file beside the project")) } else { Ok(()) }
}

pub(super) fn wrong(reason: String) -> Result<()> {
    Err(Error::Project { line: None, reason })
}
