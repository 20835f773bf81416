//! Ctrl-C at any moment: the program is gone within a second, and what is under a final name is whole and complete.
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::{Dir, tune};
use serde_json::Value;

const SIGINT: i32 = 2;

/// The end comes within a second; this much is for machines that do other things meanwhile.
const LIMIT: Duration = Duration::from_secs(3);

/// How many moments are tried of each command, spread over the time that it takes.
const N_MOMENTS: u32 = 6;

type Files = BTreeMap<String, Vec<u8>>;

/// A folder in memory where there is one: the files of hundreds of runs are written to the disk itself.
fn folder() -> Dir {
    tempfile::tempdir_in("/dev/shm").map_or_else(|_| Dir::new(), Dir)
}

/// What is in the folder, temporary files too.
fn files(dir: &Dir) -> Files {
    let read = |name: String| {
        let bytes = fs::read(dir.path(&name)).expect("bytes");
        (name, bytes)
    };
    dir.files().into_iter().map(read).collect()
}

/// Starts the program with temporary files in a folder of the test. `wrapper`: a program that turns into it, or nothing.
fn spawn(dir: &Dir, wrapper: &[&str], args: &[&str]) -> Child {
    let line = [wrapper, &[env!("CARGO_BIN_EXE_partita")], args].concat();
    fs::create_dir_all(dir.path("tmp")).expect("folder");
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(dir.0.path()).env("TMPDIR", dir.path("tmp"));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("partita starts")
}

/// Sends a signal, and waits for the end. Returns how it came, and after what time.
fn stop(child: &mut Child, signal: &str) -> (ExitStatus, Duration) {
    let asked = Instant::now();
    Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    (child.wait().expect("ended"), asked.elapsed())
}

/// Runs a command to its end, then interrupts it at moments of that time, each in the same folder. After each, files of
/// the undisturbed run are there, byte for byte, or are not; those of which `set` says the same are there together. Returns
/// how often the signal came in time.
#[must_use]
fn check(dir: &Dir, wrapper: &[&str], args: &[&str], set: fn(&str) -> Option<String>) -> u32 {
    let before = files(dir);
    let started = Instant::now();
    let status = spawn(dir, wrapper, args).wait().expect("ended");
    let duration = started.elapsed();
    assert!(status.success(), "{args:?}: {status}");
    let mut made = files(dir);
    made.retain(|name, _| !before.contains_key(name));
    assert!(!made.is_empty() || args[0] == "evaluate", "{args:?} made nothing");
    let mut n_stopped = 0;
    for moment in 1..=N_MOMENTS {
        if !args.contains(&"--force") {
            made.keys().for_each(|name| drop(fs::remove_file(dir.path(name))));
        }
        let mut child = spawn(dir, wrapper, args);
        let pause = duration * moment / (N_MOMENTS + 1);
        std::thread::sleep(pause);
        let (status, elapsed) = stop(&mut child, "-INT");
        let about = format!("{args:?} after {pause:?}");
        assert!(elapsed < LIMIT, "{about}: it took {elapsed:?} to end");
        // In its first moments a program does not listen yet.
        assert!(matches!(status.code(), Some(0 | 130)) || status.signal() == Some(SIGINT), "{about}: {status}");
        n_stopped += u32::from(status.code() == Some(130));
        let mut found = files(dir);
        found.retain(|name, _| !before.contains_key(name));
        for (name, bytes) in &found {
            if name.ends_with(".jsonl") {
                let is_json = |line: &[u8]| serde_json::from_slice::<Value>(line).is_ok();
                assert!(bytes.split_inclusive(|b| *b == b'\n').all(is_json), "{about}: {name}");
                continue;
            }
            let expected = made.get(name).unwrap_or_else(|| panic!("{about}: {name} was left"));
            assert!(bytes == expected, "{about}: {name} is not whole");
            let siblings = made.keys().filter(|other| set(name).is_some() && set(other) == set(name));
            let missing: Vec<_> = siblings.filter(|other| !found.contains_key(*other)).collect();
            assert!(missing.is_empty(), "{about}: {name} is there without {missing:?}");
        }
    }
    n_stopped
}

/// The stems of one recording, wherever below its folder.
fn stems(name: &str) -> Option<String> {
    let mut parts =
        name.split('/').filter(|_| name.ends_with(".wav") || name.ends_with(".flac") || name.ends_with(".mid"));
    (parts.next()? == "out").then(|| parts.next().map(str::to_owned)).flatten()
}

fn song(dir: &Dir, name: &str, seconds: usize) {
    dir.wav(name, 44_100, &[&|i| tune(i / 4), &|i| tune(i / 3)], 44_100 * seconds);
}

#[test]
fn separate_can_be_interrupted_at_any_moment() {
    let dir = folder();
    song(&dir, "song.wav", 2);
    let args = ["separate", "song.wav", "-n", "2", "-k", "6", "--max-iter", "20", "-o", "out", "--components-out"];
    assert!(check(&dir, &[], &[&args[..], &["--plot", "--int24"]].concat(), stems) > 0, "it was never interrupted");
}

