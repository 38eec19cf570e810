//! `.lab/state.json`: what is running, so that other commands find it, and so that what a killed labctl left
//! behind can be swept up (`sweep.rs`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backend::Backend;
use super::plan::Place;
use super::process::Identity;

pub(super) const VERSION: u32 = 1;

/// How often a lab that stays looks whether it can still be found.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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

    /// Returns when this lab is not the one that the directory names any more: somebody has removed the directory,
    /// and no other command can find the lab, nor end it.
    pub async fn until_forgotten(lab_directory: &Path) {
        let own = Identity::own();
        let is_named = || match Self::read(lab_directory) {
            Ok(state) => state.is_some_and(|state| state.keeper == own),
            // A file that cannot be read just now is there.
            Err(_) => true,
        };
        while is_named() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Removes the state: nothing is running any more.
    pub fn remove(lab_directory: &Path) {
        let _ = fs::remove_file(path(lab_directory));
        let _ = fs::remove_file(chapter_file(lab_directory));
    }
}

/// Where a running lab leaves its chapter, settings applied, for other labctls to read.
pub fn chapter_file(lab_directory: &Path) -> PathBuf {
    lab_directory.join("chapter.toml")
}

fn path(lab_directory: &Path) -> PathBuf {
    lab_directory.join("state.json")
}
