//! Notes that are found with the help of examples: through the library, and through `separate --midi-out`.

mod common;

use std::f64::consts::TAU;

use common::{Dir, assert_sum, si_sdr, stderr, stems_of};
use ndarray::{Array2, ArrayView1};
use partita::knowledge::score::{Note, Part};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::transcribe::{self, Learning, Player, Transcript};
use partita::separate::{Analysis, AnalysisConfig, Example};
use partita::watch::Watch;
use partita::{Audio, DictionaryConfig, Error, Score, Separation, StftOptions};

const RATE: u32 = 16_000;
const SECONDS: usize = 6;

/// Notes of one length, one after the other.
fn tune(pitches: &[u8], length_s: f64) -> Vec<Note> {
    let note = |(i, pitch): (usize, &u8)| {
        let onset_s = 0.2 + i as f64 * length_s;
        Note { onset_s, offset_s: onset_s + 0.95 * length_s, pitch: *pitch, velocity: 90 }
    };
    pitches.iter().enumerate().map(note).collect()
}

/// A flute above a clarinet: what they play.
fn duo() -> Score {
    let flute = tune(&[74, 77, 79, 76, 72, 74, 81, 77, 76, 74, 79], 0.5);
    let clarinet = tune(&[57, 60, 55, 62, 59, 53, 57], 0.8);
    Score { parts: vec![Part::new("flute", flute), Part::new("clarinet", clarinet)], ..Score::default() }
}

/// The sound of notes, `strength` of each harmonic.
fn play(notes: &[Note], strength: impl Fn(usize) -> f64) -> Vec<f32> {
    let mut sound = vec![0.0f32; SECONDS * RATE as usize];
    for note in notes {
        for (i, x) in sound.iter_mut().enumerate() {
            let time_s = i as f64 / f64::from(RATE);
            let fade = ((time_s - note.onset_s) / 0.02).min((note.offset_s - time_s) / 0.02).clamp(0.0, 1.0);
            if fade > 0.0 {
                let hz = Note::pitch_hz(note.pitch);
                let harmonics = (1..=12usize).filter(|h| hz * (*h as f64) < 7000.0);
                let sum: f64 = harmonics.map(|h| strength(h) * (TAU * hz * h as f64 * time_s).sin()).sum();
                *x += (0.1 * fade * sum) as f32;
            }
        }
    }
    sound
}

fn flute(h: usize) -> f64 {
    (h as f64).powi(-2)
}

/// Odd harmonics, above all.
fn clarinet(h: usize) -> f64 {
    if h % 2 == 1 { 1.0 / h as f64 } else { 0.1 / h as f64 }
}

fn mono(samples: &[f32]) -> Audio {
    Audio::new(Array2::from_shape_fn((1, samples.len()), |(_, i)| samples[i]), RATE).expect("audio")
}

/// What the two play in the mixture.
fn stems() -> [Vec<f32>; 2] {
    let score = duo();
    [play(&score.parts[0].notes, flute), play(&score.parts[1].notes, clarinet)]
}

fn mixture() -> Audio {
    let [one, other] = stems();
    mono(&one.iter().zip(&other).map(|(a, b)| a + b).collect::<Vec<_>>())
}

/// The two alone: of 7 and 6 pitches of the piece, each plays 2.
fn solos() -> [Vec<f32>; 2] {
    [
        play(&tune(&[74, 75, 78, 79, 75, 78, 74], 0.75), flute),
        play(&tune(&[56, 57, 58, 61, 57, 58, 54], 0.75), clarinet),
    ]
}

fn known(solos: &[Audio; 2]) -> [Example<'_>; 2] {
    [("flute", &solos[0]), ("clarinet", &solos[1])].map(|(name, solo)| Example { name, label: name, recording: solo })
}

fn heard(solos: &[Audio; 2]) -> Vec<Player> {
    transcribe::listen(&known(solos), RATE, &AnalysisConfig::default(), &mut Watch::none()).expect("heard")
}

fn analysis(max_frames: usize) -> Analysis {
    let config = AnalysisConfig { max_frames, ..AnalysisConfig::default() };
    Analysis::of(&mixture(), &config, &mut Watch::none()).expect("analysis")
}

fn config(solos: &[Audio; 2]) -> ExamplesConfig {
    let (stft, learn) = (StftOptions::default(), DictionaryConfig::default());
    let dictionary = examples::learn(&known(solos), RATE, &stft, &learn, &mut Watch::none()).expect("learned");
    ExamplesConfig::new(dictionary)
}

/// Share of the time of the notes of a part in which the same key was found.
fn share_found(found: &[Note], truth: &[Note]) -> f64 {
    let together = |a: &Note, b: &Note| (a.offset_s.min(b.offset_s) - a.onset_s.max(b.onset_s)).max(0.0);
    let same = |note: &Note| -> f64 {
        found.iter().filter(|other| other.pitch == note.pitch).map(|other| together(note, other)).sum()
    };
    truth.iter().map(same).sum::<f64>() / truth.iter().map(|note| note.offset_s - note.onset_s).sum::<f64>()
}

