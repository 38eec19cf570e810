//! The snapshot's tables: records, and remembered writes with a request id.

use std::collections::BTreeMap;

use futures_util::stream::BoxStream;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::about;
use super::database::Database;
use super::error::OpenError;
use super::row::{
    Sum, checksum_of, record_checksum, record_from_row, request_checksum, request_from_row, signed,
};
use crate::replication::entry::Change;
use crate::replication::key::Key;
use crate::replication::requests::{Named, Requests};
use crate::replication::state::Record;
use dbclient::Version;

/// Maximum rows in one statement: with at most six values each, this stays within SQLite's limit of
/// 32,766.
const ROWS_MAX: usize = 500;

/// The statements that create the tables.
pub(super) const TABLES: [&str; 3] = [
    about::TABLE,
    "CREATE TABLE records (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, \
     page INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE requests (version INTEGER PRIMARY KEY, id TEXT NOT NULL, fingerprint INTEGER NOT NULL, \
     sum INTEGER, at INTEGER NOT NULL DEFAULT 0, checksum INTEGER NOT NULL) STRICT",
];

/// The column that format 4 added.
pub(super) const ADD_TIME: &str = "ALTER TABLE requests ADD COLUMN at INTEGER NOT NULL DEFAULT 0";

/// Applies the newest change to each record.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    newest: &BTreeMap<&Key, (Version, &Change)>,
    sum: &mut Sum,
) -> Result<(), sqlx::Error> {
    let keys: Vec<_> = newest.keys().map(|key| key.as_str()).collect();
    subtract_records(connection, &keys, sum).await?;
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
    put_records(connection, &put, sum).await?;
    delete_records(connection, &deleted).await
}

/// Subtracts the present rows of these records from the sum.
async fn subtract_records(
    connection: &mut SqliteConnection,
    keys: &[&str],
    sum: &mut Sum,
) -> Result<(), sqlx::Error> {
    for chunk in keys.chunks(ROWS_MAX) {
        let mut select = QueryBuilder::<Sqlite>::new(
            "SELECT COUNT(*), COALESCE(SUM(checksum), 0) FROM records WHERE key IN (",
        );
        let mut list = select.separated(", ");
        for key in chunk {
            list.push_bind(*key);
        }
        select.push(")");
        let found = select.build_query_as().persistent(chunk.len() == ROWS_MAX);
        let (rows, checksums) = found.fetch_one(&mut *connection).await?;
        sum.subtract(rows, checksums);
    }
    Ok(())
}

/// Writes records, and adds them to the sum. Rows they replace have been subtracted already.
pub(super) async fn put_records(
    connection: &mut SqliteConnection,
    records: &[(&Key, &Record)],
    sum: &mut Sum,
) -> Result<(), sqlx::Error> {
    for chunk in records.chunks(ROWS_MAX) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT OR REPLACE INTO records (key, value, version, page, checksum) ",
        );
        insert.push_values(chunk, |mut row, (key, record)| {
            let (version, page) = (signed(record.version.0), signed(record.page));
            row.push_bind(key.as_str()).push_bind(&*record.value).push_bind(version).push_bind(page);
            let checksum = record_checksum(key, &record.value, version, page);
            row.push_bind(checksum);
            sum.add(checksum);
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

/// Adds remembered writes.
pub(super) async fn put_requests(
    connection: &mut SqliteConnection,
    requests: &[Named],
    sum: &mut Sum,
) -> Result<(), sqlx::Error> {
    for chunk in requests.chunks(ROWS_MAX) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO requests (version, id, fingerprint, sum, at, checksum) ",
        );
        insert.push_values(chunk, |mut row, named| {
            let Named { version, at, request } = named;
            row.push_bind(signed(version.0)).push_bind(&*request.id);
            row.push_bind(request.fingerprint.cast_signed()).push_bind(request.sum).push_bind(signed(*at));
            let checksum = request_checksum(named);
            row.push_bind(checksum);
            sum.add(checksum);
        });
        insert.build().persistent(chunk.len() == ROWS_MAX).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Deletes the remembered writes up to this version.
pub(super) async fn forget_requests(
    connection: &mut SqliteConnection,
    up_to: Version,
    sum: &mut Sum,
) -> Result<(), sqlx::Error> {
    let up_to = signed(up_to.0);
    let sums = "SELECT COUNT(*), COALESCE(SUM(checksum), 0) FROM requests WHERE version <= ?";
    let (rows, checksums) = sqlx::query_as(sums).bind(up_to).fetch_one(&mut *connection).await?;
    sum.subtract(rows, checksums);
    let forget = sqlx::query("DELETE FROM requests WHERE version <= ?");
    forget.bind(up_to).execute(connection).await.map(drop)
}

/// Reads and verifies all records, and adds them to the sum.
pub(super) async fn read_records(
    database: &mut Database,
    sum: &mut Sum,
) -> Result<BTreeMap<Key, Record>, OpenError> {
    let mut records = BTreeMap::new();
    let query = "SELECT key, value, version, page, checksum FROM records ORDER BY key";
    database
        .for_each_row(query, |row| {
            let (key, record) = record_from_row(row)?;
            sum.add(checksum_of(row)?);
            records.insert(key, record);
            Ok(())
        })
        .await?;
    Ok(records)
}

/// Reads and verifies all remembered writes, and adds them to the sum. Before format 4 they had no
/// times.
pub(super) async fn read_requests(
    database: &mut Database,
    has_times: bool,
    sum: &mut Sum,
) -> Result<Requests, OpenError> {
    let mut requests = Requests::default();
    let query = match has_times {
        true => "SELECT version, id, fingerprint, sum, checksum, at FROM requests ORDER BY version",
        false => "SELECT version, id, fingerprint, sum, checksum, 0 FROM requests ORDER BY version",
    };
    database
        .for_each_row(query, |row| {
            let named = request_from_row(row)?;
            sum.add(checksum_of(row)?);
            requests.remember(&named);
            Ok(())
        })
        .await?;
    Ok(requests)
}

/// The records after a key, in order. They are streamed, because many large ones would take too
/// much memory.
pub(super) fn records_after<'a>(
    connection: &'a mut SqliteConnection,
    after: &'a str,
) -> BoxStream<'a, Result<SqliteRow, sqlx::Error>> {
    let query = "SELECT key, value, version, page, checksum FROM records WHERE key > ? ORDER BY key";
    sqlx::query(query).bind(after).fetch(connection)
}

/// The remembered writes after a version, in order, up to a limit.
pub(super) async fn requests_after(
    connection: &mut SqliteConnection,
    after: Version,
    limit: i64,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let query = "SELECT version, id, fingerprint, sum, checksum, at FROM requests WHERE version > ? ORDER BY version LIMIT ?";
    sqlx::query(query).bind(signed(after.0)).bind(limit).fetch_all(connection).await
}

/// Deletes all rows.
pub(super) async fn clear(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for table in ["DELETE FROM records", "DELETE FROM requests"] {
        sqlx::query(table).execute(&mut *connection).await?;
    }
    Ok(())
}
