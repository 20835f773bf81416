//! Finds what a fit is asked for that cannot work as asked.
//! Changes nothing of the fit.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use super::warning::{Side, Warning};
use super::{Factor, Init, NmfConfig, Part, Real, Solver};

/// What of a config cannot work as asked for this V and the first values of the factors, W as rows x K and H as
/// K x columns. Without V, what depends on it is left out.
pub(super) fn warnings<T: Real>(
    v: Option<ArrayView2<'_, T>>,
    (w, h): (&Array2<T>, &Array2<T>),
    config: &NmfConfig<T>,
) -> Vec<Warning> {
    // Of a silent matrix, all is 0.
    if v.is_some_and(|v| v.iter().all(|x| *x == T::of(0.0))) {
        return Vec::new();
    }
    let mut found = Vec::new();
    starts((w, h), v, config, &mut found);
    penalties(config, &mut found);
    if let Some(v) = v.filter(|_| config.divergence.beta() <= 0.0) {
        let entries = v.indexed_iter().filter(|(at, _)| counts(config, *at));
        let (n_zeros, n_entries) =
            entries.fold((0, 0), |(zeros, all), (_, x)| (zeros + usize::from(*x == T::of(0.0)), all + 1));
        if n_zeros > 0 {
            found.push(Warning::ZerosInMatrix { n_zeros, n_entries, beta: config.divergence.beta() });
        }
    }
    found
}

/// Whether an entry of V is not missing.
fn counts<T: Real>(config: &NmfConfig<T>, at: (usize, usize)) -> bool {
    config.weights.as_ref().is_none_or(|weights| weights[at] > T::of(0.0))
}

/// Zeros that stay.
fn starts<T: Real>(
    (w, h): (&Array2<T>, &Array2<T>),
    v: Option<ArrayView2<'_, T>>,
    config: &NmfConfig<T>,
    found: &mut Vec<Warning>,
) {
    let is_multiplicative = matches!(config.solver, Solver::Mu | Solver::MuExtrapolated);
    let k = config.n_components;
    // One component per row; which of them keep their zeros.
    let sides = [
        (Side::Dictionary, &config.dictionary, w.t(), config.dictionary.is_free(k)),
        (Side::Activations, &config.activations, h.view(), config.activations.is_free(k)),
    ];
    let mut silent = vec![false; k];
    for (side, factor, values, is_free) in &sides {
        let keeps = |k: usize| is_multiplicative || !is_free[k];
        let is_zero = |x: ArrayView1<'_, T>| x.iter().all(|x| *x == T::of(0.0));
        for (k, row) in values.outer_iter().enumerate() {
            silent[k] |= keeps(k) && is_zero(row);
        }
        for from_init in [true, false] {
            let is_meant = |k: &usize| is_free[*k] && (starts_from_init(factor, *k) == from_init);
            // Random numbers are not 0, but where V is silent.
            let may = is_multiplicative && (!from_init || config.init == Init::Nndsvd);
            let rows = (0..k).filter(|k| may && is_meant(k));
            let n_zeros = rows.map(|k| values.row(k).iter().filter(|x| **x == T::of(0.0)).count()).sum();
            if n_zeros > 0 {
                found.push(Warning::ZerosStay { side: *side, n_zeros, n_entries: values.len(), from_init });
            }
        }
        let Some(v) = v.filter(|_| (0..k).all(keeps)) else { continue };
        let (axis, is_row) = if *side == Side::Dictionary { (Axis(0), true) } else { (Axis(1), false) };
        let at = |i: usize, j: usize| if is_row { (i, j) } else { (j, i) };
        let sounds =
            |i: usize| v.index_axis(axis, i).indexed_iter().any(|(j, x)| *x > T::of(0.0) && counts(config, at(i, j)));
        let out: Vec<_> = (0..values.ncols()).filter(|i| is_zero(values.column(*i)) && sounds(*i)).collect();
        if let Some(first) = out.first() {
            found.push(Warning::OutOfReach { side: *side, n_lines: out.len(), first: *first });
        }
    }
    let components: Vec<_> = (0..k).filter(|k| silent[*k]).collect();
    if !components.is_empty() {
        found.push(Warning::SilentComponents { components });
    }
}

/// Whether the config's [`Init`] decides on a component.
fn starts_from_init<T: Real>(factor: &Factor<T>, component: usize) -> bool {
    match factor {
        Factor::Free => true,
        Factor::Seed(_) | Factor::Fixed(_) => false,
        Factor::PerComponent(parts) => parts[component] == Part::Free,
    }
}

/// Penalties that change nothing, or not what they are for.
fn penalties<T: Real>(config: &NmfConfig<T>, found: &mut Vec<Warning>) {
    let (r, k) = (&config.regularization, config.n_components);
    let (free_w, free_h) = (config.dictionary.is_free(k), config.activations.is_free(k));
    let (any_w, any_h) = (free_w.contains(&true), free_h.contains(&true));
    let mut no_effect = |is_so: bool, name, reason| {
        if is_so {
            found.push(Warning::NoEffect { name, reason });
        }
    };
    let (fixed_w, fixed_h) = ("the dictionary is fixed", "the activations are fixed");
    no_effect(r.alpha_dictionary > 0.0 && !any_w, "alpha_dictionary", fixed_w);
    no_effect(r.alpha_activations > 0.0 && !any_h, "alpha_activations", fixed_h);
    no_effect(r.temporal_continuity > 0.0 && !any_h, "temporal_continuity", fixed_h);
    let pays_nothing = r.alpha_dictionary == 0.0 && r.alpha_activations == 0.0;
    no_effect(r.l1_ratio > 0.0 && pays_nothing, "l1_ratio", "`alpha_dictionary` and `alpha_activations` are 0");
    no_effect(!any_w && !any_h && config.max_iter > 0, "max_iter", "both factors are fixed, so nothing is fitted");
    let both_free = free_w.iter().zip(&free_h).any(|(w, h)| *w && *h);
    for (side, pays, other_pays) in [
        (Side::Dictionary, r.alpha_dictionary, r.alpha_activations),
        (Side::Activations, r.alpha_activations, r.alpha_dictionary),
    ] {
        if both_free && pays > 0.0 && other_pays == 0.0 {
            found.push(Warning::OneSidedPenalty { side });
        }
    }
}
