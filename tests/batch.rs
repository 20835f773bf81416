//! Many recordings at once: bad files, interruptions and shares never change what comes of the others.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Dir, stderr, tune};
use ndarray::{Axis, concatenate};
use partita::Audio;
use partita::Score;
use partita::audio::decode::{self, Reader};
use partita::audio::encode::{self, EncodeConfig};
use partita::audio::tags::{Cue, Tags};
use partita::knowledge::score::{Note, Part};
use serde_json::Value;

/// The options that all runs here share: quick, and two at once.
const QUICK: &[&str] = &["-n", "2", "-k", "3", "--max-iter", "10", "-j", "2", "-q"];

/// A tree of short recordings, every fifth of them broken in a way of its own. Returns how many are good and bad.
fn tree(dir: &Dir, n_files: usize) -> (usize, usize) {
    let mut n_bad = 0;
    for i in 0..n_files {
        let name = format!("in/a{}/t{i:02}.wav", i % 3);
        dir.wav(&name, 8000, &[&|n| tune(n + 100 * i)], 3000);
        if i % 5 != 4 {
            continue;
        }
        let path = dir.path(&name);
        match n_bad % 5 {
            0 => fs::write(&path, "").expect("empty"),
            1 => fs::write(&path, "no sound").expect("text"),
            2 => {
                let whole = fs::read(&path).expect("bytes");
                fs::write(&path, &whole[..whole.len() / 2]).expect("cut");
            }
            3 => drop(dir.wav(&name, 8000, &[&|_| 0.1], 30)),
            _ => drop(dir.wav(&name, 8000, &[&|n| if n == 7 { f32::NAN } else { 0.1 }], 3000)),
        }
        n_bad += 1;
    }
    (n_files - n_bad, n_bad)
}

fn arguments<'a>(out: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["separate", "in", "-o", out][..], QUICK, rest].concat()
}

/// The content of every file below a folder.
fn contents(dir: &Dir, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let below = dir.files().into_iter().filter_map(|name| {
        let rest = name.strip_prefix(folder)?.strip_prefix('/')?.to_owned();
        Some((rest, fs::read(dir.path(&name)).expect("bytes")))
    });
    below.collect()
}

fn lines(dir: &Dir, manifest: &str) -> Vec<Value> {
    let text = fs::read_to_string(dir.path(manifest)).expect("manifest");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn spawn(dir: &Dir, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_partita"))
        .args(args)
        .current_dir(dir.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("partita starts")
}

#[test]
fn bad_files_are_reported_and_the_others_are_done() {
    let dir = Dir::new();
    let (n_good, n_bad) = tree(&dir, 25);
    let output = dir.partita(&arguments("out", &["--manifest", "run.jsonl"]));
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&format!("{n_good} of {} separated", n_good + n_bad)), "{message}");
    assert_eq!(contents(&dir, "out").len(), 2 * n_good, "two stems of each");
    let lines = lines(&dir, "run.jsonl");
    assert_eq!(lines.len(), n_good + n_bad);
    for line in &lines {
        let (failed, n_outputs) = (!line["error"].is_null(), line["outputs"].as_array().expect("list").len());
        assert_eq!(n_outputs, if failed { 0 } else { 2 }, "{line}");
        assert_eq!(line["sha256"].as_str().map(str::len), Some(64), "{line}");
    }
    assert_eq!(lines.iter().filter(|line| !line["error"].is_null()).count(), n_bad);
}

#[test]
fn a_run_that_is_killed_and_resumed_ends_as_an_undisturbed_one() {
    let dir = Dir::new();
    tree(&dir, 20);
    dir.partita(&arguments("out", &["--manifest", "run.jsonl"]));
    let (expected, expected_lines) = (contents(&dir, "out"), lines(&dir, "run.jsonl"));
    fs::remove_dir_all(dir.path("out")).expect("removed");
    fs::remove_file(dir.path("run.jsonl")).expect("removed");
    let args = arguments("out", &["--manifest", "run.jsonl", "--resume"]);
    let mut was_interrupted = false;
    for pause_ms in [20, 50, 90, 140, 35] {
        let mut child = spawn(&dir, &args);
        std::thread::sleep(Duration::from_millis(pause_ms));
        child.kill().expect("killed");
        was_interrupted |= child.wait().expect("ended").code().is_none();
        for (name, bytes) in contents(&dir, "out") {
            // What has its final name is whole, whenever the end came.
            if !name.ends_with(".tmp") {
                assert_eq!(Some(&bytes), expected.get(&name), "{name} after {pause_ms} ms");
            }
        }
    }
    assert!(was_interrupted, "no run was killed before its end");
    dir.partita(&args);
    let mut found = contents(&dir, "out");
    found.retain(|name, _| !name.ends_with(".tmp"));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected, "the stems are the same");
    assert_eq!(lines(&dir, "run.jsonl"), expected_lines);
}

