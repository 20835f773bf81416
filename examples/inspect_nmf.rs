//! Looks at a factorization of music as numbers: which pitches the templates hold, and when each of them sounds.
//!
//! ```text
//! cargo run --release --example inspect_nmf [RECORDING] [N_COMPONENTS]
//! ```

use partita::audio::decode;
use partita::nmf::{NmfConfig, fit};
use partita::{Stft, StftConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/drums-bass-guitar.wav");
    let path = args.next().unwrap_or_else(|| sample.into());
    let n_components = args.next().map_or(Ok(10), |k| k.parse())?;

    let audio = decode::read(path.as_ref())?;
    let config = StftConfig::nearest(audio.sample_rate(), 0.093);
    let magnitude = Stft::new(config)?.magnitude(audio.samples());
    // The transform makes frames x bins; V is bins x frames.
    let parts = fit(magnitude.t(), &NmfConfig { n_components, ..NmfConfig::default() })?;

    println!("V: {} bins x {} frames, {n_components} components", config.n_bins(), magnitude.nrows());
    for (iteration, divergence) in parts.divergence_curve.iter().step_by(4) {
        println!("  iteration {iteration:3}  KL divergence {divergence:.1}");
    }
    println!("strongest bin of each template, and its activation over time:");
    let slots = 60.min(magnitude.nrows());
    for k in 0..parts.n_components() {
        let template = parts.dictionary.column(k);
        let peak = (0..template.len()).max_by(|a, b| template[*a].total_cmp(&template[*b])).unwrap_or(0);
        let activation = parts.activations.row(k);
        let loudest = activation.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let bars: String = (0..slots)
            .map(|slot| {
                let frames = slot * activation.len() / slots..(slot + 1) * activation.len() / slots;
                let level = frames.map(|t| activation[t] / loudest).fold(0.0, f32::max);
                [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][(level * 8.0).round() as usize]
            })
            .collect();
        println!("  {:7.1} Hz  {bars}", config.bin_hz(peak, audio.sample_rate()));
    }
    Ok(())
}
