//! The protocol between a process and its machine: one JSON document per line, over the Unix socket whose
//! path is in [`SOCKET_VARIABLE`](crate::protocol::SOCKET_VARIABLE).

use serde::{Deserialize, Serialize};

use crate::capacity::Usage;

/// Environment variable with the path of the machine's socket.
pub const SOCKET_VARIABLE: &str = "MACHINE_SOCKET";

/// Environment variable with the process's name on its machine.
pub const PROCESS_VARIABLE: &str = "MACHINE_PROCESS";

/// Environment variable with the pid of the parent process, which this process must not outlive.
pub const PARENT_VARIABLE: &str = "MACHINE_PARENT";

/// The exit code of a machine that ran out of memory, and of a process whose machine is gone: what a shell
/// reports for a process killed by SIGKILL.
pub const EXIT_KILLED: i32 = 137;

/// A request of a process to its machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToMachine {
    /// Spends core time; granted once it has been spent.
    Cpu {
        /// The id of this request, chosen by the process.
        id: u64,
        /// Core time, in nanoseconds.
        nanos: u64,
    },
    /// Performs disk operations that need free space; granted once they are done, refused if the disk is
    /// full. With 0 operations, only checks for free space.
    Write {
        /// The id of this request.
        id: u64,
        /// The number of operations, performed one after the other.
        operations: u32,
    },
    /// Reads a page of data; granted once it is in memory.
    Page {
        /// The id of this request.
        id: u64,
        /// The page's number.
        page: u64,
    },
    /// Reports a sequential read at startup: pages `from..to` have been in memory.
    Warm {
        /// First page.
        from: u64,
        /// One past the last page.
        to: u64,
    },
    /// Takes (positive) or releases (negative) memory, in bytes. Not answered: a machine without enough
    /// memory dies.
    Hold {
        /// The difference, in bytes.
        bytes: i64,
    },
    /// Asks for the machine's figures, for monitoring.
    Usage {
        /// The id of this request.
        id: u64,
    },
    /// Takes all free space on the disk, or releases it; granted at once. For fault injection.
    Fill {
        /// The id of this request.
        id: u64,
        /// True to fill the disk.
        full: bool,
    },
}

/// A reply of a machine to a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromMachine {
    /// The work is done.
    Granted {
        /// The id of the request.
        id: u64,
    },
    /// The disk is full: nothing was written.
    DiskFull {
        /// The id of the request.
        id: u64,
    },
    /// The machine's figures.
    Usage {
        /// The id of the request.
        id: u64,
        /// The figures.
        usage: Usage,
        /// The longest delay of the machine's kernel since the last query, in microseconds. A large value
        /// means that the host was too busy for the emulation.
        late_micros_max: u64,
    },
}

/// An event that a machine reports on its standard output, one JSON document per line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum MachineEvent {
    /// A process was started.
    Started {
        /// Its name on this machine.
        process: String,
        /// Its process id.
        pid: u32,
    },
    /// A process has exited.
    Exited {
        /// Its name on this machine.
        process: String,
        /// Its process id.
        pid: u32,
        /// Its exit code, if it exited on its own.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// The machine ran out of memory and killed everything on it.
    OutOfMemory {
        /// Bytes held before.
        held: u64,
        /// The size of the memory, in bytes.
        limit: u64,
    },
}
