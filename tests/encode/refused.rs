//! What is refused, with what would do.

use partita::Error;
use partita::audio::encode::{EncodeConfig, FileFormat, Spec, Writer};
use tempfile::tempdir;

use crate::made::{flac_config, noise, refused, stereo};

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
