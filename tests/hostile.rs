//! Hostile input ends in the right error, before memory or time is spent on it: what fuzzing found, and what is beyond
//! each limit.
//!
//! The files that the fuzzer found are in `tests/hostile/`, a folder for each target of `fuzz/`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use partita::audio::decode::{self, Reader};
use partita::batch::Manifest;
use partita::knowledge::labels::Labels;
use partita::matrix_file::blocks::{self, NpyBlocks};
use partita::matrix_file::market;
use partita::matrix_file::{self, Missing};
use partita::nmf::{BlockConfig, NmfConfig};
use partita::separate::blind::{self, BlindConfig};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;
use partita::{Dictionary, Error, Score, StftOptions};

/// A folder of its own for each test, gone with it.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("writable");
        path
    }
}

/// The error, as the name of its variant and its message.
fn refusal<T>(result: Result<T, Error>) -> String {
    let error = result.err().expect("an error");
    let debug = format!("{error:?}");
    let variant = debug.split([' ', '(']).next().unwrap_or_default();
    format!("{variant}: {error}")
}

fn assert_refused<T>(result: Result<T, Error>, variant: &str, message: &str) {
    let got = refusal(result);
    assert!(got.starts_with(&format!("{variant}: ")) && got.contains(message), "{got}\nexpected {variant}: {message}");
}

/// What has to end in an error has to do so at once: the slowest debug build on a busy machine is allowed for.
fn at_once<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let outcome = work();
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:.1} s", start.elapsed().as_secs_f64());
    outcome
}

// ---- what fuzzing found ------------------------------------------------------------------------------------------

/// A file in `tests/hostile/`, the error that it ends in, and a part of its message; no error: it can be read.
const FOUND: &[(&str, &str, &str)] = &[
    ("wav/not-a-number.wav", "NonFiniteSample", "has a sample that is"),
    // An assertion in symphonia, caught.
    ("separate/vorbis-codebook-that-overflows.ogg", "MalformedAudio", "the decoder gave up"),
];

/// Hands a file to the parser that its folder is named after.
fn parse(path: &Path) -> Result<(), Error> {
    let bytes = fs::read(path).expect("file");
    let dir = Dir::new();
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    match folder.expect("folder") {
        "wav" | "separate" => {
            let mixture = decode::read(path)?;
            let stft = StftOptions { n_fft: Some(64), ..StftOptions::default() };
            let watch = &mut Watch::none();
            let analysis = Analysis::of(&mixture, &AnalysisConfig { stft, ..AnalysisConfig::default() }, watch)?;
            let nmf = NmfConfig { n_components: 3, max_iter: 4, ..NmfConfig::default() };
            let config = BlindConfig { nmf, ..BlindConfig::default() };
            let stems = blind::fit(&analysis, &config, None, watch)?.stems(&mixture, watch)?;
            let mut rest = mixture.samples().to_owned();
            stems.iter().for_each(|stem| rest -= &stem.samples());
            let gap = rest.iter().fold(0.0f32, |gap, x| gap.max(x.abs())) / mixture.peak();
            assert!(gap <= 1e-5, "{}: stems miss the mixture by {gap}", path.display());
        }
        "score" => Score::from_midi(&bytes).map(drop)?,
        "matrix" | "text_matrix" if bytes.starts_with(b"%%") => market::read::<f32>(&*bytes).map(drop)?,
        "matrix" if bytes.starts_with(b"PK") => matrix_file::read_member::<f32>(path, "W").map(drop)?,
        "matrix" => {
            let whole = matrix_file::read::<f32>(&dir.file("v.npy", &bytes), Missing::None);
            if whole.is_ok() && !bytes.starts_with(b"\x1f\x8b") {
                NpyBlocks::open(path).expect("what can be read whole can be read in blocks");
            }
            whole.map(drop)?;
        }
        "text_matrix" => matrix_file::read::<f32>(&dir.file("v.csv", &bytes), Missing::Nan).map(drop)?,
        "labels" => Labels::parse(&String::from_utf8_lossy(&bytes)).map(drop)?,
        "manifest" => Manifest::open(&dir.file("run.jsonl", &bytes))?.finish()?,
        "dictionary" => Dictionary::from_bytes(path, &bytes).map(drop)?,
        folder => panic!("no parser for `{folder}`"),
    }
    Ok(())
}

