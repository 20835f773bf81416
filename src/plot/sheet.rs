//! The parts of a chart: title, heat maps, axes, color bar. Sizes are in units, which grow with the page.

use std::io::Write;
use std::path::Path;

use ndarray::Array2;

use super::color::{self, ColorMap};
use super::config::{Format, PlotConfig};
use super::layout::{Area, BAR_GAP, BAR_WIDTH, Layout, PADDING, TOP};
use super::page::{Align, Direction, Mark, Page, Rgb};
use super::text;
use super::ticks::{self, Tick, Ticks};
use crate::atomic::{AtomicFile, Existing};
use crate::spectrogram::FrequencyAxis;
use crate::{Error, Result};

/// Font sizes in units.
const TITLE: f64 = 26.0;
const NAME: f64 = 20.0;
const LABEL: f64 = 19.0;
const TICK: f64 = 17.0;

const INK: Rgb = [0x22; 3];
const FAINT_INK: Rgb = [0x66; 3];
const FRAME: Rgb = [0x77; 3];
const GRID: Rgb = [0xdd; 3];
/// Around what is drawn over a heat map.
const CASING: Rgb = [0x11; 3];

/// A page with a title, on its way to a file.
#[derive(Debug)]
pub(super) struct Sheet {
    page: Page,
    format: Format,
    layout: Layout,
    colors: ColorMap,
    existing: Existing,
}

impl Sheet {
    /// Starts a picture of the kind that `path` names.
    pub(super) fn new(config: &PlotConfig, path: &Path) -> Result<Self> {
        let format = config.format(path)?;
        Ok(Self {
            page: Page { width: config.width, height: config.height, marks: Vec::new() },
            format,
            layout: config.layout(),
            colors: config.color_map,
            existing: config.existing,
        })
    }

    /// Writes the picture, whole or not at all.
    pub(super) fn finish(self, path: &Path) -> Result<()> {
        self.write(path)?.commit()
    }

    /// Writes the picture to a file that has no name yet.
    pub(super) fn write(self, path: &Path) -> Result<AtomicFile> {
        let at = |source| Error::WriteFile { path: path.into(), source };
        let bytes = match self.format {
            Format::Png => self.page.png(),
            Format::Svg => self.page.svg(),
        };
        let bytes = bytes.map_err(at)?;
        let mut file = AtomicFile::create(path, self.existing)?;
        file.write_all(&bytes).map_err(at)?;
        Ok(file)
    }

    /// Pixels of a number of units.
    pub(super) fn px(&self, units: f64) -> f64 {
        units * self.layout.unit
    }

    /// Pixels of a number of units that are left for labels: none where there are no labels.
    pub(super) fn room(&self, units: f64) -> f64 {
        if self.layout.is_labeled { self.px(units) } else { 0.0 }
    }

    /// How many labels, each `units` long, fit into a number of pixels.
    pub(super) fn n_labels(&self, length: u32, units: f64) -> usize {
        (f64::from(length) / self.px(units)) as usize
    }

    /// The area between the axes, with `right` units left free beside it.
    pub(super) fn area(&self, right: f64) -> Area {
        self.layout.area(self.page.width, self.page.height, right)
    }

    /// Writes the title above an area, and a note at its right end.
    pub(super) fn title(&mut self, area: Area, title: &str, note: &str) {
        let y = self.px(TOP - 20.0);
        // A note is less than a title.
        let fits = |note: &&str| text::width(note, self.px(TICK)) < 0.6 * f64::from(area.width);
        let note = Some(note).filter(fits).unwrap_or_default();
        let note_width = text::width(note, self.px(TICK));
        let end = if note.is_empty() { area.right() } else { area.right() - note_width - self.px(PADDING) };
        let title = text::fit(&self.shown(title), self.px(TITLE), end - f64::from(area.x));
        self.text(&title, (f64::from(area.x), y), TITLE, Align::Start, INK);
        self.text(note, (area.right(), y), TICK, Align::End, FAINT_INK);
    }

    /// Writes a name right above an area.
    pub(super) fn name(&mut self, area: Area, name: &str) {
        let name = text::fit(&self.shown(name), self.px(NAME), f64::from(area.width));
        let at = (f64::from(area.x), f64::from(area.y) - self.px(7.0));
        self.text(&name, at, NAME, Align::Start, INK);
    }

    /// Fills an area with brightness, which has a value for each pixel, and frames it.
    pub(super) fn heat_map(&mut self, area: Area, brightness: &Array2<f32>) {
        debug_assert_eq!(brightness.dim(), (area.height as usize, area.width as usize), "pixels");
        let last = f32::from(color::LEVELS - 1);
        let pixels = brightness.iter().map(|b| (b * last).round() as u8).collect();
        let colors = self.colors.table();
        let Area { x, y, width, height } = area;
        self.page.marks.push(Mark::Image { x, y, width, height, pixels, colors });
        self.frame(area);
    }

