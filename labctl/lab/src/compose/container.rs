//! A machine as a container, which keeps its name and its data across restarts.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nix::sys::signal::Signal;
use parking_lot::Mutex;

use super::super::body::Body;
use super::super::life::{Life, ProgramLife, how_it_ended};
use super::super::process::{Identity, name_of};
use super::cable::Cable;
use super::engine::{Refused, docker, last_said};
use super::inspect::Inspected;
use crate::error::LabError;

/// A container that is a machine.
#[derive(Debug)]
pub(crate) struct Container {
    /// Its name, and its attachment to the network.
    cable: Cable,
    life: Arc<Life>,
    /// Its first process, as numbered by this computer.
    pid: AtomicU32,
    reports: Mutex<Reports>,
    /// The only program of a container that has no `machine` in it to report programs.
    alone: Option<&'static str>,
}

/// The reports that the machine has written, and how far they have been read.
#[derive(Debug)]
struct Reports {
    path: PathBuf,
    read_to: u64,
}

impl Container {
    /// Creates the handle of a container that is attached to the network like this.
    pub(super) fn new(cable: Cable, life: Life, reports: PathBuf, alone: Option<&'static str>) -> Self {
        Self {
            cable,
            life: Arc::new(life),
            pid: AtomicU32::new(0),
            reports: Mutex::new(Reports { path: reports, read_to: 0 }),
            alone,
        }
    }

    /// Its name in the engine.
    pub(crate) fn name(&self) -> &str {
        &self.cable.container
    }

    /// Its attachment to the lab's network.
    pub(super) fn cable(&self) -> &Cable {
        &self.cable
    }

    /// The state that labctl keeps about it.
    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// Its first process, as numbered by this computer. 0 while it has none.
    fn pid_now(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// Sends a signal by means of the engine. Returns the equivalent shell command.
    pub(super) async fn send(&self, signal: Signal) -> Result<String, LabError> {
        let name = self.name();
        let words = match signal {
            Signal::SIGSTOP => vec!["pause", name],
            Signal::SIGCONT => vec!["unpause", name],
            Signal::SIGKILL => vec!["kill", name],
            other => vec!["kill", "--signal", other.as_str(), name],
        };
        match docker(&words).await {
            Err(refused) if !is_done(signal, &refused.said) => Err(did_not(refused)),
            _ => Ok(format!("docker {}", words.join(" "))),
        }
    }

    /// Signals one program in it, by its process id inside the container.
    async fn send_to_program(&self, pid: u32, signal: Signal) -> Result<String, LabError> {
        let kill = format!("kill -{} {pid}", name_of(signal));
        docker(&["exec", self.name(), "sh", "-c", &kill]).await.map_err(did_not)?;
        // The engine reports no event when a single program is stopped.
        let frozen = signal == Signal::SIGSTOP;
        if frozen || signal == Signal::SIGCONT {
            self.life.look_for_frozen_programs(|life| if life.pid == pid { frozen } else { life.frozen });
        }
        Ok(format!("docker exec {} sh -c '{kill}'", self.name()))
    }

    /// Handles the engine's report that it was started.
    pub(super) fn started(&self, pid: u32, at: Duration) {
        if self.life.is_on() {
            if self.pid_now() == pid {
                return;
            }
            // The event of its end was missed.
            self.record_end(how_it_ended(None, None), at);
        }
        self.pid.store(pid, Ordering::Release);
        self.life.begin(pid, at);
        if let Some(program) = self.alone {
            self.life.program_started(program, pid);
        }
    }

    /// Handles the engine's report that it has ended.
    pub(super) fn ended(&self, code: i32, at: Duration) {
        // The engine encodes a signal in the exit code, as a shell does.
        let how = if code > 128 { how_it_ended(None, Some(code - 128)) } else { format!("exit code {code}") };
        self.record_end(how, at);
    }

    fn record_end(&self, how: String, at: Duration) {
        // Whatever it reported earlier comes first.
        self.read_reports();
        if self.life.is_on() {
            self.life.end(self.pid_now(), how, at);
        }
        self.life.forget_programs();
        self.pid.store(0, Ordering::Release);
    }

    /// Handles the engine's report that it was connected, with its address, or disconnected.
    pub(super) fn connected(&self, found: &Inspected, at: Duration) {
        match found.elsewhere(&self.cable) {
            Some(address) => {
                let back = format!("{} && {}", self.cable.pull(), self.cable.plug());
                self.life.record_elsewhere(address.to_owned(), back, at);
            }
            None => self.life.record_connected(found.is_on(&self.cable), &self.cable.plug(), at),
        }
    }

    /// Catches up after missed events: takes over the state in which the container was found, if it was
    /// found.
    pub(super) fn found(&self, found: Option<&Inspected>, at: Duration) {
        let Some(found) = found.filter(|found| found.state.running) else {
            if self.life.is_on() {
                match found {
                    Some(found) => self.ended(found.state.exit_code, at),
                    None => self.record_end(how_it_ended(None, None), at),
                }
            }
            return;
        };
        self.started(found.state.pid, at);
        self.connected(found, at);
        if found.state.paused != self.life.is_frozen() {
            self.frozen(found.state.paused, at);
        }
    }

    /// Handles the engine's report that it was paused or unpaused.
    pub(super) fn frozen(&self, frozen: bool, at: Duration) {
        self.life.record_frozen(frozen, at);
        self.life.look_for_frozen_programs(|_| frozen);
    }

    /// Reads what its machine has reported since the last call.
    pub(super) fn read_reports(&self) {
        let mut reports = self.reports.lock();
        let Ok(new) = reports.read() else { return };
        for report in new.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            self.life.take_report(report);
        }
    }
}

