//! Files with several audio tracks, and the samples that encoders add at both ends.

use ndarray::s;
use partita::audio::decode::{self, AudioFile, Reader};
use partita::audio::{Audio, Recording};

use crate::files::{Dir, encode, run, text};

/// Three tracks of different lengths: mono "Music", stereo "Commentary", which is the default, and stereo.
fn three(dir: &Dir, name: &str) -> Option<()> {
    let signals = [(1, 66_150), (2, 44_100), (2, 88_200)].map(|(n_channels, n_samples)| {
        let path = dir.path(&format!("{n_samples}.wav"));
        std::fs::copy(dir.signal(n_channels, 44_100, n_samples), &path).expect("copied");
        path
    });
    let out = dir.path(name);
    let [a, b, c] = signals.each_ref().map(|path| text(path));
    let mut arguments = vec!["-v", "error", "-y", "-i", a, "-i", b, "-i", c, "-map", "0", "-map", "1", "-map", "2"];
    let options = "-c:a alac -metadata:s:a:0 title=Music -metadata:s:a:1 title=Commentary -metadata:s:a:2 language=deu \
        -disposition:a:0 0 -disposition:a:1 default -disposition:a:2 0";
    arguments.extend(options.split_whitespace());
    arguments.push(text(&out));
    run("ffmpeg", &arguments).map(drop)
}

#[test]
fn the_default_track_is_read_and_the_others_are_told() {
    let dir = Dir::new();
    for name in ["a.mp4", "a.mkv"] {
        if three(&dir, name).is_none() {
            return;
        }
        let reader = Reader::open(&dir.path(name)).expect("header");
        assert_eq!(decode::read(&dir.path(name)).expect("default").samples().dim(), (2, 44_100), "{name}");
        let [note] = reader.notes() else { panic!("{:?}", reader.notes()) };
        let expected = "of its 3 audio tracks, 2 (ALAC, stereo, \"Commentary\") is read; for another, use `audio_track N`: \
            1 (ALAC, mono, \"Music\"), 3 (ALAC, stereo";
        assert!(note.starts_with(expected), "{name}: {note}");
    }
}

#[test]
fn any_track_can_be_chosen_and_none_that_is_not_there() {
    let dir = Dir::new();
    for name in ["a.mp4", "a.mkv"] {
        if three(&dir, name).is_none() {
            return;
        }
        for (track, dim) in [(1, (1, 66_150)), (2, (2, 44_100)), (3, (2, 88_200))] {
            let file = AudioFile::open_track(&dir.path(name), Some(track)).expect("track");
            let mut n_samples = 0;
            let read = file.read(&mut |block| {
                n_samples += block.ncols();
                Ok(())
            });
            read.expect("sound");
            assert_eq!((file.n_channels(), n_samples), dim, "{name}, track {track}");
            assert_eq!(file.notes(), [""; 0], "{name}, track {track}");
        }
        for track in [0, 4] {
            let error = Reader::open_track(&dir.path(name), Some(track)).expect_err("no such track").to_string();
            let expected = format!("`audio_track` is {track}, expected 1 to 3: `");
            assert!(error.starts_with(&expected), "{error}");
            assert!(error.contains("has 1 (ALAC, mono, \"Music\"), 2 (ALAC, stereo, \"Commentary\"), 3 ("), "{error}");
        }
    }
    let wav = dir.signal(2, 44_100, 100);
    assert!(Reader::open_track(&wav, Some(1)).is_ok());
    let error = Reader::open_track(&wav, Some(2)).expect_err("one track").to_string();
    assert!(error.ends_with("signal.wav` has 1 (32-bit float PCM)"), "{error}");
}

#[test]
fn what_encoders_add_at_both_ends_is_cut_off() {
    let dir = Dir::new();
    for n_samples in [132_300, 44_113] {
        for (extension, options) in [
            ("m4a", "-c:a aac"),
            ("mp4", "-c:a libmp3lame"),
            ("mov", "-c:a aac"),
            ("mp4", "-c:a aac -movie_timescale 600"),
            ("mp4", "-c:a aac -use_editlist 0"),
            ("m4a", "-c:a alac"),
            ("mp3", ""),
            ("ogg", "-c:a libvorbis"),
            ("caf", "-c:a alac"),
        ] {
            let path = dir.path(&format!("a.{extension}"));
            if encode(&dir.signal(2, 44_100, n_samples), options, &path).is_none() {
                return;
            }
            // Without an edit list nothing tells the priming from the sound.
            let priming = if options.contains("use_editlist") { 1_024 } else { 0 };
            let got = decode::read(&path).expect("sound").n_samples();
            assert_eq!(got, n_samples as usize + priming, "{extension} {options}");
        }
    }
}

#[test]
fn the_packet_table_of_caf_says_what_is_heard() {
    let dir = Dir::new();
    let path = dir.path("a.caf");
    if encode(&dir.signal(2, 44_100, 20_000), "-c:a alac", &path).is_none() {
        return;
    }
    let whole = decode::read(&path).expect("whole");
    let mut bytes = std::fs::read(&path).expect("file");
    // Number of packets, of valid frames, priming and remainder.
    let at = bytes.windows(4).position(|name| name == b"pakt").expect("table") + 12 + 8;
    bytes[at..at + 8].copy_from_slice(&18_000u64.to_be_bytes());
    bytes[at + 8..at + 12].copy_from_slice(&1_500u32.to_be_bytes());
    bytes[at + 12..at + 16].copy_from_slice(&500u32.to_be_bytes());
    let heard = decode::read(&dir.file("b.caf", &bytes)).expect("part");
    let expected = whole.samples().slice(s![.., 1_500..19_500]).to_owned();
    assert_eq!(heard, Audio::new(expected, 44_100).expect("audio"));
}

#[test]
fn the_artist_of_a_matroska_file_is_not_that_of_an_album() {
    let dir = Dir::new();
    let path = dir.path("a.mka");
    if encode(&dir.signal(1, 44_100, 44_100), "-metadata artist=Singer -metadata album=Album", &path).is_none() {
        return;
    }
    let tags = Reader::open(&path).expect("header").tags();
    let got = ["ARTIST", "ALBUMARTIST", "ALBUM"].map(|name| tags.field(name));
    assert_eq!(got, [Some("Singer"), None, Some("Album")]);
}
