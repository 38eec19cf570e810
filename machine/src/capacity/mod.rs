//! The model of a machine: how it shares its cores, its disk and its memory. Plain values and
//! arithmetic: time is an argument, so a second of load is tested in a microsecond.
//!
//! Completions are computed in the model's own time. A kernel that wakes up late grants late, but
//! the next job still starts when the last one *should* have ended: a noisy host adds latency to a
//! request, but takes no capacity from the machine.
#![deny(clippy::disallowed_methods)]

mod cpu;
mod disk;
mod memory;

use std::time::Duration;

pub use cpu::Cpu;
pub use disk::Disk;
pub use memory::{Memory, OutOfMemory};

use crate::spec::MachineSpec;

/// A point in a machine's life: the time since it was switched on.
pub type Moment = Duration;

/// Identifies one piece of work, so that its completion can be reported to the process that
/// requested it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The connection that sent the request.
    pub connection: u64,
    /// The id of the request on that connection.
    pub request: u64,
}

/// Work that a process requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Time on a core.
    Cpu(Duration),
    /// A number of disk operations that need free space, one after the other; refused while the disk
    /// is full.
    Write(u32),
    /// One page of data: from the page cache, or else from the disk.
    Page(u64),
}

/// A completed piece of work, and when it completed according to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The work.
    pub ticket: Ticket,
    /// When it was done, which may be a little before the kernel noticed.
    pub at: Moment,
}

/// The machine's disk is full. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room left on the machine's disk")]
pub struct DiskFull;

/// The whole machine: three resources, one clock.
#[derive(Debug)]
pub struct Capacity {
    cpu: Cpu,
    disk: Disk,
    memory: Memory,
}

/// A machine's figures since it was switched on.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Core-seconds spent working, over all cores.
    pub cpu_busy_seconds: f64,
    /// Jobs that wait for a core now.
    pub cpu_waiting: usize,
    /// Core-seconds that those jobs need.
    pub cpu_waiting_seconds: f64,
    /// Seconds the disk spent working.
    pub disk_busy_seconds: f64,
    /// Requests that wait for the disk now.
    pub disk_waiting: usize,
    /// True if the disk is full.
    pub disk_full: bool,
    /// Bytes held by requests and processes now.
    pub memory_held: u64,
    /// The size of the memory, in bytes.
    pub memory_limit: u64,
    /// Reads that hit the page cache.
    pub page_hits: u64,
    /// Reads that had to go to the disk.
    pub page_misses: u64,
}

impl Capacity {
    /// Creates an idle machine of this size.
    pub fn new(spec: &MachineSpec) -> Self {
        Self {
            cpu: Cpu::new(spec.cores, spec.exclusive, spec.queue),
            disk: Disk::new(spec.disk_operation()),
            memory: Memory::new(spec.memory.as_u64(), spec.page_size.as_u64()),
        }
    }

    /// Submits work. Completions up to `now` must have been collected with [`Self::advance`].
    /// Returns the completion at once if the work costs nothing (a page in the page cache, or a
    /// check for free space). It is an error to write to a full disk.
    pub fn submit(
        &mut self,
        now: Moment,
        ticket: Ticket,
        demand: Demand,
    ) -> Result<Option<Completion>, DiskFull> {
        let at_once = Some(Completion { ticket, at: now });
        match demand {
            Demand::Cpu(cost) => self.cpu.submit(now, ticket, cost),
            Demand::Write(_) if self.disk.is_full() => return Err(DiskFull),
            Demand::Write(0) => return Ok(at_once),
            Demand::Write(operations) => self.disk.submit(now, ticket, operations),
            Demand::Page(page) if self.memory.touch(page) => return Ok(at_once),
            Demand::Page(_) => self.disk.submit(now, ticket, 1),
        }
        Ok(None)
    }

    /// Takes all free space on the disk, or releases it.
    pub fn fill_disk(&mut self, full: bool) {
        self.disk.fill(full);
    }

    /// Puts pages into the page cache at no cost: a sequential read at startup.
    pub fn warm(&mut self, pages: std::ops::Range<u64>) {
        self.memory.warm(pages);
    }

    /// Takes (`bytes` > 0) or releases (`bytes` < 0) memory for one connection.
    pub fn hold(&mut self, connection: u64, bytes: i64) -> Result<(), OutOfMemory> {
        self.memory.hold(connection, bytes)
    }

    /// Forgets a process that is gone: the memory it held, and its jobs that have no core yet.
    /// Queued disk operations are still performed.
    pub fn forget(&mut self, connection: u64) {
        self.memory.forget(connection);
        self.cpu.forget(connection);
    }

    /// Returns when the next piece of work completes.
    pub fn next_completion(&self) -> Option<Moment> {
        [self.cpu.next_completion(), self.disk.next_completion()].into_iter().flatten().min()
    }

    /// Returns everything that has completed by `now`, in the order of completion per resource.
    pub fn advance(&mut self, now: Moment) -> Vec<Completion> {
        let mut done = self.cpu.advance(now);
        done.extend(self.disk.advance(now));
        done
    }

    /// The machine's figures.
    pub fn usage(&self) -> Usage {
        Usage {
            cpu_busy_seconds: self.cpu.busy().as_secs_f64(),
            cpu_waiting: self.cpu.waiting(),
            cpu_waiting_seconds: self.cpu.waiting_cost().as_secs_f64(),
            disk_busy_seconds: self.disk.busy().as_secs_f64(),
            disk_waiting: self.disk.waiting(),
            disk_full: self.disk.is_full(),
            memory_held: self.memory.held(),
            memory_limit: self.memory.limit(),
            page_hits: self.memory.page_hits(),
            page_misses: self.memory.page_misses(),
        }
    }
}