#[test]
fn resuming_does_again_what_changed_and_nothing_else() {
    let dir = Dir::new();
    for name in ["in/one.wav", "in/two.wav", "in/three.wav"] {
        dir.tune(name);
    }
    let args = arguments("out", &["--manifest", "run.jsonl", "--resume"]);
    dir.succeeds(&args);
    let made = |name: &str| fs::metadata(dir.path(name)).and_then(|metadata| metadata.modified()).expect("time");
    let stems = ["out/one/source-1.wav", "out/two/source-1.wav", "out/three/source-1.wav"];
    let before = stems.map(made);
    std::thread::sleep(Duration::from_millis(20));
    dir.wav("in/two.wav", 8000, &[&|i| tune(3 * i)], 8000);
    fs::remove_file(dir.path("out/three/source-1.wav")).expect("removed");
    dir.succeeds(&args);
    let after = stems.map(made);
    assert_eq!(after[0], before[0], "nothing changed");
    assert!(after[1] > before[1], "the recording changed");
    assert!(after[2] > before[2], "a stem was gone");
    let other = [&args[..], &["--seed", "3"]].concat();
    dir.succeeds(&other);
    assert!(made(stems[0]) > after[0], "an option changed");
}

#[test]
fn shards_together_are_the_whole() {
    let dir = Dir::new();
    tree(&dir, 20);
    dir.partita(&arguments("whole", &[]));
    for shard in ["1/3", "2/3", "3/3"] {
        let before = contents(&dir, "parts").len();
        dir.partita(&arguments("parts", &["--shard", shard]));
        assert!(contents(&dir, "parts").len() > before, "{shard} has no share");
    }
    assert!(contents(&dir, "whole") == contents(&dir, "parts"));
}

#[test]
fn inputs_come_from_lists_and_patterns() {
    let dir = Dir::new();
    dir.tune("in/a/song.wav");
    dir.tune("in/b/song.wav");
    fs::write(dir.path("list"), "in/a/song.wav\nin/b/song.wav\n").expect("list");
    dir.succeeds(&[&["separate", "--files-from", "list", "-o", "one"], QUICK].concat());
    assert_eq!(contents(&dir, "one").len(), 4, "{:?}", dir.files());
    dir.succeeds(&[&["separate", "in/**/*.wav", "-o", "two"], QUICK].concat());
    assert!(dir.path("two/a/song/source-1.wav").exists(), "{:?}", dir.files());
    let output =
        dir.partita_with(&[&["separate", "--files-from", "-", "-o", "three"], QUICK].concat(), b"in/a/song.wav\0");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(contents(&dir, "three").len(), 2, "{:?}", dir.files());
}

