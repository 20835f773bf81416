//! Stems as files, in the folder that was named when the studio was opened: the same files as `separate` writes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Desk, Fit};
use super::refusal::{Answer, Refusal};
use crate::atomic::{self, Existing, commit_all};
use crate::audio::Recording;
use crate::audio::decode::AudioFile;
use crate::audio::encode::{self, ClipMode, EncodeConfig, FileFormat, SampleFormat, Spec, Writer};
use crate::error::shown;
use crate::separate::Stems;
use crate::watch::Watch;

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The fit; without it, the current one.
    #[serde(default)]
    fit: Option<u32>,
    stems: Wanted,
    format: Format,
    /// Whether files may be replaced.
    #[serde(default)]
    force: bool,
}

/// Which stems.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Wanted {
    Word(Word),
    Only(Vec<String>),
    Two { two: String },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    All,
    Components,
}

/// Which kind of file, of which samples.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Float32,
    Int24,
    Int16,
    Flac,
    Flac16,
}

/// What will be written where.
#[derive(Debug)]
pub(super) struct Plan {
    fit: Arc<Fit>,
    stems: Stems,
    names: Vec<String>,
    paths: Vec<PathBuf>,
    encode: EncodeConfig,
}

impl Plan {
    /// # Errors
    /// [`Refusal::Existing`] where files would be replaced that may not be.
    pub(super) fn new(desk: &Desk, request: Request) -> Answer<Self> {
        let fit = desk.fit_of(request.fit)?;
        let stems = match request.stems {
            Wanted::Word(Word::All) => Stems::All,
            Wanted::Word(Word::Components) => Stems::Components,
            Wanted::Only(names) => Stems::Only(names),
            Wanted::Two { two } => Stems::Two(two),
        };
        let names = fit.separation.stem_names(&stems)?;
        if names.iter().enumerate().any(|(i, name)| names[..i].contains(name)) {
            return Err(Refusal::Wrong("a stem is asked for twice".into()));
        }
        let (file_format, sample_format) = match request.format {
            Format::Float32 => (FileFormat::Wav, SampleFormat::Float32),
            Format::Int24 => (FileFormat::Wav, SampleFormat::Int24),
            Format::Int16 => (FileFormat::Wav, SampleFormat::Int16),
            Format::Flac => (FileFormat::Flac, SampleFormat::Int24),
            Format::Flac16 => (FileFormat::Flac, SampleFormat::Int16),
        };
        let config = desk.config();
        let folder = match stems {
            Stems::Components => config.out.join(config.track()).join("components"),
            _ => config.out.join(config.track()),
        };
        let path = |name: &String| folder.join(format!("{name}.{}", file_format.extension()));
        let paths: Vec<PathBuf> = names.iter().map(path).collect();
        let is_there: Vec<_> = paths.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
        let real = |paths: &mut dyn Iterator<Item = &PathBuf>| {
            paths.filter_map(|path| fs::canonicalize(path).ok()).collect::<Vec<_>>()
        };
        let recorded = real(&mut config.files().iter());
        if real(&mut is_there.iter().copied()).iter().any(|path| recorded.contains(path)) {
            return Err(Refusal::Wrong("a stem would take the place of the recording".into()));
        }
        if !request.force && !is_there.is_empty() {
            return Err(Refusal::Existing(is_there.into_iter().map(|path| shown(path)).collect()));
        }
        let recording = desk.recording();
        let n_samples = recording.n_samples() * fit.separation.n_stem_channels() as u64 * paths.len() as u64;
        let n_bytes = n_samples.saturating_mul(sample_format.n_bytes() as u64);
        // What FLAC saves is not known beforehand.
        match atomic::free_bytes(&folder) {
            Some(free) if free < n_bytes && file_format == FileFormat::Wav => return Err(Refusal::Full(n_bytes, free)),
            _ => {}
        }
        let encode = EncodeConfig {
            file_format,
            sample_format,
            clip_mode: sample_format.default_clip_mode(),
            existing: if request.force { Existing::Replace } else { Existing::Refuse },
            seed: config.seed,
            ..EncodeConfig::default()
        };
        Ok(Self { fit, stems, names, paths, encode })
    }

    /// Writes the files, all or none.
    pub(super) fn run(self, desk: &Desk, watch: &mut Watch<'_>) -> Answer<Value> {
        let (recording, separation) = (desk.recording(), &self.fit.separation);
        let gain = match self.encode.clip_mode {
            ClipMode::Rescale => {
                encode::rescale_gain(separation.peak(recording, &self.stems, watch)?, self.encode.sample_format)
            }
            ClipMode::Clamp | ClipMode::None => 1.0,
        };
        // They are left out where the file has gone.
        let tags = AudioFile::open(&desk.config().recording).and_then(|file| file.tags()).unwrap_or_default();
        let spec = || Spec {
            sample_rate: recording.sample_rate(),
            n_channels: separation.n_stem_channels(),
            channel_mask: recording.channel_mask().filter(|_| separation.n_stem_channels() == recording.n_channels()),
            n_samples: Some(recording.n_samples()),
        };
        let mut writers = Vec::with_capacity(self.paths.len());
        for ((path, name), seed) in self.paths.iter().zip(&self.names).zip(self.encode.seed..) {
            // Dithers of their own, so that they do not add up where stems are mixed again.
            let config = EncodeConfig { seed, tags: tags.of_stem(name), ..self.encode.clone() };
            writers.push(Writer::create(path, spec(), gain, &config)?);
        }
        separation.render(recording, &self.stems, watch, &mut |blocks| {
            writers.par_iter_mut().zip(blocks).try_for_each(|(writer, block)| writer.write(block.view()))
        })?;
        let files = writers.into_iter().map(|writer| writer.close().map(|(file, _)| file));
        commit_all(files.collect::<crate::Result<_>>()?)?;
        Ok(json!({ "paths": self.paths.iter().map(|path| shown(path)).collect::<Vec<_>>() }))
    }
}
