//! Dither, full scale, and what lies beyond it.

use ndarray::Array2;
use partita::Audio;
use partita::audio::decode;
use partita::audio::encode::{self, ClipMode, EncodeConfig, FileFormat, SampleFormat, rescale_gain};
use partita::audio::loudness::Meter;
use proptest::prelude::*;
use tempfile::tempdir;

use crate::made::{float32, held, int16, names, noise};

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

#[test]
fn the_loudness_is_that_of_what_is_written() {
    let folder = tempdir().unwrap();
    let sound = Audio::new(noise(2, 60_000, 5).mapv(|x| 1.5 * x), 48_000).unwrap();
    for (name, file_format, sample_format, clip_mode) in [
        ("clamped.wav", FileFormat::Wav, SampleFormat::Int16, ClipMode::Clamp),
        ("rescaled.flac", FileFormat::Flac, SampleFormat::Int24, ClipMode::Rescale),
        ("float.wav", FileFormat::Wav, SampleFormat::Float32, ClipMode::None),
    ] {
        let path = folder.path().join(name);
        let config = EncodeConfig { file_format, sample_format, clip_mode, loudness: true, ..EncodeConfig::default() };
        let written = encode::write(&path, &sound, &config).unwrap();
        let read = decode::read(&path).unwrap();
        let mut meter = Meter::new(48_000, 2, None).unwrap();
        meter.add(&read.samples().t().iter().copied().collect::<Vec<_>>());
        assert_eq!(written.loudness, Some(meter.finish()), "{name}");
    }
    let config = EncodeConfig { existing: partita::atomic::Existing::Replace, ..EncodeConfig::default() };
    let written = encode::write(&folder.path().join("float.wav"), &sound, &config).unwrap();
    assert_eq!(written.loudness, None, "measured only where it is asked for");
}
