//! Where the fit starts: a fit on few bands, which costs little, finds when the templates are played, whether a drum has a
//! second sound, and which drum each template has become. Knows nothing of what comes after.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate, s};

use super::kit::{Drum, Likeness, SECOND_SOUNDS, analytic};
use super::levels::{HIT_DISTANCE_S, even};
use crate::Result;
use crate::nmf::{ConvolutiveConfig, Factor, Part, fit_convolutive};
use crate::separate::methods::peaks::peaks;
use crate::stft::StftConfig;
use crate::watch::Watch;

/// Iterations in which the templates stay as they are given.
const HELD_ITERATIONS: usize = 5;

/// Iterations on bands, each of which costs a twentieth of one on bins.
const BAND_ITERATIONS: usize = 100;

/// Bands are at least a bin and this share of an octave wide: what tells drums apart is not pitch.
const BANDS_PER_OCTAVE: f64 = 6.0;

/// Another template is for a sound of its own where it leaves at most so much of what was unexplained. A sound that is
/// split in two leaves 0.7 to 0.9 of it, one that had no template 0.2 to 0.66 (19 loops).
const SECOND_SOUND_LEAVES: f64 = 0.7;

/// Clear hits are at least so loud, relative to the loudest.
const CLEAR_HIT: f32 = 0.3;

/// A drum that was asked for, beyond kick, snare and hi-hat, is heard where its template leaves at most so much: less is
/// asked of it than of a sound of which nobody told. Of 15 drums that were there 11 left 0.37 to 0.83.
const ASKED_LEAVES: f64 = 0.85;

/// The logarithm of the likelihood of what sounds like no drum.
const STRANGE: f64 = -8.0;

/// Deviation of the logarithm of how often a drum is hit: by 2.2 times.
const RATE_DEVIATION: f64 = 0.8;

/// How much more likely a template is still for the drum that it was given for, in the logarithm.
const GIVEN_BONUS: f64 = 0.6;

/// How much more likely a template is for the drum that it is always played with, in the logarithm.
const TOGETHER_BONUS: f64 = 2.0;

/// The frames to explain, and how.
pub(super) struct Frames<'a> {
    /// Frames x `n_bins`.
    pub(super) magnitude: ArrayView2<'a, f32>,
    pub(super) stft: &'a StftConfig,
    pub(super) sample_rate: u32,
    pub(super) n_lags: usize,
    pub(super) run_length: Option<usize>,
    pub(super) seed: u64,
}

/// What the fit goes on from.
pub(super) struct Start {
    /// `n_bins` x (templates x `n_lags`).
    pub(super) dictionary: Array2<f32>,
    /// Templates x frames.
    pub(super) activations: Array2<f32>,
    /// The part of each template: a drum, or the one after them.
    pub(super) partition: Vec<usize>,
}

