//! Who belongs to the cluster.
//!
//! A member is a name and an *incarnation*: the data directory that acts under that name. A member
//! that lost its directory comes back under the same name as a new incarnation, which has forgotten
//! whom it voted for and what it acknowledged. It must not vote, and its acknowledgements must not
//! count, until an entry that names it was committed by the others: by then it has everything that
//! its predecessor had promised to keep, and knows every term its predecessor may have voted in.
//!
//! ```text
//! all are new ──the first by name, when it sees all──> Form { everybody }      formed
//! a new incarnation ──the primary, when it sees it──> Join { name, incarnation }
//! ```

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
