//! `.lab/state.json`, the record of the running lab. Other commands find the lab by it, and it lists what to
//! sweep up if labctl is killed (`sweep.rs`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backend::Backend;
use super::plan::Deployment;
use super::process::Identity;

pub(super) const VERSION: u32 = 1;

/// Interval at which a lab that stays up checks that it can still be found.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The record of a running lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The version of the format.
    pub version: u32,
    /// The chapter's name.
    pub chapter: String,
    /// The labctl process that keeps the lab running.
    pub keeper: Identity,
    /// The path of its control socket.
    pub control: PathBuf,
    /// The kind of its machines.
    #[serde(default)]
    pub backend: Backend,
    /// The first two bytes of its addresses.
    pub network: [u8; 2],
    /// Added to its ports.
    pub port_shift: u16,
    /// The directory to which a run writes its results, if it is a run.
    pub results: Option<PathBuf>,
    /// Its machines.
    pub machines: Vec<MachineState>,
}

/// One running machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineState {
    /// Its name.
    pub name: String,
    /// Its process, which leads the process group of everything on it.
    pub process: Identity,
}

impl State {
    /// False while the lab is still starting: its control socket is not there yet. It may also have been removed.
    pub fn can_be_asked(&self) -> bool {
        self.control.exists()
    }

    /// Creates the record of a lab that is about to start its machines.
    pub fn new(chapter: &str, control: PathBuf, results: Option<PathBuf>, deployment: &Deployment) -> Self {
        Self {
            version: VERSION,
            chapter: chapter.into(),
            keeper: Identity::own(),
            control,
            backend: deployment.backend,
            network: deployment.network,
            port_shift: deployment.port_shift,
            results,
            machines: vec![],
        }
    }

    /// Reads the record, if there is one.
    pub fn read(lab_directory: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path(lab_directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        serde_json::from_str(&text).map(Some).map_err(io::Error::from)
    }

    /// Writes the record atomically.
    pub fn write(&self, lab_directory: &Path) -> io::Result<()> {
        let new = lab_directory.join("state.json.new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        fs::rename(new, path(lab_directory))
    }

    /// Returns when the directory no longer records this lab: somebody has removed it, so no other command
    /// can find or end the lab.
    pub async fn until_forgotten(lab_directory: &Path) {
        let own = Identity::own();
        let is_named = || match Self::read(lab_directory) {
            Ok(state) => state.is_some_and(|state| state.keeper == own),
            // A file that cannot be read at the moment still exists.
            Err(_) => true,
        };
        while is_named() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Removes the record, when nothing is running any more.
    pub fn remove(lab_directory: &Path) {
        let _ = fs::remove_file(path(lab_directory));
        let _ = fs::remove_file(chapter_file(lab_directory));
    }
}

/// The file with a running lab's chapter, settings applied, for other labctls to read.
pub fn chapter_file(lab_directory: &Path) -> PathBuf {
    lab_directory.join("chapter.toml")
}

fn path(lab_directory: &Path) -> PathBuf {
    lab_directory.join("state.json")
}