#[test]
fn what_fuzzing_found_ends_in_the_right_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut files = BTreeSet::new();
    for parser in fs::read_dir(&folder).expect("folder") {
        for file in fs::read_dir(parser.expect("entry").path()).expect("folder") {
            let path = file.expect("entry").path();
            files.insert(path.strip_prefix(&folder).expect("below").to_string_lossy().replace('\\', "/"));
        }
    }
    let known: BTreeSet<_> = FOUND.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(files, known, "files, and those that are told of here");
    for (name, variant, message) in FOUND {
        let outcome = at_once(|| parse(&folder.join(name)));
        match variant {
            &"" => outcome.unwrap_or_else(|error| panic!("{name}: {error}")),
            _ => assert_refused(outcome, variant, message),
        }
    }
}

// ---- recordings --------------------------------------------------------------------------------------------------

/// A `fmt ` chunk of a WAV file, and what follows.
fn wav(tag: u16, n_channels: u16, sample_rate: u32, block_align: u16, bits: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0".to_vec();
    bytes.extend([tag.to_le_bytes(), n_channels.to_le_bytes()].concat());
    bytes.extend([sample_rate.to_le_bytes(), [0; 4]].concat());
    bytes.extend([block_align.to_le_bytes(), bits.to_le_bytes()].concat());
    bytes.extend_from_slice(rest);
    bytes
}

fn data(declared: u32, bytes: &[u8]) -> Vec<u8> {
    [b"data", declared.to_le_bytes().as_slice(), bytes].concat()
}

fn open(bytes: &[u8]) -> Result<Reader, Error> {
    Reader::from_stream("hostile", bytes)
}

#[test]
fn an_endless_stream_that_is_no_recording_is_refused_by_its_start() {
    for (byte, message) in [(0, "only zeros"), (b'y', "text"), (0xff, "nothing that is known to be audio")] {
        let mut stream = io::repeat(byte).take(1 << 24);
        assert_refused(Reader::from_stream("endless", &mut stream), "NotAudio", message);
        assert!(stream.limit() > (1 << 24) - 4096, "{} bytes are left", stream.limit());
    }
}

#[test]
fn headers_of_no_recording_are_refused() {
    let cases = [
        (wav(1, 2, 44_100, 5, 16, &data(10, &[0; 10])), "it declares 5 bytes for 2 samples of 16 bits"),
        (wav(1, 2, 44_100, 2, 16, &data(10, &[0; 10])), "it declares 2 bytes for 2 samples of 16 bits"),
        (wav(3, 1, 44_100, 4, 64, &data(10, &[0; 10])), "it declares 4 bytes for 1 samples of 64 bits"),
        (wav(1, 0, 44_100, 0, 16, &data(10, &[0; 10])), "it declares 0 channels"),
        (wav(1, 2000, 44_100, 4000, 16, &data(8000, &[0; 8000])), "it declares 2000 channels"),
        (wav(1, 1, 0, 2, 16, &data(10, &[0; 10])), "a sample rate of 0 Hz"),
        (wav(1, 1, u32::MAX, 2, 16, &data(10, &[0; 10])), "a sample rate of 4294967295 Hz"),
    ];
    for (bytes, message) in cases {
        assert_refused(open(&bytes), "MalformedAudio", message);
    }
}

#[test]
fn a_declared_length_takes_no_memory() {
    let mut bytes = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
    bytes.extend([u64::MAX, u64::MAX - 1, 0].iter().flat_map(|size| size.to_le_bytes()));
    bytes.extend([0; 4]);
    bytes.extend_from_slice(&wav(1, 1024, 1_536_000, 2048, 16, &data(u32::MAX, &[0; 5000]))[12..]);
    let mut reader = open(&bytes).expect("headers");
    assert_eq!(reader.n_samples_hint(), Some((u64::MAX - 1) / 2048));
    assert_eq!(reader.read(usize::MAX / 4096).expect("what there is").dim(), (1024, 2));
    assert_refused(reader.read(1), "AudioCutOff", "is cut off");
}

