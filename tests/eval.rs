//! The measures against museval and `fast_bss_eval`, and truths that hold for any signals.

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::partita;
use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use partita::audio::decode;
use partita::eval::{
    Channels, EvalConfig, Evaluation, Framing, Matching, Mode, Progress, Scores, Signals, Silence, Step, evaluate,
    evaluate_with,
};
use partita::{Audio, Error};
use proptest::prelude::*;

/// Hz; that of the samples.
const RATE: u32 = 22_050;

// ---- the sets of tests/golden/make_eval.py -------------------------------------------------------------------------

const BAND: (&str, [&str; 3]) = ("drums-bass-guitar", ["drums", "bass", "guitar"]);
const KIT: (&str, [&str; 3]) = ("kick-snare-hihat", ["kick", "snare", "hihat"]);

/// Gain and delay in each channel.
type Pan = Vec<(f64, usize)>;

/// Makes the estimate of one source from all.
type Degrade = fn(&[Vec<f64>; 3], usize) -> Vec<f64>;

struct Set {
    name: &'static str,
    recording: (&'static str, [&'static str; 3]),
    pan: [Pan; 3],
    degrade: Degrade,
    level: f64,
}

fn sets() -> Vec<Set> {
    let one = || [vec![(1.0, 0)], vec![(1.0, 0)], vec![(1.0, 0)]];
    let panned = [vec![(0.9, 0), (0.4, 0)], vec![(0.5, 0), (0.55, 0)], vec![(0.3, 0), (0.8, 0)]];
    let spaced = || [vec![(0.9, 0), (0.6, 11)], vec![(0.5, 5), (0.7, 0)], vec![(0.4, 20), (0.8, 0)]];
    let sides = [vec![(1.0, 0), (0.0, 0)], vec![(0.5, 0), (0.55, 0)], vec![(0.2, 0), (0.9, 0)]];
    let set = |name, recording, pan, degrade, level| Set { name, recording, pan, degrade, level };
    vec![
        set("leak-mono", BAND, one(), leak, 0.0005),
        set("clip-mono", BAND, one(), clip, 0.0),
        set("echo-mono", BAND, one(), echo, 0.0003),
        set("bands-mono", KIT, one(), bands, 0.0),
        set("leak-panned", BAND, panned, leak, 0.002),
        set("clip-spaced", BAND, spaced(), clip, 0.0),
        set("quantize-sides", KIT, sides, quantize, 0.001),
        set("bands-spaced", KIT, spaced(), bands, 0.003),
    ]
}

/// White, in -1 to 1.
fn noise(n: usize, seed: u32) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / 2_147_483_648.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn map2(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

fn delay(x: &[f64], n: usize) -> Vec<f64> {
    [&vec![0.0; n], &x[..x.len() - n]].concat()
}

fn smooth(x: &[f64], share: f64) -> Vec<f64> {
    let mut y = 0.0;
    let step = |x: &f64| {
        y += share * (x - y);
        y
    };
    x.iter().map(step).collect()
}

fn leak(s: &[Vec<f64>; 3], i: usize) -> Vec<f64> {
    map2(&map2(&s[i], &s[(i + 1) % 3], |a, b| a + 0.1 * b), &s[(i + 2) % 3], |a, b| a + 0.03 * b)
}

fn clip(s: &[Vec<f64>; 3], i: usize) -> Vec<f64> {
    map2(&s[i], &noise(s[i].len(), i as u32 + 1), |a, b| a.clamp(-0.1, 0.1) + 0.001 * b)
}

fn echo(s: &[Vec<f64>; 3], i: usize) -> Vec<f64> {
    let y = map2(&delay(&s[i], 7), &delay(&s[i], 60), |a, b| 0.6 * a + 0.3 * b);
    let y = map2(&y, &delay(&s[i], 300), |a, b| a - 0.2 * b);
    map2(&y, &delay(&s[(i + 1) % 3], 3), |a, b| a + 0.05 * b)
}

fn bands(s: &[Vec<f64>; 3], i: usize) -> Vec<f64> {
    let mixture = map2(&map2(&s[0], &s[1], |a, b| a + b), &s[2], |a, b| a + b);
    let (low, middle) = (smooth(&mixture, 0.03), smooth(&mixture, 0.4));
    match i {
        0 => low,
        1 => map2(&middle, &low, |a, b| a - b),
        _ => map2(&mixture, &middle, |a, b| a - b),
    }
}

fn quantize(s: &[Vec<f64>; 3], i: usize) -> Vec<f64> {
    map2(&s[i], &s[(i + 2) % 3], |a, b| (64.0 * (a + 0.2 * b) + 0.5).floor() / 64.0)
}

fn parts((folder, names): (&str, [&str; 3])) -> [Audio; 3] {
    names.map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(folder).join(format!("{name}.wav"));
        decode::read(&path).expect("a sample")
    })
}

