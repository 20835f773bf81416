//! With examples of players of one note at a time: what each of them plays is found first, and then helps to take the
//! recording apart. The only method that leads others: `examples` and `score`.

mod comb;
mod notes;
mod path;
mod player;
mod search;

use std::sync::Arc;

use self::comb::Combs;
pub use self::player::Player;
use self::search::Line;
use super::between::Between;
use super::example::Example;
use super::examples::{self, ExamplesConfig};
use super::score::{self, ScoreConfig, Solo, Unscored};
use crate::audio::Recording;
use crate::audio::resample::Resampled;
use crate::knowledge::dictionary::DictionaryConfig;
use crate::knowledge::score::{Note, Part, Score};
use crate::separate::pipeline::{Analysis, AnalysisConfig, Margin, each_span};
use crate::separate::separation::{Found, Separation};
use crate::stft::StftOptions;
use crate::watch::Watch;
use crate::{Error, Result};

/// Frames of each example that are listened to at the most: 24 s at 44.1 kHz with a hop of 1024.
const MAX_FRAMES: usize = 1024;

/// Frames that are searched at once, and beside them on both sides: a short recording is one span.
const SPAN: usize = 4096;
const MARGIN: Margin = Margin { before: 64, after: 64 };

/// Where less of a player's sound is on its line while it is free to lie elsewhere, the line is a guess: 0.42 and more where
/// the notes helped, 0.32 and less beside a guitar and a piano that passed for melodic.
const LEAST_CERTAINTY: f32 = 0.4;

/// Notes count for this much more than the share of them that the examples lack, up to [`MOST_WEIGHT`]: what an example
/// has, its templates know better.
const WEIGHT_OF_NEW: f32 = 3.0;
const MOST_WEIGHT: f32 = 0.75;

/// The window where not all play one note at a time, in seconds: harmonics of sources that sound at once are told apart better
/// than in [`MUSIC_WINDOW_S`](crate::separate::MUSIC_WINDOW_S). Lines of notes are found in that, where frames are closer.
pub const WIDE_WINDOW_S: f64 = 0.17;

/// Frames of a template in that: as long as three in the other. With three, a mean of dev is 0.06 dB lower, of dev2 0.14 higher,
/// at a quarter more of the time.
const WIDE_CONTEXT: usize = 2;

/// How examples are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learning {
    /// The transform.
    pub stft: StftOptions,
    /// Consecutive frames in one template.
    pub n_context: usize,
}

/// What the players play, as far as it was found.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// A part for each player that plays anything.
    pub score: Score,
    /// How sure the least sure of the lines is, 0 to 1.
    pub certainty: f32,
    /// Share of the players' sound at pitches that their examples lack, 0 to 1.
    pub new: f32,
}

