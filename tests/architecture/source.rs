//! Rust source as the rules see it: code without comments, texts and tests; modules, and which file uses which.
//! Reads just as much of the language as that takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A word, `::`, or any other character; texts are `""`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// One file uses what another one defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Line of `from`.
    pub(crate) line: usize,
    /// As it stands there: `super::Stft`.
    pub(crate) path: String,
}

/// A module, in a file of its own or in braces.
#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Folder that the files of its children are in.
    folder: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    imports: Vec<Import>,
    /// Paths of two words or more outside of imports.
    paths: Vec<(Vec<String>, usize)>,
    /// All words outside of imports.
    words: BTreeSet<String>,
    /// Names of items.
    items: BTreeSet<String>,
}

/// One name of a `use`.
#[derive(Debug, Clone)]
struct Import {
    /// What it is called here; `*` for all names.
    name: String,
    path: Vec<String>,
    is_public: bool,
    line: usize,
}

/// What a path leads to: a module itself, or what is defined in one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Found {
    Module(usize),
    Item(usize),
}

/// All code below one folder.
#[derive(Debug, Default)]
pub(crate) struct Source {
    texts: BTreeMap<String, String>,
    modules: Vec<Module>,
}

impl Source {
    /// Reads every Rust file below a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut texts = BTreeMap::new();
        collect(folder, folder, &mut texts);
        Self::new(texts)
    }

    /// From texts by path. The modules are those below `lib.rs` and `main.rs`.
    pub(crate) fn new(texts: BTreeMap<String, String>) -> Self {
        let mut source = Self { texts, modules: Vec::new() };
        for root in ["lib.rs", "main.rs"] {
            if source.texts.contains_key(root) {
                source.open(root, String::new(), None);
            }
        }
        source
    }

    /// Paths of all files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    pub(crate) fn n_lines(&self, file: &str) -> usize {
        self.texts[file].lines().count()
    }

    /// The code of a file, with its tests or without.
    pub(crate) fn tokens(&self, file: &str, with_tests: bool) -> Vec<Token> {
        let tokens = tokens(&self.texts[file]);
        if with_tests { tokens } else { without_tests(&tokens) }
    }

    /// Every path that the code of a file names, its imports with all of theirs, but for those in its tests.
    pub(crate) fn paths(&self, file: &str) -> BTreeSet<String> {
        let modules = self.modules.iter().filter(|module| module.file == file);
        let paths = modules.flat_map(|module| {
            module.imports.iter().map(|import| &import.path).chain(module.paths.iter().map(|(path, _)| path))
        });
        paths.map(|path| path.join("::")).collect()
    }

    /// The modules that `lib.rs` declares, in their order.
    pub(crate) fn declared(&self) -> Vec<String> {
        let tokens = self.tokens("lib.rs", false);
        let is_declaration = |three: &&[Token]| three[0].text == "mod" && three[2].text == ";";
        tokens.windows(3).filter(is_declaration).map(|three| three[1].text.clone()).collect()
    }

    /// Which file uses which: by imports and by paths, to the file that defines what is used. To declare a module, or to
    /// pass on what is in it, is no use of it.
    pub(crate) fn edges(&self) -> BTreeSet<Edge> {
        let mut edges = BTreeSet::new();
        for (at, module) in self.modules.iter().enumerate() {
            let mut add = |found: Option<Found>, takes_all: bool, path: &[String], line: usize| {
                let to = match found {
                    Some(Found::Item(to)) => to,
                    Some(Found::Module(to)) if takes_all => to,
                    // What is taken from an imported module are paths of their own.
                    _ => return,
                };
                let to = &self.modules[to].file;
                if *to != module.file {
                    let (from, to, path) = (module.file.clone(), to.clone(), path.join("::"));
                    edges.insert(Edge { from, to, line, path });
                }
            };
            for import in &module.imports {
                if !import.is_public || module.words.contains(&import.name) {
                    add(self.resolve(at, &import.path, 0), import.name == "*", &import.path, import.line);
                }
            }
            for (path, line) in &module.paths {
                add(self.resolve(at, path, 0), false, path, *line);
            }
        }
        edges
    }

    // ---- modules -----------------------------------------------------------------------------------------------

    /// Takes in a file as a module, with all of its children.
    fn open(&mut self, file: &str, folder: String, parent: Option<usize>) -> usize {
        let at = self.modules.len();
        self.modules.push(Module { file: file.to_owned(), folder, parent, ..Module::default() });
        let tokens = without_tests(&tokens(&self.texts[file]));
        self.take(at, &tokens);
        at
    }

    /// Takes in the code of a module.
    fn take(&mut self, at: usize, tokens: &[Token]) {
        let word = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
        let mut i = 0;
        while i < tokens.len() {
            let line = tokens[i].line;
            match word(i) {
                "use" if word(i + 1) != "<" => {
                    let end = (i..tokens.len()).find(|end| word(*end) == ";").unwrap_or(tokens.len());
                    let is_public = i > 0 && (word(i - 1) == "pub" || word(i - 1) == ")");
                    for (name, path) in imported(&tokens[i + 1..end]) {
                        self.modules[at].imports.push(Import { name, path, is_public, line });
                    }
                    i = end;
                }
                "mod" if is_word(word(i + 1)) => {
                    let name = word(i + 1).to_owned();
                    let (file, folder) = (self.modules[at].file.clone(), self.modules[at].folder.clone());
                    let inner = format!("{folder}{name}/");
                    let child = if word(i + 2) == "{" {
                        let end = closing(tokens, i + 2);
                        let child = self.modules.len();
                        self.modules.push(Module { file, folder: inner, parent: Some(at), ..Module::default() });
                        self.take(child, &tokens[i + 3..end]);
                        i = end;
                        child
                    } else {
                        let own = [format!("{folder}{name}.rs"), format!("{inner}mod.rs")];
                        let own = own.into_iter().find(|path| self.texts.contains_key(path));
                        let own = own.unwrap_or_else(|| panic!("{file}:{line}: no file for `mod {name}`"));
                        i += 1;
                        self.open(&own, inner, Some(at))
                    };
                    self.modules[at].children.insert(name, child);
                }
                // The path of a visibility is no use of what it names: `pub(in crate::a)`.
                "pub" if is_visibility(&tokens[i + 1..]) => i = closing(tokens, i + 1),
                first if is_word(first) => {
                    self.modules[at].words.insert(first.to_owned());
                    if ["fn", "struct", "enum", "trait", "type", "const", "static", "union"].contains(&first) {
                        self.modules[at].items.insert(word(i + 1).to_owned());
                    }
                    let is_field = i > 0 && word(i - 1) == "." && !(i > 1 && word(i - 2) == ".");
                    let mut path = vec![first.to_owned()];
                    while word(i + 1) == "::" && is_word(word(i + 2)) {
                        path.push(word(i + 2).to_owned());
                        i += 2;
                    }
                    if path.len() > 1 && !is_field {
                        self.modules[at].paths.push((path, line));
                    }
                }
                _ => {}
            }
            i += 1;
        }
    }

    /// Where a path leads that stands in a module; `None`: out of this code.
    fn resolve(&self, at: usize, path: &[String], depth: usize) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        if first == "crate" {
            let root = std::iter::successors(Some(at), |at| self.modules[*at].parent).last()?;
            return self.walk(root, rest, depth);
        }
        let module = &self.modules[at];
        let is_known = ["self", "super"].contains(&first.as_str())
            || module.children.contains_key(first)
            || module.imports.iter().any(|import| import.name == *first);
        if is_known { self.walk(at, path, depth) } else { None }
    }

    /// Where a path leads from a module on.
    fn walk(&self, at: usize, path: &[String], depth: usize) -> Option<Found> {
        // An import of a library under its own name leads to itself.
        if depth > 16 {
            return None;
        }
        let Some((name, rest)) = path.split_first() else { return Some(Found::Module(at)) };
        let module = &self.modules[at];
        match name.as_str() {
            "*" => return Some(Found::Module(at)),
            "self" => return self.walk(at, rest, depth),
            "super" => return self.walk(module.parent?, rest, depth),
            _ => {}
        }
        let child = module.children.get(name);
        // A function may have the name of a module: only a module leads on.
        if let Some(child) = child.filter(|_| !rest.is_empty()) {
            return self.walk(*child, rest, depth);
        }
        if let Some(import) = module.imports.iter().find(|import| import.name == *name) {
            return match self.resolve(at, &import.path, depth + 1)? {
                Found::Module(to) => self.walk(to, rest, depth + 1),
                item => Some(item),
            };
        }
        let globs = module.imports.iter().filter(|import| import.name == "*" && !module.items.contains(name));
        for glob in globs {
            if let Some(Found::Module(to)) = self.resolve(at, &glob.path, depth + 1) {
                let other = &self.modules[to];
                let has = other.items.contains(name)
                    || other.children.contains_key(name)
                    || other.imports.iter().any(|import| import.name == *name);
                if has {
                    return self.walk(to, path, depth + 1);
                }
            }
        }
        Some(child.map_or(Found::Item(at), |child| Found::Module(*child)))
    }
}