fn audio(channels: &[Vec<f64>]) -> Audio {
    let samples = Array2::from_shape_fn((channels.len(), channels[0].len()), |(c, i)| channels[c][i] as f32);
    Audio::new(samples, RATE).expect("finite")
}

/// References and estimates.
fn signals(set: &Set) -> (Vec<Audio>, Vec<Audio>) {
    let s = parts(set.recording).map(|part| part.channel(0).iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
    let panned = |i: usize, c: usize| -> Vec<f64> {
        let (gain, lag) = set.pan[i][c];
        delay(&s[i], lag).into_iter().map(|x| (32_768.0 * gain * x + 0.5).floor() / 32_768.0).collect()
    };
    let n_channels = set.pan[0].len();
    let references = (0..3).map(|i| audio(&(0..n_channels).map(|c| panned(i, c)).collect::<Vec<_>>())).collect();
    let estimates = (0..3).map(|i| {
        let channel = |c: usize| {
            let clean = (set.degrade)(&[panned(0, c), panned(1, c), panned(2, c)], i);
            map2(&clean, &noise(clean.len(), (10 + 2 * i + c) as u32), |a, b| a + set.level * b)
        };
        audio(&(0..n_channels).map(channel).collect::<Vec<_>>())
    });
    (references, estimates.collect())
}

// ---- golden numbers ------------------------------------------------------------------------------------------------

struct Golden {
    source: usize,
    window: usize,
    values: Vec<f64>,
}

/// The rows of one set and measure; none where it was not computed.
fn golden(set: &str, measure: &str) -> Vec<Golden> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/eval.csv");
    let text = fs::read_to_string(path).expect("eval.csv, which tests/golden/make_eval.py writes");
    let row = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        (fields[..2] == [set, measure]).then(|| Golden {
            source: fields[2].parse().expect("a number"),
            window: fields[3].parse().expect("a number"),
            values: fields[4..].iter().map(|x| x.parse().expect("a number")).collect(),
        })
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// Every score below 100 dB within 0.01 dB of the golden one. Returns how many were compared.
fn agree(set: &str, measure: &str, found: &Evaluation, values: fn(&Scores) -> Vec<f64>) -> usize {
    let golden = golden(set, measure);
    let n_found: usize = found.sources.iter().map(|source| source.frames.len()).sum();
    assert!(golden.is_empty() || golden.len() == n_found, "{set}, {measure}: {n_found}, expected {}", golden.len());
    let mut n_compared = 0;
    for row in &golden {
        let got = values(&found.sources[row.source].frames[row.window]);
        assert_eq!(got.len(), row.values.len(), "{set}, {measure}");
        for (k, (got, expected)) in got.iter().zip(&row.values).enumerate() {
            // From 100 dB on, what is compared is a ten-billionth of the energy, and the difference of numbers of its size.
            let tolerance = if *expected < 100.0 { 0.01 } else { 0.1 };
            let is_same = if expected.is_nan() { got.is_nan() } else { (got - expected).abs() < tolerance };
            let (source, window) = (row.source, row.window);
            assert!(
                is_same,
                "{set}, {measure}, source {source}, window {window}, score {k}: {got}, expected {expected}"
            );
            n_compared += 1;
        }
    }
    n_compared
}

#[test]
fn scores_are_those_of_museval_and_fast_bss_eval_within_a_hundredth_of_a_decibel() {
    let bss = |scores: &Scores| scores.values()[..4].to_vec();
    let mut n_compared = [0; 5];
    for set in sets() {
        let (references, estimates) = signals(&set);
        let found = |config: EvalConfig| evaluate(&references, &estimates, None, &config).expect("scores");
        let images = found(EvalConfig::default());
        let sources = found(EvalConfig { mode: Mode::Sources, ..EvalConfig::default() });
        let framing = Some(Framing { window_s: 1.0, hop_s: 16_537.0 / 22_050.0 });
        let windows = found(EvalConfig { framing, ..EvalConfig::default() });
        let apart = found(EvalConfig { mode: Mode::Sources, channels: Channels::Apart, ..EvalConfig::default() });
        for (n, more) in n_compared.iter_mut().zip([
            agree(set.name, "images", &images, bss),
            agree(set.name, "sources", &sources, bss),
            agree(set.name, "windows", &windows, bss),
            agree(set.name, "fast_bss_eval", &apart, bss),
            agree(set.name, "si_sdr", &images, |scores| vec![scores.si_sdr]),
        ]) {
            *n += more;
        }
    }
    let [images, sources, windows, apart, si_sdr] = n_compared;
    assert_eq!((images, sources, apart, si_sdr), (96, 96, 84, 24), "each of eight sets, one of them not apart");
    assert!(windows > 400, "{windows} scores of windows");
}

// ---- truths --------------------------------------------------------------------------------------------------------

/// Noise of two channels.
fn stereo(n: usize, seed: u32) -> Audio {
    audio(&[noise(n, seed), noise(n, seed + 1)])
}

fn mix(parts: &[(f32, &Audio)]) -> Audio {
    let mut sum = Array2::zeros(parts[0].1.samples().raw_dim());
    parts.iter().for_each(|(gain, part)| sum.scaled_add(*gain, &part.samples()));
    Audio::new(sum, RATE).expect("finite")
}

fn short(n_taps: usize) -> EvalConfig {
    EvalConfig { n_taps, ..EvalConfig::default() }
}

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
    // A silent estimate is told from a silent reference.
    let found = evaluate(&[a.clone(), b.clone()], &[x, silence.clone()], None, &short(16)).expect("scores");
    assert_eq!(found.sources[1].silence, Some(Silence::Estimate));
    assert!(
        (found.mean().bss_sir - found.sources[0].scores().bss_sir).abs() < 1e-12,
        "the mean is over those that have"
    );
    let error = evaluate(&[silence.clone(), silence], &[a, b], None, &short(16)).expect_err("silence");
    assert!(matches!(error, Error::Silent), "{error}");
}

