//! The balancer over real sockets, in this process, against small real servers.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]
#![allow(unreachable_pub, reason = "a test program has no outside")]

mod support;

mod abuse;
mod admin;
mod conformance;
mod drain;
mod health;
mod lease;
mod names;
mod one_thread;
mod pair;
mod passing;
mod passive;
mod policies;
mod processes;
mod retries;
mod rotation;
mod shedding;
mod shortages;
mod sticky;
mod strictness;
mod timeouts;
mod vip;