fn collect(root: &Path, folder: &Path, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            collect(root, &path, texts);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let parts = path.strip_prefix(root).expect("below the root").iter();
            let name: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
            texts.insert(name.join("/"), fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

// ---- circles -----------------------------------------------------------------------------------------------------

/// Groups of files each of which uses, by way of others, all of its group; the shortest way round of each.
pub(crate) fn circles(edges: &BTreeSet<Edge>) -> Vec<(BTreeSet<String>, Vec<Edge>)> {
    let files: BTreeSet<&str> = edges.iter().flat_map(|edge| [edge.from.as_str(), edge.to.as_str()]).collect();
    let reached: BTreeMap<&str, BTreeMap<&str, &Edge>> = files.iter().map(|file| (*file, reach(edges, file))).collect();
    let mut seen = BTreeSet::<&str>::new();
    let mut found = Vec::new();
    for file in files {
        if seen.contains(file) || !reached[file].contains_key(file) {
            continue;
        }
        let group: BTreeSet<&str> =
            reached[file].keys().copied().filter(|other| reached[other].contains_key(file)).collect();
        seen.extend(&group);
        let around = |start: &&str| {
            let (mut way, mut at) = (Vec::new(), *start);
            while way.is_empty() || at != *start {
                let edge = reached[start][at];
                way.push(edge.clone());
                at = &edge.from;
            }
            way.reverse();
            way
        };
        let way = group.iter().map(around).min_by_key(Vec::len).unwrap_or_default();
        found.push((group.into_iter().map(str::to_owned).collect(), way));
    }
    found
}

/// What can be reached from a file, each with the last edge of a shortest way to it.
fn reach<'a>(edges: &'a BTreeSet<Edge>, start: &'a str) -> BTreeMap<&'a str, &'a Edge> {
    let mut reached = BTreeMap::new();
    let mut front = vec![start];
    while !front.is_empty() {
        let mut next = Vec::new();
        for edge in edges.iter().filter(|edge| front.contains(&edge.from.as_str())) {
            if !reached.contains_key(edge.to.as_str()) {
                reached.insert(edge.to.as_str(), edge);
                next.push(edge.to.as_str());
            }
        }
        front = next;
    }
    reached
}

// ---- text --------------------------------------------------------------------------------------------------------

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Cuts a text into tokens; comments and lifetimes are left out.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let start = i;
        let mut token = String::new();
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            '"' => {
                i = after_text(&chars, i, 0, true);
                token.push_str("\"\"");
            }
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                // The escaped character may itself be a quote.
                i += if at(i + 1) == '\\' { 3 } else { 2 };
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
                token.push_str("\"\"");
            }
            '\'' => {
                i += 1;
                while is_name(at(i)) {
                    i += 1;
                }
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                token.push_str("::");
            }
            c if is_name(c) => {
                while is_name(at(i)) {
                    token.push(at(i));
                    i += 1;
                }
                // A text with a prefix, or a word that is none of the language's.
                let n_hashes = (i..chars.len()).take_while(|i| at(*i) == '#').count();
                let is_raw = ["r", "br", "cr"].contains(&token.as_str());
                if at(i + n_hashes) == '"' && (is_raw || n_hashes == 0 && ["b", "c"].contains(&token.as_str())) {
                    i = after_text(&chars, i + n_hashes, n_hashes, !is_raw);
                    token = "\"\"".to_owned();
                } else if token == "r" && n_hashes == 1 && is_name(at(i + 1)) {
                    token.clear();
                    i += 1;
                }
            }
            c => {
                i += 1;
                if !c.is_whitespace() {
                    token.push(c);
                }
            }
        }
        if !token.is_empty() {
            found.push(Token { text: token, line });
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// The place behind a text whose opening quote is at `quote`.
fn after_text(chars: &[char], quote: usize, n_hashes: usize, has_escapes: bool) -> usize {
    let mut i = quote + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' if has_escapes => i += 1,
            '"' if chars[i + 1..].iter().take(n_hashes).filter(|c| **c == '#').count() == n_hashes => {
                return i + 1 + n_hashes;
            }
            _ => {}
        }
        i += 1;
    }
    i
}

