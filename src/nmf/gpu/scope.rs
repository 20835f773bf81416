//! What a graphics processor can fit; all else is for the processor.

use crate::error::Advice;
use crate::nmf::{Divergence, NmfConfig, Regularization, Solver, Stopping};
use crate::{Error, Result};

/// Refuses what only the processor can do.
pub(in crate::nmf) fn check(config: &NmfConfig) -> Result<()> {
    let refused = |name, got: String, expected: &str| {
        let expected = format!("{expected} on a graphics processor");
        let advice = Some(Advice::set("device", "cpu").into());
        Err(Error::Setting { name, got, expected, advice })
    };
    if config.divergence.beta() != Divergence::KullbackLeibler.beta() {
        return refused("divergence", format!("a beta of {}", config.divergence.beta()), "`kl`");
    }
    if !matches!(config.solver, Solver::Mu | Solver::MuExtrapolated) {
        return refused("solver", config.solver.name().into(), "`mu` or `mu-extrapolated`");
    }
    if config.stopping != Stopping::Divergence {
        return refused("stopping", format!("{:?}", config.stopping), "`Divergence`");
    }
    if config.weights.is_some() {
        return refused("weights", "given".into(), "none");
    }
    if config.guidance.is_some() {
        return refused("guidance", "given".into(), "none");
    }
    let Regularization { alpha_dictionary, alpha_activations, sparsity, temporal_continuity, group_sparsity, .. } =
        &config.regularization;
    for (name, cost) in [
        ("alpha_dictionary", *alpha_dictionary),
        ("alpha_activations", *alpha_activations),
        ("sparsity", *sparsity),
        ("temporal_continuity", *temporal_continuity),
        ("group_sparsity.strength", group_sparsity.as_ref().map_or(0.0, |group| group.strength)),
    ] {
        if cost != 0.0 {
            // As it was typed.
            return refused(name, (cost as f32).to_string(), "0");
        }
    }
    Ok(())
}
