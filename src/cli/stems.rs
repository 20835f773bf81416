//! What the separating commands share: each recording in, its stems out.

use std::ops::ControlFlow;
use std::path::PathBuf;

use partita::atomic;
use partita::audio::Recording;
use partita::audio::decode::AudioFile;
use partita::audio::encode::{self, ClipMode, EncodeConfig, SampleFormat, Spec, Writer, Written};
use partita::plot::{self, PlotConfig};
use partita::separate::{Progress, Rendered, Stems};
use partita::spectrogram::Overview;
use partita::{Error, Separation};
use serde_json::json;

use super::args::Output;
use super::failure::Failure;
use super::inputs::{self, Input};
use super::outputs::{self, Template};
use super::terminal::Terminal;
use super::{is_interrupted, sound};

/// Every picture of `--plot`, named as stems are; the last three where there is a factorization.
const PICTURES: [&str; 5] = ["spectrograms", "masks", "dictionary", "activations", "divergence"];

/// What a command does with one recording.
pub(super) trait Method {
    /// The stems that are known before a recording is read. Default: none.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether there are others beside [`Method::names`]. Default: no.
    fn has_more_names(&self) -> bool {
        false
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
    typed: &[PathBuf],
    output: &Output,
    excerpt: &super::args::Excerpt,
    seed: u64,
    terminal: &Terminal,
    method: &dyn Method,
) -> Result<u8, Failure> {
    let job = Job {
        output,
        template: Template::new(output)?,
        encode: encode_config(output, seed)?,
        stems: stems(output),
        excerpt: sound::Excerpt::new(excerpt),
        terminal,
        method,
    };
    let inputs = inputs::list(typed)?;
    if !output.skip_existing {
        inputs.iter().try_for_each(|input| outputs::refuse_existing(&job.expected_paths(input), output.force))?;
    }
    sound::each(&inputs, terminal, "separated", |input| job.run(input))
}

/// What is the same for every input.
struct Job<'a> {
    output: &'a Output,
    template: Template<'a>,
    encode: EncodeConfig,
    stems: Stems,
    excerpt: sound::Excerpt,
    terminal: &'a Terminal,
    method: &'a dyn Method,
}

