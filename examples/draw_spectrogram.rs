//! Draws the spectrogram of a WAV file of any length, block by block.
//!
//! ```text
//! cargo run --release --example draw_spectrogram -- song.wav song.png
//! ```

use std::path::Path;

use ndarray::Array2;
use partita::plot::{self, PlotConfig};
use partita::spectrogram::OverviewStream;
use partita::{Stft, StftConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = &arguments[..] else { return Err("usage: draw_spectrogram INPUT.wav OUTPUT.png".into()) };

    let mut reader = hound::WavReader::open(input)?;
    let hound::WavSpec { sample_rate, channels, bits_per_sample, sample_format } = reader.spec();
    let full_scale = 2f32.powi(i32::from(bits_per_sample) - 1);
    let mut samples: Box<dyn Iterator<Item = hound::Result<f32>>> = match sample_format {
        hound::SampleFormat::Float => Box::new(reader.samples()),
        hound::SampleFormat::Int => Box::new(reader.samples::<i32>().map(|x| x.map(|x| x as f32 / full_scale))),
    };

    let title = Path::new(input).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let config = PlotConfig { title, ..PlotConfig::default() };
    let stft = Stft::new(StftConfig::nearest(sample_rate, 0.093))?;
    let n_channels = usize::from(channels);
    let mut stream = OverviewStream::new(&stft, sample_rate, n_channels, config.max_columns());
    loop {
        // One second.
        let block = samples.by_ref().take(sample_rate as usize * n_channels).collect::<Result<Vec<f32>, _>>()?;
        let frames = Array2::from_shape_vec((block.len() / n_channels, n_channels), block)?;
        if frames.is_empty() {
            break;
        }
        stream.push(frames.t());
    }
    plot::spectrogram(&stream.finish(), &config, Path::new(output))?;
    Ok(())
}
