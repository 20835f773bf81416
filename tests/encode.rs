//! What is written comes back, exactly, from readers that did not write it: our own, hound, symphonia, ffmpeg and SoX.
#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in their helpers")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use ndarray::{Array2, s};
use partita::{
    Audio, Error,
    atomic::{self, AtomicFile, Existing},
    audio::decode,
    audio::encode::{self, ClipMode, EncodeConfig, FileFormat, SampleFormat, Spec, Writer, rescale_gain},
};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::{TempDir, tempdir};

// ---- what comes back ---------------------------------------------------------------------------------------------

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

// ---- dither ------------------------------------------------------------------------------------------------------

#[test]
fn dither_leaves_an_error_of_constant_power_and_no_trace_of_the_sound() {
    // A sine of 0.6 steps: without dither it would become a square wave, or silence.
    let n_samples = 400_000;
    let sine = |i: usize| 0.6 * (std::f64::consts::TAU * i as f64 / 100.0).sin();
    let samples = Array2::from_shape_fn((1, n_samples), |(_, i)| (sine(i) / 32_768.0) as f32);
    let read = int16(&samples, 0);
    let errors: Vec<f64> = (0..n_samples).map(|i| f64::from(read[i]) - 32_768.0 * f64::from(samples[[0, i]])).collect();
    let mean_of = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n_samples as f64;

    // Rounding (1/12) and triangular dither (1/6) make a variance of 1/4 step^2, so the mean of 400,000 errors has a
    // standard deviation of 0.5 / sqrt(400,000) = 0.0008: 5 of them.
    let mean = mean_of(&mut errors.iter().copied());
    assert!(mean.abs() < 0.004, "mean error of {mean} steps");
    // The error's fourth moment is below 1/4, so its square deviates by less than 0.5 / sqrt(400,000).
    let power = mean_of(&mut errors.iter().map(|e| e * e));
    assert!((power - 0.25).abs() < 0.004, "error power of {power} steps^2");
    // Neither does the error follow the sine or its third harmonic (distortion), nor its power the sine's power, which
    // swings at twice the frequency (noise that breathes): same deviation, times the tone's 0.7.
    for harmonic in [1, 3] {
        let phase = |i: usize| std::f64::consts::TAU * (harmonic * i) as f64 / 100.0;
        let distortion = mean_of(&mut errors.iter().enumerate().map(|(i, e)| e * phase(i).sin()));
        let breathing = mean_of(&mut errors.iter().enumerate().map(|(i, e)| e * e * (2.0 * phase(i)).cos()));
        assert!(distortion.abs() < 0.003 && breathing.abs() < 0.003, "{distortion}, {breathing} at {harmonic}");
    }
    // White: neighbors know nothing of each other.
    let correlation = mean_of(&mut errors.windows(2).map(|pair| pair[0] * pair[1]));
    assert!(correlation.abs() < 0.002, "{correlation}");
}

#[test]
fn dither_depends_on_the_seed_alone_and_leaves_silence_silent() {
    let samples = noise(2, 5_000, 1);
    assert_eq!(int16(&samples, 3), int16(&samples, 3));
    assert_ne!(int16(&samples, 3), int16(&samples, 4));
    assert!(int16(&Array2::zeros((2, 5_000)), 3).iter().all(|&x| x == 0));
}

// ---- levels ------------------------------------------------------------------------------------------------------

#[test]
fn integers_reach_full_scale_and_wrap_nowhere() {
    let samples = Array2::from_shape_vec((1, 4), vec![1.0, -1.0, f32::MIN_POSITIVE, 0.5]).unwrap();
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let config = EncodeConfig { sample_format: SampleFormat::Int24, ..EncodeConfig::default() };
    encode::write(&path, &Audio::new(samples, 8_000).unwrap(), &config).unwrap();
    assert_eq!(held(&path, 24), [8_388_607, -8_388_608, 0, 4_194_304]);
}

#[test]
fn float32_keeps_what_lies_beyond_full_scale() {
    let samples = Array2::from_shape_vec((1, 2), vec![3.5, -1e12]).unwrap();
    assert_eq!(float32(&samples, ClipMode::None).0, [3.5, -1e12]);
}

#[test]
fn clamp_sets_to_full_scale_and_counts() {
    let samples = Array2::from_shape_vec((1, 4), vec![3.5, -1e12, 1.0, 0.25]).unwrap();
    assert_eq!(float32(&samples, ClipMode::Clamp), (vec![1.0, -1.0, 1.0, 0.25], 2, 1.0));
}

