//! Whoever watches can stop the work at any report.

use std::ops::ControlFlow;

use partita::audio::Recording;
use partita::knowledge::score::align::align;
use partita::separate::denoise::{self, Content, NoiseProfile};
use partita::separate::drums::{self, DrumsConfig};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{Analysis, Example, Stems, blind};
use partita::watch::{Progress, Watch};
use partita::{DictionaryConfig, Error, Result, Separation};

use crate::cases::{
    LENGTHS, SAMPLE_RATE, STFT, complete, denoised, few_components, incomplete, known, recording, written,
};

/// Counts the reports of some work, then stops it at each of them, or at thirty spread over all.
fn check(what: &str, least: usize, work: &mut dyn FnMut(&mut Watch<'_>) -> Result<()>) {
    let mut until = |n_heard: usize| {
        let mut n = 0;
        let mut tell = |_: Progress| {
            n += 1;
            if n == n_heard { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let outcome = work(&mut Watch::new(&mut tell));
        (n, outcome)
    };
    let (n_all, outcome) = until(usize::MAX);
    outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(n_all >= least, "{what}: {n_all} reports, expected {least} or more");
    for k in (1..=n_all).step_by(n_all.div_ceil(30).max(1)).chain((n_all > 0).then_some(n_all)) {
        let (n, outcome) = until(k);
        // A factorization that is told to end after its last iteration is done.
        let is_done = k == n_all && outcome.is_ok();
        assert!(is_done || matches!(outcome, Err(Error::Cancelled)), "{what}: stopped at {k} of {n_all}: {outcome:?}");
        assert_eq!(n, k, "{what}: told of more after it was stopped at {k}");
    }
}

#[test]
fn every_fit_can_be_stopped_at_every_report() {
    // Longer than a block of samples.
    let audio = recording(1, 70_000);
    for look in [complete(), incomplete()] {
        check("analysis", 2, &mut |watch| Analysis::of(&audio, &look, watch).map(drop));
        let analysis = Analysis::of(&audio, &look, &mut Watch::none()).expect("analysis");
        check("blind", 10, &mut |watch| blind::fit(&analysis, &few_components(), None, watch).map(drop));
        let all = known(&["flute", "bass"]);
        let residual = ExamplesConfig { n_residual: 2, ..all };
        check("examples with a residual", 10, &mut |watch| examples::fit(&analysis, &residual, None, watch).map(drop));
        let by_notes = ScoreConfig::new(written(8.0));
        check("score", 10, &mut |watch| score::fit(&analysis, &by_notes, None, watch).map(drop));
        let drum_kit = DrumsConfig { max_iter: 10, ..DrumsConfig::default() };
        check("drums", 10, &mut |watch| drums::fit(&analysis, &drum_kit, None, watch).map(drop));
        let config = denoised(&analysis, Content::Speech);
        check("denoise", 10, &mut |watch| denoise::fit(&analysis, &config, None, watch).map(drop));
        check("a fit that goes on", 1, &mut |watch| {
            let before = blind::fit(&analysis, &few_components(), None, &mut Watch::none())?;
            blind::fit(&analysis, &few_components(), Some(&before), watch).map(drop)
        });
    }
}

#[test]
fn what_comes_before_a_fit_can_be_stopped() {
    let audio = recording(1, LENGTHS[2]);
    let examples = ["flute", "flute", "bass"].map(|name| Example { name, label: "take.wav", recording: &audio });
    check("score::listen", 3, &mut |watch| score::listen(&examples, SAMPLE_RATE, &complete(), watch).map(drop));
    let config = DictionaryConfig { n_components: 4, max_iter: 20, ..DictionaryConfig::default() };
    check("examples::learn", 10, &mut |watch| examples::learn(&examples, SAMPLE_RATE, &STFT, &config, watch).map(drop));
    check("align", 2, &mut |watch| align(&written(2.7), &audio, watch).map(drop));
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    check("NoiseProfile::of", 1, &mut |watch| NoiseProfile::of(&audio, "noise", &analysis, watch).map(drop));
    check("NoiseProfile::of_range", 1, &mut |watch| {
        NoiseProfile::of_range(&audio, 0.0..1.0, &analysis, watch).map(drop)
    });
}

#[test]
fn what_comes_after_a_fit_can_be_stopped() {
    let audio = recording(2, 70_000);
    let recording: &dyn Recording = &audio;
    let watch = &mut Watch::none();
    let analysis = Analysis::of(recording, &incomplete(), watch).expect("analysis");
    let parts = blind::fit(&analysis, &few_components(), None, watch).expect("blind");
    let layers = partita::separate::hpss::fit(&analysis, &partita::separate::hpss::HpssConfig::default(), None, watch);
    let layers = layers.expect("hpss");
    for (what, parts) in [("blind", &parts), ("hpss", &layers)] {
        let name = |way: &str| format!("{what}, {way}");
        check(&name("stems"), 2, &mut |watch| parts.stems(recording, watch).map(drop));
        let mut sink = |_: &[ndarray::Array2<f32>]| Ok(());
        check(&name("render"), 2, &mut |watch| parts.render(recording, &Stems::All, watch, &mut sink).map(drop));
        check(&name("peak"), 2, &mut |watch| parts.peak(recording, &Stems::All, watch).map(drop));
        check(&name("overviews"), 4, &mut |watch| parts.overviews(recording, 100, watch).map(drop));
        check(&name("with_places"), 2, &mut |watch| {
            parts.clone().with_places(recording, 1000, watch).map(|placed: Separation| drop(placed))
        });
    }
    let drum_kit = DrumsConfig { max_iter: 10, ..DrumsConfig::default() };
    let hits = drums::fit(&analysis, &drum_kit, None, &mut Watch::none()).expect("drums");
    check("drums::follow", 2, &mut |watch| drums::follow(hits.clone(), recording, watch).map(drop));
}

#[test]
fn the_error_of_a_sink_ends_the_rendering() {
    let audio = recording(1, LENGTHS[2]);
    let analysis = Analysis::of(&audio, &complete(), &mut Watch::none()).expect("analysis");
    let parts = blind::fit(&analysis, &few_components(), None, &mut Watch::none()).expect("blind");
    let mut n_calls = 0;
    let rendered = parts.render(&audio, &Stems::All, &mut Watch::none(), &mut |_| {
        n_calls += 1;
        Err(Error::Silent)
    });
    assert!(matches!(rendered, Err(Error::Silent)), "{rendered:?}");
    let range = parts.render_range(&audio, &Stems::All, 0..usize::MAX, &mut |_| {
        n_calls += 1;
        Err(Error::Silent)
    });
    assert!(matches!(range, Err(Error::Silent)), "{range:?}");
    assert_eq!(n_calls, 2, "nothing is handed over after an error");
}
