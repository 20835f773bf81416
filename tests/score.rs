//! Scores: MIDI bytes to parts, parts to stems, and what does not fit.

mod common;

use std::f64::consts::TAU;
use std::ops::ControlFlow;

use common::midi::{ONE_NOTE, PPQ_96, midi, named};
use common::{analyze_and_fit, partita, sample, stderr, stems_of};
use ndarray::Array2;
use partita::knowledge::score::{Class, Note, Part, Warning, align, instrument};
use partita::names::RESIDUAL;
use partita::separate::score::{ScoreConfig, Unscored, fit};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::{Progress, Step, Watch};
use partita::{Audio, Error, Score, Separation};
use proptest::prelude::*;

// ---- files by hand -----------------------------------------------------------------------------------------------

fn times(part: &Part) -> Vec<(f64, f64)> {
    part.notes.iter().map(|note| (note.onset_s, note.offset_s)).collect()
}

fn assert_near(got: &[(f64, f64)], expected: &[(f64, f64)]) {
    assert_eq!(got.len(), expected.len(), "{got:?}, expected {expected:?}");
    for (got, expected) in got.iter().zip(expected) {
        let gap = (got.0 - expected.0).abs().max((got.1 - expected.1).abs());
        assert!(gap < 1e-9, "{got:?}, expected {expected:?}");
    }
}

#[test]
fn tempo_changes_hold_for_all_tracks() {
    // 120 beats per minute for one beat, then 60, written in the first track.
    let tempo = [96, 0xff, 0x51, 3, 0x0f, 0x42, 0x40];
    let notes = named("flute", &[0, 0x90, 69, 80, 96, 0x80, 69, 0, 0, 0x90, 71, 80, 96, 0x80, 71, 0]);
    let score = Score::from_midi(&midi(1, PPQ_96, &[&tempo, &notes])).expect("score");
    assert_near(&times(&score.parts[0]), &[(0.0, 0.5), (0.5, 1.5)]);
    assert_eq!(score.warnings, []);
}

#[test]
fn running_status_and_velocity_zero_are_understood() {
    let notes = named("oboe", &[0, 0x90, 69, 80, 96, 69, 0, 0, 71, 80, 96, 71, 0]);
    let score = Score::from_midi(&midi(1, PPQ_96, &[&notes])).expect("score");
    assert_near(&times(&score.parts[0]), &[(0.0, 0.5), (0.5, 1.0)]);
}

#[test]
fn smpte_timing_ignores_tempo() {
    // 25 frames per second of 40 ticks: a tick is a millisecond.
    let tempo = [0, 0xff, 0x51, 3, 0x0f, 0x42, 0x40];
    let score = Score::from_midi(&midi(1, [0xe7, 40], &[&tempo, ONE_NOTE])).expect("score");
    assert_near(&times(&score.parts[0]), &[(0.0, 0.096)]);
}

#[test]
fn format_0_is_split_by_channel_and_named_by_program() {
    let track = named(
        "My piece",
        &[0, 0xc0, 40, 0, 0xc1, 0, 0, 0x90, 69, 80, 0, 0x91, 48, 80, 96, 0x80, 69, 0, 0, 0x81, 48, 0],
    );
    let score = Score::from_midi(&midi(0, PPQ_96, &[&track])).expect("score");
    let parts: Vec<_> = score.parts.iter().map(|part| (part.name.as_str(), part.class)).collect();
    assert_eq!(parts, [("violin", Class::Sustained), ("piano", Class::Struck)]);
}

