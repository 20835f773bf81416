//! When a recording plays the notes of a score: dynamic time warping of what both have in each pitch class.
//! Gives times only; which notes there are is never changed. A recording in another key or tuning is followed in that.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, s};
use realfft::num_complex::Complex32;

use super::Score;
use super::instrument::Class;
use crate::audio::Recording;
use crate::stft::{Stft, StftConfig};
use crate::watch::{Step, Watch};
use crate::{Error, Result};

/// Pitch classes.
pub(super) const N_CLASSES: usize = 12;

/// Parts of a semitone that are told apart in a recording, so that its tuning can be found.
const N_PARTS: usize = 4;

/// Farthest transposition that is looked for, in semitones.
const MAX_SEMITONES: i32 = 6;

/// A frame's features: sound in each pitch class, starts of sound in each, and starts of anything.
const N_FEATURES: usize = 2 * N_CLASSES + 1;

/// Window of the transform, long enough for pitches from about 150 Hz on.
const WINDOW_S: f64 = 0.093;

/// Time from one feature to the next.
const STEP_S: f64 = 0.025;

/// Frames of one level that are averaged into one of the next coarser level.
const FACTOR: usize = 4;

/// Where the score and the recording both have no more frames than this, each frame is compared with each.
const MAX_COARSE: usize = 600;

/// Frames on both sides of the path of the coarser level that are searched, counted at the finer level.
const RADIUS: usize = 24;

/// Frames of silence before the first note of a score and after its last: what a recording has there belongs to no note.
const PADDING: usize = 4;

/// Starts of notes weigh this much beside what sounds: they are what makes times exact.
const ONSET_WEIGHT: f32 = 1.0;

/// How fast a start fades, per step.
const ONSET_DECAY: f32 = 0.6;

/// Lowest and highest frequency that counts towards a pitch class, in Hz.
const RANGE_HZ: (f64, f64) = (80.0, 5000.0);

/// Moves the notes of a score to where a recording plays them, by dynamic time warping.
///
/// Tempo may change at any time, and the recording may start later and end earlier or later than the score. Notes are
/// those of the score; a warp cannot tell of a passage that is left out or repeated. Where [`Score::transposition`] is not
/// known, the one from -6 to 6 semitones that fits best is followed, and the nearest where several do alike.
///
/// `watch` is told of the samples that were read ([`Step::Reading`]), then of the frames of the score that were compared
/// with the recording ([`Step::Aligning`]).
///
/// # Errors
/// [`Error::EmptyScore`], [`Error::TooShort`], [`Error::Cancelled`], and those of the recording.
///
/// # Cost
/// One pass over the recording. Time and memory grow with the length of the longer of the two, not with its square: 100
/// bytes per 25 ms of each, 200 more of the recording, and some 50 bytes more for the path.
///
/// # References
/// S. Ewert, M. Mueller and P. Grosche, "High resolution audio synchronization using chroma onset features", ICASSP
/// 2009, for the features; M. Mueller, H. Mattes and F. Kurth, "An efficient multiscale approach to audio
/// synchronization", ISMIR 2006, for the levels.
pub fn align(score: &Score, recording: &dyn Recording, watch: &mut Watch<'_>) -> Result<Score> {
    let (start_s, end_s) = score.span_s().ok_or(Error::EmptyScore)?;
    let heard = Heard::of(recording, watch)?;
    let start_s = start_s - PADDING as f64 * STEP_S;
    let n_written = ((end_s - start_s) / STEP_S).ceil().max(1.0) as usize + 1 + PADDING;
    let (n_coarse, n_keys) = (coarsest(n_written, heard.n_frames).0 as u64, 2 * MAX_SEMITONES as u64 + 1);
    let n_searched = if score.transposition.is_some() { 0 } else { n_keys * n_coarse };
    let n_frames_total = n_searched + n_compared(n_written, heard.n_frames);
    let mut meter = Meter { watch, n_frames: 0, n_frames_total, n_unseen: 0 };
    let written = features_of_score(score, start_s, n_written, &mut meter)?;
    let (written, heard) = match score.transposition {
        Some(semitones) => (written, heard.features((semitones * N_PARTS as f64).round() as i32)),
        None => {
            let tuning = heard.tuning();
            let heard = heard.features(tuning);
            (in_key_of(&written, &heard, &mut meter)?, heard)
        }
    };
    let path = multiscale(&written, &heard, &mut meter)?;
    // The first and the last frame of the recording for each of the score.
    let mut first = vec![usize::MAX; n_written];
    let mut last = vec![0; n_written];
    for (i, j) in &path {
        first[*i] = first[*i].min(*j);
        last[*i] = last[*i].max(*j);
    }
    // Where several frames of the score meet in one of the recording, all but one of them are too early or too late: a
    // straight line through the neighborhood is closer.
    let warp = smooth(&first, &last);
    Ok(score.warped(|time_s| {
        let place = ((time_s - start_s) / STEP_S).clamp(0.0, (n_written - 1) as f64);
        let i = (place as usize).min(n_written.saturating_sub(2));
        let next = warp.get(i + 1).copied().unwrap_or(warp[i]);
        recording.start_s() + (warp[i] + (place - i as f64) * (next - warp[i])) * STEP_S
    }))
}

