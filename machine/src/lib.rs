//! The emulated machine that processes run on, and code that all servers share.
//!
//! A *machine* is finite: it has cores, memory and one disk, which the processes placed on it
//! share. It is emulated: a request that costs 10 ms of CPU waits until the machine's model grants
//! those 10 ms. So capacities come out the same on a small CI box and on a large laptop, and ten
//! machines fit on one computer.
//!
//! The modules are in alphabetical order. Begin with `capacity`, then `kernel`, then `handle`.

/// The model: which job gets cores, disk and memory next. Pure: no clock, no sockets.
pub mod capacity;
/// The handle through which a server uses its machine.
pub mod handle;
/// The event loop that owns the model, the clock and the sockets.
pub mod kernel;
/// Writes log lines without blocking.
pub mod log_lines;
/// Resolves names in the background, remembers the results, and connects to them.
pub mod names;
/// The network abstraction: real sockets, or a simulation.
pub mod network;
/// The processes on a machine, from the first start to the last exit.
pub mod processes;
/// The protocol between a process and its machine.
pub mod protocol;
/// The HTTP accept loop that all servers share: limits, timeouts, drain.
pub mod serving;
/// The size of a machine, as given on its command line.
pub mod spec;
/// Common startup code: logging, signals, and the tie to the parent process.
pub mod startup;
/// Measures how long a single poll of a task blocks its thread.
pub mod steps;
pub mod trace;
/// Health and metrics: `/healthz` and `/metrics`.
pub mod vitals;
pub use handle::{Held, Machine};
pub use spec::{MachineSpec, QueueOrder};
