//! Disks that are full, recordings that go away, folders that may not be written to: told with what to do, with nothing
//! half done under a final name, and the rest goes on.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use common::{Dir, stderr, stdout, tune};
use serde_json::Value;

/// The options that all separations here share: quick.
const QUICK: &[&str] = &["-n", "2", "-k", "3", "--max-iter", "5"];

/// Runs the program where the folder `disk` is a disk of its own of `size`, and lists what is left on it. `None`: this
/// user may not mount one.
fn on_a_disk_of(dir: &Dir, size: &str, args: &[&str]) -> Option<(Output, Vec<String>)> {
    let script = format!(
        "mount -t tmpfs -o size={size} none disk || exit 99; \"$0\" \"$@\"; code=$?; cd disk; find . -type f; \
         cat run.jsonl 2>/dev/null; exit $code"
    );
    fs::create_dir_all(dir.path("disk")).expect("folder");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_partita")]).args(args).current_dir(dir.0.path());
    let output = command.output().ok().filter(|output| output.status.code() != Some(99));
    let Some(output) = output.filter(|output| !stderr(output).contains("unshare failed")) else {
        eprintln!("skipped: this user may not mount a disk");
        return None;
    };
    let left = stdout(&output).lines().map(str::to_owned).collect();
    Some((output, left))
}

#[test]
fn a_disk_that_is_too_small_is_found_before_the_stems_are_made() {
    let dir = Dir::new();
    dir.tune("tune.wav");
    let args = [&["separate", "tune.wav", "-o", "disk/out"], QUICK].concat();
    let Some((output, left)) = on_a_disk_of(&dir, "32k", &args) else { return };
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("the stems take 0.1 MB") && message.contains("hint: free some space"), "{message}");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_disk_that_becomes_full_leaves_nothing_half_done() {
    let dir = Dir::new();
    // Two stems of 8 pages each fill the disk to the byte, and have headers.
    dir.wav("tune.wav", 8000, &[&tune], 8180);
    dir.wav("noise.wav", 8000, &[&|i| ((i * i) as f32).sin()], 30_000);
    let matrix: Vec<_> = (0..100).map(|i| format!("{i}{}", ",1.5".repeat(200))).collect();
    fs::write(dir.path("v.csv"), matrix.join("\n")).expect("matrix");
    let separate = [&["separate", "tune.wav", "-o", "disk/out"], QUICK].concat();
    let commands = [
        ("64k", &separate[..]),
        ("64k", &["hpss", "noise.wav", "-o", "disk/out", "--format", "flac"]),
        ("8k", &["learn", "tune=tune.wav", "-o", "disk/tune.safetensors", "--max-iter", "5"]),
        ("8k", &["spectrogram", "noise.wav", "-o", "disk/picture.png"]),
        ("8k", &["factorize", "v.csv", "-k", "30", "--max-iter", "5", "-o", "disk/factors.npz"]),
    ];
    for (size, args) in commands {
        let Some((output, left)) = on_a_disk_of(&dir, size, args) else { return };
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
        assert!(message.contains("cannot write `disk/") && message.contains("hint: free some space"), "{message}");
        assert!(left.is_empty(), "{args:?} left {left:?}");
    }
}

#[test]
fn a_manifest_on_a_full_disk_keeps_whole_lines_and_the_stems_are_made() {
    let dir = Dir::new();
    (0..12).for_each(|i| drop(dir.tune(&format!("in/{i:02}.wav"))));
    let args = [&["separate", "in", "-o", "out", "--manifest", "disk/run.jsonl"], QUICK].concat();
    let Some((output, left)) = on_a_disk_of(&dir, "4k", &args) else { return };
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("cannot write `disk/run.jsonl`") && message.contains("hint: free some space"),
        "{message}"
    );
    let (first, lines) = left.split_first().expect("what is on the disk");
    assert_eq!(first, "./run.jsonl");
    assert!((2..12).contains(&lines.len()), "{lines:?}");
    for line in lines {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let made = dir.files().into_iter().filter(|name| name.ends_with("source-2.wav")).count();
    assert_eq!(made, 12, "what could be separated is");
}

/// What happens to a folder in which the program is at work.
type Change<'a> = &'a dyn Fn(&Dir);

