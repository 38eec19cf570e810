//! Where an adapter keeps what its program reads and writes.

use std::path::PathBuf;

use anyhow::Context;
use machine::protocol::SOCKET_VARIABLE;

/// Files beside the machine's socket, which whoever started the machine
/// removes, or in a directory of our own.
pub(crate) struct Place {
    stem: PathBuf,
    _own: Option<tempfile::TempDir>,
}

impl Place {
    /// Finds it.
    pub(crate) fn find() -> anyhow::Result<Self> {
        if let Some(socket) = std::env::var_os(SOCKET_VARIABLE) {
            return Ok(Self { stem: PathBuf::from(socket).with_extension(""), _own: None });
        }
        let own =
            tempfile::Builder::new().prefix("part-").tempdir().context("make a directory for a socket")?;
        Ok(Self { stem: own.path().join("lb"), _own: Some(own) })
    }

    /// A file, or a directory, there.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let mut path = self.stem.clone().into_os_string();
        path.push(".");
        path.push(name);
        path.into()
    }
}
