//! WAV files made by hand: every header, and what is refused, without any other program.

use partita::audio::decode::{self, Reader};

use crate::files::{Dir, refusal, rf64, stereo, wav};

#[test]
fn rf64_and_bw64_are_read() {
    let dir = Dir::new();
    let data = stereo(5_000);
    let plain = decode::read(&dir.file("a.wav", &wav(1, 2, 48_000, 16, &data))).expect("WAV");
    assert_eq!((plain.n_channels(), plain.n_samples(), plain.sample_rate()), (2, 5_000, 48_000));
    for id in [b"RF64", b"BW64"] {
        let read = decode::read(&dir.file("a.rf64", &rf64(id, 1, 2, 16, &data))).expect("RF64");
        assert_eq!(read, plain);
    }
    let floats: Vec<u8> = plain.samples().t().iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(decode::read(&dir.file("a.rf64", &rf64(b"RF64", 3, 2, 32, &floats))).expect("float"), plain);
    let doubles: Vec<u8> = plain.samples().t().iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
    assert_eq!(decode::read(&dir.file("a.rf64", &rf64(b"RF64", 3, 2, 64, &doubles))).expect("double"), plain);
}

#[test]
fn a_cut_off_rf64_file_is_refused() {
    let dir = Dir::new();
    let mut bytes = rf64(b"RF64", 1, 2, 16, &stereo(48_000));
    bytes.truncate(bytes.len() - 4 * 12_000);
    let (message, _) = refusal(&dir, &dir.file("a.wav", &bytes));
    assert_eq!(message, "`a.wav` is cut off: it ends after 0.8 of 1.0 s");
}

