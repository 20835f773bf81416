//! No bytes at all make it panic.

use partita::audio::decode::Reader;
use proptest::prelude::*;

use crate::files::{CODED, Dir, encode, rf64, stereo, wav};

/// Reads all there is, and checks the promises that hold for any bytes.
fn read_anything(bytes: &[u8]) {
    let Ok(mut reader) = Reader::from_stream("-", bytes) else { return };
    assert!(reader.n_channels() > 0 && reader.sample_rate() > 0);
    // No format here makes more than 64 thousand samples of a byte, and a bound ends the test.
    for _ in 0..64 {
        match reader.read(16_384) {
            Ok(block) if block.is_empty() => return,
            Ok(block) => assert!(block.iter().all(|x| x.is_finite())),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(reader.read(1).is_ok_and(|block| block.is_empty()));
                return;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_bytes_never_panic(magic in 0..12usize, body in prop::collection::vec(any::<u8>(), 0..600)) {
        let magic: &[u8] = [
            b"".as_slice(), b"RIFF\xff\xff\xff\xffWAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64", b"FORM\0\0\x10\0AIFFCOMM", b"caff\0\x01\0\0desc",
            b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\x1a\x45\xdf\xa3", b"\0\0\0\x10ftypM4A ", b"\xff\xfb\x90\x64",
            b"\xff\xf1\x50\x80", b"ID3\x04\0\0\0\0\0\x0a",
        ][magic];
        read_anything(&[magic, &body].concat());
    }

    #[test]
    fn damaged_headers_never_panic(at in 0..80usize, bytes in prop::collection::vec(any::<u8>(), 1..9), is_rf64: bool) {
        let data = stereo(500);
        let mut file = if is_rf64 { rf64(b"RF64", 1, 2, 16, &data) } else { wav(1, 2, 44_100, 16, &data) };
        let end = (at + bytes.len()).min(file.len());
        file[at..end].copy_from_slice(&bytes[..end - at]);
        read_anything(&file);
    }
}

#[test]
fn damaged_coded_files_never_panic() {
    let dir = Dir::new();
    let signal = dir.signal(2, 44_100, 11_025);
    let mut random = 1u32;
    let mut next = |n: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % n
    };
    for (i, (extension, options)) in CODED.iter().enumerate() {
        let path = dir.path(&format!("{i}.{extension}"));
        if encode(&signal, options, &path).is_none() {
            return;
        }
        let whole = std::fs::read(&path).expect("file");
        for round in 0..40 {
            let mut bytes = whole.clone();
            // Half of the rounds aim at the headers.
            let reach = if round % 2 == 0 { bytes.len() } else { bytes.len().min(600) };
            for _ in 0..1 + next(4) {
                bytes[next(reach)] = next(256) as u8;
            }
            read_anything(&bytes);
        }
    }
}
