//! With a score: every note says where an instrument sounds, and one spectral envelope per instrument, learned from the
//! recording, says how. Everything here is deterministic; there is no random start.

mod check;
mod comb;
mod config;
mod course;
mod fit;
mod grid;
mod hits;
mod model;
mod percussion;
mod template;
mod tune;
mod unscored;

use std::sync::Arc;

use ndarray::{Array1, Axis};

use self::check::{check_sound, check_times, find_transposition};
pub use self::config::{ScoreConfig, Solo, Unscored};
use self::fit::{Fitted, Start};
use self::grid::Grid;
use self::model::ScoreModel;
use self::template::Template;
use super::example::Example;
use super::{check_mask_exponent, silence};
use crate::audio::resample::Resampled;
use crate::knowledge::score::{Class, Part, Score};
use crate::names::RESIDUAL;
use crate::separate::pipeline::{Analysis, AnalysisConfig};
use crate::separate::separation::Separation;
use crate::watch::Watch;
use crate::{Error, Result};

/// Listens to recordings of some parts alone, at any sample rate, for a mixture of `sample_rate` (Hz).
///
/// # Errors
/// [`Error::Example`] for an example that is silent or shorter than one window, [`Error::Setting`],
/// [`Error::Cancelled`], and those of the recordings.
///
/// # Cost
/// Each example is read once.
pub fn listen(
    examples: &[Example<'_>],
    sample_rate: u32,
    config: &AnalysisConfig,
    watch: &mut Watch<'_>,
) -> Result<Vec<Solo>> {
    let mut solos: Vec<Solo> = Vec::new();
    for example in examples {
        let solo = Resampled::new(example.recording, sample_rate);
        let analysis = Analysis::of(&solo, config, watch).and_then(Analysis::need_sound);
        let analysis = analysis.map_err(|error| example.error(error))?;
        let spectrum = analysis.magnitude().sum_axis(Axis(0));
        match solos.iter_mut().find(|solo| solo.name == example.name) {
            Some(solo) => solo.spectrum += &spectrum,
            None => solos.push(Solo { name: example.name.to_owned(), spectrum }),
        }
    }
    Ok(solos)
}

/// Takes a recording apart by its score: one source for each part, and `residual`.
///
/// Each pitch of an instrument has one template, a comb of harmonics under a spectral envelope that all its pitches share
/// and that is learned from the recording, as is the tuning; struck strings have one more for their attacks. Each drum has
/// one for every frame of a hit, which start from what its hits have in common, fade, and lie in the drum's range; the
/// fewer hits there are, the smoother they are. Where the score does not say how much higher or lower than written the
/// recording sounds, that is found, within half an octave. A template is active only around its notes. Pitches that no note
/// has are looked for, too, for a stem `residual`: it takes what the score lacks. Where a score has percussion, and there are
/// hits enough at other times than its own, a drum is missing: these hits are of the residual. Masks are made of what the
/// templates explain.
///
/// `previous`, a fit with all of these parts in the same transform, is gone on from: envelopes, tunings and activations
/// start where it left them, and the fit takes a fifth of the iterations. One that lacked a part makes no difference, nor
/// does one that found drums which the score lacks.
///
/// # Errors
/// [`Error::EmptyScore`] for a score without notes, [`Error::ScoreMismatch`] where none of them lies in the recording,
/// [`Error::UnknownStem`] for a solo whose name no part has, [`Error::MatrixShape`] for one of another transform,
/// [`Error::Setting`] and [`Error::Cancelled`]. What may be wrong about the score without being an error is told by
/// [`Separation::warnings`].
///
/// # Cost
/// Time O(`n_frames` `n_bins` x notes that sound at once) per iteration, 35 iterations. Memory: one matrix of the size of
/// the analysis, and six of the templates.
///
/// # References
/// S. Ewert and M. Mueller, "Using score-informed constraints for NMF-based source separation", ICASSP 2012, for notes as
/// constraints; R. Hennequin, B. David and R. Badeau, "Score informed audio source separation using a parametric model of
/// non-negative spectrogram", ICASSP 2011, for combs of window lobes; P. Smaragdis, "Non-negative matrix factor
/// deconvolution; extraction of multiple sound sources from monophonic inputs", ICA 2004, for hits of many frames.
pub fn fit(
    analysis: &Analysis,
    config: &ScoreConfig,
    previous: Option<&Separation>,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    check_mask_exponent(config.mask_exponent)?;
    let ScoreConfig { score, unscored, .. } = config;
    if score.n_notes() == 0 {
        return Err(Error::EmptyScore);
    }
    let spectra = spectra(config, analysis)?;
    analysis.need_magnitudes()?;
    let mut names: Vec<_> = score.parts.iter().map(|part| part.name.clone()).collect();
    names.extend((*unscored == Unscored::Residual).then(|| RESIDUAL.to_owned()));
    if analysis.is_silent() {
        return silence(analysis, names);
    }
    let mut warnings: Vec<String> = score.warnings.iter().map(ToString::to_string).collect();
    let mut grid = Grid::new(analysis);
    check_times(score, &grid, &mut warnings)?;
    grid.transposition = find_transposition(score, analysis, &grid, &mut warnings);
    let (voices, mut owners) = voices(score);
    let spectra: Vec<_> = owners.iter().map(|part: &usize| spectra[*part].clone()).collect();
    let templates = templates(&voices, &grid);
    check_sound(score, &templates, analysis, &grid, &mut warnings);
    let previous = previous.and_then(|previous| previous.state_for::<Arc<Fitted>>(analysis));
    // A part that was not there was taken for something else, and all that was found is wrong.
    let previous = previous.filter(|before| voices.parts.iter().all(|part| before.has_part(&part.name)));
    // Drums that the score lacks come apart from its own only where both begin together.
    let previous = previous.filter(|before| !before.has_missing_drums());
    let previous = previous.map(|previous| &**previous);
    let start = Start { score: &voices, grid: &grid, spectra: &spectra, unscored: *unscored, previous };
    let fitted = Arc::new(fit::fit(&start, templates, analysis, watch)?);
    // What no note explains comes last.
    owners.push(score.parts.len());
    let model = ScoreModel {
        fitted: fitted.clone(),
        owners,
        is_complete: analysis.is_complete(),
        n_parts: names.len(),
        unscored: *unscored,
        mask_exponent: config.mask_exponent,
    };
    let separation = Separation::new(analysis, model, names)?.with_state(fitted);
    Ok(Separation { warnings, ..separation })
}

/// The templates of all parts; none is without a frame.
fn templates(score: &Score, grid: &Grid) -> Vec<Template> {
    let of_part = |(voice, part): (usize, &Part)| match part.class {
        Class::Percussion => percussion::templates(voice, part, grid),
        Class::Sustained | Class::Struck => template::pitched(voice, part, grid),
    };
    let templates = score.parts.iter().enumerate().flat_map(of_part);
    templates.filter(|template| !template.spans.is_empty()).collect()
}

/// The score with one part for each way in which a part is played (arco and pizzicato), as each has templates of its own,
/// and the parts that they belong to.
fn voices(score: &Score) -> (Score, Vec<usize>) {
    let mut voices = Score { parts: Vec::new(), ..score.clone() };
    let mut owners = Vec::new();
    for (part_idx, part) in score.parts.iter().enumerate() {
        for (i, voice) in part.by_program().into_iter().enumerate() {
            // No part has a name with a zero: an earlier fit knows the voices apart.
            let name = if i == 0 { part.name.clone() } else { format!("{}\0{i}", part.name) };
            voices.parts.push(Part { name, ..voice });
            owners.push(part_idx);
        }
    }
    (voices, owners)
}

/// Of each part, what it sounds like alone, where that is known.
fn spectra(config: &ScoreConfig, analysis: &Analysis) -> Result<Vec<Option<Array1<f32>>>> {
    let mut spectra = vec![None; config.score.parts.len()];
    for solo in &config.solos {
        let Some(part) = config.score.parts.iter().position(|part| part.name == solo.name) else {
            let names = config.score.parts.iter().map(|part| part.name.clone()).collect();
            return Err(Error::UnknownStem { name: solo.name.clone(), names });
        };
        let (got, expected) = (solo.spectrum.len(), analysis.stft().config().n_bins());
        if got != expected {
            return Err(Error::MatrixShape { what: "the spectrum of a solo", got: (got, 1), expected: (expected, 1) });
        }
        spectra[part] = Some(solo.spectrum.clone());
    }
    Ok(spectra)
}
