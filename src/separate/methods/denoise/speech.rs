//! What speech looks like, whoever speaks: a sung or spoken tone, or breath, shaped by a mouth.
//! Magnitudes only, frame by frame; the noise that the speech is in is given as templates.
//!
//! A frame of speech is modeled as the product of a *source*, some of [`Sources`] (combs of harmonics over all pitches,
//! and one flat template for what has none), and a *filter*, some of the shipped [`ENVELOPES`]. Because pitch and mouth
//! are apart, thirty envelopes learned from four voices serve every other; a dictionary of whole spectra has to hold each
//! vowel at each pitch of each speaker, and explains noise as readily as speech (2.7 dB less on the development items).
//!
//! J.-L. Durrieu, G. Richard, B. David and C. Fevotte, "Source/filter model for unsupervised main melody extraction from
//! polyphonic audio signals", IEEE Trans. ASLP 18(3), 2010, has the product of source and filter.

mod envelopes;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use rayon::prelude::*;

use self::envelopes::ENVELOPES;
use crate::knowledge::dictionary::Bands;
use crate::stft::StftConfig;

/// What the shipped envelopes know, in Hz: the recordings that they come from end at 8 kHz, and no voice reaches below
/// the lower edge.
const BAND_HZ: (f64, f64) = (80.0, 8000.0);

/// Pitches of the combs, in Hz: from a low man's voice to a high child's.
const PITCH_HZ: (f64, f64) = (85.0, 420.0);

/// Pitches per octave: a third of a semitone apart, within which a harmonic stays inside its lobe.
const PITCHES_PER_OCTAVE: f64 = 36.0;

/// Half the width of a harmonic, relative to that of the window's main lobe.
const LOBE_SHARE: f64 = 0.85;

/// How much wider a harmonic is, as a share of its frequency: pitch moves by about this within a window of 64 ms.
const PITCH_DRIFT: f64 = 0.02;

/// Iterations after which the activations of a frame hardly change: 15, 30 and 60 give the same SI-SDR within 0.1 dB.
const ITERATIONS: usize = 20;

/// Iterations before pitches begin to compete: by then the stronger ones are known.
const FREE_ITERATIONS: usize = 5;

/// How hard a pitch is held down that is much weaker than the strongest of its frame. Without it the combs together
/// explain any noise (0.6 dB less).
const PITCH_RIVALRY: f32 = 0.05;

/// A pitch of this share of the strongest one counts as a rival no longer.
const RIVAL_SHARE: f32 = 0.05;

/// How far the noise keeps to the level of its example, in mean activations: little, since noise comes and goes.
const NOISE_LEVEL_WEIGHT: f32 = 0.03;

/// Frames that one thread works on at a time.
const CHUNK_FRAMES: usize = 64;

/// Keeps quotients of zeros finite; far below any magnitude that a recording holds.
const TINY: f32 = 1e-20;

/// Noise as templates and the level of each in the example.
#[derive(Debug, Clone)]
pub(super) struct NoiseTemplates {
    /// `n_templates` x `n_bins`, each summing to one.
    pub(super) templates: Array2<f32>,
    /// Mean activation of each.
    pub(super) levels: Array1<f32>,
}

/// Speech and noise, ready for one transform at one sample rate.
#[derive(Debug, Clone)]
pub(super) struct SpeechModel {
    /// Bins that the model knows: from 0 to this.
    n_bins: usize,
    on_bins: Parts,
    /// Activations are found on bands.
    on_bands: Parts,
    bands: Bands,
    /// Mean activation of each template of the noise.
    levels: Array1<f32>,
}

/// What a frame is a sum of, on bins or on bands.
#[derive(Debug, Clone)]
struct Parts {
    /// `n_sources` x `n_bins`.
    sources: Array2<f32>,
    /// `n_envelopes` x `n_bins`, each summing to one.
    envelopes: Array2<f32>,
    /// `n_templates` x `n_bins`, each summing to one.
    noise: Array2<f32>,
}

impl Parts {
    /// On bands in which combs and envelopes are flat: the sum of their products is the mean of the one times the sum of the
    /// other.
    fn on_bands(&self, bands: &Bands) -> Self {
        let widths: Array1<f32> = bands.edges().windows(2).map(|edge| (edge[1] - edge[0]) as f32).collect();
        Self {
            sources: bands.pool(self.sources.view(), 1) / &widths,
            envelopes: bands.pool(self.envelopes.view(), 1),
            noise: bands.pool(self.noise.view(), 1),
        }
    }
}

