//! Files with something odd about them that can be read all the same: read, and what was odd is told.

use ndarray::s;
use partita::audio::decode::{self, Reader};

use crate::files::{Dir, encode, ffmpeg_decode, refusal, rf64, stereo, wav};

/// A WAV file of 16-bit stereo whose data chunk has this size, with bytes behind it.
fn sized(data: &[u8], size: u32, behind: &[u8]) -> Vec<u8> {
    let mut bytes = wav(1, 2, 44_100, 16, data);
    bytes[40..44].copy_from_slice(&size.to_le_bytes());
    bytes.extend(behind);
    bytes
}

#[test]
fn a_wav_whose_sizes_are_a_few_bytes_off_is_read_and_told() {
    let dir = Dir::new();
    let (data, list) = (stereo(1_000), b"LIST\x04\0\0\0INFO".as_slice());
    let whole = decode::read(&dir.file("whole.wav", &wav(1, 2, 44_100, 16, &data))).expect("whole");
    let text = b"an old program wrote this behind the samples, and nothing says what it is; ".repeat(3);
    let left_out = "what follows its end is not known to be sound, and left out: 225 bytes";
    for (what, bytes, n_samples, note) in [
        ("as it should be", sized(&data, 4_000, list), 1_000, ""),
        (
            "header counted in",
            sized(&data, 4_044, b""),
            1_000,
            "its header promises 44 bytes more of samples than there are",
        ),
        ("one too many", sized(&data, 4_001, b""), 1_000, "its header promises 1 byte more of samples than there are"),
        ("one too few", sized(&data, 3_999, b""), 1_000, "its samples are 1 byte longer than its header says"),
        ("two too few", sized(&data, 3_998, list), 1_000, "its samples are 2 bytes longer than its header says"),
        (
            "no whole sample",
            sized(&data[..3_998], 3_998, list),
            999,
            "2 bytes at the end of its samples are no whole sample, and left out",
        ),
        (
            "odd, without padding",
            sized(&data[..3_999], 3_999, list),
            999,
            "3 bytes at the end of its samples are no whole sample, and left out",
        ),
        ("odd chunk without padding behind", sized(&data, 4_000, b"note\x03\0\0\0abcLIST\x04\0\0\0INFO"), 1_000, ""),
        (
            "a size of old",
            sized(&data, 2_000, b""),
            1_000,
            "its header ends it at 0.0 s, but its samples go on: all are read",
        ),
        ("text behind", sized(&data, 4_000, &text), 1_000, left_out),
        ("zeros behind", sized(&data, 4_000, &[0; 999]), 1_000, ""),
    ] {
        let path = dir.file("odd.wav", &bytes);
        let got = decode::read(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(got, whole.excerpt(0, n_samples), "{what}");
        let expected: &[&str] = if note.is_empty() { &[] } else { &[note] };
        assert_eq!(Reader::open(&path).expect("header").notes(), expected, "{what}");
    }
    // Before the samples, too.
    let mut bytes = wav(1, 2, 44_100, 16, &data);
    bytes.splice(12..12, *b"LIST\x05\0\0\0INFOx");
    assert_eq!(decode::read(&dir.file("a.wav", &bytes)).expect("odd chunk"), whole);
    let mut bytes = rf64(b"RF64", 1, 2, 16, &data);
    bytes[28..36].copy_from_slice(&4_044u64.to_le_bytes());
    let odd = dir.file("a.rf64", &bytes);
    assert_eq!(decode::read(&odd).expect("RF64").n_samples(), 1_000);
    assert_eq!(Reader::open(&odd).expect("RF64").notes().len(), 1);
}

#[test]
fn a_wav_that_leaves_its_length_open_is_told_unless_it_comes_from_a_pipe() {
    let dir = Dir::new();
    for (riff, size) in [(u32::MAX, u32::MAX), (0, 0)] {
        let mut bytes = sized(&stereo(1_000), size, b"");
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        let reader = Reader::open(&dir.file("open.wav", &bytes)).expect("header");
        let note = "its header does not say how long it is: it is read to the end of the file";
        assert_eq!(reader.notes(), [note], "{size:#x}");
        let piped = Reader::from_stream("-", bytes.as_slice()).expect("header");
        assert_eq!(piped.notes(), [""; 0], "{size:#x}");
    }
}

#[test]
fn a_wav_that_lacks_more_than_a_few_bytes_is_cut_off() {
    let dir = Dir::new();
    for n_missing in [129, 4_000] {
        let cut = dir.file("cut.wav", &sized(&stereo(10_000), 40_000 + n_missing, b""));
        assert!(refusal(&dir, &cut).0.contains("is cut off"), "{n_missing}");
    }
    // A few bytes are much of a few.
    assert!(refusal(&dir, &dir.file("cut.wav", &sized(&stereo(4), 100, b""))).0.contains("is cut off"));
    let second = [wav(1, 2, 44_100, 16, &stereo(44_100)), sized(&stereo(100), 88_200, b"")].concat();
    assert_eq!(refusal(&dir, &dir.file("two.wav", &second)).0, "`two.wav` is cut off: it ends after 1.0 of 1.5 s");
}

#[test]
fn a_stream_that_begins_in_the_middle_of_a_frame_is_read_from_the_first_whole_one() {
    let dir = Dir::new();
    for (extension, options) in [("mp3", "-b:a 128k"), ("mp3", "-q:a 3 -write_xing 0"), ("mp2", ""), ("aac", "")] {
        let path = dir.path(&format!("whole.{extension}"));
        if encode(&dir.signal(2, 44_100, 88_200), options, &path).is_none() {
            return;
        }
        let bytes = std::fs::read(&path).expect("file");
        for cut in [bytes.len() / 3, bytes.len() / 2 + 77] {
            let part = dir.file(&format!("part.{extension}"), &bytes[cut..]);
            let got = decode::read(&part).unwrap_or_else(|error| panic!("{extension} {options}: {error}"));
            let expected = ffmpeg_decode(&part, 2, &[]).expect("FFmpeg");
            // FFmpeg may lose some frames more, and what the first lack of the ones before them is made up in any way.
            assert!(got.n_samples() >= expected.ncols(), "{extension} {options}: {}", got.n_samples());
            let (got, expected) = (got.samples().slice_move(s![.., -24_000..]), expected.slice_move(s![.., -24_000..]));
            let worst = got.iter().zip(&expected).fold(0.0, |worst: f32, (a, b)| worst.max((a - b).abs()));
            // The noise in AAC is made up of the frames before, too.
            assert!(worst < 1e-4 || extension == "aac", "{extension} {options}: {worst}");
            let notes = Reader::open(&part).expect("header").notes().to_vec();
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(notes[0].starts_with("it begins in the middle of a frame, which is left out: "), "{notes:?}");
        }
        assert_eq!(Reader::open(&path).expect("header").notes(), [""; 0]);
    }
}