#[test]
fn format_2_is_refused() {
    let error = Score::from_midi(&midi(2, PPQ_96, &[ONE_NOTE])).expect_err("patterns");
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[test]
fn channel_10_is_split_by_drum() {
    let hit = |key| [0, 0x99, key, 100, 48, 0x89, key, 0];
    let track = named("drums", &[hit(36), hit(42), hit(38), hit(46)].concat());
    let score = Score::from_midi(&midi(1, PPQ_96, &[&track])).expect("score");
    let parts: Vec<_> = score.parts.iter().map(|part| (part.name.as_str(), part.notes.len())).collect();
    assert_eq!(parts, [("kick", 1), ("hihat", 2), ("snare", 1)], "open and closed hi-hats are one part");
    assert!(score.parts.iter().all(|part| part.is_drum && part.class == Class::Percussion));
}

#[test]
fn equal_names_are_numbered_and_unsafe_ones_replaced() {
    let tracks = ["Violin", "violin", "../etc/passwd", "residual", "  ", "Violin-1"].map(|name| named(name, ONE_NOTE));
    let tracks: Vec<_> = tracks.iter().map(Vec::as_slice).collect();
    let score = Score::from_midi(&midi(1, PPQ_96, &tracks)).expect("score");
    let names: Vec<_> = score.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["Violin-2", "violin-3", "_etc_passwd", "residual-1", "channel-1", "Violin-1"]);
}

#[test]
fn the_pedal_holds_struck_strings_only() {
    // Down before the note, up half a second after its end.
    let events = [0, 0xb0, 64, 127, 0, 0x90, 69, 80, 96, 0x80, 69, 0, 96, 0xb0, 64, 0];
    let read = |name| Score::from_midi(&midi(1, PPQ_96, &[&named(name, &events)])).expect("score");
    assert_near(&times(&read("piano").parts[0]), &[(0.0, 1.0)]);
    assert_near(&times(&read("violin").parts[0]), &[(0.0, 0.5)]);
}

#[test]
fn overlapping_equal_notes_end_in_the_order_of_their_starts() {
    let events = [0, 0x90, 69, 80, 48, 0x90, 69, 80, 48, 0x80, 69, 0, 48, 0x80, 69, 0];
    let score = Score::from_midi(&midi(1, PPQ_96, &[&events])).expect("score");
    assert_near(&times(&score.parts[0]), &[(0.0, 0.5), (0.25, 0.75)]);
}

#[test]
fn notes_without_an_end_last_to_that_of_their_track_with_a_warning() {
    let score = Score::from_midi(&midi(1, PPQ_96, &[&[0, 0x90, 69, 80, 96, 0x90, 71, 0]])).expect("score");
    assert_near(&times(&score.parts[0]), &[(0.0, 0.5)]);
    assert_eq!(score.warnings, [Warning::MissingNoteOffs { n_notes: 1 }]);
}

#[test]
fn a_cut_off_file_is_read_as_far_as_it_goes_with_a_warning() {
    let notes = [ONE_NOTE, ONE_NOTE].concat();
    let whole = midi(1, PPQ_96, &[&notes]);
    let score = Score::from_midi(&whole[..whole.len() - 7]).expect("score");
    assert_eq!(score.n_notes(), 2);
    assert!(score.warnings.contains(&Warning::TrackCutOff { track: 1 }), "{:?}", score.warnings);
}

#[test]
fn a_track_without_notes_is_left_out_with_a_warning() {
    let empty = named("Tacet", &[0, 0xc3, 56]);
    let score = Score::from_midi(&midi(1, PPQ_96, &[&empty, ONE_NOTE])).expect("score");
    assert_eq!(score.parts.len(), 1);
    assert_eq!(score.warnings, [Warning::EmptyTrack { name: "Tacet".into() }]);
}

#[test]
fn what_is_no_score_is_refused() {
    for bytes in [&b""[..], b"MThd", b"RIFF____WAVEfmt ", &[0; 64]] {
        assert!(matches!(Score::from_midi(bytes), Err(Error::MalformedScore { .. })), "{bytes:?}");
    }
    assert!(matches!(Score::from_midi(&midi(1, PPQ_96, &[&[]])), Err(Error::EmptyScore)));
    assert!(matches!(Score::from_midi(&midi(1, [0, 0], &[ONE_NOTE])), Err(Error::MalformedScore { .. })));
    // A day and more: 60 deltas of 2^28 - 1 ticks.
    let mut long = vec![0, 0x90, 69, 80];
    (0..60).for_each(|_| long.extend([0xff, 0xff, 0xff, 0x7f, 0xb0, 1, 1]));
    assert!(matches!(Score::from_midi(&midi(1, PPQ_96, &[&long])), Err(Error::MalformedScore { .. })));
}

