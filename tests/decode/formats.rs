//! What FFmpeg and SoX write is read as FFmpeg reads it, sample for sample.

use partita::audio::decode::{self, Reader};

use crate::files::{Dir, EXACT, LOSSY, OPUS, check, difference, encode, sox, wav};

#[test]
fn pcm_is_exact() {
    let cases = [
        ("wav", "-c:a pcm_u8"),
        ("wav", "-c:a pcm_s16le"),
        ("wav", "-c:a pcm_s24le"),
        ("wav", "-c:a pcm_s32le"),
        ("wav", "-c:a pcm_f32le"),
        ("wav", "-c:a pcm_f64le"),
        ("wav", "-c:a pcm_alaw"),
        ("wav", "-c:a pcm_mulaw"),
        ("wav", "-c:a pcm_s16le -rf64 always"),
        ("aiff", "-c:a pcm_s8"),
        ("aiff", "-c:a pcm_s16be"),
        ("aiff", "-c:a pcm_s24be"),
        ("aiff", "-c:a pcm_s32be"),
        ("aifc", "-c:a pcm_s16le -f aiff"),
        ("aifc", "-c:a pcm_f32be -f aiff"),
        ("aifc", "-c:a pcm_f64be -f aiff"),
        ("aifc", "-c:a pcm_mulaw -f aiff"),
        ("caf", "-c:a pcm_s16le"),
        ("caf", "-c:a pcm_s24be"),
        ("caf", "-c:a pcm_f32le"),
        ("mkv", "-c:a pcm_s16le"),
    ];
    check(2, 44_100, EXACT, &cases);
    let some =
        [("wav", "-c:a pcm_s24le"), ("wav", "-c:a pcm_mulaw"), ("aiff", "-c:a pcm_s16be"), ("caf", "-c:a pcm_f32le")];
    check(1, 8_000, EXACT, &some);
    check(6, 48_000, EXACT, &some);
    check(2, 192_000, EXACT, &[("wav", "-c:a pcm_s24le"), ("aiff", "-c:a pcm_s24be"), ("caf", "-c:a pcm_s24be")]);
    check(2, 44_100, EXACT, &[("mov", "-c:a pcm_s16le"), ("mov", "-c:a pcm_s24le"), ("mkv", "-c:a pcm_f32le")]);
}

#[test]
fn lossless_codecs_are_exact() {
    let cases = [
        ("flac", "-c:a flac -sample_fmt s16"),
        ("flac", "-c:a flac -sample_fmt s32"),
        ("ogg", "-c:a flac -sample_fmt s16"),
        ("mkv", "-c:a flac"),
        ("m4a", "-c:a alac -sample_fmt s16p"),
        ("m4a", "-c:a alac -sample_fmt s32p"),
        ("caf", "-c:a alac"),
        ("mp4", "-c:a flac -strict -2"),
    ];
    for (n_channels, sample_rate) in [(1, 8_000), (2, 44_100), (6, 48_000), (2, 192_000)] {
        check(n_channels, sample_rate, EXACT, &cases);
    }
    check(8, 48_000, EXACT, &[("flac", "")]);
}

#[test]
fn adpcm_is_exact() {
    for n_channels in [1, 2] {
        check(n_channels, 22_050, EXACT, &[("wav", "-c:a adpcm_ms"), ("wav", "-c:a adpcm_ima_wav")]);
    }
}

#[test]
fn mpeg_is_read_as_ffmpeg_reads_it() {
    let cases = [
        ("mp3", "-b:a 64k"),
        ("mp3", "-q:a 2"),
        ("mp3", "-b:a 64k -write_xing 0"),
        ("mp3", "-b:a 64k -id3v2_version 0 -write_id3v1 1 -metadata title=x"),
        ("mkv", "-c:a libmp3lame"),
    ];
    for (n_channels, sample_rate) in [(1, 8_000), (2, 22_050), (2, 44_100), (1, 48_000)] {
        check(n_channels, sample_rate, LOSSY, &cases);
    }
    check(2, 44_100, LOSSY, &[("mp4", "-c:a libmp3lame")]);
    // FFmpeg's decoder of layer 2 rounds to about 15 bits.
    check(2, 44_100, 1e-4, &[("mp2", "-b:a 160k")]);
}

