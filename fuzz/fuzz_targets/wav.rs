//! WAV, RF64 and BW64: what is read has the declared length, is bounded by the bytes, and does not depend on the size
//! of the blocks that it is read in.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use partita::Error;
use partita::audio::decode::Reader;

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| -> Corpus {
    if !["RIFF", "RF64", "BW64"].iter().any(|id| bytes.starts_with(id.as_bytes())) {
        return Corpus::Reject;
    }
    let Ok(mut reader) = Reader::from_stream("recording", bytes) else { return Corpus::Keep };
    let (n_channels, hint) = (reader.n_channels(), reader.n_samples_hint());
    assert!((1..=1024).contains(&n_channels) && (1..=1_536_000).contains(&reader.sample_rate()));
    let (samples, error) = read(&mut reader, 1000);
    // Eight bits a sample in plain files, four in packets, which also have two samples in their header.
    assert!(samples.len() <= 4 * bytes.len(), "{} samples of {} bytes", samples.len(), bytes.len());
    assert!(samples.iter().all(|x| x.is_finite()));
    if let (None, Some(hint)) = (&error, hint) {
        assert_eq!((samples.len() / n_channels) as u64, hint, "the length that was declared");
    }
    assert!(!matches!(error, Some(Error::ReadAudio { .. })), "the system reads every file here");

    let mut again = Reader::from_stream("recording", bytes).expect("opened before");
    let Ok(skipped) = again.skip(7) else { return Corpus::Keep };
    let (rest, _) = read(&mut again, 33);
    // What is skipped may be anything, also what ended the first reading.
    if let Some(expected) = samples.get(skipped as usize * n_channels..) {
        assert!(expected == rest, "read in other blocks");
    }
    Corpus::Keep
});

/// All samples, interleaved, and why there are no more.
fn read(reader: &mut Reader, block: usize) -> (Vec<f32>, Option<Error>) {
    let mut samples = Vec::new();
    loop {
        match reader.read(block) {
            Ok(block) if block.is_empty() => return (samples, None),
            Ok(block) => samples.extend(block.columns().into_iter().flat_map(|row| row.to_vec())),
            Err(error) => return (samples, Some(error)),
        }
    }
}
