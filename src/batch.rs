//! Many recordings: which of them belong to this run ([`Shard`]), how many fit into memory at once ([`Budget`]), and what
//! came of each ([`Manifest`]).
//! Knows nothing of what is done with them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Condvar, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::atomic::{AtomicFile, Existing};
use crate::audio::loudness::Loudness;
use crate::error::Advice;
use crate::hash::Hash;
use crate::{Error, Result};

/// One of several runs that share out a set of recordings: run `index` of `count`, counted from 1.
///
/// # Examples
/// ```
/// use partita::batch::Shard;
/// let shards: [Shard; 2] = ["1/2".parse()?, "2/2".parse()?];
/// for track in ["album/one", "album/two", "three"] {
///     let n_owners = shards.iter().filter(|shard| shard.contains(track.as_ref())).count();
///     assert_eq!(n_owners, 1, "each recording belongs to one shard");
/// }
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// Whether a recording belongs to this run. It depends on the name of its track alone, so that it is the same on
    /// every machine and whatever else is in the set.
    pub fn contains(&self, track: &Path) -> bool {
        let mut hash = Hash::new();
        track.as_os_str().as_encoded_bytes().iter().for_each(|byte| hash.add(u64::from(*byte)));
        // In numbered tracks the last characters are all that differs.
        hash.folded() % self.count == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = Error;

    /// `2/8`: the second of eight.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err(Error::Setting {
                name: "shard",
                got: text.into(),
                expected: "I/N with I from 1 to N".into(),
                advice: Some(Advice::set("shard", "1/8").note("which is the first of eight runs").into()),
            }),
        }
    }
}

/// Bytes of memory that several pieces of work share.
#[derive(Debug)]
pub struct Budget {
    total: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self { total, used: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until `bytes` are free, and does the work while they are taken. What needs more than there is in all waits
    /// until it is alone.
    pub fn with<T>(&self, bytes: u64, work: impl FnOnce() -> T) -> T {
        /// Gives back what was taken, also where the work panics.
        struct Taken<'a>(&'a Budget, u64);
        impl Drop for Taken<'_> {
            fn drop(&mut self) {
                *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.1;
                self.0.freed.notify_all();
            }
        }
        let bytes = bytes.min(self.total);
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |used: &mut u64| *used > self.total - bytes;
        let mut used = self.freed.wait_while(used, is_full).unwrap_or_else(PoisonError::into_inner);
        *used += bytes;
        drop(used);
        let _taken = Taken(self, bytes);
        work()
    }
}

/// An [`Entry`] as it is written: in the order of these fields, of which the first makes [`LINE_START`].
#[derive(Serialize)]
struct Line<'a> {
    duration_s: f64,
    error: Option<&'a str>,
    input: &'a str,
    outputs: Vec<OutputLine>,
    parameters: &'a Value,
    sha256: &'a str,
    warnings: &'a [String],
}

/// A file that was made, as it is written.
#[derive(Serialize)]
struct OutputLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    loudness: Option<Loudness>,
    n_bytes: u64,
    path: String,
}

/// What came of one recording.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// The recording, as it was named.
    pub input: String,
    /// SHA-256 of its content, in hexadecimal; empty where it could not be read.
    pub sha256: String,
    /// Everything that the result depends on beside the content.
    pub parameters: Value,
    /// The files that were made, with their sizes in bytes.
    pub outputs: Vec<(PathBuf, u64)>,
    /// How loud those of them are that are stems.
    pub loudness: HashMap<PathBuf, Loudness>,
    /// Length of the recording in seconds.
    pub duration_s: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Why there is no result.
    pub error: Option<String>,
}

impl Entry {
    /// Its line, with the end of the line.
    fn line(&self) -> serde_json::Result<String> {
        let output = |(path, n_bytes): &(PathBuf, u64)| OutputLine {
            loudness: self.loudness.get(path).copied(),
            n_bytes: *n_bytes,
            path: text(path),
        };
        let line = Line {
            duration_s: self.duration_s,
            error: self.error.as_deref(),
            input: &self.input,
            outputs: self.outputs.iter().map(output).collect(),
            parameters: &self.parameters,
            sha256: &self.sha256,
            warnings: &self.warnings,
        };
        Ok(serde_json::to_string(&line)? + "\n")
    }

