//! The snapshot on disk: the records as of some entry, and the remembered writes up to it.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::{Executor, SqliteConnection};

use super::about::{self, About, FORMAT};
use super::database::{Database, failure};
use super::error::OpenError;
use super::row::{Sum, Sums, record_from_row, request_from_row};
use super::tables::{self, TABLES};
use crate::replication::entry::{Change, Entry};
use crate::replication::key::Key;
use crate::replication::snapshot::{AboutSnapshot, Chunk, Cursor};
use crate::replication::state::State;
use crate::storage::Failure;
use dbclient::Version;

/// The first format in which remembered writes have a time.
const TIMES_SINCE: u32 = 4;

/// Maximum number of remembered writes in one chunk.
const ROWS: i64 = 500;

/// The metadata of the snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Contents {
    #[serde(flatten)]
    about: About,
    /// True once the log and the other files next to it exist; from then on they must be there.
    begun: bool,
    /// The log counts from this segment on.
    first_segment: u64,
    /// The metadata as it is sent to other nodes.
    of: AboutSnapshot,
    /// The sums of the table rows; `None` before format 3.
    #[serde(default)]
    sums: Option<Sums>,
}

impl Contents {
    fn sums(&mut self) -> &mut Sums {
        self.sums.get_or_insert_default()
    }
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

    /// True if the database is empty.
    pub(super) fn is_new(&self) -> bool {
        self.contents.is_none()
    }

    /// True if the first start was completed.
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

    /// The first segment of the log that counts.
    pub(super) fn first_segment(&self) -> u64 {
        self.known().first_segment
    }

    pub(super) fn damaged(&self, what: &str) -> OpenError {
        self.database.damaged(what)
    }

    /// Gives up the snapshot without changing a file.
    pub(super) fn leave_as_found(self) {
        self.database.leave_as_found();
    }

    fn known(&self) -> &Contents {
        self.contents.as_ref().expect("a snapshot is created before it is used")
    }

    /// Creates and fills the tables. If the process is killed meanwhile, the next start begins
    /// again.
    pub(super) async fn create(&mut self, about: About, state: &State) -> Result<(), OpenError> {
        let of = AboutSnapshot::of(state);
        let mut contents = Contents { about, begun: false, first_segment: 1, of, sums: None };
        let written = match self.database.begin().await {
            Ok(connection) => write_first(connection, &mut contents, state).await,
            Err(error) => Err(error),
        };
        self.database.end(written).await.map_err(|error| self.database.error(error))?;
        self.contents = Some(contents);
        Ok(())
    }

    /// Records that everything next to the snapshot exists, in the format that this program writes.
    pub(super) async fn begin(&mut self) -> Result<(), OpenError> {
        let contents = self.known();
        if contents.begun && contents.about.format == FORMAT {
            return Ok(());
        }
        let mut begun = contents.clone();
        (begun.begun, begun.about.format) = (true, FORMAT);
        let has_times = contents.about.format >= TIMES_SINCE;
        let written = match self.database.begin().await {
            Ok(connection) => write_begun(connection, &begun, has_times).await,
            Err(error) => Err(error),
        };
        self.database.end(written).await.map_err(|error| self.database.error(error))?;
        self.contents = Some(begun);
        Ok(())
    }

    /// Reads and verifies the whole snapshot.
    pub(super) async fn read(&mut self) -> Result<State, OpenError> {
        let mut sums = Sums::default();
        let has_times = self.format() >= TIMES_SINCE;
        let records = tables::read_records(&mut self.database, &mut sums.records).await?;
        let requests = tables::read_requests(&mut self.database, has_times, &mut sums.requests).await?;
        let contents = self.contents.as_mut().expect("a snapshot is created before it is read");
        let said = *contents.sums.get_or_insert(sums);
        let of = contents.of.clone();
        self.compare("records", said.records, sums.records)?;
        self.compare("requests", said.requests, sums.requests)?;
        Ok(State::recovered(records, requests, of))
    }

    fn compare(&self, table: &str, said: Sum, found: Sum) -> Result<(), OpenError> {
        match found == said {
            true => Ok(()),
            false if found.rows == said.rows => {
                Err(self
                    .damaged(&format!("its table of {table} is put together from parts of different ages")))
            }
            false => Err(self.damaged(&format!(
                "its table of {table} has {} rows, and had {} when it was written",
                found.rows, said.rows
            ))),
        }
    }

    /// Applies these entries, which follow the snapshot. If a resource runs out, it is unchanged.
    pub(super) async fn compact(&mut self, entries: &[Entry]) -> Result<(), Failure> {
        let mut contents = self.known().clone();
        entries.iter().for_each(|entry| contents.of.follow(entry));
        let written = match self.database.begin().await {
            Ok(connection) => apply(connection, &mut contents, entries).await,
            Err(error) => Err(error),
        };
        self.finish(contents, written).await
    }

    /// Replaces the snapshot with a state; the log counts from this segment on. If a resource runs
    /// out, it is unchanged.
    pub(super) async fn replace(&mut self, state: &State, first_segment: u64) -> Result<(), Failure> {
        let Contents { about, begun, .. } = self.known().clone();
        let of = AboutSnapshot::of(state);
        let mut contents = Contents { about, begun, first_segment, of, sums: None };
        let written = match self.database.begin().await {
            Ok(connection) => replace_all(connection, &mut contents, state).await,
            Err(error) => Err(error),
        };
        self.finish(contents, written).await
    }

