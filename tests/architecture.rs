//! What ARCHITECTURE.md says of the source, the source is held to here.

#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source::{Edge, Source, circles};

/// Longest file, in lines, with its tests.
const MAX_LINES: usize = 600;

/// Files that may be longer, each with the reason.
const LONG: &[(&str, &str)] = &[];

/// Inside `separate/`, from the lowest layer to the highest: files of one may use those of the same and of lower ones.
const LAYERS_OF_SEPARATE: [&str; 4] =
    ["separate/pipeline/", "separate/separation.rs", "separate/methods/", "separate/mod.rs"];

/// The only places where files may be read or written.
const PLACES_OF_FILES: &[&str] = &[
    "atomic.rs",
    "audio/decode",
    "audio/encode",
    "audio/spool.rs",
    "batch.rs",
    "knowledge/dictionary/file.rs",
    "knowledge/score/midi.rs",
    "matrix_file/",
    "plot/",
    "project/file.rs",
    "studio/",
];

/// Libraries that only one place knows, so that another can take their place.
const OWNERS: &[(&str, &str)] = &[
    ("ab_glyph", "plot/"),
    ("anstream", "cli/"),
    ("axum", "studio/"),
    ("bytemuck", "nmf/gpu/"),
    ("clap", "cli/"),
    ("clap_complete", "cli/"),
    ("clap_mangen", "cli/"),
    ("colorous", "plot/"),
    ("crc32fast", "matrix_file/"),
    ("ebur128", "audio/loudness.rs"),
    ("encoding_rs", "knowledge/score/text.rs"),
    ("flacenc", "audio/encode"),
    ("flate2", "matrix_file/packed.rs"),
    ("fontdb", "plot/"),
    ("futures_core", "studio/"),
    ("glob", "cli/"),
    ("hound", "audio/encode"),
    ("hyper", "studio/server.rs"),
    ("hyper_util", "studio/server.rs"),
    ("ignore", "cli/"),
    ("indicatif", "cli/"),
    ("kodama", "nmf/linkage.rs"),
    ("lewton", "audio/decode"),
    ("midly", "knowledge/score/midi.rs"),
    ("plotters", "plot/page.rs"),
    ("png", "plot/"),
    ("pollster", "nmf/gpu/"),
    ("ropus", "audio/decode"),
    ("rubato", "audio/resample"),
    ("safetensors", "knowledge/dictionary/file.rs"),
    ("sha2", "batch.rs"),
    ("signal_hook", "cli/"),
    ("symphonia", "audio/decode"),
    ("tokio", "studio/"),
    ("toml", "text.rs"),
    ("wgpu", "nmf/gpu/"),
];

