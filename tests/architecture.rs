//! Data flows one way: what the source says about itself is held to here.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below a folder, with its text.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            found.push((path, text));
        }
    }
    found
}

/// The code of a file: without comments, doc examples and its tests.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    body.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules of lib.rs in the order in which they stand there.
fn modules() -> Vec<String> {
    let text = fs::read_to_string(root().join("lib.rs")).expect("lib.rs");
    let names = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The module of lib.rs that a file belongs to; `None` for lib.rs itself and the command line.
fn module_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix(root()).expect("below src").iter().next()?.to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main", "cli"].contains(&name)).then(|| name.to_owned())
}

/// The modules that a piece of code names after `crate::`, also inside braces.
fn used(code: &str, modules: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let end = if rest.starts_with('{') { rest.find(';') } else { rest.find([';', '\n']) };
        let scope = &rest[..end.unwrap_or(rest.len())];
        let words = scope.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let mut words: Vec<_> = if rest.starts_with('{') { words.collect() } else { words.take(1).collect() };
        // What lib.rs exports by name comes from these modules.
        for (export, module) in [
            ("Stft", "stft"),
            ("StftConfig", "stft"),
            ("StftOptions", "stft"),
            ("Spectrogram", "spectrogram"),
            ("Audio", "audio"),
            ("Dictionary", "dictionary"),
            ("SeparateConfig", "separate"),
            ("Separation", "separate"),
        ] {
            if words.contains(&export) {
                words.push(module);
            }
        }
        found.extend(words.into_iter().filter(|word| modules.iter().any(|m| m == word)).map(str::to_owned));
    }
    found
}

#[test]
fn a_module_uses_only_modules_above_it_in_lib() {
    let modules = modules();
    assert!(modules.len() > 8, "{modules:?}");
    let place =
        |name: &str| modules.iter().position(|m| m == name).unwrap_or_else(|| panic!("{name} is not in lib.rs"));
    let mut n_uses = 0;
    for (path, text) in files(&root()) {
        let Some(module) = module_of(&path) else { continue };
        for other in used(&code(&text), &modules) {
            n_uses += 1;
            assert!(
                place(&other) <= place(&module),
                "{}: `{module}` uses `{other}`, which stands below it in lib.rs",
                path.display()
            );
        }
    }
    assert!(n_uses > 20, "only {n_uses} uses were seen: the test has lost its eyes");
}

#[test]
fn the_core_does_no_input_or_output_and_prints_nothing() {
    // The modules that read and write files, and nothing else does.
    let files_allowed = |path: &str| {
        path.starts_with("atomic")
            || path.starts_with("matrix_file")
            || path.starts_with("audio/decode")
            || path.starts_with("audio/encode")
            || path.starts_with("npy_blocks")
            || path.starts_with("dictionary")
            || path.starts_with("plot")
            || path.starts_with("batch")
            // Loads a score.
            || path == "score/mod.rs"
    };
    for (path, text) in files(&root()) {
        let Some(_) = module_of(&path) else { continue };
        let (name, code) = (path.strip_prefix(root()).expect("below src").to_string_lossy().into_owned(), code(&text));
        for word in ["println!", "print!", "eprintln!", "eprint!", "dbg!", "std::env", "static mut"] {
            assert!(!code.contains(word), "{name} has `{word}`");
        }
        if !files_allowed(&name) {
            for word in ["std::fs", "File::", "std::net", "std::process"] {
                assert!(
                    !code.contains(word),
                    "{name} has `{word}`, and only atomic, matrix_file, decode, encode and plot may"
                );
            }
        }
    }
}

#[test]
fn paths_reach_messages_with_escapes() {
    for (path, text) in files(&root()) {
        assert!(!code(&text).contains(".display()"), "{} shows a path raw: use `error::shown`", path.display());
    }
}

#[test]
fn each_outside_library_is_known_to_the_one_place_that_needs_it() {
    let owners = [
        ("symphonia", "audio/decode"),
        ("ropus", "audio/decode"),
        ("hound::", "audio/encode"),
        ("flacenc", "audio/encode"),
        ("plotters", "plot"),
        ("kodama", "group"),
        ("midly", "score/midi.rs"),
        ("clap::", "cli"),
        ("indicatif", "cli"),
        ("crc32fast", "matrix_file"),
        ("rubato", "audio/resample"),
        ("safetensors::", "dictionary"),
        ("sha2::", "batch"),
        ("toml::", "labels"),
    ];
    for (path, text) in files(&root()) {
        let (name, code) = (path.strip_prefix(root()).expect("below src").to_string_lossy().into_owned(), code(&text));
        for (library, owner) in owners {
            assert!(!code.contains(library) || name.starts_with(owner), "{name} knows {library}: only {owner} may");
        }
        assert!(!code.contains("unsafe ") || name.starts_with("nmf/kernel/"), "{name} has unsafe code");
    }
}
