//! How long a separation of one second takes through the library: what `benches/python/overhead.py` compares the Python
//! package with. Here, and not among the library's examples, so that both use one build of the library.

use std::error::Error;
use std::time::Instant;

use partita::audio::decode::AudioFile;
use partita::audio::{Audio, Recording};
use partita::nmf::NmfConfig;
use partita::separate::{Analysis, AnalysisConfig, blind};
use partita::watch::Watch;

fn main() -> Result<(), Box<dyn Error>> {
    let n_runs: usize = std::env::args().nth(1).map_or(Ok(20), |n| n.parse())?;
    let file = AudioFile::open("samples/drums-bass-guitar.wav".as_ref())?.with_excerpt(0.0, Some(1.0));
    let mut samples = Vec::new();
    file.read(&mut |block| {
        samples.extend(block.iter().copied());
        Ok(())
    })?;
    let second = Audio::new(ndarray::Array2::from_shape_vec((1, samples.len()), samples)?, file.sample_rate())?;
    let nmf = NmfConfig { n_components: 32, max_iter: 200, tol: 0.0, ..NmfConfig::default() };
    let config = blind::BlindConfig { n_sources: Some(3), nmf, ..blind::BlindConfig::default() };
    let mut took_s: Vec<f64> = Vec::new();
    for _ in 0..n_runs {
        let start = Instant::now();
        let analysis = Analysis::of(&second, &AnalysisConfig::default(), &mut Watch::none())?;
        let parts = blind::fit(&analysis, &config, None, &mut Watch::none())?;
        let stems = parts.stems(&second, &mut Watch::none())?;
        took_s.push(start.elapsed().as_secs_f64());
        assert_eq!(stems.len(), 3);
    }
    for took_s in took_s {
        println!("{took_s:.6}");
    }
    Ok(())
}