#[test]
fn samples_before_one_that_is_no_number_are_handed_out() {
    for (wrong, message) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf"), (1e13, "1e13")] {
        let samples = [0.5, -1e12, wrong, 0.25].iter().flat_map(|x: &f32| x.to_le_bytes()).collect::<Vec<_>>();
        let mut reader = open(&wav(3, 1, 1000, 4, 32, &data(16, &samples))).expect("headers");
        assert_eq!(reader.read(10).expect("two samples"), ndarray::array![[0.5, -1e12]]);
        let message = format!("channel 1 has a sample that is {message}, at 0.002 s");
        assert_refused(reader.read(10), "NonFiniteSample", &message);
        assert!(reader.read(10).expect("the end").is_empty());
    }
}

#[test]
fn millions_of_empty_chunks_are_walked_through_at_once() {
    let chunks = b"JUNK\0\0\0\0".repeat(1_000_000);
    let wav = wav(1, 1, 8000, 2, 16, &[chunks, data(4, &[1, 0, 2, 0])].concat());
    assert_eq!(at_once(|| open(&wav).expect("headers").read(10).expect("samples").len()), 2);
    let boxes = [b"\0\0\0\x08ftyp".as_slice(), &b"\0\0\0\x08free".repeat(1_000_000)].concat();
    assert_refused(at_once(|| open(&boxes)), "MalformedAudio", "it has no movie box");
    // Padding of a million tracks, each in a block group of its own.
    let groups: Vec<u8> = (0..500_000u32)
        .flat_map(|track| {
            let number = (track | 0x1000_0000).to_be_bytes();
            [&[0xa0, 0x8b, 0xa1, 0x84], number.as_slice(), &[0x75, 0xa2, 0x81, 0x7f]].concat()
        })
        .collect();
    let matroska =
        [b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff".as_slice(), &groups].concat();
    assert!(at_once(|| open(&matroska)).is_err());
}

#[test]
fn times_beyond_all_bounds_are_added_up() {
    /// A page of a FLAC stream that begins and ends in it, at the last time there is.
    fn page(serial: u8) -> Vec<u8> {
        let body = b"\x7fFLAC";
        let mut page = [b"OggS\0\x06".as_slice(), &i64::MAX.to_le_bytes(), &[serial, 0, 0, 0], &[0; 8]].concat();
        page.extend([1, body.len() as u8]);
        page.extend_from_slice(body);
        // CRC-32 with polynomial 04c11db7.
        let crc = page.iter().fold(0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
        });
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        page
    }
    let streams: Vec<u8> = (0..4).flat_map(page).collect();
    let error = open(&[streams, b"OggS".to_vec()].concat()).expect_err("no whole stream");
    assert!(matches!(error, Error::MalformedAudio { .. } | Error::AudioCutOff { .. }), "{error:?}");
}

// ---- scores ------------------------------------------------------------------------------------------------------

/// A MIDI file of 1 tick per beat, and these tracks.
fn midi(tracks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MThd\0\0\0\x06\0\x01\xff\xff\0\x01".to_vec();
    for track in tracks {
        bytes.extend_from_slice(b"MTrk");
        bytes.extend((track.len() as u32).to_be_bytes());
        bytes.extend_from_slice(track);
    }
    bytes
}

