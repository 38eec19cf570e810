//! The acts of a database's stages, as `grades/db.toml` writes them.

use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::stage::{Stages, five_seconds, get, maybe_span, span, two_seconds};

/// Which nodes an act is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The one that says it is the primary, or the only one.
    #[default]
    Primary,
    /// The first by name that is well and is not the primary.
    Replica,
}

/// One thing that is done, and what is wanted of it.
#[expect(clippy::large_enum_variant, reason = "there are some dozens of them, read once")]
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Sends one request to the primary, and looks at the answer.
    Ask {
        /// The method.
        #[serde(default = "get")]
        method: String,
        /// The path with its query.
        path: String,
        /// Headers of the request; `{name}` stands for an `ETag` that was kept.
        #[serde(default)]
        headers: IndexMap<String, String>,
        /// Its body.
        #[serde(default)]
        body: String,
        /// The status of the answer: one of these.
        status: Vec<u16>,
        /// The answer's body.
        answer: Option<String>,
        /// The `value` of the JSON object that the answer is.
        value: Option<i64>,
        /// The name under which the answer's `ETag` is kept.
        keep: Option<String>,
        /// The name of a kept `ETag` that this answer's must not be.
        differs: Option<String>,
    },
    /// Writes records with a new value each, tries until each is acknowledged, and remembers that.
    Put {
        /// The number of records: `k-1`, `k-2`, …
        count: usize,
        /// How many at a time.
        #[serde(default = "one")]
        at_once: usize,
        /// The length of a value, at least.
        #[serde(default)]
        bytes: usize,
        /// How long each may take.
        #[serde(default = "five_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Deletes the first of those records.
    Delete {
        /// The number of records.
        count: usize,
    },
    /// Reads whatever was written: each record has the value that was acknowledged last.
    Kept {
        /// How long it may take until everything is there.
        #[serde(default = "five_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Reads whatever was written from every node's own copy.
    Everywhere {
        /// How long it may take until everything is there.
        #[serde(deserialize_with = "span")]
        within: Duration,
    },
    /// Begins to write without pause, a client at a time its own records, while the next things are done.
    Writers {
        /// The number of clients.
        count: usize,
    },
    /// Ends that, and looks back at it.
    Written {
        /// How many writes must have been acknowledged.
        at_least: usize,
        /// The longest time that may have passed without an acknowledged one.
        #[serde(default, deserialize_with = "maybe_span")]
        gap: Option<Duration>,
    },
    /// Kills a node (SIGKILL), with whatever it started.
    Kill {
        /// Which.
        #[serde(default)]
        node: Who,
    },
    /// Starts the killed nodes again, on their data.
    Restart {},
    /// Freezes a node (SIGSTOP), with whatever it started.
    Freeze {
        /// Which.
        #[serde(default)]
        node: Who,
    },
    /// Lets the frozen nodes go on.
    Thaw {},
    /// Sends writes to the frozen nodes, lets them go on, and remembers what they acknowledge.
    Wake {
        /// The number of writes to each.
        writes: usize,
    },
    /// Lets time pass.
    Wait {
        /// The time to wait.
        #[serde(deserialize_with = "span")]
        time: Duration,
    },
    /// Many clients change one record at once, each if it still is the version they saw: one succeeds.
    Race {
        /// The number of clients.
        count: usize,
        /// How often.
        rounds: usize,
    },
    /// Adds 1 to one record many times; the sum is right in the end.
    Add {
        /// How often.
        count: usize,
        /// How many at a time.
        at_once: usize,
        /// Whether each addition is sent twice at once under a name of its own.
        #[serde(default)]
        named_twice: bool,
    },
    /// Sends a write to every node: the primary does it; another does it as well, or says where the primary is (307).
    Redirects {},
    /// Sends a write to the primary that must not be acknowledged.
    Unacknowledged {
        /// How long to wait for what must not come.
        #[serde(default = "two_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Writes, reads the replicas' copies, and holds how old those are against what they say (`X-Lag-Ms`).
    Ages {
        /// For how long.
        #[serde(deserialize_with = "span")]
        over: Duration,
        /// How much older than it says a copy may be.
        #[serde(deserialize_with = "span")]
        slack: Duration,
        /// Whether there are frozen nodes, which are read from as they wake up.
        #[serde(default)]
        wake: bool,
    },
    /// Begins to read and write the same records from many clients, over all nodes, and to record each answer.
    Clients {
        /// The number of clients.
        count: usize,
        /// The number of records that they share.
        records: usize,
    },
    /// Ends that, and looks for an order of what was done that explains every answer.
    Linearizable {
        /// How many operations must have been done.
        at_least: usize,
    },
}

fn one() -> usize {
    1
}

impl Stages<Act> {
    /// The stages of a database.
    pub fn of_database() -> Self {
        Self::parse("grades/db.toml", include_str!("../../grades/db.toml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_that_come_with_the_lab_can_be_read() {
        let stages = Stages::of_database();
        assert_eq!((stages.stage.len(), stages.points()), (12, 120));
        for stage in &stages.stage {
            assert!((1..=3).contains(&stage.hints.len()), "{}", stage.name);
            assert!([1, 3].contains(&stage.servers) && !stage.steps.is_empty(), "{}", stage.name);
        }
    }
}
