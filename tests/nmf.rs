//! The factorization against scikit-learn, a slow oracle, and truths about any matrix.

use std::fs::File;
use std::path::PathBuf;

use ndarray::{Array1, Array2, ArrayView2, array};
use ndarray_npy::NpzReader;
use partita::nmf::*;

const PENALTIES: [(&str, f32, f32, f32); 4] =
    [("free", 0.0, 0.0, 0.0), ("l1", 0.02, 0.03, 1.0), ("l2", 0.05, 0.01, 0.0), ("mixed", 0.01, 0.04, 0.3)];

struct Golden(NpzReader<File>);

impl Golden {
    fn open() -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nmf.npz");
        Self(NpzReader::new(File::open(path).unwrap()).unwrap())
    }

    fn matrix(&mut self, name: &str) -> Array2<f64> {
        self.0.by_name(&format!("{name}.npy")).unwrap()
    }

    fn matrix_f32(&mut self, name: &str) -> Array2<f32> {
        self.matrix(name).mapv(|x| x as f32)
    }
}

/// Largest difference over the largest entry.
fn gap(ours: &Array2<f32>, theirs: &Array2<f64>) -> f64 {
    assert_eq!(ours.dim(), theirs.dim());
    let largest = theirs.fold(0.0, |a: f64, b| a.max(b.abs()));
    (ours.mapv(f64::from) - theirs).fold(0.0, |a: f64, b| a.max(b.abs())) / largest
}

fn divergence_of(beta: f32) -> Divergence {
    match beta {
        0.0 => Divergence::ItakuraSaito,
        1.0 => Divergence::KullbackLeibler,
        2.0 => Divergence::Euclidean,
        _ => Divergence::Beta(beta),
    }
}

#[test]
fn factors_and_divergences_are_those_of_scikit_learn() {
    let mut golden = Golden::open();
    let (v, w0, h0) = (golden.matrix_f32("v"), golden.matrix_f32("w0"), golden.matrix_f32("h0"));
    let mut cases: Vec<(Solver, &str, f32)> =
        [0.0, 0.5, 1.0, 1.5, 2.0, 3.0].into_iter().map(|beta| (Solver::Mu, "mu", beta)).collect();
    cases.push((Solver::CoordinateDescent, "cd", 2.0));
    for (solver, solver_name, beta) in cases {
        for (penalty, alpha_dictionary, alpha_activations, l1_ratio) in PENALTIES {
            let name = format!("{solver_name}_{beta}_{penalty}");
            let config = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver,
                dictionary: Factor::Seed(w0.clone()),
                activations: Factor::Seed(h0.clone()),
                regularization: Regularization {
                    alpha_dictionary,
                    alpha_activations,
                    l1_ratio,
                    ..Regularization::default()
                },
                max_iter: 30,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let ours = fit(v.view(), &config).unwrap();
            let theirs: Array1<f64> = golden.0.by_name(&format!("{name}.divergence.npy")).unwrap();
            let ratio = ours.divergence / theirs[0] - 1.0;
            // f32 rounds at 6e-8; thirty iterations bring factors of a flat optimum some 1e-5 apart.
            assert!(ratio.abs() < 1e-4, "{name}: divergence off by {ratio:e}");
            let (w, h) = (
                gap(&ours.dictionary, &golden.matrix(&format!("{name}.w"))),
                gap(&ours.activations, &golden.matrix(&format!("{name}.h"))),
            );
            assert!(w < 1e-4 && h < 1e-4, "{name}: dictionary off by {w:e}, activations by {h:e}");
            println!("{name}: {ratio:.1e} {w:.1e} {h:.1e}");
        }
    }
}

#[test]
fn nndsvd_is_that_of_scikit_learn() {
    let mut golden = Golden::open();
    let v = golden.matrix_f32("v");
    for (name, init) in [("nndsvd", Init::Nndsvd), ("nndsvda", Init::Nndsvda)] {
        // Plain gradient-free reading of the start: no iteration is made.
        let config = NmfConfig { n_components: 4, init, max_iter: 0, ..NmfConfig::default() };
        let start = fit(v.view(), &config).unwrap();
        let (w, h) = (
            gap(&start.dictionary, &golden.matrix(&format!("{name}.w"))),
            gap(&start.activations, &golden.matrix(&format!("{name}.h"))),
        );
        assert!(w < 1e-5 && h < 1e-5, "{name}: dictionary off by {w:e}, activations by {h:e}");
    }
}
