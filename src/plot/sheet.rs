//! The parts of a chart: title, heat maps, axes, color bar. Sizes are in units, which grow with the page.

use std::path::Path;

use ndarray::Array2;

use super::color::ColorMap;
use super::config::{Format, PlotConfig};
use super::page::{Align, Direction, Mark, Page, Rgb};
use super::text;
use super::ticks::{Tick, Ticks};
use crate::atomic::{self, Existing};
use crate::{Error, Result};

/// Font sizes in units.
const TITLE: f64 = 26.0;
const NAME: f64 = 20.0;
const LABEL: f64 = 19.0;
const TICK: f64 = 17.0;

/// Gaps in units.
const PADDING: f64 = 22.0;
const LEFT: f64 = 104.0;
const BOTTOM: f64 = 76.0;
const TOP: f64 = 62.0;
const BAR_GAP: f64 = 24.0;
const BAR_WIDTH: f64 = 22.0;

const INK: Rgb = [0x22; 3];
const FAINT_INK: Rgb = [0x66; 3];
const FRAME: Rgb = [0x77; 3];
const GRID: Rgb = [0xdd; 3];

/// A part of the page, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Area {
    pub(super) fn right(&self) -> f64 {
        f64::from(self.x + self.width)
    }

    pub(super) fn bottom(&self) -> f64 {
        f64::from(self.y + self.height)
    }

    /// The x of a share of the width.
    pub(super) fn across(&self, share: f64) -> f64 {
        f64::from(self.x) + share * f64::from(self.width)
    }

    /// The y of a share of the height, from the bottom.
    pub(super) fn up(&self, share: f64) -> f64 {
        self.bottom() - share * f64::from(self.height)
    }

    /// The area without some pixels at its top.
    pub(super) fn lowered(&self, pixels: f64) -> Self {
        let pixels = (pixels.round() as u32).min(self.height - 1);
        Self { y: self.y + pixels, height: self.height - pixels, ..*self }
    }

    /// Cuts the area into a grid, row by row, `across` and `down` pixels apart.
    pub(super) fn grid(&self, n_columns: u32, n_rows: u32, across: f64, down: f64) -> Vec<Self> {
        let (across, down) = (across.round() as u32, down.round() as u32);
        let width = (self.width.saturating_sub(across * (n_columns - 1)) / n_columns).max(1);
        let height = (self.height.saturating_sub(down * (n_rows - 1)) / n_rows).max(1);
        let cell = |row: u32, column: u32| Self {
            x: self.x + column * (width + across),
            y: self.y + row * (height + down),
            width,
            height,
        };
        (0..n_rows).flat_map(|row| (0..n_columns).map(move |column| cell(row, column))).collect()
    }
}

/// A page with a title, on its way to a file.
#[derive(Debug)]
pub(super) struct Sheet {
    page: Page,
    format: Format,
    /// Pixels per unit: 1 on 1600 x 900.
    unit: f64,
    colors: ColorMap,
    existing: Existing,
}

impl Sheet {
    /// Starts a picture of the kind that `path` names.
    pub(super) fn new(config: &PlotConfig, path: &Path) -> Result<Self> {
        let format = config.format(path)?;
        let (width, height) = (config.width, config.height);
        let unit = (f64::from(width) * f64::from(height) / (1600.0 * 900.0)).sqrt().max(0.5);
        Ok(Self {
            page: Page { width, height, marks: Vec::new() },
            format,
            unit,
            colors: config.color_map,
            existing: config.existing,
        })
    }

    /// Writes the picture, whole or not at all.
    pub(super) fn finish(self, path: &Path) -> Result<()> {
        let bytes = match self.format {
            Format::Png => self.page.png(),
            Format::Svg => self.page.svg(),
        };
        let bytes = bytes.map_err(|source| Error::WriteFile { path: path.into(), source })?;
        atomic::write(path, &bytes, self.existing)
    }

    /// Pixels of a number of units.
    pub(super) fn px(&self, units: f64) -> f64 {
        units * self.unit
    }

    /// How many labels, each `units` long, fit into a number of pixels.
    pub(super) fn n_labels(&self, length: u32, units: f64) -> usize {
        (f64::from(length) / self.px(units)) as usize
    }

