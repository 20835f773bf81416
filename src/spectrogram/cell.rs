//! Cells of a picture over lists of values, and how bright a value is.
//! Knows neither time nor frequency.

use ndarray::ArrayView2;

/// How a value becomes a brightness from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Level {
    /// Values are power; brightness 1 is `peak`, and 0 is `range_db` below it. Without a peak all is dark.
    Decibel {
        /// The power at 0 dB.
        peak: f32,
        /// dB from bright to dark, above 0.
        range_db: f32,
    },
    /// Values are their own brightness.
    Linear,
}

impl Level {
    /// The brightness of a value: 0 to 1, and 0 for NaN.
    pub fn brightness(self, value: f32) -> f32 {
        let brightness = match self {
            Self::Decibel { peak, .. } if peak <= 0.0 => 0.0,
            Self::Decibel { peak, range_db } => 1.0 + 10.0 * (value / peak).log10() / range_db,
            Self::Linear => value,
        };
        if brightness.is_nan() { 0.0 } else { brightness.clamp(0.0, 1.0) }
    }
}

/// A cell of a picture, as the span that it covers of a list: value `i` reaches from `i` to `i + 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) start: f64,
    pub(crate) end: f64,
}

impl Cell {
    /// `n_cells` cells evenly from one place of a list to another.
    pub(crate) fn evenly(start: f64, end: f64, n_cells: usize) -> Vec<Self> {
        let edge = |i: usize| start + (end - start) * i as f64 / n_cells as f64;
        (0..n_cells).map(|i| Self { start: edge(i), end: edge(i + 1) }).collect()
    }

    /// Grown to the whole value around its center if it covers less than one, so that nothing is interpolated.
    pub(crate) fn whole(self) -> Self {
        let value = (0.5 * (self.start + self.end)).floor();
        if self.is_wide() { self } else { Self { start: value, end: value + 1.0 } }
    }

    /// The largest of the values that it covers by half or more, so that each value counts in some cell; where it
    /// covers less than one, interpolated. 0 for no values.
    pub(crate) fn largest(&self, values: &[f32]) -> f32 {
        // A little less than half, because cells are rounded.
        let in_cell = self.covered(values.len()).filter(|(_, share)| *share > 0.499);
        let largest = in_cell.filter_map(|(i, _)| values.get(i)).copied().reduce(f32::max);
        match largest {
            Some(largest) if self.is_wide() => largest,
            _ => self.interpolated(|i| values.get(i).copied().unwrap_or(0.0), values.len()),
        }
    }

    /// Whether it covers a whole value, so that values are pooled rather than interpolated.
    pub(crate) fn is_wide(&self) -> bool {
        self.end - self.start >= 1.0
    }

    /// The values it covers, each with the covered share; at least one if there are any.
    pub(crate) fn covered(&self, n_values: usize) -> impl Iterator<Item = (usize, f32)> + use<> {
        let end = self.end.min(n_values as f64);
        let start = self.start.clamp(0.0, (end - 1.0).max(0.0));
        (start as usize..(end.ceil() as usize).min(n_values))
            .map(move |i| (i, ((i as f64 + 1.0).min(end) - (i as f64).max(start)).max(0.0) as f32))
    }

    /// The two values whose centers the cell's center lies between, and how far it is from the first to the second.
    pub(crate) fn neighbors(&self, n_values: usize) -> (usize, usize, f32) {
        let last = n_values.saturating_sub(1);
        let center = (0.5 * (self.start + self.end) - 0.5).clamp(0.0, last as f64);
        (center as usize, (center as usize + 1).min(last), center.fract() as f32)
    }

    /// The brightness of the cell over a list of values: interpolated, or where it covers several that of the largest
    /// power, so that a tone among many bins stays as bright as it is, and otherwise that of the mean.
    pub(crate) fn brightness(&self, values: &[f32], level: Level) -> f32 {
        match level {
            _ if !self.is_wide() => {
                let at = |i: usize| values.get(i).map_or(0.0, |value| level.brightness(*value));
                self.interpolated(at, values.len())
            }
            Level::Decibel { .. } => level.brightness(self.largest(values)),
            Level::Linear => {
                let (sum, total) = self
                    .covered(values.len())
                    .filter_map(|(i, share)| values.get(i).map(|value| (share * value, share)))
                    .fold((0.0, 0.0), |(sum, total), (value, share)| (sum + value, total + share));
                level.brightness(sum / total)
            }
        }
    }

    /// The brightness, dark where all of the cell lies outside of the list.
    pub(super) fn brightness_within(&self, values: &[f32], level: Level) -> f32 {
        if self.start < values.len() as f64 && self.end > 0.0 { self.brightness(values, level) } else { 0.0 }
    }

    fn interpolated(&self, at: impl Fn(usize) -> f32, n_values: usize) -> f32 {
        let (i, next, fraction) = self.neighbors(n_values);
        at(i) + fraction * (at(next) - at(i))
    }

    /// The mean over the rows it covers.
    pub(super) fn mean_row(&self, rows: ArrayView2<'_, f32>) -> Vec<f32> {
        let mut mean = vec![0.0; rows.ncols()];
        let total: f32 = self.covered(rows.nrows()).map(|(_, share)| share).sum();
        for (i, share) in self.covered(rows.nrows()) {
            mean.iter_mut().zip(rows.row(i)).for_each(|(sum, x)| *sum += share / total * x);
        }
        mean
    }

    /// Interpolates between two lists.
    pub(super) fn between(&self, lists: &[Vec<f32>]) -> Vec<f32> {
        let (i, next, fraction) = self.neighbors(lists.len());
        match (lists.get(i), lists.get(next)) {
            (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| a + fraction * (b - a)).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_is_decibels_below_the_peak() {
        let level = Level::Decibel { peak: 4.0, range_db: 80.0 };
        for (power, expected) in [(4.0, 1.0), (4e-4, 0.5), (4e-8, 0.0), (0.0, 0.0), (8.0, 1.0), (f32::NAN, 0.0)] {
            assert!((level.brightness(power) - expected).abs() < 1e-6, "{power}: {}", level.brightness(power));
        }
        assert_eq!(Level::Decibel { peak: 0.0, range_db: 80.0 }.brightness(0.0), 0.0, "silence is dark");
    }
}
