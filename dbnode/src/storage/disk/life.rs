//! The starts of a data directory: how many there were, and an id for each of the newest, so that a
//! directory that was put back from a copy can be told from the one that was copied. See
//! [`life`](crate::replication::life).

use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::slots::{Held, Slots};
use crate::replication::life::Starts;

/// The starts of a data directory.
#[derive(Debug)]
pub(super) struct Life {
    path: PathBuf,
    /// None where it is still to be made.
    file: Option<Slots<Starts>>,
    starts: Starts,
}

/// What a directory has written about its starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Perhaps nothing, and perhaps how many there were.
    Perhaps,
    /// How many there were.
    Number,
    /// Their ids too.
    Ids,
}

impl Life {
    /// Reads what was written. Where there is nothing, it is missing, when it must be there.
    pub(super) fn open(directory: &Path, written: Written) -> Result<Self, OpenError> {
        let path = directory.join("life");
        let found = match written {
            Written::Ids => Slots::open(&path)?.map(|(file, held)| (Some(file), held)),
            // The number is the first that is written, with ids and without.
            Written::Perhaps | Written::Number => Slots::<u64>::open(&path)?.map(|(_, held)| {
                (None, Held { value: Starts::counted(held.value), is_newest: held.is_newest })
            }),
        };
        match found {
            Some((file, Held { value: mut starts, is_newest })) => {
                if !is_newest {
                    // What cannot be read may have been the next one.
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
