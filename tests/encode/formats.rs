//! What comes back from each format, by which reader.

use std::fs;
use std::process::Command;

use ndarray::{Array2, s};
use partita::Audio;
use partita::atomic::Existing;
use partita::audio::decode;
use partita::audio::encode::{self, EncodeConfig, FileFormat, SampleFormat, Spec, Writer};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::made::{ffmpeg, installed, integers, interleaved, noise, read_flac, write_integers};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn wav_comes_back_from_hound_and_from_our_reader(
        n_channels in 1_usize..9, n_samples in 0_usize..6_000, seed: u64, mask in 0_usize..3, known: bool,
        format in 0_usize..3,
    ) {
        let sample_format = SampleFormat::ALL[format];
        let samples = noise(n_channels, n_samples, seed);
        let audio = Audio::new(samples.clone(), 44_100)?.with_channel_mask([None, Some(0), Some(0x3F)][mask]);
        let folder = tempdir()?;
        let path = folder.path().join("x.wav");
        let config = EncodeConfig { sample_format, ..EncodeConfig::default() };
        let n_known = known.then_some(n_samples as u64);
        let mut writer = Writer::create(&path, Spec { n_samples: n_known, ..(&audio).into() }, 1.0, &config)?;
        writer.write(samples.view())?;
        writer.finish()?;

        // hound writes what has a known length, and our own writer the rest: each is read by the other, too.
        let mut reader = hound::WavReader::open(&path).unwrap();
        prop_assert_eq!(usize::from(reader.spec().channels), n_channels);
        prop_assert_eq!(reader.spec().sample_rate, 44_100);
        prop_assert_eq!(reader.duration() as usize, n_samples);
        let ours = decode::read(&path)?;
        prop_assert_eq!((ours.sample_rate(), ours.samples().dim()), (44_100, (n_channels, n_samples)));
        let names_all = |mask: &u32| mask.count_ones() as usize == n_channels;
        prop_assert_eq!(ours.channel_mask(), audio.channel_mask().filter(names_all));
        let ours = interleaved(&ours.samples().to_owned());
        if sample_format == SampleFormat::Float32 {
            let read: Vec<f32> = reader.samples().map(Result::unwrap).collect();
            prop_assert_eq!(&read, &interleaved(&samples));
            prop_assert_eq!(ours, read);
        } else {
            let read: Vec<i32> = reader.samples().map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), n_channels * n_samples);
            let (scale, tolerance) = match sample_format {
                SampleFormat::Int24 => (8_388_608.0, 0.5), // the nearest
                _ => (32_768.0, 1.5),                      // dither of 1 and rounding of 0.5
            };
            // Exact: 24 bits fit, and the scale is a power of two.
            prop_assert!(ours.iter().zip(&read).all(|(x, &got)| f64::from(*x) * scale == f64::from(got)));
            for (got, x) in read.into_iter().zip(interleaved(&samples)) {
                let exact = f64::from(x) * scale;
                prop_assert!((f64::from(got) - exact).abs() <= tolerance, "{got} for {exact}");
            }
        }
    }

    #[test]
    fn flac_comes_back_from_symphonia(
        n_channels in 1_usize..9, n_samples in 1_usize..10_000, seed: u64, is_16_bit: bool,
        rate in prop::sample::select(vec![1_u32, 7_999, 8_000, 11_025, 44_100, 48_000, 65_537, 70_001, 88_200, 96_000]),
    ) {
        let n_bits = if is_16_bit { 16 } else { 24 };
        let samples = integers(n_channels, n_samples, n_bits, seed);
        let folder = tempdir()?;
        let path = folder.path().join("x.flac");
        let held = write_integers(&path, &samples, n_bits, rate);
        let (read, read_rate) = read_flac(&path, n_bits);
        prop_assert_eq!(read_rate, rate);
        prop_assert!(read == held, "{n_bits} bits, {n_channels} x {n_samples}");
    }
}

#[test]
fn flac_of_every_odd_length_and_channel_count_comes_back_from_ffmpeg() {
    let Some(()) = installed("ffmpeg") else { return };
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.flac");
    // None; one; around flacenc's shortest predicted block of 64; around the block of 4096; several blocks.
    let lengths = [0, 1, 2, 15, 16, 63, 65, 4_095, 4_096, 4_097, 12_289];
    let shapes =
        lengths.map(|n_samples| (2, n_samples)).into_iter().chain((1..=8).map(|n_channels| (n_channels, 4_097)));
    for ((n_channels, n_samples), n_bits) in shapes.flat_map(|shape| [(shape, 16), (shape, 24)]) {
        let samples = integers(n_channels, n_samples, n_bits, 7);
        let held = write_integers(&path, &samples, n_bits, 44_100);
        let held: Vec<u8> = held.iter().flat_map(|x| x.to_le_bytes()[..n_bits / 8].to_vec()).collect();
        assert!(ffmpeg(&path, &format!("s{n_bits}le")) == held, "{n_bits} bits, {n_channels} x {n_samples}");
    }
}

