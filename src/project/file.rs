//! The files of a project: what a person knows, as text, and the components beside it, saved together or not at all.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Factors;
use super::document::{Document, check_file, wrong};
use crate::atomic::{AtomicFile, Existing, commit_all};
use crate::knowledge::labels::Identity;
use crate::matrix_file::{NpzWriter, read_member};
use crate::separate::painted::REST;
use crate::text::{from_toml, to_toml, to_utf8};
use crate::{Error, Result};

/// Longest text of a project, in bytes: a million points of strokes.
pub const MAX_BYTES: u64 = 64 << 20;

/// The version of the format.
const VERSION: u32 = 1;

const EXPLANATION: &str = "\
# What is known of a recording: sources, and the places in time (seconds) and frequency (Hz) that are theirs or not.
#
#     partita studio RECORDING
#     partita separate RECORDING --project THIS_FILE

";

/// A recording, what a person knows of it, and the components that were found so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// The recording.
    pub recording: Identity,
    /// What is known of it.
    pub document: Document,
    /// What was found; `None`: nothing as yet.
    pub factors: Option<Factors>,
}

/// The text of a project.
#[derive(Serialize, Deserialize)]
struct Text {
    version: u32,
    recording: Identity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    factors: Option<Components>,
    #[serde(flatten)]
    document: Document,
}

/// Where the components are.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Components {
    /// The name of their file, an `.npz` beside the project.
    file: String,
    /// A hash of them: those of another project are not taken for them.
    fingerprint: String,
    /// The number of each component's source.
    sources: Vec<u32>,
}

impl Project {
    /// Where the components of a project go: `song.partita.npz` for `song.partita.toml`.
    pub fn factors_path(path: &Path) -> PathBuf {
        path.with_extension("npz")
    }

    /// Reads a project, and the components beside it.
    ///
    /// # Errors
    /// [`Error::ReadMatrix`] where the system does not give a file, [`Error::Project`] for a text that is none or says what
    /// cannot be, and for components that are not those of the text, and those of [`read_member`].
    pub fn load(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        // UTF-16 takes twice as many; one byte more is refused where the text is looked at.
        let read = File::open(path).and_then(|file| file.take(2 * MAX_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|source| Error::ReadMatrix { path: path.to_owned(), source })?;
        let text = to_utf8(bytes).and_then(|bytes| String::from_utf8(bytes).ok());
        let no_text = || Error::Project { line: None, reason: "it is no text in UTF-8 or UTF-16".into() };
        let (mut project, components) = parse(&text.ok_or_else(no_text)?)?;
        if let Some(components) = components {
            let file = path.with_file_name(&components.file);
            let factors = Factors {
                dictionary: read_member(&file, "W")?,
                activations: read_member(&file, "H")?,
                source_ids: components.sources,
            };
            if fingerprint(&factors) != components.fingerprint {
                wrong(format!("`{}` is not of this project, or was changed", components.file))?;
            }
            project.factors = Some(factors);
        }
        Ok(project)
    }

    /// Writes the text and the components: both, or neither.
    ///
    /// # Errors
    /// Those of [`AtomicFile`], [`Error::MatrixFileFormat`] for a `path` that ends in `.npz`, and [`Error::Project`] for a
    /// document that could not be read again.
    pub fn save(&self, path: &Path, existing: Existing) -> Result<()> {
        self.document.check()?;
        let factors_path = Self::factors_path(path);
        if factors_path == path {
            return Err(Error::NotAFile { path: path.into(), got: "where the components are to go" });
        }
        let mut files = Vec::new();
        let mut components = None;
        if let Some(factors) = &self.factors {
            let name = factors_path.file_name().unwrap_or_default().to_string_lossy();
            let mut writer = NpzWriter::create(&factors_path, existing)?;
            writer.array("W", factors.dictionary.view())?;
            writer.array("H", factors.activations.view())?;
            files.push(writer.complete()?);
            components = Some(Components {
                file: name.into_owned(),
                fingerprint: fingerprint(factors),
                sources: factors.source_ids.clone(),
            });
        }
        let (recording, document) = (self.recording.clone(), self.document.clone());
        let text = to_toml(&Text { version: VERSION, recording, factors: components, document });
        let text = text.map_err(|reason| Error::Project { line: None, reason })?;
        let mut file = AtomicFile::create(path, existing)?;
        let written = file.write_all(EXPLANATION.as_bytes()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|source| Error::WriteFile { path: path.into(), source })?;
        files.push(file);
        commit_all(files)
    }
}

/// Reads the text of a project, and where its components are.
fn parse(text: &str) -> Result<(Project, Option<Components>)> {
    if text.len() as u64 > MAX_BYTES {
        wrong(format!("it has more than {MAX_BYTES} bytes"))?;
    }
    let text: Text = from_toml(text).map_err(|(line, reason)| Error::Project { line, reason })?;
    if text.version != VERSION {
        wrong(format!("it is of version {}, expected {VERSION}", text.version))?;
    }
    text.document.check()?;
    if let Some(components) = &text.factors {
        check_file(&components.file)?;
        let sources = &text.document.marks.sources;
        if let Some(id) =
            components.sources.iter().find(|id| **id != REST && !sources.iter().any(|source| source.id == **id))
        {
            wrong(format!("a component is of source {id}, which is not there"))?;
        }
    }
    Ok((Project { recording: text.recording, document: text.document, factors: None }, text.factors))
}

/// A hash of components, FNV-1a over their bits: not against intent, but against a mistake.
fn fingerprint(factors: &Factors) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |x: u64| hash = (hash ^ x).wrapping_mul(0x0100_0000_01b3);
    let matrices: [&Array2<f32>; 2] = [&factors.dictionary, &factors.activations];
    for matrix in matrices {
        add(matrix.nrows() as u64);
        add(matrix.ncols() as u64);
        matrix.iter().for_each(|x| add(u64::from(x.to_bits())));
    }
    format!("{hash:016x}")
}
