//! Where the stems go, in what form, and the writing of them.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::s;
use partita::Separation;
use partita::atomic::{AtomicFile, Existing};
use partita::audio::encode::{self, ClipMode, EncodeConfig, FileFormat, SampleFormat, Spec, Writer, Written};
use partita::audio::tags::Tags;
use partita::separate::{Rendered, Stems};
use partita::watch::Watch;
use rayon::prelude::*;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::flags::OutputArgs;
use crate::cli::inputs::Input;
use crate::cli::outputs::{self, Template};
use crate::cli::sound::Sound;
use crate::cli::terminal::Terminal;

/// Where the stems of all recordings go, and in what form.
pub(super) struct Target<'a> {
    folder: &'a Path,
    template: Template<'a>,
    may_replace: bool,
    has_tags: bool,
    encode: EncodeConfig,
    /// The recordings themselves, where files may be replaced: these may not.
    sources: HashSet<PathBuf>,
}

impl<'a> Target<'a> {
    pub(super) fn new(output: &'a OutputArgs, context: &Context) -> Result<Self, Failure> {
        // What an interrupted run began is finished by one that resumes it.
        let may_replace = output.force || output.batch.resume;
        Ok(Self {
            folder: &output.out,
            template: Template::of_stems(&output.out, &output.filename)?,
            may_replace,
            has_tags: !output.no_tags,
            encode: encode_config(output, may_replace, context)?,
            sources: HashSet::new(),
        })
    }

    /// Keeps the recordings from being written over.
    pub(super) fn spare(&mut self, inputs: &[Input]) {
        if self.may_replace {
            let files = inputs.iter().flat_map(Input::files);
            self.sources = files.filter_map(|path| path.canonicalize().ok()).collect();
        }
    }

    pub(super) fn existing(&self) -> Existing {
        outputs::may_replace(self.may_replace)
    }

    /// The file of what is not a stem.
    pub(super) fn path(&self, input: &Input, name: &str, extension: &str) -> PathBuf {
        self.template.path(input, name, extension)
    }

    pub(super) fn stem_path(&self, input: &Input, name: &str, stems: &Stems) -> PathBuf {
        let path = self.template.path(input, name, self.encode.file_format.extension());
        match (stems, path.parent(), path.file_name()) {
            (Stems::Components, Some(folder), Some(file)) => folder.join("components").join(file),
            _ => path,
        }
    }

    /// Refuses to write where something would be lost.
    pub(super) fn refuse_lost(&self, paths: &[PathBuf]) -> Result<(), Failure> {
        outputs::refuse_existing(paths, self.may_replace)?;
        outputs::refuse_inputs(paths, &self.sources)
    }

