//! Drums: a planted loop comes apart, its hits are found, and the program writes what it says.

mod common;

use std::f32::consts::TAU;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::{analyze_and_fit, assert_sum, partita, sample, si_sdr, stderr, stems_of};
use ndarray::{Array2, ArrayView1, s};
use partita::audio::decode;
use partita::knowledge::score::Score;
use partita::separate::drums::{Drum, DrumsConfig, Sound, fit, follow, hits_to_score};
use partita::separate::{Accompaniment, Analysis, AnalysisConfig, Hit, drums_of};
use partita::watch::Watch;
use partita::{Audio, Error, Separation};

/// White noise that is the same each time.
fn noise(i: usize) -> f32 {
    let mut x = (i as u32).wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    x = (x ^ (x >> 16)).wrapping_mul(2_246_822_519);
    ((x ^ (x >> 13)) >> 8) as f32 / 8_388_608.0 - 1.0
}

/// A hit of one of three drums, `t` seconds old.
fn hit(drum: usize, i: usize, t: f32) -> f32 {
    match drum {
        0 => (-t / 0.08).exp() * (TAU * 55.0 * t).sin(),
        1 => (-t / 0.06).exp() * (0.4 * (TAU * 190.0 * t).sin() + 0.3 * noise(i)),
        // The difference of neighbors is high-pass.
        _ => (-t / 0.03).exp() * 0.15 * (noise(i + 2) - 2.0 * noise(i + 1) + noise(i)),
    }
}

/// Two seconds per bar: kick on 1 and 3, snare on 2 and 4, hi-hat on every eighth. Times of the hits, in seconds.
fn pattern(drum: usize, n_bars: usize) -> Vec<f64> {
    let beats: &[f64] = match drum {
        0 => &[0.0, 1.0, 1.25],
        1 => &[0.5, 1.5],
        _ => &[0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75],
    };
    (0..n_bars).flat_map(|bar| beats.iter().map(move |beat| 0.1 + 2.0 * bar as f64 + beat)).collect()
}

/// The sound of one drum over some bars.
fn track(drum: usize, n_bars: usize, sample_rate: u32) -> Vec<f32> {
    let n_samples = 2 * n_bars * sample_rate as usize;
    let mut track = vec![0.0; n_samples];
    for (n, onset) in pattern(drum, n_bars).into_iter().enumerate() {
        let start = (onset * f64::from(sample_rate)) as usize;
        let level = [1.0, 0.8, 0.9][n % 3];
        for i in 0..(sample_rate as usize / 2).min(n_samples.saturating_sub(start)) {
            track[start + i] += level * hit(drum, start + i, i as f32 / sample_rate as f32);
        }
    }
    track
}

/// The loop on some channels, each with the drums at other levels.
fn mixture(n_bars: usize, sample_rate: u32, n_channels: usize) -> Audio {
    let tracks: Vec<_> = (0..3).map(|drum| track(drum, n_bars, sample_rate)).collect();
    let samples = Array2::from_shape_fn((n_channels, tracks[0].len()), |(channel, i)| {
        (0..3).map(|drum| tracks[drum][i] * if n_channels > 1 && channel % 3 == drum { 0.5 } else { 1.0 }).sum()
    });
    Audio::new(samples, sample_rate).expect("audio")
}

fn separate(audio: &Audio, config: &DrumsConfig) -> (Separation, Vec<Hit>) {
    separate_by(audio, AnalysisConfig::drums().max_frames, config)
}

/// Of so many frames at the most; then all of the recording is followed.
fn separate_by(audio: &Audio, max_frames: usize, config: &DrumsConfig) -> (Separation, Vec<Hit>) {
    let analysis = AnalysisConfig { max_frames, ..AnalysisConfig::drums() };
    let parts = analyze_and_fit(audio, &analysis, fit, config).expect("separation");
    let parts = follow(parts, audio, &mut Watch::none()).expect("all hits");
    let hits = parts.hits().to_vec();
    (parts, hits)
}

/// F-measure of hits against onsets, where each counts once and may be 50 ms off, as in MIREX.
fn f_measure(onsets: &[f64], hits: &[f64]) -> f64 {
    let mut left = hits.to_vec();
    let mut n_found = 0;
    for onset in onsets {
        if let Some(i) = left.iter().position(|hit| (hit - onset).abs() <= 0.05) {
            left.remove(i);
            n_found += 1;
        }
    }
    2.0 * f64::from(n_found) / (onsets.len() + hits.len()) as f64
}

