//! How much of what a microphone hears can be of others at the most: what leaks is heard by two, and so the two are
//! coherent. Where they are not, no source is taken to leak from one into the other.

use std::ops::Range;

use realfft::num_complex::Complex64;

use super::places::Bin;

/// Neighbors that are looked at together, as a share of the frequency on both sides.
const REACH: f64 = 0.12;

/// Of frames that overlap, so many tell as much as one that stands alone.
const FRAMES_PER_LOOK: f64 = 2.0;

/// Of one bin and each microphone, power summed over frames: what is coherent with the others, and what they are taken
/// to leak.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    coherent: Vec<f64>,
    leaked: Vec<f64>,
}

impl Bound {
    /// `own` has the microphones of each source.
    pub(super) fn of(bin: &Bin, covariances: &[Complex64], own: &[Vec<usize>]) -> Self {
        let n = bin.n_mics();
        let cross = bin.cross_powers();
        let n_looks = (bin.n_frames() as f64 / FRAMES_PER_LOOK).max(1.0);
        let are_of_one = |i: usize, k: usize| own.iter().any(|mics| mics.contains(&i) && mics.contains(&k));
        let coherent = |i: usize| -> f64 {
            let power = cross[i * n + i].re;
            let others = (0..n).filter(|k| *k != i && !are_of_one(i, *k) && cross[k * n + k].re > 0.0);
            // Two that have nothing in common are this coherent by chance.
            others.map(|k| (cross[i * n + k].norm_sqr() / cross[k * n + k].re - power / n_looks).max(0.0)).sum()
        };
        let powers = bin.powers();
        let leaked = |i: usize| -> f64 {
            let others = (0..own.len()).filter(|source| !own[*source].is_empty() && !own[*source].contains(&i));
            others.map(|source| powers[source] * covariances[(source * n + i) * n + i].re).sum()
        };
        Self { coherent: (0..n).map(coherent).collect(), leaked: (0..n).map(leaked).collect() }
    }
}

/// Holds the leaks of all bins to what is coherent.
pub(super) fn hold(covariances: &mut [Vec<Complex64>], bounds: &[Bound], own: &[Vec<usize>]) {
    let n_bins = bounds.len();
    let n = bounds.first().map_or(0, |bound| bound.coherent.len());
    for (bin, covariances) in covariances.iter_mut().enumerate() {
        let reach = (bin as f64 * REACH).ceil() as usize;
        let near: Range<usize> = bin.saturating_sub(reach)..(bin + reach + 1).min(n_bins);
        for mic in 0..n {
            let sum = |of: fn(&Bound) -> &[f64]| bounds[near.clone()].iter().map(|bound| of(bound)[mic]).sum::<f64>();
            let (coherent, leaked) = (sum(|bound| &bound.coherent), sum(|bound| &bound.leaked));
            if leaked <= coherent {
                continue;
            }
            let gain = (coherent / leaked).sqrt();
            for (source, _) in own.iter().enumerate().filter(|(_, own)| !own.is_empty() && !own.contains(&mic)) {
                for other in 0..n {
                    covariances[(source * n + mic) * n + other] *= gain;
                    covariances[(source * n + other) * n + mic] *= gain;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use realfft::num_complex::Complex32;

    /// Leaks from the first of two microphones into the second, as learned and as held: `heard` gives what both hear.
    fn held(heard: impl Fn(usize) -> [Complex32; 2]) -> (f64, f64) {
        let (n_frames, own) = (400, [vec![0], vec![1]]);
        let mut bin = Bin::new(2, 2, n_frames);
        for mic in 0..2 {
            bin.hear(mic, (0..n_frames).map(|frame| heard(frame)[mic]), 1.0);
            bin.expect(mic, std::iter::repeat_n(1.0, n_frames));
        }
        // Both sources leak into the other microphone by a tenth of their power.
        let covariance = [[1.0, 0.3, 0.3, 0.1], [0.1, 0.3, 0.3, 1.0]];
        let learned: Vec<_> = covariance.concat().into_iter().map(Complex64::from).collect();
        let mut covariances = vec![learned.clone()];
        hold(&mut covariances, &[Bound::of(&bin, &learned, &own)], &own);
        assert_eq!(covariances[0][0], learned[0], "a source stays as it is in its own microphone");
        (learned[3].re, covariances[0][3].re)
    }

    /// Of unit power, with a phase that no other seed has.
    fn noise(frame: usize, seed: u64) -> Complex32 {
        let angle =
            (frame as f64 * (1.0 + seed as f64).sqrt() * 1.7 + (frame * frame) as f64 * 0.37 * seed as f64).sin();
        Complex32::from_polar(1.0, (1e3 * angle) as f32)
    }

    #[test]
    fn microphones_without_anything_in_common_leak_next_to_nothing() {
        let (learned, held) = held(|frame| [noise(frame, 1), noise(frame, 2)]);
        assert!(held < 0.2 * learned, "{held}");
    }

    #[test]
    fn what_is_coherent_may_leak() {
        let (learned, held) = held(|frame| {
            let (a, b) = (noise(frame, 1), noise(frame, 2));
            [a + b * 0.32, b + a * 0.32]
        });
        assert_eq!(held, learned);
    }
}
