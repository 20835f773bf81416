//! CPU time of fits in one thread, for `benches/scikit_learn.py`, which compares them with scikit-learn's.
//!
//! `scikit_learn FOLDER PRECISION SOLVER BETA TARGET MAX_ITER`: FOLDER has `w.npy`, `h.npy` and either `v.npy` or the lists
//! `starts.npy`, `columns.npy`, `values.npy` of a sparse matrix with `shape.npy`. Prints seconds, iterations and the
//! divergence as JSON. A target of 0 means that all iterations are wanted.

use std::fs;
use std::path::Path;

use ndarray::{Array1, Array2};
use ndarray_npy::{ReadableElement, read_npy};
use partita::nmf::{Divergence, Factor, NmfConfig, Real, Solver, SparseMatrix, fit, fit_sparse};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [folder, precision, solver, beta, target, max_iter] = &args[..] else {
        println!("run by benches/scikit_learn.py: nothing to do");
        return;
    };
    let solver = Solver::ALL.into_iter().find(|known| known.name() == solver).expect("a solver");
    let beta: f64 = beta.parse().expect("a number");
    let target: f64 = target.parse().expect("a number");
    let max_iter = max_iter.parse().expect("a number");
    let divergence = match beta {
        1.0 => Divergence::KullbackLeibler,
        2.0 => Divergence::Euclidean,
        _ => Divergence::Beta(beta),
    };
    let target = (target > 0.0).then_some(target);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let folder = Path::new(folder);
    pool.install(|| match precision.as_str() {
        "f32" => run::<f32>(folder, solver, divergence, target, max_iter),
        _ => run::<f64>(folder, solver, divergence, target, max_iter),
    });
}

fn run<T: Real + ReadableElement>(
    folder: &Path,
    solver: Solver,
    divergence: Divergence,
    target: Option<f64>,
    max_iter: usize,
) {
    let matrix = |name: &str| -> Array2<T> { read_npy(folder.join(name)).expect("a matrix") };
    let (w, h) = (matrix("w.npy"), matrix("h.npy"));
    let config = NmfConfig {
        n_components: w.ncols(),
        divergence,
        solver,
        dictionary: Factor::Seed(w),
        activations: Factor::Seed(h),
        target_divergence: target,
        max_iter,
        tol: 0.0,
        ..NmfConfig::default()
    };
    let (seconds, parts) = if folder.join("v.npy").exists() {
        let v = matrix("v.npy");
        timed(|| fit(v.view(), &config).expect("a fit"))
    } else {
        let list = |name: &str| -> Array1<i64> { read_npy(folder.join(name)).expect("a list") };
        let (shape, starts, columns) = (list("shape.npy"), list("starts.npy"), list("columns.npy"));
        let values: Array1<T> = read_npy(folder.join("values.npy")).expect("a list");
        let v = SparseMatrix::from_rows(
            (shape[0] as usize, shape[1] as usize),
            starts.iter().map(|&x| x as usize).collect(),
            columns.iter().map(|&x| x as u32).collect(),
            values.to_vec(),
        );
        let v = v.expect("a sparse matrix");
        timed(|| fit_sparse(&v, &config).expect("a fit"))
    };
    println!(r#"{{"seconds": {seconds}, "n_iter": {}, "divergence": {}}}"#, parts.n_iter, parts.divergence);
}

/// CPU time of this process, all threads, in seconds.
fn timed<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let before = cpu_time();
    let result = work();
    (cpu_time() - before, result)
}

/// The first number of `schedstat` is the time that a thread ran, in nanoseconds.
fn cpu_time() -> f64 {
    let threads = fs::read_dir("/proc/self/task").expect("Linux");
    let of_thread = |path: &Path| -> Option<f64> {
        fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    threads.filter_map(|thread| of_thread(&thread.ok()?.path())).sum::<f64>() * 1e-9
}
