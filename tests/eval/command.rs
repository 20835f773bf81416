//! The command: what it prints, and what it refuses.

use std::fs;

use partita::Audio;
use partita::atomic::Existing;
use partita::audio::encode::{self, EncodeConfig};

use crate::common::partita;
use crate::made::{audio, mix, noise, stereo};

/// Folders of references and estimates, gone with the test.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    fn wav(&self, name: &str, audio: &Audio) {
        let path = self.0.path().join(name);
        let config = EncodeConfig { existing: Existing::Replace, ..EncodeConfig::default() };
        encode::write(&path, audio, &config).expect("written");
    }

    /// Two sources, and estimates of them with a tenth of the other one, under the names that are given.
    fn track(&self, references: &str, estimates: &str, names: [&str; 2]) {
        let (a, b) = (stereo(6000, 1), stereo(6000, 5));
        self.wav(&format!("{references}/a.wav"), &a);
        self.wav(&format!("{references}/b.wav"), &b);
        self.wav(&format!("{estimates}/{}.wav", names[0]), &mix(&[(1.0, &a), (0.1, &b)]));
        self.wav(&format!("{estimates}/{}.wav", names[1]), &mix(&[(1.0, &b), (0.1, &a)]));
    }

    fn evaluate(&self, more: &[&str]) -> std::process::Output {
        let args =
            [&["evaluate", "--references", "true", "--estimates", "found", "--filter-length", "16"], more].concat();
        partita(self.0.path(), &args)
    }

    /// What it prints.
    fn table(&self, more: &[&str]) -> String {
        let output = self.evaluate(more);
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Error message of what must fail, and its exit code.
    fn refusal(&self, more: &[&str]) -> (String, Option<i32>) {
        let output = self.evaluate(more);
        (String::from_utf8(output.stderr).expect("UTF-8"), output.status.code())
    }
}

/// The cells of a table's line that starts with `name`.
fn line<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let found = table.lines().find(|line| line.split_whitespace().next() == Some(name));
    found.unwrap_or_else(|| panic!("no line {name} in\n{table}")).split_whitespace().collect()
}

fn number(cell: &str) -> f64 {
    cell.parse().unwrap_or_else(|_| panic!("{cell} is no number"))
}

#[test]
fn what_systems_leave_in_folders_is_passed_over() {
    let dir = Dir::new();
    for track in ["one", "two"] {
        dir.track(&format!("true/{track}"), &format!("found/{track}"), ["a", "b"]);
        for name in ["._a.wav", ".DS_Store"] {
            fs::write(dir.0.path().join(format!("true/{track}/{name}")), "no sound").expect("file");
        }
    }
    fs::create_dir(dir.0.path().join("true/@eaDir")).expect("folder");
    let output = dir.evaluate(&[]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    assert!(message.contains("left out: 3 hidden or left there by systems and programs"), "{message}");
}

#[test]
fn the_command_prints_a_line_for_each_source_and_their_mean() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    let table = dir.table(&[]);
    assert_eq!(line(&table, "source"), ["source", "SDR", "ISR", "SIR", "SAR", "SI-SDR"]);
    for name in ["a", "b", "mean"] {
        let cells = line(&table, name);
        // A tenth of the other one.
        assert!((number(cells[1]) - 20.0).abs() < 0.2 && (number(cells[5]) - 20.0).abs() < 0.2, "{table}");
    }
    assert_eq!(line(&dir.table(&["--mode", "sources"]), "source"), ["source", "SDR", "SIR", "SAR", "SI-SDR"]);
}

#[test]
fn json_holds_what_the_table_does_and_the_windows() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    dir.wav("mixture.wav", &mix(&[(1.0, &stereo(6000, 1)), (1.0, &stereo(6000, 5))]));
    let text = dir.table(&["--json", "--window", "0.1", "--mixture", "mixture.wav"]);
    let event: serde_json::Value = serde_json::from_str(text.trim()).expect("one object on one line");
    assert_eq!(
        (&event["event"], &event["mode"], &event["n_taps"]),
        (&"evaluated".into(), &"images".into(), &16.into())
    );
    assert_eq!((&event["window_s"], &event["hop_s"]), (&0.1.into(), &0.1.into()));
    let source = &event["sources"][1];
    assert_eq!((&source["name"], &source["silence"]), (&"b".into(), &serde_json::Value::Null));
    assert_eq!(source["windows"].as_array().map(Vec::len), Some(2), "2 of 2205 samples in 6000");
    for gain in [&source["improvement"]["bss_sdr"], &event["mean_improvement"]["si_sdr"]] {
        assert!((gain.as_f64().expect("a number") - 20.0).abs() < 1.0, "{event}");
    }
}

