//! Sources told apart by examples of each: through the library, and through `separate --example` and `learn`.

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::{Dir, analyze_and_fit, partita, sample, stderr, stems_of};
use ndarray::Array2;
use partita::audio::decode;
use partita::audio::encode::{self, EncodeConfig};
use partita::audio::resample::resample;
use partita::separate::examples::{ExamplesConfig, fit, learn};
use partita::separate::{Analysis, AnalysisConfig, Example};
use partita::watch::{Progress, Watch};
use partita::{Audio, Dictionary, DictionaryConfig, Error, Separation, StftConfig, StftOptions};

const RATE: u32 = 8000;

/// Notes of a quarter of a second, harmonics of `hz` with the given weights, played in the order of `tune`.
fn solo(weights: &[f32], tune: &[f32], sample_rate: u32) -> Vec<f32> {
    let note = sample_rate as usize / 4;
    let sample = |i: usize| -> f32 {
        let (hz, age) = (tune[i / note], (i % note) as f32 / note as f32);
        let phase = std::f32::consts::TAU * hz * i as f32 / sample_rate as f32;
        let tone: f32 = weights.iter().zip(1u8..).map(|(w, h)| w * (phase * f32::from(h)).sin()).sum();
        tone * (1.0 - age) * (age * 40.0).min(1.0)
    };
    (0..tune.len() * note).map(sample).collect()
}

const FLUTE: [f32; 2] = [0.5, 0.05];
const REED: [f32; 7] = [0.1, 0.0, 0.25, 0.0, 0.2, 0.0, 0.15];
const TUNE: [f32; 8] = [262.0, 330.0, 392.0, 330.0, 294.0, 349.0, 440.0, 262.0];
const OTHER: [f32; 8] = [196.0, 247.0, 220.0, 294.0, 262.0, 196.0, 220.0, 247.0];

fn mono(samples: Vec<f32>, sample_rate: u32) -> Audio {
    many(&[samples], sample_rate)
}

fn many(channels: &[Vec<f32>], sample_rate: u32) -> Audio {
    let n = channels[0].len();
    let samples = Array2::from_shape_fn((channels.len(), n), |(c, i)| channels[c][i]);
    Audio::new(samples, sample_rate).expect("audio")
}

/// Flute and reed, each with the tune it plays in the mixture in another order, as examples.
fn dictionary(sample_rate: u32) -> Dictionary {
    let backwards = |tune: &[f32]| tune.iter().rev().copied().collect::<Vec<_>>();
    let flute = mono(solo(&FLUTE, &backwards(&TUNE), RATE), RATE);
    let reed = mono(solo(&REED, &backwards(&OTHER), RATE), RATE);
    let known = [
        Example { name: "flute", label: "flute.wav", recording: &flute },
        Example { name: "reed", label: "reed.wav", recording: &reed },
    ];
    learn(&known, sample_rate, &StftOptions::default(), &DictionaryConfig::default(), &mut Watch::none())
        .expect("learned")
}

/// The defaults, for what is known of a mixture.
fn config(mixture: &Audio) -> ExamplesConfig {
    ExamplesConfig::new(dictionary(mixture.sample_rate()))
}

fn separated(mixture: &Audio, config: &ExamplesConfig) -> Separation {
    analyze_and_fit(mixture, &AnalysisConfig::default(), fit, config).expect("separated")
}

/// Signal to distortion, in dB.
fn sdr(reference: &[f32], estimate: ndarray::ArrayView1<'_, f32>) -> f32 {
    let gap: f32 = reference.iter().zip(estimate).map(|(a, b)| (a - b).powi(2)).sum();
    10.0 * (reference.iter().map(|x| x * x).sum::<f32>() / gap).log10()
}

fn assert_sums_to(stems: &[Audio], mixture: &Audio) {
    let mut sum = Array2::<f32>::zeros(mixture.samples().raw_dim());
    for stem in stems {
        assert_eq!(stem.samples().dim(), mixture.samples().dim(), "every stem has the mixture's shape");
        assert_eq!(stem.sample_rate(), mixture.sample_rate());
        sum += &stem.samples();
    }
    let gap = (&sum - &mixture.samples()).iter().fold(0.0f32, |gap, x| gap.max(x.abs()));
    assert!(gap < 1e-5 * mixture.peak(), "stems sum to the mixture within 1e-5 of its peak: {gap}");
}

