//! Factorizations in double precision, against scikit-learn's own.

mod common;

use std::fs::File;
use std::path::PathBuf;

use common::matrices::divergence_of;
use ndarray::Array2;
use ndarray_npy::NpzReader;
use partita::nmf::*;

const PENALTIES: [(&str, f64, f64, f64); 3] =
    [("free", 0.0, 0.0, 0.0), ("l1", 0.002, 0.003, 1.0), ("mixed", 0.001, 0.004, 0.3)];

struct Golden(NpzReader<File>);

impl Golden {
    fn open() -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nmf_f64.npz");
        let file = File::open(path).expect("tests/golden/nmf_f64.npz is part of the repository");
        Self(NpzReader::new(file).expect("an archive of arrays"))
    }

    fn matrix(&mut self, name: &str) -> Array2<f64> {
        self.0.by_name(&format!("{name}.npy")).unwrap_or_else(|_| panic!("{name} is missing"))
    }
}

/// Largest difference over the largest entry.
fn gap(ours: &Array2<f64>, theirs: &Array2<f64>) -> f64 {
    assert_eq!(ours.dim(), theirs.dim());
    let largest = theirs.fold(0.0, |a: f64, b| a.max(b.abs()));
    (ours - theirs).fold(0.0, |a: f64, b| a.max(b.abs())) / largest
}

/// A number as Python writes it.
fn python(beta: f64) -> String {
    format!("{beta:?}")
}

fn config(golden: &mut Golden, matrix: &str, penalty: usize) -> NmfConfig<f64> {
    let (_, alpha_dictionary, alpha_activations, l1_ratio) = PENALTIES[penalty];
    NmfConfig {
        n_components: 4,
        solver: Solver::Mu,
        dictionary: Factor::Seed(golden.matrix(&format!("{matrix}_w0"))),
        activations: Factor::Seed(golden.matrix(&format!("{matrix}_h0"))),
        regularization: Regularization { alpha_dictionary, alpha_activations, l1_ratio, ..Default::default() },
        stopping: Stopping::ScikitLearn,
        ..NmfConfig::default()
    }
}

/// Rounding errors of 1e-16 per sum grow with the iterations; a flat optimum tells factors apart less well.
fn assert_same(golden: &mut Golden, case: &str, ours: &Factorization<f64>, tolerance: f64) {
    let n_iter = golden.matrix(&format!("{case}_n"))[(0, 0)];
    let (dw, dh) = (
        gap(&ours.dictionary, &golden.matrix(&format!("{case}_w"))),
        gap(&ours.activations, &golden.matrix(&format!("{case}_h"))),
    );
    assert!(dw < tolerance && dh < tolerance, "{case}: W off by {dw:e}, H by {dh:e}");
    assert_eq!(ours.n_iter as f64, n_iter, "{case}");
}

#[test]
fn any_beta_takes_scikit_learns_steps_and_as_many() {
    let mut golden = Golden::open();
    let v = golden.matrix("v");
    for beta in [-5.0, -1.2, 0.0, 0.4, 0.5, 1.0, 1.3, 1.5, 2.0, 2.7, 3.0, 6.5] {
        for (i, (penalty, ..)) in PENALTIES.iter().enumerate() {
            let divergence = divergence_of(beta);
            let config = NmfConfig { divergence, max_iter: 400, tol: 1e-3, ..config(&mut golden, "v", i) };
            let ours = fit(v.view(), &config).unwrap();
            assert_same(&mut golden, &format!("mu_{}_{penalty}", python(beta)), &ours, 1e-9);
        }
    }
}

#[test]
fn coordinate_descent_takes_scikit_learns_steps_and_as_many() {
    let mut golden = Golden::open();
    let v = golden.matrix("v");
    for (i, (penalty, ..)) in PENALTIES.iter().enumerate() {
        let config = NmfConfig {
            divergence: Divergence::Euclidean,
            solver: Solver::CoordinateDescent,
            max_iter: 400,
            tol: 1e-3,
            ..config(&mut golden, "v", i)
        };
        let ours = fit(v.view(), &config).unwrap();
        assert_same(&mut golden, &format!("cd_{penalty}"), &ours, 1e-9);
    }
}