impl Body for Container {
    fn pid(&self) -> u32 {
        self.pid_now()
    }

    /// Programs in a container have process ids of their own; this computer knows only the machine's.
    fn pid_of(&self, _: &ProgramLife) -> u32 {
        self.pid_now()
    }

    fn identity(&self) -> Option<Identity> {
        None
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<String, LabError>> {
        self.send(signal).boxed()
    }

    /// The engine reports a pause at once.
    fn may_stand_still_unseen(&self) -> bool {
        false
    }

    fn end_command(&self) -> String {
        format!("docker stop {}", self.name())
    }

    fn is_one_program(&self) -> bool {
        self.alone.is_some()
    }

    fn signal_program(&self, pid: u32, signal: Signal) -> BoxFuture<'_, Result<Option<String>, LabError>> {
        self.send_to_program(pid, signal).map(|typed| typed.map(Some)).boxed()
    }

    fn last_said(&self) -> BoxFuture<'_, Option<String>> {
        last_said(self.name()).boxed()
    }

    fn look_for_frozen(&self, _: &Life, _: Duration) {}
}

impl Reports {
    /// Reads whole lines; a half-written one is left for the next call.
    fn read(&mut self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() <= self.read_to {
            return Ok(String::new());
        }
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        text.truncate(whole);
        self.read_to += whole as u64;
        Ok(text)
    }
}

/// True if the engine refused because the container is already in that state.
fn is_done(signal: Signal, said: &str) -> bool {
    let is_so = match signal {
        Signal::SIGSTOP => "already paused",
        Signal::SIGCONT => "not paused",
        Signal::SIGKILL | Signal::SIGTERM => "is not running",
        _ => return false,
    };
    said.contains(is_so)
}

/// Builds the error for an operation that the engine should not have refused.
pub(super) fn did_not(refused: Refused) -> LabError {
    LabError::NotReady(format!(
        "the docker engine refused ({refused}); `labctl status` and `docker ps --all` show what is there"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_so_already_is_done() {
        let paused = "Error response from daemon: Container web-1 is already paused";
        assert!(is_done(Signal::SIGSTOP, paused));
        assert!(is_done(Signal::SIGCONT, "Error response from daemon: Container web-1 is not paused"));
        assert!(!is_done(Signal::SIGSTOP, "Error response from daemon: Container web-1 is not running"));
        assert!(!is_done(Signal::SIGCONT, "Cannot connect to the Docker daemon"));
    }
}
