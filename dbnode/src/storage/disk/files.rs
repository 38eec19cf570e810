//! File system operations of the log and its small files, one function per step. Tests make a step
//! fail, or cut the power after it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::posix_fallocate;

/// A file system operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Opens a file, or creates it.
    Open,
    /// Allocates space for a file.
    Allocate,
    /// Writes bytes.
    Write,
    /// Changes a file's length.
    Resize,
    /// Syncs a file's content to disk.
    Sync,
    /// Renames a file.
    Rename,
    /// Removes a file.
    Remove,
    /// Syncs a directory's names to disk.
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

/// Turns a failed sync into an error that is never a mere shortage, whatever the system calls it:
/// the content of the disk is no longer known.
fn failed_sync(error: &io::Error) -> io::Error {
    io::Error::other(format!("fsync: {error}"))
}

/// The file that a path leads to. A file that is removed or replaced while it is open can still be
/// written, and the next start does not find what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The file that this path leads to now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Returns an error if the path no longer leads to this file.
    pub(super) fn check(self, path: &Path) -> io::Result<()> {
        match Self::of(path) {
            Ok(found) if found == self => Ok(()),
            Err(error) if is_shortage(&error) => Err(error),
            _ => Err(io::Error::other(format!(
                "{} was removed, moved or replaced while this node was using it",
                path.display()
            ))),
        }
    }
}

/// An open file and its path.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    path: PathBuf,
    identity: Identity,
}

impl OpenFile {
    /// Opens a file, or creates it.
    pub(super) fn open_or_create(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let file = step(Step::Open, &path, || options.open(&path))?;
        Ok(Self { file, identity: Identity::of(&path)?, path })
    }

    /// Opens an existing file.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = step(Step::Open, &path, || OpenOptions::new().read(true).write(true).open(&path))?;
        Ok(Self { file, identity: Identity::of(&path)?, path })
    }

    /// The file's length in bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Allocates the space for this length, and extends the file to it.
    pub(super) fn allocate(&self, length: u64) -> io::Result<()> {
        let length = length.cast_signed();
        step(Step::Allocate, &self.path, || match posix_fallocate(&self.file, 0, length) {
            Ok(()) => Ok(()),
            // This file system allocates space only on write.
            Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        })
    }

    /// Changes the file's length.
    pub(super) fn resize(&self, length: u64) -> io::Result<()> {
        step(Step::Resize, &self.path, || self.file.set_len(length))
    }

    /// Writes at an offset. The data survives the end of the process, but not a power failure.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        step(Step::Write, &self.path, || self.file.write_all_at(bytes, offset))
    }

    /// Syncs the file: what was written is on disk when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        step(Step::Sync, &self.path, || self.file.sync_data())
    }

    /// Returns an error if the next start would not find this file.
    pub(super) fn check_path(&self) -> io::Result<()> {
        self.identity.check(&self.path)
    }

    /// Renames the file within its directory. The new name is on disk once the directory is synced.
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

/// A directory, held open so that syncing it needs no new descriptor.
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

    /// The directory's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the directory: the names in it are on disk when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        step(Step::SyncDirectory, &self.path, || self.file.sync_all())
    }
}

/// True if the error means that the disk is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// True if the error means that this process or computer has run out of something other than disk
/// space: files, memory or threads.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::EINTR))
}
