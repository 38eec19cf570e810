//! Room that is held for the time when the disk is full: to compact the log into the snapshot then takes room,
//! and only after that the log can let go of old segments.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::storage::disk::files::{self, OpenFile};

/// As much as that, in bytes, or a quarter of what is left where that is less.
const BYTES_MAX: u64 = 4 << 20;

/// Less is worth nothing.
const BYTES_MIN: u64 = 64 << 10;

/// Room that is held, or the place where it will be.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    file: Option<OpenFile>,
}

impl Reserve {
    /// The place in a data directory.
    pub(super) fn new(data: &Path) -> Self {
        Self { path: data.join("reserve"), file: None }
    }

    /// True when some is held.
    pub(super) fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// Holds some, if there is enough left for everybody.
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

    /// Gives it back.
    pub(super) fn release(&mut self) {
        if self.file.take().is_some() {
            // Where it cannot be removed now, there is nothing to be had.
            let _ = files::remove(&self.path);
        }
    }
}
