//! With marks on a spectrogram: what a person painted says which source a place belongs to, and which it does not.

mod config;
mod factors;
mod known;
mod model;
mod start;

use std::sync::Arc;

pub use self::config::PaintedConfig;
use self::config::State;
pub use self::factors::{Factors, REST};
use self::factors::{encoder, guidance, with_rest};
pub use self::known::Known;
use self::model::PaintedModel;
use super::{check_mask_exponent, silence};
use crate::knowledge::marks::Marks;
use crate::knowledge::painting::{Canvas, Painting};
use crate::nmf::{Factor, NmfConfig, Run, fit_with};
use crate::separate::pipeline::Analysis;
use crate::separate::separation::Separation;
use crate::watch::Watch;
use crate::{Error, Result, names};

/// Iterations of a fit that goes on from an earlier one.
const WARM_ITERATIONS: usize = 15;

/// The components of a painted separation; none where it is another, or of silence.
pub fn factors(separation: &Separation) -> Option<&Factors> {
    separation.state::<State>().map(|state| &state.factors)
}

/// Takes a recording apart by what was painted on its spectrogram.
///
/// Components of a Kullback-Leibler factorization belong to sources. A start without `previous` groups those that the
/// recording suggests; those that explain painted places go to the source that is painted there, and the others follow those
/// that they are like. Then all are fitted while each source that is denied a place has next to nothing of what it models
/// there: so a stroke counts wherever the same sound is. Masks leave nothing to sources where they are denied it. Where a
/// source is alone, all else is silent: it teaches spectra, and never how microphones leak.
///
/// With other knowledge ([`PaintedConfig::known`]) its shares are what is corrected: what paint gives to a source in the
/// model of the components is added to them, and what it takes is taken in proportion. Without paint they stay as they are.
///
/// `previous`, a fit in the same transform and beside the same knowledge, is gone on from, in 15 iterations: components of
/// sources that are new join it, and those of sources that are gone are dropped.
///
/// # Errors
/// [`Error::Project`] for marks that cannot be worked with, [`Error::Setting`] for a setting out of range, an analysis
/// without magnitudes or knowledge of other sources, and [`Error::Cancelled`].
///
/// # Cost
/// That of the iterations, each as without paint and O(`n_components`) for each painted bin. Memory beside the analysis: as
/// much again.
///
/// # References
/// N. J. Bryan and G. J. Mysore, "An efficient posterior regularized latent variable model for interactive sound source
/// separation", ICML 2013.
pub fn fit(
    analysis: &Analysis,
    config: &PaintedConfig,
    previous: Option<&Separation>,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    check_mask_exponent(config.mask_exponent)?;
    analysis.need_magnitudes()?;
    let painting = Arc::new(painting(analysis, &config.marks)?);
    if analysis.is_silent() {
        let n_sources = config.marks.sources.len();
        let names = config.marks.sources.iter().map(|source| source.name.clone());
        return silence(analysis, if n_sources == 0 { vec![names::source(1)] } else { names.collect() });
    }
    let previous = previous.and_then(|previous| previous.state_for::<State>(analysis));
    // What was fitted beside other knowledge means nothing beside this.
    let previous = previous.filter(|state| match (&state.known, &config.known) {
        (Some(before), Some(known)) => Arc::ptr_eq(before, known),
        (None, None) => true,
        _ => false,
    });
    if let Some(known) = &config.known {
        known.check(&config.marks, config.mask_exponent)?;
    }
    let is_warm = previous.is_some() || config.known.is_some();
    let start = start::start(analysis, config, &painting, previous, watch)?;
    let groups = start.groups;
    let nmf = NmfConfig {
        n_components: groups.len(),
        dictionary: Factor::Seed(start.dictionary),
        activations: Factor::Seed(start.activations),
        guidance: Some(guidance(groups.clone(), rows(analysis, &painting, config.marks.sources.len()))),
        max_iter: if is_warm { WARM_ITERATIONS.min(config.max_iter) } else { config.max_iter },
        tol: 0.0,
        ..NmfConfig::default()
    };
    let found = fit_with(analysis.magnitude().t(), &nmf, watch)?.complete()?;
    drop(nmf);
    let factors = Factors {
        dictionary: found.dictionary,
        activations: found.activations,
        source_ids: groups.iter().map(|group| start.ids[*group]).collect(),
    };
    let frames = (0..analysis.magnitude().nrows()).map(|row| analysis.frame_idx(row)).collect();
    separation(analysis, config, painting, factors, frames, start.names)
}

