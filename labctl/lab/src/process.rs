//! The operating system's view of a process. A pid alone may be reused by another process; a pid together
//! with its start time identifies one process for ever.

use std::fs;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The identity of a process, which survives the reuse of its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id.
    pub pid: u32,
    /// Its start time, in clock ticks since boot.
    pub started: u64,
}

impl Identity {
    /// The process of this id, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, started: stat(pid)?.started })
    }

    /// This process.
    pub fn own() -> Self {
        let pid = std::process::id();
        Self::of(pid).unwrap_or(Self { pid, started: 0 })
    }

    /// True while it is running.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Sends a signal to its process group. False if the process no longer exists.
    pub fn signal_group(self, signal: Signal) -> bool {
        self.is_alive() && signal_group(self.pid, signal)
    }
}

/// Sends a signal to the process group of this leader.
pub fn signal_group(leader: u32, signal: Signal) -> bool {
    killpg(Pid::from_raw(leader.cast_signed()), signal).is_ok()
}

/// Kills every process with this variable in its environment: whatever a program has started in a process
/// group or session of its own.
pub fn kill_all_with(variable: &str, value: &std::ffi::OsStr) {
    use std::os::unix::ffi::OsStrExt;
    let wanted = [variable.as_bytes(), b"=", value.as_bytes()].concat();
    let is_meant = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in pids.filter(|pid| *pid != std::process::id() && is_meant(*pid)) {
        signal(pid, Signal::SIGKILL);
    }
}

/// Sends a signal to one process. False if there is none.
pub fn signal(pid: u32, signal: Signal) -> bool {
    nix::sys::signal::kill(Pid::from_raw(pid.cast_signed()), signal).is_ok()
}

/// A signal as people type it: `9`, `STOP`.
pub fn name_of(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGKILL => "9",
        other => other.as_str().trim_start_matches("SIG"),
    }
}

/// True if a process is stopped (SIGSTOP).
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state == 'T')
}

struct Stat {
    state: char,
    started: u64,
}

/// Reads `/proc/PID/stat` (proc(5)): the state is its 3rd field and the start time its 22nd. The 2nd, the
/// name, is in parentheses and may itself contain some.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = &text[text.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_left_its_group_is_found_by_its_environment() {
        let sleep = |value: &str| {
            let mut command = std::process::Command::new("sleep");
            command.arg("60").env("KILL_ALL_WITH_TEST", value).spawn().expect("it can be started")
        };
        let (mut one, mut other) = (sleep("one"), sleep("another"));
        // Until it has executed `sleep`, it has this process's environment.
        while !fs::read_to_string(format!("/proc/{}/comm", one.id())).is_ok_and(|name| name == "sleep\n") {
            std::thread::yield_now();
        }
        kill_all_with("KILL_ALL_WITH_TEST", "one".as_ref());
        assert!(!one.wait().expect("it is ours").success());
        assert!(other.try_wait().expect("it is ours").is_none(), "another value is not meant");
        other.kill().expect("it is ours");
        other.wait().expect("it is ours");
    }

    #[test]
    fn this_process_recognises_itself() {
        let own = Identity::own();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own }.is_alive());
        assert!(!is_stopped(own.pid));
    }
}
