//! `partita factorize --device gpu`, in a build with the feature: on whatever device there is, most often a program
//! that stands in for one. Without any, all but what is refused passes with a message.

#![cfg(feature = "gpu")]

mod common;

use common::factorize::{Dir, events, rank_three};
use common::stderr;
use partita::nmf::gpu::Gpu;
use serde_json::Value;

#[test]
fn a_fit_on_the_gpu_is_the_fit_of_the_processor_and_the_same_bytes_each_time() {
    if let Err(error) = Gpu::open() {
        eprintln!("skipped: {error}");
        return;
    }
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    let options = ["-k", "3", "--max-iter", "60", "--tol", "0", "--json"];
    let fit = |device, out| dir.succeeds(&[&["v.npy", "--device", device, "-o", out], &options[..]].concat());
    let outputs = [fit("cpu", "cpu.npz"), fit("gpu", "gpu.npz"), fit("gpu", "again.npz")];
    let bytes = |name| std::fs::read(dir.path(name)).unwrap();
    assert!(bytes("gpu.npz") == bytes("again.npz"), "two runs differ");
    let [of_cpu, of_gpu, _] = outputs.each_ref().map(|output| events(output).pop().unwrap());
    let number = |info: &Value| info["divergence"].as_f64().unwrap();
    let least = 1e-6 * of_cpu["divergence_curve"][0][1].as_f64().unwrap();
    let gap = (number(&of_gpu) - number(&of_cpu)).abs();
    assert!(gap <= 1e-5 * number(&of_cpu) + least, "{} and {}", number(&of_cpu), number(&of_gpu));
    assert_eq!([&of_cpu, &of_gpu].map(|info| info["settings"]["device"].as_str()), [Some("cpu"), Some("gpu")]);
    assert_eq!(of_gpu["n_iter"], 60);
    if Gpu::open().is_ok_and(|gpu| gpu.is_software()) {
        let message = stderr(&outputs[1]);
        assert!(
            message.contains("is a program that stands in for one; use `--device cpu`, which is faster"),
            "{message}"
        );
    }
}

#[test]
fn what_the_gpu_cannot_do_is_refused_before_one_is_looked_for() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    for (args, expected) in [
        (&["--divergence", "is"][..], "`--divergence` is a beta of 0, expected `kl` on a graphics processor"),
        (&["--sparsity", "0.1"], "`--sparsity` is 0.1, expected 0 on a graphics processor"),
        (&["--weights", "v.npy"], "`--weights` is given, expected none on a graphics processor"),
    ] {
        let message = dir.fails(&[&["v.npy", "-o", "no.npz", "--device", "gpu"], args].concat(), 2);
        assert!(message.starts_with(&format!("error: `v.npy`: {expected}")), "{message}");
        assert!(message.contains("hint: use `--device cpu`\n"), "{message}");
    }
}

#[test]
fn the_gpu_is_refused_where_only_the_processor_knows_how() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    dir.text("v.mtx", "%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 5\n");
    for (args, expected) in [
        (&["v.npy", "--select-rank", "1-3"][..], "`--device gpu` does not go with `--select-rank`"),
        (&["v.npy", "--runs", "3"], "`--device gpu` does not go with `--runs`"),
        (&["v.npy", "--by-blocks"], "`--device gpu` does not go with `--by-blocks`"),
        (&["v.mtx"], "`--device gpu` does not go with a sparse matrix"),
    ] {
        let message = dir.fails(&[args, &["-o", "a.npz", "--device", "gpu"]].concat(), 2);
        assert_eq!(message, format!("error: {expected}\n\nhint: use `--device cpu`\n"));
    }
}

/// Where Vulkan finds no driver. Other systems bring their own.
#[test]
#[cfg(target_os = "linux")]
fn without_a_gpu_it_says_so() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    let nowhere = [("VK_DRIVER_FILES", "/dev/null"), ("VK_ICD_FILENAMES", "/dev/null"), ("NODEVICE_SELECT", "1")];
    let output = dir.command(&["v.npy", "-o", "no.npz", "--device", "gpu"]).envs(nowhere).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let expected = "error: `v.npy`: cannot use a graphics processor: there is none with a driver for Vulkan, Metal or \
                    Direct3D 12\n\nhint: use `--device cpu`, or install the driver; on Linux, `vulkaninfo --summary` shows \
                    what is found\n";
    assert_eq!(message, expected);
}
