//! Files of FFmpeg that are cut off, damaged or of another kind end in the right error.

use std::path::Path;

use partita::audio::decode::{self, Reader};

use crate::files::{CODED, Dir, encode, refusal, run, text};

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
        ("h.au", 2, "-c:a adpcm_g726le -ar 8000 -ac 1", "AU with ADPCM"),
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
