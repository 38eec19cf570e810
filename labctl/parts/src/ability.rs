//! The abilities that a part may have or lack. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::known::Kind;

/// Something that a chapter may require of a balancer or a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// Takes turns exactly (round robin).
    RoundRobin,
    /// Chooses the server with the fewest requests in flight (least connections).
    LeastBusy,
    /// Chooses the less busy of two servers drawn at random (power of two choices).
    TwoChoices,
    /// Binds a client to a server with a signed cookie (sticky sessions).
    Sticky,
    /// Checks servers by requests (active health checks).
    Checks,
    /// Checks servers by opening a connection.
    ConnectChecks,
    /// Takes a server out after failed requests (passive health checks).
    Passive,
    /// Retries a failed request on another server.
    Retries,
    /// Limits the time of each try.
    TryTimeout,
    /// Adds a server at runtime.
    Add,
    /// Drains and removes a server at runtime.
    Remove,
    /// Reports when it takes a server out or back in.
    Events,
    /// Shares an address with another balancer (VRRP).
    Pair,
    /// Refuses connections above a limit.
    MaxConnections,
    /// Acknowledges a write once it is on the primary's disk.
    Async,
    /// Acknowledges a write once a majority has it.
    Quorum,
    /// Acknowledges a write once every member has it and shows it.
    Sync,
    /// Makes another node the primary when the primary fails (automatic failover).
    Promotes,
    /// Has an isolated primary stop acknowledging, whatever it waits for.
    StepsDown,
    /// Refuses a write at once while a member is missing, instead of letting it time out.
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
    /// All abilities.
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

    /// Returns its name in files and in the answer to `--can`.
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

    /// Returns the kind of part that it belongs to.
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
    /// Its name in messages.
    pub title: String,
    /// The abilities that it claims. Without a list, it has every ability that it does not deny.
    pub can: Option<BTreeSet<Ability>>,
    /// The abilities that it lacks, with the reasons.
    pub cannot: BTreeMap<Ability, String>,
}

impl Abilities {
    /// Returns why it lacks an ability. `None`: it has it.
    pub fn lacks(&self, ability: Ability) -> Option<String> {
        if let Some(reason) = self.cannot.get(&ability) {
            return Some(reason.clone());
        }
        let can = self.can.as_ref()?;
        (!can.contains(&ability)).then(|| format!("{} does not say that it can do '{ability}'", self.title))
    }
}
