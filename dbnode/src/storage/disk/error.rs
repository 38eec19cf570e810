//! Why a data directory cannot be used: one sentence about what is wrong, one about what to do.

use std::io;
use std::path::PathBuf;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made, or the lock in it.
    #[error("cannot use {path} as the data directory; check that it may be written to")]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("another process uses {path} already; give each node a data directory of its own")]
    InUse {
        /// The file or directory.
        path: PathBuf,
    },
    /// It belongs to another node.
    #[error(
        "{path} belongs to node '{owner}', not to '{id}'; start it as '{owner}' or give --data another directory"
    )]
    OtherNode {
        /// The file or directory.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who asked.
        id: String,
    },
    /// It was written by a newer version of this program.
    #[error("{path} has format {format}, and this dbnode knows formats up to {known}; use a newer dbnode")]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The newest known one.
        known: u32,
    },
    /// Something in it is not as it was written. It is left as it is.
    #[error("{path} is damaged: {what}; nothing was changed")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// The database in it cannot be read or written.
    #[error("cannot open {path}")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The file to import cannot be read.
    #[error("cannot import {path}: {what}")]
    Import {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
}
