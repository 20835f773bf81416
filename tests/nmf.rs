//! Truths about the factorization of any matrix.

mod common;

use common::matrices::{BETAS, divergence_of, exponential, gap, mixed, penalties, solvers_and_divergences, weights_of};
use ndarray::{Array1, Array2, Axis, s};
use partita::nmf::*;

#[test]
fn the_objective_never_rises() {
    let v = mixed(15, 22, 8);
    for (solver, beta) in solvers_and_divergences() {
        let is_mu = matches!(solver, Solver::Mu | Solver::MuExtrapolated);
        for weights in [None, is_mu.then(|| weights_of(v.dim()))].into_iter().take(if is_mu { 2 } else { 1 }) {
            for (penalty, regularization) in penalties() {
                let others = regularization.temporal_continuity > 0.0
                    || regularization.group_sparsity.is_some()
                    || regularization.sparsity > 0.0;
                let squares = regularization.alpha_dictionary > 0.0 && regularization.l1_ratio < 1.0;
                // What the documentation excepts.
                if (others && !is_mu) || (squares && solver == Solver::Mu && beta < 2.0) {
                    continue;
                }
                let config = NmfConfig {
                    n_components: 3,
                    divergence: divergence_of(beta),
                    solver,
                    regularization,
                    weights: weights.clone(),
                    max_iter: 120,
                    tol: 0.0,
                    seed: 3,
                    ..NmfConfig::default()
                };
                let curve = fit(v.view(), &config).unwrap().divergence_curve;
                for pair in curve.windows(2) {
                    let rise = (pair[1].1 - pair[0].1) / pair[0].1.abs();
                    // Sums of f32 products differ by some 1e-7; each check compares two of them.
                    assert!(rise < 2e-6, "{solver:?}, beta {beta}, {penalty}: rises by {rise:e} at {}", pair[1].0);
                }
                let (first, last) = (curve[0].1, curve[curve.len() - 1].1);
                assert!(last < first, "{solver:?}, beta {beta}, {penalty}: from {first} to {last}");
            }
        }
    }
}

#[test]
fn a_plain_multiplicative_iteration_never_raises_the_objective() {
    let v = mixed(8, 11, 9);
    for beta in BETAS {
        for (penalty, regularization) in penalties() {
            if beta < 2.0 && regularization.alpha_dictionary > 0.0 && regularization.l1_ratio < 1.0 {
                continue;
            }
            let mut config = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver: Solver::Mu,
                regularization,
                max_iter: 1,
                tol: 0.0,
                ..NmfConfig::default()
            };
            for n_iter in 0..60 {
                let parts = fit(v.view(), &config).unwrap();
                let (before, after) = (parts.divergence_curve[0].1, parts.divergence_curve[1].1);
                let rise = (after - before) / before.abs();
                assert!(rise < 2e-6, "beta {beta}, {penalty}: iteration {n_iter} rises by {rise:e}");
                config.dictionary = Factor::Seed(parts.dictionary);
                config.activations = Factor::Seed(parts.activations);
            }
        }
    }
}

#[test]
fn factors_are_finite_and_non_negative_on_any_matrix() {
    let mut holes = mixed(8, 9, 10);
    holes.row_mut(2).fill(0.0);
    holes.column_mut(5).fill(0.0);
    let mut spike = Array2::zeros((8, 9));
    spike[(3, 4)] = 1.0;
    let mut wide = mixed(8, 9, 11);
    wide[(0, 0)] = 1e30;
    wide[(1, 1)] = 1e-30;
    let matrices = [
        ("zeros", Array2::zeros((8, 9))),
        ("a zero row and column", holes),
        ("one entry", spike),
        ("1e-30", mixed(8, 9, 12) * 1e-30),
        ("subnormal", mixed(8, 9, 12) * 1e-42),
        ("1e30", mixed(8, 9, 13) * 1e30),
        ("1e30 and 1e-30", wide),
        ("rank one", Array2::from_shape_fn((8, 9), |(i, j)| (i * (j + 1)) as f32)),
        ("one by one", Array2::ones((1, 1))),
        ("more components than rows", mixed(2, 9, 14)),
        ("no columns", Array2::zeros((8, 0))),
        ("no rows", Array2::zeros((0, 9))),
    ];
    for (name, v) in &matrices {
        for init in [Init::Random, Init::Nndsvd, Init::Nndsvda, Init::Nndsvdar] {
            for (solver, beta) in solvers_and_divergences() {
                let n_components = if init == Init::Random { 4 } else { v.nrows().min(v.ncols()).min(4) };
                if n_components == 0 {
                    continue;
                }
                let config = NmfConfig {
                    n_components,
                    divergence: divergence_of(beta),
                    solver,
                    init,
                    max_iter: 25,
                    ..NmfConfig::default()
                };
                let parts = fit(v.view(), &config).unwrap();
                for (what, x) in [("dictionary", &parts.dictionary), ("activations", &parts.activations)] {
                    let wrong = x.iter().find(|x| !(x.is_finite() && **x >= 0.0));
                    assert!(wrong.is_none(), "{name}, {init:?}, {solver:?}, beta {beta}: {wrong:?} in the {what}");
                }
                assert!(parts.divergence.is_finite(), "{name}, {init:?}, {solver:?}, beta {beta}");
                let product = parts.product();
                assert!(product.iter().all(|x| x.is_finite()), "{name}, {init:?}, {solver:?}, beta {beta}");
            }
        }
    }
}

