//! The measures against museval and `fast_bss_eval`, on the sets of `tests/golden/make_eval.py`.

use std::fs;
use std::path::Path;

use partita::Audio;
use partita::audio::decode;
use partita::eval::{Channels, EvalConfig, Evaluation, Framing, Mode, Scores, evaluate};

use crate::made::{audio, noise};

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
