//! The first start, and every other.
//!
//! What may be found in a data directory, and what is made of it:
//!
//! ```text
//! log.db      snapshot.db
//! nothing     nothing       the first start: make both
//! not begun   nothing       killed during the first start: make the snapshot, from the beginning
//! not begun   there         killed at the end of the first start: go on
//! begun       there         go on
//! begun       nothing       somebody removed the snapshot: refuse
//! nothing     there         somebody removed the log: refuse
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::Sqlite;
use super::about::{About, FORMAT};
use super::database::Database;
use super::error::OpenError;
use super::log_file::LogFile;
use super::snapshot_file::SnapshotFile;
use crate::replication::state::State;
use crate::storage::{Recovered, import};

/// Opens the data directory of a node, or makes it. What it was given to import is read when the
/// directory is new, and only then.
pub async fn open(
    directory: &Path,
    id: &str,
    to_import: Option<&Path>,
) -> Result<(Sqlite, Recovered), OpenError> {
    let lock = lock(directory)?;
    let mut log = LogFile::open(Database::open(directory.join("log.db")).await?, id).await?;
    let mut snapshot = SnapshotFile::open(Database::open(directory.join("snapshot.db")).await?, id).await?;
    if log.is_new() && !snapshot.is_new() {
        return Err(log.damaged("it is gone, and the snapshot is not"));
    }
    if log.has_begun() && snapshot.is_new() {
        return Err(snapshot.damaged("it is gone, and the log is not"));
    }
    if log.is_new() {
        let incarnation = Uuid::new_v4().to_string();
        log.create(About { format: FORMAT, node: id.to_owned(), incarnation }).await?;
    }
    if snapshot.is_new() {
        snapshot.create(log.about(), &first_state(to_import)?).await?;
    }
    if log.about() != snapshot.about() {
        return Err(log.damaged("it was not made together with the snapshot next to it"));
    }
    log.begin().await?;
    let state = snapshot.read().await?;
    let entries = log.read_after(state.applied()).await?;
    let incarnation = log.about().incarnation.clone();
    let storage = Sqlite { log: Mutex::new(log), snapshot: Mutex::new(snapshot), incarnation, _lock: lock };
    Ok((storage, Recovered { snapshot: state, entries }))
}

/// What a node begins with.
fn first_state(to_import: Option<&Path>) -> Result<State, OpenError> {
    let Some(path) = to_import else { return Ok(State::default()) };
    let state = import::read(path).map_err(|what| OpenError::Import { path: path.to_owned(), what })?;
    tracing::info!(records = state.len(), file = %path.display(), "importing");
    Ok(state)
}

/// Makes the directory where there is none, and takes it for this process.
fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.to_owned(), source };
    make_directory(directory).map_err(failed)?;
    let path = directory.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Makes a directory that is still there after a power failure: a name is only safe when the
/// directory it stands in was synced.
fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    make_directory(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}