    /// The area between the axes, with `right` units left free beside it.
    pub(super) fn area(&self, right: f64) -> Area {
        let [left, right, top, bottom] =
            [LEFT, right + PADDING, TOP, BOTTOM].map(|units| self.px(units).round() as u32);
        Area {
            x: left,
            y: top,
            width: self.page.width.saturating_sub(left + right).max(16),
            height: self.page.height.saturating_sub(top + bottom).max(16),
        }
    }

    /// Units that [`Sheet::color_bar`] needs on the right.
    pub(super) const COLOR_BAR: f64 = BAR_GAP + BAR_WIDTH + 74.0;

    /// Writes the title above an area, and a note at its right end.
    pub(super) fn title(&mut self, area: Area, title: &str, note: &str) {
        let y = self.px(TOP - 20.0);
        let note_width = text::width(note, self.px(TICK));
        let end = if note.is_empty() { area.right() } else { area.right() - note_width - self.px(PADDING) };
        let title = text::fit(&text::clean(title), self.px(TITLE), end - f64::from(area.x));
        self.text(&title, (f64::from(area.x), y), TITLE, Align::Start, INK);
        self.text(note, (area.right(), y), TICK, Align::End, FAINT_INK);
    }

    /// Writes a name right above an area.
    pub(super) fn name(&mut self, area: Area, name: &str) {
        let name = text::fit(&text::clean(name), self.px(NAME), f64::from(area.width));
        let at = (f64::from(area.x), f64::from(area.y) - self.px(7.0));
        self.text(&name, at, NAME, Align::Start, INK);
    }

    /// Fills an area with brightness, which has a value for each pixel, and frames it.
    pub(super) fn heat_map(&mut self, area: Area, brightness: &Array2<f32>) {
        debug_assert_eq!(brightness.dim(), (area.height as usize, area.width as usize), "pixels");
        let pixels = brightness.iter().map(|b| (b * 255.0).round() as u8).collect();
        let colors = Box::new(self.colors.table());
        let Area { x, y, width, height } = area;
        self.page.marks.push(Mark::Image { x, y, width, height, pixels, colors });
        self.frame(area);
    }

    /// A thin line around an area.
    pub(super) fn frame(&mut self, area: Area) {
        let line = self.line();
        let (x, y) = (f64::from(area.x) - line, f64::from(area.y) - line);
        let (width, height) = (f64::from(area.width) + 2.0 * line, f64::from(area.height) + 2.0 * line);
        self.rect((x, y, width, line), FRAME);
        self.rect((x, area.bottom(), width, line), FRAME);
        self.rect((x, y, line, height), FRAME);
        self.rect((area.right(), y, line, height), FRAME);
    }

    /// Ticks, labels and title under an area.
    pub(super) fn bottom_axis(&mut self, area: Area, axis: &Ticks) {
        for tick in &axis.ticks {
            let (x, length) = (area.across(tick.at), self.tick_length(tick));
            self.rect((x - 0.5 * self.line(), area.bottom(), self.line(), length), FRAME);
            // Labels stay on the page.
            let half = 0.5 * text::width(&tick.label, self.px(TICK));
            let x = x.min(f64::from(self.page.width) - half - 2.0);
            self.text(&tick.label, (x, area.bottom() + self.px(27.0)), TICK, Align::Middle, INK);
        }
        self.text(&axis.title, (area.across(0.5), area.bottom() + self.px(56.0)), LABEL, Align::Middle, INK);
    }

    /// Ticks and labels left of an area.
    pub(super) fn left_ticks(&mut self, area: Area, ticks: &[Tick]) {
        for tick in ticks {
            let (y, length) = (area.up(tick.at), self.tick_length(tick));
            self.rect((f64::from(area.x) - length, y - 0.5 * self.line(), length, self.line()), FRAME);
            let at = (f64::from(area.x) - self.px(12.0), y + 0.5 * text::CAP_HEIGHT * self.px(TICK));
            self.text(&tick.label, at, TICK, Align::End, INK);
        }
    }

    /// The title of the axis left of an area.
    pub(super) fn left_title(&mut self, area: Area, title: &str) {
        self.turned(title, (self.px(31.0), area.up(0.5)));
    }