/// The magnitudes that a model gives speech and noise, each frames x bins.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) speech: Array2<f32>,
    pub(super) noise: Array2<f32>,
}

impl SpeechModel {
    /// Cuts `noise` to the band that speech is known in.
    pub(super) fn new(config: &StftConfig, sample_rate: u32, noise: &NoiseTemplates) -> Self {
        let n_bins = n_bins(config, sample_rate);
        let mut templates = noise.templates.slice(s![.., ..n_bins]).to_owned();
        let mut levels = noise.levels.clone();
        for (mut template, level) in templates.outer_iter_mut().zip(&mut levels) {
            let sum = template.sum();
            template /= sum.max(TINY);
            *level *= sum;
        }
        let flat: Vec<f32> = ENVELOPES.iter().flatten().copied().collect();
        let coefficients = Array2::from_shape_vec((ENVELOPES.len(), ENVELOPES[0].len()), flat).expect("a table");
        let bumps = bumps(config, sample_rate, n_bins, ENVELOPES[0].len());
        let mut envelopes = coefficients.dot(&bumps);
        normalize(&mut envelopes);
        let on_bins = Parts { sources: sources(config, sample_rate, n_bins), envelopes, noise: templates };
        let bands = Bands::new(config, sample_rate).below(n_bins);
        Self { n_bins, on_bands: on_bins.on_bands(&bands), on_bins, bands, levels }
    }

    /// Bins from 0 on that the model knows.
    pub(super) fn n_bins(&self) -> usize {
        self.n_bins
    }

    /// Explains magnitudes, frames x at least `n_bins`, as speech and noise. Every frame by itself, so that the result
    /// does not depend on what stands beside it.
    ///
    /// # Cost
    /// About 1000 floating-point operations per frame, band and iteration; of 512 bins up to 8 kHz there are 200 bands.
    pub(super) fn explain(&self, magnitude: ArrayView2<'_, f32>) -> Explained {
        let magnitude = magnitude.slice(s![.., ..self.n_bins]);
        let mut speech = Array2::zeros(magnitude.raw_dim());
        let mut noise = Array2::zeros(magnitude.raw_dim());
        (
            speech.axis_chunks_iter_mut(Axis(0), CHUNK_FRAMES),
            noise.axis_chunks_iter_mut(Axis(0), CHUNK_FRAMES),
            magnitude.axis_chunks_iter(Axis(0), CHUNK_FRAMES),
        )
            .into_par_iter()
            .for_each(|(mut speech, mut noise, magnitude)| {
                let explained = self.explain_chunk(magnitude);
                speech.assign(&explained.speech);
                noise.assign(&explained.noise);
            });
        Explained { speech, noise }
    }