#[test]
fn planted_sources_are_found() {
    let (flute, reed) = (solo(&FLUTE, &TUNE, RATE), solo(&REED, &OTHER, RATE));
    let mixture = mono(flute.iter().zip(&reed).map(|(a, b)| a + b).collect(), RATE);
    let separation = separated(&mixture, &config(&mixture));
    assert_eq!(separation.names(), ["flute", "reed"]);
    let stems = stems_of(&separation, &mixture);
    assert_sums_to(&stems, &mixture);
    for (reference, stem) in [flute, reed].iter().zip(&stems) {
        let sdr = sdr(reference, stem.channel(0));
        // One mask of 128 ms frames over notes of 250 ms; the mixture itself has about 0 dB.
        assert!(sdr > 8.0, "{sdr} dB");
    }
}

/// Hiss in bursts, as no tune of the mixture has any.
fn shaker(sample_rate: u32) -> Vec<f32> {
    let mut state = 1u32;
    let sample = |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
        noise * (1.0 - (i % 2000) as f32 / 2000.0)
    };
    (0..2 * sample_rate as usize).map(sample).collect()
}

#[test]
fn an_example_of_what_is_not_in_the_recording_is_told_and_a_right_one_is_not() {
    let (flute, reed) = (solo(&FLUTE, &TUNE, RATE), solo(&REED, &OTHER, RATE));
    let mixture = mono(flute.iter().zip(&reed).map(|(a, b)| a + b).collect(), RATE);
    let right = separated(&mixture, &config(&mixture));
    assert!(right.warnings().is_empty(), "{:?}", right.warnings());
    let (flute, reed, shaker) = (mono(flute, RATE), mono(reed, RATE), mono(shaker(RATE), RATE));
    let known = [("flute", &flute), ("reed", &reed), ("shaker", &shaker)];
    let known = known.map(|(name, recording)| Example { name, label: name, recording });
    let learned = learn(&known, RATE, &StftOptions::default(), &DictionaryConfig::default(), &mut Watch::none());
    let config = ExamplesConfig::new(learned.expect("learned"));
    let wrong = separated(&mixture, &config);
    assert_eq!(wrong.warnings().len(), 1, "{:?}", wrong.warnings());
    assert!(wrong.warnings()[0].starts_with("`shaker` may not be in the recording"), "{:?}", wrong.warnings());
    // A rest takes what is not in any example, and what an example explains is no measure then.
    let with_rest = separated(&mixture, &ExamplesConfig { n_residual: 4, ..config });
    assert!(with_rest.warnings().is_empty(), "{:?}", with_rest.warnings());
}

#[test]
fn the_command_line_tells_of_a_wrong_example() {
    let dir = Dir::new();
    let violin = mono(solo(&REED, &OTHER.map(|hz| 4.0 * hz), 44_100), 44_100);
    encode::write(&dir.path("violin.wav"), &violin, &EncodeConfig::default()).expect("written");
    let mixture = sample("drums-bass-guitar.wav");
    let mixture = mixture.to_str().expect("UTF-8");
    let known = ["drums", "bass", "guitar"].map(known);
    let known: Vec<_> = known.iter().flat_map(|known| ["--example", known]).collect();
    let separate = [&["separate", mixture, "--no-notes", "--duration", "4"], &known[..]].concat();
    let message = stderr(&dir.succeeds(&[&separate[..], &["-o", "right"]].concat()));
    assert!(!message.contains("may not be in the recording"), "{message}");
    let message = stderr(&dir.succeeds(&[&separate[..], &["--example", "violin=violin.wav"]].concat()));
    assert_eq!(message.matches("may not be in the recording").count(), 1, "{message}");
    assert!(message.contains("drums-bass-guitar.wav: `violin` may not be in the recording"), "{message}");
}

