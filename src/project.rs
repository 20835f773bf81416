//! Stand-in until the real one is there.
#![allow(missing_docs, reason = "stand-in")]
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::atomic::{self, Existing};
use crate::audio::Recording;
use crate::knowledge::labels::Identity;
use crate::knowledge::marks::Marks;
use crate::separate::blind::{self, BlindConfig};
use crate::separate::{Analysis, AnalysisConfig, Separation};
use crate::watch::Watch;
use crate::{Error, Result};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Document {
    #[serde(flatten)]
    pub marks: Marks,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    pub dictionary: Array2<f32>,
    pub activations: Array2<f32>,
    pub source_ids: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    pub recording: Identity,
    pub document: Document,
    pub factors: Option<Factors>,
}

#[derive(Serialize, Deserialize)]
struct File {
    recording: Identity,
    document: Document,
}

impl Project {
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::OpenAudio { path: path.into(), source })?;
        let wrong = |error: toml::de::Error| Error::Labels { line: None, reason: error.message().into() };
        let File { recording, document } = toml::from_str(&text).map_err(wrong)?;
        Ok(Self { recording, document, factors: None })
    }

    pub fn save(&self, path: &Path, existing: Existing) -> Result<()> {
        let file = File { recording: self.recording.clone(), document: self.document.clone() };
        let text = toml::to_string(&file).map_err(|error| Error::Labels { line: None, reason: error.to_string() })?;
        atomic::write(path, text.as_bytes(), existing)
    }
}

#[derive(Debug)]
pub struct Session {
    analysis: Analysis,
}

impl Session {
    pub fn open(recording: &dyn Recording, _: &Document, _: &Path, watch: &mut Watch<'_>) -> Result<Self> {
        Ok(Self { analysis: Analysis::of(recording, &AnalysisConfig::default(), watch)? })
    }

    pub fn fit(&self, document: &Document, previous: Option<&Separation>, watch: &mut Watch<'_>) -> Result<Separation> {
        let n_sources = document.marks.sources.len();
        let config = BlindConfig { n_sources: (n_sources > 0).then_some(n_sources), ..BlindConfig::default() };
        blind::fit(&self.analysis, &config, previous, watch)
    }

    pub fn restore(&self, document: &Document, _: &Factors) -> Result<Separation> {
        self.fit(document, None, &mut Watch::none())
    }

    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }
}

pub fn factors(_: &Separation) -> Option<Factors> {
    None
}