#[test]
fn the_sample_s_score_has_its_parts() {
    let score = Score::load(&sample("drums-bass-guitar.mid")).expect("score");
    let parts: Vec<_> = score.parts.iter().map(|part| (part.name.as_str(), part.class, part.notes.len())).collect();
    assert!(parts.contains(&("bass", Class::Struck, 12)), "{parts:?}");
    assert_eq!(parts.iter().filter(|part| part.1 == Class::Percussion).map(|part| part.2).sum::<usize>(), 39);
}

fn any_notes() -> impl Strategy<Value = Vec<Note>> {
    // Times on the grid of the file, 1/1920 s; notes of one pitch do not overlap.
    let note = (0u32..200, 1u32..500, 0u8..128, 1u8..128);
    prop::collection::vec(note, 1..20).prop_map(|notes| {
        let mut tick = 0;
        let mut made = Vec::new();
        for (gap, length, pitch, velocity) in notes {
            let onset_s = f64::from(tick + gap) / 1920.0;
            tick += gap + length;
            made.push(Note { onset_s, offset_s: f64::from(tick) / 1920.0, pitch, velocity });
        }
        made
    })
}

proptest! {
    #[test]
    fn a_score_that_is_written_is_read_back(violin in any_notes(), piano in any_notes(), snare in any_notes()) {
        let snare: Vec<_> = snare.into_iter().map(|note| Note { pitch: 38, ..note }).collect();
        let parts = vec![Part::new("violin", violin), Part::new("piano", piano), Part::drum("snare", snare)];
        let score = Score { parts, ..Score::default() };
        let read = Score::from_midi(&score.to_midi()).expect("score");
        prop_assert_eq!(read.warnings.len(), 0);
        prop_assert_eq!(read.parts.len(), 3);
        for (got, expected) in read.parts.iter().zip(&score.parts) {
            prop_assert_eq!((&got.name, got.class, got.is_drum), (&expected.name, expected.class, expected.is_drum));
            prop_assert_eq!(got.notes.len(), expected.notes.len());
            for (got, expected) in got.notes.iter().zip(&expected.notes) {
                prop_assert_eq!((got.pitch, got.velocity), (expected.pitch, expected.velocity));
                let gap = (got.onset_s - expected.onset_s).abs().max((got.offset_s - expected.offset_s).abs());
                // Times lie on the grid of ticks, up to rounding.
                prop_assert!(gap < 1e-9, "{:?}, expected {:?}", got, expected);
            }
        }
    }

    #[test]
    fn hostile_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), broken in 0usize..200, with in any::<u8>()) {
        let _ = Score::from_midi(&bytes);
        let _ = Score::from_midi(&midi(1, PPQ_96, &[&bytes]));
        let _ = Score::from_midi(&midi(0, [with, bytes.len() as u8], &[&bytes, &bytes]));
        let mut whole = midi(1, PPQ_96, &[&named("flute", ONE_NOTE), &named("drums", &[0, 0x99, 36, 100, 9, 36, 0])]);
        let place = broken % whole.len();
        whole[place] = with;
        let _ = Score::from_midi(&whole);
        if let Ok(score) = Score::from_midi(&whole[..place]) {
            prop_assert!(score.n_notes() > 0 && score.parts.iter().all(|part| !part.name.contains('/')));
        }
    }
}

#[test]
fn classes_follow_names_and_programs() {
    assert_eq!(instrument::program(0), Some(("piano", Class::Struck)));
    assert_eq!(instrument::program(73), Some(("flute", Class::Sustained)));
    assert_eq!(instrument::program(128), None);
    // A known name wins over the program, which many files leave at 0.
    let bassoon = named("bassoon", &[&[0, 0xc0, 0][..], ONE_NOTE].concat());
    let score = Score::from_midi(&midi(1, PPQ_96, &[&bassoon])).expect("score");
    assert_eq!(score.parts[0].class, Class::Sustained);
}

// ---- separation --------------------------------------------------------------------------------------------------

const SAMPLE_RATE: u32 = 16_000;

fn note(onset_s: f64, offset_s: f64, pitch: u8) -> Note {
    Note { onset_s, offset_s, pitch, velocity: 90 }
}

