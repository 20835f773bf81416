//! Activations under a dictionary that stays: [`Encoder`] against `fit` with a fixed dictionary, 30 iterations each, in one
//! thread. Times are the shortest of many, taken in turn.
//!
//! `cargo bench --bench encoder`; on two cores or more, `taskset -c 1 cargo bench --bench encoder` keeps it in one place.

use std::time::Instant;

use ndarray::{Array2, ArrayView2, Axis};
use partita::nmf::{Encoder, EncoderConfig, Factor, NmfConfig, Solver, fit};

const N_ITER: usize = 30;
/// For each size, at the least.
const SECONDS: f64 = 4.0;

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread is available");
    // Rows, components, columns.
    let sizes = [(1147, 440, 32), (2049, 32, 64), (1147, 440, 1), (2049, 32, 1)];
    pool.install(|| sizes.into_iter().for_each(measure));
}

fn measure((n_rows, n_components, n_columns): (usize, usize, usize)) {
    let dictionary = Array2::from_shape_fn((n_rows, n_components), |(i, k)| 0.05 + ((i * 7 + k * 13) % 101) as f32);
    // Frame after frame in memory, as a transform makes them.
    let frames = Array2::from_shape_fn((n_columns, n_rows), |(j, i)| 0.05 + ((i * 5 + j * 11) % 97) as f32);
    let encoder = Encoder::new(dictionary.view(), &EncoderConfig { max_iter: N_ITER, ..EncoderConfig::default() });
    let encoder = encoder.expect("a dictionary");
    let (mut by_encoder, mut by_fit) = (f64::INFINITY, f64::INFINITY);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < SECONDS {
        by_encoder = by_encoder.min(seconds(|| drop(encoder.encode(frames.t()).expect("encode"))));
        by_fit = by_fit.min(seconds(|| drop(fitted(frames.t(), &dictionary))));
    }
    println!(
        "{n_components} x {n_rows} x {n_columns}: encoder {:.3} ms, fit {:.3} ms, ratio {:.2}",
        1e3 * by_encoder,
        1e3 * by_fit,
        by_fit / by_encoder
    );
}

/// What takes the place of an encoder without one.
fn fitted(v: ArrayView2<'_, f32>, dictionary: &Array2<f32>) -> Array2<f32> {
    let n_components = dictionary.ncols();
    let level = v.sum_axis(Axis(0)) / n_components as f32;
    let start = level.broadcast((n_components, v.ncols())).expect("one level per column").to_owned();
    let config = NmfConfig {
        n_components,
        solver: Solver::Mu,
        dictionary: Factor::Fixed(dictionary.clone()),
        activations: Factor::Seed(start),
        max_iter: N_ITER,
        tol: 0.0,
        ..NmfConfig::default()
    };
    fit(v, &config).expect("fit").activations
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