fn times(hits: &[Hit], drum: usize) -> Vec<f64> {
    hits.iter().filter(|hit| hit.drum == drum).map(|hit| hit.onset_s).collect()
}

#[test]
fn a_planted_loop_comes_apart_and_its_hits_are_found() {
    let audio = mixture(3, 44_100, 1);
    let (parts, hits) = separate(&audio, &DrumsConfig::default());
    assert_eq!(parts.names(), ["kick", "snare", "hihat"]);
    let stems = stems_of(&parts, &audio);
    assert_sum(&audio, &stems, "44.1 kHz");
    for (drum, stem) in stems.iter().enumerate() {
        let score = si_sdr(ArrayView1::from(&track(drum, 3, 44_100)), stem.channel(0));
        assert!(score > 8.0, "{}: {score:.1} dB", parts.names()[drum]);
        let found = times(&hits, drum);
        let f = f_measure(&pattern(drum, 3), &found);
        assert!(f > 0.95, "{}: F {f:.2}, {found:.2?}", parts.names()[drum]);
        // Two hops of 11.6 ms.
        let late: Vec<_> = found.iter().zip(pattern(drum, 3)).map(|(hit, onset)| hit - onset).collect();
        assert!(late.iter().all(|gap| gap.abs() < 0.025), "{}: {late:.3?}", parts.names()[drum]);
    }
    assert!(hits.iter().all(|hit| hit.level > 0.0 && hit.level <= 1.0));
}

#[test]
fn every_rate_and_channel_count_comes_apart() {
    for (sample_rate, n_channels) in [(8000, 1), (22_050, 2), (48_000, 6), (96_000, 2)] {
        let audio = mixture(1, sample_rate, n_channels).with_channel_mask((n_channels == 6).then_some(0x3f));
        let config = DrumsConfig { max_iter: 20, ..DrumsConfig::default() };
        let stems = stems_of(&separate(&audio, &config).0, &audio);
        assert_sum(&audio, &stems, &format!("{sample_rate} Hz, {n_channels} channels"));
        assert!(stems.iter().all(|stem| stem.sample_rate() == sample_rate));
        assert!(stems.iter().all(|stem| stem.channel_mask() == audio.channel_mask()));
        let kick = si_sdr(ArrayView1::from(&track(0, 1, sample_rate)), stems[0].channel(1 % n_channels));
        assert!(kick > 10.0, "{sample_rate} Hz: {kick:.1} dB");
    }
}

#[test]
fn a_recording_longer_than_what_is_learned_from_comes_apart_as_well() {
    let audio = mixture(16, 22_050, 1);
    let scores = |max_frames| {
        let (parts, hits) = separate_by(&audio, max_frames, &DrumsConfig::default());
        let stems = stems_of(&parts, &audio);
        assert_sum(&audio, &stems, "long");
        let score = |drum: usize| si_sdr(ArrayView1::from(&track(drum, 16, 22_050)), stems[drum].channel(0));
        let f = |drum| f_measure(&pattern(drum, 16), &times(&hits, drum));
        ([0, 1, 2].map(score), [0, 1, 2].map(f))
    };
    let (whole, learned) = (scores(20_000), scores(1024));
    for drum in 0..3 {
        assert!(learned.0[drum] > whole.0[drum] - 1.5, "whole {whole:.2?}, from runs of frames {learned:.2?}");
        assert!(learned.1[drum] > 0.95, "hits: {learned:.2?}");
    }
}

