//! A file of any kind, decoded: what comes out is finite and does not depend on the size of the blocks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partita::audio::decode::Reader;

/// Samples of all channels that are decoded: some codecs make millions of a few bytes.
const MAX_DECODED: usize = 1 << 17;

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| {
    let bytes = partita_fuzz::with_right_checksums(bytes);
    let Ok(mut reader) = Reader::from_stream("recording", &*bytes) else { return };
    assert!((1..=1024).contains(&reader.n_channels()) && (1..=1_536_000).contains(&reader.sample_rate()));
    let samples = read(&mut reader, 1000);
    assert!(samples.iter().all(|x| x.is_finite()));
    let mut again = Reader::from_stream("recording", &*bytes).expect("opened before");
    let others = read(&mut again, 77);
    let n = samples.len().min(others.len());
    assert!(samples[..n] == others[..n], "read in other blocks");
    assert!(n >= MAX_DECODED || samples.len() == others.len(), "as long in other blocks");
});

/// The first samples, interleaved.
fn read(reader: &mut Reader, block: usize) -> Vec<f32> {
    let mut samples = Vec::new();
    while samples.len() < MAX_DECODED {
        match reader.read(block) {
            Ok(block) if !block.is_empty() => samples.extend(block.columns().into_iter().flat_map(|row| row.to_vec())),
            _ => break,
        }
    }
    samples
}