/// The place of the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    tokens.len()
}

/// Whether what follows `pub` says where an item is visible; else it is the type of a field: `pub (A, B)`.
fn is_visibility(tokens: &[Token]) -> bool {
    let word = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    word(0) == "(" && (word(1) == "in" || ["crate", "self", "super"].contains(&word(1)) && word(2) == ")")
}

/// Leaves out every item that is there for tests only.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let word = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if word(i) == "#" && word(i + 1) == "[" {
            let end = closing(tokens, i + 1);
            let has = |name: &str| tokens[i..end].iter().any(|token| token.text == name);
            let is_test = word(i + 2) == "cfg" && has("test") && !has("not") || word(i + 2) == "test" && end == i + 3;
            if is_test {
                i = end + 1;
                // To the end of the item: its semicolon, or its braces.
                loop {
                    match word(i) {
                        "" | ";" => break,
                        "{" => {
                            i = closing(tokens, i);
                            break;
                        }
                        "(" | "[" => i = closing(tokens, i) + 1,
                        _ => i += 1,
                    }
                }
                i += 1;
                continue;
            }
        }
        kept.push(tokens[i].clone());
        i += 1;
    }
    kept
}

/// The names that a `use` brings, each with its whole path; `tokens` are those between `use` and the semicolon.
fn imported(tokens: &[Token]) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    tree(tokens, &[], &mut found);
    found
}

fn tree(tokens: &[Token], before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let mut path = before.to_vec();
    let mut name = None;
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        match token.text.as_str() {
            "{" => {
                let end = closing(tokens, i);
                let mut start = i + 1;
                let mut at = start;
                while at <= end {
                    match tokens.get(at).map_or("}", |token| token.text.as_str()) {
                        "{" => at = closing(tokens, at),
                        "," | "}" => {
                            if start < at {
                                tree(&tokens[start..at], &path, found);
                            }
                            start = at + 1;
                        }
                        _ => {}
                    }
                    at += 1;
                }
                return;
            }
            "as" => {
                name = tokens.get(i + 1).map(|token| token.text.clone());
                break;
            }
            "::" => {}
            // The module itself.
            "self" if !path.is_empty() => {}
            text => path.push(text.to_owned()),
        }
        i += 1;
    }
    if let Some(name) = name.or_else(|| path.last().cloned()) {
        found.push((name, path));
    }
}
