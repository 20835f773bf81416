//! The files of a project: what a person knows, as text, and the components beside it, under a name made of what they are.
//! The text alone says which project it is: until it takes the place of the text before, that one is there, whole.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Factors;
use super::document::{Document, check_file, wrong};
use crate::atomic::{AtomicFile, Existing};
use crate::hash::Hash;
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
#     partita separate RECORDING --project THIS_FILE    (not for a session of microphones)

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
    /// Reads a project, and the components beside it.
    ///
    /// # Errors
    /// [`Error::ReadMatrix`] where the system does not give a file, [`Error::Project`] for a text that is none or says what
    /// cannot be, and for components that are not those of the text, and those of [`read_member`].
    pub fn load(path: &Path) -> Result<Self> {
        let (mut project, components) = parse(&read_text(path)?)?;
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

    /// Writes the components under a name of their own, `song.partita.HASH.npz` for `song.partita.toml`, then the text, and
    /// removes components that no text names any more. Whatever ends it in between, the project that was there is whole,
    /// or the new one is.
    ///
    /// # Errors
    /// Those of [`AtomicFile`], and [`Error::Project`] for a document that could not be read again.
    pub fn save(&self, path: &Path, existing: Existing) -> Result<()> {
        let mut saving = Saving::begin(self, path, existing)?;
        while saving.step()? {}
        Ok(())
    }
}

/// A project that is being saved: each step is one change of what is on the disk.
struct Saving<'a> {
    path: &'a Path,
    /// What names of its components begin with.
    stem: String,
    /// The components and their name, until they are there.
    components: Option<(String, AtomicFile)>,
    /// The name of the components that the text will name.
    named: Option<String>,
    text: Option<AtomicFile>,
    /// The components that the text before named.
    before: Option<String>,
}

impl<'a> Saving<'a> {
    /// Writes all that has no name as yet.
    fn begin(project: &Project, path: &'a Path, existing: Existing) -> Result<Self> {
        project.document.check()?;
        let mut file = AtomicFile::create(path, existing)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (mut components, mut told) = (None, None);
        if let Some(factors) = &project.factors {
            let fingerprint = fingerprint(factors);
            let name = format!("{stem}.{fingerprint}.npz");
            // What is there under this name is the same.
            let mut writer = NpzWriter::create(&path.with_file_name(&name), Existing::Replace)?;
            writer.array("W", factors.dictionary.view())?;
            writer.array("H", factors.activations.view())?;
            components = Some((name.clone(), writer.complete()?));
            told = Some(Components { file: name, fingerprint, sources: factors.source_ids.clone() });
        }
        let named = told.as_ref().map(|components| components.file.clone());
        let (recording, document) = (project.recording.clone(), project.document.clone());
        let text = to_toml(&Text { version: VERSION, recording, factors: told, document });
        let text = text.map_err(|reason| Error::Project { line: None, reason })?;
        let written = file.write_all(EXPLANATION.as_bytes()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|source| Error::WriteFile { path: path.into(), source })?;
        let before = read_text(path).and_then(|text| parse(&text)).ok().and_then(|(_, components)| components);
        Ok(Self { path, stem, components, named, text: Some(file), before: before.map(|components| components.file) })
    }

    /// Goes one step on. Returns whether there is another.
    fn step(&mut self) -> Result<bool> {
        if let Some((_, file)) = self.components.take() {
            file.commit()?;
            return Ok(true);
        }
        if let Some(file) = self.text.take() {
            if let Err(error) = file.commit() {
                // The text that is there may name the same ones.
                if let Some(name) = self.named.as_ref().filter(|name| self.before.as_ref() != Some(name)) {
                    let _ = fs::remove_file(self.path.with_file_name(name));
                }
                return Err(error);
            }
            return Ok(true);
        }
        self.tidy();
        Ok(false)
    }

