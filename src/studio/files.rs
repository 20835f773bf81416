//! Files that the document names: in a temporary folder while the studio is open, beside the project when it is saved.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::refusal::{Answer, Refusal};
use crate::atomic::{AtomicFile, Existing};
use crate::{Error, Result, names};

/// The files of the document.
#[derive(Debug)]
pub(super) struct Files {
    open: tempfile::TempDir,
    /// Locked as long as the folder is in use.
    _lock: Option<File>,
    /// The folder of the project.
    kept: PathBuf,
}

/// What the names of their folders begin with.
const PREFIX: &str = "partita-studio-";

/// The file in each folder that is locked while it is in use, and its name until it is.
const IN_USE: &str = ".in-use";
const IN_USE_SOON: &str = ".in-use-soon";

/// Files of one name at the most.
const MAX_EQUAL: usize = 1000;

impl Files {
    /// # Errors
    /// [`Error::Spool`] where no folder can be made.
    pub(super) fn beside(project: &Path) -> Result<Self> {
        let open = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(|source| Error::Spool { source })?;
        let kept = project.parent().unwrap_or(Path::new("")).to_owned();
        let lock = in_use(open.path()).map_err(|source| Error::Spool { source })?;
        open.path().parent().into_iter().for_each(remove_left);
        Ok(Self { open, _lock: lock, kept })
    }

    /// Where they are while the studio is open.
    pub(super) fn folder(&self) -> &Path {
        self.open.path()
    }

    /// A place for what is coming.
    pub(super) fn incoming(&self) -> Result<tempfile::TempPath> {
        let file = tempfile::Builder::new().prefix(".coming-").tempfile_in(self.folder());
        Ok(file.map_err(|source| Error::Spool { source })?.into_temp_path())
    }

    /// Keeps what came, under a name like the one that it had where it came from; no path is taken from there.
    pub(super) fn keep(&self, file: tempfile::TempPath, name: &str, endings: &dyn Fn(&Path) -> bool) -> Answer<String> {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let path = Path::new(name);
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let ending = ending.filter(|_| endings(path));
        let Some(ending) = ending else {
            return Err(Refusal::Wrong(format!("`{name}` has not the ending of such a file")));
        };
        let stem = path.file_stem().and_then(|stem| names::tidy(&stem.to_string_lossy())).unwrap_or("file".into());
        for i in 1..MAX_EQUAL {
            let name = if i == 1 { format!("{stem}.{ending}") } else { format!("{stem}-{i}.{ending}") };
            let (open, kept) = (self.folder().join(&name), self.kept.join(&name));
            let serves = |place: &Path| !place.exists() || is_same(place, &file).unwrap_or(false);
            if serves(&open) && serves(&kept) {
                file.persist(open).map_err(|error| Error::Spool { source: error.error })?;
                return Ok(name);
            }
        }
        Err(Refusal::Wrong(format!("there are too many files like `{name}`")))
    }

    /// Brings in what a saved document names, where it is there.
    pub(super) fn bring<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        for name in names.filter(|name| is_plain(name)) {
            let (from, to) = (self.kept.join(name), self.folder().join(name));
            if from.is_file() {
                fs::copy(&from, &to).map_err(|source| Error::Spool { source })?;
            }
        }
        Ok(())
    }

    /// Writes what a document names beside its project, where it is not there already.
    ///
    /// # Errors
    /// [`Error::FileExists`] where another file has that name, [`Error::WriteFile`].
    pub(super) fn save<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Vec<AtomicFile>> {
        let mut files = Vec::new();
        for name in names.filter(|name| is_plain(name)) {
            let (from, to) = (self.folder().join(name), self.kept.join(name));
            if !from.is_file() || is_same(&from, &to).unwrap_or(false) {
                continue;
            }
            let mut file = AtomicFile::create(&to, Existing::Refuse)?;
            let copied = File::open(&from).and_then(|mut from| io::copy(&mut from, &mut file));
            copied.map_err(|source| Error::WriteFile { path: to, source })?;
            files.push(file);
        }
        Ok(files)
    }
}

/// Marks a folder as one in use, as long as the file is open; `None` where there are no locks. The name comes last: whoever
/// sees it sees it locked.
fn in_use(folder: &Path) -> io::Result<Option<File>> {
    let soon = folder.join(IN_USE_SOON);
    let file = File::create_new(&soon)?;
    if file.try_lock().is_err() {
        fs::remove_file(&soon)?;
        return Ok(None);
    }
    fs::rename(&soon, folder.join(IN_USE))?;
    Ok(Some(file))
}

/// Removes the folders of studios that were killed. What cannot be removed is in nobody's way.
fn remove_left(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        if let Ok(file) = File::options().write(true).open(entry.path().join(IN_USE))
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a name is one of a file, and leads nowhere else.
fn is_plain(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|of| of == name) && !name.contains(['/', '\\'])
}

fn is_same(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let read = |file: &mut File| -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        file.by_ref().take(1 << 16).read_to_end(&mut piece)?;
        Ok(piece)
    };
    loop {
        let piece = read(&mut a)?;
        if piece != read(&mut b)? {
            return Ok(false);
        }
        if piece.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_studios_that_were_killed_go_and_those_in_use_stay() {
        let folder = tempfile::tempdir().expect("folder");
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).expect("folder");
            fs::write(path.join("a.mid"), "notes").expect("file");
            let lock = in_use(&path).expect("a lock");
            (path, lock)
        };
        let (open, _lock) = make("partita-studio-1");
        let (left, lock) = make("partita-studio-2");
        drop(lock);
        let (other, lock) = make("another-program");
        drop(lock);
        let unlocked = folder.path().join("partita-studio-3");
        fs::create_dir(&unlocked).expect("folder");
        remove_left(folder.path());
        assert_eq!([&open, &left, &other, &unlocked].map(|path| path.exists()), [true, false, true, true]);
    }

    #[test]
    fn names_of_what_comes_lead_nowhere_and_collide_with_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let files = Files::beside(&folder.path().join("a.partita.toml")).expect("files");
        let come = |content: &str, name: &str| {
            let path = files.incoming().expect("place");
            fs::write(&path, content).expect("content");
            files.keep(path, name, &|path| path.extension().is_some_and(|ending| ending == "mid"))
        };
        fs::write(folder.path().join("b.mid"), "other").expect("file");
        assert_eq!(come("one", "../../x/a.mid").expect("kept"), "a.mid");
        assert_eq!(come("one", r"C:\a.mid").expect("kept"), "a.mid", "the same again");
        assert_eq!(come("two", "a.mid").expect("kept"), "a-2.mid");
        assert_eq!(come("other", "b.mid").expect("kept"), "b.mid", "what is beside the project");
        assert_eq!(come("new", "b.mid").expect("kept"), "b-2.mid");
        assert!(come("x", "a.sh").is_err() && come("x", "..").is_err() && come("x", "").is_err());
        let saved = files.save(["a.mid", "b.mid", "../b.mid", "none.mid"].into_iter()).expect("saved");
        assert_eq!(saved.len(), 1, "a.mid is new, b.mid is there");
        crate::atomic::commit_all(saved).expect("written");
        assert_eq!(fs::read_to_string(folder.path().join("a.mid")).expect("a.mid"), "one");
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 2);
    }
}
