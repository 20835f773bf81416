//! What the end-to-end tests share: a folder for each test, the program run in it, and what is asked of stems.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate that uses what it needs")]

pub mod factorize;
pub mod matrices;
pub mod midi;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hound::{SampleFormat, WavSpec, WavWriter};
use ndarray::ArrayView1;
use partita::audio::{Recording, decode};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;
use partita::{Audio, Result, Separation};

/// A folder of its own for each test, gone with it.
pub struct Dir(pub tempfile::TempDir);

impl Dir {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes `n_samples` of each channel, as float32 WAV.
    pub fn wav(&self, name: &str, sample_rate: u32, channels: &[&dyn Fn(usize) -> f32], n_samples: usize) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        let n_channels = channels.len().try_into().expect("few channels");
        let spec =
            WavSpec { channels: n_channels, sample_rate, bits_per_sample: 32, sample_format: SampleFormat::Float };
        let mut writer = WavWriter::create(&path, spec).expect("create");
        for i in 0..n_samples {
            channels.iter().for_each(|channel| writer.write_sample(channel(i)).expect("write"));
        }
        writer.finalize().expect("finalize");
        path
    }

    /// A second of something to separate.
    pub fn tune(&self, name: &str) -> PathBuf {
        self.wav(name, 8000, &[&tune], 8000)
    }

    pub fn partita(&self, args: &[&str]) -> Output {
        self.partita_with(args, b"")
    }

    pub fn partita_with(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_partita"))
            .args(args)
            .current_dir(self.0.path())
            .env("COLUMNS", "100")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("partita starts");
        // A program that refuses its arguments does not read its input.
        let _ = child.stdin.take().expect("piped").write_all(stdin);
        child.wait_with_output().expect("partita ends")
    }

    pub fn succeeds(&self, args: &[&str]) -> Output {
        let output = self.partita(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        output
    }

    /// Runs what must fail, and checks the exit code, that there is a message and a hint, that nothing panicked, and
    /// that no file came of it. Returns the message.
    pub fn fails(&self, args: &[&str], exit_code: i32) -> String {
        let before = self.files();
        let output = self.partita(args);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(exit_code), "{args:?}: {message}");
        assert!(message.starts_with("error: ") && !message.contains("panicked"), "{args:?}: {message}");
        assert_eq!(self.files(), before, "{args:?} left something behind");
        message
    }

    /// Every file below the folder, by its path from there.
    pub fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).expect("folder") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    walk(&path, root, found);
                } else {
                    found.push(path.strip_prefix(root).expect("below").to_string_lossy().replace('\\', "/"));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.0.path(), self.0.path(), &mut found);
        found.sort();
        found
    }

    pub fn read(&self, name: &str) -> Audio {
        decode::read(&self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// Two tones that take turns over a low third one.
pub fn tune(i: usize) -> f32 {
    let tone = |hz: f32| (std::f32::consts::TAU * hz * i as f32 / 8000.0).sin();
    0.3 * if (i / 1000).is_multiple_of(2) { tone(440.0) } else { tone(1760.0) } + 0.1 * tone(110.0)
}

/// The `fit` of a method.
pub type Fit<C> = fn(&Analysis, &C, Option<&Separation>, &mut Watch<'_>) -> Result<Separation>;

/// Analyzes a recording, and fits a method to it.
pub fn analyze_and_fit<C>(
    recording: &dyn Recording,
    analysis: &AnalysisConfig,
    fit: Fit<C>,
    config: &C,
) -> Result<Separation> {
    fit(&Analysis::of(recording, analysis, &mut Watch::none())?, config, None, &mut Watch::none())
}

/// All stems of a separation.
pub fn stems_of(separation: &Separation, recording: &Audio) -> Vec<Audio> {
    separation.stems(recording, &mut Watch::none()).expect("stems")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file of the repository's samples.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

/// Runs the program in a folder.
pub fn partita(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_partita")).args(args).current_dir(folder).output().expect("partita starts")
}

pub fn assert_sum(mixture: &Audio, stems: &[Audio], what: &str) {
    let error = sum_error(mixture, stems);
    assert!(error <= 1e-5, "{what}: stems miss the mixture by {error} of its peak");
}

/// Largest gap between the mixture and the sum of the stems, over the mixture's peak.
pub fn sum_error(mixture: &Audio, stems: &[Audio]) -> f32 {
    let mut rest = mixture.samples().to_owned();
    for stem in stems {
        assert_eq!(stem.samples().dim(), mixture.samples().dim(), "channels and length");
        assert_eq!(stem.sample_rate(), mixture.sample_rate(), "sample rate");
        rest -= &stem.samples();
    }
    rest.iter().fold(0.0f32, |worst, x| worst.max(x.abs())) / mixture.peak()
}

/// Scale-invariant signal-to-distortion ratio in dB (Le Roux, Wisdom, Erdogan, Hershey, ICASSP 2019, equation 1).
pub fn si_sdr(reference: ArrayView1<'_, f32>, estimate: ArrayView1<'_, f32>) -> f64 {
    let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let scale = dot(estimate, reference) / dot(reference, reference);
    let target = scale * scale * dot(reference, reference);
    10.0 * (target / (dot(estimate, estimate) - target).max(1e-12)).log10()
}
