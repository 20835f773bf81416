//! First values of W and H.

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// W (rows x K) and H (K x columns) of absolute normal numbers, so scaled that W H has about the given mean.
pub(super) fn random(n_rows: usize, n_columns: usize, k: usize, mean: f32, seed: u64) -> (Array2<f32>, Array2<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let scale = (mean / k as f32).sqrt();
    let mut draw = |shape| {
        Array2::from_shape_simple_fn(shape, || {
            let x: f32 = StandardNormal.sample(&mut rng);
            (scale * x).abs()
        })
    };
    let w = draw((n_rows, k));
    (w, draw((k, n_columns)))
}
