//! How much of each source other microphones can hear at the most. What bleeds keeps its phase to the source's own
//! microphone all through a recording; notes that two players hold at once do so only while they last.

use std::ops::Range;

use ndarray::{Array2, Array3};
use rayon::prelude::*;
use realfft::num_complex::{Complex32, Complex64};

/// Neighbors that are looked at together, as a share of the frequency on both sides.
const REACH: f64 = 0.12;

/// Of the frames in which a source is loud, the share in which another microphone hears the least: it has little of its
/// own there.
const QUIETEST: f64 = 0.3;

/// Frames of a stretch, 0.5 s: what is coherent within one alone is chance.
const STRETCH: usize = 24;

/// A share of its squared power that has to stand in different stretches.
const SPREAD: f64 = 1e-3;

/// So many times what is coherent may leak: what a room holds longer than a frame is not coherent.
const MARGIN: f64 = 5.0;

/// So many times as much as in the `LOWEST` share of all octaves may leak in any: a room treats no frequency very
/// differently, and what is coherent in few alone is music.
const UNEVEN: f64 = 3.0;
const LOWEST: f64 = 0.3;

/// Bins about which a source has less power than this, relative to where it has most, say nothing of all others.
const AUDIBLE: f64 = 1e-3;

/// What a microphone hears of a source in one bin, in the frames where that can be told.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// The source's power in its own microphone, in these frames; 0 where nothing can be told.
    power: f64,
    /// The part of the other microphone's power that is coherent with it, less what chance makes of it: below 0, too.
    coherent: f64,
}

/// How much of the power of a source in its own microphone (the first of `own`) each microphone hears at the most:
/// microphones x sources x bins, infinite where nothing is known.
pub(super) fn most_heard(spectra: &[&Array2<Complex32>], gains: &[f32], own: &[Vec<usize>]) -> Array3<f64> {
    let (n_mics, n_sources, n_bins) = (spectra.len(), own.len(), spectra[0].ncols());
    let pairs: Vec<_> = (0..n_mics).flat_map(|mic| (0..n_sources).map(move |source| (mic, source))).collect();
    let of_bin = |bin: usize| -> Vec<Heard> {
        let column = |(x, gain): (&&Array2<Complex32>, &f32)| x.column(bin).iter().map(|x| x * gain).collect();
        let columns: Vec<Vec<Complex32>> = spectra.iter().zip(gains).map(column).collect();
        let of_pair = |(mic, source): &(usize, usize)| match own[*source].first() {
            Some(home) if !own[*source].contains(mic) => heard(&columns[*mic], &columns[*home]),
            _ => Heard::default(),
        };
        pairs.iter().map(of_pair).collect()
    };
    let all: Vec<_> = (0..n_bins).into_par_iter().map(of_bin).collect();
    let of_pair = |number: usize| most(&all.iter().map(|heard| heard[number]).collect::<Vec<_>>());
    let most: Vec<_> = (0..pairs.len()).into_par_iter().flat_map_iter(of_pair).collect();
    Array3::from_shape_vec((n_mics, n_sources, n_bins), most).expect("a value for each bin of each pair")
}

/// What one microphone hears of a source in the frames in which it hears the least, by the frames of both.
///
/// With the cross-power `c_s` and the power `p_s` of each stretch, a leak of gain g makes `c_s = g p_s`, so
/// `|sum of c_s|^2 - sum of |c_s|^2` is `|g|^2 ((sum of p_s)^2 - sum of p_s^2)`; what has another phase in each stretch
/// adds nothing to it in the mean.
fn heard(here: &[Complex32], home: &[Complex32]) -> Heard {
    let power = |x: &Complex32| f64::from(x.norm_sqr());
    let mean = home.iter().map(power).sum::<f64>() / home.len().max(1) as f64;
    let ratio = |i: &Complex32, k: &Complex32| (power(k) > mean).then(|| power(i) / power(k));
    let mut ratios: Vec<_> = here.iter().zip(home).filter_map(|(i, k)| ratio(i, k)).collect();
    if ratios.is_empty() {
        return Heard::default();
    }
    let middle = ((ratios.len() - 1) as f64 * QUIETEST) as usize;
    let (_, limit, _) = ratios.select_nth_unstable_by(middle, f64::total_cmp);
    let (mut crosses, mut powers, mut squared_crosses, mut squared_powers) = (Complex64::ZERO, 0.0, 0.0, 0.0);
    for (here, home) in here.chunks(STRETCH).zip(home.chunks(STRETCH)) {
        let quiet = here.iter().zip(home).filter(|(i, k)| ratio(i, k).is_some_and(|ratio| ratio <= *limit));
        let (mut cross, mut own) = (Complex64::ZERO, 0.0);
        for (i, k) in quiet {
            cross += Complex64::new(i.re.into(), i.im.into()) * Complex64::new(k.re.into(), (-k.im).into());
            own += power(k);
        }
        crosses += cross;
        powers += own;
        squared_crosses += cross.norm_sqr();
        squared_powers += own * own;
    }
    let spread = powers * powers - squared_powers;
    if spread <= SPREAD * powers * powers {
        return Heard::default();
    }
    Heard { power: powers, coherent: powers * (crosses.norm_sqr() - squared_crosses) / spread }
}

fn near(bin: usize, n_bins: usize) -> Range<usize> {
    let reach = (bin as f64 * REACH).ceil() as usize;
    bin.saturating_sub(reach)..(bin + reach + 1).min(n_bins)
}