/// How far an alignment is.
struct Meter<'a, 'b> {
    watch: &'a mut Watch<'b>,
    /// Frames of the score that were compared, at all levels.
    n_frames: u64,
    n_frames_total: u64,
    /// Pieces of work since `watch` was last told.
    n_unseen: usize,
}

impl Meter<'_, '_> {
    /// Counts pieces of work, each a few nanoseconds to some tens, and tells of them a few hundred times a second.
    fn count(&mut self, n_pieces: usize) -> Result<()> {
        /// Pieces from one telling to the next.
        const N_TOLD: usize = 1 << 17;
        self.n_unseen += n_pieces;
        if self.n_unseen < N_TOLD {
            return Ok(());
        }
        self.tell()
    }

    fn tell(&mut self) -> Result<()> {
        self.n_unseen = 0;
        self.watch.at(Step::Aligning, self.n_frames, Some(self.n_frames_total))
    }
}

/// Fits a line through the path around each frame of the score; the result never decreases.
fn smooth(first: &[usize], last: &[usize]) -> Vec<f64> {
    /// Frames on both sides, 150 ms.
    const SIDE: usize = 6;
    let middle: Vec<f64> = first.iter().zip(last).map(|(first, last)| (*first as f64 + *last as f64) / 2.0).collect();
    let mut warp = Vec::with_capacity(middle.len());
    let mut highest = 0.0f64;
    for i in 0..middle.len() {
        // What the recording has before the first note and after the last one says nothing of those between.
        let at = i.clamp(PADDING, middle.len() - PADDING - 1);
        let window = (at - SIDE.min(at - PADDING))..(at + SIDE + 1).min(middle.len() - PADDING);
        let n = window.len() as f64;
        let mean_x = window.clone().map(|x| x as f64).sum::<f64>() / n;
        let mean_y = middle[window.clone()].iter().sum::<f64>() / n;
        let (mut xy, mut xx) = (0.0, 0.0);
        for x in window {
            let dx = x as f64 - mean_x;
            xy += dx * (middle[x] - mean_y);
            xx += dx * dx;
        }
        let slope = if xx > 0.0 { (xy / xx).max(0.0) } else { 1.0 };
        highest = highest.max(mean_y + slope * (i as f64 - mean_x));
        warp.push(highest);
    }
    warp
}

// ---- features ----------------------------------------------------------------------------------------------------

/// The class of each bin that counts, of `n_parts` classes to a semitone: one semitone reaches to half a semitone on both
/// sides of its pitch, which is moved up by `semitones`.
fn classes(transform: &StftConfig, sample_rate: u32, n_parts: usize, semitones: f64) -> Vec<(usize, usize)> {
    let class = |bin| {
        let hz = transform.bin_hz(bin, sample_rate);
        let is_inside = (RANGE_HZ.0..=RANGE_HZ.1).contains(&hz);
        let pitch = 69.0 + 12.0 * (hz / 440.0).log2() - semitones;
        let part = ((pitch + 0.5) * n_parts as f64).floor();
        is_inside.then(|| (bin, part.rem_euclid((n_parts * N_CLASSES) as f64) as usize % (n_parts * N_CLASSES)))
    };
    (1..transform.n_bins()).filter_map(class).collect()
}

/// Sums the bins of each pitch class.
#[derive(Debug)]
pub struct Chroma {
    /// Bin and class.
    bins: Vec<(usize, usize)>,
}