#[test]
fn sparse_matrices_take_scikit_learns_steps() {
    let mut golden = Golden::open();
    let holes = golden.matrix("holes");
    let entries = holes.indexed_iter().filter(|(_, x)| **x > 0.0).map(|((i, j), x)| (i as u32, j as u32, *x));
    let v = SparseMatrix::from_entries(holes.dim(), entries.collect()).unwrap();
    for (i, (penalty, ..)) in PENALTIES.iter().enumerate() {
        for beta in [0.3, 1.0, 1.6, 2.0, 2.5] {
            let divergence = divergence_of(beta);
            let config = NmfConfig { divergence, max_iter: 60, tol: 0.0, ..config(&mut golden, "holes", i) };
            let ours = fit_sparse(&v, &config).unwrap();
            assert_same(&mut golden, &format!("sparse_mu_{}_{penalty}", python(beta)), &ours, 1e-9);
        }
        let config = NmfConfig {
            divergence: Divergence::Euclidean,
            solver: Solver::CoordinateDescent,
            max_iter: 60,
            tol: 1e-3,
            ..config(&mut golden, "holes", i)
        };
        let ours = fit_sparse(&v, &config).unwrap();
        assert_same(&mut golden, &format!("sparse_cd_{penalty}"), &ours, 1e-9);
    }
}

#[test]
fn mini_batches_take_scikit_learns_steps_and_as_many() {
    let mut golden = Golden::open();
    let v = golden.matrix("v").reversed_axes();
    let entries = v.indexed_iter().map(|((i, j), x)| (i as u32, j as u32, *x)).collect();
    let sparse = SparseMatrix::from_entries(v.dim(), entries).unwrap();
    for beta in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0] {
        for (restarts, fresh_restarts) in [("kept", false), ("fresh", true)] {
            for (i, penalty) in [(0, "free"), (2, "mixed")] {
                // Scikit-learn's W are our activations.
                let theirs = config(&mut golden, "v", i);
                let (Factor::Seed(w0), Factor::Seed(h0)) = (theirs.dictionary, theirs.activations) else {
                    unreachable!()
                };
                let nmf = NmfConfig {
                    divergence: divergence_of(beta),
                    dictionary: Factor::Seed(h0.reversed_axes()),
                    activations: Factor::Seed(w0.reversed_axes()),
                    regularization: Regularization {
                        alpha_dictionary: theirs.regularization.alpha_activations,
                        alpha_activations: theirs.regularization.alpha_dictionary,
                        ..theirs.regularization
                    },
                    max_iter: 40,
                    tol: 1e-2,
                    n_components: 4,
                    ..NmfConfig::default()
                };
                let config = MiniBatchConfig {
                    nmf,
                    batch_size: 16,
                    forget_factor: 0.6,
                    fresh_restarts,
                    fresh_restarts_max_iter: 7,
                    transform_max_iter: Some(25),
                    max_no_improvement: Some(5),
                };
                let case = format!("batches_{}_{penalty}_{restarts}", python(beta));
                let mut golden = |what: &str| golden.matrix(&format!("{case}_{what}"));
                let mut learner = MiniBatch::new(config.clone()).unwrap();
                let (full, n_steps) = learner.fit(v.view()).unwrap();
                assert_eq!([full.n_iter as f64, n_steps as f64], [golden("n")[(0, 0)], golden("n")[(0, 1)]], "{case}");
                let (w, h) = (full.activations.t().to_owned(), full.dictionary.t().to_owned());
                let found = [
                    ("w", w),
                    ("h", h),
                    ("t", learner.transform(v.slice(ndarray::s![.., ..10])).unwrap().t().to_owned()),
                ];
                for (what, ours) in &found {
                    let off = gap(ours, &golden(what));
                    assert!(off < 1e-9, "{case}: {what} off by {off:e}");
                }
                let mut learner = MiniBatch::new(config.clone()).unwrap();
                let (few, n_steps_of_few) =
                    learner.fit_sparse_with(&sparse, &mut partita::watch::Watch::none()).unwrap();
                assert_eq!(n_steps, n_steps_of_few, "{case}, sparse");
                assert!(gap(&few.dictionary, &full.dictionary) < 1e-9, "{case}, sparse");
                let mut learner = MiniBatch::new(config).unwrap();
                for i in 0..6 {
                    let first = 15 * (i % 3);
                    learner.partial_fit(v.slice(ndarray::s![.., first..first + 15])).unwrap();
                }
                let off = gap(&learner.dictionary().unwrap().t().to_owned(), &golden("p"));
                assert!(off < 1e-9, "{case}, partial: off by {off:e}");
                assert_eq!(learner.n_steps(), 6);
            }
        }
    }
}

#[test]
fn any_level_of_the_matrix_gives_the_same_factors_on_its_scale() {
    let mut golden = Golden::open();
    let v = golden.matrix("v");
    for (divergence, solver) in [
        (Divergence::KullbackLeibler, Solver::MuExtrapolated),
        (Divergence::Beta(0.5), Solver::Mu),
        (Divergence::Euclidean, Solver::CoordinateDescent),
    ] {
        let config = NmfConfig { n_components: 4, divergence, solver, max_iter: 20, tol: 0.0, ..NmfConfig::default() };
        let plain = fit(v.view(), &config).unwrap().product();
        for level in [1e-100, 1e-40, 1e40, 1e100] {
            let scaled = fit((&v * level).view(), &config).unwrap().product() / level;
            assert!(gap(&scaled, &plain) < 1e-9, "{divergence:?} at {level:e}");
        }
    }
}

