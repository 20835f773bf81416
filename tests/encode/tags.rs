//! What a file says of its sound comes back as it was written.

use std::fs;
use std::process::Command;

use partita::Audio;
use partita::audio::decode::{AudioFile, Reader};
use partita::audio::encode::{self, EncodeConfig, FileFormat, SampleFormat, Spec, Writer};
use partita::audio::tags::{Broadcast, Cue, Tags};
use tempfile::tempdir;

use crate::made::noise;

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn tags() -> Tags {
    let mut bext = vec![0; 602];
    bext[..6].copy_from_slice(b"Take 7");
    bext[256..264].copy_from_slice(b"Recorder");
    bext[338..346].copy_from_slice(&10_000_000_000_u64.to_le_bytes());
    bext[346] = 2;
    bext[348] = 9; // of its UMID
    Tags {
        fields: fields(&[
            ("TITLE", "Lied, für Élise"),
            ("ARTIST", "歌手"),
            ("ALBUM", "Album"),
            ("ALBUMARTIST", "Various"),
            ("TRACKNUMBER", "3"),
            ("TRACKTOTAL", "9"),
            ("DATE", "1999-02-03"),
            ("GENRE", "Folk"),
            ("COMMENT", "odd"),
            ("COMPOSER", "B."),
        ]),
        broadcast: Broadcast::new(bext),
        cues: vec![Cue { at: 0, label: "intro".into() }, Cue { at: 4000, label: String::new() }],
    }
}

fn sorted(tags: &Tags) -> Vec<(String, String)> {
    let mut fields = tags.fields.clone();
    fields.sort();
    fields
}

#[test]
fn tags_come_back_from_wav_rf64_and_flac() {
    let folder = tempdir().unwrap();
    let sound = Audio::new(noise(1, 8001, 3), 8000).unwrap();
    let expected = tags();
    let read = |name: &str| Reader::open(&folder.path().join(name)).unwrap().tags();
    for (sample_format, name) in [(SampleFormat::Int24, "odd.wav"), (SampleFormat::Float32, "float.wav")] {
        let config = EncodeConfig { sample_format, tags: expected.clone(), ..EncodeConfig::default() };
        let config = EncodeConfig { clip_mode: sample_format.default_clip_mode(), ..config };
        let written = |name: &str| encode::write(&folder.path().join(name), &sound, &config).unwrap();
        written(name);
        // Of a length that is not known: RF64's writer.
        let path = folder.path().join(format!("open-{name}"));
        let spec = Spec { n_samples: None, ..Spec::from(&sound) };
        let mut writer = Writer::create(&path, spec, 1.0, &config).unwrap();
        writer.write(sound.samples()).unwrap();
        writer.finish().unwrap();
        for name in [name.to_owned(), format!("open-{name}")] {
            let found = read(&name);
            assert_eq!(sorted(&found), sorted(&expected), "{name}");
            assert_eq!((&found.broadcast, &found.cues), (&expected.broadcast, &expected.cues), "{name}");
            let size = fs::read(folder.path().join(&name)).unwrap();
            let told = u32::from_le_bytes(size[4..8].try_into().unwrap());
            assert_eq!(told as usize, size.len() - 8, "{name}");
        }
        let file = AudioFile::open(&folder.path().join(name)).unwrap().with_excerpt(0.25, Some(0.5)).tags().unwrap();
        assert_eq!(file.cues, [Cue { at: 2000, label: String::new() }], "cues count from the start of an excerpt");
        assert_eq!(file.broadcast.unwrap().time_reference(), 10_000_002_000);
    }
    let config =
        EncodeConfig { file_format: FileFormat::Flac, sample_format: SampleFormat::Int24, ..EncodeConfig::default() };
    let config = EncodeConfig { tags: expected.clone(), ..config };
    encode::write(&folder.path().join("a.flac"), &sound, &config).unwrap();
    let found = read("a.flac");
    let of_broadcast = fields(&[("DESCRIPTION", "Take 7")]);
    let with_broadcast = Tags { fields: [expected.fields.clone(), of_broadcast].concat(), ..Tags::default() };
    assert_eq!(sorted(&found), sorted(&with_broadcast));
    // Other readers see them, too.
    for (name, entries) in [
        ("odd.wav", &["TAG:title=Lied, für Élise", "TAG:artist=歌手", "TAG:time_reference=10000000000"][..]),
        ("float.wav", &["TAG:track=3/9", "TAG:genre=Folk", "TAG:title=intro"]),
        ("a.flac", &["TAG:title=Lied, für Élise", "TAG:TIME_REFERENCE=10000000000", "TAG:title=intro"]),
    ] {
        let mut ffprobe = Command::new("ffprobe");
        ffprobe.args(["-v", "error", "-show_format", "-show_streams", "-show_chapters"]).arg(folder.path().join(name));
        let Ok(output) = ffprobe.output() else {
            eprintln!("skipped: `ffprobe` is not installed");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        for entry in entries {
            assert!(text.contains(&entry.to_lowercase()), "{name}: {entry}, found {text}");
        }
    }
}

#[test]
fn a_stem_has_its_name_in_the_title_and_no_measures_of_the_whole() {
    let of_stem = tags().of_stem("bass");
    assert_eq!(of_stem.field("TITLE"), Some("Lied, für Élise (bass)"));
    assert_eq!(of_stem.field("ARTIST"), Some("歌手"));
    let bext = of_stem.broadcast.as_ref().unwrap().as_bytes();
    assert_eq!((bext[348], &bext[412..422]), (0, &[0xFF, 0x7F].repeat(5)[..]), "identity and loudness");
    assert!(Tags::default().of_stem("bass").is_empty());
}

#[test]
fn damaged_and_huge_tags_are_left_out_and_the_sound_is_read() {
    let folder = tempdir().unwrap();
    let sound = Audio::new(noise(1, 4000, 3), 8000).unwrap();
    let path = folder.path().join("a.wav");
    encode::write(&path, &sound, &EncodeConfig::default()).unwrap();
    let plain = fs::read(&path).unwrap();
    for (id, size, content) in [
        (b"LIST", u32::MAX, &b"INFO"[..]),
        (b"LIST", 20, b"INFOINAM\xFF\xFF\xFF\xFFabcdabcd"),
        (b"bext", 10, b"0123456789"),
        (b"cue ", 12, b"\xFF\xFF\xFF\xFF01234567"),
        (b"id3 ", 16, b"ID3\x04\0\0\x7F\x7F\x7F\x7FTIT2\xFF\xFF"),
    ] {
        let mut file = plain.clone();
        file.extend_from_slice(id);
        file.extend_from_slice(&size.to_le_bytes());
        file.extend_from_slice(content);
        fs::write(&path, &file).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert!(reader.tags().is_empty(), "{}", String::from_utf8_lossy(id));
        assert_eq!(reader.read(10_000).unwrap().ncols(), 4000, "the place in the file is the same");
    }
}