impl Chroma {
    /// The classes of the bins of a transform, for a recording that sounds so many semitones higher than it is written.
    pub fn new(transform: &StftConfig, sample_rate: u32, semitones: f64) -> Self {
        Self { bins: classes(transform, sample_rate, 1, semitones) }
    }

    /// What sounds in each class of a frame of magnitudes, compressed so that soft notes count.
    pub(super) fn of(&self, magnitude: ArrayView1<'_, f32>) -> [f32; N_CLASSES] {
        let mut sums = [0.0f32; N_CLASSES];
        for (bin, class) in &self.bins {
            sums[*class] += magnitude[*bin] * magnitude[*bin];
        }
        sums.map(f32::sqrt)
    }
}

/// Harmonics of a note as pitch classes above its own, with their strength.
const OVERTONES: [(usize, f32); 5] = [(0, 1.0), (0, 0.6), (7, 0.4), (0, 0.3), (4, 0.2)];

/// Adds what sounds in each class where a pitch is played by so many.
pub(super) fn add_note(classes: &mut [f32], pitch: u8, count: f32) {
    for (above, strength) in OVERTONES {
        classes[(usize::from(pitch) + above) % N_CLASSES] += count * strength;
    }
}

/// Scales to a length of `weight`; zeros stay zeros.
fn normalize(x: &mut [f32], weight: f32) {
    let norm = x.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 1e-6 {
        x.iter_mut().for_each(|x| *x *= weight / norm);
    }
}

/// Features of each frame, from the sound and the starts of sound in it, both normalized.
fn finish(sound: &Array2<f32>, starts: &Array2<f32>) -> Array2<f32> {
    let n = sound.nrows();
    let mut features = Array2::zeros((n, N_FEATURES));
    let mut fading = [0.0f32; N_CLASSES + 1];
    // Starts are measured against the loudest of the whole, so that noise between notes is none.
    let loudest = starts.iter().fold(0.0f32, |most, x| most.max(*x)).max(f32::MIN_POSITIVE);
    for i in 0..n {
        for (fading, start) in fading.iter_mut().zip(starts.row(i)) {
            *fading = (*fading * ONSET_DECAY).max(start / loudest);
        }
        let mut row = features.row_mut(i);
        let Some(row) = row.as_slice_mut() else { continue };
        for (x, sound) in row.iter_mut().zip(sound.row(i)) {
            *x = *sound;
        }
        normalize(&mut row[..N_CLASSES], 1.0);
        row[N_CLASSES..].copy_from_slice(&fading);
        let strength = fading.iter().map(|x| x * x).sum::<f32>().sqrt();
        normalize(&mut row[N_CLASSES..], ONSET_WEIGHT * strength.min(1.0));
    }
    features
}

/// Frames this far below the loudest, -60 dB, are silence, dithered or not: the pitches in it say nothing.
const SILENCE: f32 = 1e-3;

/// What is heard in a recording.
struct Heard {
    n_frames: usize,
    /// Of each frame, the energy in each part of each class.
    energies: Vec<f32>,
}

impl Heard {
    fn of(recording: &dyn Recording, watch: &mut Watch<'_>) -> Result<Self> {
        let sample_rate = recording.sample_rate();
        let hop_length = ((f64::from(sample_rate) * STEP_S).round() as usize).max(1);
        // Four hops or more to a window, also at the lowest rates.
        let nearest = StftConfig::nearest(sample_rate, WINDOW_S);
        let stft = Stft::new(StftConfig { hop_length: hop_length.min(nearest.n_fft / 2), ..nearest })?;
        let n_channels = recording.n_channels();
        let classes = classes(stft.config(), sample_rate, N_PARTS, 0.0);
        let mut mixer = vec![0.0f32; 0];
        let mut analyzer = stft.analyzer();
        let mut n_samples = 0;
        let mut energies: Vec<f32> = Vec::new();
        let mut take = |frame: &[Complex32]| {
            let start = energies.len();
            energies.resize(start + N_PARTS * N_CLASSES, 0.0);
            classes.iter().for_each(|(bin, class)| energies[start + class] += frame[*bin].norm_sqr());
        };
        recording.read(&mut |block| {
            n_samples += block.ncols();
            mixer.clear();
            mixer.extend(block.columns().into_iter().map(|column| column.sum() / n_channels as f32));
            analyzer.push(&mixer, &mut take);
            watch.at(Step::Reading, n_samples as u64, recording.n_samples_hint())
        })?;
        analyzer.finish(&mut take);
        if n_samples < stft.config().win_length {
            return Err(Error::TooShort { n_samples, win_length: stft.config().win_length, sample_rate });
        }
        Ok(Self { n_frames: energies.len() / (N_PARTS * N_CLASSES), energies })
    }

