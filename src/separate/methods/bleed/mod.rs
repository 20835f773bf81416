//! Bleed: a microphone for each source, and what every other source leaks into it.
//! Each source comes out in its own microphone only.

mod coherence;
mod config;
mod leaks;
mod model;
mod offsets;
mod places;
mod post_filter;
mod times;

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, Zip};
use rayon::prelude::*;
use realfft::num_complex::{Complex32, Complex64};

pub use self::config::{BleedConfig, Microphone, Shared};
use self::leaks::Leaks;
use self::model::{AsHeard, Cleaner, Learned, Part, Track};
pub use self::offsets::offsets;
use self::places::{Bin, Image, Work};
use self::times::Times;
use super::silence;
use crate::separate::pipeline::Analysis;
use crate::separate::separation::Separation;
use crate::watch::{Step, Watch};
use crate::{Error, Result};

/// Looks at the power of each source in a block before it is filtered.
const N_LOOKS: usize = 2;

/// Iterations of a fit that goes on from an earlier one.
const WARM_ITERATIONS: usize = 8;

/// Cleans each microphone: takes out what it hears of the sources of all others. Stems are mono, one for each
/// microphone, with its name; where [`BleedConfig::has_rest`] asks for it, what was taken out is another, and both sum
/// to it.
///
/// The magnitudes of all microphones are factorized together, with the dictionary of each source in common and a leak
/// for each microphone, source and bin; dictionaries start from each microphone alone. From there a spatial covariance
/// of each source in each bin is learned, with leaks of at most what is coherent, and a multichannel Wiener filter goes
/// over the recording; half of each stem is what a mask makes of the filtered powers.
///
/// The analysis must have the spectra of all channels ([`crate::separate::Detail::Spectra`],
/// [`BleedConfig::analysis`]).
///
/// # Errors
/// [`Error::Setting`] for a setting out of range, an analysis without spectra, and examples that do not fit;
/// [`Error::DictionaryMismatch`]; [`Error::Cancelled`].
///
/// # Cost
/// For M microphones and J sources of K components (one for each microphone, and those without), time O(`n_frames`
/// `n_bins` (`max_iter` (M J + J K) + `n_steps` J M^2)) for the frames of the analysis; as much for a rendering, over
/// all frames, with 30 iterations and 2 steps.
/// Memory beside the analysis: half as much again.
///
/// # References
/// See `Leaks` and `places`: Carabias-Orti et al. 2013, Praetzlich et al. 2015, Duong et al. 2010.
///
/// # Examples
/// ```
/// use partita::separate::bleed::{self, BleedConfig, Microphone};
/// use partita::separate::Analysis;
/// use partita::{Audio, watch::Watch};
/// let tone = |hz: f32, i: usize| (std::f32::consts::TAU * hz * i as f32 / 8000.0).sin();
/// let both = ndarray::Array2::from_shape_fn((2, 16_000), |(mic, i)| {
///     let (low, high) = (tone(440.0, i), if i % 4000 < 2000 { tone(1500.0, i) } else { 0.0 });
///     if mic == 0 { low + 0.3 * high } else { high + 0.3 * low }
/// });
/// let both = Audio::new(both, 8000)?;
/// let analysis = Analysis::of(&both, &BleedConfig::analysis(2), &mut Watch::none())?;
/// let mic = |name: &str, channel| Microphone { name: name.into(), channel };
/// let config = BleedConfig::new(vec![mic("low", 0), mic("high", 1)]);
/// let clean = bleed::fit(&analysis, &config, None, &mut Watch::none())?;
/// assert_eq!((clean.names(), clean.n_stem_channels()), (&["low".to_owned(), "high".to_owned()][..], 1));
/// # Ok::<(), partita::Error>(())
/// ```
pub fn fit(
    analysis: &Analysis,
    config: &BleedConfig,
    previous: Option<&Separation>,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    config.check(analysis)?;
    if analysis.is_silent() {
        return silence(analysis, config.names()).map(Separation::in_mono);
    }
    let Some(spectra) = analysis.spectra() else {
        let (got, expected) = ("without spectra".into(), "one with the spectra of all channels".into());
        return Err(Error::Setting { name: "analysis", got, expected, advice: None });
    };
    let channels: Vec<_> = config.microphones.iter().map(|microphone| microphone.channel).collect();
    let heard: Vec<&Array2<Complex32>> = channels.iter().map(|channel| &spectra[*channel]).collect();
    let (magnitudes, gains): (Vec<_>, Vec<_>) = heard.iter().map(|spectrum| relative_magnitudes(spectrum)).unzip();
    let views: Vec<_> = magnitudes.iter().map(|magnitudes| magnitudes.view()).collect();
    let n_bins = analysis.stft().config().n_bins();
    let times = Times::new(analysis, config);
    let may_sound = |source: usize, row: usize| times.may_sound(source, analysis.frame_idx(row));
    let starts = config.starts();
    let shapes = |leaks: &Leaks| leaks.dictionaries.iter().map(Array2::dim).collect::<Vec<_>>();
    let wanted: Vec<_> = starts.iter().map(|start| (start.n_components(config.n_components), n_bins)).collect();
    let known = previous.and_then(|previous| previous.state_for::<Arc<Learned>>(analysis)).map(|known| &known.leaks);
    let known = known.filter(|leaks| shapes(leaks) == wanted && leaks.leaks.dim().0 == views.len());
    let leaks = match known {
        Some(leaks) => leaks.clone().refit(&views, config.max_iter.min(WARM_ITERATIONS), &may_sound, watch)?,
        None => {
            let sizes = (config.n_components, config.max_iter);
            Leaks::fit(&views, &starts, sizes, config.seed, &may_sound, watch)?
        }
    };
    // As the blocks of a rendering are looked at.
    let models = leaks.models(&leaks.activations(&views, model::N_ITER, &may_sound));
    drop(views);
    drop(magnitudes);
    let own: Vec<_> = config.sources().into_iter().map(|(_, own)| own).collect();
    let covariances = learn_places(&heard, &gains, &models, &own, config.n_steps, watch)?;
    let (identity, with) = (analysis.identity().clone(), config.clone());
    let learned = Learned { identity, config: with, leaks, covariances, gains };
    cleaned(analysis, config, Arc::new(learned))
}

