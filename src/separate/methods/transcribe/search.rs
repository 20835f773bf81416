//! Who plays which pitch when: a factorization whose combs are held, more and more, to a path for each player.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, Zip, concatenate, s};
use rayon::prelude::*;

use super::comb::{Combs, STEPS};
use super::path;
use super::player::{Player, levels, likelihoods, trust};
use crate::Result;
use crate::nmf::{Encoder, EncoderConfig};

/// Iterations before the first path, between two, and in all.
const FIRST: usize = 8;
const EVERY: usize = 4;
const TOTAL: usize = 36;

/// The certainty of a line is that of its first paths, when activations are still free to lie beside them.
const SURE_UP_TO: usize = 22;

/// Activations off the path go down by this factor each time, to this share of their mean.
const OFF_PATH: f32 = 0.6;
const LEAST: f32 = 1e-3;

/// What the logarithm of a likelihood counts for: of the shape of what a player has of a frame, and, in the end, of a frame
/// beside the other players.
const WEIGHT: f32 = 5.0;
const LAST_WEIGHT: f32 = 90.0;

/// The same where two players may take over each other's pitches.
const PAIR_WEIGHT: f32 = 60.0;

/// What it costs in each frame that two players cross: that the lower one is above the other. All of it where their registers
/// are this many semitones apart, and where each was heard over as many steps around its middle as the last number says, in
/// semitones: a player that was heard on one pitch has no register.
const CROSSING_COST: f32 = 12.0;
const APART: f32 = 4.0;
const KNOWN_SPREAD: f32 = 2.0;

/// What it costs in each frame to leave the lines that were found one by one: a swap needs a reason.
const SWAP_COST: f32 = 6.0;

/// What was found of a player.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The pitch in each frame, on the grid.
    pub(super) path: Vec<usize>,
    /// The sum of its magnitude in each frame.
    pub(super) level: Vec<f32>,
    /// Share of its activations on the path while they are free to lie beside it.
    pub(super) certainty: f32,
}

/// The templates of a player, and what is known of each.
struct Voice {
    pitches: Range<usize>,
    /// `n_bands` x pitches, and the same one pitch after the other.
    templates: Array2<f32>,
    columns: Array2<f32>,
    /// What each pitch costs.
    register: Vec<f32>,
    /// The rows of the activations.
    rows: Range<usize>,
    /// Its middle pitch, and how far it goes on both sides of that, in steps of the grid.
    middle: f32,
    spread: f32,
}

/// Looks for the lines of all players in a run of frames (frames x `n_bins`).
///
/// # References
/// J.-L. Durrieu, G. Richard, B. David and C. Fevotte, "Source/filter model for unsupervised main melody extraction from
/// polyphonic audio signals", IEEE TASLP 18(3), 2010, for combs under an envelope and a path over them.
pub(super) fn search(frames: ArrayView2<'_, f32>, players: &[Player], combs: &Combs) -> Result<Vec<Line>> {
    let v = combs.bands.pool(frames, 1);
    let mut voices: Vec<Voice> = Vec::new();
    for player in players {
        let pitches = player.range();
        let start = voices.last().map_or(0, |voice| voice.rows.end);
        let templates = combs.templates(&player.timbre, pitches.clone());
        let columns = templates.t().as_standard_layout().into_owned();
        let rows = start..start + pitches.len();
        let (middle, spread) = (player.middle, player.spread);
        voices.push(Voice { pitches, templates, columns, register: player.register(), rows, middle, spread });
    }
    let mut lines = held(v.view(), &voices)?;
    beside_the_others(v.view(), &voices, &mut lines);
    two_at_a_time(v.view(), &voices, &mut lines);
    for (line, voice) in lines.iter_mut().zip(&voices) {
        line.path.iter_mut().for_each(|pitch| *pitch += voice.pitches.start);
    }
    Ok(lines)
}