    /// Ends a transaction that leaves the snapshot with this metadata.
    async fn finish(&mut self, contents: Contents, written: Result<(), sqlx::Error>) -> Result<(), Failure> {
        // The log is trimmed next, so the snapshot must be where the next start looks for it.
        let written = written.and_then(|()| Ok(self.database.check_path()?));
        let ended = self.database.end(written).await;
        ended.map_err(|error| self.database.failure(error))?;
        self.contents = Some(contents);
        self.database.checkpoint().await
    }

    /// Reads a chunk, which ends with the record or remembered write that reaches this size.
    pub(super) async fn chunk(&mut self, from: Cursor, bytes_max: usize) -> Result<Chunk, Failure> {
        let mut chunk = Chunk::new(self.known().of.clone(), from.clone());
        match from {
            Cursor::Records(after) => self.read_piece_of_records(after, bytes_max, &mut chunk).await?,
            Cursor::Requests(after) => self.read_piece_of_requests(after, bytes_max, &mut chunk).await?,
        }
        Ok(chunk)
    }

    async fn read_piece_of_records(
        &mut self,
        after: Option<Key>,
        bytes_max: usize,
        chunk: &mut Chunk,
    ) -> Result<(), Failure> {
        let path = self.database.path().to_owned();
        let failure = |error| failure(&path, error);
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

    async fn read_piece_of_requests(
        &mut self,
        after: Version,
        bytes_max: usize,
        chunk: &mut Chunk,
    ) -> Result<(), Failure> {
        let rows = tables::requests_after(&mut self.database.connection, after, ROWS).await;
        let rows = rows.map_err(|error| self.database.failure(error))?;
        let mut bytes = 0;
        for row in &rows {
            let named = request_from_row(row).map_err(|what| Failure::Broken(what.into()))?;
            bytes += named.bytes_in_chunk();
            chunk.requests.push(named);
            if bytes >= bytes_max {
                break;
            }
        }
        chunk.next = chunk.requests.last().map(|named| Cursor::Requests(named.version));
        Ok(())
    }

    /// Runs a query, such as a PRAGMA, and returns the first value of its result.
    #[cfg(test)]
    pub(super) async fn ask(&mut self, question: &str) -> String {
        use sqlx::{AssertSqlSafe, Row};
        let row = sqlx::query(AssertSqlSafe(question)).fetch_optional(&mut self.database.connection).await;
        let Some(row) = row.unwrap() else { return String::new() };
        row.try_get(0).unwrap_or_else(|_| row.get::<i64, _>(0).to_string())
    }

    /// Rewrites the metadata as an older version would have written it.
    #[cfg(test)]
    pub(super) async fn write_as_of_format(&mut self, format: u32) {
        if self.format() >= TIMES_SINCE {
            self.database.connection.execute("ALTER TABLE requests DROP COLUMN at").await.unwrap();
        }
        let mut contents = self.known().clone();
        contents.about.format = format;
        about::write(&mut self.database.connection, &contents).await.unwrap();
    }

    pub(super) async fn close(self) {
        self.database.close().await;
    }
}

async fn write_first(
    connection: &mut SqliteConnection,
    contents: &mut Contents,
    state: &State,
) -> Result<(), sqlx::Error> {
    for table in TABLES {
        connection.execute(table).await?;
    }
    put_all(connection, contents.sums(), state).await?;
    about::write(connection, contents).await
}

async fn write_begun(
    connection: &mut SqliteConnection,
    contents: &Contents,
    has_times: bool,
) -> Result<(), sqlx::Error> {
    if !has_times {
        connection.execute(tables::ADD_TIME).await?;
    }
    about::write(connection, contents).await
}

async fn apply(
    connection: &mut SqliteConnection,
    contents: &mut Contents,
    entries: &[Entry],
) -> Result<(), sqlx::Error> {
    let mut newest: BTreeMap<&Key, (Version, &Change)> = BTreeMap::new();
    let mut requests = Vec::new();
    for (entry, write) in entries.iter().filter_map(|entry| Some((entry, entry.write()?))) {
        newest.insert(&write.key, (entry.version(), &write.change));
        requests.extend(entry.named());
    }
    tables::apply(connection, &newest, &mut contents.sums().records).await?;
    let forgets = entries.iter().filter_map(Entry::stamp).map(|stamp| stamp.forgets).max();
    let sum = &mut contents.sums().requests;
    tables::put_requests(connection, &requests, sum).await?;
    tables::forget_requests(connection, forgets.unwrap_or_default(), sum).await?;
    about::write(connection, contents).await
}

async fn replace_all(
    connection: &mut SqliteConnection,
    contents: &mut Contents,
    state: &State,
) -> Result<(), sqlx::Error> {
    tables::clear(connection).await?;
    put_all(connection, contents.sums(), state).await?;
    about::write(connection, contents).await
}

async fn put_all(
    connection: &mut SqliteConnection,
    sums: &mut Sums,
    state: &State,
) -> Result<(), sqlx::Error> {
    let records: Vec<_> = state.scan("", "").collect();
    tables::put_records(connection, &records, &mut sums.records).await?;
    let requests: Vec<_> = state.requests().after(Version(0)).collect();
    tables::put_requests(connection, &requests, &mut sums.requests).await
}
