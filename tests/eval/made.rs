//! Sound to judge.

use ndarray::Array2;
use partita::Audio;
use partita::eval::EvalConfig;

/// Hz; that of the samples.
pub(crate) const RATE: u32 = 22_050;

/// White, in -1 to 1.
pub(crate) fn noise(n: usize, seed: u32) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / 2_147_483_648.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

pub(crate) fn audio(channels: &[Vec<f64>]) -> Audio {
    let samples = Array2::from_shape_fn((channels.len(), channels[0].len()), |(c, i)| channels[c][i] as f32);
    Audio::new(samples, RATE).expect("finite")
}

/// Noise of two channels.
pub(crate) fn stereo(n: usize, seed: u32) -> Audio {
    audio(&[noise(n, seed), noise(n, seed + 1)])
}

pub(crate) fn mix(parts: &[(f32, &Audio)]) -> Audio {
    let mut sum = Array2::zeros(parts[0].1.samples().raw_dim());
    parts.iter().for_each(|(gain, part)| sum.scaled_add(*gain, &part.samples()));
    Audio::new(sum, RATE).expect("finite")
}

pub(crate) fn short(n_taps: usize) -> EvalConfig {
    EvalConfig { n_taps, ..EvalConfig::default() }
}