fn source() -> Source {
    Source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// Whether a file belongs to the command line.
fn is_cli(file: &str) -> bool {
    file == "main.rs" || file.starts_with("cli/")
}

/// The module of lib.rs that a file belongs to; `None` for lib.rs itself.
fn module_of(file: &str) -> Option<&str> {
    let first = file.split('/').next().map(|first| first.strip_suffix(".rs").unwrap_or(first));
    first.filter(|first| *first != "lib")
}

fn shown(edge: &Edge) -> String {
    format!("{}:{}: `{}` -> {}", edge.from, edge.line, edge.path, edge.to)
}

/// Shows all that is wrong, not only the first of it.
fn assert_none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

// ---- which way data flows ----------------------------------------------------------------------------------------

#[test]
fn a_module_uses_only_modules_above_it_in_lib() {
    let source = source();
    let modules = source.declared();
    assert!(modules.len() > 8, "{modules:?}");
    let place = |file: &str| modules.iter().position(|module| Some(module.as_str()) == module_of(file));
    let edges: Vec<_> = source.edges().into_iter().filter(|edge| !is_cli(&edge.from)).collect();
    let between = edges.iter().filter(|edge| module_of(&edge.from) != module_of(&edge.to)).count();
    assert!(between > 100, "only {between} uses were seen: the test has lost its eyes");
    let wrong: Vec<_> = edges.iter().filter(|edge| place(&edge.to) > place(&edge.from)).map(shown).collect();
    assert_none("uses of modules that stand further down in lib.rs", &wrong);
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let source = source();
    let edges = source.edges();
    let in_cli = edges.iter().filter(|edge| is_cli(&edge.from)).count();
    assert!(edges.len() > 250 && in_cli > 50, "only {} uses were seen, {in_cli} of the command line", edges.len());
    let wrong: Vec<_> = circles(&edges)
        .into_iter()
        .map(|(group, way)| {
            let way: Vec<_> = way.iter().map(shown).collect();
            format!("{} files: {group:?}; the shortest way round:\n    {}", group.len(), way.join("\n    "))
        })
        .collect();
    assert_none("circles", &wrong);
}

#[test]
fn inside_separate_no_file_uses_a_higher_layer() {
    let source = source();
    let layer = |file: &str| LAYERS_OF_SEPARATE.iter().position(|layer| file.starts_with(layer));
    for layer in LAYERS_OF_SEPARATE {
        assert!(source.files().any(|file| file.starts_with(layer)), "there is no {layer}");
    }
    let is_out = |file: &&str| file.starts_with("separate/") && layer(file).is_none();
    let outside: Vec<_> = source.files().filter(is_out).map(str::to_owned).collect();
    assert_none("files of no layer", &outside);
    let is_upward = |edge: &&Edge| match (layer(&edge.from), layer(&edge.to)) {
        (Some(from), Some(to)) => to > from,
        _ => false,
    };
    let wrong: Vec<_> = source.edges().iter().filter(is_upward).map(shown).collect();
    assert_none("uses of higher layers", &wrong);
}

// ---- what is known where -----------------------------------------------------------------------------------------

#[test]
fn the_core_does_no_input_or_output_and_prints_nothing() {
    let source = source();
    let mut wrong = Vec::new();
    for file in source.files().filter(|file| !is_cli(file)) {
        let tokens = source.tokens(file, false);
        for pair in tokens.windows(2) {
            let (first, second) = (pair[0].text.as_str(), pair[1].text.as_str());
            let prints = ["print", "println", "eprint", "eprintln", "dbg"].contains(&first) && second == "!";
            if prints || (first, second) == ("static", "mut") {
                wrong.push(format!("{file}:{}: {first} {second}", pair[0].line));
            }
        }
        let has_files = PLACES_OF_FILES.iter().any(|place| file.starts_with(place));
        let is_wrong = |path: &&String| {
            let starts =
                |root: &&str| path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
            let outside =
                ["std::env", "std::net", "std::process", "std::io::stdin", "std::io::stdout", "std::io::stderr"];
            outside.iter().any(starts) || !has_files && ["std::fs", "tempfile"].iter().any(starts)
        };
        wrong.extend(source.paths(file).iter().filter(is_wrong).map(|path| format!("{file}: {path}")));
    }
    assert_none("input, output or global state in the core", &wrong);
}

#[test]
fn paths_reach_messages_with_escapes() {
    let source = source();
    let mut wrong = Vec::new();
    for file in source.files() {
        for three in source.tokens(file, false).windows(3) {
            if three.iter().map(|token| token.text.as_str()).eq([".", "display", "("]) {
                wrong.push(format!("{file}:{}", three[0].line));
            }
        }
    }
    assert_none("paths that are shown raw, without `error::shown`", &wrong);
}

#[test]
fn each_outside_library_is_known_to_the_one_place_that_needs_it() {
    let source = source();
    let mut wrong = Vec::new();
    for file in source.files() {
        for path in source.paths(file) {
            let library = path.split("::").next().unwrap_or_default();
            let owner = OWNERS.iter().find(|(name, _)| *name == library).map(|(_, owner)| *owner);
            if let Some(owner) = owner.filter(|owner| !file.starts_with(owner)) {
                wrong.push(format!("{file} knows {library} ({path}): only {owner} may"));
            }
        }
    }
    assert_none("libraries out of their places", &wrong);
}

#[test]
fn only_the_kernel_of_nmf_is_unsafe() {
    let source = source();
    let mut wrong = Vec::new();
    for file in source.files().filter(|file| *file != "nmf/kernel.rs" && !file.starts_with("nmf/kernel/")) {
        let tokens = source.tokens(file, true);
        let lines = tokens.iter().filter(|token| token.text == "unsafe").map(|token| token.line);
        wrong.extend(lines.map(|line| format!("{file}:{line}")));
    }
    assert_none("unsafe code outside of nmf/kernel", &wrong);
}

#[test]
fn no_file_is_longer_than_600_lines_without_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lengths: BTreeMap<String, usize> = ["src", "tests", "benches", "examples", "python/src"]
        .into_iter()
        .flat_map(|folder| {
            let source = Source::read(&root.join(folder));
            let lengths = source.files().map(|file| (format!("{folder}/{file}"), source.n_lines(file)));
            lengths.collect::<Vec<_>>()
        })
        .collect();
    let is_excused = |file: &str| LONG.iter().any(|(long, _)| *long == file);
    let long = lengths.iter().filter(|(file, n_lines)| **n_lines > MAX_LINES && !is_excused(file));
    let wrong: Vec<_> = long.map(|(file, n_lines)| format!("{file}: {n_lines} lines")).collect();
    assert_none("files that are too long", &wrong);
    for (file, reason) in LONG {
        assert!(!reason.is_empty(), "{file} has no reason");
        let is_long = lengths.get(*file).is_some_and(|n_lines| *n_lines > MAX_LINES);
        assert!(is_long, "{file} is no longer long: strike it from the list");
    }
}