#[test]
fn a_recorded_hit_finds_its_drum() {
    // A cowbell of two tones beside the kick.
    let bell = |t: f32| (-t / 0.1).exp() * 0.3 * ((TAU * 540.0 * t).sin() + (TAU * 800.0 * t).sin());
    let (rate, n_samples) = (22_050, 4 * 22_050);
    let mut cowbell = vec![0.0; n_samples];
    let onsets = [0.3, 0.9, 1.1, 2.2, 3.0];
    for onset in onsets {
        let start = (onset * f64::from(rate)) as usize;
        (0..rate as usize / 2).for_each(|i| cowbell[start + i] += bell(i as f32 / rate as f32));
    }
    let kick = track(0, 2, rate);
    let samples = Array2::from_shape_fn((1, n_samples), |(_, i)| cowbell[i] + kick[i]);
    let audio = Audio::new(samples, rate).expect("audio");
    // The hit was recorded at another rate, after a silence.
    for hit_rate in [rate, 48_000] {
        let one_shot = Array2::from_shape_fn((2, hit_rate as usize), |(_, i)| {
            i.checked_sub(hit_rate as usize / 4).map_or(0.0, |i| bell(i as f32 / hit_rate as f32))
        });
        let sound =
            Sound::Recording { audio: Audio::new(one_shot, hit_rate).expect("audio"), label: "cowbell.wav".into() };
        let kit = vec![
            Drum { name: "kick".into(), sounds: vec![Sound::Kick] },
            Drum { name: "cowbell".into(), sounds: vec![sound] },
        ];
        let (parts, hits) = separate(&audio, &DrumsConfig { kit, ..DrumsConfig::default() });
        assert_eq!(parts.names(), ["kick", "cowbell"]);
        let stems = stems_of(&parts, &audio);
        assert_sum(&audio, &stems, "kit");
        let score = si_sdr(ArrayView1::from(&cowbell), stems[1].channel(0));
        assert!(score > 15.0, "{hit_rate} Hz: {score:.1} dB");
        let f = f_measure(&onsets, &times(&hits, 1));
        assert!(f > 0.95, "{hit_rate} Hz: F {f:.2}, {:.2?}", times(&hits, 1));
    }
}

#[test]
fn what_no_drum_explains_goes_to_the_residual_where_there_is_one() {
    let drums_alone = mixture(2, 22_050, 1);
    let flute = |i: usize| 0.3 * (TAU * 1200.0 * i as f32 / 22_050.0).sin();
    let mut samples = drums_alone.samples().to_owned();
    samples.row_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x += flute(i));
    let audio = Audio::new(samples, 22_050).expect("audio");
    let (parts, _) = separate(&audio, &DrumsConfig { n_residual: 2, ..DrumsConfig::default() });
    assert_eq!(parts.names(), ["kick", "snare", "hihat", "residual"]);
    let stems = stems_of(&parts, &audio);
    assert_sum(&audio, &stems, "residual");
    let flute: Vec<_> = (0..audio.n_samples()).map(flute).collect();
    let score = si_sdr(ArrayView1::from(&flute), stems[3].channel(0));
    assert!(score > 8.0, "{score:.1} dB");
}

/// A drum of two tones that glide or not, and noise, so many seconds after its hits.
fn electronic(onsets: &[f64], n_samples: usize, sound: impl Fn(usize, f32) -> f32) -> Vec<f32> {
    let mut track = vec![0.0; n_samples];
    for onset in onsets {
        let start = (onset * 22_050.0) as usize;
        for i in 0..11_025.min(n_samples.saturating_sub(start)) {
            track[start + i] += sound(start + i, i as f32 / 22_050.0);
        }
    }
    track
}

#[test]
fn an_electronic_kit_with_an_open_hihat_comes_apart() {
    // A kick that goes on for half a second, a snare that is mostly a tone, and two hi-hats that have little in common.
    let every = |first: f64, step: f64| (0..).map(move |i| first + step * f64::from(i)).take_while(|at| *at < 5.5);
    let n_samples = 6 * 22_050;
    let kick = electronic(&every(0.1, 0.5).collect::<Vec<_>>(), n_samples, |_, t| {
        (-t / 0.25).exp() * (TAU * (50.0 * t + 4.0 * (1.0 - (-t / 0.02).exp()))).sin()
    });
    let snare = electronic(&every(0.6, 1.0).collect::<Vec<_>>(), n_samples, |i, t| {
        (-t / 0.08).exp() * ((TAU * 200.0 * t).sin() + 0.1 * noise(i))
    });
    let high = |i: usize| noise(i + 2) - 2.0 * noise(i + 1) + noise(i);
    let closed = electronic(&every(0.35, 0.5).collect::<Vec<_>>(), n_samples, |i, t| {
        (-t / 0.01).exp() * 0.2 * (noise(i) - 0.5 * noise(i + 1))
    });
    let open = electronic(&every(0.85, 1.0).collect::<Vec<_>>(), n_samples, |i, t| (-t / 0.15).exp() * 0.05 * high(i));
    let hihat: Vec<_> = closed.iter().zip(&open).map(|(a, b)| a + b).collect();
    let tracks = [kick, snare, hihat];
    let samples = Array2::from_shape_fn((1, n_samples), |(_, i)| tracks.iter().map(|track| track[i]).sum());
    let audio = Audio::new(samples, 22_050).expect("audio");
    let stems = stems_of(&separate(&audio, &DrumsConfig::default()).0, &audio);
    assert_sum(&audio, &stems, "electronic");
    for ((track, stem), least) in tracks.iter().zip(&stems).zip([12.0, 8.0, 4.0]) {
        let score = si_sdr(ArrayView1::from(track), stem.channel(0));
        assert!(score > least, "{score:.1} dB, expected {least}");
    }
}