/// The lines by a factorization that is held to them; paths count from the first pitch of each voice.
fn held(v: ArrayView2<'_, f32>, voices: &[Voice]) -> Result<Vec<Line>> {
    let templates: Vec<_> = voices.iter().map(|voice| voice.templates.view()).collect();
    let dictionary = concatenate(Axis(1), &templates).expect("templates of one grid have the same bands");
    let config = EncoderConfig { max_iter: FIRST, ..EncoderConfig::default() };
    let encoder = Encoder::new(dictionary.view(), &config)?;
    let mut activations = encoder.encode(v.t())?;
    let loud = levels(v).1 / voices.len() as f32;
    let mut lines: Vec<Line> = voices.iter().map(|_| Line { certainty: 1.0, ..Line::default() }).collect();
    for n_done in (FIRST..TOTAL).step_by(EVERY) {
        let shares = shares(v, voices, activations.view());
        for ((voice, line), share) in voices.iter().zip(&mut lines).zip(&shares) {
            let mut likely = likelihoods(share.view(), voice.templates.view());
            let level = share.sum_axis(Axis(1));
            for (mut row, level) in likely.outer_iter_mut().zip(&level) {
                let weight = WEIGHT * trust(*level, loud);
                row.iter_mut().zip(&voice.register).for_each(|(x, cost)| *x = weight * *x - cost);
            }
            line.path = path::best(likely.view());
            let mut own = activations.slice_mut(s![voice.rows.clone(), ..]);
            let (mut on_path, mut sum) = (0.0, 0.0);
            for ((pitch, level), mut column) in line.path.iter().zip(&level).zip(own.columns_mut()) {
                let least = LEAST * level / voice.pitches.len() as f32;
                sum += column.sum();
                for (k, x) in column.iter_mut().enumerate() {
                    if k.abs_diff(*pitch) <= 1 {
                        on_path += *x;
                    } else {
                        *x = (*x * OFF_PATH).max(least);
                    }
                }
            }
            if n_done < SURE_UP_TO {
                line.certainty = on_path / sum.max(f32::MIN_POSITIVE);
            }
        }
        activations = encoder.encode_from(v.t(), activations, EVERY)?;
    }
    for (line, share) in lines.iter_mut().zip(shares(v, voices, activations.view())) {
        line.level = share.sum_axis(Axis(1)).to_vec();
    }
    Ok(lines)
}

/// What each voice has of the sound, frames x bands: the shares of its model.
fn shares(v: ArrayView2<'_, f32>, voices: &[Voice], activations: ArrayView2<'_, f32>) -> Vec<Array2<f32>> {
    let model = |voice: &Voice| activations.slice(s![voice.rows.clone(), ..]).t().dot(&voice.columns);
    let mut models: Vec<Array2<f32>> = voices.par_iter().map(model).collect();
    let mut sum = Array2::<f32>::zeros(v.raw_dim());
    models.iter().for_each(|model| sum += model);
    for model in &mut models {
        Zip::from(model).and(&sum).and(&v).for_each(|x, sum, v| *x *= v / sum.max(f32::MIN_POSITIVE));
    }
    models
}

/// Each line once more, one player after the other, by what each of its pitches explains beside the lines of the others.
fn beside_the_others(v: ArrayView2<'_, f32>, voices: &[Voice], lines: &mut [Line]) {
    let (level, loud) = levels(v);
    for (own, voice) in voices.iter().enumerate() {
        let gains: Vec<(Vec<f32>, Vec<f32>)> = (v.outer_iter().into_par_iter().enumerate())
            .map(|(t, frame)| {
                let mut rest = vec![1e-6 * level[t] / frame.len() as f32 + f32::MIN_POSITIVE; frame.len()];
                for (other, line) in lines.iter().enumerate().filter(|(other, _)| *other != own) {
                    let template = voices[other].columns.row(line.path[t]);
                    rest.iter_mut().zip(template).for_each(|(x, w)| *x += line.level[t] * w);
                }
                let frame = frame.to_vec();
                let start = lines[own].level[t].max(0.05 * level[t]).max(f32::MIN_POSITIVE);
                let explained = |template: ArrayView2<'_, f32>| {
                    template.outer_iter().map(|w| explained(&frame, &rest, w.to_slice().unwrap_or(&[]), start)).unzip()
                };
                explained(voice.columns.view())
            })
            .collect();
        let weigh = |(t, pitch): (usize, usize)| {
            LAST_WEIGHT * gains[t].0[pitch] / (level[t] + 0.15 * loud) - voice.register[pitch]
        };
        let line = &mut lines[own];
        line.path = path::best(Array2::from_shape_fn((v.nrows(), voice.pitches.len()), weigh).view());
        line.level = line.path.iter().zip(&gains).map(|(pitch, gain)| gain.1[*pitch]).collect();
    }
}

