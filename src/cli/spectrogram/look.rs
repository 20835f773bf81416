//! What a picture shows of its recordings, and how.

use std::path::{Path, PathBuf};

use partita::StftOptions;
use partita::atomic::{AtomicFile, commit_all};
use partita::audio::Recording;
use partita::audio::decode::AudioFile;
use partita::plot::{self, Panel, PlotConfig};
use partita::spectrogram::{Bands, Channels, FrequencyScale, Tiles, View, ViewConfig, survey, tiles, views};
use partita::watch::Watch;
use partita::{Result, Score};

use super::args::SpectrogramArgs;
use crate::cli::failure::Failure;
use crate::cli::outputs;
use crate::cli::terminal::{Terminal, counted};

/// Between what separates tones and what separates beats.
const WINDOW_S: f64 = 0.046;
/// Size where nothing is said.
const SIZE: (u32, u32) = (1600, 900);
/// Size of tiles where nothing is said; wider ones are more than many programs open.
const TILE: (u32, u32) = (8192, 900);
/// Levels of pitch classes, each of which has a part of every noise, in dB.
const CHROMA_DB: f64 = 30.0;
/// Bytes that the work takes whatever the recording.
const FIXED_BYTES: u64 = 32 << 20;

/// What a picture shows of its recordings, and how.
pub(super) struct Look {
    config: PlotConfig,
    axis: Axis,
    options: StftOptions,
    channels: Channels,
    has_waveform: bool,
    score: Option<Score>,
    tiles: Option<Tiles>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Fourier,
    ConstantQ,
    PitchClasses,
}

/// Pictures that were drawn, and how many samples of each channel they show.
pub(super) struct Drawn {
    pub(super) paths: Vec<PathBuf>,
    pub(super) n_samples: u64,
}

impl Look {
    pub(super) fn new(args: &SpectrogramArgs, terminal: &Terminal) -> std::result::Result<Self, Failure> {
        let scale = match (args.linear, args.mel) {
            (true, _) => FrequencyScale::Linear,
            (_, true) => FrequencyScale::Mel,
            _ => FrequencyScale::Log,
        };
        let usual = if args.frames_per_pixel.is_some() { TILE } else { SIZE };
        let (width, height) = args.size.unwrap_or(usual);
        let usual_db = PlotConfig::default().range_db;
        let config = PlotConfig {
            width,
            height,
            color_map: args.colormap,
            scale,
            range_db: args.range_db.map_or(if args.chroma { CHROMA_DB } else { usual_db }, f64::from),
            // What an interrupted run began is finished by one that resumes it.
            existing: outputs::may_replace(args.force || args.batch.resume),
            ..PlotConfig::default()
        };
        // Whatever it will be called.
        config.check(Path::new("picture.png"))?;
        let tiles = args.frames_per_pixel.zip(config.n_columns().try_into().ok());
        let score = args.score.as_deref().map(|path| args.score_read.load(path)).transpose()?;
        for warning in score.iter().flat_map(|score| &score.warnings) {
            terminal.warning(&warning.to_string());
        }
        Ok(Self {
            axis: match (args.cqt, args.chroma) {
                (true, _) => Axis::ConstantQ,
                (_, true) => Axis::PitchClasses,
                _ => Axis::Fourier,
            },
            config,
            options: args.transform.options(),
            channels: if args.channels { Channels::Apart } else { Channels::Together },
            has_waveform: args.waveform,
            score,
            tiles: tiles.map(|(frames_per_column, n_columns)| Tiles { frames_per_column, n_columns }),
        })
    }

