//! Where each stem goes: the file name template, and what is done about files that exist.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use partita::atomic::{self, Existing};
use partita::error::shown;

use super::failure::Failure;
use super::inputs::Input;

/// The checked `--out` and `--filename`.
#[derive(Debug)]
pub(super) struct Template<'a> {
    folder: &'a Path,
    filename: &'a str,
}

impl<'a> Template<'a> {
    /// Refuses a template that would lose stems or leave the output folder.
    pub(super) fn of_stems(folder: &'a Path, filename: &'a str) -> Result<Self, Failure> {
        if !filename.contains("{stem}") {
            return Err(Failure::usage(
                format!("`--filename` is `{filename}`, expected a name with `{{stem}}` in it"),
                "use `--filename \"{track}/{stem}.{ext}\"`",
            ));
        }
        Self::new(folder, filename, &["track", "stem", "ext"], "{track}/{stem}.{ext}")
    }

    /// Refuses a template that would leave the output folder.
    pub(super) fn of_pictures(folder: &'a Path, filename: &'a str) -> Result<Self, Failure> {
        Self::new(folder, filename, &["track"], "{track}.png")
    }

    fn new(folder: &'a Path, filename: &'a str, known: &[&str], usual: &str) -> Result<Self, Failure> {
        let refuse = |message: String| Err(Failure::usage(message, format!("use `--filename \"{usual}\"`")));
        if let Some(unknown) = placeholders(filename).find(|name| !known.contains(name)) {
            let known: Vec<_> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
            let known = match &known[..] {
                [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                known => known.concat(),
            };
            return refuse(format!("`--filename` has `{{{unknown}}}`, expected {known}"));
        }
        if Path::new(filename).components().any(|part| !matches!(part, Component::Normal(_))) {
            return refuse(format!("`--filename` is `{filename}`, expected a path below the output folder"));
        }
        Ok(Self { folder, filename })
    }

    /// The picture of one input.
    pub(super) fn picture(&self, input: &Input) -> PathBuf {
        self.path(input, "", "")
    }

    /// The file of one stem of one input.
    pub(super) fn path(&self, input: &Input, stem: &str, extension: &str) -> PathBuf {
        let mut path = self.folder.to_path_buf();
        for part in self.filename.split('/') {
            // The name of a track need not be UTF-8, and may have braces of its own.
            let mut name = OsString::new();
            let mut rest = part;
            while let Some((before, value, after)) = next_placeholder(
                rest,
                [("{track}", input.track.as_os_str()), ("{stem}", stem.as_ref()), ("{ext}", extension.as_ref())],
            ) {
                name.push(before);
                name.push(value);
                rest = after;
            }
            name.push(rest);
            path.push(name);
        }
        path
    }
}

/// What stands before the first placeholder, its value, and what follows it.
fn next_placeholder<'a>(text: &'a str, known: [(&str, &'a OsStr); 3]) -> Option<(&'a str, &'a OsStr, &'a str)> {
    let places = known.into_iter().filter_map(|(name, value)| Some((text.find(name)?, name.len(), value)));
    let (start, length, value) = places.min_by_key(|(start, ..)| *start)?;
    Some((&text[..start], value, &text[start + length..]))
}

/// The first of these files that exists.
pub(super) fn existing(paths: &[PathBuf]) -> Option<&PathBuf> {
    paths.iter().find(|path| path.symlink_metadata().is_ok())
}

/// Refuses to start where a file would be lost.
pub(super) fn refuse_existing(paths: &[PathBuf], force: bool) -> Result<(), Failure> {
    match existing(paths) {
        Some(path) if !force => Err(partita::Error::FileExists { path: path.clone() }.into()),
        _ => Ok(()),
    }
}

/// Refuses to write over what is to be read.
pub(super) fn refuse_inputs(paths: &[PathBuf], inputs: &HashSet<PathBuf>) -> Result<(), Failure> {
    let is_input = |path: &&PathBuf| !inputs.is_empty() && path.canonicalize().is_ok_and(|path| inputs.contains(&path));
    match paths.iter().find(is_input) {
        Some(path) => Err(Failure::usage(
            format!("`{}` would be replaced, and is to be read", shown(path)),
            "choose another place with `--out FOLDER`",
        )),
        None => Ok(()),
    }
}

/// Refuses inputs that would be written to the same files.
pub(super) fn refuse_shared(inputs: &[Input], paths: &[Vec<PathBuf>]) -> Result<(), Failure> {
    let mut seen: HashMap<&Path, &Input> = HashMap::new();
    for (input, paths) in inputs.iter().zip(paths) {
        for path in paths {
            if let Some(other) = seen.insert(path, input).filter(|other| *other != input) {
                let (a, b, path) = (other.label(), input.label(), shown(path));
                return Err(Failure::usage(
                    format!("`{a}` and `{b}` would be written to the same file, `{path}`"),
                    "separate them one by one, each with its own `--out` folder, or use `--filename` with `{track}` in it",
                ));
            }
        }
    }
    Ok(())
}

/// Refuses to begin where nothing can be written.
pub(super) fn check_writable(folder: &Path) -> Result<(), Failure> {
    let there = atomic::nearest(folder);
    let refused = |source| partita::Error::WriteFile { path: folder.into(), source };
    Ok(tempfile::tempfile_in(there).map(drop).map_err(refused)?)
}

/// Refuses stems that would be written to one file.
pub(super) fn refuse_equal(names: &[String]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Failure::usage(format!("two stems are named `{name}`"), "give each a name of its own"));
        }
    }
    Ok(())
}

/// Refuses to begin what the disk has no room for.
pub(super) fn check_space(input: &Input, folder: &Path, n_bytes: u64) -> Result<(), Failure> {
    match atomic::free_bytes(folder) {
        Some(free) if free < n_bytes => {
            Err(Failure::NoSpace { input: input.path.clone(), folder: folder.into(), n_bytes, free })
        }
        _ => Ok(()),
    }
}

/// What writing may do about a file that exists.
pub(super) fn may_replace(force: bool) -> Existing {
    if force { Existing::Replace } else { Existing::Refuse }
}

/// The names between braces.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}