    fn from_json(value: &Value) -> Option<Self> {
        let string = |value: &Value| value.as_str().map(str::to_owned);
        let output = |value: &Value| Some((path_of(value["path"].as_str()?), value["n_bytes"].as_u64()?));
        let loudness = |value: &Value| {
            let loudness = serde_json::from_value(value.get("loudness")?.clone()).ok()?;
            Some((path_of(value["path"].as_str()?), loudness))
        };
        Some(Self {
            input: string(&value["input"])?,
            sha256: string(&value["sha256"])?,
            parameters: value["parameters"].clone(),
            outputs: value["outputs"].as_array()?.iter().map(output).collect::<Option<_>>()?,
            loudness: value["outputs"].as_array()?.iter().filter_map(loudness).collect(),
            duration_s: value["duration_s"].as_f64()?,
            warnings: value["warnings"].as_array()?.iter().map(string).collect::<Option<_>>()?,
            error: string(&value["error"]),
        })
    }

    /// Whether this is a result for such content and parameters whose files are all there, with their sizes.
    pub fn is_done(&self, sha256: &str, parameters: &Value) -> bool {
        let is_there = |(path, bytes): &(PathBuf, u64)| path.metadata().is_ok_and(|found| found.len() == *bytes);
        self.error.is_none()
            && self.sha256 == sha256
            && self.parameters == *parameters
            && self.outputs.iter().all(is_there)
    }
}

/// A path as it stands in a manifest, from which [`path_of`] makes it again: bytes that are no UTF-8 are written as
/// `\xNN`, and so is a backslash that would look like that.
pub fn text(path: &Path) -> String {
    path.as_os_str().as_encoded_bytes().utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(&chunk.valid().replace("\\x", "\\x5cx"));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        text
    })
}

/// The path that a [`text`] stands for.
pub fn path_of(text: &str) -> PathBuf {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.split_at_checked(2).and_then(|(hex, rest)| Some((u8::from_str_radix(hex, 16).ok()?, rest))) {
            Some((byte, rest)) => {
                bytes.push(byte);
                bytes.extend_from_slice(rest.as_bytes());
            }
            None => bytes.extend_from_slice(&[b"\\x", part.as_bytes()].concat()),
        }
    }
    #[cfg(unix)]
    return <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into();
    #[cfg(not(unix))]
    return String::from_utf8_lossy(&bytes).into_owned().into();
}

/// SHA-256 of a file's content, in hexadecimal, as `sha256sum` prints it.
///
/// # Errors
/// What the system says.
pub fn content_hash(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        let n_bytes = match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        hasher.update(&buffer[..n_bytes]);
    }
}

/// A file with one line of JSON for each recording that is finished, each on the disk before the next is begun.
#[derive(Debug)]
pub struct Manifest {
    path: PathBuf,
    file: Mutex<File>,
    /// What was in the file, the last line of each recording, as text: as values it would take ten times the memory.
    before: BTreeMap<String, String>,
}

/// Longest manifest that is read, in bytes, and then held: a quarter of a million recordings of a kilobyte each.
const MAX_MANIFEST_BYTES: u64 = 1 << 28;

/// Longest line of a manifest, in bytes: 256 outputs with paths of 4096 bytes. One is held as values at a time.
const MAX_LINE_BYTES: u64 = 1 << 21;

/// What every line starts with, by the order of the fields of [`Line`]: a last line that was cut off, and may be dropped,
/// is known by it.
const LINE_START: &[u8] = b"{\"duration_s\":";

