//! How far to trust what is known: measured on the recording and on the example of the noise, so that where little is sure
//! little is taken out.
//! Makes no masks: it asks the denoiser for its gains, and looks at what they would do.

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, Axis, Zip, s};

use super::decision_directed::SETTLING_FRAMES;
use super::denoiser::{self, Denoiser};
use super::pauses;
use super::speech::SpeechModel;
use crate::separate::pipeline::Analysis;

/// Frames that are looked at, at the most.
const LOOK_FRAMES: usize = 1500;

/// How many of them follow each other.
const STRETCH: usize = 64;

/// A frame is a pause up to this many times the mean power of the noise, 3 dB.
const PAUSE: f32 = 2.0;

/// A bin stands out from this many times the mean power of the noise on, 10 dB.
const STANDS_OUT: f32 = 10.0;

/// The divergence of a recording from the model of speech, per magnitude that stands out: 0.08 to 0.19 for the
/// development recordings of speech (one with a noise unlike its example: 0.26), 0.18 to 0.58 for those of music.
const SPEECH_MISFIT: f64 = 0.16;

/// More misfit is allowed by so much where all is pause. Speech pauses, music hardly does; and the fewer the frames above
/// the noise, the more a model of speech is needed to find them.
const PAUSE_BONUS: f64 = 0.2;

/// What a misfit above that may be until the model of speech says nothing at all.
const DOUBTFUL_MISFIT: f64 = 0.2;

/// Taking out this many times what should be taken does as much harm as taking nothing: the error is a parabola.
const NO_GAIN: f64 = 2.0;

/// Shares of an example of noise that speech could be, between which the model of speech loses its say. Seven talkers have
/// 0.05 to 0.06, every other noise of the development recordings at most 0.015.
const LIKE_SPEECH: (f64, f64) = (0.02, 0.045);

/// How much the model of speech says in the best case, and the share of it that is left in the worst.
const SPEECH_WEIGHT: (f64, f64) = (0.9, 0.2);

/// Frames of an example that are looked at, at the most.
const EXAMPLE_FRAMES: usize = 200;

/// What a recording says of the gains of a denoiser.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// From the model of speech, in what stands out of the noise, and the magnitude of that.
    divergence: f64,
    standing_out: f64,
    n_loud: usize,
    n_frames: usize,
    /// Power that the gains would take out, and what of it the noise accounts for.
    taken: f64,
    accounted_for: f64,
}

impl Evidence {
    /// Looks at stretches all over the recording.
    ///
    /// # Cost
    /// That of rendering [`LOOK_FRAMES`] frames.
    pub(super) fn of(denoiser: &Denoiser, analysis: &Analysis) -> Self {
        let magnitude = analysis.magnitude();
        let mut has_sound = vec![false; magnitude.nrows()];
        pauses::with_sound(analysis).into_iter().for_each(|row| has_sound[row] = true);
        let stretches: Vec<(Range<usize>, usize)> = analysis
            .consecutive()
            .into_iter()
            .flat_map(|run| {
                run.clone().step_by(STRETCH).map(move |start| {
                    let first = start.saturating_sub(SETTLING_FRAMES).max(run.start);
                    (start..(start + STRETCH).min(run.end), first)
                })
            })
            .filter(|(rows, _)| has_sound[rows.clone()].contains(&true))
            .collect();
        let stride = stretches.len().div_ceil(LOOK_FRAMES / STRETCH).max(1);
        let mut evidence = Self::default();
        for (rows, first) in stretches.into_iter().step_by(stride) {
            let seen = magnitude.slice(s![first..rows.end, ..]);
            evidence.add(denoiser, seen, &has_sound[rows]);
        }
        evidence
    }

    /// The last rows of `magnitude` count, those that have sound of them.
    fn add(&mut self, denoiser: &Denoiser, magnitude: ArrayView2<'_, f32>, has_sound: &[bool]) {
        let before = magnitude.nrows() - has_sound.len();
        let (gains, explained) = denoiser.gains(magnitude, before);
        let n_bins = denoiser.speech.as_ref().map_or(0, SpeechModel::n_bins);
        let of_example = denoiser.noise_power.slice(s![..n_bins]);
        let threshold = PAUSE * of_example.sum();
        for (row, _) in has_sound.iter().enumerate().filter(|(_, has_sound)| **has_sound) {
            let v = magnitude.row(before + row);
            self.add_taken(v, gains.row(row), denoiser.noise_power.view());
            let Some(explained) = &explained else { continue };
            let v = v.slice_move(s![..n_bins]);
            if v.iter().map(|x| x * x).sum::<f32>() > threshold {
                self.n_loud += 1;
                self.add_misfit(v, explained.speech.row(row), explained.noise.row(row), of_example);
            }
        }
    }

    fn add_taken(&mut self, v: ArrayView1<'_, f32>, gains: ArrayView1<'_, f32>, noise_power: ArrayView1<'_, f32>) {
        Zip::from(v).and(gains).and(noise_power).for_each(|v, gain, noise_power| {
            let gain = f64::from(*gain);
            self.taken += ((1.0 - gain) * f64::from(*v)).powi(2);
            self.accounted_for += (1.0 - gain) * f64::from(*noise_power);
        });
        self.n_frames += 1;
    }

    fn add_misfit(
        &mut self,
        v: ArrayView1<'_, f32>,
        speech: ArrayView1<'_, f32>,
        noise: ArrayView1<'_, f32>,
        noise_power: ArrayView1<'_, f32>,
    ) {
        Zip::from(v).and(speech).and(noise).and(noise_power).for_each(|v, speech, noise, noise_power| {
            if v * v > STANDS_OUT * noise_power {
                let (v, y) = (f64::from(*v), f64::from(speech + noise).max(1e-30));
                self.divergence += v * (v / y).ln() - v + y;
                self.standing_out += v;
            }
        });
    }