/// What [`fit`] makes of the same recording with another strength, or with or without rests: from what an earlier fit
/// learned, without another. Nothing where that was of another recording, or with settings that differ otherwise.
///
/// # Errors
/// [`Error::Setting`] for a setting out of range.
pub fn reuse(analysis: &Analysis, config: &BleedConfig, previous: &Separation) -> Result<Option<Separation>> {
    config.check(analysis)?;
    let as_learned = |learned: &Learned| BleedConfig {
        strength: learned.config.strength,
        has_rest: learned.config.has_rest,
        ..config.clone()
    };
    let learned = previous.state_for::<Arc<Learned>>(analysis);
    let learned =
        learned.filter(|learned| learned.identity == *analysis.identity() && learned.config == as_learned(learned));
    learned.map(|learned| cleaned(analysis, config, learned.clone())).transpose()
}

fn cleaned(analysis: &Analysis, config: &BleedConfig, learned: Arc<Learned>) -> Result<Separation> {
    let channels = config.microphones.iter().map(|microphone| microphone.channel).collect();
    let (images, times) = (images(config, &learned.leaks), Times::new(analysis, config));
    let tracks = tracks(config, &images);
    let (state, strength, parts) = (learned.clone(), config.strength, parts(config, tracks.len()));
    let cleaner = Cleaner { learned, channels, images, tracks, parts, strength, n_looks: N_LOOKS, times };
    Ok(Separation::new(analysis, cleaner, config.names())?.in_mono().with_state(state))
}

/// Each microphone as it is, with nothing taken out, to be heard and seen beside what [`fit`] makes of it.
///
/// # Errors
/// [`Error::Setting`] for a channel that the recording does not have, [`Error::SourceName`].
pub fn as_heard(analysis: &Analysis, microphones: &[Microphone]) -> Result<Separation> {
    let config = BleedConfig::new(microphones.to_vec());
    config.check(analysis)?;
    let channels = microphones.iter().map(|microphone| microphone.channel).collect();
    Ok(Separation::new(analysis, AsHeard { channels }, config.names())?.in_mono())
}

