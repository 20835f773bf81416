//! Labels: what is read and written again reads the same, and names belong to components.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partita::knowledge::labels::Labels;

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(labels) = Labels::parse(text) else { return };
    let (names, of_components) = labels.names();
    assert_eq!(of_components.len(), labels.components.len());
    assert!(of_components.iter().flatten().all(|name| *name < names.len()));
    assert!(names.iter().all(|name| !name.is_empty() && !name.contains(['/', '\\', '\0'])));
    let again = labels.text().expect("what is read can be written");
    assert_eq!(Labels::parse(&again).expect("read again"), labels);
});
