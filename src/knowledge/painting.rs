//! Marks, laid on the frames and bins of a transform: who may have which of them.
//! Knows no magnitudes: what the marks are laid on does not matter.

use std::collections::BTreeMap;
use std::ops::Range;

use super::marks::{Effect, Marks, Shape, Stroke};
use crate::nmf::Run;
use crate::stft::StftConfig;
use crate::{Error, Result};

/// Intervals of bins that strokes cover in single frames, at the most: an hour of harmonic strokes, 25 over one another.
const MAX_INTERVALS: usize = 4 << 20;

/// Marks on the frames of a recording.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Painting {
    /// Bins of frames (the columns) that some sources are denied, a bit for each in the order of [`Marks::sources`]; in the
    /// order of frames, then of bins, none over another.
    pub runs: Vec<Run>,
    /// Frames without [`Painting::runs`] in which some sources play alone, in order, none over another.
    pub alone: Vec<Alone>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Frames in which some sources play alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alone {
    /// The frames.
    pub frames: Range<usize>,
    /// The sources, a bit for each.
    pub sources: u64,
}

/// The frames and bins of a recording.
#[derive(Debug, Clone, Copy)]
pub struct Canvas<'a> {
    /// The transform.
    pub stft: &'a StftConfig,
    /// Samples per second, in Hz.
    pub sample_rate: u32,
    /// The time of the first frame, in seconds.
    pub start_s: f64,
    /// Frames of the recording.
    pub n_frames: usize,
}

impl Canvas<'_> {
    /// A time in frames, 0 in the middle of the first.
    fn frame(&self, time_s: f64) -> f64 {
        (time_s - self.start_s) * f64::from(self.sample_rate) / self.stft.hop_length as f64
    }

    /// A frequency in bins.
    fn bin(&self, hz: f64) -> f64 {
        hz * self.stft.n_fft as f64 / f64::from(self.sample_rate)
    }

    /// The frames whose middle lies between two times, or the nearest one; none beyond the recording.
    fn frames(&self, t: [f64; 2]) -> Range<usize> {
        between([self.frame(t[0].min(t[1])), self.frame(t[0].max(t[1]))], self.n_frames)
    }

    /// The bins between two frequencies, or the nearest one.
    fn bins(&self, hz: [f64; 2]) -> Range<usize> {
        between([self.bin(hz[0].min(hz[1])), self.bin(hz[0].max(hz[1]))], self.stft.n_bins())
    }
}

/// The whole numbers from 0 to `n` between two, or the nearest one to their middle; none where both lie beyond.
fn between([from, to]: [f64; 2], n: usize) -> Range<usize> {
    let last = n as f64 - 0.5;
    if n == 0 || to < -0.5 || from > last || from.is_nan() || to.is_nan() {
        return 0..0;
    }
    let (first, end) = (from.ceil().max(0.0), (to.floor() + 1.0).min(n as f64));
    if first < end {
        return first as usize..end as usize;
    }
    let nearest = (0.5 * (from + to)).round().clamp(0.0, (n - 1) as f64) as usize;
    nearest..nearest + 1
}

/// What is said of some bins of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    bins: Range<u32>,
    /// Whose they are; 0: nobody said.
    is: u64,
    /// Whose they are not.
    is_not: u64,
}

