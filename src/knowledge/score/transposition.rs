//! By how many semitones a recording sounds higher or lower than its score.
//! Asks what sounds when; which notes there are is never changed.

use std::ops::RangeInclusive;

use ndarray::ArrayView2;

use super::align::{Chroma, N_CLASSES, add_note};
use super::instrument::Class;
use super::{Note, Score};
use crate::stft::StftConfig;

/// Farthest transposition that is looked for, in semitones: half an octave, and half a semitone of tuning.
pub(super) const REACH: f64 = 6.5;

/// With fewer pitches a score may fit in many ways.
const LEAST_PITCHES: usize = 4;

/// Cells of the axis of pitches per semitone.
const CELLS: usize = 10;

/// Cells from the lowest to the highest of [`PITCHES`].
const N_WRITTEN: usize = 72 * CELLS + 1;

/// Pitches of the score's harmonics that count, in MIDI keys: 41 Hz to 2.6 kHz.
const PITCHES: RangeInclusive<f64> = 28.0..=100.0;

/// Finds by how many semitones, from -6.5 to 6.5 in tenths, a recording sounds higher than its score, which must be in
/// time with it; `None` where that cannot be told: with fewer than four pitches, or where another transposition does
/// nearly as well.
///
/// `magnitude` holds frames of the recording in the transform `stft` of `sample_rate` (Hz), at the times `frame_s`.
///
/// It is where the covariance over time of the notes' harmonics with the peaks of the spectrum is largest. What does not
/// change with the notes, such as hum, does not count.
pub fn find(
    score: &Score,
    stft: &StftConfig,
    sample_rate: u32,
    magnitude: ArrayView2<'_, f32>,
    frame_s: impl Fn(usize) -> f64,
) -> Option<f64> {
    /// The best covariance is at least so many times that of any other transposition: 1.2 to 13 times, where it is right.
    const LEAD: f64 = 1.15;
    /// The least correlation: 0.16 to 0.30 on recordings with their scores, 0.08 at the most with scores out of time.
    const LEAST: f64 = 0.1;
    /// Those nearer than this, in cells, are the same one.
    const SAME: usize = 7;
    /// A transposition counts less by this share for each semitone, so that of two which do alike the nearer is taken.
    const PRIOR: f64 = 0.02;
    if !has_enough_pitches(score) {
        return None;
    }
    let reach = (REACH * CELLS as f64) as usize;
    let peaks = Peaks::new(stft, sample_rate, reach);
    let mut sums = vec![0.0f64; 2 * reach + 1];
    let (mut heard_energy, mut written_energy) = (0.0f64, 0.0f64);
    let (mut heard_sum, mut written_sum) = (vec![0.0f64; peaks.n_cells()], vec![0.0f64; peaks.n_cells()]);
    let mut sounding = Sounding::new(score);
    for (row, frame) in magnitude.outer_iter().enumerate() {
        let heard = peaks.of(frame.iter().copied());
        heard_sum.iter_mut().zip(&heard).for_each(|(sum, x)| *sum += f64::from(*x));
        heard_energy += heard.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let mut written = [0.0f64; N_WRITTEN];
        for (pitch, _) in sounding.at(frame_s(row)) {
            for (cell, strength) in harmonics(pitch) {
                written[cell] += strength;
                written_sum[cell + reach] += strength;
                // From `reach` cells below the harmonic to as many above.
                let around = &heard[cell..cell + sums.len()];
                sums.iter_mut().zip(around).for_each(|(sum, x)| *sum += strength * f64::from(*x));
            }
        }
        written_energy += written.iter().map(|x| x * x).sum::<f64>();
    }
    let n_frames = magnitude.nrows().max(1) as f64;
    let covariance = |shift: usize| {
        let product = |(cell, written): (usize, &f64)| written * heard_sum[cell + shift - reach];
        let cells = written_sum.iter().enumerate().filter(|(_, written)| **written > 0.0);
        sums[shift] - cells.map(product).sum::<f64>() / n_frames
    };
    let semitones = |shift: usize| (shift as f64 - reach as f64) / CELLS as f64;
    let worth: Vec<_> =
        (0..sums.len()).map(|shift| covariance(shift) * (1.0 - PRIOR * semitones(shift).abs())).collect();
    let best = (0..worth.len()).max_by(|a, b| worth[*a].total_cmp(&worth[*b]))?;
    let others = worth.iter().enumerate().filter(|(shift, _)| shift.abs_diff(best) > SAME);
    let rival = others.map(|(_, worth)| *worth).fold(0.0, f64::max);
    let square = |sums: &[f64]| sums.iter().map(|x| x * x).sum::<f64>() / n_frames;
    let variance = (heard_energy - square(&heard_sum)) * (written_energy - square(&written_sum));
    let is_clear = worth[best] > LEAD * rival && worth[best] > LEAST * variance.max(0.0).sqrt();
    is_clear.then(|| semitones(best))
}

fn has_enough_pitches(score: &Score) -> bool {
    let mut pitches: Vec<_> = pitched(score).map(|note| note.pitch).collect();
    pitches.sort_unstable();
    pitches.dedup();
    pitches.len() >= LEAST_PITCHES
}

fn pitched(score: &Score) -> impl Iterator<Item = &Note> {
    score.parts.iter().filter(|part| part.class != Class::Percussion).flat_map(|part| &part.notes)
}

/// Cells of the first harmonics of a pitch, from the lowest of [`PITCHES`], and their strength.
fn harmonics(pitch: u8) -> impl Iterator<Item = (usize, f64)> {
    (1..=5).filter_map(move |number| {
        let number = f64::from(number);
        let place = f64::from(pitch) + 12.0 * number.log2();
        let cell = ((place - PITCHES.start()) * CELLS as f64).round() as usize;
        PITCHES.contains(&place).then_some((cell, 1.0 / number))
    })
}