/// Finds a start from one template for each sound of the kit, and free ones for what is left.
///
/// # Errors
/// [`crate::Error::Cancelled`].
///
/// # Cost
/// 100 iterations on about 50 bands for the given templates and, where all are computed, as many for one more, twice
/// where that is a sound of its own.
pub(super) fn find(
    kit: &[Drum],
    templates: Vec<Array2<f32>>,
    n_residual: usize,
    frames: &Frames<'_>,
    watch: &mut Watch<'_>,
) -> Result<Start> {
    let edges = bands(frames.stft);
    let bands = Bands { v: fold(frames.magnitude.t(), &edges), edges: &edges, frames };
    let drum_of: Vec<_> =
        kit.iter().enumerate().flat_map(|(i, drum)| std::iter::repeat_n(i, drum.sounds.len())).collect();
    let Some(likenesses) = kit.iter().map(Drum::likeness).collect::<Option<Vec<_>>>() else {
        // Recorded hits say themselves whose they are, and how many sounds a drum has.
        let best = bands.fit(templates, n_residual, watch)?;
        let partition = [drum_of, vec![kit.len(); n_residual]].concat();
        return Ok(Start { dictionary: bands.unfold(&best), activations: best.activations, partition });
    };
    let (heard, mut best) = bands.heard(&templates, n_residual, &likenesses, watch)?;
    // What no template explains is the residual's, where there is one.
    let enough = SECOND_SOUND_LEAVES * best.divergence;
    for (spectrum, fade_s) in SECOND_SOUNDS.iter().filter(|_| n_residual == 0) {
        let given = best.templates.iter().take(heard.len()).cloned();
        let second = analytic(spectrum, *fade_s, frames.stft, frames.sample_rate, frames.n_lags);
        let other = bands.fit(given.chain([second]).collect(), 0, watch)?;
        if other.divergence >= enough.min(best.divergence) {
            break;
        }
        best = other;
    }
    let features: Vec<_> = (0..best.templates.len()).map(|k| bands.features(&best, k)).collect();
    let mut partition: Vec<_> = heard.iter().map(|k| drum_of[*k]).collect();
    exchange(&mut partition, &features[..heard.len()], &likenesses);
    if let Some(second) = features.get(heard.len()) {
        partition.push(owner(&best.activations, &partition, *second, &likenesses, frames.n_lags));
    }
    // Drums that are not heard have templates of nothing.
    let silent: Vec<_> = (0..kit.len()).filter(|drum| !partition.contains(drum)).collect();
    partition.resize(partition.len() + n_residual, kit.len());
    let dictionary = bands.unfold(&best);
    let nothing = Array2::zeros((dictionary.nrows(), silent.len() * frames.n_lags));
    let never = Array2::zeros((silent.len(), best.activations.ncols()));
    partition.extend(silent);
    Ok(Start {
        dictionary: concatenate![Axis(1), dictionary, nothing],
        activations: concatenate![Axis(0), best.activations, never],
        partition,
    })
}

// ---- bands -----------------------------------------------------------------------------------------------------------

/// The first bin of each band, and the end.
fn bands(stft: &StftConfig) -> Vec<usize> {
    let mut edges = vec![0, 1];
    let mut last = 1;
    while last < stft.n_bins() {
        let wide = (last as f64 * 2f64.powf(1.0 / BANDS_PER_OCTAVE)).round() as usize;
        last = wide.max(last + 1).min(stft.n_bins());
        edges.push(last);
    }
    edges
}

/// The sum of the bins of each band, bands x columns.
fn fold(bins: ArrayView2<'_, f32>, edges: &[usize]) -> Array2<f32> {
    let mut folded = Array2::zeros((edges.len() - 1, bins.ncols()));
    for (mut band, range) in folded.outer_iter_mut().zip(ranges(edges)) {
        band.assign(&bins.slice(s![range, ..]).sum_axis(Axis(0)));
    }
    folded
}

fn ranges(edges: &[usize]) -> impl Iterator<Item = Range<usize>> {
    edges.iter().zip(&edges[1..]).map(|(first, end)| *first..*end)
}

/// A recording on bands.
struct Bands<'a, 'm> {
    /// Bands x frames.
    v: Array2<f32>,
    edges: &'a [usize],
    frames: &'a Frames<'m>,
}

/// A fit on bands.
struct Fit {
    /// What it started from, on bins.
    templates: Vec<Array2<f32>>,
    /// Bands x (templates x lags), the free ones last.
    dictionary: Array2<f32>,
    activations: Array2<f32>,
    divergence: f64,
}

impl Fit {
    fn template(&self, k: usize, n_lags: usize) -> ArrayView2<'_, f32> {
        self.dictionary.slice(s![.., k * n_lags..(k + 1) * n_lags])
    }
}

impl Bands<'_, '_> {
    /// A fit that starts from templates on bins, and as many free ones.
    fn fit(&self, templates: Vec<Array2<f32>>, n_free: usize, watch: &mut Watch<'_>) -> Result<Fit> {
        let n_lags = self.frames.n_lags;
        let n_components = templates.len() + n_free;
        let folded = templates.iter().map(|template| fold(template.view(), self.edges));
        let mut columns: Vec<_> = folded
            .flat_map(|template| template.columns().into_iter().map(|x| Part::Seed(x.to_owned())).collect::<Vec<_>>())
            .collect();
        columns.resize(n_components * n_lags, Part::Free);
        let config = ConvolutiveConfig {
            n_components,
            n_lags,
            dictionary: Factor::PerComponent(columns),
            activations: Factor::Seed(even(n_components, self.v.t())),
            n_held: HELD_ITERATIONS,
            run_length: self.frames.run_length,
            max_iter: BAND_ITERATIONS,
            tol: 0.0,
            seed: self.frames.seed,
        };
        let found = fit_convolutive(self.v.view(), &config, watch)?.complete()?;
        let divergence = found.divergence_curve.last().map_or(f64::INFINITY, |(_, divergence)| *divergence);
        Ok(Fit { templates, dictionary: found.dictionary, activations: found.activations, divergence })
    }

