//! `partita factorize` run in a folder of its own, and what goes into it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray::Array2;
use ndarray_npy::{NpzReader, ReadableElement, WritableElement, write_npy};
use serde_json::Value;

use super::stderr;

/// A folder of its own for each test, gone with it.
pub struct Dir(tempfile::TempDir);

impl Dir {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn npy<T: WritableElement>(&self, name: &str, values: &Array2<T>) -> PathBuf {
        let path = self.path(name);
        write_npy(&path, values).expect("written");
        path
    }

    pub fn text(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
        command.arg("factorize").args(args).current_dir(self.0.path()).env("COLUMNS", "100");
        command
    }

    pub fn succeeds(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().expect("partita starts");
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        output
    }

    /// Runs what must fail, and checks the exit code, that nothing panicked, and that no file came of it. Returns the
    /// message.
    pub fn fails(&self, args: &[&str], exit_code: i32) -> String {
        let before = self.files();
        let output = self.command(args).output().expect("partita starts");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(exit_code), "{args:?}: {message}");
        assert!(message.starts_with("error: ") && !message.contains("panicked"), "{args:?}: {message}");
        assert_eq!(self.files(), before, "{args:?} left something behind");
        message
    }

    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// W and H of an archive.
    pub fn factors(&self, name: &str) -> (Array2<f32>, Array2<f32>) {
        (self.array(name, "W"), self.array(name, "H"))
    }

    /// An array of an archive, of the type that it has there.
    pub fn array<T: ReadableElement>(&self, archive: &str, name: &str) -> Array2<T> {
        let mut npz = NpzReader::new(File::open(self.path(archive)).expect("open")).expect("archive");
        npz.by_name(name).unwrap_or_else(|error| panic!("{archive}, {name}: {error}"))
    }
}

/// The objects that `--json` printed.
pub fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("one object per line")).collect()
}

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/matrix").join(name)
}

/// 3 x 4; row r and column c hold 4 r + c, as in the goldens.
pub fn counting() -> Array2<f32> {
    Array2::from_shape_fn((3, 4), |(r, c)| (4 * r + c) as f32)
}

/// 12 x 15, of rank 3.
pub fn rank_three() -> Array2<f32> {
    let w = Array2::from_shape_fn((12, 3), |(i, k)| ((7 * i + 5 * k) % 11) as f32);
    let h = Array2::from_shape_fn((3, 15), |(k, j)| ((3 * j + 4 * k + j * j) % 13) as f32);
    w.dot(&h) + 0.01
}
