//! MIDI files as people have them, and recordings that sound higher or lower than their score.

mod common;

use std::f64::consts::TAU;

use common::midi::{ONE_NOTE, PPQ_96, midi, named};
use common::{Dir, analyze_and_fit, si_sdr, stderr, stems_of};
use ndarray::{Array2, ArrayView1};
use partita::knowledge::score::{Class, MidiConfig, Note, Part, Warning, align::align};
use partita::separate::AnalysisConfig;
use partita::separate::score::{ScoreConfig, fit};
use partita::watch::Watch;
use partita::{Audio, Error, Score};

/// The events of a track that sets the program of each of these channels and plays these keys on it, an eighth of a second
/// each, one after the other.
fn playing(channels: &[(u8, Option<u8>, &[u8])]) -> Vec<u8> {
    let mut events = Vec::new();
    for (channel, program, keys) in channels {
        program.iter().for_each(|program| events.extend([0, 0xc0 | channel, *program]));
        keys.iter().for_each(|key| events.extend([0, 0x90 | channel, *key, 80, 24, 0x80 | channel, *key, 0]));
    }
    events
}

fn read(format: u8, tracks: &[Vec<u8>]) -> Score {
    let tracks: Vec<_> = tracks.iter().map(Vec::as_slice).collect();
    Score::from_midi(&midi(format, PPQ_96, &tracks)).expect("score")
}

fn names(score: &Score) -> Vec<(&str, usize)> {
    score.parts.iter().map(|part| (part.name.as_str(), part.notes.len())).collect()
}

// ---- tracks and channels -----------------------------------------------------------------------------------------

#[test]
fn a_named_track_of_format_1_is_one_part_whatever_its_channels() {
    let strings: Vec<(u8, Option<u8>, &[u8])> = (0..6).map(|i| (i, Some(25), &[60u8, 62][..])).collect();
    let guitar = named("Guitar", &playing(&strings));
    let violin = named("Violin", &playing(&[(0, Some(40), &[76, 77]), (1, Some(45), &[79])]));
    let flute = named("Flute", ONE_NOTE);
    let title = named("A suite", &[]);
    let score = read(1, &[title, guitar.clone(), violin.clone(), flute]);
    assert_eq!(names(&score), [("Guitar", 12), ("Violin", 3), ("Flute", 1)]);
    assert!(score.parts.iter().all(|part| part.notes.is_sorted_by(|a, b| a.onset_s <= b.onset_s)));
    assert_eq!(score.warnings, []);
    // Alone, too.
    assert_eq!(names(&read(1, &[guitar])), [("Guitar", 12)]);
    assert_eq!(names(&read(1, &[violin])), [("Violin", 3)]);
}

#[test]
fn a_piece_in_one_track_and_a_track_without_a_name_are_split_by_channel() {
    let duo = playing(&[(0, Some(40), &[76]), (1, Some(0), &[60])]);
    let piece = named("My piece", &duo);
    let split = [("violin", 1), ("piano", 1)];
    assert_eq!(names(&read(0, std::slice::from_ref(&piece))), split);
    assert_eq!(names(&read(1, &[piece])), split);
    assert_eq!(names(&read(1, &[duo, named("Flute", ONE_NOTE)])), [("violin", 1), ("piano", 1), ("Flute", 1)]);
}

#[test]
fn notes_know_their_programs_where_a_part_has_several() {
    // On two channels, and on one that changes its program.
    let on_two = named("Violin", &playing(&[(0, Some(40), &[76, 77]), (1, Some(45), &[79])]));
    let in_turn = named("Viola", &playing(&[(2, Some(41), &[60]), (2, Some(45), &[62]), (2, Some(41), &[64])]));
    let score = read(1, &[on_two, in_turn]);
    let programs: Vec<_> = score.parts.iter().map(|part| part.note_programs.clone()).collect();
    assert_eq!(programs, [vec![Some(40), Some(40), Some(45)], vec![Some(41), Some(45), Some(41)]]);
    let ways: Vec<_> = score.parts[1].by_program().iter().map(|way| (way.class, way.notes.len())).collect();
    assert_eq!(ways, [(Class::Sustained, 2), (Class::Struck, 1)]);
    let again = Score::from_midi(&score.to_midi()).expect("score");
    assert_eq!(again.parts.iter().map(|part| part.note_programs.clone()).collect::<Vec<_>>(), programs);
    // A known name goes before the one program, which many files leave at 0.
    let bassoon = read(1, &[named("Bassoon", &playing(&[(0, Some(0), &[50])]))]);
    assert_eq!((bassoon.parts[0].class, bassoon.parts[0].note_programs.len()), (Class::Sustained, 0));
}

