//! Sweeps up what a killed labctl left behind.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::compose::{self, Whose};
use super::directories;
use super::host::Host;
use super::lock::lock;
use super::orphans;
use super::sockets;
use super::state::{State, VERSION};
use crate::error::LabError;

impl State {
    /// Kills what a lab left behind if its keeper is gone, and returns what was swept. If anything is left,
    /// the state file stays. Call it only while holding the lab's lock, which guarantees that there is no
    /// keeper.
    pub fn sweep(lab_directory: &Path) -> Result<Vec<String>, LabError> {
        let orphans = orphans::kill_in(&lab_directory.join("data"));
        let left = match Self::read(lab_directory) {
            Ok(Some(state)) if state.version == VERSION => state,
            Ok(None) => return Ok(orphans),
            _ => {
                Self::remove(lab_directory);
                return Ok([orphans, vec!["a state file of another version".into()]].concat());
            }
        };
        let killed = left.machines.iter().filter(|machine| machine.process.signal_group(Signal::SIGKILL));
        let mut swept: Vec<_> = killed.map(|machine| machine.name.clone()).collect();
        swept.extend(orphans);
        swept.extend(Host::sweep(left.backend, lab_directory, left.network)?);
        for directory in [left.control.parent().filter(|path| sockets::is_one(path)), left.unfinished()] {
            directory.map(fs::remove_dir_all);
        }
        Self::remove(lab_directory);
        swept.push("a stale state file".into());
        Ok(swept)
    }

    /// Like [`State::sweep`], but also for the labs that were beside one another in this directory, and for
    /// containers that no state file mentions any more.
    pub fn sweep_all(lab_directory: &Path) -> Result<Vec<String>, LabError> {
        let mut swept = Self::sweep(lab_directory)?;
        for beside in directories::beside(lab_directory) {
            let _lock = lock(&beside)?;
            swept.extend(Self::sweep(&beside)?);
        }
        swept.extend(compose::sweep(Whose::Any(lab_directory))?);
        Ok(swept)
    }

    /// The results of a run that was killed.
    fn unfinished(&self) -> Option<&Path> {
        self.results.as_deref().filter(|path| path.extension().is_some_and(|ending| ending == "partial"))
    }
}
