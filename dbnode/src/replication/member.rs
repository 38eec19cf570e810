//! Who belongs to the cluster.
//!
//! A member is a name, an *incarnation*: the data directory that acts under that name, and a
//! [start](crate::replication::life) of that directory. A member that lost its directory comes back
//! under the same name as a new incarnation, and one whose directory was put back from a copy does
//! not know of a start that the others know: both have forgotten whom they voted for and what they
//! acknowledged. Neither may vote, and what they acknowledge does not count, until an entry that
//! names them was committed by the others: by then they have everything that was ever promised in
//! that name, and know every term in which it may have voted.
//!
//! ```text
//! all are new ──the first by name, when it sees all──> Form { everybody }      formed
//! a new start ──the primary, when it sees it──> Start { name, incarnation, start }
//! ```
//!
//! Such an entry has two effects, at two moments. Whatever acted under the name before stops to
//! count for a member as soon as the entry is *in its log*; what is named counts only when the
//! entry is *applied*, and so committed. (Raft's rule for a change of members is that the newest
//! entry counts, committed or not: section 4.1 of the thesis. That rule alone would let the new one
//! count before those who know what the old one promised have agreed; waiting alone would let a
//! member that has the entry, and does not know yet that it is committed, count the old directory.)

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a node is called.
pub type Name = Arc<str>;

/// Which data directory acts under a name. Given when the directory is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub Uuid);

/// Which cluster it is. Given when the cluster is formed, and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub Uuid);

/// Who belongs to the cluster: part of the replicated state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Which cluster it is.
    pub cluster: ClusterId,
    /// Who formed it. One of these that is still there has never forgotten anything.
    pub founders: BTreeMap<Name, Incarnation>,
    /// Who belongs to it now.
    pub members: BTreeMap<Name, Incarnation>,
}

impl Membership {
    /// A cluster formed by these.
    pub fn formed(cluster: ClusterId, founders: BTreeMap<Name, Incarnation>) -> Self {
        Self { cluster, members: founders.clone(), founders }
    }

    /// True when this data directory acts under that name, and may be counted.
    pub fn counts(&self, name: &str, incarnation: Incarnation) -> bool {
        self.members.get(name) == Some(&incarnation)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// How many of so many are a majority.
pub fn majority(members: usize) -> usize {
    members / 2 + 1
}
