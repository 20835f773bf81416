//! What a person knows of a recording. Knows no files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::knowledge::marks::Marks;
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

impl Document {
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
        check_mask_exponent(self.mask_exponent())
    }

    /// How a recording is looked at for it.
    pub fn analysis(&self) -> AnalysisConfig {
        AnalysisConfig { stft: self.stft(), keep_s: self.marks.times_s(), ..AnalysisConfig::default() }
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