#[test]
fn double_precision_is_single_precision_with_more_digits() {
    let mut golden = Golden::open();
    let v = golden.matrix("holes");
    let single = v.mapv(|x| x as f32);
    for solver in [Solver::Mu, Solver::MuExtrapolated] {
        for divergence in [Divergence::KullbackLeibler, Divergence::Beta(1.5), Divergence::Euclidean] {
            let config =
                NmfConfig { n_components: 5, divergence, solver, max_iter: 50, tol: 0.0, ..NmfConfig::default() };
            let factors = |dictionary: Array2<f64>, activations: Array2<f64>| NmfConfig {
                dictionary: Factor::Seed(dictionary),
                activations: Factor::Seed(activations),
                ..config.clone()
            };
            let (w, h) = (golden.matrix("holes_w0"), golden.matrix("holes_h0"));
            let double = fit(v.view(), &NmfConfig { n_components: 4, ..factors(w.clone(), h.clone()) }).unwrap();
            let config = NmfConfig {
                n_components: 4,
                divergence,
                solver,
                dictionary: Factor::Seed(w.mapv(|x| x as f32)),
                activations: Factor::Seed(h.mapv(|x| x as f32)),
                max_iter: 50,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let single = fit(single.view(), &config).unwrap();
            let off = (single.divergence / double.divergence - 1.0).abs();
            assert!(off < 1e-5, "{solver:?}, {divergence:?}: divergence off by {off:e}");
            let again = fit(v.view(), &NmfConfig { n_components: 4, ..factors(w, h) }).unwrap();
            assert_eq!(double, again, "the same bits");
        }
    }
}

#[test]
fn shuffled_coordinate_descent_ends_as_low_and_depends_on_the_seed_alone() {
    let mut golden = Golden::open();
    let v = golden.matrix("v");
    let config = |shuffle, seed| NmfConfig {
        n_components: 4,
        divergence: Divergence::Euclidean,
        solver: Solver::CoordinateDescent,
        dictionary: Factor::Free,
        shuffle,
        seed,
        max_iter: 300,
        tol: 1e-6,
        stopping: Stopping::ScikitLearn,
        ..NmfConfig::default()
    };
    let [plain, a, b] = [(false, 1), (true, 1), (true, 1)].map(|(on, seed)| fit(v.view(), &config(on, seed)).unwrap());
    assert_eq!(a, b);
    assert!(plain.dictionary != a.dictionary, "the order changed nothing");
    assert!(a.divergence < 1.2 * plain.divergence, "{}, in turn {}", a.divergence, plain.divergence);
}

#[test]
fn settings_that_mini_batches_cannot_have_are_refused() {
    let with = |change: &dyn Fn(&mut MiniBatchConfig<f64>)| {
        let mut config = MiniBatchConfig::default();
        change(&mut config);
        MiniBatch::new(config).map(|_| ()).unwrap_err().to_string()
    };
    for (message, expected) in [
        (with(&|config| config.batch_size = 0), "`batch_size` is 0"),
        (with(&|config| config.forget_factor = -0.5), "`forget_factor` is -0.5"),
        (with(&|config| config.forget_factor = 1.5), "`forget_factor` is 1.5"),
        (with(&|config| config.nmf.weights = Some(Array2::ones((1, 1)))), "`weights` is given"),
        (with(&|config| config.nmf.dictionary = Factor::Fixed(Array2::ones((1, 8)))), "`dictionary` is fixed in part"),
        (with(&|config| config.nmf.regularization.sparsity = 0.1), "`regularization` is another"),
    ] {
        assert!(message.contains(expected), "{message}\nexpected: {expected}");
    }
}

#[test]
fn small_activations_are_dropped_where_scikit_learn_drops_them() {
    let mut golden = Golden::open();
    let v = golden.matrix("digits");
    let config = NmfConfig { n_components: 20, max_iter: 200, tol: 0.0, ..config(&mut golden, "digits", 0) };
    let full = fit(v.view(), &config).unwrap();
    assert_same(&mut golden, "digits_mu", &full, 1e-9);
    let entries = v.indexed_iter().filter(|(_, x)| **x > 0.0).map(|((i, j), x)| (i as u32, j as u32, *x));
    let few = fit_sparse(&SparseMatrix::from_entries(v.dim(), entries.collect()).unwrap(), &config).unwrap();
    assert_same(&mut golden, "digits_mu", &few, 1e-9);
    let ours = fit(v.view(), &NmfConfig { stopping: Stopping::Divergence, ..config }).unwrap();
    assert!(gap(&ours.dictionary, &full.dictionary) > 1e-9, "these digits drop nothing: the test has lost its eyes");
}
