//! What the separating commands share: each recording in, its stems out.

use std::collections::HashSet;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use partita::atomic::{AtomicFile, commit_all};
use partita::audio::Recording;
use partita::audio::decode::AudioFile;
use partita::audio::encode::{self, ClipMode, EncodeConfig, FileFormat, SampleFormat, Spec, Writer, Written};
use partita::batch::{Budget, Entry, Manifest, content_hash, text};
use partita::error::shown;
use partita::plot::{self, PlotConfig};
use partita::separate::{Progress, Rendered, Stems};
use partita::spectrogram::Overview;
use partita::{Error, Separation, StftConfig};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::batch::{default_memory, each};
use super::context::Context;
use super::exit::is_interrupted;
use super::failure::Failure;
use super::flags::{ExcerptArgs, InputArgs, OutputArgs};
use super::inputs::{self, Input};
use super::outputs::{self, Template};
use super::sound;
use super::terminal::Terminal;

/// Every picture of `--plot`, named as stems are; the last three where there is a factorization.
const PICTURES: [&str; 5] = ["spectrograms", "masks", "dictionary", "activations", "divergence"];

/// What a command does with one recording.
pub(super) trait Method: Sync {
    /// The stems that are known before a recording is read. Default: none.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether there are others beside [`Method::names`]. Default: no.
    fn has_more_names(&self) -> bool {
        false
    }

    /// Bytes that the work on a recording takes at the most, as far as can be said beforehand. Default: a window of 93 ms
    /// and [`partita::SeparateConfig`]'s number of frames, which are there twice.
    fn memory(&self, recording: &dyn Recording) -> u64 {
        let config = StftConfig::nearest(recording.sample_rate(), 0.093);
        let n_samples = recording.n_samples_hint().unwrap_or(u64::MAX);
        let n_frames = (n_samples / config.hop_length as u64).min(partita::SeparateConfig::default().max_frames as u64);
        (64 << 20) + 3 * 4 * n_frames * config.n_bins() as u64
    }

    /// Takes a recording apart.
    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error>;
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) separation: Separation,
    /// Files to write beside the stems.
    pub(super) extras: Vec<Extra>,
    /// Lines for the person at the terminal.
    pub(super) remarks: Vec<String>,
}

impl From<Separation> for Outcome {
    fn from(separation: Separation) -> Self {
        Self { separation, extras: Vec::new(), remarks: Vec::new() }
    }
}

/// A file beside the stems.
pub(super) struct Extra {
    /// Its name, where a stem's name would stand.
    pub(super) name: &'static str,
    pub(super) extension: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Works through all inputs of a separating command.
pub(super) fn run(
    inputs: &InputArgs,
    output: &OutputArgs,
    excerpt: &ExcerptArgs,
    context: &Context,
    method: &dyn Method,
) -> Result<u8, Failure> {
    let (batch, terminal) = (&output.batch, &context.terminal);
    let mut job = Job {
        output,
        template: Template::new(output)?,
        // What an interrupted run began is finished by one that resumes it.
        may_replace: output.force || batch.resume,
        encode: encode_config(output, output.force || batch.resume, context.seed)?,
        stems: stems(output),
        excerpt: sound::Excerpt::new(excerpt),
        method,
        budget: Budget::new(batch.memory.unwrap_or_else(default_memory)),
        manifest: batch.manifest.as_deref().map(Manifest::open).transpose()?,
        sources: HashSet::new(),
        parameters: if batch.manifest.is_some() { context.typed.parameters()? } else { Value::Null },
    };
    let mut inputs = inputs::list(&inputs.paths, batch.files_from.as_deref())?;
    inputs.retain(|input| batch.shard.is_none_or(|shard| shard.contains(&input.track)));
    if job.may_replace {
        job.sources = inputs.iter().filter_map(|input| input.path.canonicalize().ok()).collect();
    }
    let expected: Vec<_> = inputs.iter().map(|input| job.expected_paths(input)).collect();
    outputs::refuse_shared(&inputs, &expected)?;
    if !output.skip_existing {
        expected.iter().try_for_each(|paths| job.refuse_lost(paths))?;
    }
    drop(expected);
    if !output.dry_run {
        outputs::check_writable(&output.out)?;
    }
    let outcome = each(&inputs, terminal, "separated", &|input, terminal| job.run(input, terminal));
    match job.manifest {
        // An interrupted run leaves its lines as they are: the next one adds to them.
        Some(manifest) if !is_interrupted() => manifest.finish().map_err(Failure::from).and(outcome),
        _ => outcome,
    }
}

/// What is the same for every input.
struct Job<'a> {
    output: &'a OutputArgs,
    template: Template<'a>,
    may_replace: bool,
    encode: EncodeConfig,
    stems: Stems,
    excerpt: sound::Excerpt,
    method: &'a dyn Method,
    budget: Budget,
    manifest: Option<Manifest>,
    parameters: Value,
    /// The recordings themselves, where files may be replaced: these may not.
    sources: HashSet<PathBuf>,
}

