//! Finds what the documentation of this crate is about: counts the words of each paragraph in its Markdown files and
//! doc comments, and factorizes the sparse matrix of words and paragraphs.
//!
//! ```text
//! cargo run --release --example topics [FOLDER] [N_TOPICS]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use partita::nmf::{NmfConfig, SparseMatrix, fit_sparse};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let n_topics = args.next().map_or(Ok(10), |n| n.parse())?;

    let mut paragraphs = Vec::new();
    collect(folder.as_ref(), &mut paragraphs)?;
    // Where each word is; those that are hardly anywhere or everywhere say nothing about a topic.
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, (_, text)) in paragraphs.iter().enumerate() {
        for word in text.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.len() > 3) {
            places.entry(word).or_default().push(i);
        }
    }
    places.retain(|_, places| (5..paragraphs.len() / 16).contains(&places.len()));
    let words: Vec<_> = places.keys().collect();
    let entries =
        places.values().zip(0..).flat_map(|(places, word)| places.iter().map(move |i| (word, *i as u32, 1.0)));
    let v = SparseMatrix::from_entries((words.len(), paragraphs.len()), entries.collect())?;
    println!("{} words x {} paragraphs, {} entries", words.len(), paragraphs.len(), v.n_entries());

    let topics = fit_sparse(&v, &NmfConfig { n_components: n_topics, max_iter: 500, ..NmfConfig::default() })?;
    let totals = topics.dictionary.rows().into_iter().map(|row| row.sum()).collect::<Vec<_>>();
    for (words_of, paragraphs_of) in topics.dictionary.columns().into_iter().zip(topics.activations.rows()) {
        // Frequent in the topic, and rare outside of it.
        let telling = highest(words_of.iter().zip(&totals).map(|(w, total)| w * w / total.max(f32::MIN_POSITIVE)), 9);
        let telling: Vec<_> = telling.into_iter().map(|i| *words[i]).collect();
        println!("{:<84} {}", telling.join(" "), paragraphs[highest(paragraphs_of.iter().copied(), 1)[0]].0);
    }
    Ok(())
}

/// Paragraphs of all Markdown files and doc comments below a folder, in lower case, each with its file.
fn collect(folder: &Path, paragraphs: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let mut paths = folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, paragraphs)?;
        } else if name.ends_with(".md") || name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path)?.to_lowercase();
            let prose = |line| if name.ends_with(".md") { line } else { doc_comment(line) };
            let lines: Vec<_> = text.lines().map(|line| prose(line.trim())).collect();
            let place = path.display().to_string();
            paragraphs.extend(lines.split(|line| line.is_empty()).map(|lines| (place.clone(), lines.join(" "))));
        }
    }
    Ok(())
}

/// What a line of Rust says to its reader.
fn doc_comment(line: &str) -> &str {
    line.strip_prefix("///").or(line.strip_prefix("//!")).or(line.strip_prefix("//")).unwrap_or_default().trim()
}

/// Where the highest values are, highest first.
fn highest(values: impl Iterator<Item = f32>, n: usize) -> Vec<usize> {
    let mut values: Vec<_> = values.enumerate().collect();
    values.sort_by(|a, b| b.1.total_cmp(&a.1));
    values.iter().take(n).map(|(i, _)| *i).collect()
}
