//! Which files that a walk, a pattern or a list found were written by this program: no recordings to separate.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use partita::batch::Manifest;
use partita::names;
use partita::separate::drums::Drum;

use crate::cli::flags::OutputArgs;
use crate::cli::inputs::Found;

/// Leaves out what an earlier run wrote: all that lies in the output folder, if that is a part of what was walked; what the
/// manifest lists; and what has the name that a stem of another of these recordings gets, with any output folder: one
/// that this program gives, since a folder named like a track may as well be an album.
///
/// `names` are those of the stems that this run makes.
pub(super) fn leave_out(found: &mut Found, output: &OutputArgs, names: Vec<String>, manifest: Option<&Manifest>) {
    let mut real = Real::default();
    let listed: HashSet<_> =
        manifest.iter().flat_map(|manifest| manifest.outputs()).map(|path| real.of(&path)).collect();
    let out = output.out.canonicalize().ok();
    let stems = Stems::new(found, &output.filename, names);
    found.leave_out(|i, path, base| {
        let is_in_out = |out: &PathBuf, real: &Path| {
            let is_below = |base: &Path| base.canonicalize().is_ok_and(|base| !base.starts_with(out));
            real.starts_with(out) && base.is_none_or(is_below)
        };
        let real = real.of(path);
        listed.contains(&real) || out.as_ref().is_some_and(|out| is_in_out(out, &real)) || stems.has(i, path)
    });
}

/// Paths without links and detours in their folders, each of which is looked up once.
#[derive(Default)]
struct Real(HashMap<PathBuf, PathBuf>);

impl Real {
    fn of(&mut self, path: &Path) -> PathBuf {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path.into() };
        let folder = if folder == Path::new("") { Path::new(".") } else { folder };
        let look_up = || folder.canonicalize().unwrap_or_else(|_| folder.into());
        self.0.entry(folder.into()).or_insert_with(look_up).join(name)
    }
}

/// What a template is made of.
enum Piece<'a> {
    Text(&'a str),
    Track,
    Stem,
    Extension,
}

/// What stems of the recordings would be called.
struct Stems<'a> {
    /// Numbers of the recordings by their tracks, with and without the ending, which is kept where two differ in nothing
    /// else.
    sources: HashMap<String, Vec<usize>>,
    /// Of stems, and of components.
    templates: [Vec<Piece<'a>>; 2],
    names: Vec<String>,
}

impl<'a> Stems<'a> {
    fn new(found: &Found, filename: &'a str, mut names: Vec<String>) -> Self {
        let mut sources: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, input) in found.inputs().enumerate().filter(|(_, input)| !input.is_stdin()) {
            let track = plain(&input.track);
            let whole = input.path.extension().map(|ending| format!("{track}.{}", ending.to_string_lossy()));
            for track in whole.into_iter().chain([track]) {
                sources.entry(track).or_default().push(i);
            }
        }
        names.extend(Drum::names().map(str::to_owned));
        // Components lie in a folder beside the stems.
        let (folder, name) = filename.split_at(filename.rfind('/').map_or(0, |at| at + 1));
        let components = pieces(folder).into_iter().chain([Piece::Text("components/")]).chain(pieces(name)).collect();
        Self { sources, templates: [pieces(filename), components], names }
    }

    /// Whether a file can be a stem of another recording.
    fn has(&self, i: usize, path: &Path) -> bool {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let file = File { stems: self, i, ending: &ending };
        let path = plain(path);
        self.templates.iter().any(|template| file.fits(template, &path, "", None))
    }

    fn knows(&self, name: &str) -> bool {
        let is_known = |name: &str| names::is_given(name) || self.names.iter().any(|known| known == name);
        is_known(name) || name.strip_prefix("no_").is_some_and(is_known)
    }
}

/// A file that may be a stem.
struct File<'a> {
    stems: &'a Stems<'a>,
    i: usize,
    ending: &'a str,
}

impl File<'_> {
    /// Whether a path ends with what a template can become; the name of the stem and the sources that were found behind it
    /// are given.
    fn fits(&self, template: &[Piece<'_>], path: &str, stem: &str, sources: Option<&[usize]>) -> bool {
        let Some((last, rest)) = template.split_last() else {
            return (path.is_empty() || path.ends_with('/')) && self.is_of(stem, sources);
        };
        let tails = |path: &str| path.char_indices().map(|(at, _)| at).rev().collect::<Vec<_>>();
        match last {
            Piece::Text(text) => path.strip_suffix(text).is_some_and(|path| self.fits(rest, path, stem, sources)),
            Piece::Extension => path.strip_suffix(self.ending).is_some_and(|path| self.fits(rest, path, stem, sources)),
            Piece::Stem => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let first = path.len() - name.len();
                let mut places = tails(path).into_iter().take_while(|at| *at >= first);
                places.any(|at| self.fits(rest, &path[..at], &path[at..], sources))
            }
            Piece::Track => tails(path).into_iter().any(|at| {
                let sources = self.stems.sources.get(&path[at..]);
                sources.is_some_and(|sources| self.fits(rest, &path[..at], stem, Some(sources)))
            }),
        }
    }

    /// Whether a stem of this name is of one of these sources, or of any.
    fn is_of(&self, stem: &str, sources: Option<&[usize]>) -> bool {
        let is_other = |source: &usize| *source != self.i;
        self.stems.knows(stem)
            && match sources {
                Some(sources) => sources.iter().any(is_other),
                None => self.stems.sources.values().flatten().any(is_other),
            }
    }
}

/// A path with `/` between its parts, and nothing that leads nowhere.
fn plain(path: &Path) -> String {
    let parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    parts.map(|part| part.as_os_str().to_string_lossy().replace('/', "")).collect::<Vec<_>>().join("/")
}

fn pieces(filename: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = filename;
    let known = || [("{track}", Piece::Track), ("{stem}", Piece::Stem), ("{ext}", Piece::Extension)];
    let next = |rest: &str| {
        let places = known().into_iter().filter_map(|(name, piece)| Some((rest.find(name)?, name.len(), piece)));
        places.min_by_key(|(at, ..)| *at)
    };
    while let Some((at, length, piece)) = next(rest) {
        pieces.extend([Piece::Text(&rest[..at]), piece]);
        rest = &rest[at + length..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}
