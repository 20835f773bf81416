//! What a picture shows of a recording of any length: overviews and waveforms, of all of it or of one stretch after the
//! other. Draws nothing.

use std::num::NonZeroUsize;

use ndarray::{ArrayView2, Axis};

use super::bands::Bands;
use super::constant_q::ConstantQ;
use super::frames::{Channels, Frames, Plan};
use super::overview::{Overview, OverviewBuilder};
use super::waveform::Waveform;
use crate::Result;
use crate::audio::Recording;
use crate::watch::{Step, Watch};

/// How a recording is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewConfig {
    /// What it is taken apart into.
    pub bands: Bands,
    /// How its channels are shown.
    pub channels: Channels,
}

/// A recording, or one of its channels, as a picture shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its spectrogram.
    pub overview: Overview,
    /// Its samples.
    pub waveform: Waveform,
}

/// Stretches of a recording, one picture each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    /// Frames in each column.
    pub frames_per_column: NonZeroUsize,
    /// Columns of each tile but the last.
    pub n_columns: NonZeroUsize,
}

/// What must be known of all tiles before the first is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Survey {
    /// How many there are.
    pub n_tiles: usize,
    /// The largest power of all, relative to [`Overview::full_scale`].
    pub peak: f32,
    /// The largest distance of a sample from 0.
    pub waveform_peak: f32,
    /// Samples of each channel.
    pub n_samples: u64,
}

/// Looks at a whole recording: all channels as one, or each, in at most `max_columns`.
///
/// # Errors
/// Those of the recording, [`Error::Cancelled`](crate::Error::Cancelled), and [`Error::Setting`](crate::Error::Setting)
/// for a transform that is not possible.
///
/// # Cost
/// A transform of the whole; memory of the columns, whatever the length.
///
/// # Examples
/// ```
/// use partita::spectrogram::{Bands, Channels, ViewConfig, views};
/// use partita::{Audio, watch::Watch};
/// let noise = Audio::new(ndarray::Array2::from_shape_fn((2, 8000), |(c, i)| ((i * i + c) % 17) as f32), 8000)?;
/// let config = ViewConfig { bands: Bands::PitchClasses { hop_length: 80 }, channels: Channels::Apart };
/// let views = views(&noise, &config, 200, &mut Watch::none())?;
/// assert_eq!((views.len(), views[0].overview.values().dim()), (2, (101, 12)));
/// # Ok::<(), partita::Error>(())
/// ```
pub fn views(
    recording: &dyn Recording,
    config: &ViewConfig,
    max_columns: usize,
    watch: &mut Watch<'_>,
) -> Result<Vec<View>> {
    let plan = Plan::new(&config.bands, recording.sample_rate())?;
    let new = |builder| Part {
        builder,
        waveform: Waveform::new(recording.sample_rate(), 2 * max_columns.clamp(2, usize::MAX / 2)),
    };
    let mut parts: Vec<Part> = builders(&plan, recording, config, max_columns).into_iter().map(new).collect();
    let n_samples = read(&plan, recording, config, watch, &mut parts, &mut |_| Ok(()))?;
    let view = |part: Part| View { overview: shown(part.builder.finish(n_samples), config), waveform: part.waveform };
    Ok(parts.into_iter().map(view).collect())
}

/// Looks at one stretch of a recording after the other, with the same number of frames in each column.
///
/// # Errors
/// Those of [`views`], and whatever `sink` returns.
///
/// # Cost
/// A transform of the whole; memory of one tile.
pub fn tiles(
    recording: &dyn Recording,
    config: &ViewConfig,
    tiles: Tiles,
    watch: &mut Watch<'_>,
    sink: &mut dyn FnMut(Vec<View>) -> Result<()>,
) -> Result<()> {
    read_tiles(recording, config, tiles, watch, sink).map(drop)
}

/// Finds out what must be known of all tiles: a pass of its own.
///
/// # Errors
/// Those of [`views`].
pub fn survey(recording: &dyn Recording, config: &ViewConfig, tiles: Tiles, watch: &mut Watch<'_>) -> Result<Survey> {
    let mut survey = Survey::default();
    let n_samples = read_tiles(recording, config, tiles, watch, &mut |views| {
        survey.n_tiles += 1;
        for view in &views {
            survey.peak = survey.peak.max(view.overview.peak() / view.overview.full_scale());
            survey.waveform_peak = survey.waveform_peak.max(view.waveform.peak());
        }
        Ok(())
    })?;
    Ok(Survey { n_samples: n_samples as u64, ..survey })
}