// ---- the reader itself -------------------------------------------------------------------------------------------

/// Source of some files.
fn of(files: &[(&str, &str)]) -> Source {
    Source::new(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

/// Which file uses which, without the places.
fn uses(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let edges: BTreeSet<_> = of(files).edges().into_iter().map(|edge| (edge.from, edge.to)).collect();
    edges.into_iter().collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(from, to)| (from.to_owned(), to.to_owned())).to_vec()
}

#[test]
fn comments_texts_and_tests_are_no_code() {
    let text = r####"
        //! use crate::a;
        /* use crate::b; /* nested */ use crate::c; */
        const TEXT: &str = "use crate::d; // \" no comment";
        const RAW: &str = r#"" unsafe "#;
        const QUOTES: [char; 3] = ['"', '\'', '\\'];
        fn f<'a>(x: &'a str) -> &'a str { x } // unsafe
        #[cfg(test)]
        mod tests { use crate::e; fn g() { "}" } }
        #[test]
        fn h() { unsafe {} }
        #[cfg(test)]
        use crate::i;
        #[cfg(all(test, unix))]
        fn j() -> [u8; 2] { crate::j::k() }
        #[cfg(not(test))]
        use crate::kept;
    "####;
    let source = of(&[("lib.rs", text)]);
    assert_eq!(source.paths("lib.rs").into_iter().collect::<Vec<_>>(), ["crate::kept"]);
    assert!(source.tokens("lib.rs", false).iter().all(|token| token.text != "unsafe"));
    assert_eq!(
        source.tokens("lib.rs", true).iter().find(|token| token.text == "unsafe").map(|token| token.line),
        Some(11)
    );
}

