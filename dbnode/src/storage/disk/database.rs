//! A SQLite database: opening, checking and writing it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Executor};

use super::error::OpenError;
use super::files::{self, Identity};
use super::row::BadRow;
use super::wal;
use crate::storage::Failure;

/// Number of statements that SQLite keeps prepared: one for each common batch size.
const STATEMENTS_MAX: usize = 128;

/// A database with its only connection.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    pub(super) connection: SqliteConnection,
    identity: Identity,
    /// True if its write-ahead log was not empty when it was opened.
    had_wal: bool,
}

impl Database {
    /// Opens or creates a database, and checks its integrity.
    pub(super) async fn open(path: PathBuf) -> Result<Self, OpenError> {
        let had_wal = check_write_ahead_log(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "0")
            // Temporary data uses no file, and no space on another disk.
            .pragma("temp_store", "MEMORY")
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        let connection = options.connect().await.map_err(|error| database_error(&path, error))?;
        let identity = match Identity::of(&path) {
            Ok(identity) => identity,
            Err(source) => return Err(OpenError::Directory { path, source }),
        };
        let mut database = Self { path, connection, identity, had_wal };
        match database.check().await {
            Ok(()) => Ok(database),
            Err(error) => {
                database.leave_as_found();
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a transaction. sqlx has its own transactions, which keep a nesting count. That count
    /// stays wrong forever once SQLite has rolled back by itself, as it does when the disk is full.
    pub(super) async fn begin(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.connection.execute("BEGIN IMMEDIATE").await?;
        Ok(&mut self.connection)
    }

    /// Commits or rolls back a transaction, depending on its outcome: afterwards either all of it
    /// is on disk, or nothing of it anywhere.
    pub(super) async fn end<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let outcome = match outcome {
            Ok(value) => self.connection.execute("COMMIT").await.map(|_| value),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // If SQLite has rolled back already, there is no transaction, and this returns an
            // error.
            let _ = self.connection.execute("ROLLBACK").await;
        }
        outcome
    }

    /// Moves the content of the write-ahead log into the database. SQLite would do so by itself,
    /// but would not report a failed fsync. Without space for it, the data is safe in the
    /// write-ahead log, and the next checkpoint tries again.
    pub(super) async fn checkpoint(&mut self) -> Result<(), Failure> {
        let moved = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").await;
        match moved.map_err(|error| self.failure(error)) {
            Err(failure @ Failure::Broken(_)) => Err(failure),
            _ => Ok(()),
        }
    }

    /// Returns an error if the next start would not find this database.
    pub(super) fn check_path(&self) -> io::Result<()> {
        self.identity.check(&self.path)
    }

    /// Classifies an error for the caller of [`Storage`](crate::storage::Storage).
    pub(super) fn failure(&self, error: sqlx::Error) -> Failure {
        failure(&self.path, error)
    }

    /// Reads all rows of a query; `take` returns what is wrong with a row.
    pub(super) async fn for_each_row(
        &mut self,
        query: &'static str,
        mut take: impl FnMut(&SqliteRow) -> Result<(), BadRow>,
    ) -> Result<(), OpenError> {
        let mut rows = sqlx::query(query).fetch(&mut self.connection);
        let mut number = 0_u64;
        loop {
            let row = rows.try_next().await.map_err(|error| database_error(&self.path, error))?;
            let Some(row) = row else { return Ok(()) };
            number += 1;
            if let Err(what) = take(&row) {
                let what = format!("row {number} of `{query}`: {what}");
                return Err(OpenError::Damaged { path: self.path.clone(), what });
            }
        }
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> OpenError {
        OpenError::Damaged { path: self.path.clone(), what: what.into() }
    }

    pub(super) fn error(&self, error: sqlx::Error) -> OpenError {
        database_error(&self.path, error)
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, path = %self.path.display(), "the database could not be closed; nothing is lost");
        }
    }

    /// Gives up the database without changing a file. Closing it would move the write-ahead log
    /// into the database, and damaged files must be left as they are. So the connection stays open
    /// until the process ends.
    pub(super) fn leave_as_found(self) {
        if self.had_wal {
            std::mem::forget(self.connection);
        }
    }

    async fn check(&mut self) -> Result<(), OpenError> {
        let check = sqlx::query_scalar("PRAGMA quick_check(1)");
        let found: String = check.fetch_one(&mut self.connection).await.map_err(|error| self.error(error))?;
        if found == "ok" { Ok(()) } else { Err(self.damaged(found)) }
    }
}

/// Checks the write-ahead log; true if it is not empty. SQLite takes a damaged log for one that
/// ends early, and would go on without what was acknowledged after the damage.
fn check_write_ahead_log(path: &Path) -> Result<bool, OpenError> {
    let path = beside(path, "-wal");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(OpenError::Directory { path, source }),
    };
    match wal::check(&bytes) {
        Ok(()) => Ok(!bytes.is_empty()),
        Err(what) => Err(OpenError::Damaged { path, what: what.to_string() }),
    }
}

/// Classifies a database error for the caller of [`Storage`](crate::storage::Storage).
pub(super) fn failure(path: &Path, error: sqlx::Error) -> Failure {
    match code(&error) {
        // SQLITE_FULL: the statement had no effect.
        Some(code) if code & 0xff == 13 => Failure::Full,
        // SQLITE_IOERR_WRITE, which is also reported when a quota is exceeded.
        Some(778) if !has_room(path) => Failure::Full,
        // SQLITE_NOMEM, SQLITE_CANTOPEN, SQLITE_IOERR_NOMEM.
        Some(code) if matches!(code & 0xff, 7 | 14) || code == 3_082 => Failure::Short(error.into()),
        None if matches!(&error, sqlx::Error::Io(error) if files::is_shortage(error)) => {
            Failure::Short(error.into())
        }
        _ => Failure::Broken(error.into()),
    }
}

/// True if there is space for another file next to the database.
fn has_room(path: &Path) -> bool {
    let probe = beside(path, "-probe");
    let written = fs::write(&probe, [1; 1 << 16]);
    let _ = fs::remove_file(&probe);
    !written.is_err_and(|error| files::is_full(&error))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn database_error(path: &Path, error: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    // SQLITE_CORRUPT and SQLITE_NOTADB, with any extended code.
    match code(&error).map(|code| code & 0xff) {
        Some(11 | 26) => OpenError::Damaged { path, what: error.to_string() },
        _ => OpenError::Database { path, source: error },
    }
}

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}