    /// The energy in each class of each frame, for a recording that sounds so many parts of a semitone higher than it is
    /// written.
    fn classes(&self, n_parts: i32) -> impl Iterator<Item = [f32; N_CLASSES]> {
        self.energies.chunks(N_PARTS * N_CLASSES).map(move |energies| {
            let n = energies.len() as i32;
            let part = |class: usize, i: usize| ((class * N_PARTS + i) as i32 + n_parts).rem_euclid(n) as usize;
            std::array::from_fn(|class| (0..N_PARTS).map(|i| energies[part(class, i)]).sum())
        })
    }

    /// By how many parts of a semitone, from half a semitone lower to half a semitone higher, the recording is off its
    /// pitches: so that most of the sound of each frame lies in few classes.
    fn tuning(&self) -> i32 {
        /// It is off only where that is so much better.
        const LEAD: f64 = 1.05;
        let concentration = |n_parts: i32| -> f64 {
            let share = |classes: [f32; N_CLASSES]| {
                let sum: f64 = classes.iter().map(|x| f64::from(*x)).sum();
                let squares: f64 = classes.iter().map(|x| f64::from(*x).powi(2)).sum();
                if sum > 0.0 { squares / (sum * sum) } else { 0.0 }
            };
            self.classes(n_parts).map(share).sum()
        };
        let half = N_PARTS as i32 / 2;
        let (mut best, mut most) = (0, LEAD * concentration(0));
        for n_parts in (1 - half..=half).filter(|n_parts| *n_parts != 0) {
            let reached = concentration(n_parts);
            if reached > most {
                (best, most) = (n_parts, reached);
            }
        }
        best
    }

    /// The features, for a recording that sounds so many parts of a semitone higher than it is written.
    fn features(self, n_parts: i32) -> Array2<f32> {
        let n = self.n_frames;
        let mut sound = Array2::zeros((n, N_CLASSES));
        for (mut row, classes) in sound.outer_iter_mut().zip(self.classes(n_parts)) {
            row.iter_mut().zip(classes).for_each(|(x, energy)| *x = energy.sqrt());
        }
        // Logarithms of sound relative to the loudest: what rises by as many decibels starts as much.
        let loudest = sound.iter().fold(0.0f32, |most, x| most.max(*x)).max(f32::MIN_POSITIVE);
        let mut level = sound.mapv(|x: f32| (1.0 + 100.0 * x / loudest).ln());
        for (mut level, sound) in level.outer_iter_mut().zip(sound.outer_iter()) {
            if sound.iter().all(|x| *x < SILENCE * loudest) {
                level.fill(0.0);
            }
        }
        let mut starts = Array2::zeros((n, N_CLASSES + 1));
        for i in 1..n {
            // Two frames apart, as the window blurs a start over four.
            let before = level.row(i.saturating_sub(2));
            let mut all = 0.0;
            for class in 0..N_CLASSES {
                let rise = (level[[i, class]] - before[class]).max(0.0);
                starts[[i, class]] = rise;
                all += rise;
            }
            starts[[i, N_CLASSES]] = all / N_CLASSES as f32;
        }
        finish(&level, &starts)
    }
}

fn features_of_score(score: &Score, start_s: f64, n: usize, meter: &mut Meter<'_, '_>) -> Result<Array2<f32>> {
    let mut sound = Array2::zeros((n, N_CLASSES));
    let mut starts = Array2::zeros((n, N_CLASSES + 1));
    let frame = |time_s: f64| (((time_s - start_s) / STEP_S).round().max(0.0) as usize).min(n - 1);
    for part in &score.parts {
        for note in &part.notes {
            let start = frame(note.onset_s);
            starts[[start, N_CLASSES]] += 0.5;
            if part.class == Class::Percussion {
                continue;
            }
            // A chord has the starts of all its notes; each class is as strong as the strongest of them.
            let mut classes = [0.0; N_CLASSES];
            add_note(&mut classes, note.pitch, 1.0);
            for (class, strength) in classes.into_iter().enumerate() {
                starts[[start, class]] = strength.max(starts[[start, class]]);
            }
            // Struck notes fade: a second is what is left of them.
            let end = if part.class == Class::Struck { note.offset_s.min(note.onset_s + 1.0) } else { note.offset_s };
            let frames = start..=frame(end);
            // Nothing bounds how many notes of a score sound at once.
            meter.count(frames.clone().count())?;
            for i in frames {
                add_note(sound.row_mut(i).as_slice_mut().unwrap_or(&mut [0.0; N_CLASSES]), note.pitch, 1.0);
            }
        }
    }
    let level = sound.mapv(|x: f32| (1.0 + 10.0 * x).ln());
    Ok(finish(&level, &starts))
}