    /// Multiplicative updates of the activations for the Kullback-Leibler divergence of V from (A F)(B E) + C N: A the
    /// activations of the sources F, B of the envelopes E, C of the noise N.
    fn explain_chunk(&self, v: ArrayView2<'_, f32>) -> Explained {
        let n_frames = v.nrows();
        let v = self.bands.pool(v, 1);
        let Parts { sources, envelopes, noise: templates } = &self.on_bands;
        // Frame by frame: a sum over an axis adds up in another order where there is a single frame.
        let total = Array2::from_shape_fn((n_frames, 1), |(frame_idx, _)| v.row(frame_idx).sum());
        let even = |n: usize, share: f32| Array2::ones((n_frames, n)) * &total * (share / n as f32);
        let mut a = Array2::from_elem((n_frames, sources.nrows()), 1.0 / sources.nrows() as f32);
        let mut b = even(envelopes.nrows(), 1.0);
        let mut c = even(templates.nrows(), 0.5);
        // A gamma prior on C whose mean is the level of the example.
        let prior = NOISE_LEVEL_WEIGHT * self.levels.mean().unwrap_or(0.0);
        let pull = self.levels.mapv(|level| 1.0 + prior / level.max(TINY));
        let mut source = a.dot(sources);
        let mut filter = b.dot(envelopes);
        let mut noise = c.dot(templates);
        let mut quotients = Array2::zeros(v.raw_dim());
        let mut of_noise = Array2::zeros(c.raw_dim());
        let (mut of_sources, mut of_envelopes) = ([a.clone(), a.clone()], [b.clone(), b.clone()]);
        for iteration in 0..ITERATIONS {
            ratio(&v, &source, &filter, &noise, &mut quotients);
            multiply(&quotients, templates.t(), &mut of_noise);
            Zip::from(c.rows_mut()).and(of_noise.rows()).for_each(|mut row, gain| {
                Zip::from(&mut row).and(gain).and(&pull).for_each(|c, gain, pull| *c = (*c * gain + prior) / pull);
            });
            multiply(&c, templates.view(), &mut noise);

            ratio(&v, &source, &filter, &noise, &mut quotients);
            quotients *= &filter;
            let [gain, cost] = &mut of_sources;
            multiply(&quotients, sources.t(), gain);
            multiply(&filter, sources.t(), cost);
            let is_rivalry = iteration > FREE_ITERATIONS;
            let levels = b.outer_iter_mut().zip(filter.outer_iter_mut());
            for ((mut a, (mut b, mut filter)), (gain, cost)) in
                a.outer_iter_mut().zip(levels).zip(gain.outer_iter().zip(cost.outer_iter()))
            {
                let strongest = a.iter().fold(TINY, |strongest, a| strongest.max(*a));
                Zip::from(&mut a).and(gain).and(cost).for_each(|a, gain, cost| {
                    let rivalry = 1.0 / (RIVAL_SHARE + *a / strongest) - 1.0 / (RIVAL_SHARE + 1.0);
                    let penalty = if is_rivalry { 1.0 + PITCH_RIVALRY * rivalry } else { 1.0 };
                    *a *= gain / (cost * penalty + TINY);
                });
                // The level goes to the envelopes.
                let sum = a.sum();
                a /= sum.max(TINY);
                b *= sum;
                filter *= sum;
            }
            multiply(&a, sources.view(), &mut source);

            ratio(&v, &source, &filter, &noise, &mut quotients);
            quotients *= &source;
            let [gain, cost] = &mut of_envelopes;
            multiply(&quotients, envelopes.t(), gain);
            multiply(&source, envelopes.t(), cost);
            Zip::from(&mut b).and(&*gain).and(&*cost).for_each(|b, gain, cost| *b *= gain / (cost + TINY));
            multiply(&b, envelopes.view(), &mut filter);
        }
        let Parts { sources, envelopes, noise } = &self.on_bins;
        Explained { speech: a.dot(sources) * b.dot(envelopes), noise: c.dot(noise) }
    }
}

/// `a` times `b`, into room that is there.
fn multiply(a: &Array2<f32>, b: ArrayView2<'_, f32>, product: &mut Array2<f32>) {
    general_mat_mul(1.0, a, &b, 0.0, product);
}

/// V over its model.
fn ratio(
    v: &Array2<f32>,
    source: &Array2<f32>,
    filter: &Array2<f32>,
    noise: &Array2<f32>,
    quotients: &mut Array2<f32>,
) {
    Zip::from(quotients)
        .and(v)
        .and(source)
        .and(filter)
        .and(noise)
        .for_each(|quotient, v, source, filter, noise| *quotient = v / (source * filter + noise + TINY));
}

/// Bins up to the end of the band, or of the transform.
fn n_bins(config: &StftConfig, sample_rate: u32) -> usize {
    let last = (BAND_HZ.1 / config.bin_hz(1, sample_rate)).floor() as usize;
    (last + 1).min(config.n_bins())
}

/// Combs of harmonics, one per pitch, and last a flat template; `n_sources` x `n_bins`.
fn sources(config: &StftConfig, sample_rate: u32, n_bins: usize) -> Array2<f32> {
    let octaves = (PITCH_HZ.1 / PITCH_HZ.0).log2();
    let n_pitches = 1 + (octaves * PITCHES_PER_OCTAVE).floor() as usize;
    let lobe_hz = LOBE_SHARE * config.window.half_lobe_bins() * f64::from(sample_rate) / config.win_length as f64;
    let mut sources = Array2::zeros((n_pitches + 1, n_bins));
    for bin_idx in 0..n_bins {
        let hz = config.bin_hz(bin_idx, sample_rate);
        if hz < BAND_HZ.0 {
            // Nobody speaks there: left to the noise.
            continue;
        }
        for pitch_idx in 0..n_pitches {
            let pitch_hz = PITCH_HZ.0 * (pitch_idx as f64 / PITCHES_PER_OCTAVE).exp2();
            // Lobes of neighbors overlap where harmonics are wide: higher up a comb becomes flat.
            let reach = (lobe_hz + PITCH_DRIFT * hz) / (1.0 - PITCH_DRIFT);
            let first = ((hz - reach) / pitch_hz).ceil().max(1.0) as usize;
            let last = ((hz + reach) / pitch_hz).floor() as usize;
            for harmonic in first..=last {
                let harmonic_hz = pitch_hz * harmonic as f64;
                let distance = (hz - harmonic_hz).abs() / (lobe_hz + PITCH_DRIFT * harmonic_hz);
                if distance < 1.0 && harmonic_hz <= BAND_HZ.1 {
                    sources[[pitch_idx, bin_idx]] += (std::f64::consts::FRAC_PI_2 * distance).cos().powi(2) as f32;
                }
            }
        }
        sources[[n_pitches, bin_idx]] = 0.5;
    }
    sources
}

