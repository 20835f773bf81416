//! Paints a recording by its true stems, as a person with good ears would: in rounds, two boxes for each source where the
//! present stems are worst, and a fit after each round that goes on from the one before.
//! A test tool: it tells how far painting can lead.
//!
//! ```text
//! cargo run --release --example paint_by_truth -- mixture.wav TRUE_STEMS OUT [--boxes 8] [--wrong 10] [--is-only]
//!     [--score score.mid --only NAME]
//! ```
//!
//! OUT gets the stems and, without a score, the project.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{env, fs};

use ndarray::{Array1, Array2, ArrayView1, s};
use partita::atomic::Existing;
use partita::audio::Recording;
use partita::audio::decode::{self, AudioFile, is_audio_path};
use partita::audio::encode;
use partita::knowledge::marks::{Effect, Marks, Shape, Source, Stroke};
use partita::project::{self, Document, Project, ScoreFile, Session};
use partita::separate::Analysis;
use partita::watch::Watch;
use partita::{Audio, Separation};

/// Frames of a box, and its width in octaves.
const FRAMES: usize = 16;
const OCTAVES: f64 = 1.0 / 3.0;
/// Boxes for each source in a round.
const PER_ROUND: usize = 2;

struct Options {
    n_boxes: usize,
    wrong_percent: usize,
    is_only: bool,
    n_components: usize,
    /// Paints only this source.
    only: Option<String>,
    score: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options =
        Options { n_boxes: 8, wrong_percent: 0, is_only: false, n_components: 12, only: None, score: None };
    let mut paths = Vec::new();
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_default();
        match arg.as_str() {
            "--boxes" => options.n_boxes = value().parse()?,
            "--wrong" => options.wrong_percent = value().parse()?,
            "--components" => options.n_components = value().parse()?,
            "--is-only" => options.is_only = true,
            "--only" => options.only = Some(value()),
            "--score" => options.score = Some(value().into()),
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    let [mixture, folder, out] = &paths[..] else {
        return Err("expected a recording, the folder of its true stems, and a folder for the stems".into());
    };
    let mut parts = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    parts.retain(|part| is_audio_path(part));
    parts.sort();
    let recording = AudioFile::open(mixture)?;
    let truths = parts.iter().map(|part| decode::read(part)).collect::<Result<Vec<_>, _>>()?;
    let source = |(i, path): (usize, &PathBuf)| Source {
        id: i as u32 + 1,
        name: stem(path),
        n_components: options.n_components,
        color: 0,
        gain_db: 0.0,
        mute: false,
        solo: false,
    };
    let marks = Marks { sources: parts.iter().enumerate().map(source).collect(), ..Marks::default() };
    let file = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let score =
        options.score.as_ref().map(|path| ScoreFile { file: file(path), align: false, tracks: BTreeMap::new() });
    let score_folder = options.score.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    let mut document = Document { score, marks, ..Document::default() };
    let watch = &mut Watch::none();
    let session = Session::open(&recording, &document, score_folder, watch)?;
    let analysis = session.analysis();
    let magnitudes = truths.iter().map(|truth| analysis.stft().magnitude(truth.samples())).collect();
    let robot = Robot { analysis, truths: magnitudes };
    let mut separation = session.fit(&document, None, watch)?;
    report(0, &separation, &recording, &truths)?;
    let n_painted = if options.only.is_some() { 1 } else { parts.len() };
    for n_boxes in (PER_ROUND..=options.n_boxes).step_by(PER_ROUND) {
        let masks = separation.masks(&recording, 0..analysis.n_frames())?;
        robot.paint(&mut document.marks, &masks, &options);
        separation = session.fit(&document, Some(&separation), watch)?;
        report(n_boxes, &separation, &recording, &truths)?;
    }
    println!("{} strokes for {n_painted} sources", document.marks.strokes.len());
    let stems = separation.stems(&recording, watch)?;
    for (name, audio) in separation.names().iter().zip(&stems) {
        let path = out.join(format!("{name}.wav"));
        encode::write(&path, audio, &encode::EncodeConfig { existing: Existing::Replace, ..Default::default() })?;
    }
    if options.score.is_none() {
        let recording = analysis.identity().clone();
        let project = Project { recording, document, factors: project::factors(&separation) };
        project.save(&out.join("painted.partita.toml"), Existing::Replace)?;
    }
    Ok(())
}

/// Says how good the stems are.
fn report(
    n_boxes: usize,
    separation: &Separation,
    recording: &dyn Recording,
    truths: &[Audio],
) -> Result<(), Box<dyn std::error::Error>> {
    let stems = separation.stems(recording, &mut Watch::none())?;
    let centered = |x: ArrayView1<'_, f32>| -> Array1<f32> {
        let mean = x.mean().unwrap_or(0.0);
        x.mapv(|x| x - mean)
    };
    let dot =
        |a: &Array1<f32>, b: &Array1<f32>| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let si_sdr = |(truth, stem): (&Audio, &Audio)| {
        let (truth, stem) = (truth.samples(), stem.samples());
        let of_channel = |c: usize| {
            let (r, e) = (centered(truth.row(c)), centered(stem.row(c)));
            let gain = dot(&r, &e) / (dot(&r, &r) + 1e-12);
            let target = gain * gain * dot(&r, &r);
            10.0 * ((target + 1e-12) / (dot(&e, &e) - target + 1e-12)).log10()
        };
        (0..truth.nrows()).map(of_channel).sum::<f64>() / truth.nrows() as f64
    };
    let scores: Vec<f64> = truths.iter().zip(&stems).map(si_sdr).collect();
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    let each: Vec<_> = scores.iter().map(|score| format!("{score:.1}")).collect();
    println!("{n_boxes:3} boxes: SI-SDR {mean:.2} ({})", each.join(", "));
    Ok(())
}

