//! Streams that are strung together in one file, and headers that promise less than there is: all of it is read, or it is
//! told what is not. Tags and zeros do no harm.

use std::path::Path;

use ndarray::{Axis, concatenate, s};
use partita::audio::decode::{self, Reader};

use crate::files::{CODED, Dir, encode, refusal, stereo, wav};

/// An `ID3v2` tag with bytes in it that look like frames.
fn id3v2() -> Vec<u8> {
    [b"ID3\x04\0\0\0\0\x02\x01".as_slice(), &b"\xff\xfb\x90\x64".repeat(64), &[0]].concat()
}

fn id3v1() -> Vec<u8> {
    [b"TAG".as_slice(), &[b'x'; 125]].concat()
}

fn ape() -> Vec<u8> {
    let part = |flags: u32| {
        let numbers = [2000u32, 32 + 8, 1, flags].map(u32::to_le_bytes).concat();
        [b"APETAGEX".as_slice(), &numbers, &[0; 8]].concat()
    };
    [part(0xa000_0000), b"\xff\xfb\x90\x64\xff\xfb\x90\x64".to_vec(), part(0x8000_0000)].concat()
}

fn lyrics() -> Vec<u8> {
    let body = b"LYRICSBEGININD00002100LYR00005hello".to_vec();
    let len = body.len();
    [body, format!("{len:06}LYRICS200").into_bytes()].concat()
}

fn notes(path: &Path) -> Vec<String> {
    Reader::open(path).expect("header").notes().to_vec()
}

/// Two recordings of different lengths, encoded alike.
fn pair(dir: &Dir, extension: &str, options: &str) -> Option<[Vec<u8>; 2]> {
    let made = [70_000, 50_000].map(|n_samples| {
        let path = dir.path(&format!("{n_samples}.{extension}"));
        encode(&dir.signal(2, 48_000, n_samples), options, &path)?;
        std::fs::read(path).ok()
    });
    let [Some(a), Some(b)] = made else { return None };
    Some([a, b])
}

#[test]
fn files_strung_together_are_read_to_the_end_of_the_last() {
    let dir = Dir::new();
    let more = [("flac", "-sample_fmt s32"), ("caf", "-c:a pcm_s16le"), ("mkv", "-c:a aac"), ("mp3", "-b:a 32k")];
    for (extension, options) in CODED.iter().chain(&more) {
        let Some([a, b]) = pair(&dir, extension, options) else { return };
        let read = |bytes: &[u8]| {
            decode::read(&dir.file(&format!("one.{extension}"), bytes)).expect("one").samples().to_owned()
        };
        let joined = dir.file(&format!("joined.{extension}"), &[a.as_slice(), &b, &a].concat());
        let what = format!("{extension} {options}");
        let got = decode::read(&joined).unwrap_or_else(|error| panic!("{what}: {error}"));
        let expected = concatenate![Axis(1), read(&a), read(&b), read(&a)];
        assert_eq!(got.samples().dim(), expected.dim(), "{what}");
        // Frames without a header of their own are one stream, whose decoder goes on.
        if !matches!(*extension, "aac" | "mp2") && !options.contains("write_xing") {
            assert!(got.samples() == expected, "{what}");
        }
        assert_eq!(notes(&joined), [""; 0], "{what}");
    }
}

#[test]
fn tags_between_and_behind_the_streams_of_an_mp3_are_no_sound() {
    let dir = Dir::new();
    let Some([a, b]) = pair(&dir, "mp3", "-id3v2_version 0") else { return };
    let read = |bytes: &[u8]| decode::read(&dir.file("one.mp3", bytes)).expect("one").samples().to_owned();
    let expected = concatenate![Axis(1), read(&a), read(&b), read(&a)];
    let parts = [id3v2(), a.clone(), ape(), id3v1(), id3v2(), b, lyrics(), id3v1(), a, lyrics(), ape(), id3v1()];
    let tagged = dir.file("tagged.mp3", &parts.concat());
    assert!(decode::read(&tagged).expect("tags").samples() == expected);
    assert_eq!(notes(&tagged), [""; 0]);
}

