//! How pictures look, and what can be drawn at all.

use std::path::Path;

use super::color::ColorMap;
use super::layout::{COLOR_BAR, Layout};
use crate::atomic::Existing;
use crate::error::Advice;
use crate::spectrogram::{FrequencyScale, Level};
use crate::{Error, Result};

/// Sides of a picture that are accepted, in pixels; more than most programs open have no use.
const SIDES: std::ops::RangeInclusive<u32> = 16..=32_768;

/// Most pixels of a picture: it takes 16 bytes of memory for each.
const MAX_PIXELS: u64 = 1 << 26;

/// How pictures look.
#[derive(Debug, Clone, PartialEq)]
pub struct PlotConfig {
    /// Written above the picture, usually the file's name. Default empty.
    pub title: String,
    /// Pixels, 16 to 32,768. Default 1600.
    pub width: u32,
    /// Pixels, 16 to 32,768, and at most 2^26 with the width. Default 900. Letters grow with the picture; where a side is
    /// below 320 there are none, and no axes: the picture is all of the page.
    pub height: u32,
    /// Colors of heat maps. Default [`ColorMap::Magma`].
    pub color_map: ColorMap,
    /// What frequency axes are spaced by. Default [`FrequencyScale::Log`].
    pub scale: FrequencyScale,
    /// Lower end of frequency axes, in Hz. Default that of [`FrequencyAxis::new`](crate::spectrogram::FrequencyAxis::new).
    pub min_hz: Option<f64>,
    /// Upper end of frequency axes, in Hz. Default half the sample rate.
    pub max_hz: Option<f64>,
    /// Time where time axes begin, in seconds: that of the first sample in the whole recording, for an excerpt of one
    /// ([`Recording::start_s`](crate::audio::Recording::start_s)). Default 0.
    pub start_s: f64,
    /// dB from the brightest to the darkest color, above 0. Default 80: below it lies what is not heard beside the
    /// loudest.
    pub range_db: f64,
    /// Power of the brightest color, relative to
    /// [`Overview::full_scale`](crate::spectrogram::Overview::full_scale). Default the largest of the picture.
    pub peak: Option<f32>,
    /// Distance from 0 that waveforms reach at the edge of their place. Default the largest of the picture.
    pub waveform_peak: Option<f32>,
    /// What to do where the picture exists. Default: refuse.
    pub existing: Existing,
    /// How large letters and margins are, where 1 is as large as on 1600 x 900. Default: they grow with the picture.
    pub letters: Option<f64>,
}

impl Default for PlotConfig {
    fn default() -> Self {
        Self {
            title: String::new(),
            width: 1600,
            height: 900,
            color_map: ColorMap::default(),
            scale: FrequencyScale::default(),
            min_hz: None,
            max_hz: None,
            start_s: 0.0,
            range_db: 80.0,
            peak: None,
            waveform_peak: None,
            existing: Existing::default(),
            letters: None,
        }
    }
}

impl PlotConfig {
    /// Columns that an [`Overview`](crate::spectrogram::Overview) needs for a sharp picture: two for each pixel, of which at least half are filled.
    pub fn max_columns(&self) -> usize {
        2 * self.width as usize
    }

    /// Pixels between the axes of a spectrogram, from left to right.
    pub fn n_columns(&self) -> usize {
        self.layout().area(self.width, self.height, COLOR_BAR).width as usize
    }

    /// The same picture, but so wide that there are so many pixels between its axes.
    pub fn with_columns(self, n_columns: usize) -> Self {
        let layout = self.layout();
        let beside = (self.width as usize).saturating_sub(self.n_columns());
        let width = u32::try_from(n_columns.saturating_add(beside)).unwrap_or(u32::MAX);
        Self { width, letters: layout.is_labeled.then_some(layout.unit), ..self }
    }

    pub(super) fn layout(&self) -> Layout {
        match self.letters {
            Some(unit) => Layout { unit, is_labeled: true },
            None => Layout::of(self.width, self.height),
        }
    }

    /// Refuses what cannot be drawn, before any work is done for it.
    ///
    /// # Errors
    /// [`Error::PictureFormat`] for a path that ends in neither `.png` nor `.svg`, [`Error::Setting`] for a size or a
    /// range.
    pub fn check(&self, path: &Path) -> Result<()> {
        self.format(path)?;
        self.level(1.0).map(drop)
    }

    /// What `path` is to be written as, at a size that can be drawn.
    pub(super) fn format(&self, path: &Path) -> Result<Format> {
        let format = Format::of(path)?;
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if !SIDES.contains(&side) {
                let expected = format!("{} to {} pixels", SIDES.start(), SIDES.end());
                let advice = Some(Advice::plain("use 1600 x 900, or an `.svg`, which is sharp at any size").into());
                return Err(Error::Setting { name, got: side.to_string(), expected, advice });
            }
        }
        if u64::from(self.width) * u64::from(self.height) > MAX_PIXELS {
            let (got, expected) = (format!("{}x{}", self.width, self.height), format!("at most {MAX_PIXELS} pixels"));
            let advice = Some(Advice::set("size", "8192x8192").note("or an `.svg`, which is sharp at any size").into());
            return Err(Error::Setting { name: "size", got, expected, advice });
        }
        Ok(format)
    }

    pub(super) fn level(&self, peak: f32) -> Result<Level> {
        if self.range_db > 0.0 && self.range_db.is_finite() {
            return Ok(Level::Decibel { peak, range_db: self.range_db as f32 });
        }
        Err(Error::Setting {
            name: "range_db",
            got: self.range_db.to_string(),
            expected: "a number of dB above 0".into(),
            advice: Some(Advice::set("range_db", 80).into()),
        })
    }
}

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Svg,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default();
        match extension {
            _ if extension.eq_ignore_ascii_case("png") => Ok(Self::Png),
            _ if extension.eq_ignore_ascii_case("svg") => Ok(Self::Svg),
            _ => Err(Error::PictureFormat { path: path.into() }),
        }
    }
}
