//! Two balancers that share one address: one is active and serves it, the other stands by and takes
//! over when it no longer hears from its peer.
//!
//! The timing is that of VRRP (RFC 9568, which calls the roles Active and Backup): the active
//! balancer advertises itself, and counts as dead after three missed adverts plus a skew that is
//! shorter for a higher priority. There is no preemption: a balancer that comes back does not take
//! the address back.
//!
//! Neither of the two can tell a dead peer from a cut cable. While they hear each other, at most
//! one answers. When they do not, `bind` leaves the decision to the kernel, which gives an address
//! to one process, and with `vip` both answer until they hear each other again. This split brain is
//! harmless here, because balancers keep no state.

pub mod advert;
/// The flags as written and as checked.
pub mod config;
pub mod failover;
/// Holds the address, on its own thread.
pub mod holder;
/// Carries out what the failover state machine decides.
pub mod keeper;
/// How long this balancer may still answer.
pub mod lease;
pub mod reach;
pub mod sequence;
#[cfg(test)]
mod simulation;
/// Takes the address and gives it back.
pub mod takeover;

pub use config::{PairArgs, PairConfig};
pub use keeper::{Handle, Status};
pub use lease::Lease;