    /// Removes the components of texts before this one, those of a save that was cut short, too. What cannot be removed is
    /// in nobody's way.
    fn tidy(&self) {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let names = fs::read_dir(folder).into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            let is_left = self.before.as_ref() == Some(&name) && name == format!("{}.npz", self.stem);
            if (is_left || is_of(&self.stem, &name)) && self.named.as_ref() != Some(&name) {
                let _ = fs::remove_file(folder.join(name));
            }
        }
    }
}

/// Whether this is a name of components of the project `stem`.
fn is_of(stem: &str, name: &str) -> bool {
    let hash = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".npz"));
    hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The text of a project.
fn read_text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    // UTF-16 takes twice as many; one byte more is refused where the text is looked at.
    let read = File::open(path).and_then(|file| file.take(2 * MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::ReadMatrix { path: path.to_owned(), source })?;
    let text = to_utf8(bytes).and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Error::Project { line: None, reason: "it is no text in UTF-8 or UTF-16".into() })
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

/// A hash of components.
fn fingerprint(factors: &Factors) -> String {
    let mut hash = Hash::new();
    let matrices: [&Array2<f32>; 2] = [&factors.dictionary, &factors.activations];
    for matrix in matrices {
        hash.add(matrix.nrows() as u64);
        hash.add(matrix.ncols() as u64);
        hash.add_all(matrix);
    }
    hash.to_string()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn project(value: f32) -> Project {
        let factors = Factors {
            dictionary: array![[value, 1.0], [0.5, 2.0]],
            activations: array![[1.0, value, 3.0], [0.0, 1.0, 2.0]],
            source_ids: vec![REST, REST],
        };
        let recording = Identity { sample_rate: 8000, n_channels: 1, n_samples: 100, fingerprint: "0".repeat(16) };
        Project { recording, document: Document::default(), factors: Some(factors) }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("folder").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_save_that_is_cut_short_at_any_step_leaves_the_old_project_whole_or_the_new_one() {
        let (old, new) = (project(1.0), project(7.0));
        let n_steps = 3;
        for n_done in 0..=n_steps {
            let folder = tempfile::tempdir().expect("folder");
            let path = folder.path().join("a.partita.toml");
            old.save(&path, Existing::Refuse).expect("saved");
            let mut saving = Saving::begin(&new, &path, Existing::Replace).expect("begun");
            for step in 1..=n_done {
                assert_eq!(saving.step().expect("a step"), step < n_steps, "step {step}");
            }
            drop(saving);
            let expected = if n_done < 2 { &old } else { &new };
            assert_eq!(Project::load(&path).as_ref().expect("a project"), expected, "after {n_done} steps");
            // Whatever was left over is gone with the next one.
            project(3.0).save(&path, Existing::Replace).expect("saved");
            assert_eq!(Project::load(&path).expect("a project"), project(3.0));
            assert_eq!(names(folder.path()).len(), 2, "after {n_done} steps: {:?}", names(folder.path()));
        }
    }

    #[test]
    fn components_of_earlier_texts_go_and_files_of_others_stay() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.partita.toml");
        let others =
            ["a.partita.npz", "a.partita.mine.npz", "a.0123456789abcdef.npz", "ab.partita.0123456789abcdef.npz"];
        for name in others {
            fs::write(folder.path().join(name), name).expect("written");
        }
        project(1.0).save(&path, Existing::Refuse).expect("saved");
        let first = names(folder.path());
        project(1.0).save(&path, Existing::Replace).expect("the same again");
        assert_eq!(names(folder.path()), first, "the same content has the same name");
        assert_eq!(Project::load(&path).expect("a project"), project(1.0));
        // As they were named once.
        let text = fs::read_to_string(&path).expect("text");
        let named = first.iter().find(|name| is_of("a.partita", name)).expect("components");
        fs::rename(folder.path().join(named), folder.path().join("a.partita.npz")).expect("renamed");
        fs::write(&path, text.replace(named, "a.partita.npz")).expect("written");
        assert_eq!(Project::load(&path).expect("a project"), project(1.0));
        let mut without = project(1.0);
        without.factors = None;
        without.save(&path, Existing::Replace).expect("saved");
        let mut expected = vec!["a.partita.toml"];
        expected.extend(&others[1..]);
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
    }
}
