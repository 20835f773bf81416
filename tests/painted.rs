//! What a person paints on a spectrogram, through the library and the binary.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{partita, sample, stderr};

use ndarray::Array2;
use partita::atomic::Existing;
use partita::audio::decode;
use partita::knowledge::dictionary::DictionaryConfig;
use partita::knowledge::marks::{Alone, Effect, Marks, Named, Shape, Source, Stroke};
use partita::project::{self, Document, ExampleFile, Project, ScoreFile, Session, Settings};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{AnalysisConfig, Example, together, transcribe};
use partita::stft::StftOptions;
use partita::watch::Watch;
use partita::{Audio, Score, Separation};

fn source(id: u32, name: &str) -> Source {
    Source { id, name: name.into(), n_components: 2, color: 0, gain_db: 0.0, mute: false, solo: false }
}

fn stroke(id: u32, source: u32, effect: Effect, t: [f64; 2], hz: [f64; 2]) -> Stroke {
    Stroke { id, source, effect, shape: Shape::Box { t, hz } }
}

/// Four tones, each in a second of its own, twice; with a little noise.
fn tones() -> Audio {
    let mut state = 1u32;
    let samples = Array2::from_shape_fn((1, 8 * 8000), |(_, i)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 8) as f32 / 8_388_608.0 - 1.0;
        let hz = [300.0, 700.0, 1500.0, 2700.0][i / 8000 % 4];
        0.3 * (std::f32::consts::TAU * hz * i as f32 / 8000.0).sin() + 1e-3 * noise
    });
    Audio::new(samples, 8000).expect("audio")
}

fn document(strokes: Vec<Stroke>) -> Document {
    let sources = vec![source(1, "one"), source(2, "two")];
    let settings = Settings { n_fft: 1024, hop_length: 256, mask_exponent: 1.5, seed: "0".into() };
    Document { settings: Some(settings), marks: Marks { sources, strokes, ..Marks::default() }, ..Document::default() }
}

fn open(audio: &Audio, document: &Document) -> Session {
    Session::open(audio, document, Path::new("."), &mut Watch::none()).expect("session")
}

fn fit(session: &Session, document: &Document, previous: Option<&Separation>) -> Separation {
    session.fit(document, previous, &mut Watch::none()).expect("fit")
}

fn stems(separation: &Separation, audio: &Audio) -> Vec<Audio> {
    separation.stems(audio, &mut Watch::none()).expect("stems")
}

/// Energy of the samples between two times.
fn energy(audio: &Audio, [from_s, to_s]: [f64; 2]) -> f64 {
    let at = |time_s: f64| (time_s * f64::from(audio.sample_rate())) as usize;
    audio.samples().row(0).iter().take(at(to_s)).skip(at(from_s)).map(|x| f64::from(x * x)).sum()
}

/// A project that was painted and saved, and where; the folder goes with the first.
fn saved() -> (tempfile::TempDir, PathBuf, Project) {
    let audio = tones();
    let document = document(vec![stroke(1, 1, Effect::Is, [0.2, 0.8], [250.0, 350.0])]);
    let session = open(&audio, &document);
    let separation = fit(&session, &document, None);
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("song.partita.toml");
    let recording = session.analysis().identity().clone();
    let project = Project { recording, document, factors: project::factors(&separation) };
    project.save(&path, Existing::Refuse).expect("save");
    (folder, path, project)
}

/// The file of components that a project names.
fn components(path: &Path) -> PathBuf {
    let text = fs::read_to_string(path).expect("text");
    let name = text.lines().find_map(|line| line.strip_prefix("file = \"")?.strip_suffix(".npz\""));
    path.with_file_name(format!("{}.npz", name.expect("a name")))
}

