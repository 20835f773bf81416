//! MIDI files: notes lie in order within a day, names are those of files, and what is written has the same notes.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use partita::Score;

/// A day, and the half of a tick that rounding may add, in seconds.
const MAX_S: f64 = 86_400.0 + 1e-3;

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| {
    let Ok(score) = Score::from_midi(bytes) else { return };
    check(&score);
    let again = Score::from_midi(&score.to_midi()).expect("what is written can be read");
    check(&again);
    assert_eq!(again.n_notes(), score.n_notes());
    let onsets = |score: &Score| {
        let mut all: Vec<_> = score.parts.iter().flat_map(|part| &part.notes).map(|note| note.onset_s).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let far = onsets(&score).into_iter().zip(onsets(&again)).find(|(a, b)| (a - b).abs() > 1.0 / 1920.0);
    assert_eq!(far, None, "onsets, in seconds, before and after");
});

fn check(score: &Score) {
    assert!((1..=256).contains(&score.parts.len()));
    let names: BTreeSet<_> = score.parts.iter().map(|part| part.name.to_lowercase()).collect();
    assert_eq!(names.len(), score.parts.len(), "no two parts of one name");
    for part in &score.parts {
        let name = &part.name;
        assert!(!name.is_empty() && name.len() < 100 && !name.starts_with(['.', '-']), "{name:?}");
        assert!(!name.contains(['/', '\\', '\0', '\n']), "{name:?}");
        assert!(!part.notes.is_empty() && part.notes.is_sorted_by(|a, b| a.onset_s <= b.onset_s));
        for note in &part.notes {
            assert!(0.0 <= note.onset_s && note.onset_s <= note.offset_s && note.offset_s <= MAX_S, "{note:?}");
            assert!(note.pitch < 128 && (1..128).contains(&note.velocity), "{note:?}");
        }
    }
}
