//! One database: how it is opened, checked and written to.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Executor};

use super::error::OpenError;
use super::row::BadRow;
use super::wal;
use crate::storage::Failure;

/// Statements that SQLite keeps prepared: one for each size of a batch that occurs often.
const STATEMENTS_MAX: usize = 128;

/// One database, with its one connection.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    pub(super) connection: SqliteConnection,
}

impl Database {
    /// Opens a database, or makes an empty one, and checks that it is whole.
    pub(super) async fn open(path: PathBuf) -> Result<Self, OpenError> {
        check_write_ahead_log(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "0")
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        let connection = options.connect().await.map_err(|error| database_error(&path, error))?;
        let mut database = Self { path, connection };
        database.check().await?;
        Ok(database)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves what was written from the write-ahead log into the database. SQLite would do it by
    /// itself, but keep quiet about a failed fsync.
    pub(super) async fn checkpoint(&mut self) -> Result<(), sqlx::Error> {
        match self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").await {
            // What was written is safe in the write-ahead log; the next checkpoint tries again.
            Err(error) if is_full(&error) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Reads all rows of a query; `take` says what is wrong with a row.
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

    async fn check(&mut self) -> Result<(), OpenError> {
        let check = sqlx::query_scalar("PRAGMA quick_check(1)");
        let found: String = check.fetch_one(&mut self.connection).await.map_err(|error| self.error(error))?;
        if found == "ok" { Ok(()) } else { Err(self.damaged(found)) }
    }
}

/// SQLite takes a damaged write-ahead log for one that ends early, and would go on without what
/// was acknowledged after the damage. Returns how long it is.
fn check_write_ahead_log(path: &Path) -> Result<(), OpenError> {
    let mut wal_path = path.as_os_str().to_owned();
    wal_path.push("-wal");
    let wal_path = PathBuf::from(wal_path);
    let bytes = match std::fs::read(&wal_path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(OpenError::Directory { path: wal_path, source }),
    };
    wal::check(&bytes).map_err(|what| OpenError::Damaged { path: wal_path, what: what.to_string() })
}

fn database_error(path: &Path, error: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    // SQLITE_CORRUPT and SQLITE_NOTADB, whatever their extension.
    match primary_code(&error) {
        Some(11 | 26) => OpenError::Damaged { path, what: error.to_string() },
        _ => OpenError::Database { path, source: error },
    }
}

/// What an error means to whoever stores something.
pub(super) fn failure(error: sqlx::Error) -> Failure {
    if is_full(&error) { Failure::Full } else { Failure::Broken(error.into()) }
}

/// SQLITE_FULL: the statement had no effect.
fn is_full(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(13)
}

fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
