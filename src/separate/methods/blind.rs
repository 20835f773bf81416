//! Without knowledge: components found by factorization, grouped by likeness.

use std::sync::Arc;

use ndarray::{ArrayView2, s};

use super::check_mask_exponent;
use super::components::ComponentModel;
use super::group;
use crate::error::Advice;
use crate::knowledge::dictionary::Bands;
use crate::knowledge::labels::Settings;
use crate::nmf::{Coarse, Divergence, Factor, NmfConfig, fit_coarse_to_fine, fit_with};
use crate::separate::pipeline::{Analysis, BLOCK_FRAMES, Block, Model, Stage};
use crate::separate::separation::{Components, Found, Separation};
use crate::watch::Watch;
use crate::{Error, Result, names};

/// Iterations of a fit that goes on from an earlier one.
const WARM_ITERATIONS: usize = 8;

/// It looks at one block of frames of so many at the most to put the sources in order: that took as long as the iterations.
const WARM_STRIDE: usize = 8;

/// It looks at so many blocks at least, of a recording that has them: in a few, another source may be the strongest.
const WARM_BLOCKS: usize = 16;

/// Frames that a fit looks at first, on bands, where there are more: 46 s at 44.1 kHz.
const COARSE_FRAMES: usize = 2000;

/// How to take a recording apart without knowledge.
#[derive(Debug, Clone, PartialEq)]
pub struct BlindConfig {
    /// Number of sources, 1 to `nmf.n_components`. Default: estimated from the components.
    pub n_sources: Option<usize>,
    /// The factorization. Default: 32 components, and else [`NmfConfig::default`].
    pub nmf: NmfConfig,
    /// Exponent of the masks, above 0; 2 is the Wiener filter's, higher is harder. Default 1.5.
    pub mask_exponent: f32,
}

impl Default for BlindConfig {
    fn default() -> Self {
        Self { n_sources: None, nmf: NmfConfig { n_components: 32, ..NmfConfig::default() }, mask_exponent: 1.5 }
    }
}

/// Takes a recording apart without being told what is in it: components are found by NMF and grouped into sources by
/// likeness. The grouping is a suggestion; knowledge is what names an instrument.
///
/// `previous`, a fit of as many components in the same transform, is gone on from for 8 iterations at the most.
///
/// # Errors
/// [`Error::Setting`] for a setting out of range and for an analysis without magnitudes, and [`Error::Cancelled`].
///
/// # Cost
/// Time O(`n_frames` `n_bins` `n_components` `max_iter`) for up to 2000 frames. Of more frames, O(`n_components` `max_iter`) for
/// each of some 400 bands of 2000 of them, and ten iterations over all bins and frames ([`fit_coarse_to_fine`]). Memory beside
/// the analysis: as much again.
///
/// # References
/// P. Smaragdis and J. C. Brown, "Non-negative matrix factorization for polyphonic music transcription", WASPAA 2003.
///
/// # Examples
/// [`crate::separate()`] has one.
pub fn fit(
    analysis: &Analysis,
    config: &BlindConfig,
    previous: Option<&Separation>,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    check_mask_exponent(config.mask_exponent)?;
    let n_components = config.nmf.n_components;
    if let Some(n_sources) = config.n_sources
        && !(1..=n_components).contains(&n_sources)
    {
        return Err(Error::Setting {
            name: "n_sources",
            got: n_sources.to_string(),
            expected: format!("1 to {n_components} (the number of components)"),
            advice: Some(Advice::set("n_components", 4 * n_sources).note("or more").into()),
        });
    }
    analysis.need_magnitudes()?;
    let mut nmf = previous.and_then(|previous| warm(analysis, &config.nmf, previous)).unwrap_or(config.nmf.clone());
    let mut n_sources = config.n_sources;
    if analysis.is_silent() {
        // Of silence, any components are as good as others, and no number of sources is suggested by them.
        nmf.max_iter = nmf.max_iter.min(1);
        n_sources = n_sources.or(Some(1));
    }
    let stft = analysis.stft();
    let bands = Bands::new(stft.config(), analysis.sample_rate());
    let factorization = if analysis.magnitude().nrows() > COARSE_FRAMES {
        let coarse = Coarse { edges: bands.edges().to_vec(), max_columns: COARSE_FRAMES };
        fit_coarse_to_fine(analysis.magnitude().t(), &nmf, &coarse, watch)
    } else {
        fit_with(analysis.magnitude().t(), &nmf, watch)
    };
    let factorization = factorization?.complete()?;
    let assignment = group::by_likeness(&factorization, stft.config(), analysis.sample_rate(), n_sources);
    let (dictionary, activations) = (&factorization.dictionary, factorization.activations.clone());
    // The activations are those of the kept frames.
    let kept = ComponentModel::new(dictionary, Some(activations), &bands, config.nmf.divergence, config.mask_exponent)?
        .with_partition(assignment);
    // The strongest source comes first; equal ones keep their order.
    let n_blocks = analysis.magnitude().nrows().div_ceil(BLOCK_FRAMES);
    let stride = if previous.is_some() { (n_blocks / WARM_BLOCKS).clamp(1, WARM_STRIDE) } else { 1 };
    let energies = energies(&kept, analysis.magnitude(), stride)?;
    let mut order: Vec<_> = (0..energies.len()).collect();
    order.sort_by(|a, b| energies[*b].total_cmp(&energies[*a]));
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(r, source)| rank[*source] = r);
    let assignment: Vec<_> = kept.partition.iter().map(|source| rank[*source]).collect();
    let model = if analysis.is_complete() { kept } else { kept.by_block() };
    let model = model.with_partition(assignment.clone());
    let components = Components {
        factorization,
        assignment,
        stage: Stage { stft: stft.clone(), model: Arc::new(model.clone().with_partition((0..n_components).collect())) },
        settings: settings(analysis, config),
    };
    let names = (1..=order.len()).map(names::source).collect();
    Ok(Separation { found: Found::Components(Box::new(components)), ..Separation::new(analysis, model, names)? })
}