#[test]
fn a_part_in_two_ways_of_playing_is_one_stem() {
    let n_samples = 3 * SAMPLE_RATE as usize;
    let bowed = Part::new("Violin", vec![note(0.2, 0.9, 69), note(1.9, 2.6, 72)]);
    let plucked = Part { class: Class::Struck, ..Part::new("Violin", vec![note(1.0, 1.5, 76), note(1.5, 1.8, 74)]) };
    let cello = Part::new("Cello", vec![note(0.2, 1.2, 48), note(1.4, 2.6, 43)]);
    let violin: Vec<f32> =
        play(&bowed, n_samples, 0.0).iter().zip(play(&plucked, n_samples, 0.0)).map(|(a, b)| a + b).collect();
    let stems = [violin, play(&cello, n_samples, 0.0)];
    let notes = vec![bowed.notes[0], plucked.notes[0], plucked.notes[1], bowed.notes[1]];
    let note_programs = vec![Some(40), Some(45), Some(45), Some(40)];
    let parts = vec![Part { notes, note_programs, ..bowed }, cello];
    let mixture = mixture(&stems);
    let config = ScoreConfig::new(Score { parts, ..Score::default() });
    let separation = analyze_and_fit(&mixture, &AnalysisConfig::default(), fit, &config).expect("separation");
    assert_eq!(separation.names(), ["Violin", "Cello", "residual"]);
    let db = quality(&separation, &mixture, &stems);
    assert!(db.iter().all(|db| *db > 10.0), "{db:.1?} dB");
}

// ---- drums -------------------------------------------------------------------------------------------------------

#[test]
fn the_drums_of_common_instruments_are_known() {
    let track = named("Kit", &playing(&[(9, None, &[36, 22, 42, 26, 46, 44, 82, 85, 38])]));
    let score = read(1, &[track]);
    assert_eq!(names(&score), [("kick", 1), ("hihat", 5), ("shaker", 1), ("castanets", 1), ("snare", 1)]);
    let all: Vec<u8> = (21..=87).collect();
    let score = read(1, &[playing(&[(9, None, &all)])]);
    assert!(score.parts.iter().all(|part| !part.name.starts_with("drum-")), "{:?}", names(&score));
}

/// Two bars of eighths: kick, hi-hats and snare.
const BEAT: &[u8] = &[36, 42, 38, 42, 36, 42, 38, 46, 36, 42, 38, 42, 36, 42, 38, 46];

#[test]
fn drums_on_another_channel_are_warned_of() {
    let like_drums = |score: &Score| -> Vec<String> {
        let is_like = |warning: &Warning| match warning {
            Warning::LikeDrums { name } => Some(name.clone()),
            _ => None,
        };
        score.warnings.iter().filter_map(is_like).collect()
    };
    let flute = || named("Flute", ONE_NOTE);
    for name in ["Drums", "Schlagzeug", "Batterie", "ドラム", "Percussion 2", "Track 3"] {
        let score = read(1, &[named(name, &playing(&[(2, None, BEAT)])), flute()]);
        assert_eq!(names(&score), [(name, 16), ("Flute", 1)]);
        assert_eq!(like_drums(&score), [name], "{name}");
        assert!(score.warnings[0].to_string().contains(&format!("--drum-track \"{name}\"")), "{}", score.warnings[0]);
    }
    // What is known to be something else, what is one drum, what is on channel 10, and what has other notes.
    for (name, channel, program, keys) in [
        ("Bass", 2, None, BEAT),
        ("Steel drums", 2, None, BEAT),
        ("Kick", 2, None, &[36, 36, 36, 36, 36, 36, 36, 36]),
        ("Drums", 9, None, BEAT),
        ("Track 3", 2, Some(33), BEAT),
        ("Track 3", 2, None, &[48, 50, 52, 53, 55, 57, 59, 60, 62, 64, 65, 67]),
    ] {
        let score = read(1, &[named(name, &playing(&[(channel, program, keys)])), flute()]);
        assert_eq!(like_drums(&score), [""; 0], "{name} {keys:?}");
    }
}