#[test]
fn what_is_painted_moves_to_its_source_also_where_it_was_not_painted() {
    let audio = tones();
    // Of each tone, its first sounding.
    let strokes = (0..4).map(|i| {
        let (t, hz) = (f64::from(i), [300.0, 700.0, 1500.0, 2700.0][i as usize]);
        stroke(i + 1, 1 + i % 2, Effect::Is, [t + 0.2, t + 0.8], [hz - 50.0, hz + 50.0])
    });
    let document = document(strokes.collect());
    let session = open(&audio, &document);
    let separation = fit(&session, &document, None);
    assert_eq!(separation.names(), ["one", "two"]);
    let stems = stems(&separation, &audio);
    for (second, source) in [(4.0, 0), (5.0, 1), (6.0, 0), (7.0, 1)] {
        let time = [second + 0.2, second + 0.8];
        let (own, other) = (energy(&stems[source], time), energy(&stems[1 - source], time));
        assert!(own > 100.0 * other, "second {second}: {own:.2} in its source, {other:.2} in the other");
    }
    let gap = &stems[0].samples() + &stems[1].samples() - audio.samples();
    assert!(gap.iter().all(|x| x.abs() < 1e-5), "stems sum to the mixture");
}

#[test]
fn what_is_saved_is_loaded_and_makes_the_same_stems() {
    let audio = tones();
    let mut document = document(vec![
        stroke(1, 1, Effect::IsNot, [0.2, 0.8], [250.0, 350.0]),
        Stroke {
            shape: Shape::Harmonic {
                points: vec![[1.1, 690.0], [1.8, 710.0]],
                width_s: 0.05,
                width_semitones: 1.0,
                n_harmonics: 3,
            },
            ..stroke(7, 2, Effect::Is, [0.0; 2], [0.0; 2])
        },
        stroke(8, 2, Effect::Erase, [1.1, 1.2], [600.0, 800.0]),
    ]);
    document.marks.ranges = vec![Alone { id: 9, source: 2, t: [2.0, 2.9] }];
    document.marks.names = vec![Named { component: 0, source: 1 }];
    let session = open(&audio, &document);
    let cold = fit(&session, &document, None);
    let separation = fit(&session, &document, Some(&cold));
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("song.partita.toml");
    let recording = session.analysis().identity().clone();
    let saved = Project { recording, document, factors: project::factors(&separation) };
    saved.save(&path, Existing::Refuse).expect("save");
    let loaded = Project::load(&path).expect("load");
    assert_eq!(loaded, saved);
    let again = open(&audio, &loaded.document);
    let factors = loaded.factors.expect("factors");
    let restored = again.restore(&loaded.document, &factors).expect("restored");
    assert_eq!(stems(&restored, &audio), stems(&separation, &audio), "the same bits");
    // It can be gone on from, too, as the one that was saved.
    let (on, other) =
        (fit(&session, &loaded.document, Some(&separation)), fit(&again, &loaded.document, Some(&restored)));
    assert_eq!(stems(&on, &audio), stems(&other, &audio), "the same way from there");
}

