//! Sounds that are made for the tests, and what other programs read of their files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use ndarray::Array2;
use partita::Audio;
use partita::atomic::Existing;
use partita::audio::decode;
use partita::audio::encode::{self, ClipMode, EncodeConfig, FileFormat, SampleFormat, Spec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::{TempDir, tempdir};

/// Asserts a refusal by [`EncodeConfig::check`], with its message and a part of its hint.
pub(crate) fn refused(config: &EncodeConfig, spec: &Spec, message: &str, hint: &str) {
    let error = config.check(spec).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
}

pub(crate) fn stereo(n_samples: Option<u64>) -> Spec {
    Spec { sample_rate: 44_100, n_channels: 2, channel_mask: None, n_samples }
}

pub(crate) fn flac_config() -> EncodeConfig {
    EncodeConfig { file_format: FileFormat::Flac, sample_format: SampleFormat::Int24, ..EncodeConfig::default() }
}

/// Uniform noise between -1 and 1.
pub(crate) fn noise(n_channels: usize, n_samples: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((n_channels, n_samples), || rng.random_range(-1.0..=1.0))
}

/// Integers that give every kind of FLAC subframe its turn: noise of a level that changes from block to block, on a
/// slow wave, with silence and both ends of the range in between.
pub(crate) fn integers(n_channels: usize, n_samples: usize, n_bits: usize, seed: u64) -> Array2<i32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let max = (1 << (n_bits - 1)) - 1;
    Array2::from_shape_fn((n_channels, n_samples), |(channel_idx, i)| {
        let level = (i / 1_500 + channel_idx) * 5 % n_bits;
        let wave = (f64::from(max >> 1) * (i as f64 / 40.0).sin()) as i32;
        match (i / 1_000) % 5 {
            0 => 0,
            1 => [max, -max - 1][rng.random_range(0..2)],
            2 => wave,
            _ => (wave + rng.random_range(-(1 << level)..1 << level)).clamp(-max - 1, max),
        }
    })
}

/// Samples as a file has them: all channels of one moment after another.
pub(crate) fn interleaved<T: Copy>(samples: &Array2<T>) -> Vec<T> {
    samples.t().iter().copied().collect()
}

/// The integers that a file holds, interleaved, by our reader: exact, because 24 bits fit.
pub(crate) fn held(path: &Path, n_bits: usize) -> Vec<i32> {
    let full_scale = (1 << (n_bits - 1)) as f32;
    interleaved(&decode::read(path).unwrap().samples().mapv(|x| (x * full_scale) as i32))
}

/// Writes integers as FLAC, and returns what it must hold: what int16 or int24 WAV holds. For int24 that is
/// the integers themselves, because f32 holds them; for int16 there is dither in between, the same in both files.
pub(crate) fn write_integers(path: &Path, samples: &Array2<i32>, n_bits: usize, sample_rate: u32) -> Vec<i32> {
    let audio = Audio::new(samples.mapv(|x| x as f32 / (1 << (n_bits - 1)) as f32), sample_rate).unwrap();
    let sample_format = if n_bits == 16 { SampleFormat::Int16 } else { SampleFormat::Int24 };
    let config = EncodeConfig { sample_format, existing: Existing::Replace, ..flac_config() };
    encode::write(path, &audio, &config).unwrap();
    let wav = path.with_extension("wav");
    encode::write(&wav, &audio, &EncodeConfig { file_format: FileFormat::Wav, ..config }).unwrap();
    let held = held(&wav, n_bits);
    if n_bits == 24 {
        assert!(held == interleaved(samples), "int24 changes integers");
    }
    held
}

/// Samples of a FLAC file and its rate, by symphonia.
pub(crate) fn read_flac(path: &Path, n_bits: usize) -> (Vec<i32>, u32) {
    use symphonia::core::{codecs::audio::AudioDecoderOptions, formats::TrackType, io::MediaSourceStream};
    let file = MediaSourceStream::new(Box::new(fs::File::open(path).unwrap()), Default::default());
    let probed =
        symphonia::default::get_probe().probe(&Default::default(), file, Default::default(), Default::default());
    let mut format = probed.unwrap();
    let parameters = format.default_track(TrackType::Audio).unwrap().codec_params.clone().unwrap();
    let parameters = parameters.audio().unwrap();
    let options = AudioDecoderOptions::default().verify(true);
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &options).unwrap();
    let mut samples: Vec<i32> = Vec::new();
    while let Some(packet) = format.next_packet().unwrap() {
        let mut block: Vec<i32> = Vec::new();
        decoder.decode(&packet).unwrap().copy_to_vec_interleaved(&mut block);
        samples.extend(block.into_iter().map(|x| x >> (32 - n_bits)));
    }
    assert_eq!(decoder.finalize().verify_ok, Some(true), "the MD5 sum is another");
    (samples, parameters.sample_rate.unwrap())
}

/// What float32 WAV holds, how many samples were clamped, and the gain.
pub(crate) fn float32(samples: &Array2<f32>, clip_mode: ClipMode) -> (Vec<f32>, u64, f32) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let config = EncodeConfig { clip_mode, ..EncodeConfig::default() };
    let written = encode::write(&path, &Audio::new(samples.clone(), 44_100).unwrap(), &config).unwrap();
    let read = interleaved(&decode::read(&path).unwrap().samples().to_owned());
    (read, written.n_clamped, written.gain)
}

/// What int16 WAV holds.
pub(crate) fn int16(samples: &Array2<f32>, seed: u64) -> Vec<i32> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let config = EncodeConfig { sample_format: SampleFormat::Int16, seed, ..EncodeConfig::default() };
    encode::write(&path, &Audio::new(samples.clone(), 44_100).unwrap(), &config).unwrap();
    held(&path, 16)
}

/// Names in a folder.
pub(crate) fn names(folder: &TempDir) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(folder).unwrap().map(name).collect()
}

/// Samples of a file, by ffmpeg.
pub(crate) fn ffmpeg(path: &Path, sample_format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(path).args(["-f", sample_format, "-"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Whether a program is there; says so where it is not, because the test then ends without a result.
pub(crate) fn installed(program: &str) -> Option<()> {
    let run = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if run.is_err() {
        eprintln!("skipped: `{program}` is not installed");
    }
    run.ok().map(|_| ())
}
