//! Directories that labctl owns, and those with other people's files: created, marked, emptied.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{LabError, advice};

const MARKER: &str = ".labctl";
/// The prefix of the directories in a lab's own directory that hold labs beside it.
pub(super) const BESIDE_PREFIX: &str = "beside-";

/// Builds the error for a path that cannot be written.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> LabError {
    let advice = advice(error).unwrap_or("choose another with --lab-dir or --runs-dir");
    LabError::NotReady(format!("cannot write to {} ({error}); {advice}", path.display()))
}

/// Creates a directory.
pub fn make_directory(path: &Path) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))
}

/// Creates an empty directory, in place of what is there.
pub fn empty_directory(path: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot_write(path, &error)),
        _ => make_directory(path),
    }
}

/// Creates a directory that labctl owns, and marks it as such: its contents may be removed. A directory that
/// already holds other files is refused.
pub fn own_directory(path: &Path) -> Result<(), LabError> {
    make_directory(path)?;
    if is_own_directory(path) {
        return Ok(());
    }
    let mut entries = fs::read_dir(path).map_err(|error| cannot_write(path, &error))?;
    if entries.next().is_some() {
        return Err(LabError::NotReady(format!(
            "{} has files in it that are not labctl's: choose a new or empty directory with --lab-dir or --runs-dir",
            path.display()
        )));
    }
    let marker = path.join(MARKER);
    fs::write(&marker, "This directory is labctl's; `labctl clean` removes it.\n")
        .map_err(|error| cannot_write(&marker, &error))
}

/// True if labctl owns a directory.
pub fn is_own_directory(path: &Path) -> bool {
    path.join(MARKER).is_file()
}

/// The directories of labs that ran beside one another, in a lab's own directory.
pub(super) fn beside(lab_directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(lab_directory).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| is_beside(path) && is_own_directory(path);
    entries.map(|entry| entry.path()).filter(is_one).collect()
}

/// True if a directory is named like those.
pub(super) fn is_beside(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(BESIDE_PREFIX))
}

/// Checks that data can be written, so that a full disk is found now rather than in the middle of a chapter.
pub fn can_hold_data(directory: &Path) -> Result<(), LabError> {
    const PROBE: usize = 1 << 20;
    let path = directory.join("room");
    let written = fs::write(&path, vec![0; PROBE]);
    let _ = fs::remove_file(&path);
    written.map_err(|error| cannot_write(directory, &error))
}

/// Finds the lab's programs, which are built into the same directory as labctl.
pub fn find_programs() -> Result<PathBuf, LabError> {
    let own = std::env::current_exe().map_err(|error| LabError::Broken(error.into()))?;
    let beside = own.parent().unwrap_or(Path::new(".")).to_owned();
    for program in ["machine", "lb", "webserver", "dbnode"] {
        if !beside.join(program).is_file() {
            return Err(LabError::NotReady(format!(
                "'{program}' is not in {}: build all of the lab with `cargo build --release`",
                beside.display()
            )));
        }
    }
    Ok(beside)
}

/// Paths are passed to programs as flags and written to JSON documents, so they must be UTF-8.
pub(super) fn check_is_text(path: &Path) -> Result<(), LabError> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(LabError::NotReady(format!(
            "the path {} is not UTF-8, and cannot be passed to the lab's programs: choose another with --lab-dir",
            path.display()
        ))),
    }
}

/// Makes a path absolute.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
