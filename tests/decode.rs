//! Files made by FFmpeg and SoX are read as FFmpeg reads them, sample for sample; broken files end in the right error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ndarray::Array2;
use partita::audio::decode::{self, Reader};
use proptest::prelude::*;

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
fn wav(tag: u16, n_channels: u16, sample_rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
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
fn ffmpeg_decode(path: &Path, n_channels: usize, decoder: &[&str]) -> Option<Array2<f32>> {
    let arguments = [&["-v", "error"], decoder, &["-i", text(path), "-map", "0:a:0", "-f", "f32le", "-"]].concat();
    let bytes = run("ffmpeg", &arguments)?;
    let samples: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let n_samples = samples.len() / n_channels;
    Some(Array2::from_shape_vec((n_samples, n_channels), samples).expect("whole rows").reversed_axes())
}

/// What is wrong with a file as it is read here, measured against FFmpeg.
fn difference(path: &Path, n_channels: usize, sample_rate: u32, tolerance: f32, decoder: &[&str]) -> Option<String> {
    let expected = ffmpeg_decode(path, n_channels, decoder)?;
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
        // FFmpeg's own Opus decoder resamples low rates in another way than the reference decoder does.
        let decoder: &[&str] = if options.contains("libopus") { &["-c:a", "libopus"] } else { &[] };
        if let Some(difference) = difference(&path, n_channels.into(), sample_rate, tolerance, decoder) {
            failed.push(format!("{extension} {options}: {difference}"));
        }
    }
    assert!(failed.is_empty(), "{n_channels} channels, {sample_rate} Hz: {failed:#?}");
}

/// Integers and floats are scaled by powers of two, so not a bit may differ.
const EXACT: f32 = 0.0;

/// Both decode in single precision, whose rounding adds up to a few 2^-20 at full scale over a transform.
const LOSSY: f32 = 2e-5;

/// Opus is decoded in fixed point to 16 bits here; FFmpeg uses the floating-point build. RFC 6716 lets decoders differ.
const OPUS: f32 = 2e-3;

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
        ("caf", "-c:a pcm_s16le"),
        ("caf", "-c:a pcm_s24be"),
        ("caf", "-c:a pcm_f32le"),
        ("mkv", "-c:a pcm_s16le"),
    ];
    check(2, 44_100, EXACT, &cases);
    let some =
        [("wav", "-c:a pcm_s24le"), ("wav", "-c:a pcm_mulaw"), ("aiff", "-c:a pcm_s16be"), ("caf", "-c:a pcm_f32le")];
    check(1, 8_000, EXACT, &some);
    check(6, 48_000, EXACT, &some);
    check(2, 192_000, EXACT, &[("wav", "-c:a pcm_s24le"), ("aiff", "-c:a pcm_s24be"), ("caf", "-c:a pcm_s24be")]);
    check(2, 44_100, EXACT, &[("mov", "-c:a pcm_s16le"), ("mov", "-c:a pcm_s24le"), ("mkv", "-c:a pcm_f32le")]);
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
    for (n_channels, sample_rate) in [(1, 8_000), (2, 44_100), (6, 48_000), (2, 192_000)] {
        check(n_channels, sample_rate, EXACT, &cases);
    }
    check(8, 48_000, EXACT, &[("flac", "")]);
}

#[test]
fn adpcm_is_exact() {
    for n_channels in [1, 2] {
        check(n_channels, 22_050, EXACT, &[("wav", "-c:a adpcm_ms"), ("wav", "-c:a adpcm_ima_wav")]);
    }
}

#[test]
fn mpeg_is_read_as_ffmpeg_reads_it() {
    let cases = [
        ("mp3", "-b:a 64k"),
        ("mp3", "-q:a 2"),
        ("mp3", "-b:a 64k -write_xing 0"),
        ("mp3", "-b:a 64k -id3v2_version 0 -write_id3v1 1 -metadata title=x"),
        ("mkv", "-c:a libmp3lame"),
    ];
    for (n_channels, sample_rate) in [(1, 8_000), (2, 22_050), (2, 44_100), (1, 48_000)] {
        check(n_channels, sample_rate, LOSSY, &cases);
    }
    check(2, 44_100, LOSSY, &[("mp4", "-c:a libmp3lame")]);
    // FFmpeg's decoder of layer 2 rounds to about 15 bits.
    check(2, 44_100, 1e-4, &[("mp2", "-b:a 160k")]);
}