/// Makes the separation of components that were found before: the same bits as the fit that found them. Without other
/// knowledge, an outline of the recording ([`crate::separate::Detail::Outline`]) is enough.
///
/// # Errors
/// [`Error::MatrixShape`] for components of another transform, [`Error::Setting`] and [`Error::Project`] as [`fit`].
pub fn restore(analysis: &Analysis, config: &PaintedConfig, factors: &Factors) -> Result<Separation> {
    let n_components = factors.source_ids.len();
    let expected = (analysis.stft().config().n_bins(), n_components);
    if factors.dictionary.dim() != expected {
        return Err(Error::MatrixShape { what: "the dictionary", got: factors.dictionary.dim(), expected });
    }
    let expected = (n_components, factors.activations.ncols());
    if factors.activations.dim() != expected {
        return Err(Error::MatrixShape { what: "the matrix of activations", got: factors.activations.dim(), expected });
    }
    if let Some(known) = &config.known {
        known.check(&config.marks, config.mask_exponent)?;
    }
    check_mask_exponent(config.mask_exponent)?;
    let painting = Arc::new(painting(analysis, &config.marks)?);
    let names = match &config.known {
        Some(known) => known.names(&config.marks),
        None => config.marks.sources.iter().map(|source| (source.id, source.name.clone())).collect(),
    };
    // Where other frames were kept, a later fit finds its activations by the spectra.
    let n_rows =
        if factors.activations.ncols() == analysis.magnitude().nrows() { analysis.magnitude().nrows() } else { 0 };
    let frames = (0..n_rows).map(|row| analysis.frame_idx(row)).collect();
    separation(analysis, config, painting, factors.clone(), frames, names)
}

fn separation(
    analysis: &Analysis,
    config: &PaintedConfig,
    painting: Arc<Painting>,
    factors: Factors,
    frames: Vec<usize>,
    names: Vec<(u32, String)>,
) -> Result<Separation> {
    let place = |id: &u32| names.iter().position(|(other, _)| other == id).unwrap_or_default();
    let is_complete = factors.activations.ncols() == analysis.n_frames();
    let model = PaintedModel {
        encoder: encoder(&factors.dictionary)?,
        activations: is_complete.then(|| Arc::new(factors.activations.clone())),
        groups: factors.source_ids.iter().map(place).collect(),
        n_sources: names.len(),
        n_marked: config.marks.sources.len(),
        known: config.known.clone(),
        painting: painting.clone(),
        mask_exponent: config.mask_exponent,
    };
    let names = names.into_iter().map(|(_, name)| name).collect();
    let separation =
        Separation::new(analysis, model, names)?.with_state(State { factors, frames, known: config.known.clone() });
    let of_known = config.known.iter().flat_map(|known| &known.warnings).cloned().collect();
    let warnings = [separation.warnings().to_vec(), of_known, painting.warnings.clone()].concat();
    Ok(Separation { warnings, ..separation })
}

/// Marks on the frames of a recording.
fn painting(analysis: &Analysis, marks: &Marks) -> Result<Painting> {
    Painting::of(
        marks,
        Canvas {
            stft: analysis.stft().config(),
            sample_rate: analysis.sample_rate(),
            start_s: analysis.span_s().start,
            n_frames: analysis.n_frames(),
        },
    )
}

/// The runs of the frames that were kept, by their rows.
fn rows(analysis: &Analysis, painting: &Painting, n_marked: usize) -> Vec<Run> {
    let kept = painting.runs.iter().filter_map(|run| {
        let row = analysis.row_of(run.column as usize)?;
        Some(Run { column: row as u32, denied: with_rest(run.denied, n_marked), ..*run })
    });
    kept.collect()
}