#[test]
fn vorbis_is_read_as_ffmpeg_reads_it() {
    let cases = [("ogg", "-c:a libvorbis"), ("mkv", "-c:a libvorbis"), ("webm", "-c:a libvorbis")];
    for (n_channels, sample_rate) in [(1, 8_000), (2, 44_100), (2, 96_000), (6, 48_000)] {
        check(n_channels, sample_rate, LOSSY, &cases);
    }
    for n_channels in [3, 4, 5, 7, 8] {
        check(n_channels, 44_100, LOSSY, &cases[..1]);
    }
}

#[test]
fn aac_is_read_as_ffmpeg_reads_it() {
    let cases = [
        ("m4a", "-c:a aac"),
        ("mp4", "-c:a aac -movflags frag_keyframe+empty_moov"),
        ("aac", "-c:a aac"),
        ("mkv", "-c:a aac"),
        ("mov", "-c:a aac"),
    ];
    for (n_channels, sample_rate) in [(1, 8_000), (2, 44_100), (2, 96_000)] {
        check(n_channels, sample_rate, LOSSY, &cases);
    }
}

#[test]
fn opus_is_read_as_ffmpeg_reads_it() {
    let cases = [
        ("opus", "-c:a libopus"),
        ("ogg", "-c:a libopus -frame_duration 2.5"),
        ("ogg", "-c:a libopus -application voip -b:a 16k"),
        ("webm", "-c:a libopus"),
        ("mkv", "-c:a libopus -frame_duration 60"),
        ("mp4", "-c:a libopus"),
    ];
    for n_channels in [1, 2, 6] {
        check(n_channels, 48_000, OPUS, &cases);
    }
    for n_channels in [5, 7, 8] {
        check(n_channels, 48_000, OPUS, &cases[..1]);
    }
}

#[test]
fn what_sox_writes_is_read_as_ffmpeg_reads_it() {
    let dir = Dir::new();
    let signal = dir.signal(2, 44_100, 50_000);
    for (name, options) in [
        ("a.wav", "-b 24"),
        ("b.wav", "-e u-law"),
        ("c.wav", "-e ms-adpcm"),
        ("d.aiff", "-b 16"),
        ("e.aifc", "-b 24"),
        ("f.flac", "-b 24"),
        ("g.ogg", ""),
    ] {
        let Some(path) = sox(&dir, &signal, name, options) else { return };
        assert_eq!(difference(&path, 2, 44_100, if name == "g.ogg" { LOSSY } else { EXACT }, &[]), None, "{name}");
    }
}

#[test]
fn surround_names_its_speakers() {
    let dir = Dir::new();
    let signal = dir.signal(6, 48_000, 20_000);
    for (name, options) in [
        ("a.flac", ""),
        ("b.ogg", "-c:a libvorbis"),
        ("c.opus", ""),
        ("d.m4a", "-c:a alac"),
        ("e.webm", "-c:a libopus"),
    ] {
        let path = dir.path(name);
        if encode(&signal, options, &path).is_none() {
            return;
        }
        let mask = Reader::open(&path).expect("header").channel_mask();
        assert_eq!(mask, Some(0x3f), "{name}: front left, right, center, low frequency, back left, right");
    }
    let stereo = Reader::open(&dir.file("f.wav", &wav(1, 2, 44_100, 16, &[0; 4]))).expect("header");
    assert_eq!(stereo.channel_mask(), None);
}

#[test]
fn a_short_ogg_file_has_the_length_that_was_encoded() {
    // FFmpeg does not trim a stream that fits into one page, so it is no judge here.
    let dir = Dir::new();
    for (name, options) in [("a.ogg", "-c:a libvorbis"), ("b.opus", "-c:a libopus")] {
        let path = dir.path(name);
        if encode(&dir.signal(1, 48_000, 7_777), options, &path).is_none() {
            return;
        }
        assert_eq!(decode::read(&path).expect("audio").n_samples(), 7_777, "{name}");
    }
}
