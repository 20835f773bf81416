//! Components that were named by hand: the stems of a factorization that is there already.

use ndarray::Array2;

use super::check_mask_exponent;
use super::components::ComponentModel;
use super::group;
use crate::knowledge::dictionary::Bands;
use crate::knowledge::labels::{Component, Labels};
use crate::separate::pipeline::Analysis;
use crate::separate::separation::Separation;
use crate::stft::window::Window;
use crate::stft::{StftConfig, StftOptions};
use crate::watch::Watch;
use crate::{Error, Result};

/// Factors, and what a person says of them.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `dictionary` | `n_bins` x `n_components` | magnitude |
/// | `activations` | `n_components` x kept frames | gain |
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledConfig {
    /// The names.
    pub labels: Labels,
    /// The components' spectra.
    pub dictionary: Array2<f32>,
    /// When they sound.
    pub activations: Array2<f32>,
}

impl LabelledConfig {
    /// The transform that the factors were found in.
    ///
    /// # Errors
    /// [`Error::Setting`] for a window that is not known.
    pub fn stft(&self) -> Result<StftOptions> {
        let settings = &self.labels.settings;
        let window = Window::ALL.into_iter().find(|window| window.name() == settings.window);
        Ok(StftOptions {
            n_fft: Some(settings.n_fft),
            hop_length: Some(settings.hop_length),
            window: window.ok_or_else(|| Error::Setting {
                name: "window",
                got: settings.window.clone(),
                expected: format!("one of {}", Window::ALL.map(Window::name).join(", ")),
                advice: None,
            })?,
        })
    }
}

/// Makes a separation of factors that a person has named: sources in the order in which their names appear, and
/// components without a name in the source that they are most like. Nothing is fitted, so there is nothing in `previous`
/// to go on from, and an outline of the recording ([`crate::separate::Detail::Outline`]) is enough.
///
/// # Errors
/// [`Error::OtherRecording`] where `analysis` is not of the recording that the labels are of; [`Error::MatrixShape`]
/// where the factors do not fit the labels; [`Error::Setting`] for settings out of range, or another transform.
pub fn fit(
    analysis: &Analysis,
    config: &LabelledConfig,
    _previous: Option<&Separation>,
    _watch: &mut Watch<'_>,
) -> Result<Separation> {
    let LabelledConfig { labels, dictionary, activations } = config;
    let settings = &labels.settings;
    check_transform(analysis.stft().config(), config)?;
    let mask_exponent = settings.mask_exponent as f32;
    check_mask_exponent(mask_exponent)?;
    let n_components = labels.components.len();
    let expected = (analysis.stft().config().n_bins(), n_components);
    if dictionary.dim() != expected {
        return Err(Error::MatrixShape { what: "the dictionary", got: dictionary.dim(), expected });
    }
    let n_frames = match settings.is_complete {
        true => analysis.stft().config().n_frames(labels.recording.n_samples),
        false => activations.ncols(),
    };
    let expected = (n_components, n_frames);
    if activations.dim() != expected {
        return Err(Error::MatrixShape { what: "the matrix of activations", got: activations.dim(), expected });
    }
    analysis.identity().check(&labels.recording)?;
    let (names, named) = labels.names();
    let (stft, sample_rate) = (analysis.stft().config(), analysis.sample_rate());
    let assignment = group::follow(dictionary.view(), activations.view(), stft, sample_rate, &named);
    let activations = settings.is_complete.then(|| activations.clone());
    let bands = Bands::new(stft, sample_rate);
    let model = ComponentModel::new(dictionary, activations, &bands, settings.divergence.parse()?, mask_exponent)?;
    Separation::new(analysis, model.with_partition(assignment), names)
}

/// What a person needs to name the components of a separation: a description of each, what identifies the recording, and
/// what made them. `factors` is the name of the file that the factors go to.
///
/// # Errors
/// [`Error::NoComponents`] without a factorization, and [`Error::OtherRecording`] where `analysis` is of another recording.
pub fn describe(analysis: &Analysis, separation: &Separation, factors: &str) -> Result<Labels> {
    let components = separation.components().ok_or(Error::NoComponents)?;
    let factorization = &components.factorization;
    let mut suggested = vec![String::new(); factorization.n_components()];
    for (name, members) in separation.groups() {
        members.into_iter().for_each(|k| suggested[k] = name.to_owned());
    }
    let descriptions = group::describe(factorization, separation.stft().config(), analysis.sample_rate());
    let component = |(i, (of, suggested)): (usize, (group::Description, String))| Component {
        index: i + 1,
        name: String::new(),
        suggested,
        energy_share: rounded(of.energy_share, 6),
        centroid_hz: rounded(of.centroid_hz, 1),
        pitch_hz: of.pitch_hz.map(|pitch_hz| rounded(pitch_hz, 1)),
        onsets_per_s: rounded(of.onsets_per_s, 3),
    };
    Ok(Labels {
        factors: factors.to_owned(),
        recording: analysis.identity().clone(),
        settings: components.settings.clone(),
        components: descriptions.into_iter().zip(suggested).enumerate().map(component).collect(),
    })
}

/// As many digits as a person reads.
fn rounded(x: f64, n_digits: i32) -> f64 {
    let scale = 10f64.powi(n_digits);
    (x * scale).round() / scale
}

/// Refuses an analysis in another transform than that of the factors.
fn check_transform(got: &StftConfig, config: &LabelledConfig) -> Result<()> {
    let settings = &config.labels.settings;
    let expected = StftConfig { win_length: settings.win_length, ..config.stft()?.resolve(0, 0.0) };
    for (name, got, expected) in [
        ("n_fft", got.n_fft, expected.n_fft),
        ("win_length", got.win_length, expected.win_length),
        ("hop_length", got.hop_length, expected.hop_length),
    ] {
        if got != expected {
            let (got, expected) = (got.to_string(), format!("{expected}, as in the labels"));
            return Err(Error::Setting { name, got, expected, advice: None });
        }
    }
    if got.window == expected.window {
        return Ok(());
    }
    let (got, expected) = (got.window.name().into(), format!("{}, as in the labels", expected.window.name()));
    Err(Error::Setting { name: "window", got, expected, advice: None })
}