    /// Warns of letters that the pictures of recordings with these titles cannot show.
    pub(super) fn check_letters<'a>(&'a self, titles: impl Iterator<Item = &'a str>, path: &Path, terminal: &Terminal) {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
            let parts = self.score.iter().flat_map(|score| &score.parts);
            terminal.letters(titles.chain(parts.map(|part| &*part.name)));
        }
    }

    /// Refuses a name that is not one of a picture.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        self.config.check(path)
    }

    /// Bytes that the work on a recording takes at the most.
    pub(super) fn bytes(&self, recording: &dyn Recording) -> u64 {
        let n_panels = if self.channels == Channels::Apart { recording.n_channels() as u64 } else { 1 };
        let transform = self.options.resolve(recording.sample_rate(), WINDOW_S);
        let n_columns = self.tiles.map_or(self.config.max_columns(), |tiles| tiles.n_columns.get()) as u64;
        let n_pixels = u64::from(self.config.width) * u64::from(self.config.height);
        // Sums that grow by doubling; brightness, colors and the page.
        FIXED_BYTES + 2 * 4 * n_panels * n_columns * transform.n_bins() as u64 + 16 * n_pixels
    }

    /// The files of a picture that are known before its recording is read.
    pub(super) fn expected_paths(&self, path: &Path) -> Vec<PathBuf> {
        let first_tile = self.tiles.map(|_| numbered(path, 1, 1));
        std::iter::once(path.to_owned()).chain(first_tile).collect()
    }

    /// The files of the further tiles that a recording may have.
    pub(super) fn further_tiles(&self, path: &Path) -> Vec<PathBuf> {
        self.tiles.iter().flat_map(|_| (2..1000).map(|tile| numbered(path, tile, 1))).collect()
    }

    fn view(&self, recording: &dyn Recording) -> ViewConfig {
        let transform = self.options.resolve(recording.sample_rate(), WINDOW_S);
        let hop_length = transform.hop_length;
        let bands = match self.axis {
            Axis::Fourier => Bands::Fourier(transform),
            Axis::ConstantQ => Bands::ConstantQ { hop_length },
            Axis::PitchClasses => Bands::PitchClasses { hop_length },
        };
        ViewConfig { bands, channels: self.channels }
    }

    /// Looks at a recording.
    pub(super) fn views(&self, recording: &dyn Recording, watch: &mut Watch<'_>) -> Result<Vec<View>> {
        views(recording, &self.view(recording), self.config.max_columns(), watch)
    }

    /// Draws one recording: a picture, or as many as it takes.
    pub(super) fn draw(&self, title: &str, recording: &AudioFile, path: &Path, watch: &mut Watch<'_>) -> Result<Drawn> {
        let config = PlotConfig { start_s: recording.start_s(), ..self.config.clone() };
        let Some(of_tile) = self.tiles else {
            let views = self.views(recording, watch)?;
            let n_samples = views.iter().map(|view| view.waveform.n_samples()).max().unwrap_or(0) as u64;
            let config = PlotConfig { title: title.to_owned(), ..config };
            self.picture(&[("", &views)], &config, path)?.commit()?;
            return Ok(Drawn { paths: vec![path.to_owned()], n_samples });
        };
        let view = self.view(recording);
        let survey = survey(recording, &view, of_tile, watch)?;
        let (mut paths, mut files): (Vec<PathBuf>, Vec<AtomicFile>) = Default::default();
        tiles(recording, &view, of_tile, watch, &mut |views| {
            let tile = files.len() + 1;
            let path = if survey.n_tiles > 1 { numbered(path, tile, survey.n_tiles) } else { path.to_owned() };
            let n_columns = views.first().map_or(1, |view| view.overview.n_columns());
            // The number first, as long titles lose their end.
            let place = if survey.n_tiles > 1 { format!("{tile} of {}: ", survey.n_tiles) } else { String::new() };
            let config = PlotConfig {
                title: format!("{place}{title}"),
                peak: Some(survey.peak),
                waveform_peak: Some(survey.waveform_peak),
                ..config.clone().with_columns(n_columns)
            };
            files.push(self.picture(&[("", &views)], &config, &path)?);
            paths.push(path);
            Ok(())
        })?;
        commit_all(files)?;
        Ok(Drawn { paths, n_samples: survey.n_samples })
    }

    /// Draws recordings in one picture, each with its name.
    pub(super) fn draw_together(&self, named: &[(String, Vec<View>)], start_s: f64, path: &Path) -> Result<()> {
        let title = counted(named.len(), "recording");
        let named: Vec<_> = named.iter().map(|(name, views)| (name.as_str(), &views[..])).collect();
        let config = PlotConfig { title, start_s, ..self.config.clone() };
        self.picture(&named, &config, path)?.commit()
    }

    fn picture(&self, named: &[(&str, &[View])], config: &PlotConfig, path: &Path) -> Result<AtomicFile> {
        let names: Vec<_> = named.iter().map(|(name, views)| channel_names(name, views.len())).collect();
        let panels: Vec<_> = named
            .iter()
            .zip(&names)
            .flat_map(|((_, views), names)| views.iter().zip(names))
            .map(|(view, name)| Panel {
                waveform: self.has_waveform.then_some(&view.waveform),
                ..Panel::new(name, &view.overview)
            })
            .collect();
        plot::draw(&panels, self.score.as_ref(), config, path)
    }
}

/// What the panels of a recording are called.
fn channel_names(name: &str, n_views: usize) -> Vec<String> {
    let of_channel = |channel: String| if name.is_empty() { channel } else { format!("{name}: {channel}") };
    match n_views {
        1 => vec![name.to_owned()],
        2 => ["left", "right"].map(|side| of_channel(side.into())).into(),
        n => (1..=n).map(|i| of_channel(format!("channel {i}"))).collect(),
    }
}

/// `song.png` as `song-007.png`.
fn numbered(path: &Path, tile: usize, n_tiles: usize) -> PathBuf {
    let n_digits = n_tiles.to_string().len().max(3);
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{tile:0n_digits$}."));
    name.push(path.extension().unwrap_or_default());
    path.with_file_name(name)
}
