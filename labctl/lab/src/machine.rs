//! One machine that was switched on, whatever it is made of (`body.rs`).

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

/// How long a machine may take to end that is asked to, or killed.
pub(super) const END_MAX: Duration = Duration::from_secs(3);

/// A machine that was switched on. It may be gone by now; then it says so.
#[derive(Debug)]
pub struct RunningMachine {
    /// How it was started.
    pub plan: MachinePlan,
    body: Arc<dyn Body>,
    socket: PathBuf,
    life: Arc<Life>,
    handle: tokio::sync::Mutex<Option<machine::Machine>>,
}

impl RunningMachine {
    /// A machine that has been started.
    pub(super) fn new(plan: MachinePlan, body: Arc<dyn Body>, socket: PathBuf, life: Arc<Life>) -> Self {
        Self { plan, body, socket, life, handle: tokio::sync::Mutex::new(None) }
    }

    /// The process that stands for it: when it is killed, so is everything on the machine.
    pub fn pid(&self) -> u32 {
        self.body.pid()
    }

    /// The process to kill for a program's end, as this computer numbers it. In a container, where programs
    /// have numbers of their own, that is the machine's.
    pub fn pid_of(&self, program: &ProgramLife) -> u32 {
        self.body.pid_of(program)
    }

    /// Its process, when it is one of labctl's own, so that it can be recognised.
    pub fn identity(&self) -> Option<Identity> {
        self.body.identity()
    }

    /// Whether the machine itself is still there.
    pub fn is_on(&self) -> bool {
        self.life.is_on()
    }

    /// Whether it is on the lab's network, with its own address.
    pub fn is_connected(&self) -> bool {
        self.life.was_connected()
    }

    /// Its programs, by name.
    pub fn programs(&self) -> BTreeMap<String, ProgramLife> {
        self.life.programs()
    }

    /// Sends a signal to the machine and everything on it, as labctl's own doing. Returns what could
    /// have been typed.
    pub async fn signal(&self, signal: Signal) -> Result<String, LabError> {
        self.life.intend(signal);
        self.body.signal(signal).await
    }

    /// Asks everything on the machine to end by itself. Returns what could have been typed.
    pub async fn ask_to_end(&self) -> Result<String, LabError> {
        if self.body.may_stand_still_unseen() || self.life.was_frozen() {
            self.signal(Signal::SIGCONT).await?;
        }
        self.signal(Signal::SIGTERM).await?;
        Ok(self.body.end_command())
    }

    /// Ends it: first it is asked, then it is killed.
    pub async fn end(&self) {
        // A machine that cannot be asked is killed.
        let _ = self.ask_to_end().await;
        if !self.wait_until_off(END_MAX).await {
            let _ = self.signal(Signal::SIGKILL).await;
            self.wait_until_off(END_MAX).await;
        }
    }

    /// Signals one program. Returns what could have been typed; `None` when it is not there.
    pub async fn signal_program(&self, program: &str, signal: Signal) -> Result<Option<String>, LabError> {
        let Some(pid) = self.life.pid_of(program) else { return Ok(None) };
        if self.body.is_one_program() {
            return self.signal(signal).await.map(Some);
        }
        self.life.intend_for(pid, signal);
        self.body.signal_program(pid, signal).await
    }

    /// The last line of its output that is in no program's log, where one is kept.
    pub async fn last_said(&self) -> Option<String> {
        self.body.last_said().await
    }

    /// Waits until it is gone. False when it is still there at the limit.
    pub async fn wait_until_off(&self, limit: Duration) -> bool {
        self.life.wait_until_off(limit).await
    }

    /// The machine's figures, and how late it has been in granting since it was last asked.
    pub async fn usage(&self) -> Option<(Usage, Duration)> {
        self.ask(async |machine| machine.usage().await).await
    }

    /// The machine's figures, unless it is known to stand still: then it would only be waited for.
    pub async fn usage_unless_frozen(&self) -> Option<Usage> {
        match self.is_on() && !self.life.was_frozen() {
            true => self.usage().await.map(|(usage, _)| usage),
            false => None,
        }
    }

    /// Takes all room on its disk, or gives it back. False when it does not answer.
    pub async fn fill_disk(&self, full: bool) -> bool {
        let filled = self.ask(async |machine| machine.fill_disk(full).await.then_some(())).await;
        filled.is_some()
    }

    /// Asks the machine something. `None`: it does not answer.
    async fn ask<T>(&self, question: impl AsyncFnOnce(&machine::Machine) -> Option<T>) -> Option<T> {
        const LIMIT: Duration = Duration::from_millis(500);
        let mut handle = self.handle.lock().await;
        if handle.is_none() {
            let stream = UnixStream::connect(&self.socket).await.ok()?;
            *handle = Some(machine::Machine::over(stream, |_| {}));
        }
        let answer = timeout(LIMIT, question(handle.as_ref()?)).await.ok().flatten();
        if answer.is_none() {
            // A container that is switched on again answers at the same place, over a new connection.
            *handle = None;
        }
        answer
    }

    /// Sees whether a process was frozen or thawed, and writes it down.
    pub fn look_for_frozen(&self, events: &Events) {
        if self.is_on() {
            self.body.look_for_frozen(&self.life, events.clock().now());
        }
    }
}
