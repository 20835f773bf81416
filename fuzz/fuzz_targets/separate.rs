//! A file of any kind, decoded and taken apart blindly: stems have the length of what was decoded and sum to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use partita::audio::decode::Reader;
use partita::nmf::NmfConfig;
use partita::separate::blind::{self, BlindConfig};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;
use partita::{Audio, Error, StftOptions};

/// Samples of all channels that are decoded: some codecs make millions of a few bytes.
const MAX_DECODED: usize = 1 << 18;

/// Samples per channel, and channels, that are taken apart.
const MAX_SAMPLES: usize = 2048;
const MAX_CHANNELS: usize = 3;

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| {
    let Ok(mut reader) = Reader::from_stream("recording", bytes) else { return };
    let (n_channels, sample_rate) = (reader.n_channels(), reader.sample_rate());
    let first = reader.read(MAX_SAMPLES);
    let mut n_decoded = n_channels * MAX_SAMPLES;
    while n_decoded < MAX_DECODED {
        match reader.read(1 + MAX_SAMPLES / n_channels) {
            Ok(block) if !block.is_empty() => n_decoded += block.len(),
            _ => break,
        }
    }
    let Ok(first) = first else { return };
    let samples = first.slice(ndarray::s![..n_channels.min(MAX_CHANNELS), ..]).to_owned();
    let mixture = Audio::new(samples, sample_rate).expect("what is decoded is finite");
    let stft = StftOptions { n_fft: Some(64), ..StftOptions::default() };
    let look = AnalysisConfig { stft, max_frames: 128, ..AnalysisConfig::default() };
    let nmf = NmfConfig { n_components: 3, max_iter: 4, ..NmfConfig::default() };
    let config = BlindConfig { nmf, ..BlindConfig::default() };
    let watch = &mut Watch::none();
    let stems = Analysis::of(&mixture, &look, watch)
        .and_then(|analysis| blind::fit(&analysis, &config, None, watch))
        .and_then(|separation| separation.stems(&mixture, watch));
    let stems = match stems {
        Ok(stems) => stems,
        Err(Error::TooShort { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let mut sum = Array2::<f32>::zeros(mixture.samples().dim());
    for stem in &stems {
        assert_eq!(stem.samples().dim(), mixture.samples().dim(), "channels and length of a stem");
        sum += &stem.samples();
    }
    let gap = (&sum - &mixture.samples()).iter().fold(0.0f32, |gap, x| gap.max(x.abs()));
    // Below the smallest normal number there are not enough digits for shares.
    let allowed = (1e-5 * mixture.peak()).max(f32::MIN_POSITIVE);
    assert!(gap <= allowed, "stems miss the mixture by {gap}, its peak is {}", mixture.peak());
});
