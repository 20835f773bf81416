//! Of an excerpt, every time that is given or told is one of the whole recording.

use partita::audio::decode::AudioFile;
use partita::knowledge::score::align::align;
use partita::knowledge::score::{Note, Part};
use partita::separate::denoise::{self, DenoiseConfig, NoiseProfile};
use partita::separate::drums::{self, DrumsConfig};
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{Analysis, AnalysisConfig, Found};
use partita::watch::Watch;
use partita::{Audio, Error, Score};

use crate::cases::{HOP, SAMPLE_RATE, complete, incomplete, recording, written};
use crate::common::{Dir, stems_of};

/// Where the excerpt begins, in seconds and in samples.
const START_S: f64 = 2.0;
const START: usize = 16_000;

/// A recording in a file, an excerpt of it, and the same samples as a recording of their own.
fn excerpt() -> (Dir, AudioFile, AudioFile, Audio) {
    let (dir, audio) = (Dir::new(), recording(1, 44_000));
    let path = dir.wav("whole.wav", SAMPLE_RATE, &[&|i| audio.samples()[[0, i]]], audio.n_samples());
    let open = || AudioFile::open(&path).expect("file");
    (dir, open(), open().with_excerpt(START_S, None), audio.excerpt(START, usize::MAX))
}

fn analyze(recording: &dyn partita::audio::Recording, config: &AnalysisConfig) -> Analysis {
    Analysis::of(recording, config, &mut Watch::none()).expect("analysis")
}

#[test]
fn a_noise_range_is_one_of_the_whole_recording() {
    let (_dir, whole, excerpt, _) = excerpt();
    let heard = |recording: &AudioFile, range_s| {
        NoiseProfile::of_range(recording, range_s, &analyze(recording, &complete()), &mut Watch::none())
    };
    assert_eq!(heard(&excerpt, 2.5..3.0).expect("profile"), heard(&whole, 2.5..3.0).expect("profile"));
    assert!(heard(&excerpt, 2.0..5.5).is_ok(), "all of it");
    let error = heard(&excerpt, 0.5..1.0).expect_err("before the excerpt");
    assert!(matches!(error, Error::NoiseRange { .. }) && error.to_string().contains("2.0 to 5.5 s"), "{error}");
}

#[test]
fn pauses_and_hits_are_told_at_their_times_in_the_whole_recording() {
    let (_dir, _, excerpt, audio) = excerpt();
    let watch = &mut Watch::none();
    let (of_excerpt, of_audio) = (analyze(&excerpt, &complete()), analyze(&audio, &complete()));
    let config = DenoiseConfig { content: denoise::Content::Any, ..DenoiseConfig::default() };
    let mut pauses = |analysis| match denoise::fit(analysis, &config, None, watch).expect("denoised").found() {
        Found::Noise { parts_s, .. } => parts_s.clone(),
        found => panic!("{found:?}"),
    };
    let moved: Vec<_> = pauses(&of_audio).iter().map(|part| part.start + START_S..part.end + START_S).collect();
    assert_eq!(pauses(&of_excerpt), moved);
    for config in [complete(), incomplete()] {
        let hits = |recording: &dyn partita::audio::Recording| {
            let analysis = analyze(recording, &config);
            let found = drums::fit(&analysis, &DrumsConfig::default(), None, &mut Watch::none()).expect("drums");
            drums::follow(found, recording, &mut Watch::none()).expect("all hits").hits().to_vec()
        };
        let (hits, expected) = (hits(&excerpt), hits(&audio));
        assert!(!hits.is_empty() && hits.len() == expected.len(), "{hits:?}");
        for (hit, expected) in hits.iter().zip(&expected) {
            assert_eq!(hit.onset_s, expected.onset_s + START_S);
        }
    }
}

