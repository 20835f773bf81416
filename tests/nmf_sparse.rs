//! Sparse factorizations against those of the same matrices held in full.

mod common;

use common::matrices::{assert_close, divergence_of, draws, penalties, solvers_and_divergences};
use ndarray::Array2;
use partita::Error;
use partita::nmf::{Divergence, Factor, Factorization, Init, NmfConfig, Solver};
use partita::nmf::{SparseMatrix, fit, fit_sparse};

const KINDS: [(Divergence, Solver); 3] = [
    (Divergence::KullbackLeibler, Solver::Mu),
    (Divergence::KullbackLeibler, Solver::MuExtrapolated),
    (Divergence::Euclidean, Solver::Mu),
];

/// A matrix whose entries are counts, most of them 0.
fn counts(shape: (usize, usize), one_in: u64) -> Array2<f32> {
    let mut draw = draws(1);
    Array2::from_shape_simple_fn(shape, || if draw().is_multiple_of(one_in) { (1 + draw() % 5) as f32 } else { 0.0 })
}

fn sparse(v: &Array2<f32>) -> SparseMatrix {
    let mut entries: Vec<_> = v.indexed_iter().map(|((i, j), &x)| (i as u32, j as u32, x)).collect();
    entries.reverse();
    SparseMatrix::from_entries(v.dim(), entries).expect("entries within the shape")
}

/// Few iterations: extrapolation makes differences of the last digit grow with each.
fn config((divergence, solver): (Divergence, Solver), n_components: usize) -> NmfConfig {
    NmfConfig { n_components, divergence, solver, max_iter: 20, tol: 0.0, ..NmfConfig::default() }
}

fn assert_same(what: &str, got: &Factorization, expected: &Factorization) {
    assert_close(&format!("{what}, dictionary"), got.dictionary.view(), expected.dictionary.view(), 1e-5);
    assert_close(&format!("{what}, activations"), got.activations.view(), expected.activations.view(), 1e-5);
    assert_eq!((got.n_iter, got.stop_reason), (expected.n_iter, expected.stop_reason), "{what}");
    assert_eq!(got.divergence_curve.len(), expected.divergence_curve.len(), "{what}");
    for ((_, got), (_, expected)) in got.divergence_curve.iter().zip(&expected.divergence_curve) {
        assert!((got - expected).abs() <= 1e-5 * expected.abs(), "{what}: {got}, expected {expected}");
    }
}

#[test]
fn a_sparse_matrix_has_the_factors_of_the_full_one() {
    for (shape, n_components) in [((90, 70), 5), ((70, 300), 8), ((40, 30), 20), ((300, 9), 3), ((50, 40), 33)] {
        let v = counts(shape, 9);
        for kind in KINDS {
            let config = config(kind, n_components);
            let what = format!("{shape:?}, {n_components} components, {kind:?}");
            assert_same(&what, &fit_sparse(&sparse(&v), &config).unwrap(), &fit(v.view(), &config).unwrap());
        }
    }
}

#[test]
fn the_level_of_the_matrix_does_not_matter() {
    for level in [1e-30, 1e25] {
        let v = counts((40, 50), 5) * level;
        for kind in [KINDS[0], KINDS[1]] {
            let config = config(kind, 4);
            let what = format!("{kind:?} at {level:e}");
            assert_same(&what, &fit_sparse(&sparse(&v), &config).unwrap(), &fit(v.view(), &config).unwrap());
        }
    }
}

#[test]
fn given_factors_are_kept_or_start_the_fit() {
    let v = counts((60, 50), 6);
    let w = counts((60, 4), 2).mapv(|x| 0.3 * x);
    let h = counts((4, 50), 1);
    for kind in KINDS {
        for (dictionary, activations) in [
            (Factor::Fixed(w.clone()), Factor::Free),
            (Factor::Free, Factor::Fixed(h.clone())),
            (Factor::Seed(w.clone()), Factor::Seed(h.clone())),
        ] {
            let config = NmfConfig { dictionary, activations, ..config(kind, 4) };
            let found = fit_sparse(&sparse(&v), &config).unwrap();
            assert_same(&format!("{kind:?}"), &found, &fit(v.view(), &config).unwrap());
            if matches!(config.dictionary, Factor::Fixed(_)) {
                assert_eq!(found.dictionary, w, "kept bit by bit");
            }
            if matches!(config.activations, Factor::Fixed(_)) {
                assert_eq!(found.activations, h, "kept bit by bit");
            }
        }
    }
}

