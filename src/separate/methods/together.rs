//! With a score and examples of all that play: masks between those by the score and those by the examples. Leads the two.

use std::sync::Arc;

use ndarray::{Array2, s};

use super::between::Between;
use super::examples::{self, ExamplesConfig};
use super::score::{self, ScoreConfig, Solo};
use super::transcribe::Player;
use crate::Result;
use crate::knowledge::score::{Class, Part, instrument};
use crate::separate::pipeline::{Analysis, BLOCK_FRAMES, Block, Split};
use crate::separate::separation::Separation;
use crate::watch::Watch;

/// What the masks by examples count for in drums, in parts that play beside drums, and in what is in no part. Drums have no
/// notes that tell them from what sounds with them; where the notes say who plays, they say it better than a timbre. Of 0.5 to
/// 1 and 0.3 to 0.6, on bands.
const OF_DRUMS: f32 = 0.8;
const BESIDE_DRUMS: f32 = 0.3;
const OF_REST: f32 = 0.5;

/// Where there are no drums, examples tell the more of a part the more both agree on it ([`agreement`]): so much per decibel
/// beyond the least, up to the most. Of 0.03 to 0.07, 0 to 3 dB and 0.4 to 0.6, on chamber music.
const PER_DECIBEL: f32 = 0.07;
const LEAST_AGREEMENT_DB: f32 = 3.0;
const MOST_BY_AGREEMENT: f32 = 0.5;

/// A score whose parts leave more than this share of the energy over lacks a part: where none is missing it is 0.02 at the most
/// (ten recordings), where one is, 0.04 and more but for two quiet ones.
const MOST_REST: f64 = 0.03;

/// Templates for a part that the score and the examples lack. Of 8 and 20 the better where none is missing after all.
const N_RESIDUAL: usize = 8;

/// Looked at are so many blocks of frames, at the most.
const MAX_BLOCKS: usize = 64;

/// Takes a recording apart by its score as [`score::fit`] does, with what its parts sound like alone. Where there is an example
/// of each part, it is also taken apart by the examples ([`examples::fit`]), and what comes out is between the two.
///
/// An example of `drums` is one of all drums of the score that have none of their own. `players` are those of the
/// dictionary's sources, in the same transform.
///
/// # Errors
/// Those of both.
///
/// # Cost
/// That of both.
pub fn fit(
    analysis: &Analysis,
    config: &ScoreConfig,
    examples: &ExamplesConfig,
    players: &[Player],
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    let score = &config.score;
    let source_of = |part: &Part| {
        let own = players.iter().position(|player| player.name == part.name);
        let is_kit = |player: &Player| part.class == Class::Percussion && instrument::is_kit(&player.name);
        own.or_else(|| players.iter().position(is_kit))
    };
    let is_kit = |i: usize, player: &Player| {
        let has_name = score.parts.iter().any(|part| part.name == player.name);
        !has_name && score.parts.iter().any(|part| source_of(part) == Some(i))
    };
    let of_parts = players.iter().enumerate().filter(|(i, player)| !is_kit(*i, player));
    let solo = |(_, player): (usize, &Player)| Solo { name: player.name.clone(), spectrum: player.spectrum.clone() };
    let solos = of_parts.map(solo).collect();
    let by_score = score::fit(analysis, &ScoreConfig { solos, ..config.clone() }, None, watch)?;
    let sources: Option<Vec<_>> = score.parts.iter().map(source_of).collect();
    let Some(sources) = sources.filter(|_| examples.dictionary.sources().len() == players.len()) else {
        return Ok(by_score);
    };
    if analysis.is_silent() {
        return Ok(by_score);
    }
    let mut sources = sources;
    let mut examples = examples.clone();
    if by_score.names().len() > sources.len() {
        if examples.n_residual == 0 && share_of_rest(analysis, &by_score)? > MOST_REST {
            examples.n_residual = N_RESIDUAL;
        }
        sources.extend((examples.n_residual > 0).then_some(players.len()));
    }
    let by_examples = examples::fit(analysis, &examples, None, watch)?;
    let model = |separation: &Separation| separation.stages[0].model.clone();
    let mut between =
        Between { one: model(&by_score), other: model(&by_examples), sources: Some(sources), weights: Vec::new() };
    let is_drums = |part: &Part| part.class == Class::Percussion;
    let weights: Vec<_> = if score.parts.iter().any(is_drums) {
        score.parts.iter().map(|part| if is_drums(part) { OF_DRUMS } else { BESIDE_DRUMS }).collect()
    } else {
        let weight = |agreement: f32| (PER_DECIBEL * (agreement - LEAST_AGREEMENT_DB)).clamp(0.0, MOST_BY_AGREEMENT);
        agreement(analysis, &between)?.into_iter().take(score.parts.len()).map(weight).collect()
    };
    between.weights = weights.into_iter().chain([OF_REST]).take(by_score.names().len()).collect();
    Ok(by_score.with_model(Arc::new(between)))
}

/// How much more energy each part has by the score than lies between it and the part by examples, in dB.
fn agreement(analysis: &Analysis, between: &Between) -> Result<Vec<f32>> {
    let mut sums = vec![(0.0, 0.0); between.one.n_parts()];
    for block in some_blocks(analysis) {
        let Some([masks, others]) = between.masks(&block)? else { continue };
        for ((part, apart), (mask, other)) in sums.iter_mut().zip(masks.iter().zip(&others)) {
            *part += energy(mask, &block);
            *apart += energy(&(other - mask), &block);
        }
    }
    let decibels =
        |(part, apart): (f64, f64)| (10.0 * ((part + f64::MIN_POSITIVE) / (apart + f64::MIN_POSITIVE)).log10()) as f32;
    Ok(sums.into_iter().map(decibels).collect())
}

/// The share of the energy that goes to the last part, what the score has no note for, in some of the kept frames.
fn share_of_rest(analysis: &Analysis, by_score: &Separation) -> Result<f64> {
    let (mut rest, mut all) = (0.0, 0.0);
    for block in some_blocks(analysis) {
        let Split::Masks(masks) = by_score.stages[0].model.split(&block)? else { continue };
        all += block.magnitude.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        rest += masks.last().map_or(0.0, |mask| energy(mask, &block));
    }
    Ok(if all > 0.0 { rest / all } else { 0.0 })
}

/// The energy of what a mask lets through.
fn energy(mask: &Array2<f32>, block: &Block<'_>) -> f64 {
    mask.iter().zip(block.magnitude).map(|(m, x)| f64::from(m * x).powi(2)).sum()
}

/// Blocks of kept frames, spread evenly over the recording.
fn some_blocks(analysis: &Analysis) -> impl Iterator<Item = Block<'_>> {
    let blocks = analysis.consecutive().into_iter().flat_map(|rows| {
        let end = rows.end;
        rows.step_by(BLOCK_FRAMES).map(move |start| start..(start + BLOCK_FRAMES).min(end))
    });
    let blocks: Vec<_> = blocks.collect();
    let step = blocks.len().div_ceil(MAX_BLOCKS).max(1);
    blocks.into_iter().step_by(step).map(|rows| {
        let first = analysis.frame_idx(rows.start);
        let magnitude = analysis.magnitude().slice_move(s![rows.clone(), ..]);
        Block { frames: first..first + rows.len(), magnitude, spectra: Vec::new(), before: 0 }
    })
}