#[test]
fn scores_beyond_the_limits_are_refused() {
    let track = |events: &[u8]| [events, b"\0\xff\x2f\0"].concat();
    let refused = |tracks: &[Vec<u8>], message: &str| {
        assert_refused(at_once(|| Score::from_midi(&midi(tracks))), "MalformedScore", message);
    };
    // Running status: a note has three bytes.
    let notes = [b"\0\x90\x40\x40".as_slice(), &b"\0\x40\x40".repeat(1_000_000)].concat();
    refused(&[track(&notes)], "more than 1000000 notes");
    refused(&[track(&b"\0\xff\x51\x03\x01\0\0".repeat(1_000_001))], "more than 1000000 changes of tempo");
    let pedal = b"\0\x40\x7f\0\x40\0".repeat(500_001);
    refused(&[track(&[b"\0\xb0\x40\0".as_slice(), &pedal].concat())], "more than 1000000 changes of tempo");
    let note = track(b"\0\x90\x40\x40\x01\x80\x40\0");
    refused(&vec![note.clone(); 257], "more than 256 parts");
    refused(&vec![track(b""); 4097], "more than 4096 tracks");
    // The slowest tempo, 16.8 s per beat, and the longest pauses.
    let pauses = b"\xff\xff\xff\x7f\xff\x01\0".repeat(100);
    let late = [b"\0\xff\x51\x03\xff\xff\xff".as_slice(), &pauses, b"\0\x90\x40\x40\x01\x80\x40\0"].concat();
    refused(&[track(&late)], "lasts longer than 24 hours");
    let held = [b"\0\x90\x40\x40".as_slice(), &pauses].concat();
    refused(&[track(&held)], "lasts longer than 24 hours");
}

#[test]
fn the_same_drum_of_thousands_of_tracks_is_one_part() {
    let hit = b"\0\x99\x24\x40\x01\x89\x24\0\0\xff\x2f\0".to_vec();
    let score = at_once(|| Score::from_midi(&midi(&vec![hit; 4000]))).expect("a score");
    assert_eq!((score.parts.len(), score.n_notes()), (1, 4000));
}

// ---- matrices ----------------------------------------------------------------------------------------------------

fn npy(shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\0", (header.len() as u16).to_le_bytes().as_slice(), header.as_bytes(), values].concat()
}

#[test]
fn shapes_that_no_file_holds_are_refused() {
    let dir = Dir::new();
    let cases = [
        ("(18446744073709551615, 18446744073709551615)", "it is too short for"),
        ("(4294967296, 4294967297)", "it is too short for"),
        ("(1000000, 1000000)", "it is too short for the 1000000 x 1000000 entries"),
        ("(3, 1)", "it is too short for the 3 x 1 entries"),
        ("(18446744073709551616, 1)", "no `shape` of whole numbers"),
        ("(-1, 1)", "no `shape` of whole numbers"),
        ("()", "its array has 0 dimensions"),
        ("(0, 0)", "it has no entries"),
        ("(0, 1000000000000)", "it has no entries"),
        ("(1000000000000, 0)", "it has no entries"),
    ];
    for (shape, message) in cases {
        let path = dir.file("v.npy", &npy(shape, &[0; 8]));
        assert_refused(matrix_file::read::<f32>(&path, Missing::None), "MalformedMatrix", message);
        let config = BlockConfig::default();
        let found = blocks::factorize(&path, &config, &mut Watch::none());
        assert_refused(found, "MalformedMatrix", message);
    }
    let long = [b"\x93NUMPY\x02\0".as_slice(), &u32::MAX.to_le_bytes(), &[b' '; 100]].concat();
    let path = dir.file("v.npy", &long);
    assert_refused(
        matrix_file::read::<f32>(&path, Missing::None),
        "MalformedMatrix",
        "its header has 4294967295 bytes",
    );
}

#[test]
fn sizes_in_an_archive_are_not_believed() {
    let dir = Dir::new();
    let member = |size: u32, extra: &[u8], name: &[u8]| {
        let mut bytes = b"PK\x03\x04\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend([size.to_le_bytes(), size.to_le_bytes()].concat());
        bytes.extend([(name.len() as u16).to_le_bytes(), (extra.len() as u16).to_le_bytes()].concat());
        [bytes.as_slice(), name, extra].concat()
    };
    let zip64 = [b"\x01\0\x10\0".as_slice(), &[0xff; 16]].concat();
    let cases = [
        (member(u32::MAX - 1, b"", b"other.npy"), "it is cut off"),
        (member(u32::MAX, &zip64, b"other.npy"), "it is cut off"),
        (member(u32::MAX, &[1, 0, 0xff, 0xff], b"other.npy"), "it does not say how long a part is"),
        ([member(0, b"", b"W.npy"), npy("(1000000, 1000000)", &[])].concat(), "it is too short for the 1000000 x"),
    ];
    for (bytes, message) in cases {
        let path = dir.file("v.npz", &bytes);
        assert_refused(matrix_file::read_member::<f32>(&path, "W"), "MalformedMatrix", message);
    }
}

