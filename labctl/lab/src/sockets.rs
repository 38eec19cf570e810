//! The directory with the sockets of a lab: its location, and the limit on its path. The kernel stores a
//! socket's path in 108 bytes (unix(7)), and temporary directories can be longer than that.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::LabError;

/// The prefix of these directories' names.
const PREFIX: &str = "labctl-";
/// The longest path of a socket in bytes, without the terminating zero.
const PATH_MAX: usize = 107;
/// Bytes reserved for `NAME.sock`, or `NAME/machine.sock` of a container, when a directory is chosen.
const ROOM: usize = 60;

/// Creates one in TMPDIR; if that is missing or too long, in the user's runtime directory or in /tmp.
pub(super) fn make() -> Result<PathBuf, LabError> {
    let mut why = String::new();
    for parent in parents() {
        match make_in(&parent) {
            Ok(directory) => return Ok(directory),
            Err(reason) => why += &format!("; {}: {reason}", parent.display()),
        }
    }
    let why = why.trim_start_matches("; ");
    Err(LabError::NotReady(format!(
        "there is no place for the lab's sockets ({why}): set TMPDIR to a directory with a short path that you can write to"
    )))
}

/// Checks that the path of a machine's socket is short enough.
pub(super) fn check(directory: &Path, machine: &str) -> Result<(), LabError> {
    let longest = directory.join(machine).join("machine.sock");
    match longest.as_os_str().len() {
        ..=PATH_MAX => Ok(()),
        length => Err(LabError::NotReady(format!(
            "the path of the socket of machine '{machine}' has {length} bytes, and at most {PATH_MAX} are possible: give the machine a shorter name, or set TMPDIR to a shorter path"
        ))),
    }
}

/// True if a directory is one of these. labctl removes only those, whatever a state file says.
pub(super) fn is_one(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(PREFIX) && parents().iter().any(|parent| path.parent() == Some(parent))
}

fn parents() -> Vec<PathBuf> {
    let user = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    // Made absolute, because commands run in another directory have to find it too.
    let temporary = std::env::temp_dir();
    let mut parents = vec![std::path::absolute(&temporary).unwrap_or(temporary)];
    parents.extend(user);
    parents.push("/tmp".into());
    parents
}

fn make_in(parent: &Path) -> Result<PathBuf, String> {
    if parent.to_str().is_none() {
        return Err("its path is not UTF-8".into());
    }
    if parent.as_os_str().len() + "/labctl-XXXXXX/".len() + ROOM > PATH_MAX {
        return Err("its path is too long".into());
    }
    let mut builder = tempfile::Builder::new();
    let made = builder.prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(parent);
    made.map(tempfile::TempDir::keep).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_can_enter_it() {
        let directory = make().unwrap();
        let mode = directory.metadata().unwrap().permissions().mode();
        assert!(is_one(&directory));
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_long_path_is_refused_before_anything_is_made_in_it() {
        let parent = std::env::temp_dir().join("a".repeat(60));
        assert_eq!(make_in(&parent).unwrap_err(), "its path is too long");
        assert!(make_in(Path::new("/nowhere")).unwrap_err().contains("No such file"));
    }

    #[test]
    fn a_machine_with_a_long_name_is_named() {
        assert!(check(Path::new("/tmp/labctl-abcdef"), "web-1").is_ok());
        let error = check(Path::new("/tmp/labctl-abcdef"), &"w".repeat(90)).unwrap_err().to_string();
        assert!(error.starts_with("the path of the socket of machine 'www"), "{error}");
    }
}
