//! Two balancers with one address between them: one is active and answers on it, the other stands
//! by and takes over when it hears nothing more.
//!
//! The timing is that of VRRP (RFC 9568): the active one advertises itself, and three missed
//! adverts and a little more, less for a higher priority, make it dead. Who comes back does not
//! take the address back.
//!
//! The two cannot tell a dead partner from a cut cable. While they hear each other, at most one
//! answers; when they do not, `bind` still leaves the decision to the kernel, which gives an
//! address to one, and with `vip` both answer until they hear each other again. That is harmless
//! here, because balancers keep no state.

pub mod advert;
/// The flags as written, and as used.
pub mod config;
pub mod failover;
/// Holds the address, on a thread of its own.
pub mod holder;
/// Carries out what the state machine decides.
pub mod keeper;
/// How long this balancer may still answer.
pub mod lease;
pub mod reach;
pub mod sequence;
#[cfg(test)]
mod simulation;
/// How the address is taken and given back.
pub mod takeover;

pub use config::{PairArgs, PairConfig};
pub use keeper::{Handle, Status};
pub use lease::Lease;
