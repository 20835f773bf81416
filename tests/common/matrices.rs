//! Matrices, settings and comparisons that the tests of factorizations share.

use ndarray::{Array2, ArrayView2};
use partita::nmf::{Divergence, GroupSparsity, Regularization, Solver};

/// Largest difference over the largest entry.
pub fn gap(ours: &Array2<f32>, theirs: &Array2<f64>) -> f64 {
    assert_eq!(ours.dim(), theirs.dim());
    let largest = theirs.fold(0.0, |a: f64, b| a.max(b.abs()));
    (ours.mapv(f64::from) - theirs).fold(0.0, |a: f64, b| a.max(b.abs())) / largest
}

pub fn divergence_of(beta: f64) -> Divergence {
    match beta {
        0.0 => Divergence::ItakuraSaito,
        1.0 => Divergence::KullbackLeibler,
        2.0 => Divergence::Euclidean,
        _ => Divergence::Beta(beta),
    }
}

/// Positive numbers that look random, of rank 4 and some noise; mean about 1.
pub fn mixed(n_rows: usize, n_columns: usize, seed: usize) -> Array2<f32> {
    let x = |i: usize, j: usize, salt: usize| {
        let n = (i * 7919 + j * 104_729 + salt * 15_485_863 + seed * 32_452_843) as f64;
        ((n * 0.618_033_988_749_895).fract() * 12.9898).sin().mul_add(43_758.545, 0.0).fract().abs()
    };
    Array2::from_shape_fn((n_rows, n_columns), |(i, j)| {
        let clean: f64 = (0..4).map(|k| x(i, k, 1).powi(3) * x(k, j, 2).powi(2)).sum();
        (3.0 * clean + 0.1 + 0.2 * x(i, j, 3)) as f32
    })
}

pub fn penalties() -> Vec<(&'static str, Regularization)> {
    let group = GroupSparsity { groups: vec![4, 4, 1], strength: 0.2, offset: 0.1 };
    vec![
        ("no penalty", Regularization::default()),
        ("l1", Regularization { alpha_dictionary: 0.02, alpha_activations: 0.05, l1_ratio: 1.0, ..Default::default() }),
        ("l2", Regularization { alpha_dictionary: 0.02, alpha_activations: 0.05, ..Default::default() }),
        ("sparsity", Regularization { sparsity: 0.2, ..Default::default() }),
        ("continuity", Regularization { temporal_continuity: 0.3, ..Default::default() }),
        ("groups", Regularization { group_sparsity: Some(group.clone()), ..Default::default() }),
        (
            "everything",
            Regularization {
                alpha_dictionary: 0.01,
                alpha_activations: 0.02,
                l1_ratio: 0.4,
                sparsity: 0.1,
                temporal_continuity: 0.1,
                group_sparsity: Some(group),
            },
        ),
    ]
}

pub fn weights_of(shape: (usize, usize)) -> Array2<f32> {
    Array2::from_shape_fn(shape, |(i, j)| [0.0, 1.0, 0.5, 2.0, 1.0][(i * 3 + j) % 5])
}

pub const BETAS: [f64; 9] = [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0];

/// Every solver with each divergence that it knows.
pub fn solvers_and_divergences() -> Vec<(Solver, f64)> {
    let euclidean = [Solver::CoordinateDescent, Solver::Anls, Solver::ProjectedGradient].map(|solver| (solver, 2.0));
    let multiplicative = [Solver::Mu, Solver::MuExtrapolated].into_iter().flat_map(|s| BETAS.map(|beta| (s, beta)));
    multiplicative.chain(euclidean).collect()
}

/// Positive numbers from a seed, most of them small.
pub fn exponential(shape: (usize, usize), seed: u64) -> Array2<f32> {
    use rand::SeedableRng;
    use rand_distr::{Distribution, Exp1};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn(shape, || Exp1.sample(&mut rng))
}

/// Whole numbers below 2^24. A linear congruence is random enough here.
pub fn draws(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40
    }
}

/// Numbers from 0 to 1 from a seed.
pub fn noise(shape: (usize, usize), seed: u64) -> Array2<f32> {
    let mut draw = draws(seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493));
    Array2::from_shape_simple_fn(shape, || draw() as f32 / (1 << 24) as f32)
}

/// Asserts that two matrices differ by at most this share of the largest entry.
pub fn assert_close(what: &str, got: ArrayView2<'_, f32>, expected: ArrayView2<'_, f32>, tolerance: f32) {
    assert_eq!(got.dim(), expected.dim(), "{what}");
    let largest = expected.iter().fold(0.0f32, |a, &b| a.max(b));
    for ((at, &got), &expected) in got.indexed_iter().zip(&expected) {
        let gap = (got - expected).abs();
        assert!(gap <= tolerance * largest, "{what} at {at:?}: {got}, expected {expected} of {largest}");
    }
}