impl Painting {
    /// Lays marks on a canvas. Later strokes count over earlier ones, and strokes over ranges.
    ///
    /// # Errors
    /// Those of [`Marks::check`], and [`Error::Project`] where more is painted than can be worked with.
    pub fn of(marks: &Marks, canvas: Canvas<'_>) -> Result<Self> {
        marks.check()?;
        let mut warnings = Vec::new();
        let source_of = |id: u32| marks.sources.iter().position(|source| source.id == id).unwrap_or_default();
        let all = bits(marks.sources.len());
        let mut said: BTreeMap<u32, Vec<Said>> = BTreeMap::new();
        let mut n_intervals = 0;
        for stroke in &marks.strokes {
            let mut covered = intervals(stroke, canvas, MAX_INTERVALS - n_intervals)?;
            n_intervals += covered.len();
            if covered.is_empty() {
                warnings.push(format!("stroke {} lies beyond the recording", stroke.id));
            }
            covered.sort_unstable_by_key(|(frame, bins)| (*frame, bins.start));
            let bit = 1 << source_of(stroke.source);
            for (frame, bins) in covered {
                say(said.entry(frame).or_default(), bins, stroke.effect, bit);
            }
        }
        let mut alone: BTreeMap<usize, u64> = BTreeMap::new();
        let mut edges: Vec<(usize, bool, usize)> = Vec::new();
        for range in &marks.ranges {
            let frames = canvas.frames(range.t);
            if frames.is_empty() {
                warnings.push(format!("range {} lies beyond the recording", range.id));
                continue;
            }
            edges.push((frames.start, true, source_of(range.source)));
            edges.push((frames.end, false, source_of(range.source)));
        }
        edges.sort_unstable();
        let mut counts = vec![0usize; marks.sources.len()];
        for (frame, begins, source) in edges {
            if begins {
                counts[source] += 1
            } else {
                counts[source] -= 1
            }
            let sources = counts.iter().enumerate().filter(|(_, n)| **n > 0).fold(0, |bits, (i, _)| bits | 1 << i);
            alone.insert(frame, sources);
        }
        let mut painting = Self { warnings, ..Self::default() };
        let edges: Vec<_> = alone.into_iter().collect();
        let alone_at = |frame: u32| {
            let next = edges.partition_point(|(first, _)| *first <= frame as usize);
            next.checked_sub(1).map_or(0, |i| edges[i].1)
        };
        let n_bins = canvas.stft.n_bins() as u32;
        let mut painted = Vec::new();
        for (frame, said) in said {
            let alone = alone_at(frame);
            let before = painting.runs.len();
            let elsewhere = if alone == 0 || alone == all { 0 } else { all & !alone };
            let mut next = 0;
            for Said { bins, is, is_not } in said {
                let others = if is == 0 { 0 } else { all & !is };
                let denied = others | is_not;
                let denied = if is == 0 && is_not == 0 { elsewhere } else { denied };
                push(&mut painting.runs, frame, next..bins.start, elsewhere, all);
                push(&mut painting.runs, frame, bins.clone(), denied, all);
                next = bins.end;
            }
            push(&mut painting.runs, frame, next..n_bins, elsewhere, all);
            if painting.runs.len() > before {
                painted.push(frame as usize);
            }
        }
        for pair in edges.windows(2) {
            let (mut start, sources, end) = (pair[0].0, pair[0].1, pair[1].0);
            if sources == 0 || sources == all {
                continue;
            }
            let first = painted.partition_point(|frame| *frame < start);
            for frame in painted[first..].iter().take_while(|frame| **frame < end).chain([&end]) {
                if start < *frame {
                    painting.alone.push(Alone { frames: start..*frame, sources });
                }
                start = frame + 1;
            }
        }
        Ok(painting)
    }

    /// The runs of some frames.
    pub fn runs_of(&self, frames: &Range<usize>) -> &[Run] {
        let before = |frame: usize| self.runs.partition_point(|run| (run.column as usize) < frame);
        &self.runs[before(frames.start)..before(frames.end)]
    }

    /// The frames in which some sources play alone that reach into a range.
    pub fn alone_in(&self, frames: &Range<usize>) -> &[Alone] {
        let first = self.alone.partition_point(|alone| alone.frames.end <= frames.start);
        let end = self.alone.partition_point(|alone| alone.frames.start < frames.end);
        &self.alone[first..end.max(first)]
    }