#[test]
fn rescale_applies_one_gain_where_something_is_beyond() {
    let loud = Array2::from_shape_vec((1, 3), vec![-2.0, 1.0, 0.5]).unwrap();
    assert_eq!(float32(&loud, ClipMode::Rescale), (vec![-1.0, 0.5, 0.25], 0, 0.5));
    let quiet = Array2::from_shape_vec((1, 2), vec![-1.0, 0.5]).unwrap();
    assert_eq!(float32(&quiet, ClipMode::Rescale), (vec![-1.0, 0.5], 0, 1.0));
}

#[test]
fn a_sample_beyond_full_scale_is_refused_for_integers_with_its_place() {
    let mut samples = Array2::zeros((2, 10_000));
    samples[[1, 9_000]] = -1.25;
    let audio = Audio::new(samples, 1_000).unwrap();
    let folder = tempdir().unwrap();
    for sample_format in [SampleFormat::Int16, SampleFormat::Int24] {
        let config = EncodeConfig { sample_format, ..EncodeConfig::default() };
        let error = encode::write(&folder.path().join("x.wav"), &audio, &config).unwrap_err();
        assert!(error.to_string().ends_with("channel 2 reaches -1.25 at 9.000 s, expected -1 to 1"), "{error}");
        assert!(error.hint().unwrap().contains("`clip_mode rescale`"));
    }
    assert_eq!(names(&folder), [""; 0]);
}

proptest! {
    #[test]
    fn rescaled_samples_are_within_full_scale(peak in 0.0_f32..f32::MAX, small in 1.0_f32..1.001) {
        for (peak, format) in [peak, small].into_iter().flat_map(|p| SampleFormat::ALL.map(|f| (p, f))) {
            let gain = rescale_gain(peak, format);
            prop_assert!(gain > 0.0 && gain <= 1.0 && gain * peak <= 1.0, "{peak} x {gain}");
            if peak <= 1.0 {
                prop_assert_eq!(gain, 1.0);
            }
        }
    }
}

// ---- whole or not at all -----------------------------------------------------------------------------------------

#[test]
fn nothing_is_seen_before_the_end_and_nothing_left_by_a_drop() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    for file_format in FileFormat::ALL {
        let sample_format = file_format.default_sample_format();
        let config = EncodeConfig { file_format, sample_format, ..EncodeConfig::default() };
        let mut writer = Writer::create(&path, stereo(None), 1.0, &config).unwrap();
        writer.write(noise(2, 100_000, 1).view()).unwrap();
        assert!(!path.exists());
        assert!(names(&folder).iter().all(|name| name.starts_with(".partita-") && name.ends_with(".tmp")));
        drop(writer);
        assert_eq!(names(&folder), [""; 0]);
    }
}

#[test]
fn a_file_that_exists_is_refused_before_any_work_and_again_at_the_end() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let mut writer = Writer::create(&path, stereo(None), 1.0, &EncodeConfig::default()).unwrap();
    writer.write(noise(2, 10, 1).view()).unwrap();
    fs::write(&path, "mine").unwrap();
    assert!(matches!(writer.finish(), Err(Error::FileExists { .. })));

    let error = Writer::create(&path, stereo(None), 1.0, &EncodeConfig::default()).unwrap_err();
    assert!(matches!(error, Error::FileExists { .. }), "{error}");
    assert!(error.hint().unwrap().contains("`overwrite`"));
    assert_eq!((fs::read(&path).unwrap(), names(&folder)), (b"mine".to_vec(), vec!["x.wav".to_owned()]));
}

