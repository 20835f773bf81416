//! Where a noise can be heard alone: the quietest parts of a recording that are not silence.
//! All is relative to the recording, so that a faint one is judged as a loud one is.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Zip};

use crate::separate::pipeline::Analysis;

/// The pauses of a recording are looked for in pieces of this many frames: 0.13 s, as short as a breath.
pub(super) const PIECE_FRAMES: usize = 8;

/// The share of a recording, silence left out, that is taken for its pauses.
const PAUSE_SHARE: f64 = 0.1;

/// The noise is learned from at least this many frames of pauses, half a second.
const MIN_PAUSE_FRAMES: usize = 32;

/// Pieces so far below the loudest, -120 dB, are digital silence.
const DIGITAL_SILENCE: f64 = 1e-12;

/// What is compared with supposed silence is louder than it by this many times, 20 dB; what lies between is a fade, or
/// the piece in which an edit falls.
const APART: f64 = 100.0;

/// Silence lies below the loudest piece by this many times, 50 dB: a room that is as quiet is hardly a noise, and sound that
/// covers it everywhere says nothing of it.
const BELOW_LOUDEST: f64 = 1e5;

/// Silence lies below the floor of the rest by this many times, 20 dB. Of development recordings (speech in noise, a
/// song) dithered silence lies 26 to 65 dB below it; the floor of the room under clean speech, which shows between
/// harmonics and under consonants, 20 dB or less where it is 50 dB below the speech.
const BELOW_FLOOR: f32 = 100.0;

/// The floor of a bin is what it has in this share of the pieces.
const FLOOR_SHARE: f64 = 0.03;

/// The share of the axis in which the floor may be as low as the silence: where the recording has nothing, say.
const LOW_SHARE: f64 = 0.25;

/// The axis is counted evenly up to this frequency, in Hz, and by octaves above.
const EVEN_HZ: f64 = 500.0;

/// A bin counts where the mean power of the rest is above silence by this many times, 10 dB.
const SOUND: f32 = 10.0;

/// Where there is silence, a piece that lies below the floor in this share of the axis is a fade, or an edit falls in it.
/// Noise lies below its floor in [`FLOOR_SHARE`].
const FADE_SHARE: f64 = 0.5;

/// A steady noise has in a bin, in this share of the pieces, its mean divided by [`STEADY`] at the most: eight frames that
/// overlap by three quarters have 4 dB less in a tenth of them.
const STEADY_SHARE: f64 = 0.1;
const STEADY: f32 = 2.5;

/// The very quietest of the pieces are this share of them.
const VERY_QUIET_SHARE: f64 = 0.02;

/// Levels of silence are tried in steps of this many times, half a decibel.
const STEP: f64 = 1.12;

/// Rows of the quietest pieces that are not silence. Kept runs of frames are a whole number of pieces long.
pub(super) fn quietest(analysis: &Analysis) -> Vec<usize> {
    let pieces = Pieces::of(analysis);
    let mut found = pieces.with_sound();
    found.truncate(pieces.n_pauses(found.len()));
    pieces.rows_of(found)
}

/// What of the power of a noise that was learned from the quietest pieces is sure to be noise, in each bin: what goes on under
/// the rest, too, and is in the very quietest.
pub(super) fn steady(analysis: &Analysis, noise_power: &Array1<f32>) -> Array1<f32> {
    let pieces = Pieces::of(analysis);
    let found = pieces.with_sound();
    let Some(very_quietest) = found.get((VERY_QUIET_SHARE * found.len() as f64) as usize) else {
        return noise_power.clone();
    };
    let learned = &found[..pieces.n_pauses(found.len()).min(found.len())];
    let level = learned.iter().map(|piece| pieces.levels[*piece]).sum::<f64>() / learned.len() as f64;
    let share = (pieces.levels[*very_quietest] / level).min(1.0) as f32;
    let floor = pieces.low_quantile(&found, STEADY_SHARE);
    Zip::from(noise_power).and(&floor).map_collect(|power, floor| share * power.min(STEADY * floor))
}

