//! What drums sound like before the recording is heard: computed templates, and those of recorded hits.

use ndarray::{Array1, Array2, Axis};

use super::DrumsConfig;
use super::hits::{HIT_THRESHOLD, peaks};
use crate::audio::resample::resample;
use crate::nmf::{ConvolutiveConfig, Factor, fit_convolutive};
use crate::stft::{Stft, StftConfig};
use crate::watch::Watch;
use crate::{Audio, Error, Result};

/// Iterations that learn a template from recorded hits.
const HIT_ITERATIONS: usize = 20;

/// One drum: a name, and what it sounds like.
#[derive(Debug, Clone, PartialEq)]
pub struct Drum {
    /// The name of its stem.
    pub name: String,
    /// Its sounds, at least one; each gets a template of its own.
    pub sounds: Vec<Sound>,
}

/// What a drum sounds like, before it is heard in the recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Sound {
    /// A low tone that fades within an eighth of a second.
    Kick,
    /// A tone of 200 Hz and noise of all frequencies.
    Snare,
    /// Noise above 5 kHz.
    HiHat,
    /// A recording of one hit or of several hits of this drum alone, at any sample rate.
    Recording {
        /// The hits.
        audio: Audio,
        /// What the recording is called in messages: its file.
        label: String,
    },
}

impl Drum {
    /// A kick, a snare and a hi-hat.
    pub fn standard() -> Vec<Self> {
        let drum = |name: &str, sound| Self { name: name.into(), sounds: vec![sound] };
        vec![drum("kick", Sound::Kick), drum("snare", Sound::Snare), drum("hihat", Sound::HiHat)]
    }
}

/// One template for each sound of the kit, `n_bins` x `n_lags`; the first frame of a sound sums to about one.
pub(super) fn templates(config: &DrumsConfig, stft: &Stft, sample_rate: u32, n_lags: usize) -> Result<Vec<Array2<f32>>> {
    let sounds = config.kit.iter().flat_map(|drum| drum.sounds.iter().map(move |sound| (drum, sound)));
    let analytic = |spectrum: fn(f64) -> f64, fade_s| Ok(analytic(spectrum, fade_s, stft.config(), sample_rate, n_lags));
    let template = |(drum, sound): (&Drum, &Sound)| match sound {
        Sound::Kick => analytic(kick, KICK_FADE_S),
        Sound::Snare => analytic(snare, SNARE_FADE_S),
        Sound::HiHat => analytic(hihat, HIHAT_FADE_S),
        Sound::Recording { audio, label } => learned(audio, stft, sample_rate, n_lags).map_err(|source| {
            Error::Example { name: drum.name.clone(), label: label.clone(), source: Box::new(source) }
        }),
    };
    sounds.map(template).collect()
}

/// Seconds in which a drum fades to 37 %.
const KICK_FADE_S: f64 = 0.12;
const SNARE_FADE_S: f64 = 0.10;
const HIHAT_FADE_S: f64 = 0.06;

/// Magnitude of a kick over frequency in Hz: a hump of an octave and a half about 70 Hz, and a click 50 dB below.
fn kick(hz: f64) -> f64 {
    hump(hz, 70.0, 0.8) + 0.003 / (1.0 + hz / 2000.0)
}

/// Magnitude of a snare: a hump of an octave about 200 Hz, and noise from 300 Hz to 3.5 kHz.
fn snare(hz: f64) -> f64 {
    0.5 * hump(hz, 200.0, 0.5) + 0.3 / ((1.0 + (300.0 / hz).powi(2)) * (1.0 + (hz / 3500.0).powi(2)))
}

/// Magnitude of a hi-hat: noise from 5 kHz on.
fn hihat(hz: f64) -> f64 {
    1.0 / (1.0 + (5000.0 / hz).powi(4))
}

/// A bell of so many octaves, from the center to 61 %.
pub(super) fn hump(hz: f64, center_hz: f64, octaves: f64) -> f64 {
    (-0.5 * ((hz / center_hz).log2() / octaves).powi(2)).exp()
}

/// A spectrum that fades, in every bin alike.
pub(super) fn analytic(spectrum: impl Fn(f64) -> f64, fade_s: f64, stft: &StftConfig, sample_rate: u32, n_lags: usize) -> Array2<f32> {
    // The lowest bin has some frequency, too: spectra are given over its logarithm.
    let bins: Array1<f64> = (0..stft.n_bins()).map(|bin| spectrum(stft.bin_hz(bin, sample_rate).max(10.0))).collect();
    let sum = bins.sum();
    Array2::from_shape_fn((stft.n_bins(), n_lags), |(bin, lag)| {
        (bins[bin] / sum * (-stft.frame_s(lag, sample_rate) / fade_s).exp()) as f32
    })
}

/// The template of recorded hits, by a fit of one template to them.
fn learned(audio: &Audio, stft: &Stft, sample_rate: u32, n_lags: usize) -> Result<Array2<f32>> {
    let audio = resample(audio, sample_rate)?;
    if audio.peak() == 0.0 {
        return Err(Error::Silent);
    }
    let magnitude = stft.magnitude(audio.samples());
    let level = magnitude.sum_axis(Axis(1));
    // A hit begins in the frame before the level rises most, where it comes into the window.
    let rise: Vec<_> =
        (0..level.len()).map(|i| level[i] - i.checked_sub(1).map_or(0.0, |before| level[before])).collect();
    let mut activations = Array2::zeros((1, level.len()));
    for at in peaks(&rise, n_lags, HIT_THRESHOLD) {
        activations[[0, at.saturating_sub(1)]] = rise[at];
    }
    // Spectra after each hit, as loud as it was.
    let mut seed = Array2::from_elem((magnitude.ncols(), n_lags), f32::MIN_POSITIVE);
    for (at, _) in activations.row(0).iter().enumerate().filter(|(_, x)| **x > 0.0) {
        for (mut column, frame) in seed.columns_mut().into_iter().zip(magnitude.outer_iter().skip(at)) {
            column += &frame;
        }
    }
    let config = ConvolutiveConfig {
        n_components: 1,
        n_lags,
        dictionary: Factor::Seed(seed),
        activations: Factor::Seed(activations),
        max_iter: HIT_ITERATIONS,
        ..ConvolutiveConfig::default()
    };
    let mut template = fit_convolutive(magnitude.t(), &config, &mut Watch::none())?.dictionary;
    let loudest = template.sum_axis(Axis(0)).fold(0.0f32, |most, x| most.max(*x));
    if loudest > 0.0 {
        template /= loudest;
    }
    Ok(template)
}
