//! Files that are there whole or not at all: [`AtomicFile`], behind everything that partita writes.
//! Nothing is seen under the final name before [`AtomicFile::commit`]; this file knows no format.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write},
    path::{Path, PathBuf, is_separator},
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
    temporary: Option<TempPath>,
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
                let (file, temporary) = make_temporary(folder, |name| File::create_new(name)).map_err(refused)?;
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
        let Self { file, temporary, path, target, existing } = self;
        let renamed = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
            file.sync_all()?;
            let temporary = match (temporary, existing) {
                (Some(temporary), _) => temporary,
                (None, Existing::Refuse) => return unnamed::link(&file, &target),
                // Only a name can replace another; this one lives for a moment.
                (None, Existing::Replace) => {
                    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
                    make_temporary(folder.unwrap_or(Path::new(".")), |name| unnamed::link(&file, name))?.1
                }
            };
            match existing {
                Existing::Replace => temporary.persist(target),
                Existing::Refuse => temporary.persist_noclobber(target),
            }
            .map_err(|error| error.error)
        });
        renamed.map_err(|source| match (existing, source.kind()) {
            (Existing::Refuse, ErrorKind::AlreadyExists) => Error::FileExists { path },
            _ => Error::WriteFile { path, source },
        })
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
