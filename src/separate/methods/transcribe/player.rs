//! What a player alone tells: a timbre, a register, and whether it plays one note at a time.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

use super::comb::{Combs, Learn, N_PITCHES, STEPS, Timbre};
use super::path;
use crate::Result;
use crate::nmf::{Encoder, EncoderConfig};

/// What the logarithm of a frame's likelihood counts for, beside the costs of moves and jumps.
const WEIGHT: f32 = 60.0;

/// Times that the path is found and the timbre learned from it.
const N_ROUNDS: usize = 3;

/// Pitches this far from the median of the path, in semitones, cost as much as [`REGISTER_COST`] halved.
const REGISTER: f32 = 8.0;
const REGISTER_COST: f32 = 4.0;

/// Frames below this share of the loud ones tell no pitch.
const GATE: f32 = 0.25;

/// A source that plays one note at a time has at least this share of its sound on its path, where all pitches compete:
/// most melodies have 0.65 to 0.96, an organ 0.57, drums at most 0.5.
const LEAST_ON_PATH: f32 = 0.6;

/// The path's model misses at most this much of the sound, as a divergence over the sum: melodies miss 0.2 to 1.3 (a flute with
/// much breath), drums 1.5 and more but for some that have less than half of their sound on a path.
const MOST_MISSED: f32 = 1.4;

/// A source as its example plays: how it sounds, how high, and whether it plays one note at a time.
#[derive(Debug, Clone)]
pub struct Player {
    /// The source.
    pub(in crate::separate::methods) name: String,
    /// The sum of its magnitudes over time, `n_bins`.
    pub(in crate::separate::methods) spectrum: Array1<f32>,
    pub(super) timbre: Timbre,
    /// The median of its pitches, and half of the range of 80 % of them, in steps of the grid.
    pub(super) middle: f32,
    pub(super) spread: f32,
    /// How many of its frames had each pitch.
    heard: Vec<usize>,
    /// Share of the sound on its path where all pitches compete.
    on_path: f32,
    /// Divergence of its path's model, relative to the sound.
    missed: f32,
}

