//! With a score and examples of all that play: masks between those by the score and those by the examples. Leads the two.

use std::sync::Arc;

use ndarray::s;

use super::between::Between;
use super::examples::{self, ExamplesConfig};
use super::score::{self, ScoreConfig, Solo};
use super::transcribe::Player;
use crate::Result;
use crate::knowledge::score::{Class, Part, Score, instrument};
use crate::separate::pipeline::{Analysis, BLOCK_FRAMES, Block, Split};
use crate::separate::separation::Separation;
use crate::watch::Watch;

/// What the masks by examples count for in drums, in other parts, and in what is in no part. Drums have no notes that tell
/// them from what sounds with them; where the notes say who plays, they say it better than a timbre. Of 0.5 to 1 and 0.3 to
/// 0.6, on bands.
const OF_DRUMS: f32 = 0.8;
const OF_PITCHED: f32 = 0.3;
const OF_REST: f32 = 0.5;

/// A score whose parts leave more than this share of the energy over lacks a part: where none is missing it is 0.02 at the most
/// (ten recordings), where one is, 0.04 and more but for two quiet ones.
const MOST_REST: f64 = 0.03;

/// Templates for a part that the score and the examples lack. Of 8 and 20 the better where none is missing after all.
const N_RESIDUAL: usize = 8;

/// It looks at so many blocks of frames for that, at the most.
const MAX_BLOCKS: usize = 64;

/// Takes a recording apart by its score as [`score::fit`] does, with what its parts sound like alone. Where there is an example
/// of each part, and they are not all played alike, it is also taken apart by the examples ([`examples::fit`]), and what
/// comes out is between the two.
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
    if analysis.is_silent() || !can_be_told_apart(score) {
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
    let weight = |part: &Part| if part.class == Class::Percussion { OF_DRUMS } else { OF_PITCHED };
    let weights = score.parts.iter().map(weight).chain([OF_REST]).take(by_score.names().len()).collect();
    let between = Between { one: model(&by_score), other: model(&by_examples), sources: Some(sources), weights };
    Ok(by_score.with_model(Arc::new(between)))
}

/// Whether parts are played in different ways: hit, struck, or held. Of players that are alike, examples tell less than the
/// notes, and would harm.
fn can_be_told_apart(score: &Score) -> bool {
    score.parts.windows(2).any(|pair| pair[0].class != pair[1].class)
}

/// The share of the energy that goes to the last part, what the score has no note for, in some of the kept frames.
fn share_of_rest(analysis: &Analysis, by_score: &Separation) -> Result<f64> {
    let model = &by_score.stages[0].model;
    let blocks = analysis.consecutive().into_iter().flat_map(|rows| {
        let end = rows.end;
        rows.step_by(BLOCK_FRAMES).map(move |start| start..(start + BLOCK_FRAMES).min(end))
    });
    let blocks: Vec<_> = blocks.collect();
    let (mut rest, mut all) = (0.0, 0.0);
    for rows in blocks.iter().step_by(blocks.len().div_ceil(MAX_BLOCKS).max(1)) {
        let first = analysis.frame_idx(rows.start);
        let magnitude = analysis.magnitude().slice_move(s![rows.clone(), ..]);
        let block = Block { frames: first..first + rows.len(), magnitude, spectra: Vec::new(), before: 0 };
        let Split::Masks(masks) = model.split(&block)? else { continue };
        let energy = |x: f32| f64::from(x).powi(2);
        all += magnitude.iter().map(|x| energy(*x)).sum::<f64>();
        rest += masks.last().map_or(0.0, |mask| mask.iter().zip(magnitude).map(|(m, x)| energy(m * x)).sum());
    }
    Ok(if all > 0.0 { rest / all } else { 0.0 })
}
