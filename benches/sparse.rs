//! One iteration over a term-document matrix of 20,000 x 5,000 with 0.5 % of entries, in one thread.

use criterion::{BenchmarkId, Criterion};
use partita::nmf::{Divergence, NmfConfig, Solver, SparseMatrix, fit_sparse};

const SHAPE: (usize, usize) = (20_000, 5_000);
const ENTRIES_PER_ROW: usize = 25;
/// Iterations per fit, against which setting up and two checks of the divergence count little.
const N_ITER: usize = 20;

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread is available");
    pool.install(measure);
}

fn measure() {
    let v = counts();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group(format!("{N_ITER} iterations"));
    for (name, divergence) in [("kl", Divergence::KullbackLeibler), ("euclidean", Divergence::Euclidean)] {
        for n_components in [8, 20, 50] {
            let config = NmfConfig {
                n_components,
                divergence,
                solver: Solver::Mu,
                max_iter: N_ITER,
                tol: 0.0,
                ..NmfConfig::default()
            };
            group.bench_function(BenchmarkId::new(name, n_components), |b| b.iter(|| fit_sparse(&v, &config)));
        }
    }
    group.finish();
    criterion.final_summary();
}

/// Rare columns get few entries and common ones many, as words do.
fn counts() -> SparseMatrix {
    let mut state = 1u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut entries = Vec::new();
    for row in 0..SHAPE.0 as u32 {
        for i in 0..ENTRIES_PER_ROW {
            let n_columns = SHAPE.1 as f64;
            let column = if i % 2 == 0 { n_columns.powf(draw()) - 1.0 } else { n_columns * draw() };
            entries.push((row, column as u32, 1.0));
        }
    }
    SparseMatrix::from_entries(SHAPE, entries).expect("entries within the shape")
}