#[test]
fn empty_rows_and_columns_have_zeros() {
    let mut v = counts((60, 50), 4);
    v.slice_mut(ndarray::s![10..20, ..]).fill(0.0);
    v.slice_mut(ndarray::s![.., 5..9]).fill(0.0);
    for kind in KINDS {
        let found = fit_sparse(&sparse(&v), &config(kind, 6)).unwrap();
        assert_same(&format!("{kind:?}"), &found, &fit(v.view(), &config(kind, 6)).unwrap());
        assert!(found.dictionary.slice(ndarray::s![10..20, ..]).iter().all(|&w| w == 0.0), "{kind:?}");
        assert!(found.activations.slice(ndarray::s![.., 5..9]).iter().all(|&h| h == 0.0), "{kind:?}");
    }
}

#[test]
fn a_matrix_without_entries_or_sides_has_finite_factors() {
    for shape in [(20, 30), (0, 30), (20, 0), (0, 0), (1, 1)] {
        for kind in KINDS {
            let found = fit_sparse(&sparse(&Array2::zeros(shape)), &config(kind, 25)).unwrap();
            assert_eq!((found.dictionary.dim(), found.activations.dim()), ((shape.0, 25), (25, shape.1)));
            assert!(found.product().iter().all(|&y| y == 0.0), "{shape:?}, {kind:?}");
            assert!(found.divergence.abs() < 1e-9, "{shape:?}, {kind:?}: {}", found.divergence);
        }
    }
}

#[test]
fn the_divergence_never_rises_and_extrapolation_ends_lower() {
    let v = sparse(&counts((200, 150), 12));
    for divergence in [Divergence::KullbackLeibler, Divergence::Euclidean] {
        let [plain, extrapolated] = [Solver::Mu, Solver::MuExtrapolated].map(|solver| {
            let config = NmfConfig { max_iter: 150, ..config((divergence, solver), 10) };
            let found = fit_sparse(&v, &config).unwrap();
            for step in found.divergence_curve.windows(2) {
                assert!(step[1].1 <= step[0].1 * (1.0 + 1e-6), "{divergence:?}, {solver:?}: {step:?}");
            }
            found.divergence
        });
        assert!(extrapolated < plain, "{divergence:?}: {extrapolated}, {plain} without");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let v = sparse(&counts((700, 500), 20));
    for divergence in [Divergence::KullbackLeibler, Divergence::Euclidean] {
        let config = config((divergence, Solver::MuExtrapolated), 7);
        let found = [1, 2, 3].map(|n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| fit_sparse(&v, &config).unwrap())
        });
        assert_eq!(found[0], found[1], "{divergence:?}, 1 and 2 threads");
        assert_eq!(found[0], found[2], "{divergence:?}, 1 and 3 threads");
    }
}

#[test]
fn rows_and_columns_can_be_exchanged() {
    let v = counts((40, 30), 5);
    assert_eq!(sparse(&v).transposed(), sparse(&v.t().to_owned()));
    assert_eq!(sparse(&v).transposed().transposed(), sparse(&v));
}

