//! What does not fit ends in an error that says so, in every way that there is to ask for sound.

use ndarray::{Array2, Axis, s};
use partita::knowledge::labels::Labels;
use partita::nmf::{Divergence, NmfConfig};
use partita::separate::blind::{self, BlindConfig};
use partita::separate::examples;
use partita::separate::labelled::{self, LabelledConfig};
use partita::separate::{Analysis, AnalysisConfig, Block, Model, Split, Stems};
use partita::watch::Watch;
use partita::{Audio, Error, Result, Separation};

use crate::cases::{Case, LENGTHS, SAMPLE_RATE, cases, complete, few_components, incomplete, recording};

/// What each way to ask for sound says of a recording, by name.
fn outcomes(case: &Case, recording: &Audio) -> Vec<(&'static str, Result<()>)> {
    let Case { separation, stems, .. } = case;
    let watch = &mut Watch::none();
    let push = |renderer: Result<partita::separate::Renderer<'_>>| {
        let mut renderer = renderer?;
        let samples = recording.samples();
        for start in (0..recording.n_samples()).step_by(5000) {
            let end = (start + 5000).min(recording.n_samples());
            renderer.push(samples.slice(s![.., start..end]), &mut |_| Ok(()))?;
        }
        renderer.finish(&mut |_| Ok(())).map(drop)
    };
    vec![
        ("stems", separation.stems(recording, watch).map(drop)),
        ("render", separation.render(recording, stems, watch, &mut |_| Ok(())).map(drop)),
        ("peak", separation.peak(recording, stems, watch).map(drop)),
        ("overviews", separation.overviews(recording, 100, watch).map(drop)),
        ("renderer", push(separation.renderer(stems))),
        (
            "live_renderer",
            if case.is_live { push(separation.live_renderer(stems)) } else { push(separation.renderer(stems)) },
        ),
    ]
}

/// All but those with nothing to compare the length with.
fn of_files() -> impl Iterator<Item = &'static Case> {
    cases().iter().filter(|case| case.separation.n_samples().is_some() && case.recording.n_samples() == LENGTHS[1])
}

#[test]
fn a_recording_of_another_length_is_refused_with_its_length() {
    for case in of_files() {
        let n_channels = case.recording.n_channels();
        for n_samples in [0, LENGTHS[1] - 1, LENGTHS[1] + 12_345] {
            let other = recording(n_channels, n_samples.max(1)).excerpt(0, n_samples);
            for (way, outcome) in outcomes(case, &other) {
                let Err(Error::Length { got, expected }) = outcome else { panic!("{}, {way}: {outcome:?}", case.what) };
                assert_eq!(expected, LENGTHS[1]);
                // What is pushed is refused as soon as it is too much.
                if way.ends_with("renderer") && n_samples > LENGTHS[1] {
                    assert!(got > LENGTHS[1] && got <= n_samples, "{}, {way}: {got}", case.what);
                } else {
                    assert_eq!(got, n_samples, "{}, {way}", case.what);
                }
            }
        }
    }
}

#[test]
fn a_range_of_a_recording_that_ends_too_early_is_refused_with_its_length() {
    for case in of_files() {
        let short = recording(case.recording.n_channels(), 5000);
        let render = |samples| case.separation.render_range(&short, &case.stems, samples, &mut |_| Ok(()));
        for samples in [4000..9000, 8000..9000, 0..LENGTHS[1]] {
            let outcome = render(samples.clone());
            assert!(
                matches!(outcome, Err(Error::Length { got: 5000, expected }) if expected == LENGTHS[1]),
                "{}, {samples:?}: {outcome:?}",
                case.what
            );
        }
        let outcome = case.separation.masks(&short, 60..200);
        assert!(matches!(outcome, Err(Error::Length { got: 5000, .. })), "{}: {outcome:?}", case.what);
        // Of one that is longer, what is asked for is there.
        let long = recording(case.recording.n_channels(), LENGTHS[2]);
        let mut n_samples = 0;
        let rendered = case.separation.render_range(&long, &case.stems, 4000..usize::MAX, &mut |blocks| {
            n_samples += blocks[0].ncols();
            Ok(())
        });
        rendered.unwrap_or_else(|error| panic!("{}: {error}", case.what));
        assert_eq!(n_samples, LENGTHS[1] - 4000, "{}", case.what);
    }
}

