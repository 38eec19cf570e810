//! Processes started for a grade: each leads a process group of its own, writes its output to a file, and is killed
//! together with its group when it is dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use machine::protocol::PARENT_VARIABLE;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::field::accepts;

/// How long a part may take to listen.
const START_MAX: Duration = Duration::from_secs(5);
/// The output that a part may produce in a stage, in bytes: all of it is kept.
const PRINTED_MAX: u64 = 32 << 20;
/// How long a process that has closed its connections may take to exit.
const SOON: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The length of the tail of the output that is shown, in bytes.
const SAID_MAX: usize = 2000;

/// A process group.
#[derive(Debug)]
pub struct Group {
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Group {
    /// Starts a program through `machine`, which ties its life to ours. Its output goes to a file.
    pub fn start(machine: &Path, program: &Path, flags: &[String], log: &Path) -> anyhow::Result<Self> {
        let out = File::options().create(true).append(true).open(log);
        let out = out.with_context(|| format!("write {}", log.display()))?;
        let mut command = Command::new(machine);
        command.arg("--become").arg(program).args(flags).env(PARENT_VARIABLE, std::process::id().to_string());
        // A variable that sets a flag in the user's shell must not change what is graded.
        let flags_by_variable = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("LB_") || name.starts_with("DBNODE_")
        });
        flags_by_variable.for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        command.env("PYTHONUNBUFFERED", "1").process_group(0).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let pid = child.id().context("it ended at once")?;
        Ok(Self { child, pid, log: log.to_owned() })
    }

    /// Returns the ID of the leading process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the exit status, if the leading process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until the leading process has ended. `None`: it had not by the limit.
    pub async fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        timeout(limit, self.child.wait()).await.ok()?.ok()
    }

    /// Waits until it listens. `Err` says what it did instead.
    pub async fn listens_at(&mut self, address: SocketAddr) -> Result<(), String> {
        let deadline = Instant::now() + START_MAX;
        while !accepts(address).await {
            if let Some(status) = self.ended() {
                return Err(format!("it ended while it started ({})", how(status)));
            }
            if Instant::now() > deadline {
                return Err(format!("it does not listen on {address} (--listen) after {START_MAX:?}"));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Returns what it did of its own accord that no part may do: it ended, or it produces output without end. After a
    /// failure it gets a moment, because it may be about to end.
    pub async fn misbehaviour(&mut self, has_failed: bool) -> Option<String> {
        let ended = if has_failed { self.wait(SOON).await } else { self.ended() };
        if let Some(status) = ended {
            return Some(format!("it ended by itself ({})", how(status)));
        }
        let printed = self.printed();
        (printed > PRINTED_MAX)
            .then(|| format!("it printed {} MiB in one stage; a log is for people", printed >> 20))
    }

    /// Sends a signal to the whole group.
    pub fn signal_all(&self, signal: Signal) {
        // It may have ended this instant.
        let _ = killpg(self.leader(), signal);
    }

    /// Sends a signal to the leading process.
    pub fn signal(&self, signal: Signal) {
        // It may have ended this instant.
        let _ = nix::sys::signal::kill(self.leader(), signal);
    }

    /// Kills the group, and waits until the leading process is gone.
    pub async fn kill(&mut self) {
        let _ = killpg(self.leader(), Signal::SIGKILL);
        let _ = timeout(Duration::from_secs(5), self.child.wait()).await;
    }

    /// Returns the processes of the group that outlived their leader.
    pub fn left_behind(&self) -> Vec<u32> {
        members(self.pid).into_iter().filter(|pid| *pid != self.pid).collect()
    }

    /// Returns the CPU time that the group's processes have used so far.
    pub fn cpu(&self) -> Duration {
        members(self.pid).into_iter().filter_map(cpu_of).sum()
    }

    /// Returns how long the group's threads have waited for a core so far.
    pub fn waited(&self) -> Duration {
        members(self.pid).into_iter().map(waited_of).sum()
    }

    /// Returns the end of its output.
    pub fn said(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(SAID_MAX);
        String::from_utf8_lossy(&text[from..]).trim().to_owned()
    }

    /// Returns the size of its output, in bytes.
    pub fn printed(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    fn leader(&self) -> Pid {
        Pid::from_raw(self.pid.cast_signed())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The group's ID cannot be reused while one of its processes exists, or its leader has not been waited for.
        if self.child.id().is_some() || !self.left_behind().is_empty() {
            let _ = killpg(self.leader(), Signal::SIGKILL);
        }
    }
}

/// Describes how a process ended.
pub fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".into(),
    }
}

/// Returns the living processes of a group, from `/proc` (proc(5)).
fn members(group: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let fields = stat(*pid);
        let is_one = |fields: &Vec<String>| {
            fields.get(2).and_then(|text| text.parse().ok()) == Some(group) && fields[0] != "Z"
        };
        fields.as_ref().is_some_and(is_one)
    })
    .collect()
}

fn cpu_of(pid: u32) -> Option<Duration> {
    let fields = stat(pid)?;
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Returns how long a process's threads have been runnable without running (`/proc/PID/task/*/schedstat`).
fn waited_of(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Returns the fields of `/proc/PID/stat` from the third on: state, parent, group, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = &text[text.rfind(')')? + 1..];
    Some(after_name.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_in_its_group_and_has_used_cpu_time() {
        let group = nix::unistd::getpgrp().as_raw().cast_unsigned();
        assert!(members(group).contains(&std::process::id()));
        assert!(cpu_of(std::process::id()).is_some());
    }
}
