//! Files made by FFmpeg and SoX are read as FFmpeg reads them, sample for sample; broken files end in the right error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ndarray::Array2;
use partita::audio::decode::{self, Reader};

/// A folder of its own for each test, removed afterwards.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with the given bytes.
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("writable");
        path
    }

    /// A signal as a 32-bit float WAV file: a tone of its own in each channel, and some noise, at -6 dB.
    fn signal(&self, n_channels: u16, sample_rate: u32, n_samples: u32) -> PathBuf {
        let path = self.path("signal.wav");
        let spec = hound::WavSpec {
            channels: n_channels,
            sample_rate,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(&path, spec).expect("writable");
        let mut noise = 1u32;
        for i in 0..n_samples {
            for channel_idx in 0..n_channels {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let cycles = f64::from(i) * 220.0 * f64::from(channel_idx + 1) / f64::from(sample_rate);
                let tone = 0.4 * (std::f64::consts::TAU * cycles).sin();
                writer
                    .write_sample((tone + 0.1 * f64::from(noise.cast_signed()) / 2_147_483_648.0) as f32)
                    .expect("written");
            }
        }
        writer.finalize().expect("finished");
        path
    }
}

/// Runs a program; `None`, with a note, where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
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

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Encodes with FFmpeg.
fn encode(input: &Path, options: &str, output: &Path) -> Option<()> {
    let mut arguments = vec!["-v", "error", "-y", "-i", text(input)];
    arguments.extend(options.split_whitespace());
    arguments.push(text(output));
    run("ffmpeg", &arguments).map(|_| ())
}

/// What FFmpeg decodes: `n_channels` x `n_samples`, in the order of WAV files.
fn ffmpeg_decode(path: &Path, n_channels: usize) -> Option<Array2<f32>> {
    let bytes = run("ffmpeg", &["-v", "error", "-i", text(path), "-map", "0:a:0", "-f", "f32le", "-"])?;
    let samples: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let n_samples = samples.len() / n_channels;
    Some(Array2::from_shape_vec((n_samples, n_channels), samples).expect("whole rows").reversed_axes())
}

/// What is wrong with a file as it is read here, measured against FFmpeg.
fn difference(path: &Path, n_channels: usize, sample_rate: u32, tolerance: f32) -> Option<String> {
    let expected = ffmpeg_decode(path, n_channels)?;
    let audio = match decode::read(path) {
        Ok(audio) => audio,
        Err(error) => return Some(error.to_string()),
    };
    if audio.sample_rate() != sample_rate || audio.samples().dim() != expected.dim() {
        let got = (audio.sample_rate(), audio.samples().dim());
        return Some(format!("expected {:?}, got {got:?}", (sample_rate, expected.dim())));
    }
    let worst = audio.samples().iter().zip(&expected).fold(0.0, |worst: f32, (a, b)| worst.max((a - b).abs()));
    (worst > tolerance).then(|| format!("differs by {worst:e}, allowed {tolerance:e}"))
}

/// Encodes a signal into each `(extension, FFmpeg options)` and compares.
fn check(n_channels: u16, sample_rate: u32, tolerance: f32, cases: &[(&str, &str)]) {
    let dir = Dir::new();
    // No multiple of any codec's packet.
    let signal = dir.signal(n_channels, sample_rate, sample_rate + sample_rate / 7 + 13);
    let mut failed = Vec::new();
    for (i, (extension, options)) in cases.iter().enumerate() {
        let path = dir.path(&format!("{i}.{extension}"));
        if encode(&signal, options, &path).is_none() {
            return;
        }
        if let Some(difference) = difference(&path, n_channels.into(), sample_rate, tolerance) {
            failed.push(format!("{extension} {options}: {difference}"));
        }
    }
    if std::env::var("XX").is_ok() {
        for f in &failed {
            eprintln!("{n_channels} {sample_rate} {f}");
        }
        return;
    }
    assert!(failed.is_empty(), "{n_channels} channels, {sample_rate} Hz: {failed:#?}");
}

/// Integers and floats are scaled by powers of two, so not a bit may differ.
const EXACT: f32 = 0.0;

#[test]
fn pcm_is_exact() {
    let cases = [
        ("wav", "-c:a pcm_u8"),
        ("wav", "-c:a pcm_s16le"),
        ("wav", "-c:a pcm_s24le"),
        ("wav", "-c:a pcm_s32le"),
        ("wav", "-c:a pcm_f32le"),
        ("wav", "-c:a pcm_f64le"),
        ("wav", "-c:a pcm_alaw"),
        ("wav", "-c:a pcm_mulaw"),
        ("wav", "-c:a pcm_s16le -rf64 always"),
        ("aiff", "-c:a pcm_s8"),
        ("aiff", "-c:a pcm_s16be"),
        ("aiff", "-c:a pcm_s24be"),
        ("aiff", "-c:a pcm_s32be"),
        ("aifc", "-c:a pcm_s16le -f aiff"),
        ("aifc", "-c:a pcm_f32be -f aiff"),
        ("aifc", "-c:a pcm_f64be -f aiff"),
        ("aifc", "-c:a pcm_mulaw -f aiff"),
        ("aifc", "-c:a pcm_alaw -f aiff"),
        ("caf", "-c:a pcm_s16le"),
        ("caf", "-c:a pcm_s24be"),
        ("caf", "-c:a pcm_f32le"),
        ("mkv", "-c:a pcm_s16le"),
        ("mkv", "-c:a pcm_f32le"),
        ("mov", "-c:a pcm_s16le"),
        ("mov", "-c:a pcm_s24le"),
    ];
    for n_channels in [1, 2, 6] {
        check(n_channels, 44_100, EXACT, &cases);
    }
    for sample_rate in [8_000, 48_000, 192_000] {
        check(2, sample_rate, EXACT, &cases);
    }
}