impl Manifest {
    /// Opens or makes a manifest. A last line that was cut off by an interruption is dropped.
    ///
    /// # Errors
    /// [`Error::WriteFile`] if the system says no, [`Error::Manifest`] for a line that no manifest has.
    pub fn open(path: &Path) -> Result<Self> {
        let at = |source| Error::WriteFile { path: path.into(), source };
        let malformed = |line: usize, reason: &str| Error::Manifest { path: path.into(), line, reason: reason.into() };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| Error::CreateFolder { path: folder.into(), source })?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(at)?;
        let mut before = BTreeMap::new();
        let mut complete = 0;
        let mut line = Vec::new();
        let mut reader = BufReader::new(&file);
        for number in 1.. {
            line.clear();
            reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(at)?;
            if line.len() as u64 == MAX_LINE_BYTES {
                return Err(malformed(number, "a line of more than 2 MiB"));
            }
            let Some(line) = line.strip_suffix(b"\n") else {
                if line.starts_with(LINE_START) || LINE_START.starts_with(&line) {
                    break;
                }
                return Err(malformed(number, "no line of a manifest"));
            };
            complete += line.len() as u64 + 1;
            if complete > MAX_MANIFEST_BYTES {
                return Err(malformed(number, "beyond the 256 MiB that a manifest may have"));
            }
            if line.is_empty() {
                continue;
            }
            let value: Value = serde_json::from_slice(line).map_err(|error| malformed(number, &error.to_string()))?;
            let entry = Entry::from_json(&value).ok_or_else(|| malformed(number, "a line of another kind"))?;
            // JSON is UTF-8.
            before.insert(entry.input, String::from_utf8_lossy(line).into_owned());
        }
        if !line.is_empty() {
            file.set_len(complete).map_err(at)?;
        }
        Ok(Self { path: path.into(), file: Mutex::new(file), before })
    }

    /// What the manifest said of a recording when it was opened.
    pub fn entry(&self, input: &str) -> Option<Entry> {
        let line = self.before.get(input)?;
        Entry::from_json(&serde_json::from_str(line).ok()?)
    }

    /// The files that it said were made when it was opened.
    pub fn outputs(&self) -> impl Iterator<Item = PathBuf> {
        let entry = |line: &String| Entry::from_json(&serde_json::from_str(line).ok()?);
        self.before.values().filter_map(entry).flat_map(|entry| entry.outputs).map(|(path, _)| path)
    }

    /// Adds a line, and waits until it is on the disk.
    ///
    /// # Errors
    /// [`Error::WriteFile`].
    pub fn add(&self, entry: &Entry) -> Result<()> {
        let at = |source| Error::WriteFile { path: self.path.clone(), source };
        let line = entry.line().map_err(|error| at(error.into()))?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let before = file.metadata().map(|metadata| metadata.len());
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        if let (Err(_), Ok(before)) = (&written, before) {
            // Where the disk is full, part of a line would spoil the next one.
            let _ = file.set_len(before);
        }
        written.map_err(at)
    }

    /// Ends a run: puts one line for each recording in the place of what was added, in the order of their names, so that
    /// runs that were interrupted, or in another order, end with the same file.
    ///
    /// # Errors
    /// Those of [`Manifest::open`], [`AtomicFile::create`] and [`AtomicFile::commit`].
    pub fn finish(self) -> Result<()> {
        let Self { path, file, before } = self;
        drop((file, before));
        let lines = Self::open(&path)?.before;
        let mut output = AtomicFile::create(&path, Existing::Replace)?;
        for line in lines.values() {
            let written = output.write_all(line.as_bytes()).and_then(|()| output.write_all(b"\n"));
            written.map_err(|source| Error::WriteFile { path: path.clone(), source })?;
        }
        output.commit()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(input: &str) -> Entry {
        Entry {
            input: input.into(),
            sha256: "ab".into(),
            parameters: json!({ "seed": "0" }),
            duration_s: 1.5,
            warnings: vec!["quiet".into()],
            ..Entry::default()
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_dropped_and_the_rest_is_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("run.jsonl");
        let manifest = Manifest::open(&path).expect("new");
        manifest.add(&entry("b")).expect("line");
        manifest.add(&entry("a")).expect("line");
        drop(manifest);
        let whole = std::fs::read(&path).expect("bytes");
        for n_bytes in whole.len() / 2 + 1..whole.len() {
            std::fs::write(&path, &whole[..n_bytes]).expect("cut");
            let manifest = Manifest::open(&path).expect("cut manifest");
            assert_eq!(manifest.entry("b"), Some(entry("b")), "cut to {n_bytes} bytes");
            assert_eq!(manifest.entry("a"), None, "cut to {n_bytes} bytes");
            manifest.add(&entry("a")).expect("line");
            drop(manifest);
            assert_eq!(std::fs::read(&path).expect("bytes"), whole, "cut to {n_bytes} bytes");
        }
    }

    #[test]
    fn every_line_starts_as_one_that_was_cut_off_is_known_by() {
        let failed = Entry { error: Some("no sound".into()), duration_s: -0.0, ..entry("a\n\"") };
        let done = Entry { outputs: vec![("out/a.wav".into(), 44)], duration_s: 1e300, ..entry("b") };
        for entry in [Entry::default(), failed, done] {
            let line = entry.line().expect("line");
            assert!(line.as_bytes().starts_with(LINE_START) && line.find('\n') == Some(line.len() - 1), "{line}");
            let value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(Entry::from_json(&value), Some(entry));
        }
    }

    #[test]
    fn runs_in_any_order_end_with_the_same_manifest() {
        let folder = tempfile::tempdir().expect("folder");
        let run = |name: &str, inputs: &[&str]| {
            let path = folder.path().join(name);
            let manifest = Manifest::open(&path).expect("new");
            inputs.iter().for_each(|input| manifest.add(&entry(input)).expect("line"));
            manifest.finish().expect("finish");
            std::fs::read_to_string(&path).expect("text")
        };
        assert_eq!(run("one", &["a", "b", "c"]), run("two", &["c", "a", "a", "b"]));
    }

    #[test]
    fn what_is_no_manifest_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("notes.txt");
        for text in ["milk", "milk\neggs\n", "{}\n", "{\"duration\"", "[1]\n", "{\"input\": 3}\n"] {
            std::fs::write(&path, text).expect("file");
            let error = Manifest::open(&path).expect_err(text);
            assert!(matches!(error, Error::Manifest { line: 1, .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
        }
    }

    #[test]
    fn shards_share_out_numbered_tracks_evenly() {
        let tracks: Vec<PathBuf> = (0..1000).map(|i| format!("album/track-{i:03}").into()).collect();
        for count in [2, 3, 8] {
            for index in 1..=count {
                let shard: Shard = format!("{index}/{count}").parse().expect("shard");
                let n_tracks = tracks.iter().filter(|track| shard.contains(track)).count();
                let fair = 1000 / count;
                assert!((fair * 7 / 10..=fair * 13 / 10).contains(&n_tracks), "{index}/{count}: {n_tracks} of 1000");
            }
        }
        for text in ["0/2", "3/2", "1/0", "a/b", "1", "/", "1/2/3", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_more_is_taken_than_the_budget_has() {
        let (budget, running) = (Budget::new(100), Mutex::new((0u64, 0u64)));
        std::thread::scope(|scope| {
            for bytes in [60, 30, 50, 1000, 10, 70, 40] {
                let (budget, running) = (&budget, &running);
                scope.spawn(move || {
                    budget.with(bytes, || {
                        let mut now = running.lock().expect("lock");
                        now.0 += bytes.min(100);
                        now.1 = now.1.max(now.0);
                        drop(now);
                        std::thread::sleep(std::time::Duration::from_millis(2));
                        running.lock().expect("lock").0 -= bytes.min(100);
                    });
                });
            }
        });
        let (left, most) = running.into_inner().expect("lock");
        assert!(left == 0 && most <= 100, "{most} bytes of 100 were taken");
    }

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").expect("file");
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(content_hash(&path).expect("hash"), expected);
    }
}