    /// A thin line around an area.
    pub(super) fn frame(&mut self, area: Area) {
        if !self.layout.is_labeled {
            return;
        }
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
        let is_labeled = self.layout.is_labeled;
        for tick in axis.ticks.iter().filter(|_| is_labeled) {
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
        let is_labeled = self.layout.is_labeled;
        for tick in ticks.iter().filter(|_| is_labeled) {
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

    /// Frequencies left of an area.
    pub(super) fn frequency_axis(&mut self, area: Area, axis: &FrequencyAxis) {
        self.left_ticks(area, &ticks::frequency(axis, f64::from(area.height), self.px(30.0)));
    }

    /// Times under an area that begins at one.
    pub(super) fn time_ticks(&self, area: Area, start_s: f64, duration_s: f64) -> Ticks {
        // "1:02:03" is longer than "12.5", and "1:02:03.5" longer still.
        let label = match start_s + duration_s {
            end_s if end_s < 60.0 => 70.0,
            _ if duration_s < 10.0 => 150.0,
            _ => 110.0,
        };
        ticks::time(start_s, duration_s, self.n_labels(area.width, label))
    }

    /// Explains colors in dB.
    pub(super) fn decibel_bar(&mut self, area: Area, range_db: f64, title: &str) {
        let ticks = ticks::decibel(range_db, self.n_labels(area.height, 64.0));
        self.color_bar(area, &ticks, title);
    }

    /// Names colors in a row above an area; those that do not fit are counted.
    pub(super) fn legend(&mut self, area: Area, names: &[(&str, Rgb)]) {
        if !self.layout.is_labeled {
            return;
        }
        let (side, gap, y) = (self.px(14.0), self.px(8.0), f64::from(area.y) - self.px(11.0));
        let rest = |n: usize| format!("and {n} more");
        let mut x = f64::from(area.x);
        for (i, (name, color)) in names.iter().enumerate() {
            let name = text::fit(&text::clean(name), self.px(TICK), 0.25 * f64::from(area.width));
            let width = side + gap + text::width(&name, self.px(TICK)) + 2.5 * gap;
            let is_last = i + 1 == names.len();
            let kept = if is_last { 0.0 } else { text::width(&rest(names.len()), self.px(TICK)) };
            if x + width + kept > area.right() {
                self.text(&rest(names.len() - i), (x, y), TICK, Align::Start, FAINT_INK);
                return;
            }
            self.rect((x, y - side, side, side), *color);
            self.outline((x, y - side, side, side), self.line(), INK);
            self.text(&name, (x + side + gap, y), TICK, Align::Start, INK);
            x += width;
        }
    }

    /// A box that can be seen on any color: x, y, width, height.
    pub(super) fn cased_outline(&mut self, (x, y, width, height): (f64, f64, f64, f64), color: Rgb) {
        let line = self.line();
        self.outline((x - line, y - line, width + 2.0 * line, height + 2.0 * line), line, CASING);
        self.outline((x, y, width, height), line, color);
    }

    /// Explains the colors, right of an area: from dark at the bottom to bright.
    pub(super) fn color_bar(&mut self, area: Area, ticks: &[Tick], title: &str) {
        if !self.layout.is_labeled {
            return;
        }
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
        let label = text::fit(&self.shown(label), self.px(NAME), self.px(max_units));
        self.text(&label, (x, y + 0.5 * text::CAP_HEIGHT * self.px(NAME)), NAME, Align::Start, color);
    }

    /// A label in the color of what it names, its middle at `x`, cut to a number of pixels.
    pub(super) fn top_label(&mut self, label: &str, (x, y): (f64, f64), max_width: f64, color: Rgb) {
        let label = text::fit(&self.shown(label), self.px(TICK), max_width);
        self.text(&label, (x, y), TICK, Align::Middle, color);
    }

    pub(super) fn curve(&mut self, points: Vec<(f64, f64)>, units: f64, color: Rgb) {
        self.page.marks.push(Mark::Curve { points, width: self.px(units), color });
    }

    /// What lies between two curves that have a value for each pixel from `x` on: top and bottom.
    pub(super) fn band(&mut self, x: u32, spans: Vec<(f64, f64)>, color: Rgb) {
        self.page.marks.push(Mark::Band { x, spans, color });
    }

    fn outline(&mut self, (x, y, width, height): (f64, f64, f64, f64), line: f64, color: Rgb) {
        self.page.marks.push(Mark::Outline { x, y, width, height, line, color });
    }

    /// A filled rectangle: x, y, width, height.
    pub(super) fn rect(&mut self, (x, y, width, height): (f64, f64, f64, f64), color: Rgb) {
        self.page.marks.push(Mark::Rect { x, y, width, height, color });
    }

    /// A text as it can be drawn: an SVG leaves the fonts to whoever shows it.
    fn shown(&self, text: &str) -> String {
        match self.format {
            Format::Png => text::drawable(&text::clean(text)),
            Format::Svg => text::clean(text),
        }
    }

    fn text(&mut self, text: &str, (x, y): (f64, f64), units: f64, align: Align, color: Rgb) {
        if self.layout.is_labeled && !text.is_empty() {
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
        if !self.layout.is_labeled {
            return;
        }
        let (size, direction, align) = (self.px(LABEL), Direction::Up, Align::Middle);
        self.page.marks.push(Mark::Text { text: text.into(), x, y, size, align, direction, color: INK });
    }

    /// Width of a thin line.
    fn line(&self) -> f64 {
        self.layout.unit.round().max(1.0)
    }

    fn tick_length(&self, tick: &Tick) -> f64 {
        self.px(if tick.label.is_empty() { 4.0 } else { 7.0 })
    }
}
