//! Cluster membership.
//!
//! A member is a name, an *incarnation* (the data directory that acts under that name), and a
//! [start](crate::replication::life) of that directory. A member that lost its directory comes back
//! under the same name as a new incarnation. One whose directory was restored from a copy does not
//! know a start that the others know. Both have forgotten their votes and their confirmations.
//! Neither may vote, and their confirmations do not count, until the others have committed an entry
//! that names them: by then they have everything that was ever confirmed under that name, and know
//! every term in which it may have voted.
//!
//! ```text
//! all are new ──the first by name, when it sees all──> Bootstrap { all members }      formed
//! a new start ──the primary, when it sees it──> Start { name, incarnation, start }
//! ```
//!
//! Such an entry takes effect in two steps. A member stops counting the earlier holder of the name
//! as soon as the entry is *in its log*; the new holder counts only once the entry is *applied*,
//! and so committed. (Raft's rule for membership changes is that the newest entry counts, committed
//! or not: section 4.1 of the thesis. That rule alone would let the new holder count before the
//! members that know the old one's confirmations have agreed. Waiting alone would let a member that
//! has the entry, but does not know yet that it is committed, count the old directory.)

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A node's name.
pub type Name = Arc<str>;

/// The id of a data directory, assigned when the directory is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub Uuid);

/// The id of a cluster, assigned once, when the cluster is formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub Uuid);

/// The cluster's members: part of the replicated state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// The members that formed the cluster. A founder that is still a member has never forgotten
    /// anything.
    pub founders: BTreeMap<Name, Incarnation>,
    /// The current members.
    pub members: BTreeMap<Name, Incarnation>,
}

impl Membership {
    /// The membership of a cluster formed by these nodes.
    pub fn formed(cluster: ClusterId, founders: BTreeMap<Name, Incarnation>) -> Self {
        Self { cluster, members: founders.clone(), founders }
    }

    /// True if this data directory acts under that name, and so counts.
    pub fn counts(&self, name: &str, incarnation: Incarnation) -> bool {
        self.members.get(name) == Some(&incarnation)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The size of a majority.
pub fn majority(members: usize) -> usize {
    members / 2 + 1
}
