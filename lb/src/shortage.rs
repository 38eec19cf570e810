//! Shortages: resources that the balancer itself lacks to open a connection. No upstream is to blame,
//! so neither requests nor checks count as failed.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;

/// A resource that can run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Local ports for connections to one address.
    Ports,
    /// File descriptors.
    Files,
    /// Kernel memory.
    Memory,
    /// Permission: a firewall or another rule of this machine.
    Permission,
}

impl Shortage {
    /// All shortages, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Ports, Self::Files, Self::Memory, Self::Permission];

    /// Returns the shortage behind an error when opening a connection, if there is one. Ports can be
    /// recognized only with the address that was tried.
    pub fn of(error: &io::Error, to: Option<SocketAddr>) -> Option<Self> {
        match Errno::from_raw(error.raw_os_error()?) {
            // Without a local address for this family, the upstream is unreachable; the ports are not
            // exhausted.
            Errno::EADDRNOTAVAIL if to.is_some_and(is_within_reach) => Some(Self::Ports),
            Errno::EMFILE | Errno::ENFILE => Some(Self::Files),
            // ENOSPC: the limit of watched sockets is reached (fs.epoll.max_user_watches).
            Errno::ENOBUFS | Errno::ENOMEM | Errno::ENOSPC => Some(Self::Memory),
            Errno::EACCES | Errno::EPERM => Some(Self::Permission),
            _ => None,
        }
    }

    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::Files => "files",
            Self::Memory => "memory",
            Self::Permission => "permission",
        }
    }

    /// What is short, for a client that gets no response because of it.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Ports => "the balancer has no local port left for a connection to the upstream",
            Self::Files => "the balancer has no file descriptor left for a connection to the upstream",
            Self::Memory => "the balancer's system has no memory left for a connection to the upstream",
            Self::Permission => "the balancer's system forbids a connection to the upstream",
        }
    }

    /// What is short and what helps, for the operator.
    fn advice(self) -> &'static str {
        match self {
            Self::Ports => {
                "no local port is left for connections to an upstream; widen net.ipv4.ip_local_port_range, \
                 or have upstreams keep connections"
            }
            Self::Files => {
                "no file descriptor is left; raise the limit (ulimit -n) or lower --max-connections"
            }
            Self::Memory => {
                "the system has no memory left for connections; give it more, or fewer connections"
            }
            Self::Permission => {
                "a rule of this machine, such as a firewall's, forbids a connection; allow it"
            }
        }
    }
}

/// Returns whether this machine has a route to the address. Nothing is sent.
fn is_within_reach(to: SocketAddr) -> bool {
    let any = SocketAddr::new(if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() }, 0);
    // If no socket can be created for this test, files are short as well.
    UdpSocket::bind(any).map_or(true, |socket| socket.connect(to).is_ok())
}

/// A shortage that has not occurred for this long is over.
const OVER_AFTER: Duration = Duration::from_secs(10);

/// Counts shortages, and logs when one begins and ends.
#[derive(Debug)]
pub struct Shortages {
    origin: Instant,
    each: [State; Shortage::ALL.len()],
    asked_for_files: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    met: AtomicU64,
    lasts: AtomicBool,
    /// When it last occurred, in milliseconds after the origin.
    latest: AtomicU64,
}

impl Default for Shortages {
    fn default() -> Self {
        Self { origin: Instant::now(), each: Default::default(), asked_for_files: AtomicU64::new(0) }
    }
}

impl Shortages {
    /// Counts a shortage. The first occurrence is logged with `what` failed.
    pub fn note(&self, shortage: Shortage, what: &str) {
        let state = &self.each[shortage as usize];
        state.met.fetch_add(1, Ordering::Relaxed);
        state.latest.store(self.ms(Instant::now()), Ordering::Relaxed);
        if !state.lasts.swap(true, Ordering::Relaxed) {
            tracing::warn!(shortage = shortage.label(), "cannot {what}: {}", shortage.advice());
        }
    }

    /// Notices shortages that are over.
    pub fn sweep(&self, now: Instant) {
        let now = self.ms(now);
        for (shortage, state) in Shortage::ALL.iter().zip(&self.each) {
            let quiet = now.saturating_sub(state.latest.load(Ordering::Relaxed));
            if state.lasts.load(Ordering::Relaxed)
                && u128::from(quiet) >= OVER_AFTER.as_millis()
                && state.lasts.swap(false, Ordering::Relaxed)
            {
                let met = state.met.load(Ordering::Relaxed);
                tracing::info!(shortage = shortage.label(), met, "the shortage is over");
            }
        }
    }

    /// Asks all threads to close their idle upstream connections.
    pub fn ask_for_files(&self) {
        self.asked_for_files.fetch_add(1, Ordering::Relaxed);
    }

    /// How often files have been asked for.
    pub fn asked_for_files(&self) -> u64 {
        self.asked_for_files.load(Ordering::Relaxed)
    }

    /// How often this shortage has occurred.
    pub fn met(&self, shortage: Shortage) -> u64 {
        self.each[shortage as usize].met.load(Ordering::Relaxed)
    }

    /// True while this shortage lasts.
    pub fn lasts(&self, shortage: Shortage) -> bool {
        self.each[shortage as usize].lasts.load(Ordering::Relaxed)
    }

    fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: Errno) -> Option<Shortage> {
        Shortage::of(&io::Error::from(errno), Some("127.0.0.1:80".parse().unwrap()))
    }

    #[test]
    fn what_is_short_here_is_told_from_what_an_upstream_does() {
        assert_eq!(of(Errno::EADDRNOTAVAIL), Some(Shortage::Ports));
        for errno in [Errno::EMFILE, Errno::ENFILE] {
            assert_eq!(of(errno), Some(Shortage::Files), "{errno}");
        }
        for errno in [Errno::ENOBUFS, Errno::ENOMEM, Errno::ENOSPC] {
            assert_eq!(of(errno), Some(Shortage::Memory), "{errno}");
        }
        for errno in [Errno::EACCES, Errno::EPERM] {
            assert_eq!(of(errno), Some(Shortage::Permission), "{errno}");
        }
        for errno in [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::ETIMEDOUT] {
            assert_eq!(of(errno), None, "{errno}");
        }
        assert_eq!(Shortage::of(&io::Error::other("no such name"), None), None);
    }

    #[test]
    fn an_address_that_this_machine_has_no_way_to_is_no_shortage_of_ports() {
        let error = io::Error::from(Errno::EADDRNOTAVAIL);
        let of = |address: &str| Shortage::of(&error, address.parse().ok());
        assert_eq!(of("127.0.0.1:80"), Some(Shortage::Ports));
        assert_eq!(of("a-name:80"), None, "it may have had several addresses");
        // A link-local address without its interface: what `connect` reports for IPv6 where there is
        // none.
        assert_eq!(of("[fe80::1]:80"), None);
    }

    #[test]
    fn a_shortage_begins_once_and_is_over_when_it_has_not_been_met_for_a_while() {
        let shortages = Shortages::default();
        for _ in 0..3 {
            shortages.note(Shortage::Ports, "connect to web-1");
        }
        shortages.sweep(Instant::now());
        assert!(shortages.lasts(Shortage::Ports) && !shortages.lasts(Shortage::Files));
        shortages.sweep(Instant::now() + OVER_AFTER);
        assert!(!shortages.lasts(Shortage::Ports));
        assert_eq!((shortages.met(Shortage::Ports), shortages.met(Shortage::Files)), (3, 0));
    }
}