/// What each source of such a separation may be, where that is likely: a guess from what it sounds like, in the order of
/// [`Separation::names`].
pub fn kinds(separation: &Separation) -> Vec<Option<group::Kind>> {
    let Some(components) = separation.components() else { return vec![None; separation.names().len()] };
    let stft = components.stage.stft.config();
    group::kinds(&components.factorization, &components.assignment, stft, separation.form.sample_rate)
}

/// The settings of a fit that goes on from an earlier one, if that is of the same kind.
fn warm(analysis: &Analysis, nmf: &NmfConfig, previous: &Separation) -> Option<NmfConfig> {
    let before = previous.factorization().filter(|_| previous.is_like(analysis))?;
    if before.dictionary.dim() != (analysis.magnitude().ncols(), nmf.n_components) {
        return None;
    }
    let seed = |asked: &Factor, before: &ndarray::Array2<f32>| match asked {
        Factor::Free => Factor::Seed(before.clone()),
        asked => asked.clone(),
    };
    let is_same_part = before.activations.ncols() == analysis.magnitude().nrows();
    Some(NmfConfig {
        dictionary: seed(&nmf.dictionary, &before.dictionary),
        activations: if is_same_part { seed(&nmf.activations, &before.activations) } else { nmf.activations.clone() },
        max_iter: nmf.max_iter.min(WARM_ITERATIONS),
        ..nmf.clone()
    })
}

/// What a labels file says of how the factors were made.
pub(super) fn settings(analysis: &Analysis, config: &BlindConfig) -> Settings {
    let stft = analysis.stft().config();
    Settings {
        n_fft: stft.n_fft,
        win_length: stft.win_length,
        hop_length: stft.hop_length,
        window: stft.window.name().to_owned(),
        // As many digits as a person reads.
        mask_exponent: (f64::from(config.mask_exponent) * 1e6).round() / 1e6,
        divergence: match config.nmf.divergence {
            Divergence::KullbackLeibler => "kl".into(),
            Divergence::ItakuraSaito => "is".into(),
            Divergence::Euclidean => "euclidean".into(),
            Divergence::Beta(beta) => beta.to_string(),
        },
        seed: config.nmf.seed.to_string(),
        is_complete: analysis.is_complete(),
    }
}

/// Energy of each part under its mask, in one block of so many.
fn energies(model: &ComponentModel, magnitude: ArrayView2<'_, f32>, stride: usize) -> Result<Vec<f64>> {
    let mut energies = vec![0.0; model.n_parts()];
    for start in (0..magnitude.nrows()).step_by(stride * BLOCK_FRAMES) {
        let frames = start..(start + BLOCK_FRAMES).min(magnitude.nrows());
        let magnitude = magnitude.slice(s![frames.clone(), ..]);
        let masks = model.masks(&Block { frames, magnitude, spectra: Vec::new(), before: 0 })?;
        for (energy, mask) in energies.iter_mut().zip(&masks) {
            *energy += mask.iter().zip(&magnitude).map(|(m, v)| f64::from(m * v).powi(2)).sum::<f64>();
        }
    }
    Ok(energies)
}