fn separate(max_frames: usize, players: &[Player], config: &ExamplesConfig) -> Separation {
    transcribe::fit(&mixture(), &analysis(max_frames), config, players, &mut Watch::none()).expect("separated")
}

#[test]
fn notes_that_the_examples_lack_are_found_and_do_no_harm() {
    let solos = solos().map(|solo| mono(&solo));
    let players = heard(&solos);
    assert!(players.iter().all(Player::is_melodic), "{players:?}");
    let Transcript { score, certainty, new } =
        transcribe::transcribe(&mixture(), &analysis(20_000), &players, &mut Watch::none()).expect("notes");
    assert!(certainty > 0.4 && new > 0.2, "certainty {certainty}, new {new}");
    for (part, truth) in score.parts.iter().zip(&duo().parts) {
        assert_eq!(part.name, truth.name);
        let share = share_found(&part.notes, &truth.notes);
        assert!(share > 0.85, "{}: {share} of its notes were found, {:?}", part.name, part.notes);
    }

    let config = config(&solos);
    let quality = |separation: &Separation| -> Vec<f64> {
        let made = stems_of(separation, &mixture());
        assert_sum(&mixture(), &made, "examples and notes");
        stems().iter().zip(&made).map(|(r, stem)| si_sdr(ArrayView1::from(r), stem.channel(0))).collect()
    };
    let without = examples::fit(&analysis(20_000), &config, None, &mut Watch::none()).expect("separated");
    let with = separate(20_000, &players, &config);
    assert_eq!(with.notes().map(Score::n_notes), Some(score.n_notes()));
    for (with, without) in quality(&with).iter().zip(quality(&without)) {
        // Transposed templates suit such clean tones well; wrong notes would cost many decibels.
        assert!(*with > without - 0.5, "{with} dB with notes, {without} dB without");
    }
}

#[test]
fn players_of_chords_are_left_to_their_templates() {
    let chords =
        play(&[tune(&[60, 62, 59], 1.5), tune(&[64, 65, 67], 1.5), tune(&[79, 69, 74], 1.5)].concat(), clarinet);
    let solos = [mono(&solos()[0]), mono(&chords)];
    let players = heard(&solos);
    assert_eq!(players.iter().map(Player::is_melodic).collect::<Vec<_>>(), [true, false]);
    let config = config(&solos);
    let separation = separate(20_000, &players, &config);
    assert!(separation.notes().is_none());
    let plain = examples::fit(&analysis(20_000), &config, None, &mut Watch::none()).expect("separated");
    assert_eq!(stems_of(&separation, &mixture()), stems_of(&plain, &mixture()));
}

#[test]
fn where_not_all_play_one_note_at_a_time_the_window_is_longer() {
    let chords =
        play(&[tune(&[60, 62, 59], 1.5), tune(&[64, 65, 67], 1.5), tune(&[79, 69, 74], 1.5)].concat(), clarinet);
    let solos = [mono(&solos()[0]), mono(&chords)];
    let (players, look) = (heard(&solos), AnalysisConfig::default());
    let Learning { stft: wide, n_context } = transcribe::learning(&players, &look, RATE);
    assert_eq!(wide, StftOptions { n_fft: Some(3072), ..StftOptions::default() }, "0.17 s is near 1.5 * 2048 samples");
    assert_eq!(n_context, 2);
    let asked = AnalysisConfig { max_frames: 3000, ..look.clone() };
    let wide_look = transcribe::look(&players, &asked, RATE);
    // Hops of 768 in place of 512 samples.
    assert_eq!((wide_look.stft, wide_look.max_frames), (wide, 2000), "as many seconds are kept");
    let asked = AnalysisConfig { stft: StftOptions { n_fft: Some(1024), ..look.stft }, ..look.clone() };
    let plain = |players, look| transcribe::learning(players, look, RATE);
    assert_eq!(plain(&players, &asked), Learning { stft: asked.stft, n_context: 3 }, "what is asked for stays");
    assert_eq!(plain(&players[..1], &look).stft, look.stft, "a single source has a rest beside it");
    let melodic = [players[0].clone(), players[0].clone()];
    assert_eq!(plain(&melodic, &look).stft, look.stft);

    let dictionary = |stft| {
        let learn = DictionaryConfig { n_context, ..DictionaryConfig::default() };
        examples::learn(&known(&solos), RATE, &stft, &learn, &mut Watch::none()).expect("learned")
    };
    let config = ExamplesConfig::new(dictionary(wide));
    let own = Analysis::of(&mixture(), &AnalysisConfig { stft: wide, ..look }, &mut Watch::none()).expect("analysis");
    let plain = stems_of(&examples::fit(&own, &config, None, &mut Watch::none()).expect("separated"), &mixture());
    assert_sum(&mixture(), &plain, "a longer window");
    let led = separate(20_000, &players, &config);
    assert_eq!(stems_of(&led, &mixture()), plain, "the recording is looked at as the dictionary is");
    // Of a longer recording, some frames are kept, and the stems are the same.
    assert_eq!(stems_of(&separate(256, &players, &config), &mixture()), plain);
    let other = ExamplesConfig::new(dictionary(StftOptions { n_fft: Some(1024), ..StftOptions::default() }));
    let refused = transcribe::fit(&mixture(), &analysis(20_000), &other, &players, &mut Watch::none());
    assert!(matches!(refused, Err(Error::DictionaryMismatch { .. })), "{refused:?}");
}