/// Magnitudes relative to their mean, and the gain that makes them so; 1 for silence.
fn relative_magnitudes(spectrum: &Array2<Complex32>) -> (Array2<f32>, f32) {
    let mut magnitudes = Array2::zeros(spectrum.raw_dim());
    Zip::from(&mut magnitudes).and(spectrum).par_for_each(|magnitude, x| *magnitude = x.norm());
    let sum: f64 = magnitudes.outer_iter().map(|row| row.iter().map(|x| f64::from(*x)).sum::<f64>()).sum();
    let mean = sum / magnitudes.len().max(1) as f64;
    let gain = if mean > f64::from(f32::MIN_POSITIVE) { (1.0 / mean) as f32 } else { 1.0 };
    magnitudes *= gain;
    (magnitudes, gain)
}

/// The covariances of all sources, in each bin.
fn learn_places(
    heard: &[&Array2<Complex32>],
    gains: &[f32],
    models: &[Array2<f32>],
    own: &[Vec<usize>],
    n_steps: usize,
    watch: &mut Watch<'_>,
) -> Result<Vec<Vec<Complex64>>> {
    /// Bins that are learned between two looks at the watch.
    const SPAN: usize = 128;
    let (n_frames, n_bins) = models[0].dim();
    let (mut covariances, mut powers) = (Vec::with_capacity(n_bins), Vec::with_capacity(n_bins));
    for first in (0..n_bins).step_by(SPAN) {
        watch.at(Step::Fitting, first as u64, Some(n_bins as u64))?;
        let bins: Vec<usize> = (first..(first + SPAN).min(n_bins)).collect();
        let learned = bins.par_iter().map(|bin| {
            let mut here = Bin::new(heard.len(), models.len(), n_frames);
            for (mic, (spectrum, gain)) in heard.iter().zip(gains).enumerate() {
                here.hear(mic, spectrum.column(*bin).iter().copied(), *gain);
            }
            for (source, model) in models.iter().enumerate() {
                here.expect(source, model.column(*bin).iter().copied());
            }
            let covariances = places::learn(&mut here, n_steps, &mut Work::new(heard.len(), models.len()));
            (covariances, here.powers())
        });
        for (learned, power) in learned.collect::<Vec<_>>() {
            covariances.push(learned);
            powers.push(power);
        }
    }
    coherence::hold(&mut covariances, &powers, &coherence::most_heard(heard, gains, own), own);
    Ok(covariances)
}

/// Of each source, what the microphones that keep it hear of it, first the one whose it is; of a source without a
/// microphone, what the one hears of it that hears it best.
fn images(config: &BleedConfig, leaks: &Leaks) -> Vec<Image> {
    let n_mics = config.microphones.len();
    let best = |source: usize| {
        let level = |mic: &usize| leaks.leaks.slice(ndarray::s![*mic, source, ..]).sum();
        (0..n_mics).max_by(|a, b| level(a).total_cmp(&level(b))).unwrap_or_default()
    };
    let of_source = |(source, (_, own)): (usize, (String, Vec<usize>))| {
        let mics = if own.is_empty() { vec![best(source)] } else { own };
        mics.into_iter().map(move |mic| Image { source, mic })
    };
    config.sources().into_iter().enumerate().flat_map(of_source).collect()
}

/// Of each microphone the sources that it keeps, and each source without a microphone.
fn tracks(config: &BleedConfig, images: &[Image]) -> Vec<Track> {
    let n_mics = config.microphones.len();
    let of_mic = |mic: usize| {
        let is_kept = |number: &usize| images[*number].mic == mic && images[*number].source < n_mics;
        Track { mic, images: (0..images.len()).filter(is_kept).collect() }
    };
    let others = images.iter().enumerate().filter(|(_, image)| image.source >= n_mics);
    let others = others.map(|(number, image)| Track { mic: image.mic, images: vec![number] });
    (0..n_mics).map(of_mic).chain(others).collect()
}

/// A part for each stem, in the order of [`BleedConfig::names`].
fn parts(config: &BleedConfig, n_tracks: usize) -> Vec<Part> {
    let n_mics = config.microphones.len();
    let rests = (0..n_mics).filter(|_| config.has_rest).map(|track| Part { track, is_rest: true });
    let found = |tracks: Range<usize>| tracks.map(|track| Part { track, is_rest: false });
    found(0..n_mics).chain(rests).chain(found(n_mics..n_tracks)).collect()
}
