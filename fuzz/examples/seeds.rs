//! Writes `seeds/`, from which the fuzzer starts: small files of each kind, by partita's own writers, and by ffmpeg
//! what partita only reads. `cargo run --manifest-path fuzz/Cargo.toml --example seeds`

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use ndarray::{Array2, array};
use partita::atomic::Existing;
use partita::audio::encode::{self, ClipMode, EncodeConfig, FileFormat, SampleFormat, Spec, Writer};
use partita::batch::{Entry, Manifest};
use partita::knowledge::labels::{Component, Identity, Labels, Settings};
use partita::knowledge::score::{Note, Part, Score};
use partita::matrix_file::NpzWriter;
use partita::{Audio, Dictionary, DictionaryConfig, StftConfig};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for target in ["wav", "separate", "score", "matrix", "text_matrix", "labels", "manifest", "dictionary"] {
        fs::create_dir_all(seeds.join(target))?;
    }
    recordings(&seeds.join("wav"), &seeds.join("separate"))?;
    scores(&seeds.join("score"))?;
    matrices(&seeds.join("matrix"), &seeds.join("text_matrix"))?;
    texts(&seeds.join("labels"), &seeds.join("manifest"))?;
    dictionary(&seeds.join("dictionary"))
}

/// Two tones in turn, a little different in each channel.
fn tune(n_channels: usize, n_samples: usize) -> Audio {
    let sample = |(channel, i): (usize, usize)| {
        let hz = if (i / 50) % 2 == 0 { 440.0 } else { 1760.0 };
        0.5 * (std::f32::consts::TAU * (hz + channel as f32) * i as f32 / 8000.0).sin()
    };
    Audio::new(Array2::from_shape_fn((n_channels, n_samples), sample), 8000).expect("a finite tune")
}