#[test]
fn a_louder_matrix_has_a_louder_factorization() {
    let v = mixed(10, 13, 15);
    for (solver, beta) in solvers_and_divergences() {
        for init in [Init::Random, Init::Nndsvd] {
            let is_mu = matches!(solver, Solver::Mu | Solver::MuExtrapolated);
            let groups = GroupSparsity { groups: vec![0, 0, 1], strength: 0.01, offset: 0.1 };
            let regularization = Regularization {
                temporal_continuity: if is_mu { 0.1 } else { 0.0 },
                sparsity: if is_mu { 0.05 } else { 0.0 },
                group_sparsity: is_mu.then_some(groups),
                ..Default::default()
            };
            let config = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver,
                init,
                regularization,
                max_iter: 20,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let soft = fit(v.view(), &config).unwrap();
            for scale in [2f32.powi(-40), 1e-9, 3.7, 1e12] {
                let loud = fit((&v * scale).view(), &config).unwrap();
                let expected = soft.product().mapv(|x| f64::from(x) * f64::from(scale));
                let off = gap(&loud.product(), &expected);
                // Twenty iterations of rounding; the projected gradient's line search may take another branch.
                let tolerance = if solver == Solver::ProjectedGradient { 1e-2 } else { 1e-4 };
                assert!(off < tolerance, "{solver:?}, beta {beta}, {init:?}, times {scale:e}: off by {off:e}");
                let ratio = loud.divergence / (soft.divergence * f64::from(scale).powf(beta));
                assert!((ratio - 1.0).abs() < 10.0 * tolerance, "{solver:?}, beta {beta}: divergence times {ratio}");
            }
        }
    }
}

#[test]
fn permuting_the_rows_permutes_the_dictionary() {
    let v = mixed(9, 12, 16);
    let (w0, h0) = (mixed(9, 3, 17), mixed(3, 12, 18));
    let order = [4, 0, 8, 2, 6, 1, 7, 3, 5];
    for (solver, beta) in solvers_and_divergences() {
        let config = |w: Array2<f32>| NmfConfig {
            n_components: 3,
            divergence: divergence_of(beta),
            solver,
            dictionary: Factor::Seed(w),
            activations: Factor::Seed(h0.clone()),
            max_iter: 10,
            tol: 0.0,
            ..NmfConfig::default()
        };
        let straight = fit(v.view(), &config(w0.clone())).unwrap();
        let permuted = fit(v.select(Axis(0), &order).view(), &config(w0.select(Axis(0), &order))).unwrap();
        let expected = straight.dictionary.select(Axis(0), &order).mapv(f64::from);
        let off = gap(&permuted.dictionary, &expected);
        let tolerance = if solver == Solver::ProjectedGradient { 1e-2 } else { 1e-4 };
        assert!(off < tolerance, "{solver:?}, beta {beta}: off by {off:e}");
    }
}

#[test]
fn weights_of_one_change_nothing() {
    let v = mixed(10, 13, 19);
    for solver in [Solver::Mu, Solver::MuExtrapolated] {
        // The extrapolated Kullback-Leibler fit without weights has a kernel of its own, which updates H first.
        for beta in BETAS.into_iter().filter(|beta| solver == Solver::Mu || *beta != 1.0) {
            let plain = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver,
                max_iter: 15,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let weighted = NmfConfig { weights: Some(Array2::ones(v.dim())), ..plain.clone() };
            let (a, b) = (fit(v.view(), &plain).unwrap(), fit(v.view(), &weighted).unwrap());
            let off = gap(&b.product(), &a.product().mapv(f64::from));
            // Sums run in another order without weights.
            assert!(off < 1e-4, "{solver:?}, beta {beta}: off by {off:e}");
        }
    }
}