impl Player {
    /// Listens to runs of frames (frames x `n_bins`) of one source alone; there is at least one frame.
    pub(super) fn new(name: &str, runs: &[ArrayView2<'_, f32>], combs: &Combs) -> Result<Self> {
        let mut spectrum = Array1::zeros(runs.first().map_or(0, |run| run.ncols()));
        runs.iter().for_each(|run| spectrum += &run.sum_axis(Axis(0)));
        let pooled: Vec<_> = runs.iter().map(|run| combs.bands.pool(run.view(), 1)).collect();
        let views: Vec<_> = pooled.iter().map(|run| run.view()).collect();
        let all = concatenate(Axis(0), &views).unwrap_or_default();
        let (level, loud) = levels(all.view());
        let mut timbre = Timbre::unknown();
        let mut path = Vec::new();
        let mut register = vec![0.0f32; N_PITCHES];
        for round in 0..N_ROUNDS {
            path = own_path(&views, combs.templates(&timbre, 0..N_PITCHES).view(), loud, &register);
            let mut heard = Array2::zeros((N_PITCHES, combs.n_bands));
            for (pitch, frame) in path.iter().zip(all.outer_iter()) {
                let mut row = heard.row_mut(*pitch);
                row += &frame;
            }
            combs.learn(&mut timbre, heard.view(), if round == 0 { Learn::Envelope } else { Learn::All });
            let middle = quantile(&heard.sum_axis(Axis(1)).to_vec(), 0.5);
            let beside = |pitch| (pitch as f32 - middle) / (REGISTER * STEPS as f32);
            register = (0..N_PITCHES).map(|pitch| REGISTER_COST * beside(pitch).powi(2) / 2.0).collect();
        }
        let mut heard = vec![0; N_PITCHES];
        for (pitch, _) in path.iter().zip(&level).filter(|(_, level)| **level > GATE * loud) {
            heard[*pitch] += 1;
        }
        let counts: Vec<_> = heard.iter().map(|n| *n as f32).collect();
        let (low, middle, high) = (quantile(&counts, 0.1), quantile(&counts, 0.5), quantile(&counts, 0.9));
        let (on_path, missed) = fitness(&path, all.view(), combs.templates(&timbre, 0..N_PITCHES).view())?;
        let spread = 0.5 * (high - low);
        Ok(Self { name: name.to_owned(), spectrum, timbre, middle, spread, heard, on_path, missed })
    }

    /// Name of the source.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it plays one note at a time, in its example.
    pub fn is_melodic(&self) -> bool {
        self.on_path >= LEAST_ON_PATH && self.missed <= MOST_MISSED
    }

    /// The pitches that it may play: those of its example, and 14 semitones beyond its middle ones.
    pub(super) fn range(&self) -> Range<usize> {
        let reach = self.spread + 14.0 * STEPS as f32;
        let low = (self.middle - reach).max(0.0) as usize;
        low..((self.middle + reach) as usize + 1).min(N_PITCHES)
    }

    /// What each pitch of its range costs that lies beside its register.
    pub(super) fn register(&self) -> Vec<f32> {
        /// Of 2 to 20, the more the better; examples and pieces share registers.
        const COST: f32 = 20.0;
        /// Pieces go beyond what examples happen to play, in semitones.
        const BEYOND: f32 = 6.0;
        let width = self.spread + BEYOND * STEPS as f32;
        self.range().map(|pitch| COST * ((pitch as f32 - self.middle) / width).powi(2) / 2.0).collect()
    }

    /// Whether its example has a pitch, or a neighbor of it on the grid.
    pub(super) fn has_heard(&self, pitch: usize) -> bool {
        self.heard[pitch.saturating_sub(1)..(pitch + 2).min(N_PITCHES)].iter().any(|n| *n > 0)
    }
}

/// The path of the only player, over runs of frames.
fn own_path(runs: &[ArrayView2<'_, f32>], templates: ArrayView2<'_, f32>, loud: f32, register: &[f32]) -> Vec<usize> {
    let mut path = Vec::new();
    for run in runs {
        let mut likely = likelihoods(*run, templates);
        for (mut row, level) in likely.outer_iter_mut().zip(run.sum_axis(Axis(1))) {
            let weight = WEIGHT * trust(level, loud);
            row.iter_mut().zip(register).for_each(|(x, cost)| *x = weight * *x - cost);
        }
        path.extend(path::best(likely.view()));
    }
    path
}

/// The share of the sound on a path where all pitches compete, and what the path's own model misses of it.
fn fitness(path: &[usize], frames: ArrayView2<'_, f32>, templates: ArrayView2<'_, f32>) -> Result<(f32, f32)> {
    let activations = Encoder::new(templates, &EncoderConfig::default())?.encode(frames.t())?;
    let (mut on_path, mut missed) = (0.0, 0.0);
    for ((pitch, frame), column) in path.iter().zip(frames.outer_iter()).zip(activations.columns()) {
        on_path += column.iter().skip(pitch.saturating_sub(STEPS)).take(2 * STEPS + 1).sum::<f32>();
        let level = frame.sum();
        let gap = |(v, w): (&f32, &f32)| if *v > 0.0 { v * (v / (level * w)).ln() } else { 0.0 };
        missed += frame.iter().zip(templates.column(*pitch)).map(gap).sum::<f32>();
    }
    let share = |part: f32, whole: f32| part / whole.max(f32::MIN_POSITIVE);
    Ok((share(on_path, activations.sum()), share(missed, frames.sum())))
}

/// Where this share of the weights is reached.
fn quantile(weights: &[f32], share: f32) -> f32 {
    let wanted = share * weights.iter().sum::<f32>();
    let mut seen = 0.0;
    let reached = |weight: &f32| {
        seen += weight;
        seen > wanted
    };
    weights.iter().position(reached).unwrap_or(weights.len() / 2) as f32
}

/// How much a frame's pitch is to be believed, 0 to 1: quiet frames say little.
pub(super) fn trust(level: f32, loud: f32) -> f32 {
    level / (level + 0.15 * loud)
}

/// Logarithms of the likelihoods of each pitch for the shape of each frame: frames x pitches.
pub(super) fn likelihoods(frames: ArrayView2<'_, f32>, templates: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut shapes = frames.to_owned();
    for mut frame in shapes.outer_iter_mut() {
        let sum = frame.sum().max(f32::MIN_POSITIVE);
        frame /= sum;
    }
    shapes.dot(&templates.mapv(f32::ln))
}

/// The level of each frame, and that of the loud ones (80th percentile), which is above 0.
pub(super) fn levels(frames: ArrayView2<'_, f32>) -> (Array1<f32>, f32) {
    let levels = frames.sum_axis(Axis(1));
    let mut sorted = levels.to_vec();
    sorted.sort_by(f32::total_cmp);
    let loud = sorted.get(sorted.len() * 4 / 5).copied().unwrap_or(0.0);
    (levels, loud.max(f32::MIN_POSITIVE))
}
