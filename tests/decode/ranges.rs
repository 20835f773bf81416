//! Any range of a recording is the same part of the whole, bit for bit, whatever it is read from.

use std::ops::Range;
use std::path::PathBuf;

use ndarray::{Array2, ArrayView2, Axis, s};
use partita::audio::decode::{AudioFile, read};
use partita::audio::encode::{self, EncodeConfig, FileFormat, SampleFormat};
use partita::audio::resample::Resampled;
use partita::audio::{Audio, Recording};
use partita::{Error, Result};
use proptest::prelude::*;

use crate::files::{Dir, stereo, wav};

/// What a range hands over.
fn samples(recording: &dyn Recording, range: Range<u64>) -> Result<Array2<f32>> {
    let mut all = Array2::zeros((recording.n_channels(), 0));
    recording.read_range(range, &mut |block| {
        assert!(block.ncols() > 0, "an empty block");
        all.append(Axis(1), block).expect("channels");
        Ok(())
    })?;
    Ok(all)
}

/// The same part of the whole.
fn part(whole: ArrayView2<'_, f32>, range: &Range<u64>) -> Array2<f32> {
    let at = |sample: u64| (sample as usize).min(whole.ncols());
    whole.slice(s![.., at(range.start)..at(range.end).max(at(range.start))]).to_owned()
}

/// A recording that knows no range of its own.
struct Plain<'a>(&'a Audio);

impl Recording for Plain<'_> {
    fn sample_rate(&self) -> u32 {
        self.0.sample_rate()
    }

    fn n_channels(&self) -> usize {
        self.0.n_channels()
    }

    fn channel_mask(&self) -> Option<u32> {
        None
    }

    fn n_samples_hint(&self) -> Option<u64> {
        None
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        self.0.read(sink)
    }
}

fn noise(n_channels: usize, n_samples: usize) -> Audio {
    let samples = Array2::from_shape_fn((n_channels, n_samples), |(channel_idx, i)| {
        (((i + 1) * (i + 7 * channel_idx) % 8191) as f32 - 4095.0) / 4096.0
    });
    Audio::new(samples, 8000).expect("audio")
}

/// The recording in a file of each kind.
fn files(dir: &Dir, audio: &Audio) -> Vec<PathBuf> {
    let wavs = SampleFormat::ALL.map(|sample_format| (FileFormat::Wav, sample_format));
    let write = |(file_format, sample_format): (FileFormat, SampleFormat)| {
        let path = dir.path(&format!("{}.{}", sample_format.name(), file_format.extension()));
        let config = EncodeConfig { file_format, sample_format, ..EncodeConfig::default() };
        encode::write(&path, audio, &config).expect("written");
        path
    };
    wavs.into_iter().chain([(FileFormat::Flac, SampleFormat::Int16)]).map(write).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_range_is_the_same_part_of_the_whole(
        n_channels in 1_usize..4, n_samples in 0_usize..150_000, start in 0_u64..160_000, n_wanted in 0_u64..160_000,
        excerpt in prop::option::of((0_u64..160_000, prop::option::of(0_u64..160_000))),
    ) {
        let (audio, dir, range) = (noise(n_channels, n_samples), Dir::new(), start..start + n_wanted);
        let expected = part(audio.samples(), &range);
        prop_assert!(samples(&audio, range.clone())? == expected, "in memory");
        prop_assert!(samples(&Plain(&audio), range.clone())? == expected, "by reading it all");
        for path in files(&dir, &audio) {
            let whole = read(&path)?;
            let file = AudioFile::open(&path)?;
            prop_assert!(samples(&file, range.clone())? == part(whole.samples(), &range), "{}", path.display());
            // Counted from the start of the excerpt, and cut at its end.
            let Some((first, n_excerpt)) = excerpt.filter(|(first, _)| *first <= n_samples as u64) else { continue };
            let in_s = |n_samples: u64| n_samples as f64 / 8000.0;
            let file = file.with_excerpt(in_s(first), n_excerpt.map(in_s));
            let end = n_excerpt.map_or(u64::MAX, |n_excerpt| first + n_excerpt);
            let expected = part(part(whole.samples(), &(first..end)).view(), &range);
            prop_assert!(samples(&file, range.clone())? == expected, "{} with an excerpt", path.display());
        }
    }
}

#[test]
fn a_range_may_begin_and_end_anywhere() {
    let (audio, dir) = (noise(2, 70_000), Dir::new());
    let resampled = Resampled::new(&audio, 8000);
    let files: Vec<_> = files(&dir, &audio).iter().map(|path| AudioFile::open(path).expect("opened")).collect();
    let mut recordings: Vec<&dyn Recording> = vec![&audio, &resampled];
    recordings.extend(files.iter().map(|file| file as &dyn Recording));
    for recording in recordings {
        #[expect(clippy::reversed_empty_ranges, reason = "a caller may ask for one")]
        for (range, expected) in [
            (0..u64::MAX, 70_000),
            (0..0, 0),
            (9..9, 0),
            (9..3, 0),
            (65_536..65_537, 1),
            (69_999..70_001, 1),
            (70_000..70_001, 0),
            (u64::MAX - 1..u64::MAX, 0),
        ] {
            assert_eq!(samples(recording, range.clone()).expect("read").ncols(), expected, "{range:?}");
        }
    }
}

#[test]
fn what_is_wrong_behind_a_range_does_not_matter() {
    let dir = Dir::new();
    let mut bytes = wav(1, 2, 44_100, 16, &stereo(44_100));
    bytes.truncate(44 + 4 * 11_025);
    let cut_off = AudioFile::open(&dir.file("cut.wav", &bytes)).expect("header");
    assert_eq!(samples(&cut_off, 11_000..11_025).expect("all there").ncols(), 25);
    for range in [11_000..11_026, 11_025..11_026, 20_000..20_001] {
        let error = samples(&cut_off, range.clone()).expect_err("cut off");
        assert!(matches!(error, Error::AudioCutOff { .. }), "{range:?}: {error}");
    }

    let path = files(&dir, &noise(2, 100_000)).pop().expect("FLAC");
    let mut bytes = std::fs::read(&path).expect("bytes");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 2000].fill(0x5a);
    let damaged = AudioFile::open(&dir.file("damaged.flac", &bytes)).expect("header");
    assert_eq!(samples(&damaged, 1000..20_000).expect("before the damage").ncols(), 19_000);
    let error = samples(&damaged, 1000..100_000).expect_err("damage");
    assert!(matches!(error, Error::CorruptAudio { .. }), "{error}");
}

#[test]
fn an_error_of_the_sink_ends_the_reading() {
    let (audio, dir) = (noise(1, 200_000), Dir::new());
    let file = AudioFile::open(&files(&dir, &audio)[0]).expect("opened");
    for recording in [&audio as &dyn Recording, &Plain(&audio), &file] {
        let mut n_blocks = 0;
        let read = recording.read_range(10..200_000, &mut |_| {
            n_blocks += 1;
            Err(Error::Cancelled)
        });
        assert!(matches!(read, Err(Error::Cancelled)) && n_blocks == 1, "{n_blocks} blocks");
    }
}
