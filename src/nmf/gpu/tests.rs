//! On whatever device there is, most often a program that stands in for one; without any, they say so and pass.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use ndarray::{Array1, Array2, s};

use super::Gpu;
use crate::error::GpuTrouble;
use crate::nmf::testing::noise;
use crate::nmf::{
    Divergence, Factor, Factorization, GroupSparsity, Guidance, Init, NmfConfig, Part, Regularization, Solver,
    StopReason, Stopping, Warning, divergence, fit, fit_with,
};
use crate::watch::{Progress, Watch};
use crate::Error;

/// The device, opened once; none where there is none.
fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let gpu = GPU.get_or_init(|| match Gpu::open() {
        Ok(gpu) => Some(gpu),
        Err(Error::Gpu(GpuTrouble::NoDevice)) => None,
        Err(error) => panic!("{error}"),
    });
    if gpu.is_none() {
        eprintln!("skipped: no graphics processor, and no program that stands in for one");
    }
    gpu.as_ref()
}

/// A product of `rank` components, with noise over it and a tenth of zeros.
fn matrix(shape: (usize, usize), rank: usize) -> Array2<f32> {
    let product = noise((shape.0, rank), 11).dot(&noise((rank, shape.1), 12));
    let draws = noise(shape, 13);
    Array2::from_shape_fn(shape, |at| if draws[at] < 0.1 { 0.0 } else { 30.0 * product[at] * draws[at] })
}

fn config(n_components: usize, solver: Solver, max_iter: usize) -> NmfConfig {
    NmfConfig { n_components, solver, max_iter, tol: 0.0, ..NmfConfig::default() }
}

fn fitted(gpu: &Gpu, v: &Array2<f32>, config: &NmfConfig) -> Factorization {
    gpu.load(v.view()).and_then(|v| v.fit(config, &mut Watch::none())).unwrap()
}

const SOLVERS: [Solver; 2] = [Solver::Mu, Solver::MuExtrapolated];

/// As far as two sums in f32, each in its order, may lie apart after some tens of iterations.
const CLOSE: f64 = 1e-5;

fn assert_same_course(what: &str, got: &Factorization, expected: &Factorization) {
    assert_eq!((got.n_iter, got.stop_reason), (expected.n_iter, expected.stop_reason), "{what}");
    let n_checks = |found: &Factorization| found.divergence_curve.iter().map(|(n, _)| *n).collect::<Vec<_>>();
    assert_eq!(n_checks(got), n_checks(expected), "{what}");
    for ((n_iter, got), (_, expected)) in got.divergence_curve.iter().zip(&expected.divergence_curve) {
        let gap = (got - expected).abs() / expected.max(1e-30);
        assert!(gap <= CLOSE, "{what}, iteration {n_iter}: {got}, expected {expected}, off by {gap:.1e}");
    }
}

#[test]
fn fits_take_the_course_of_the_processor() {
    let Some(gpu) = gpu() else { return };
    for (shape, k) in [
        ((1, 1), 1),
        ((65, 40), 1),
        ((257, 300), 15),
        ((300, 257), 16),
        ((128, 192), 33),
        ((100, 130), 64),
        ((63, 70), 129),
    ] {
        let v = matrix(shape, 5);
        for solver in SOLVERS {
            let config = config(k, solver, 40);
            let what = format!("{shape:?}, {k} components, {}", solver.name());
            let got = fitted(gpu, &v, &config);
            assert_same_course(&what, &got, &fit(v.view(), &config).unwrap());
            let counted = divergence(v.view(), got.product().view(), Divergence::KullbackLeibler);
            assert!((got.divergence - counted).abs() < CLOSE * counted, "{what}: {} for {counted}", got.divergence);
        }
    }
}