#[test]
fn a_text_of_one_endless_line_is_refused() {
    let path = Dir::new();
    let path = path.file("v.csv", &b"1,".repeat(1 << 25));
    let found = at_once(|| matrix_file::read::<f32>(&path, Missing::Nan));
    assert_refused(found, "MalformedMatrix", "line 1 does not end");
}

#[test]
fn a_sparse_matrix_of_empty_rows_is_refused() {
    let general = |rest: &str| {
        let text = format!("%%MatrixMarket matrix coordinate real general\n{rest}\n");
        market::read::<f32>(text.as_bytes())
    };
    assert_refused(general("100000000 100000000 1\n1 1 1"), "MatrixMarket", "at most 4194304 rows and columns");
    assert_refused(general("1 100000000 0"), "MatrixMarket", "the end of 1 x 100000000 places with 0 entries");
    assert_refused(general("100000001 1 1\n1 1 1"), "MatrixMarket", "at most 100000000 rows and columns");
    assert_refused(general("1 1 18446744073709551615\n1 1 1"), "MatrixMarket", "the end after 1 entries");
    assert_eq!(general("4000000 1 1\n4000000 1 1").expect("a long matrix").dim(), (4_000_000, 1));
}

// ---- labels, manifests, dictionaries -----------------------------------------------------------------------------

fn labels(component: &str, n: usize) -> String {
    let mut text = "factors = \"f.npz\"\n[recording]\nsample_rate = 8000\nn_channels = 1\nn_samples = 9000\n\
        fingerprint = \"\"\n[settings]\nn_fft = 64\nwin_length = 64\nhop_length = 16\nwindow = \"hann\"\n\
        mask_exponent = 1.5\ndivergence = \"kl\"\nseed = \"0\"\nis_complete = true\n"
        .to_owned();
    for index in 1..=n {
        text += &format!("[[component]]\nindex = {index}\n{component}\nsuggested = \"s{index}\"\nenergy_share = 0.5\n");
        text += "centroid_hz = 9.0\nonsets_per_s = 1.0\n";
    }
    text
}

#[test]
fn labels_beyond_the_limits_are_refused() {
    let one = labels("", 1);
    Labels::parse(&one).expect("fine as it is");
    let changed = |from: &str, to: &str| {
        assert!(one.contains(from), "{from}");
        Labels::parse(&one.replace(from, to))
    };
    let refused = |labels, message| assert_refused(labels, "Labels", message);
    refused(changed("index = 1", "index = 1000000000000000000"), "has the index 1000000000000000000");
    refused(changed("index = 1", "index = 99999999999999999999"), "line ");
    refused(changed("index = 1", "index = -1"), "line ");
    refused(changed("1.5", "inf"), "`mask_exponent` is inf");
    refused(changed("9.0", "nan"), "component 1 has a value that is infinite or no number");
    refused(changed("s1", "a\\u0007b"), "which no file can have");
    refused(changed("s1", &"s".repeat(129)), "which no file can have");
    refused(changed("f.npz", ".."), "expected the name of a file beside the labels");
    refused(Labels::parse(&"[".repeat(100_000)), "");
    refused(Labels::parse(&format!("factors = {}", "[".repeat(100_000))), "");
    refused(Labels::parse(&" ".repeat(21 << 20)), "more than 20971520 bytes");
    refused(at_once(|| Labels::parse(&labels("", 65_537))), "65537 components, expected at most 65536");
    let many = at_once(|| Labels::parse(&labels("", 65_536)).expect("as many as can be asked for").names().0.len());
    assert_eq!(many, 65_536);
}

