//! What cannot work as asked is told with the result, and what is offered instead works.

mod common;

use common::matrices::{BETAS, divergence_of, mixed};
use ndarray::{Array1, Array2, Axis, array, s};
use partita::nmf::*;

fn rank_four() -> Array2<f32> {
    mixed(30, 4, 1).dot(&mixed(4, 40, 2))
}

fn config() -> NmfConfig {
    NmfConfig { n_components: 4, max_iter: 500, tol: 0.0, ..NmfConfig::default() }
}

/// What is told, in the words of the library.
fn told(v: &Array2<f32>, config: &NmfConfig) -> Vec<String> {
    fit(v.view(), config)
        .expect("a fit")
        .warnings
        .iter()
        .map(|warning| format!("{warning}; {}", warning.advice()))
        .collect()
}

#[test]
fn a_fit_that_can_work_as_asked_has_no_warnings() {
    let v = rank_four();
    for init in [Init::Random, Init::Nndsvda, Init::Nndsvdar] {
        assert_eq!(told(&v, &NmfConfig { init, ..config() }), [""; 0], "{init:?}");
    }
    let cd = NmfConfig { solver: Solver::CoordinateDescent, divergence: Divergence::Euclidean, ..config() };
    assert_eq!(told(&v, &NmfConfig { init: Init::Nndsvd, ..cd }), [""; 0], "its zeros do not stay");
    let both = Regularization { alpha_dictionary: 0.1, alpha_activations: 0.1, l1_ratio: 0.5, ..Default::default() };
    assert_eq!(told(&v, &NmfConfig { regularization: both, ..config() }), [""; 0]);
    assert_eq!(told(&Array2::zeros((5, 6)), &NmfConfig { init: Init::Nndsvd, ..config() }), [""; 0], "silence");
}

#[test]
fn zeros_of_nndsvd_stay_and_the_starts_that_are_offered_have_none() {
    let v = rank_four();
    for (solver, beta) in [(Solver::Mu, 0.0), (Solver::MuExtrapolated, 1.0), (Solver::Mu, 2.0)] {
        let of =
            |init| fit(v.view(), &NmfConfig { init, solver, divergence: divergence_of(beta), ..config() }).unwrap();
        let (stuck, filled, random) = (of(Init::Nndsvd), of(Init::Nndsvdar), of(Init::Random));
        let n_zeros = |x: &Array2<f32>| x.iter().filter(|x| **x == 0.0).count();
        let n = n_zeros(&stuck.dictionary);
        let expected = Warning::ZerosStay { side: Side::Dictionary, n_zeros: n, n_entries: 120, from_init: true };
        assert!(n > 0 && stuck.warnings.contains(&expected), "{solver:?}, beta {beta}: {:?}", stuck.warnings);
        assert_eq!(
            format!("{expected}; {}", expected.advice()),
            format!(
                "{n} of 120 entries of the dictionary start at 0 with `init nndsvd`, and multiplicative updates leave \
                 them there; use `init nndsvda`, or `init nndsvdar`"
            )
        );
        for better in [&filled, &random] {
            let (of_stuck, of_better) = (stuck.divergence, better.divergence);
            assert!(of_better < 0.2 * of_stuck, "{solver:?}, beta {beta}: {of_better}, stuck at {of_stuck}");
        }
    }
}

#[test]
fn a_penalty_on_one_of_two_free_factors_has_no_effect_and_is_told() {
    let v = rank_four();
    let with = |regularization: Regularization| fit(v.view(), &NmfConfig { regularization, ..config() }).unwrap();
    let plain = with(Regularization::default());
    let one_sided = with(Regularization { alpha_activations: 1.0, l1_ratio: 1.0, ..Default::default() });
    assert_eq!(one_sided.warnings, [Warning::OneSidedPenalty { side: Side::Activations }]);
    let largest = |x: &Array2<f32>| x.iter().fold(0.0f32, |a, b| a.max(*b));
    assert!(largest(&one_sided.dictionary) > 100.0 * largest(&plain.dictionary), "{}", largest(&one_sided.dictionary));
    let other = with(Regularization { alpha_dictionary: 1.0, ..Default::default() });
    assert_eq!(other.warnings, [Warning::OneSidedPenalty { side: Side::Dictionary }]);
    // A factor that is fixed cannot grow.
    let fixed = NmfConfig { dictionary: Factor::Fixed(mixed(30, 4, 1)), ..config() };
    let alone = Regularization { alpha_activations: 1.0, ..Default::default() };
    assert_eq!(told(&v, &NmfConfig { regularization: alone, ..fixed }), [""; 0]);
}