impl Job<'_> {
    fn run(&self, input: &Input, terminal: &Terminal) -> Result<(), Failure> {
        let name = input.label();
        if self.output.skip_existing && outputs::existing(&self.expected_paths(input)).is_some() {
            terminal.say(&format!("{name}: skipped, its stems exist"));
            terminal.event(json!({ "event": "skipped", "input": text(&input.path) }));
            return Ok(());
        }
        if self.output.dry_run {
            return self.announce(input, terminal);
        }
        let Some(manifest) = &self.manifest else { return self.take_apart(input, terminal).map(drop) };
        // A pipe can be read once only.
        let is_file = input.path.is_file() && !input.is_stdin();
        let sha256 = is_file.then(|| content_hash(&input.path).ok()).flatten().unwrap_or_default();
        let before = manifest
            .entry(&text(&input.path))
            .filter(|entry| self.output.batch.resume && !sha256.is_empty() && entry.is_done(&sha256, &self.parameters));
        if before.is_some() {
            terminal.say(&format!("{name}: done before, and nothing changed since"));
            terminal.event(json!({ "event": "skipped", "input": text(&input.path) }));
            return Ok(());
        }
        let outcome = self.take_apart(input, terminal);
        let entry = Entry { input: text(&input.path), sha256, parameters: self.parameters.clone(), ..Entry::default() };
        let entry = match &outcome {
            Ok(done) => Entry {
                outputs: done.files.clone(),
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

    /// Refuses to write where something would be lost.
    fn refuse_lost(&self, paths: &[PathBuf]) -> Result<(), Failure> {
        outputs::refuse_existing(paths, self.may_replace)?;
        outputs::refuse_inputs(paths, &self.sources)
    }

    /// From a recording to the files of its stems.
    fn take_apart(&self, input: &Input, terminal: &Terminal) -> Result<Done, Failure> {
        let name = input.label();
        let recording = sound::open(input, &self.excerpt, terminal)?;
        self.budget.with(self.method.memory(&recording), || {
            let outcome = self.separate(&recording, terminal).map_err(Failure::at(&name))?;
            for warning in outcome.separation.warnings() {
                terminal.warning(&format!("{name}: {warning}"));
            }
            let extras: Vec<_> =
                outcome.extras.iter().map(|extra| self.template.path(input, extra.name, extra.extension)).collect();
            self.refuse_lost(&extras)?;
            let (mut written, mut set) = self.write(input, &recording, &outcome.separation, &self.stems, terminal)?;
            if self.output.components_out {
                let all = Stems::Components;
                let (components, files) = self.write(input, &recording, &outcome.separation, &all, terminal)?;
                written.stems.extend(components.stems);
                set.extend(files);
            }
            for (extra, path) in outcome.extras.iter().zip(&extras) {
                let mut file = AtomicFile::create(path, outputs::may_replace(self.may_replace))?;
                file.write_all(&extra.bytes).map_err(|source| Error::WriteFile { path: path.clone(), source })?;
                set.push(file);
            }
            commit_all(set).map_err(Failure::at(&name))?;
            let mut files: Vec<_> = written.stems.iter().map(|stem| stem.path.clone()).chain(extras.clone()).collect();
            if self.output.plot {
                files.extend(self.plot(input, &recording, &outcome.separation, terminal).map_err(Failure::at(&name))?);
            }
            self.report(input, &recording, &outcome, &written, &extras, terminal);
            let n_bytes = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
            Ok(Done {
                files: files.into_iter().map(|path| (path.clone(), n_bytes(&path))).collect(),
                duration_s: written.rendered.n_samples as f64 / f64::from(recording.sample_rate()),
                warnings: outcome.separation.warnings().to_vec(),
            })
        })
    }

    fn separate(&self, recording: &AudioFile, terminal: &Terminal) -> Result<Outcome, Error> {
        let mut steps = terminal.steps();
        self.method.separate(recording, &mut |progress: Progress| {
            let total = progress.total.unwrap_or(0);
            steps.set(progress.step.name(), progress.done, total);
            if let Some(divergence) = progress.divergence {
                terminal.event(json!({
                    "event": "progress", "iteration": progress.done, "max_iter": total, "divergence": divergence,
                }));
            }
            if is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    /// Writes stems side by side. They have no names yet: all that comes of a recording gets them together, or nothing.
    fn write(
        &self,
        input: &Input,
        recording: &AudioFile,
        separation: &Separation,
        stems: &Stems,
        terminal: &Terminal,
    ) -> Result<(WrittenStems, Vec<AtomicFile>), Failure> {
        let at = || Failure::at(input.label());
        let names = separation.stem_names(stems).map_err(at())?;
        outputs::check_names(&names)?;
        let paths: Vec<_> = names.iter().map(|name| self.stem_path(input, name, stems)).collect();
        self.refuse_lost(&paths)?;
        let n_bytes =
            separation.n_samples() as u64 * recording.n_channels() as u64 * self.encode.sample_format.n_bytes() as u64;
        // What FLAC saves is not known beforehand.
        if self.encode.file_format == FileFormat::Wav {
            outputs::check_space(input, &self.output.out, n_bytes.saturating_mul(paths.len() as u64))?;
        }
        let total = recording.n_samples_hint().unwrap_or(0);
        let check = || if is_interrupted() { Err(Error::Cancelled) } else { Ok(()) };
        let gain = match self.encode.clip_mode {
            ClipMode::Rescale => {
                let bar = terminal.bar(total, "measuring");
                let peak = separation.peak(recording, stems, &mut |n_samples| {
                    bar.set(n_samples as u64);
                    check()
                });
                encode::rescale_gain(peak.map_err(at())?, self.encode.sample_format)
            }
            ClipMode::Clamp | ClipMode::None => 1.0,
        };
        let spec = || Spec {
            sample_rate: recording.sample_rate(),
            n_channels: recording.n_channels(),
            channel_mask: recording.channel_mask(),
            n_samples: Some(separation.n_samples() as u64),
        };
        let mut writers = Vec::with_capacity(paths.len());
        for (path, stem_seed) in paths.iter().zip(self.encode.seed..) {
            // Dithers of their own, so that they do not add up where stems are mixed again.
            let config = EncodeConfig { seed: stem_seed, ..self.encode.clone() };
            writers.push(Writer::create(path, spec(), gain, &config).map_err(at())?);
        }
        let bar = terminal.bar(total, "writing");
        let mut n_samples = 0;
        let rendered = separation
            .render(recording, stems, &mut |blocks| {
                check()?;
                n_samples += blocks.first().map_or(0, ndarray::Array2::ncols);
                bar.set(n_samples as u64);
                writers.par_iter_mut().zip(blocks).try_for_each(|(writer, block)| writer.write(block.view()))
            })
            .map_err(at())?;
        let mut written = Vec::with_capacity(paths.len());
        let mut files = Vec::with_capacity(paths.len());
        for ((writer, path), name) in writers.into_iter().zip(paths).zip(names) {
            let energy_share = rendered.energy_shares[written.len()];
            let (file, what) = writer.close().map_err(at())?;
            written.push(Stem { name, path, energy_share, written: what });
            files.push(file);
        }
        Ok((WrittenStems { stems: written, rendered }, files))
    }

    /// Draws pictures, and returns their files.
    fn plot(
        &self,
        input: &Input,
        recording: &AudioFile,
        separation: &Separation,
        terminal: &Terminal,
    ) -> Result<Vec<PathBuf>, Error> {
        let _bar = terminal.bar(1, "drawing");
        let track = shown(&input.track);
        let config = |what: &str| PlotConfig {
            title: format!("{track}: {what}"),
            existing: outputs::may_replace(self.may_replace),
            ..PlotConfig::default()
        };
        let path = |picture| self.template.path(input, picture, "png");
        let [spectrograms, masks, dictionary, activations, divergence] = PICTURES;
        let names = || separation.names().iter().map(String::as_str);
        let (transform, sample_rate) = (*separation.stft().config(), recording.sample_rate());

        let look = config("mixture and stems");
        let overviews = separation.overviews(recording, look.max_columns())?;
        let panels: Vec<_> = std::iter::once("mixture").chain(names()).zip(&overviews).collect();
        plot::panels(&panels, &look, &path(spectrograms))?;
        let shares = Overview::shares(&overviews[1..]);
        plot::masks(&names().zip(&shares).collect::<Vec<_>>(), &config("masks"), &path(masks))?;
        let Some(factors) = separation.factorization() else { return Ok(vec![path(spectrograms), path(masks)]) };
        let groups = separation.groups();
        let groups: Vec<_> =
            groups.into_iter().map(|(name, components)| plot::Group { name: name.to_owned(), components }).collect();
        let rows = plot::Rows::Frequency { config: transform, sample_rate };
        plot::dictionary(factors.dictionary.view(), rows, &groups, &config("dictionary"), &path(dictionary))?;
        let columns = plot::Columns::Time { config: transform, sample_rate };
        plot::activations(factors.activations.view(), columns, &groups, &config("activations"), &path(activations))?;
        plot::divergence(&factors.divergence_curve, &config("divergence"), &path(divergence))?;
        Ok(PICTURES.map(path).to_vec())
    }

    /// Says what was found, and where it went.
    fn report(
        &self,
        input: &Input,
        recording: &AudioFile,
        outcome: &Outcome,
        written: &WrittenStems,
        extras: &[PathBuf],
        terminal: &Terminal,
    ) {
        let name = input.label();
        let (n_channels, sample_rate) = (recording.n_channels(), recording.sample_rate());
        let n_samples = written.rendered.n_samples;
        let mut lines = vec![format!(
            "{name}: {:.1} s, {sample_rate} Hz, {n_channels} {}",
            n_samples as f64 / f64::from(sample_rate),
            if n_channels == 1 { "channel" } else { "channels" },
        )];
        lines.extend_from_slice(&outcome.remarks);
        lines.extend(written.stems.iter().map(|Stem { name, path, energy_share, .. }| {
            format!("  {name:<14} {:5.1} % of the energy  {}", 100.0 * energy_share, shown(path))
        }));
        lines.extend(extras.iter().map(|path| format!("  {}", shown(path))));
        terminal.say(&lines.join("\n"));
        let (gain, n_clamped) = written.stems.iter().fold((1.0f32, 0), |(gain, n_clamped), stem| {
            (gain.min(stem.written.gain), n_clamped + stem.written.n_clamped)
        });
        if gain < 1.0 {
            terminal.warning(&format!(
                "{name}: all stems were made quieter by one gain of {:.2} dB, so that none clips; `--float32` needs none",
                20.0 * gain.log10()
            ));
        }
        if n_clamped > 0 {
            terminal.warning(&format!("{name}: {n_clamped} samples were cut off at full scale"));
        }
        let stems: Vec<_> = written
            .stems
            .iter()
            .map(|Stem { name, path, energy_share, .. }| {
                json!({ "name": name, "path": text(path), "energy_share": energy_share })
            })
            .collect();
        let mut event = json!({
            "event": "separated", "input": text(&input.path), "sample_rate": sample_rate, "n_channels": n_channels,
            "n_samples": n_samples, "n_sources": outcome.separation.names().len(), "gain": gain,
            "n_clamped": n_clamped, "stems": stems, "warnings": outcome.separation.warnings(),
        });
        if let Some(factors) = outcome.separation.factorization() {
            event["n_components"] = factors.n_components().into();
            event["n_iter"] = factors.n_iter.into();
            event["divergence"] = factors.divergence.into();
            event["stop_reason"] = factors.stop_reason.name().into();
        }
        terminal.event(event);
    }

    /// `--dry-run`: reads the headers, and says what would be written.
    fn announce(&self, input: &Input, terminal: &Terminal) -> Result<(), Failure> {
        let recording = sound::open(input, &self.excerpt, terminal)?;
        let name = input.label();
        let paths: Vec<_> = self.expected_paths(input);
        let mut lines = vec![format!("{name}: would be separated to")];
        lines.extend(paths.iter().map(|path| format!("  {}", shown(path))));
        if self.method.has_more_names() && self.stems == Stems::All {
            lines.push("  ... (how many there are is not known beforehand)".into());
        }
        terminal.say(&lines.join("\n"));
        let paths: Vec<_> = paths.iter().map(|path| text(path)).collect();
        terminal.event(json!({
            "event": "dry_run", "input": text(&input.path), "sample_rate": recording.sample_rate(),
            "n_channels": recording.n_channels(), "paths": paths,
        }));
        Ok(())
    }

    /// The files that are known to be written before the recording is read.
    fn expected_paths(&self, input: &Input) -> Vec<PathBuf> {
        let names = match &self.stems {
            Stems::Only(names) => names.clone(),
            Stems::Two(name) => vec![name.clone(), format!("no_{name}")],
            Stems::All | Stems::Components => self.method.names(),
        };
        let pictures = PICTURES.iter().filter(|_| self.output.plot).map(|name| self.template.path(input, name, "png"));
        names.iter().map(|name| self.stem_path(input, name, &self.stems)).chain(pictures).collect()
    }

    fn stem_path(&self, input: &Input, name: &str, stems: &Stems) -> PathBuf {
        let path = self.template.path(input, name, self.encode.file_format.extension());
        match (stems, path.parent(), path.file_name()) {
            (Stems::Components, Some(folder), Some(file)) => folder.join("components").join(file),
            _ => path,
        }
    }
}

/// What one recording has become.
struct Done {
    files: Vec<(PathBuf, u64)>,
    duration_s: f64,
    warnings: Vec<String>,
}

/// The stems of one recording, written.
struct WrittenStems {
    stems: Vec<Stem>,
    rendered: Rendered,
}

/// A stem that was written.
struct Stem {
    name: String,
    path: PathBuf,
    energy_share: f64,
    written: Written,
}

fn stems(output: &OutputArgs) -> Stems {
    match &output.two_stems {
        Some(name) => Stems::Two(name.clone()),
        None if output.stem.is_empty() => Stems::All,
        None => Stems::Only(output.stem.clone()),
    }
}

fn encode_config(output: &OutputArgs, may_replace: bool, seed: u64) -> Result<EncodeConfig, Failure> {
    let file_format = output.format;
    let sample_format = match (output.int16, output.int24, output.float32) {
        (true, ..) => SampleFormat::Int16,
        (_, true, _) => SampleFormat::Int24,
        (.., true) => SampleFormat::Float32,
        _ => file_format.default_sample_format(),
    };
    let clip_mode = output.clip_mode.unwrap_or(sample_format.default_clip_mode());
    let existing = outputs::may_replace(may_replace);
    let config = EncodeConfig { file_format, sample_format, clip_mode, existing, seed };
    // What no recording could be written as is refused before any is read.
    config.check(&Spec { sample_rate: 44_100, n_channels: 1, channel_mask: None, n_samples: None })?;
    Ok(config)
}