#[test]
fn names_that_do_not_pair_are_listed_on_both_sides() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "source-2"]);
    let (message, exit_code) = dir.refusal(&[]);
    assert_eq!(exit_code, Some(2));
    assert_eq!(
        message,
        "error: `found` has no stem `b.wav`, but `source-2.wav`, not among the references\n\n\
         hint: give both the same names, or add `--permutation`, which finds out what belongs together\n"
    );
    // As the hint says; the names of estimates are told.
    dir.wav("found/residual.wav", &stereo(6000, 9));
    let table = dir.table(&["--permutation"]);
    assert_eq!(line(&table, "b")[..2], ["b", "source-2"]);
    // What nobody misses is no fault.
    dir.wav("found/b.wav", &stereo(6000, 5));
    let output = dir.evaluate(&[]);
    let warning = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{warning}");
    assert_eq!(warning, "warning: `found`: there is no reference for `residual.wav`, `source-2.wav`\n");
}

#[test]
fn a_silent_reference_is_told_and_has_no_scores() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    dir.wav("true/c.wav", &audio(&[vec![0.0; 6000], vec![0.0; 6000]]));
    dir.wav("found/c.wav", &stereo(6000, 9));
    let output = dir.evaluate(&[]);
    assert!(output.status.success());
    let (table, warning) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(line(&table, "c"), ["c", "-", "-", "-", "-", "-"]);
    assert!((number(line(&table, "mean")[1]) - 20.0).abs() < 0.2, "{table}");
    assert_eq!(warning, "warning: `true/c.wav` is silent: `c` has no scores and no part in the mean\n");
}

#[test]
fn silence_does_not_raise_a_score() {
    let dir = Dir::new();
    let silence = audio(&[vec![0.0; 6000], vec![0.0; 6000]]);
    for name in ["one", "two"] {
        dir.track(&format!("true/{name}"), &format!("found/{name}"), ["a", "b"]);
    }
    dir.wav("found/one/b.wav", &silence);
    let output = dir.evaluate(&[]);
    let (table, warning) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        warning,
        "warning: `found/one/b.wav` is silent: the SDR and ISR of `b` are 0 dB and count, its SIR, SAR and SI-SDR do not \
         exist\n"
    );
    assert_eq!(line(&table, "b"), ["b", "0.00", "0.00", "-", "-", "-"], "{table}");
    assert!((number(line(&table, "mean")[1]) - 10.0).abs() < 0.1, "half of 20 dB:\n{table}");
    assert_eq!(line(&table, "over").join(" "), "over 2 of 2 2 of 2 1 of 2 1 of 2 1 of 2", "{table}");
    let summary: Vec<_> = table.lines().skip_while(|line| !line.starts_with("2 tracks")).collect();
    let row = |of: &str, what: &str| {
        let found = summary.iter().find(|line| line.split_whitespace().take(2).eq([of, what]));
        found.map(|line| line.split_whitespace().collect::<Vec<_>>())
    };
    assert!((number(row("b", "mean").expect("a line")[2]) - 10.0).abs() < 0.1, "{table}");
    assert_eq!(row("b", "over").expect("a line").join(" "), "b over 2 of 2 2 of 2 1 of 2 1 of 2 1 of 2", "{table}");
    let all = "all over 4 of 4 4 of 4 3 of 4 3 of 4 3 of 4";
    assert_eq!(row("all", "over").expect("a line").join(" "), all, "of four sources in two tracks:\n{table}");
    assert_eq!(row("a", "over"), None, "what is over all is not told:\n{table}");

    let output = dir.evaluate(&["--mode", "sources"]);
    let warning = String::from_utf8_lossy(&output.stderr);
    assert!(warning.contains("has no scores in this mode") && !warning.contains("windows"), "{warning}");

    let text = dir.table(&["--json"]);
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (one, summary) = (&events[0], &events[2]);
    assert_eq!((&one["mean_of"]["bss_sdr"], &one["mean_of"]["si_sdr"]), (&2.into(), &1.into()), "{one}");
    assert_eq!(
        (&one["sources"][1]["silence"], &one["sources"][1]["scores"]["si_sdr"]),
        (&"estimate".into(), &().into())
    );
    let of_b = &summary["scores"][1];
    assert_eq!((&of_b["source"], &of_b["scores"]["of"]["si_sdr"]), (&"b".into(), &1.into()), "{summary}");
}

