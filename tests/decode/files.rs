//! Files to read: made by hand, or by FFmpeg and SoX where they are installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ndarray::{Array2, s};
use partita::audio::decode;

/// A folder of its own for each test, removed afterwards.
pub(crate) struct Dir(pub(crate) tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with the given bytes.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("writable");
        path
    }

    /// A signal as a 32-bit float WAV file: a tone of its own in each channel, and some noise, at -6 dB.
    pub(crate) fn signal(&self, n_channels: u16, sample_rate: u32, n_samples: u32) -> PathBuf {
        let path = self.path("signal.wav");
        let mut noise = 1u32;
        let mut bytes = Vec::new();
        for i in 0..n_samples {
            for channel_idx in 0..n_channels {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let cycles = f64::from(i) * 220.0 * f64::from(channel_idx + 1) / f64::from(sample_rate);
                let tone = 0.4 * (std::f64::consts::TAU * cycles).sin();
                let sample = tone + 0.1 * f64::from(noise.cast_signed()) / 2_147_483_648.0;
                bytes.extend((sample as f32).to_le_bytes());
            }
        }
        std::fs::write(&path, wav(3, n_channels, sample_rate, 32, &bytes)).expect("writable");
        path
    }
}

/// A WAV file without WAVEFORMATEXTENSIBLE.
pub(crate) fn wav(tag: u16, n_channels: u16, sample_rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block_align = u32::from(n_channels) * u32::from(bits) / 8;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0");
    bytes.extend(tag.to_le_bytes());
    bytes.extend(n_channels.to_le_bytes());
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((sample_rate.wrapping_mul(block_align)).to_le_bytes());
    bytes.extend((block_align as u16).to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

/// Runs a program; `None`, with a note, where it is not installed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => {
            assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            Some(output.stdout)
        }
        Err(_) => {
            eprintln!("skipped: {program} is not installed");
            None
        }
    }
}