/// The peaks of spectra on an axis of pitches.
struct Peaks {
    /// Of each cell, the bin below it and the share of the one above.
    places: Vec<(usize, f32)>,
}

impl Peaks {
    /// On an axis with `margin` cells more than [`PITCHES`] at both ends.
    fn new(stft: &StftConfig, sample_rate: u32, margin: usize) -> Self {
        let n_cells = ((PITCHES.end() - PITCHES.start()) * CELLS as f64).round() as usize + 1 + 2 * margin;
        let last_bin = stft.n_bins() - 1;
        let place = |cell: usize| {
            let pitch = PITCHES.start() + (cell as f64 - margin as f64) / CELLS as f64;
            let bin = 440.0 * ((pitch - 69.0) / 12.0).exp2() / stft.bin_hz(1, sample_rate);
            // What lies above the highest frequency is silent.
            if bin < last_bin as f64 { (bin as usize, bin.fract() as f32) } else { (last_bin, 1.0) }
        };
        Self { places: (0..n_cells).map(place).collect() }
    }

    fn n_cells(&self) -> usize {
        self.places.len()
    }

    /// The roots of magnitudes, as far as they exceed those around them; scaled to a length of 1.
    fn of(&self, frame: impl Iterator<Item = f32>) -> Vec<f32> {
        /// Cells on both sides that make up what is around: 3 semitones.
        const SIDE: usize = 3 * CELLS;
        let mut roots: Vec<f32> = frame.map(f32::sqrt).collect();
        roots.push(0.0);
        let level: Vec<f32> =
            self.places.iter().map(|(bin, share)| roots[*bin] * (1.0 - share) + roots[*bin + 1] * share).collect();
        // Sums up to each cell, so that the mean of any range is a difference of two.
        let sums: Vec<f64> = std::iter::once(0.0)
            .chain(level.iter().scan(0.0, |sum, x| {
                *sum += f64::from(*x);
                Some(*sum)
            }))
            .collect();
        let excess = |(cell, x): (usize, &f32)| {
            let (start, end) = (cell.saturating_sub(SIDE), (cell + SIDE + 1).min(level.len()));
            (x - ((sums[end] - sums[start]) / (end - start) as f64) as f32).max(0.0)
        };
        let mut peaks: Vec<f32> = level.iter().enumerate().map(excess).collect();
        let length = peaks.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 {
            peaks.iter_mut().for_each(|x| *x /= length);
        }
        peaks
    }
}

/// Which pitches of a score sound, and how many notes of each, at times that never decrease.
struct Sounding {
    /// Time, pitch, and whether notes start there, in the order of time; what is over is at the front.
    changes: Vec<(f64, u8, bool)>,
    n_over: usize,
    counts: [u32; 128],
}

impl Sounding {
    fn new(score: &Score) -> Self {
        let ends = |note: &Note| [(note.onset_s, note.pitch, true), (note.offset_s, note.pitch, false)];
        let mut changes: Vec<_> = pitched(score).filter(|note| note.offset_s > note.onset_s).flat_map(ends).collect();
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { changes, n_over: 0, counts: [0; 128] }
    }

    fn at(&mut self, time_s: f64) -> impl Iterator<Item = (u8, u32)> {
        while let Some((_, pitch, starts)) = self.changes.get(self.n_over).filter(|(at_s, ..)| *at_s <= time_s) {
            let count = &mut self.counts[usize::from(pitch & 0x7f)];
            *count = if *starts { count.saturating_add(1) } else { count.saturating_sub(1) };
            self.n_over += 1;
        }
        (0u8..128).zip(self.counts).filter(|(_, count)| *count > 0)
    }
}

/// The number of semitones, -5 to 6, by which the notes of a score would have to be moved to fit the recording better
/// than they do; `None` where they fit best as they are, or where there are too few pitches to tell.
///
/// `magnitude` holds frames of the recording in the transform of `chroma`, at the times `frame_s`.
pub fn better(
    score: &Score,
    chroma: &Chroma,
    magnitude: ArrayView2<'_, f32>,
    frame_s: impl Fn(usize) -> f64,
) -> Option<i32> {
    if !has_enough_pitches(score) {
        return None;
    }
    let mut likeness = [0.0f64; N_CLASSES];
    let mut sounding = Sounding::new(score);
    for (row, frame) in magnitude.outer_iter().enumerate() {
        let mut written = [0.0f32; N_CLASSES];
        for (pitch, count) in sounding.at(frame_s(row)) {
            add_note(&mut written, pitch, count as f32);
        }
        let heard = chroma.of(frame);
        for (up, likeness) in likeness.iter_mut().enumerate() {
            let product: f32 = (0..N_CLASSES).map(|class| written[class] * heard[(class + up) % N_CLASSES]).sum();
            *likeness += f64::from(product);
        }
    }
    let best = (0..N_CLASSES).max_by(|a, b| likeness[*a].total_cmp(&likeness[*b]))?;
    let semitones = if best > N_CLASSES / 2 { best as i32 - N_CLASSES as i32 } else { best as i32 };
    (best != 0 && likeness[best] > likeness[0]).then_some(semitones)
}

/// A transposition in words: `1 semitone lower`, `2.5 semitones higher`.
pub fn in_words(semitones: f64) -> String {
    let tenths = (semitones.abs() * 10.0).round() / 10.0;
    let unit = if tenths == 1.0 { "semitone" } else { "semitones" };
    format!("{tenths} {unit} {}", if semitones < 0.0 { "lower" } else { "higher" })
}