fn read_tiles(
    recording: &dyn Recording,
    config: &ViewConfig,
    tiles: Tiles,
    watch: &mut Watch<'_>,
    sink: &mut dyn FnMut(Vec<View>) -> Result<()>,
) -> Result<usize> {
    let (per_column, n_columns) = (tiles.frames_per_column.get(), tiles.n_columns.get());
    let plan = Plan::new(&config.bands, recording.sample_rate())?;
    let hop_length = config.bands.hop_length();
    // A quarter of a column, which begins half a hop before its first frame.
    let samples_per_stretch = hop_length.saturating_mul(per_column) / 4;
    let new = |builder: OverviewBuilder| Part {
        builder: builder.with_frames_per_column(per_column),
        waveform: Waveform::in_stretches_of(samples_per_stretch, recording.sample_rate()),
    };
    let mut parts: Vec<Part> = builders(&plan, recording, config, n_columns).into_iter().map(new).collect();
    let take = |parts: &mut [Part]| {
        let view = |part: &mut Part| {
            let overview = shown(part.builder.take_columns(), config);
            let end = (overview.span_s().1 * f64::from(recording.sample_rate())).ceil() as usize;
            View { overview, waveform: part.waveform.split_before(end) }
        };
        parts.iter_mut().map(view).collect()
    };
    let n_samples = read(&plan, recording, config, watch, &mut parts, &mut |parts| {
        let is_full = |part: &Part| part.builder.n_frames() == per_column.saturating_mul(n_columns);
        if parts.iter().all(is_full) { sink(take(parts)) } else { Ok(()) }
    })?;
    if parts.iter().any(|part| part.builder.n_frames() > 0) {
        sink(take(&mut parts))?;
    }
    Ok(n_samples)
}

/// What grows into a view.
struct Part {
    builder: OverviewBuilder,
    waveform: Waveform,
}

fn builders(plan: &Plan, recording: &dyn Recording, config: &ViewConfig, max_columns: usize) -> Vec<OverviewBuilder> {
    let (sample_rate, n_channels) = (recording.sample_rate(), recording.n_channels());
    let (n_parts, n_added) = match config.channels {
        Channels::Together => (1, n_channels as f32),
        Channels::Apart => (n_channels, 1.0),
    };
    let builder = match plan {
        Plan::Fourier(stft) => OverviewBuilder::new(stft.config(), sample_rate, max_columns),
        Plan::ConstantQ(bands) => {
            let kind = Bands::ConstantQ { hop_length: bands.hop_length() };
            OverviewBuilder::of_bands(kind, bands.n_bands(), ConstantQ::FULL_SCALE, sample_rate, max_columns)
        }
    };
    vec![builder.with_added(n_added); n_parts]
}

fn shown(overview: Overview, config: &ViewConfig) -> Overview {
    match config.bands {
        Bands::PitchClasses { .. } => overview.pitch_classes(),
        Bands::Fourier(_) | Bands::ConstantQ { .. } => overview,
    }
}

/// Reads a recording into its parts, and calls `each` behind every frame of all of them; returns the number of samples.
fn read(
    plan: &Plan,
    recording: &dyn Recording,
    config: &ViewConfig,
    watch: &mut Watch<'_>,
    parts: &mut [Part],
    each: &mut dyn FnMut(&mut [Part]) -> Result<()>,
) -> Result<usize> {
    let mut frames = Frames::new(plan, recording.n_channels(), config.channels);
    let (mut n_samples, total) = (0, recording.n_samples_hint());
    let mut waiting = Waiting::new(parts.len());
    recording.read(&mut |block| {
        push_waveforms(parts, block, config.channels);
        n_samples += block.ncols();
        frames.push(block, &mut |part_idx, frame| waiting.push(part_idx, frame));
        waiting.hand_over(parts, each)?;
        watch.at(Step::Reading, n_samples as u64, total)
    })?;
    frames.finish(&mut |part_idx, frame| waiting.push(part_idx, frame));
    waiting.hand_over(parts, each)?;
    Ok(n_samples)
}

fn push_waveforms(parts: &mut [Part], block: ArrayView2<'_, f32>, channels: Channels) {
    match channels {
        Channels::Together => parts.iter_mut().for_each(|part| part.waveform.push(block)),
        Channels::Apart => {
            for (part, channel) in parts.iter_mut().zip(block.outer_iter()) {
                part.waveform.push(channel.insert_axis(Axis(0)));
            }
        }
    }
}

/// Frames of each part, one after the other, until those of all parts are there.
struct Waiting {
    frames: Vec<Vec<f32>>,
    n_bands: usize,
}

impl Waiting {
    fn new(n_parts: usize) -> Self {
        Self { frames: vec![Vec::new(); n_parts], n_bands: 1 }
    }

    fn push(&mut self, part_idx: usize, frame: &[f32]) {
        self.n_bands = frame.len().max(1);
        self.frames[part_idx].extend_from_slice(frame);
    }

    fn hand_over(&mut self, parts: &mut [Part], each: &mut dyn FnMut(&mut [Part]) -> Result<()>) -> Result<()> {
        let n_frames = self.frames.iter().map(Vec::len).min().unwrap_or(0) / self.n_bands;
        for frame_idx in 0..n_frames {
            let range = frame_idx * self.n_bands..(frame_idx + 1) * self.n_bands;
            for (part, frames) in parts.iter_mut().zip(&self.frames) {
                part.builder.push(frames[range.clone()].iter().copied());
            }
            each(parts)?;
        }
        self.frames.iter_mut().for_each(Vec::clear);
        Ok(())
    }
}