impl Job<'_> {
    fn run(&self, input: &Input) -> Result<(), Failure> {
        let name = input.path.display().to_string();
        if self.output.skip_existing && outputs::existing(&self.expected_paths(input)).is_some() {
            self.terminal.say(&format!("{name}: skipped, its stems exist"));
            self.terminal.event(json!({ "event": "skipped", "input": name }));
            return Ok(());
        }
        if self.output.dry_run {
            return self.announce(input);
        }
        let recording = sound::open(input, &self.excerpt, self.terminal)?;
        let outcome = self.separate(&recording).map_err(Failure::at(&name))?;
        for warning in outcome.separation.warnings() {
            self.terminal.warning(&format!("{name}: {warning}"));
        }
        let extras: Vec<_> =
            outcome.extras.iter().map(|extra| self.template.path(input, extra.name, extra.extension)).collect();
        outputs::refuse_existing(&extras, self.output.force)?;
        let mut written = self.write(input, &recording, &outcome.separation, &self.stems)?;
        if self.output.components_out {
            let components = self.write(input, &recording, &outcome.separation, &Stems::Components)?;
            written.stems.extend(components.stems);
        }
        for (extra, path) in outcome.extras.iter().zip(&extras) {
            let existing = outputs::may_replace(self.output.force);
            atomic::write(path, &extra.bytes, existing).map_err(Failure::at(&name))?;
        }
        if self.output.plot {
            self.plot(input, &recording, &outcome.separation).map_err(Failure::at(&name))?;
        }
        self.report(&name, &recording, &outcome, &written);
        extras.iter().for_each(|path| self.terminal.say(&format!("  {}", path.display())));
        Ok(())
    }

    fn separate(&self, recording: &AudioFile) -> Result<Outcome, Error> {
        let mut step = None;
        let mut bar = None;
        self.method.separate(recording, &mut |progress: Progress| {
            if step.replace(progress.step) != Some(progress.step) {
                // The old one goes before the new one comes.
                bar = None;
            }
            let total = progress.total.unwrap_or(0);
            bar.get_or_insert_with(|| self.terminal.bar(total, progress.step.name())).set(progress.done);
            if let Some(divergence) = progress.divergence {
                self.terminal.event(json!({
                    "event": "progress", "iteration": progress.done, "max_iter": total, "divergence": divergence,
                }));
            }
            if is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    /// Writes stems side by side; either all of them appear under their names, or none.
    fn write(
        &self,
        input: &Input,
        recording: &AudioFile,
        separation: &Separation,
        stems: &Stems,
    ) -> Result<WrittenStems, Failure> {
        let at = || Failure::at(input.path.display());
        let names = separation.stem_names(stems).map_err(at())?;
        let paths: Vec<_> = names.iter().map(|name| self.stem_path(input, name, stems)).collect();
        outputs::refuse_existing(&paths, self.output.force)?;
        let total = recording.n_samples_hint().unwrap_or(0);
        let check = || if is_interrupted() { Err(Error::Cancelled) } else { Ok(()) };
        let gain = match self.encode.clip_mode {
            ClipMode::Rescale => {
                let bar = self.terminal.bar(total, "measuring");
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
        let bar = self.terminal.bar(total, "writing");
        let mut n_samples = 0;
        let rendered = separation
            .render(recording, stems, &mut |blocks| {
                check()?;
                n_samples += blocks.first().map_or(0, ndarray::Array2::ncols);
                bar.set(n_samples as u64);
                writers.iter_mut().zip(blocks).try_for_each(|(writer, block)| writer.write(block.view()))
            })
            .map_err(at())?;
        let mut written = Vec::with_capacity(paths.len());
        for ((writer, path), name) in writers.into_iter().zip(paths).zip(names) {
            let energy_share = rendered.energy_shares[written.len()];
            written.push(Stem { name, path, energy_share, written: writer.finish().map_err(at())? });
        }
        Ok(WrittenStems { stems: written, rendered })
    }

    fn plot(&self, input: &Input, recording: &AudioFile, separation: &Separation) -> Result<(), Error> {
        let _bar = self.terminal.bar(1, "drawing");
        let track = input.track.display();
        let config = |what: &str| PlotConfig {
            title: format!("{track}: {what}"),
            existing: outputs::may_replace(self.output.force),
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
        let Some(factors) = separation.factorization() else { return Ok(()) };
        let groups = separation.groups();
        let groups: Vec<_> =
            groups.into_iter().map(|(name, components)| plot::Group { name: name.to_owned(), components }).collect();
        let rows = plot::Rows::Frequency { config: transform, sample_rate };
        plot::dictionary(factors.dictionary.view(), rows, &groups, &config("dictionary"), &path(dictionary))?;
        let columns = plot::Columns::Time { config: transform, sample_rate };
        plot::activations(factors.activations.view(), columns, &groups, &config("activations"), &path(activations))?;
        plot::divergence(&factors.divergence_curve, &config("divergence"), &path(divergence))
    }

    /// Says what was found, and where it went.
    fn report(&self, name: &str, recording: &AudioFile, outcome: &Outcome, written: &WrittenStems) {
        let terminal = self.terminal;
        let (n_channels, sample_rate) = (recording.n_channels(), recording.sample_rate());
        let n_samples = written.rendered.n_samples;
        terminal.say(&format!(
            "{name}: {:.1} s, {sample_rate} Hz, {n_channels} {}",
            n_samples as f64 / f64::from(sample_rate),
            if n_channels == 1 { "channel" } else { "channels" },
        ));
        outcome.remarks.iter().for_each(|remark| terminal.say(remark));
        for Stem { name, path, energy_share, .. } in &written.stems {
            terminal.say(&format!("  {name:<14} {:5.1} % of the energy  {}", 100.0 * energy_share, path.display()));
        }
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
                json!({ "name": name, "path": path.to_string_lossy(), "energy_share": energy_share })
            })
            .collect();
        let mut event = json!({
            "event": "separated", "input": name, "sample_rate": sample_rate, "n_channels": n_channels,
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
    fn announce(&self, input: &Input) -> Result<(), Failure> {
        let recording = sound::open(input, &self.excerpt, self.terminal)?;
        let name = input.path.display().to_string();
        self.terminal.say(&format!("{name}: would be separated to"));
        let paths: Vec<_> = self.expected_paths(input);
        paths.iter().for_each(|path| self.terminal.say(&format!("  {}", path.display())));
        if self.method.has_more_names() && self.stems == Stems::All {
            self.terminal.say("  ... (how many there are is not known beforehand)");
        }
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        self.terminal.event(json!({
            "event": "dry_run", "input": name, "sample_rate": recording.sample_rate(),
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

fn stems(output: &Output) -> Stems {
    match &output.two_stems {
        Some(name) => Stems::Two(name.clone()),
        None if output.stem.is_empty() => Stems::All,
        None => Stems::Only(output.stem.clone()),
    }
}

fn encode_config(output: &Output, seed: u64) -> Result<EncodeConfig, Failure> {
    let file_format = output.format;
    let sample_format = match (output.int16, output.int24, output.float32) {
        (true, ..) => SampleFormat::Int16,
        (_, true, _) => SampleFormat::Int24,
        (.., true) => SampleFormat::Float32,
        _ => file_format.default_sample_format(),
    };
    let clip_mode = output.clip_mode.unwrap_or(sample_format.default_clip_mode());
    let existing = outputs::may_replace(output.force);
    let config = EncodeConfig { file_format, sample_format, clip_mode, existing, seed };
    // What no recording could be written as is refused before any is read.
    config.check(&Spec { sample_rate: 44_100, n_channels: 1, channel_mask: None, n_samples: None })?;
    Ok(config)
}
