//! `partita factorize --runs`: many fits, what they have in common, and what is left of them when they are interrupted.

mod common;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::factorize::{Dir, events};
use common::stderr;
use ndarray::Array2;
use serde_json::Value;

/// 60 x 80: three programs of ten rows each over a common level, in mixtures.
fn planted() -> Array2<f32> {
    let w =
        Array2::from_shape_fn((60, 3), |(i, k)| if i / 10 == k { 9.0 } else { 0.5 + ((7 * i + k) % 5) as f32 / 5.0 });
    let h = Array2::from_shape_fn((3, 80), |(k, j)| if j % 3 == k { 4.0 } else { ((j * j + 5 * k) % 7) as f32 / 7.0 });
    let noise = Array2::from_shape_fn((60, 80), |(i, j)| ((i * 31 + j * 17 + i * j) % 97) as f32 / 97.0);
    w.dot(&h) + noise
}

const BASE: [&str; 8] = ["v.npy", "--runs", "5", "--max-iter", "60", "-o", "out.npz", "-f"];

fn array(dir: &Dir, name: &str) -> Array2<f32> {
    dir.array("out.npz", name)
}

fn result(output: &std::process::Output) -> Value {
    events(output).pop().expect("a result")
}

#[test]
fn what_many_fits_have_in_common_is_in_the_archive() {
    let dir = Dir::new();
    dir.npy("v.npy", &planted());
    let output = dir.succeeds(&[&BASE[..], &["-k", "3", "--json", "--plot"]].concat());
    let (w, h) = dir.factors("out.npz");
    assert_eq!((w.dim(), h.dim()), ((60, 3), (3, 80)));
    for k in 0..3 {
        let sum = w.column(k).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    }
    assert_eq!(array(&dir, "components-3").dim(), (60, 15));
    let connectivity = array(&dir, "connectivity-3");
    assert_eq!(connectivity.dim(), (80, 80));
    assert!((0..80).all(|i| connectivity[(i, i)] == 1.0));
    let event = result(&output);
    assert_eq!((&event["n_components"], &event["settings"]["dictionary"]), (&3.into(), &"free".into()));
    let consensus = &event["consensus"];
    assert_eq!((&consensus["n_runs"], &consensus["compared"]), (&5.into(), &"dictionary".into()));
    let rank = &consensus["ranks"][0];
    assert_eq!(rank["clusters"].as_array().map(Vec::len), Some(15));
    assert_eq!(rank["divergences"].as_array().map(Vec::len), Some(5));
    let stability = rank["stability"].as_f64().expect("a number");
    assert!(stability > 0.9, "the programs come back: {stability}");
    let said = stderr(&output);
    assert!(said.contains("consensus of 5 runs with 3 components; silhouettes "), "{said}");
    assert_eq!(
        dir.files(),
        [
            "out-activations.png",
            "out-connectivity.png",
            "out-dictionary.png",
            "out-divergence.png",
            "out-fits",
            "out.npz",
            "v.npy"
        ]
    );
    let mut fits: Vec<_> = fs::read_dir(dir.path("out-fits"))
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("text"))
        .collect();
    fits.sort();
    assert_eq!(fits, ["fit-3-0.npz", "fit-3-1.npz", "fit-3-2.npz", "fit-3-3.npz", "fit-3-4.npz"]);
}

#[test]
fn the_largest_stable_number_of_components_is_used() {
    let dir = Dir::new();
    dir.npy("v.npy", &planted());
    let output = dir.succeeds(&[&BASE[..], &["--select-rank", "2-5", "--json", "--plot"]].concat());
    let event = result(&output);
    assert_eq!(event["n_components"], 3, "{}", stderr(&output));
    assert!(stderr(&output).contains("  <- taken\n"), "{}", stderr(&output));
    for (k, name) in [(2, "W-2"), (3, "W"), (3, "W-3"), (5, "W-5"), (25, "components-5")] {
        assert_eq!(array(&dir, name).dim(), (60, k), "{name}");
    }
    assert_eq!(array(&dir, "W"), array(&dir, "W-3"));
    assert!(dir.files().contains(&"out-stability.png".to_owned()));
}

#[test]
fn threads_and_order_change_no_byte_and_sparse_matrices_do_as_well() {
    let dir = Dir::new();
    let v = planted().mapv(|x| if x > 6.0 { x.round() } else { 0.0 });
    dir.npy("v.npy", &v);
    let entries: Vec<String> = v
        .indexed_iter()
        .filter(|(_, x)| **x > 0.0)
        .map(|((row, column), x)| format!("{} {} {x}\n", row + 1, column + 1))
        .collect();
    let header = format!("%%MatrixMarket matrix coordinate real general\n60 80 {}\n", entries.len());
    dir.text("v.mtx", header + &entries.concat());
    let run = |input: &str, jobs: &str| {
        let args = [input, "--runs", "4", "-k", "3", "--max-iter", "40", "-o", "out.npz", "-f", "-j", jobs];
        dir.succeeds(&args);
        fs::read(dir.path("out.npz")).expect("written")
    };
    for input in ["v.npy", "v.mtx"] {
        assert!(run(input, "1") == run(input, "2"), "{input}: 1 and 2 threads differ");
    }
    let sparse = dir.factors("out.npz");
    run("v.npy", "2");
    let dense = dir.factors("out.npz");
    let gap = (&sparse.0 - &dense.0).iter().fold(0.0f32, |worst, x| worst.max(x.abs()));
    assert!(gap < 0.01, "{gap}");
}