/// Of one pair, the most in each bin.
fn most(heard: &[Heard]) -> Vec<f64> {
    let n_bins = heard.len();
    let of_bin = |bin: usize| {
        let near = &heard[near(bin, n_bins)];
        let power: f64 = near.iter().map(|heard| heard.power).sum();
        let coherent: f64 = near.iter().map(|heard| heard.coherent).sum();
        if power > 0.0 { (power, MARGIN * coherent.max(0.0) / power) } else { (power, f64::INFINITY) }
    };
    let all: Vec<_> = (0..n_bins).map(of_bin).collect();
    let loudest = all.iter().map(|(power, _)| *power).fold(0.0, f64::max);
    // Each octave counts as much as any other.
    let audible = all.iter().enumerate().skip(1).filter(|(_, (power, _))| *power > AUDIBLE * loudest);
    let mut sorted: Vec<_> = audible.map(|(bin, (_, most))| (*most, 1.0 / bin as f64)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut left = LOWEST * sorted.iter().map(|(_, weight)| weight).sum::<f64>();
    let low = sorted.iter().find(|(_, weight)| {
        left -= weight;
        left <= 0.0
    });
    let most = low.map_or(f64::INFINITY, |(low, _)| UNEVEN * low);
    all.iter().map(|(_, here)| here.min(most)).collect()
}

/// Holds what other microphones hear of each source to the most; `powers` has the power of each source in each bin.
pub(super) fn hold(covariances: &mut [Vec<Complex64>], powers: &[Vec<f64>], most: &Array3<f64>, own: &[Vec<usize>]) {
    let (n, n_sources, n_bins) = most.dim();
    let image = |(mic, source, bin): (usize, usize, usize)| {
        powers[bin][source] * covariances[bin][(source * n + mic) * n + mic].re
    };
    let images = Array3::from_shape_fn(most.dim(), image);
    for (bin, covariances) in covariances.iter_mut().enumerate() {
        let near = near(bin, n_bins);
        let power = |mic: usize, source: usize| -> f64 { near.clone().map(|bin| images[[mic, source, bin]]).sum() };
        for source in (0..n_sources).filter(|source| !own[*source].is_empty()) {
            let home = power(own[source][0], source);
            for mic in (0..n).filter(|mic| !own[source].contains(mic)) {
                let (leaked, most) = (power(mic, source), most[[mic, source, bin]] * home);
                if leaked.is_nan() || most.is_nan() || leaked <= most {
                    continue;
                }
                let gain = (most / leaked).sqrt();
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

    /// Leaks from the first of two microphones into the second, as learned and as held: `heard` gives what both hear.
    fn held(heard: impl Fn(usize) -> [Complex32; 2]) -> (f64, f64) {
        let (n_frames, own) = (400, [vec![0], vec![1]]);
        let spectrum = |mic: usize| Array2::from_shape_fn((n_frames, 1), |(frame, _)| heard(frame)[mic]);
        let spectra = [spectrum(0), spectrum(1)];
        // Both sources leak into the other microphone by a tenth of their power.
        let covariance = [[1.0, 0.3, 0.3, 0.1], [0.1, 0.3, 0.3, 1.0]];
        let learned: Vec<_> = covariance.concat().into_iter().map(Complex64::from).collect();
        let mut covariances = vec![learned.clone()];
        let most = most_heard(&spectra.each_ref(), &[1.0; 2], &own);
        hold(&mut covariances, &[vec![1.0; 2]], &most, &own);
        assert_eq!(covariances[0][0], learned[0], "a source stays as it is in its own microphone");
        (learned[3].re, covariances[0][3].re)
    }

    /// With a phase and a power that no other seed has.
    fn noise(frame: usize, seed: u64) -> Complex32 {
        let angle =
            (frame as f64 * (1.0 + seed as f64).sqrt() * 1.7 + (frame * frame) as f64 * 0.37 * seed as f64).sin();
        Complex32::from_polar(1.0 + 0.5 * (77.0 * angle) as f32 % 1.0, (1e3 * angle) as f32)
    }

    #[test]
    fn microphones_without_anything_in_common_leak_next_to_nothing() {
        let (learned, held) = held(|frame| [noise(frame, 1), noise(frame, 2)]);
        assert!(held < 0.1 * learned, "{held}");
    }

    #[test]
    fn notes_that_both_hold_are_no_leak() {
        // Each note is half a second, of one phase in either microphone.
        let (learned, held) = held(|frame| [noise(frame / 24, 1), noise(frame / 24, 2) * 0.5]);
        assert!(held < 0.3 * learned, "{held}");
    }

    #[test]
    fn what_is_coherent_in_a_few_bins_alone_is_music() {
        let heard = |coherent| Heard { power: 1.0, coherent };
        let mut all = vec![heard(1e-6); 400];
        all[200..300].fill(heard(0.1));
        assert!(most(&all).iter().all(|most| *most < 1e-4));
        // Where the source has next to nothing, nothing can be told.
        all[..200].fill(Heard { power: 1e-6, coherent: 0.0 });
        all[300..].fill(Heard { power: 1e-6, coherent: 0.0 });
        assert!((most(&all)[250] - 0.5).abs() < 0.1);
        assert_eq!(most(&[Heard::default(); 9]), [f64::INFINITY; 9]);
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