/// Listens to recordings of each source alone, at any sample rate, for a mixture of `sample_rate` (Hz): how each sounds, how
/// high it plays, and whether it plays one note at a time.
///
/// # Errors
/// [`Error::Example`] for an example that is silent or shorter than one window, [`Error::Setting`],
/// [`Error::Cancelled`], and those of the recordings.
///
/// # Cost
/// Each example is read once; 1024 frames of a source are listened to at the most, spread evenly over a longer one.
pub fn listen(
    examples: &[Example<'_>],
    sample_rate: u32,
    config: &AnalysisConfig,
    watch: &mut Watch<'_>,
) -> Result<Vec<Player>> {
    let combs = Combs::new(&config.transform(sample_rate), sample_rate);
    let mut names: Vec<&str> = Vec::new();
    for example in examples {
        if !names.contains(&example.name) {
            names.push(example.name);
        }
    }
    let mut players = Vec::with_capacity(names.len());
    for name in names {
        let of_name: Vec<_> = examples.iter().filter(|example| example.name == name).collect();
        let max_frames = MAX_FRAMES / of_name.len();
        let mut analyses = Vec::with_capacity(of_name.len());
        for example in of_name {
            let solo = Resampled::new(example.recording, sample_rate);
            let of_each = AnalysisConfig { max_frames, keep_s: Vec::new(), ..config.clone() };
            let analysis = Analysis::of(&solo, &of_each, watch).and_then(Analysis::need_sound);
            analyses.push(analysis.map_err(|error| example.error(error))?);
        }
        let runs: Vec<_> = analyses.iter().flat_map(Analysis::runs).collect();
        players.push(Player::new(name, &runs, &combs)?);
    }
    Ok(players)
}

/// How to learn from examples of these players, for recordings of `sample_rate` (Hz), where `look` leaves the size of the
/// transform open: in a window of [`WIDE_WINDOW_S`], but where all play one note at a time ([`Player::is_melodic`]), in that of
/// `look`, in which their notes are found. Without players, too, it is that of `look`.
pub fn learning(players: &[Player], look: &AnalysisConfig, sample_rate: u32) -> Learning {
    let is_open = look.stft.n_fft.is_none() && players.len() > 1 && !players.iter().all(Player::is_melodic);
    // Sizes with a factor of three lie between the powers of two: no rate is far from the length that is wanted.
    let wanted = (f64::from(sample_rate) * WIDE_WINDOW_S).log2();
    let gap = |n_fft: &usize| ((*n_fft as f64).log2() - wanted).abs();
    let sizes = (4..20).flat_map(|exponent| [2 << exponent, 3 << exponent]);
    let nearest = sizes.min_by(|one, other| gap(one).total_cmp(&gap(other)));
    match is_open {
        true => Learning { stft: StftOptions { n_fft: nearest, ..look.stft }, n_context: WIDE_CONTEXT },
        false => Learning { stft: look.stft, n_context: DictionaryConfig::default().n_context },
    }
}

/// How a recording of `sample_rate` (Hz) is looked at for what is learned as [`learning`] says: as many seconds of it are kept
/// as `look` asks for.
pub fn look(players: &[Player], look: &AnalysisConfig, sample_rate: u32) -> AnalysisConfig {
    let stft = learning(players, look, sample_rate).stft;
    let hop_length = |stft: StftOptions| stft.resolve(sample_rate, look.window_s).hop_length.max(1);
    let max_frames = look.max_frames.saturating_mul(hop_length(look.stft)) / hop_length(stft);
    AnalysisConfig { stft, max_frames, ..look.clone() }
}

/// Finds what each player plays in a recording: one note at a time, or none.
///
/// The combs of all pitches under the timbre of each player are fitted to the mixture, and the activations of each are held
/// more and more to the likeliest path over its pitches, near the register of its example.
///
/// # Errors
/// [`Error::Setting`] for no players, [`Error::Cancelled`], and those of the recording.
///
/// # Cost
/// One pass over the recording. Time O(`n_frames` `n_bands` x pitches of all players) for each of 36 iterations; memory for
/// some 4000 frames.
pub fn transcribe(
    recording: &dyn Recording,
    analysis: &Analysis,
    players: &[Player],
    watch: &mut Watch<'_>,
) -> Result<Transcript> {
    if players.is_empty() {
        return Err(Error::Setting {
            name: "players",
            got: "none".into(),
            expected: "at least one".into(),
            advice: None,
        });
    }
    let combs = Combs::new(analysis.stft().config(), analysis.sample_rate());
    let mut found = vec![Vec::<Note>::new(); players.len()];
    // Of each player, certainties weighted by frames, frames, those with sound, and those of them at new pitches.
    let mut certain = vec![0.0f64; players.len()];
    let (mut n_frames, mut n_sounding, mut n_new) = (0, 0, 0);
    each_span(recording, analysis.stft(), SPAN, MARGIN, watch, &mut |block| {
        let lines = search::search(block.magnitude, players, &combs)?;
        let core = block.before..block.before + block.frames.len();
        for (i, (line, player)) in lines.iter().zip(players).enumerate() {
            let line = Line {
                path: line.path[core.clone()].to_vec(),
                level: line.level[core.clone()].to_vec(),
                certainty: line.certainty,
            };
            certain[i] += f64::from(line.certainty) * core.len() as f64;
            let sounding = notes::sounding(&line);
            let heard = || line.path.iter().zip(&sounding).filter(|(_, sounds)| **sounds);
            n_sounding += heard().count();
            n_new += heard().filter(|(pitch, _)| !player.has_heard(**pitch)).count();
            join(&mut found[i], notes::notes(&line, |t| analysis.frame_s(block.frames.start + t)));
        }
        n_frames += core.len();
        Ok(())
    })?;
    let least = certain.iter().copied().fold(f64::INFINITY, f64::min);
    let parts = players.iter().zip(found).filter(|(_, notes)| !notes.is_empty());
    let parts = parts.map(|(player, notes)| Part::new(player.name(), notes)).collect();
    Ok(Transcript {
        score: Score { parts, transposition: Some(0.0), ..Score::default() },
        certainty: (least / n_frames.max(1) as f64) as f32,
        new: n_new as f32 / n_sounding.max(1) as f32,
    })
}

/// How the recording is to be looked at for a dictionary in the transform of [`learning`], where that is another than that of
/// the analysis: as many seconds of it are kept.
fn wide_look(analysis: &Analysis, config: &ExamplesConfig, players: &[Player]) -> Option<AnalysisConfig> {
    let own = analysis.stft().config();
    let wide = look(players, &AnalysisConfig::default(), analysis.sample_rate());
    let stft = config.dictionary.stft();
    let is_wide =
        !analysis.is_live() && stft.n_fft != own.n_fft && stft.n_fft == wide.transform(analysis.sample_rate()).n_fft;
    let n_kept = analysis.magnitude().nrows();
    let max_frames = if analysis.is_complete() { n_kept } else { n_kept * own.hop_length / stft.hop_length };
    let options = StftOptions { n_fft: Some(stft.n_fft), hop_length: Some(stft.hop_length), window: stft.window };
    is_wide.then(|| AnalysisConfig { stft: options, max_frames: max_frames.max(128), ..wide })
}

/// Adds the notes of the next span; one that goes on over its start stays one.
fn join(notes: &mut Vec<Note>, next: Vec<Note>) {
    let mut next = next.into_iter().peekable();
    if let (Some(last), Some(first)) = (notes.last_mut(), next.peek())
        && last.pitch == first.pitch
        && first.onset_s <= last.offset_s
    {
        last.offset_s = first.offset_s;
        next.next();
    }
    notes.extend(next);
}

/// Takes a recording apart by examples as [`examples::fit`] does, and where all sources play one note at a time
/// ([`Player::is_melodic`]), also by what they play: their notes make a score, [`score::fit`] takes the recording apart by
/// it, and what comes out is between the two. The more the players play what their examples lack, the more the notes count.
///
/// The notes are in [`Separation::found`], whether they counted or not. `players` are of [`listen`], in the same transform;
/// where they are not those of all sources of the dictionary, or there is a residual, it is [`examples::fit`] alone. Where
/// not all play one note at a time, the dictionary may be in the transform of [`learning`]; a recording that was not looked at
/// in that ([`look`]) is looked at again.
///
/// # Errors
/// Those of [`examples::fit`] and [`transcribe`], and [`Error::MatrixShape`] for players of another transform.
///
/// # Cost
/// Those of [`examples::fit`], [`transcribe`] and [`score::fit`].
pub fn fit(
    recording: &dyn Recording,
    analysis: &Analysis,
    config: &ExamplesConfig,
    players: &[Player],
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    let wide;
    let analysis = match wide_look(analysis, config, players) {
        Some(look) => {
            wide = Analysis::of(recording, &look, watch)?;
            &wide
        }
        None => analysis,
    };
    let separation = examples::fit(analysis, config, None, watch)?;
    let names: Vec<_> = players.iter().map(Player::name).collect();
    let can_play = names.len() > 1 && names == separation.names() && players.iter().all(Player::is_melodic);
    if !can_play || analysis.is_silent() || analysis.magnitude().is_empty() {
        return Ok(separation);
    }
    let transcript = transcribe(recording, analysis, players, watch)?;
    let weight = (WEIGHT_OF_NEW * transcript.new).min(MOST_WEIGHT);
    let is_sure = transcript.certainty >= LEAST_CERTAINTY && transcript.score.parts.len() == players.len();
    let found = Found::Notes(Box::new(transcript.score.clone()));
    if !is_sure {
        return Ok(Separation { found, ..separation });
    }
    let solo = |player: &Player| Solo { name: player.name.clone(), spectrum: player.spectrum.clone() };
    let config = ScoreConfig {
        solos: players.iter().map(solo).collect(),
        unscored: Unscored::Shared,
        mask_exponent: config.mask_exponent,
        ..ScoreConfig::new(transcript.score)
    };
    let by_notes = score::fit(analysis, &config, None, watch)?;
    let model = |separation: &Separation| separation.stages[0].model.clone();
    let between = Between {
        one: model(&separation),
        other: model(&by_notes),
        sources: None,
        weights: vec![weight; players.len()],
    };
    Ok(Separation { found, ..separation.with_model(Arc::new(between)) })
}
