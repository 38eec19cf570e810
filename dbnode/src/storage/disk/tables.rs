//! The snapshot's tables: records, and the writes that had a name.

use std::collections::BTreeMap;

use futures_util::stream::BoxStream;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::about;
use super::database::Database;
use super::error::OpenError;
use super::row::{record_checksum, record_from_row, request_checksum, request_from_row, signed};
use crate::replication::entry::Change;
use crate::replication::key::Key;
use crate::replication::requests::{Named, Requests};
use crate::replication::state::Record;
use crate::version::Version;

/// Rows in one statement: six values each at most, within SQLite's 32,766.
const ROWS_MAX: usize = 500;

/// How they are made.
pub(super) const TABLES: [&str; 3] = [
    about::TABLE,
    "CREATE TABLE records (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, \
     page INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE requests (version INTEGER PRIMARY KEY, id TEXT NOT NULL, fingerprint INTEGER NOT NULL, \
     sum INTEGER, at INTEGER NOT NULL DEFAULT 0, checksum INTEGER NOT NULL) STRICT",
];

/// Format 2 knew no times of named writes.
pub(super) const ADD_TIME: &str = "ALTER TABLE requests ADD COLUMN at INTEGER NOT NULL DEFAULT 0";

/// Makes of each record what the newest entry about it says.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    newest: &BTreeMap<&Key, (Version, &Change)>,
) -> Result<(), sqlx::Error> {
    let mut put = Vec::new();
    let mut deleted = Vec::new();
    for (key, (version, change)) in newest {
        match change {
            Change::Delete => deleted.push(key.as_str()),
            Change::Put { value, page } => {
                put.push((*key, Record { value: value.clone(), version: *version, page: *page }));
            }
        }
    }
    let put: Vec<_> = put.iter().map(|(key, record)| (*key, record)).collect();
    put_records(connection, &put).await?;
    delete_records(connection, &deleted).await
}

/// Writes records, whether or not they are there already.
pub(super) async fn put_records(
    connection: &mut SqliteConnection,
    records: &[(&Key, &Record)],
) -> Result<(), sqlx::Error> {
    for chunk in records.chunks(ROWS_MAX) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT OR REPLACE INTO records (key, value, version, page, checksum) ",
        );
        insert.push_values(chunk, |mut row, (key, record)| {
            let (version, page) = (signed(record.version.0), signed(record.page));
            row.push_bind(key.as_str()).push_bind(&*record.value).push_bind(version).push_bind(page);
            row.push_bind(record_checksum(key, &record.value, version, page));
        });
        insert.build().persistent(chunk.len() == ROWS_MAX).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn delete_records(connection: &mut SqliteConnection, keys: &[&str]) -> Result<(), sqlx::Error> {
    for chunk in keys.chunks(ROWS_MAX) {
        let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM records WHERE key IN (");
        let mut list = delete.separated(", ");
        for key in chunk {
            list.push_bind(*key);
        }
        delete.push(")");
        delete.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Adds named writes.
pub(super) async fn put_requests(
    connection: &mut SqliteConnection,
    requests: &[Named],
) -> Result<(), sqlx::Error> {
    for chunk in requests.chunks(ROWS_MAX) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO requests (version, id, fingerprint, sum, at, checksum) ",
        );
        insert.push_values(chunk, |mut row, named| {
            let Named { version, at, request } = named;
            row.push_bind(signed(version.0)).push_bind(&*request.id);
            row.push_bind(request.fingerprint.cast_signed()).push_bind(request.sum).push_bind(signed(*at));
            row.push_bind(request_checksum(named));
        });
        insert.build().persistent(chunk.len() == ROWS_MAX).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Forgets the named writes up to this version.
pub(super) async fn forget_requests(
    connection: &mut SqliteConnection,
    up_to: Version,
) -> Result<(), sqlx::Error> {
    let forget = sqlx::query("DELETE FROM requests WHERE version <= ?").bind(signed(up_to.0));
    forget.execute(connection).await.map(drop)
}

/// All records, checked.
pub(super) async fn read_records(database: &mut Database) -> Result<BTreeMap<Key, Record>, OpenError> {
    let mut records = BTreeMap::new();
    let query = "SELECT key, value, version, page, checksum FROM records ORDER BY key";
    database
        .for_each_row(query, |row| {
            record_from_row(row).map(|(key, record)| drop(records.insert(key, record)))
        })
        .await?;
    Ok(records)
}

/// All named writes, checked.
pub(super) async fn read_requests(database: &mut Database) -> Result<Requests, OpenError> {
    let mut requests = Requests::default();
    let query = "SELECT version, id, fingerprint, sum, at, checksum FROM requests ORDER BY version";
    database.for_each_row(query, |row| request_from_row(row).map(|named| requests.remember(&named))).await?;
    Ok(requests)
}

/// The records after a key, in order, one by one: many large ones are not to be in memory together.
pub(super) fn records_after<'a>(
    connection: &'a mut SqliteConnection,
    after: &'a str,
) -> BoxStream<'a, Result<SqliteRow, sqlx::Error>> {
    let query = "SELECT key, value, version, page, checksum FROM records WHERE key > ? ORDER BY key";
    sqlx::query(query).bind(after).fetch(connection)
}

/// The named writes after a version, in order, at most so many.
pub(super) async fn requests_after(
    connection: &mut SqliteConnection,
    after: Version,
    limit: i64,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let query = "SELECT version, id, fingerprint, sum, at, checksum FROM requests WHERE version > ? ORDER BY version LIMIT ?";
    sqlx::query(query).bind(signed(after.0)).bind(limit).fetch_all(connection).await
}

/// Forgets everything.
pub(super) async fn clear(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for table in ["DELETE FROM records", "DELETE FROM requests"] {
        sqlx::query(table).execute(&mut *connection).await?;
    }
    Ok(())
}
