//! One machine that was switched on, whatever its body is (`body.rs`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use machine::capacity::Usage;
use nix::sys::signal::Signal;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::body::Body;
use super::events::Events;
use super::life::Life;
use super::plan::MachinePlan;
use super::process::Identity;
use crate::error::LabError;

pub use super::life::ProgramLife;

/// How long a machine may take to end after it was asked to, or killed.
pub(super) const END_MAX: Duration = Duration::from_secs(3);

/// A machine that was switched on. It may have ended by now.
#[derive(Debug)]
pub struct RunningMachine {
    /// The plan it was started with.
    pub plan: MachinePlan,
    body: Arc<dyn Body>,
    socket: PathBuf,
    life: Arc<Life>,
    handle: tokio::sync::Mutex<Option<machine::Machine>>,
}

impl RunningMachine {
    /// Creates the handle of a machine that has been started.
    pub(super) fn new(plan: MachinePlan, body: Arc<dyn Body>, socket: PathBuf, life: Arc<Life>) -> Self {
        Self { plan, body, socket, life, handle: tokio::sync::Mutex::new(None) }
    }

    /// The process that represents the machine: killing it kills everything on the machine.
    pub fn pid(&self) -> u32 {
        self.body.pid()
    }

    /// The process to kill to end a program, as numbered by this computer. In a container, where programs
    /// have process ids of their own, that is the machine's.
    pub fn pid_of(&self, program: &ProgramLife) -> u32 {
        self.body.pid_of(program)
    }

    /// The machine's process if labctl started it, so that it can be recognised later.
    pub fn identity(&self) -> Option<Identity> {
        self.body.identity()
    }

    /// True while the machine itself is running.
    pub fn is_on(&self) -> bool {
        self.life.is_on()
    }

    /// True while it is on the lab's network with its own address.
    pub fn is_connected(&self) -> bool {
        self.life.is_connected()
    }

    /// Its programs, by name.
    pub fn programs(&self) -> BTreeMap<String, ProgramLife> {
        self.life.programs()
    }

    /// Sends a signal to the machine and everything on it, recorded as labctl's own doing. Returns the
    /// equivalent shell command.
    pub async fn signal(&self, signal: Signal) -> Result<String, LabError> {
        self.life.intend(signal);
        self.body.signal(signal).await
    }

    /// Asks everything on the machine to end by itself. Returns the equivalent shell command.
    pub async fn ask_to_end(&self) -> Result<String, LabError> {
        if self.body.may_stand_still_unseen() || self.life.is_frozen() {
            self.signal(Signal::SIGCONT).await?;
        }
        self.signal(Signal::SIGTERM).await?;
        Ok(self.body.end_command())
    }

    /// Ends it: it is asked first, then killed.
    pub async fn end(&self) {
        // If asking fails, it is killed below.
        let _ = self.ask_to_end().await;
        if !self.wait_until_off(END_MAX).await {
            let _ = self.signal(Signal::SIGKILL).await;
            self.wait_until_off(END_MAX).await;
        }
    }

    /// Signals one program. Returns the equivalent shell command, or `None` if the program is not running.
    pub async fn signal_program(&self, program: &str, signal: Signal) -> Result<Option<String>, LabError> {
        let Some(pid) = self.life.pid_of(program) else { return Ok(None) };
        if self.body.is_one_program() {
            return self.signal(signal).await.map(Some);
        }
        self.life.intend_for(pid, signal);
        self.body.signal_program(pid, signal).await
    }

    /// The last line of output that is in no program's log, where such output is kept.
    pub async fn last_said(&self) -> Option<String> {
        self.body.last_said().await
    }

    /// Waits until it has ended. False at the limit.
    pub async fn wait_until_off(&self, limit: Duration) -> bool {
        self.life.wait_until_off(limit).await
    }

    /// The machine's usage, and its lag in granting since the last call.
    pub async fn usage(&self) -> Option<(Usage, Duration)> {
        self.ask(async |machine| machine.usage().await).await
    }

    /// The machine's usage, unless it is known to be frozen, when a call would only time out.
    pub async fn usage_unless_frozen(&self) -> Option<Usage> {
        match self.is_on() && !self.life.is_frozen() {
            true => self.usage().await.map(|(usage, _)| usage),
            false => None,
        }
    }

    /// Fills its disk, or frees it again. False if it does not answer.
    pub async fn fill_disk(&self, full: bool) -> bool {
        let filled = self.ask(async |machine| machine.fill_disk(full).await.then_some(())).await;
        filled.is_some()
    }

    /// Sends the machine a request. `None` if it does not answer.
    async fn ask<T>(&self, question: impl AsyncFnOnce(&machine::Machine) -> Option<T>) -> Option<T> {
        const LIMIT: Duration = Duration::from_millis(500);
        let mut handle = self.handle.lock().await;
        if handle.is_none() {
            let stream = UnixStream::connect(&self.socket).await.ok()?;
            *handle = Some(machine::Machine::over(stream, |_| {}));
        }
        let answer = timeout(LIMIT, question(handle.as_ref()?)).await.ok().flatten();
        if answer.is_none() {
            // A container that is switched on again answers at the same path, over a new connection.
            *handle = None;
        }
        answer
    }

    /// Checks whether the process was frozen or thawed, and records the change.
    pub fn look_for_frozen(&self, events: &Events) {
        if self.is_on() {
            self.body.look_for_frozen(&self.life, events.clock().now());
        }
    }
}
