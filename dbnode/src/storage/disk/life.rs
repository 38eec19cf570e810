//! The starts of a data directory: how many there were, and an id for each of the newest, so that a
//! directory that was put back from a copy can be told from the one that was copied. See
//! [`life`](crate::replication::life).

use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::slots::{Held, Slots};
use crate::replication::life::Starts;

/// The counter of a data directory.
#[derive(Debug)]
pub(super) struct Life {
    path: PathBuf,
    file: Slots<Starts>,
    starts: Starts,
}

impl Life {
    /// Opens the counter. Where there is none, it is made when the directory is allowed to have
    /// none yet, and is missing otherwise.
    pub(super) fn open(directory: &Path, may_be_missing: bool) -> Result<Self, OpenError> {
        let path = directory.join("life");
        match Slots::open(&path)? {
            Some((file, Held { value, is_newest })) => {
                let mut starts: Starts = value;
                if !is_newest {
                    // What cannot be read may have been the next one.
                    starts.push(rand::random());
                }
                Ok(Self { path, file, starts })
            }
            None if may_be_missing => match Slots::create(&path, &Starts::default()) {
                Ok(file) => Ok(Self { path, file, starts: Starts::default() }),
                Err(source) => Err(OpenError::Directory { path, source }),
            },
            None => Err(OpenError::Damaged { path, what: "it is gone, and the snapshot is not".into() }),
        }
    }

    /// Adds this start. It is on disk when this returns.
    pub(super) fn begin(mut self) -> Result<Starts, OpenError> {
        self.starts.push(rand::random());
        let written = self.file.write(&self.starts).and_then(|()| self.file.sync());
        let Self { path, starts, .. } = self;
        written.map(|()| starts).map_err(|source| OpenError::Directory { path, source })
    }
}