#[test]
fn manifests_beyond_the_limits_are_refused() {
    let dir = Dir::new();
    let refused = |bytes: &[u8], line: usize, message: &str| {
        let path = dir.file("run.jsonl", bytes);
        let found = at_once(|| Manifest::open(&path));
        assert!(matches!(found, Err(Error::Manifest { line: at, .. }) if at == line), "{found:?}");
        assert_refused(found, "Manifest", message);
        assert!(fs::read(&path).expect("file") == bytes, "it is left as it is");
    };
    let deep = format!("{{\"duration_s\":{}\n", "[".repeat(100_000));
    refused(deep.as_bytes(), 1, "recursion limit");
    let long = [b"\n{\"duration_s\":1,\"input\":\"".as_slice(), &b"x".repeat(1 << 21)].concat();
    refused(&long, 2, "a line of more than 2 MiB");
    let rest = "\"input\":\"\",\"sha256\":\"\",\"warnings\":[],\"error\":null";
    refused(format!("{{\"duration_s\":1e999,\"outputs\":[],{rest}}}\n").as_bytes(), 1, "number out of range");
    let size = "\"outputs\":[{\"path\":\"a\",\"n_bytes\":-1}]";
    refused(format!("{{\"duration_s\":1,{size},{rest}}}\n").as_bytes(), 1, "a line of another kind");
}

#[test]
fn what_a_manifest_says_is_read_as_it_was_written() {
    let dir = Dir::new();
    let path = dir.file("run.jsonl", b"");
    let mut entry = partita::batch::Entry::default();
    // Numbers of 17 digits, which a quick reader gets wrong by one in the last place.
    let numbers: Vec<f64> = (1..2000).map(|i| f64::from(i).sqrt() * 1e-3f64.powi(i % 7)).collect();
    entry.parameters = serde_json::json!({ "numbers": numbers });
    Manifest::open(&path).expect("new").add(&entry).expect("line");
    let found = Manifest::open(&path).expect("written").entry("").expect("entry");
    assert!(found.parameters == entry.parameters, "a resumed run would do everything again");
}

#[test]
fn dictionaries_of_any_size_are_refused_before_they_are_made() {
    let file = |tensors: &str, n_fft: &str, data: &[u8]| {
        let header = format!(
            "{{\"__metadata__\":{{\"partita\":\"dictionary 1\",\"sample_rate\":\"8000\",\"n_fft\":\"{n_fft}\",\
             \"win_length\":\"8\",\"hop_length\":\"2\",\"window\":\"hann\",\"divergence\":\"kl\",\"n_context\":\"1\",\
             \"names\":\"a\"}},{tensors}}}"
        );
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
        at_once(|| Dictionary::from_bytes(Path::new("d"), &bytes))
    };
    let tensor =
        |shape: &str, end: &str| format!("\"a\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{end}]}}");
    file(&tensor("[1,5,1]", "20"), "8", &[0; 20]).expect("fine as it is");
    let refused = |found, message| assert_refused(found, "MalformedDictionary", message);
    refused(file(&tensor("[1,5,1]", "20"), "4194304", &[0; 20]), "too short for a template with an `n_fft` of 4194304");
    refused(file(&tensor("[1,5,1]", "20"), "4294967296", &[0; 20]), "expected a whole number");
    refused(file(&tensor("[1,5,0]", "0"), "8", &[]), "have the shape [1, 5, 0]");
    refused(file(&tensor("[1,5,1]", "18446744073709551615"), "8", &[0; 20]), "");
    refused(file(&tensor("[1,5,4611686018427387904]", "20"), "8", &[0; 20]), "");
    refused(file(&tensor("[4294967296,4294967296,1]", "0"), "8", &[]), "");
    let dims = format!("[{}0]", "1,".repeat(50_000));
    let long = refusal(file(&tensor(&dims, "0"), "8", &[]));
    assert!(long.len() < 300, "{long}");
    for length in [0, 1 << 20, (1 << 20) + 1, u64::MAX] {
        let bytes = [&length.to_le_bytes(), [b' '; 100].as_slice()].concat();
        refused(Dictionary::from_bytes(Path::new("d"), &bytes), "");
    }
}
