//! The balancer under test, as a process: its flags, how it starts and ends, and what is wrong with either.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use nix::sys::signal::Signal;

use crate::processes::{Group, how};

/// How long it may take to end when it is asked to.
pub const END_MAX: Duration = Duration::from_secs(5);

/// The balancer under test.
#[derive(Debug)]
pub struct Part {
    /// The address for clients.
    pub listen: SocketAddr,
    /// The address of its admin interface.
    pub admin: SocketAddr,
    process: Option<Group>,
}

/// Returns the flags that it is started with.
pub fn flags(
    part: &Part,
    upstreams: impl Iterator<Item = (String, SocketAddr)>,
    more: &IndexMap<String, String>,
) -> Vec<String> {
    let mut flags =
        vec!["--listen".into(), part.listen.to_string(), "--admin".into(), part.admin.to_string()];
    upstreams.for_each(|(name, address)| flags.extend(["--upstream".into(), format!("{name}={address}")]));
    more.iter().for_each(|(name, value)| flags.extend([format!("--{name}"), value.clone()]));
    flags
}

impl Part {
    /// Describes a part that has not been started yet.
    pub fn at(listen: SocketAddr, admin: SocketAddr) -> Self {
        Self { listen, admin, process: None }
    }

    /// Starts it, and waits until it listens. `Err` says what it did instead.
    pub async fn start(
        &mut self,
        machine: &Path,
        program: &Path,
        flags: &[String],
        log: &Path,
    ) -> Result<(), String> {
        let started = Group::start(machine, program, flags, log);
        let process =
            self.process.insert(started.map_err(|error| format!("it cannot be started: {error:#}"))?);
        process.listens_at(self.listen).await
    }

    /// Returns what it did of its own accord that no part may do.
    pub async fn misbehaviour(&mut self, has_failed: bool) -> Option<String> {
        self.process.as_mut()?.misbehaviour(has_failed).await
    }

    /// Asks it to end. The error says what is wrong with how it does so.
    pub async fn terminate(&mut self, limit: Duration) -> Result<(), String> {
        let process = self.process.as_mut().ok_or("it is not running")?;
        process.signal(Signal::SIGTERM);
        match process.wait(limit).await {
            None => Err(format!("it was still there {limit:?} after SIGTERM")),
            Some(status) if status.code() != Some(0) => {
                Err(format!("it ended with {} after SIGTERM, wanted exit code 0", how(status)))
            }
            Some(_) => match process.left_behind().len() {
                0 => Ok(()),
                left => Err(format!("it left {left} processes behind that it had started")),
            },
        }
    }

    /// Returns the ID of its process, for sending signals.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Group::pid)
    }

    /// Returns the CPU time used so far by it and all processes that it has started.
    pub fn cpu(&self) -> Duration {
        self.process.as_ref().map(Group::cpu).unwrap_or_default()
    }

    /// Returns how long it has waited for a core so far.
    pub fn waited(&self) -> Duration {
        self.process.as_ref().map(Group::waited).unwrap_or_default()
    }

    /// Returns the end of its output.
    pub fn said(&self) -> String {
        self.process.as_ref().map(Group::said).unwrap_or_default()
    }

    /// Kills it and all processes that it has started.
    pub async fn end(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_told_its_addresses_its_servers_and_the_stages_flags() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let more = IndexMap::from([("fall".to_owned(), "2".to_owned())]);
        let flags = flags(&Part::at(at(80), at(81)), [("web-1".to_owned(), at(82))].into_iter(), &more);
        let wanted = "--listen 127.0.0.1:80 --admin 127.0.0.1:81 --upstream web-1=127.0.0.1:82 --fall 2";
        assert_eq!(flags.join(" "), wanted);
    }
}