#[test]
fn rows_can_be_what_is_compared() {
    let dir = Dir::new();
    dir.npy("v.npy", &planted().reversed_axes().as_standard_layout().into_owned());
    dir.succeeds(&[&BASE[..], &["-k", "3", "--compare", "activations"]].concat());
    let (w, h) = dir.factors("out.npz");
    assert_eq!((w.dim(), h.dim()), ((80, 3), (3, 60)));
    assert!((0..3).all(|k| (h.row(k).sum() - 1.0).abs() < 1e-4));
    assert_eq!(array(&dir, "connectivity-3").dim(), (80, 80));
}

#[test]
fn fits_that_are_there_are_taken_only_when_asked_for() {
    let dir = Dir::new();
    dir.npy("v.npy", &planted());
    let args = ["v.npy", "--runs", "5", "-k", "3", "--max-iter", "60", "-o", "out.npz"];
    dir.succeeds(&args);
    let whole = fs::read(dir.path("out.npz")).expect("written");
    fs::remove_file(dir.path("out.npz")).expect("removed");
    let message = dir.fails(&args, 2);
    assert!(
        message.starts_with("error: `out-fits` holds the fits of another run\n\nhint: add `--resume`"),
        "{message}"
    );
    fs::remove_file(dir.path("out-fits/fit-3-1.npz")).expect("removed");
    fs::write(dir.path("out-fits/fit-3-4.npz"), "cut off").expect("written");
    let stamp = |name: &str| dir.path(name).metadata().and_then(|file| file.modified()).expect("there");
    let before = stamp("out-fits/fit-3-2.npz");
    dir.succeeds(&[&args[..], &["--resume"]].concat());
    assert!(fs::read(dir.path("out.npz")).expect("written") == whole, "resumed, it is the same");
    assert_eq!(stamp("out-fits/fit-3-2.npz"), before, "what was there was not done again");
    // More runs of the same.
    dir.succeeds(&["v.npy", "--runs", "7", "-k", "3", "--max-iter", "60", "-o", "out.npz", "-f", "--resume"]);
    assert_eq!(stamp("out-fits/fit-3-2.npz"), before);
    assert_eq!(array(&dir, "components-3").ncols(), 21);
    // Of other settings, none is taken.
    dir.succeeds(&["v.npy", "--runs", "5", "-k", "3", "--max-iter", "61", "-o", "out.npz", "-f", "--resume"]);
    assert_ne!(stamp("out-fits/fit-3-2.npz"), before);
}

#[test]
fn fits_are_kept_in_their_precision() {
    let dir = Dir::new();
    dir.npy("v.npy", &planted());
    let run = |precision: &str| {
        let args = ["v.npy", "--runs", "5", "-k", "3", "--max-iter", "60", "-o", "out.npz", "-f", "--resume"];
        dir.succeeds(&[&args[..], &["--precision", precision]].concat());
        fs::read(dir.path("out.npz")).expect("written")
    };
    let single = run("single");
    let double = run("double");
    let components: Array2<f64> = dir.array("out.npz", "components-3");
    assert!(components.iter().any(|&x| f64::from(x as f32) != x), "those of single precision were not taken");
    assert_eq!(dir.array::<f64>("out-fits/fit-3-1.npz", "components").dim(), (60, 3));
    fs::remove_file(dir.path("out-fits/fit-3-2.npz")).expect("removed");
    assert!(run("double") == double, "resumed, it is the same");
    assert!(run("single") == single, "those of double precision were not taken");
}

#[test]
fn a_killed_run_goes_on_with_the_same_bytes() {
    let dir = Dir::new();
    dir.npy("v.npy", &Array2::from_shape_fn((90, 300), |(i, j)| ((i * 31 + j * 17 + i * j) % 97) as f32));
    let args = |out: &'static str| {
        ["v.npy", "--runs", "8", "-k", "6", "--max-iter", "400", "--tol", "0", "-o", out, "-j", "2"]
    };
    let mut child = dir.command(&args("out.npz")).stderr(Stdio::null()).spawn().expect("partita starts");
    let (fits, start) = (dir.path("out-fits"), Instant::now());
    let n_fits = || fs::read_dir(&fits).map_or(0, |entries| entries.flatten().count());
    while n_fits() < 2 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    assert!(n_fits() >= 2, "fits are kept as they are done");
    dir.succeeds(&[&args("out.npz")[..], &["--resume", "-f"]].concat());
    dir.succeeds(&args("undisturbed.npz"));
    let bytes = |name: &str| fs::read(dir.path(name)).expect("written");
    assert!(bytes("out.npz") == bytes("undisturbed.npz"));
}

#[test]
fn what_cannot_work_is_refused() {
    let dir = Dir::new();
    dir.npy("v.npy", &planted());
    for (args, expected) in [
        (&["--runs", "1"][..], "`v.npy`: `--runs` is 1, expected at least 2"),
        (&["--runs", "3", "--init", "nndsvd"], "`v.npy`: `--init` is nndsvd, expected random"),
        (&["--runs", "3", "--density-threshold", "0"], "`v.npy`: `--density-threshold` is 0, expected above 0"),
        (&["--runs", "3", "--select-rank", "3-2"], "`v.npy`: `--select-rank` is 3-2, expected a range"),
        (
            &["--runs", "3", "--select-rank", "1-9999999999"],
            "`v.npy`: `--select-rank` is 1-9999999999, expected at most",
        ),
        (&["--resume"], "the following required arguments were not provided"),
        (&["--runs", "3", "--by-blocks"], "the argument '--runs <N>' cannot be used with '--by-blocks'"),
    ] {
        let message = dir.fails(&[&["v.npy", "-o", "refused.npz"], args].concat(), 2);
        assert!(message.starts_with(&format!("error: {expected}")), "{message}");
    }
}
