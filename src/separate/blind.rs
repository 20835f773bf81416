//! Without knowledge: components grouped by likeness.

use std::ops::ControlFlow;

use super::{SeparateConfig, Separation, energy_shares};
use crate::nmf::{Progress, StopReason, fit_with};
use crate::stft::Stft;
use crate::{Audio, Error, Result, group};

pub(super) fn separate(
    audio: &Audio,
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
            hint: Some(format!("use `n_components {}` or more", 4 * n_sources)),
        });
    }
    let magnitude = stft.magnitude(audio.samples());
    let factorization = fit_with(magnitude.t(), &config.nmf, progress)?;
    if factorization.stop_reason == StopReason::Cancelled {
        return Err(Error::Cancelled);
    }
    let assignment = group::by_likeness(&factorization, stft.config(), audio.sample_rate(), config.n_sources);
    let shares = energy_shares(magnitude.view(), &factorization, &assignment, config.mask_exponent);
    // The strongest source comes first; equal ones keep their order.
    let mut order: Vec<_> = (0..shares.len()).collect();
    order.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]));
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(r, source)| rank[*source] = r);
    Ok(Separation {
        stft,
        factorization,
        assignment: assignment.iter().map(|source| rank[*source]).collect(),
        names: (1..=order.len()).map(|i| format!("source-{i}")).collect(),
        energy_shares: order.iter().map(|source| shares[*source]).collect(),
        mask_exponent: config.mask_exponent,
    })
}