#[test]
fn a_recording_of_another_form_is_refused_with_what_it_has() {
    for case in cases().iter().filter(|case| case.recording.n_samples() == LENGTHS[1]) {
        let n_channels = case.recording.n_channels();
        let told = |n| format!("{n} channel{}", if n == 1 { "" } else { "s" });
        let faster = Audio::new(case.recording.samples().to_owned(), 11_025).expect("audio");
        let wider = recording(n_channels + 1, LENGTHS[1]);
        for (other, got, expected) in [
            (&faster, "11025 Hz".to_owned(), format!("{SAMPLE_RATE} Hz")),
            (&wider, told(n_channels + 1), told(n_channels)),
        ] {
            let mut all = outcomes(case, other);
            // Pushed samples have no rate.
            all.retain(|(way, _)| !way.ends_with("renderer") || other.n_channels() != n_channels);
            let range = case.separation.render_range(other, &case.stems, 0..100, &mut |_| Ok(()));
            all.push(("render_range", range));
            all.push(("masks", case.separation.masks(other, 0..2).map(drop)));
            all.push(("with_places", case.separation.clone().with_places(other, 100, &mut Watch::none()).map(drop)));
            for (way, outcome) in all {
                let Err(Error::OtherRecording { got: a, expected: b }) = outcome else {
                    panic!("{}, {way}: {outcome:?}", case.what)
                };
                assert_eq!((a, b), (got.clone(), expected.clone()), "{}, {way}", case.what);
            }
        }
    }
}

#[test]
fn the_message_says_what_is_expected() {
    let audio = recording(2, LENGTHS[1]);
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    let parts = blind::fit(&analysis, &few_components(), None, &mut Watch::none()).expect("parts");
    let message = |other: &Audio| parts.stems(other, &mut Watch::none()).expect_err("refused").to_string();
    assert_eq!(
        message(&recording(1, LENGTHS[1])),
        "the recording has 1 channel, expected 2 channels, as the one that was separated"
    );
    let unknown = parts.stem_names(&Stems::Only(vec!["flute".into()])).expect_err("no such stem");
    assert!(matches!(&unknown, Error::UnknownStem { name, names } if name == "flute" && names == parts.names()));
}

#[test]
fn another_recording_leaves_nothing_behind() {
    let right = recording(1, LENGTHS[1]);
    let analysis = Analysis::of(&right, &complete(), &mut Watch::none()).expect("analysis");
    let known = crate::cases::known(&["flute", "bass"]);
    let fit = || examples::fit(&analysis, &known, None, &mut Watch::none()).expect("parts");
    let expected = crate::common::stems_of(&fit(), &right);
    let parts = fit();
    // The same length, and one that is refused in the end.
    let mut other = right.samples().to_owned();
    other.invert_axis(Axis(1));
    let other = Audio::new(other, SAMPLE_RATE).expect("audio");
    parts.stems(&other, &mut Watch::none()).expect("nobody can tell");
    parts.stems(&other.excerpt(0, 9000), &mut Watch::none()).expect_err("too short");
    assert!(crate::common::stems_of(&parts, &right) == expected, "stems of the recording that was separated");
}

// ---- labels ----------------------------------------------------------------------------------------------------------

/// A separation, and what it says to whoever names its components.
fn described(audio: &Audio, look: &AnalysisConfig, config: &BlindConfig) -> (Analysis, Separation, LabelledConfig) {
    let analysis = Analysis::of(audio, look, &mut Watch::none()).expect("analysis");
    let parts = blind::fit(&analysis, config, None, &mut Watch::none()).expect("parts");
    let labels = labelled::describe(&analysis, &parts, "f.npz").expect("labels");
    let factors = parts.factorization().expect("factors");
    let (dictionary, activations) = (factors.dictionary.clone(), factors.activations.clone());
    (analysis, parts, LabelledConfig { labels, dictionary, activations })
}

fn odd() -> BlindConfig {
    let nmf = NmfConfig { divergence: Divergence::Beta(0.5), seed: 7, ..few_components().nmf };
    BlindConfig { mask_exponent: 1.25, nmf, ..few_components() }
}

