//! Where each stem goes: the file name template, and what is done about files that exist.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use partita::atomic::Existing;

use super::args::Output;
use super::failure::Failure;
use super::inputs::Input;
use super::meter;

/// The checked `--out` and `--filename`.
#[derive(Debug)]
pub(super) struct Template<'a> {
    folder: &'a Path,
    filename: &'a str,
}

impl<'a> Template<'a> {
    /// Refuses a template that would lose stems or leave the output folder.
    pub(super) fn new(output: &'a Output) -> Result<Self, Failure> {
        let filename = &output.filename;
        let refuse = |message: String| Err(Failure::usage(message, "use `--filename \"{track}/{stem}.{ext}\"`"));
        if !filename.contains("{stem}") {
            return refuse(format!("`--filename` is `{filename}`, expected a name with `{{stem}}` in it"));
        }
        if let Some(unknown) = placeholders(filename).find(|name| !["track", "stem", "ext"].contains(name)) {
            return refuse(format!("`--filename` has `{{{unknown}}}`, expected `{{track}}`, `{{stem}}` or `{{ext}}`"));
        }
        if Path::new(filename).components().any(|part| !matches!(part, Component::Normal(_))) {
            return refuse(format!("`--filename` is `{filename}`, expected a path below the output folder"));
        }
        Ok(Self { folder: &output.out, filename })
    }

    /// The file of one stem of one input.
    pub(super) fn path(&self, input: &Input, stem: &str, extension: &str) -> PathBuf {
        let mut path = self.folder.to_path_buf();
        for part in self.filename.split('/') {
            if part == "{track}" {
                // A track may bring folders of its own, and need not be UTF-8.
                path.push(&input.track);
            } else {
                let track = input.track.to_string_lossy();
                path.push(part.replace("{track}", &track).replace("{stem}", stem).replace("{ext}", extension));
            }
        }
        path
    }
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

/// Refuses names that are no file names of their own.
pub(super) fn check_names(names: &[String]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for name in names {
        let mut parts = Path::new(name).components();
        let is_plain =
            matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name.as_str());
        if !is_plain || name.contains(['/', '\\', '\0']) {
            return Err(Failure::usage(format!("`{name}` cannot be the name of a stem"), "use a name without `/`"));
        }
        if !seen.insert(name) {
            return Err(Failure::usage(format!("two stems are named `{name}`"), "give each a name of its own"));
        }
    }
    Ok(())
}

/// Refuses to begin what the disk has no room for.
pub(super) fn check_space(folder: &Path, n_bytes: u64) -> Result<(), Failure> {
    match meter::free_bytes(folder) {
        Some(free) if free < n_bytes => Err(Failure::NoSpace { folder: folder.into(), n_bytes, free }),
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
