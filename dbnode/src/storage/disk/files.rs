//! What the log and its small files ask of the file system, one function for each step. Tests make a
//! step fail, or cut the power after it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::posix_fallocate;

/// What is asked of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file is opened, and made where there is none.
    Open,
    /// Room is taken for a file.
    Allocate,
    /// Bytes are written.
    Write,
    /// A file gets another length.
    Resize,
    /// What was written to a file is to be on disk.
    Sync,
    /// A file gets another name.
    Rename,
    /// A file's name is removed.
    Remove,
    /// The names in a directory are to be on disk.
    SyncDirectory,
}

fn step<T>(step: Step, path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(test)]
    super::trial::before(step, path)?;
    #[cfg(not(test))]
    let _ = path;
    let done = act().map_err(|error| if is_sync(step) { failed_sync(&error) } else { error })?;
    #[cfg(test)]
    super::trial::after(step, path);
    Ok(done)
}

fn is_sync(step: Step) -> bool {
    matches!(step, Step::Sync | Step::SyncDirectory)
}

/// A failed sync is never a mere shortage, whatever the system calls it: what is on the disk is not
/// known any more.
fn failed_sync(error: &io::Error) -> io::Error {
    io::Error::other(format!("fsync: {error}"))
}

/// An open file, and where it is.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    path: PathBuf,
}

impl OpenFile {
    /// Opens a file, and makes it where there is none.
    pub(super) fn open_or_create(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let file = step(Step::Open, &path, || options.open(&path))?;
        Ok(Self { file, path })
    }

    /// Opens a file that is there.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = step(Step::Open, &path, || OpenOptions::new().read(true).write(true).open(&path))?;
        Ok(Self { file, path })
    }

    /// How long it is, in bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Takes the room that a file of this length needs, and makes it that long.
    pub(super) fn allocate(&self, length: u64) -> io::Result<()> {
        let length = length.cast_signed();
        step(Step::Allocate, &self.path, || match posix_fallocate(&self.file, 0, length) {
            Ok(()) => Ok(()),
            // This file system takes room only when something is written.
            Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        })
    }

    /// Gives it another length.
    pub(super) fn resize(&self, length: u64) -> io::Result<()> {
        step(Step::Resize, &self.path, || self.file.set_len(length))
    }

    /// Writes at an offset. It survives the end of the process, but not a power failure.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        step(Step::Write, &self.path, || self.file.write_all_at(bytes, offset))
    }

    /// What was written is on disk when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        step(Step::Sync, &self.path, || self.file.sync_data())
    }

    /// Gives it another name in its directory. That is on disk when the directory is synced.
    pub(super) fn rename(&mut self, to: PathBuf) -> io::Result<()> {
        step(Step::Rename, &to, || fs::rename(&self.path, &to))?;
        self.path = to;
        Ok(())
    }
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    step(Step::Remove, path, || fs::remove_file(path))
}

/// A directory, held open: to sync it takes no descriptor then.
#[derive(Debug)]
pub(super) struct Directory {
    file: File,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: File::open(&path)?, path })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it are on disk when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        step(Step::SyncDirectory, &self.path, || self.file.sync_all())
    }
}

/// True for an error that says that the disk has no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// True for an error that says that something else has run out, of this process or this computer: files,
/// memory, threads. The disk has nothing to do with it.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::EINTR))
}