/// The rows between half a second or more of silence before a noise and as much after it. Silence within it is a part of a
/// noise that comes and goes.
pub(super) fn without_ends(analysis: &Analysis) -> Range<usize> {
    let (rows, n_rows) = (with_sound(analysis), analysis.magnitude().nrows());
    let first = rows.first().copied().filter(|first| *first >= MIN_PAUSE_FRAMES);
    let end = rows.last().map(|last| last + 1).filter(|end| end + MIN_PAUSE_FRAMES <= n_rows);
    first.unwrap_or(0)..end.unwrap_or(n_rows)
}

/// Rows that are not silence: all of them, where there is none.
pub(super) fn with_sound(analysis: &Analysis) -> Vec<usize> {
    let pieces = Pieces::of(analysis);
    let found = pieces.with_sound();
    if found.len() == pieces.rows.len() {
        return (0..pieces.n_rows).collect();
    }
    pieces.rows_of(found)
}

/// A recording in pieces.
struct Pieces {
    n_rows: usize,
    rows: Vec<Range<usize>>,
    /// Mean power of each piece, pieces x bins.
    power: Array2<f32>,
    /// Power of each piece, summed over its bins.
    levels: Vec<f64>,
    /// How much of the axis each bin stands for.
    weights: Vec<f64>,
}

impl Pieces {
    fn of(analysis: &Analysis) -> Self {
        let magnitude = analysis.magnitude();
        let n_rows = magnitude.nrows();
        let rows: Vec<_> = (0..n_rows)
            .step_by(PIECE_FRAMES)
            .map(|start| start..(start + PIECE_FRAMES).min(n_rows))
            .filter(|piece| piece.len() == PIECE_FRAMES || n_rows < PIECE_FRAMES)
            .collect();
        let power = mean_power(magnitude, &rows);
        let levels: Vec<f64> = power.outer_iter().map(|piece| piece.iter().map(|x| f64::from(*x)).sum()).collect();
        let config = analysis.stft().config();
        let weight = |bin| 1.0 / (EVEN_HZ + config.bin_hz(bin, analysis.sample_rate()));
        Self { n_rows, rows, power, levels, weights: (0..magnitude.ncols()).map(weight).collect() }
    }

    /// How many of the quietest of so many pieces with sound are pauses.
    fn n_pauses(&self, n_found: usize) -> usize {
        let n_rows = self.n_rows - (self.rows.len() - n_found) * PIECE_FRAMES.min(self.n_rows);
        MIN_PAUSE_FRAMES.max((PAUSE_SHARE * n_rows as f64) as usize).div_ceil(PIECE_FRAMES)
    }

    /// What some pieces have in a share of them, at the most, in each bin.
    fn low_quantile(&self, pieces: &[usize], share: f64) -> Array1<f32> {
        let rank = (share * pieces.len() as f64) as usize;
        let mut powers = vec![0.0f32; pieces.len()];
        Array1::from_shape_fn(self.power.ncols(), |bin| {
            powers.iter_mut().zip(pieces).for_each(|(power, piece)| *power = self.power[[*piece, bin]]);
            *powers.select_nth_unstable_by(rank, f32::total_cmp).1
        })
    }

    fn rows_of(&self, mut pieces: Vec<usize>) -> Vec<usize> {
        pieces.sort_unstable();
        pieces.into_iter().flat_map(|piece| self.rows[piece].clone()).collect()
    }

    /// The pieces that are neither silence nor a fade beside it, the quietest first.
    fn with_sound(&self) -> Vec<usize> {
        let loudest = self.levels.iter().fold(0.0, |most: f64, level| most.max(*level));
        let digital = DIGITAL_SILENCE * loudest;
        let mut found: Vec<_> = (0..self.levels.len()).collect();
        found.sort_by(|a, b| self.levels[*a].total_cmp(&self.levels[*b]));
        if let Some(Silence { n_pieces, floor }) = self.silence(&found, loudest) {
            found.drain(..n_pieces);
            found.retain(|piece| self.share_below(self.power.row(*piece), &floor, 1.0) < FADE_SHARE);
        } else {
            found.retain(|piece| self.levels[*piece] > digital);
        }
        found
    }

