//! The metadata of a database: one row that holds one JSON document.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection};

use super::database::Database;
use super::error::OpenError;
use super::row::Checksum;
use crate::replication::member::Incarnation;

/// The format this program writes, and the newest it can read.
///
/// Format 3 counts starts. Format 4 gives each start an id, and each write with a request id a
/// time. A directory of an older format is upgraded when it is opened.
pub(super) const FORMAT: u32 = 4;

/// The table that holds the document.
pub(super) const TABLE: &str = "CREATE TABLE about (only INTEGER PRIMARY KEY CHECK (only = 1), \
     document TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT";

/// The fields that every document has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// The format of the rest.
    pub(super) format: u32,
    /// The node that owns the data.
    pub(super) node: String,
    /// The data directory's id, shared by the snapshot and every segment of the log.
    pub(super) incarnation: Incarnation,
}

/// Reads the document of a database that belongs to this node, in a known format. Returns `None` if
/// there is no such table, because the database is new.
pub(super) async fn read<T: DeserializeOwned>(
    database: &mut Database,
    id: &str,
) -> Result<Option<T>, OpenError> {
    let Some(document) = document(database).await? else { return Ok(None) };
    let unreadable = |error| database.damaged(format!("its metadata: {error}"));
    check_format(&document, database)?;
    let About { node: owner, .. } = serde_json::from_str(&document).map_err(unreadable)?;
    if owner != id {
        let path = database.path().to_owned();
        return Err(OpenError::OtherNode { path, owner, id: id.to_owned() });
    }
    serde_json::from_str(&document).map(Some).map_err(unreadable)
}

/// Checks the format before anything else, because other formats may give the rest another meaning.
fn check_format(document: &str, database: &Database) -> Result<(), OpenError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    match serde_json::from_str(document) {
        Ok(Format { format }) if format > FORMAT => {
            Err(OpenError::NewerFormat { path: database.path().to_owned(), format, known: FORMAT })
        }
        Ok(_) => Ok(()),
        Err(error) => Err(database.damaged(format!("its format: {error}"))),
    }
}

/// Writes the document.
pub(super) async fn write<T: Serialize>(
    connection: &mut SqliteConnection,
    about: &T,
) -> Result<(), sqlx::Error> {
    let document = serde_json::to_string(about).expect("texts and numbers always serialize");
    let checksum = Checksum::new().bytes(document.as_bytes()).finish();
    let insert = sqlx::query("INSERT OR REPLACE INTO about (only, document, checksum) VALUES (1, ?, ?)");
    insert.bind(document).bind(checksum).execute(connection).await.map(drop)
}

async fn document(database: &mut Database) -> Result<Option<String>, OpenError> {
    let tables = sqlx::query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'about'");
    let table = tables.fetch_optional(&mut database.connection).await;
    if table.map_err(|error| database.error(error))?.is_none() {
        return Ok(None);
    }
    let mut document = None;
    let query = "SELECT document, checksum FROM about";
    let take = |row: &sqlx::sqlite::SqliteRow| {
        let text: String = row.try_get(0).map_err(|error| error.to_string())?;
        let checksum: i64 = row.try_get(1).map_err(|error| error.to_string())?;
        if Checksum::new().bytes(text.as_bytes()).finish() != checksum {
            return Err("its checksum does not match its content".into());
        }
        document = Some(text);
        Ok(())
    };
    database.for_each_row(query, take).await?;
    if document.is_none() {
        return Err(database.damaged("its metadata is missing"));
    }
    Ok(document)
}
