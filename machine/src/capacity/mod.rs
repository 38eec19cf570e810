//! How a machine shares its cores, its disk and its memory. Plain values and arithmetic: time is
//! an argument, so a second of load is tested in a microsecond.
//!
//! Completions are computed in the model's own time. A kernel that wakes up late grants late, but
//! the next job still starts when the last one *should* have ended: a noisy host adds latency to a
//! request, and takes no capacity from the machine.
#![deny(clippy::disallowed_methods)]

mod cpu;
mod disk;
mod memory;

use std::time::Duration;

pub use cpu::Cpu;
pub use disk::Disk;
pub use memory::{Memory, OutOfMemory};

use crate::spec::MachineSpec;

/// A moment in a machine's life: the time since it was switched on.
pub type Moment = Duration;

/// Names one piece of work, so that its completion can be reported to whoever asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// Which connection asked.
    pub connection: u64,
    /// The number it gave its request.
    pub request: u64,
}

/// What a process asks its machine for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// So much time on a core.
    Cpu(Duration),
    /// So many disk operations that need room, one after the other; refused while the disk is full.
    Write(u32),
    /// One page of data: from the page cache, or else from the disk.
    Page(u64),
}

/// A completed piece of work, and when the model says it completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// Whose work it was.
    pub ticket: Ticket,
    /// The moment it was done, which may be a little before the kernel noticed.
    pub at: Moment,
}

/// There is no room left on the machine's disk. Nothing was written.
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

/// A machine's own figures, since it was switched on.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Core-seconds spent working, over all cores.
    pub cpu_busy_seconds: f64,
    /// Jobs that wait for a core now.
    pub cpu_waiting: usize,
    /// Core-seconds that those jobs ask for.
    pub cpu_waiting_seconds: f64,
    /// Seconds the disk spent working.
    pub disk_busy_seconds: f64,
    /// Operations that wait for the disk now.
    pub disk_waiting: usize,
    /// Whether there is no room left on the disk.
    pub disk_full: bool,
    /// Bytes held by requests and processes now.
    pub memory_held: u64,
    /// Bytes there are.
    pub memory_limit: u64,
    /// Reads that found their page in memory.
    pub page_hits: u64,
    /// Reads that had to go to the disk.
    pub page_misses: u64,
}

impl Capacity {
    /// An idle machine of this size.
    pub fn new(spec: &MachineSpec) -> Self {
        Self {
            cpu: Cpu::new(spec.cores, spec.exclusive, spec.queue),
            disk: Disk::new(spec.disk_operation()),
            memory: Memory::new(spec.memory.as_u64(), spec.page_size.as_u64()),
        }
    }

    /// Takes work in. Completions up to `now` must have been collected with [`Self::advance`].
    /// Returns the completion at once when the work costs nothing (a page that is in memory, or a
    /// question whether there is room). `Err`: a write, and the disk is full.
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

    /// Takes all room on the disk, or gives it back.
    pub fn fill_disk(&mut self, full: bool) {
        self.disk.fill(full);
    }

    /// Puts pages into the page cache without charging for them: a sequential read at start.
    pub fn warm(&mut self, pages: std::ops::Range<u64>) {
        self.memory.warm(pages);
    }

    /// Takes (`bytes` > 0) or gives back (`bytes` < 0) memory for one connection.
    pub fn hold(&mut self, connection: u64, bytes: i64) -> Result<(), OutOfMemory> {
        self.memory.hold(connection, bytes)
    }

    /// A process is gone, and with it what it held and its jobs that have no core yet. What the disk
    /// has taken in it still does.
    pub fn forget(&mut self, connection: u64) {
        self.memory.forget(connection);
        self.cpu.forget(connection);
    }

    /// The next moment at which something completes.
    pub fn next_completion(&self) -> Option<Moment> {
        [self.cpu.next_completion(), self.disk.next_completion()].into_iter().flatten().min()
    }

    /// Everything that has completed by `now`, in the order it completed per resource.
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