fn recordings(wav: &Path, separate: &Path) -> Outcome {
    let config = |file_format, sample_format, clip_mode| EncodeConfig {
        file_format,
        sample_format,
        clip_mode,
        existing: Existing::Replace,
        seed: 0,
    };
    let float = config(FileFormat::Wav, SampleFormat::Float32, ClipMode::None);
    let int16 = config(FileFormat::Wav, SampleFormat::Int16, ClipMode::Clamp);
    let int24 = config(FileFormat::Wav, SampleFormat::Int24, ClipMode::Clamp);
    let flac = config(FileFormat::Flac, SampleFormat::Int16, ClipMode::Clamp);
    encode::write(&wav.join("mono-int16.wav"), &tune(1, 60), &int16)?;
    encode::write(&wav.join("surround-int24.wav"), &tune(6, 20), &int24)?;
    let open_end = wav.join("stereo-float32.wav");
    let audio = tune(2, 40);
    let spec = Spec { n_samples: None, ..Spec::from(&audio) };
    let mut writer = Writer::create(&open_end, spec, 1.0, &float)?;
    writer.write(audio.samples())?;
    writer.finish()?;
    fs::write(wav.join("stereo-float32.rf64"), rf64(fs::read(&open_end)?)?)?;

    let short = separate.join("mono.wav");
    encode::write(&short, &tune(1, 200), &int16)?;
    encode::write(&separate.join("stereo-float32.wav"), &tune(2, 150), &float)?;
    encode::write(&separate.join("stereo.flac"), &tune(2, 1000), &flac)?;
    let others: [(&str, &[&str]); 9] = [
        ("mono.mp3", &["-b:a", "8k", "-ar", "8000", "-write_xing", "0"]),
        ("mono.aiff", &[]),
        ("mono.caf", &[]),
        ("adpcm.wav", &["-c:a", "adpcm_ima_wav", "-block_size", "64"]),
        ("vorbis.ogg", &["-c:a", "libvorbis"]),
        ("opus.ogg", &["-c:a", "libopus"]),
        ("aac.m4a", &["-b:a", "16k"]),
        ("alac.m4a", &["-c:a", "alac"]),
        ("opus.mka", &["-c:a", "libopus"]),
    ];
    for (name, options) in others {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-y", "-loglevel", "error", "-i"]).arg(&short).args(options);
        ffmpeg.args(["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]).arg(separate.join(name));
        if !ffmpeg.status().is_ok_and(|status| status.success()) {
            eprintln!("no {name}: it needs ffmpeg");
        }
    }
    Ok(())
}

/// The RF64 form of a WAV file that was written without knowing its length, and so has room for 64 bits of it.
fn rf64(mut bytes: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    let at = |bytes: &[u8], id: &[u8; 4]| bytes.windows(4).position(|found| found == id).ok_or("no such chunk");
    let (junk, data) = (at(&bytes, b"JUNK")?, at(&bytes, b"data")?);
    let sizes = [bytes.len() as u64 - 8, (bytes.len() - data - 8) as u64, 40];
    bytes[..8].copy_from_slice(b"RF64\xff\xff\xff\xff");
    bytes[junk..junk + 4].copy_from_slice(b"ds64");
    for (i, size) in sizes.iter().enumerate() {
        bytes[junk + 8 + 8 * i..][..8].copy_from_slice(&size.to_le_bytes());
    }
    bytes[data + 4..data + 8].fill(0xff);
    Ok(bytes)
}

fn scores(folder: &Path) -> Outcome {
    let note = |onset_s, pitch| Note { onset_s, offset_s: onset_s + 0.4, pitch, velocity: 80 };
    let mut piano = Part::new("piano", vec![note(0.0, 60), note(0.5, 64), note(0.5, 67)]);
    piano.program = Some(0);
    let drums = Part::drum("kick", vec![note(0.0, 36), note(0.5, 36)]);
    let score = Score { parts: vec![piano, Part::new("violin", vec![note(0.25, 76)]), drums], ..Score::default() };
    fs::write(folder.join("trio.mid"), score.to_midi())?;
    // Format 0 with running status, tempo changes, pedal, controllers and SMPTE timing, none of which partita writes.
    let events = b"\0\xff\x51\x03\x07\xa1\x20\0\xc0\x05\0\xb0\x40\x7f\0\x90\x3c\x40\x10\x40\x40\x20\x3c\0\0\xb0\x40\0\
        \0\xff\x51\x03\x03\xd0\x90\0\x99\x24\x60\x08\x26\x60\x08\x24\0\x81\x00\xb9\x7b\0\0\xff\x2f\0";
    let mut format_0 = b"MThd\0\0\0\x06\0\0\0\x01\xe7\x28MTrk\0\0\0".to_vec();
    format_0.push(events.len() as u8);
    format_0.extend_from_slice(events);
    fs::write(folder.join("format-0.mid"), format_0)?;
    Ok(())
}

fn matrices(folder: &Path, text: &Path) -> Outcome {
    let w = array![[1.0, 0.5], [0.0, 2.0], [3.0, 0.25]];
    let mut writer = NpzWriter::create(&folder.join("factors.npz"), Existing::Replace)?;
    writer.array("W", w.view())?;
    writer.text("info.json", "{}")?;
    writer.array("H", w.t())?;
    writer.finish()?;
    for (name, dtype, order, values) in [
        ("float64.npy", "<f8", "False", [1.0f64, 0.5, 0.0, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect()),
        ("int16-fortran.npy", ">i2", "True", vec![0, 1, 0, 2, 0, 3, 1, 4]),
    ] {
        let header = format!("{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': (2, 2), }}\n");
        let mut bytes = b"\x93NUMPY\x01\0".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        let values: Vec<u8> = values;
        bytes.extend(values);
        fs::write(folder.join(name), bytes)?;
    }
    fs::write(text.join("commas.csv"), "left,\"right\"\n1,2.5\n# a comment\n0,1e3\n,4\n")?;
    fs::write(text.join("spaces.txt"), "1 2 3\n4  5e-1 6\n")?;
    fs::write(text.join("general.mtx"), "%%MatrixMarket matrix coordinate real general\n% c\n2 3 2\n1 1 0.5\n2 3 4\n")?;
    fs::write(text.join("pattern.mtx"), "%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n")?;
    Ok(())
}

fn texts(labels: &Path, manifest: &Path) -> Outcome {
    let component = |index, name: &str, pitch_hz| Component {
        index,
        name: name.into(),
        suggested: "source-1".into(),
        energy_share: 0.25,
        centroid_hz: 440.5,
        pitch_hz,
        onsets_per_s: 1.5,
    };
    let of_two = Labels {
        factors: "labels.npz".into(),
        recording: Identity { sample_rate: 44_100, n_channels: 2, n_samples: 100_000, fingerprint: "0a".into() },
        settings: Settings {
            n_fft: 4096,
            win_length: 4096,
            hop_length: 1024,
            window: "hann".into(),
            mask_exponent: 1.5,
            divergence: "kl".into(),
            seed: "0".into(),
            is_complete: true,
        },
        components: vec![component(1, "flute", Some(220.0)), component(2, "", None)],
    };
    // Without the explanation above it, which has nothing to be read.
    let text = of_two.text()?;
    fs::write(labels.join("two.toml"), text.split_once("\n\n").map_or(&*text, |(_, values)| values))?;

    let path = manifest.join("two.jsonl");
    fs::write(&path, "")?;
    let lines = Manifest::open(&path)?;
    let parameters = serde_json::json!({ "n_fft": 2048, "mask_exponent": 1.5, "command": ["separate"] });
    let done = Entry {
        input: "album/one.wav".into(),
        sha256: "ba78".into(),
        parameters,
        outputs: vec![("out/one/a.wav".into(), 80_044), ("out/one/b.wav".into(), 80_044)],
        duration_s: 12.34567,
        warnings: vec!["it is quiet".into()],
        error: None,
    };
    lines.add(&done)?;
    let failed =
        Entry { input: "two.wav".into(), outputs: Vec::new(), error: Some("`two.wav` is empty".into()), ..done };
    lines.add(&failed)?;
    Ok(())
}

fn dictionary(folder: &Path) -> Outcome {
    let stft = StftConfig::new(8);
    let mut dictionary = Dictionary::new(8000, stft, 2)?;
    let config = DictionaryConfig { n_components: 2, n_context: 2, max_iter: 3, seed: 0 };
    for (name, low) in [("flute", 0), ("violin", 2)] {
        let frames = Array2::from_shape_fn((6, 5), |(i, j)| if j == low + i % 3 { 1.0 } else { 0.1 });
        dictionary.learn(name, &[frames.view()], &config)?;
    }
    dictionary.save(&folder.join("two.safetensors"), Existing::Replace)?;
    Ok(())
}
