//! Manifests: what is none is left as it is; what is one keeps its entries through a run, and a second run changes
//! nothing.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use partita::batch::{Entry, Manifest};
use partita_fuzz::file;
use serde_json::Value;

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| {
    let path = file("run.jsonl", bytes);
    let Ok(manifest) = Manifest::open(&path) else {
        assert!(fs::read(&path).expect("file") == bytes, "what is no manifest is left as it is");
        return;
    };
    // Whole lines only: the rest was cut off.
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let entries: Vec<Entry> = bytes[..complete]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let line: Value = serde_json::from_slice(line).expect("accepted lines are JSON");
            let input = line["input"].as_str().expect("accepted lines name an input");
            manifest.entry(input).expect("accepted lines are entries")
        })
        .collect();
    manifest.finish().expect("finish");
    let once = fs::read(&path).expect("file");
    let copy = file("copy.jsonl", b"");
    let (finished, written) = (Manifest::open(&path).expect("finished"), Manifest::open(&copy).expect("empty"));
    for entry in &entries {
        assert_eq!(finished.entry(&entry.input).as_ref(), Some(entry), "kept by the end of a run");
        written.add(entry).expect("line");
    }
    drop(written);
    let written = Manifest::open(&copy).expect("written");
    for entry in &entries {
        assert_eq!(written.entry(&entry.input).as_ref(), Some(entry), "written and read again");
    }
    finished.finish().expect("finish");
    assert!(fs::read(&path).expect("file") == once, "a second run changes nothing");
});