#[test]
fn what_earlier_runs_wrote_is_no_recording() {
    let run = |dir: &Dir, args: &[&str], n_left_out: usize| {
        let message = stderr(&dir.succeeds(args));
        let told = match n_left_out {
            0 => !message.contains("left out"),
            n => message.contains(&format!("left out: {n} written by earlier runs; ")),
        };
        assert!(told, "{args:?}: expected {n_left_out} in {message}");
        dir.files()
    };
    let new = || {
        let dir = Dir::new();
        ["song.wav", "song_2.wav", "a/song.wav"].iter().for_each(|name| drop(dir.tune(name)));
        dir
    };
    for (out, filename) in [
        ("separated", "{track}/{stem}.{ext}"),
        ("x/y", "{track}/{stem}.{ext}"),
        (".", "{track}/{stem}.{ext}"),
        (".", "{track}_{stem}.{ext}"),
        (".", "{stem} of {track}.{ext}"),
    ] {
        let dir = new();
        let hpss = ["hpss", ".", "-o", out, "--filename", filename, "-f"];
        let once = run(&dir, &hpss, 0);
        assert_eq!(run(&dir, &hpss, 6), once, "{filename} in {out}");
    }
    let dir = new();
    run(&dir, &["hpss", "."], 0);
    let resumed = ["hpss", ".", "-o", ".", "--manifest", "m.jsonl", "--resume"];
    let once = run(&dir, &resumed, 6);
    assert_eq!(run(&dir, &resumed, 12), once);
    run(&dir, &["denoise", "**/*.wav", "--content", "any", "-o", "clean"], 12);
    let list: Vec<_> = dir.files().into_iter().filter(|name| name.ends_with(".wav")).collect();
    fs::write(dir.path("list"), list.join("\n")).expect("list");
    run(&dir, &["hpss", "--files-from", "list", "-f"], 18);
    // Whoever names a stem, or walks through stems, wants these.
    run(&dir, &["hpss", "separated/song/harmonic.wav", "-o", "named"], 0);
    run(&dir, &["hpss", "separated/*/percussive.wav"], 0);
    run(&dir, &["hpss", "clean", "-o", "again"], 0);
    assert!(dir.path("again/song/noise/harmonic.wav").exists(), "{:?}", dir.files());
}

#[test]
fn stems_of_any_name_are_known_by_the_manifest_and_folders_named_like_tracks_are_walked() {
    let dir = Dir::new();
    dir.tune("song.wav");
    dir.tune("song/one.wav");
    let separate = ["separate", ".", "--example", "flute=song.wav", "--example", "bass=song/one.wav", "-o", "x"];
    dir.succeeds(&[&separate[..], &["--max-iter", "2", "--transpose", "0", "--manifest", "m.jsonl"]].concat());
    let message = stderr(&dir.succeeds(&["hpss", ".", "--dry-run", "--manifest", "m.jsonl"]));
    assert!(message.contains("left out: 4 written by earlier runs"), "{message}");
    let message = stderr(&dir.succeeds(&["hpss", ".", "--dry-run"]));
    assert!(!message.contains("left out") && message.contains("6 of 6 would be separated"), "{message}");
    for name in ["song/one.wav", "x/song/flute.wav"] {
        assert!(message.contains(&format!("{name}: would be separated")), "`{name}` can be a recording: {message}");
    }
    fs::remove_file(dir.path("song.wav")).expect("removed");
    fs::remove_file(dir.path("song/one.wav")).expect("removed");
    let message = dir.fails(&["hpss", ".", "-o", "x"], 2);
    assert!(message.contains("no recording is left (left out: 4 written by earlier runs)"), "{message}");
}

#[test]
fn the_usual_folder_of_stems_is_passed_over_whatever_the_options() {
    let dir = Dir::new();
    dir.tune("a/song.wav");
    let told = |args: &[&str]| stderr(&dir.succeeds(args)).contains("left out: 2 written by earlier runs");
    dir.succeeds(&["hpss", ".", "--filename", "{stem}-{track}.{ext}"]);
    assert!(told(&["hpss", ".", "--format", "flac", "-o", "x"]), "{:?}", dir.files());
    assert!(told(&["spectrogram", ".", "-o", "pictures"]), "{:?}", dir.files());
    assert!(told(&["hpss", "**/*.wav", "--dry-run", "--filename", "{stem}/{track}.{ext}"]), "{:?}", dir.files());
    assert!(!told(&["spectrogram", "separated", "-o", "pictures", "-f"]), "walking the folder itself takes its files");
}