// ---- paths -------------------------------------------------------------------------------------------------------

/// The features of the score in the key in which the recording plays it: at the coarsest level, the cheapest.
fn in_key_of(written: &Array2<f32>, heard: &Array2<f32>, meter: &mut Meter<'_, '_>) -> Result<Array2<f32>> {
    /// Another key costs this much more, as a share, for each semitone.
    const PRIOR: f32 = 0.005;
    let (mut coarse, mut coarse_heard) = (written.clone(), heard.clone());
    while !is_coarsest(coarse.nrows(), coarse_heard.nrows()) {
        (coarse, coarse_heard) = (thinned(&coarse), thinned(&coarse_heard));
    }
    let bands = vec![0..coarse_heard.nrows(); coarse.nrows()];
    let mut best = (f32::INFINITY, 0);
    // The nearest first: they are taken where others do alike.
    for up in (0..=MAX_SEMITONES).flat_map(|up| [-up, up]).skip(1) {
        let (_, cost) = warp(&higher(&coarse, up), &coarse_heard, &bands, meter)?;
        let cost = cost * (1.0 + PRIOR * up.abs() as f32);
        if cost < best.0 {
            best = (cost, up);
        }
    }
    Ok(higher(written, best.1))
}

/// Features as those of the same so many semitones higher.
fn higher(features: &Array2<f32>, semitones: i32) -> Array2<f32> {
    let mut moved = features.clone();
    let n = N_CLASSES as i32;
    for first in [0, N_CLASSES] {
        for class in 0..N_CLASSES {
            let to = first + (class as i32 + semitones).rem_euclid(n) as usize;
            moved.column_mut(to).assign(&features.column(first + class));
        }
    }
    moved
}

/// The cheapest path through two sequences of features, from both starts to both ends: coarse first, then again and
/// again around what the coarser level found.
fn multiscale(a: &Array2<f32>, b: &Array2<f32>, meter: &mut Meter<'_, '_>) -> Result<Vec<(usize, usize)>> {
    if is_coarsest(a.nrows(), b.nrows()) {
        let bands = vec![0..b.nrows(); a.nrows()];
        return Ok(warp(a, b, &bands, meter)?.0);
    }
    let coarse = multiscale(&thinned(a), &thinned(b), meter)?;
    // Every frame of the coarse path, FACTOR times as fine, and RADIUS frames on both sides.
    let mut bands = vec![b.nrows()..0; a.nrows()];
    for (i, j) in coarse {
        let rows = (i * FACTOR).saturating_sub(RADIUS / 2)..((i + 1) * FACTOR + RADIUS / 2).min(a.nrows());
        let columns = (j * FACTOR).saturating_sub(RADIUS)..((j + 1) * FACTOR + RADIUS).min(b.nrows());
        for band in &mut bands[rows] {
            band.start = band.start.min(columns.start);
            band.end = band.end.max(columns.end);
        }
    }
    Ok(warp(a, b, &bands, meter)?.0)
}

/// Whether two sequences of so many frames are compared frame by frame at once.
fn is_coarsest(n_a: usize, n_b: usize) -> bool {
    n_a.max(n_b) <= MAX_COARSE || n_a.min(n_b) < 2 * FACTOR
}

/// Frames of `a` that [`multiscale`] compares, at all levels.
fn n_compared(n_a: usize, n_b: usize) -> u64 {
    let coarser = if is_coarsest(n_a, n_b) { 0 } else { n_compared(n_a.div_ceil(FACTOR), n_b.div_ceil(FACTOR)) };
    n_a as u64 + coarser
}

/// Frames of both at the coarsest level.
fn coarsest(n_a: usize, n_b: usize) -> (usize, usize) {
    if is_coarsest(n_a, n_b) { (n_a, n_b) } else { coarsest(n_a.div_ceil(FACTOR), n_b.div_ceil(FACTOR)) }
}

