//! One simulated process: the real core, on a simulated disk, with a clock of its own.

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

/// A node.
#[derive(Debug)]
pub struct Node {
    /// What it is called.
    pub name: Name,
    /// Which data directory it has.
    pub incarnation: Incarnation,
    /// How many it ever had.
    pub directories: u64,
    /// Its disk stays full when everything else is put right.
    pub stays_full: bool,
    /// What it runs; none while it is down.
    pub core: Option<Core>,
    /// Its disk, which outlives it.
    pub disk: Disk,
    /// Its clock.
    pub clock: Clock,
    /// Counted up with every start: what was meant for an earlier life is not heard in a later.
    pub life: u64,
    /// What it said in earlier lives than this does not arrive any more.
    pub silenced_before: u64,
    /// At which moment it is going to be gone.
    pub ambush: Option<Ambush>,
    /// Till when it does nothing.
    pub paused_until: Duration,
    /// Whose answers it owes, and about which record.
    pub tickets: BTreeMap<u64, (Attempt, String)>,
    next_ticket: u64,
}

/// A moment in the life of a new primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambush {
    /// The first time its disk confirms something.
    FirstPersisted,
    /// The first time it applies an entry after this one.
    FirstApplied { after: u64 },
}

impl Node {
    /// A node that was never started.
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

    /// What its clock shows.
    pub fn now(&self, world: Duration) -> Moment {
        self.clock.show(world)
    }

    /// What it says about itself when it connects.
    pub fn hello(&self) -> Option<Hello> {
        let core = self.core.as_ref()?;
        let cluster = core.membership().map(|membership| membership.cluster);
        Some(Hello { life: Arc::clone(core.life()), cluster })
    }

    /// A ticket for a client.
    pub fn ticket(&mut self, attempt: Attempt, key: &str) -> Ticket {
        self.next_ticket += 1;
        self.tickets.insert(self.next_ticket, (attempt, key.to_owned()));
        Ticket(self.next_ticket)
    }
}

/// Which data directory a node has after so many.
pub fn incarnation(node: usize, lost: u64) -> Incarnation {
    Incarnation(uuid::Uuid::from_u64_pair(node as u64 + 1, lost + 1))
}

/// The longest time without a word from the primary after which a replica asks to be one.
pub const ELECTION_TIMEOUT: Duration = Duration::from_millis(600);

/// A core that begins from what was found on disk.
pub fn core(
    world: &crate::world::World,
    node: usize,
    (found, starts): (Recovered, Starts),
    seed: u64,
) -> Core {
    let limits = Limits {
        batch_entries: world.plan.batch_entries,
        log_entries: world.plan.log_entries,
        piece_bytes: world.plan.piece_bytes,
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
