//! How often a data directory was started from: a number that only grows, so that a directory that
//! was put back from a copy can be told from the one that was copied.

use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::slots::{Held, Slots};

/// The counter of a data directory.
#[derive(Debug)]
pub(super) struct Life {
    path: PathBuf,
    file: Slots<u64>,
    number: u64,
}

impl Life {
    /// Opens the counter. Where there is none, it is made when the directory is allowed to have
    /// none yet, and is missing otherwise.
    pub(super) fn open(directory: &Path, may_be_missing: bool) -> Result<Self, OpenError> {
        let path = directory.join("life");
        match Slots::open(&path)? {
            Some((file, Held { value, is_newest })) => {
                // What cannot be read may have been the next one.
                let number = if is_newest { value } else { value + 1 };
                Ok(Self { path, file, number })
            }
            None if may_be_missing => match Slots::create(&path, &0) {
                Ok(file) => Ok(Self { path, file, number: 0 }),
                Err(source) => Err(OpenError::Directory { path, source }),
            },
            None => Err(OpenError::Damaged { path, what: "it is gone, and the snapshot is not".into() }),
        }
    }

    /// Counts this start. The new number is on disk when this returns.
    pub(super) fn begin(mut self) -> Result<u64, OpenError> {
        let number = self.number + 1;
        let written = self.file.write(&number).and_then(|()| self.file.sync());
        let path = self.path;
        written.map(|()| number).map_err(|source| OpenError::Directory { path, source })
    }
}