#[test]
fn a_use_leads_to_the_file_that_defines_what_is_used() {
    let lib = ("lib.rs", "pub mod low; pub mod high; pub use low::{deep::Deep, Shallow as Flat};");
    let low = ("low/mod.rs", "pub(crate) mod deep; mod wide; pub use wide::*; pub struct Shallow;");
    let deep = ("low/deep.rs", "use super::Shallow; pub struct Deep;");
    let wide = ("low/wide.rs", "pub fn wide() {}");
    for (text, expected) in [
        ("use crate::Deep;", vec!["low/deep.rs"]),
        ("use crate::{Flat, low};", vec!["low/mod.rs"]),
        ("use crate::low; fn f() { low::deep::Deep; low::wide(); }", vec!["low/deep.rs", "low/wide.rs"]),
        ("use crate::low::{self, deep as d}; fn f() { d::Deep::new() }", vec!["low/deep.rs"]),
        ("fn f() { for _ in 0..super::low::deep::N {} }", vec!["low/deep.rs"]),
        ("mod inner { use super::super::Deep; }", vec!["low/deep.rs"]),
        ("mod inner { use super::*; }", vec![]),
        ("use crate::low::*;", vec!["low/mod.rs"]),
        ("use std::fs; fn f(low: X) { low.deep::<u8>(); fs::read() }", vec![]),
    ] {
        let mut expected: Vec<_> = expected.into_iter().map(|to| ("high.rs", to)).collect();
        expected.push(("low/deep.rs", "low/mod.rs"));
        let expected: Vec<_> = expected.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
        assert_eq!(uses(&[lib, low, deep, wide, ("high.rs", text)]), expected, "{text}");
    }
}

#[test]
fn to_declare_and_to_pass_on_is_no_use_but_to_use_what_is_passed_on_is() {
    let child = ("a/child.rs", "use super::Parent; pub struct Child;");
    let lib = ("lib.rs", "mod a;");
    let declares = ("a/mod.rs", "mod child; pub use child::Child; pub struct Parent;");
    assert_eq!(uses(&[lib, declares, child]), pairs([("a/child.rs", "a/mod.rs")]));
    let both = pairs([("a/child.rs", "a/mod.rs"), ("a/mod.rs", "a/child.rs")]);
    for text in [
        "mod child; pub use child::Child; pub struct Parent(Child);",
        "mod child; pub struct Parent(child::Child);",
        "mod child; use child::Child; pub struct Parent;",
    ] {
        assert_eq!(uses(&[lib, ("a/mod.rs", text), child]), both, "{text}");
    }
}

#[test]
fn the_path_of_a_visibility_is_no_use() {
    let files =
        |a| [("lib.rs", "mod a; mod b;"), ("a/mod.rs", "mod deep;"), ("a/deep.rs", a), ("b.rs", "pub struct B;")];
    for text in [
        "pub(in crate::b) struct A;",
        "pub(in crate::a) fn f() {} pub(super) struct A; pub(self) struct C; pub(crate) mod inner {}",
        "struct A { pub(in crate::b) x: u8, pub(crate) y: u8 }",
        "struct A(pub(in crate::b) u8);",
    ] {
        assert_eq!(uses(&files(text)), [], "{text}");
    }
    for text in [
        "pub(in crate::b) struct A { x: crate::b::B }",
        "struct A(pub (crate::b::B, u8));",
        "pub(in crate::a) use crate::b::B; fn f(b: B) {}",
    ] {
        assert_eq!(uses(&files(text)), pairs([("a/deep.rs", "b.rs")]), "{text}");
    }
}

#[test]
fn circles_are_found_and_told_with_the_shortest_way_round() {
    let files = [
        ("main.rs", "mod cli;"),
        ("cli/mod.rs", "mod a; mod b; mod c; mod d; fn f() { a::A; }"),
        ("cli/a.rs", "use super::b::B;"),
        ("cli/b.rs", "use super::c; fn f() { c::C; }"),
        ("cli/c.rs", "use crate::cli::a::A; use super::b::B;"),
        ("cli/d.rs", "use super::a::A;"),
    ];
    let found = circles(&of(&files).edges());
    let [(group, way)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(group.iter().collect::<Vec<_>>(), ["cli/a.rs", "cli/b.rs", "cli/c.rs"]);
    let way: Vec<_> = way.iter().map(shown).collect();
    assert_eq!(way, ["cli/b.rs:1: `c::C` -> cli/c.rs", "cli/c.rs:1: `super::b::B` -> cli/b.rs"]);
}
