//! Files that are there whole or not at all: [`AtomicFile`], behind everything that partita writes.
//! Nothing is seen under the final name before [`AtomicFile::commit`]; this file knows no format.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write},
    path::{Path, PathBuf, is_separator},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::TempPath;

use crate::{Error, Result};

/// What to do where a file of that name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Leave it alone and report [`Error::FileExists`].
    #[default]
    Refuse,
    /// Put the new file in its place.
    Replace,
}

/// A file without a name until it is complete, so that nothing is left of it whatever ends the program; where the system
/// has no such files, under a temporary name (its name begins with `.partita-`, in the same folder). Dropped before
/// [`commit`](Self::commit), it is removed, and what was at its final name stays as it was.
#[derive(Debug)]
pub struct AtomicFile {
    file: BufWriter<File>,
    /// `None`: it has no name.
    temporary: Option<Temporary>,
    /// The final name as it was given, for messages.
    path: PathBuf,
    /// The same behind symbolic links, which are followed, not replaced.
    target: PathBuf,
    existing: Existing,
}

impl AtomicFile {
    /// Opens the temporary file, and makes the folders on the way to `path`. All that can be known to stop the file
    /// from getting its name is reported here, before any work is put into its content.
    ///
    /// # Errors
    /// [`Error::FileExists`] if a file is there and `existing` refuses; [`Error::NotAFile`] if a folder or a device
    /// is there, or `path` ends in `/` or `..`; [`Error::CreateFolder`] and [`Error::WriteFile`] if the system says no.
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        let refused = |source| Error::WriteFile { path: path.into(), source };
        let no_file = |got| Err(Error::NotAFile { path: path.into(), got });
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return no_file("a folder"),
            Ok(metadata) if !metadata.is_file() => return no_file("a device"),
            Ok(_) if existing == Existing::Refuse => return Err(Error::FileExists { path: path.into() }),
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(refused(error));
            }
            _ => {}
        }
        let ends_in_separator = path.as_os_str().as_encoded_bytes().last().is_some_and(|&b| is_separator(b.into()));
        if path.file_name().is_none() || ends_in_separator {
            return no_file("the name of a folder");
        }
        let target = path.canonicalize().unwrap_or_else(|_| path.into());
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|source| Error::CreateFolder { path: folder.into(), source })?;

        let (file, temporary) = match unnamed::create(folder) {
            Some(file) => (file, None),
            None => {
                let (file, temporary) = Temporary::create(folder).map_err(refused)?;
                (file, Some(temporary))
            }
        };
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { file, temporary, path: path.into(), target, existing })
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the content is on the disk, then gives the file its final name. Waiting is what brings out the
    /// errors that a system reports late (a full disk, a lost network share).
    ///
    /// # Errors
    /// [`Error::FileExists`] if another program has made such a file since, and it may not be replaced;
    /// [`Error::WriteFile`] otherwise. The temporary file is removed.
    pub fn commit(self) -> Result<()> {
        commit_all(vec![self])
    }

    /// The error for what the system said.
    fn refused(&self, source: io::Error) -> Error {
        match (self.existing, source.kind()) {
            (Existing::Refuse, ErrorKind::AlreadyExists) => Error::FileExists { path: self.path.clone() },
            _ => Error::WriteFile { path: self.path.clone(), source },
        }
    }

    /// Writes all that is waiting, to the disk itself.
    fn complete(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    /// Gives the file its final name. Returns whether none was there of that name.
    fn name(&mut self) -> io::Result<bool> {
        let named = match &mut self.temporary {
            Some(temporary) => temporary.name(&self.target),
            None => unnamed::link(self.file.get_ref(), &self.target),
        };
        if named.is_ok() || self.existing == Existing::Refuse {
            return named.map(|()| true);
        }
        match &self.temporary {
            Some(temporary) => fs::rename(&temporary.path, &self.target)?,
            // Only a name can replace another; this one lives for a moment.
            None => {
                let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
                let link = |name: &Path| unnamed::link(self.file.get_ref(), name);
                let (_, name) = make_temporary(folder.unwrap_or(Path::new(".")), link)?;
                name.persist(&self.target)?;
            }
        }
        Ok(false)
    }
}