/// The rows of H, each times the norm of its template.
fn of_unit_templates(parts: &Factorization) -> Array2<f32> {
    let norms = parts.dictionary.map_axis(Axis(0), |column| column.dot(&column).sqrt());
    &parts.activations * &norms.insert_axis(Axis(1))
}

#[test]
fn sparsity_counts_activations_under_templates_of_one_norm() {
    let v = mixed(20, 60, 25);
    let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
    for solver in [Solver::Mu, Solver::MuExtrapolated] {
        for beta in BETAS {
            let with = |sparsity: f64| {
                let regularization = Regularization { sparsity, ..Default::default() };
                let config = NmfConfig { regularization, solver, divergence: divergence_of(beta), ..config() };
                fit(v.view(), &NmfConfig { max_iter: 200, ..config }).unwrap()
            };
            let (plain, sparse) = (with(0.0), with(0.3));
            let cost = |parts: &Factorization| {
                let sum = of_unit_templates(parts).iter().map(|&x| f64::from(x)).sum::<f64>();
                0.3 * 20f64.sqrt() * mean.powf(beta - 1.0) * sum
            };
            let (_, objective) = sparse.divergence_curve[sparse.divergence_curve.len() - 1];
            let expected = sparse.divergence + cost(&sparse);
            // Sums of f32 products.
            assert!((objective / expected - 1.0).abs() < 1e-5, "{solver:?}, beta {beta}: {objective}, not {expected}");
            let unpenalized = plain.divergence + cost(&plain);
            assert!(objective < unpenalized, "{solver:?}, beta {beta}: {objective}, {unpenalized} without looking");
            assert!(sparse.warnings.is_empty(), "{:?}", sparse.warnings);
        }
    }
    let share_of_small = |sparsity: f64| {
        let regularization = Regularization { sparsity, ..Default::default() };
        let h = of_unit_templates(&fit(v.view(), &NmfConfig { regularization, ..config() }).unwrap());
        let largest = h.iter().fold(0.0f32, |a, b| a.max(*b));
        h.iter().filter(|x| **x < 1e-3 * largest).count() as f64 / h.len() as f64
    };
    let (without, with) = (share_of_small(0.0), share_of_small(0.3));
    assert!(with > without + 0.1, "activations below a thousandth of the largest: {without}, with sparsity {with}");
}

#[test]
fn what_a_given_start_can_never_reach_is_told() {
    let v = rank_four();
    let mut w = mixed(30, 4, 7);
    w.slice_mut(s![..3, 0]).fill(0.0);
    w.column_mut(2).fill(0.0);
    w.row_mut(5).fill(0.0);
    let seeded = NmfConfig { dictionary: Factor::Seed(w.clone()), ..config() };
    assert_eq!(
        told(&v, &seeded),
        [
            "36 of 120 entries of the dictionary start at 0, and multiplicative updates leave them there; give small \
             numbers instead where they are not meant to stay 0",
            "row 5 of the matrix is out of reach: every component is 0 there and cannot change; give a dictionary with an \
             entry above 0 in these rows",
            "component 2 is 0 from the start and cannot change; ask for fewer components, or start these otherwise",
        ]
    );
    let fixed = NmfConfig { dictionary: Factor::Fixed(w.clone()), ..config() };
    assert_eq!(told(&v, &fixed), told(&v, &seeded)[1..], "zeros that are fixed are meant");
    let one = Factor::PerComponent(vec![Part::Free, Part::Free, Part::Seed(Array1::zeros(40)), Part::Free]);
    let found = fit(v.view(), &NmfConfig { activations: one, ..config() }).unwrap().warnings;
    assert!(found.contains(&Warning::SilentComponents { components: vec![2] }), "{found:?}");
    let sparse = SparseMatrix::from_entries((2, 2), vec![(0, 0, 1.0), (1, 1, 2.0)]).expect("a matrix");
    let start = Factor::Seed(array![[1.0, 0.0], [1.0, 0.0]]);
    let config = NmfConfig { n_components: 2, dictionary: start, ..config() };
    let found = fit_sparse(&sparse, &config).unwrap().warnings;
    assert!(found.contains(&Warning::SilentComponents { components: vec![1] }), "{found:?}");
}

