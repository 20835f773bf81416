//! The components of a fit, one by one: what each is like, and a separation that makes a stem of each.

use serde_json::{Value, json};

use crate::knowledge::labels::{Component, Labels, Settings};
use crate::nmf::{Factorization, StopReason};
use crate::project::{self, Factors};
use crate::separate::labelled::{self, LabelledConfig};
use crate::separate::{Analysis, Separation, group};
use crate::watch::Watch;
use crate::{Error, Result, names};

/// What each is like. `sources` are the numbers and names of the sources.
///
/// # Errors
/// [`Error::NoComponents`] where there are none.
pub(super) fn told(analysis: &Analysis, separation: &Separation, sources: &[(u32, String)]) -> Result<Value> {
    let factors = project::factors(separation).ok_or(Error::NoComponents)?;
    let factorization = Factorization {
        dictionary: factors.dictionary,
        activations: factors.activations,
        n_iter: 0,
        divergence: 0.0,
        divergence_curve: Vec::new(),
        stop_reason: StopReason::MaxIter,
        warnings: Vec::new(),
    };
    let described = group::describe(&factorization, separation.stft().config(), analysis.sample_rate());
    let component = |(index, (of, id)): (usize, (group::Description, &u32))| {
        let name = sources.iter().find(|(source, _)| source == id).map(|(_, name)| name);
        json!({
            // As in the document, from 0.
            "index": index,
            "source": name.map(|_| id),
            "suggested": name,
            "energy_share": of.energy_share,
            "centroid_hz": of.centroid_hz,
            "pitch_hz": of.pitch_hz,
            "onsets_per_s": of.onsets_per_s,
        })
    };
    Ok(described.into_iter().zip(&factors.source_ids).enumerate().map(component).collect::<Vec<_>>().into())
}

/// A separation with a source for each component, of the name that [`names::component`] gives it.
///
/// # Errors
/// [`Error::NoComponents`] where there are none, and those of [`labelled::fit`].
pub(super) fn alone(analysis: &Analysis, separation: &Separation, mask_exponent: f32) -> Result<Separation> {
    let Factors { dictionary, activations, source_ids } = project::factors(separation).ok_or(Error::NoComponents)?;
    let component = |index| Component {
        index,
        name: names::component(index),
        suggested: String::new(),
        energy_share: 0.0,
        centroid_hz: 0.0,
        pitch_hz: None,
        onsets_per_s: 0.0,
    };
    let stft = separation.stft().config();
    let settings = Settings {
        n_fft: stft.n_fft,
        win_length: stft.win_length,
        hop_length: stft.hop_length,
        window: stft.window.name().to_owned(),
        mask_exponent: mask_exponent.into(),
        divergence: "kl".into(),
        seed: "0".into(),
        is_complete: analysis.is_complete(),
    };
    let labels = Labels {
        factors: String::new(),
        recording: analysis.identity().clone(),
        settings,
        components: (1..=source_ids.len()).map(component).collect(),
    };
    labelled::fit(analysis, &LabelledConfig { labels, dictionary, activations }, None, &mut Watch::none())
}
