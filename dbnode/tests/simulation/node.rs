//! One simulated process: the real core, on a simulated disk, with its own clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dbnode::replication::disk::Recovered;
use dbnode::replication::input::{Hello, Moment, Ticket};
use dbnode::replication::life::Starts;
use dbnode::replication::member::{Incarnation, Name};
use dbnode::replication::{Core, Limits, Setup, Timing};

use crate::clients::Attempt;
use crate::clock::Clock;
use crate::disk::Disk;

/// A simulated node.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: Name,
    /// Its data directory.
    pub incarnation: Incarnation,
    /// The number of data directories it has had.
    pub directories: u64,
    /// True if its disk stays full when everything else is repaired.
    pub stays_full: bool,
    /// The running core; `None` while it is down.
    pub core: Option<Core>,
    /// Its disk, which survives crashes.
    pub disk: Disk,
    /// Its clock.
    pub clock: Clock,
    /// Incremented at every start: inputs for an earlier life are dropped.
    pub life: u64,
    /// Messages it sent in lives before this one no longer arrive.
    pub silenced_before: u64,
    /// The moment at which it will crash.
    pub ambush: Option<Ambush>,
    /// Until when it is paused.
    pub paused_until: Duration,
    /// The attempts it has yet to answer, with their keys.
    pub tickets: BTreeMap<u64, (Attempt, String)>,
    next_ticket: u64,
}

/// A moment in the life of a new primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambush {
    /// The first time its disk confirms a batch.
    FirstPersisted,
    /// The first time it applies an entry after this one.
    FirstApplied { after: u64 },
}

impl Node {
    /// A node that has never been started.
    pub fn new(number: usize) -> Self {
        Self {
            name: format!("db-{}", number + 1).into(),
            incarnation: incarnation(number, 0),
            directories: 1,
            stays_full: false,
            core: None,
            disk: Disk::default(),
            clock: Clock::set(Duration::ZERO, Duration::ZERO),
            life: 0,
            silenced_before: 0,
            ambush: None,
            paused_until: Duration::ZERO,
            tickets: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// The time on its clock.
    pub fn now(&self, world: Duration) -> Moment {
        self.clock.show(world)
    }

    /// What it says about itself when it connects.
    pub fn hello(&self) -> Option<Hello> {
        let core = self.core.as_ref()?;
        let cluster = core.membership().map(|membership| membership.cluster);
        Some(Hello { life: Arc::clone(core.life()), cluster })
    }

    /// Issues a ticket for a client.
    pub fn ticket(&mut self, attempt: Attempt, key: &str) -> Ticket {
        self.next_ticket += 1;
        self.tickets.insert(self.next_ticket, (attempt, key.to_owned()));
        Ticket(self.next_ticket)
    }
}

/// The id of a node's data directory, after it lost this many.
pub fn incarnation(node: usize, lost: u64) -> Incarnation {
    Incarnation(uuid::Uuid::from_u64_pair(node as u64 + 1, lost + 1))
}

/// The minimum election timeout.
pub const ELECTION_TIMEOUT: Duration = Duration::from_millis(600);

/// A core restored from what was found on disk.
pub fn core(
    world: &crate::world::World,
    node: usize,
    (found, starts): (Recovered, Starts),
    seed: u64,
) -> Core {
    let limits = Limits {
        batch_entries: world.plan.batch_entries,
        log_entries: world.plan.log_entries,
        chunk_bytes: world.plan.chunk_bytes,
        names_kept: world.plan.names_kept,
        names_bytes: world.plan.names_bytes,
        ..Limits::default()
    };
    let setup = Setup {
        name: world.names[node].clone(),
        incarnation: world.nodes[node].incarnation,
        starts,
        members: world.names.clone(),
        mode: world.plan.mode,
        limits,
        timing: Timing { election_timeout: ELECTION_TIMEOUT },
        seed,
    };
    Core::new(setup, found, world.nodes[node].now(world.now))
}
