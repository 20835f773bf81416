//! What is done with each recording: from its file to those of its stems.

use std::io::Write;
use std::path::PathBuf;

use partita::atomic::{AtomicFile, commit_all};

use partita::batch::{Budget, Manifest, text};
use partita::separate::Stems;
use partita::watch::Watch;
use partita::{Error, names};
use serde_json::json;

use super::method::{Extent, Method, Outcome};
use super::plot::{PICTURES, plot};
use super::report::{announce, report};
use super::write::Target;
use crate::cli::batch::default_memory;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::flags::{ExcerptArgs, OutputArgs};
use crate::cli::inputs::Input;
use crate::cli::ledger::{Done, Ledger};
use crate::cli::outputs;
use crate::cli::sound::{self, Sound};
use crate::cli::terminal::Terminal;

/// What is the same for every input.
pub(super) struct Job<'a> {
    output: &'a OutputArgs,
    target: Target<'a>,
    stems: Stems,
    excerpt: sound::Excerpt,
    method: &'a dyn Method,
    budget: Budget,
    ledger: Ledger,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        output: &'a OutputArgs,
        excerpt: &ExcerptArgs,
        context: &Context,
        method: &'a dyn Method,
    ) -> Result<Self, Failure> {
        let batch = &output.batch;
        Ok(Self {
            output,
            target: Target::new(output, context)?,
            stems: stems(output),
            excerpt: sound::Excerpt::new(excerpt),
            method,
            budget: Budget::new(batch.memory.unwrap_or_else(default_memory)),
            ledger: Ledger::open(batch, context)?,
        })
    }

    pub(super) fn manifest(&self) -> Option<&Manifest> {
        self.ledger.manifest()
    }

    /// Refuses inputs whose stems would not all stay, or take the place of a file, before any work.
    pub(super) fn check(&mut self, inputs: &[Input]) -> Result<(), Failure> {
        self.target.spare(inputs);
        let expected: Vec<_> = inputs.iter().map(|input| self.expected_paths(input)).collect();
        outputs::refuse_shared(inputs, &expected)?;
        if !self.output.skip_existing {
            expected.iter().try_for_each(|paths| self.target.refuse_lost(paths))?;
        }
        if !self.output.dry_run {
            outputs::check_writable(&self.output.out)?;
        }
        Ok(())
    }

    /// Does one recording.
    pub(super) fn run(&self, input: &Input, terminal: &Terminal) -> Result<(), Failure> {
        let name = input.label();
        if self.output.skip_existing && outputs::existing(&self.expected_paths(input)).is_some() {
            terminal.say(&format!("{name}: skipped, its stems exist"));
            terminal.event(json!({ "event": "skipped", "input": text(&input.path) }));
            return Ok(());
        }
        if self.output.dry_run {
            let recording = self.method.open(input, &self.excerpt, terminal)?;
            let has_more = self.method.has_more_names() && self.stems == Stems::All;
            let expected = self.expected_paths(input);
            announce(input, &*recording, &expected, has_more, self.ledger.parameters(), terminal);
            return Ok(());
        }
        self.ledger.run(input, terminal, || self.take_apart(input, terminal))
    }

    /// From a recording to the files of its stems.
    fn take_apart(&self, input: &Input, terminal: &Terminal) -> Result<Done, Failure> {
        let name = input.label();
        let recording = self.method.open(input, &self.excerpt, terminal)?;
        let recording = &*recording;
        let extent = Extent::new(&self.method.analysis_of(recording.n_channels()), recording.sample_rate());
        let more = self.method.more_bytes(recording.n_channels());
        self.budget.with(extent.bytes(recording, self.method.names_of(input).len()) + more, || {
            let outcome = self.separate(input, recording, terminal).map_err(Failure::at(&name))?;
            for warning in outcome.separation.warnings() {
                terminal.warning(&format!("{name}: {warning}"));
            }
            let extras: Vec<_> =
                outcome.extras.iter().map(|extra| self.target.path(input, extra.name, extra.extension)).collect();
            self.target.refuse_lost(&extras)?;
            let extent_of = &|name: &str| self.method.extent_of(input, recording, name);
            let (mut written, mut set) =
                self.target.write(input, recording, &outcome.separation, &self.stems, extent_of, terminal)?;
            if self.output.components_out {
                let all = Stems::Components;
                let (components, files) =
                    self.target.write(input, recording, &outcome.separation, &all, extent_of, terminal)?;
                written.stems.extend(components.stems);
                set.extend(files);
            }
            for (extra, path) in outcome.extras.iter().zip(&extras) {
                let mut file = AtomicFile::create(path, self.target.existing())?;
                file.write_all(&extra.bytes).map_err(|source| Error::WriteFile { path: path.clone(), source })?;
                set.push(file);
            }
            commit_all(set).map_err(Failure::at(&name))?;
            let mut files: Vec<_> = written.stems.iter().map(|stem| stem.path.clone()).chain(extras.clone()).collect();
            if self.output.plot {
                files.extend(
                    plot(&self.target, input, recording, &outcome.separation, terminal).map_err(Failure::at(&name))?,
                );
            }
            report(input, recording, &outcome, &written, &extras, terminal);
            let loudness = written.stems.iter().filter_map(|stem| Some((stem.path.clone(), stem.written.loudness?)));
            Ok(Done {
                files,
                loudness: loudness.collect(),
                duration_s: written.rendered.n_samples as f64 / f64::from(recording.sample_rate()),
                warnings: [&recording.notes(), outcome.separation.warnings()].concat(),
            })
        })
    }

    fn separate(&self, input: &Input, recording: &dyn Sound, terminal: &Terminal) -> Result<Outcome, Error> {
        let mut steps = terminal.steps();
        let mut tell = |progress| steps.tell(progress);
        let mut watch = Watch::new(&mut tell);
        let config = self.method.analysis_of(recording.n_channels());
        let analysis = self.method.look(recording, &mut watch)?;
        let outcome = self.method.fit_input(input, recording, &analysis, &mut watch)?;
        let found = analysis.places().map(<[_]>::len);
        drop(analysis);
        let places = self.method.places();
        let separation = places.tell_apart(outcome.separation, recording, found, config.max_frames, &mut watch)?;
        Ok(Outcome { separation, ..outcome })
    }

    /// The files that are known to be written before the recording is read.
    fn expected_paths(&self, input: &Input) -> Vec<PathBuf> {
        let names = match &self.stems {
            Stems::Only(names) => names.clone(),
            Stems::Two(name) => vec![name.clone(), names::without(name)],
            Stems::All | Stems::Components => self.method.names_of(input),
        };
        let pictures = PICTURES.iter().filter(|_| self.output.plot).map(|name| self.target.path(input, name, "png"));
        names.iter().map(|name| self.target.stem_path(input, name, &self.stems)).chain(pictures).collect()
    }

    /// Ends the work on all inputs.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.ledger.finish()
    }
}

fn stems(output: &OutputArgs) -> Stems {
    match &output.two_stems {
        Some(name) => Stems::Two(name.clone()),
        None if output.stem.is_empty() => Stems::All,
        None => Stems::Only(output.stem.clone()),
    }
}