#[test]
fn a_file_that_may_be_replaced_is_kept_until_the_new_one_is_whole() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    fs::write(&path, "mine").unwrap();
    let config = EncodeConfig { existing: Existing::Replace, ..EncodeConfig::default() };
    let mut writer = Writer::create(&path, stereo(Some(5)), 1.0, &config).unwrap();
    writer.write(noise(2, 4, 1).view()).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(error.to_string().ends_with("got 4 samples per channel, expected 5"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");

    let mut writer = Writer::create(&path, stereo(Some(5)), 1.0, &config).unwrap();
    writer.write(noise(2, 5, 1).view()).unwrap();
    assert!(matches!(writer.write(noise(2, 1, 1).view()), Err(Error::SampleCount { expected: 5, got: 6, .. })));
    writer.finish().unwrap();
    assert_eq!((names(&folder), decode::read(&path).unwrap().n_samples()), (vec!["x.wav".to_owned()], 5));
}

#[test]
fn folders_are_made_and_what_is_no_file_is_refused() {
    let folder = tempdir().unwrap();
    let inside = folder.path().join("a/b/x.txt");
    atomic::write(&inside, b"1", Existing::Refuse).unwrap();
    assert_eq!(fs::read(&inside).unwrap(), b"1");

    for existing in [Existing::Refuse, Existing::Replace] {
        let error = AtomicFile::create(&folder.path().join("a"), existing).unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
        let error = AtomicFile::create(&inside.join("below.txt"), existing).unwrap_err();
        assert!(matches!(error, Error::CreateFolder { .. }), "{error}");
        assert!(error.hint().unwrap().contains("a file is where a folder is needed"), "{error:?}");
        let long = folder.path().join("x".repeat(300));
        let error = AtomicFile::create(&long, existing).unwrap_err();
        assert!(matches!(error, Error::WriteFile { .. }) && error.hint().is_some(), "{error:?}");
    }
    for name in ["", "..", "new/", "new/.."] {
        let error = AtomicFile::create(Path::new(name), Existing::Refuse).unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    }
    assert_eq!(names(&folder), ["a"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_to_is_reported_with_its_cause_and_a_hint() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.path().join("y"), "").is_ok() {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    let error = AtomicFile::create(&folder.path().join("x.wav"), Existing::Refuse).unwrap_err();
    assert!(
        matches!(error, Error::WriteFile { .. })
            && error.hint().unwrap().contains("choose a folder that you may write to"),
        "{error:?}"
    );
    assert!(std::error::Error::source(&error).unwrap().to_string().starts_with("Permission denied"));
}

#[cfg(unix)]
#[test]
fn devices_are_refused_and_links_followed() {
    let error = atomic::write(Path::new("/dev/null"), b"", Existing::Replace).unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");

    let folder = tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    atomic::write(&link, b"new", Existing::Replace).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert!(link.is_symlink());
}

#[cfg(unix)]
#[test]
fn permissions_are_those_of_an_ordinary_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let (ours, ordinary) = (folder.path().join("ours"), folder.path().join("ordinary"));
    atomic::write(&ours, b"", Existing::Refuse).unwrap();
    fs::write(&ordinary, "").unwrap();
    let [ours, ordinary] = [ours, ordinary].map(|path| fs::metadata(path).unwrap().permissions().mode());
    assert_eq!(ours, ordinary, "{ours:o}, expected {ordinary:o}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_has_a_hint() {
    let source = fs::write("/dev/full", "x").unwrap_err(); // fails as on a full disk
    let error = Error::WriteFile { path: "x.wav".into(), source };
    assert!(error.hint().unwrap().contains("free some space"), "{error:?}");
}

// ---- what is refused ---------------------------------------------------------------------------------------------

#[test]
fn float32_flac_is_refused() {
    let config = EncodeConfig { file_format: FileFormat::Flac, ..EncodeConfig::default() };
    refused(
        &config,
        &stereo(None),
        "`sample_format` is float32, expected int16 or int24 in a FLAC file",
        "`sample_format int24`",
    );
}

#[test]
fn flac_of_more_than_8_channels_is_refused() {
    let spec = Spec { n_channels: 9, ..stereo(None) };
    let expected = "`n_channels` is 9, expected 1 to 8 in a FLAC file of int24 samples";
    refused(&flac_config(), &spec, expected, "`file_format wav`");
}

#[test]
fn flac_of_more_than_96_khz_is_refused() {
    let spec = Spec { sample_rate: 192_000, ..stereo(None) };
    let expected = "`sample_rate` is 192000, expected 1 to 96000 Hz in a FLAC file";
    refused(&flac_config(), &spec, expected, "`file_format wav`");
}

#[test]
fn no_channel_no_rate_and_more_channels_than_a_header_holds_are_refused() {
    let wav = EncodeConfig::default();
    let message = |spec: Spec| wav.check(&spec).map_err(|error| error.to_string());
    for n_channels in [0, 16_384] {
        let expected = format!("`n_channels` is {n_channels}, expected 1 to 16383 in a WAV file of float32 samples");
        assert_eq!(message(Spec { n_channels, ..stereo(None) }), Err(expected));
    }
    assert_eq!(message(Spec { n_channels: 16_383, ..stereo(None) }), Ok(()));
    let expected = "`sample_rate` is 0, expected 1 to 4294967295 Hz in a WAV file";
    assert_eq!(message(Spec { sample_rate: 0, ..stereo(None) }), Err(expected.into()));
}

#[test]
fn a_gain_that_is_none_is_refused() {
    let folder = tempdir().unwrap();
    for gain in [0.0, -1.0, 1.5, f32::NAN] {
        let created = Writer::create(&folder.path().join("x.wav"), stereo(None), gain, &EncodeConfig::default());
        assert!(matches!(created, Err(Error::Setting { name: "gain", .. })), "{gain}");
    }
}

#[test]
fn blocks_of_another_shape_and_samples_that_are_no_numbers_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let mut writer = Writer::create(&path, stereo(None), 1.0, &EncodeConfig::default()).unwrap();
    assert!(matches!(writer.write(noise(3, 5, 1).view()), Err(Error::MatrixShape { .. })));
    writer.write(noise(2, 44_100, 1).view()).unwrap();
    let mut broken = noise(2, 44_100, 1);
    broken[[1, 22_050]] = f32::NAN;
    let error = writer.write(broken.view()).unwrap_err();
    assert_eq!(error.to_string(), "channel 2 has a sample that is NaN, at 1.500 s");
}

// ---- helpers -----------------------------------------------------------------------------------------------------

/// Asserts a refusal by [`EncodeConfig::check`], with its message and a part of its hint.
fn refused(config: &EncodeConfig, spec: &Spec, message: &str, hint: &str) {
    let error = config.check(spec).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
}

fn stereo(n_samples: Option<u64>) -> Spec {
    Spec { sample_rate: 44_100, n_channels: 2, channel_mask: None, n_samples }
}

fn flac_config() -> EncodeConfig {
    EncodeConfig { file_format: FileFormat::Flac, sample_format: SampleFormat::Int24, ..EncodeConfig::default() }
}

/// Uniform noise between -1 and 1.
fn noise(n_channels: usize, n_samples: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((n_channels, n_samples), || rng.random_range(-1.0..=1.0))
}

/// Integers that give every kind of FLAC subframe its turn: noise of a level that changes from block to block, on a
/// slow wave, with silence and both ends of the range in between.
fn integers(n_channels: usize, n_samples: usize, n_bits: usize, seed: u64) -> Array2<i32> {
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
fn interleaved<T: Copy>(samples: &Array2<T>) -> Vec<T> {
    samples.t().iter().copied().collect()
}

/// The integers that a file holds, interleaved, by our reader: exact, because 24 bits fit.
fn held(path: &Path, n_bits: usize) -> Vec<i32> {
    let full_scale = (1 << (n_bits - 1)) as f32;
    interleaved(&decode::read(path).unwrap().samples().mapv(|x| (x * full_scale) as i32))
}

/// Writes integers as FLAC, and returns what it must hold: what int16 or int24 WAV holds. For int24 that is
/// the integers themselves, because f32 holds them; for int16 there is dither in between, the same in both files.
fn write_integers(path: &Path, samples: &Array2<i32>, n_bits: usize, sample_rate: u32) -> Vec<i32> {
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
fn read_flac(path: &Path, n_bits: usize) -> (Vec<i32>, u32) {
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
fn float32(samples: &Array2<f32>, clip_mode: ClipMode) -> (Vec<f32>, u64, f32) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let config = EncodeConfig { clip_mode, ..EncodeConfig::default() };
    let written = encode::write(&path, &Audio::new(samples.clone(), 44_100).unwrap(), &config).unwrap();
    let read = interleaved(&decode::read(&path).unwrap().samples().to_owned());
    (read, written.n_clamped, written.gain)
}

/// What int16 WAV holds.
fn int16(samples: &Array2<f32>, seed: u64) -> Vec<i32> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let config = EncodeConfig { sample_format: SampleFormat::Int16, seed, ..EncodeConfig::default() };
    encode::write(&path, &Audio::new(samples.clone(), 44_100).unwrap(), &config).unwrap();
    held(&path, 16)
}

/// Names in a folder.
fn names(folder: &TempDir) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(folder).unwrap().map(name).collect()
}

/// Samples of a file, by ffmpeg.
fn ffmpeg(path: &Path, sample_format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(path).args(["-f", sample_format, "-"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Whether a program is there; says so where it is not, because the test then ends without a result.
fn installed(program: &str) -> Option<()> {
    let run = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if run.is_err() {
        eprintln!("skipped: `{program}` is not installed");
    }
    run.ok().map(|_| ())
}
