//! Without knowledge: components grouped by likeness.

use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::ArrayView2;

use super::analysis::{Analysis, analyze};
use super::model::{self, Block, Model};
use super::render::BLOCK_FRAMES;
use super::{Components, Progress, SeparateConfig, Separation, fitting};
use crate::audio::Recording;
use crate::error::Advice;
use crate::nmf::{Factor, Init, NmfConfig, StopReason, fit_with};
use crate::stft::Stft;
use crate::{Error, Result, group, names};

pub(super) fn separate(
    recording: &dyn Recording,
    stft: Stft,
    config: &SeparateConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Separation> {
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
    let analysis = analyze(recording, &stft, config.max_frames, progress)?;
    let factorization = fit_with(analysis.magnitude.t(), &config.nmf, &mut fitting(progress))?;
    if factorization.stop_reason == StopReason::Cancelled {
        return Err(Error::Cancelled);
    }
    let assignment = group::by_likeness(&factorization, stft.config(), recording.sample_rate(), config.n_sources);
    let mut model = model::Components {
        dictionary: factorization.dictionary.clone(),
        activations: Some(factorization.activations.clone()),
        partition: assignment,
        mask_exponent: config.mask_exponent,
        nmf: NmfConfig {
            init: Init::Random,
            activations: Factor::Free,
            weights: None,
            target_divergence: None,
            ..config.nmf.clone()
        },
    };
    // The strongest source comes first; equal ones keep their order.
    let energies = energies(&model, analysis.magnitude.view());
    let mut order: Vec<_> = (0..energies.len()).collect();
    order.sort_by(|a, b| energies[*b].total_cmp(&energies[*a]));
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(r, source)| rank[*source] = r);
    model.partition.iter_mut().for_each(|source| *source = rank[*source]);
    let Analysis { n_samples, .. } = analysis;
    if !analysis.is_complete() {
        model.activations = None;
    }
    let assignment = model.partition.clone();
    let components = model::Components { partition: (0..n_components).collect(), ..model.clone() };
    let names = (1..=order.len()).map(names::source).collect();
    let components = Some(Components { factorization, assignment, model: Arc::new(components) });
    Ok(Separation { components, ..Separation::new(stft, model, names, n_samples) })
}

/// Energy of each part under its mask.
fn energies(model: &model::Components, magnitude: ArrayView2<'_, f32>) -> Vec<f64> {
    let mut energies = vec![0.0; model.n_parts()];
    for start in (0..magnitude.nrows()).step_by(BLOCK_FRAMES) {
        let frames = start..(start + BLOCK_FRAMES).min(magnitude.nrows());
        let magnitude = magnitude.slice(ndarray::s![frames.clone(), ..]);
        let masks = model.masks(&Block { frames, magnitude, before: 0 });
        for (energy, mask) in energies.iter_mut().zip(&masks) {
            *energy += mask.iter().zip(&magnitude).map(|(m, v)| f64::from(m * v).powi(2)).sum::<f64>();
        }
    }
    energies
}
