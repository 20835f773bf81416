//! `partita separate`: recordings in, one file per source out.

use std::ops::ControlFlow;
use std::path::PathBuf;

use partita::audio::encode::{self, ClipMode, EncodeConfig, SampleFormat, Spec, Writer, Written};
use partita::nmf::{NmfConfig, Progress};
use partita::plot::{self, PlotConfig};
use partita::separate::{Stems, separate_with};
use partita::{Audio, Error, SeparateConfig, Separation, StftOptions};
use serde_json::json;

use super::args::{Output, Separate};
use super::failure::Failure;
use super::inputs::{self, Input};
use super::outputs::{self, Template};
use super::terminal::Terminal;
use super::{is_interrupted, sound};

/// The pictures of `--plot`, named as stems are.
const PICTURES: [&str; 5] = ["spectrograms", "masks", "dictionary", "activations", "divergence"];

/// What is the same for every input.
struct Job<'a> {
    output: &'a Output,
    template: Template<'a>,
    encode: EncodeConfig,
    stems: Stems,
    config: SeparateConfig,
    excerpt: sound::Excerpt,
    terminal: &'a Terminal,
}

pub(super) fn run(args: &Separate, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    let job = Job {
        output: &args.output,
        template: Template::new(&args.output)?,
        encode: encode_config(&args.output, seed)?,
        stems: stems(&args.output),
        config: config(args, seed),
        excerpt: sound::Excerpt::new(&args.excerpt),
        terminal,
    };
    let inputs = inputs::list(&args.inputs)?;
    if !args.output.skip_existing {
        inputs.iter().try_for_each(|input| outputs::refuse_existing(&job.expected_paths(input), args.output.force))?;
    }
    sound::each(&inputs, terminal, "separated", |input| job.run(input))
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
        let audio = sound::read(input, &self.excerpt, self.terminal)?;
        let separation = self.separate(&audio).map_err(Failure::at(&name))?;
        let mut written = self.write(input, &audio, &separation, &self.stems)?;
        if self.output.components_out {
            written.extend(self.write(input, &audio, &separation, &Stems::Components)?);
        }
        if self.output.plot {
            self.plot(input, &audio, &separation).map_err(Failure::at(&name))?;
        }
        self.report(&name, &audio, &separation, &written);
        Ok(())
    }

    fn separate(&self, audio: &Audio) -> Result<Separation, Error> {
        let bar = self.terminal.bar(self.config.nmf.max_iter as u64, "separating");
        separate_with(audio, &self.config, &mut |progress: Progress| {
            bar.set(progress.iteration as u64);
            if let Some(divergence) = progress.divergence {
                self.terminal.event(json!({
                    "event": "progress", "iteration": progress.iteration, "max_iter": progress.max_iter,
                    "divergence": divergence,
                }));
            }
            if is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    /// Writes stems side by side; either all of them appear under their names, or none.
    fn write(
        &self,
        input: &Input,
        audio: &Audio,
        separation: &Separation,
        stems: &Stems,
    ) -> Result<Vec<Stem>, Failure> {
        let at = || Failure::at(input.path.display());
        let names = separation.stem_names(stems).map_err(at())?;
        let paths: Vec<_> = names.iter().map(|name| self.stem_path(input, name, stems)).collect();
        outputs::refuse_existing(&paths, self.output.force)?;
        let gain = match self.encode.clip_mode {
            ClipMode::Rescale => {
                encode::rescale_gain(separation.peak(audio, stems).map_err(at())?, self.encode.sample_format)
            }
            ClipMode::Clamp | ClipMode::None => 1.0,
        };
        let mut writers = Vec::with_capacity(paths.len());
        for (path, stem_seed) in paths.iter().zip(self.encode.seed..) {
            // Dithers of their own, so that they do not add up where stems are mixed again.
            let config = EncodeConfig { seed: stem_seed, ..self.encode.clone() };
            writers.push(Writer::create(path, Spec::from(audio), gain, &config).map_err(at())?);
        }
        let bar = self.terminal.bar(audio.n_samples() as u64, "writing");
        let mut n_samples = 0;
        separation
            .render(audio, stems, &mut |blocks| {
                if is_interrupted() {
                    return Err(Error::Cancelled);
                }
                n_samples += blocks[0].ncols();
                bar.set(n_samples as u64);
                writers.iter_mut().zip(blocks).try_for_each(|(writer, block)| writer.write(block.view()))
            })
            .map_err(at())?;
        let mut written = Vec::with_capacity(paths.len());
        for ((writer, path), name) in writers.into_iter().zip(paths).zip(names) {
            written.push(Stem { name, path, written: writer.finish().map_err(at())? });
        }
        Ok(written)
    }

    fn plot(&self, input: &Input, audio: &Audio, separation: &Separation) -> Result<(), Error> {
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
        let (transform, sample_rate) = (*separation.stft().config(), audio.sample_rate());
        let groups = separation.groups();
        let groups: Vec<_> =
            groups.into_iter().map(|(name, components)| plot::Group { name: name.to_owned(), components }).collect();

        let look = config("mixture and stems");
        let overviews = separation.overviews(audio, look.max_columns())?;
        let panels: Vec<_> = std::iter::once("mixture").chain(names()).zip(&overviews).collect();
        plot::panels(&panels, &look, &path(spectrograms))?;
        let overviews = separation.mask_overviews(audio, look.max_columns());
        plot::masks(&names().zip(&overviews).collect::<Vec<_>>(), &config("masks"), &path(masks))?;
        let factors = separation.factorization();
        let rows = plot::Rows::Frequency { config: transform, sample_rate };
        plot::dictionary(factors.dictionary.view(), rows, &groups, &config("dictionary"), &path(dictionary))?;
        let columns = plot::Columns::Time { config: transform, sample_rate };
        plot::activations(factors.activations.view(), columns, &groups, &config("activations"), &path(activations))?;
        plot::divergence(&factors.divergence_curve, &config("divergence"), &path(divergence))
    }

    /// Says what was found, and where it went.
    fn report(&self, name: &str, audio: &Audio, separation: &Separation, stems: &[Stem]) {
        let factors = separation.factorization();
        let share = |stem: &Stem| {
            let source = separation.names().iter().position(|name| *name == stem.name)?;
            Some(separation.energy_shares()[source])
        };
        let terminal = self.terminal;
        terminal.say(&format!(
            "{name}: {:.1} s, {} Hz, {} {}",
            audio.duration_s(),
            audio.sample_rate(),
            audio.n_channels(),
            if audio.n_channels() == 1 { "channel" } else { "channels" },
        ));
        let n_sources = separation.names().len();
        terminal.say(&format!(
            "{n_sources} {}{} from {} components after {} iterations ({})",
            if n_sources == 1 { "source" } else { "sources" },
            if self.config.n_sources.is_none() { ", a number suggested by the grouping," } else { "" },
            factors.n_components(),
            factors.n_iter,
            factors.stop_reason.name(),
        ));
        for stem in stems {
            let share = share(stem).map_or(String::new(), |share| format!("{:5.1} % of the energy", 100.0 * share));
            terminal.say(&format!("  {:<14} {share:>22}  {}", stem.name, stem.path.display()));
        }
        let (gain, n_clamped) = stems.iter().fold((1.0f32, 0), |(gain, n_clamped), stem| {
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
        if n_sources > 1 {
            terminal.say(
                "Grouping without knowledge is a suggestion: listen, and try another `-n` or `-k`, or `--components-out`.",
            );
        }
        let stems: Vec<_> = stems
            .iter()
            .map(|stem| json!({ "name": stem.name, "path": stem.path.to_string_lossy(), "energy_share": share(stem) }))
            .collect();
        terminal.event(json!({
            "event": "separated", "input": name, "sample_rate": audio.sample_rate(),
            "n_channels": audio.n_channels(), "n_samples": audio.n_samples(), "n_sources": n_sources,
            "n_components": factors.n_components(), "n_iter": factors.n_iter, "divergence": factors.divergence,
            "stop_reason": factors.stop_reason.name(), "gain": gain, "n_clamped": n_clamped, "stems": stems,
        }));
    }

    /// `--dry-run`: reads the headers, and says what would be written.
    fn announce(&self, input: &Input) -> Result<(), Failure> {
        let reader = sound::open(input)?;
        let name = input.path.display().to_string();
        self.terminal.say(&format!("{name}: would be separated to"));
        let paths: Vec<_> = self.expected_paths(input);
        paths.iter().for_each(|path| self.terminal.say(&format!("  {}", path.display())));
        if self.config.n_sources.is_none() && self.stems == Stems::All {
            self.terminal.say("  ... (the number of sources is not known beforehand)");
        }
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        self.terminal.event(json!({
            "event": "dry_run", "input": name, "sample_rate": reader.sample_rate(), "n_channels": reader.n_channels(),
            "paths": paths,
        }));
        Ok(())
    }

    /// The files that are known to be written before the sources are.
    fn expected_paths(&self, input: &Input) -> Vec<PathBuf> {
        let names = match &self.stems {
            Stems::Only(names) => names.clone(),
            Stems::Two(name) => vec![name.clone(), format!("no_{name}")],
            _ => (1..=self.config.n_sources.unwrap_or(1)).map(|i| format!("source-{i}")).collect(),
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

/// A stem that was written.
struct Stem {
    name: String,
    path: PathBuf,
    written: Written,
}

fn config(args: &Separate, seed: u64) -> SeparateConfig {
    let method = &args.method;
    SeparateConfig {
        n_sources: args.n_sources,
        stft: StftOptions { n_fft: method.n_fft, hop_length: method.hop_length, window: method.window },
        nmf: NmfConfig {
            n_components: args.n_components,
            divergence: method.divergence,
            max_iter: method.max_iter,
            tol: method.tol,
            seed,
            ..SeparateConfig::default().nmf
        },
        mask_exponent: method.mask_exponent,
    }
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