    /// Writes stems side by side, each with the samples that `extent_of` has for its name, or all. They have no names yet:
    /// all that comes of a recording gets them together, or nothing.
    pub(super) fn write(
        &self,
        input: &Input,
        recording: &dyn Sound,
        separation: &Separation,
        stems: &Stems,
        extent_of: &dyn Fn(&str) -> Option<Range<u64>>,
        terminal: &Terminal,
    ) -> Result<(WrittenStems, Vec<AtomicFile>), Failure> {
        let at = || Failure::at(input.label());
        let names = separation.stem_names(stems).map_err(at())?;
        outputs::refuse_equal(&names)?;
        let paths: Vec<_> = names.iter().map(|name| self.stem_path(input, name, stems)).collect();
        self.refuse_lost(&paths)?;
        let n_samples = separation.n_samples().map(|n_samples| n_samples as u64);
        let n_bytes =
            n_samples.unwrap_or(0) * separation.n_stem_channels() as u64 * self.encode.sample_format.n_bytes() as u64;
        // What FLAC saves is not known beforehand.
        if self.encode.file_format == FileFormat::Wav {
            outputs::check_space(input, self.folder, n_bytes.saturating_mul(paths.len() as u64))?;
        }
        let mut steps = terminal.steps();
        let mut tell = |progress| steps.tell(progress);
        let mut watch = Watch::new(&mut tell);
        let gain = match self.encode.clip_mode {
            ClipMode::Rescale => {
                let peak = separation.peak(recording, stems, &mut watch).map_err(at())?;
                encode::rescale_gain(peak, self.encode.sample_format)
            }
            ClipMode::Clamp | ClipMode::None => 1.0,
        };
        let spec = |extent: &Extent| Spec {
            sample_rate: recording.sample_rate(),
            n_channels: separation.n_stem_channels(),
            channel_mask: recording.channel_mask().filter(|_| separation.n_stem_channels() == recording.n_channels()),
            n_samples: n_samples.map(|n_samples| extent.n_samples(n_samples)),
        };
        let tags = if self.has_tags { recording.tags().map_err(at())? } else { Tags::default() };
        let mut writers = Vec::with_capacity(paths.len());
        let extents: Vec<_> = names.iter().map(|name| Extent(extent_of(name).unwrap_or(0..u64::MAX))).collect();
        for (((path, name), extent), stem_seed) in paths.iter().zip(&names).zip(&extents).zip(self.encode.seed..) {
            // Dithers of their own, so that they do not add up where stems are mixed again.
            let config = EncodeConfig { seed: stem_seed, tags: tags.of_stem(name), ..self.encode.clone() };
            writers.push(Writer::create(path, spec(extent), gain, &config).map_err(at())?);
        }
        let mut n_done = 0u64;
        let rendered = separation
            .render(recording, stems, &mut watch, &mut |blocks| {
                let n_block = blocks.first().map_or(0, |block| block.ncols());
                let written =
                    writers.par_iter_mut().zip(blocks).zip(&extents).try_for_each(|((writer, block), extent)| {
                        writer.write(block.slice(s![.., extent.within(n_done, n_block)]))
                    });
                n_done += n_block as u64;
                written.map_err(|error| error.in_whole(recording.start_s()))
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
}

/// The samples of a recording that a stem has.
struct Extent(Range<u64>);

impl Extent {
    /// How many these are of a recording of so many.
    fn n_samples(&self, n_samples: u64) -> u64 {
        self.0.end.min(n_samples).saturating_sub(self.0.start)
    }

    /// Those of a block that begins with this sample.
    fn within(&self, first: u64, n_block: usize) -> Range<usize> {
        let at = |sample: u64| usize::try_from(sample.saturating_sub(first)).map_or(n_block, |at| at.min(n_block));
        at(self.0.start)..at(self.0.end)
    }
}

/// The stems of one recording, written.
pub(super) struct WrittenStems {
    pub(super) stems: Vec<Stem>,
    pub(super) rendered: Rendered,
}

/// A stem that was written.
pub(super) struct Stem {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) energy_share: f64,
    pub(super) written: Written,
}

fn encode_config(output: &OutputArgs, may_replace: bool, context: &Context) -> Result<EncodeConfig, Failure> {
    let file_format = output.format;
    let sample_format = match (output.int16, output.int24, output.float32) {
        (true, ..) => SampleFormat::Int16,
        (_, true, _) => SampleFormat::Int24,
        (.., true) => SampleFormat::Float32,
        _ => file_format.default_sample_format(),
    };
    let clip_mode = output.clip_mode.unwrap_or(sample_format.default_clip_mode());
    let existing = outputs::may_replace(may_replace);
    // Whoever reads no data is not made to wait for the measure.
    let loudness = context.terminal.has_events() || output.batch.manifest.is_some();
    let config = EncodeConfig {
        file_format,
        sample_format,
        clip_mode,
        existing,
        seed: context.seed,
        loudness,
        tags: Tags::default(),
    };
    // What no recording could be written as is refused before any is read.
    config.check(&Spec { sample_rate: 44_100, n_channels: 1, channel_mask: None, n_samples: None })?;
    Ok(config)
}
