//! Pictures of spectrograms and of factorizations, as PNG or SVG.
//! What is shown is made by [`crate::spectrogram`]; here it gets colors, axes and a file.

use std::path::Path;

use ndarray::{Array2, ArrayView2};

use crate::spectrogram::{Cell, FrequencyAxis, Level};
use crate::{Error, Result, StftConfig};
use layout::COLOR_BAR;
use sheet::Sheet;
use ticks::Ticks;

mod color;
mod config;
mod consensus;
mod fallback;
mod layout;
mod page;
mod panels;
mod sheet;
mod text;
mod ticks;

pub use color::ColorMap;
pub use config::PlotConfig;
pub use consensus::{Stability, connectivity, stability};
pub use panels::{Panel, draw, masks, panels, spectrogram};

/// Components that make one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The source's name.
    pub name: String,
    /// Its components, counted from 0.
    pub components: Vec<usize>,
}

/// What the rows of a dictionary are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Bins of a transform; the picture shows dB.
    Frequency {
        /// The transform.
        config: StftConfig,
        /// Hz.
        sample_rate: u32,
    },
    /// Rows of any matrix, counted from 0 at the top; the picture shows shares of each column's peak.
    Index,
}

/// What the columns of activations are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Frames of a transform.
    Time {
        /// The transform.
        config: StftConfig,
        /// Hz.
        sample_rate: u32,
    },
    /// Columns of any matrix, counted from 0.
    Index,
}

/// The letters of a text, each once, for which neither the program nor the system has a font, or which cannot be set one
/// after the other. A PNG shows them as escapes (`\u{97f3}`); an SVG keeps them.
pub fn letters_without_font(text: &str) -> String {
    text::undrawable(text)
}

/// Draws the templates of a dictionary (W, rows x components) side by side, each relative to its own peak, sources
/// together where `groups` says so.
///
/// # Errors
/// Those of [`spectrogram`], [`Error::MatrixShape`] if the rows are not the transform's bins, and [`Error::Setting`] for
/// a group with a component that does not exist.
pub fn dictionary(
    dictionary: ArrayView2<'_, f32>,
    rows: Rows,
    groups: &[Group],
    config: &PlotConfig,
    path: &Path,
) -> Result<()> {
    let mut sheet = Sheet::new(config, path)?;
    let full = sheet.area(COLOR_BAR);
    let area = if groups.is_empty() { full } else { full.lowered(sheet.px(GROUP_NAMES)) };
    let order = order(dictionary.ncols(), groups)?;
    let n_rows = area.height as usize;
    let (cells, decibel) = match rows {
        Rows::Frequency { config: transform, sample_rate } => {
            if dictionary.nrows() != transform.n_bins() {
                let expected = (transform.n_bins(), dictionary.ncols());
                return Err(Error::MatrixShape { what: "the dictionary", got: dictionary.dim(), expected });
            }
            let axis = FrequencyAxis::new(config.scale, &transform, sample_rate, config.min_hz, config.max_hz)?;
            sheet.frequency_axis(area, &axis);
            sheet.left_title(area, "frequency (Hz)");
            (axis.rows(transform.bin_hz(1, sample_rate), n_rows), true)
        }
        Rows::Index => {
            let mut ticks = ticks::items(dictionary.nrows(), 0, sheet.n_labels(area.height, 40.0));
            // Row 0 is at the top, as in a printed matrix.
            ticks.iter_mut().for_each(|tick| tick.at = 1.0 - tick.at);
            sheet.left_ticks(area, &ticks);
            sheet.left_title(area, "row");
            let cells = Cell::evenly(0.0, dictionary.nrows() as f64, n_rows);
            (cells.into_iter().map(Cell::whole).collect(), false)
        }
    };

    let mut brightness = Array2::zeros((n_rows, area.width as usize));
    let slots = slots(&order, area.width, sheet.px(1.0));
    for (item, (start, end)) in order.iter().zip(&slots) {
        let template = dictionary.column(item.component);
        let peak = template.iter().copied().fold(0.0, f32::max);
        let (values, level): (Vec<f32>, _) = if decibel {
            (template.iter().map(|x| (x / peak).powi(2)).collect(), config.level(f32::from(peak > 0.0))?)
        } else {
            (template.iter().map(|x| x / peak).collect(), Level::Linear)
        };
        for (row, cell) in cells.iter().enumerate() {
            let value = cell.brightness(&values, level);
            (*start..*end).for_each(|x| brightness[[row, x]] = value);
        }
    }
    sheet.title(full, &config.title, &count("component", order.len()));
    sheet.heat_map(area, &brightness);
    let (y, height) = (f64::from(area.y), f64::from(area.height));
    for ((_, end), (next, _)) in slots.iter().zip(slots.iter().skip(1)).filter(|((_, end), (next, _))| end < next) {
        sheet.rect((f64::from(area.x) + *end as f64, y, (next - end) as f64, height), PAPER);
    }
    if decibel {
        sheet.decibel_bar(area, config.range_db, "dB, relative to each peak");
    } else {
        let ticks = ticks::unit(sheet.n_labels(area.height, 60.0).min(5));
        sheet.color_bar(area, &ticks, "share of each peak");
    }
    let labels = component_labels(&order, sheet.n_labels(area.width, 44.0));
    sheet.bottom_axis(area, &Ticks { ticks: labels, title: "component".into() });
    for (i, group) in groups.iter().enumerate() {
        if let Some((start, end)) = span(&order, &slots, i) {
            let (x, width) = (f64::from(area.x) + start as f64, (end - start) as f64);
            let y = f64::from(area.y) - sheet.px(10.0);
            sheet.rect((x, y, width, sheet.px(6.0)), color::source(i));
            sheet.top_label(&group.name, (x + 0.5 * width, y - sheet.px(6.0)), width, color::source(i));
        }
    }
    sheet.finish(path)
}