#[test]
fn the_notes_are_the_same_for_any_number_of_threads_and_of_frames_that_are_kept() {
    let solos = solos().map(|solo| mono(&solo));
    let (players, config) = (heard(&solos), config(&solos));
    let on = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        pool.install(|| {
            let separation = separate(20_000, &players, &config);
            (separation.notes().cloned(), stems_of(&separation, &mixture()))
        })
    };
    let (one, three) = (on(1), on(3));
    assert!(one == three, "other bits on three threads");
    let thinned = separate(64, &players, &config);
    assert_eq!(thinned.notes(), one.0.as_ref());
    assert_sum(&mixture(), &stems_of(&thinned, &mixture()), "frames that the fit did not keep");
}

#[test]
fn no_players_are_refused() {
    let refused = transcribe::transcribe(&mixture(), &analysis(20_000), &[], &mut Watch::none());
    assert!(matches!(refused, Err(Error::Setting { name: "players", .. })), "{refused:?}");
}

// ---- the command line ------------------------------------------------------------------------------------------------

fn write(dir: &Dir, name: &str, samples: &[f32]) {
    dir.wav(name, RATE, &[&|i| samples[i]], samples.len());
}

#[test]
fn the_notes_that_are_written_are_the_next_score() {
    let dir = Dir::new();
    let ([one, other], [flute, clarinet]) = (stems(), solos());
    write(&dir, "song.wav", &one.iter().zip(&other).map(|(a, b)| a + b).collect::<Vec<_>>());
    write(&dir, "flute.wav", &flute);
    write(&dir, "clarinet.wav", &clarinet);
    let known = ["--example", "flute=flute.wav", "--example", "clarinet=clarinet.wav"];
    let message = stderr(&dir.succeeds(&[&["separate", "song.wav", "-o", "a", "--midi-out"][..], &known].concat()));
    assert!(message.contains("notes were found"), "{message}");
    let written = Score::load(&dir.path("a/song/notes.mid")).expect("a score");
    assert_eq!(written.parts.iter().map(|part| &*part.name).collect::<Vec<_>>(), ["flute", "clarinet"]);
    dir.succeeds(&["separate", "song.wav", "--score", "a/song/notes.mid", "-o", "b", "--no-residual", "--midi-out"]);
    for (name, reference) in [("flute", &one), ("clarinet", &other)] {
        let stem = dir.read(&format!("b/song/{name}.wav"));
        let quality = si_sdr(ArrayView1::from(reference), stem.channel(0));
        assert!(quality > 8.0, "{name}: {quality} dB by the notes alone");
    }
    let again = Score::load(&dir.path("b/song/notes.mid")).expect("a score");
    assert_eq!(again.n_notes(), written.n_notes(), "a score is written as it is read");
}

#[test]
fn where_no_notes_can_be_found_it_is_said_why() {
    let dir = Dir::new();
    dir.tune("song.wav");
    let message = dir.fails(&["separate", "song.wav", "--midi-out"], 2);
    assert!(message.contains("`--midi-out` needs `--example` or `--score`"), "{message}");
    let message = stderr(&dir.succeeds(&["separate", "song.wav", "--midi-out", "--example", "tune=song.wav"]));
    assert!(message.contains("no notes are written"), "{message}");
    assert!(!dir.files().iter().any(|file| file.ends_with(".mid")), "{:?}", dir.files());
}

#[test]
fn a_score_is_written_where_the_recording_plays_it() {
    let dir = Dir::new();
    let late: Vec<f32> = vec![0.0; RATE as usize].into_iter().chain(stems()[0].iter().copied()).collect();
    write(&dir, "late.wav", &late);
    let score = Score { parts: vec![duo().parts[0].clone()], ..Score::default() };
    std::fs::write(dir.path("flute.mid"), score.to_midi()).expect("written");
    dir.succeeds(&["separate", "late.wav", "--score", "flute.mid", "--align", "--midi-out", "-o", "out"]);
    let moved = Score::load(&dir.path("out/late/notes.mid")).expect("a score");
    for (moved, note) in moved.parts[0].notes.iter().zip(&score.parts[0].notes) {
        let by_s = moved.onset_s - note.onset_s;
        assert!((by_s - 1.0).abs() < 0.1, "a note at {} s was moved by {by_s} s", note.onset_s);
    }
}
