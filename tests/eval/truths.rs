//! Truths that hold for any signals.

use ndarray::{Array2, Axis, concatenate, s};
use partita::eval::{Channels, EvalConfig, Evaluation, Framing, Matching, Mode, Scores, Silence, evaluate};
use partita::{Audio, Error};
use proptest::prelude::*;

use crate::made::{RATE, audio, mix, noise, short, stereo};

#[test]
fn the_reference_itself_is_a_perfect_estimate() {
    let sources = [stereo(9000, 1), stereo(9000, 5)];
    for mode in Mode::ALL {
        let config = EvalConfig { mode, framing: Some(Framing { window_s: 0.1, hop_s: 0.1 }), ..short(64) };
        for source in evaluate(&sources, &sources, None, &config).expect("scores").sources {
            let scores = source.scores();
            let lowest = scores.values().into_iter().filter(|x| !x.is_nan()).fold(f64::INFINITY, f64::min);
            assert!(lowest > 110.0, "{mode:?}: {scores:?}");
        }
    }
}

#[test]
fn a_delay_within_the_filters_is_forgiven_in_sources_mode_only() {
    let sources = [stereo(9000, 1), stereo(9000, 5)];
    let late: Vec<_> = sources
        .iter()
        .map(|source| {
            let quiet = Array2::zeros((2, 50));
            audio(
                &concatenate(Axis(1), &[quiet.view(), source.samples().slice(s![.., ..8950])])
                    .expect("two channels")
                    .outer_iter()
                    .map(|row| row.iter().map(|x| f64::from(*x)).collect())
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let sdr = |mode, n_taps| {
        let config = EvalConfig { mode, ..short(n_taps) };
        evaluate(&sources, &late, None, &config).expect("scores").mean().bss_sdr
    };
    // The last 50 of 9000 samples have no counterpart, 22 dB; and 50 + 64 of them fade out in the tail.
    assert!(sdr(Mode::Sources, 64) > 20.0, "{}", sdr(Mode::Sources, 64));
    assert!(sdr(Mode::Sources, 50) < 3.0, "{} with filters that are too short", sdr(Mode::Sources, 50));
    assert!(sdr(Mode::Images, 64) < 0.0, "{}", sdr(Mode::Images, 64));
}

#[test]
fn ten_estimates_in_any_order_find_their_references() {
    let sources: Vec<_> = (0..10).map(|i| audio(&[noise(4000, 100 + i)])).collect();
    let order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7];
    let estimates: Vec<_> = order
        .iter()
        .map(|i| {
            let mut parts: Vec<_> = sources.iter().map(|source| (0.2, source)).collect();
            parts[*i].0 = 1.0;
            mix(&parts)
        })
        .collect();
    let config = EvalConfig { matching: Matching::BestSir, ..short(8) };
    let found = evaluate(&sources, &estimates, None, &config).expect("scores");
    for (reference, source) in found.sources.iter().enumerate() {
        assert_eq!(order[source.estimate], reference, "reference {reference}");
    }
    // One part in 9 x 0.04: 4.4 dB, where the wrong one has -14.
    assert!(found.mean().bss_sir > 4.0, "{}", found.mean().bss_sir);
    let in_order = evaluate(&sources, &estimates, None, &short(8)).expect("scores");
    assert!(in_order.mean().bss_sir < -2.0, "{}", in_order.mean().bss_sir);
}

#[test]
fn a_silent_source_has_no_scores_and_changes_those_of_no_other() {
    let (a, b, silence) = (stereo(6000, 1), stereo(6000, 5), audio(&[vec![0.0; 6000], vec![0.0; 6000]]));
    let (x, y) = (mix(&[(1.0, &a), (0.1, &b)]), mix(&[(0.9, &b), (0.2, &a)]));
    let two = evaluate(&[a.clone(), b.clone()], &[x.clone(), y.clone()], None, &short(16)).expect("scores");
    let three = [silence.clone(), a.clone(), b.clone()];
    let found = evaluate(&three, &[mix(&[(0.1, &a)]), x.clone(), y.clone()], None, &short(16)).expect("scores");
    assert_eq!(found.sources[0].silence, Some(Silence::Reference));
    assert!(found.sources[0].scores().values().iter().all(|x| x.is_nan()), "{:?}", found.sources[0]);
    for (with, without) in found.sources[1..].iter().zip(&two.sources) {
        let gap = with.scores().bss_sdr - without.scores().bss_sdr;
        assert!(gap.abs() < 1e-9, "{with:?}, without the silent one {without:?}");
    }
    let error = evaluate(&[silence.clone(), silence], &[a, b], None, &short(16)).expect_err("silence");
    assert!(matches!(error, Error::Silent), "{error}");
}

#[test]
fn a_silent_estimate_counts_as_what_it_is_worth() {
    let (a, b, silence) = (stereo(6000, 1), stereo(6000, 5), audio(&[vec![0.0; 6000], vec![0.0; 6000]]));
    let estimates = [mix(&[(1.0, &a), (0.1, &b)]), silence];
    let found = |config: EvalConfig| evaluate(&[a.clone(), b.clone()], &estimates, None, &config).expect("scores");
    let images = found(short(16));
    assert_eq!(images.sources[1].silence, Some(Silence::Estimate));
    let of =
        |evaluation: &Evaluation, k: usize| (evaluation.sources[1].scores().values()[k], evaluation.mean().values()[k]);
    let first = images.sources[0].scores();
    // Exact but for the order of sums.
    let (sdr, mean) = of(&images, 0);
    assert!(sdr.abs() < 1e-9 && (mean - first.bss_sdr / 2.0).abs() < 1e-9, "SDR {sdr}, of which the mean is {mean}");
    let (isr, mean) = of(&images, 1);
    assert!(isr.abs() < 1e-9 && (mean - first.bss_isr / 2.0).abs() < 1e-9, "ISR {isr}, of which the mean is {mean}");
    for k in 2..5 {
        let (score, mean) = of(&images, k);
        assert!(score.is_nan() && mean == first.values()[k], "score {k} is 0 / 0, not {score}; mean {mean}");
    }
    assert_eq!(Scores::n_existing(&images.scores()), [2, 2, 1, 1, 1]);
    // A filter may make nothing of the source: here the SDR of silence is 0 / 0, too.
    let sources = found(EvalConfig { mode: Mode::Sources, ..short(16) });
    assert_eq!(Scores::n_existing(&sources.scores()), [1, 0, 1, 1, 1]);
}

#[test]
fn windows_and_channels_in_which_the_estimate_is_silent_count() {
    let (a, b) = (stereo(8000, 1), stereo(8000, 5));
    let gated = |n: usize, n_channels: usize| {
        let mut samples = mix(&[(1.0, &a), (0.1, &b)]).samples().to_owned();
        samples.slice_mut(s![..n_channels, ..n]).fill(0.0);
        Audio::new(samples, RATE).expect("audio")
    };
    let window_s = 2000.0 / f64::from(RATE);
    let framing = Some(Framing { window_s, hop_s: window_s });
    let found = |estimate: Audio, config: EvalConfig| {
        let mixture = mix(&[(1.0, &a), (1.0, &b)]);
        let found = evaluate(&[a.clone(), b.clone()], &[estimate, b.clone()], Some(&mixture), &config).expect("scores");
        found.sources[0].clone()
    };
    // Silent in three of four windows.
    let source = found(gated(6000, 2), EvalConfig { framing, ..short(16) });
    assert_eq!((Scores::n_existing(&source.frames), source.n_silent_frames()), ([4, 4, 4, 4, 1], 0));
    assert!(source.frames[..3].iter().all(|scores| scores.bss_sdr.abs() < 1e-9), "{:?}", source.frames);
    assert!(source.scores().bss_sdr < 1.0, "the median is that of silence: {:?}", source.scores());
    let gain = source.improvement().expect("a mixture").si_sdr;
    let alone = source.frames[3].si_sdr - source.mixture_frames[3].si_sdr;
    assert!((gain - alone).abs() < 1e-12, "SI-SDR is compared where both have it: {gain}, {alone}");
    // Silent in one of two channels, throughout.
    for channels in Channels::ALL {
        let source = found(gated(8000, 1), EvalConfig { channels, ..short(16) });
        let scores = source.scores();
        assert!(scores.si_sdr.is_nan(), "{channels:?}: not the SI-SDR of the other channel: {scores:?}");
        assert!(scores.bss_sdr < 11.0 && source.silence.is_none(), "{channels:?}: {scores:?}");
    }
}

#[test]
fn a_window_in_which_a_reference_is_silent_has_no_scores() {
    let mut half = stereo(8000, 1).samples().to_owned();
    half.slice_mut(s![.., ..4000]).fill(0.0);
    let (a, b) = (Audio::new(half, RATE).expect("audio"), stereo(8000, 5));
    let config = EvalConfig { framing: Some(Framing { window_s: 2000.0 / 22_050.0, hop_s: 0.1 }), ..short(16) };
    let config = EvalConfig { framing: config.framing.map(|f| Framing { hop_s: f.window_s, ..f }), ..config };
    let estimates = [mix(&[(1.0, &a), (0.1, &b)]), mix(&[(1.0, &b), (0.1, &a)])];
    for source in evaluate(&[a, b], &estimates, None, &config).expect("scores").sources {
        let is_nan: Vec<_> = source.frames.iter().map(|scores| scores.bss_sdr.is_nan()).collect();
        assert_eq!(is_nan, [true, true, false, false]);
        assert_eq!((source.n_silent_frames(), source.silence), (2, None));
        assert!(source.scores().bss_sir > 18.0, "{:?}", source.scores());
    }
}

#[test]
fn improvements_are_differences_to_the_mixture() {
    let (a, b) = (stereo(6000, 1), stereo(6000, 5));
    let mixture = mix(&[(1.0, &a), (1.0, &b)]);
    let estimates = [mix(&[(1.0, &a), (0.1, &b)]), mixture.clone()];
    let found = evaluate(&[a, b], &estimates, Some(&mixture), &short(16)).expect("scores");
    let gains: Vec<_> = found.sources.iter().map(|source| source.improvement().expect("a mixture")).collect();
    // 20 dB, less what 16 x 2 taps find of the other by chance; the mixture itself is no improvement.
    assert!((gains[0].bss_sdr - 20.0).abs() < 0.5 && (gains[0].si_sdr - 20.0).abs() < 0.5, "{gains:?}");
    assert!(gains[1].bss_sdr.abs() < 1e-9 && gains[1].si_sdr.abs() < 1e-9, "{gains:?}");
}

#[test]
fn recordings_that_do_not_fit_together_are_refused() {
    let (a, short_one) = (stereo(4000, 1), stereo(3999, 3));
    let mono = audio(&[noise(4000, 1)]);
    let other_rate = Audio::new(a.samples().to_owned(), 44_100).expect("audio");
    let message = |estimate: &Audio| {
        let pair = [a.clone(), estimate.clone()];
        evaluate(&[a.clone(), a.clone()], &pair, None, &short(8)).expect_err("does not fit").to_string()
    };
    assert_eq!(message(&short_one), "`estimate 2` has 3999 samples, expected 4000, as `reference 1` has");
    assert_eq!(message(&mono), "`estimate 2` has 1 channels, expected 2, as `reference 1` has");
    assert_eq!(message(&other_rate), "`estimate 2` has 44100 Hz, expected 22050, as `reference 1` has");
    let error = evaluate(std::slice::from_ref(&a), &[a.clone(), a.clone()], None, &short(8)).expect_err("two for one");
    assert!(matches!(error, Error::EstimateCount { got: 2, expected: 1 }), "{error}");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let a = [stereo(4000, 1)];
    let refused = |config: EvalConfig| match evaluate(&a, &a, None, &config).expect_err("refused") {
        Error::Setting { name, .. } => name,
        other => panic!("{other}"),
    };
    assert_eq!(refused(short(0)), "n_taps");
    assert_eq!(refused(short(20_000)), "n_taps");
    for (framing, name) in
        [(Framing { window_s: 0.0, hop_s: 1.0 }, "window_s"), (Framing { window_s: 1.0, hop_s: f64::NAN }, "hop_s")]
    {
        assert_eq!(refused(EvalConfig { framing: Some(framing), ..short(8) }), name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Estimates in other gains and with offsets: SI-SDR sees neither, and sources mode not the gain.
    #[test]
    fn gain_does_not_change_what_does_not_depend_on_it(gain in 0.01f32..50.0, offset in -0.5f32..0.5, seed in 0u32..1000) {
        let (a, b) = (stereo(3000, seed), stereo(3000, seed + 7));
        let plain = mix(&[(1.0, &a), (0.3, &b)]);
        let louder = Audio::new(plain.samples().mapv(|x| gain * x), RATE).expect("finite");
        let shifted = Audio::new(plain.samples().mapv(|x| gain * (x + offset)), RATE).expect("finite");
        let config = EvalConfig { mode: Mode::Sources, ..short(16) };
        let scores = |estimate: &Audio| {
            evaluate(&[a.clone(), b.clone()], &[estimate.clone(), b.clone()], None, &config).expect("scores").sources[0].scores()
        };
        let (plain, louder, shifted) = (scores(&plain), scores(&louder), scores(&shifted));
        // Rounding of samples to single precision: 1e-7 of the signal, against a tenth of it.
        prop_assert!((plain.si_sdr - louder.si_sdr).abs() < 1e-4, "{plain:?}, {louder:?}");
        prop_assert!((plain.si_sdr - shifted.si_sdr).abs() < 1e-4, "{plain:?}, {shifted:?}");
        prop_assert!((plain.bss_sdr - louder.bss_sdr).abs() < 1e-4, "{plain:?}, {louder:?}");
        prop_assert!((plain.bss_sir - louder.bss_sir).abs() < 1e-4, "{plain:?}, {louder:?}");
    }

    /// The three distortions are orthogonal: with filters on the whole, SDR can exceed none of the other scores by more
    /// than rounding.
    #[test]
    fn sdr_is_at_most_what_interference_and_artifacts_leave(seed in 0u32..1000, leak in 0.0f32..1.0, hiss in 0.0f32..1.0) {
        let (a, b, c) = (stereo(3000, seed), stereo(3000, seed + 7), stereo(3000, seed + 13));
        let estimate = mix(&[(1.0, &a), (leak, &b), (hiss, &c)]);
        for mode in Mode::ALL {
            let config = EvalConfig { mode, ..short(16) };
            let scores = evaluate(&[a.clone(), b.clone()], &[estimate.clone(), b.clone()], None, &config).expect("scores");
            let scores = scores.sources[0].scores();
            match mode {
                Mode::Sources => prop_assert!(scores.bss_sdr <= scores.bss_sir.min(scores.bss_sar) + 1e-6, "{scores:?}"),
                Mode::Images => prop_assert!(scores.bss_sdr <= scores.bss_isr + 1e-6, "{scores:?}"),
            }
        }
    }
}
