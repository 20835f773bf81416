//! `partita factorize` as its users meet it: what is asked for is what comes out, with exact messages.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::factorize::{Dir, events, rank_three};
use common::stderr;
use ndarray::{Array2, array};
use partita::nmf::{self, Divergence, NmfConfig, Regularization, Solver, divergence};
use serde_json::Value;
use snapbox::{assert_data_eq, file, str};

// ---- entries ----------------------------------------------------------------------------------------------------

#[test]
fn entries_that_cannot_be_factorized_are_refused_with_their_place() {
    let dir = Dir::new();
    for (value, shown) in [(-0.5, "-0.5"), (f32::INFINITY, "inf"), (f32::NAN, "NaN")] {
        let mut v = rank_three();
        v[[4, 2]] = value;
        v[[5, 1]] = value;
        dir.npy("v.npy", &v);
        let message = dir.fails(&["v.npy", "-o", "out.npz"], 1);
        let expected = format!(
            "error: `v.npy`: the matrix has {shown} at row 4, column 2, expected finite numbers of at least 0\n\nhint: "
        );
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(message.contains("--missing nan"), value.is_nan(), "{message}");
    }
}

#[test]
fn missing_entries_do_not_count() {
    let dir = Dir::new();
    let mut v = rank_three();
    let fit = |name: &str, more: &[&str]| {
        let args = ["v.npy", "-k", "3", "--max-iter", "40", "--tol", "0", "-o", name, "-f"];
        dir.succeeds(&[&args[..], more].concat());
        dir.factors(name)
    };
    let mut weights = Array2::ones(v.dim());
    for at in [(0, 0), (3, 7), (11, 14)] {
        (v[at], weights[at]) = (1e6, 0.0);
    }
    dir.npy("weights.npy", &weights);
    dir.npy("v.npy", &v);
    let weighted = fit("weighted.npz", &["--weights", "weights.npy"]);
    for at in [(0, 0), (3, 7), (11, 14)] {
        v[at] = f32::NAN;
    }
    dir.npy("v.npy", &v);
    let missing = fit("missing.npz", &["--missing", "nan"]);
    assert_eq!(missing, weighted, "NaN is as good as a weight of 0");
    weights[[5, 5]] = 2.0;
    dir.npy("weights.npy", &weights.mapv(|x| if x == 0.0 { 1.0 } else { x }));
    let both = fit("both.npz", &["--missing", "nan", "--weights", "weights.npy"]);
    assert!(both != missing && both.0.iter().all(|x| x.is_finite()), "weights and missing entries go together");

    dir.npy("weights.npy", &Array2::<f32>::ones((15, 12)));
    assert_data_eq!(
        dir.fails(&["v.npy", "-o", "a.npz", "--missing", "nan", "--weights", "weights.npy"], 1),
        str![[r#"
error: `weights.npy`: the matrix of weights is 15 x 12, expected 12 x 15

hint: transpose it: rows and columns are swapped

"#]]
    );
    dir.text("holes.csv", "1,2,3\n4,,6\n7,8,9\n");
    assert!(dir.fails(&["holes.csv", "-o", "a.npz"], 1).contains("has NaN at row 1, column 1"));
    dir.succeeds(&["holes.csv", "-k", "1", "-o", "holes.npz", "--missing", "nan"]);
}

// ---- what is fitted ---------------------------------------------------------------------------------------------

#[test]
fn given_factors_are_improved_or_kept() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    let (w0, h0) = (Array2::from_shape_fn((12, 3), |(i, k)| 1.0 + ((i + k) % 4) as f32), Array2::ones((3, 15)));
    dir.npy("w0.npy", &w0);
    dir.npy("h0.npy", &h0);
    dir.npy("transposed.npy", &w0.t().as_standard_layout().into_owned());
    let given = ["v.npy", "--init-dictionary", "w0.npy", "--init-activations", "h0.npy", "-f", "-o", "out.npz"];
    dir.succeeds(&[&given[..], &["--max-iter", "0"]].concat());
    assert_eq!(dir.factors("out.npz"), (w0.clone(), h0.clone()), "nothing was done");
    dir.succeeds(&given);
    let (w, h) = dir.factors("out.npz");
    assert!(w != w0 && h != h0 && w.dim() == (12, 3));
    dir.succeeds(&[&given[..], &["--fix-dictionary"]].concat());
    let (w, h) = dir.factors("out.npz");
    assert!(w == w0 && h != h0);
    dir.succeeds(&[&given[..], &["--fix-activations"]].concat());
    let (w, h) = dir.factors("out.npz");
    assert!(w != w0 && h == h0);

    assert_data_eq!(
        dir.fails(&["v.npy", "-o", "a.npz", "-k", "4", "--init-dictionary", "w0.npy"], 1),
        str![[r#"
error: `w0.npy`: the dictionary is 12 x 3, expected 12 x 4

"#]]
    );
    assert_data_eq!(
        dir.fails(&["v.npy", "-o", "a.npz", "-k", "3", "--init-dictionary", "transposed.npy"], 1),
        str![[r#"
error: `transposed.npy`: the dictionary is 3 x 12, expected 12 x 3

hint: transpose it: rows and columns are swapped

"#]]
    );
    assert_data_eq!(
        dir.fails(&["v.npy", "-o", "a.npz", "-k", "2", "--init-activations", "h0.npy"], 1),
        str![[r#"
error: `h0.npy`: the matrix of activations is 3 x 15, expected 2 x 15

"#]]
    );
    dir.fails(&["v.npy", "-o", "a.npz", "--fix-dictionary"], 2);
    dir.fails(&["v.npy", "-o", "a.npz", "--select-rank", "1-3", "--init-dictionary", "w0.npy"], 2);
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let dir = Dir::new();
    dir.npy("v.npy", &Array2::from_shape_fn((70, 300), |(i, j)| ((i * 31 + j * 17 + i * j) % 97) as f32));
    for extra in [&[][..], &["--divergence", "is"], &["--divergence", "euclidean", "--solver", "anls"]] {
        let run = |seed: &str, jobs: &str| {
            let args = ["v.npy", "-k", "5", "--max-iter", "30", "-o", "out.npz", "-f", "--seed", seed, "-j", jobs];
            dir.succeeds(&[&args[..], extra].concat());
            fs::read(dir.path("out.npz")).expect("written")
        };
        let first = run("7", "1");
        assert!(first == run("7", "2"), "{extra:?}: 1 and 2 threads differ");
        assert!(first == run("7", "2"), "{extra:?}: two runs differ");
        assert!(first != run("8", "1"), "{extra:?}: the seed changes nothing");
    }
}

#[test]
fn every_solver_start_divergence_and_penalty_can_be_asked_for() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    for args in [
        &["--divergence", "euclidean", "--solver", "cd"][..],
        &["--divergence", "euclidean", "--solver", "anls", "--init", "nndsvd"],
        &["--divergence", "2", "--solver", "pg", "--init", "nndsvda"],
        &["--divergence", "is"],
        &["--divergence", "-0.5"],
        &["--divergence", "1.5", "--solver", "mu", "--init", "nndsvdar"],
        &["--alpha-dictionary", "0.01", "--alpha-activations", "0.01", "--l1-ratio", "0.5"],
        &["--temporal-continuity", "0.1"],
        &["--sparsity", "0.1"],
        &["--group-sparsity", "0.1", "--groups", "0,0,1", "--group-offset", "0.1"],
    ] {
        let output = dir.succeeds(&[&["v.npy", "-k", "3", "-o", "out.npz", "-f", "--json"], args].concat());
        let events = events(&output);
        let curve = events[events.len() - 1]["divergence_curve"].as_array().expect("curve").clone();
        let (first, last) =
            (curve[0][1].as_f64().expect("number"), curve[curve.len() - 1][1].as_f64().expect("number"));
        assert!(last < first, "{args:?}: from {first} to {last}");
    }
    for (args, expected) in [
        (&["--solver", "cd"][..], "`--solver` is cd, expected `mu` or `mu-extrapolated` for this divergence"),
        (
            &["--solver", "pg", "--divergence", "euclidean", "--temporal-continuity", "1"],
            "`--solver` is pg, expected `mu` or `mu-extrapolated` with `--temporal-continuity`",
        ),
        (
            &["--init", "nndsvd", "-k", "13"],
            "`--components` is 13, expected at most 12, the smaller side of the matrix",
        ),
        (&["-k", "0"], "`--components` is 0, expected at least 1"),
        (&["-k", "9999999999999999999"], "`--components` is 9999999999999999999, expected at most 1048576"),
        (&["--select-rank", "1-9999999999"], "`--components` is 9999999999, expected at most 1048576"),
        (&["--l1-ratio", "2"], "`--l1-ratio` is 2, expected a number from 0 to 1"),
        (&["--group-sparsity", "1", "--groups", "0,1"], "`--groups` is 2 groups, expected 8, one for each component"),
        (&["--divergence", "9"], "`--divergence` is a beta of 9, expected a beta from -1 to 4"),
    ] {
        let message = dir.fails(&[&["v.npy", "-o", "refused.npz"], args].concat(), 2);
        assert!(message.starts_with(&format!("error: `v.npy`: {expected}")), "{message}");
    }
}

#[test]
#[cfg(not(feature = "gpu"))]
fn a_build_without_the_gpu_says_how_to_get_it() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    assert_data_eq!(
        dir.fails(&["v.npy", "-o", "a.npz", "--device", "gpu"], 2),
        str![[r#"
error: cannot use a graphics processor: this build of partita cannot use one

hint: use `--device cpu`, or build partita again with `cargo install --locked --path . --features gpu`

"#]]
    );
}

#[test]
fn the_number_of_components_is_found() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    let output = dir.succeeds(&["v.npy", "--select-rank", "1-5", "-o", "out.npz", "--json", "--max-iter", "500"]);
    let events = events(&output);
    let ranks = &events[0];
    assert_eq!((&ranks["event"], &ranks["best"]), (&"ranks".into(), &3.into()), "{ranks}");
    assert_eq!(ranks["curve"].as_array().map(Vec::len), Some(5));
    assert_eq!(dir.factors("out.npz").0.ncols(), 3);
    assert!(stderr(&output).contains("  <- the best\n"), "{}", stderr(&output));
}

// ---- what is said -----------------------------------------------------------------------------------------------

#[test]
fn what_cannot_work_as_asked_is_told_with_the_flags_that_can() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    let args = ["v.npy", "-k", "3", "-o", "out.npz", "-f", "--json"];
    let run = |more: &[&str]| {
        let output = dir.succeeds(&[&args[..], more].concat());
        let result = events(&output).pop().expect("a result");
        (stderr(&output), result["warnings"].as_array().expect("a list").len())
    };
    let (message, n_warnings) = run(&["--init", "nndsvd"]);
    assert!(message.contains("entries of the activations start at 0 with `--init nndsvd`, and"), "{message}");
    assert!(message.contains("leave them there; use `--init nndsvda`, or `--init nndsvdar`\n"), "{message}");
    assert_eq!(message.matches("warning: ").count(), n_warnings, "{message}");
    let (message, n_warnings) = run(&["--alpha-activations", "0.1"]);
    assert!(
        message.starts_with(
            "warning: `--alpha-activations` alone has no effect on the product: what it takes from one factor, the other \
             gains; use `--sparsity 0.1`"
        ),
        "{message}"
    );
    assert_eq!(n_warnings, 1);
    assert_eq!(run(&["--sparsity", "0.1"]).1, 0);
}

#[test]
fn the_last_line_of_json_is_the_result() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    let run = |more: &[&str]| {
        let args = ["v.npy", "-k", "2", "--tol", "0", "--max-iter", "25", "--json", "-j", "1", "-f", "-o", "out.npz"];
        events(&dir.succeeds(&[&args[..], more].concat()))
    };
    let all = run(&["--plot"]);
    let progress: Vec<_> = all.iter().filter(|event| event["event"] == "progress").collect();
    assert_eq!(progress.iter().map(|event| &event["iteration"]).collect::<Vec<_>>(), [10, 20, 25]);
    let result = &all[all.len() - 1];
    for (field, expected) in [
        ("event", Value::from("factorized")),
        ("input", "v.npy".into()),
        ("path", "out.npz".into()),
        ("n_rows", 12.into()),
        ("n_columns", 15.into()),
        ("n_components", 2.into()),
        ("n_iter", 25.into()),
        ("stop_reason", "iteration limit".into()),
    ] {
        assert_eq!(result[field], expected, "{field} of {result}");
    }
    assert_eq!(result["divergence"], progress[2]["divergence"]);
    for (field, is_known) in [("fit_cpu_seconds", cfg!(unix)), ("peak_rss_mb", cfg!(target_os = "linux"))] {
        assert_eq!(result[field].as_f64().is_some_and(|x| x > 0.0), is_known, "{field} of {result}");
    }
    let (w, h) = dir.factors("out.npz");
    let divergence = divergence(rank_three().view(), w.dot(&h).view(), Divergence::KullbackLeibler);
    let told = result["divergence"].as_f64().expect("number");
    // Both are sums of f64 over products of f32.
    assert!((divergence / told - 1.0).abs() < 1e-5, "{divergence} of the file, {told} told");
    assert_eq!(
        dir.files(),
        ["out-activations.png", "out-dictionary.png", "out-divergence.png", "out.npz", "v.npy"],
        "pictures stand beside the file"
    );

    let target = 1.5 * told;
    let stopped = run(&["--target-divergence", &target.to_string()]);
    let stopped = &stopped[stopped.len() - 1];
    assert_eq!(stopped["stop_reason"], "target reached", "{stopped}");
    assert!(stopped["divergence"].as_f64().is_some_and(|divergence| divergence <= target), "{stopped}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_writes_nothing() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    dir.npy("ones.npy", &Array2::<f32>::ones((12, 15)));
    for args in [&[][..], &["--select-rank", "2-3"]] {
        let forever = ["v.npy", "-o", "out.npz", "--tol", "0", "--max-iter", "1000000000"];
        let args = [&forever[..], &["-v", "--weights", "ones.npy"], args].concat();
        let mut child = dir.command(&args).stderr(Stdio::piped()).spawn().expect("partita starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("a line");
        assert_eq!(line, "ones.npy: 12 x 15\n", "said before the work begins");
        let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
        line.clear();
        stderr.read_line(&mut line).expect("a line");
        assert_eq!(line, "error: interrupted\n", "{args:?}");
        assert_eq!(child.wait().expect("partita ends").code(), Some(130), "{args:?}");
        assert_eq!(dir.files(), ["ones.npy", "v.npy"], "{args:?}");
    }
}

#[test]
fn people_are_told_in_three_lines_or_not_at_all() {
    let dir = Dir::new();
    dir.npy("v.npy", &array![[1.0, 2.0], [2.0, 4.0], [0.0, 0.0]]);
    let output = dir.succeeds(&["v.npy", "-k", "1", "-o", "out.npz", "--max-iter", "0"]);
    assert_data_eq!(
        stderr(&output),
        str![[r#"
v.npy: 3 x 2
1 component after 0 iterations (iteration limit), divergence [..]
  W, H and info.json  out.npz

"#]]
    );
    let output = dir.succeeds(&["v.npy", "-k", "1", "-o", "out.npz", "-f", "-q"]);
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn help_is_as_recorded() {
    let output = Dir::new().succeeds(&["--help"]);
    assert_data_eq!(String::from_utf8_lossy(&output.stdout).into_owned(), file!["cli/factorize.txt"]);
}

// ---- double precision -------------------------------------------------------------------------------------------

#[test]
fn double_precision_goes_from_any_file_to_the_factors() {
    let dir = Dir::new();
    // A third of a whole number has as many digits as there are.
    let v = rank_three().mapv(|x| f64::from(x) / 3.0);
    dir.npy("v.npy", &v);
    let lines: Vec<_> = v.rows().into_iter().map(|row| row.iter().map(f64::to_string).collect::<Vec<_>>()).collect();
    dir.text("v.csv", lines.iter().map(|line| line.join(",") + "\n").collect::<String>());
    let options =
        ["-k", "3", "--divergence", "euclidean", "--solver", "anls", "--l1-ratio", "0.7", "--alpha-dictionary", "0.1"];
    let fit = |input: &str, precision: &str| {
        let more = ["--precision", precision, "--json", "-f", "-o", "out.npz"];
        dir.succeeds(&[&[input][..], &options, &more].concat())
    };
    let config = NmfConfig {
        n_components: 3,
        divergence: Divergence::Euclidean,
        solver: Solver::Anls,
        regularization: Regularization { alpha_dictionary: 0.1, l1_ratio: 0.7, ..Default::default() },
        ..NmfConfig::default()
    };
    let expected = nmf::fit(v.view(), &config).expect("a fit");
    for input in ["v.npy", "v.csv"] {
        let output = fit(input, "double");
        assert!(!stderr(&output).contains("rounded"), "{}", stderr(&output));
        let settings = events(&output).last().expect("the result")["settings"].clone();
        assert_eq!((&settings["precision"], &settings["l1_ratio"]), (&"double".into(), &0.7.into()));
        assert_eq!(dir.array::<f64>("out.npz", "W"), expected.dictionary, "{input}");
        assert_eq!(dir.array::<f64>("out.npz", "H"), expected.activations, "{input}");
    }
    let output = fit("v.npy", "single");
    assert!(stderr(&output).contains("v.npy: entries are rounded to single precision"), "{}", stderr(&output));
    let gap = (dir.factors("out.npz").0.mapv(f64::from) - &expected.dictionary).fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!(gap > 0.0 && gap < 0.01, "{gap}");

    let entries: Vec<_> = v.indexed_iter().map(|((i, j), x)| format!("{} {} {x}\n", i + 1, j + 1)).collect();
    let header = "%%MatrixMarket matrix coordinate real general\n12 15 180\n";
    dir.text("v.mtx", header.to_owned() + &entries.concat());
    fit("v.mtx", "double");
    let product = dir.array::<f64>("out.npz", "W").dot(&dir.array("out.npz", "H"));
    let gap = (product - expected.product()).fold(0.0, |a: f64, b| a.max(b.abs()));
    // What rounding to single precision alone would make of entries of up to 30 is a thousand times as much.
    assert!(gap < 1e-9, "{gap}");
}

#[test]
fn double_precision_is_refused_where_there_is_none() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    let message = dir.fails(&["v.npy", "-o", "out.npz", "--precision", "double", "--by-blocks"], 2);
    let expected = "error: `--precision` is double, expected single for a matrix that is read by blocks";
    assert!(message.starts_with(expected), "{message}");
    #[cfg(feature = "gpu")]
    {
        let message = dir.fails(&["v.npy", "-o", "out.npz", "--precision", "double", "--device", "gpu"], 2);
        assert!(message.starts_with("error: `--device gpu` does not go with `--precision double`"), "{message}");
    }
}

// ---- sparse, and larger than memory -----------------------------------------------------------------------------

#[test]
fn a_sparse_matrix_gives_the_factors_of_the_dense_one() {
    let dir = Dir::new();
    let v = Array2::from_shape_fn((12, 9), |(i, j)| if (i * 7 + j * 5) % 4 == 0 { (1 + i + j) as f32 } else { 0.0 });
    dir.npy("v.npy", &v);
    let entries: Vec<_> = v.indexed_iter().filter(|(_, x)| **x > 0.0).collect();
    let mut text = format!("%%MatrixMarket matrix coordinate real general\n12 9 {}\n", entries.len());
    entries.iter().for_each(|((i, j), x)| text.push_str(&format!("{} {} {x}\n", i + 1, j + 1)));
    dir.text("v.mtx", text);
    let options = ["-k", "3", "--solver", "mu", "--max-iter", "30", "--tol", "0"];
    dir.succeeds(&[&["v.npy", "-o", "dense.npz"], &options[..]].concat());
    dir.succeeds(&[&["v.mtx", "-o", "sparse.npz"], &options[..]].concat());
    let (dense, sparse) = (dir.factors("dense.npz"), dir.factors("sparse.npz"));
    let gap = (dense.0.dot(&dense.1) - sparse.0.dot(&sparse.1)).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
    assert!(gap < 1e-3, "largest difference of the products: {gap}");
    let message = dir.fails(&["v.mtx", "-o", "none.npz", "--select-rank", "1-3"], 2);
    assert!(message.contains("`--select-rank` does not go with a sparse matrix"), "{message}");
    dir.text("bad.mtx", "%%MatrixMarket matrix coordinate real general\n2 2 1\n3 1 5\n");
    assert!(dir.fails(&["bad.mtx", "-o", "none.npz"], 1).contains("line 3"));
}

#[test]
fn a_matrix_that_is_read_by_blocks_comes_to_the_divergence_of_the_whole() {
    let dir = Dir::new();
    let v = Array2::from_shape_fn((40, 60), |(i, j)| ((i % 5) * (j % 3) + 1) as f32);
    dir.npy("v.npy", &v);
    for extra in [&[][..], &["--warm-start"]] {
        let options = [&["v.npy", "-o", "out.npz", "-k", "2", "--max-iter", "300", "-f", "--by-blocks"], extra];
        dir.succeeds(&options.concat());
        let (w, h) = dir.factors("out.npz");
        let gap = (w.dot(&h) - &v).mapv(f32::abs).sum() / v.sum();
        assert!(gap < 0.01, "{extra:?}: off by {gap} of the whole");
    }
}
