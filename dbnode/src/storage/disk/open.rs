//! The first start, and every other.
//!
//! What may be found in a data directory, and what is made of it:
//!
//! ```text
//! snapshot.db  log/
//! nothing      nothing       the first start: make both
//! not begun    either        killed during the first start: make the log, and go on
//! begun        there         go on
//! begun        nothing       somebody removed the log: refuse
//! nothing      there         somebody removed the snapshot: refuse
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::Disk;
use super::about::{About, FORMAT};
use super::database::Database;
use super::error::OpenError;
use super::life::Life;
use super::log::{LogFiles, LogThread, Replay};
use super::snapshot::SnapshotFile;
use crate::replication::disk::Recovered;
use crate::replication::member::Incarnation;
use crate::replication::state::State;
use crate::storage::import;

/// Opens the data directory of a node, or makes it. What it was given to import is read when the
/// directory is new, and only then.
pub async fn open(
    directory: &Path,
    id: &str,
    to_import: Option<&Path>,
) -> Result<(Disk, Recovered), OpenError> {
    let lock = lock(directory)?;
    let mut snapshot = SnapshotFile::open(Database::open(directory.join("snapshot.db")).await?, id).await?;
    let no_log = LogFiles::is_new(directory)?;
    if snapshot.is_new() && !no_log {
        return Err(snapshot.damaged("it is gone, and the log is not"));
    }
    if snapshot.has_begun() && no_log {
        let path = directory.join("log");
        return Err(OpenError::Damaged { path, what: "it is gone, and the snapshot is not".into() });
    }
    if snapshot.is_new() {
        let incarnation = Incarnation(Uuid::new_v4());
        let about = About { format: FORMAT, node: id.to_owned(), incarnation };
        snapshot.create(about, &first_state(to_import)?).await?;
    }
    let incarnation = snapshot.about().incarnation;
    if no_log {
        let created = LogFiles::create(directory, incarnation.0);
        created.map_err(|source| OpenError::Directory { path: directory.join("log"), source })?;
    }
    let life = Life::open(directory, !snapshot.has_begun() || snapshot.format() < FORMAT)?;
    snapshot.begin().await?;
    let state = snapshot.read().await?;
    let (log, mut replay) = LogFiles::open(directory, incarnation.0, snapshot.first_segment())?;
    let damaged = |what| OpenError::Damaged { path: directory.join("log"), what };
    let entries = replay.entries_after(state.place()).map_err(damaged)?;
    let Replay { ballot, committed, discarded, .. } = replay;
    let starts = life.begin()?;
    let life = starts.count();
    let recovered = Recovered { life, ballot, snapshot: state, entries, committed, discarded };
    let (log, snapshot) = (LogThread::start(log), Mutex::new(snapshot));
    Ok((Disk { log, snapshot, incarnation, starts, _lock: lock }, recovered))
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
