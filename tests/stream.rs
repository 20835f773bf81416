//! `partita stream`: what comes out of the pipe is what `separate` writes, and it ends in order however it ends.

mod common;

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

use common::Dir;
use partita::audio::decode;

const RATE: u32 = 8000;

/// Two tones that come and go, one in each channel, more or less, and some noise.
fn sample(channel: usize, i: usize) -> f32 {
    let t = i as f32 / RATE as f32;
    let tone = |hz: f32, on: bool| if on { (std::f32::consts::TAU * hz * t).sin() } else { 0.0 };
    let (low, high) = (tone(330.0, (i / 1500).is_multiple_of(2)), tone(1250.0, (i / 1100).is_multiple_of(3)));
    let noise = ((i * 7919 + channel * 104_729) % 1999) as f32 / 1999.0 - 0.5;
    [0.4 * low + 0.2 * high, 0.1 * low + 0.3 * high][channel] + 0.02 * noise
}

fn mixture(dir: &Dir, n_samples: usize) -> Vec<u8> {
    dir.wav("mix.wav", RATE, &[&|i| sample(0, i), &|i| sample(1, i)], n_samples);
    (0..n_samples).flat_map(|i| [sample(0, i), sample(1, i)]).flat_map(f32::to_le_bytes).collect()
}

