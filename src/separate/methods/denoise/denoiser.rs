//! What is known after the fit, and the masks that are made of it, block by block.
//! How far to trust it is measured in `evidence.rs`.

use ndarray::{Array1, Array2, ArrayView2, Zip, s};

use super::decision_directed;
use super::speech::{Explained, SpeechModel};
use crate::Result;
use crate::separate::pipeline::{Block, Margin, Model, Split, mask};

/// Least gain of the clean part at full strength, -30 dB: an even rest of the noise covers what tinkles.
const FLOOR: f32 = 0.03;

/// Bell of one bin's deviation: smooths the models over frequency before the masks are made (0.1 dB more).
const BELL: [f32; 5] = [0.054_49, 0.244_2, 0.402_62, 0.244_2, 0.054_49];

/// Nobody speaks below the first of these, in Hz; from the second on the model of speech says it all.
const LOW_HZ: (f64, f64) = (80.0, 110.0);

/// A gain is at least this, and at most 1 minus this, before its odds are taken.
const NEVER_SURE: f32 = 1e-3;

/// Splits blocks into what is clean and what is noise.
#[derive(Debug)]
pub(super) struct Denoiser {
    /// `None`: what there is beside the noise can be anything.
    pub(super) speech: Option<SpeechModel>,
    /// Mean power of the noise in each bin.
    pub(super) noise_power: Array1<f32>,
    /// How much the model of speech says, 0 to 1. The rest is said by level alone.
    pub(super) speech_weight: f32,
    /// How much of each bin is too low for speech, 0 to 1.
    pub(super) low: Array1<f32>,
    /// How much of that, where there is speech, goes by level, 0 to 1. The rest is noise.
    pub(super) low_weight: f32,
    /// How much is taken out of what the gains would take out, 0 to 1.
    pub(super) share: f32,
    pub(super) strength: f32,
    pub(super) mask_exponent: f32,
}

/// How much of a bin at `hz` is too low for speech, 0 to 1.
pub(super) fn lowness(hz: f64) -> f32 {
    ((LOW_HZ.1 - hz) / (LOW_HZ.1 - LOW_HZ.0)).clamp(0.0, 1.0) as f32
}

impl Denoiser {
    /// Gains of the clean part for the rows from `before` on, before any are held back, and what the model of speech, if
    /// there is one, explains of these rows.
    pub(super) fn gains(&self, magnitude: ArrayView2<'_, f32>, before: usize) -> (Array2<f32>, Option<Explained>) {
        let mut gains = decision_directed::gains(magnitude, self.noise_power.view(), before);
        let Some(model) = &self.speech else { return (gains, None) };
        let explained = model.explain(magnitude.slice(s![before.., ..]));
        let (speech, noise) = (smooth(explained.speech.view()), smooth(explained.noise.view()));
        let low = self.low.slice(s![..model.n_bins()]);
        let known = gains.slice_mut(s![.., ..model.n_bins()]);
        Zip::from(known).and(&speech).and(&noise).and_broadcast(&low).for_each(|gain, speech, noise, low| {
            let both = between(share(*speech, *noise, self.mask_exponent), *gain, self.speech_weight);
            *gain = low * self.low_weight * *gain + (1.0 - low) * both;
        });
        (gains.mapv_into(|gain| gain.max(FLOOR)), Some(explained))
    }
}

impl Model for Denoiser {
    fn n_parts(&self) -> usize {
        2
    }

    fn margin(&self) -> Margin {
        Margin { before: decision_directed::SETTLING_FRAMES, after: 0 }
    }

    fn mask_exponent(&self) -> f32 {
        self.mask_exponent
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let end = block.before + block.frames.len();
        let (mut clean, _) = self.gains(block.magnitude.slice(s![..end, ..]), block.before);
        clean.mapv_inplace(|gain| 1.0 - self.share * (1.0 - gain.max(FLOOR)));
        if self.strength != 1.0 {
            clean.mapv_inplace(|gain| gain.powf(self.strength).min(1.0));
        }
        let noise = clean.mapv(|gain| 1.0 - gain);
        Ok(Split::Masks(vec![clean, noise]))
    }
}

/// The gain whose odds are the weighted geometric mean of those of two gains: where one is sure and the other is not, the
/// sure one has its way.
fn between(first: f32, second: f32, weight_of_first: f32) -> f32 {
    let log_odds = |gain: f32| {
        let gain = gain.clamp(NEVER_SURE, 1.0 - NEVER_SURE);
        (gain / (1.0 - gain)).ln()
    };
    let log_odds = weight_of_first * log_odds(first) + (1.0 - weight_of_first) * log_odds(second);
    1.0 / (1.0 + (-log_odds).exp())
}

/// The share of speech in a bin.
pub(super) fn share(speech: f32, noise: f32, exponent: f32) -> f32 {
    let loudest = speech.max(noise);
    if loudest <= 0.0 {
        return 1.0;
    }
    // One of the two is 1.
    let other = mask::power((speech.min(noise) / loudest).max(f32::MIN_POSITIVE), exponent);
    if speech >= noise { 1.0 / (1.0 + other) } else { other / (1.0 + other) }
}

/// Every row convolved with [`BELL`]; what lies beyond the ends counts as the last value before.
fn smooth(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let reach = BELL.len() / 2;
    let mut smooth = Array2::zeros(rows.raw_dim());
    let mut wide = Vec::with_capacity(rows.ncols() + 2 * reach);
    for (row, mut smooth) in rows.outer_iter().zip(smooth.outer_iter_mut()) {
        let (Some(first), Some(last)) = (row.first(), row.last()) else { continue };
        wide.clear();
        wide.extend(std::iter::repeat_n(*first, reach).chain(row.iter().copied()));
        wide.extend(std::iter::repeat_n(*last, reach));
        for (x, near) in smooth.iter_mut().zip(wide.windows(BELL.len())) {
            *x = BELL.iter().zip(near).map(|(w, x)| w * x).sum();
        }
    }
    smooth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sure_gain_has_its_way() {
        for weight in [0.0, 0.3, 1.0] {
            assert!((between(0.4, 0.4, weight) - 0.4).abs() < 1e-6, "two that agree, weight {weight}");
        }
        assert!((between(0.9, 0.1, 0.5) - 0.5).abs() < 1e-6, "two that are as sure of opposites");
        assert!(between(1.0, 0.4, 0.5) > 0.9 && between(0.0, 0.6, 0.5) < 0.1, "one that is sure");
        assert!((between(0.2, 0.7, 0.0) - 0.7).abs() < 1e-6 && (between(0.2, 0.7, 1.0) - 0.2).abs() < 1e-6);
    }
}