#[test]
fn zeros_from_which_the_divergence_is_infinite_are_told() {
    let mut v = rank_four();
    v.slice_mut(s![2, ..7]).fill(0.0);
    let of = |beta| fit(v.view(), &NmfConfig { divergence: divergence_of(beta), ..config() }).unwrap().warnings;
    for beta in [-0.5, 0.0] {
        assert_eq!(of(beta), [Warning::ZerosInMatrix { n_zeros: 7, n_entries: 1200, beta }], "beta {beta}");
    }
    assert_eq!((of(0.5), of(1.0)), (vec![], vec![]), "finite");
    let hidden = v.mapv(|x| if x == 0.0 { 0.0 } else { 1.0 });
    let config = NmfConfig { divergence: Divergence::ItakuraSaito, weights: Some(hidden), ..config() };
    assert_eq!(fit(v.view(), &config).unwrap().warnings, [], "what is missing does not count");
}

#[test]
fn settings_that_change_nothing_are_told() {
    let v = rank_four();
    let regularization = Regularization { l1_ratio: 0.5, ..Default::default() };
    assert_eq!(
        told(&v, &NmfConfig { regularization, ..config() }),
        ["`l1_ratio` has no effect: `alpha_dictionary` and `alpha_activations` are 0; leave it out"]
    );
    let (w, h) = (Factor::Fixed(mixed(30, 4, 1)), Factor::Fixed(mixed(4, 40, 2)));
    let penalties = Regularization { alpha_dictionary: 1.0, temporal_continuity: 1.0, ..Default::default() };
    let fixed = NmfConfig { dictionary: w, activations: h, regularization: penalties, ..config() };
    let found = fit(v.view(), &fixed).unwrap().warnings;
    let names: Vec<_> = found
        .iter()
        .map(|warning| match warning {
            Warning::NoEffect { name, .. } => *name,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(names, ["alpha_dictionary", "temporal_continuity", "max_iter"]);
}

#[test]
fn a_divergence_is_never_negative() {
    let (w, h) = (array![[1.0f32], [2.0], [0.0], [4.0], [3.0]], array![[1.0f32, 0.0, 2.0, 3.0, 1.0, 7.0]]);
    let v = w.dot(&h);
    let entries = v.indexed_iter().filter(|(_, x)| **x > 0.0).map(|((i, j), x)| (i as u32, j as u32, *x)).collect();
    let sparse = SparseMatrix::from_entries(v.dim(), entries).expect("a matrix");
    for solver in [Solver::Mu, Solver::MuExtrapolated] {
        for n_components in [1, 3] {
            for beta in BETAS {
                let config = NmfConfig {
                    n_components,
                    solver,
                    divergence: divergence_of(beta),
                    max_iter: 300,
                    tol: 0.0,
                    ..NmfConfig::default()
                };
                let mut all = vec![("dense", fit(v.view(), &config).unwrap())];
                if [1.0, 2.0].contains(&beta) {
                    all.push(("sparse", fit_sparse(&sparse, &config).unwrap()));
                }
                for (what, parts) in all {
                    let least = parts.divergence_curve.iter().fold(parts.divergence, |least, (_, d)| least.min(*d));
                    assert!(least >= 0.0, "{what}, {solver:?}, {n_components} components, beta {beta}: {least:e}");
                    let total: f64 = v.iter().map(|&x| f64::from(x).powf(beta.max(1.0))).sum();
                    if (1.0..=2.0).contains(&beta) {
                        // A matrix of rank one is found: what is left is rounding of products in f32.
                        assert!(parts.divergence < 1e-5 * total, "{what}, beta {beta}: {:e}", parts.divergence);
                    }
                }
            }
        }
    }
}