#[test]
fn a_window_in_which_a_source_is_silent_has_no_scores() {
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

/// Signals that say in what steps they are read.
struct Streamed(Vec<Audio>);

impl Signals for Streamed {
    fn sample_rate(&self) -> u32 {
        RATE
    }

    fn n_channels(&self) -> usize {
        2
    }

    fn n_references(&self) -> usize {
        self.0.len() / 2
    }

    fn n_estimates(&self) -> usize {
        self.0.len() / 2
    }

    fn has_mixture(&self) -> bool {
        false
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> partita::Result<()>) -> partita::Result<()> {
        let rows: Vec<_> = self.0.iter().map(Audio::samples).collect();
        let all = concatenate(Axis(0), &rows).expect("equal");
        all.axis_chunks_iter(Axis(1), 777).try_for_each(sink)
    }
}

#[test]
fn scores_do_not_depend_on_the_blocks_or_the_number_of_threads() {
    let (a, b) = (stereo(6000, 1), stereo(6000, 5));
    let estimates = [mix(&[(1.0, &a), (0.1, &b)]), mix(&[(1.0, &b), (0.1, &a)])];
    let config = EvalConfig { framing: Some(Framing { window_s: 0.1, hop_s: 0.03 }), ..short(32) };
    let whole = evaluate(&[a.clone(), b.clone()], &estimates, None, &config).expect("scores");
    let [x, y] = estimates;
    let streamed = Streamed(vec![a, b, x, y]);
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
        pool.install(|| evaluate_with(&streamed, &config, &mut |_| ControlFlow::Continue(())).expect("scores"))
    };
    let (one, three) = (with_threads(1), with_threads(3));
    assert_eq!(one, three, "the same bits");
    for (in_blocks, at_once) in one.sources.iter().zip(&whole.sources) {
        assert_eq!(in_blocks.frames.len(), at_once.frames.len());
        for (a, b) in in_blocks.frames.iter().zip(&at_once.frames) {
            // Sums in another order.
            assert!((a.bss_sdr - b.bss_sdr).abs() < 1e-9 && (a.bss_sar - b.bss_sar).abs() < 1e-6, "{a:?}, {b:?}");
        }
    }
}