    /// Explains the colors, right of an area: from dark at the bottom to bright.
    pub(super) fn color_bar(&mut self, area: Area, ticks: &[Tick], title: &str) {
        let bar = Area {
            x: area.x + area.width + self.px(BAR_GAP).round() as u32,
            width: self.px(BAR_WIDTH).round().max(4.0) as u32,
            ..area
        };
        let last = f64::from(bar.height.max(2) - 1);
        let brightness = Array2::from_shape_fn((bar.height as usize, bar.width as usize), |(row, _)| {
            (1.0 - row as f64 / last).max(0.0) as f32
        });
        self.heat_map(bar, &brightness);
        for tick in ticks {
            let y = bar.up(tick.at);
            let length = self.tick_length(tick);
            self.rect((bar.right(), y - 0.5 * self.line(), length, self.line()), FRAME);
            let at = (bar.right() + self.px(12.0), y + 0.5 * text::CAP_HEIGHT * self.px(TICK));
            self.text(&tick.label, at, TICK, Align::Start, INK);
        }
        self.turned(title, (bar.right() + self.px(68.0), bar.up(0.5)));
    }

    /// Faint lines across an area at its labeled ticks.
    pub(super) fn grid_lines(&mut self, area: Area, left: &[Tick], bottom: &[Tick]) {
        for tick in left.iter().filter(|tick| !tick.label.is_empty()) {
            let y = area.up(tick.at) - 0.5 * self.line();
            self.rect((f64::from(area.x), y, f64::from(area.width), self.line()), GRID);
        }
        for tick in bottom.iter().filter(|tick| !tick.label.is_empty()) {
            let x = area.across(tick.at) - 0.5 * self.line();
            self.rect((x, f64::from(area.y), self.line(), f64::from(area.height)), GRID);
        }
    }

    /// A label in the color of what it names, its middle at `y`, cut to `max_units`.
    pub(super) fn side_label(&mut self, label: &str, (x, y): (f64, f64), max_units: f64, color: Rgb) {
        let label = text::fit(&text::clean(label), self.px(NAME), self.px(max_units));
        self.text(&label, (x, y + 0.5 * text::CAP_HEIGHT * self.px(NAME)), NAME, Align::Start, color);
    }

    /// A label in the color of what it names, its middle at `x`, cut to a number of pixels.
    pub(super) fn top_label(&mut self, label: &str, (x, y): (f64, f64), max_width: f64, color: Rgb) {
        let label = text::fit(&text::clean(label), self.px(TICK), max_width);
        self.text(&label, (x, y), TICK, Align::Middle, color);
    }

    pub(super) fn curve(&mut self, points: Vec<(f64, f64)>, units: f64, color: Rgb) {
        self.page.marks.push(Mark::Curve { points, width: self.px(units), color });
    }

    /// What lies between two curves that have a value for each pixel from `x` on: top and bottom.
    pub(super) fn band(&mut self, x: u32, spans: Vec<(f64, f64)>, color: Rgb) {
        self.page.marks.push(Mark::Band { x, spans, color });
    }

    /// A filled rectangle: x, y, width, height.
    pub(super) fn rect(&mut self, (x, y, width, height): (f64, f64, f64, f64), color: Rgb) {
        self.page.marks.push(Mark::Rect { x, y, width, height, color });
    }

    fn text(&mut self, text: &str, (x, y): (f64, f64), units: f64, align: Align, color: Rgb) {
        if !text.is_empty() {
            let size = self.px(units);
            self.page.marks.push(Mark::Text {
                text: text.into(),
                x,
                y,
                size,
                align,
                direction: Direction::Right,
                color,
            });
        }
    }

    fn turned(&mut self, text: &str, (x, y): (f64, f64)) {
        let (size, direction, align) = (self.px(LABEL), Direction::Up, Align::Middle);
        self.page.marks.push(Mark::Text { text: text.into(), x, y, size, align, direction, color: INK });
    }

    /// Width of a thin line.
    fn line(&self) -> f64 {
        self.unit.round().max(1.0)
    }

    fn tick_length(&self, tick: &Tick) -> f64 {
        self.px(if tick.label.is_empty() { 4.0 } else { 7.0 })
    }
}
