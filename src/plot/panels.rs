//! Spectrograms, one or several in a picture, with waveforms above them and the notes of a score over them.

use std::path::Path;

use super::color;
use super::config::PlotConfig;
use super::layout::{Area, COLOR_BAR};
use super::sheet::Sheet;
use super::ticks::{self, Tick};
use crate::atomic::AtomicFile;
use crate::error::Advice;
use crate::knowledge::score::Score;
use crate::spectrogram::{Bands, ConstantQ, Level, Overview, VerticalAxis, Waveform};
use crate::{Error, Result};

/// One spectrogram of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Panel<'a> {
    /// Stands above it; may be empty where it is alone.
    pub name: &'a str,
    /// What it shows.
    pub overview: &'a Overview,
    /// The samples that are shown above it.
    pub waveform: Option<&'a Waveform>,
}

impl<'a> Panel<'a> {
    /// A spectrogram without a waveform.
    pub fn new(name: &'a str, overview: &'a Overview) -> Self {
        Self { name, overview, waveform: None }
    }
}

/// Draws a spectrogram, in dB below its peak, to a `.png` or `.svg`.
///
/// # Errors
/// [`Error::PictureFormat`] for another extension, the errors of [`crate::atomic::write`],
/// [`Error::Setting`] for a size, range or frequency that cannot be drawn.
///
/// # Cost
/// Time and memory of the picture's pixels and of the overview, not of the recording.
pub fn spectrogram(overview: &Overview, config: &PlotConfig, path: &Path) -> Result<()> {
    draw(&[Panel::new("", overview)], None, config, path)?.commit()
}

/// Draws spectrograms of one recording beside each other, the mixture first, then its stems, each with its name.
/// Axes are shared, and one color means the same level in each: dB below the highest peak of all.
///
/// # Errors
/// Those of [`draw`].
pub fn panels(panels: &[(&str, &Overview)], config: &PlotConfig, path: &Path) -> Result<()> {
    draw_panels(&plain(panels), None, Shade::Decibel, config, path)?.commit()
}

/// Draws masks beside each other, each with the name of its source: from 0 (dark) to 1 (bright). An overview of a mask
/// is made by pushing its frames to a [`crate::spectrogram::OverviewBuilder`].
///
/// # Errors
/// Those of [`draw`].
pub fn masks(masks: &[(&str, &Overview)], config: &PlotConfig, path: &Path) -> Result<()> {
    draw_panels(&plain(masks), None, Shade::Share, config, path)?.commit()
}

fn plain<'a>(panels: &[(&'a str, &'a Overview)]) -> Vec<Panel<'a>> {
    panels.iter().map(|(name, overview)| Panel::new(name, overview)).collect()
}

/// Draws spectrograms of any recordings, to a file that has no name until [`AtomicFile::commit`]. All have the same
/// scales, so that they can be compared: one frequency axis, as many pixels for a second, and one color for a level, in dB
/// below the highest peak of all. The notes of a score are drawn over each, one color for a part, drums at the bottom.
///
/// # Errors
/// Those of [`spectrogram`], and [`Error::Setting`] without panels, with more than there is room for, or with different
/// kinds of bands.
pub fn draw(panels: &[Panel<'_>], score: Option<&Score>, config: &PlotConfig, path: &Path) -> Result<AtomicFile> {
    draw_panels(panels, score, Shade::Decibel, config, path)
}

/// What colors stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shade {
    Decibel,
    Share,
}

/// Room for the name above a panel, in units.
const PANEL_NAME: f64 = 26.0;
/// Room for the legend above the panels, in units.
const LEGEND: f64 = 28.0;
/// Least height of a panel in units, and in pixels where there are no labels.
const LEAST_PANEL: f64 = 40.0;
const LEAST_BARE_PANEL: f64 = 8.0;
/// Height of a waveform, as a share of its panel, and what lies between it and the spectrogram, in units.
const WAVEFORM: f64 = 0.2;
const WAVEFORM_GAP: f64 = 8.0;

