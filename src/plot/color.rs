//! Colors of heat maps and of sources.

use super::page::Rgb;

/// Colors from dark or quiet to bright or loud, each perceptually uniform: equal steps look equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorMap {
    /// Black, purple, orange, pale yellow.
    #[default]
    Magma,
    /// Purple, blue, green, yellow.
    Viridis,
    /// Black, red, yellow.
    Inferno,
    /// Blue, pink, yellow.
    Plasma,
    /// Blue, gray, yellow: the same to readers with and without color vision deficiency.
    Cividis,
    /// White to black, for paper.
    Greys,
    /// Black to white.
    Gray,
}

impl ColorMap {
    /// All maps.
    pub const ALL: [Self; 7] =
        [Self::Magma, Self::Viridis, Self::Inferno, Self::Plasma, Self::Cividis, Self::Greys, Self::Gray];

    /// The map's name, as the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Magma => "magma",
            Self::Viridis => "viridis",
            Self::Inferno => "inferno",
            Self::Plasma => "plasma",
            Self::Cividis => "cividis",
            Self::Greys => "greys",
            Self::Gray => "gray",
        }
    }

    /// The color of a brightness from 0 to 1.
    pub fn color(self, brightness: f32) -> [u8; 3] {
        let brightness = f64::from(brightness.clamp(0.0, 1.0));
        let gradient = match self {
            Self::Magma => colorous::MAGMA,
            Self::Viridis => colorous::VIRIDIS,
            Self::Inferno => colorous::INFERNO,
            Self::Plasma => colorous::PLASMA,
            Self::Cividis => colorous::CIVIDIS,
            Self::Greys => colorous::GREYS,
            Self::Gray => return [(255.0 * brightness).round() as u8; 3],
        };
        gradient.eval_continuous(brightness).into_array()
    }

    /// The colors of a heat map: 0.4 dB each where 80 are shown, which is less than is seen, and leaves others to the rest
    /// of a page of 256.
    pub(super) fn table(self) -> Vec<Rgb> {
        let last = f32::from(LEVELS - 1);
        (0..LEVELS).map(|i| self.color(f32::from(i) / last)).collect()
    }
}

/// Colors of a heat map.
pub(super) const LEVELS: u8 = 192;

/// Colors of sources, apart from each other for readers with and without color vision deficiency.
/// P. Tol, "Colour schemes", technical note SRON/EPS/TN/09-002, 2021, figure 1 (bright) without its gray.
const SOURCES: [Rgb; 6] = [
    [0x44, 0x77, 0xaa],
    [0xee, 0x66, 0x77],
    [0x22, 0x88, 0x33],
    [0xcc, 0xbb, 0x44],
    [0x66, 0xcc, 0xee],
    [0xaa, 0x33, 0x77],
];

/// Colors of parts over a heat map of any kind, each in a dark casing.
const OVERLAYS: [Rgb; 6] = [
    [0x66, 0xe0, 0xff],
    [0x8c, 0xe6, 0x5c],
    [0xff, 0xff, 0xff],
    [0xff, 0xa0, 0xc8],
    [0xff, 0xf0, 0x50],
    [0x9c, 0xb4, 0xff],
];

/// The color of a part over a heat map; after the sixth they come again.
pub(super) fn overlay(part_idx: usize) -> Rgb {
    OVERLAYS[part_idx % OVERLAYS.len()]
}

/// The color of a source; after the sixth they come again.
pub(super) fn source(source_idx: usize) -> Rgb {
    SOURCES[source_idx % SOURCES.len()]
}