#[test]
fn a_batch_can_be_interrupted_at_any_moment() {
    let dir = folder();
    (0..4).for_each(|i| song(&dir, &format!("in/{i}.wav"), 1));
    let args = ["hpss", "in", "-o", "out", "-j", "2", "--format", "flac", "--manifest", "run.jsonl"];
    assert!(check(&dir, &[], &args, stems) > 0, "it was never interrupted");
}

#[test]
fn drums_and_denoise_can_be_interrupted_at_any_moment() {
    let dir = folder();
    song(&dir, "song.wav", 3);
    let n_stopped = check(&dir, &[], &["drums", "song.wav", "-o", "out", "--midi-out"], stems)
        + check(&dir, &[], &["denoise", "song.wav", "-o", "out/2", "--noise-range", "0-0.5"], stems);
    assert!(n_stopped > 0, "they were never interrupted");
}

#[test]
fn what_writes_one_file_can_be_interrupted_at_any_moment() {
    let dir = folder();
    song(&dir, "song.wav", 2);
    let lines = (0..300).map(|i| (0..300).map(|k| ((i * k) % 17).to_string()).collect::<Vec<_>>().join(","));
    fs::write(dir.path("v.csv"), lines.collect::<Vec<_>>().join("\n")).expect("matrix");
    let learn = ["learn", "tune=song.wav", "-o", "tune.safetensors", "--max-iter", "10"];
    let mut n_stopped = check(&dir, &[], &learn, |_| None);
    n_stopped += check(&dir, &[], &["spectrogram", "song.wav", "-o", "picture.png"], |_| None);
    let args = ["factorize", "v.csv", "-k", "100", "--max-iter", "60", "--tol", "0", "-o", "factors.npz"];
    n_stopped += check(&dir, &[], &args, |_| None);
    dir.wav("a/x.wav", 44_100, &[&tune], 44_100);
    dir.wav("b/x.wav", 44_100, &[&|i| 0.5 * tune(i)], 44_100);
    n_stopped += check(&dir, &[], &["evaluate", "-r", "a", "-e", "b", "--mode", "sources"], |_| None);
    // Some of these take less time than it takes to send a signal.
    assert!(n_stopped > 0, "they were never interrupted");
}

#[test]
fn temporary_names_are_removed_where_files_cannot_be_without_one() {
    // Files without a name get theirs through `/proc`.
    let wrapper = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /proc && exec \"$0\" \"$@\""];
    let works = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not hide /proc");
        return;
    }
    let dir = folder();
    (0..2).for_each(|i| song(&dir, &format!("in/{i}.wav"), 2));
    let mut n_stopped = check(&dir, &wrapper, &["hpss", "in", "-o", "out", "-j", "2"], stems);
    fs::remove_dir_all(dir.path("out")).expect("removed");
    n_stopped += check(&dir, &wrapper, &["hpss", "in", "-o", "out", "-j", "2", "--force"], stems);
    assert!(n_stopped > 0, "they were never interrupted");
}

#[test]
fn work_that_waits_for_a_pipe_ends_too() {
    let dir = folder();
    song(&dir, "song.wav", 1);
    for args in [["separate", "-"], ["separate", "--files-from=-"]] {
        let mut child = spawn(&dir, &[], &args);
        let mut stdin = child.stdin.take().expect("pipe");
        stdin.write_all(b"RIFF").expect("the beginning of a recording");
        std::thread::sleep(Duration::from_millis(300));
        let (status, elapsed) = stop(&mut child, "-INT");
        assert_eq!(status.code(), Some(130), "{args:?}");
        assert!(elapsed < LIMIT, "{args:?}: {elapsed:?}");
        assert_eq!(dir.files(), ["song.wav"], "{args:?}");
    }
}

#[test]
fn a_closed_terminal_does_not_end_what_is_to_outlive_it() {
    let dir = folder();
    song(&dir, "song.wav", 1);
    let recording = fs::read(dir.path("song.wav")).expect("bytes");
    let args = ["separate", "-", "-n", "2", "--max-iter", "5", "-o", "out"];
    // Both wait for their input when the signal comes.
    let start = Duration::from_millis(500);
    let mut child = spawn(&dir, &[], &args);
    let stdin = child.stdin.take().expect("pipe");
    std::thread::sleep(start);
    assert_eq!(stop(&mut child, "-TERM").0.code(), Some(143));
    drop(stdin);
    let mut child = spawn(&dir, &["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""], &args);
    std::thread::sleep(start);
    Command::new("kill").args(["-HUP", &child.id().to_string()]).status().expect("kill");
    child.stdin.take().expect("pipe").write_all(&recording).expect("it listens");
    assert_eq!(child.wait().expect("ended").code(), Some(0), "it outlives its terminal");
    assert!(dir.path("out/stdin/source-2.wav").exists(), "{:?}", dir.files());
}
