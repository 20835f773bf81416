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