/// Solos, and a dictionary of them.
fn solos(dir: &Dir) {
    let tone = |hz: f32| move |i: usize| (hz * i as f32 * std::f32::consts::TAU / RATE as f32).sin() * 0.5;
    dir.wav("low.wav", RATE, &[&tone(330.0)], 8000);
    dir.wav("high.wav", RATE, &[&tone(1250.0)], 8000);
    let learned = dir.partita(&["learn", "low=low.wav", "high=high.wav", "-o", "d.safetensors", "-k", "4"]);
    assert!(learned.status.success(), "{}", stderr(&learned));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The stem that another command writes, as raw samples.
fn written(dir: &Dir, command: &[&str], stem: &str) -> Vec<u8> {
    let done = dir.partita(&[command, &["mix.wav", "--stem", stem, "-f"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let stem = decode::read(&dir.path(&format!("separated/mix/{stem}.wav"))).expect("stem");
    stem.samples().t().iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn the_stem_is_the_one_that_separate_writes_bit_by_bit() {
    let dir = Dir::new();
    solos(&dir);
    for n_samples in [12_345, 1500] {
        let raw = mixture(&dir, n_samples);
        for (knowledge, command, stem) in [
            (&["--dictionary", "d.safetensors"][..], &["separate", "--multichannel", "mask"][..], "high"),
            (
                &["--example", "low=low.wav", "--example", "high=high.wav"],
                &["separate", "--multichannel", "mask", "--no-notes"],
                "low",
            ),
            (&["--hpss", "--rate", "8000"], &["hpss"], "percussive"),
        ] {
            let own = if stem == "percussive" { &[][..] } else { knowledge };
            let expected = written(&dir, &[command, own].concat(), stem);
            let args = [&["stream", "--channels", "2", "--stem", stem], knowledge].concat();
            let streamed = dir.partita_with(&args, &raw);
            assert!(streamed.status.success(), "{}", stderr(&streamed));
            assert_eq!(streamed.stdout.len(), raw.len(), "{knowledge:?}");
            assert!(streamed.stdout == expected, "{knowledge:?}, {n_samples} samples: other bits");
            assert!(stderr(&streamed).contains("latency"), "{}", stderr(&streamed));
        }
    }
}

#[test]
fn a_learned_noise_is_taken_out() {
    let dir = Dir::new();
    let raw = mixture(&dir, 16_000);
    dir.wav("noise.wav", RATE, &[&|i| sample(0, i) - sample(0, i + 1)], 4000);
    let knowledge = ["--noise", "noise.wav", "--content", "any"];
    let expected = written(&dir, &[&["denoise"], &knowledge[..]].concat(), "clean");
    let streamed =
        dir.partita_with(&[&["stream", "--stem", "clean", "--channels", "2"], &knowledge[..]].concat(), &raw);
    assert!(streamed.stdout == expected, "{}", stderr(&streamed));
}

#[test]
fn whole_numbers_go_in_and_out() {
    let dir = Dir::new();
    let raw: Vec<u8> = (0..8000i32).flat_map(|i| ((i * 3571 % 16_000 - 8000) as i16).to_le_bytes()).collect();
    let args = ["stream", "--hpss", "--rate", "8000", "--format", "s16", "--stem"];
    let stems = ["harmonic", "percussive"].map(|stem| dir.partita_with(&[&args[..], &[stem]].concat(), &raw).stdout);
    let value = |bytes: &[u8], i: usize| i32::from(i16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]));
    for i in 0..8000 {
        let sum = value(&stems[0], i) + value(&stems[1], i);
        assert!((sum - value(&raw, i)).abs() <= 1, "sample {i}: each stem is rounded once");
    }
}

#[test]
fn what_cannot_be_streamed_is_refused_with_advice() {
    let dir = Dir::new();
    solos(&dir);
    let refused = |args: &[&str], raw: &[u8]| {
        let output = dir.partita_with(&[&["stream"], args].concat(), raw);
        (output.status.code(), stderr(&output))
    };
    let (code, message) = refused(&["--hpss", "--stem", "harmonic"], b"");
    assert_eq!((code, message.contains("hint: use `--rate 44100`")), (Some(2), true), "{message}");
    let (code, message) = refused(&["--dictionary", "d.safetensors", "--stem", "flute"], b"");
    assert_eq!(
        (code, message.contains("there is no stem `flute`, expected one of `low`, `high`")),
        (Some(2), true),
        "{message}"
    );
    let (code, message) = refused(&["--dictionary", "d.safetensors", "--rate", "16000", "--stem", "low"], b"");
    assert_eq!((code, message.contains("is for `--rate 8000`, expected 16000")), (Some(2), true), "{message}");
    let nan = [0.1f32, 0.2, f32::NAN].map(f32::to_le_bytes).concat();
    let (code, message) = refused(&["--dictionary", "d.safetensors", "--stem", "low"], &nan);
    assert_eq!((code, message.contains("has a sample that is NaN, at 0.000 s")), (Some(1), true), "{message}");
    let (code, message) = refused(&["--dictionary", "d.safetensors", "--stem", "low"], &[0; 4 * 3000 + 3]);
    assert_eq!((code, message.contains("ends 3 bytes into a sample")), (Some(0), true), "{message}");
}

/// The program, with pipes on both sides.
fn start(dir: &Dir) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
    command.args(["stream", "--hpss", "--rate", "8000", "--channels", "2", "--stem", "harmonic"]);
    command.current_dir(dir.0.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("partita starts")
}

#[test]
#[cfg(unix)]
fn ctrl_c_puts_out_what_was_read() {
    let dir = Dir::new();
    let raw = mixture(&dir, 9000);
    let mut child = start(&dir);
    let mut input = child.stdin.take().expect("pipe");
    let mut output = child.stdout.take().expect("pipe");
    input.write_all(&raw).expect("taken");
    // Once something is out, nearly all was read.
    let mut first = [0; 1024];
    output.read_exact(&mut first).expect("samples");
    std::thread::sleep(std::time::Duration::from_millis(500));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).expect("the end");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
    assert_eq!(first.len() + rest.len(), raw.len(), "all that was read is put out");
    // Until here, so that it was no end of the input.
    drop(input);
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let dir = Dir::new();
    let raw = mixture(&dir, 60_000);
    let mut child = start(&dir);
    drop(child.stdout.take());
    let mut input = child.stdin.take().expect("pipe");
    // The program may be gone before it has read all.
    let _ = input.write_all(&raw);
    drop(input);
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