#[test]
fn what_systems_leave_in_folders_is_passed_over() {
    let dir = Dir::new();
    dir.tune("in/song.wav");
    for name in ["._song.wav", ".hidden.wav", "@eaDir/song.wav/x.wav", ".Trash-1000/files/old.wav", "new.wav.part"] {
        let path = dir.path("in").join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, "no sound").expect("file");
    }
    fs::write(dir.path("in/~song.wav"), "").expect("file");
    fs::write(dir.path("in/.DS_Store"), "").expect("file");
    fs::write(dir.path("in/song.wav.asd"), "").expect("file");
    let message = stderr(&dir.succeeds(&["hpss", "in", "-v"]));
    assert!(message.contains("left out: 6 hidden or left there by systems and programs:\n"), "{message}");
    assert!(message.contains("  in/@eaDir\n") && message.contains("  in/new.wav.part\n"), "{message}");
    let message = stderr(&dir.succeeds(&["hpss", "in/*.wav", "-f"]));
    assert!(message.contains("left out: 3 hidden"), "{message}");
    let message = stderr(&dir.succeeds(&["hpss", "in/*", "-f"]));
    let told = "left out: 5 hidden or left there by systems and programs, 1 without the ending of a recording; ";
    assert!(message.contains(told), "{message}");
    fs::write(dir.path("list"), "file,title\rin/._song.wav,a\rin/song.wav,b\r").expect("list");
    let message = stderr(&dir.succeeds(&["hpss", "--files-from", "list", "-o", "listed"]));
    let told = "left out: 1 hidden or left there by systems and programs, 1 taken for the heading of the list; ";
    assert!(message.contains(told), "{message}");
    let message = dir.fails(&["hpss", "in/._song.wav"], 1);
    assert!(message.contains("`in/._song.wav` is not a recording"), "what is named is taken: {message}");
    // An empty file has the name of a recording that is lost: that is told.
    fs::write(dir.path("in/empty.wav"), "").expect("file");
    let output = dir.partita(&["hpss", "in", "-f"]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("empty.wav"), "{}", stderr(&output));
}

#[test]
fn a_silent_recording_gets_silent_stems_and_a_note() {
    let dir = Dir::new();
    dir.tune("in/tune.wav");
    dir.wav("in/silence.wav", 8000, &[&|_| 0.0, &|_| 0.0], 8000);
    dir.wav("hiss.wav", 8000, &[&|i| 0.1 * tune(7 * i * i)], 8000);
    let note = |pitch| Note { onset_s: 0.1, offset_s: 0.9, pitch, velocity: 90 };
    let score = Score { parts: vec![Part::new("flute", vec![note(69)])], ..Score::default() };
    fs::write(dir.path("score.mid"), score.to_midi()).expect("score");
    for (args, n_stems) in [
        (&["separate", "-n", "2", "-k", "3", "--max-iter", "5", "--components-out", "--plot"][..], 5),
        (&["separate", "-k", "3", "--max-iter", "5"], 1),
        (&["separate", "--example", "a=hiss.wav", "--example", "b=in/tune.wav", "--transpose", "0"], 2),
        (&["separate", "--example", "a=hiss.wav", "--transpose", "0"], 2),
        (&["separate", "--score", "score.mid", "--align"], 2),
        (&["drums", "--midi-out", "--max-iter", "2"], 3),
        (&["hpss", "--margin", "2"], 3),
        (&["denoise", "--content", "any"], 2),
        (&["denoise", "--noise", "hiss.wav"], 2),
        (&["denoise", "--noise-range", "0.1-0.6"], 2),
    ] {
        let more = ["--multichannel", "wiener", "--int16", "-f", "--json", "--manifest", "m.jsonl"];
        let output = dir.succeeds(&[args, &["in"], &more].concat());
        let message = stderr(&output);
        assert!(
            message.contains("in/silence.wav: the recording is silent, and so are its stems"),
            "{args:?}: {message}"
        );
        assert!(message.contains("2 of 2 separated"), "{args:?}: {message}");
        let stems: Vec<_> = dir.files().into_iter().filter(|name| name.starts_with("separated/silence/")).collect();
        let stems: Vec<_> = stems.iter().filter(|name| name.ends_with(".wav")).collect();
        assert_eq!(stems.len(), n_stems, "{args:?}: {stems:?}");
        for name in stems {
            let stem = dir.read(name);
            assert!((stem.n_samples(), stem.n_channels(), stem.peak()) == (8000, 2, 0.0), "{args:?}: {name}");
        }
        fs::remove_dir_all(dir.path("separated")).expect("removed");
        dir.succeeds(&[args, &["in/silence.wav", "-o", "alone", "-f"]].concat());
    }
    let labels = ["separate", "in/silence.wav", "-k", "3", "-o", "labels", "-f"];
    dir.succeeds(&[&labels[..], &["--labels-out", "labels.toml"]].concat());
    dir.succeeds(&["separate", "in/silence.wav", "--labels", "labels.toml", "-o", "labels", "-f"]);
    assert_eq!(dir.read("labels/silence/source-1.wav").peak(), 0.0);
    dir.succeeds(&["spectrogram", "in/silence.wav", "-o", "silence.png"]);
}