#[test]
fn recordings_of_other_lengths_are_cut_to_the_shortest_where_that_is_asked_for() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    let untouched = dir.table(&[]);
    let longer = |audio: &Audio, n: usize| {
        let padding = ndarray::Array2::from_elem((2, n), 0.9);
        let samples = ndarray::concatenate(ndarray::Axis(1), &[audio.samples(), padding.view()]).expect("two channels");
        Audio::new(samples, audio.sample_rate()).expect("audio")
    };
    dir.wav("found/b.wav", &longer(&mix(&[(1.0, &stereo(6000, 5)), (0.1, &stereo(6000, 1))]), 2300));
    dir.wav("true/a.wav", &longer(&stereo(6000, 1), 1));
    let (message, exit_code) = dir.refusal(&[]);
    assert_eq!(exit_code, Some(1));
    assert_eq!(
        message,
        "error: `true/b.wav` has 6000 samples, expected 6001, as `true/a.wav` has\n\n\
         hint: add `--trim` to cut all to the shortest, at their ends; these differ by 1 sample\n"
    );
    let output = dir.evaluate(&["--trim"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), untouched, "the scores of what they share");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "`true/a.wav`: the last 1 of 6001 samples are left out\n\
         warning: `found/b.wav`: the last 2300 of 8300 samples are left out; is it of the same recording?\n"
    );
    let event: serde_json::Value =
        serde_json::from_str(&dir.table(&["--trim", "--json", "--framewise"])).expect("JSON");
    assert_eq!((&event["n_samples"], &event["trimmed"][1]["n_samples"]), (&6000.into(), &2300.into()), "{event}");
}

#[test]
fn files_of_other_lengths_rates_and_channels_are_refused_by_name() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    let refusal = |audio: &Audio| {
        dir.wav("found/b.wav", audio);
        let (message, exit_code) = dir.refusal(&[]);
        assert_eq!(exit_code, Some(1), "{message}");
        message
    };
    let message = refusal(&stereo(5990, 1));
    assert!(
        message.starts_with("error: `found/b.wav` has 5990 samples, expected 6000, as `true/a.wav` has\n"),
        "{message}"
    );
    let message = refusal(&audio(&[noise(6000, 1)]));
    assert!(message.starts_with("error: `found/b.wav` has 1 channels, expected 2, as `true/a.wav` has\n"), "{message}");
    let message = refusal(&Audio::new(stereo(6000, 1).samples().to_owned(), 8000).expect("audio"));
    assert!(
        message.starts_with("error: `found/b.wav` has 8000 Hz, expected 22050, as `true/a.wav` has\n"),
        "{message}"
    );
    assert!(message.contains("hint: convert it with `ffmpeg -i found/b.wav -ar 22050 found/b.fixed.wav`"), "{message}");
}

#[test]
fn folders_of_tracks_give_a_summary_and_go_on_after_a_bad_one() {
    let dir = Dir::new();
    for name in ["first", "second"] {
        dir.track(&format!("true/{name}"), &format!("found/{name}"), ["a", "b"]);
        let mixture = mix(&[(1.0, &stereo(6000, 1)), (1.0, &stereo(6000, 5))]);
        dir.wav(&format!("true/{name}/mixture.wav"), &mixture);
    }
    let table = dir.table(&["--mixture", "mixture.wav"]);
    for (first, what) in [("a", "mean"), ("b", "mean"), ("all", "mean")] {
        let found = table.lines().rfind(|line| line.split_whitespace().take(2).eq([first, what]));
        assert!(found.is_some(), "no line {first} {what} in\n{table}");
    }
    assert_eq!(line(&table, "2")[..2], ["2", "tracks"]);
    assert_eq!(line(&table, "first").last(), Some(&"SI-SDRi"), "the mixture is no reference:\n{table}");
    dir.wav("found/first/a.wav", &stereo(5000, 1));
    let output = dir.evaluate(&["--mixture", "mixture.wav"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("`found/first/a.wav` has 5000 samples") && message.contains("1 of 2 evaluated"),
        "{message}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 tracks"), "the other one is told");
    // A track that is missing is told before any work.
    fs::remove_dir_all(dir.0.path().join("found/second")).expect("removed");
    let (message, exit_code) = dir.refusal(&[]);
    assert!(message.starts_with("error: `found` has no track `second`\n"), "{message}");
    assert_eq!(exit_code, Some(2));
}
