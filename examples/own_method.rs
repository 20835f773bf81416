//! A method of one's own: a model that says what share of each bin belongs to which part. Everything else, the transform,
//! the stems that sum to the recording, ranges, pictures and live sound, is there already.
//!
//! ```text
//! cargo run --release --example own_method [RECORDING] [CROSSOVER_HZ]
//! ```

use ndarray::Array2;
use partita::atomic::Existing;
use partita::audio::{decode, encode};
use partita::separate::{Analysis, AnalysisConfig, Block, Detail, Model, Separation, Split};
use partita::watch::Watch;

/// What lies below a frequency, and what above.
#[derive(Debug)]
struct Crossover {
    /// Share of the low part in each bin.
    low: Vec<f32>,
}

impl Model for Crossover {
    fn n_parts(&self) -> usize {
        2
    }

    fn split(&self, block: &Block<'_>) -> partita::Result<Split> {
        let low = Array2::from_shape_fn(block.core().raw_dim(), |(_, bin)| self.low[bin]);
        let high = low.mapv(|share| 1.0 - share);
        Ok(Split::Masks(vec![low, high]))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "samples/drums-bass-guitar.wav".into());
    let crossover_hz: f64 = arguments.next().unwrap_or_else(|| "400".into()).parse()?;
    let recording = decode::AudioFile::open(path.as_ref())?;

    // Nothing is learned from the recording: its outline is enough.
    let config = AnalysisConfig { detail: Detail::Outline, ..AnalysisConfig::default() };
    let analysis = Analysis::of(&recording, &config, &mut Watch::none())?;
    let (stft, rate) = (analysis.stft().config(), analysis.sample_rate());
    // From all to nothing within half an octave.
    let share = |hz: f64| (0.5 - 2.0 * (hz.max(1.0) / crossover_hz).log2()).clamp(0.0, 1.0) as f32;
    let low = (0..stft.n_bins()).map(|bin| share(stft.bin_hz(bin, rate))).collect();
    let parts = Separation::new(&analysis, Crossover { low }, vec!["low".into(), "high".into()])?;

    let stems = parts.stems(&recording, &mut Watch::none())?;
    for (name, stem) in parts.names().iter().zip(&stems) {
        let file = std::env::temp_dir().join("partita-example").join(format!("{name}.wav"));
        let config = encode::EncodeConfig { existing: Existing::Replace, ..encode::EncodeConfig::default() };
        encode::write(&file, stem, &config)?;
        println!("{}", file.display());
    }
    let gap = &stems[0].samples() + &stems[1].samples() - decode::read(path.as_ref())?.samples();
    println!("together they are the recording within {:.1e}", gap.iter().fold(0.0f32, |most, x| most.max(x.abs())));
    Ok(())
}
