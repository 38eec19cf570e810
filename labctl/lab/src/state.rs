//! `.lab/state.json`: what is running, so that other commands find it, and so that what a killed
//! labctl left behind can be swept up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::backend::Backend;
use super::compose::{self, Whose};
use super::host::Host;
use super::orphans;
use super::plan::Place;
use super::process::Identity;
use super::site;
use super::sockets;
use crate::error::LabError;

const VERSION: u32 = 1;

/// What is running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The format.
    pub version: u32,
    /// The chapter.
    pub chapter: String,
    /// The labctl that keeps the lab.
    pub keeper: Identity,
    /// Where it listens to other labctls.
    pub control: PathBuf,
    /// What its machines are made of.
    #[serde(default)]
    pub backend: Backend,
    /// First two bytes of its addresses.
    pub network: [u8; 2],
    /// Added to its ports.
    pub port_shift: u16,
    /// Where its results are being written, when it is a run.
    pub results: Option<PathBuf>,
    /// Its machines.
    pub machines: Vec<MachineState>,
}

/// One running machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineState {
    /// Its name.
    pub name: String,
    /// Its process, which leads the group of everything on it.
    pub process: Identity,
}

impl State {
    /// A lab that is about to start its machines.
    pub fn new(chapter: &str, control: PathBuf, results: Option<PathBuf>, place: &Place) -> Self {
        Self {
            version: VERSION,
            chapter: chapter.into(),
            keeper: Identity::own(),
            control,
            backend: place.backend,
            network: place.network,
            port_shift: place.port_shift,
            results,
            machines: vec![],
        }
    }

    /// Reads the state, if there is one.
    pub fn read(lab_directory: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path(lab_directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        serde_json::from_str(&text).map(Some).map_err(io::Error::from)
    }

    /// Writes the state: wholly or not at all.
    pub fn write(&self, lab_directory: &Path) -> io::Result<()> {
        let new = lab_directory.join("state.json.new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        fs::rename(new, path(lab_directory))
    }

    /// Removes the state: nothing is running any more.
    pub fn remove(lab_directory: &Path) {
        let _ = fs::remove_file(path(lab_directory));
        let _ = fs::remove_file(chapter_file(lab_directory));
    }

    /// Kills what a lab left behind whose keeper is gone, and says what that was. The state stays when
    /// something else does. Only call with the lab's lock in hand: then no keeper is there.
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

    /// The same for the labs that were beside one another in this directory, and for containers of which no
    /// state says anything any more.
    pub fn sweep_all(lab_directory: &Path) -> Result<Vec<String>, LabError> {
        let mut swept = Self::sweep(lab_directory)?;
        for beside in site::beside(lab_directory) {
            let _lock = site::lock(&beside)?;
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

/// Where a running lab leaves its chapter, settings applied, for other labctls to read.
pub fn chapter_file(lab_directory: &Path) -> PathBuf {
    lab_directory.join("chapter.toml")
}

fn path(lab_directory: &Path) -> PathBuf {
    lab_directory.join("state.json")
}
