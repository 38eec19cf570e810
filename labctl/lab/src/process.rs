//! What the operating system says about a process. A pid alone may have been given to a stranger
//! meanwhile; a pid with its start time is one process for ever.

use std::fs;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process that can be recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id.
    pub pid: u32,
    /// When it was started, in clock ticks since the computer was.
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

    /// Whether it is still there.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Sends a signal to its process group. False when there is none of its kind any more.
    pub fn signal_group(self, signal: Signal) -> bool {
        self.is_alive() && signal_group(self.pid, signal)
    }
}

/// Sends a signal to the group that a process leads.
pub fn signal_group(leader: u32, signal: Signal) -> bool {
    killpg(Pid::from_raw(leader.cast_signed()), signal).is_ok()
}

/// Sends a signal to one process. False when there is none.
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

/// Whether a process has been stopped (SIGSTOP).
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state == 'T')
}

struct Stat {
    state: char,
    started: u64,
}

/// Reads `/proc/PID/stat` (proc(5)): the state is its 3rd field and the start time its 22nd. The
/// 2nd, the name, is in parentheses and may itself contain some.
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
    fn this_process_recognises_itself() {
        let own = Identity::own();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own }.is_alive());
        assert!(!is_stopped(own.pid));
    }
}
