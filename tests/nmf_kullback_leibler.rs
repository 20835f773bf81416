//! Fits for the Kullback-Leibler divergence, which have a kernel of their own: extreme matrices, and what is given.

mod common;

use common::matrices;
use ndarray::{Array1, Array2, s};
use partita::nmf::{Factor, NmfConfig, Part, Solver, StopReason, fit};

const SOLVERS: [Solver; 2] = [Solver::Mu, Solver::MuExtrapolated];

/// Numbers from 0.05 to 1.05, and this share of zeros.
fn noise(shape: (usize, usize), zeros: f32, seed: u64) -> Array2<f32> {
    let (numbers, draws) = (matrices::noise(shape, seed), matrices::noise(shape, seed ^ 0xabcd));
    Array2::from_shape_fn(shape, |at| if draws[at] < zeros { 0.0 } else { 0.05 + numbers[at] })
}

fn assert_finite(what: &str, x: &Array2<f32>) {
    assert!(x.iter().all(|x| x.is_finite() && *x >= 0.0), "{what} has an entry that is negative or not finite");
}

fn bits(x: &Array2<f32>) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn matrices_of_all_layouts_give_the_same_bits() {
    let v = noise((40, 70), 0.1, 1);
    let time_major = v.t().as_standard_layout().into_owned();
    let config = NmfConfig::default();
    assert_eq!(fit(v.view(), &config).unwrap(), fit(time_major.t(), &config).unwrap());
}

#[test]
fn factors_are_finite_whatever_the_input() {
    let ordinary = noise((20, 50), 0.1, 1);
    let column = noise((20, 1), 0.0, 2);
    let row = noise((1, 50), 0.0, 3);
    let mut single = Array2::zeros((20, 50));
    single[[3, 4]] = f32::MAX;
    let mut holes = ordinary.clone();
    holes.slice_mut(s![5..9, ..]).fill(0.0);
    holes.slice_mut(s![.., 10..30]).fill(0.0);
    let cases = [
        ("zeros", Array2::zeros((20, 50))),
        ("very soft", &ordinary * 1e-30),
        ("subnormal", &ordinary * 1e-41),
        ("very loud", &ordinary * 1e30),
        ("the loudest", Array2::from_elem((20, 50), f32::MAX)),
        ("one entry", single),
        ("rank one", column.dot(&row)),
        ("zero rows and columns", holes),
        ("no columns", Array2::zeros((20, 0))),
        ("no rows", Array2::zeros((0, 50))),
    ];
    for (name, v) in cases {
        for solver in SOLVERS {
            let config = NmfConfig { n_components: 25, solver, max_iter: 60, tol: 0.0, ..NmfConfig::default() };
            let found = fit(v.view(), &config).unwrap();
            assert_finite(name, &found.dictionary);
            assert_finite(name, &found.activations);
            let first = found.divergence_curve[0].1;
            assert!(found.divergence.is_finite() && found.divergence <= first, "{name}: {}", found.divergence);
        }
    }
}

#[test]
fn silence_gives_zeros() {
    let mut v = noise((20, 50), 0.0, 1);
    v.slice_mut(s![.., 10..30]).fill(0.0);
    for solver in SOLVERS {
        let config = NmfConfig { solver, max_iter: 20, tol: 0.0, ..NmfConfig::default() };
        let found = fit(v.view(), &config).unwrap();
        assert!(found.activations.slice(s![.., 10..30]).iter().all(|&h| h == 0.0), "silent frames");
        let found = fit(Array2::zeros((20, 50)).view(), &config).unwrap();
        assert!(found.activations.iter().all(|&h| h == 0.0), "silence throughout");
        assert!(found.divergence.abs() < 1e-9, "{}", found.divergence);
    }
}

#[test]
fn fixed_factors_keep_every_bit() {
    let (w, h) = (noise((20, 3), 0.1, 1), noise((3, 50), 0.1, 2));
    let v = noise((20, 50), 0.1, 3);
    let config = |solver, max_iter, dictionary, activations| NmfConfig {
        n_components: 3,
        solver,
        max_iter,
        tol: 0.0,
        dictionary,
        activations,
        ..NmfConfig::default()
    };
    let fixed = |x: &Array2<f32>| Factor::Fixed(x.clone());
    // With one factor fixed the problem is convex: whatever the start and the scale, there is one minimum.
    let least = |w, h| fit(v.view(), &config(Solver::Mu, 3000, w, h)).unwrap().divergence;
    let (least_h, least_w) = (least(fixed(&w), Factor::Free), least(Factor::Free, fixed(&h)));
    // Out of reach of any scale that suits V.
    let (w, h) = (w * 3e-33, h * 7e31);
    for solver in SOLVERS {
        let found = fit(v.view(), &config(solver, 300, fixed(&w), Factor::Free)).unwrap();
        assert_eq!(bits(&found.dictionary), bits(&w), "{solver:?}");
        let gap = found.divergence / least_h - 1.0;
        assert!(gap.abs() < 1e-4, "{solver:?}: {gap:e} above the minimum over H");

        let found = fit(v.view(), &config(solver, 300, Factor::Free, fixed(&h))).unwrap();
        assert_eq!(bits(&found.activations), bits(&h), "{solver:?}");
        let gap = found.divergence / least_w - 1.0;
        assert!(gap.abs() < 1e-4, "{solver:?}: {gap:e} above the minimum over W");

        let found = fit(v.view(), &config(solver, 300, fixed(&w), fixed(&h))).unwrap();
        assert_eq!((bits(&found.dictionary), bits(&found.activations)), (bits(&w), bits(&h)), "{solver:?}");
    }
}

#[test]
fn fixed_components_keep_every_bit_and_the_others_learn() {
    let v = noise((20, 50), 0.1, 3);
    let template = Array1::from_shape_fn(20, |i| 1e-3 + i as f32);
    let mut envelope = Array1::from_elem(50, 0.3);
    envelope.slice_mut(s![20..]).fill(0.0);
    for solver in SOLVERS {
        let config = NmfConfig {
            n_components: 3,
            solver,
            dictionary: Factor::PerComponent(vec![Part::Fixed(template.clone()), Part::Free, Part::Free]),
            activations: Factor::PerComponent(vec![Part::Free, Part::Seed(envelope.clone()), Part::Free]),
            ..NmfConfig::default()
        };
        let found = fit(v.view(), &config).unwrap();
        assert_eq!(found.dictionary.column(0), template, "{solver:?}");
        let seeded = found.activations.row(1);
        assert!(seeded.slice(s![20..]).iter().all(|&h| h == 0.0), "{solver:?}: zeros of a seed stay zero");
        assert!(seeded.slice(s![..20]).iter().any(|&h| h != 0.3), "{solver:?}: a seed learns");
        assert!(found.divergence < found.divergence_curve[0].1, "{solver:?}: {}", found.divergence);
    }
}

#[test]
fn extrapolation_reaches_the_same_divergence_sooner() {
    let v = noise((60, 20), 0.0, 1).dot(&noise((20, 300), 0.6, 2));
    let plain = fit(v.view(), &NmfConfig { solver: Solver::Mu, tol: 0.0, ..NmfConfig::default() }).unwrap();
    let config = NmfConfig { tol: 0.0, target_divergence: Some(plain.divergence), ..NmfConfig::default() };
    let found = fit(v.view(), &config).unwrap();
    assert_eq!(found.stop_reason, StopReason::TargetReached);
    assert!(found.divergence <= plain.divergence, "{} <= {}", found.divergence, plain.divergence);
    assert!(found.n_iter < 150, "{} iterations, {} without", found.n_iter, plain.n_iter);
}
