//! What drums sound like before the recording is heard: computed templates, and those of recorded hits.

use ndarray::{Array1, Array2, Axis};

use super::levels::HIT_THRESHOLD;
use crate::audio::resample::resample;
use crate::nmf::{ConvolutiveConfig, Factor, fit_convolutive};
use crate::separate::methods::peaks::peaks;
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
    /// Noise from 1.5 kHz on that fades within a sixteenth of a second.
    HiHat,
    /// A tone between 80 and 200 Hz that fades within a fifth of a second.
    Tom,
    /// Noise about 5 kHz that goes on.
    Ride,
    /// Noise from 2 kHz on that goes on.
    Crash,
    /// Noise from 700 Hz to 3 kHz without a tone.
    Clap,
    /// A recording of one hit or of several hits of this drum alone, at any sample rate.
    Recording {
        /// The hits.
        audio: Audio,
        /// What the recording is called in messages: its file.
        label: String,
    },
}

/// The drums that can be looked for without a recording of them, by name.
const PIECES: [(&str, Sound); 7] = [
    ("kick", Sound::Kick),
    ("snare", Sound::Snare),
    ("hihat", Sound::HiHat),
    ("tom", Sound::Tom),
    ("ride", Sound::Ride),
    ("crash", Sound::Crash),
    ("clap", Sound::Clap),
];

impl Drum {
    /// A kick, a snare and a hi-hat.
    pub fn standard() -> Vec<Self> {
        PIECES.iter().take(3).map(|(name, sound)| Self { name: (*name).into(), sounds: vec![sound.clone()] }).collect()
    }

    /// The names of the drums that can be looked for without a recording of them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PIECES.iter().map(|(name, _)| *name)
    }

    /// The drum of this name, one of [`Drum::names`].
    pub fn named(name: &str) -> Option<Self> {
        let (name, sound) = PIECES.iter().find(|(known, _)| *known == name)?;
        Some(Self { name: (*name).into(), sounds: vec![sound.clone()] })
    }

    /// What a template of it is like; nothing where there is a recording of it, which knows better.
    pub(super) fn likeness(&self) -> Option<Likeness> {
        self.sounds.iter().map(Sound::likeness).next().filter(|_| self.sounds.len() == 1)?
    }
}

/// What templates of a drum are like, over kits of all kinds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Likeness {
    /// Share of the power below 500 Hz, and the deviation of its logarithm.
    pub(super) low_share: f64,
    pub(super) low_deviation: f64,
    /// Center of the power in Hz, and its deviation in octaves.
    pub(super) center_hz: f64,
    pub(super) center_deviation: f64,
    /// Hits in a second.
    pub(super) rate: f64,
    /// Whether it can be taken for granted; other drums are listened for.
    pub(super) is_in_every_kit: bool,
}

impl Sound {
    fn likeness(&self) -> Option<Likeness> {
        let like = |low_share, low_deviation, center_hz, center_deviation, rate| {
            let is_in_every_kit = matches!(self, Self::Kick | Self::Snare | Self::HiHat);
            Some(Likeness { low_share, low_deviation, center_hz, center_deviation, rate, is_in_every_kit })
        };
        match self {
            Self::Kick => like(0.9, 0.6, 90.0, 0.7, 2.0),
            Self::Snare => like(0.45, 1.0, 900.0, 1.2, 1.5),
            Self::HiHat => like(0.03, 1.0, 7000.0, 0.8, 4.0),
            Self::Tom => like(0.8, 0.6, 170.0, 0.7, 0.7),
            Self::Ride => like(0.05, 1.0, 5500.0, 0.8, 3.0),
            Self::Crash => like(0.05, 1.0, 4500.0, 0.8, 0.3),
            Self::Clap => like(0.05, 0.8, 1800.0, 0.7, 1.0),
            Self::Recording { .. } => None,
        }
    }
}

