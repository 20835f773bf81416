//! What is done of many recordings, as the manifest has it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use partita::audio::loudness::Loudness;
use partita::batch::{Entry, Manifest, content_hash, text};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::is_interrupted;
use super::failure::Failure;
use super::flags::BatchArgs;
use super::inputs::Input;
use super::terminal::Terminal;

/// What is done, and what is to be done again; without a manifest, everything is.
pub(super) struct Ledger {
    manifest: Option<Manifest>,
    is_resumed: bool,
    parameters: Value,
}

/// What one recording has become.
#[derive(Default)]
pub(super) struct Done {
    pub(super) files: Vec<PathBuf>,
    /// Of those files that hold sound, how loud they are.
    pub(super) loudness: HashMap<PathBuf, Loudness>,
    pub(super) duration_s: f64,
    pub(super) warnings: Vec<String>,
}

impl Ledger {
    pub(super) fn open(batch: &BatchArgs, context: &Context) -> Result<Self, Failure> {
        Ok(Self {
            manifest: batch.manifest.as_deref().map(Manifest::open).transpose()?,
            is_resumed: batch.resume,
            parameters: if batch.manifest.is_some() { context.typed.parameters()? } else { Value::Null },
        })
    }

    /// What earlier runs wrote down.
    pub(super) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Everything that a result depends on beside the recording; null without a manifest.
    pub(super) fn parameters(&self) -> &Value {
        &self.parameters
    }

    /// Does the work on a recording, unless it is done, and writes down what came of it.
    pub(super) fn run(
        &self,
        input: &Input,
        terminal: &Terminal,
        work: impl FnOnce() -> Result<Done, Failure>,
    ) -> Result<(), Failure> {
        let Some(manifest) = &self.manifest else { return work().map(drop) };
        // A pipe can be read once only.
        let hash = |path: &Path| (path.is_file() && !input.is_stdin()).then(|| content_hash(path).ok()).flatten();
        let hashes: Option<Vec<_>> = input.files().into_iter().map(hash).collect();
        let sha256 = hashes.unwrap_or_default().join(" ");
        let before = manifest
            .entry(&text(&input.path))
            .filter(|entry| self.is_resumed && !sha256.is_empty() && entry.is_done(&sha256, &self.parameters));
        if before.is_some() {
            terminal.say(&format!("{}: done before, and nothing changed since", input.label()));
            terminal.event(json!({ "event": "skipped", "input": text(&input.path) }));
            return Ok(());
        }
        let outcome = work();
        let entry = Entry { input: text(&input.path), sha256, parameters: self.parameters.clone(), ..Entry::default() };
        let n_bytes = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
        let entry = match &outcome {
            Ok(done) => Entry {
                outputs: done.files.iter().map(|path| (path.clone(), n_bytes(path))).collect(),
                loudness: done.loudness.clone(),
                duration_s: done.duration_s,
                warnings: done.warnings.clone(),
                ..entry
            },
            Err(failure) if failure.is_interruption() => return outcome.map(drop),
            Err(failure) => Entry { error: Some(failure.to_string()), ..entry },
        };
        match (manifest.add(&entry), outcome) {
            (Err(error), Err(failure)) => {
                terminal.failure(&error.into());
                Err(failure)
            }
            (added, outcome) => outcome.map(drop).and(added.map_err(Failure::from)),
        }
    }

    /// Ends the work on all inputs.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self.manifest {
            // An interrupted run leaves its lines as they are: the next one adds to them.
            Some(manifest) if !is_interrupted() => Ok(manifest.finish()?),
            _ => Ok(()),
        }
    }
}