#[test]
fn another_file_is_not_taken_for_a_manifest() {
    let dir = Dir::new();
    dir.tune("in/one.wav");
    fs::write(dir.path("notes"), "buy milk").expect("file");
    let message = dir.fails(&arguments("out", &["--manifest", "notes"]), 1);
    assert!(message.contains("cannot go on with the manifest `notes`"), "{message}");
    assert_eq!(fs::read_to_string(dir.path("notes")).expect("text"), "buy milk");
}

#[test]
fn json_and_manifest_tell_how_loud_each_stem_is() {
    let dir = Dir::new();
    dir.wav("tune.wav", 8000, &[&tune, &|_| 0.0], 16_000);
    for (command, method) in [
        ("separate", &["-n", "2", "-k", "3", "--max-iter", "10"][..]),
        ("hpss", &[]),
        ("drums", &["--max-iter", "5"]),
        ("denoise", &[]),
    ] {
        let manifest = format!("{command}.jsonl");
        let args = [&[command, "tune.wav", "-o", command, "--json", "--manifest", &manifest][..], method].concat();
        let output = dir.succeeds(&args);
        let events = common::stdout(&output);
        let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let separated = events.filter(|event| event["event"] == "separated").collect::<Vec<_>>();
        let stems = separated[0]["stems"].as_array().expect("stems");
        let line = &lines(&dir, &manifest)[0];
        for stem in stems {
            let loudness = &stem["loudness"];
            let output =
                line["outputs"].as_array().expect("outputs").iter().find(|output| output["path"] == stem["path"]);
            assert_eq!(&output.expect("listed")["loudness"], loudness, "{command}: {line}");
            let peak = dir.read(stem["path"].as_str().expect("path")).peak();
            let told = loudness["sample_peak_dbfs"].as_f64();
            assert!((told.expect("a peak") - 20.0 * f64::from(peak).log10()).abs() < 0.01, "{command}: {stem}");
            assert!(loudness["true_peak_dbtp"].as_f64() >= told, "{command}: {stem}");
            assert!(loudness.get("integrated_lufs").is_some(), "{command}: {stem}");
        }
    }
}

#[test]
fn what_a_recording_says_of_itself_its_stems_say_too() {
    let dir = Dir::new();
    let label = |text: &str| text.to_owned();
    let tags = Tags {
        fields: vec![("TITLE".into(), "Song".into()), ("ARTIST".into(), "Someone".into())],
        broadcast: None,
        cues: vec![Cue { at: 1000, label: label("before") }, Cue { at: 9000, label: label("verse") }],
    };
    let path = dir.tune("plain.wav");
    let config = EncodeConfig { tags, ..EncodeConfig::default() };
    let tagged =
        Audio::new(concatenate(Axis(1), &[decode::read(&path).expect("a tune").samples(); 2]).expect("twice"), 8000);
    encode::write(&dir.path("song.wav"), &tagged.expect("audio"), &config).expect("written");
    let read = |path: &str| Reader::open(&dir.path(path)).expect("a stem").tags();
    for format in ["wav", "flac"] {
        dir.succeeds(&["hpss", "song.wav", "-o", "out", "--start", "1", "--format", format]);
        let found = read(&format!("out/song/harmonic.{format}"));
        assert_eq!(found.field("TITLE"), Some("Song (harmonic)"));
        assert_eq!(found.field("ARTIST"), Some("Someone"));
        if format == "wav" {
            assert_eq!(found.cues, [Cue { at: 1000, label: label("verse") }], "counted from the start of the excerpt");
        }
    }
    for (command, method) in
        [("hpss", &[][..]), ("separate", &["-n", "2", "--max-iter", "5"]), ("drums", &[]), ("denoise", &[])]
    {
        dir.succeeds(&[&[command, "song.wav", "-o", command, "--no-tags"][..], method].concat());
        for stem in dir.files().iter().filter(|file| file.starts_with(&format!("{command}/")) && file.ends_with(".wav"))
        {
            assert!(read(stem).is_empty(), "{stem}");
        }
    }
}
