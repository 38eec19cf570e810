//! The location of the files that an adapter shares with its program.

use std::path::PathBuf;

use anyhow::Context;
use machine::protocol::SOCKET_VARIABLE;

/// Files next to the machine's socket, which are removed with the machine, or a temporary directory of our own.
pub(crate) struct Place {
    stem: PathBuf,
    _own: Option<tempfile::TempDir>,
}

impl Place {
    /// Picks the location.
    pub(crate) fn find() -> anyhow::Result<Self> {
        if let Some(socket) = std::env::var_os(SOCKET_VARIABLE) {
            return Ok(Self { stem: PathBuf::from(socket).with_extension(""), _own: None });
        }
        let own =
            tempfile::Builder::new().prefix("part-").tempdir().context("make a directory for a socket")?;
        Ok(Self { stem: own.path().join("lb"), _own: Some(own) })
    }

    /// Returns the path of a file or directory there.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let mut path = self.stem.clone().into_os_string();
        path.push(".");
        path.push(name);
        path.into()
    }
}