/// One template for each sound of the kit, `n_bins` x `n_lags`; the first frame of a sound sums to about one.
pub(super) fn templates(kit: &[Drum], stft: &Stft, sample_rate: u32, n_lags: usize) -> Result<Vec<Array2<f32>>> {
    let sounds = kit.iter().flat_map(|drum| drum.sounds.iter().map(move |sound| (drum, sound)));
    let template = |(drum, sound): (&Drum, &Sound)| {
        let (spectrum, fade_s): (fn(f64) -> f64, f64) = match sound {
            Sound::Kick => (kick, 0.12),
            Sound::Snare => (snare, 0.10),
            Sound::HiHat => (hihat, 0.06),
            Sound::Tom => (tom, 0.20),
            Sound::Ride => (ride, 0.40),
            Sound::Crash => (crash, 0.80),
            Sound::Clap => (clap, 0.06),
            Sound::Recording { audio, label } => {
                return learned(audio, stft, sample_rate, n_lags).map_err(|source| Error::Example {
                    name: drum.name.clone(),
                    label: label.clone(),
                    source: Box::new(source),
                });
            }
        };
        Ok(analytic(spectrum, fade_s, stft.config(), sample_rate, n_lags))
    };
    sounds.map(template).collect()
}

/// Magnitude of a kick over frequency in Hz: a hump of an octave and a half about 50 Hz, and a click 50 dB below.
fn kick(hz: f64) -> f64 {
    hump(hz, 50.0, 0.8) + 0.003 / (1.0 + hz / 2000.0)
}

/// Magnitude of a snare: a hump of an octave about 200 Hz, and noise from 300 Hz to 3.5 kHz.
fn snare(hz: f64) -> f64 {
    0.5 * hump(hz, 200.0, 0.5) + 0.3 * noise(hz, 300.0, 3500.0)
}

/// Magnitude of a hi-hat: noise from 1.5 kHz on.
fn hihat(hz: f64) -> f64 {
    1.0 / (1.0 + (1500.0 / hz).powi(4))
}

/// Magnitude of a tom: a hump of an octave about 130 Hz, and the noise of the stick.
fn tom(hz: f64) -> f64 {
    hump(hz, 130.0, 0.6) + 0.01 / (1.0 + hz / 2000.0)
}

/// Magnitude of a ride: noise about 5 kHz.
fn ride(hz: f64) -> f64 {
    noise(hz, 3000.0, 9000.0)
}

/// Magnitude of a crash: noise from 2 kHz on.
fn crash(hz: f64) -> f64 {
    1.0 / (1.0 + (2000.0 / hz).powi(2))
}

/// Magnitude of hands: noise from 700 Hz to 3 kHz.
fn clap(hz: f64) -> f64 {
    noise(hz, 1000.0, 2500.0).powi(2)
}

/// The magnitude at a frequency in Hz.
pub(super) type Spectrum = fn(f64) -> f64;

/// What a second sound of some drum may be like, and the seconds in which it fades: anything, or an open hi-hat.
pub(super) const SECOND_SOUNDS: [(Spectrum, f64); 2] = [(anything, 0.1), (open_hihat, 0.5)];

fn open_hihat(hz: f64) -> f64 {
    1.0 / (1.0 + (5000.0 / hz).powi(4))
}

fn anything(hz: f64) -> f64 {
    hz.powf(-0.5)
}

/// Noise between two frequencies.
fn noise(hz: f64, low_hz: f64, high_hz: f64) -> f64 {
    1.0 / ((1.0 + (low_hz / hz).powi(2)) * (1.0 + (hz / high_hz).powi(2)))
}

/// A bell of so many octaves, from the center to 61 %.
pub(super) fn hump(hz: f64, center_hz: f64, octaves: f64) -> f64 {
    (-0.5 * ((hz / center_hz).log2() / octaves).powi(2)).exp()
}

/// A spectrum that fades, in every bin alike.
pub(super) fn analytic(
    spectrum: impl Fn(f64) -> f64,
    fade_s: f64,
    stft: &StftConfig,
    sample_rate: u32,
    n_lags: usize,
) -> Array2<f32> {
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
