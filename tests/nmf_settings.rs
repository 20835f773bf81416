//! Settings and entries that cannot be worked with are refused.

mod common;

use common::matrices::mixed;
use ndarray::Array2;
use partita::nmf::*;

/// The message of a refusal.
fn refusal(v: &Array2<f32>, config: NmfConfig) -> String {
    fit(v.view(), &config).expect_err("a refusal").to_string()
}

#[test]
fn a_solver_that_cannot_do_what_is_asked_is_refused() {
    let v = mixed(4, 5, 26);
    for solver in Solver::ALL {
        let config = NmfConfig { solver, n_components: 2, ..NmfConfig::default() };
        if matches!(solver, Solver::Mu | Solver::MuExtrapolated) {
            assert!(fit(v.view(), &config).is_ok());
            continue;
        }
        let euclidean = NmfConfig { divergence: Divergence::Euclidean, ..config.clone() };
        assert!(fit(v.view(), &euclidean).is_ok());
        let expected = format!("`solver` is {}, expected `mu` or `mu-extrapolated`", solver.name());
        assert_eq!(refusal(&v, config), format!("{expected} for this divergence"));
        let weighted = NmfConfig { weights: Some(Array2::ones(v.dim())), ..euclidean.clone() };
        assert_eq!(refusal(&v, weighted), format!("{expected} with weights"));
        let smooth = Regularization { temporal_continuity: 1.0, ..Default::default() };
        let smooth = NmfConfig { regularization: smooth, ..euclidean };
        assert_eq!(refusal(&v, smooth), format!("{expected} with `temporal_continuity`"));
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let v = mixed(4, 5, 27);
    let plain = NmfConfig { n_components: 2, ..NmfConfig::default() };
    let regularized = |regularization| NmfConfig { regularization, ..plain.clone() };
    let group = |groups, strength, offset| {
        let group_sparsity = Some(GroupSparsity { groups, strength, offset });
        regularized(Regularization { group_sparsity, ..Default::default() })
    };
    let weighted = |at, value| {
        let mut weights = Array2::ones(v.dim());
        weights[at] = value;
        NmfConfig { weights: Some(weights), ..plain.clone() }
    };
    for (config, expected) in [
        (
            NmfConfig { divergence: Divergence::Beta(5.0), ..plain.clone() },
            "`divergence` is a beta of 5, expected a beta from -1 to 4",
        ),
        (
            regularized(Regularization { l1_ratio: 1.5, ..Default::default() }),
            "`l1_ratio` is 1.5, expected a number from 0 to 1",
        ),
        (
            regularized(Regularization { alpha_dictionary: -1.0, ..Default::default() }),
            "`alpha_dictionary` is -1, expected a finite number of at least 0",
        ),
        (group(vec![0], 1.0, 0.1), "`group_sparsity.groups` is 1 groups, expected 2, one for each component"),
        (group(vec![0, 1], 1.0, 0.0), "`group_sparsity.offset` is 0, expected a finite number above 0"),
        (weighted((1, 2), -1.0), "`weights` is -1 at row 1, column 2, expected finite numbers of at least 0"),
        (
            NmfConfig { weights: Some(Array2::ones((4, 4))), ..plain.clone() },
            "the matrix of weights is 4 x 4, expected 4 x 5",
        ),
        (
            NmfConfig { n_components: 5, init: Init::Nndsvda, ..plain.clone() },
            "`n_components` is 5, expected at most 4, the smaller side of the matrix, for this `init`",
        ),
    ] {
        assert_eq!(refusal(&v, config), expected);
    }
}

#[test]
fn only_missing_entries_may_be_anything() {
    let mut v = mixed(4, 5, 28);
    v[(1, 1)] = f32::NAN;
    v[(2, 2)] = f32::INFINITY;
    let mut weights = Array2::ones(v.dim());
    weights[(1, 1)] = 0.0;
    let mut config = NmfConfig { n_components: 2, weights: Some(weights.clone()), ..NmfConfig::default() };
    let message = refusal(&v, config.clone());
    assert_eq!(message, "the matrix has inf at row 2, column 2, expected finite numbers of at least 0");
    weights[(2, 2)] = 0.0;
    config.weights = Some(weights);
    for init in [Init::Random, Init::Nndsvda] {
        let parts = fit(v.view(), &NmfConfig { init, ..config.clone() }).unwrap();
        assert!(parts.product().iter().all(|x| x.is_finite()), "{init:?}");
    }
}