/// By how much the divergence from a frame to what the others play of it goes down where a template is added with the gain
/// that suits it best, and that gain.
fn explained(frame: &[f32], rest: &[f32], template: &[f32], start: f32) -> (f32, f32) {
    /// Multiplicative updates of a single gain: it is near after these.
    const ITERATIONS: usize = 3;
    let mut gain = start;
    for _ in 0..ITERATIONS {
        let ratio = |((v, rest), w): ((&f32, &f32), &f32)| v * w / (rest + gain * w);
        gain *= frame.iter().zip(rest).zip(template).map(ratio).sum::<f32>();
    }
    let log = |((v, rest), w): ((&f32, &f32), &f32)| v * (1.0 + gain * w / rest).ln();
    (frame.iter().zip(rest).zip(template).map(log).sum::<f32>() - gain, gain)
}

/// Each two lines once more: where one player may have what the other plays, and the other what the one plays.
fn two_at_a_time(v: ArrayView2<'_, f32>, voices: &[Voice], lines: &mut [Line]) {
    if v.nrows() == 0 {
        return;
    }
    let (level, loud) = levels(v);
    let weights: Vec<f32> = level.iter().map(|level| PAIR_WEIGHT / (level + 0.15 * loud)).collect();
    for one in 0..voices.len() {
        for other in one + 1..voices.len() {
            swap(v, voices, lines, &weights, [one, other]);
        }
    }
}

/// What two players may play in a frame, one pair of pitches after the other, what speaks for each pair, and the levels.
struct Choices {
    pitches: [Vec<usize>; 2],
    scores: Vec<f32>,
    levels: Vec<[f32; 2]>,
}

/// The likeliest two paths of two players over what both have in a frame and in those beside it.
fn swap(v: ArrayView2<'_, f32>, voices: &[Voice], lines: &mut [Line], weights: &[f32], two: [usize; 2]) {
    let now: &[Line] = lines;
    let choices: Vec<Choices> =
        (0..v.nrows()).into_par_iter().map(|t| choices(v, voices, now, weights[t], two, t)).collect();
    let mut score = choices[0].scores.clone();
    let mut from: Vec<Vec<usize>> = vec![Vec::new()];
    for pair in choices.windows(2) {
        let (before, next) = (&pair[0].pitches, &pair[1].pitches);
        let best = |to: [usize; 2]| {
            let mut best = (f32::NEG_INFINITY, 0);
            for (i, score) in score.iter().enumerate() {
                let at = [before[0][i / before[1].len()], before[1][i % before[1].len()]];
                let x = score - path::cost(at[0], to[0]) - path::cost(at[1], to[1]);
                if x > best.0 {
                    best = (x, i);
                }
            }
            best
        };
        let pairs = next[0].iter().flat_map(|p| next[1].iter().map(|q| [*p, *q]));
        let (sums, origins): (Vec<f32>, Vec<usize>) = pairs.map(best).unzip();
        score = sums.iter().zip(&pair[1].scores).map(|(sum, own)| sum + own).collect();
        from.push(origins);
    }
    let mut at = (0..score.len()).fold(0, |best, i| if score[i] > score[best] { i } else { best });
    for (t, of_frame) in choices.iter().enumerate().rev() {
        let n = of_frame.pitches[1].len();
        let chosen = [of_frame.pitches[0][at / n], of_frame.pitches[1][at % n]];
        for (k, own) in two.into_iter().enumerate() {
            // Who stays keeps its level.
            if lines[own].path[t] != chosen[k] {
                lines[own].path[t] = chosen[k];
                lines[own].level[t] = of_frame.levels[at][k];
            }
        }
        at = from[t].get(at).copied().unwrap_or(0);
    }
}

