//! Opens a data directory, or creates it on the first start.
//!
//! What a data directory may contain, and what is done about it:
//!
//! ```text
//! snapshot.db  log/
//! nothing      nothing       the first start: create both
//! not begun    either        killed during the first start: create the log, and continue
//! begun        there         continue
//! begun        nothing       the log was removed: refuse
//! nothing      there         the snapshot was removed: refuse
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::about::{About, FORMAT};
use super::database::Database;
use super::error::OpenError;
use super::life::{Life, Written};
use super::log::{Found, LogFiles, LogThread, Replay};
use super::snapshot::SnapshotFile;
use super::{Disk, LogUsage};
use crate::replication::disk::{Ballot, Recovered};
use crate::replication::entry::Entry;
use crate::replication::member::Incarnation;
use crate::replication::state::State;
use crate::storage::import;

/// Opens the data directory of a node, or creates it. The file to import is read only when the
/// directory is new. A damaged directory is left unchanged.
pub async fn open(
    directory: &Path,
    id: &str,
    to_import: Option<&Path>,
) -> Result<(Disk, Recovered), OpenError> {
    let lock = lock(directory)?;
    look_for_the_snapshot(directory)?;
    let database = Database::open(directory.join("snapshot.db")).await?;
    let mut snapshot = SnapshotFile::open(database, id).await?;
    let read = match read(directory, id, to_import, &mut snapshot).await {
        Ok(read) => read,
        Err(error) => {
            snapshot.leave_as_found();
            return Err(error);
        }
    };
    // Everything was read and is intact. Files are changed only from here on.
    let Read { state, entries, ballot, committed, discarded, log, life } = read;
    let log = LogFiles::open(log, state.log_id().index)?;
    let starts = life.begin()?;
    snapshot.begin().await?;
    let usage = LogUsage(log.usage());
    let incarnation = snapshot.about().incarnation;
    let thread = LogThread::start(log);
    let log = thread.map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
    let recovered =
        Recovered { life: starts.count(), ballot, snapshot: state, entries, committed, discarded };
    Ok((Disk { log, snapshot: Mutex::new(snapshot), incarnation, starts, usage, _lock: lock }, recovered))
}

/// The content of a directory, all of it intact.
struct Read {
    state: State,
    entries: Vec<Entry>,
    ballot: Ballot,
    committed: u64,
    discarded: u64,
    log: Found,
    life: Life,
}

/// Reads everything, and on the first start creates it.
async fn read(
    directory: &Path,
    id: &str,
    to_import: Option<&Path>,
    snapshot: &mut SnapshotFile,
) -> Result<Read, OpenError> {
    let no_log = LogFiles::is_new(directory)?;
    if snapshot.is_new() && !no_log {
        return Err(snapshot.damaged("it is empty, and the log is not"));
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
    let state = snapshot.read().await?;
    // These files are always there once a directory has been begun in format 3.
    let may_be_missing = !snapshot.has_begun() || snapshot.format() < 3;
    let mut log = LogFiles::read(directory, incarnation.0, snapshot.first_segment(), may_be_missing)?;
    let (compacted, place) = (log.compacted(), state.log_id());
    if place.index < compacted {
        return Err(snapshot.damaged(&format!(
            "it ends with entry {}, and the log was trimmed up to entry {compacted}: it is an old one, or misses its newest part",
            place.index
        )));
    }
    let damaged = |what| OpenError::Damaged { path: directory.join("log"), what };
    let entries = log.replay().entries_after(place).map_err(damaged)?;
    let written = match (may_be_missing, snapshot.format() < 4) {
        (true, _) => Written::Perhaps,
        (false, true) => Written::Number,
        (false, false) => Written::Ids,
    };
    let life = Life::open(directory, written)?;
    say_what_is_missing_aside(directory, &log);
    let &mut Replay { ref ballot, committed, discarded, .. } = log.replay();
    let ballot = ballot.clone();
    Ok(Read { state, entries, ballot, committed, discarded, log, life })
}

/// Checks that the snapshot is not missing. SQLite would create a new one, and remove the files
/// that belonged to it, so this is checked before SQLite opens it.
fn look_for_the_snapshot(directory: &Path) -> Result<(), OpenError> {
    let path = directory.join("snapshot.db");
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    let is_there = |name: &&str| directory.join(name).exists();
    let left = ["acknowledged", "life"].into_iter().find(is_there);
    let left = if LogFiles::is_new(directory)? { left } else { Some("log") };
    match left {
        Some(left) => Err(OpenError::Damaged { path, what: format!("it is gone, and the {left} is not") }),
        None => Ok(()),
    }
}

/// Warns about writes that are missing from `discarded.jsonl`. The list is for people, who may have
/// removed it, so this does not keep a node from starting.
fn say_what_is_missing_aside(directory: &Path, log: &Found) {
    match log.discarded_missing() {
        Ok(0) => {}
        Ok(missing) => tracing::warn!(
            path = %directory.join("discarded.jsonl").display(),
            missing,
            "the list of writes that were cut off this node's log is incomplete"
        ),
        Err(error) => {
            tracing::warn!(%error, "the list of writes that were cut off this node's log cannot be read")
        }
    }
}

/// The state a new node begins with.
fn first_state(to_import: Option<&Path>) -> Result<State, OpenError> {
    let Some(path) = to_import else { return Ok(State::default()) };
    let state = import::read(path).map_err(|what| OpenError::Import { path: path.to_owned(), what })?;
    tracing::info!(records = state.len(), file = %path.display(), "importing");
    Ok(state)
}

/// Creates the directory if necessary, and locks it for this process.
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

/// Creates a directory that survives a power failure: its name is durable only once its parent has
/// been synced.
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
