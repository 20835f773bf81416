//! Pictures of what many fits have in common: how often samples go together, and how that changes with the number of
//! components.

use std::path::Path;

use ndarray::{Array2, ArrayView2};

use super::color;
use super::config::PlotConfig;
use super::layout::COLOR_BAR;
use super::sheet::Sheet;
use super::ticks::{self, Tick, Ticks};
use crate::Result;

/// Room beside the curves without anything there, in units.
const RIGHT: f64 = 16.0;
/// Room above the curves for their names, in units.
const NAMES: f64 = 30.0;

/// How well one number of components does, for [`stability`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stability {
    /// Number of components.
    pub n_components: usize,
    /// Mean silhouette of the components of all runs.
    pub stability: f64,
    /// Cophenetic correlation of how often samples go together.
    pub cophenetic: f64,
    /// Dispersion of the same.
    pub dispersion: f64,
    /// Divergence of the consensus.
    pub error: f64,
}

/// What of a point is drawn.
type Value = fn(&Stability) -> f64;

/// Draws how often samples go together, from 0 to 1, in the order given.
///
/// # Errors
/// Those of [`spectrogram`](super::spectrogram).
pub fn connectivity(shares: ArrayView2<'_, f32>, config: &PlotConfig, path: &Path) -> Result<()> {
    let mut sheet = Sheet::new(config, path)?;
    let area = sheet.area(COLOR_BAR);
    let n = shares.nrows();
    sheet.title(area, &config.title, &format!("{n} samples, in the order of a tree"));
    let (height, width) = (area.height as usize, area.width as usize);
    let place = |pixel: usize, length: usize| (pixel * n / length.max(1)).min(n.saturating_sub(1));
    let at = |(y, x)| if n == 0 { 0.0 } else { shares[(place(y, height), place(x, width))] };
    sheet.heat_map(area, &Array2::from_shape_fn((height, width), at));
    let bar = ticks::unit(sheet.n_labels(area.height, 60.0).min(5));
    sheet.color_bar(area, &bar, "share of the runs in which two go together");
    let mut left = ticks::items(n, 0, sheet.n_labels(area.height, 40.0));
    left.iter_mut().for_each(|tick| tick.at = 1.0 - tick.at);
    sheet.left_ticks(area, &left);
    sheet.left_title(area, "place");
    let bottom = ticks::items(n, 0, sheet.n_labels(area.width, 80.0));
    sheet.bottom_axis(area, &Ticks { ticks: bottom, title: "place".into() });
    sheet.finish(path)
}

/// Draws stability and error against the number of components; errors are relative to the largest.
///
/// # Errors
/// Those of [`spectrogram`](super::spectrogram).
pub fn stability(curve: &[Stability], config: &PlotConfig, path: &Path) -> Result<()> {
    let mut sheet = Sheet::new(config, path)?;
    let full = sheet.area(RIGHT);
    let area = full.lowered(sheet.px(NAMES));
    let numbers = || curve.iter().map(|point| point.n_components);
    let (first, last) = (numbers().min().unwrap_or(1), numbers().max().unwrap_or(1));
    // Half a step of air on either side.
    let across = |n: usize| (n as f64 - first as f64 + 0.5) / (last - first + 1) as f64;
    let step = (last - first + 1).div_ceil(sheet.n_labels(area.width, 60.0).max(1)).max(1);
    let bottom: Vec<Tick> =
        (first..=last).step_by(step).map(|n| Tick { at: across(n), label: n.to_string() }).collect();
    let left = ticks::unit(sheet.n_labels(area.height, 60.0).min(10));
    sheet.title(full, &config.title, &format!("{first} to {last} components"));
    sheet.grid_lines(area, &left, &bottom);
    sheet.left_ticks(area, &left);
    sheet.bottom_axis(area, &Ticks { ticks: bottom, title: "components".into() });
    let largest = curve.iter().map(|point| point.error).fold(f64::MIN_POSITIVE, f64::max);
    let lines: [(&str, Value, f64); 4] = [
        ("stability", |point| point.stability, 1.0),
        ("cophenetic", |point| point.cophenetic, 1.0),
        ("dispersion", |point| point.dispersion, 1.0),
        ("error, of the largest", |point| point.error, largest),
    ];
    let dot = sheet.px(9.0);
    for (i, (_, of, unit)) in lines.iter().enumerate() {
        let place = |point: &Stability| {
            let value = of(point) / unit;
            (
                area.across(across(point.n_components)),
                area.up(if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 }),
            )
        };
        let points: Vec<_> = curve.iter().map(place).collect();
        for (x, y) in &points {
            sheet.rect((x - 0.5 * dot, y - 0.5 * dot, dot, dot), color::source(i));
        }
        sheet.curve(points, 3.0, color::source(i));
    }
    let names: Vec<_> = lines.iter().enumerate().map(|(i, (name, ..))| (*name, color::source(i))).collect();
    sheet.legend(area, &names);
    sheet.frame(area);
    sheet.finish(path)
}