/// A flute with few harmonics and a clarinet with many odd ones, in different rhythms.
fn duo() -> Score {
    let flute = [(0.2, 72), (0.7, 76), (1.2, 79), (1.7, 74), (2.2, 77)];
    let clarinet = [(0.2, 57), (1.0, 60), (1.8, 55)];
    let flute = flute.map(|(at, pitch)| note(at, at + 0.45, pitch)).to_vec();
    let clarinet = clarinet.map(|(at, pitch)| note(at, at + 0.7, pitch)).to_vec();
    Score { parts: vec![Part::new("flute", flute), Part::new("clarinet", clarinet)], ..Score::default() }
}

/// What a part sounds like: each note a sum of harmonics with a soft start and end.
fn play(part: &Part, n_samples: usize, strength: impl Fn(usize) -> f64) -> Vec<f32> {
    let mut sound = vec![0.0f32; n_samples];
    for note in &part.notes {
        let hz = Note::pitch_hz(note.pitch);
        for (i, x) in sound.iter_mut().enumerate() {
            let time_s = i as f64 / f64::from(SAMPLE_RATE);
            let fade = ((time_s - note.onset_s) / 0.02).min((note.offset_s - time_s) / 0.02).clamp(0.0, 1.0);
            if fade > 0.0 {
                let harmonics = (1u32..=12).filter(|h| hz * f64::from(*h) < 7000.0);
                let sum: f64 = harmonics.map(|h| strength(h as usize) * (TAU * hz * f64::from(h) * time_s).sin()).sum();
                *x += (0.1 * fade * sum) as f32;
            }
        }
    }
    sound
}

fn flute_strength(h: usize) -> f64 {
    1.0 / (h * h) as f64
}

fn clarinet_strength(h: usize) -> f64 {
    if h % 2 == 1 { 1.0 / h as f64 } else { 0.05 }
}

fn audio(channels: &[Vec<f32>]) -> Audio {
    let samples = Array2::from_shape_fn((channels.len(), channels[0].len()), |(c, i)| channels[c][i]);
    Audio::new(samples, SAMPLE_RATE).expect("audio")
}

/// What the duo plays, and its two stems.
fn performance(score: &Score, duration_s: u32) -> (Audio, Vec<Vec<f32>>) {
    let n_samples = (duration_s * SAMPLE_RATE) as usize;
    let stems =
        vec![play(&score.parts[0], n_samples, flute_strength), play(&score.parts[1], n_samples, clarinet_strength)];
    let sum = stems[0].iter().zip(&stems[1]).map(|(a, b)| a + b).collect();
    (audio(&[sum]), stems)
}

fn mixture() -> (Audio, Vec<Vec<f32>>) {
    performance(&duo(), 3)
}

/// The duo six times, each time higher by so many semitones.
fn repeated(semitones: [u8; 6]) -> Score {
    let repeat = |part: Part| {
        let once = |(times, up): (usize, u8)| {
            let by_s = 3.0 * times as f64;
            part.notes.iter().map(move |n| note(n.onset_s + by_s, n.offset_s + by_s, n.pitch + up))
        };
        Part { notes: semitones.into_iter().enumerate().flat_map(once).collect(), ..part.clone() }
    };
    Score { parts: duo().parts.into_iter().map(repeat).collect(), ..Score::default() }
}

fn separate(audio: &Audio, config: &ScoreConfig) -> Result<Separation, Error> {
    analyze_and_fit(audio, &AnalysisConfig::default(), fit, config)
}

/// Energy of the reference over that of the difference, in dB.
fn snr_db(reference: &[f32], estimate: impl IntoIterator<Item = f32>) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (r, e) in reference.iter().zip(estimate) {
        signal += f64::from(*r).powi(2);
        noise += f64::from(e - r).powi(2);
    }
    10.0 * (signal / noise).log10()
}