#[test]
fn unknown_keys_and_damaged_components_are_refused() {
    let (folder, path, project) = saved();
    let text = fs::read_to_string(&path).expect("text");
    for (from, to, expected) in [
        ("version = 1", "version = 2", "version"),
        ("version = 1", "version = 1\nversoin = 1", "versoin"),
        ("effect = \"is\"", "effect = \"is\"\ncolour = 1", "colour"),
        ("effect = \"is\"", "effect = \"maybe\"", "maybe"),
        ("name = \"two\"", "name = \"one\"", "two sources have the name `one`"),
        ("name = \"two\"", "name = \"../two\"", "which no file can have"),
        ("source = 1", "source = 3", "source 3, which is not there"),
        ("file = \"song", "file = \"../song", "beside the project"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        fs::write(&path, text.replacen(from, to, 1)).expect("write");
        let message = Project::load(&path).expect_err(to).to_string();
        assert!(message.contains(expected), "{to}: {message}");
    }
    fs::write(&path, &text).expect("write");
    let session = open(&tones(), &project.document);
    let separation = fit(&session, &project.document, None);
    let other = Project { factors: project::factors(&fit(&session, &project.document, Some(&separation))), ..project };
    other.save(&folder.path().join("other.toml"), Existing::Refuse).expect("save");
    fs::copy(components(&folder.path().join("other.toml")), components(&path)).expect("copy");
    let message = Project::load(&path).expect_err("others' components").to_string();
    assert!(message.contains("is not of this project"), "{message}");
}

#[test]
fn what_a_source_is_denied_is_not_in_it() {
    let audio = decode::read(&sample("drums-bass-guitar.wav")).expect("sample");
    let sources = ["bass", "drums", "guitar"].into_iter().zip(1..).map(|(name, id)| source(id, name)).collect();
    let mut document = Document { marks: Marks { sources, ..Marks::default() }, ..Document::default() };
    let session = open(&audio, &document);
    let before = fit(&session, &document, None);
    let (t, hz) = ([2.0, 3.0], [200.0, 2000.0]);
    document.marks.strokes = vec![stroke(1, 3, Effect::IsNot, t, hz)];
    let after = fit(&session, &document, Some(&before));
    let stft = session.analysis().stft();
    let in_box = |separation: &Separation| {
        let magnitude = stft.magnitude(stems(separation, &audio)[2].samples());
        let config = stft.config();
        let frames = (0..magnitude.nrows()).filter(|i| (t[0]..t[1]).contains(&config.frame_s(*i, audio.sample_rate())));
        let bins: Vec<_> =
            (0..config.n_bins()).filter(|i| (hz[0]..hz[1]).contains(&config.bin_hz(*i, audio.sample_rate()))).collect();
        frames.flat_map(|i| bins.iter().map(move |j| (i, *j))).map(|at| f64::from(magnitude[at]).powi(2)).sum::<f64>()
    };
    let fall_db = 10.0 * (in_box(&before) / in_box(&after)).log10();
    assert!(fall_db >= 20.0, "{fall_db:.1} dB");
}

#[test]
fn paint_at_the_end_of_a_long_recording_counts() {
    // So many short frames that not all are kept, and a tone near the end that is nowhere else.
    let (rate, n_samples) = (8000, 8000 * 100);
    let samples = Array2::from_shape_fn((1, n_samples), |(_, i)| {
        let tone = |hz: f32| (std::f32::consts::TAU * hz * i as f32 / rate as f32).sin();
        let is_there = (97 * rate..99 * rate).contains(&i);
        0.2 * tone(500.0) + 0.2 * tone(900.0) + if is_there { 0.2 * tone(2000.0) } else { 0.0 }
    });
    let audio = Audio::new(samples, rate as u32).expect("audio");
    let mut document = document(Vec::new());
    document.settings = Some(Settings { n_fft: 128, hop_length: 32, mask_exponent: 1.5, seed: "0".into() });
    let mut session = open(&audio, &document);
    assert!(!session.analysis().is_complete());
    let before = fit(&session, &document, None);
    for (effect, expected) in [(Effect::Is, true), (Effect::IsNot, false)] {
        document.marks.strokes = vec![stroke(1, 2, effect, [97.0, 99.0], [1800.0, 2200.0])];
        session.prepare(&audio, &document, Path::new("."), &mut Watch::none()).expect("prepared");
        let after = fit(&session, &document, Some(&before));
        let masks = after.masks(&audio, 98 * 250..98 * 250 + 4).expect("masks");
        let bin = 2000 * 128 / 8000;
        assert_eq!(masks[1][[2, bin]] > 0.99, expected, "{effect:?}: {}", masks[1][[2, bin]]);
        assert!(expected || masks[1][[2, bin]] < 0.01);
        // Later, other frames may be kept: the stems are the same, and it can be gone on from.
        let factors = project::factors(&after).expect("factors");
        let mut again = open(
            &audio,
            &Document { marks: Marks { strokes: Vec::new(), ..document.marks.clone() }, ..document.clone() },
        );
        let restored = again.restore(&document, &factors).expect("restored");
        assert_eq!(restored.masks(&audio, 98 * 250..98 * 250 + 4).expect("masks"), masks);
        again.prepare(&audio, &document, Path::new("."), &mut Watch::none()).expect("prepared");
        fit(&again, &document, Some(&restored));
    }
}

#[test]
fn a_source_that_plays_alone_has_all_there_and_is_known_elsewhere() {
    let audio = tones();
    let mut document = document(Vec::new());
    let alone = |id: u32, source, t| Alone { id, source, t };
    document.marks.ranges = (0..4).map(|i| alone(i, 1 + i % 2, [f64::from(i) + 0.1, f64::from(i) + 0.9])).collect();
    let session = open(&audio, &document);
    let stems = stems(&fit(&session, &document, None), &audio);
    for second in 0..8 {
        let time = [f64::from(second) + 0.3, f64::from(second) + 0.7];
        let (own, other) = (energy(&stems[second as usize % 2], time), energy(&stems[1 - second as usize % 2], time));
        assert!(own > 100.0 * other, "second {second}: {own:.2} in its source, {other:.2} in the other");
    }
}

#[test]
fn a_save_that_fails_leaves_what_was_there() {
    let (folder, path, project) = saved();
    let read = || (fs::read(&path).expect("text"), fs::read(components(&path)).expect("components"));
    let before = read();
    let mut other = project.clone();
    other.document.marks.sources[0].name = "a/b".into();
    assert!(other.save(&path, Existing::Replace).is_err(), "what could not be read again is not written");
    assert!(project.save(&path, Existing::Refuse).is_err());
    assert_eq!(read(), before);
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 2, "nothing is left over");
}

