//! Disk space held back for when the disk is full. Compacting the log into the snapshot takes space
//! first, and only then can old segments be removed.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::storage::disk::files::{self, OpenFile};

/// Maximum reserve in bytes; it is also limited to a quarter of the free space.
const BYTES_MAX: u64 = 4 << 20;

/// Minimum reserve in bytes; less would be useless.
const BYTES_MIN: u64 = 64 << 10;

/// The reserve, or the path where it will be.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    file: Option<OpenFile>,
}

impl Reserve {
    /// The reserve of a data directory, not held yet.
    pub(super) fn new(data: &Path) -> Self {
        Self { path: data.join("reserve"), file: None }
    }

    /// True if space is held.
    pub(super) fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// Takes the reserve, if enough space is free.
    pub(super) fn hold(&mut self) {
        if self.file.is_some() {
            return;
        }
        let left = statvfs(self.path.parent().expect("it is in a directory"));
        let left = left.map_or(0, |disk| disk.blocks_available() * disk.fragment_size());
        let bytes = BYTES_MAX.min(left / 4);
        if bytes < BYTES_MIN {
            return;
        }
        match OpenFile::open_or_create(self.path.clone()) {
            Ok(file) if file.allocate(bytes).is_ok() => self.file = Some(file),
            Ok(_) => drop(files::remove(&self.path)),
            Err(_) => {}
        }
    }

    /// Releases the reserve.
    pub(super) fn release(&mut self) {
        if self.file.take().is_some() {
            // If it cannot be removed now, nothing can be gained.
            let _ = files::remove(&self.path);
        }
    }
}