#[test]
fn beside_a_lone_example_the_rest_is_made() {
    let (flute, reed) = (solo(&FLUTE, &TUNE, RATE), solo(&REED, &OTHER, RATE));
    let mixture = mono(flute.iter().zip(&reed).map(|(a, b)| a + b).collect(), RATE);
    let backwards: Vec<_> = TUNE.iter().rev().copied().collect();
    let example = mono(solo(&FLUTE, &backwards, RATE), RATE);
    let known = |name| {
        let known = [Example { name, label: "flute.wav", recording: &example }];
        learn(&known, RATE, &StftOptions::default(), &DictionaryConfig::default(), &mut Watch::none()).expect("learned")
    };
    let config = ExamplesConfig::new(known("flute"));
    let live = Analysis::live(RATE, 1, &AnalysisConfig::default()).expect("a form");
    let live = fit(&live, &config, None, &mut Watch::none()).expect("of sound to come");
    for (what, separation) in [("recording", separated(&mixture, &config)), ("sound to come", live)] {
        assert_eq!(separation.names(), ["flute", "residual"], "{what}");
        let stems = stems_of(&separation, &mixture);
        assert_sums_to(&stems, &mixture);
        for (reference, stem) in [&flute, &reed].iter().zip(&stems) {
            let sdr = sdr(reference, stem.channel(0));
            // The mixture itself has about 0 dB.
            assert!(sdr > 4.0, "{what}: {sdr} dB");
        }
    }
    let all = separated(&mixture, &ExamplesConfig { n_residual: 0, ..config });
    assert!(all.warnings()[0].contains("the source gets the recording as it is"), "{:?}", all.warnings());
    assert_eq!(ExamplesConfig::new(known("residual")).n_residual, 0, "an example may be one of the rest");
    assert_eq!(ExamplesConfig::new(dictionary(RATE)).n_residual, 0, "several share all of the mixture");
}

#[test]
fn a_lone_example_on_the_command_line_makes_the_rest_too() {
    let dir = Dir::new();
    let path = |name: &str| sample(&format!("drums-bass-guitar{name}.wav")).to_str().expect("UTF-8").to_owned();
    let (mixture, example) = (path(""), format!("bass={}", path("/bass")));
    let separate = ["separate", &mixture, "--example", &example, "--duration", "1", "--transpose", "0"];
    let message = stderr(&dir.succeeds(&separate));
    assert!(message.contains("`bass` is all that is known: the rest goes to `residual`"), "{message}");
    let stems = ["bass", "residual"].map(|stem| dir.read(&format!("separated/drums-bass-guitar/{stem}.wav")));
    let share = |stem: &Audio| stem.samples().iter().map(|x| x * x).sum::<f32>();
    assert!(share(&stems[0]) > 0.0 && share(&stems[1]) > 0.0, "both have sound");
    let message = stderr(&dir.succeeds(&[&separate[..], &["--residual", "0", "-o", "all"]].concat()));
    assert!(message.contains("one source and no residual"), "{message}");
    let stream = ["stream", "--example", &example, "--transpose", "0", "--stem", "residual"];
    let samples: Vec<u8> =
        read(&sample("drums-bass-guitar.wav")).channel(0).iter().flat_map(|x| x.to_le_bytes()).collect();
    let output = dir.partita_with(&stream, &samples[..4 * 44_100]);
    assert!(output.status.success() && output.stdout.len() == 4 * 44_100, "{}", stderr(&output));
}

#[test]
fn notes_that_an_example_lacks_are_found_by_transposing() {
    let up = |tune: &[f32]| tune.iter().map(|hz| hz * 1.189_207).collect::<Vec<_>>();
    let (flute, reed) = (solo(&FLUTE, &up(&TUNE), RATE), solo(&REED, &up(&OTHER), RATE));
    let mixture = mono(flute.iter().zip(&reed).map(|(a, b)| a + b).collect(), RATE);
    let score = |n_semitones| {
        let config = ExamplesConfig { n_semitones, ..config(&mixture) };
        let stems = stems_of(&separated(&mixture, &config), &mixture);
        (sdr(&flute, stems[0].channel(0)) + sdr(&reed, stems[1].channel(0))) / 2.0
    };
    let (plain, transposed) = (score(0), score(5));
    assert!(transposed > plain + 1.0, "{transposed} dB, {plain} dB without");
}

#[test]
fn stems_sum_to_any_number_of_channels() {
    let (flute, reed) = (solo(&FLUTE, &TUNE, RATE), solo(&REED, &OTHER, RATE));
    let mixed = |a: f32, b: f32| flute.iter().zip(&reed).map(|(x, y)| a * x + b * y).collect::<Vec<_>>();
    let silent = vec![0.0; flute.len()];
    for channels in [
        vec![mixed(1.0, 0.3), mixed(0.4, 1.0)],
        vec![mixed(1.0, 1.0), mixed(1.0, 1.0)],
        vec![mixed(1.0, 0.5), silent.clone()],
        vec![mixed(1.0, 0.0), mixed(0.0, 1.0), mixed(1.0, 1.0), silent.clone(), mixed(0.5, 0.2), mixed(0.2, -0.5)],
    ] {
        let mixture = many(&channels, RATE);
        for n_residual in [0, 3] {
            let separation = separated(&mixture, &ExamplesConfig { n_residual, ..config(&mixture) });
            assert_sums_to(&stems_of(&separation, &mixture), &mixture);
        }
    }
}