#[test]
fn drums_that_were_asked_for_and_are_not_heard_are_silent() {
    let kit: Vec<_> = Drum::names().filter_map(Drum::named).collect();
    assert_eq!(kit.len(), Drum::names().count());
    let audio = decode::read(&sample("kick-snare-hihat.wav")).expect("loop");
    let (parts, hits) = separate(&audio, &DrumsConfig { kit: kit.clone(), ..DrumsConfig::default() });
    assert_eq!(parts.names(), ["kick", "snare", "hihat", "tom", "ride", "crash", "clap"]);
    let stems = stems_of(&parts, &audio);
    assert_sum(&audio, &stems, "all pieces");
    let silent: Vec<_> = (3..kit.len()).filter(|drum| stems[*drum].peak() == 0.0).collect();
    assert_eq!(silent, [3, 4, 5, 6]);
    assert!(hits.iter().all(|hit| !silent.contains(&hit.drum)), "hits of what is silent");
    assert!(stems[..3].iter().all(|stem| stem.peak() > 0.0));
}

#[test]
fn a_crash_is_found_where_it_is_asked_for() {
    let drums = mixture(3, 22_050, 1);
    let n_samples = drums.n_samples();
    let crash = electronic(&[0.1, 4.1], n_samples, |i, t| (-t / 0.5).exp() * 0.3 * (noise(i) - noise(i + 1)));
    let mut samples = drums.samples().to_owned();
    samples.row_mut(0).iter_mut().zip(&crash).for_each(|(x, crash)| *x += crash);
    let audio = Audio::new(samples, 22_050).expect("audio");
    let kit: Vec<_> = ["kick", "snare", "hihat", "crash"].into_iter().filter_map(Drum::named).collect();
    let (parts, hits) = separate(&audio, &DrumsConfig { kit: kit.clone(), ..DrumsConfig::default() });
    let stems = stems_of(&parts, &audio);
    assert_sum(&audio, &stems, "crash");
    let score = si_sdr(ArrayView1::from(&crash), stems[3].channel(0));
    assert!(score > 5.0, "{score:.1} dB");
    let notes = Score::from_midi(&hits_to_score(&kit, &hits).to_midi()).expect("score");
    let crash = notes.parts.iter().find(|part| part.name == "crash").expect("hits of the crash");
    assert!(crash.notes.iter().all(|note| note.pitch == 49), "{:?}", crash.notes);
}

#[test]
fn every_piece_has_its_key_of_general_midi() {
    let kit: Vec<_> = Drum::names().filter_map(Drum::named).collect();
    let hits: Vec<_> = (0..kit.len()).map(|drum| Hit { drum, onset_s: drum as f64, level: 1.0 }).collect();
    let score = hits_to_score(&kit, &hits);
    let keys: Vec<_> = score.parts.iter().map(|part| (&part.name[..], part.notes[0].pitch)).collect();
    let expected = [("kick", 36), ("snare", 38), ("hihat", 42), ("tom", 45), ("ride", 51), ("crash", 49), ("clap", 39)];
    assert_eq!(keys, expected);
    assert_eq!(Drum::named("cowbell"), None);
}

#[test]
fn a_song_leaves_what_lasts_to_the_residual_and_a_loop_stays_as_it_is() {
    let drums = mixture(2, 22_050, 1);
    let chord = |i: usize| {
        let hz = if i < 44_100 { 330.0 } else { 392.0 };
        0.3 * [1.0, 1.25, 1.5, 2.0].map(|x: f32| (TAU * hz * x * i as f32 / 22_050.0).sin()).iter().sum::<f32>()
    };
    let mut samples = drums.samples().to_owned();
    samples.row_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x += chord(i));
    let song = Audio::new(samples, 22_050).expect("audio");
    let look = AnalysisConfig::drums();
    let split = |audio: &Audio, accompaniment| {
        let analysis = Analysis::of(audio, &look, &mut Watch::none()).expect("analysis");
        let config = DrumsConfig::default();
        drums_of(audio, &analysis, &look, &config, accompaniment, &mut Watch::none()).expect("separation")
    };
    let parts = split(&song, Accompaniment::Auto);
    assert_eq!(parts.names(), ["kick", "snare", "hihat", "residual"]);
    assert!(!parts.hits().is_empty());
    let stems = stems_of(&parts, &song);
    assert_sum(&song, &stems, "song");
    let band: Vec<_> = (0..song.n_samples()).map(chord).collect();
    let score = si_sdr(ArrayView1::from(&band), stems[3].channel(0));
    assert!(score > 8.0, "{score:.1} dB");
    // A loop has no residual, and the same bits as before.
    let parts = split(&drums, Accompaniment::Auto);
    assert_eq!(parts.names(), ["kick", "snare", "hihat"]);
    assert_eq!(stems_of(&parts, &drums), stems_of(&separate(&drums, &DrumsConfig::default()).0, &drums));
    assert_eq!(split(&drums, Accompaniment::Present).names().len(), 4);
    assert_eq!(split(&song, Accompaniment::Absent).names().len(), 3);
}