#[test]
fn sox_reads_every_format() {
    let Some(()) = installed("sox") else { return };
    let folder = tempdir().unwrap();
    let samples = integers(2, 10_001, 16, 3).mapv(|x| x as f32 / 32_768.0);
    let audio = Audio::new(samples.clone(), 48_000).unwrap();
    for (file_format, sample_format) in [
        (FileFormat::Wav, SampleFormat::Float32),
        (FileFormat::Wav, SampleFormat::Int24),
        (FileFormat::Flac, SampleFormat::Int24),
    ] {
        let path = folder.path().join(format!("{}.{}", sample_format.name(), file_format.extension()));
        encode::write(&path, &audio, &EncodeConfig { file_format, sample_format, ..EncodeConfig::default() }).unwrap();
        let output = Command::new("sox").arg(&path).args(["-t", "f32", "-"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let expected: Vec<u8> = interleaved(&samples).into_iter().flat_map(f32::to_le_bytes).collect();
        assert!(output.stdout == expected, "{path:?}");
    }
}

#[test]
fn channel_layouts_reach_ffmpeg() {
    let Some(()) = installed("ffprobe") else { return };
    let folder = tempdir().unwrap();
    for (file_format, n_channels, channel_mask, expected) in [
        (FileFormat::Wav, 1, None, "mono"),
        (FileFormat::Wav, 1, Some(0x1), "1 channels (FL)"),
        (FileFormat::Wav, 2, Some(0x30), "2 channels (BL+BR)"),
        (FileFormat::Wav, 4, Some(0x33), "quad"),
        (FileFormat::Wav, 4, None, "unknown"),
        (FileFormat::Wav, 6, Some(0x3F), "5.1"),
        (FileFormat::Wav, 6, Some(0x60F), "5.1(side)"),
        (FileFormat::Flac, 1, None, "mono"),
        (FileFormat::Flac, 2, Some(0x3), "stereo"),
        (FileFormat::Flac, 4, Some(0x33), "quad"),
        (FileFormat::Flac, 4, Some(0x107), "4.0"),
        (FileFormat::Flac, 6, Some(0x60F), "5.1(side)"),
    ] {
        let path = folder.path().join(format!("x.{}", file_format.extension()));
        let audio = Audio::new(Array2::zeros((n_channels, 100)), 48_000).unwrap().with_channel_mask(channel_mask);
        let sample_format = file_format.default_sample_format();
        let config =
            EncodeConfig { file_format, sample_format, existing: Existing::Replace, ..EncodeConfig::default() };
        encode::write(&path, &audio, &config).unwrap();
        let probe = ["-v", "error", "-show_entries", "stream=channel_layout", "-of", "default=nk=1:nw=1"];
        let output = Command::new("ffprobe").args(probe).arg(&path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{file_format:?} {channel_mask:x?}");
    }
}

#[test]
fn speakers_of_every_sample_format_come_back() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    for (sample_format, n_channels, channel_mask, n_samples) in SampleFormat::ALL.into_iter().flat_map(|format| {
        // hound's header has no place for the speakers of two channels of int16.
        [(1, None), (2, None), (1, Some(0x1)), (2, Some(0x30)), (4, Some(0x33)), (4, None)]
            .into_iter()
            .flat_map(move |(n, mask)| [(format, n, mask, Some(10)), (format, n, mask, None)])
    }) {
        let config = EncodeConfig { sample_format, existing: Existing::Replace, ..EncodeConfig::default() };
        let spec = Spec { sample_rate: 48_000, n_channels, channel_mask, n_samples };
        let mut writer = Writer::create(&path, spec, 1.0, &config).unwrap();
        writer.write(Array2::zeros((n_channels, 10)).view()).unwrap();
        writer.finish().unwrap();
        let read = decode::read(&path).unwrap();
        assert_eq!((read.n_channels(), read.channel_mask()), (n_channels, channel_mask), "{sample_format:?}");
    }
}

#[test]
fn the_partition_into_blocks_changes_no_bit() {
    let folder = tempdir().unwrap();
    let samples = noise(2, 20_000, 5);
    for (file_format, sample_format) in [
        (FileFormat::Wav, SampleFormat::Float32),
        (FileFormat::Wav, SampleFormat::Int16),
        (FileFormat::Flac, SampleFormat::Int16),
        (FileFormat::Flac, SampleFormat::Int24),
    ] {
        let config =
            EncodeConfig { file_format, sample_format, existing: Existing::Replace, ..EncodeConfig::default() };
        let files = [20_000, 4_096, 777].map(|block| {
            let path = folder.path().join("x");
            let spec = Spec { sample_rate: 44_100, n_channels: 2, channel_mask: None, n_samples: Some(20_000) };
            let mut writer = Writer::create(&path, spec, 1.0, &config).unwrap();
            for start in (0..20_000).step_by(block) {
                writer.write(samples.slice(s![.., start..(start + block).min(20_000)])).unwrap();
            }
            writer.finish().unwrap();
            fs::read(&path).unwrap()
        });
        assert!(files[0] == files[1] && files[0] == files[2], "{file_format:?} {sample_format:?}");
    }
}

#[test]
fn stems_can_be_written_by_several_threads() {
    fn is_send<T: Send>() {}
    is_send::<Writer>();
}

#[test]
fn a_loud_square_wave_in_24_bit_flac_stays_smaller_than_its_samples() {
    // flacenc alone makes 600 MB of one second of this, see its issue 246.
    let samples = Array2::from_shape_fn((1, 48_000), |(_, i)| if (i / 109) % 2 == 0 { 6_710_886 } else { -6_710_886 });
    let folder = tempdir().unwrap();
    let path = folder.path().join("square.flac");
    let held = write_integers(&path, &samples, 24, 48_000);
    let n_bytes = fs::metadata(&path).unwrap().len();
    // 12 frames, each with a header and a checksum of less than 20 bytes.
    assert!(n_bytes <= 3 * 48_000 + 42 + 12 * 20, "{n_bytes} bytes");
    assert!(read_flac(&path, 24).0 == held);
}