#[test]
fn places_among_the_channels_tell_sources_apart() {
    let (flute, reed) = (solo(&FLUTE, &TUNE, RATE), solo(&REED, &OTHER, RATE));
    let mixed = |a: f32, b: f32| flute.iter().zip(&reed).map(|(x, y)| a * x + b * y).collect::<Vec<_>>();
    let mixture = many(&[mixed(1.0, 0.4), mixed(0.4, 1.0)], RATE);
    let separation = separated(&mixture, &config(&mixture));
    let score = |separation: &Separation| sdr(&flute, stems_of(separation, &mixture)[0].channel(0));
    let mask = score(&separation);
    let wiener = score(&separation.with_places(&mixture, 20_000, &mut Watch::none()).expect("places"));
    assert!(wiener > mask + 1.0, "{wiener} dB, {mask} dB by one mask");
}

#[test]
fn a_long_recording_is_separated_block_by_block_as_a_short_one_is() {
    let (flute, reed) = (solo(&FLUTE, &TUNE, RATE), solo(&REED, &OTHER, RATE));
    let once: Vec<_> = flute.iter().zip(&reed).map(|(a, b)| a + b).collect();
    let mixture = mono(once.repeat(6), RATE);
    let stems = |max_frames| {
        let analysis = AnalysisConfig { max_frames, ..AnalysisConfig::default() };
        stems_of(&analyze_and_fit(&mixture, &analysis, fit, &config(&mixture)).expect("separated"), &mixture)
    };
    let (whole, blocks) = (stems(20_000), stems(128));
    assert_sums_to(&blocks, &mixture);
    let gap = (&whole[0].samples() - &blocks[0].samples()).iter().fold(0.0f32, |gap, x| gap.max(x.abs()));
    // The same activations, but for the rounding of sums that are cut in other places.
    assert!(gap < 1e-4, "{gap}");
}

#[test]
fn one_result_for_any_number_of_threads() {
    let mixture = mono(solo(&FLUTE, &TUNE, RATE), RATE);
    let stems = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        pool.install(|| stems_of(&separated(&mixture, &config(&mixture)), &mixture))
    };
    assert_eq!(stems(1), stems(3));
}

#[test]
fn an_example_at_another_rate_is_converted() {
    // The examples are at 8000 Hz.
    let (flute, reed) = (solo(&FLUTE, &TUNE, 11_025), solo(&REED, &OTHER, 11_025));
    let mixture = mono(flute.iter().zip(&reed).map(|(a, b)| a + b).collect(), 11_025);
    let stems = stems_of(&separated(&mixture, &config(&mixture)), &mixture);
    assert_eq!(stems[0].n_samples(), mixture.n_samples());
    let sdr = sdr(&flute, stems[0].channel(0));
    assert!(sdr > 6.0, "{sdr} dB");
}