#[test]
fn tags_around_frames_are_read() {
    let dir = Dir::new();
    let mut v1 = [0; 128];
    for (at, text) in [(0, "TAGShort"), (33, "Singer   "), (63, "Album"), (93, "1999"), (97, "odd")] {
        v1[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let v2 = b"ID3\x04\0\0\0\0\0\x17TIT2\0\0\0\x0D\0\0\x03A long title";
    for extension in ["mp3", "aac"] {
        let path = dir.path(&format!("a.{extension}"));
        let options = if extension == "mp3" { "-id3v2_version 0" } else { "" };
        if encode(&dir.signal(2, 48_000, 50_000), options, &path).is_none() {
            return;
        }
        let bytes = std::fs::read(&path).expect("file");
        for (before, behind, title) in
            [(&v2[..], &v1[..], Some("A long title")), (v2, &[], Some("A long title")), (&[], &v1, Some("Short"))]
        {
            let tagged = dir.file(&format!("tagged.{extension}"), &[before, &bytes, behind].concat());
            let mut reader = Reader::open(&tagged).expect("header");
            let tags = reader.tags();
            assert_eq!(tags.field("TITLE"), title, "{extension}");
            let others = ["ARTIST", "ALBUM", "DATE", "COMMENT", "TRACKNUMBER"].map(|name| tags.field(name));
            let expected = [Some("Singer"), Some("Album"), Some("1999"), Some("odd"), None];
            assert_eq!(others, if behind.is_empty() { [None; 5] } else { expected }, "{extension}");
            let got = decode::read_rest(&mut reader, None).expect("sound");
            assert!(got == decode::read(&path).expect("sound"), "{extension}");
        }
    }
}

#[test]
fn tags_and_zeros_behind_the_end_do_no_harm() {
    let dir = Dir::new();
    let signal = dir.signal(2, 48_000, 50_000);
    let plain =
        [("wav", "-c:a pcm_s16le"), ("caf", "-c:a pcm_f32le"), ("w64", ""), ("au", ""), ("mov", "-c:a pcm_s16le")];
    for (i, (extension, options)) in CODED.iter().chain(&plain).enumerate() {
        let path = dir.path(&format!("{i}.{extension}"));
        if encode(&signal, options, &path).is_none() {
            return;
        }
        let bytes = std::fs::read(&path).expect("file");
        let whole = decode::read(&path).expect("whole");
        for tail in [id3v1(), [ape(), id3v1()].concat(), [lyrics(), id3v1()].concat(), vec![0; 5000]] {
            let tagged = dir.file(&format!("tagged.{extension}"), &[bytes.as_slice(), &tail].concat());
            let got = decode::read(&tagged).unwrap_or_else(|error| panic!("{extension} {options}: {error}"));
            assert!(got == whole, "{extension} {options}: {} samples", got.n_samples());
            assert_eq!(notes(&tagged), [""; 0], "{extension} {options}");
        }
    }
}

#[test]
fn streams_that_differ_are_not_joined() {
    let dir = Dir::new();
    for (extension, options) in
        [("mp3", ""), ("flac", ""), ("m4a", ""), ("aiff", ""), ("wav", ""), ("au", ""), ("w64", "")]
    {
        let made = [(2, 44_100), (1, 44_100), (2, 48_000)].map(|(n_channels, rate)| {
            let path = dir.path(&format!("{n_channels}-{rate}.{extension}"));
            encode(&dir.signal(n_channels, rate, 44_100), options, &path)?;
            std::fs::read(path).ok()
        });
        let [Some(a), Some(mono), Some(fast)] = made else { return };
        for (other, changed) in [(mono, "44100 Hz, 1 channel"), (fast, "48000 Hz, 2 channels")] {
            let joined = dir.file(&format!("joined.{extension}"), &[a.as_slice(), &other].concat());
            let expected = format!("`joined.{extension}` changes at 1.0 s from 44100 Hz, 2 channels to {changed}");
            assert_eq!(refusal(&dir, &joined).0, expected);
        }
    }
}

#[test]
fn what_follows_that_is_no_sound_is_told() {
    let dir = Dir::new();
    let signal = dir.signal(2, 48_000, 50_000);
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 | 1
    };
    let noise: Vec<u8> = (0..5000).map(|_| random()).collect();
    for (extension, options) in
        [("m4a", ""), ("mkv", "-c:a aac"), ("caf", "-c:a alac"), ("aiff", ""), ("w64", ""), ("ogg", "")]
    {
        let path = dir.path(&format!("a.{extension}"));
        if encode(&signal, options, &path).is_none() {
            return;
        }
        let bytes = std::fs::read(&path).expect("file");
        let more = dir.file(&format!("more.{extension}"), &[bytes.as_slice(), &noise].concat());
        assert!(decode::read(&more).expect("sound") == decode::read(&path).expect("sound"), "{extension}");
        let told = notes(&more);
        assert_eq!(told, ["what follows its end is not known to be sound, and left out: 5000 bytes"], "{extension}");
    }
}

#[test]
fn a_header_that_promises_less_does_not_end_the_sound() {
    let dir = Dir::new();
    let signal = dir.signal(2, 44_100, 132_300);
    let (flac, aiff, mp3) = (dir.path("a.flac"), dir.path("a.aiff"), dir.path("a.mp3"));
    let made = [encode(&signal, "", &flac), encode(&signal, "", &aiff), encode(&signal, "-q:a 3 -write_xing 0", &mp3)];
    if made.contains(&None) {
        return;
    }
    // The total of STREAMINFO and the count of COMM.
    let mut bytes = std::fs::read(&flac).expect("file");
    bytes[22..26].copy_from_slice(&50_000u32.to_be_bytes());
    assert_eq!(decode::read(&dir.file("b.flac", &bytes)).expect("FLAC").n_samples(), 132_300);
    let mut bytes = std::fs::read(&aiff).expect("file");
    let at = bytes.windows(4).position(|name| name == b"COMM").expect("COMM") + 10;
    bytes[at..at + 4].copy_from_slice(&50_000u32.to_be_bytes());
    assert_eq!(decode::read(&dir.file("b.aiff", &bytes)).expect("AIFF").n_samples(), 132_300);
    // Without a header the length of an MP3 of changing bit rate is guessed: too short where it begins loudly.
    let quiet: Vec<u8> =
        (0..3 * 132_300).flat_map(|i| if i < 66_150 { (i as i16).to_le_bytes() } else { [0, 0] }).collect();
    let loud_first = dir.file("loud.wav", &wav(1, 2, 44_100, 16, &quiet[..3 * 132_300 / 2 * 4]));
    encode(&loud_first, "-q:a 3 -write_xing 0", &mp3).expect("ffmpeg");
    let n_samples = decode::read(&mp3).expect("MP3").n_samples();
    assert!(n_samples >= 3 * 132_300 / 2, "{n_samples}");
}

#[test]
fn a_header_that_counts_the_first_frames_of_a_longer_stream_cuts_nothing_off() {
    let dir = Dir::new();
    let path = dir.path("a.mp3");
    if encode(&dir.signal(2, 44_100, 132_300), "-b:a 128k", &path).is_none() {
        return;
    }
    let mut bytes = std::fs::read(&path).expect("file");
    let at = bytes.windows(4).position(|name| name == b"Info").expect("Info") + 8;
    bytes[at..at + 4].copy_from_slice(&40u32.to_be_bytes());
    let whole = decode::read(&path).expect("whole");
    let got = decode::read(&dir.file("b.mp3", &bytes)).expect("all");
    assert!(got.n_samples() >= whole.n_samples(), "{} of {}", got.n_samples(), whole.n_samples());
    let n_samples = whole.n_samples();
    assert!(got.samples().slice(s![.., ..40_000]) == whole.samples().slice(s![.., ..40_000]), "{n_samples}");
}

#[test]
fn wav_files_strung_together_are_joined() {
    let dir = Dir::new();
    let (a, b) = (stereo(3_000), stereo(2_000));
    let list = b"LIST\x04\0\0\0INFO".as_slice();
    let first = [wav(1, 2, 44_100, 16, &a).as_slice(), list].concat();
    let floats: Vec<u8> =
        b.as_chunks().0.iter().flat_map(|&x| (f32::from(i16::from_le_bytes(x)) / 32_768.0).to_le_bytes()).collect();
    let joined = dir.file("joined.wav", &[first, wav(3, 2, 44_100, 32, &floats), wav(1, 2, 44_100, 16, &a)].concat());
    let expected = dir.file("whole.wav", &wav(1, 2, 44_100, 16, &[a.as_slice(), &b, &a].concat()));
    let (expected, got) = (decode::read(&expected).expect("whole"), decode::read(&joined).expect("joined"));
    assert_eq!(got, expected);
    assert_eq!(notes(&joined), [""; 0]);
    let mut reader = Reader::open(&joined).expect("header");
    assert_eq!(reader.n_samples_hint(), Some(8_000));
    assert_eq!(reader.skip(4_000).expect("skipped"), 4_000);
    assert_eq!(decode::read_rest(&mut reader, None).expect("rest"), expected.excerpt(4_000, 4_000));
}