#[test]
fn paint_corrects_a_score_and_without_paint_the_score_counts_alone() {
    let audio = decode::read(&sample("drums-bass-guitar.wav")).expect("sample");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let score = Score::load(&folder.join("drums-bass-guitar.mid")).expect("score");
    let names: Vec<_> = score.parts.iter().map(|part| part.name.clone()).collect();
    let sources = names.iter().zip(1..).map(|(name, id)| source(id, name)).collect();
    let file = ScoreFile { file: "drums-bass-guitar.mid".into(), align: false, tracks: Default::default() };
    let mut document =
        Document { score: Some(file), marks: Marks { sources, ..Marks::default() }, ..Document::default() };
    let watch = &mut Watch::none();
    let session = Session::open(&audio, &document, &folder, watch).expect("session");
    let by_score = score::fit(session.analysis(), &ScoreConfig::new(score), None, watch).expect("fit");
    let unpainted = fit(&session, &document, None);
    assert_eq!(unpainted.names(), by_score.names());
    assert_eq!(stems(&unpainted, &audio), stems(&by_score, &audio), "the score's own stems");
    document.marks.strokes = vec![stroke(1, 1, Effect::IsNot, [2.0, 2.2], [300.0, 400.0])];
    let painted = fit(&session, &document, Some(&unpainted));
    let of = |separation: &Separation| separation.masks(&audio, 0..session.analysis().n_frames()).expect("masks");
    let (before, after) = (of(&unpainted), of(&painted));
    // Of what sounds in the last seconds, how much changed its source.
    let magnitude = session.analysis().magnitude();
    let (mut moved, mut total) = (0.0, 0.0);
    for row in 4 * magnitude.nrows() / 5..magnitude.nrows() {
        for bin in 0..magnitude.ncols() {
            let gap: f32 = before.iter().zip(&after).map(|(a, b)| (a[[row, bin]] - b[[row, bin]]).abs()).sum();
            moved += 0.5 * gap * magnitude[[row, bin]];
            total += magnitude[[row, bin]];
        }
    }
    assert!(moved < 0.1 * total, "a little paint changes little: {:.3}", moved / total);
    let factors = project::factors(&painted).expect("factors");
    let restored = session.restore(&document, &factors).expect("restored");
    assert_eq!(stems(&restored, &audio), stems(&painted, &audio), "the same bits");
}

