//! A fit that goes on from an earlier one gets where that one got, in less work; one of another kind makes no difference.

use std::ops::ControlFlow;

use partita::nmf::NmfConfig;
use partita::separate::blind::{self, BlindConfig};
use partita::separate::denoise::{self, Content};
use partita::separate::drums::{self, DrumsConfig};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::{Progress, Step, Watch};
use partita::{Audio, Score, Separation, StftOptions};

use crate::cases::{
    LENGTHS, STFT, complete, denoised, few_components, incomplete, known, recording, single_frames, written,
};
use crate::common::{Fit, si_sdr, stems_of};

/// The fit, and how many iterations it told of.
fn fitted<C>(analysis: &Analysis, fit: Fit<C>, config: &C, previous: Option<&Separation>) -> (Separation, usize) {
    let mut n_iter = 0;
    let mut count = |told: Progress| {
        n_iter += usize::from(told.step == Step::Fitting);
        ControlFlow::Continue(())
    };
    let parts = fit(analysis, config, previous, &mut Watch::new(&mut count)).expect("fitted");
    (parts, n_iter)
}

/// The worst SI-SDR, in dB, of a stem by a second separation against that of the same name by the first.
fn likeness(audio: &Audio, first: &Separation, second: &Separation) -> f64 {
    let (a, b) = (stems_of(first, audio), stems_of(second, audio));
    let score = |(name, stem): (&String, &Audio)| {
        let place = second.names().iter().position(|other| other == name).expect("the same names");
        si_sdr(stem.channel(0), b[place].channel(0))
    };
    first.names().iter().zip(&a).map(score).fold(f64::INFINITY, f64::min)
}

/// The SI-SDR, in dB, of a stem against a voice that is in the recording.
fn truth(audio: &Audio, parts: &Separation, name: &str) -> f64 {
    let place = parts.names().iter().position(|other| other == name).expect("that name");
    let voice = ndarray::Array1::from(crate::cases::voice(name, audio.n_samples()));
    si_sdr(voice.view(), stems_of(parts, audio)[place].channel(0))
}

/// Fits twice, and checks that the second fit goes on from the first. Floors are some decibels below what was measured:
/// 45 dB for `blind`, 15 for `score` and 22 for `examples`, both of the residual, 17 for `drums`, 33 for `denoise`.
fn check<C>(what: &str, fit: Fit<C>, config: &C, least_db: f64) {
    let audio = recording(1, LENGTHS[2]);
    for look in [complete(), incomplete()] {
        let analysis = Analysis::of(&audio, &look, &mut Watch::none()).expect("analysis");
        let (first, n_first) = fitted(&analysis, fit, config, None);
        let (second, n_second) = fitted(&analysis, fit, config, Some(&first));
        let db = likeness(&audio, &first, &second);
        println!("{what}: {n_first} iterations, then {n_second}; stems are alike by {db:.1} dB at least");
        assert!(n_second < n_first, "{what}: {n_first} iterations, then {n_second}");
        assert!(db > least_db, "{what}: {db:.1} dB, expected {least_db}");
    }
}

#[test]
fn components_go_on() {
    // As many iterations as it takes until another 20 change little.
    let nmf = NmfConfig { max_iter: 60, tol: 0.0, ..few_components().nmf };
    check("blind", blind::fit, &BlindConfig { nmf, ..few_components() }, 25.0);
}

#[test]
fn notes_go_on() {
    check("score", score::fit, &ScoreConfig::new(written(2.7)), 12.0);
}

#[test]
fn drums_go_on() {
    check("drums", drums::fit, &DrumsConfig::default(), 13.0);
}

#[test]
fn noises_go_on() {
    let audio = recording(1, LENGTHS[2]);
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    check("denoise", denoise::fit, &denoised(&analysis, Content::Speech), 25.0);
}

#[test]
fn residuals_of_examples_go_on() {
    check("examples", examples::fit, &ExamplesConfig { n_residual: 2, ..known(&["flute", "bass"]) }, 18.0);
}

#[test]
fn one_more_example_is_the_same_whatever_was_before() {
    let audio = recording(1, LENGTHS[2]);
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    let (before, _) = fitted(&analysis, examples::fit, &known(&["flute", "bass"]), None);
    let three = known(&["flute", "bass", "clicks"]);
    // Activations are found when they are asked for.
    assert!(is_ignored(&audio, &analysis, examples::fit, &three, &before));
    let (after, _) = fitted(&analysis, examples::fit, &three, Some(&before));
    for name in ["flute", "bass", "clicks"] {
        let db = truth(&audio, &after, name);
        assert!(db > 7.0, "{name}: {db:.1} dB");
    }
}

