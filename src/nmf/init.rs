//! First values of W and H.

use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{Factor, Init, NmfConfig, Part};

/// W (rows x K) and H (K x columns) before the first iteration: given values where the config gives them, and the
/// config's [`Init`] elsewhere.
pub(super) fn factors(v: ArrayView2<'_, f32>, mean: f32, config: &NmfConfig) -> (Array2<f32>, Array2<f32>) {
    let (w, h) = match config.init {
        Init::Random => random(v.nrows(), v.ncols(), config.n_components, mean, config.seed),
    };
    // The columns of W are its components: it is placed as its transpose.
    (place(&config.dictionary, w.reversed_axes(), true).reversed_axes(), place(&config.activations, h, false))
}

/// Puts the given values over the free ones; one component per row of `free`.
fn place(factor: &Factor, mut free: Array2<f32>, transposed: bool) -> Array2<f32> {
    match factor {
        Factor::Free => free,
        Factor::Seed(x) | Factor::Fixed(x) if transposed => x.clone().reversed_axes(),
        Factor::Seed(x) | Factor::Fixed(x) => x.clone(),
        Factor::PerComponent(parts) => {
            for (mut row, part) in free.outer_iter_mut().zip(parts) {
                if let Part::Seed(x) | Part::Fixed(x) = part {
                    row.assign(x);
                }
            }
            free
        }
    }
}

/// Absolute normal numbers, so scaled that W H has about the given mean.
fn random(n_rows: usize, n_columns: usize, k: usize, mean: f32, seed: u64) -> (Array2<f32>, Array2<f32>) {
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
