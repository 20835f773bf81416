//! Components that were named by hand: the stems of a factorization that is there already.

use std::ops::ControlFlow;

use ndarray::Array2;

use super::{Progress, SeparateConfig, Separation, Step, check_mask_exponent, model};
use crate::audio::Recording;
use crate::labels::{Component, Identity, Labels, Settings};
use crate::nmf::{Divergence, Factor, Init, NmfConfig};
use crate::stft::window::Window;
use crate::stft::{Stft, StftConfig};
use crate::{Error, Result, group};

/// Makes a separation of factors that a person has named: sources in the order in which their names appear, and
/// components without a name in the source that they are most like. Nothing is fitted.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `dictionary` | `n_bins` x `n_components` | magnitude |
/// | `activations` | `n_components` x kept frames | gain |
///
/// # Errors
/// [`Error::OtherRecording`] where `recording` is not the one that the labels are of; [`Error::MatrixShape`] where the
/// factors do not fit the labels; [`Error::Setting`] for settings out of range; [`Error::Cancelled`].
///
/// # Cost
/// One pass over the recording, to know it again.
pub fn labelled(
    recording: &dyn Recording,
    labels: &Labels,
    dictionary: Array2<f32>,
    activations: Array2<f32>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Separation> {
    let settings = &labels.settings;
    let window = Window::ALL.into_iter().find(|window| window.name() == settings.window);
    let stft = Stft::new(StftConfig {
        n_fft: settings.n_fft,
        win_length: settings.win_length,
        hop_length: settings.hop_length,
        window: window.ok_or_else(|| Error::Setting {
            name: "window",
            got: settings.window.clone(),
            expected: format!("one of {}", Window::ALL.map(Window::name).join(", ")),
            hint: None,
        })?,
    })?;
    let mask_exponent = settings.mask_exponent as f32;
    check_mask_exponent(mask_exponent)?;
    let n_components = labels.components.len();
    let expected = (stft.config().n_bins(), n_components);
    if dictionary.dim() != expected {
        return Err(Error::MatrixShape { what: "the dictionary", got: dictionary.dim(), expected });
    }
    let n_frames = match settings.is_complete {
        true => stft.config().n_frames(labels.recording.n_samples),
        false => activations.ncols(),
    };
    let expected = (n_components, n_frames);
    if activations.dim() != expected {
        return Err(Error::MatrixShape { what: "the matrix of activations", got: activations.dim(), expected });
    }
    identify(recording, progress)?.check(&labels.recording)?;
    let (names, named) = labels.names();
    let rate = recording.sample_rate();
    let assignment = group::follow(dictionary.view(), activations.view(), stft.config(), rate, &named);
    let nmf = NmfConfig {
        n_components,
        divergence: settings.divergence.parse()?,
        init: Init::Random,
        activations: Factor::Free,
        seed: settings.seed.parse().map_err(|_| Error::Setting {
            name: "seed",
            got: settings.seed.clone(),
            expected: "a whole number".into(),
            hint: None,
        })?,
        ..NmfConfig::default()
    };
    let model = model::Components {
        dictionary,
        activations: settings.is_complete.then_some(activations),
        partition: assignment,
        mask_exponent,
        nmf,
    };
    Ok(Separation::new(stft, model, names, labels.recording.n_samples))
}

/// What a person needs to name the components of a separation: a description of each, and by what the recording is known
/// again. `factors` is the name of the file that the factors go to; there is nothing without a factorization.
///
/// # Errors
/// [`Error::NoComponents`] without a factorization, [`Error::Cancelled`], and those of the recording.
///
/// # Cost
/// One pass over the recording.
pub fn labels(
    recording: &dyn Recording,
    separation: &Separation,
    config: &SeparateConfig,
    factors: &str,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Labels> {
    let factorization = separation.factorization().ok_or(Error::NoComponents)?;
    let stft = separation.stft().config();
    let identity = identify(recording, progress)?;
    let is_complete = factorization.activations.ncols() == stft.n_frames(identity.n_samples);
    let mut suggested = vec![String::new(); factorization.n_components()];
    for (name, members) in separation.groups() {
        members.into_iter().for_each(|k| suggested[k] = name.to_owned());
    }
    let descriptions = group::describe(factorization, stft, recording.sample_rate());
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
        recording: identity,
        settings: Settings {
            n_fft: stft.n_fft,
            win_length: stft.win_length,
            hop_length: stft.hop_length,
            window: stft.window.name().to_owned(),
            mask_exponent: rounded(f64::from(config.mask_exponent), 6),
            divergence: divergence_name(config.nmf.divergence),
            seed: config.nmf.seed.to_string(),
            is_complete,
        },
        components: descriptions.into_iter().zip(suggested).enumerate().map(component).collect(),
    })
}

/// As many digits as a person reads.
fn rounded(x: f64, n_digits: i32) -> f64 {
    let scale = 10f64.powi(n_digits);
    (x * scale).round() / scale
}

fn divergence_name(divergence: Divergence) -> String {
    match divergence {
        Divergence::KullbackLeibler => "kl".into(),
        Divergence::ItakuraSaito => "is".into(),
        Divergence::Euclidean => "euclidean".into(),
        Divergence::Beta(beta) => beta.to_string(),
    }
}

/// Reads a recording for what it is known by. The hash is FNV-1a over the bits of all samples, in the order of time: not
/// against intent, but against a mistake.
fn identify(recording: &dyn Recording, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Identity> {
    let (mut hash, mut n_samples) = (0xcbf2_9ce4_8422_2325_u64, 0);
    let total = recording.n_samples_hint();
    recording.read(&mut |block| {
        for x in block.t() {
            hash = (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3);
        }
        n_samples += block.ncols();
        match progress(Progress { step: Step::Reading, done: n_samples as u64, total, divergence: None }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    })?;
    Ok(Identity {
        sample_rate: recording.sample_rate(),
        n_channels: recording.n_channels(),
        n_samples,
        fingerprint: format!("{hash:016x}"),
    })
}

impl Identity {
    /// Refuses a recording that is not this one.
    fn check(&self, expected: &Self) -> Result<()> {
        let told = |of: &Self| {
            [
                format!("{} Hz", of.sample_rate),
                format!("{} channels", of.n_channels),
                format!("{} samples", of.n_samples),
                format!("the fingerprint {}", of.fingerprint),
            ]
        };
        match told(self).into_iter().zip(told(expected)).find(|(got, expected)| got != expected) {
            Some((got, expected)) => Err(Error::OtherRecording { got, expected }),
            None => Ok(()),
        }
    }
}
