//! How pictures look, and what can be drawn at all.

use std::path::Path;

use super::color::ColorMap;
use crate::atomic::Existing;
use crate::error::Advice;
use crate::spectrogram::{FrequencyAxis, FrequencyScale, Level};
use crate::{Error, Result, StftConfig};

/// Sides of a picture that are accepted, in pixels: below, labels do not fit; above, a drawing takes over 200 MB.
const SIDES: std::ops::RangeInclusive<u32> = 320..=4096;

/// How pictures look.
#[derive(Debug, Clone, PartialEq)]
pub struct PlotConfig {
    /// Written above the picture, usually the file's name. Default empty.
    pub title: String,
    /// Pixels, 320 to 4096. Default 1600.
    pub width: u32,
    /// Pixels, 320 to 4096. Default 900. Letters grow with the picture.
    pub height: u32,
    /// Colors of heat maps. Default [`ColorMap::Magma`].
    pub color_map: ColorMap,
    /// What frequency axes are spaced by. Default [`FrequencyScale::Log`].
    pub scale: FrequencyScale,
    /// Lower end of frequency axes, in Hz. Default that of [`FrequencyAxis::new`].
    pub min_hz: Option<f64>,
    /// Upper end of frequency axes, in Hz. Default half the sample rate.
    pub max_hz: Option<f64>,
    /// Time where time axes begin, in seconds: that of the first sample in the whole recording, for an excerpt of one
    /// ([`Recording::start_s`](crate::audio::Recording::start_s)). Default 0.
    pub start_s: f64,
    /// dB from the brightest to the darkest color, above 0. Default 80: below it lies what is not heard beside the
    /// loudest.
    pub range_db: f64,
    /// What to do where the picture exists. Default: refuse.
    pub existing: Existing,
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
            existing: Existing::default(),
        }
    }
}

impl PlotConfig {
    /// Columns that an [`Overview`](crate::spectrogram::Overview) needs for a sharp picture: two for each pixel, of which at least half are filled.
    pub fn max_columns(&self) -> usize {
        2 * self.width as usize
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
        Ok(format)
    }

    pub(super) fn axis(&self, config: &StftConfig, sample_rate: u32) -> Result<FrequencyAxis> {
        FrequencyAxis::new(self.scale, config, sample_rate, self.min_hz, self.max_hz)
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