#[test]
fn silent_and_short_examples_are_refused_by_their_file() {
    let cases = [(vec![0.0; 8000], "the recording is silent"), (vec![0.5; 300], "expected at least 1024")];
    for (samples, expected) in cases {
        let audio = mono(samples, RATE);
        let known = [Example { name: "flute", label: "takes/flute 1.wav", recording: &audio }];
        let error = learn(&known, RATE, &StftOptions::default(), &DictionaryConfig::default(), &mut Watch::none());
        let error = error.expect_err(expected);
        assert!(matches!(error, Error::Example { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("`flute` from `takes/flute 1.wav`") && message.contains(expected), "{message}");
    }
}

#[test]
fn a_dictionary_for_others_is_refused() {
    let mixture = mono(solo(&FLUTE, &TUNE, 16_000), 16_000);
    let refused = |dictionary: Dictionary, analysis: &AnalysisConfig| {
        analyze_and_fit(&mixture, analysis, fit, &ExamplesConfig::new(dictionary)).expect_err("refused")
    };
    let rate = refused(dictionary(8000), &AnalysisConfig::default());
    assert!(matches!(rate, Error::DictionaryMismatch { name: "sample_rate", .. }), "{rate}");
    let stft = StftOptions { n_fft: Some(512), ..StftOptions::default() };
    let size = refused(dictionary(16_000), &AnalysisConfig { stft, ..AnalysisConfig::default() });
    assert!(size.hint().is_some_and(|hint| hint.contains("`n_fft 2048`")), "{size}");
    let empty = Dictionary::new(16_000, StftConfig::new(2048), 3).expect("dictionary");
    assert!(matches!(refused(empty, &AnalysisConfig::default()), Error::Setting { name: "dictionary", .. }));
}

#[test]
fn settings_out_of_range_are_refused() {
    let mixture = mono(solo(&FLUTE, &TUNE, RATE), RATE);
    let good = config(&mixture);
    for (config, name) in [
        (ExamplesConfig { max_iter: 0, ..good.clone() }, "max_iter"),
        (ExamplesConfig { n_semitones: 25, ..good.clone() }, "n_semitones"),
        (ExamplesConfig { mask_exponent: 0.0, ..good.clone() }, "mask_exponent"),
    ] {
        let error = analyze_and_fit(&mixture, &AnalysisConfig::default(), fit, &config).expect_err(name);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn the_callback_stops_the_work() {
    let mixture = mono(solo(&FLUTE, &TUNE, RATE), RATE);
    // Without a residual, nothing is fitted: the analysis alone is told of.
    let config = ExamplesConfig { n_residual: 2, ..config(&mixture) };
    for n_calls in [0, 1, 2] {
        let mut left = n_calls;
        let mut stop = |_: Progress| match left {
            0 => ControlFlow::Break(()),
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        };
        let watch = &mut Watch::new(&mut stop);
        let outcome = Analysis::of(&mixture, &AnalysisConfig::default(), watch)
            .and_then(|analysis| fit(&analysis, &config, None, watch));
        assert!(matches!(outcome, Err(Error::Cancelled)), "after {n_calls}");
    }
}

// ---- the command line --------------------------------------------------------------------------------------------

/// `NAME=FILE` for a stem of a sample.
fn known(name: &str) -> String {
    format!("{name}={}", sample("drums-bass-guitar").join(format!("{name}.wav")).display())
}

fn read(path: &Path) -> Audio {
    decode::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn separate_takes_examples_and_a_dictionary_to_the_same_stems() {
    let folder = tempfile::tempdir().expect("folder");
    let mixture = sample("drums-bass-guitar.wav");
    let mixture = mixture.to_str().expect("UTF-8");
    let names = ["drums", "bass", "guitar"];
    let known: Vec<_> = names.iter().map(|name| known(name)).collect();

    let by_examples: Vec<_> = known.iter().flat_map(|known| ["--example", known]).collect();
    // Of drums and a guitar, examples alone would be looked at in a longer window than a file is learned in.
    let in_window = ["separate", mixture, "-o", "a", "--n-fft", "2048"];
    let done = partita(folder.path(), &[&in_window[..], &by_examples[..]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let done = partita(folder.path(), &[&["learn", "-o", "band.safetensors"], &known[..]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let done = partita(folder.path(), &["separate", mixture, "-o", "b", "--dictionary", "band.safetensors"]);
    assert!(done.status.success(), "{}", stderr(&done));

    let mixture = read(Path::new(mixture));
    let stems = |out: &str| -> Vec<Audio> {
        let path = |name| folder.path().join(out).join("drums-bass-guitar").join(format!("{name}.wav"));
        names.iter().map(|name| read(&path(name))).collect()
    };
    let (a, b) = (stems("a"), stems("b"));
    assert_sums_to(&a, &mixture);
    for ((name, a), b) in names.iter().zip(&a).zip(&b) {
        let reference = read(&sample("drums-bass-guitar").join(format!("{name}.wav")));
        let gap = (&a.samples() - &b.samples()).iter().fold(0.0f32, |gap, x| gap.max(x.abs()));
        assert!(gap < 1e-3, "{name}: the file holds what was learned, {gap}");
        let sdr = sdr(&reference.channel(0).to_vec(), a.channel(0));
        // Examples that are the sources themselves: what a mask of such templates can do.
        assert!(sdr > 3.0, "{name}: {sdr} dB");
    }
}

#[test]
fn several_files_of_one_name_make_one_source_and_the_rest_a_residual() {
    let folder = tempfile::tempdir().expect("folder");
    let mixture = sample("drums-bass-guitar.wav");
    let (bass, drums) = (known("bass"), known("drums"));
    let low = format!("low={}", &bass["bass=".len()..]);
    let low_too = format!("low={}", &drums["drums=".len()..]);
    let args = ["separate", mixture.to_str().expect("UTF-8"), "--example", &low, "--example", &low_too];
    let done = partita(folder.path(), &[&args[..], &["--residual", "4"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let stems = folder.path().join("separated/drums-bass-guitar");
    let mut names: Vec<_> =
        fs::read_dir(&stems).expect("stems").map(|entry| entry.expect("entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["low.wav", "residual.wav"]);
    let stems = ["low", "residual"].map(|name| read(&stems.join(format!("{name}.wav"))));
    assert_sums_to(&stems, &read(&mixture));
}

#[test]
fn a_dictionary_of_another_size_is_refused_with_the_flag_that_helps() {
    let folder = tempfile::tempdir().expect("folder");
    let done = partita(folder.path(), &["learn", &known("bass"), "-o", "bass.safetensors", "--n-fft", "1024"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let mixture = sample("drums-bass-guitar.wav");
    let args = ["separate", mixture.to_str().expect("UTF-8"), "--dictionary", "bass.safetensors"];
    let refused = partita(folder.path(), &args);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let message = stderr(&refused);
    assert!(message.contains("`bass.safetensors` is for `--n-fft 1024`"), "{message}");
    assert!(message.contains("hint: add `--n-fft 1024`, or learn it again"), "{message}");
    let done = partita(folder.path(), &[&args[..], &["--n-fft", "1024"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
}

#[test]
fn faults_in_what_is_known_are_told_with_the_file() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path("silence.wav"), spec).expect("created");
    (0..44_100).for_each(|_| writer.write_sample(0i16).expect("written"));
    writer.finalize().expect("written");
    fs::write(path("notes.safetensors"), "no dictionary at all").expect("written");
    let mixture = sample("drums-bass-guitar.wav");
    let mixture = mixture.to_str().expect("UTF-8");
    for (args, code, expected) in [
        (
            &["--example", "flute=silence.wav"][..],
            1,
            "cannot learn `flute` from `silence.wav`: the recording is silent",
        ),
        (&["--example", "flute=nowhere.wav"], 1, "cannot open `nowhere.wav`"),
        (&["--example", "flute"], 2, "expected a name and a file"),
        (&["--example", "a/b=silence.wav"], 2, "expected a name that a file can have, got `a/b`"),
        (&["--dictionary", "notes.safetensors"], 1, "`notes.safetensors` is no dictionary"),
        (&["--dictionary", "none.safetensors"], 1, "cannot read `none.safetensors`"),
        (&["--residual", "4"], 2, "`--residual` needs `--example` or `--dictionary`"),
        (&["--example", "flute=silence.wav", "-n", "2"], 2, "cannot be used with"),
        (&["--example", "flute=silence.wav", "--divergence", "is"], 2, "`--divergence`"),
    ] {
        let refused = partita(folder.path(), &[&["separate", mixture], args].concat());
        let message = stderr(&refused);
        assert_eq!(refused.status.code(), Some(code), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
    }
    let refused = partita(folder.path(), &["learn", "flute=silence.wav", "-o", "flute.wav"]);
    assert!(stderr(&refused).contains("use `flute.safetensors`"), "{}", stderr(&refused));
    assert!(!path("separated").exists(), "nothing was written");
}

#[test]
fn a_stereo_example_at_another_rate_serves_a_mono_recording() {
    let folder = tempfile::tempdir().expect("folder");
    let solo = read(&sample("drums-bass-guitar/bass.wav"));
    let other = resample(&solo, 48_000).expect("resampled");
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(folder.path().join("bass.wav"), spec).expect("created");
    for x in other.channel(0) {
        writer.write_sample(*x).and_then(|()| writer.write_sample(0.5 * x)).expect("written");
    }
    writer.finalize().expect("written");
    let mixture = sample("drums-bass-guitar.wav");
    let args = ["separate", mixture.to_str().expect("UTF-8"), "--example", "bass=bass.wav"];
    let done = partita(folder.path(), &[&args[..], &["--example", &known("drums")]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let bass = read(&folder.path().join("separated/drums-bass-guitar/bass.wav"));
    assert_eq!((bass.sample_rate(), bass.n_samples()), (read(&mixture).sample_rate(), read(&mixture).n_samples()));
}
