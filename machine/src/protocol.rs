//! What a process and its machine say to each other: one JSON document a line, over the unix
//! socket whose path the machine hands down in [`SOCKET_VARIABLE`](crate::protocol::SOCKET_VARIABLE).

use serde::{Deserialize, Serialize};

use crate::capacity::Usage;

/// The environment variable that tells a process where its machine listens.
pub const SOCKET_VARIABLE: &str = "MACHINE_SOCKET";

/// The environment variable that tells a process what it is called on its machine.
pub const PROCESS_VARIABLE: &str = "MACHINE_PROCESS";

/// Environment variable with the pid of the process that started this one, and that it must not outlive.
pub const PARENT_VARIABLE: &str = "MACHINE_PARENT";

/// The exit code of a machine that ran out of memory, and of a process whose machine is gone:
/// what a shell reports for a process killed by SIGKILL.
pub const EXIT_KILLED: i32 = 137;

/// From a process to its machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToMachine {
    /// Wants core time; granted when it has been spent.
    Cpu {
        /// Number of this request, chosen by the process.
        id: u64,
        /// Core time, in nanoseconds.
        nanos: u64,
    },
    /// Wants disk operations that need room; granted when they are done, refused when there is none. Of none
    /// at all: whether there is room.
    Write {
        /// Number of this request.
        id: u64,
        /// How many, one after the other.
        operations: u32,
    },
    /// Wants a page of data; granted when it is in memory.
    Page {
        /// Number of this request.
        id: u64,
        /// Which page.
        page: u64,
    },
    /// Has read its data sequentially at start: pages `from..to` have been in memory.
    Warm {
        /// First page.
        from: u64,
        /// One past the last page.
        to: u64,
    },
    /// Takes (positive) or gives back (negative) memory, in bytes. Not answered: a machine
    /// without enough of it dies.
    Hold {
        /// The difference, in bytes.
        bytes: i64,
    },
    /// Wants the machine's figures. For those who watch, not for those who work.
    Usage {
        /// Number of this request.
        id: u64,
    },
    /// Takes all room on the disk, or gives it back; granted at once. For those who break machines.
    Fill {
        /// Number of this request.
        id: u64,
        /// Whether there is to be no room.
        full: bool,
    },
}

/// From a machine to a process on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromMachine {
    /// The work is done.
    Granted {
        /// Number of the request.
        id: u64,
    },
    /// There is no room on the disk: nothing was written.
    DiskFull {
        /// Number of the request.
        id: u64,
    },
    /// The machine's figures.
    Usage {
        /// Number of the request.
        id: u64,
        /// The figures.
        usage: Usage,
        /// How late the machine's kernel has been in granting, at worst since it was last asked,
        /// in microseconds. A large figure means that the host was too busy to emulate on.
        late_micros_max: u64,
    },
}

/// What a machine reports on its standard output, one JSON document a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum MachineEvent {
    /// A process has been started.
    Started {
        /// Its name on this machine.
        process: String,
        /// Its process id.
        pid: u32,
    },
    /// A process is gone.
    Exited {
        /// Its name on this machine.
        process: String,
        /// Its process id.
        pid: u32,
        /// Its exit code, when it ended by itself.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// The machine ran out of memory and killed everything on it.
    OutOfMemory {
        /// Bytes held when it happened.
        held: u64,
        /// Bytes there are.
        limit: u64,
    },
}