/// Starts a batch of three recordings, and changes the first or its folder as soon as it is opened.
fn disturbed(change: impl FnOnce(&Dir)) -> (Dir, String, Vec<Value>) {
    let dir = Dir::new();
    for name in ["in/1.wav", "in/2.wav", "in/3.wav"] {
        dir.wav(name, 44_100, &[&|i| tune(i / 4), &|i| tune(i / 5)], 4 * 44_100);
    }
    let args = ["separate", "in", "-o", "out", "-n", "2", "--max-iter", "30", "--tol", "0", "-j", "1", "-v"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_partita"))
        .args(args)
        .args(["--manifest", "run.jsonl"])
        .current_dir(dir.0.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("partita starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map(|line| line.expect("text"));
    let first = lines.next().expect("a line");
    assert!(first.starts_with("in/1.wav: 32-bit"), "{first}");
    change(&dir);
    let message = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().expect("ended").code(), Some(1), "{message}");
    let text = fs::read_to_string(dir.path("run.jsonl")).expect("manifest");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (dir, message, lines)
}

#[test]
fn a_recording_that_changes_or_goes_away_is_reported_and_the_rest_goes_on() {
    let gone = |dir: &Dir| fs::remove_file(dir.path("in/1.wav")).expect("removed");
    let other = |dir: &Dir| fs::rename(dir.tune("other"), dir.path("in/1.wav")).expect("replaced");
    let cut = |dir: &Dir| {
        let file = fs::OpenOptions::new().write(true).open(dir.path("in/1.wav")).expect("file");
        file.set_len(1000).expect("cut");
    };
    let same_length = |dir: &Dir| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let bytes = fs::read(dir.path("in/2.wav")).expect("bytes");
        fs::write(dir.path("in/1.wav"), bytes).expect("written");
    };
    let changes: [(&str, Change<'_>); 4] =
        [("gone", &gone), ("another", &other), ("cut off", &cut), ("written anew", &same_length)];
    for (what, change) in changes {
        let (dir, message, lines) = disturbed(change);
        let known = ["changed or went away while it was worked on", "is cut off", "is damaged"];
        assert!(known.iter().any(|text| message.contains(&format!("`in/1.wav` {text}"))), "{what}: {message}");
        assert!(message.contains("hint: ") && message.contains("2 of 3 separated"), "{what}: {message}");
        let stems: Vec<_> = dir.files().into_iter().filter(|name| name.starts_with("out/")).collect();
        assert_eq!(
            stems,
            ["2/source-1", "2/source-2", "3/source-1", "3/source-2"].map(|s| format!("out/{s}.wav")),
            "{what}"
        );
        assert!(lines[0]["error"].is_string() && lines[1]["error"].is_null(), "{what}: {lines:?}");
    }
}

#[test]
fn a_folder_that_goes_away_costs_the_stems_that_were_to_go_there() {
    // A file stands where the stems of the first are to go.
    let (dir, message, lines) = disturbed(|dir| {
        fs::create_dir_all(dir.path("out")).expect("folder");
        fs::write(dir.path("out/1"), "in the way").expect("file");
    });
    assert!(
        message.contains("cannot create the folder `out/1`") && message.contains("hint: a file is where"),
        "{message}"
    );
    assert!(message.contains("2 of 3 separated"), "{message}");
    assert!(dir.path("out/3/source-2.wav").exists() && lines[0]["error"].is_string(), "{lines:?}");
}

#[test]
fn a_folder_that_may_not_be_written_to_is_found_before_any_work() {
    let dir = Dir::new();
    dir.tune("tune.wav");
    fs::create_dir(dir.path("out")).expect("folder");
    fs::set_permissions(dir.path("out"), fs::Permissions::from_mode(0o500)).expect("permissions");
    let args = [&["separate", "tune.wav", "-o", "out/x"], QUICK].concat();
    let root = fs::write(dir.path("out/probe"), "").is_ok();
    if root {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    let message = dir.fails(&args, 1);
    assert!(message.contains("cannot write `out/x`") && message.contains("hint: choose a folder"), "{message}");
}

#[test]
fn files_that_belong_together_get_their_names_together_or_not_at_all() {
    use partita::atomic::{AtomicFile, Existing, commit_all};
    let dir = Dir::new();
    let files = |existing| ["a", "b", "c"].map(|name| AtomicFile::create(&dir.path(name), existing).expect("file"));
    let unfinished = files(Existing::Refuse);
    fs::write(dir.path("b"), "of another program").expect("file");
    let error = commit_all(unfinished.into()).expect_err("there is one");
    assert!(matches!(&error, partita::Error::FileExists { path } if *path == dir.path("b")), "{error}");
    assert_eq!(dir.files(), ["b"]);
    commit_all(files(Existing::Replace).into()).expect("all three");
    assert_eq!(dir.files(), ["a", "b", "c"]);
    assert_eq!(fs::read(dir.path("b")).expect("bytes"), b"");
}
