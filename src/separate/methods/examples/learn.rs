//! What sources sound like, learned from recordings of each alone.

use crate::audio::resample::Resampled;
use crate::knowledge::dictionary::{Dictionary, DictionaryConfig, MAX_STACKS};
use crate::separate::methods::example::Example;
use crate::separate::pipeline::{Analysis, AnalysisConfig};
use crate::stft::StftOptions;
use crate::watch::Watch;
use crate::{Error, Result, names};

/// Learns a dictionary from examples, for mixtures of this sample rate (Hz). Examples at other rates are converted;
/// several of one source make one set of templates.
///
/// # Errors
/// [`Error::Example`] for an example that is silent or shorter than one window, [`Error::SourceName`],
/// [`Error::Setting`], [`Error::Cancelled`], and those of the recordings.
///
/// # Cost
/// Each example is read once. 2048 stacks of frames are learned from at the most, spread evenly over a longer one.
pub fn learn(
    examples: &[Example<'_>],
    sample_rate: u32,
    stft: &StftOptions,
    config: &DictionaryConfig,
    watch: &mut Watch<'_>,
) -> Result<Dictionary> {
    config.check()?;
    examples.iter().try_for_each(|example| names::check(example.name))?;
    let transform = AnalysisConfig { stft: *stft, ..AnalysisConfig::default() };
    let mut dictionary = Dictionary::new(sample_rate, transform.transform(sample_rate), config.n_context)?;
    let mut names: Vec<&str> = Vec::new();
    for example in examples {
        if !names.contains(&example.name) {
            names.push(example.name);
        }
    }
    for name in names {
        let of_name: Vec<_> = examples.iter().filter(|example| example.name == name).collect();
        let mut analyses = Vec::with_capacity(of_name.len());
        for example in &of_name {
            let recording = Resampled::new(example.recording, sample_rate);
            let of_each = AnalysisConfig { max_frames: MAX_STACKS / of_name.len(), ..transform.clone() };
            let analysis = Analysis::of(&recording, &of_each, watch).and_then(Analysis::need_sound);
            analyses.push(analysis.map_err(|error| example.error(error))?);
        }
        let runs: Vec<_> = analyses.iter().flat_map(Analysis::runs).collect();
        dictionary.learn_with(name, &runs, config, watch).map_err(|error| match error {
            // Not digital silence, but nothing that a window shows either.
            Error::Silent => of_name[0].error(Error::Silent),
            error => error,
        })?;
    }
    Ok(dictionary)
}