#[test]
fn a_track_is_drums_where_that_is_said() {
    let drums = named("My Drums", &playing(&[(2, None, BEAT)]));
    let tracks = [named("Song", &[]), drums, named("Flute", ONE_NOTE), playing(&[(4, Some(117), &[38])])];
    let bytes = midi(1, PPQ_96, &tracks.each_ref().map(Vec::as_slice));
    let split = |names: &[&str]| {
        let drum_tracks = names.iter().map(|name| (*name).to_owned()).collect();
        Score::from_midi_with(&bytes, &MidiConfig { drum_tracks })
    };
    for named in ["My Drums", "my drums", "2"] {
        let score = split(&[named]).expect("score");
        let expected = [("kick", 4), ("hihat", 8), ("snare", 4), ("Flute", 1), ("melodic-tom", 1)];
        assert_eq!(names(&score), expected, "{named}");
        assert!(score.parts[..3].iter().all(|part| part.is_drum) && score.warnings.is_empty());
    }
    // Several; the last has no name but that of its program.
    let score = split(&["2", "melodic-tom"]).expect("score");
    assert_eq!(names(&score), [("kick", 4), ("hihat", 8), ("snare", 5), ("Flute", 1)]);
    for missing in ["Trumpet", "1", "5", ""] {
        let error = split(&["2", missing]).expect_err(missing);
        assert!(matches!(&error, Error::UnknownTrack { name, .. } if name == missing), "{error:?}");
        assert!(error.advice().expect("advice").to_string().contains("My Drums, Flute, 4"), "{missing}");
    }
}

#[test]
fn the_command_splits_drum_tracks_and_names_the_tracks_there_are() {
    let dir = Dir::new();
    dir.tune("a.wav");
    let tracks = [named("Drums", &playing(&[(0, None, BEAT)])), named("Flute", ONE_NOTE)];
    std::fs::write(dir.path("a.mid"), midi(1, PPQ_96, &tracks.each_ref().map(Vec::as_slice))).expect("written");
    let common = ["separate", "a.wav", "--score", "a.mid", "--out", "out"];
    let message = stderr(&dir.succeeds(&common));
    assert!(message.contains("looks like drums") && message.contains("`--drum-track \"Drums\"`"), "{message}");
    assert!(dir.files().contains(&"out/a/Drums.wav".into()), "{:?}", dir.files());
    let message = dir.fails(&[&common[..], &["-f", "--drum-track", "Bongos"]].concat(), 1);
    assert!(
        message.contains("no track `Bongos`") && message.contains("tracks with notes are: Drums, Flute"),
        "{message}"
    );
    let message = stderr(&dir.succeeds(&[&common[..], &["-f", "--drum-track", "drums"]].concat()));
    assert!(!message.contains("looks like drums"), "{message}");
    assert!(dir.files().contains(&"out/a/hihat.wav".into()), "{:?}", dir.files());
}

// ---- names -------------------------------------------------------------------------------------------------------

