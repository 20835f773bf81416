//! A session with a file for each microphone: opened whole, cleaned as `debleed` does it, saved and opened again.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::client::{Studio, command};
use super::common::Dir;

const RATE: u32 = 8000;
const N_SAMPLES: usize = 16_000;

/// What plays: hits at odd times, over a tone of its own.
fn source(number: usize, i: usize) -> f32 {
    const HITS: [[usize; 4]; 3] = [[700, 4100, 9300, 13_100], [1900, 5500, 8200, 14_800], [2600, 6900, 10_700, 12_200]];
    let since = HITS[number].iter().filter(|hit| **hit <= i).map(|hit| i - hit).min();
    let tone = |hz: f32| (std::f32::consts::TAU * hz * i as f32 / RATE as f32).sin();
    let ring = since.map_or(0.0, |since| (-(since as f32) / 600.0).exp());
    0.6 * ring * tone([150.0, 900.0, 2500.0][number])
}

/// What a microphone hears: its own source, and the others later and quieter.
fn heard(own: usize, i: usize) -> f32 {
    let of = |number: usize| {
        let late = if number == own { 0 } else { 21 + 8 * number };
        let gain = if number == own { 1.0 } else { 0.3 };
        i.checked_sub(late).map_or(0.0, |i| gain * source(number, i))
    };
    (0..3).map(of).sum()
}

/// Two close microphones, and a pair before the third source.
fn take(dir: &Dir) {
    dir.wav("take.3/kick.wav", RATE, &[&|i| heard(0, i)], N_SAMPLES);
    dir.wav("take.3/pair.wav", RATE, &[&|i| heard(2, i), &|i| 0.9 * heard(2, i)], N_SAMPLES);
    dir.wav("take.3/snare.wav", RATE, &[&|i| heard(1, i)], N_SAMPLES);
}

const MICS: [&str; 4] = ["kick", "pair-1", "pair-2", "snare"];

fn names(fit: &Value) -> Vec<&str> {
    fit["stems"].as_array().expect("stems").iter().filter_map(|stem| stem["name"].as_str()).collect()
}

#[test]
fn microphones_are_heard_cleaned_exported_and_opened_again() {
    let dir = Dir::new();
    take(&dir);
    let studio = Studio::open(&dir, &["take.3/"]);
    let told = studio.project();
    assert_eq!(told["recording"]["name"], "take.3", "{told}");
    assert_eq!(told["document"]["debleed"]["group"], json!([{ "name": "pair", "sources": [2, 3] }]), "{told}");
    assert_eq!((names(&told["fits"][0]), &told["audio"]["n_channels"]), (MICS.to_vec(), &json!(1)));

    // Each is its file, as loud as lets all be heard at once.
    let files = ["kick", "pair", "snare"].map(|name| dir.read(&format!("take.3/{name}.wav")));
    let mics: Vec<Vec<f32>> =
        files.iter().flat_map(|file| file.samples().outer_iter().map(|x| x.to_vec()).collect::<Vec<_>>()).collect();
    let sum: Vec<f32> = (0..N_SAMPLES).map(|i| mics.iter().map(|mic| mic[i]).sum()).collect();
    let loudest = sum.iter().fold(0f32, |loudest, x| loudest.max(x.abs()));
    assert!(loudest > 1.0, "{loudest}: there is something to be made quieter");
    let all = studio.audio(1, 0, N_SAMPLES);
    for (track, expected) in std::iter::once(&sum).chain(&mics).enumerate() {
        let got = &all[track * N_SAMPLES..][..N_SAMPLES];
        let gap = got.iter().zip(expected).map(|(x, expected)| (x - expected / loudest).abs()).fold(0.0, f32::max);
        assert!(gap < 1e-6, "track {track} is off by {gap}");
    }
    // And seen as it is by itself.
    let tile = |studio: &Studio, path: &str| studio.get(path).body;
    let alone = tile(&Studio::open(&dir, &["take.3/snare.wav"]), "/api/tiles/0/0/0");
    let among = tile(&studio, "/api/tiles/4/0/0?fit=1");
    assert!(alone.len() == among.len() && alone.iter().any(|level| *level > 200), "{} bytes", alone.len());
    // Far below what sounds, the inverse of the transform and the transform again are no identity.
    let is_far = |(a, b): (&u8, &u8)| a.abs_diff(*b) > 1 && *a.max(b) > 60;
    assert_eq!(alone.iter().zip(&among).filter(|pair| is_far(*pair)).count(), 0, "levels differ");

    // There is nothing to paint.
    let mut document = told["document"].clone();
    document["stroke"] =
        json!([{ "id": 9, "source": 1, "effect": "is", "shape": "box", "t": [0.0, 1.0], "hz": [90.0, 130.0] }]);
    let put = |document: &Value| {
        let body = json!({ "revision": 1, "document": document }).to_string();
        studio.send("PUT", "/api/project", "application/json", body.as_bytes())
    };
    let refused = put(&document);
    assert!(refused.status == 422 && refused.text().contains("without marks"), "{}", refused.text());
    document = told["document"].clone();
    document["source"][0]["id"] = json!(5);
    let refused = put(&document);
    assert!(refused.status == 422 && refused.text().contains("no channel of 4"), "{}", refused.text());

    let fit = studio.fit("warm")["fit"].clone();
    let rests = MICS.map(|name| format!("{name}_rest"));
    let stems: Vec<&str> = MICS.into_iter().chain(rests.iter().map(String::as_str)).collect();
    assert_eq!(names(&fit), stems);
    let exported = studio.post("/api/export", &json!({ "stems": "all", "format": "float32" }));
    assert_eq!(
        exported.lines().last().expect("a line")["paths"].as_array().map(Vec::len),
        Some(8),
        "{}",
        exported.text()
    );
    dir.succeeds(&["debleed", "take.3", "--rest", "--float32", "-o", "made"]);
    for name in &stems {
        let [ours, theirs] = ["separated", "made"].map(|out| fs::read(dir.path(&format!("{out}/take.3/{name}.wav"))));
        assert!(ours.expect("exported") == theirs.expect("written"), "{name}: not the bytes of `debleed`");
    }
    let cleaned = studio.audio(2, 0, N_SAMPLES);
    for mic in 0..4 {
        for i in 0..N_SAMPLES {
            let part = |track: usize| cleaned[track * N_SAMPLES + i];
            let (sum, expected) = (part(1 + mic) + part(5 + mic), mics[mic][i] / loudest);
            assert!((sum - expected).abs() < 1e-5, "{}, sample {i}: {sum}, expected {expected}", MICS[mic]);
        }
    }

    assert_eq!(studio.post("/api/save", &json!({})).status, 200);
    studio.kill();
    assert!(dir.path("take.3.partita.toml").is_file());
    let studio = Studio::open(&dir, &["take.3"]);
    let told = studio.project();
    assert_eq!((&told["fit"], &told["saved"]), (&json!(2), &json!(true)), "{told}");
    assert!(studio.audio(2, 0, N_SAMPLES) == cleaned, "the same bytes");
    fs::remove_file(dir.path("take.3/snare.wav")).expect("removed");
    let gone = studio.post("/api/save", &json!({}));
    assert!(gone.status == 409 && gone.text().contains("take.3/snare.wav"), "{}", gone.text());
    drop(studio);
    let message = dir.fails(&["separate", "take.3/kick.wav", "--project", "take.3.partita.toml", "-o", "other"], 2);
    assert!(message.contains("session of microphones") && message.contains("partita debleed"), "{message}");
}

