//! What a player alone tells: a timbre, a register, and whether it plays one note at a time.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::comb::{Combs, N_PITCHES, STEPS, Timbre};
use super::path;
use crate::nmf::{Encoder, EncoderConfig};
use crate::Result;

/// What a frame's likelihood counts for: frames overlap, and a pitch goes on.
pub(super) const WEIGHT: f32 = 60.0;

/// What a jump costs in a recording of one player.
const JUMP: f32 = 6.0;

const N_ROUNDS: usize = 3;
const LEARN_ITERATIONS: usize = 12;

/// A source that plays one note at a time, as far as its example tells.
#[derive(Debug, Clone)]
pub struct Player {
    /// The source.
    pub name: String,
    /// The sum of its magnitudes over time, `n_bins`.
    pub spectrum: Array1<f32>,
    pub(super) timbre: Timbre,
    /// The median of its pitches, and half of where 80 % of them lie, in steps of the grid.
    pub(super) middle: f32,
    pub(super) spread: f32,
    /// How many of its frames had each pitch.
    pub(super) heard: Vec<usize>,
    /// Share of the sound that lies on its path where all pitches compete.
    pub(super) on_path: f32,
    /// Divergence of its path's model, relative to the sound.
    pub(super) misfit: f32,
}

/// Logarithms of the likelihoods of each pitch for the shape of each frame: frames x pitches.
pub(super) fn likelihoods(frames: ArrayView2<'_, f32>, templates: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut shapes = frames.to_owned();
    for mut frame in shapes.outer_iter_mut() {
        let sum = frame.sum();
        if sum > 0.0 {
            frame /= sum;
        }
    }
    shapes.dot(&templates.mapv(f32::ln))
}

/// The level of each frame, and that of the loud ones (80th percentile).
pub(super) fn levels(frames: ArrayView2<'_, f32>) -> (Array1<f32>, f32) {
    let levels = frames.sum_axis(Axis(1));
    let mut sorted = levels.to_vec();
    sorted.sort_by(f32::total_cmp);
    let reference = sorted.get(sorted.len() * 4 / 5).copied().unwrap_or(0.0);
    (levels, reference.max(f32::MIN_POSITIVE))
}

impl Player {
    /// Listens to the runs of frames (frames x `n_bins`) of one source alone.
    pub(super) fn new(name: &str, runs: &[ArrayView2<'_, f32>], combs: &Combs) -> Result<Self> {
        let n_bins = runs.first().map_or(0, |run| run.ncols());
        let mut spectrum = Array1::zeros(n_bins);
        let mut pooled = Vec::new();
        for run in runs {
            spectrum += &run.sum_axis(Axis(0));
            pooled.push(combs.bands.pool(run.view(), 1));
        }
        let mut timbre = Timbre::flat();
        let mut paths: Vec<Vec<usize>> = Vec::new();
        let all: Vec<_> = pooled.iter().map(|run| run.view()).collect();
        let all = ndarray::concatenate(Axis(0), &all).unwrap_or_default();
        let (_, reference) = levels(all.view());
        let mut prior = vec![0.0f32; N_PITCHES];
        for round in 0..N_ROUNDS {
            let templates = combs.templates(&timbre, 0..N_PITCHES);
            paths.clear();
            let mut heard = Array2::zeros((N_PITCHES, combs.n_bands));
            for run in &pooled {
                let mut likely = likelihoods(run.view(), templates.view());
                let (levels, _) = levels(run.view());
                for (mut row, level) in likely.outer_iter_mut().zip(&levels) {
                    row *= super::env("EWEIGHT", WEIGHT) * level / (level + 0.15 * reference);
                    row.iter_mut().zip(&prior).for_each(|(x, prior)| *x -= prior);
                }
                let path = path::best(likely.view(), JUMP);
                for (pitch, frame) in path.iter().zip(run.outer_iter()) {
                    let mut row = heard.row_mut(*pitch);
                    row += &frame;
                }
                paths.push(path);
            }
            combs.learn(&mut timbre, heard.view(), LEARN_ITERATIONS, round == 0);
            // The weighted median of what it played.
            let weights: Vec<f32> = heard.outer_iter().map(|row| row.sum()).collect();
            let half = weights.iter().sum::<f32>() / 2.0;
            let mut seen = 0.0;
            let median = weights.iter().position(|w| { seen += w; seen > half }).unwrap_or(0) as f32;
            let width = super::env("EWIDTH", 8.0) * STEPS as f32;
            prior = (0..N_PITCHES).map(|p| super::env("EPRIOR", 4.0) * ((p as f32 - median) / width).powi(2) / 2.0).collect();
        }
        let templates = combs.templates(&timbre, 0..N_PITCHES);
        let encoder = Encoder::new(templates.view(), &EncoderConfig::default())?;
        let activations = encoder.encode(all.t())?;
        let path: Vec<usize> = paths.concat();
        let (mut on_path, mut sum, mut misfit) = (0.0, 0.0, 0.0);
        let mut heard = vec![0; N_PITCHES];
        for (t, pitch) in path.iter().enumerate() {
            let column = activations.column(t);
            let near = pitch.saturating_sub(STEPS)..(pitch + STEPS + 1).min(N_PITCHES);
            on_path += column.iter().skip(near.start).take(near.len()).sum::<f32>();
            sum += column.sum();
            let frame = all.row(t);
            let level = frame.sum();
            if level > super::env("EGATE", 0.25) * reference {
                heard[*pitch] += 1;
            }
            misfit += frame
                .iter()
                .zip(templates.column(*pitch))
                .map(|(v, w)| if *v > 0.0 { v * (v / (level * w)).ln() } else { 0.0 })
                .sum::<f32>();
        }
        let quantile = |q: f64| {
            let total: usize = heard.iter().sum();
            let wanted = (q * total as f64) as usize;
            let mut seen = 0;
            heard
                .iter()
                .position(|n| {
                    seen += n;
                    seen > wanted
                })
                .unwrap_or(N_PITCHES / 2) as f32
        };
        let (middle, spread) = (quantile(0.5), 0.5 * (quantile(0.9) - quantile(0.1)));
        let total: f32 = all.sum();
        if std::env::var("HIST").is_ok() {
            let h: Vec<_> = (0..N_PITCHES).filter(|p| heard[*p] > 0).map(|p| format!("{}:{}", super::comb::key(p), heard[p])).collect();
            eprintln!("{name} {} harm {:.2?}", h.join(" "), timbre.harmonics);
        }
        Ok(Self {
            name: name.to_owned(),
            spectrum,
            timbre,
            middle,
            spread,
            heard,
            on_path: on_path / sum.max(f32::MIN_POSITIVE),
            misfit: misfit / total.max(f32::MIN_POSITIVE),
        })
    }

    /// The pitches that it may play.
    pub(super) fn range(&self) -> Range<usize> {
        let reach = self.spread + 14.0 * STEPS as f32;
        let low = (self.middle - reach).max(0.0) as usize;
        low..((self.middle + reach) as usize + 1).min(N_PITCHES)
    }
}