#[test]
fn lossless_codecs_are_exact() {
    let cases = [
        ("flac", "-c:a flac -sample_fmt s16"),
        ("flac", "-c:a flac -sample_fmt s32"),
        ("ogg", "-c:a flac -sample_fmt s16"),
        ("mkv", "-c:a flac"),
        ("m4a", "-c:a alac -sample_fmt s16p"),
        ("m4a", "-c:a alac -sample_fmt s32p"),
        ("caf", "-c:a alac"),
        ("mp4", "-c:a flac -strict -2"),
    ];
    for (n_channels, sample_rate) in [(1, 8_000), (2, 44_100), (2, 96_000), (6, 48_000), (2, 192_000)] {
        check(n_channels, sample_rate, EXACT, &cases);
    }
    check(
        8,
        48_000,
        EXACT,
        &[("flac", ""), ("m4a", "-c:a alac -af channelmap=map=0|1|2|3|4|5|6|7:channel_layout=7.1(wide)")],
    );
}

#[test]
fn adpcm_is_exact() {
    for n_channels in [1, 2] {
        check(
            n_channels,
            22_050,
            EXACT,
            &[
                ("wav", "-c:a adpcm_ms"),
                ("wav", "-c:a adpcm_ima_wav"),
                ("mov", "-c:a adpcm_ima_qt"),
                ("aifc", "-c:a adpcm_ima_qt -f aiff"),
                ("caf", "-c:a adpcm_ima_qt"),
            ],
        );
    }
}

#[test]
fn mpeg_is_read_as_ffmpeg_reads_it() {
    for n_channels in [1, 2] {
        for sample_rate in [8_000, 16_000, 22_050, 32_000, 44_100, 48_000] {
            check(
                n_channels,
                sample_rate,
                2e-5,
                &[
                    ("mp3", "-b:a 64k"),
                    ("mp3", "-q:a 2"),
                    ("mp3", "-b:a 64k -write_xing 0"),
                    ("mp3", "-b:a 64k -id3v2_version 0 -write_id3v1 1 -metadata title=x"),
                    ("mkv", "-c:a libmp3lame"),
                ],
            );
        }
        check(
            n_channels,
            44_100,
            2e-5,
            &[("mp2", "-b:a 160k"), ("mp4", "-c:a libmp3lame"), ("wav", "-c:a libmp3lame")],
        );
    }
}

#[test]
fn vorbis_is_read_as_ffmpeg_reads_it() {
    for (n_channels, sample_rate) in [
        (1, 8_000),
        (2, 44_100),
        (6, 48_000),
        (2, 96_000),
        (3, 44_100),
        (8, 48_000),
        (5, 44_100),
        (7, 44_100),
        (4, 44_100),
    ] {
        check(
            n_channels,
            sample_rate,
            2e-5,
            &[("ogg", "-c:a libvorbis"), ("mkv", "-c:a libvorbis"), ("webm", "-c:a libvorbis")],
        );
    }
}

#[test]
fn aac_is_read_as_ffmpeg_reads_it() {
    for (n_channels, sample_rate) in [(1, 8_000), (2, 16_000), (2, 44_100), (2, 96_000), (1, 48_000)] {
        check(
            n_channels,
            sample_rate,
            2e-5,
            &[
                ("m4a", "-c:a aac"),
                ("mp4", "-c:a aac -movflags +faststart"),
                ("mp4", "-c:a aac -movflags frag_keyframe+empty_moov"),
                ("aac", "-c:a aac"),
                ("mkv", "-c:a aac"),
                ("mov", "-c:a aac"),
                ("caf", "-c:a aac"),
            ],
        );
    }
}

#[test]
fn opus_is_read_as_ffmpeg_reads_it() {
    for n_channels in [1, 2, 3, 4, 5, 6, 7, 8] {
        check(
            n_channels,
            48_000,
            2e-3,
            &[
                ("opus", "-c:a libopus"),
                ("ogg", "-c:a libopus -frame_duration 2.5"),
                ("ogg", "-c:a libopus -application voip -b:a 16k"),
                ("webm", "-c:a libopus"),
                ("mkv", "-c:a libopus -frame_duration 60"),
                ("mp4", "-c:a libopus"),
                ("caf", "-c:a libopus"),
            ],
        );
    }
}
