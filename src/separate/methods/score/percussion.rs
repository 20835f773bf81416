//! Drums of a score: what a hit sounds like, frame by frame, is the same for all hits, and how loud each was is one number.
//!
//! A drum has few hits, and what sounds with all of them would go into its templates. So it is held to what percussion is:
//! it lies in the range of its kind, it fades, and the fewer hits there are, the smoother its spectrum.

use std::cell::OnceCell;
use std::ops::Range;

use ndarray::{Array2, s};

use super::grid::Grid;
use super::template::{Kind, Template, by_pitch};
use crate::knowledge::score::{Note, Part};
use crate::nmf::support::{SparseColumn, TemplateRows};

/// A window reaches so many frames ahead to a hit.
const AHEAD: usize = 2;

/// A hit is followed while it may fade by so many factors of e, for at least and at most so long, in seconds.
const FADES: f64 = 2.5;
const SHORTEST_S: f64 = 0.4;
const LONGEST_S: f64 = 1.5;

/// At first it fades by a factor of e in this time, in seconds.
const FIRST_FADE_S: f64 = 0.077;

/// So many frames after the hit a window holds all of its attack: from there on it fades.
const ATTACK: usize = 2;

/// What lies outside of a drum's range starts from so much less per octave, in dB, down to [`LEAST`].
const SLOPE_DB: f64 = 24.0;
const LEAST: f64 = 1e-3;

/// Spectra are smoothed over so many octaves on both sides, from this frequency on: below, drums have tones.
const SMOOTH_OCTAVES: f64 = 0.2;
const SMOOTH_FROM_HZ: f64 = 150.0;

/// With so many hits, half of a template is smoothed.
const HALF_SMOOTH_HITS: f64 = 10.0;

/// Where a drum sounds, in Hz, and the slowest it fades by a factor of e, in seconds.
struct Sound {
    low_hz: f64,
    high_hz: f64,
    fade_s: f64,
}

impl Sound {
    /// Of a note of General MIDI's percussion.
    fn of(pitch: u8) -> Self {
        let (low_hz, high_hz, fade_s) = match pitch {
            // Bass drums.
            35 | 36 => (30.0, 200.0, 0.22),
            // Side stick, hand clap.
            37 | 39 => (300.0, 8_000.0, 0.1),
            // Snares.
            38 | 40 => (150.0, 10_000.0, 0.14),
            // Toms.
            41 | 43 | 45 | 47 | 48 | 50 => (60.0, 1_000.0, 0.32),
            // Hi-hat: closed and by the pedal, then open.
            42 | 44 => (3_000.0, 20_000.0, 0.065),
            46 => (3_000.0, 20_000.0, 0.32),
            // Crash, Chinese and splash cymbals.
            49 | 52 | 55 | 57 => (300.0, 20_000.0, 0.75),
            // Ride cymbals.
            51 | 53 | 59 => (300.0, 20_000.0, 0.45),
            _ => (100.0, 20_000.0, 0.22),
        };
        Self { low_hz, high_hz, fade_s }
    }

    /// What is left of each bin.
    fn gains(&self, grid: &Grid) -> Vec<f64> {
        let gain = |bin_idx| {
            let hz = grid.transform.bin_hz(bin_idx, grid.sample_rate).max(1.0);
            let octaves_outside = (self.low_hz / hz).log2().max((hz / self.high_hz).log2()).max(0.0);
            10f64.powf(-SLOPE_DB / 20.0 * octaves_outside).max(LEAST)
        };
        (0..grid.transform.n_bins()).map(gain).collect()
    }
}

/// What percussion is, in the bins of a recording.
pub(super) struct Percussion<'a> {
    pub(super) grid: &'a Grid,
    /// What the range of each pitch leaves of each bin, once that was asked for.
    gains: [OnceCell<Vec<f64>>; 256],
    /// The first bin that is smoothed, and from it on the bins over which each is, and one over their number.
    first_smooth: usize,
    near: Vec<(Range<usize>, f64)>,
}

impl<'a> Percussion<'a> {
    pub(super) fn new(grid: &'a Grid) -> Self {
        let n_bins = grid.transform.n_bins();
        let first_smooth = (SMOOTH_FROM_HZ / grid.transform.bin_hz(1, grid.sample_rate)).ceil() as usize;
        let near = |bin: usize| {
            let reach = (bin as f64 * (SMOOTH_OCTAVES.exp2() - 1.0)).ceil() as usize;
            let bins = bin.saturating_sub(reach)..(bin + reach + 1).min(n_bins);
            (bins.clone(), (bins.len() as f64).recip())
        };
        let near = (first_smooth..n_bins).map(near).collect();
        Self { grid, gains: [const { OnceCell::new() }; 256], first_smooth, near }
    }

    /// What a drum's range leaves of each bin.
    pub(super) fn gains(&self, pitch: u8) -> &[f64] {
        self.gains[usize::from(pitch)].get_or_init(|| Sound::of(pitch).gains(self.grid))
    }

    /// Makes a spectrum the start of a drum's template: within the drum's range, and faded so far.
    pub(super) fn shape(&self, spectrum: &mut [f32], kind: Kind) {
        let Kind::Drum { pitch, lag } = kind else { return };
        let since_s = usize::from(lag).saturating_sub(AHEAD) as f64 * self.grid.hop_s();
        let fade = (-since_s / FIRST_FADE_S).exp();
        for (x, gain) in spectrum.iter_mut().zip(self.gains(pitch)) {
            *x *= (fade * gain) as f32;
        }
    }