/// Completes files that belong together: all of them are on the disk before the first gets its final name, and where one
/// does not get it, those that had none of that name before are removed again.
///
/// # Errors
/// Those of [`AtomicFile::commit`], for the first file that cannot be completed.
pub fn commit_all(mut files: Vec<AtomicFile>) -> Result<()> {
    for file in &mut files {
        file.complete().map_err(|source| file.refused(source))?;
    }
    let _naming = lock();
    let mut is_new = Vec::new();
    for file in &mut files {
        match file.name() {
            Ok(new) => is_new.push(new),
            Err(source) => {
                let error = file.refused(source);
                for (file, _) in files.iter().zip(is_new).filter(|(_, is_new)| *is_new) {
                    let _ = fs::remove_file(&file.target);
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// The folder, or the one that is there of those above it.
pub fn nearest(folder: &Path) -> &Path {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    if there.as_os_str().is_empty() { Path::new(".") } else { there }
}

/// Bytes that can still be written below a folder, or where it is to be made; `None` where the system does not tell. Unix
/// tells.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let found = rustix::fs::statvfs(nearest(folder)).ok()?;
        found.f_bavail.checked_mul(found.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// Temporary names of files that are not complete. Locked while files get their final names.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every file that is not complete, for a program that ends at once whatever its other threads are doing. Files
/// that are just getting their names together get them first; none gets one, and none is begun under a temporary name,
/// from then on: whoever tries waits for the end.
pub fn abandon() {
    let unfinished = lock();
    for name in unfinished.iter() {
        let _ = fs::remove_file(name);
    }
    std::mem::forget(unfinished);
}

/// The temporary name of a file that is not complete; removed when dropped.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn create(folder: &Path) -> io::Result<(File, Self)> {
        let mut unfinished = lock();
        let (file, name) = make_temporary(folder, |name| File::create_new(name))?;
        let path = name.keep()?;
        unfinished.push(path.clone());
        Ok((file, Self { path }))
    }

    /// Gives the file another name, if no file has that.
    fn name(&mut self, target: &Path) -> io::Result<()> {
        match TempPath::try_from_path(&self.path)?.persist_noclobber(target) {
            Ok(()) => Ok(()),
            // It keeps this one.
            Err(error) => error.path.keep().map_err(|error| error.error).and(Err(error.error)),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut unfinished = lock();
        let _ = fs::remove_file(&self.path);
        unfinished.retain(|path| *path != self.path);
    }
}

/// Makes something under a new temporary name. By hand, because tempfile's own files are private (mode 0600): this one is
/// to become an ordinary file, whose mode the umask decides.
fn make_temporary<T>(folder: &Path, make: impl FnMut(&Path) -> io::Result<T>) -> io::Result<(T, TempPath)> {
    let made = tempfile::Builder::new().prefix(".partita-").suffix(".tmp").make_in(folder, make)?;
    Ok(made.into_parts())
}

/// Files that have no name yet: Linux has them, on most of its file systems.
mod unnamed {
    use super::{File, Path, io};

    #[cfg(target_os = "linux")]
    pub(super) fn create(folder: &Path) -> Option<File> {
        use rustix::fs::{Mode, OFlags, open};
        // Its name will come through this folder.
        if !Path::new("/proc/self/fd").exists() {
            return None;
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        open(folder, flags, Mode::from_raw_mode(0o666)).ok().map(File::from)
    }

    #[cfg(target_os = "linux")]
    pub(super) fn link(file: &File, name: &Path) -> io::Result<()> {
        use std::os::fd::AsRawFd;

        use rustix::fs::{AtFlags, CWD, linkat};
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, unnamed, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn create(_folder: &Path) -> Option<File> {
        None
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn link(_file: &File, _name: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// Writes a whole file at once.
///
/// # Errors
/// As [`AtomicFile::create`] and [`AtomicFile::commit`].
///
/// # Examples
/// ```
/// use partita::atomic::{self, Existing};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("made/on/the/way/notes.txt");
/// atomic::write(&path, b"whole", Existing::Refuse)?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// assert!(atomic::write(&path, b"again", Existing::Refuse).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(path: &Path, bytes: &[u8], existing: Existing) -> Result<()> {
    let mut file = AtomicFile::create(path, existing)?;
    file.write_all(bytes).map_err(|source| Error::WriteFile { path: path.into(), source })?;
    file.commit()
}

/// Samples go to the system in pieces of this size, in bytes: large enough that the calls cost nothing beside the
/// copying, small enough for hundreds of open stems.
const BUFFER_BYTES: usize = 1 << 16;
