//! Finds what the documentation of this crate is about: counts the words of the sections of its Markdown files and of
//! the comments in its code, and factorizes the sparse matrix of words and passages.
//!
//! ```text
//! cargo run --release --example topics [FOLDER] [N_TOPICS]
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use partita::nmf::{NmfConfig, SparseMatrix, fit_sparse};

/// Words that are everywhere.
const COMMON: &str = "about above after all and any are because been before below both but can does each else every \
    first for from has have here how into its itself least less more most must not nothing one only other over own \
    same some such take takes than that the them then there these they this those too two under until was what when where whether \
    which while who why with without would";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = PathBuf::from(args.next().unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()));
    let mut folders = vec![root.clone()];
    let n_topics = args.next().map_or(Ok(12), |n| n.parse())?;

    let mut passages: Vec<(String, String)> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_rust = name.ends_with(".rs");
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if is_rust || name.ends_with(".md") {
                let text = std::fs::read_to_string(&path)?.to_lowercase();
                let is_end = |line: &&str| if is_rust { !line.trim().starts_with("//") } else { line.starts_with('#') };
                let lines: Vec<_> = text.lines().collect();
                // Shorter ones say too little.
                let sections = lines.split(is_end).map(|lines| lines.join(" ")).filter(|text| text.len() > 100);
                let file = path.strip_prefix(&root)?.display().to_string();
                passages.extend(sections.map(|text| (file.clone(), text)));
            }
        }
    }
    passages.sort();

    let mut places: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (i, (_, text)) in (0..).zip(&passages) {
        text.split(|c: char| !c.is_ascii_lowercase()).for_each(|word| places.entry(word).or_default().push(i));
    }
    let common: Vec<_> = COMMON.split(' ').collect();
    places.retain(|word, places| word.len() > 2 && !common.contains(word) && places.len() >= 5);
    let entries = (0..).zip(places.values()).flat_map(|(word, places)| places.iter().map(move |i| (word, *i, 1.0f32)));
    let v = SparseMatrix::from_entries((places.len(), passages.len()), entries.collect())?;
    println!(
        "{} words, {} passages, {} entries; topics, and the files that have most of them:",
        v.dim().0,
        v.dim().1,
        v.n_entries()
    );

    let topics =
        fit_sparse(&v, &NmfConfig { n_components: n_topics, max_iter: 500, tol: 0.0, ..NmfConfig::default() })?;
    let overall = topics.dictionary.rows().into_iter().map(|row| row.sum()).collect::<Vec<_>>();
    for (words, passages_of) in topics.dictionary.columns().into_iter().zip(topics.activations.rows()) {
        // Frequent in the topic, and rare outside of it.
        let telling = words.iter().zip(&overall).map(|(w, all)| w * w / all.max(f32::MIN_POSITIVE));
        let mut files: BTreeMap<&str, f32> = BTreeMap::new();
        passages.iter().zip(passages_of).for_each(|((file, _), h)| *files.entry(file).or_default() += h);
        println!(
            "{:<84} {}",
            highest(places.keys().zip(telling), 9),
            highest(files.iter().map(|(file, h)| (file, *h)), 2)
        );
    }
    Ok(())
}

/// The names with the highest values, highest first.
fn highest<'a>(values: impl Iterator<Item = (&'a &'a str, f32)>, n: usize) -> String {
    let mut values: Vec<_> = values.collect();
    values.sort_by(|a, b| b.1.total_cmp(&a.1));
    values.iter().take(n).map(|(name, _)| **name).collect::<Vec<_>>().join(" ")
}