#[test]
fn the_bundled_loop_scores_as_recorded() {
    let read = |name: &str| decode::read(&sample(name)).expect(name);
    let audio = read("kick-snare-hihat.wav");
    let (parts, hits) = separate(&audio, &DrumsConfig::default());
    let stems = stems_of(&parts, &audio);
    let score = Score::from_midi(&fs::read(sample("kick-snare-hihat.mid")).expect("score")).expect("score");
    let (mut mean, mut mean_f) = (0.0, 0.0);
    for (drum, name) in parts.names().iter().enumerate() {
        let reference = read(&format!("kick-snare-hihat/{name}.wav"));
        mean += si_sdr(reference.channel(0), stems[drum].channel(0)) / 3.0;
        let part = score.parts.iter().find(|part| part.name == *name).expect("part");
        let onsets: Vec<_> = part.notes.iter().map(|note| note.onset_s).collect();
        mean_f += f_measure(&onsets, &times(&hits, drum)) / 3.0;
    }
    // Three of the five hits of the snare are soft, 9 to 20 dB below the others.
    assert!(mean_f > 0.85, "F {mean_f:.2}");
    const RECORDED: f64 = 14.62;
    assert!((mean - RECORDED).abs() < 0.1, "{mean:.2} dB, recorded {RECORDED}");
}

#[test]
fn hits_come_back_from_a_midi_file() {
    let kit = [Drum::standard(), vec![Drum { name: "anvil".into(), sounds: vec![Sound::Kick] }]].concat();
    let hits = [(0, 0.5, 1.0), (3, 0.75, 0.5), (2, 1.0, 0.01)];
    let hits = hits.map(|(drum, onset_s, level)| Hit { drum, onset_s, level });
    let score = Score::from_midi(&hits_to_score(&kit, &hits).to_midi()).expect("score");
    let notes: Vec<_> = score.parts.iter().flat_map(|part| &part.notes).collect();
    assert_eq!(notes.len(), 3, "a drum without hits has no part");
    for (pitch, onset_s, velocity) in [(36, 0.5, 127), (82, 0.75, 64), (42, 1.0, 1)] {
        let is_there = |note: &&&partita::knowledge::score::Note| {
            note.pitch == pitch && note.velocity == velocity && (note.onset_s - onset_s).abs() < 1e-3
        };
        assert!(notes.iter().any(|note| is_there(&note)), "{pitch}: {notes:?}");
    }
}

#[test]
fn settings_and_sounds_that_give_nothing_are_refused() {
    let audio = mixture(1, 22_050, 1);
    let error = |audio: &Audio, config: DrumsConfig| {
        analyze_and_fit(audio, &AnalysisConfig::drums(), fit, &config).expect_err("refused")
    };
    let none = DrumsConfig::default;
    let setting = |config| match error(&audio, config) {
        Error::Setting { name, .. } => name,
        other => panic!("{other}"),
    };
    assert_eq!(setting(DrumsConfig { kit: Vec::new(), ..none() }), "kit");
    assert_eq!(setting(DrumsConfig { kit: [Drum::standard(), Drum::standard()].concat(), ..none() }), "kit");
    assert_eq!(setting(DrumsConfig { kit: vec![Drum { name: "a".into(), sounds: Vec::new() }], ..none() }), "kit");
    assert_eq!(setting(DrumsConfig { template_s: 0.0, ..none() }), "template_s");
    assert_eq!(setting(DrumsConfig { template_s: f64::NAN, ..none() }), "template_s");
    assert_eq!(setting(DrumsConfig { mask_exponent: 0.0, ..none() }), "mask_exponent");
    let silence = |n| Audio::new(Array2::zeros((1, n)), 22_050).expect("audio");
    assert!(matches!(error(&silence(100), none()), Error::TooShort { .. }));
    let sound = Sound::Recording { audio: silence(22_050), label: "gong.wav".into() };
    let kit = vec![Drum { name: "gong".into(), sounds: vec![sound] }];
    let message = error(&audio, DrumsConfig { kit, ..none() }).to_string();
    assert_eq!(message, "cannot learn `gong` from `gong.wav`: the recording is silent");
    let analysis = Analysis::of(&audio, &AnalysisConfig::drums(), &mut Watch::none()).expect("analysis");
    let mut stop = |_| ControlFlow::Break(());
    let cancelled = fit(&analysis, &none(), None, &mut Watch::new(&mut stop));
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}

