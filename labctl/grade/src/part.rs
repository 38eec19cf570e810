//! The part that is graded, as a process: its flags, its start, its end, and what is wrong with either.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use nix::sys::signal::Signal;

use crate::processes::{Group, how};

/// How long it may take to end when it is asked to.
pub const END_MAX: Duration = Duration::from_secs(5);

/// The part that is graded.
#[derive(Debug)]
pub struct Part {
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Where it is administered.
    pub admin: SocketAddr,
    process: Option<Group>,
}

/// The flags it is started with.
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
    /// One that has not been started.
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

    /// What it did by itself that no part may.
    pub async fn misbehaviour(&mut self, has_failed: bool) -> Option<String> {
        self.process.as_mut()?.misbehaviour(has_failed).await
    }

    /// Asks it to end. Returns what is wrong with how it does.
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

    /// Its process, which somebody may want to signal.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Group::pid)
    }

    /// CPU time that it has used so far, with whatever it started.
    pub fn cpu(&self) -> Duration {
        self.process.as_ref().map(Group::cpu).unwrap_or_default()
    }

    /// How long it has waited for cores so far.
    pub fn waited(&self) -> Duration {
        self.process.as_ref().map(Group::waited).unwrap_or_default()
    }

    /// The end of what it printed.
    pub fn said(&self) -> String {
        self.process.as_ref().map(Group::said).unwrap_or_default()
    }

    /// Kills it, with whatever it started.
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
