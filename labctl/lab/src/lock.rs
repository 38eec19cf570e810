//! The lock that gives a lab's directory to one labctl at a time.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::directories::{cannot_write, own_directory};
use super::state::State;
use crate::error::LabError;

/// Locks a lab's directory as long as the file is open: meanwhile no other labctl starts a lab there or
/// sweeps one up.
pub fn lock(lab_directory: &Path) -> Result<File, LabError> {
    own_directory(lab_directory)?;
    // The lab's secrets are in it. This fails if another user owns the directory and only lets this one
    // write.
    let _ = fs::set_permissions(lab_directory, Permissions::from_mode(0o700));
    let path = lab_directory.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| cannot_write(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(already_running(lab_directory)),
        Err(TryLockError::Error(error)) => Err(cannot_write(&path, &error)),
    }
}

fn already_running(lab_directory: &Path) -> LabError {
    let what = match State::read(lab_directory) {
        Ok(Some(state)) => format!("'{}' (pid {})", state.chapter, state.keeper.pid),
        _ => "another lab".into(),
    };
    LabError::NotReady(format!(
        "{what} is running in {}: end it with `labctl down`, or use another --lab-dir and --network",
        lab_directory.display()
    ))
}