#[test]
fn the_work_can_be_stopped_at_every_step() {
    let a = stereo(6000, 1);
    let streamed = Streamed(vec![a.clone(), a]);
    let config = EvalConfig { framing: Some(Framing { window_s: 0.1, hop_s: 0.1 }), ..short(8) };
    for wanted in [Step::Reading, Step::Solving, Step::Judging] {
        let mut stop = |progress: Progress| match progress.step == wanted {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let error = evaluate_with(&streamed, &config, &mut stop).expect_err("stopped");
        assert!(matches!(error, Error::Cancelled), "{wanted:?}: {error}");
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

// ---- the command ---------------------------------------------------------------------------------------------------

/// Folders of references and estimates, gone with the test.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    fn wav(&self, name: &str, audio: &Audio) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        let spec = hound::WavSpec {
            channels: audio.n_channels() as u16,
            sample_rate: audio.sample_rate(),
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(path, spec).expect("create");
        audio.samples().t().iter().for_each(|x| writer.write_sample(*x).expect("write"));
        writer.finalize().expect("finalize");
    }

    /// Two sources, and estimates of them with a tenth of the other one, under the names that are given.
    fn track(&self, references: &str, estimates: &str, names: [&str; 2]) {
        let (a, b) = (stereo(6000, 1), stereo(6000, 5));
        self.wav(&format!("{references}/a.wav"), &a);
        self.wav(&format!("{references}/b.wav"), &b);
        self.wav(&format!("{estimates}/{}.wav", names[0]), &mix(&[(1.0, &a), (0.1, &b)]));
        self.wav(&format!("{estimates}/{}.wav", names[1]), &mix(&[(1.0, &b), (0.1, &a)]));
    }

    fn evaluate(&self, more: &[&str]) -> std::process::Output {
        let args =
            [&["evaluate", "--references", "true", "--estimates", "found", "--filter-length", "16"], more].concat();
        partita(self.0.path(), &args)
    }

    /// What it prints.
    fn table(&self, more: &[&str]) -> String {
        let output = self.evaluate(more);
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Error message of what must fail, and its exit code.
    fn refusal(&self, more: &[&str]) -> (String, Option<i32>) {
        let output = self.evaluate(more);
        (String::from_utf8(output.stderr).expect("UTF-8"), output.status.code())
    }
}

/// The cells of a table's line that starts with `name`.
fn line<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let found = table.lines().find(|line| line.split_whitespace().next() == Some(name));
    found.unwrap_or_else(|| panic!("no line {name} in\n{table}")).split_whitespace().collect()
}

fn number(cell: &str) -> f64 {
    cell.parse().unwrap_or_else(|_| panic!("{cell} is no number"))
}

#[test]
fn the_command_prints_a_line_for_each_source_and_their_mean() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    let table = dir.table(&[]);
    assert_eq!(line(&table, "source"), ["source", "SDR", "ISR", "SIR", "SAR", "SI-SDR"]);
    for name in ["a", "b", "mean"] {
        let cells = line(&table, name);
        // A tenth of the other one.
        assert!((number(cells[1]) - 20.0).abs() < 0.2 && (number(cells[5]) - 20.0).abs() < 0.2, "{table}");
    }
    assert_eq!(line(&dir.table(&["--mode", "sources"]), "source"), ["source", "SDR", "SIR", "SAR", "SI-SDR"]);
}

#[test]
fn json_holds_what_the_table_does_and_the_windows() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    dir.wav("mixture.wav", &mix(&[(1.0, &stereo(6000, 1)), (1.0, &stereo(6000, 5))]));
    let text = dir.table(&["--json", "--window", "0.1", "--mixture", "mixture.wav"]);
    let event: serde_json::Value = serde_json::from_str(text.trim()).expect("one object on one line");
    assert_eq!(
        (&event["event"], &event["mode"], &event["n_taps"]),
        (&"evaluated".into(), &"images".into(), &16.into())
    );
    assert_eq!((&event["window_s"], &event["hop_s"]), (&0.1.into(), &0.1.into()));
    let source = &event["sources"][1];
    assert_eq!((&source["name"], &source["silence"]), (&"b".into(), &serde_json::Value::Null));
    assert_eq!(source["windows"].as_array().map(Vec::len), Some(2), "2 of 2205 samples in 6000");
    for gain in [&source["improvement"]["bss_sdr"], &event["mean_improvement"]["si_sdr"]] {
        assert!((gain.as_f64().expect("a number") - 20.0).abs() < 1.0, "{event}");
    }
}

