//! A lab's site on this computer: its directories and programs. `claim.rs` takes one and holds its lock.

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

/// The program that speaks for known parts.
pub(super) const ADAPTER: &str = "part";

/// A site that is ours until this is dropped.
#[derive(Debug)]
pub struct Site {
    /// `.lab`.
    pub lab_directory: PathBuf,
    /// Where the lab's programs are.
    pub programs: PathBuf,
    /// A short-lived directory with a short path, for sockets.
    pub sockets: PathBuf,
    /// What was left behind by a lab that was killed, and is gone now.
    pub swept: Vec<String>,
    /// Whether its programs record spans.
    pub traced: bool,
    /// The programs that stand in for the lab's own.
    pub cast: Cast,
    /// Held for as long as the site is ours.
    #[allow(dead_code, reason = "a lock is held, not read")]
    pub(super) lock: File,
}

impl Site {
    /// What the command line of a machine says for a program: its path, after its name where the two
    /// differ. Another program in its place keeps its name, and an adapter's first flags come before the others.
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
            // That there is one was checked before.
            Program::Redis | Program::Sentinel => {
                let server = redis::find().unwrap_or("redis-server".into());
                format!("{}={}", program.name(), server.display()).into()
            }
            own => self.programs.join(own.name()).into(),
        }
    }

    /// What the lab's keys begin with in a Redis that it shares with others: no other lab's do, nor those of
    /// this one when it is started again.
    pub fn key_prefix(&self) -> String {
        let name = self.sockets.file_name().unwrap_or_default();
        format!("{}:", name.to_string_lossy())
    }

    /// Where the lab listens to other labctls.
    pub fn control_path(&self) -> PathBuf {
        self.sockets.join("control.sock")
    }

    /// Whether the path of every machine's socket is short enough.
    pub fn check_sockets(&self, plan: &Plan) -> Result<(), LabError> {
        plan.to_start().try_for_each(|machine| sockets::check(&self.sockets, &machine.name))
    }

    /// Whether every address of a plan is free.
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
        // What is left there is a socket of a machine that was killed.
        let _ = fs::remove_dir_all(&self.sockets);
    }
}