    /// Which of the given templates are heard, and the fit with them: first those that every kit has, then one after the
    /// other, as long as that explains enough.
    fn heard(
        &self,
        templates: &[Array2<f32>],
        n_free: usize,
        likenesses: &[Likeness],
        watch: &mut Watch<'_>,
    ) -> Result<(Vec<usize>, Fit)> {
        let fit = |heard: &[usize], watch: &mut Watch<'_>| {
            self.fit(heard.iter().map(|k| templates[*k].clone()).collect(), n_free, watch)
        };
        // With likenesses, each drum has one template.
        let (mut heard, mut others): (Vec<_>, Vec<_>) =
            (0..templates.len()).partition(|k| likenesses[*k].is_in_every_kit);
        if heard.is_empty() {
            heard.append(&mut others);
        }
        let mut best = fit(&heard, watch)?;
        while !others.is_empty() {
            let mut next: Option<(usize, Fit)> = None;
            for k in &others {
                let with = fit(&[&heard[..], &[*k]].concat(), watch)?;
                if next.as_ref().is_none_or(|(_, next)| with.divergence < next.divergence) {
                    next = Some((*k, with));
                }
            }
            let Some((k, with)) = next.filter(|(_, with)| with.divergence < ASKED_LEAVES * best.divergence) else {
                break;
            };
            heard.push(k);
            others.retain(|other| *other != k);
            best = with;
        }
        Ok((heard, best))
    }

    /// The dictionary on bins: each template changed by as much as its bands were, the free ones alike in all bins of a band.
    fn unfold(&self, fit: &Fit) -> Array2<f32> {
        let n_lags = self.frames.n_lags;
        let n_bins = self.frames.magnitude.ncols();
        let mut dictionary = Array2::zeros((n_bins, fit.dictionary.ncols()));
        for (k, mut bins) in dictionary.axis_chunks_iter_mut(Axis(1), n_lags).enumerate() {
            if let Some(given) = fit.templates.get(k) {
                bins.assign(given);
            } else {
                bins.fill(1.0);
            }
            let before = fold(bins.view(), self.edges);
            for (band, range) in ranges(self.edges).enumerate() {
                for (lag, mut column) in bins.slice_mut(s![range, ..]).columns_mut().into_iter().enumerate() {
                    let (before, after) = (before[[band, lag]], fit.dictionary[[band, k * n_lags + lag]]);
                    column *= if before > 0.0 { after / before } else { 0.0 };
                }
            }
        }
        dictionary
    }

    /// What a template of a fit is like.
    fn features(&self, fit: &Fit, k: usize) -> Features {
        let template = fit.template(k, self.frames.n_lags);
        let frame_s = self.frames.stft.frame_s(1, self.frames.sample_rate);
        let distance = (HIT_DISTANCE_S / frame_s).round().max(1.0) as usize;
        let n_hits = peaks(&fit.activations.row(k).to_vec(), distance, CLEAR_HIT).len();
        // The magnitudes of n bins of noise sum to as much as a tone of n times the power.
        let power: Array1<f64> = template
            .outer_iter()
            .zip(ranges(self.edges))
            .map(|(band, range)| band.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / (range.len() as f64).sqrt())
            .collect();
        let all = power.sum().max(f64::MIN_POSITIVE);
        let hz = |range: Range<usize>| {
            0.5 * (range.start + range.end - 1) as f64 * self.frames.stft.bin_hz(1, self.frames.sample_rate)
        };
        let bands = || power.iter().zip(ranges(self.edges).map(hz));
        let low: f64 = bands().filter(|(_, hz)| *hz < LOW_HZ).map(|(power, _)| power / all).sum();
        Features {
            log_low: (low + 0.01).ln(),
            log_rate: (n_hits.max(1) as f64 / (fit.activations.ncols() as f64 * frame_s)).ln(),
            log2_center_hz: bands().map(|(power, hz)| power / all * hz.max(20.0).log2()).sum(),
        }
    }
}