#[test]
fn a_score_counts_from_the_start_of_the_whole_recording() {
    let (_dir, whole, excerpt, audio) = excerpt();
    let score = written(5.5);
    let earlier = score.warped(|time_s| time_s - START_S);
    let separate = |recording: &dyn partita::audio::Recording, score: &Score| {
        let config = ScoreConfig::new(score.clone());
        score::fit(&analyze(recording, &complete()), &config, None, &mut Watch::none())
    };
    let (parts, expected) = (separate(&excerpt, &score).expect("parts"), separate(&audio, &earlier).expect("parts"));
    // A note that begins half-way between two frames may be rounded to either.
    for (stem, expected) in stems_of(&parts, &audio).iter().zip(&stems_of(&expected, &audio)) {
        let gap = (&stem.samples() - &expected.samples()).iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(gap < 0.01 * audio.peak(), "{gap}");
    }
    assert_eq!(parts.warnings(), separate(&whole, &score).expect("parts").warnings(), "notes before it are no fault");
    let mut first = score.clone();
    first.parts.iter_mut().for_each(|part| part.notes.retain(|note| note.offset_s < START_S));
    let error = separate(&excerpt, &first).expect_err("all notes lie before it").to_string();
    assert!(error.contains("outside of the part of the recording that is read, 2.0 to 5.5 s"), "{error}");

    let aligned = |score: &Score, recording: &dyn partita::audio::Recording| {
        align(score, recording, &mut Watch::none()).expect("aligned").span_s().expect("notes")
    };
    let (got, expected) = (aligned(&score, &excerpt), aligned(&earlier, &audio));
    let gap = (got.0 - START_S - expected.0).abs().max((got.1 - START_S - expected.1).abs());
    assert!(gap < 1e-6, "{got:?} and {expected:?}");
}

#[test]
fn frames_are_kept_at_times_of_the_whole_recording() {
    let (_dir, _, excerpt, _) = excerpt();
    let config = AnalysisConfig { keep_s: vec![4.3..4.4, 0.1..0.2], ..incomplete() };
    let analysis = analyze(&excerpt, &config);
    let frame_idx = ((4.3 - START_S) * f64::from(SAMPLE_RATE)) as usize / HOP;
    assert!(analysis.row_of(frame_idx).is_some() && analysis.row_of(frame_idx + 64).is_none());
    assert!((analysis.frame_s(frame_idx) - 4.3).abs() < 0.01, "{}", analysis.frame_s(frame_idx));
}

/// A tune that never repeats, as a score, and an excerpt of a recording that sounds so many semitones higher.
fn tune(dir: &Dir, semitones: f32) -> (Score, AudioFile) {
    let pitches: Vec<u8> = (0..22).map(|i| 60 + (i * i % 23) as u8).collect();
    let note =
        |i: usize| Note { onset_s: 0.25 * i as f64, offset_s: 0.25 * (i + 1) as f64, pitch: pitches[i], velocity: 90 };
    let score = Score { parts: vec![Part::new("flute", (0..22).map(note).collect())], ..Score::default() };
    let tone = |i: usize| {
        let hz = 440.0 * 2f32.powf((f32::from(pitches[(i / 2000).min(21)]) - 69.0 + semitones) / 12.0);
        0.3 * (std::f32::consts::TAU * hz * i as f32 / SAMPLE_RATE as f32).sin()
    };
    let path = dir.wav("tune.wav", SAMPLE_RATE, &[&tone], 44_000);
    (score, AudioFile::open(&path).expect("file").with_excerpt(START_S, None))
}

#[test]
fn a_score_is_aligned_to_an_excerpt_of_what_it_has() {
    let dir = Dir::new();
    let (score, excerpt) = tune(&dir, 0.0);
    let aligned = align(&score, &excerpt, &mut Watch::none()).expect("aligned");
    for (note, aligned) in score.parts[0].notes.iter().zip(&aligned.parts[0].notes).filter(|(n, _)| n.onset_s > 2.2) {
        assert!((note.onset_s - aligned.onset_s).abs() < 0.1, "{note:?} at {}", aligned.onset_s);
    }
}

#[test]
fn how_high_an_excerpt_sounds_is_told_by_the_notes_in_it() {
    for (semitones, word) in [(0.0, None), (-1.0, Some("lower"))] {
        let dir = Dir::new();
        let (score, excerpt) = tune(&dir, semitones);
        let config = ScoreConfig::new(score);
        let parts = score::fit(&analyze(&excerpt, &AnalysisConfig::default()), &config, None, &mut Watch::none());
        let parts = parts.expect("parts");
        let told: Vec<_> = parts.warnings().iter().filter(|told| told.contains("sounds")).collect();
        match word {
            None => assert!(told.is_empty(), "{told:?}"),
            Some(word) => assert!(told.len() == 1 && told[0].contains(word), "{told:?}"),
        }
    }
}