/// What `SoX` makes of a signal under a name, without dither; `None` where there is no `SoX`.
pub(crate) fn sox(dir: &Dir, signal: &Path, name: &str, options: &str) -> Option<PathBuf> {
    let path = dir.path(name);
    let mut arguments = vec!["-D", text(signal)];
    arguments.extend(options.split_whitespace());
    arguments.push(text(&path));
    run("sox", &arguments).map(|_| path)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Encodes with FFmpeg.
pub(crate) fn encode(input: &Path, options: &str, output: &Path) -> Option<()> {
    let mut arguments = vec!["-v", "error", "-y", "-i", text(input)];
    arguments.extend(options.split_whitespace());
    arguments.push(text(output));
    run("ffmpeg", &arguments).map(|_| ())
}

/// What FFmpeg decodes: `n_channels` x `n_samples`, in the order of WAV files.
pub(crate) fn ffmpeg_decode(path: &Path, n_channels: usize, decoder: &[&str]) -> Option<Array2<f32>> {
    let arguments = [&["-v", "error"], decoder, &["-i", text(path), "-map", "0:a:0", "-f", "f32le", "-"]].concat();
    let bytes = run("ffmpeg", &arguments)?;
    let samples: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let n_samples = samples.len() / n_channels;
    Some(Array2::from_shape_vec((n_samples, n_channels), samples).expect("whole rows").reversed_axes())
}

/// What is wrong with a file as it is read here, measured against FFmpeg.
pub(crate) fn difference(
    path: &Path,
    n_channels: usize,
    sample_rate: u32,
    tolerance: f32,
    decoder: &[&str],
) -> Option<String> {
    let expected = ffmpeg_decode(path, n_channels, decoder)?;
    let audio = match decode::read(path) {
        Ok(audio) => audio,
        Err(error) => return Some(error.to_string()),
    };
    // FFmpeg leaves the padding that an MP4 tells to players; how long these have to be, `tracks` knows.
    let is_mp4 =
        ["m4a", "mp4", "mov"].iter().any(|extension| path.extension().is_some_and(|known| known == *extension));
    let n_samples = if is_mp4 { expected.ncols().min(audio.n_samples()) } else { expected.ncols() };
    let expected = expected.slice_move(s![.., ..n_samples]);
    if audio.sample_rate() != sample_rate || audio.samples().dim() != expected.dim() {
        let got = (audio.sample_rate(), audio.samples().dim());
        return Some(format!("expected {:?}, got {got:?}", (sample_rate, expected.dim())));
    }
    let worst = audio.samples().iter().zip(&expected).fold(0.0, |worst: f32, (a, b)| worst.max((a - b).abs()));
    (worst > tolerance).then(|| format!("differs by {worst:e}, allowed {tolerance:e}"))
}

/// Encodes a signal into each `(extension, FFmpeg options)` and compares.
pub(crate) fn check(n_channels: u16, sample_rate: u32, tolerance: f32, cases: &[(&str, &str)]) {
    let dir = Dir::new();
    // No multiple of any codec's packet.
    let signal = dir.signal(n_channels, sample_rate, sample_rate + sample_rate / 7 + 13);
    let mut failed = Vec::new();
    for (i, (extension, options)) in cases.iter().enumerate() {
        let path = dir.path(&format!("{i}.{extension}"));
        if encode(&signal, options, &path).is_none() {
            return;
        }
        // FFmpeg's own Opus decoder resamples low rates in another way than the reference decoder does.
        let decoder: &[&str] = if options.contains("libopus") { &["-c:a", "libopus"] } else { &[] };
        if let Some(difference) = difference(&path, n_channels.into(), sample_rate, tolerance, decoder) {
            failed.push(format!("{extension} {options}: {difference}"));
        }
    }
    assert!(failed.is_empty(), "{n_channels} channels, {sample_rate} Hz: {failed:#?}");
}

/// Integers and floats are scaled by powers of two, so not a bit may differ.
pub(crate) const EXACT: f32 = 0.0;

/// Both decode in single precision, whose rounding adds up to a few 2^-20 at full scale over a transform.
pub(crate) const LOSSY: f32 = 2e-5;

/// Opus is decoded in fixed point to 16 bits here; FFmpeg uses the floating-point build. RFC 6716 lets decoders differ.
pub(crate) const OPUS: f32 = 2e-3;

/// A tone as bytes of 16-bit stereo, `n_samples` long.
pub(crate) fn stereo(n_samples: usize) -> Vec<u8> {
    (0..2 * n_samples).flat_map(|i| (((i as f32 * 0.05).sin() * 9_000.0) as i16).to_le_bytes()).collect()
}

/// Message and hint of the error that reading a file ends in, with the folder taken out.
#[track_caller]
pub(crate) fn refusal(dir: &Dir, path: &Path) -> (String, String) {
    let error = decode::read(path).expect_err("an error");
    let folder = format!("{}/", text(dir.0.path()));
    let strip = |message: String| message.replace(&folder, "");
    (strip(error.to_string()), strip(error.hint().unwrap_or_default()))
}

/// RF64 or BW64: sizes of all ones, and the real ones in a `ds64` chunk.
pub(crate) fn rf64(id: &[u8; 4], tag: u16, n_channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    let plain = wav(tag, n_channels, 48_000, bits, data);
    let mut bytes = id.to_vec();
    bytes.extend([0xff; 4]);
    bytes.extend(b"WAVEds64\x1c\0\0\0");
    bytes.extend((plain.len() as u64 + 28).to_le_bytes());
    bytes.extend((data.len() as u64).to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend(&plain[12..40]);
    bytes.extend([0xff; 4]);
    bytes.extend(data);
    bytes
}

/// Four seconds of stereo noise in each format that can tell that it is cut off or damaged.
pub(crate) const CODED: &[(&str, &str)] = &[
    ("wav", "-c:a adpcm_ms"),
    ("aiff", ""),
    ("caf", "-c:a alac"),
    ("flac", ""),
    ("ogg", "-c:a libvorbis"),
    ("opus", "-c:a libopus"),
    ("mp3", ""),
    ("mp3", "-write_xing 0"),
    ("mp2", ""),
    ("m4a", "-c:a aac"),
    ("mp4", "-c:a aac -movflags +faststart"),
    ("mp4", "-c:a aac -movflags frag_keyframe+empty_moov"),
    ("aac", ""),
    ("mkv", "-c:a libvorbis"),
    ("webm", "-c:a libopus"),
];
