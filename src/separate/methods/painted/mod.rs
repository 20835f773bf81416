//! With marks on a spectrogram: what a person painted says which source a place belongs to, and which it does not.

mod model;
mod start;

use std::sync::Arc;

use ndarray::Array2;

use self::model::PaintedModel;
use super::{check_mask_exponent, silence};
use crate::knowledge::marks::Marks;
use crate::knowledge::painting::{Canvas, Painting};
use crate::nmf::{Factor, Guidance, NmfConfig, Run, fit_with};
use crate::separate::pipeline::Analysis;
use crate::separate::separation::Separation;
use crate::watch::Watch;
use crate::{Result, names};

/// What a source that is denied a place has of what it models there while components are fitted.
const LEAK: f32 = 0.01;

/// Iterations of a fit that goes on from an earlier one.
const WARM_ITERATIONS: usize = 15;

/// What was painted, and how to find what it means.
#[derive(Debug, Clone)]
pub struct PaintedConfig {
    /// Sources and marks. Without sources, there are those that the components suggest, numbered from 1.
    pub marks: Marks,
    /// Iterations of a fit that starts anew. Default 100.
    pub max_iter: usize,
    /// Exponent of the masks, above 0. Default 1.5.
    pub mask_exponent: f32,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
    /// What is known otherwise, by a score or examples, in the same transform. Default: nothing.
    pub known: Option<Separation>,
}

impl PaintedConfig {
    /// The defaults, for these marks.
    pub fn new(marks: Marks) -> Self {
        Self { marks, max_iter: 100, mask_exponent: 1.5, seed: 0, known: None }
    }
}

/// The components of sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// Spectra, `n_bins` x `n_components`.
    pub dictionary: Array2<f32>,
    /// When they sound, `n_components` x kept frames.
    pub activations: Array2<f32>,
    /// The number of each component's source.
    pub source_ids: Vec<u32>,
}

/// What a later fit goes on from.
#[derive(Debug)]
struct State {
    factors: Factors,
    /// The frame of the recording that each column of the activations is.
    frames: Vec<usize>,
}

/// The components of a painted separation; none where it is another, or of silence.
pub fn factors(separation: &Separation) -> Option<&Factors> {
    separation.state::<State>().map(|state| &state.factors)
}

/// Takes a recording apart by what was painted on its spectrogram.
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
    let is_warm = previous.is_some();
    let start = start::start(analysis, config, &painting, previous, watch)?;
    let groups = start.groups;
    let nmf = NmfConfig {
        n_components: groups.len(),
        dictionary: Factor::Seed(start.dictionary),
        activations: Factor::Seed(start.activations),
        guidance: Some(guidance(groups.clone(), rows(analysis, &painting))),
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

/// Makes the separation of components that were found before: the same bits as the fit that found them.
pub fn restore(analysis: &Analysis, config: &PaintedConfig, factors: &Factors) -> Result<Separation> {
    check_mask_exponent(config.mask_exponent)?;
    let painting = Arc::new(painting(analysis, &config.marks)?);
    let names = config.marks.sources.iter().map(|source| (source.id, source.name.clone())).collect();
    let frames = (0..analysis.magnitude().nrows()).map(|row| analysis.frame_idx(row)).collect();
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
    let model = PaintedModel {
        encoder: model::encoder(&factors.dictionary)?,
        activations: analysis.is_complete().then(|| Arc::new(factors.activations.clone())),
        groups: factors.source_ids.iter().map(place).collect(),
        n_sources: names.len(),
        painting: painting.clone(),
        mask_exponent: config.mask_exponent,
    };
    let names = names.into_iter().map(|(_, name)| name).collect();
    let separation = Separation::new(analysis, model, names)?.with_state(State { factors, frames });
    let warnings = [separation.warnings().to_vec(), painting.warnings.clone()].concat();
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
fn rows(analysis: &Analysis, painting: &Painting) -> Vec<Run> {
    let kept = painting.runs.iter().filter_map(|run| {
        let row = analysis.row_of(run.column as usize)?;
        Some(Run { column: row as u32, ..*run })
    });
    kept.collect()
}

fn guidance(groups: Vec<usize>, runs: Vec<Run>) -> Guidance {
    Guidance { groups, runs, leak: LEAK }
}
