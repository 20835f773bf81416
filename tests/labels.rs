//! Components named in a file: out of one run, into the next, which fits nothing.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use common::{partita, sample, stderr};
use partita::Audio;
use partita::audio::decode;

struct Dir(tempfile::TempDir);

impl Dir {
    /// With a recording of 3 s that has a kick, a snare and a hi-hat.
    fn new() -> Self {
        let dir = Self(tempfile::tempdir().expect("temporary folder"));
        fs::copy(sample("kick-snare-hihat.wav"), dir.path("loop.wav")).expect("a sample");
        dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn separate(&self, args: &[&str]) -> Output {
        partita(self.0.path(), &[&["separate"], args].concat())
    }

    fn succeeds(&self, args: &[&str]) {
        let output = self.separate(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }

    fn refusal(&self, args: &[&str]) -> (String, Option<i32>) {
        let output = self.separate(args);
        (stderr(&output), output.status.code())
    }

    fn label(&self) {
        self.succeeds(&[
            "loop.wav",
            "-k",
            "6",
            "-n",
            "3",
            "--max-iter",
            "40",
            "-o",
            "blind",
            "--labels-out",
            "labels.toml",
        ]);
    }

    /// Gives names to some components, by their number.
    fn name(&self, names: &[(usize, &str)]) {
        let text = fs::read_to_string(self.path("labels.toml")).expect("labels");
        let mut edited = String::new();
        let mut index = 0;
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("index = ") {
                index = number.parse().expect("a number");
            }
            match names.iter().find(|(k, _)| *k == index && line.starts_with("name = ")) {
                Some((_, name)) => edited.push_str(&format!("name = \"{name}\"\n")),
                None => edited.push_str(&format!("{line}\n")),
            }
        }
        assert_ne!(edited, text, "nothing was named");
        fs::write(self.path("labels.toml"), edited).expect("written");
    }

    fn stem(&self, name: &str) -> Audio {
        decode::read(&self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

#[test]
fn labels_that_nobody_edited_give_the_same_stems_again() {
    let dir = Dir::new();
    dir.label();
    dir.succeeds(&["loop.wav", "--labels", "labels.toml", "-o", "again"]);
    for k in 1..=3 {
        let (first, again) =
            (dir.stem(&format!("blind/loop/source-{k}.wav")), dir.stem(&format!("again/loop/source-{k}.wav")));
        assert_eq!(first, again, "source {k}, the same bits");
    }
}

#[test]
fn named_components_make_stems_that_sum_to_the_mixture() {
    let dir = Dir::new();
    dir.label();
    dir.name(&[(1, "low"), (4, "high")]);
    dir.succeeds(&["loop.wav", "--labels", "labels.toml", "-o", "named"]);
    let stems = [dir.stem("named/loop/low.wav"), dir.stem("named/loop/high.wav")];
    let mixture = dir.stem("loop.wav");
    let gap = &stems[0].samples() + &stems[1].samples() - mixture.samples();
    let worst = gap.iter().fold(0.0f32, |worst, x| worst.max(x.abs()));
    assert!(worst < 1e-5 * mixture.peak(), "{worst} of {}", mixture.peak());
    assert_eq!(fs::read_dir(dir.path("named/loop")).expect("folder").count(), 2, "no other stem");
}

#[test]
fn labels_of_another_recording_or_excerpt_are_refused() {
    let dir = Dir::new();
    dir.label();
    let (message, exit_code) = dir.refusal(&["loop.wav", "--labels", "labels.toml", "--start", "1", "-o", "x"]);
    assert!(
        message.starts_with(
            "error: `loop.wav`: the recording has 44100 samples, expected 66150 samples, as the one that was separated"
        ),
        "{message}"
    );
    assert!(message.contains("the same `--start` and `--duration`"), "{message}");
    assert_eq!(exit_code, Some(1));
    // The same length and rate, other samples.
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/kick-snare-hihat/snare.wav");
    let (message, _) = dir.refusal(&[other, "--labels", "labels.toml", "-o", "x"]);
    assert!(message.contains("the recording has the fingerprint "), "{message}");
    assert!(!dir.path("x").exists(), "nothing was written");
}

#[test]
fn what_is_wrong_with_labels_or_factors_is_told() {
    let dir = Dir::new();
    dir.label();
    let good = fs::read_to_string(dir.path("labels.toml")).expect("labels");
    let refused = || dir.refusal(&["loop.wav", "--labels", "labels.toml", "-o", "x"]).0;
    fs::write(dir.path("labels.toml"), good.replace("= 2048", "= 1024")).expect("written");
    let message = refused();
    assert!(message.contains("the dictionary is 1025 x 6, expected 513 x 6"), "{message}");
    fs::write(dir.path("labels.toml"), good.replace("index = 3", "index = three")).expect("written");
    let message = refused();
    assert!(message.starts_with("error: `labels.toml`: cannot read the labels: line "), "{message}");
    fs::write(dir.path("labels.toml"), &good).expect("written");
    let factors = fs::read(dir.path("labels.npz")).expect("factors");
    for n in [0, 10, 40, 100, 200, factors.len() / 2] {
        fs::write(dir.path("labels.npz"), &factors[..n]).expect("written");
        let message = refused();
        assert!(message.starts_with("error: cannot read `labels.npz`: "), "{n} bytes: {message}");
    }
    fs::remove_file(dir.path("labels.npz")).expect("removed");
    assert!(refused().starts_with("error: cannot read `labels.npz`: "), "{}", refused());
    assert!(!dir.path("x").exists(), "nothing was written");
}

#[test]
fn labels_are_for_one_recording_and_overwrite_nothing() {
    let dir = Dir::new();
    fs::copy(dir.path("loop.wav"), dir.path("other.wav")).expect("copied");
    let (message, exit_code) = dir.refusal(&["loop.wav", "other.wav", "--labels-out", "labels.toml"]);
    assert!(message.starts_with("error: `--labels-out` is for one recording"), "{message}");
    assert_eq!(exit_code, Some(2));
    fs::write(dir.path("labels.toml"), "mine").expect("written");
    let (message, _) = dir.refusal(&["loop.wav", "--labels-out", "labels.toml"]);
    assert!(message.starts_with("error: `labels.toml` exists already"), "{message}");
    assert_eq!(fs::read_to_string(dir.path("labels.toml")).expect("there"), "mine");
    // What a factorization was made with cannot be changed afterwards.
    let (message, exit_code) = dir.refusal(&["loop.wav", "--labels", "labels.toml", "--n-fft", "1024"]);
    assert!(message.contains("cannot be used with"), "{message}");
    assert_eq!(exit_code, Some(2));
}