    /// The frames that say something, in order, none over another.
    pub fn frames(&self) -> Vec<Range<usize>> {
        let mut frames: Vec<Range<usize>> = self.alone.iter().map(|alone| alone.frames.clone()).collect();
        for run in &self.runs {
            let frame = run.column as usize;
            match frames.last_mut().filter(|last| last.contains(&frame) || last.end == frame) {
                Some(last) => last.end = last.end.max(frame + 1),
                None => frames.push(frame..frame + 1),
            }
        }
        frames.sort_unstable_by_key(|frames| frames.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for range in frames {
            match joined.last_mut().filter(|last| last.end >= range.start) {
                Some(last) => last.end = last.end.max(range.end),
                None => joined.push(range),
            }
        }
        joined
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.alone.is_empty()
    }
}

/// One bit for each of so many.
fn bits(n: usize) -> u64 {
    u64::MAX.checked_shr(64 - n.min(64) as u32).unwrap_or(0)
}

/// Adds a run that says something: where everyone is denied, nobody is.
fn push(runs: &mut Vec<Run>, frame: u32, bins: Range<u32>, denied: u64, all: u64) {
    if bins.start >= bins.end || denied == 0 || denied == all {
        return;
    }
    match runs.last_mut() {
        Some(last) if (last.column, last.end, last.denied) == (frame, bins.start, denied) => last.end = bins.end,
        _ => runs.push(Run { column: frame, start: bins.start, end: bins.end, denied }),
    }
}

/// Notes what a stroke says of some bins of a frame.
fn say(said: &mut Vec<Said>, bins: Range<u32>, effect: Effect, bit: u64) {
    let mut pieces = Vec::with_capacity(said.len() + 2);
    let mut next = bins.start;
    let change = |bins: Range<u32>, is: u64, is_not: u64| match effect {
        Effect::Is => Said { bins, is: bit, is_not: is_not & !bit },
        Effect::IsNot => Said { bins, is: is & !bit, is_not: is_not | bit },
        Effect::Erase => Said { bins, is: is & !bit, is_not: is_not & !bit },
    };
    for old in said.drain(..) {
        let inside = old.bins.start.max(bins.start)..old.bins.end.min(bins.end);
        if inside.is_empty() {
            // All that lies before comes first.
            if old.bins.start >= bins.end && next < bins.end {
                pieces.push(change(next..bins.end, 0, 0));
                next = bins.end;
            }
            pieces.push(old);
            continue;
        }
        if old.bins.start < inside.start {
            pieces.push(Said { bins: old.bins.start..inside.start, ..old.clone() });
        }
        if next < inside.start {
            pieces.push(change(next..inside.start, 0, 0));
        }
        pieces.push(change(inside.clone(), old.is, old.is_not));
        next = inside.end;
        if inside.end < old.bins.end {
            pieces.push(Said { bins: inside.end..old.bins.end, ..old });
        }
    }
    if next < bins.end {
        pieces.push(change(next..bins.end, 0, 0));
    }
    *said = pieces;
}

/// The bins that a stroke covers in each frame, at most `most` of them.
fn intervals(stroke: &Stroke, canvas: Canvas<'_>, most: usize) -> Result<Vec<(u32, Range<u32>)>> {
    let mut found: Vec<(u32, Range<u32>)> = Vec::new();
    let mut add = |frame: usize, bins: Range<usize>| {
        if found.len() == most {
            let reason = format!("more is painted than can be worked with: {MAX_INTERVALS} pieces");
            return Err(Error::Project { line: None, reason });
        }
        if !bins.is_empty() {
            found.push((frame as u32, bins.start as u32..bins.end as u32));
        }
        Ok(())
    };
    match &stroke.shape {
        Shape::Box { t, hz } => {
            let bins = canvas.bins(*hz);
            canvas.frames(*t).try_for_each(|frame| add(frame, bins.clone()))?;
        }
        Shape::Brush { points, width_s, width_semitones } => {
            along(points, [*width_s, *width_semitones], 1, canvas, &mut add)?;
        }
        Shape::Harmonic { points, width_s, width_semitones, n_harmonics } => {
            along(points, [*width_s, *width_semitones], *n_harmonics, canvas, &mut add)?;
        }
    }
    Ok(found)
}

/// What a rectangular brush covers on its way, and at the harmonics of it.
fn along(
    points: &[[f64; 2]],
    [width_s, width_semitones]: [f64; 2],
    n_harmonics: u32,
    canvas: Canvas<'_>,
    add: &mut dyn FnMut(usize, Range<usize>) -> Result<()>,
) -> Result<()> {
    // At least half a frame on both sides.
    let hop_s = canvas.stft.hop_length as f64 / f64::from(canvas.sample_rate);
    let half_s = 0.5 * width_s.max(hop_s);
    let half_octaves = width_semitones / 24.0;
    let octaves = |hz: f64| hz.max(f64::MIN_POSITIVE).log2();
    let single = [points[0], points[0]];
    let mut ways: Vec<&[[f64; 2]]> = points.windows(2).collect();
    if ways.is_empty() {
        ways.push(&single);
    }
    for way in ways {
        let ([t0, hz0], [t1, hz1]) = if way[0][0] <= way[1][0] { (way[0], way[1]) } else { (way[1], way[0]) };
        let (from, to) = (octaves(hz0), octaves(hz1));
        for frame in canvas.frames([t0 - half_s, t1 + half_s]) {
            let time_s = canvas.start_s + canvas.stft.frame_s(frame, canvas.sample_rate);
            let at = |time_s: f64| {
                let share = if t1 > t0 { ((time_s - t0) / (t1 - t0)).clamp(0.0, 1.0) } else { f64::NAN };
                from + share * (to - from)
            };
            let ends = if t1 > t0 { [at(time_s - half_s), at(time_s + half_s)] } else { [from, to] };
            let low = (ends[0].min(ends[1]) - half_octaves).exp2();
            let high = (ends[0].max(ends[1]) + half_octaves).exp2();
            for harmonic in 1..=n_harmonics {
                let bins = canvas.bins([low * f64::from(harmonic), high * f64::from(harmonic)]);
                if bins.is_empty() {
                    break;
                }
                add(frame, bins)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::knowledge::marks::{self, Source};

    const N_FRAMES: usize = 40;

    fn lay(strokes: Vec<Stroke>, ranges: Vec<marks::Alone>) -> Result<Painting> {
        let source = |id| Source {
            id,
            name: format!("s{id}"),
            n_components: 1,
            color: 0,
            gain_db: 0.0,
            mute: false,
            solo: false,
        };
        let stft = StftConfig::new(64);
        let marks = Marks { sources: (1..4).map(source).collect(), strokes, ranges, names: Vec::new() };
        Painting::of(&marks, Canvas { stft: &stft, sample_rate: 1600, start_s: 0.0, n_frames: N_FRAMES })
    }

    fn effect(i: u32) -> Effect {
        [Effect::Is, Effect::IsNot, Effect::Erase][i as usize % 3]
    }

    fn boxed(id: u32, source: u32, effect: Effect, t: [f64; 2], hz: [f64; 2]) -> Stroke {
        Stroke { id, source, effect, shape: Shape::Box { t, hz } }
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            0.0f64..0.5,
            -1e3..1e3,
            Just(1e300),
            Just(f64::MAX),
            Just(0.0),
            Just(f64::NAN),
            Just(1e-300),
            0.0..900.0
        ]
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let point = || (number(), number()).prop_map(|(t, hz)| [t, hz]);
        prop_oneof![
            (number(), number(), number(), number()).prop_map(|(a, b, c, d)| Shape::Box { t: [a, b], hz: [c, d] }),
            (prop::collection::vec(point(), 0..5), number(), number())
                .prop_map(|(points, width_s, width_semitones)| Shape::Brush { points, width_s, width_semitones }),
            (prop::collection::vec(point(), 0..5), number(), number(), 0u32..300).prop_map(
                |(points, width_s, width_semitones, n_harmonics)| {
                    Shape::Harmonic { points, width_s, width_semitones, n_harmonics }
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn any_marks_are_laid_or_refused(
            strokes in prop::collection::vec((shape(), 0u32..3, 1u32..5), 0..8),
            ranges in prop::collection::vec((number(), number(), 1u32..4), 0..4),
        ) {
            let stroke = |(id, (shape, i, source)): (u32, (Shape, u32, u32))| Stroke { id, source, effect: effect(i), shape };
            let strokes: Vec<_> = (0..).zip(strokes).map(stroke).collect();
            let ranges = (100..).zip(ranges).map(|(id, (a, b, source))| marks::Alone { id, source, t: [a, b] }).collect();
            let Ok(painting) = lay(strokes, ranges) else { return Ok(()) };
            let mut next = (0, 0);
            for run in &painting.runs {
                prop_assert!((run.column, run.start) >= next && run.start < run.end && run.end <= 33, "{run:?}");
                prop_assert!((run.column as usize) < N_FRAMES && run.denied > 0 && run.denied < 7, "{run:?}");
                next = (run.column, run.end);
            }
            let mut end = 0;
            for alone in &painting.alone {
                prop_assert!(alone.frames.start >= end && !alone.frames.is_empty() && alone.frames.end <= N_FRAMES);
                prop_assert!(painting.runs_of(&alone.frames).is_empty(), "a frame is told of once");
                end = alone.frames.end;
            }
        }

        #[test]
        fn boxes_are_laid_as_each_bin_says_by_itself(
            boxes in prop::collection::vec((0usize..39, 1usize..8, 0usize..32, 1usize..9, 0u32..3, 1u32..4), 1..10),
        ) {
            // Edges between bins and frames: 25 Hz and 10 ms.
            let edges = |first: usize, n: usize, step: f64| [(first as f64 - 0.5) * step, ((first + n) as f64 - 0.5) * step];
            let strokes = (0..).zip(&boxes).map(|(id, (frame, n_frames, bin, n_bins, i, source))| {
                let [low, high] = edges(*bin, *n_bins, 25.0);
                boxed(id, *source, effect(*i), edges(*frame, *n_frames, 0.01), [low.max(0.0), high])
            });
            let painting = lay(strokes.collect(), Vec::new()).expect("painting");
            for frame in 0..N_FRAMES {
                for bin in 0..33 {
                    let (mut is, mut is_not) = (0u64, 0u64);
                    for (first, n_frames, low, n_bins, i, source) in &boxes {
                        if !(*first..first + n_frames).contains(&frame) || !(*low..low + n_bins).contains(&bin) {
                            continue;
                        }
                        let bit = 1 << (source - 1);
                        match effect(*i) {
                            Effect::Is => (is, is_not) = (bit, is_not & !bit),
                            Effect::IsNot => (is, is_not) = (is & !bit, is_not | bit),
                            Effect::Erase => (is, is_not) = (is & !bit, is_not & !bit),
                        }
                    }
                    let denied = is_not | if is == 0 { 0 } else { 7 & !is };
                    let runs = painting.runs_of(&(frame..frame + 1));
                    let run = runs.iter().find(|run| (run.start..run.end).contains(&(bin as u32)));
                    prop_assert_eq!(run.map_or(0, |run| run.denied), if denied == 7 { 0 } else { denied }, "{} {}", frame, bin);
                }
            }
        }
    }

    #[test]
    fn a_brush_follows_its_way_and_harmonics_lie_above_it() {
        let shape = |n_harmonics| Shape::Harmonic {
            points: vec![[0.1, 100.0], [0.2, 200.0]],
            width_s: 0.0,
            width_semitones: 1.0,
            n_harmonics,
        };
        let stroke = |n| Stroke { id: 1, source: 1, effect: Effect::Is, shape: shape(n) };
        let painting = lay(vec![stroke(3)], Vec::new()).expect("painting");
        let bins = |frame: usize| -> Vec<u32> {
            painting.runs_of(&(frame..frame + 1)).iter().flat_map(|run| run.start..run.end).collect()
        };
        // 100 Hz is bin 4, 200 Hz bin 8.
        assert_eq!((bins(10), bins(20)), (vec![4, 8, 12], vec![8, 16, 23, 24]));
        assert!(bins(15).contains(&6) && bins(8).is_empty() && bins(22).is_empty());
    }

    #[test]
    fn what_lies_beyond_the_recording_is_told() {
        let painting = lay(
            vec![boxed(4, 1, Effect::Is, [5.0, 6.0], [100.0, 200.0])],
            vec![marks::Alone { id: 5, source: 2, t: [-3.0, -2.0] }],
        );
        let painting = painting.expect("painting");
        assert!(painting.is_empty());
        assert_eq!(painting.warnings, ["stroke 4 lies beyond the recording", "range 5 lies beyond the recording"]);
    }

    #[test]
    fn strokes_count_over_ranges_in_their_frames_alone() {
        let alone = marks::Alone { id: 1, source: 1, t: [0.1, 0.2] };
        let painting =
            lay(vec![boxed(2, 2, Effect::Is, [0.145, 0.155], [100.0, 200.0])], vec![alone]).expect("painting");
        let frames: Vec<_> = painting.alone.iter().map(|alone| (alone.frames.clone(), alone.sources)).collect();
        assert_eq!(frames, [(10..15, 1), (16..21, 1)]);
        let runs: Vec<_> = painting.runs.iter().map(|run| (run.column, run.start..run.end, run.denied)).collect();
        assert_eq!(runs, [(15, 0..4, 6), (15, 4..9, 5), (15, 9..33, 6)]);
        assert_eq!(painting.frames(), std::slice::from_ref(&(10..21)));
    }
}
