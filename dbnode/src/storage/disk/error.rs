//! Errors of opening a data directory: each message says what is wrong and what to do.

use std::io;
use std::path::PathBuf;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory, or the lock in it, cannot be created.
    #[error("cannot use {path} as the data directory; check that it may be written to")]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
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
        /// The node that it belongs to.
        owner: String,
        /// The node that tried to open it.
        id: String,
    },
    /// It was written by a newer version of this program.
    #[error("{path} has format {format}, and this dbnode knows formats up to {known}; use a newer dbnode")]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The file's format.
        format: u32,
        /// The newest known format.
        known: u32,
    },
    /// A file is not as it was written. It is left unchanged.
    #[error("{path} is damaged: {what}; nothing was changed")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// The database in it cannot be read or written.
    #[error("cannot open {path}")]
    Database {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: sqlx::Error,
    },
    /// The file to import cannot be read.
    #[error("cannot import {path}: {what}")]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
}