    /// Holds the templates of drums to what percussion is.
    pub(super) fn constrain(&self, templates: &[Template], dictionary: &mut Array2<f32>) {
        let mut sums = Vec::with_capacity(dictionary.ncols() + 1);
        for (k, template) in templates.iter().enumerate() {
            let Kind::Drum { pitch, lag } = template.kind else { continue };
            let share = HALF_SMOOTH_HITS / (HALF_SMOOTH_HITS + template.onsets.len() as f64);
            if let Some(row) = dictionary.row_mut(k).as_slice_mut() {
                self.smooth(row, share, self.gains(pitch), &mut sums);
            }
            if k > 0 && templates[k - 1].is_hit_before(template) && usize::from(lag) > AHEAD + ATTACK {
                let fade = (-self.grid.hop_s() / Sound::of(pitch).fade_s).exp() as f32;
                let (before, mut row) = dictionary.multi_slice_mut((s![k - 1, ..], s![k, ..]));
                row.zip_mut_with(&before, |x, before| *x = x.min(before * fade));
            }
        }
    }

    /// Moves a spectrum towards its mean over some octaves, which leaves the drum's range in it.
    fn smooth(&self, row: &mut [f32], share: f64, gains: &[f64], sums: &mut Vec<f64>) {
        sums.clear();
        sums.push(0.0);
        let mut sum = 0.0;
        for (x, gain) in row.iter().zip(gains) {
            sum += f64::from(*x) / gain;
            sums.push(sum);
        }
        let bins = row.iter_mut().zip(gains).skip(self.first_smooth);
        for ((x, gain), (near, inverse_len)) in bins.zip(&self.near) {
            let mean = (sums[near.end] - sums[near.start]) * inverse_len * gain;
            *x = (share * mean.max(0.0) + (1.0 - share) * f64::from(*x)) as f32;
        }
    }
}

/// The templates of a part's drums.
pub(super) fn templates(voice: usize, part: &Part, grid: &Grid) -> Vec<Template> {
    by_pitch(part).flat_map(|(pitch, notes)| of_drum(voice, pitch, grid, &notes)).collect()
}

/// The templates of a drum, one for each frame of a hit.
fn of_drum(voice: usize, pitch: u8, grid: &Grid, notes: &[Note]) -> Vec<Template> {
    let frames = notes.iter().map(|note| grid.frame(note.onset_s)).filter(|frame| *frame < grid.n_frames);
    let mut onsets: Vec<_> = frames.collect();
    onsets.sort_unstable();
    onsets.dedup();
    of_hits(voice, pitch, grid, &onsets)
}

/// The templates of a drum that is hit in these frames.
pub(super) fn of_hits(voice: usize, pitch: u8, grid: &Grid, onsets: &[usize]) -> Vec<Template> {
    let n_frames = grid.n_frames;
    let length_s = (FADES * Sound::of(pitch).fade_s).clamp(SHORTEST_S, LONGEST_S);
    let n_lags = AHEAD + 1 + (length_s / grid.hop_s()) as usize;
    let template = |lag: usize| {
        let frame = |onset: &usize| (onset + lag).checked_sub(AHEAD).filter(|frame| *frame < n_frames);
        Template {
            voice,
            kind: Kind::Drum { pitch, lag: lag as u8 },
            spans: onsets.iter().filter_map(frame).map(|frame| frame..frame + 1).collect(),
            onsets: onsets.to_vec(),
        }
    };
    (0..n_lags.min(usize::from(u8::MAX))).map(template).collect()
}

/// Gives all frames of a hit the same activation: with it each step is that of the Kullback-Leibler divergence for one number
/// per hit, h <- h * sum over the frames of W^T (V / W h) / sum of W^T 1. `row_of` tells where a frame is kept.
pub(super) fn pool(
    columns: &mut [SparseColumn],
    templates: &[Template],
    dictionary: &TemplateRows,
    row_of: impl Fn(usize) -> Option<usize>,
) {
    let mut places = Vec::new();
    let mut first = 0;
    while first < templates.len() {
        let goes_on = templates[first..].windows(2).take_while(|pair| pair[0].is_hit_before(&pair[1])).count();
        let own = first..first + goes_on + 1;
        first = own.end;
        let Kind::Drum { .. } = templates[own.start].kind else { continue };
        for onset in &templates[own.start].onsets {
            places.clear();
            let (mut explained, mut sum) = (0.0, 0.0);
            for k in own.clone() {
                let Kind::Drum { lag, .. } = templates[k].kind else { continue };
                let row = (onset + usize::from(lag)).checked_sub(AHEAD).and_then(&row_of);
                let at = row.and_then(|row| Some((row, columns[row].components.binary_search(&(k as u32)).ok()?)));
                let Some((row, at)) = at else { continue };
                let template_sum = f64::from(dictionary.sums()[k]);
                explained += template_sum * f64::from(columns[row].activations[at]);
                sum += template_sum;
                places.push((row, at));
            }
            if sum > 0.0 {
                places.iter().for_each(|(row, at)| columns[*row].activations[*at] = (explained / sum) as f32);
            }
        }
    }
}