#[test]
fn a_part_that_was_left_out_is_added() {
    let audio = recording(1, LENGTHS[2]);
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    let all = written(2.7);
    for left_out in 0..2 {
        let mut some = all.clone();
        some.parts.remove(left_out);
        let (before, _) = fitted(&analysis, score::fit, &ScoreConfig::new(some), None);
        let (cold, n_cold) = fitted(&analysis, score::fit, &ScoreConfig::new(all.clone()), None);
        let (warm, n_warm) = fitted(&analysis, score::fit, &ScoreConfig::new(all.clone()), Some(&before));
        assert_eq!(warm.names(), cold.names());
        for name in ["flute", "bass"] {
            let [cold, warm] = [&cold, &warm].map(|parts| truth(&audio, parts, name));
            println!("part {left_out} added: {name}: {cold:.1} dB, {warm:.1} dB when it goes on");
            assert!(warm > cold - 1.0, "part {left_out} added: {name}: {cold:.1} dB, {warm:.1} dB when it goes on");
        }
        // The part that was not there needs all of them; from then on, few do.
        assert_eq!(n_warm, n_cold);
        let (_, n_again) = fitted(&analysis, score::fit, &ScoreConfig::new(all.clone()), Some(&warm));
        assert!(n_again < n_cold, "{n_cold} iterations, then {n_again}");
    }
}

/// Whether a fit with an earlier separation is the fit without it, to the last bit.
fn is_ignored<C>(audio: &Audio, analysis: &Analysis, fit: Fit<C>, config: &C, previous: &Separation) -> bool {
    let (cold, n_cold) = fitted(analysis, fit, config, None);
    let (warm, n_warm) = fitted(analysis, fit, config, Some(previous));
    n_cold == n_warm && stems_of(&cold, audio) == stems_of(&warm, audio)
}

#[test]
fn what_was_fitted_by_another_method_or_in_another_transform_makes_no_difference() {
    let audio = recording(1, LENGTHS[2]);
    let look = |stft: StftOptions| {
        let config = AnalysisConfig { stft, ..complete() };
        Analysis::of(&audio, &config, &mut Watch::none()).expect("analysis")
    };
    let analysis = look(STFT);
    let (components, drum_kit) = (few_components(), DrumsConfig { max_iter: 20, ..DrumsConfig::default() });
    // As many templates of the residual as of the noise.
    let by_notes = ScoreConfig::new(written(2.7));
    let dictionary = ExamplesConfig { n_residual: 16, max_iter: 9, ..single_frames(&["flute", "bass"]) };
    let noise = |analysis: &Analysis| denoised(analysis, Content::Speech);
    // A longer window, the same with more frames, and another shape.
    let others = [
        StftOptions { n_fft: Some(512), ..STFT },
        StftOptions { hop_length: Some(32), ..STFT },
        StftOptions { window: partita::stft::window::Window::ALL[1], ..STFT },
    ];
    assert_ne!(others[2].window, STFT.window);
    let mut previous: Vec<(String, &str, Separation)> = Vec::new();
    for (what, analysis) in
        std::iter::once(("this", look(STFT))).chain(others.iter().map(|stft| ("other", look(*stft))))
    {
        let name = format!("{what} transform, {:?}", analysis.stft().config());
        previous.push((name.clone(), "blind", fitted(&analysis, blind::fit, &components, None).0));
        previous.push((name.clone(), "drums", fitted(&analysis, drums::fit, &drum_kit, None).0));
        previous.push((name.clone(), "score", fitted(&analysis, score::fit, &by_notes, None).0));
        previous.push((name.clone(), "denoise", fitted(&analysis, denoise::fit, &noise(&analysis), None).0));
        previous.push((name.clone(), "hpss", fitted(&analysis, hpss::fit, &HpssConfig::default(), None).0));
        if what == "this" {
            previous.push((name, "examples", fitted(&analysis, examples::fit, &dictionary, None).0));
        }
    }
    for (transform, method, before) in &previous {
        for (own, ignored) in [
            ("blind", is_ignored(&audio, &analysis, blind::fit, &components, before)),
            ("drums", is_ignored(&audio, &analysis, drums::fit, &drum_kit, before)),
            ("score", is_ignored(&audio, &analysis, score::fit, &by_notes, before)),
            ("denoise", is_ignored(&audio, &analysis, denoise::fit, &noise(&analysis), before)),
            ("hpss", is_ignored(&audio, &analysis, hpss::fit, &HpssConfig::default(), before)),
            ("examples", is_ignored(&audio, &analysis, examples::fit, &dictionary, before)),
        ] {
            // In hpss, nothing is fitted.
            let expected = own != *method || own == "hpss" || transform.starts_with("other");
            assert_eq!(ignored, expected, "{own}, after {method} in {transform}");
        }
    }
}

#[test]
fn a_fit_of_none_of_the_same_sources_makes_no_difference() {
    let audio = recording(1, LENGTHS[2]);
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    let (flute, clicks) = (known(&["flute"]), known(&["bass", "clicks"]));
    let (before, _) = fitted(&analysis, examples::fit, &flute, None);
    assert!(is_ignored(&audio, &analysis, examples::fit, &clicks, &before), "examples");
    let score = |part: usize| Score { parts: vec![written(2.7).parts.swap_remove(part)], ..Score::default() };
    let (before, _) = fitted(&analysis, score::fit, &ScoreConfig::new(score(0)), None);
    assert!(is_ignored(&audio, &analysis, score::fit, &ScoreConfig::new(score(1)), &before), "score");
}