#[test]
fn names_are_read_in_the_encodings_that_programs_write() {
    let utf_16 = |name: &str, big: bool| {
        let unit = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        ['\u{feff}'.to_string().as_str(), name].concat().encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    let cases: [(Vec<u8>, &str); 7] = [
        (utf_16("Flöte 笛", false), "Flöte 笛"),
        (utf_16("Flöte 笛", true), "Flöte 笛"),
        ([b"\xef\xbb\xbf", "Flöte 笛".as_bytes()].concat(), "Flöte 笛"),
        ("Flöte 笛".as_bytes().to_vec(), "Flöte 笛"),
        (b"Fl\xf6te".to_vec(), "Flöte"),
        (b"Basse \x96 \x9cuvre".to_vec(), "Basse _ œuvre"),
        // Shift-JIS.
        (b"\x83\x73\x83\x41\x83\x6d".to_vec(), "ピアノ"),
    ];
    for (bytes, name) in &cases {
        assert_eq!(names(&read(1, &[named(bytes, ONE_NOTE)])), [(*name, 1)], "{bytes:x?}");
    }
    // All of one file together: what is short is read as the rest.
    let tracks = [&b"\x83\x73\x83\x41\x83\x6d"[..], b"\xc4\xde\xd7\xd1", b"Gt.1"].map(|name| named(name, ONE_NOTE));
    assert_eq!(names(&read(1, &tracks)), [("ピアノ", 1), ("ﾄﾞﾗﾑ", 1), ("Gt.1", 1)]);
}

// ---- pictures ----------------------------------------------------------------------------------------------------

#[test]
fn letters_without_a_font_are_told_of_once_and_a_picture_of_the_others_needs_none() {
    let dir = Dir::new();
    // No system has a font for the letter of the first: it will never be one.
    let strange = "a\u{3fffe}.wav";
    dir.tune(strange);
    dir.tune("b.wav");
    let message = stderr(&dir.succeeds(&["spectrogram", strange, "-o", "a.png"]));
    assert_eq!(message.matches("cannot be drawn here").count(), 1, "{message}");
    for (input, picture) in [("b.wav", "b.png"), (strange, "a.svg")] {
        let message = stderr(&dir.succeeds(&["spectrogram", input, "-o", picture]));
        assert!(!message.contains("cannot be drawn here"), "{picture}: {message}");
    }
    let message = stderr(&dir.succeeds(&["separate", strange, "-n", "2", "--plot", "--max-iter", "5"]));
    assert_eq!(message.matches("cannot be drawn here").count(), 1, "{message}");
}

// ---- tuning ------------------------------------------------------------------------------------------------------

const SAMPLE_RATE: u32 = 16_000;

fn note(onset_s: f64, offset_s: f64, pitch: u8) -> Note {
    Note { onset_s, offset_s, pitch, velocity: 90 }
}

/// A flute and a clarinet in different rhythms, twelve seconds of them.
fn duo() -> Score {
    let tune = |pitches: &[u8], length_s: f64| {
        let note =
            |(i, pitch): (usize, &u8)| note(0.2 + i as f64 * length_s, 0.2 + (i as f64 + 0.9) * length_s, *pitch);
        pitches.iter().enumerate().map(note).collect()
    };
    let flute =
        tune(&[72, 76, 79, 74, 77, 76, 72, 71, 74, 79, 81, 77, 76, 74, 71, 72, 67, 69, 71, 72, 74, 76, 74], 0.5);
    let clarinet = tune(&[57, 60, 55, 62, 59, 57, 53, 55, 60, 52, 55, 57, 59, 60], 0.8);
    Score { parts: vec![Part::new("flute", flute), Part::new("clarinet", clarinet)], ..Score::default() }
}

/// What a part sounds like, so many semitones higher than it is written: each note a sum of harmonics with a soft start.
/// A flute's fall off fast, those of others slowly.
fn play(part: &Part, n_samples: usize, semitones: f64) -> Vec<f32> {
    let mut sound = vec![0.0f32; n_samples];
    for note in &part.notes {
        let hz = Note::pitch_hz(note.pitch) * (semitones / 12.0).exp2();
        for (i, x) in sound.iter_mut().enumerate() {
            let time_s = i as f64 / f64::from(SAMPLE_RATE);
            let fade = ((time_s - note.onset_s) / 0.02).min((note.offset_s - time_s) / 0.02).clamp(0.0, 1.0);
            let fade = if part.class == Class::Struck { fade * (-8.0 * (time_s - note.onset_s)).exp() } else { fade };
            if fade > 0.0 {
                let power = if part.name == "flute" { 2 } else { 1 };
                let harmonics = (1..=10).map(f64::from).filter(|h| hz * h < 7000.0);
                let sum: f64 = harmonics.map(|h| (TAU * hz * h * time_s).sin() / h.powi(power)).sum();
                *x += (0.1 * fade * sum) as f32;
            }
        }
    }
    sound
}

fn mixture(stems: &[Vec<f32>]) -> Audio {
    let sum = |(_, i): (usize, usize)| stems.iter().map(|stem| stem[i]).sum();
    Audio::new(Array2::from_shape_fn((1, stems[0].len()), sum), SAMPLE_RATE).expect("audio")
}

/// SI-SDR of each stem in dB.
fn quality(separation: &partita::Separation, mixture: &Audio, references: &[Vec<f32>]) -> Vec<f64> {
    let stems = stems_of(separation, mixture);
    references.iter().zip(&stems).map(|(r, stem)| si_sdr(ArrayView1::from(r), stem.channel(0))).collect()
}

#[test]
fn a_recording_in_another_tuning_is_found_told_and_followed() {
    let baroque = 12.0 * (415.0f64 / 440.0).log2();
    for (semitones, words) in [
        (baroque, Some("1 semitone lower")),
        (3.0, Some("3 semitones higher")),
        (-5.0, Some("5 semitones lower")),
        (2.5, Some("2.5 semitones higher")),
        (0.0, None),
    ] {
        let n_samples = 12 * SAMPLE_RATE as usize;
        let stems: Vec<_> = duo().parts.iter().map(|part| play(part, n_samples, semitones)).collect();
        let mixture = mixture(&stems);
        let slower = duo().moved(1.0, 1.2).expect("moved");
        let aligned = || align(&slower, &mixture, &mut Watch::none()).expect("aligned");
        for (score, what) in [(duo(), "as written"), (aligned(), "aligned")] {
            let separate = |score: Score| {
                analyze_and_fit(&mixture, &AnalysisConfig::default(), fit, &ScoreConfig::new(score))
                    .expect("separation")
            };
            let found = separate(score.clone());
            match words {
                Some(words) => {
                    assert!(found.warnings()[0].contains(words), "{semitones} {what}: {:?}", found.warnings())
                }
                None => assert_eq!(found.warnings(), [""; 0], "{what}"),
            }
            let db = quality(&found, &mixture, &stems);
            assert!(db.iter().all(|db| *db > 9.0), "{semitones} {what}: {db:.1?} dB");
            // What is said is not searched for: neither what is right nor what is wrong.
            let said = separate(score.clone().transposed(semitones).expect("transposed"));
            assert_eq!(said.warnings(), [""; 0], "{semitones} {what}");
            let db = quality(&said, &mixture, &stems);
            assert!(db.iter().all(|db| *db > 9.0), "{semitones} {what}, said: {db:.1?} dB");
        }
        if words.is_some() {
            let wrong = ScoreConfig::new(duo().transposed(0.0).expect("transposed"));
            let wrong = analyze_and_fit(&mixture, &AnalysisConfig::default(), fit, &wrong).expect("separation");
            assert!(
                wrong.warnings().iter().all(|warning| !warning.contains("recording sounds")),
                "{:?}",
                wrong.warnings()
            );
            let db = quality(&wrong, &mixture, &stems);
            assert!(db.iter().any(|db| *db < 3.0), "{semitones} as at 440 Hz: {db:.1?} dB");
        }
    }
}

#[test]
fn a_score_of_something_else_is_not_transposed() {
    let stems: Vec<_> = duo().parts.iter().map(|part| play(part, 12 * SAMPLE_RATE as usize, 0.0)).collect();
    let mixture = mixture(&stems);
    let mut other = duo();
    for part in &mut other.parts {
        let pitches: Vec<_> = part.notes.iter().map(|note| note.pitch).rev().collect();
        part.notes.iter_mut().zip(pitches).for_each(|(note, pitch)| note.pitch = pitch);
    }
    for score in [other, duo().moved(-0.4, 1.3).expect("moved")] {
        let separation = analyze_and_fit(&mixture, &AnalysisConfig::default(), fit, &ScoreConfig::new(score));
        let warnings = separation.expect("separation").warnings().to_vec();
        assert!(warnings.iter().all(|warning| !warning.contains("recording sounds")), "{warnings:?}");
    }
}

#[test]
fn the_command_transposes_by_what_is_said() {
    let dir = Dir::new();
    let stems: Vec<_> = duo().parts.iter().map(|part| play(part, 12 * SAMPLE_RATE as usize, -1.0)).collect();
    dir.wav("a.wav", SAMPLE_RATE, &[&|i| stems.iter().map(|stem| stem[i]).sum()], stems[0].len());
    std::fs::write(dir.path("a.mid"), duo().to_midi()).expect("written");
    let common = ["separate", "a.wav", "--score", "a.mid", "-f", "--out", "out"];
    let message = stderr(&dir.succeeds(&common));
    assert!(
        message.contains("1 semitone lower than the score") && message.contains("`--score-transpose -1`"),
        "{message}"
    );
    for more in [&["--score-transpose", "-1"][..], &["--score-transpose", "-0.9", "--align"]] {
        let message = stderr(&dir.succeeds(&[&common[..], more].concat()));
        assert!(!message.contains("warning"), "{message}");
    }
    let message = dir.fails(&[&common[..], &["--score-transpose", "60"]].concat(), 2);
    assert!(message.contains("`--score-transpose` is 60, expected -48 to 48 semitones"), "{message}");
}