// ---- whose a template is ---------------------------------------------------------------------------------------------

/// What only drums with a skin have power below.
const LOW_HZ: f64 = 500.0;

/// What a template sounds like, in numbers that tell drums apart.
#[derive(Debug, Clone, Copy)]
struct Features {
    /// Logarithm of the share of the power below 500 Hz.
    log_low: f64,
    /// Logarithm of the center of the power in Hz, in octaves.
    log2_center_hz: f64,
    /// Logarithm of the clear hits in a second.
    log_rate: f64,
}

impl Features {
    /// The logarithm of how likely the sound is for a drum, up to a constant.
    fn likelihood(self, drum: Likeness) -> f64 {
        let low = deviation(self.log_low - drum.low_share.ln(), drum.low_deviation);
        let center = deviation(self.log2_center_hz - drum.center_hz.log2(), drum.center_deviation);
        // However strange a sound is, it is some drum's.
        (low + center).max(STRANGE)
    }

    /// The same of how often it is played.
    fn rate_likelihood(self, drum: Likeness) -> f64 {
        deviation(self.log_rate - drum.rate.ln(), RATE_DEVIATION)
    }
}

/// The logarithm of a bell.
fn deviation(x: f64, deviation: f64) -> f64 {
    -0.5 * (x / deviation).powi(2)
}

/// Exchanges the drums of two templates, as long as that makes them more likely.
fn exchange(partition: &mut [usize], features: &[Features], likenesses: &[Likeness]) {
    let given = partition.to_vec();
    let value = |k: usize, drum: usize| {
        let (sound, drum_is) = (features[k], likenesses[drum]);
        sound.likelihood(drum_is) + sound.rate_likelihood(drum_is) + if given[k] == drum { GIVEN_BONUS } else { 0.0 }
    };
    let pairs: Vec<_> = (0..given.len()).flat_map(|b| (0..b).map(move |a| (a, b))).collect();
    // Each exchange is for the better, so this ends; the bound is for rounding.
    for _ in 0..pairs.len() {
        let gain = |&(a, b): &(usize, usize)| {
            let (x, y) = (partition[a], partition[b]);
            value(a, y) + value(b, x) - value(a, x) - value(b, y)
        };
        let best = pairs.iter().copied().max_by(|a, b| gain(a).total_cmp(&gain(b)));
        match best.filter(|pair| gain(pair) > 0.0) {
            Some((a, b)) => partition.swap(a, b),
            None => break,
        }
    }
}

/// The drum of the last template: one that it sounds like, or one that it is played with.
fn owner(
    activations: &Array2<f32>,
    partition: &[usize],
    features: Features,
    likenesses: &[Likeness],
    n_lags: usize,
) -> usize {
    let last = activations.row(partition.len());
    let value = |drum: usize| {
        let members = (0..partition.len()).filter(|k| partition[*k] == drum);
        let together = members.map(|k| likeness_in_time(last, activations.row(k), n_lags)).fold(0.0, f64::max);
        features.likelihood(likenesses[drum]) + TOGETHER_BONUS * together
    };
    (0..likenesses.len()).fold(0, |best, drum| if value(drum) > value(best) { drum } else { best })
}

/// Correlation of two activations, where the first follows the second by a frame less than nothing to a template.
fn likeness_in_time(follower: ArrayView1<'_, f32>, leader: ArrayView1<'_, f32>, n_lags: usize) -> f64 {
    let centered = |x: ArrayView1<'_, f32>| -> Vec<f64> {
        let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / x.len().max(1) as f64;
        x.iter().map(|x| f64::from(*x) - mean).collect()
    };
    let (follower, leader) = (centered(follower), centered(leader));
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let scale = (norm(&follower) * norm(&leader)).max(f64::MIN_POSITIVE);
    let at = |lag: usize| follower.iter().skip(lag).zip(&leader).map(|(a, b)| a * b).sum::<f64>() / scale;
    let early = follower.iter().zip(leader.iter().skip(1)).map(|(a, b)| a * b).sum::<f64>() / scale;
    (0..=n_lags).map(at).fold(early, f64::max)
}
