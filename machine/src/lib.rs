//! The machine that processes stand on, and what every server shares.
//!
//! A *machine* is finite: it has cores, memory and one disk, and the processes placed on it share
//! them. It is emulated: a request that costs 10 ms of CPU waits until the machine's model grants
//! it those 10 ms, so capacities come out the same on a small CI box and on a large laptop, and
//! ten machines fit on one.
//!
//! Read the modules in this order.

/// The model: who gets the cores, the disk and the memory next. Pure; no clock, no sockets.
pub mod capacity;
/// What a server spends its machine through.
pub mod handle;
/// The loop that owns the model, the clock and the sockets.
pub mod kernel;
/// Log lines that never block.
pub mod log_lines;
/// Names resolved in the background, with a memory, and connections to them.
pub mod names;
/// The seam through which servers reach each other.
pub mod network;
/// The processes placed on a machine, from their start to the last one's end.
pub mod processes;
/// What a process and its machine say to each other.
pub mod protocol;
/// The shared accept loop: limits, timeouts, drain.
pub mod serving;
/// What a machine is made of, as written on its command line.
pub mod spec;
/// The first lines of every `main`: logs, signals, the bond with the parent.
pub mod startup;
/// How long one step of one task held up a thread.
pub mod steps;
pub mod trace;
/// Health and counters, on `/healthz` and `/metrics`.
pub mod vitals;
pub use handle::{Held, Machine};
pub use spec::{MachineSpec, QueueOrder};
