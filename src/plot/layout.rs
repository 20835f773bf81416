//! Where the parts of a chart lie on its page. Sizes are in units, which grow with the page.
//! Draws nothing.

/// Gaps in units.
pub(super) const PADDING: f64 = 22.0;
const LEFT: f64 = 104.0;
const BOTTOM: f64 = 76.0;
pub(super) const TOP: f64 = 62.0;
pub(super) const BAR_GAP: f64 = 24.0;
pub(super) const BAR_WIDTH: f64 = 22.0;
/// Units that a color bar needs on the right.
pub(super) const COLOR_BAR: f64 = BAR_GAP + BAR_WIDTH + 74.0;

/// From this width and height on, in pixels, there is room for labels.
const LABELED: f64 = 320.0;

/// How large units are, and whether there are labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Layout {
    /// Pixels per unit: 1 on 1600 x 900.
    pub(super) unit: f64,
    pub(super) is_labeled: bool,
}

impl Layout {
    /// That of a page. Letters grow with it, but leave room for the picture where one side is short.
    pub(super) fn of(width: u32, height: u32) -> Self {
        let (width, height) = (f64::from(width), f64::from(height));
        let even = (width * height / (1600.0 * 900.0)).sqrt();
        let unit = even.min(height / 720.0).min(width / 800.0).max(0.5);
        Self { unit, is_labeled: width.min(height) >= LABELED }
    }

    /// The area between the axes, with `right` units left free beside it; without labels, the page.
    pub(super) fn area(&self, width: u32, height: u32, right: f64) -> Area {
        if !self.is_labeled {
            return Area { x: 0, y: 0, width, height };
        }
        let [left, right, top, bottom] =
            [LEFT, right + PADDING, TOP, BOTTOM].map(|units| (units * self.unit).round() as u32);
        Area {
            x: left,
            y: top,
            width: width.saturating_sub(left + right).max(16),
            height: height.saturating_sub(top + bottom).max(16),
        }
    }
}

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
