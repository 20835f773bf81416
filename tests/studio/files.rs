//! What outlives the page: projects, exported stems, files that come.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Studio, command};
use super::common::{Dir, stderr, tune};
use super::sources;

#[test]
fn what_is_saved_is_there_after_a_crash() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav"]);
    let document = json!({
        "source": sources(&["low", "high"]),
        "stroke": [{ "id": 3, "source": 1, "effect": "is", "shape": "box", "t": [0.0, 1.0], "hz": [90.0, 130.0] }],
    });
    studio.put(&document);
    let id = studio.fit("cold")["fit"]["id"].as_u64().expect("id");
    assert_eq!(studio.project()["saved"], false);
    let (document, heard) = (studio.project()["document"].clone(), studio.audio(id, 0, 8000));
    let saved = studio.post("/api/save", &json!({}));
    assert_eq!(saved.status, 200, "{}", saved.text());
    assert_eq!(studio.project()["saved"], true);
    studio.kill();
    assert!(dir.path("in.partita.toml").is_file());

    let studio = Studio::open(&dir, &["in.wav"]);
    let told = studio.project();
    assert_eq!((&told["document"], &told["saved"]), (&document, &json!(true)));
    let id = told["fit"].as_u64().expect("a fit");
    assert!(studio.audio(id, 0, 8000) == heard, "the same bytes");
    // Without a page, too.
    dir.succeeds(&["separate", "in.wav", "--project", "in.partita.toml", "-o", "made"]);
    for (track, stem) in told["fits"][0]["stems"].as_array().expect("stems").iter().enumerate() {
        let file = dir.read(&format!("made/in/{}.wav", stem["name"].as_str().expect("name")));
        assert!(file.samples().iter().eq(&heard[(track + 1) * 8000..(track + 2) * 8000]), "{stem}");
    }
}

#[test]
fn a_kill_while_saving_leaves_the_old_project_whole_or_the_new_one() {
    let dir = Dir::new();
    dir.tune("in.wav");
    // The low tone is of the one and of the other in turn.
    let document = |i: usize| {
        let (source, hz) = (1 + i % 2, [60, 200 + i]);
        let painted = json!([{ "id": 3, "source": source, "effect": "is", "shape": "box", "t": [0.0, 1.0], "hz": hz }]);
        json!({ "source": sources(&["low", "high"]), "stroke": painted })
    };
    let save = |studio: &Studio| assert_eq!(studio.post("/api/save", &json!({})).status, 200);
    let studio = Studio::open(&dir, &["in.wav"]);
    studio.put(&document(0));
    let id = studio.fit("cold")["fit"]["id"].as_u64().expect("id");
    save(&studio);
    let mut saved = (studio.project()["document"].clone(), studio.audio(id, 0, 8000));
    studio.kill();
    let (mut n_old, mut n_new, mut n_other) = (0, 0, 0);
    for i in 1..=10 {
        let studio = Studio::open(&dir, &["in.wav"]);
        studio.put(&document(i));
        let id = studio.fit("warm")["fit"]["id"].as_u64().expect("id");
        let next = (studio.project()["document"].clone(), studio.audio(id, 0, 8000));
        n_other += usize::from(next.1 != saved.1);
        let head = studio.head("POST", "/api/save", "application/json", 2);
        let mut stream = studio.connect();
        stream.write_all(format!("{head}{{}}").as_bytes()).expect("sent");
        thread::sleep(Duration::from_micros(i as u64 * 1500));
        studio.kill();

        let studio = Studio::open(&dir, &["in.wav"]);
        let told = studio.project();
        let heard = studio.audio(told["fit"].as_u64().expect("a fit"), 0, 8000);
        let is_new = told["document"] == next.0;
        saved = if is_new { next } else { saved };
        assert!(told["document"] == saved.0, "killed after {i} times 1.5 ms: {told}");
        assert!(heard == saved.1, "killed after {i} times 1.5 ms: the stems of its document");
        *(if is_new { &mut n_new } else { &mut n_old }) += 1;
        studio.kill();
    }
    assert!(n_other > 0, "stems tell documents apart");
    println!("{n_old} times the old project was there, {n_new} times the new one");
    let studio = Studio::open(&dir, &["in.wav"]);
    save(&studio);
    let components = dir.files().into_iter().filter(|file| file.ends_with(".npz")).count();
    assert_eq!(components, 1, "nothing is left over: {:?}", dir.files());
}