/// The choices of two players in a frame.
fn choices(
    v: ArrayView2<'_, f32>,
    voices: &[Voice],
    lines: &[Line],
    weight: f32,
    two: [usize; 2],
    t: usize,
) -> Choices {
    let frame = v.row(t).to_vec();
    let level: f32 = frame.iter().sum();
    let mut rest = vec![1e-6 * level / frame.len() as f32 + f32::MIN_POSITIVE; frame.len()];
    for (other, line) in lines.iter().enumerate().filter(|(other, _)| !two.contains(other)) {
        let template = voices[other].columns.row(line.path[t]);
        rest.iter_mut().zip(template).for_each(|(x, w)| *x += line.level[t] * w);
    }
    let [one, other] = two.map(|own| &voices[own]);
    let pitches = two.map(|own| {
        let mut found = vec![lines[own].path[t]];
        for near in t.saturating_sub(1)..(t + 2).min(v.nrows()) {
            for from in two {
                let pitch =
                    (lines[from].path[near] + voices[from].pitches.start).checked_sub(voices[own].pitches.start);
                found.extend(pitch.filter(|p| *p < voices[own].pitches.len() && !found.contains(p)));
            }
        }
        found
    });
    let known = (one.spread.min(other.spread) / (KNOWN_SPREAD * STEPS as f32)).min(1.0);
    let order = ((one.middle - other.middle) / (APART * STEPS as f32)).clamp(-1.0, 1.0);
    let start = two.map(|own| lines[own].level[t].max(0.05 * level).max(f32::MIN_POSITIVE));
    let (mut scores, mut levels) = (Vec::new(), Vec::new());
    for p in &pitches[0] {
        for q in &pitches[1] {
            let templates = [one.columns.row(*p), other.columns.row(*q)];
            let slices = [templates[0].to_slice().unwrap_or(&[]), templates[1].to_slice().unwrap_or(&[])];
            let (gain, of_each) = explained_by_two(&frame, &rest, slices, start);
            let above = (p + one.pitches.start) as f32 - (q + other.pitches.start) as f32;
            let crossing = if above * order < 0.0 { CROSSING_COST * known * order.abs() } else { 0.0 };
            let leaving = if [*p, *q] == two.map(|own| lines[own].path[t]) { 0.0 } else { SWAP_COST };
            scores.push(weight * gain - one.register[*p] - other.register[*q] - crossing - leaving);
            levels.push(of_each);
        }
    }
    Choices { pitches, scores, levels }
}

/// [`explained`] of two templates at once.
fn explained_by_two(frame: &[f32], rest: &[f32], w: [&[f32]; 2], start: [f32; 2]) -> (f32, [f32; 2]) {
    /// Two gains that share a sound need one more than a single one.
    const ITERATIONS: usize = 4;
    let mut gain = start;
    for _ in 0..ITERATIONS {
        let mut sums = [0.0f32; 2];
        for (((v, rest), a), b) in frame.iter().zip(rest).zip(w[0]).zip(w[1]) {
            let ratio = v / (rest + gain[0] * a + gain[1] * b);
            sums[0] += ratio * a;
            sums[1] += ratio * b;
        }
        gain = [gain[0] * sums[0], gain[1] * sums[1]];
    }
    let log = |(((v, rest), a), b): (((&f32, &f32), &f32), &f32)| v * (1.0 + (gain[0] * a + gain[1] * b) / rest).ln();
    (frame.iter().zip(rest).zip(w[0]).zip(w[1]).map(log).sum::<f32>() - gain[0] - gain[1], gain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A player of eight pitches, each of which sounds in one band, with so much known of its register.
    fn voice(middle: f32, spread: f32) -> Voice {
        let templates = Array2::eye(8);
        Voice {
            pitches: 0..8,
            columns: templates.clone(),
            templates,
            register: vec![0.0; 8],
            rows: 0..8,
            middle,
            spread,
        }
    }

    /// The paths of a lower and a higher player, who were found on the higher and the lower of two notes.
    fn paths(spread: f32) -> [Vec<usize>; 2] {
        let n_frames = 20;
        let v = Array2::from_shape_fn((n_frames, 8), |(_, band)| if band == 1 || band == 6 { 1.0 } else { 0.01 });
        let line = |pitch| Line { path: vec![pitch; n_frames], level: vec![1.0; n_frames], certainty: 1.0 };
        let mut lines = [line(6), line(1)];
        two_at_a_time(v.view(), &[voice(0.0, spread), voice(16.0, spread)], &mut lines);
        lines.map(|line| line.path)
    }

    #[test]
    fn players_who_crossed_change_what_they_play() {
        assert_eq!(paths(8.0), [vec![1; 20], vec![6; 20]]);
        assert_eq!(paths(0.0), [vec![6; 20], vec![1; 20]], "nothing is known of registers");
    }

    #[test]
    fn two_templates_explain_what_is_made_of_them() {
        let (a, b) = ([0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.75]);
        let frame: Vec<f32> = (0..4).map(|i| 2.0 * a[i] + 3.0 * b[i]).collect();
        let (gain, levels) = explained_by_two(&frame, &[1e-6; 4], [&a, &b], [1.0, 1.0]);
        assert!((levels[0] - 2.0).abs() < 1e-3 && (levels[1] - 3.0).abs() < 1e-3, "{levels:?}");
        let alone = explained(&frame, &[1e-6; 4], &a, 1.0).0;
        assert!(gain > alone, "{gain}, and {alone} by one alone");
    }
}