/// Draws activations (H, components x columns) one above the other, each relative to its own peak, sources together and
/// in one color where `groups` says so. More components than fit are left out, and the picture says so.
///
/// # Errors
/// Those of [`dictionary`].
pub fn activations(
    activations: ArrayView2<'_, f32>,
    columns: Columns,
    groups: &[Group],
    config: &PlotConfig,
    path: &Path,
) -> Result<()> {
    let mut sheet = Sheet::new(config, path)?;
    let area = sheet.area(if groups.is_empty() { PLAIN_RIGHT } else { GROUP_RIGHT });
    let mut order = order(activations.nrows(), groups)?;
    let n_components = order.len();
    order.truncate(area.height as usize / LEAST_HILL);
    let note = if order.len() < n_components {
        format!("the first {} of {n_components} components, each to its own peak", order.len())
    } else {
        format!("{}, each to its own peak", count("component", n_components))
    };
    sheet.title(area, &config.title, &note);

    let n_columns = activations.ncols();
    let bottom = match columns {
        Columns::Time { config: transform, sample_rate } => {
            let duration_s = transform.frame_s(n_columns.saturating_sub(1).max(1), sample_rate);
            sheet.time_ticks(area, config.start_s, duration_s)
        }
        Columns::Index => {
            let ticks = ticks::items(n_columns, 0, sheet.n_labels(area.width, 80.0));
            Ticks { ticks, title: "column".into() }
        }
    };
    sheet.grid_lines(area, &[], &bottom.ticks);
    sheet.bottom_axis(area, &bottom);
    sheet.left_title(area, "component");
    let mut labels = component_labels(&order, sheet.n_labels(area.height, 24.0));
    labels.iter_mut().for_each(|tick| tick.at = 1.0 - tick.at);
    sheet.left_ticks(area, &labels);

    let (end, width) = (n_columns as f64, area.width as usize);
    let cells: Vec<Cell> = match columns {
        // From the center of the first frame to that of the last, as the time axis.
        Columns::Time { .. } => Cell::evenly(0.5, (end - 0.5).max(0.5), width),
        Columns::Index => Cell::evenly(0.0, end, width).into_iter().map(Cell::whole).collect(),
    };
    let slots = slots(&order, area.height, sheet.px(1.0));
    for (item, (start, end)) in order.iter().zip(&slots) {
        let values = activations.row(item.component).to_vec();
        let peak = values.iter().copied().fold(0.0, f32::max);
        let (base, height) = (f64::from(area.y) + *end as f64, (end - start) as f64);
        let top = |cell: &Cell| base - height * f64::from(Level::Linear.brightness(cell.largest(&values) / peak));
        let hill = cells.iter().map(|cell| (top(cell), base)).collect();
        let color = color::source(item.group.unwrap_or(groups.len()));
        sheet.band(area.x, hill, color);
        sheet.rect((f64::from(area.x), base - 1.0, f64::from(area.width), 1.0), color);
    }
    for (i, group) in groups.iter().enumerate() {
        if let Some((start, end)) = span(&order, &slots, i) {
            let (y, height) = (f64::from(area.y) + start as f64, (end - start) as f64);
            let x = area.right() + sheet.px(8.0);
            sheet.rect((x, y, sheet.px(6.0), height), color::source(i));
            let at = (x + sheet.px(16.0), y + 0.5 * height);
            sheet.side_label(&group.name, at, GROUP_RIGHT - 24.0, color::source(i));
        }
    }
    sheet.frame(area);
    sheet.finish(path)
}