fn draw_panels(
    panels: &[Panel<'_>],
    score: Option<&Score>,
    shade: Shade,
    config: &PlotConfig,
    path: &Path,
) -> Result<AtomicFile> {
    let mut sheet = Sheet::new(config, path)?;
    let axis = common_axis(panels, config)?;
    let scales = Scales::of(panels, shade, config)?;
    let full = sheet.area(COLOR_BAR);
    sheet.title(full, &config.title, &note(panels));
    let mut area = full;
    if let Some(score) = score {
        area = area.lowered(sheet.room(LEGEND));
        let parts = score.parts.iter().enumerate();
        let names: Vec<_> = parts.map(|(i, part)| (part.name.as_str(), color::overlay(i))).collect();
        sheet.legend(area, &names);
    }
    let is_named = panels.iter().any(|panel| !panel.name.is_empty());
    let name_room = sheet.room(if is_named { PANEL_NAME } else { 0.0 });
    area = area.lowered(name_room);
    // Up to three lie under each other, so that times can be compared.
    let n_columns = match panels.len() {
        0..=3 => 1,
        4..=8 => 2,
        _ => 3,
    };
    let n_rows = panels.len().div_ceil(n_columns);
    let cells = area.grid(n_columns as u32, n_rows as u32, sheet.room(30.0), name_room + sheet.room(10.0));
    let least = sheet.room(LEAST_PANEL).max(LEAST_BARE_PANEL);
    if panels.len() > 1 && cells.iter().any(|cell| f64::from(cell.height) < least) {
        let expected = format!("as many as there is room for in {} x {} pixels", config.width, config.height);
        let advice = Advice::plain("make the picture larger, or draw fewer at a time");
        return Err(refused(panels.len().to_string(), &expected, Some(advice)));
    }
    for (i, (panel, cell)) in panels.iter().zip(&cells).enumerate() {
        sheet.name(*cell, panel.name);
        let place = scales.place(*cell, panel, &sheet);
        let (overview, start_s) = (panel.overview, config.start_s + panel.overview.span_s().0);
        let is_left = i % n_columns == 0;
        if let (Some(waveform), Some(strip)) = (panel.waveform, place.waveform) {
            draw_waveform(&mut sheet, strip, &waveform.spans(overview.span_s(), strip.width as usize), &scales);
            if is_left {
                let max_ticks = sheet.n_labels(strip.height, 28.0).clamp(1, 4);
                sheet.left_ticks(strip, &ticks::amplitude(f64::from(scales.amplitude), max_ticks));
            }
        }
        let (width, height) = (place.map.width as usize, place.map.height as usize);
        sheet.heat_map(place.map, &overview.raster(&axis, scales.level(overview), width, height));
        if let Some(score) = score {
            draw_notes(&mut sheet, &place, score, &axis, start_s);
        }
        if is_left {
            draw_axis(&mut sheet, place.map, &axis);
        }
        if i + n_columns >= panels.len() {
            let ticks = sheet.time_ticks(*cell, start_s, scales.duration_s);
            sheet.bottom_axis(*cell, &ticks);
        }
    }
    sheet.left_title(area, if axis == VerticalAxis::PitchClass { "pitch class" } else { "frequency (Hz)" });
    match shade {
        Shade::Decibel => sheet.decibel_bar(area, config.range_db, "dB, relative to the peak"),
        Shade::Share => {
            let ticks = ticks::unit(sheet.n_labels(area.height, 60.0).min(5));
            sheet.color_bar(area, &ticks, "share of the mixture");
        }
    }
    sheet.write(path)
}

/// The axis of the recording that reaches highest.
fn common_axis(panels: &[Panel<'_>], config: &PlotConfig) -> Result<VerticalAxis> {
    let overviews = || panels.iter().map(|panel| panel.overview);
    let Some(widest) = overviews().max_by_key(|overview| overview.sample_rate()) else {
        return Err(refused("empty".into(), "at least 1", None));
    };
    if overviews().any(|overview| std::mem::discriminant(overview.bands()) != std::mem::discriminant(widest.bands())) {
        return Err(refused("a mix of axes".into(), "bands of one kind", None));
    }
    widest.bands().axis(config.scale, widest.sample_rate(), config.min_hz, config.max_hz)
}

fn refused(got: String, expected: &str, advice: Option<Advice>) -> Error {
    Error::Setting { name: "panels", got, expected: expected.into(), advice: advice.map(Box::new) }
}

/// What all panels of a picture have in common.
struct Scales {
    duration_s: f64,
    /// Of tones, whatever their transform.
    level: Level,
    /// Of waveforms.
    amplitude: f32,
}

/// Where a panel's parts lie.
struct Place {
    waveform: Option<Area>,
    map: Area,
    pixels_per_s: f64,
}

impl Scales {
    fn of(panels: &[Panel<'_>], shade: Shade, config: &PlotConfig) -> Result<Self> {
        let relative = |panel: &Panel<'_>| panel.overview.peak() / panel.overview.full_scale();
        let peak = config.peak.unwrap_or(panels.iter().map(relative).fold(0.0, f32::max));
        let waveforms = panels.iter().filter_map(|panel| panel.waveform);
        let amplitude = config.waveform_peak.unwrap_or(waveforms.map(Waveform::peak).fold(0.0, f32::max));
        let decibel = config.level(peak)?;
        Ok(Self {
            duration_s: panels.iter().map(|panel| panel.overview.duration_s()).fold(0.0, f64::max),
            level: if shade == Shade::Decibel { decibel } else { Level::Linear },
            amplitude: if amplitude > 0.0 { amplitude } else { 1.0 },
        })
    }

    /// How bright a value of a transform is.
    fn level(&self, overview: &Overview) -> Level {
        match self.level {
            Level::Decibel { peak, range_db } => Level::Decibel { peak: peak * overview.full_scale(), range_db },
            Level::Linear => Level::Linear,
        }
    }

    /// The part of a cell that a recording fills, beside longer ones.
    fn place(&self, cell: Area, panel: &Panel<'_>, sheet: &Sheet) -> Place {
        let share = panel.overview.duration_s() / self.duration_s;
        let filled = Area { width: ((share * f64::from(cell.width)).round() as u32).clamp(1, cell.width), ..cell };
        let height = (WAVEFORM * f64::from(cell.height)).round() as u32;
        let waveform = panel.waveform.map(|_| Area { height, ..filled }).filter(|_| height > 0);
        let lowered = waveform.map_or(0.0, |strip| f64::from(strip.height) + sheet.room(WAVEFORM_GAP));
        Place { waveform, map: filled.lowered(lowered), pixels_per_s: f64::from(cell.width) / self.duration_s }
    }
}

fn draw_axis(sheet: &mut Sheet, area: Area, axis: &VerticalAxis) {
    match axis {
        VerticalAxis::Frequency(axis) => sheet.frequency_axis(area, axis),
        VerticalAxis::PitchClass => {
            // All of them, or those without a sign.
            let has_room = sheet.n_labels(area.height, 18.0) >= 12;
            let is_shown = |tick: &Tick| has_room || tick.label.len() == 1;
            let ticks: Vec<_> = ticks::pitch_classes().into_iter().filter(is_shown).collect();
            sheet.left_ticks(area, &ticks);
        }
    }
}

/// Draws the least and the largest sample of each column.
fn draw_waveform(sheet: &mut Sheet, area: Area, samples: &[(f32, f32)], scales: &Scales) {
    let at = |sample: f32| area.up(0.5 + 0.5 * f64::from((sample / scales.amplitude).clamp(-1.0, 1.0)));
    let span = |(least, largest): &(f32, f32)| {
        // At least a line.
        let (top, bottom) = (at(*largest), at(*least));
        let missing = (1.0 - (bottom - top)).max(0.0);
        (top - 0.5 * missing, bottom + 0.5 * missing)
    };
    sheet.band(area.x, samples.iter().map(span).collect(), color::source(0));
    sheet.frame(area);
}

/// Least height and width of a note, in units.
const LEAST_NOTE: f64 = 5.0;
/// Height of a drum's stroke, in units.
const STROKE: f64 = 14.0;

/// Draws the notes of a score where they sound in a recording that is shown from `start_s` on.
fn draw_notes(sheet: &mut Sheet, place: &Place, score: &Score, axis: &VerticalAxis, start_s: f64) {
    let (area, least) = (place.map, sheet.px(LEAST_NOTE));
    let (left, right, top) = (f64::from(area.x), area.right(), f64::from(area.y));
    let x = |time_s: f64| left + (time_s - start_s) * place.pixels_per_s;
    let mut n_drums = 0;
    for (i, part) in score.parts.iter().enumerate() {
        n_drums += usize::from(part.is_drum);
        for note in &part.notes {
            let (from, to) = (x(note.onset_s), x(note.offset_s));
            if to.max(from + least) <= left || from >= right {
                continue;
            }
            let (low, high) = axis.key(f64::from(note.pitch) + score.transposition.unwrap_or(0.0));
            let (y0, y1, to) = if part.is_drum {
                // A row for each drum, from the bottom up.
                let y = area.bottom() - n_drums as f64 * sheet.px(STROKE + 4.0);
                (y, y + sheet.px(STROKE), from + least)
            } else if high <= 0.0 || low >= 1.0 {
                continue;
            } else {
                let grown = 0.5 * (least - (area.up(low) - area.up(high))).max(0.0);
                (area.up(high) - grown, area.up(low) + grown, to.max(from + least))
            };
            let (x0, x1, y0, y1) = (from.max(left), to.min(right), y0.max(top), y1.min(area.bottom()));
            if y0 < y1 {
                sheet.cased_outline((x0, y0, x1 - x0, y1 - y0), color::overlay(i));
            }
        }
    }
}

/// "44.1 kHz, `n_fft` 4096, hop 1024", without the quotes; nothing where panels differ.
fn note(panels: &[Panel<'_>]) -> String {
    let note = |overview: &Overview| {
        let khz = f64::from(overview.sample_rate()) / 1000.0;
        match overview.bands() {
            Bands::Fourier(config) => format!("{khz} kHz, n_fft {}, hop {}", config.n_fft, config.hop_length),
            bands => format!("{khz} kHz, constant Q of {}, hop {}", ConstantQ::Q, bands.hop_length()),
        }
    };
    let mut notes = panels.iter().map(|panel| note(panel.overview));
    let first = notes.next().unwrap_or_default();
    if notes.all(|other| other == first) { first } else { String::new() }
}