#[test]
fn missing_entries_are_recovered_from_the_others() {
    let (w, h) = (mixed(40, 3, 20), mixed(3, 50, 21));
    let v = w.mapv(|x| x * x).dot(&h.mapv(|x| x * x));
    // The median of the exponential distribution is ln 2: half of the entries.
    let seen = exponential(v.dim(), 22).mapv(|x| if x < 0.693 { 1.0 } else { 0.0 });
    let error = |parts: &Factorization| {
        let hidden = seen.mapv(|x| f64::from(1.0 - x));
        let gap = (parts.product() - &v).mapv(f64::from) * &hidden;
        ((&gap * &gap).sum() / (v.mapv(|x| f64::from(x).powi(2)) * &hidden).sum()).sqrt()
    };
    let holes = ndarray::Zip::from(&v).and(&seen).map_collect(|&v, &seen| if seen > 0.0 { v } else { f32::NAN });
    for beta in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0] {
        let weighted = NmfConfig {
            n_components: 3,
            divergence: divergence_of(beta),
            weights: Some(seen.clone()),
            max_iter: 2000,
            tol: 0.0,
            ..NmfConfig::default()
        };
        let with = error(&fit(holes.view(), &weighted).unwrap());
        assert!(with < 0.05, "beta {beta}: hidden entries off by {with}");
        let unweighted = NmfConfig { weights: None, ..weighted };
        let without = error(&fit((&v * &seen).view(), &unweighted).unwrap());
        assert!(without > 0.2, "beta {beta}: zeros for missing entries cost only {without}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let v = mixed(20, 300, 22);
    for (solver, beta) in solvers_and_divergences() {
        let is_mu = matches!(solver, Solver::Mu | Solver::MuExtrapolated);
        let config = NmfConfig {
            n_components: 3,
            divergence: divergence_of(beta),
            solver,
            init: Init::Nndsvdar,
            weights: is_mu.then(|| weights_of(v.dim())),
            max_iter: 6,
            ..NmfConfig::default()
        };
        let with = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| fit(v.view(), &config).unwrap())
        };
        assert_eq!(with(1), with(4), "{solver:?}, beta {beta}");
    }
}

#[test]
fn fixed_components_stay_as_they_are() {
    let v = mixed(9, 12, 23);
    let given = mixed(9, 1, 24).column(0).to_owned();
    let zeros = Array1::from_shape_fn(9, |i| if i < 4 { 0.0 } else { 1.0 });
    for (solver, beta) in solvers_and_divergences() {
        let parts = vec![Part::Fixed(given.clone()), Part::Seed(zeros.clone()), Part::Free];
        let config = NmfConfig {
            n_components: 3,
            divergence: divergence_of(beta),
            solver,
            dictionary: Factor::PerComponent(parts),
            max_iter: 25,
            ..NmfConfig::default()
        };
        let found = fit(v.view(), &config).unwrap();
        assert_eq!(found.dictionary.column(0), given, "{solver:?}, beta {beta}");
        let curve = &found.divergence_curve;
        assert!(curve[curve.len() - 1].1 < curve[0].1, "{solver:?}, beta {beta}: {curve:?}");
        if matches!(solver, Solver::Mu | Solver::MuExtrapolated) && beta != 1.0 {
            assert!(found.dictionary.slice(s![..4, 1]).iter().all(|x| *x == 0.0), "{solver:?}, beta {beta}");
        }
    }
}

#[test]
fn penalties_do_what_they_are_for() {
    let v = mixed(20, 60, 25);
    let config = NmfConfig { n_components: 3, max_iter: 300, tol: 0.0, ..NmfConfig::default() };
    let with = |regularization| fit(v.view(), &NmfConfig { regularization, ..config.clone() }).unwrap();
    let plain = with(Regularization::default());

    let roughness = |parts: &Factorization| -> f32 {
        let of_row = |row: ndarray::ArrayView1<'_, f32>| {
            row.windows(2).into_iter().map(|x| (x[1] - x[0]).powi(2)).sum::<f32>() / row.dot(&row)
        };
        parts.activations.rows().into_iter().map(of_row).sum()
    };
    let smooth = with(Regularization { temporal_continuity: 1.0, ..Default::default() });
    let (before, after) = (roughness(&plain), roughness(&smooth));
    assert!(after < 0.5 * before, "temporal continuity: roughness from {before} to {after}");

    let n_zeros = |x: &Array2<f32>| x.iter().filter(|x| **x < 1e-6).count();
    let l1 = Regularization { alpha_dictionary: 0.1, alpha_activations: 0.1, l1_ratio: 1.0, ..Default::default() };
    let sparse = with(l1);
    let (before, after) = (plain.product().sum(), sparse.product().sum());
    assert!(after < 0.98 * before, "l1: the product sums to {after}, {before} without it");

    let groups = GroupSparsity { groups: vec![0, 1, 2], strength: 0.3, offset: 0.01 };
    let grouped = with(Regularization { group_sparsity: Some(groups), ..Default::default() });
    let (before, after) = (n_zeros(&plain.activations), n_zeros(&grouped.activations));
    assert!(after > before + 20, "group sparsity: silent entries from {before} to {after}");
}