#[test]
fn vorbis_is_read_as_ffmpeg_reads_it() {
    let cases = [("ogg", "-c:a libvorbis"), ("mkv", "-c:a libvorbis"), ("webm", "-c:a libvorbis")];
    for (n_channels, sample_rate) in [(1, 8_000), (2, 44_100), (2, 96_000), (6, 48_000)] {
        check(n_channels, sample_rate, LOSSY, &cases);
    }
    for n_channels in [3, 4, 5, 7, 8] {
        check(n_channels, 44_100, LOSSY, &cases[..1]);
    }
}

#[test]
fn aac_is_read_as_ffmpeg_reads_it() {
    let cases = [
        ("m4a", "-c:a aac"),
        ("mp4", "-c:a aac -movflags frag_keyframe+empty_moov"),
        ("aac", "-c:a aac"),
        ("mkv", "-c:a aac"),
        ("mov", "-c:a aac"),
    ];
    for (n_channels, sample_rate) in [(1, 8_000), (2, 44_100), (2, 96_000)] {
        check(n_channels, sample_rate, LOSSY, &cases);
    }
}

#[test]
fn opus_is_read_as_ffmpeg_reads_it() {
    let cases = [
        ("opus", "-c:a libopus"),
        ("ogg", "-c:a libopus -frame_duration 2.5"),
        ("ogg", "-c:a libopus -application voip -b:a 16k"),
        ("webm", "-c:a libopus"),
        ("mkv", "-c:a libopus -frame_duration 60"),
        ("mp4", "-c:a libopus"),
    ];
    for n_channels in [1, 2, 6] {
        check(n_channels, 48_000, OPUS, &cases);
    }
    for n_channels in [5, 7, 8] {
        check(n_channels, 48_000, OPUS, &cases[..1]);
    }
}

#[test]
fn what_sox_writes_is_read_as_ffmpeg_reads_it() {
    let dir = Dir::new();
    let signal = dir.signal(2, 44_100, 50_000);
    for (name, options) in [
        ("a.wav", "-b 24"),
        ("b.wav", "-e u-law"),
        ("c.wav", "-e ms-adpcm"),
        ("d.aiff", "-b 16"),
        ("e.aifc", "-b 24"),
        ("f.flac", "-b 24"),
        ("g.ogg", ""),
    ] {
        let path = dir.path(name);
        let mut arguments = vec!["-D", text(&signal)];
        arguments.extend(options.split_whitespace());
        arguments.push(text(&path));
        if run("sox", &arguments).is_none() {
            return;
        }
        assert_eq!(difference(&path, 2, 44_100, if name == "g.ogg" { LOSSY } else { EXACT }, &[]), None, "{name}");
    }
}

#[test]
fn surround_names_its_speakers() {
    let dir = Dir::new();
    let signal = dir.signal(6, 48_000, 20_000);
    for (name, options) in [
        ("a.flac", ""),
        ("b.ogg", "-c:a libvorbis"),
        ("c.opus", ""),
        ("d.m4a", "-c:a alac"),
        ("e.webm", "-c:a libopus"),
    ] {
        let path = dir.path(name);
        if encode(&signal, options, &path).is_none() {
            return;
        }
        let mask = Reader::open(&path).expect("header").channel_mask();
        assert_eq!(mask, Some(0x3f), "{name}: front left, right, center, low frequency, back left, right");
    }
    let stereo = Reader::open(&dir.file("f.wav", &wav(1, 2, 44_100, 16, &[0; 4]))).expect("header");
    assert_eq!(stereo.channel_mask(), None);
}

#[test]
fn a_short_ogg_file_has_the_length_that_was_encoded() {
    // FFmpeg does not trim a stream that fits into one page, so it is no judge here.
    let dir = Dir::new();
    for (name, options) in [("a.ogg", "-c:a libvorbis"), ("b.opus", "-c:a libopus")] {
        let path = dir.path(name);
        if encode(&dir.signal(1, 48_000, 7_777), options, &path).is_none() {
            return;
        }
        assert_eq!(decode::read(&path).expect("audio").n_samples(), 7_777, "{name}");
    }
}

