//! Takes a recording apart through the library, and says how well it went where the true parts are known.
//!
//! ```text
//! cargo run --release --example separate_file [RECORDING] [N_SOURCES]
//! ```

use std::path::PathBuf;

use partita::atomic::Existing;
use partita::audio::{decode, encode};
use partita::separate::blind::{self, BlindConfig};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/drums-bass-guitar.wav");
    let path = args.next().unwrap_or_else(|| sample.into());
    let n_sources = args.next().map(|n| n.parse()).transpose()?;

    let mixture = decode::read(path.as_ref())?;
    let watch = &mut Watch::none();
    let analysis = Analysis::of(&mixture, &AnalysisConfig::default(), watch)?;
    let separation = blind::fit(&analysis, &BlindConfig { n_sources, ..BlindConfig::default() }, None, watch)?;
    if let Some(fit) = separation.factorization() {
        println!("{} components after {} iterations ({})", fit.n_components(), fit.n_iter, fit.stop_reason.name());
    }

    let folder = std::env::temp_dir().join("partita-example");
    let mut rest = mixture.samples().to_owned();
    for (name, stem) in separation.names().iter().zip(separation.stems(&mixture, watch)?) {
        rest -= &stem.samples();
        let file: PathBuf = folder.join(format!("{name}.wav"));
        let config = encode::EncodeConfig { existing: Existing::Replace, ..encode::EncodeConfig::default() };
        encode::write(&file, &stem, &config)?;
        println!("{name}: peak {:.2}, {}", stem.peak(), file.display());
    }
    let gap = rest.iter().fold(0.0f32, |worst, x| worst.max(x.abs())) / mixture.peak();
    println!("mixture minus all stems: {gap:.1e} of the peak");
    Ok(())
}
