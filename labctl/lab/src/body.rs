//! What a machine is made of: everything that differs between a process of this computer and a container. What is
//! known of a machine, and what labctl intended, is the same for both (`life.rs`).

use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::sys::signal::Signal;

use super::life::{Life, ProgramLife};
use super::process::Identity;
use crate::error::LabError;

/// A process (`process_machine.rs`), or a container (`compose/container.rs`).
pub(super) trait Body: Debug + Send + Sync {
    /// The process that stands for it: when it is killed, so is everything on the machine.
    fn pid(&self) -> u32;

    /// The process to kill for a program's end, as this computer numbers it.
    fn pid_of(&self, program: &ProgramLife) -> u32;

    /// Its process, when it is one of labctl's own, so that it can be recognised.
    fn identity(&self) -> Option<Identity>;

    /// Sends a signal to everything on it. Returns what could have been typed.
    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<String, LabError>>;

    /// Whether something on it may have been stopped without anybody having seen it yet.
    fn may_stand_still_unseen(&self) -> bool;

    /// What could be typed to ask everything on it to end.
    fn end_command(&self) -> String;

    /// Whether it is one program, and nothing besides: what is done to the one is done to the other.
    fn is_one_program(&self) -> bool;

    /// Signals one program. Returns what could have been typed; `None` when it is not there.
    fn signal_program(&self, pid: u32, signal: Signal) -> BoxFuture<'_, Result<Option<String>, LabError>>;

    /// The last thing that was said on it and that is in no program's log, where that is kept.
    fn last_said(&self) -> BoxFuture<'_, Option<String>>;

    /// Polls whether it, or a program on it, is stopped, where nothing reports that.
    fn look_for_frozen(&self, life: &Life, now: Duration);
}
