//! Wave64, AU and big-endian WAV, made by hand byte by byte, and as FFmpeg and SoX write them.

use ndarray::{Array2, Axis};
use partita::audio::Recording;
use partita::audio::decode::{self, AudioFile, Reader};

use crate::files::{Dir, EXACT, check, refusal, run, sox, stereo, text, wav};

/// Bytes of 16-bit stereo, in big-endian order.
fn swapped(data: &[u8]) -> Vec<u8> {
    data.as_chunks().0.iter().flat_map(|&[a, b]| [b, a]).collect()
}

/// A Wave64 file: names are GUIDs, sizes have 64 bits and count the header, and chunks are padded to 8 bytes.
fn w64(n_channels: u16, rate: u32, data: &[u8], size: u64) -> Vec<u8> {
    let tail = b"\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a";
    let mut chunks = [b"wave".as_slice(), tail].concat();
    let mut chunk = |name: &[u8], size: u64, body: &[u8]| {
        chunks.extend([name, tail, &size.to_le_bytes(), body].concat());
        chunks.resize(chunks.len().next_multiple_of(8), 0);
    };
    chunk(b"junk", 24 + 3, b"abc");
    let plain = wav(1, n_channels, rate, 16, &[]);
    chunk(b"fmt ", 24 + 16, &plain[20..36]);
    chunk(b"data", size, data);
    let len = (24 + chunks.len() as u64).to_le_bytes();
    [b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0".as_slice(), &len, &chunks].concat()
}

fn au(magic: &[u8; 4], encoding: u32, size: u32, data: &[u8]) -> Vec<u8> {
    let numbers = [28, size, encoding, 44_100, 2];
    let number = |n: u32| if magic == b".snd" { n.to_be_bytes() } else { n.to_le_bytes() };
    [magic.as_slice(), &numbers.map(number).concat(), b"info", data].concat()
}

#[test]
fn wave64_au_and_rifx_are_read_like_the_same_samples_in_wav() {
    let dir = Dir::new();
    let data = stereo(5_000);
    let plain = decode::read(&dir.file("a.wav", &wav(1, 2, 44_100, 16, &data))).expect("WAV");
    let big = swapped(&data);
    let mut rifx = wav(1, 2, 44_100, 16, &big);
    rifx[..4].copy_from_slice(b"RIFX");
    for range in [4..8, 16..20, 24..28, 28..32, 40..44] {
        rifx[range].reverse();
    }
    for range in [20..22, 22..24, 32..34, 34..36] {
        rifx[range].reverse();
    }
    for (name, container, bytes) in [
        ("a.w64", "Wave64", w64(2, 44_100, &data, 24 + 20_000)),
        ("open.w64", "Wave64", w64(2, 44_100, &data, i64::MAX as u64)),
        ("a.au", "AU", au(b".snd", 3, 20_000, &big)),
        ("open.au", "AU", au(b".snd", 3, u32::MAX, &big)),
        ("little.au", "AU", au(b"dns.", 3, 20_000, &data)),
        ("dec.au", "AU", au(b"\0ds.", 3, 20_000, &data)),
        ("a.rifx.wav", "RIFX", rifx),
    ] {
        let path = dir.file(name, &bytes);
        let reader = Reader::open(&path).expect("header");
        assert_eq!(
            (reader.container(), reader.codec(), reader.n_samples_hint()),
            (container, "16-bit PCM", Some(5_000))
        );
        assert_eq!(reader.notes().len(), usize::from(name == "open.w64"), "{name}: {:?}", reader.notes());
        assert_eq!(decode::read(&path).expect("samples"), plain, "{name}");
        if !name.starts_with("open") {
            let two = decode::read(&dir.file("two", &[bytes.as_slice(), &bytes].concat())).expect(name);
            assert_eq!((two.n_samples(), two.excerpt(5_000, 5_000)), (10_000, plain.clone()), "{name}");
        }
        assert!(decode::is_audio_path(&path), "{name}");

        let file = AudioFile::open(&path).expect("header");
        let mut part = Array2::zeros((2, 0));
        let read = file.read_range(4_000..4_500, &mut |block| {
            part.append(Axis(1), block).expect("channels");
            Ok(())
        });
        read.expect("range");
        assert_eq!(part, plain.excerpt(4_000, 500).samples(), "{name}");

        if !name.starts_with("open") {
            let cut = dir.file(name, &bytes[..bytes.len() - 10_000]);
            let expected = format!("`{name}` is cut off: it ends after 0.1 of 0.1 s");
            assert_eq!(refusal(&dir, &cut).0, expected);
        }
    }
}

#[test]
fn each_encoding_of_au_has_its_number() {
    let dir = Dir::new();
    let samples = [0.5f32, -0.25, 0.125, -1.0];
    for (encoding, codec, data) in [
        (2, "8-bit PCM", vec![0x40, 0xe0, 0x10, 0x80]),
        (3, "16-bit PCM", vec![0x40, 0, 0xe0, 0, 0x10, 0, 0x80, 0]),
        (4, "24-bit PCM", vec![0x40, 0, 0, 0xe0, 0, 0, 0x10, 0, 0, 0x80, 0, 0]),
        (5, "32-bit PCM", [0x4000_0000u32, 0xe000_0000, 0x1000_0000, 0x8000_0000].map(u32::to_be_bytes).concat()),
        (6, "32-bit float PCM", samples.map(f32::to_be_bytes).concat()),
        (7, "64-bit float PCM", samples.map(|x| f64::from(x).to_be_bytes()).concat()),
    ] {
        let path = dir.file("a.au", &au(b".snd", encoding, data.len() as u32, &data));
        let audio = decode::read(&path).expect("samples");
        assert_eq!(audio.samples().t().iter().copied().collect::<Vec<_>>(), samples, "{codec}");
        assert_eq!(Reader::open(&path).expect("header").codec(), codec);
    }
    let adpcm = dir.file("b.au", &au(b".snd", 23, 4, &[0; 4]));
    assert_eq!(refusal(&dir, &adpcm).0, "cannot decode `b.au`: AU with ADPCM is not supported");
}

#[test]
fn what_ffmpeg_writes_is_exact() {
    let wave64 = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"];
    let au = ["pcm_s8", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be", "pcm_alaw", "pcm_mulaw"];
    let options =
        [wave64.map(|codec| ("w64", format!("-c:a {codec}"))), au.map(|codec| ("au", format!("-c:a {codec}")))];
    let options = options.concat();
    let cases: Vec<_> = options.iter().map(|(extension, options)| (*extension, options.as_str())).collect();
    check(2, 44_100, EXACT, &cases);
    check(1, 8_000, EXACT, &cases);
    check(6, 48_000, EXACT, &cases);
}

#[test]
fn what_sox_writes_is_exact() {
    let dir = Dir::new();
    let signal = dir.signal(2, 44_100, 50_000);
    for (name, options) in [
        ("a.wav", "-B -b 8"),
        ("b.wav", "-B -b 16"),
        ("c.wav", "-B -b 24"),
        ("d.wav", "-B -b 32"),
        ("e.wav", "-B -e floating-point -b 32"),
        ("f.wav", "-B -e u-law"),
        ("g.au", "-b 24"),
        ("h.snd", "-b 16"),
    ] {
        let Some(path) = sox(&dir, &signal, name, options) else { return };
        // FFmpeg takes the numbers of RIFX for little-endian ones.
        let plain = dir.path("plain.wav");
        run("sox", &["-D", text(&path), "-L", "-e", "floating-point", "-b", "32", text(&plain)]).expect("SoX");
        assert_eq!(decode::read(&path).expect(name), decode::read(&plain).expect(name), "{name}");
    }
}