#[test]
fn labels_say_what_made_the_separation_and_make_it_again() {
    let audio = recording(1, LENGTHS[2]);
    for look in [complete(), incomplete()] {
        for config in [few_components(), odd()] {
            let (analysis, parts, known) = described(&audio, &look, &config);
            let settings = &known.labels.settings;
            let expected = if config.mask_exponent == 1.25 { (1.25, "0.5", "7") } else { (1.5, "kl", "0") };
            assert_eq!((settings.mask_exponent, &*settings.divergence, &*settings.seed), expected);
            assert_eq!((settings.n_fft, settings.hop_length, &*settings.window), (256, 64, "hann"));
            assert_eq!(settings.is_complete, look == complete());
            assert_eq!(&known.labels.recording, analysis.identity());
            let text = known.labels.text().expect("text");
            let labels = Labels::parse(&text).expect("what is written is read");
            assert_eq!(labels, known.labels);
            let again = labelled::fit(&analysis, &known, None, &mut Watch::none()).expect("again");
            let stems = |parts: &Separation| {
                let mut stems: Vec<_> =
                    parts.names().iter().cloned().zip(crate::common::stems_of(parts, &audio)).collect();
                stems.sort_by(|a, b| a.0.cmp(&b.0));
                stems
            };
            let far = |(a, b): (&(String, Audio), &(String, Audio))| {
                assert_eq!(a.0, b.0);
                (&a.1.samples() - &b.1.samples()).iter().fold(0.0f32, |far, x| far.max(x.abs()))
            };
            let far: Vec<_> = stems(&again).iter().zip(&stems(&parts)).map(far).collect();
            // The parts may have another order, in which the sums of their models are rounded otherwise.
            assert!(far.iter().all(|far| *far < 1e-6), "other stems by the labels: {far:?}, {settings:?}");
        }
    }
}

#[test]
fn labels_that_were_edited_to_nonsense_are_refused() {
    let audio = recording(1, LENGTHS[1]);
    let (analysis, _, known) = described(&audio, &incomplete(), &few_components());
    let text = known.labels.text().expect("text");
    let refusal = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in {text}");
        let labels = match Labels::parse(&text.replace(from, to)) {
            Ok(labels) => labels,
            Err(error) => return error,
        };
        let config = LabelledConfig { labels, ..known.clone() };
        labelled::fit(&analysis, &config, None, &mut Watch::none()).expect_err(to)
    };
    for (setting, from, to) in [
        ("divergence", "divergence = \"kl\"", "divergence = \"beta 7\""),
        ("divergence", "divergence = \"kl\"", "divergence = \"7\""),
        ("divergence", "divergence = \"kl\"", "divergence = \"NaN\""),
        ("divergence", "divergence = \"kl\"", "divergence = \"\""),
        ("window", "window = \"hann\"", "window = \"hand\""),
        ("window", "window = \"hann\"", "window = \"hamming\""),
        ("n_fft", "n_fft = 256", "n_fft = 255"),
        ("win_length", "win_length = 256", "win_length = 100"),
        ("hop_length", "hop_length = 64", "hop_length = 0"),
        ("mask_exponent", "mask_exponent = 1.5", "mask_exponent = -1.0"),
        ("mask_exponent", "mask_exponent = 1.5", "mask_exponent = 0.0"),
        ("mask_exponent", "mask_exponent = 1.5", "mask_exponent = 1e300"),
    ] {
        let error = refusal(from, to);
        let is_told = match &error {
            Error::Setting { name, .. } => *name == setting,
            Error::Labels { reason, .. } => reason.contains(setting),
            _ => false,
        };
        assert!(is_told, "{to}: {error:?}");
    }
    assert!(matches!(refusal("is_complete = false", "is_complete = true"), Error::MatrixShape { .. }));
    assert!(matches!(refusal("sample_rate = 8000", "sample_rate = 8001"), Error::OtherRecording { .. }));
    assert!(matches!(refusal("n_samples = 12288", "n_samples = 12287"), Error::OtherRecording { .. }));
    assert!(matches!(refusal("fingerprint = \"", "fingerprint = \"0"), Error::OtherRecording { .. }));
}

// ---- models of one's own ---------------------------------------------------------------------------------------------

/// A model of so many parts that gives whatever it is told to.
struct Own(usize, Give);

/// What it gives for so many frames and bins.
type Give = fn(usize, usize) -> Split;

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Own")
    }
}

impl Model for Own {
    fn n_parts(&self) -> usize {
        self.0
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        Ok(self.1(block.frames.len(), block.magnitude.ncols()))
    }
}

