//! A lab's site on this computer: its directories and programs. `claim.rs` claims one and takes its lock.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use parts::Cast;
use parts::cast::Program as Other;

use super::plan::{MachinePlan, Plan, Program, ProgramPlan};
use super::ports;
use super::redis;
use super::sockets;
use crate::error::LabError;

pub use super::directories::{
    can_hold_data, empty_directory, find_programs, is_own_directory, make_directory, own_directory,
};
pub use super::lock::lock;
pub use super::site_args::{Network, SiteArgs};

/// The adapter that wraps the external programs labctl knows.
pub(super) const ADAPTER: &str = "part";

/// A site that this process owns until it is dropped.
#[derive(Debug)]
pub struct Site {
    /// The lab's directory, `.lab` by default.
    pub lab_directory: PathBuf,
    /// The directory of the lab's programs.
    pub programs: PathBuf,
    /// A short-lived directory with a short path, for sockets.
    pub sockets: PathBuf,
    /// The leftovers of a killed lab that were removed.
    pub swept: Vec<String>,
    /// True if its programs record spans.
    pub traced: bool,
    /// The external programs in place of the lab's own.
    pub cast: Cast,
    /// Held as long as this process owns the site.
    #[allow(dead_code, reason = "a lock is held, not read")]
    pub(super) lock: File,
}

impl Site {
    /// The words for a program on its machine's command line: its path, prefixed with its name if the two
    /// differ. An external program keeps the name of the one it replaces, and an adapter's own flags come
    /// first.
    pub fn program(&self, plan: &ProgramPlan) -> Vec<OsString> {
        let named = |path: &Path| OsString::from(format!("{}={}", plan.program.name(), path.display()));
        match plan.played_by.as_deref().and_then(|played_by| self.cast.program(played_by)) {
            Some(Other::Own(path)) => vec![named(path)],
            Some(Other::Adapted { name, path }) => {
                vec![named(&self.programs.join(ADAPTER)), name.into(), "--program".into(), path.into()]
            }
            None => vec![self.own_program(plan.program)],
        }
    }

    fn own_program(&self, program: Program) -> OsString {
        match program {
            // Its existence was checked earlier.
            Program::Redis | Program::Sentinel => {
                let server = redis::find().unwrap_or("redis-server".into());
                format!("{}={}", program.name(), server.display()).into()
            }
            own => self.programs.join(own.name()).into(),
        }
    }

    /// The prefix of the lab's keys in a Redis that it shares with others. No other lab uses it, nor this one
    /// after a restart.
    pub fn key_prefix(&self) -> String {
        let name = self.sockets.file_name().unwrap_or_default();
        format!("{}:", name.to_string_lossy())
    }

    /// The path of the control socket.
    pub fn control_path(&self) -> PathBuf {
        self.sockets.join("control.sock")
    }

    /// Checks that the path of every machine's socket is short enough.
    pub fn check_sockets(&self, plan: &Plan) -> Result<(), LabError> {
        plan.to_start().try_for_each(|machine| sockets::check(&self.sockets, &machine.name))
    }

    /// Checks that every address of a plan is free.
    pub fn check_ports(plan: &Plan) -> Result<(), LabError> {
        let addresses = plan.to_start().flat_map(MachinePlan::addresses);
        let addresses = addresses.chain(plan.links.iter().map(|link| link.listen));
        ports::check(addresses).map_err(|(address, error)| {
            LabError::NotReady(match error.kind() {
                ErrorKind::AddrInUse => format!(
                    "{address} is in use by another program: stop it (`ss -ltnp 'sport = :{}'` shows which), or give --port-shift 1000",
                    address.port()
                ),
                ErrorKind::AddrNotAvailable => format!(
                    "this computer has no address {}: on macOS add it with `sudo ifconfig lo0 alias {}`",
                    address.ip(),
                    address.ip()
                ),
                _ => format!("cannot listen on {address}: {error}"),
            })
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What is left there are the sockets of machines that were killed.
        let _ = fs::remove_dir_all(&self.sockets);
    }
}
