//! Draws the spectrogram of a recording of any length, block by block.
//!
//! ```text
//! cargo run --release --example draw_spectrogram -- RECORDING PICTURE.png
//! ```

use std::path::Path;

use partita::audio::decode::Reader;
use partita::plot::{self, PlotConfig};
use partita::spectrogram::OverviewStream;
use partita::{Stft, StftConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = &arguments[..] else { return Err("usage: draw_spectrogram RECORDING PICTURE.png".into()) };

    let mut reader = Reader::open(input.as_ref())?;
    let title = Path::new(input).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let config = PlotConfig { title, ..PlotConfig::default() };
    let stft = Stft::new(StftConfig::nearest(reader.sample_rate(), 0.093))?;
    let mut stream = OverviewStream::new(&stft, reader.sample_rate(), reader.n_channels(), config.max_columns());
    loop {
        let block = reader.read(65_536)?;
        if block.is_empty() {
            break;
        }
        stream.push(block.view());
    }
    plot::spectrogram(&stream.finish(), &config, output.as_ref())?;
    println!("{input} -> {output}");
    Ok(())
}