#[test]
fn two_instruments_are_told_apart_by_their_notes() {
    let (mixture, references) = mixture();
    for unscored in [Unscored::Residual, Unscored::Shared] {
        let config = ScoreConfig { unscored, ..ScoreConfig::new(duo()) };
        let separation = separate(&mixture, &config).expect("separation");
        let stems = stems_of(&separation, &mixture);
        for (i, reference) in references.iter().enumerate() {
            let db = snr_db(reference, stems[i].channel(0).to_vec());
            // The mixture itself is at -4 and 4 dB.
            assert!(db > 10.0, "{} {unscored:?}: {db:.1} dB", separation.names()[i]);
        }
        let sum =
            stems.iter().fold(Array2::<f32>::zeros(mixture.samples().raw_dim()), |sum, stem| sum + stem.samples());
        let gap = (&sum - &mixture.samples()).iter().fold(0.0f32, |most: f32, x: &f32| most.max(x.abs()));
        assert!(gap <= 1e-5 * mixture.peak(), "stems miss the mixture by {gap}");
        let has_residual = separation.names().iter().any(|name| name == RESIDUAL);
        assert_eq!(has_residual, unscored == Unscored::Residual);
    }
}

#[test]
fn what_the_score_does_not_know_goes_to_the_residual() {
    let (_, references) = mixture();
    let sum = references[0].iter().zip(&references[1]).map(|(a, b)| a + b).collect();
    let mixture = audio(&[sum]);
    let mut score = duo();
    score.parts.truncate(1);
    let separation = separate(&mixture, &ScoreConfig::new(score)).expect("separation");
    let stems = stems_of(&separation, &mixture);
    let db =
        [snr_db(&references[0], stems[0].channel(0).to_vec()), snr_db(&references[1], stems[1].channel(0).to_vec())];
    assert!(db[0] > 8.0 && db[1] > 8.0, "flute and residual: {db:.1?} dB");
}

/// Noise at these times that fades by a factor of e in `fade_s`; each sample is so much of the one before taken away.
fn bursts(times_s: &[f64], n_samples: usize, fade_s: f64, difference: f32) -> Vec<f32> {
    let mut sound = vec![0.0f32; n_samples];
    let (mut state, mut last) = (7u64, 0.0);
    for time_s in times_s {
        let start = (time_s * f64::from(SAMPLE_RATE)) as usize;
        for (i, x) in sound[start..].iter_mut().enumerate() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
            *x += 0.2 * (-(i as f64) / f64::from(SAMPLE_RATE) / fade_s).exp() as f32 * (noise - difference * last);
            last = noise;
        }
    }
    sound
}

#[test]
fn hits_of_a_drum_that_the_score_lacks_go_to_the_residual() {
    let n_samples = 8 * SAMPLE_RATE as usize;
    let snare_s: [f64; 24] = std::array::from_fn(|i| 0.1 + 0.3125 * i as f64);
    // A ride cymbal: there is no time without snare before its hits, and some are together.
    let ride_s: [f64; 30] = std::array::from_fn(|i| 0.1 + 0.25 * i as f64);
    let (snare, ride) = (bursts(&snare_s, n_samples, 0.06, -0.9), bursts(&ride_s, n_samples, 0.1, 0.95));
    let (_, mut stems) = performance(&repeated([0, 0, 0, 0, 0, 0]), 8);
    stems.truncate(1);
    stems.extend([snare, ride]);
    let sum = (0..n_samples).map(|i| stems.iter().map(|stem| stem[i]).sum()).collect();
    let mixture = audio(&[sum]);
    let drum = Part::new("snare", snare_s.map(|at| note(at, at + 0.1, 38)).to_vec());
    let mut score = repeated([0, 0, 0, 0, 0, 0]);
    score.parts.truncate(1);
    score.parts.push(Part { class: Class::Percussion, ..drum });
    let config = ScoreConfig::new(score);
    let analysis = Analysis::of(&mixture, &AnalysisConfig::default(), &mut Watch::none()).expect("analysis");
    let first = fit(&analysis, &config, None, &mut Watch::none()).expect("separation");
    let again = fit(&analysis, &config, Some(&first), &mut Watch::none()).expect("separation");
    for separation in [first, again] {
        assert_eq!(separation.names(), ["flute", "snare", RESIDUAL]);
        let parts = stems_of(&separation, &mixture);
        let db: Vec<_> = stems.iter().zip(&parts).map(|(stem, part)| snr_db(stem, part.channel(0).to_vec())).collect();
        // Without drums that are looked for, the snare of such a mixture is at -0.7 and the ride at 2.6 dB.
        assert!(db.iter().all(|db| *db > 4.0), "flute, snare, and the ride in the residual: {db:.1?} dB");
    }
}