#[test]
fn two_studios_do_not_work_on_one_project() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav"]);
    let output = command(&dir, &["in.wav"]).output().expect("ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: `in.partita.toml` is open in another studio"), "{}", stderr(&output));
    drop(Studio::open(&dir, &["in.wav", "--project", "other.partita.toml"]));
    studio.kill();
    drop(Studio::open(&dir, &["in.wav"]));
}

#[test]
fn another_recording_in_the_place_of_the_first_is_told() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav"]);
    assert!(studio.fit("cold")["fit"].is_object());
    // The same samples again are the same recording.
    let bytes = fs::read(dir.path("in.wav")).expect("read");
    thread::sleep(Duration::from_millis(20));
    fs::write(dir.path("in.wav"), &bytes).expect("written");
    let last = studio.fit("warm");
    assert!(last["fit"].is_object(), "{last}");
    dir.wav("in.wav", 8000, &[&|i| 0.7 * tune(i)], 8000);
    let last = studio.fit("warm");
    assert!(last["error"].as_str().is_some_and(|error| error.contains("fingerprint")), "{last}");
    assert_eq!(studio.post("/api/save", &json!({})).status, 409);
    assert_eq!(studio.get("/api/audio?fit=1&from=0&n=100").status, 200, "what is there is still heard");
}

#[test]
fn stems_are_exported_and_nothing_is_replaced_without_a_word() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav", "--out", "made"]);
    studio.put(&json!({ "source": sources(&["low", "high"]) }));
    let fit = studio.fit("cold");
    let id = fit["fit"]["id"].as_u64().expect("id");
    let n_stems = fit["fit"]["stems"].as_array().map_or(0, Vec::len);
    let export = |body: Value| studio.post("/api/export", &body);
    let answer = export(json!({ "fit": id, "stems": "all", "format": "float32" }));
    let last = answer.lines().pop().expect("line");
    let paths = last["paths"].as_array().expect("paths").clone();
    assert_eq!(paths.len(), n_stems, "{last}");
    let heard = studio.audio(id, 0, 8000);
    for (stem, path) in paths.iter().enumerate() {
        let file = dir.read(path.as_str().expect("text"));
        let expected = &heard[(stem + 1) * 8000..(stem + 2) * 8000];
        assert!(file.samples().iter().eq(expected), "{path} is what was heard");
    }
    let before = fs::read(dir.path("made/in/low.wav")).expect("stem");
    let again = export(json!({ "stems": ["low"], "format": "int16" }));
    assert_eq!((again.status, &again.json()["files"]), (409, &json!(["made/in/low.wav"])));
    assert!(fs::read(dir.path("made/in/low.wav")).expect("stem") == before);
    let answer = export(json!({ "stems": ["low"], "format": "int16", "force": true }));
    assert!(answer.lines().pop().expect("line")["paths"].is_array());
    assert!(fs::read(dir.path("made/in/low.wav")).expect("stem") != before);
    let answer = export(json!({ "stems": { "two": "high" }, "format": "flac" }));
    assert_eq!(answer.lines().pop().expect("line")["paths"], json!(["made/in/high.flac", "made/in/no_high.flac"]));
    // Rounded, and with a dither where there are 16 bits.
    for (format, step, n_steps) in [("flac", 2f32.powi(-23), 1.0), ("flac16", 2f32.powi(-15), 2.0)] {
        let answer = export(json!({ "stems": "all", "format": format, "force": true }));
        let paths = answer.lines().pop().expect("line")["paths"].as_array().expect("paths").clone();
        assert_eq!(paths.len(), n_stems);
        let mut sum = vec![0.0; 8000];
        for (stem, path) in paths.iter().enumerate() {
            let file = dir.read(path.as_str().expect("text"));
            assert_eq!(file.samples().dim(), (1, 8000), "{path}");
            for (i, x) in file.samples().iter().enumerate() {
                sum[i] += x;
                let gap = x - heard[(stem + 1) * 8000 + i];
                assert!(gap.abs() <= n_steps * step, "{path} as {format}, sample {i}: off by {gap}");
            }
        }
        for (i, (x, expected)) in sum.iter().zip(&heard).enumerate() {
            let gap = x - expected;
            let most = (n_stems as f32 * n_steps * step).max(1e-6);
            assert!(gap.abs() <= most, "{format}, sample {i}: the sum is off by {gap}");
        }
    }
    assert_eq!(export(json!({ "stems": ["nobody"], "format": "flac" })).status, 422);
    assert_eq!(export(json!({ "stems": "all", "format": "../x" })).status, 422);
}

