//! What a part may or may not be able to do. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::known::Kind;

/// Something that a chapter may ask of a balancer, or of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// Takes turns exactly.
    RoundRobin,
    /// Chooses the server with the fewest requests in flight.
    LeastBusy,
    /// Chooses the less busy one of two drawn at random.
    TwoChoices,
    /// Binds a client to a server by a signed cookie.
    Sticky,
    /// Asks servers whether they are well.
    Checks,
    /// Checks servers by opening a connection.
    ConnectChecks,
    /// Takes a server out after failed requests.
    Passive,
    /// Sends a request that failed to another server.
    Retries,
    /// Limits the time of one try.
    TryTimeout,
    /// Takes in a server while it runs.
    Add,
    /// Lets a server finish and leave while it runs.
    Remove,
    /// Tells when it took a server out or in.
    Events,
    /// Shares an address with another balancer.
    Pair,
    /// Refuses connections over a limit.
    MaxConnections,
    /// Acknowledges a write that the primary alone has on its disk.
    Async,
    /// Acknowledges a write that a majority has.
    Quorum,
    /// Acknowledges a write that every member has, and shows.
    Sync,
    /// Makes another node the primary when the primary fails.
    Promotes,
    /// Has a primary that is cut off stop acknowledging, whatever it waits for.
    StepsDown,
    /// Says at once that a write cannot be done while a member is away.
    RefusesAtOnce,
    /// Lists the writes that a former primary had to give up.
    Discards,
    /// Reads through the page cache of the emulated machine.
    PageReads,
    /// Refuses writes while the disk of the emulated machine is full.
    FullDisk,
    /// Copies through the links from the primary to its replicas, so that a chapter can slow one.
    SlowLinks,
}

impl Ability {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::RoundRobin,
        Self::LeastBusy,
        Self::TwoChoices,
        Self::Sticky,
        Self::Checks,
        Self::ConnectChecks,
        Self::Passive,
        Self::Retries,
        Self::TryTimeout,
        Self::Add,
        Self::Remove,
        Self::Events,
        Self::Pair,
        Self::MaxConnections,
        Self::Async,
        Self::Quorum,
        Self::Sync,
        Self::Promotes,
        Self::StepsDown,
        Self::RefusesAtOnce,
        Self::Discards,
        Self::PageReads,
        Self::FullDisk,
        Self::SlowLinks,
    ];

    /// Its name in files and in the answer to `--can`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastBusy => "least-busy",
            Self::TwoChoices => "two-choices",
            Self::Sticky => "sticky",
            Self::Checks => "checks",
            Self::ConnectChecks => "connect-checks",
            Self::Passive => "passive",
            Self::Retries => "retries",
            Self::TryTimeout => "try-timeout",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Events => "events",
            Self::Pair => "pair",
            Self::MaxConnections => "max-connections",
            Self::Async => "async",
            Self::Quorum => "quorum",
            Self::Sync => "sync",
            Self::Promotes => "promotes",
            Self::StepsDown => "steps-down",
            Self::RefusesAtOnce => "refuses-at-once",
            Self::Discards => "discards",
            Self::PageReads => "page-reads",
            Self::FullDisk => "full-disk",
            Self::SlowLinks => "slow-links",
        }
    }

    /// Of what it is asked.
    pub fn kind(self) -> Kind {
        match self {
            Self::Async
            | Self::Quorum
            | Self::Sync
            | Self::Promotes
            | Self::StepsDown
            | Self::RefusesAtOnce
            | Self::Discards
            | Self::PageReads
            | Self::FullDisk
            | Self::SlowLinks => Kind::Db,
            _ => Kind::Lb,
        }
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a part can and cannot do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    /// What it is called in sentences.
    pub title: String,
    /// What it can, when it says so. Without, it can whatever it does not deny.
    pub can: Option<BTreeSet<Ability>>,
    /// What it cannot, and why.
    pub cannot: BTreeMap<Ability, String>,
}

impl Abilities {
    /// Why it lacks an ability. `None`: it has it.
    pub fn lacks(&self, ability: Ability) -> Option<String> {
        if let Some(reason) = self.cannot.get(&ability) {
            return Some(reason.clone());
        }
        let can = self.can.as_ref()?;
        (!can.contains(&ability)).then(|| format!("{} does not say that it can do '{ability}'", self.title))
    }
}
