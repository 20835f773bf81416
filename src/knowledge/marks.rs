//! What a person marked on a spectrogram: which source a place belongs to, or does not, and where one plays alone.
//! In seconds and Hz, never in pixels, bins or frames. Knows no sound and no files.

use serde::{Deserialize, Serialize};

/// Marks, and the sources that they are about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    /// The sources, in the order of their stems.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
    /// Painted places, the later over the earlier.
    #[serde(default, rename = "stroke", skip_serializing_if = "Vec::is_empty")]
    pub strokes: Vec<Stroke>,
    /// Times at which one source plays alone.
    #[serde(default, rename = "range", skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Alone>,
    /// Components that were given to a source by ear.
    #[serde(default, rename = "name", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Named>,
}

/// A source, and how it is shown and played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What marks call it; it stays when the name changes.
    pub id: u32,
    /// The name of its stem.
    pub name: String,
    /// Components that make it up.
    pub n_components: usize,
    /// Number of its color in the page's palette.
    #[serde(default)]
    pub color: u32,
    /// How loud it is played, in dB; stems are not changed by it.
    #[serde(default)]
    pub gain_db: f64,
    /// Whether it is not played.
    #[serde(default)]
    pub mute: bool,
    /// Whether it is played, and with it only others that are solo.
    #[serde(default)]
    pub solo: bool,
}

/// A painted place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stroke {
    /// Its number, once in the document.
    pub id: u32,
    /// The source that it is about.
    pub source: u32,
    /// What it says.
    pub effect: Effect,
    /// Where it is.
    #[serde(flatten)]
    pub shape: Shape,
}

/// What a stroke says of the place that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// All that is there is of this source.
    Is,
    /// Nothing that is there is of this source.
    IsNot,
    /// What earlier strokes of this source said there does not count.
    Erase,
}

/// The place that a stroke covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
pub enum Shape {
    /// A rectangle.
    Box {
        /// From and to, in seconds.
        t: [f64; 2],
        /// From and to, in Hz.
        hz: [f64; 2],
    },
    /// What a brush covers on its way through these points, (seconds, Hz), straight from one to the next where pitch is
    /// linear.
    Brush {
        /// The way.
        points: Vec<[f64; 2]>,
        /// Width of the brush in time, in seconds.
        width_s: f64,
        /// Width of the brush in pitch, in semitones.
        width_semitones: f64,
    },
    /// What a brush covers, and the same at whole multiples of its frequencies.
    Harmonic {
        /// The way of the fundamental frequency.
        points: Vec<[f64; 2]>,
        /// Width of the brush in time, in seconds.
        width_s: f64,
        /// Width of the brush in pitch, in semitones.
        width_semitones: f64,
        /// Harmonics, with the fundamental.
        n_harmonics: u32,
    },
}

/// A time at which a source plays alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alone {
    /// Its number, once in the document.
    pub id: u32,
    /// The source.
    pub source: u32,
    /// From and to, in seconds.
    pub t: [f64; 2],
}

/// A component that was given to a source by ear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its number, from 0.
    pub component: usize,
    /// The source.
    pub source: u32,
}
