//! The program as its users meet it: real files in, real files out, exact messages and exit codes.

mod common;
#[path = "common/picture.rs"]
mod picture;

use std::fs;
use std::process::Output;

use common::{Dir, stderr, stdout, sum_error, tune};
use partita::plot::PlotConfig;
use partita::{Audio, Score};
use picture::{colors, read_png};
use snapbox::{assert_data_eq, file, str};

// ---- stems ------------------------------------------------------------------------------------------------------

#[test]
fn stems_have_the_mixtures_rate_channels_and_length_and_sum_to_it() {
    let dir = Dir::new();
    let channels: [&dyn Fn(usize) -> f32; 6] =
        [&tune, &|i| 0.5 * tune(i), &|i| -tune(i + 99), &|_| 0.0, &|i| 1.8 * tune(2 * i), &|i| tune(i / 2)];
    for (n_channels, sample_rate, n_samples) in
        [(1, 8000, 4001), (2, 22_050, 10_000), (2, 44_100, 44_100), (6, 48_000, 20_001), (1, 96_000, 50_000)]
    {
        dir.wav("in.wav", sample_rate, &channels[..n_channels], n_samples);
        dir.succeeds(&["separate", "in.wav", "-n", "3", "-k", "6", "--max-iter", "20", "-f"]);
        let stems: Vec<_> = (1..=3).map(|i| dir.read(&format!("separated/in/source-{i}.wav"))).collect();
        let error = sum_error(&dir.read("in.wav"), &stems);
        assert!(error < 1e-5, "{n_channels} channels at {sample_rate} Hz: off by {error:e} of the peak");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let dir = Dir::new();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/drums-bass-guitar.wav");
    let runs = [("a", "1", "7"), ("b", "2", "7"), ("c", "2", "7"), ("d", "1", "8")].map(|(out, jobs, seed)| {
        dir.succeeds(&["separate", sample, "-n", "3", "-o", out, "-j", jobs, "--seed", seed, "--int16"]);
        (1..=3)
            .map(|i| fs::read(dir.path(&format!("{out}/drums-bass-guitar/source-{i}.wav"))).expect("stem"))
            .collect::<Vec<_>>()
    });
    assert!(runs[0] == runs[1], "1 and 2 threads differ");
    assert!(runs[1] == runs[2], "two runs differ");
    assert!(runs[0] != runs[3], "the seed changes nothing");
}

#[test]
fn only_the_stems_that_are_asked_for_are_written() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let quick = ["separate", "in.wav", "-n", "3", "-k", "3", "--max-iter", "10"];
    dir.succeeds(&[&quick[..], &["--stem", "source-2", "-o", "one"]].concat());
    dir.succeeds(&[&quick[..], &["--two-stems", "source-1", "-o", "two"]].concat());
    dir.succeeds(&[&quick[..], &["--components-out", "-o", "all"]].concat());
    assert_eq!(
        dir.files(),
        [
            "all/in/components/component-01.wav",
            "all/in/components/component-02.wav",
            "all/in/components/component-03.wav",
            "all/in/source-1.wav",
            "all/in/source-2.wav",
            "all/in/source-3.wav",
            "in.wav",
            "one/in/source-2.wav",
            "two/in/no_source-1.wav",
            "two/in/source-1.wav",
        ]
    );
    let error = sum_error(&dir.read("in.wav"), &[dir.read("two/in/no_source-1.wav"), dir.read("two/in/source-1.wav")]);
    assert!(error < 1e-5, "two stems: off by {error:e} of the peak");
    let message = dir.fails(&[&quick[..], &["--stem", "drums", "-o", "none"]].concat(), 2);
    assert_data_eq!(
        message,
        str![[r#"
error: `in.wav`: there is no stem `drums`, expected one of `source-1`, `source-2`, `source-3`

hint: use `--stem source-1`

"#]]
    );
}

#[test]
fn integer_formats_are_rescaled_together_clamped_or_refused() {
    let dir = Dir::new();
    dir.wav("loud.wav", 8000, &[&|i| 6.0 * tune(i)], 8000);
    let quick = ["separate", "loud.wav", "-n", "2", "-k", "2", "--max-iter", "10"];
    let output = dir.succeeds(&[&quick[..], &["--int24", "-o", "rescaled"]].concat());
    assert!(stderr(&output).contains("warning: loud.wav: all stems were made quieter by one gain of -"));
    let stems = [dir.read("rescaled/loud/source-1.wav"), dir.read("rescaled/loud/source-2.wav")];
    let mixture = dir.read("loud.wav");
    let gain = (&stems[0].samples() + &stems[1].samples()).iter().map(|x| x.abs()).fold(0.0, f32::max) / mixture.peak();
    let scaled = Audio::new(gain * &mixture.samples(), 8000).expect("finite");
    // Three roundings to 24 bits.
    assert!(sum_error(&scaled, &stems) < 1e-6, "one gain for all stems");
    let output = dir.succeeds(&[&quick[..], &["--format", "flac", "--clip-mode", "clamp", "-o", "clamped"]].concat());
    assert!(stderr(&output).contains("samples were cut off at full scale"), "{}", stderr(&output));
    let message = dir.fails(&[&quick[..], &["--int16", "--clip-mode", "none", "-o", "refused"]].concat(), 1);
    assert!(message.contains("hint: use `--clip-mode rescale`"), "{message}");
    let message = dir.fails(&[&quick[..], &["--format", "flac", "--float32"]].concat(), 2);
    assert!(message.contains("hint: use `--int24`"), "{message}");
}

#[test]
fn what_is_odd_about_a_recording_is_told_once() {
    let dir = Dir::new();
    let path = dir.tune("odd.wav");
    let mut bytes = std::fs::read(&path).expect("file");
    let at = bytes.windows(4).position(|name| name == b"data").expect("data") + 4;
    // The header counted in.
    bytes[at..at + 4].copy_from_slice(&(4 * 8000 + 44u32).to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    let note = "its header promises 44 bytes more of samples than there are";
    let told = |output: &Output| stderr(output).matches(note).count();
    let output = dir.succeeds(&["hpss", "odd.wav", "--json", "--manifest", "run.jsonl"]);
    assert!(stderr(&output).contains(&format!("warning: odd.wav: {note}")), "{}", stderr(&output));
    assert_eq!(told(&output), 1);
    assert!(stdout(&output).contains(&format!("\"warnings\":[\"{note}\"]")), "{}", stdout(&output));
    let manifest = std::fs::read_to_string(dir.path("run.jsonl")).expect("manifest");
    assert!(manifest.contains(note), "{manifest}");
    for args in [
        &["spectrogram", "odd.wav", "-o", "picture.png"][..],
        &["learn", "tune=odd.wav", "-o", "tune.safetensors", "--max-iter", "1", "-k", "1"],
        &["denoise", "in.wav", "--noise", "odd.wav"],
    ] {
        dir.tune("in.wav");
        let output = dir.succeeds(args);
        assert_eq!(told(&output), 1, "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn an_audio_track_that_is_not_there_is_refused() {
    let dir = Dir::new();
    dir.tune("in.wav");
    dir.succeeds(&["hpss", "in.wav", "--audio-track", "1"]);
    for command in [&["hpss", "in.wav", "-o", "none"][..], &["spectrogram", "in.wav", "-o", "a.png"]] {
        let message = dir.fails(&[command, &["--audio-track", "2"]].concat(), 2);
        let expected = "`--audio-track` is 2, expected 1: `in.wav` has 1 (32-bit float PCM)";
        assert!(message.contains(expected), "{message}");
    }
    assert!(!dir.path("a.png").exists());
}

#[test]
fn an_excerpt_has_the_length_that_was_asked_for() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let quick = ["separate", "in.wav", "-n", "2", "-k", "2", "--max-iter", "5", "-f"];
    dir.succeeds(&[&quick[..], &["--start", "0.25", "--duration", "0:00.5"]].concat());
    let stems = [dir.read("separated/in/source-1.wav"), dir.read("separated/in/source-2.wav")];
    assert!(sum_error(&dir.read("in.wav").excerpt(2000, 4000), &stems) < 1e-5);
    let message = dir.fails(&["separate", "in.wav", "--start", "2:00", "-o", "late"], 2);
    assert!(
        message.contains("`--start` is 120.0 s, expected at most 1.0 s (the length of the recording)"),
        "{message}"
    );
}

#[test]
fn times_are_those_of_the_recording_whatever_the_excerpt() {
    let dir = Dir::new();
    dir.wav("in.wav", 8000, &[&|i| if i < 20_000 { 0.01 * tune(7 * i) } else { tune(i) }], 40_000);
    let denoise = ["denoise", "in.wav", "--start", "1.5", "-f", "--json"];
    dir.succeeds(&[&denoise[..], &["--noise-range", "1.6-2.4"]].concat());
    let message = stderr(&dir.partita(&[&denoise[..], &["--noise-range", "0.1-0.9"]].concat()));
    assert!(message.contains("expected a part of 1.5 to 5.0 s, which is what is read"), "{message}");
    let output = dir.succeeds(&denoise);
    let pauses = stderr(&output);
    let first = pauses.split_once(" s (").and_then(|(_, listed)| listed.split_once('-')).map(|(first, _)| first);
    let first: f64 = first.and_then(|first| first.parse().ok()).unwrap_or_else(|| panic!("{pauses}"));
    assert!((1.5..2.5).contains(&first), "{pauses}");
    assert!(stdout(&output).contains("\"start_s\":1.5"), "{}", stdout(&output));
    dir.succeeds(&["drums", "in.wav", "--start", "2", "--midi-out"]);
    let hits = Score::load(&dir.path("separated/in/drums.mid")).expect("hits");
    assert!(hits.span_s().expect("hits").0 >= 2.0, "{:?}", hits.span_s());
    dir.wav("loud.wav", 8000, &[&|i| if i == 30_000 { 9.0 } else { tune(i) }], 40_000);
    let flac = ["--start", "3", "--format", "flac", "--clip-mode", "none", "-o", "loud"];
    let message = stderr(&dir.partita(&[&["hpss", "loud.wav"], &flac[..]].concat()));
    assert!(message.contains("at 3.7"), "{message}");
    // The same samples under the same name, but of a recording that begins with them.
    let rest = dir.read("in.wav").excerpt(16_000, 24_000);
    dir.wav("rest/in.wav", 8000, &[&|i| rest.samples()[[0, i]]], 24_000);
    dir.succeeds(&["spectrogram", "in.wav", "--start", "2", "-o", "excerpt.svg"]);
    dir.succeeds(&["spectrogram", "rest/in.wav", "-o", "rest.svg"]);
    let picture = |name: &str| fs::read_to_string(dir.path(name)).expect("picture");
    assert!(picture("excerpt.svg") != picture("rest.svg"), "the time axes differ");
}

#[test]
fn standard_input_is_a_recording_too() {
    let dir = Dir::new();
    let bytes = fs::read(dir.tune("in.wav")).expect("file");
    let output = dir.partita_with(&["separate", "-", "-n", "2", "-k", "2", "--max-iter", "5"], &bytes);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(dir.files(), ["in.wav", "separated/stdin/source-1.wav", "separated/stdin/source-2.wav"]);
    assert!(stderr(&output).starts_with("standard input: 1.0 s, "), "{}", stderr(&output));
    let message = stderr(&dir.partita_with(&["separate", "-", "-o", "text"], b"these are words"));
    assert!(message.starts_with("error: `standard input` is not a recording: it holds text"), "{message}");
}

#[test]
fn pictures_are_drawn_beside_the_stems() {
    let dir = Dir::new();
    dir.tune("in.wav");
    dir.succeeds(&["separate", "in.wav", "-n", "2", "-k", "4", "--max-iter", "20", "--plot"]);
    let pictures: Vec<_> = dir.files().into_iter().filter(|name| name.ends_with(".png")).collect();
    assert_eq!(pictures.len(), 5, "{pictures:?}");
    for name in pictures {
        let pixels = read_png(&dir.path(&name));
        let (width, height) = (PlotConfig::default().width as usize, PlotConfig::default().height as usize);
        assert_eq!(pixels.dim(), (height, width, 3), "{name}");
        // Text and lines have shades of gray alone.
        let n_colors = colors(&pixels).iter().filter(|[r, g, b]| r != g || g != b).count();
        assert!(n_colors > 8, "{name}: {n_colors} colors");
    }
    dir.succeeds(&["spectrogram", "in.wav", "-o", "p.svg", "--mel", "--colormap", "viridis"]);
    assert!(fs::read_to_string(dir.path("p.svg")).expect("picture").contains("<svg"));
    assert!(dir.fails(&["spectrogram", "in.wav", "-o", "p.svg"], 2).contains("`p.svg` exists already"));
    assert!(dir.fails(&["spectrogram", "in.wav", "-o", "p.jpg"], 2).contains("hint: use `p.png`"));
}

// ---- inputs that are not as they should be ----------------------------------------------------------------------

#[test]
fn recordings_with_nothing_to_separate_are_refused_at_once() {
    let dir = Dir::new();
    dir.wav("sample.wav", 44_100, &[&|_| 0.5], 1);
    dir.wav("short.wav", 44_100, &[&tune], 4095);
    dir.wav("empty.wav", 44_100, &[&tune], 0);
    assert_data_eq!(
        dir.fails(&["separate", "short.wav"], 1),
        str![[r#"
error: `short.wav`: the recording has 4095 samples, expected at least 4096 (one window)

hint: give at least a tenth of a second, or a shorter `--n-fft` (this clip lasts 92.9 ms)

"#]]
    );
    for name in ["sample.wav", "empty.wav"] {
        assert!(dir.fails(&["separate", name], 1).contains("expected at least 4096"));
    }
    dir.succeeds(&["separate", "short.wav", "--n-fft", "1024", "-n", "2", "-k", "2"]);
}

#[test]
fn constant_full_scale_and_clipped_recordings_are_separated_like_others() {
    let dir = Dir::new();
    let square = |i: usize| if (i / 50).is_multiple_of(2) { 1.0 } else { -1.0 };
    for (name, signal) in [
        ("dc", &(|_| 1.0_f32) as &dyn Fn(usize) -> f32),
        ("square", &square),
        ("click", &|i| f32::from(u8::from(i == 4000))),
    ] {
        let file = format!("{name}.wav");
        dir.wav(&file, 8000, &[signal], 8000);
        dir.succeeds(&["separate", &file, "-n", "2", "-k", "4"]);
        let stems = [1, 2].map(|i| dir.read(&format!("separated/{name}/source-{i}.wav")));
        let error = sum_error(&dir.read(&file), &stems);
        assert!(error < 1e-5, "{name}: off by {error:e} of the peak");
    }
}

#[test]
fn nan_and_infinity_are_refused_with_their_place() {
    let dir = Dir::new();
    for (name, bad) in [("nan", f32::NAN), ("inf", f32::INFINITY)] {
        let file = format!("{name}.wav");
        dir.wav(&file, 8000, &[&tune, &|i| if i == 4000 { bad } else { 0.0 }], 8000);
        let message = dir.fails(&["separate", &file], 1);
        assert!(message.contains(&format!("channel 2 has a sample that is {bad}, at 0.500 s")), "{message}");
    }
}

#[test]
fn files_that_are_no_recordings_are_refused_with_what_to_do() {
    let dir = Dir::new();
    fs::write(dir.path("text.wav"), "These are words, and no sound at all.\n".repeat(20)).expect("file");
    fs::write(dir.path("nothing.wav"), "").expect("file");
    fs::create_dir(dir.path("folder")).expect("folder");
    let whole = fs::read(dir.tune("whole.wav")).expect("file");
    fs::write(dir.path("cut.wav"), &whole[..whole.len() / 2]).expect("file");
    fs::write(dir.path("header.wav"), &whole[..30]).expect("file");
    let mut wrong = whole.clone();
    wrong[22..24].copy_from_slice(&0u16.to_le_bytes());
    fs::write(dir.path("channels.wav"), wrong).expect("file");
    for name in ["text.wav", "nothing.wav", "cut.wav", "header.wav", "channels.wav", "absent.wav"] {
        let message = dir.fails(&["separate", name], 1);
        assert!(message.contains(&format!("`{name}`")) && message.contains("\nhint: "), "{name}: {message}");
    }
    assert!(dir.fails(&["separate", "folder"], 2).contains("there is no recording in the folder `folder`"));
}

#[test]
fn a_bad_file_does_not_stop_a_folder_and_the_exit_code_tells() {
    let dir = Dir::new();
    dir.tune("in/a.wav");
    dir.tune("in/deep/a.wav");
    fs::write(dir.path("in/bad.wav"), "no sound").expect("file");
    let output = dir.partita(&["separate", "in", "-n", "2", "-k", "2", "--max-iter", "5", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("error: 2 of 3 separated"), "{}", stderr(&output));
    let written: Vec<_> = dir.files().into_iter().filter(|name| name.starts_with("separated")).collect();
    assert_eq!(
        written,
        [
            "separated/a/source-1.wav",
            "separated/a/source-2.wav",
            "separated/deep/a/source-1.wav",
            "separated/deep/a/source-2.wav"
        ]
    );
    let events: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("one object per line")).collect();
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((count("separated"), count("error"), count("summary")), (2, 2, 1), "{events:?}");
}

#[test]
fn inputs_that_would_overwrite_each_other_are_refused_before_any_work() {
    let dir = Dir::new();
    dir.tune("a/song.wav");
    dir.tune("b/song.wav");
    let message = dir.fails(&["separate", "a/song.wav", "b/song.wav"], 2);
    assert!(message.contains("would be written to the same files, as track `song.wav`"), "{message}");
}

#[test]
fn existing_stems_are_kept_skipped_or_replaced_as_asked() {
    let dir = Dir::new();
    dir.tune("in.wav");
    fs::create_dir_all(dir.path("separated/in")).expect("folder");
    fs::write(dir.path("separated/in/source-1.wav"), "mine").expect("file");
    let quick = ["separate", "in.wav", "-k", "2", "--max-iter", "5"];
    assert_data_eq!(
        dir.fails(&quick, 2),
        str![[r#"
error: `separated/in/source-1.wav` exists already

hint: add `--force` to replace it, or choose another place with `--out`

"#]]
    );
    dir.succeeds(&[&quick[..], &["--skip-existing"]].concat());
    assert_eq!(fs::read(dir.path("separated/in/source-1.wav")).expect("file"), b"mine");
    dir.succeeds(&[&quick[..], &["--dry-run", "--force"]].concat());
    assert_eq!(dir.files(), ["in.wav", "separated/in/source-1.wav"]);
    dir.succeeds(&[&quick[..], &["--force"]].concat());
    assert_eq!(dir.read("separated/in/source-1.wav").n_samples(), 8000);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_an_error_with_a_hint() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    dir.tune("in.wav");
    let quick = ["separate", "in.wav", "-n", "2", "-k", "2", "--max-iter", "5"];
    fs::write(dir.path("file"), "in the way").expect("file");
    let message = dir.fails(&[&quick[..], &["-o", "file/below"]].concat(), 1);
    assert!(message.contains("\nhint: "), "{message}");
    fs::create_dir(dir.path("locked")).expect("folder");
    fs::set_permissions(dir.path("locked"), fs::Permissions::from_mode(0o555)).expect("permissions");
    if fs::write(dir.path("locked/probe"), "").is_ok() {
        println!("skipped: this user may write everywhere");
        return;
    }
    let message = dir.fails(&[&quick[..], &["-o", "locked"]].concat(), 1);
    assert!(message.contains("hint: choose a folder that you may write to"), "{message}");
}

// ---- the command line itself ------------------------------------------------------------------------------------

#[test]
fn settings_out_of_range_are_wrong_usage() {
    let dir = Dir::new();
    dir.tune("in.wav");
    assert_data_eq!(
        dir.fails(&["separate", "in.wav", "--n-fft", "2048", "--hop-length", "4096"], 2),
        str![[r#"
error: `in.wav`: `--hop-length` is 4096, expected 1 to 1852 (a hann window of 2048)

hint: use `--hop-length 512`, a quarter of the window

"#]]
    );
    for args in [
        &["-n", "40"][..],
        &["-n", "0"],
        &["-k", "0"],
        &["--tol", "-1"],
        &["--mask-exponent", "0"],
        &["--divergence", "nonsense"],
        &["--n-fft", "1"],
        &["--start", "abc"],
        &["--filename", "{track}.wav"],
        &["--filename", "../{stem}.wav"],
        &["--filename", "{stem}{what}.wav"],
        &["--stem", "a", "--two-stems", "b"],
        &["--force", "--skip-existing"],
    ] {
        dir.fails(&[&["separate", "in.wav"], args].concat(), 2);
    }
}

#[test]
fn help_is_as_recorded() {
    let dir = Dir::new();
    for (command, golden) in [
        (&["--help"][..], file!["cli/help.txt"]),
        (&["separate", "--help"], file!["cli/separate.txt"]),
        (&["drums", "--help"], file!["cli/drums.txt"]),
        (&["hpss", "--help"], file!["cli/hpss.txt"]),
        (&["debleed", "--help"], file!["cli/debleed.txt"]),
        (&["denoise", "--help"], file!["cli/denoise.txt"]),
        (&["stream", "--help"], file!["cli/stream.txt"]),
        (&["studio", "--help"], file!["cli/studio.txt"]),
        (&["learn", "--help"], file!["cli/learn.txt"]),
        (&["spectrogram", "--help"], file!["cli/spectrogram.txt"]),
        (&["evaluate", "--help"], file!["cli/evaluate.txt"]),
    ] {
        assert_data_eq!(stdout(&dir.succeeds(command)), golden);
    }
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let dir = Dir::new();
    assert!(stdout(&dir.succeeds(&["completions", "bash"])).contains("_partita"));
    assert!(stdout(&dir.succeeds(&["man"])).contains(".TH partita"));
    assert!(stdout(&dir.succeeds(&["man", "separate"])).contains("mask"));
    assert!(dir.fails(&["man", "nonsense"], 2).contains("hint: use one of `separate`"));
}

#[test]
fn quiet_means_quiet() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let output = dir.succeeds(&["separate", "in.wav", "-n", "2", "-k", "2", "--max-iter", "5", "-q"]);
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
}