// ---- what is wrong with files, without any other program ----------------------------------------------------------

/// A tone as bytes of 16-bit stereo, `n_samples` long.
fn stereo(n_samples: usize) -> Vec<u8> {
    (0..2 * n_samples).flat_map(|i| (((i as f32 * 0.05).sin() * 9_000.0) as i16).to_le_bytes()).collect()
}

/// Message and hint of the error that reading a file ends in, with the folder taken out.
#[track_caller]
fn refusal(dir: &Dir, path: &Path) -> (String, String) {
    let error = decode::read(path).expect_err("an error");
    let folder = format!("{}/", text(dir.0.path()));
    let strip = |message: String| message.replace(&folder, "");
    (strip(error.to_string()), strip(error.hint().unwrap_or_default()))
}

/// RF64 or BW64: sizes of all ones, and the real ones in a `ds64` chunk.
fn rf64(id: &[u8; 4], tag: u16, n_channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
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

#[test]
fn rf64_and_bw64_are_read() {
    let dir = Dir::new();
    let data = stereo(5_000);
    let plain = decode::read(&dir.file("a.wav", &wav(1, 2, 48_000, 16, &data))).expect("WAV");
    assert_eq!((plain.n_channels(), plain.n_samples(), plain.sample_rate()), (2, 5_000, 48_000));
    for id in [b"RF64", b"BW64"] {
        let read = decode::read(&dir.file("a.rf64", &rf64(id, 1, 2, 16, &data))).expect("RF64");
        assert_eq!(read, plain);
    }
    let floats: Vec<u8> = plain.samples().t().iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(decode::read(&dir.file("a.rf64", &rf64(b"RF64", 3, 2, 32, &floats))).expect("float"), plain);
    let doubles: Vec<u8> = plain.samples().t().iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
    assert_eq!(decode::read(&dir.file("a.rf64", &rf64(b"RF64", 3, 2, 64, &doubles))).expect("double"), plain);
}

#[test]
fn a_cut_off_rf64_file_is_refused() {
    let dir = Dir::new();
    let mut bytes = rf64(b"RF64", 1, 2, 16, &stereo(48_000));
    bytes.truncate(bytes.len() - 4 * 12_000);
    let (message, _) = refusal(&dir, &dir.file("a.wav", &bytes));
    assert_eq!(message, "`a.wav` is cut off: it ends after 0.8 of 1.0 s");
}

#[test]
fn extensible_wav_keeps_its_channel_mask() {
    let dir = Dir::new();
    let data = stereo(3_000); // 1000 samples of 6 channels
    let mut bytes = wav(0xfffe, 6, 48_000, 16, &data);
    let extension = [22, 0, 16, 0, 0x0f, 0x06, 0, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
    bytes[16] = 40;
    bytes.splice(36..36, extension);
    let audio = decode::read(&dir.file("a.wav", &bytes)).expect("5.1");
    assert_eq!((audio.n_channels(), audio.n_samples(), audio.channel_mask()), (6, 1_000, Some(0x60f)));
    // A mask that names five speakers for six channels says nothing.
    bytes[40] = 0x07;
    assert_eq!(decode::read(&dir.file("b.wav", &bytes)).expect("5.1").channel_mask(), None);
}

#[test]
fn a_wav_stream_of_unknown_length_is_read_to_its_end() {
    let data = stereo(1_000);
    let plain = wav(1, 2, 44_100, 16, &data);
    // FFmpeg, SoX, others, and a recorder that was stopped before it filled its header in.
    for (riff, size) in [(u32::MAX, u32::MAX), (0x7fff_f024, 0x7fff_f000), (0x7fff_ffff, 0x7fff_ffff), (0, 0)] {
        let mut bytes = plain.clone();
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        bytes[40..44].copy_from_slice(&size.to_le_bytes());
        bytes.push(7); // half a sample
        let mut reader = Reader::from_stream("-", bytes.as_slice()).expect("header");
        let audio = decode::read_rest(&mut reader, None).expect("samples");
        assert_eq!(audio.samples().dim(), (2, 1_000), "data size {size:#x}");
    }
}

#[test]
fn a_recording_without_samples_is_read_as_such() {
    let dir = Dir::new();
    let audio = decode::read(&dir.file("empty.wav", &wav(1, 2, 44_100, 16, &[]))).expect("no error");
    assert_eq!(audio.samples().dim(), (2, 0));
}

#[test]
fn what_comes_before_the_cut_can_be_read() {
    let dir = Dir::new();
    let mut bytes = wav(1, 2, 44_100, 16, &stereo(44_100));
    bytes.truncate(44 + 4 * 11_025);
    let path = dir.file("my song.wav", &bytes);
    let (message, hint) = refusal(&dir, &path);
    assert_eq!(message, "`my song.wav` is cut off: it ends after 0.2 of 1.0 s");
    let command = "`ffmpeg -i 'my song.wav' 'my song.fixed.wav'`";
    assert_eq!(hint, format!("save what can be read with {command}, or take the whole part with `duration 0.25`"));
    let mut reader = Reader::open(&path).expect("header");
    assert_eq!(decode::read_rest(&mut reader, Some(11_025)).expect("whole part").n_samples(), 11_025);
    assert!(reader.read(1).is_err());
    assert!(reader.read(1).expect("ended").is_empty(), "one error is enough");
}

#[test]
fn blocks_and_skips_add_up_to_the_whole() {
    let dir = Dir::new();
    let path = dir.file("a.wav", &wav(1, 2, 44_100, 16, &stereo(50_000)));
    let whole = decode::read(&path).expect("whole");
    for size in [1_000, 16_384, 49_999, 80_000] {
        let mut reader = Reader::open(&path).expect("header");
        let mut position = 0;
        loop {
            let block = reader.read(size).expect("block");
            if block.is_empty() {
                break;
            }
            assert_eq!(block, whole.excerpt(position, size).samples(), "at {position}");
            position += block.ncols();
        }
        assert_eq!(position, 50_000);
    }
    let mut reader = Reader::open(&path).expect("header");
    assert_eq!(reader.skip(33_333).expect("skipped"), 33_333);
    assert_eq!(decode::read_rest(&mut reader, Some(10)).expect("rest"), whole.excerpt(33_333, 10));
    assert_eq!(reader.skip(u64::MAX).expect("skipped"), 50_000 - 33_343);
}

#[test]
fn a_nan_is_refused_with_its_place() {
    let dir = Dir::new();
    let mut samples = vec![0.25f32; 2 * 44_100];
    samples[2 * 22_050 + 1] = f32::NAN;
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let (message, _) = refusal(&dir, &dir.file("nan.wav", &wav(3, 2, 44_100, 32, &data)));
    assert_eq!(message, "channel 2 has a sample that is NaN, at 0.500 s");
}

#[test]
fn what_is_no_recording_is_called_what_it_is() {
    let dir = Dir::new();
    let message = |name: &str, bytes: &[u8]| refusal(&dir, &dir.file(name, bytes)).0;
    assert_eq!(message("a.wav", b"Dear all,\nhere is the recording."), "`a.wav` is not a recording: it holds text");
    assert_eq!(message("b.wav", b""), "`b.wav` is empty");
    assert_eq!(message("c.mp3", b"\x89PNG\r\n\x1a\n\0\0"), "`c.mp3` is not a recording: it holds a PNG image");
    assert_eq!(message("d.wav", &[0; 99]), "`d.wav` is not a recording: it holds only zeros");
    let utf_16: Vec<u8> = "Dear all, here it is".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf_16 = [b"\xff\xfe".as_slice(), &utf_16].concat();
    assert_eq!(message("i.mp3", &utf_16), "`i.mp3` is not a recording: it holds nothing that is known to be audio");
    assert_eq!(message("e.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "cannot decode `e.wma`: WMA is not supported");
    assert_eq!(message("f.ac3", b"\x0b\x77\0\0\0\0"), "cannot decode `f.ac3`: AC-3 is not supported");
    assert_eq!(
        message("g.wav", &wav(0x55, 2, 44_100, 0, &[0; 64])),
        "cannot decode `g.wav`: WAV with MP3 is not supported"
    );
    assert!(decode::read(&dir.path("h.wav")).expect_err("missing").to_string().starts_with("cannot open"));
    assert!(decode::read(dir.0.path()).expect_err("a folder").to_string().starts_with("cannot open"));
}

#[test]
fn absurd_headers_are_refused_before_anything_is_allocated() {
    let dir = Dir::new();
    let message = |bytes: &[u8]| refusal(&dir, &dir.file("a.wav", bytes)).0;
    assert_eq!(message(&wav(1, 65_535, 44_100, 8, &[0; 64])), "cannot decode `a.wav`: it declares 65535 channels");
    assert_eq!(message(&wav(1, 0, 44_100, 16, &[0; 64])), "cannot decode `a.wav`: it declares 0 channels");
    assert_eq!(message(&wav(1, 2, 0, 16, &[0; 64])), "cannot decode `a.wav`: it declares a sample rate of 0 Hz");
    assert_eq!(
        message(&wav(1, 2, u32::MAX, 16, &[0; 64])),
        "cannot decode `a.wav`: it declares a sample rate of 4294967295 Hz"
    );
    assert_eq!(message(b"RIFF\x04\0\0\0WAVE"), "cannot decode `a.wav`: it has no data chunk");
    let no_format = [b"RIFF\x24\0\0\0WAVEdata\x04\0\0\0".as_slice(), &[0; 4]].concat();
    assert_eq!(message(&no_format), "cannot decode `a.wav`: its data comes before its format");
}

#[test]
fn audio_files_are_known_by_their_extension() {
    for name in ["a.wav", "b.FLAC", "c.d.Opus", "e.m4a", "/f/g.weba"] {
        assert!(decode::is_audio_path(name.as_ref()), "{name}");
    }
    for name in ["wav", "a.txt", ".wav", "a.wav.part", "a"] {
        assert!(!decode::is_audio_path(name.as_ref()), "{name}");
    }
}

// ---- what is wrong with files that FFmpeg makes --------------------------------------------------------------------

/// Four seconds of stereo noise in each format that can tell that it is cut off or damaged.
const CODED: &[(&str, &str)] = &[
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

#[test]
fn a_file_that_is_cut_off_is_never_shortened_in_silence() {
    let dir = Dir::new();
    let signal = dir.signal(2, 48_000, 4 * 48_000);
    for (i, (extension, options)) in CODED.iter().enumerate() {
        let path = dir.path(&format!("{i}.{extension}"));
        if encode(&signal, options, &path).is_none() {
            return;
        }
        let bytes = std::fs::read(&path).expect("file");
        for percent in [20, 60, 95] {
            let cut = dir.file(&format!("cut.{extension}"), &bytes[..bytes.len() * percent / 100]);
            let (message, hint) = refusal(&dir, &cut);
            assert!(message.contains("is cut off"), "{extension} {options} at {percent} %: {message}");
            assert!(hint.contains("`ffmpeg -i cut."), "{hint}");
        }
    }
}

#[test]
fn damage_in_the_middle_is_refused_with_its_time() {
    let dir = Dir::new();
    let signal = dir.signal(2, 48_000, 4 * 48_000);
    for (i, (extension, options)) in CODED.iter().enumerate() {
        // Without checksums or gaps between the frames nothing tells damaged sound from other sound.
        if !matches!(*extension, "flac" | "ogg" | "opus" | "mp2" | "aac") {
            continue;
        }
        let path = dir.path(&format!("{i}.{extension}"));
        if encode(&signal, options, &path).is_none() {
            return;
        }
        let mut bytes = std::fs::read(&path).expect("file");
        let middle = bytes.len() / 2;
        bytes[middle..middle + 2_000].fill(0x5a);
        let damaged = dir.file(&format!("damaged.{extension}"), &bytes);
        let error = decode::read(&damaged).expect_err("damage");
        let partita::Error::CorruptAudio { time_s, .. } = error else { panic!("{extension} {options}: {error}") };
        assert!((0.5..2.5).contains(&time_s), "{extension} {options}: at {time_s} s");
        // All before it is there.
        let mut reader = Reader::open(&damaged).expect("header");
        let n_whole = (time_s * f64::from(reader.sample_rate())).floor() as u64;
        assert_eq!(decode::read_rest(&mut reader, Some(n_whole)).expect("whole part").n_samples() as u64, n_whole);
    }
}

#[test]
fn a_lost_mp3_frame_is_noticed() {
    let dir = Dir::new();
    let (signal, path) = (dir.signal(2, 48_000, 4 * 48_000), dir.path("a.mp3"));
    if encode(&signal, "-b:a 128k -write_xing 0 -id3v2_version 0 -write_id3v1 1", &path).is_none() {
        return;
    }
    let mut bytes = std::fs::read(&path).expect("file");
    let padded = [b"ID3\x04\0\0\0\0\0\x05hello".as_slice(), &[0; 100], &bytes].concat();
    let whole = decode::read(&path).expect("MP3");
    assert_eq!(decode::read(&dir.file("c.mp3", &padded)).expect("padding behind the tag"), whole);
    bytes.drain(384 * 80 - 100..384 * 80 + 100);
    let (message, _) = refusal(&dir, &dir.file("b.mp3", &bytes));
    assert_eq!(message, "`b.mp3` is damaged at 1.9 s: a frame is damaged");
}

#[test]
fn what_cannot_be_decoded_names_its_codec() {
    let dir = Dir::new();
    for (name, n_channels, options, expected) in [
        ("a.m4a", 6, "-c:a aac", "AAC with 6 channels"),
        ("b.aac", 6, "-c:a aac", "AAC with 6 channels"),
        ("c.mka", 2, "-c:a ac3", "AC-3"),
        ("d.mp4", 2, "-c:a ac3", "AC-3"),
        ("e.wma", 2, "-c:a wmav2", "WMA"),
        ("f.wv", 2, "", "WavPack"),
        ("g.wav", 2, "-c:a libmp3lame", "WAV with MP3"),
        ("h.au", 2, "-c:a pcm_s16be", "AU"),
        ("i.w64", 2, "-c:a pcm_s16le", "Wave64"),
        ("j.spx", 1, "-ar 16000 -c:a libspeex -f ogg", "Speex"),
    ] {
        let path = dir.path(name);
        if encode(&dir.signal(n_channels, 48_000, 48_000), options, &path).is_none() {
            return;
        }
        let (message, hint) = refusal(&dir, &path);
        assert_eq!(message, format!("cannot decode `{name}`: {expected} is not supported"));
        let wav = Path::new(name).with_extension(if name.ends_with("wav") { "fixed.wav" } else { "wav" });
        assert_eq!(hint, format!("convert it with `ffmpeg -i {name} {}`", wav.display()));
    }
    let video = dir.path("video.mp4");
    let source = ["-v", "error", "-f", "lavfi", "-i", "color=s=64x64:d=0.2", text(&video)];
    if run("ffmpeg", &source).is_some() {
        assert_eq!(refusal(&dir, &video).0, "`video.mp4` has no audio track");
    }
}

#[test]
fn streams_strung_together_must_be_of_one_kind() {
    let dir = Dir::new();
    let made = [(2, 44_100), (2, 44_100), (1, 44_100), (2, 48_000)].iter().enumerate().map(|(i, &(n, rate))| {
        let path = dir.path(&format!("{i}.ogg"));
        encode(&dir.signal(n, rate, 60_000), &format!("-c:a libvorbis -serial_offset {i}"), &path)?;
        std::fs::read(path).ok()
    });
    let Some(made) = made.collect::<Option<Vec<_>>>() else { return };
    let join = |i: usize, j: usize| dir.file("joined.ogg", &[made[i].as_slice(), &made[j]].concat());
    assert_eq!(decode::read(&join(0, 1)).expect("of one kind").n_samples(), 120_000);
    assert_eq!(
        refusal(&dir, &join(0, 2)).0,
        "`joined.ogg` changes at 1.4 s from 44100 Hz, 2 channels to 44100 Hz, 1 channel"
    );
    assert_eq!(
        refusal(&dir, &join(0, 3)).0,
        "`joined.ogg` changes at 1.4 s from 44100 Hz, 2 channels to 48000 Hz, 2 channels"
    );
}

#[test]
fn he_aac_is_not_read_at_half_its_rate() {
    let dir = Dir::new();
    let path = dir.path("lc.aac");
    if encode(&dir.signal(2, 22_050, 22_050), "-c:a aac", &path).is_none() {
        return;
    }
    let bytes = std::fs::read(&path).expect("file");
    assert!(decode::read(&path).is_ok());
    // Puts a fill element with SBR data of 9 bytes in front of the END element of each frame.
    let mut he = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(&[_, _, _, d, e, f, _]) = rest.first_chunk() {
        let len = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
        let (frame, next) = rest.split_at(len);
        let mut bits: String = frame[7..].iter().map(|byte| format!("{byte:08b}")).collect();
        bits.truncate(bits.rfind("111").expect("END"));
        bits += &format!("110{:04b}1101{}111", 9, "0".repeat(68));
        bits += &"0".repeat(bits.len().next_multiple_of(8) - bits.len());
        let len = 7 + bits.len() / 8;
        let mut head = frame[..7].to_vec();
        head[3] = head[3] & !3 | (len >> 11) as u8;
        head[4] = (len >> 3) as u8;
        head[5] = head[5] & 0x1f | (len << 5) as u8;
        he.extend(head);
        he.extend(
            bits.as_bytes()
                .chunks(8)
                .map(|b| u8::from_str_radix(std::str::from_utf8(b).expect("0/1"), 2).expect("byte")),
        );
        rest = next;
    }
    let (message, _) = refusal(&dir, &dir.file("he.aac", &he));
    assert_eq!(message, "cannot decode `he.aac`: HE-AAC is not supported");
}

// ---- no bytes at all make it panic ---------------------------------------------------------------------------------

/// Reads all there is, and checks the promises that hold for any bytes.
fn read_anything(bytes: &[u8]) {
    let Ok(mut reader) = Reader::from_stream("-", bytes) else { return };
    assert!(reader.n_channels() > 0 && reader.sample_rate() > 0);
    // No format here makes more than 64 thousand samples of a byte, and a bound ends the test.
    for _ in 0..64 {
        match reader.read(16_384) {
            Ok(block) if block.is_empty() => return,
            Ok(block) => assert!(block.iter().all(|x| x.is_finite())),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(reader.read(1).is_ok_and(|block| block.is_empty()));
                return;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_bytes_never_panic(magic in 0..12usize, body in prop::collection::vec(any::<u8>(), 0..600)) {
        let magic: &[u8] = [
            b"".as_slice(), b"RIFF\xff\xff\xff\xffWAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64", b"FORM\0\0\x10\0AIFFCOMM", b"caff\0\x01\0\0desc",
            b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\x1a\x45\xdf\xa3", b"\0\0\0\x10ftypM4A ", b"\xff\xfb\x90\x64",
            b"\xff\xf1\x50\x80", b"ID3\x04\0\0\0\0\0\x0a",
        ][magic];
        read_anything(&[magic, &body].concat());
    }

    #[test]
    fn damaged_headers_never_panic(at in 0..80usize, bytes in prop::collection::vec(any::<u8>(), 1..9), is_rf64: bool) {
        let data = stereo(500);
        let mut file = if is_rf64 { rf64(b"RF64", 1, 2, 16, &data) } else { wav(1, 2, 44_100, 16, &data) };
        let end = (at + bytes.len()).min(file.len());
        file[at..end].copy_from_slice(&bytes[..end - at]);
        read_anything(&file);
    }
}

#[test]
fn damaged_coded_files_never_panic() {
    let dir = Dir::new();
    let signal = dir.signal(2, 44_100, 11_025);
    let mut random = 1u32;
    let mut next = |n: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % n
    };
    for (i, (extension, options)) in CODED.iter().enumerate() {
        let path = dir.path(&format!("{i}.{extension}"));
        if encode(&signal, options, &path).is_none() {
            return;
        }
        let whole = std::fs::read(&path).expect("file");
        for round in 0..40 {
            let mut bytes = whole.clone();
            // Half of the rounds aim at the headers.
            let reach = if round % 2 == 0 { bytes.len() } else { bytes.len().min(600) };
            for _ in 0..1 + next(4) {
                bytes[next(reach)] = next(256) as u8;
            }
            read_anything(&bytes);
        }
    }
}