#[test]
fn channels_share_their_masks_and_threads_do_not_matter() {
    let (mixture, references) = mixture();
    let stereo = audio(&[references[0].clone(), references[1].clone()]);
    let stems = stems_of(&separate(&stereo, &ScoreConfig::new(duo())).expect("separation"), &stereo);
    assert_eq!(stems[0].samples().dim(), stereo.samples().dim());
    let run = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("pool");
        pool.install(|| stems_of(&separate(&mixture, &ScoreConfig::new(duo())).expect("separation"), &mixture))
    };
    assert_eq!(run(1), run(4), "the same bits for any number of threads");
}

#[test]
fn a_long_recording_is_learned_from_runs_of_frames() {
    let score = repeated([0; 6]);
    let (mixture, references) = performance(&score, 18);
    let config = ScoreConfig::new(score);
    let whole = stems_of(&separate(&mixture, &config).expect("separation"), &mixture);
    let analysis = AnalysisConfig { max_frames: 256, ..AnalysisConfig::default() };
    let runs = stems_of(&analyze_and_fit(&mixture, &analysis, fit, &config).expect("separation"), &mixture);
    for (i, reference) in references.iter().enumerate() {
        let db = [&whole, &runs].map(|stems| snr_db(reference, stems[i].channel(0).to_vec()));
        assert!(db[1] > 10.0 && db[1] > db[0] - 3.0, "part {i}: all frames and some of them: {db:.1?} dB");
    }
}

#[test]
fn notes_that_are_in_no_learned_frame_sound_like_the_others_of_their_part() {
    // The first and the last 3 of 18 s are alike and learned from; those from 3 to 6 s have other pitches.
    let score = repeated([0, 1, 0, 0, 0, 0]);
    let (mixture, references) = performance(&score, 18);
    let analysis = AnalysisConfig { max_frames: 128, ..AnalysisConfig::default() };
    let separation = analyze_and_fit(&mixture, &analysis, fit, &ScoreConfig::new(score)).expect("separation");
    let stems = stems_of(&separation, &mixture);
    let rare = 3 * SAMPLE_RATE as usize..6 * SAMPLE_RATE as usize;
    for (i, reference) in references.iter().enumerate() {
        let db = snr_db(&reference[rare.clone()], stems[i].channel(0).to_vec()[rare.clone()].iter().copied());
        assert!(db > 8.0, "part {i}: {db:.1} dB");
    }
}

#[test]
fn a_score_that_does_not_match_is_refused_or_warned_of() {
    let (mixture, _) = mixture();
    let outside = duo().moved(60.0, 1.0).expect("moved");
    assert!(matches!(separate(&mixture, &ScoreConfig::new(outside)), Err(Error::ScoreMismatch { .. })));
    assert!(matches!(separate(&mixture, &ScoreConfig::new(Score::default())), Err(Error::EmptyScore)));
    let warnings = |score| separate(&mixture, &ScoreConfig::new(score)).expect("separation").warnings().to_vec();
    assert_eq!(warnings(duo()), [""; 0]);
    let late = warnings(duo().moved(1.5, 1.0).expect("moved"));
    assert!(late.iter().any(|warning| warning.contains("outside of the recording")), "{late:?}");
    let mut other_key = duo();
    other_key.parts.iter_mut().flat_map(|part| &mut part.notes).for_each(|note| note.pitch -= 3);
    let other_key = warnings(other_key);
    assert!(other_key.iter().any(|warning| warning.contains("3 semitones higher")), "{other_key:?}");
    let loud_elsewhere = warnings(duo().moved(0.0, 0.2).expect("moved"));
    assert!(loud_elsewhere.iter().any(|warning| warning.contains("% of the sound")), "{loud_elsewhere:?}");
}