#[test]
fn a_score_with_examples_counts_as_for_separate_and_several_parts_may_be_one_source() {
    let audio = decode::read(&sample("drums-bass-guitar.wav")).expect("sample");
    let folder = tempfile::tempdir().expect("folder");
    fs::copy(sample("drums-bass-guitar.mid"), folder.path().join("song.mid")).expect("score");
    for name in ["drums", "bass", "guitar"] {
        let from = sample("drums-bass-guitar").join(format!("{name}.wav"));
        fs::copy(from, folder.path().join(format!("{name}.wav"))).expect("example");
    }
    let sources = vec![source(1, "drums"), source(2, "low"), source(3, "guitar")];
    let tracks = [("hihat", 1), ("kick", 1), ("snare", 1), ("bass", 2)].map(|(part, id)| (part.to_owned(), id));
    let example = |(source, file): (u32, &str)| ExampleFile { source, file: file.into() };
    let document = Document {
        score: Some(ScoreFile { file: "song.mid".into(), align: false, tracks: tracks.into() }),
        examples: [(1, "drums.wav"), (2, "bass.wav"), (3, "guitar.wav")].map(example).into(),
        marks: Marks { sources, ..Marks::default() },
        ..Document::default()
    };
    let watch = &mut Watch::none();
    let session = Session::open(&audio, &document, folder.path(), watch).expect("session");
    let unpainted = fit(&session, &document, None);
    assert_eq!(unpainted.names(), ["drums", "low", "guitar"]);

    // The guitar is in no part of the score: its example says nothing of one.
    let read = |name: &str| decode::read(&folder.path().join(name)).expect("example");
    let (drums, bass) = (read("drums.wav"), read("bass.wav"));
    let known = [
        Example { name: "drums", label: "drums.wav", recording: &drums },
        Example { name: "bass", label: "bass.wav", recording: &bass },
    ];
    let (rate, look) = (audio.sample_rate(), AnalysisConfig::default());
    let players = transcribe::listen(&known, rate, &look, watch).expect("players");
    let learn = DictionaryConfig::default();
    let dictionary = examples::learn(&known, rate, &StftOptions::default(), &learn, watch).expect("dictionary");
    let config = ScoreConfig::new(Score::load(&folder.path().join("song.mid")).expect("score"));
    let by_both = ExamplesConfig::new(dictionary);
    let expected = together::fit(session.analysis(), &config, &by_both, &players, watch).expect("together");
    assert_eq!(expected.names(), ["hihat", "kick", "snare", "bass", "residual"]);
    let alone = score::fit(session.analysis(), &config, None, watch).expect("by the score alone");
    let parts = |separation: &Separation| {
        let stems = stems(separation, &audio);
        let sum = |stems: &[Audio]| stems.iter().map(|stem| stem.samples().to_owned()).reduce(|a, b| a + b);
        [sum(&stems[..3]), sum(&stems[3..4]), sum(&stems[4..])].map(|sum| sum.expect("stems"))
    };
    let (expected, alone) = (parts(&expected), parts(&alone));
    for ((stem, expected), alone) in stems(&unpainted, &audio).iter().zip(&expected).zip(&alone) {
        let far =
            |from: &ndarray::Array2<f32>| (&stem.samples() - from).iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        assert!(far(expected) < 1e-5, "off by {}", far(expected));
        assert!(far(alone) > 1e-3, "the examples count");
    }
}

#[test]
fn the_binary_makes_the_stems_of_a_project() {
    let folder = tempfile::tempdir().expect("folder");
    fs::copy(sample("kick-snare-hihat.wav"), folder.path().join("loop.wav")).expect("sample");
    let audio = decode::read(&folder.path().join("loop.wav")).expect("sample");
    let sources = vec![source(1, "low"), source(2, "high")];
    let strokes = vec![stroke(1, 1, Effect::Is, [0.0, 1.0], [0.0, 300.0])];
    let document = Document { marks: Marks { sources, strokes, ..Marks::default() }, ..Document::default() };
    let session = open(&audio, &document);
    let separation = fit(&session, &document, None);
    let recording = session.analysis().identity().clone();
    let mut project = Project { recording, document, factors: project::factors(&separation) };
    project.save(&folder.path().join("p.toml"), Existing::Refuse).expect("save");
    project.factors = None;
    project.save(&folder.path().join("cold.toml"), Existing::Refuse).expect("save");
    let expected = stems(&separation, &audio);
    for name in ["p", "cold"] {
        let project = format!("{name}.toml");
        let args =
            ["separate", "loop.wav", "--project", &project, "-o", name, "--filename", "{stem}.{ext}", "--float32"];
        let output = partita(folder.path(), &args);
        assert!(output.status.success(), "{}", stderr(&output));
        for (stem, expected) in ["low", "high"].iter().zip(&expected) {
            let got = decode::read(&folder.path().join(name).join(format!("{stem}.wav"))).expect("stem");
            assert_eq!(got.samples(), expected.samples(), "{name}: {stem}");
        }
    }
    fs::copy(sample("drums-bass-guitar.wav"), folder.path().join("other.wav")).expect("sample");
    let output = partita(folder.path(), &["separate", "other.wav", "--project", "p.toml", "-o", "x"]);
    assert!(
        !output.status.success() && stderr(&output).contains("as the one that was separated"),
        "{}",
        stderr(&output)
    );
    let output = partita(folder.path(), &["separate", "loop.wav", "--project", "p.toml", "-k", "3", "-o", "x"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
