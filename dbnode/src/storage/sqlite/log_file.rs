//! The log: the entries that are not in the snapshot yet.

use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor, QueryBuilder, Sqlite};

use super::about::{self, About};
use super::database::Database;
use super::error::OpenError;
use super::row::{entry_from_row, entry_to_row, signed};
use crate::replication::entry::Entry;

/// Larger batches are rare, and not worth a prepared statement each.
const PREPARED_ROWS_MAX: usize = 64;

const TABLE: &str = "CREATE TABLE log (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, \
     payload BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT";

/// What the log says about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AboutLog {
    #[serde(flatten)]
    about: About,
    /// The snapshot next to it was finished: from now on there is one.
    begun: bool,
}

/// The log's database.
#[derive(Debug)]
pub(super) struct LogFile {
    database: Database,
    about: Option<AboutLog>,
}

impl LogFile {
    pub(super) async fn open(mut database: Database, id: &str) -> Result<Self, OpenError> {
        let about = about::read(&mut database, id).await?;
        Ok(Self { database, about })
    }

    /// There is nothing in it.
    pub(super) fn is_new(&self) -> bool {
        self.about.is_none()
    }

    /// The first start got to its end.
    pub(super) fn has_begun(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.begun)
    }

    pub(super) fn about(&self) -> &About {
        &self.about.as_ref().expect("a log is created before it is asked").about
    }

    /// Makes the tables.
    pub(super) async fn create(&mut self, about: About) -> Result<(), OpenError> {
        self.write_first(AboutLog { about, begun: false }).await.map_err(|error| self.database.error(error))
    }

    async fn write_first(&mut self, about: AboutLog) -> Result<(), sqlx::Error> {
        let mut transaction = self.database.connection.begin_with("BEGIN IMMEDIATE").await?;
        transaction.execute(about::TABLE).await?;
        transaction.execute(TABLE).await?;
        about::write(&mut transaction, &about).await?;
        transaction.commit().await?;
        self.about = Some(about);
        Ok(())
    }

    /// Remembers that there is a snapshot now.
    pub(super) async fn begin(&mut self) -> Result<(), OpenError> {
        let about = self.about.as_mut().expect("a log is created before it begins");
        if about.begun {
            return Ok(());
        }
        about.begun = true;
        let written = about::write(&mut self.database.connection, about).await;
        written.map_err(|error| self.database.error(error))
    }

    #[cfg(test)]
    pub(super) fn database(&mut self) -> &mut Database {
        &mut self.database
    }

    pub(super) fn damaged(&self, what: &str) -> OpenError {
        self.database.damaged(what)
    }

    /// All entries after `folded`, checked: none is missing, none has changed.
    pub(super) async fn read_after(&mut self, folded: u64) -> Result<Vec<Entry>, OpenError> {
        let mut entries: Vec<Entry> = Vec::new();
        let query = "SELECT idx, term, payload, checksum FROM log ORDER BY idx";
        let mut take = |entry: Entry| {
            let expected = folded + 1 + entries.len() as u64;
            match entry.index {
                // A fold was cut short: the snapshot has it already.
                index if index <= folded => Ok(()),
                index if index == expected => {
                    entries.push(entry);
                    Ok(())
                }
                index => Err(format!("entry {index} follows entry {}", expected - 1)),
            }
        };
        self.database.for_each_row(query, |row| entry_from_row(row).and_then(&mut take)).await?;
        Ok(entries)
    }

    /// Appends a batch as one statement: all of it or nothing. On disk when it returns.
    pub(super) async fn append(&mut self, entries: &[Entry]) -> Result<(), sqlx::Error> {
        let mut bytes = 0;
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO log (idx, term, payload, checksum) ");
        insert.push_values(entries, |mut row, entry| {
            let (payload, checksum) = entry_to_row(entry);
            bytes += payload.len();
            row.push_bind(signed(entry.index)).push_bind(signed(entry.term));
            row.push_bind(payload).push_bind(checksum);
        });
        let insert = insert.build().persistent(entries.len() <= PREPARED_ROWS_MAX);
        insert.execute(&mut self.database.connection).await?;
        self.database.appended(bytes).await
    }

    /// Lets go of the entries up to this one: the snapshot has them.
    pub(super) async fn trim(&mut self, up_to: u64) -> Result<(), sqlx::Error> {
        let delete = sqlx::query("DELETE FROM log WHERE idx <= ?").bind(signed(up_to));
        delete.execute(&mut self.database.connection).await.map(drop)
    }

    pub(super) async fn close(self) {
        self.database.close().await;
    }
}
