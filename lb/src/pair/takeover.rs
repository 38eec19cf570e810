//! Takes the address and gives it back: by listening on it, or by adding it to a network interface
//! first.
//!
//! An added address has a lifetime of two seconds and is renewed twice a second. If this process
//! dies or is frozen, the kernel removes the address.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::config::TakeoverName;
use super::failover::TakeoverMode;
use crate::listen::{self, ListenError};

/// How long the kernel keeps an address that is not renewed, in seconds.
const LIFETIME_SECONDS: &str = "2";
const LIFETIME: Duration = Duration::from_secs(2);
const RENEWAL: Duration = Duration::from_millis(500);

/// The shared address.
#[derive(Debug)]
pub struct Takeover {
    /// The address that clients connect to.
    pub address: SocketAddr,
    /// The number of sockets that listen on it.
    pub sockets: usize,
    /// The interface that the address is added to, with `vip`.
    interface: Option<String>,
    renewed: Option<Instant>,
}

/// Why the address cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// Another process listens on it, or the system refused.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The program `ip` could not be started.
    #[error("cannot run 'ip address' (Debian package iproute2)")]
    Ip(#[source] io::Error),
    /// Taking the address has taken too long.
    #[error("the address was not taken within {0:?}; is 'ip address' stuck?")]
    TooSlow(Duration),
    /// The program `ip` reported an error.
    #[error("'ip address {verb} {address} dev {interface}' failed: {said}")]
    Refused {
        /// The subcommand.
        verb: &'static str,
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// The error output.
        said: String,
    },
}

impl Takeover {
    /// Prepares a takeover. An address that an earlier process left on the interface is removed.
    pub fn new(address: SocketAddr, sockets: usize, name: TakeoverName, interface: String) -> Self {
        let interface = (name == TakeoverName::Vip).then_some(interface);
        let takeover = Self { address, sockets, interface, renewed: None };
        if let Some(interface) = &takeover.interface {
            // Usually it is not there, and `ip` fails.
            let _ = takeover.ip("del", interface, &[]);
        }
        takeover
    }

    /// Takes the address, and listens on it.
    pub fn take(&mut self, mode: TakeoverMode) -> Result<Vec<TcpListener>, TakeoverError> {
        self.add()?;
        let listeners = match mode {
            TakeoverMode::Alone => listen::listen(self.address, self.sockets),
            TakeoverMode::HandedOver => listen::join(self.address, self.sockets),
        };
        let listeners = listeners.inspect_err(|_| self.give_back())?;
        if let Some(interface) = &self.interface {
            announce(self.address.ip(), interface);
        }
        Ok(listeners)
    }

    /// Renews the address if that is due; returns true if it was renewed.
    pub fn renew(&mut self, now: Instant) -> bool {
        if self.renewed.is_none_or(|renewed| now < renewed + RENEWAL) {
            return false;
        }
        let renewed = self.add();
        if let Err(error) = &renewed {
            tracing::warn!(%error, "cannot keep the shared address");
        }
        renewed.is_ok()
    }

    /// Until when the kernel keeps the address, if it was added to an interface.
    pub fn kept_until(&self) -> Option<Instant> {
        Some(self.renewed? + LIFETIME)
    }

    /// Removes the address from the interface, if it was added to one.
    pub fn give_back(&mut self) {
        if let (Some(interface), Some(_)) = (&self.interface, self.renewed)
            && let Err(error) = self.ip("del", interface, &[])
        {
            tracing::debug!(%error, "the shared address had gone already");
        }
        self.renewed = None;
    }

    fn add(&mut self) -> Result<(), TakeoverError> {
        if let Some(interface) = &self.interface {
            let lifetime = ["valid_lft", LIFETIME_SECONDS, "preferred_lft", LIFETIME_SECONDS];
            // Skips IPv6's duplicate address detection, which would take a second.
            let more: &[&str] = if self.address.is_ipv6() { &["nodad"] } else { &[] };
            let now = Instant::now();
            self.ip("replace", interface, &[more, &lifetime].concat())?;
            self.renewed = Some(now);
        }
        Ok(())
    }

    fn ip(&self, verb: &'static str, interface: &str, more: &[&str]) -> Result<(), TakeoverError> {
        let address = self.address.ip();
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        let mut command = Command::new("ip");
        command.args(["address", verb, &format!("{address}/{prefix}"), "dev", interface]).args(more);
        let output = command.stdin(Stdio::null()).output().map_err(TakeoverError::Ip)?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(TakeoverError::Refused { verb, address, interface: interface.to_owned(), said })
            }
        }
    }
}

/// Announces the address to the neighbours, five times in as many seconds (gratuitous ARP).
fn announce(address: IpAddr, interface: &str) {
    if !address.is_ipv4() {
        return;
    }
    let address = address.to_string();
    let arping = Command::new("arping")
        .args(["-q", "-U", "-c", "5", "-I", interface, &address])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match arping {
        Ok(mut arping) => {
            // Only reaps the process, so that it does not stay as a zombie.
            std::thread::spawn(move || arping.wait());
        }
        Err(error) => tracing::warn!(
            %error,
            "cannot run 'arping' (Debian package iputils-arping): neighbours will find the new owner late"
        ),
    }
}
