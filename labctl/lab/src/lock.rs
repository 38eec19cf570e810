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
        Ok(None) => "another lab".into(),
        Err(_) => {
            return LabError::NotReady(format!(
                "a lab is running in {}, and its state.json is damaged: remove that file, and the lab ends",
                lab_directory.display()
            ));
        }
    };
    LabError::NotReady(format!(
        "{what} is running in {}: end it with `labctl down`, or use another --lab-dir and --network",
        lab_directory.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_whose_state_is_damaged_can_be_ended_by_what_the_refusal_says() {
        let directory = tempfile::tempdir().unwrap();
        let _held = lock(directory.path()).unwrap();
        let refusal = lock(directory.path()).unwrap_err().to_string();
        assert!(refusal.contains("labctl down"), "{refusal}");
        fs::write(directory.path().join("state.json"), "{").unwrap();
        let refusal = lock(directory.path()).unwrap_err().to_string();
        assert!(refusal.contains("state.json is damaged: remove"), "{refusal}");
    }
}
