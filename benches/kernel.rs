//! The hot loop of KL-NMF against the multiply-adds that one core can do, on 30 s of a 2048-point spectrogram.
//!
//! A complete iteration, both factors' updates, is timed in up to 17 parts of a fraction of a millisecond, each right
//! after a burst of nothing but multiply-adds, so that both meet the same clock and the same neighbors. Of each part
//! and of the bursts the shortest time counts, and the parts' times add up to the iteration's: other programs on the
//! machine then cost patience, not accuracy. Beside it stands the shortest time of a whole iteration, which on a machine
//! with nothing else to do is within a few percent of that sum.
//!
//! Counted are 8 operations per entry of V and component, those of the four products with W and H; divisions, sums,
//! scaling and the rows that pad 1025 bins to a multiple of 16 only cost time.
//!
//! `cargo bench --bench kernel`; on two cores or more, `taskset -c 1 cargo bench --bench kernel` keeps it in one place.

use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use ndarray::Array2;
use partita::nmf::bench::{Iterations, multiply_adds};

const N_BINS: usize = 1025;
const N_FRAMES: usize = 2584;
const N_COMPONENTS: [usize; 6] = [4, 8, 16, 32, 64, 128];

fn main() {
    // All in one thread of a pool of one, so that its time is all there is.
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
            group.bench_function(BenchmarkId::new(name, k), |b| b.iter(|| iterations.run(&mut |_, work| work())));
        }
    }
    group.finish();
    criterion.final_summary();
}

fn print_fraction_of_peak(name: &str, k: usize, iterations: &mut Iterations) {
    /// For each K, at the least.
    const SECONDS: f64 = 4.0;
    /// Some 10 microseconds.
    const N: usize = 5_000;
    let (mut best_burst, mut best_whole) = (f64::INFINITY, f64::INFINITY);
    let mut best_parts = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < SECONDS {
        let mut whole = 0.0;
        iterations.run(&mut |i, work| {
            best_burst = best_burst.min(seconds(|| {
                std::hint::black_box(multiply_adds(N));
            }));
            let part = seconds(work);
            whole += part;
            best_parts.resize(best_parts.len().max(i + 1), f64::INFINITY);
            best_parts[i] = best_parts[i].min(part);
        });
        best_whole = best_whole.min(whole);
    }
    let best: f64 = best_parts.iter().sum();
    let peak = 2.0 * 96.0 * N as f64 / best_burst;
    let reached = 2.0 * 4.0 * (k * N_BINS * N_FRAMES) as f64 / best;
    println!(
        "{name} K={k}: {:.2} ms per iteration (whole {:.2}), {:.1} of {:.1} GFLOP/s, {:.3} of peak",
        1e3 * best,
        1e3 * best_whole,
        1e-9 * reached,
        1e-9 * peak,
        reached / peak
    );
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