#[test]
fn alignment_finds_a_known_warp() {
    let (mixture, _) = mixture();
    // As written at twice the tempo in the middle, and two seconds late.
    let written = duo().warped(|time_s| 2.0 + time_s + 0.25 * (TAU * time_s / 3.0).sin());
    let aligned = align::align(&written, &mixture, &mut Watch::none()).expect("aligned");
    let mut gaps: Vec<_> = aligned
        .parts
        .iter()
        .zip(&duo().parts)
        .flat_map(|(got, expected)| got.notes.iter().zip(expected.notes.clone()).collect::<Vec<_>>())
        .map(|(got, expected)| (got.onset_s - expected.onset_s).abs())
        .collect();
    gaps.sort_by(f64::total_cmp);
    // Three steps of the features, 25 ms each, for most notes.
    assert!(gaps[gaps.len() / 2] < 0.08 && gaps[gaps.len() - 1] < 0.2, "onsets are off by {gaps:.3?} s");
    let separation = separate(&mixture, &ScoreConfig::new(aligned));
    assert_eq!(separation.expect("separation").warnings(), [""; 0]);
}

#[test]
fn alignment_tells_how_far_it_is_and_can_be_stopped() {
    let (mixture, _) = mixture();
    let align = |n_heard: usize| {
        let mut heard = Vec::new();
        let mut tell = |told: Progress| {
            heard.push((told.step, told.done, told.total));
            if heard.len() == n_heard { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let outcome = align::align(&duo(), &mixture, &mut Watch::new(&mut tell));
        (heard, outcome)
    };
    let (heard, outcome) = align(usize::MAX);
    assert_eq!(outcome.expect("aligned").n_notes(), duo().n_notes());
    let last = |step| heard.iter().rfind(|(told, ..)| *told == step).map(|(_, done, total)| (*done, *total));
    let n_samples = mixture.n_samples() as u64;
    assert_eq!(last(Step::Reading), Some((n_samples, Some(n_samples))));
    let (done, total) = last(Step::Aligning).expect("told of the alignment");
    assert_eq!(Some(done), total, "all frames of all levels are counted");
    assert!(heard.is_sorted_by_key(|(step, done, _)| (*step == Step::Aligning, *done)), "{heard:?}");
    for n_heard in [1, heard.len()] {
        let (again, outcome) = align(n_heard);
        assert!(matches!(outcome, Err(Error::Cancelled)), "after {n_heard}: {outcome:?}");
        assert_eq!(again[..], heard[..n_heard], "nothing is told after it is stopped");
    }
}

// ---- the command -------------------------------------------------------------------------------------------------

#[test]
fn the_command_writes_a_stem_for_each_part_and_the_residual() {
    let folder = tempfile::tempdir().expect("folder");
    let (mixture, score) = (sample("drums-bass-guitar.wav"), sample("drums-bass-guitar.mid"));
    let run = |more: &[&str]| {
        let mut arguments = vec!["separate", "-f", "-o"];
        let fixed = [folder.path(), &mixture].map(|path| path.to_str().expect("UTF-8"));
        arguments.extend(fixed);
        arguments.extend(["--score", score.to_str().expect("UTF-8")]);
        arguments.extend(more);
        partita(folder.path(), &arguments)
    };
    let done = run(&[]);
    assert!(done.status.success(), "{}", stderr(&done));
    let stem = |name: &str| folder.path().join("drums-bass-guitar").join(format!("{name}.wav"));
    for name in ["kick", "snare", "hihat", "bass", RESIDUAL] {
        assert!(stem(name).is_file(), "{name}");
    }
    std::fs::remove_file(stem(RESIDUAL)).expect("removed");
    let done = run(&["--no-residual", "--score-offset", "-0.01", "--score-stretch", "1.0"]);
    assert!(done.status.success() && !stem(RESIDUAL).exists(), "{}", stderr(&done));
    let far = run(&["--score-offset", "100"]);
    let message = stderr(&far);
    assert_eq!(far.status.code(), Some(1), "{message}");
    assert!(message.contains("does not match the recording") && message.contains("--align"), "{message}");
}