/// Frames and bins of a box, and its edges in seconds and Hz.
type Place = (Range<usize>, Range<usize>, [f64; 2], [f64; 2]);

/// Knows the truth.
struct Robot<'a> {
    analysis: &'a Analysis,
    truths: Vec<Array2<f32>>,
}

impl Robot<'_> {
    /// Paints two more boxes for each source.
    fn paint(&self, marks: &mut Marks, masks: &[Array2<f32>], options: &Options) {
        let v = self.analysis.magnitude();
        let n_sources = self.truths.len();
        for (source, mask) in masks.iter().enumerate().take(n_sources) {
            if options.only.as_ref().is_some_and(|only| *only != marks.sources[source].name) {
                continue;
            }
            let estimate = mask * &v;
            for _ in 0..PER_ROUND {
                let mut best: Option<(f64, Effect, [f64; 2], [f64; 2])> = None;
                for (frames, bins, t, hz) in self.places() {
                    if marks.strokes.iter().any(|stroke| overlaps(stroke, t, hz)) {
                        continue;
                    }
                    let place = s![frames, bins];
                    let power = |x: &Array2<f32>| x.slice(place).iter().map(|x| f64::from(x * x)).sum::<f64>();
                    let total: f64 = self.truths.iter().map(power).sum();
                    let (truth, estimate) = (self.truths[source].slice(place), estimate.slice(place));
                    let own = power(&self.truths[source]);
                    let error: f64 = truth.iter().zip(estimate).map(|(a, b)| f64::from(a - b).powi(2)).sum();
                    let effect = if own > 0.9 * total {
                        Effect::Is
                    } else if own < 0.05 * total && !options.is_only {
                        Effect::IsNot
                    } else {
                        continue;
                    };
                    if best.as_ref().is_none_or(|(most, ..)| error > *most) {
                        best = Some((error, effect, t, hz));
                    }
                }
                let Some((_, effect, t, hz)) = best else { continue };
                let id = marks.strokes.len() as u32 + 1;
                // Every tenth, say, is of another source.
                let is_wrong =
                    id as usize * options.wrong_percent / 100 > (id as usize - 1) * options.wrong_percent / 100;
                let other = if is_wrong { (source + 1) % n_sources } else { source };
                let shape = Shape::Box { t, hz };
                marks.strokes.push(Stroke { id, source: other as u32 + 1, effect, shape });
            }
        }
    }

    /// Places that a box can be painted at, half of each over the next.
    fn places(&self) -> Vec<Place> {
        let (stft, rate) = (self.analysis.stft().config(), self.analysis.sample_rate());
        let n_frames = self.truths[0].nrows();
        let mut places = Vec::new();
        let mut low = 40.0;
        while low * OCTAVES.exp2() < 0.5 * f64::from(rate) {
            let hz = [low, low * OCTAVES.exp2()];
            let bin = |hz: f64| (hz / stft.bin_hz(1, rate)).ceil() as usize;
            let bins = bin(hz[0])..bin(hz[1]).min(stft.n_bins());
            for first in (0..n_frames.saturating_sub(FRAMES)).step_by(FRAMES / 2) {
                let frames = first..first + FRAMES;
                let middle =
                    |frame: usize| self.analysis.frame_s(frame) - 0.5 * stft.hop_length as f64 / f64::from(rate);
                if !bins.is_empty() {
                    places.push((frames.clone(), bins.clone(), [middle(frames.start), middle(frames.end)], hz));
                }
            }
            low *= (0.5 * OCTAVES).exp2();
        }
        places
    }
}

fn overlaps(stroke: &Stroke, t: [f64; 2], hz: [f64; 2]) -> bool {
    let Shape::Box { t: other_t, hz: other_hz } = &stroke.shape else { return false };
    let meet = |a: [f64; 2], b: [f64; 2]| a[0] < b[1] - 1e-9 && b[0] < a[1] - 1e-9;
    meet(t, *other_t) && meet(hz, *other_hz)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