/// Means of [`FACTOR`] frames.
fn thinned(x: &Array2<f32>) -> Array2<f32> {
    let n = x.nrows().div_ceil(FACTOR);
    let mut thin = Array2::zeros((n, x.ncols()));
    for (i, mut row) in thin.outer_iter_mut().enumerate() {
        let frames = x.slice(s![i * FACTOR..((i + 1) * FACTOR).min(x.nrows()), ..]);
        let share = 1.0 / frames.nrows() as f32;
        frames.outer_iter().for_each(|frame| row.scaled_add(share, &frame));
    }
    thin
}

fn distance(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

/// Dynamic time warping within a band of `b` for each frame of `a`; bands overlap those of their neighbors. Gives the path
/// and what it costs.
fn warp(
    a: &Array2<f32>,
    b: &Array2<f32>,
    bands: &[Range<usize>],
    meter: &mut Meter<'_, '_>,
) -> Result<(Vec<(usize, usize)>, f32)> {
    /// Which way the path came.
    const DIAGONAL: u8 = 0;
    const ALONG_A: u8 = 1;
    const ALONG_B: u8 = 2;
    /// A step in which only one of the two goes on costs this much beside the distance, so that silence and long notes are
    /// crossed evenly.
    const DETOUR: f32 = 0.05;
    let mut ways: Vec<Vec<u8>> = Vec::with_capacity(bands.len());
    let mut costs: Vec<f32> = Vec::new();
    let mut before = 0..0;
    for (i, band) in bands.iter().enumerate() {
        let mut row = vec![f32::INFINITY; band.len()];
        let mut row_ways = vec![DIAGONAL; band.len()];
        for (at, j) in band.clone().enumerate() {
            let cost = distance(a.row(i), b.row(j));
            let old = |j: usize| if before.contains(&j) { costs[j - before.start] } else { f32::INFINITY };
            let diagonal = if i == 0 && j == 0 { 0.0 } else { j.checked_sub(1).map_or(f32::INFINITY, old) };
            let along_a = old(j) + DETOUR;
            let along_b = if at > 0 { row[at - 1] } else { f32::INFINITY } + DETOUR;
            let (least, way) = if diagonal <= along_a && diagonal <= along_b {
                (diagonal, DIAGONAL)
            } else if along_a <= along_b {
                (along_a, ALONG_A)
            } else {
                (along_b, ALONG_B)
            };
            row[at] = least + cost;
            row_ways[at] = way;
        }
        costs = row;
        before = band.clone();
        ways.push(row_ways);
        meter.n_frames += 1;
        meter.count(band.len())?;
    }
    meter.tell()?;
    let mut path = Vec::new();
    let (mut i, mut j) = (a.nrows() - 1, b.nrows() - 1);
    loop {
        path.push((i, j));
        let way = j.checked_sub(bands[i].start).and_then(|at| ways[i].get(at)).copied().unwrap_or(DIAGONAL);
        match way {
            ALONG_A if i > 0 => i -= 1,
            ALONG_B if j > 0 => j -= 1,
            _ if i == 0 && j == 0 => break,
            _ => (i, j) = (i.saturating_sub(1), j.saturating_sub(1)),
        }
    }
    path.reverse();
    Ok((path, costs.last().copied().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Audio;

    #[test]
    fn dithered_silence_has_no_pitch_at_any_level() {
        let noise = |i: usize| ((i * 7919 + i * i * 31) % 2001) as f32 / 1000.0 - 1.0;
        let sample = |i: usize| if i < 8000 { 1e-5 * noise(i) } else { 0.5 * (0.35 * i as f32).sin() };
        for scale in [1.0, 1e-4, 1e4] {
            let audio =
                Audio::new(Array2::from_shape_fn((1, 16_000), |(_, i)| scale * sample(i)), 8000).expect("audio");
            let features = Heard::of(&audio, &mut Watch::none()).expect("features").features(0);
            let n = features.nrows();
            let pitch = |frame: usize| features.row(frame).iter().take(N_CLASSES).map(|x| x * x).sum::<f32>();
            assert!((0..n / 3).all(|frame| pitch(frame) == 0.0), "silence, times {scale}");
            assert!((2 * n / 3..n - 8).all(|frame| (pitch(frame) - 1.0).abs() < 1e-3), "a tone, times {scale}");
        }
    }
}
