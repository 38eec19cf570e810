//! The snapshot: the records as of some entry, and the named writes up to it.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor, SqliteConnection};

use super::about::{self, About, FORMAT};
use super::database::{Database, failure};
use super::error::OpenError;
use super::row::{record_from_row, request_from_row};
use super::tables::{self, TABLES};
use crate::replication::entry::{Change, Entry};
use crate::replication::key::Key;
use crate::replication::snapshot::{AboutSnapshot, Chunk, Cursor};
use crate::replication::state::State;
use crate::storage::Failure;
use crate::version::Version;

/// Named writes in one piece.
const ROWS: i64 = 500;

/// What the snapshot says about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Contents {
    #[serde(flatten)]
    about: About,
    /// The log and the other files next to it were made: from now on they are there.
    begun: bool,
    /// The log counts from this segment on.
    first_segment: u64,
    /// What it is a snapshot of.
    of: AboutSnapshot,
}

/// The snapshot's database.
#[derive(Debug)]
pub(super) struct SnapshotFile {
    database: Database,
    contents: Option<Contents>,
}

impl SnapshotFile {
    pub(super) async fn open(mut database: Database, id: &str) -> Result<Self, OpenError> {
        let contents = about::read(&mut database, id).await?;
        Ok(Self { database, contents })
    }

    /// There is nothing in it.
    pub(super) fn is_new(&self) -> bool {
        self.contents.is_none()
    }

    /// The first start got to its end.
    pub(super) fn has_begun(&self) -> bool {
        self.contents.as_ref().is_some_and(|contents| contents.begun)
    }

    pub(super) fn about(&self) -> &About {
        &self.known().about
    }

    /// The format of the data directory.
    pub(super) fn format(&self) -> u32 {
        self.about().format
    }

    /// The log counts from this segment on.
    pub(super) fn first_segment(&self) -> u64 {
        self.known().first_segment
    }

    pub(super) fn damaged(&self, what: &str) -> OpenError {
        self.database.damaged(what)
    }

    fn known(&self) -> &Contents {
        self.contents.as_ref().expect("a snapshot is created before it is used")
    }

    /// Makes the tables and fills them. Whoever is killed meanwhile begins again.
    pub(super) async fn create(&mut self, about: About, state: &State) -> Result<(), OpenError> {
        let contents = Contents { about, begun: false, first_segment: 1, of: AboutSnapshot::of(state) };
        self.write_first(contents, state).await.map_err(|error| self.database.error(error))
    }

    async fn write_first(&mut self, contents: Contents, state: &State) -> Result<(), sqlx::Error> {
        let mut transaction = self.database.connection.begin_with("BEGIN IMMEDIATE").await?;
        for table in TABLES {
            transaction.execute(table).await?;
        }
        put_all(&mut transaction, state).await?;
        about::write(&mut transaction, &contents).await?;
        transaction.commit().await?;
        self.contents = Some(contents);
        Ok(())
    }

    /// Remembers that everything next to it is there now, in the format that this program writes.
    pub(super) async fn begin(&mut self) -> Result<(), OpenError> {
        let contents = self.contents.as_mut().expect("a snapshot is created before it begins");
        if contents.begun && contents.about.format == FORMAT {
            return Ok(());
        }
        let is_older = contents.begun;
        contents.begun = true;
        contents.about.format = FORMAT;
        if is_older {
            let added = self.database.connection.execute(tables::ADD_TIME).await;
            added.map_err(|error| self.database.error(error))?;
        }
        let written = about::write(&mut self.database.connection, contents).await;
        written.map_err(|error| self.database.error(error))
    }

    /// Everything in it, checked.
    pub(super) async fn read(&mut self) -> Result<State, OpenError> {
        let records = tables::read_records(&mut self.database).await?;
        let requests = tables::read_requests(&mut self.database).await?;
        Ok(State::recovered(records, requests, self.known().of.clone()))
    }

