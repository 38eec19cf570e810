//! The body of a machine: everything that differs between a process on this computer and a container. What
//! labctl knows about a machine and what it intended is the same for both (`life.rs`).

use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::sys::signal::Signal;

use super::life::{Life, ProgramLife};
use super::process::Identity;
use crate::error::LabError;

/// A process (`process_machine.rs`), or a container (`compose/container.rs`).
pub(super) trait Body: Debug + Send + Sync {
    /// The process that represents the machine: killing it kills everything on the machine.
    fn pid(&self) -> u32;

    /// The process to kill to end a program, as numbered by this computer.
    fn pid_of(&self, program: &ProgramLife) -> u32;

    /// The machine's process if labctl started it, so that it can be recognised later.
    fn identity(&self) -> Option<Identity>;

    /// Sends a signal to everything on the machine. Returns the equivalent shell command.
    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<String, LabError>>;

    /// True if something on the machine may be stopped without labctl having noticed.
    fn may_stand_still_unseen(&self) -> bool;

    /// The shell command that asks everything on the machine to end.
    fn end_command(&self) -> String;

    /// True if the machine is a single program, so that a signal to one is a signal to the other.
    fn is_one_program(&self) -> bool;

    /// Signals one program. Returns the equivalent shell command, or `None` if the program is not running.
    fn signal_program(&self, pid: u32, signal: Signal) -> BoxFuture<'_, Result<Option<String>, LabError>>;

    /// The last line of output that is in no program's log, where such output is kept.
    fn last_said(&self) -> BoxFuture<'_, Option<String>>;

    /// Polls whether the machine or a program on it is stopped, for bodies that do not report it.
    fn look_for_frozen(&self, life: &Life, now: Duration);
}
