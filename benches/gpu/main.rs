//! Fits on a graphics processor beside the same fits on all cores: milliseconds per iteration, divergences after 50
//! iterations, and whether two runs have the same bits. A line of JSON for each, as `peers.py` writes them for others.
//!
//! `cargo bench --features gpu --bench gpu -- [song] [album] [hours] [batch] [tiny]`; without names, all but `tiny`.

use std::time::Instant;

use ndarray::Array2;
use partita::nmf::gpu::{Gpu, GpuMatrix};
use partita::nmf::{Factor, Factorization, NmfConfig, Solver, fit};
use partita::watch::Watch;
use rayon::prelude::*;

/// Name, rows, columns, components, and how often an iteration is timed.
const CASES: [(&str, (usize, usize), usize, usize); 4] = [
    ("tiny", (257, 300), 16, 3),
    ("song", (1025, 2584), 16, 20),
    ("album", (1025, 15504), 32, 20),
    ("hours", (4097, 310_000), 64, 5),
];
/// Fits of the batch, each of the song.
const N_FITS: u64 = 20;
/// Components that V was made of.
const RANK: usize = 24;

fn main() {
    // What `cargo bench` adds.
    let names: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let is_wanted = |name: &str| names.iter().any(|wanted| wanted == name) || (names.is_empty() && name != "tiny");
    let gpu = Gpu::open().expect("a graphics processor");
    eprintln!("{}, and {} threads", gpu.name(), rayon::current_num_threads());
    for (name, shape, k, n_times) in CASES.into_iter().filter(|case| is_wanted(case.0)) {
        let v = matrix(shape);
        let begin = Instant::now();
        let on_device = gpu.load(v.view()).expect("room for V");
        let load_s = begin.elapsed().as_secs_f64();
        let config = start(shape, k);
        let device =
            |n| on_device.fit(&NmfConfig { max_iter: n, ..config.clone() }, &mut Watch::none()).expect("a fit");
        let cores = |n| fit(v.view(), &NmfConfig { max_iter: n, ..config.clone() }).expect("a fit");
        let (first, second) = (device(50), device(50));
        assert!(first == second, "two runs differ");
        report(name, "partita, GPU", per_iteration(&device, n_times), &first, &format!(", \"load_s\": {load_s:.3}"));
        let n_times = n_times.min(5);
        report(name, "partita, CPU", per_iteration(&cores, n_times), &cores(50), "");
    }
    if is_wanted("batch") {
        let (_, shape, k, _) = CASES[1];
        let v = matrix(shape);
        batch(&gpu.load(v.view()).expect("room for V"), &v, k);
    }
}

/// Many fits to one matrix, from the start of the first on: side by side on the device, and one to a core.
fn batch(on_device: &GpuMatrix<'_>, v: &Array2<f32>, n_components: usize) {
    let config = NmfConfig { n_components, solver: Solver::Mu, tol: 0.0, max_iter: 200, ..NmfConfig::default() };
    let seeds: Vec<u64> = (0..N_FITS).collect();
    let fit_all = || on_device.fit_many(&config, &seeds, &mut Watch::none()).expect("fits");
    fit_all();
    let begin = Instant::now();
    let fits = fit_all();
    let per_fit = |seconds: f64| 1e3 * seconds / (200 * N_FITS) as f64;
    report("batch", "partita, GPU", per_fit(begin.elapsed().as_secs_f64()), &fits[0], "");
    let begin = Instant::now();
    let one = |seed: &u64| fit(v.view(), &NmfConfig { seed: *seed, ..config.clone() }).expect("a fit");
    let fits: Vec<_> = seeds.par_iter().map(one).collect();
    report("batch", "partita, CPU", per_fit(begin.elapsed().as_secs_f64()), &fits[0], "");
}

/// The median of what 20 iterations more take, over 20, in milliseconds: what a fit takes apart from them falls out.
fn per_iteration(fit: &dyn Fn(usize) -> Factorization, n_times: usize) -> f64 {
    let seconds = |n| {
        let begin = Instant::now();
        fit(n);
        begin.elapsed().as_secs_f64()
    };
    seconds(3);
    let mut all: Vec<f64> = (0..n_times).map(|_| 1e3 * (seconds(25) - seconds(5)) / 20.0).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn report(case: &str, who: &str, ms: f64, found: &Factorization, more: &str) {
    let (n_iter, divergence) = (found.n_iter, found.divergence);
    println!(
        "{{\"case\": \"{case}\", \"who\": \"{who}\", \"ms_per_iteration\": {ms:.4}, \"n_iter\": {n_iter}, \
         \"divergence\": {divergence:.9e}{more}}}"
    );
}

/// Numbers above 0 and at most 1 by their place, as `peers.py` makes them.
fn numbers(shape: (usize, usize), seed: u32) -> Array2<f32> {
    let n_columns = shape.1;
    let mut all = Array2::zeros(shape);
    all.as_slice_mut().expect("a new matrix").par_chunks_mut(n_columns).enumerate().for_each(|(row, numbers)| {
        for (column, x) in numbers.iter_mut().enumerate() {
            let mut hash = ((row * n_columns + column) as u32).wrapping_mul(0x9e37_79b1).wrapping_add(seed);
            hash = (hash ^ (hash >> 16)).wrapping_mul(0x7feb_352d);
            hash = (hash ^ (hash >> 15)).wrapping_mul(0x846c_a68b);
            *x = (((hash ^ (hash >> 16)) >> 8) + 1) as f32 / (1 << 24) as f32;
        }
    });
    all
}

/// A product of [`RANK`] components under noise.
fn matrix(shape: (usize, usize)) -> Array2<f32> {
    let mut v = numbers(shape, 3);
    let (w, h) = (numbers((shape.0, RANK), 1), numbers((RANK, shape.1), 2));
    v.axis_chunks_iter_mut(ndarray::Axis(0), 64)
        .into_par_iter()
        .zip(w.axis_chunks_iter(ndarray::Axis(0), 64))
        .for_each(|(mut v, w)| {
            let product = w.dot(&h);
            v.zip_mut_with(&product, |v, y| *v *= y);
        });
    v
}

/// Plain multiplicative updates from factors that others can start from, too.
fn start(shape: (usize, usize), n_components: usize) -> NmfConfig {
    NmfConfig {
        n_components,
        solver: Solver::Mu,
        tol: 0.0,
        dictionary: Factor::Seed(numbers((shape.0, n_components), 4)),
        activations: Factor::Seed(numbers((n_components, shape.1), 5)),
        ..NmfConfig::default()
    }
}