    /// How much the recording lets the model of speech say: 1 where it can be speech, by how well what stands out of the
    /// noise is explained and by its pauses; 0 where it cannot.
    pub(super) fn of_speech(&self) -> f32 {
        let pauses = 1.0 - self.n_loud as f64 / self.n_frames.max(1) as f64;
        let misfit = self.divergence / self.standing_out.max(f64::MIN_POSITIVE) - SPEECH_MISFIT - PAUSE_BONUS * pauses;
        (1.0 - misfit / DOUBTFUL_MISFIT).clamp(0.0, 1.0) as f32
    }

    /// How much to take out of what the gains would take out, 0 to 1, so that no harm is done.
    ///
    /// Of Y = S + N the gains G take out T = (1 - G) Y. Of a share a of T the error is E|N - a T|^2, least at
    /// a = E[N* T] / E|T|^2, as bad as leaving all in at twice that. E[N* T] is (1 - G) E|N|^2, as for Wiener filters. So
    /// only gains that take out much more than there is noise are held back.
    pub(super) fn share(&self) -> f32 {
        if self.taken <= 0.0 {
            return 1.0;
        }
        (NO_GAIN * self.accounted_for / self.taken).clamp(0.0, 1.0) as f32
    }
}

/// The share of the power of a noise, frames x bins, that speech could be.
pub(super) fn like_speech(speech: &SpeechModel, noise: ArrayView2<'_, f32>, mask_exponent: f32) -> f64 {
    let noise = noise.slice_move(s![..; noise.nrows().div_ceil(EXAMPLE_FRAMES).max(1), ..]);
    let explained = speech.explain(noise);
    let known = noise.slice(s![.., ..speech.n_bins()]);
    let of_speech = Zip::from(known).and(&explained.speech).and(&explained.noise).fold(0.0, |sum, v, speech, noise| {
        sum + f64::from(v * denoiser::share(*speech, *noise, mask_exponent)).powi(2)
    });
    let all: f64 = noise.iter().map(|x| f64::from(*x).powi(2)).sum();
    if all > 0.0 { of_speech / all } else { 0.0 }
}

/// How much the model of speech may say where speech could be this share of the noise: the noise is not told from speech
/// by what it explains as speech itself.
pub(super) fn speech_weight(like_speech: f64) -> f32 {
    let (best, worst) = SPEECH_WEIGHT;
    let doubt = (like_speech - LIKE_SPEECH.0) / (LIKE_SPEECH.1 - LIKE_SPEECH.0);
    (best * (1.0 - doubt).clamp(worst, 1.0)) as f32
}

/// Whether a noise of which speech could be this share is told from speech by level rather than by the model.
pub(super) fn is_like_speech(like_speech: f64) -> bool {
    like_speech > 0.5 * (LIKE_SPEECH.0 + LIKE_SPEECH.1)
}

/// How much goes by level where it is too low for speech, 0 to 1; the rest is taken for noise.
///
/// Clean recordings rumble, too: 6 to 9 dB below the speech in three of fourteen mixes. What is more than the noise has there is
/// the recording's, or the noise is louder than in its example. It is the recording's where it is too much for the noise:
/// louder than it there and louder than all of it, the two in dB together. And where all of it is 10 dB below the noise,
/// taking it out cannot do harm.
pub(super) fn low_weight(denoiser: &Denoiser, analysis: &Analysis) -> f32 {
    let is_low = |(_, low): &(&f32, &f32)| **low >= 1.0;
    let power_of = |row: usize| {
        let magnitude = analysis.magnitude();
        let low = magnitude.row(row);
        low.iter().zip(&denoiser.low).filter(is_low).map(|(v, _)| f64::from(*v).powi(2)).sum::<f64>()
    };
    let rows = pauses::with_sound(analysis);
    let power = rows.iter().map(|row| power_of(*row)).sum::<f64>() / rows.len().max(1) as f64;
    let noise_power = &denoiser.noise_power;
    let of_noise: f64 = noise_power.iter().zip(&denoiser.low).filter(is_low).map(|(x, _)| f64::from(*x)).sum();
    let of_all_noise: f64 = noise_power.iter().map(|x| f64::from(*x)).sum();
    if of_noise <= 0.0 || power <= 0.0 {
        return 1.0;
    }
    let (above, stake) = (10.0 * (power / of_noise).log10(), 10.0 * (power / of_all_noise).log10());
    (((above + stake + 1.0) / 4.0).clamp(0.0, 1.0) * ((stake + 10.0) / 4.0).clamp(0.0, 1.0)) as f32
}

/// What a piece of the recording that is noise alone has of the power of the example, at least and at most.
const AS_LOUD: (f64, f64) = (0.25, 2.0);

/// And what speech could be of it, at the most.
const NOT_SPEECH: f64 = 0.05;

/// The rows of the pauses in which the noise is heard alone beyond doubt: about as loud as the example, and not like
/// speech to a model that knows the example.
pub(super) fn noise_alone(denoiser: &Denoiser, speech: &SpeechModel, analysis: &Analysis) -> Vec<usize> {
    let of_noise: f64 = denoiser.noise_power.iter().map(|x| f64::from(*x)).sum();
    let is_noise = |rows: &&[usize]| {
        let piece = analysis.magnitude().select(Axis(0), rows);
        let power = piece.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / rows.len() as f64;
        (AS_LOUD.0 * of_noise..AS_LOUD.1 * of_noise).contains(&power)
            && like_speech(speech, piece.view(), denoiser.mask_exponent) < NOT_SPEECH
    };
    pauses::quietest(analysis).chunks(pauses::PIECE_FRAMES).filter(is_noise).flatten().copied().collect()
}
