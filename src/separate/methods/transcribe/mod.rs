//! Notes of players that were heard alone.

mod comb;
mod notes;
mod path;
mod player;
mod search;

use ndarray::s;

pub use self::player::Player;
use self::comb::Combs;
use super::example::Example;
use crate::audio::resample::Resampled;
use crate::knowledge::score::{Part, Score};
use crate::separate::pipeline::{Analysis, AnalysisConfig};
use crate::watch::Watch;
use crate::Result;

/// Frames that are searched at once.
const SPAN: usize = 4096;

/// Listens.
pub fn listen(
    examples: &[Example<'_>],
    sample_rate: u32,
    config: &AnalysisConfig,
    watch: &mut Watch<'_>,
) -> Result<Vec<Player>> {
    let transform = config.transform(sample_rate);
    let combs = Combs::new(&transform, sample_rate);
    let mut players = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for example in examples {
        if !names.contains(&example.name) {
            names.push(example.name);
        }
    }
    for name in names {
        let mut analyses = Vec::new();
        for example in examples.iter().filter(|example| example.name == name) {
            let solo = Resampled::new(example.recording, sample_rate);
            let of_each = AnalysisConfig { max_frames: 2048, ..config.clone() };
            let analysis = Analysis::of(&solo, &of_each, watch).and_then(Analysis::need_sound);
            analyses.push(analysis.map_err(|error| example.error(error))?);
        }
        let runs: Vec<_> = analyses.iter().flat_map(Analysis::runs).collect();
        players.push(Player::new(name, &runs, &combs)?);
    }
    Ok(players)
}

/// Transcribes.
pub fn transcribe(analysis: &Analysis, players: &[Player]) -> Result<Score> {
    let combs = Combs::new(analysis.stft().config(), analysis.sample_rate());
    let players: Vec<_> = players.iter().collect();
    let mut parts: Vec<_> = players.iter().map(|player| Part::new(&player.name, Vec::new())).collect();
    let magnitude = analysis.magnitude();
    for start in (0..magnitude.nrows()).step_by(SPAN) {
        let end = (start + SPAN).min(magnitude.nrows());
        let lines = search::search(magnitude.slice(s![start..end, ..]), &players, &combs)?;
        for (i, line) in lines.iter().enumerate() {
            parts[i].notes.extend(notes::notes(line, |t| analysis.frame_s(start + t)));
            let new: usize = line.path.iter().zip(&line.level).filter(|(p, _)| {
                let near = p.saturating_sub(1)..(*p + 2).min(comb::N_PITCHES);
                players[i].heard[near].iter().sum::<usize>() == 0
            }).count();
            if std::env::var("DEBUG").is_ok() {
                eprintln!("{:14} on_path {:.2} misfit {:.2} middle {:.1} spread {:.1} certainty {:.2} new {:.2} notes {}", players[i].name, players[i].on_path, players[i].misfit,
                    33.0 + players[i].middle / 2.0, players[i].spread / 2.0, line.certainty, new as f32 / line.path.len() as f32, parts[i].notes.len());
            }
        }
    }
    Ok(Score { parts, transposition: Some(0.0), ..Score::default() })
}

fn env(name: &str, default: f32) -> f32 {
    std::env::var(name).ok().and_then(|x| x.parse().ok()).unwrap_or(default)
}