    /// Brings the snapshot forward by these entries, which follow it.
    pub(super) async fn fold(&mut self, entries: &[Entry]) -> Result<(), sqlx::Error> {
        let mut contents = self.known().clone();
        entries.iter().for_each(|entry| contents.of.follow(entry));
        let mut newest: BTreeMap<&Key, (Version, &Change)> = BTreeMap::new();
        let mut requests = Vec::new();
        for (entry, write) in entries.iter().filter_map(|entry| Some((entry, entry.write()?))) {
            newest.insert(&write.key, (entry.version(), &write.change));
            requests.extend(entry.named());
        }
        let forgets = entries.iter().filter_map(Entry::stamp).map(|stamp| stamp.forgets).max();
        let mut transaction = self.database.connection.begin_with("BEGIN IMMEDIATE").await?;
        tables::apply(&mut transaction, &newest).await?;
        tables::put_requests(&mut transaction, &requests).await?;
        tables::forget_requests(&mut transaction, forgets.unwrap_or_default()).await?;
        about::write(&mut transaction, &contents).await?;
        transaction.commit().await?;
        self.contents = Some(contents);
        self.database.checkpoint().await
    }

    /// Puts a state in the place of everything. The log counts from this segment on.
    pub(super) async fn replace(&mut self, state: &State, first_segment: u64) -> Result<(), sqlx::Error> {
        let Contents { about, begun, .. } = self.known().clone();
        let contents = Contents { about, begun, first_segment, of: AboutSnapshot::of(state) };
        let mut transaction = self.database.connection.begin_with("BEGIN IMMEDIATE").await?;
        tables::clear(&mut transaction).await?;
        put_all(&mut transaction, state).await?;
        about::write(&mut transaction, &contents).await?;
        transaction.commit().await?;
        self.contents = Some(contents);
        self.database.checkpoint().await
    }

    /// A piece of it, which ends with the record that exceeds this size.
    pub(super) async fn chunk(&mut self, from: Cursor, bytes_max: usize) -> Result<Chunk, Failure> {
        let mut chunk = Chunk::new(self.known().of.clone(), from.clone());
        match from {
            Cursor::Records(after) => self.read_piece_of_records(after, bytes_max, &mut chunk).await?,
            Cursor::Requests(after) => self.read_piece_of_requests(after, &mut chunk).await?,
        }
        Ok(chunk)
    }

    async fn read_piece_of_records(
        &mut self,
        after: Option<Key>,
        bytes_max: usize,
        chunk: &mut Chunk,
    ) -> Result<(), Failure> {
        let after = after.as_ref().map_or("", Key::as_str);
        let mut rows = tables::records_after(&mut self.database.connection, after);
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(failure)? {
            let (key, record) = record_from_row(&row).map_err(|what| Failure::Broken(what.into()))?;
            bytes += key.as_str().len() + record.value.len();
            chunk.records.push((key.clone(), record));
            if bytes >= bytes_max {
                chunk.next = Some(Cursor::Records(Some(key)));
                return Ok(());
            }
        }
        chunk.next = Some(Cursor::Requests(Version(0)));
        Ok(())
    }

    async fn read_piece_of_requests(&mut self, after: Version, chunk: &mut Chunk) -> Result<(), Failure> {
        let connection = &mut self.database.connection;
        let rows = tables::requests_after(connection, after, ROWS).await.map_err(failure)?;
        for row in &rows {
            chunk.requests.push(request_from_row(row).map_err(|what| Failure::Broken(what.into()))?);
        }
        chunk.next = chunk.requests.last().map(|named| Cursor::Requests(named.version));
        Ok(())
    }

    /// Writes what an older version would have written about itself.
    #[cfg(test)]
    pub(super) async fn write_as_of_format(&mut self, format: u32) {
        self.database.connection.execute("ALTER TABLE requests DROP COLUMN at").await.unwrap();
        let mut contents = self.known().clone();
        contents.about.format = format;
        about::write(&mut self.database.connection, &contents).await.unwrap();
    }

    pub(super) async fn close(self) {
        self.database.close().await;
    }
}

async fn put_all(connection: &mut SqliteConnection, state: &State) -> Result<(), sqlx::Error> {
    let records: Vec<_> = state.scan("", "").collect();
    tables::put_records(connection, &records).await?;
    let requests: Vec<_> = state.requests().after(Version(0)).collect();
    tables::put_requests(connection, &requests).await
}