    /// The silence among pieces in order of their levels, if there is any: the most of them for which the floor of the
    /// pieces that are [`APART`] lies [`BELOW_FLOOR`] above all that is silent. Pauses in which a noise goes on are not
    /// silence, however far they lie below the rest, as the noise shows under the rest, too. Digital silence is
    /// silence in any case.
    fn silence(&self, order: &[usize], loudest: f64) -> Option<Silence> {
        let digital = DIGITAL_SILENCE * loudest;
        let mut most = Array1::zeros(self.power.ncols());
        let mut is_silent = vec![false; self.levels.len()];
        let (mut found, mut judged) = (None, digital);
        for (i, piece) in order.iter().enumerate() {
            most.zip_mut_with(&self.power.row(*piece), |most: &mut f32, x| *most = most.max(*x));
            is_silent[*piece] = true;
            // The next does as well where it is hardly louder.
            let level = self.levels[*piece];
            if order.get(i + 1).is_some_and(|next| self.levels[*next] < STEP * level.max(judged)) {
                continue;
            }
            if level * BELOW_LOUDEST > loudest {
                break;
            }
            judged = level.max(digital);
            // An edit may fall in a piece beside silence.
            let is_beside =
                |piece: usize| is_silent[piece.saturating_sub(1)..].iter().take(3).any(|is_silent| *is_silent);
            let apart = &order[order.partition_point(|piece| self.levels[*piece] <= APART * level)..];
            let rest: Vec<_> = apart.iter().copied().filter(|piece| !is_beside(*piece)).collect();
            if rest.len() * PIECE_FRAMES < MIN_PAUSE_FRAMES {
                break;
            }
            let floor = self.floor(&most, &rest);
            if self.share_below(most.view(), &floor, BELOW_FLOOR) >= 1.0 - LOW_SHARE {
                found = Some(Silence { n_pieces: i + 1, floor });
            }
        }
        found
    }

    /// The floor of pieces, in each bin; 0 in those in which they have hardly more than `most`.
    fn floor(&self, most: &Array1<f32>, pieces: &[usize]) -> Array1<f32> {
        let rank = (FLOOR_SHARE * pieces.len() as f64) as usize;
        let mut powers = vec![0.0f32; pieces.len()];
        Array1::from_shape_fn(most.len(), |bin| {
            powers.iter_mut().zip(pieces).for_each(|(power, piece)| *power = self.power[[*piece, bin]]);
            let mean = powers.iter().sum::<f32>() / pieces.len() as f32;
            let (_, floor, _) = powers.select_nth_unstable_by(rank, f32::total_cmp);
            if mean > SOUND * most[bin] { *floor } else { 0.0 }
        })
    }

    /// The share of the axis in which `power` lies below a floor by a factor, where there is a floor.
    fn share_below(&self, power: ArrayView1<'_, f32>, floor: &Array1<f32>, by: f32) -> f64 {
        let (mut below, mut all) = (0.0, 0.0);
        for ((power, floor), weight) in power.iter().zip(floor).zip(&self.weights) {
            if *floor > 0.0 {
                all += weight;
                below += if by * power < *floor { *weight } else { 0.0 };
            }
        }
        if all > 0.0 { below / all } else { 0.0 }
    }
}

/// Silence among pieces.
struct Silence {
    /// How many of the quietest pieces it is.
    n_pieces: usize,
    /// The power that the rest hardly falls below, in each bin.
    floor: Array1<f32>,
}

fn mean_power(magnitude: ArrayView2<'_, f32>, pieces: &[Range<usize>]) -> Array2<f32> {
    let mut power = Array2::zeros((pieces.len(), magnitude.ncols()));
    for (mut power, rows) in power.outer_iter_mut().zip(pieces) {
        for row in rows.clone() {
            power.zip_mut_with(&magnitude.row(row), |power, x| *power += x * x);
        }
        power /= rows.len() as f32;
    }
    power
}