#[cfg(unix)]
#[test]
fn an_export_that_the_disk_has_no_room_for_is_not_begun() {
    let dir = Dir::new();
    dir.tune("in.wav");
    fs::create_dir_all(dir.path("disk")).expect("folder");
    let own = command(&dir, &["in.wav", "--out", "disk/made"]);
    let script = "mount -t tmpfs -o size=48k none disk && exec \"$0\" \"$@\"";
    let mut there = Command::new("unshare");
    there.args(["-m", "sh", "-c", script]).arg(own.get_program()).args(own.get_args()).current_dir(dir.0.path());
    there.env("TMPDIR", dir.path("tmp")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(studio) = Studio::start(there) else {
        eprintln!("skipped: this user may not mount a disk");
        return;
    };
    studio.put(&json!({ "source": sources(&["low", "high"]) }));
    assert!(studio.fit("cold")["fit"].is_object());
    let answer = studio.post("/api/export", &json!({ "stems": "all", "format": "float32" }));
    assert_eq!(answer.status, 507, "two stems of 32 kB, and their headers: {}", answer.text());
    let (told, hint) = (answer.json()["error"].to_string(), answer.json()["hint"].to_string());
    assert!(told.contains("the files take 0.1 MB") && hint.contains("free some space"), "{told} {hint}");
    let answer = studio.post("/api/export", &json!({ "stems": ["low"], "format": "int16" }));
    assert!(answer.lines().pop().expect("line")["paths"].is_array(), "{}", answer.text());
}

#[test]
fn a_recording_that_is_gone_is_told_and_work_goes_on_when_it_is_back_or_opened_elsewhere() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav"]);
    assert!(studio.fit("cold")["fit"].is_object());
    fs::rename(dir.path("in.wav"), dir.path("moved.wav")).expect("moved");
    let last = studio.fit("warm");
    let (told, hint) = (last["error"].to_string(), last["hint"].to_string());
    assert!(told.contains("`in.wav` is not there any more") && hint.contains("put it back"), "{last}");
    let refused = studio.post("/api/save", &json!({}));
    assert_eq!((refused.status, &refused.json()["error"]), (409, &last["error"]));
    fs::rename(dir.path("moved.wav"), dir.path("in.wav")).expect("back");
    assert!(studio.fit("warm")["fit"].is_object(), "it is back");
    assert_eq!(studio.post("/api/save", &json!({})).status, 200);
    let document = studio.project()["document"].clone();
    studio.kill();
    fs::create_dir(dir.path("else")).expect("folder");
    fs::rename(dir.path("in.wav"), dir.path("else/where.wav")).expect("moved");
    let studio = Studio::open(&dir, &["else/where.wav", "--project", "in.partita.toml"]);
    assert_eq!((&studio.project()["document"], &studio.project()["saved"]), (&document, &json!(true)));
    assert!(studio.fit("warm")["fit"].is_object());
}

#[test]
fn what_a_killed_studio_left_is_removed_when_the_next_one_opens() {
    let dir = Dir::new();
    let wav = fs::read(dir.tune("in.wav")).expect("read");
    let n_folders = || fs::read_dir(dir.path("tmp")).expect("folder").count();
    let open = |project: &str| {
        let studio = Studio::open(&dir, &["in.wav", "--project", project]);
        assert_eq!(studio.send("POST", "/api/examples?name=a.wav", "audio/wav", &wav).status, 200);
        studio
    };
    let (first, second) = (open("a.partita.toml"), open("b.partita.toml"));
    assert_eq!(n_folders(), 2);
    first.kill();
    assert_eq!(n_folders(), 2, "nobody could tidy up");
    let third = open("a.partita.toml");
    assert_eq!(n_folders(), 2, "that of the second, which is open, and of the third");
    drop((second, third));
}

#[test]
fn files_that_come_are_what_they_should_be() {
    let dir = Dir::new();
    let wav = fs::read(dir.tune("in.wav")).expect("read");
    let studio = Studio::open(&dir, &["in.wav"]);
    let answer = studio.send("POST", "/api/examples?name=..%2F..%2Fold%20horn.wav", "audio/wav", &wav);
    assert_eq!((answer.status, &answer.json()["file"]), (200, &json!("old horn.wav")), "{}", answer.text());
    for (path, body) in [
        ("/api/examples?name=a.wav", &b"no sound"[..]),
        ("/api/examples?name=a.sh", &wav),
        ("/api/examples", &wav),
        ("/api/score?name=a.mid", b"no notes"),
        ("/api/score?name=a.wav", &wav),
    ] {
        let answer = studio.send("POST", path, "", body);
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        assert!(!answer.text().contains("tmp"), "no folder of ours is told: {}", answer.text());
    }
    assert_eq!(dir.files().iter().filter(|file| !file.starts_with("tmp/")).count(), 2, "beside the lock");
}