#[test]
fn extensible_wav_keeps_its_channel_mask() {
    let dir = Dir::new();
    let data = stereo(3_000); // 1000 samples of 6 channels
    let mut bytes = wav(0xfffe, 6, 48_000, 16, &data);
    let extension = [22, 0, 16, 0, 0x0f, 0x06, 0, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
    bytes[16] = 40;
    bytes.splice(36..36, extension);
    let audio = decode::read(&dir.file("a.wav", &bytes)).expect("5.1");
    assert_eq!((audio.n_channels(), audio.n_samples(), audio.channel_mask()), (6, 1_000, Some(0x60f)));
    // A mask that names five speakers for six channels says nothing.
    bytes[40] = 0x07;
    assert_eq!(decode::read(&dir.file("b.wav", &bytes)).expect("5.1").channel_mask(), None);
}

#[test]
fn a_wav_stream_of_unknown_length_is_read_to_its_end() {
    let data = stereo(1_000);
    let plain = wav(1, 2, 44_100, 16, &data);
    // FFmpeg, SoX, others, and a recorder that was stopped before it filled its header in.
    for (riff, size) in [(u32::MAX, u32::MAX), (0x7fff_f024, 0x7fff_f000), (0x7fff_ffff, 0x7fff_ffff), (0, 0)] {
        let mut bytes = plain.clone();
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        bytes[40..44].copy_from_slice(&size.to_le_bytes());
        bytes.push(7); // half a sample
        let mut reader = Reader::from_stream("-", bytes.as_slice()).expect("header");
        let audio = decode::read_rest(&mut reader, None).expect("samples");
        assert_eq!(audio.samples().dim(), (2, 1_000), "data size {size:#x}");
    }
}

#[test]
fn a_recording_without_samples_is_read_as_such() {
    let dir = Dir::new();
    let audio = decode::read(&dir.file("empty.wav", &wav(1, 2, 44_100, 16, &[]))).expect("no error");
    assert_eq!(audio.samples().dim(), (2, 0));
}

#[test]
fn what_comes_before_the_cut_can_be_read() {
    let dir = Dir::new();
    let mut bytes = wav(1, 2, 44_100, 16, &stereo(44_100));
    bytes.truncate(44 + 4 * 11_025);
    let path = dir.file("my song.wav", &bytes);
    let (message, hint) = refusal(&dir, &path);
    assert_eq!(message, "`my song.wav` is cut off: it ends after 0.2 of 1.0 s");
    let command = "`ffmpeg -i 'my song.wav' 'my song.fixed.wav'`";
    assert_eq!(hint, format!("save what can be read with {command}, or take the whole part with `duration 0.25`"));
    let mut reader = Reader::open(&path).expect("header");
    assert_eq!(decode::read_rest(&mut reader, Some(11_025)).expect("whole part").n_samples(), 11_025);
    let error = reader.read(1).expect_err("cut off");
    assert!(matches!(error, partita::Error::AudioCutOff { .. }), "{error}");
    assert!(reader.read(1).expect("ended").is_empty(), "one error is enough");
}

#[test]
fn blocks_and_skips_add_up_to_the_whole() {
    let dir = Dir::new();
    let path = dir.file("a.wav", &wav(1, 2, 44_100, 16, &stereo(50_000)));
    let whole = decode::read(&path).expect("whole");
    for size in [1_000, 16_384, 49_999, 80_000] {
        let mut reader = Reader::open(&path).expect("header");
        let mut position = 0;
        loop {
            let block = reader.read(size).expect("block");
            if block.is_empty() {
                break;
            }
            assert_eq!(block, whole.excerpt(position, size).samples(), "at {position}");
            position += block.ncols();
        }
        assert_eq!(position, 50_000);
    }
    let mut reader = Reader::open(&path).expect("header");
    assert_eq!(reader.skip(33_333).expect("skipped"), 33_333);
    assert_eq!(decode::read_rest(&mut reader, Some(10)).expect("rest"), whole.excerpt(33_333, 10));
    assert_eq!(reader.skip(u64::MAX).expect("skipped"), 50_000 - 33_343);
}

#[test]
fn a_nan_is_refused_with_its_place() {
    let dir = Dir::new();
    let mut samples = vec![0.25f32; 2 * 44_100];
    samples[2 * 22_050 + 1] = f32::NAN;
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let (message, _) = refusal(&dir, &dir.file("nan.wav", &wav(3, 2, 44_100, 32, &data)));
    assert_eq!(message, "channel 2 has a sample that is NaN, at 0.500 s");
}

#[test]
fn what_is_no_recording_is_called_what_it_is() {
    let dir = Dir::new();
    let message = |name: &str, bytes: &[u8]| refusal(&dir, &dir.file(name, bytes)).0;
    assert_eq!(message("a.wav", b"Dear all,\nhere is the recording."), "`a.wav` is not a recording: it holds text");
    assert_eq!(message("b.wav", b""), "`b.wav` is empty");
    assert_eq!(message("c.mp3", b"\x89PNG\r\n\x1a\n\0\0"), "`c.mp3` is not a recording: it holds a PNG image");
    assert_eq!(message("d.wav", &[0; 99]), "`d.wav` is not a recording: it holds only zeros");
    let utf_16: Vec<u8> = "Dear all, here it is".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf_16 = [b"\xff\xfe".as_slice(), &utf_16].concat();
    assert_eq!(message("i.mp3", &utf_16), "`i.mp3` is not a recording: it holds nothing that is known to be audio");
    assert_eq!(message("e.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "cannot decode `e.wma`: WMA is not supported");
    assert_eq!(message("f.ac3", b"\x0b\x77\0\0\0\0"), "cannot decode `f.ac3`: AC-3 is not supported");
    assert_eq!(
        message("g.wav", &wav(0x55, 2, 44_100, 0, &[0; 64])),
        "cannot decode `g.wav`: WAV with MP3 is not supported"
    );
    assert!(decode::read(&dir.path("h.wav")).expect_err("missing").to_string().starts_with("cannot open"));
    assert!(decode::read(dir.0.path()).expect_err("a folder").to_string().starts_with("cannot open"));
}

#[test]
fn absurd_headers_are_refused_before_anything_is_allocated() {
    let dir = Dir::new();
    let message = |bytes: &[u8]| refusal(&dir, &dir.file("a.wav", bytes)).0;
    assert_eq!(message(&wav(1, 65_535, 44_100, 8, &[0; 64])), "cannot decode `a.wav`: it declares 65535 channels");
    assert_eq!(message(&wav(1, 0, 44_100, 16, &[0; 64])), "cannot decode `a.wav`: it declares 0 channels");
    assert_eq!(message(&wav(1, 2, 0, 16, &[0; 64])), "cannot decode `a.wav`: it declares a sample rate of 0 Hz");
    assert_eq!(
        message(&wav(1, 2, u32::MAX, 16, &[0; 64])),
        "cannot decode `a.wav`: it declares a sample rate of 4294967295 Hz"
    );
    assert_eq!(message(b"RIFF\x04\0\0\0WAVE"), "cannot decode `a.wav`: it has no data chunk");
    let no_format = [b"RIFF\x24\0\0\0WAVEdata\x04\0\0\0".as_slice(), &[0; 4]].concat();
    assert_eq!(message(&no_format), "cannot decode `a.wav`: its data comes before its format");
}

#[test]
fn audio_files_are_known_by_their_extension() {
    for name in ["a.wav", "b.FLAC", "c.d.Opus", "e.m4a", "/f/g.weba"] {
        assert!(decode::is_audio_path(name.as_ref()), "{name}");
    }
    for name in ["wav", "a.txt", ".wav", "a.wav.part", "a"] {
        assert!(!decode::is_audio_path(name.as_ref()), "{name}");
    }
}