/// Triangles that are evenly spaced and of equal width on the mel scale from 0 to 8 kHz, half overlapping:
/// `n_bumps` x `n_bins`.
fn bumps(config: &StftConfig, sample_rate: u32, n_bins: usize, n_bumps: usize) -> Array2<f32> {
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let spacing = mel(BAND_HZ.1) / (n_bumps - 1) as f64;
    Array2::from_shape_fn((n_bumps, n_bins), |(bump_idx, bin_idx)| {
        let place = mel(config.bin_hz(bin_idx, sample_rate)) / spacing;
        (1.0 - (place - bump_idx as f64).abs()).max(0.0) as f32
    })
}

/// Makes every row sum to one; a row of zeros stays.
fn normalize(rows: &mut Array2<f32>) {
    for mut row in rows.outer_iter_mut() {
        let sum = row.sum();
        row /= sum.max(TINY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(sample_rate: u32) -> SpeechModel {
        let config = StftConfig::nearest(sample_rate, 0.064);
        let n_bins = config.n_bins();
        let templates = Array2::from_elem((1, n_bins), 1.0 / n_bins as f32);
        SpeechModel::new(&config, sample_rate, &NoiseTemplates { templates, levels: Array1::ones(1) })
    }

    #[test]
    fn the_envelopes_fit_every_sample_rate() {
        for (sample_rate, expected_hz) in [(8000, 4000.0), (16_000, 8000.0), (44_100, 8000.0), (96_000, 8000.0)] {
            let model = model(sample_rate);
            let config = StftConfig::nearest(sample_rate, 0.064);
            let last_hz = config.bin_hz(model.n_bins - 1, sample_rate);
            assert!((last_hz - expected_hz).abs() < 25.0, "{sample_rate} Hz: known up to {last_hz} Hz");
            for (i, envelope) in model.on_bins.envelopes.outer_iter().enumerate() {
                assert!(
                    (envelope.sum() - 1.0).abs() < 1e-4,
                    "envelope {i} at {sample_rate} Hz sums to {}",
                    envelope.sum()
                );
            }
            assert!(model.on_bins.sources.outer_iter().all(|source| source.sum() > 1.0), "no source is empty");
        }
    }

    #[test]
    fn a_frame_is_explained_alike_whatever_stands_beside_it() {
        let model = model(16_000);
        let mut state = 5u32;
        let v = Array2::from_shape_fn((40, model.n_bins), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0
        });
        let (whole, part) = (model.explain(v.view()), model.explain(v.slice(s![13..20, ..])));
        assert_eq!(whole.speech.slice(s![13..20, ..]), part.speech);
        // Live, there is one frame at a time.
        for (i, frame) in v.axis_chunks_iter(Axis(0), 1).enumerate() {
            let alone = model.explain(frame);
            assert_eq!(whole.speech.row(i), alone.speech.row(0), "frame {i}");
            assert_eq!(whole.noise.row(i), alone.noise.row(0), "frame {i}");
        }
    }

    #[test]
    fn a_comb_of_harmonics_is_speech_and_a_flat_spectrum_is_noise() {
        let model = model(16_000);
        let mut v = Array2::from_elem((2, model.n_bins), 1.0f32);
        let comb = model.on_bins.sources.row(20).to_owned() * model.on_bins.envelopes.row(0);
        v.row_mut(1).assign(&(&comb * (500.0 / comb.sum())));
        let Explained { speech, noise } = model.explain(v.view());
        let share = |row: usize| speech.row(row).sum() / (speech.row(row).sum() + noise.row(row).sum());
        assert!(share(0) < 0.5, "{} of the flat frame is taken for speech", share(0));
        assert!(share(1) > 0.9, "{} of the comb is taken for speech", share(1));
    }

    #[test]
    fn silence_and_extremes_stay_finite() {
        let model = model(16_000);
        for level in [0.0, 1e-30, 1e-6, 1e6] {
            let Explained { speech, noise } = model.explain(Array2::from_elem((3, model.n_bins), level).view());
            assert!(speech.iter().chain(&noise).all(|x| x.is_finite() && *x >= 0.0), "level {level}");
        }
    }
}
