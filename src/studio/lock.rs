//! One studio for each project: the system holds the lock, and lets go of it whatever ends the program.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Held while a studio works on a project.
#[derive(Debug)]
pub(super) struct Lock {
    /// `None`: there is no place for one, so that nothing can be saved there either.
    held: Option<(File, PathBuf)>,
}

impl Lock {
    /// # Errors
    /// [`Error::ProjectInUse`].
    pub(super) fn of(project: &Path) -> Result<Self> {
        let name = project.file_name().unwrap_or_default();
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".lock");
        let path = project.with_file_name(hidden);
        let Ok(file) = OpenOptions::new().write(true).create(true).truncate(false).open(&path) else {
            return Ok(Self { held: None });
        };
        match file.try_lock() {
            Ok(()) => Ok(Self { held: Some((file, path)) }),
            Err(TryLockError::WouldBlock) => Err(Error::ProjectInUse { path: project.into() }),
            // Some network disks have no locks.
            Err(TryLockError::Error(_)) => Ok(Self { held: None }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.held {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_a_file_that_was_left_is_not_in_the_way() {
        let folder = tempfile::tempdir().expect("folder");
        let project = folder.path().join("a.partita.toml");
        let lock = Lock::of(&project).expect("first");
        assert!(matches!(Lock::of(&project), Err(Error::ProjectInUse { .. })));
        assert!(Lock::of(&folder.path().join("b.partita.toml")).is_ok(), "another project");
        drop(lock);
        let left = folder.path().join(".a.partita.toml.lock");
        assert!(!left.exists());
        fs::write(&left, "").expect("file");
        assert!(Lock::of(&project).is_ok(), "nobody holds it");
    }
}
