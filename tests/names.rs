//! Names of files that nobody expects: what is read is found, what is written stays in its folder, and a terminal is told
//! nothing but text.
#![cfg(unix)]

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::{Dir, stderr, stdout};
use serde_json::Value;

/// The options that all runs here share: quick.
const QUICK: &[&str] = &["-n", "2", "-k", "3", "--max-iter", "5"];

fn separate(dir: &Dir, args: &[&OsStr]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
    command.arg("separate").args(QUICK).args(args).current_dir(dir.0.path()).output().expect("partita runs")
}

fn separate_text(dir: &Dir, args: &[&str]) -> Output {
    separate(dir, &args.iter().map(OsStr::new).collect::<Vec<_>>())
}

/// A recording under any name.
fn tune(dir: &Dir, name: &OsStr) -> PathBuf {
    let path = dir.0.path().join(name);
    fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    fs::rename(dir.tune("tune.tmp"), &path).expect("renamed");
    path
}

fn bytes(name: &[u8]) -> OsString {
    OsString::from_vec(name.to_vec())
}

fn lines(dir: &Dir) -> Vec<Value> {
    let text = fs::read_to_string(dir.path("run.jsonl")).expect("manifest");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn no_name_reaches_the_terminal_as_it_is() {
    let dir = Dir::new();
    let name = "a\nb\tc\u{1b}[31m\u{202e}.wav";
    fs::write(dir.path(name), "no sound").expect("file");
    let bad = separate_text(&dir, &[name, "-v"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad).contains(r"`a\nb\tc\u{1b}[31m\u{202e}.wav`"), "{}", stderr(&bad));
    tune(&dir, name.as_ref());
    tune(&dir, "in/x/two\r\u{9b}31m.wav".as_ref());
    let good = separate_text(&dir, &[name, "in", "-o", "out\u{7}", "-v", "--clip-mode", "rescale"]);
    assert!(good.status.success(), "{}", stderr(&good));
    for text in [stderr(&bad), stderr(&good), stdout(&good)] {
        let raw: Vec<_> = text.chars().filter(|c| c.is_control() && *c != '\n' || *c == '\u{202e}').collect();
        assert!(raw.is_empty(), "{raw:?} in {text:?}");
        assert!(text.lines().all(|line| !line.starts_with("b\\t")), "a name was broken: {text}");
    }
}

#[test]
fn names_may_begin_with_a_dash() {
    let dir = Dir::new();
    for name in ["-x.wav", "in/-y.wav", "-"] {
        tune(&dir, name.as_ref());
    }
    fs::write(dir.path("list"), "-x.wav\nin/-y.wav\n").expect("list");
    for (i, args) in
        [&["./-x.wav"][..], &["--", "-x.wav"], &["--files-from", "list"], &["in"], &["./-"]].iter().enumerate()
    {
        let out = format!("-o=out{i}");
        let output = separate_text(&dir, &[&[&out[..]], *args].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }
    let stems: Vec<_> = dir.files().into_iter().filter(|name| name.ends_with("source-1.wav")).collect();
    let expected = ["out0/-x", "out1/-x", "out2/-x", "out2/in/-y", "out3/-y", "out4/-"];
    assert_eq!(stems, expected.map(|track| format!("{track}/source-1.wav")));
}

#[test]
fn the_longest_names_are_taken_and_longer_ones_are_the_failure_of_one_file() {
    let dir = Dir::new();
    let long = "x".repeat(251);
    tune(&dir, format!("in/{long}.wav").as_ref());
    tune(&dir, "in/short.wav".as_ref());
    let output = separate_text(&dir, &["in", "-o", "out", "--force"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(dir.path(&format!("out/{long}/source-2.wav")).exists());
    let output =
        separate_text(&dir, &["in", "-o", "flat", "--filename", "{track}-{stem}.{ext}", "--manifest", "run.jsonl"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("1 of 2 separated") && message.contains("shorten the name"), "{message}");
    assert!(dir.path("flat/short-source-1.wav").exists());
    assert_eq!(lines(&dir).iter().filter(|line| line["error"].is_string()).count(), 1);
}

#[test]
fn names_that_are_no_text_are_kept_told_apart_and_resumed() {
    let dir = Dir::new();
    // The second is what the first looks like where it is shown.
    let names = [&b"\xff.wav"[..], b"\\xff.wav", b"\xfe\n.wav", b"a\\b.wav"];
    for name in names {
        tune(&dir, &bytes(&[b"in/", name].concat()));
    }
    let out = bytes(b"out-\xf0");
    let args: [&OsStr; 6] =
        ["in".as_ref(), "-o".as_ref(), &out, "--manifest".as_ref(), "run.jsonl".as_ref(), "--resume".as_ref()];
    let output = separate(&dir, &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let stem =
        |name: &[u8]| dir.0.path().join(&out).join(OsStr::from_bytes(name)).with_extension("").join("source-1.wav");
    let made = |name: &[u8]| fs::metadata(stem(name)).and_then(|file| file.modified()).expect("a stem");
    let before = names.map(made);
    let inputs: std::collections::BTreeSet<_> = lines(&dir).iter().map(|line| line["input"].to_string()).collect();
    assert_eq!(inputs.len(), names.len(), "{inputs:?}");
    std::thread::sleep(Duration::from_millis(20));
    let again = separate(&dir, &args);
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(stderr(&again).matches("done before").count(), names.len(), "{}", stderr(&again));
    assert_eq!(names.map(made), before);
    // In lists, and with a template of another kind.
    fs::write(dir.path("list"), names.map(|name| [b"in/", name].concat()).join(&0)).expect("list");
    let flat: [&OsStr; 6] =
        ["--files-from", "list", "-o", "flat", "--filename", "x-{track}-{stem}.{ext}"].map(OsStr::new);
    let output = separate(&dir, &flat);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(dir.0.path().join(OsStr::from_bytes(b"flat/x-in/\xff-source-1.wav")).exists(), "{:?}", dir.files());
}

#[test]
fn loops_pipes_and_sockets_in_a_folder_hold_nothing_up() {
    let dir = Dir::new();
    tune(&dir, "in/a/song.wav".as_ref());
    symlink("..", dir.path("in/a/up")).expect("link");
    symlink("../in", dir.path("in/self")).expect("link");
    symlink("b.wav", dir.path("in/b.wav")).expect("a link to itself");
    symlink("/dev/zero", dir.path("in/zero.wav")).expect("link");
    let _socket = UnixListener::bind(dir.path("in/socket.wav")).expect("socket");
    assert!(Command::new("mkfifo").arg(dir.path("in/pipe.wav")).status().expect("mkfifo").success());
    let started = Instant::now();
    let output = separate_text(&dir, &["in", "-o", "out"]);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("1 of 2 separated") && message.contains("in/b.wav"), "{message}");
    assert!(dir.path("out/a/song/source-1.wav").exists());
}

#[test]
fn nothing_is_written_outside_the_output_folder() {
    let dir = Dir::new();
    for name in ["in/...wav", "in/..wav", "in/x/....wav", "in/x/{stem}.wav", "y.wav"] {
        tune(&dir, name.as_ref());
    }
    fs::write(dir.path("list"), "in/../in/x/../../y.wav\n").expect("list");
    let before = dir.files();
    for args in [&["in"][..], &["--files-from", "list"], &["in/../[y].wav"], &["in/*/../../y.wav"]] {
        let output = separate_text(&dir, &[args, &["-o", "deep/out", "--force"]].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        let outside: Vec<_> =
            dir.files().into_iter().filter(|name| !before.contains(name) && !name.starts_with("deep/out/")).collect();
        assert!(outside.is_empty(), "{args:?}: {outside:?}");
    }
    assert!(dir.path("deep/out/x/{stem}/source-1.wav").exists(), "{:?}", dir.files());
    for args in [
        &["separate", "y.wav", "--example", "../../x=y.wav"][..],
        &["drums", "y.wav", "--kit", "../x=y.wav"],
        &["learn", "../x=y.wav", "-o", "x.safetensors"],
        &["separate", "y.wav", "--filename", "../{stem}.wav"],
        &["separate", "y.wav", "--filename", "/tmp/{stem}.wav"],
    ] {
        dir.fails(args, 2);
    }
}

#[test]
fn names_in_labels_stay_in_their_folder() {
    let dir = Dir::new();
    dir.tune("y.wav");
    dir.succeeds(&[&["separate", "y.wav", "-o", "out", "--labels-out", "y.toml"], QUICK].concat());
    let labels = fs::read_to_string(dir.path("y.toml")).expect("labels");
    fs::write(dir.path("y.toml"), labels.replacen("name = \"\"", "name = \"../../x\"", 1)).expect("labels");
    let message = dir.fails(&["separate", "y.wav", "--labels", "y.toml", "-o", "named"], 1);
    assert!(message.contains("the name `../../x`, which no file can have"), "{message}");
}

#[test]
fn inputs_that_would_share_their_stems_are_refused_before_any_work() {
    let dir = Dir::new();
    for name in ["in/a.wav", "in/a.flac", "in/a.flac.wav", "b.wav", "c/b.wav", "out/d/source-1.wav"] {
        tune(&dir, name.as_ref());
    }
    let message = dir.fails(&["separate", "in"], 2);
    assert!(message.contains("`in/a.flac` and `in/a.flac.wav`"), "{message}");
    fs::remove_file(dir.path("in/a.flac.wav")).expect("file");
    dir.succeeds(&[&["separate", "in", "-o", "apart"], QUICK].concat());
    assert!(dir.path("apart/a.wav/source-1.wav").exists() && dir.path("apart/a.flac/source-1.wav").exists());
    let message = dir.fails(&["separate", "b.wav", "in/a.wav", "--filename", "{stem}.{ext}", "-n", "2"], 2);
    assert!(message.contains("`b.wav` and `in/a.wav`") && message.contains("{track}"), "{message}");
    let before = fs::read(dir.path("out/d/source-1.wav")).expect("bytes");
    let message =
        dir.fails(&["separate", "out/d/source-1.wav", "--filename", "d/{stem}.{ext}", "-o", "out", "--force"], 2);
    assert!(message.contains("would be replaced, and is to be read"), "{message}");
    // Through a link, and where the number of sources is not known beforehand.
    symlink("out", dir.path("link")).expect("link");
    let args = ["separate", "out/d/source-1.wav", "--filename", "d/{stem}.{ext}", "-o", "link", "--force", "-n", "3"];
    dir.fails(&args, 2);
    assert_eq!(fs::read(dir.path("out/d/source-1.wav")).expect("bytes"), before);
}

#[test]
fn a_path_comes_back_from_its_text_in_a_manifest() {
    for name in
        [&b"a.wav"[..], b"\xff", b"\\xff", b"\\x5cxff\xfe", b"\\", b"a\\x", b"\\x\xe9", b"\xe2\x82", "é\n".as_bytes()]
    {
        let path = PathBuf::from(bytes(name));
        let text = partita::batch::text(&path);
        assert_eq!(partita::batch::path_of(&text), path, "{text}");
    }
}