#[test]
fn what_is_no_session_or_more_than_one_is_told() {
    let dir = Dir::new();
    dir.tune("one/a.wav");
    dir.tune("two/x/a.wav");
    dir.tune("two/y/a.wav");
    dir.tune("two/y/b.wav");
    dir.tune("twice/a.wav");
    dir.wav("twice/a.flac.wav", RATE, &[&|i| heard(0, i)], 100);
    fs::rename(dir.path("twice/a.flac.wav"), dir.path("twice/a.wave")).expect("renamed");
    fs::create_dir(dir.path("none")).expect("folder");
    for (folder, expected) in [
        ("one", "one microphone"),
        ("two", "2 sessions"),
        ("twice", "two microphones would be called `a`"),
        ("none", "no recording in the folder"),
        ("one/a.wav", "is no folder"),
    ] {
        let message = dir.fails(&["studio", folder, "--align", "--no-open"], 2);
        assert!(message.contains(expected), "{folder}: {message}");
    }
}

#[test]
fn files_that_are_late_are_lined_up_where_that_is_asked_for() {
    let dir = Dir::new();
    let late = 2000;
    // Both hear all that is played; the second begins a quarter of a second later.
    let all = |i: usize| (0..3).map(|number| source(number, i)).sum::<f32>();
    dir.wav("take/kick.wav", RATE, &[&all], N_SAMPLES);
    dir.wav("take/snare.wav", RATE, &[&|i| 0.5 * all(i + late)], N_SAMPLES - late);
    let n_samples = |args: &[&str]| Studio::open(&dir, args).project()["recording"]["n_samples"].as_u64();
    assert_eq!(n_samples(&["take"]), Some(N_SAMPLES as u64));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("address").port().to_string();
    let said = Studio::start(command(&dir, &["take", "--port", &port])).err().expect("its port is taken");
    assert!(said.contains("--align"), "{said}");
    let aligned = Studio::open(&dir, &["take", "--align"]);
    let told = aligned.project();
    let n_samples = told["recording"]["n_samples"].as_u64().expect("a number") as usize;
    assert!(n_samples.abs_diff(N_SAMPLES) <= RATE as usize / 250, "{n_samples}: within 4 ms");
    let snare = &aligned.audio(1, 0, n_samples)[2 * n_samples..];
    let begin = snare.iter().position(|x| x.abs() > 1e-3).unwrap_or(n_samples);
    assert!(begin > late - 100, "it waits: its first sound is at {begin}");
}