#[test]
fn names_that_do_not_pair_are_listed_on_both_sides() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "source-2"]);
    let (message, exit_code) = dir.refusal(&[]);
    assert_eq!(exit_code, Some(2));
    assert_eq!(
        message,
        "error: `found` has no stem `b.wav`, but `source-2.wav`, not among the references\n\n\
         hint: give both the same names, or add `--permutation`, which finds out what belongs together\n"
    );
    // As the hint says; the names of estimates are told.
    dir.wav("found/residual.wav", &stereo(6000, 9));
    let table = dir.table(&["--permutation"]);
    assert_eq!(line(&table, "b")[..2], ["b", "source-2"]);
    // What nobody misses is no fault.
    dir.wav("found/b.wav", &stereo(6000, 5));
    let output = dir.evaluate(&[]);
    let warning = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{warning}");
    assert_eq!(warning, "warning: `found`: there is no reference for `residual.wav`, `source-2.wav`\n");
}

#[test]
fn a_silent_reference_is_told_and_has_no_scores() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    dir.wav("true/c.wav", &audio(&[vec![0.0; 6000], vec![0.0; 6000]]));
    dir.wav("found/c.wav", &stereo(6000, 9));
    let output = dir.evaluate(&[]);
    assert!(output.status.success());
    let (table, warning) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(line(&table, "c"), ["c", "-", "-", "-", "-", "-"]);
    assert!((number(line(&table, "mean")[1]) - 20.0).abs() < 0.2, "{table}");
    assert_eq!(warning, "warning: `true/c.wav` is silent: `c` has no scores and no part in the mean\n");
}

#[test]
fn files_of_other_lengths_rates_and_channels_are_refused_by_name() {
    let dir = Dir::new();
    dir.track("true", "found", ["a", "b"]);
    let refusal = |audio: &Audio| {
        dir.wav("found/b.wav", audio);
        let (message, exit_code) = dir.refusal(&[]);
        assert_eq!(exit_code, Some(1), "{message}");
        message
    };
    let message = refusal(&stereo(5990, 1));
    assert!(
        message.starts_with("error: `found/b.wav` has 5990 samples, expected 6000, as `true/a.wav` has\n"),
        "{message}"
    );
    let message = refusal(&audio(&[noise(6000, 1)]));
    assert!(message.starts_with("error: `found/b.wav` has 1 channels, expected 2, as `true/a.wav` has\n"), "{message}");
    let message = refusal(&Audio::new(stereo(6000, 1).samples().to_owned(), 8000).expect("audio"));
    assert!(
        message.starts_with("error: `found/b.wav` has 8000 Hz, expected 22050, as `true/a.wav` has\n"),
        "{message}"
    );
    assert!(message.contains("hint: convert it with `ffmpeg -i found/b.wav -ar 22050 found/b.fixed.wav`"), "{message}");
}

#[test]
fn folders_of_tracks_give_a_summary_and_go_on_after_a_bad_one() {
    let dir = Dir::new();
    for name in ["first", "second"] {
        dir.track(&format!("true/{name}"), &format!("found/{name}"), ["a", "b"]);
        let mixture = mix(&[(1.0, &stereo(6000, 1)), (1.0, &stereo(6000, 5))]);
        dir.wav(&format!("true/{name}/mixture.wav"), &mixture);
    }
    let table = dir.table(&["--mixture", "mixture.wav"]);
    for (first, what) in [("a", "mean"), ("b", "mean"), ("all", "mean")] {
        let found = table.lines().rfind(|line| line.split_whitespace().take(2).eq([first, what]));
        assert!(found.is_some(), "no line {first} {what} in\n{table}");
    }
    assert_eq!(line(&table, "2")[..2], ["2", "tracks"]);
    assert_eq!(line(&table, "first").last(), Some(&"SI-SDRi"), "the mixture is no reference:\n{table}");
    dir.wav("found/first/a.wav", &stereo(5000, 1));
    let output = dir.evaluate(&["--mixture", "mixture.wav"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("`found/first/a.wav` has 5000 samples") && message.contains("1 of 2 evaluated"),
        "{message}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 tracks"), "the other one is told");
    // A track that is missing is told before any work.
    fs::remove_dir_all(dir.0.path().join("found/second")).expect("removed");
    let (message, exit_code) = dir.refusal(&[]);
    assert!(message.starts_with("error: `found` has no track `second`\n"), "{message}");
    assert_eq!(exit_code, Some(2));
}