#[test]
fn lists_that_contradict_one_another_are_refused() {
    let refused = |row_starts: &[usize], columns: &[u32], values: &[f32]| {
        let error = SparseMatrix::from_rows((2, 3), row_starts.into(), columns.into(), values.into()).unwrap_err();
        error.to_string()
    };
    let cases = [
        (refused(&[], &[], &[]), "0 row starts for 2 rows"),
        (refused(&[0, 1], &[0], &[1.0]), "2 row starts for 2 rows"),
        (refused(&[0, 1, 1], &[0], &[]), "1 columns for 0 values"),
        (refused(&[0, 2, 1], &[0], &[1.0]), "row starts that do not rise"),
        (refused(&[1, 1, 1], &[0], &[1.0]), "row starts that do not rise"),
        (refused(&[0, 1, 9], &[0], &[1.0]), "row starts that do not rise"),
        (refused(&[0, 2, 2], &[1, 1], &[1.0, 1.0]), "columns that do not rise in row 0"),
        (refused(&[0, 0, 1], &[3], &[1.0]), "column 3 in row 1, of 3 columns"),
        (refused(&[0, 0, 1], &[2], &[-1.0]), "the matrix has -1 at row 1, column 2"),
        (refused(&[0, 0, 1], &[2], &[f32::NAN]), "the matrix has NaN at row 1, column 2"),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}\nexpected: {expected}");
    }
    let outside = SparseMatrix::from_entries((2, 3), vec![(0, 3, 1.0)]).unwrap_err().to_string();
    assert!(outside.contains("an entry at row 0, column 3, outside of 2 x 3"), "{outside}");
    let huge = <SparseMatrix>::from_entries((usize::MAX, 3), Vec::new()).unwrap_err().to_string();
    assert!(huge.contains("expected at most 4294967295"), "{huge}");
}

#[test]
fn what_only_a_full_matrix_can_have_is_refused() {
    let v = sparse(&counts((9, 8), 3));
    let plain = NmfConfig { n_components: 2, ..NmfConfig::default() };
    let cases = [
        ("weights", NmfConfig { weights: Some(Array2::ones((9, 8))), ..plain.clone() }),
        ("n_components", NmfConfig { n_components: 0, ..plain.clone() }),
    ];
    for (setting, config) in cases {
        match fit_sparse(&v, &config) {
            Err(Error::Setting { name, .. }) => assert_eq!(name, setting),
            other => panic!("{setting}: {other:?}"),
        }
    }
    let config = NmfConfig { dictionary: Factor::Seed(Array2::ones((8, 2))), ..plain };
    assert!(matches!(fit_sparse(&v, &config), Err(Error::MatrixShape { .. })));
}

#[test]
fn every_solver_divergence_and_penalty_does_what_it_does_with_the_matrix_in_full() {
    let v = counts((21, 190), 4);
    let entries = sparse(&v);
    for (solver, beta) in solvers_and_divergences() {
        let is_mu = matches!(solver, Solver::Mu | Solver::MuExtrapolated);
        for (name, regularization) in penalties() {
            let is_plain = regularization.is_none();
            let is_known = is_mu || is_plain || ["l1", "l2"].contains(&name);
            // A fit of its own: it extrapolates otherwise.
            if !is_known || (is_plain && beta == 2.0 && solver == Solver::MuExtrapolated) {
                continue;
            }
            let config = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver,
                regularization,
                max_iter: 6,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let (full, few) = (fit(v.view(), &config).unwrap(), fit_sparse(&entries, &config).unwrap());
            let case = format!("{solver:?}, beta {beta}, {name}");
            // Sums of f32 products, in another order.
            assert_close(&case, few.product().view(), full.product().view(), 2e-3);
            let off = (few.divergence / full.divergence - 1.0).abs();
            assert!(off < 1e-3, "{case}: divergence off by {off:e}");
        }
    }
}

#[test]
fn starts_from_singular_vectors_are_those_of_the_matrix_in_full() {
    let v = counts((30, 50), 3);
    for init in [Init::Nndsvd, Init::Nndsvda, Init::Nndsvdar] {
        let config = NmfConfig { n_components: 4, init, max_iter: 0, ..NmfConfig::default() };
        let (full, few) = (fit(v.view(), &config).unwrap(), fit_sparse(&sparse(&v), &config).unwrap());
        assert_close(init.name(), few.dictionary.view(), full.dictionary.view(), 1e-5);
        assert_close(init.name(), few.activations.view(), full.activations.view(), 1e-5);
    }
}