fn masks(n_frames: usize, n_bins: usize, n_parts: usize) -> Split {
    Split::Masks(vec![Array2::from_elem((n_frames, n_bins), 1.0 / n_parts as f32); n_parts])
}

#[test]
fn names_that_no_stem_can_have_are_refused() {
    let analysis = Analysis::live(SAMPLE_RATE, 1, &complete()).expect("a form");
    let new = |names: &[&str]| {
        let own = Own(2, |n_frames, n_bins| masks(n_frames, n_bins, 2));
        Separation::new(&analysis, own, names.iter().map(|name| (*name).to_owned()).collect())
    };
    assert_eq!(new(&["voice", "rest"]).expect("good names").names(), ["voice", "rest"]);
    for names in [["", "rest"], ["voice", "../rest"], ["a/b", "rest"], ["con", "rest"], ["voice", "voice"]] {
        let outcome = new(&names);
        assert!(matches!(outcome, Err(Error::SourceName { .. })), "{names:?}: {outcome:?}");
    }
    for names in [&[][..], &["voice"], &["voice", "rest", "more"]] {
        let outcome = new(names);
        let is_told = matches!(
            outcome,
            Err(Error::MatrixShape { what: "the list of names", got, expected: (2, 1) }) if got == (names.len(), 1)
        );
        assert!(is_told, "{names:?}: {outcome:?}");
    }
}

#[test]
fn a_model_that_gives_something_of_another_shape_is_told() {
    let audio = recording(2, LENGTHS[1]);
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    let bad: [(&str, Give); 10] = [
        ("the list of masks of a model", |t, f| masks(t, f, 1)),
        ("the list of masks of a model", |t, f| masks(t, f, 3)),
        ("the list of masks of a model", |_, _| Split::Masks(Vec::new())),
        ("a mask of a model", |t, f| masks(t + 1, f, 2)),
        ("a mask of a model", |t, f| masks(t, f - 1, 2)),
        ("a mask of a model", |t, f| masks(f, t, 2)),
        ("the table of images of a model", |_, _| Split::Images(Vec::new())),
        ("the table of images of a model", |t, f| Split::Images(vec![vec![Array2::zeros((t, f)); 1]; 2])),
        ("the table of images of a model", |t, f| {
            Split::Images(vec![vec![Array2::zeros((t, f)); 2], vec![Array2::zeros((t, f)); 3]])
        }),
        ("an image of a model", |t, f| Split::Images(vec![vec![Array2::zeros((t, f + 1)); 2]; 2])),
    ];
    for (expected, split) in bad {
        let names = vec!["voice".to_owned(), "rest".to_owned()];
        let separation = Separation::new(&analysis, Own(2, split), names).expect("separation");
        let what = "a model of one's own".to_owned();
        let case =
            Case { what, recording: audio.clone(), separation, stems: Stems::All, whole: Vec::new(), is_live: true };
        let mut all = outcomes(&case, &audio);
        all.push(("render_range", case.separation.render_range(&audio, &Stems::All, 100..200, &mut |_| Ok(()))));
        all.push(("masks", case.separation.masks(&audio, 3..7).map(drop)));
        all.push(("with_places", case.separation.clone().with_places(&audio, 100, &mut Watch::none()).map(drop)));
        for (way, outcome) in all {
            assert!(
                matches!(&outcome, Err(Error::MatrixShape { what, .. }) if *what == expected),
                "{expected}, {way}: {outcome:?}"
            );
        }
    }
}

#[test]
fn the_error_of_a_model_ends_the_rendering() {
    #[derive(Debug)]
    struct Failing;
    impl Model for Failing {
        fn n_parts(&self) -> usize {
            1
        }
        fn split(&self, block: &Block<'_>) -> Result<Split> {
            if block.frames.end > 200 {
                Err(Error::Silent)
            } else {
                Ok(masks(block.frames.len(), block.magnitude.ncols(), 1))
            }
        }
    }
    let audio = recording(1, LENGTHS[2]);
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    let separation = Separation::new(&analysis, Failing, vec!["all".into()]).expect("separation");
    assert!(matches!(separation.stems(&audio, &mut Watch::none()), Err(Error::Silent)));
    let range = |samples| separation.render_range(&audio, &Stems::All, samples, &mut |_| Ok(()));
    range(0..4000).expect("a part that can be made");
    assert!(matches!(range(0..16_000), Err(Error::Silent)));
}
