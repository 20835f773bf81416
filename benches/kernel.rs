//! The hot loop of KL-NMF against the multiply-adds that one core can do, on 30 s of a 2048-point spectrogram.
//!
//! Each burst of iterations follows a burst of nothing but multiply-adds, so that both meet the same clock and the same
//! neighbors; the best of each counts.

use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use ndarray::Array2;
use partita::nmf::bench::{Iterations, multiply_adds};

const N_BINS: usize = 1025;
const N_FRAMES: usize = 2584;
const N_COMPONENTS: [usize; 6] = [4, 8, 16, 32, 64, 128];

fn main() {
    // All in one thread of a pool of one, so that its CPU time is all there is.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread is available");
    pool.install(measure);
}

fn measure() {
    let v = Array2::from_shape_fn((N_BINS, N_FRAMES), |(i, j)| 0.05 + ((i * 7 + j * 13) % 101) as f32 / 50.0);
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("iteration");
    for (name, is_portable) in [("detected", false), ("portable", true)] {
        for k in N_COMPONENTS {
            let mut iterations = Iterations::new(v.view(), k, is_portable);
            print_fraction_of_peak(name, k, &mut iterations);
            group.bench_function(BenchmarkId::new(name, k), |b| b.iter(|| iterations.run()));
        }
    }
    group.finish();
    criterion.final_summary();
}

fn print_fraction_of_peak(name: &str, k: usize, iterations: &mut Iterations) {
    const BURSTS: usize = 40;
    const N: usize = 500_000;
    let (mut best_peak, mut best) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..BURSTS {
        best_peak = best_peak.min(seconds(|| {
            std::hint::black_box(multiply_adds(N));
        }));
        best = best.min(seconds(|| iterations.run()));
    }
    let peak = 2.0 * 96.0 * N as f64 / best_peak;
    let reached = 2.0 * 4.0 * (k * N_BINS * N_FRAMES) as f64 / best;
    println!(
        "{name} K={k}: {:.2} ms per iteration, {:.1} of {:.1} GFLOP/s, {:.2} of peak",
        1e3 * best,
        1e-9 * reached,
        1e-9 * peak,
        reached / peak
    );
}

/// CPU time of this thread where the system tells it, which other programs do not lengthen; else the time that passed.
fn seconds(work: impl FnOnce()) -> f64 {
    let cpu_ns = || -> Option<f64> {
        // Linux brings the figure up to date when it schedules.
        std::thread::yield_now();
        std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
    };
    let (start, cpu_start) = (Instant::now(), cpu_ns());
    work();
    match (cpu_start, cpu_ns()) {
        (Some(start), Some(end)) => 1e-9 * (end - start),
        _ => start.elapsed().as_secs_f64(),
    }
}
