//! Sound that is live: blocks of samples are pushed in, and blocks of a stem come out as soon as they can be known.
//!
//! Here a file plays the part of the sound card, in blocks of 512 samples.
//!
//! ```text
//! cargo run --release --example live [RECORDING]
//! ```

use std::time::Instant;

use ndarray::s;
use partita::audio::decode;
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::{Analysis, AnalysisConfig, Stems};
use partita::watch::Watch;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "samples/drums-bass-guitar.wav".into());
    let sound = decode::read(path.as_ref())?;
    let rate = f64::from(sound.sample_rate());

    // Of sound that is yet to come, only its form is known.
    let analysis = Analysis::live(sound.sample_rate(), sound.n_channels(), &AnalysisConfig::default())?;
    let parts = hpss::fit(&analysis, &HpssConfig::default(), None, &mut Watch::none())?;
    let mut renderer = parts.live_renderer(&Stems::Only(vec!["percussive".into()]))?;
    println!("latency: {:.0} ms", 1e3 * renderer.latency() as f64 / rate);

    let (mut n_out, mut worst_lag, mut worst_s) = (0, 0, 0.0f64);
    for start in (0..sound.n_samples()).step_by(512) {
        let end = (start + 512).min(sound.n_samples());
        let began = Instant::now();
        renderer.push(sound.samples().slice(s![.., start..end]), &mut |stems| {
            // Here a program would play `stems[0]`, `n_channels` x any number of samples.
            n_out += stems[0].ncols();
            Ok(())
        })?;
        worst_s = worst_s.max(began.elapsed().as_secs_f64());
        worst_lag = worst_lag.max(end - n_out);
    }
    let rendered = renderer.finish(&mut |stems| {
        n_out += stems[0].ncols();
        Ok(())
    })?;
    println!("at most {:.0} ms behind what was pushed", 1e3 * worst_lag as f64 / rate);
    println!("at most {:.1} ms of work for a block of {:.1} ms", 1e3 * worst_s, 1e3 * 512.0 / rate);
    println!("{n_out} samples, {:.0} % of the energy", 100.0 * rendered.energy_shares[0]);
    Ok(())
}