/// Draws how the divergence fell, (iteration, divergence) by (iteration, divergence), on a logarithmic axis. What has
/// no place on it is left out: 0, and what lies 30 decades below the highest.
///
/// # Errors
/// Those of [`spectrogram`].
pub fn divergence(curve: &[(usize, f64)], config: &PlotConfig, path: &Path) -> Result<()> {
    let mut sheet = Sheet::new(config, path)?;
    let area = sheet.area(PLAIN_RIGHT);
    let is_drawable = |(_, divergence): &&(usize, f64)| *divergence > 0.0 && *divergence < HIGHEST_DIVERGENCE;
    let highest = curve.iter().filter(is_drawable).map(|(_, divergence)| *divergence).fold(0.0, f64::max);
    let shown: Vec<(f64, f64)> = curve
        .iter()
        .filter(is_drawable)
        .filter(|(_, divergence)| *divergence > DIVERGENCE_RANGE * highest)
        .map(|(iteration, divergence)| (*iteration as f64, *divergence))
        .collect();
    let last = shown.iter().map(|(iteration, _)| *iteration).fold(1.0, f64::max);
    let lowest = shown.iter().map(|(_, divergence)| *divergence).fold(f64::INFINITY, f64::min);
    let (lowest, highest) = if shown.is_empty() { (1.0, 10.0) } else { (lowest, highest) };
    // Some air above and below the curve, also where it is flat.
    let air = (highest / lowest).powf(0.05).max(1.02);
    let (min, max) = (lowest / air, highest * air);

    let note = match shown.last() {
        Some((iteration, divergence)) => format!("{divergence:.4e} after {}", count("iteration", *iteration as usize)),
        None => "no divergence above 0".into(),
    };
    sheet.title(area, &config.title, &note);
    let left = ticks::logarithmic(min, max, sheet.n_labels(area.height, 70.0));
    let bottom = ticks::iterations(last, sheet.n_labels(area.width, 110.0));
    sheet.grid_lines(area, &left, &bottom);
    sheet.left_ticks(area, &left);
    sheet.left_title(area, "divergence");
    sheet.bottom_axis(area, &Ticks { ticks: bottom, title: "iteration".into() });
    let place = |(iteration, divergence): (f64, f64)| {
        (area.across(iteration / last), area.up((divergence / min).ln() / (max / min).ln()))
    };
    sheet.curve(shown.into_iter().map(place).collect(), 3.0, color::source(0));
    sheet.frame(area);
    sheet.finish(path)
}

/// What is drawn of divergences, relative to the highest: more than any fit in f32 falls.
const DIVERGENCE_RANGE: f64 = 1e-30;
/// Leaves room in f64 for the air above a curve.
const HIGHEST_DIVERGENCE: f64 = 1e300;
/// White, as the page.
const PAPER: [u8; 3] = [0xff; 3];
/// Room for the names of groups above a dictionary, in units.
const GROUP_NAMES: f64 = 30.0;
/// Room for the names of groups beside activations, in units.
const GROUP_RIGHT: f64 = 160.0;
/// Room beside a chart without anything there, in units.
const PLAIN_RIGHT: f64 = 16.0;
/// Pixels that one component's activations need at least.
const LEAST_HILL: usize = 3;

/// "1 component", "2 components".
fn count(noun: &str, n: usize) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A component and the group it belongs to.
struct Item {
    component: usize,
    group: Option<usize>,
}

/// All components, those of each group together, then those of none.
fn order(n_components: usize, groups: &[Group]) -> Result<Vec<Item>> {
    let mut is_placed = vec![false; n_components];
    let mut order = Vec::with_capacity(n_components);
    for (i, group) in groups.iter().enumerate() {
        for &component in &group.components {
            match is_placed.get_mut(component) {
                Some(placed) if !*placed => *placed = true,
                _ => {
                    return Err(Error::Setting {
                        name: "groups",
                        got: format!("component {component} in `{}`", group.name),
                        expected: format!("each of the components 0 to {} once", n_components.saturating_sub(1)),
                        advice: None,
                    });
                }
            }
            order.push(Item { component, group: Some(i) });
        }
    }
    let left = (0..n_components).filter(|component| !is_placed[*component]);
    order.extend(left.map(|component| Item { component, group: None }));
    Ok(order)
}

/// The pixels of each item, from start to end: equal shares of `length`, apart where there is room, and further apart
/// between groups.
fn slots(order: &[Item], length: u32, unit: f64) -> Vec<(usize, usize)> {
    let (length, n) = (length as usize, order.len().max(1));
    let share = length as f64 / n as f64;
    let gap = |i: usize| match order.get(i + 1) {
        Some(next) if share >= 4.0 * unit && next.group != order[i].group => (0.3 * share).min(5.0 * unit) as usize,
        Some(_) if share >= 8.0 * unit => (1.5 * unit).round() as usize,
        _ => 0,
    };
    (0..order.len())
        .map(|i| (i * length / n, ((i + 1) * length / n)))
        .enumerate()
        .map(|(i, (start, end))| (start, end.saturating_sub(gap(i)).max(start)))
        .collect()
}

/// The pixels of a group, which lie together.
fn span(order: &[Item], slots: &[(usize, usize)], group_idx: usize) -> Option<(usize, usize)> {
    let of_group = |item: &Item| item.group == Some(group_idx);
    let (first, last) = (order.iter().position(of_group)?, order.iter().rposition(of_group)?);
    Some((slots.get(first)?.0, slots.get(last)?.1))
}

/// Numbers of components, counted from 1, in the order that they are drawn in.
fn component_labels(order: &[Item], max_labels: usize) -> Vec<ticks::Tick> {
    let labels = ticks::items(order.len(), 0, max_labels);
    let number = |tick: ticks::Tick| {
        let place = (tick.at * order.len() as f64) as usize;
        let label = order.get(place).map_or(String::new(), |item| (item.component + 1).to_string());
        ticks::Tick { label, ..tick }
    };
    labels.into_iter().map(number).collect()
}
