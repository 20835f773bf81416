//! What a person marked on a spectrogram: which source a place belongs to, or does not, and where one plays alone.
//! In seconds and Hz, never in pixels, bins or frames. Knows no sound and no files.

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::nmf::MAX_GROUPS;
use crate::{Error, Result, names};

/// Sources at the most: one more than these may be the rest.
pub const MAX_SOURCES: usize = MAX_GROUPS - 1;

/// Components of a source at the most.
pub const MAX_COMPONENTS: usize = 256;

/// Strokes, ranges and named components at the most, of each kind.
pub const MAX_MARKS: usize = 10_000;

/// Points of all strokes at the most.
pub const MAX_POINTS: usize = 1_000_000;

/// Harmonics of a stroke at the most.
pub const MAX_HARMONICS: u32 = 256;

/// Largest brush: a minute, and twenty octaves.
const MAX_WIDTHS: [f64; 2] = [60.0, 240.0];

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

impl Marks {
    /// Refuses marks that cannot be worked with.
    ///
    /// # Errors
    /// [`Error::Project`] for more than the limits of this module, numbers that are infinite or out of range, numbers of
    /// sources, strokes or ranges that are there twice, sources that are not there, and names that no stem can have or that
    /// two sources have.
    pub fn check(&self) -> Result<()> {
        let Self { sources, strokes, ranges, names } = self;
        for (what, n, most) in [
            ("sources", sources.len(), MAX_SOURCES),
            ("strokes", strokes.len(), MAX_MARKS),
            ("ranges", ranges.len(), MAX_MARKS),
            ("named components", names.len(), MAX_MARKS),
            ("points", strokes.iter().map(|stroke| stroke.shape.points().len()).sum(), MAX_POINTS),
        ] {
            if n > most {
                return wrong(format!("there are {n} {what}, expected at most {most}"));
            }
        }
        let (mut ids, mut stems) = (HashSet::new(), HashSet::new());
        for source in sources {
            source.check()?;
            if !ids.insert(source.id) {
                return wrong(format!("two sources have the number {}", source.id));
            }
            if !stems.insert(source.name.as_str()) {
                return wrong(format!("two sources have the name `{}`", source.name));
            }
        }
        let known = |source: u32, what: String| {
            if ids.contains(&source) {
                Ok(())
            } else {
                wrong(format!("{what} is about source {source}, which is not there"))
            }
        };
        let mut marks = HashSet::new();
        for stroke in strokes {
            known(stroke.source, format!("stroke {}", stroke.id))?;
            stroke.shape.check(stroke.id)?;
            if !marks.insert(stroke.id) {
                return wrong(format!("two marks have the number {}", stroke.id));
            }
        }
        for range in ranges {
            known(range.source, format!("range {}", range.id))?;
            if !range.t.iter().all(|t| t.is_finite()) {
                return wrong(format!("range {} has a time that is infinite or no number", range.id));
            }
            if !marks.insert(range.id) {
                return wrong(format!("two marks have the number {}", range.id));
            }
        }
        names.iter().try_for_each(|named| known(named.source, format!("component {}", named.component)))
    }
}

impl Marks {
    /// The times that marks are about, in seconds.
    pub fn times_s(&self) -> Vec<Range<f64>> {
        let of_stroke = |stroke: &Stroke| match &stroke.shape {
            Shape::Box { t, .. } => t[0].min(t[1])..t[0].max(t[1]),
            Shape::Brush { points, width_s, .. } | Shape::Harmonic { points, width_s, .. } => {
                let times = || points.iter().map(|point| point[0]);
                times().fold(f64::INFINITY, f64::min) - width_s / 2.0
                    ..times().fold(-f64::INFINITY, f64::max) + width_s / 2.0
            }
        };
        let of_range = |range: &Alone| range.t[0].min(range.t[1])..range.t[0].max(range.t[1]);
        self.strokes.iter().map(of_stroke).chain(self.ranges.iter().map(of_range)).collect()
    }
}

impl Source {
    fn check(&self) -> Result<()> {
        match names::check(&self.name) {
            Err(Error::SourceName { name, reason }) => {
                return wrong(format!("source {} has the name `{name}`, which no file can have: it {reason}", self.id));
            }
            checked => checked?,
        }
        if !(1..=MAX_COMPONENTS).contains(&self.n_components) {
            let Self { name, n_components, .. } = self;
            return wrong(format!("`{name}` has {n_components} components, expected 1 to {MAX_COMPONENTS}"));
        }
        if !self.gain_db.is_finite() {
            return wrong(format!("the gain of `{}` is {} dB, expected a number", self.name, self.gain_db));
        }
        Ok(())
    }
}

impl Shape {
    /// The points of its way; none of a box.
    fn points(&self) -> &[[f64; 2]] {
        match self {
            Self::Box { .. } => &[],
            Self::Brush { points, .. } | Self::Harmonic { points, .. } => points,
        }
    }

    fn check(&self, id: u32) -> Result<()> {
        let (times_and_hz, widths, n_harmonics) = match self {
            Self::Box { t, hz } => (vec![[t[0], hz[0]], [t[1], hz[1]]], [0.0; 2], 1),
            Self::Brush { points, width_s, width_semitones } => (points.clone(), [*width_s, *width_semitones], 1),
            Self::Harmonic { points, width_s, width_semitones, n_harmonics } => {
                (points.clone(), [*width_s, *width_semitones], *n_harmonics)
            }
        };
        if times_and_hz.is_empty() {
            return wrong(format!("stroke {id} has no point"));
        }
        if !times_and_hz.iter().all(|[t, hz]| t.is_finite() && hz.is_finite() && *hz >= 0.0) {
            return wrong(format!("stroke {id} has a time or a frequency that is no finite number, or is below 0 Hz"));
        }
        if !widths.iter().zip(MAX_WIDTHS).all(|(width, most)| (0.0..=most).contains(width)) {
            let [seconds, semitones] = MAX_WIDTHS;
            return wrong(format!(
                "the brush of stroke {id} is out of range: at most {seconds} s, {semitones} semitones"
            ));
        }
        if !(1..=MAX_HARMONICS).contains(&n_harmonics) {
            return wrong(format!("stroke {id} has {n_harmonics} harmonics, expected 1 to {MAX_HARMONICS}"));
        }
        Ok(())
    }
}

fn wrong(reason: String) -> Result<()> {
    Err(Error::Project { line: None, reason })
}