// ---- the program -----------------------------------------------------------------------------------------------------

/// Its exit code, and what it says.
fn run(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = partita(folder, args);
    (output.status.code().unwrap_or(-1), stderr(&output))
}

#[test]
fn the_program_writes_stems_and_a_midi_file() {
    let folder = tempfile::tempdir().expect("folder");
    let (loop_, snare) = (sample("kick-snare-hihat.wav"), sample("kick-snare-hihat/snare.wav"));
    let kit = format!("snare={}", snare.display());
    let args = ["drums", loop_.to_str().expect("UTF-8"), "--kit", &kit, "--midi-out", "-o", "out"];
    let (code, message) = run(folder.path(), &args);
    assert_eq!(code, 0, "{message}");
    let out = folder.path().join("out/kick-snare-hihat");
    let mixture = decode::read(&loop_).expect("mixture");
    let stems: Vec<_> = ["kick", "snare", "hihat"]
        .iter()
        .map(|name| decode::read(&out.join(format!("{name}.wav"))).expect(name))
        .collect();
    assert_sum(&mixture, &stems, "files");
    let score = Score::from_midi(&fs::read(out.join("drums.mid")).expect("file")).expect("score");
    assert_eq!(score.parts.iter().map(|part| &part.name[..]).collect::<Vec<_>>(), ["kick", "snare", "hihat"]);
    assert!(message.contains("hits of kick, "), "{message}");
    let args2 =
        ["drums", loop_.to_str().expect("UTF-8"), "--pieces", "kick,snare,hihat,clap", "--song", "yes", "-o", "song"];
    let (code, message) = run(folder.path(), &args2);
    assert_eq!(code, 0, "{message}");
    for name in ["kick", "snare", "hihat", "clap", "residual"] {
        assert!(folder.path().join(format!("song/kick-snare-hihat/{name}.wav")).exists(), "{name}");
    }
    // A second run would replace what is there.
    assert_eq!(run(folder.path(), &args).0, 2);
}

#[test]
fn the_program_refuses_what_it_cannot_use() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("text.wav"), "no sound").expect("write");
    let loop_ = sample("kick-snare-hihat.wav");
    let loop_ = loop_.to_str().expect("UTF-8");
    for (args, code, expected) in [
        (&["--kit", "snare"][..], 2, "expected a name and a file, as in kick=kick.wav"),
        (&["--kit", "../up=text.wav"], 2, "expected a name that a file can have"),
        (&["--kit", "snare=text.wav"], 1, "`text.wav`"),
        (&["--kit", "snare=nothing.wav"], 1, "cannot open `nothing.wav`"),
        (&["--kit-only"], 2, "--kit"),
        (&["--pieces", "kick,hihatt"], 2, "hihat, tom, ride, crash, clap"),
        (&["--pieces", "kick,hihatt"], 2, "similar value exists: 'hihat'"),
        (&["--pieces", "kick,kick"], 2, "`kick` twice"),
        (&["--template-s", "0"], 2, "`--template-s` is 0, expected above 0 to 5 s"),
    ] {
        let (got, message) = run(folder.path(), &[&["drums", loop_][..], args].concat());
        assert!(got == code && message.contains(expected), "{args:?}: {got}, {message}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn blocks_of_any_excerpt_have_its_length() {
    let audio = mixture(1, 22_050, 2);
    for n_samples in [22_050, 22_051, 30_000] {
        let cut = Audio::new(audio.samples().slice(s![.., ..n_samples]).to_owned(), 22_050).expect("audio");
        let (parts, _) = separate(&cut, &DrumsConfig { max_iter: 5, ..DrumsConfig::default() });
        assert_sum(&cut, &stems_of(&parts, &cut), &n_samples.to_string());
    }
}
