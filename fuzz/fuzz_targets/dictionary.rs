//! Dictionaries: templates are what a factorization can work with, and the same when they are written and read again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use partita::Dictionary;

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| {
    let path = Path::new("dictionary");
    let Ok(dictionary) = Dictionary::from_bytes(path, bytes) else { return };
    let n_rows = dictionary.n_context() * dictionary.stft().n_bins();
    assert!(dictionary.sample_rate() > 0 && !dictionary.sources().is_empty());
    for source in dictionary.sources() {
        assert_eq!(source.templates.nrows(), n_rows);
        assert!(4 * source.templates.len() <= bytes.len());
        assert!(source.templates.iter().all(|x| x.is_finite() && *x >= 0.0));
        for template in source.templates.columns() {
            let sum: f64 = template.iter().map(|x| f64::from(*x)).sum();
            assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-4, "a template sums to {sum}");
        }
    }
    let again = Dictionary::from_bytes(path, &dictionary.to_bytes()).expect("read again");
    assert_eq!(again.sources().len(), dictionary.sources().len());
    for (a, b) in again.sources().iter().zip(dictionary.sources()) {
        assert_eq!((&a.name, a.templates.dim()), (&b.name, b.templates.dim()));
        assert!(a.templates.iter().zip(&b.templates).all(|(a, b)| (a - b).abs() < 1e-5));
    }
});
