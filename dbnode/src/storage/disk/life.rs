//! The starts of a data directory: their number, and an id for each of the newest. They distinguish
//! a directory restored from a copy from its original. See [`life`](crate::replication::life).

use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::slots::{Held, Slots};
use crate::replication::life::Starts;

/// The starts of a data directory.
#[derive(Debug)]
pub(super) struct Life {
    path: PathBuf,
    /// `None` if the file has yet to be created.
    file: Option<Slots<Starts>>,
    starts: Starts,
}

/// What the directory's format guarantees to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing, or the number of starts.
    Perhaps,
    /// The number of starts.
    Number,
    /// The ids too.
    Ids,
}

impl Life {
    /// Reads the file. If it is missing although the format requires it, the directory is damaged.
    pub(super) fn open(directory: &Path, written: Written) -> Result<Self, OpenError> {
        let path = directory.join("life");
        let found = match written {
            Written::Ids => Slots::open(&path)?.map(|(file, held)| (Some(file), held)),
            // The number comes first in the file, with or without ids.
            Written::Perhaps | Written::Number => Slots::<u64>::open(&path)?.map(|(_, held)| {
                (None, Held { value: Starts::counted(held.value), is_newest: held.is_newest })
            }),
        };
        match found {
            Some((file, Held { value: mut starts, is_newest })) => {
                if !is_newest {
                    // The unreadable slot may have held the next start.
                    starts.push(rand::random());
                }
                Ok(Self { path, file, starts })
            }
            None if written == Written::Perhaps => Ok(Self { path, file: None, starts: Starts::default() }),
            None => Err(OpenError::Damaged { path, what: "it is gone, and the snapshot is not".into() }),
        }
    }

    /// Adds this start. It is on disk when this returns.
    pub(super) fn begin(self) -> Result<Starts, OpenError> {
        let Self { path, file, mut starts } = self;
        starts.push(rand::random());
        let written = match file {
            Some(mut file) => file.write(&starts).and_then(|()| file.sync()),
            None => Slots::create(&path, &starts).map(drop),
        };
        written.map(|()| starts).map_err(|source| OpenError::Directory { path, source })
    }
}
