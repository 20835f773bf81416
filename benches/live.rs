//! Live sound: seconds of work for a second of stereo at 44.1 kHz, in one thread, in blocks of 256 samples.
//!
//! `cargo bench --bench live`

use std::time::Instant;

use ndarray::{Array2, s};
use partita::separate::denoise::{self, Content, DenoiseConfig, Noise, NoiseProfile};
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::{Analysis, AnalysisConfig, Example, Separation, Stems};
use partita::watch::Watch;
use partita::{Audio, DictionaryConfig, Result, StftOptions};

const RATE: u32 = 44_100;
const SECONDS: usize = 10;
const BLOCK: usize = 256;

fn main() -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread is available");
    pool.install(measure_all)
}

fn measure_all() -> Result<()> {
    let watch = &mut Watch::none();
    let (low, high) = (noise(1, 0.9), noise(2, 0.1));
    let sound = Audio::new(&low.samples() + &high.samples(), RATE)?;
    println!("{:<34} {:>12} {:>10} {:>14}", "one stem of", "work for 1 s", "latency", "longest block");
    let live = |config: &AnalysisConfig| Analysis::live(RATE, 2, config);

    for (n_components, n_semitones) in [(16, 0), (16, 7)] {
        let known = [("low", &low), ("high", &high)].map(|(name, recording)| Example { name, label: name, recording });
        let learning = DictionaryConfig { n_components, ..DictionaryConfig::default() };
        let dictionary = examples::learn(&known, RATE, &StftOptions::default(), &learning, watch)?;
        let config = ExamplesConfig { n_semitones, ..ExamplesConfig::new(dictionary) };
        let parts = examples::fit(&live(&AnalysisConfig::default())?, &config, None, watch)?;
        let n_templates = 2 * n_components;
        measure(&format!("{n_templates} templates, {n_semitones} semitones"), &parts, "low", &sound)?;
    }
    let parts = hpss::fit(&live(&AnalysisConfig::default())?, &HpssConfig::default(), None, watch)?;
    measure("harmonic and percussive", &parts, "percussive", &sound)?;
    for content in [Content::Any, Content::Speech] {
        let analysis = live(&AnalysisConfig::speech())?;
        let noise = Noise::Profile(NoiseProfile::of(&high, "high", &analysis, watch)?);
        let parts =
            denoise::fit(&analysis, &DenoiseConfig { noise, content, ..DenoiseConfig::default() }, None, watch)?;
        measure(&format!("a learned noise, {}", content.name()), &parts, "clean", &sound)?;
    }
    Ok(())
}

fn measure(what: &str, parts: &Separation, stem: &str, sound: &Audio) -> Result<()> {
    let mut renderer = parts.live_renderer(&Stems::Only(vec![stem.into()]))?;
    let latency_ms = 1e3 * renderer.latency() as f64 / f64::from(RATE);
    let (mut total_s, mut longest_s) = (0.0, 0.0f64);
    for start in (0..sound.n_samples()).step_by(BLOCK) {
        let block = sound.samples().slice_move(s![.., start..(start + BLOCK).min(sound.n_samples())]);
        let began = Instant::now();
        renderer.push(block, &mut |_| Ok(()))?;
        let seconds = began.elapsed().as_secs_f64();
        total_s += seconds;
        longest_s = longest_s.max(seconds);
    }
    let (work, longest_ms) = (total_s / SECONDS as f64, 1e3 * longest_s);
    println!("{what:<34} {work:>10.3} s {latency_ms:>7.0} ms {longest_ms:>11.1} ms");
    Ok(())
}

/// Stereo noise; the larger `smoothing`, the lower.
fn noise(seed: u32, smoothing: f32) -> Audio {
    let (mut state, mut last) = (seed, [0.0f32; 2]);
    let mut samples = Array2::zeros((2, SECONDS * RATE as usize));
    for mut sample in samples.columns_mut() {
        for (x, last) in sample.iter_mut().zip(&mut last) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *last = smoothing * *last + (1.0 - smoothing) * ((state >> 8) as f32 / 8_388_608.0 - 1.0);
            *x = *last;
        }
    }
    Audio::new(samples, RATE).expect("finite samples")
}
