//! The acts of a database's stages, as written in `grades/db.toml`.

use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::stage::{Stages, five_seconds, get, maybe_span, span, two_seconds};

/// The node that an act refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The one that says it is the primary, or the only one.
    #[default]
    Primary,
    /// The first healthy one by name that is not the primary.
    Replica,
}

/// One act, and what it expects.
#[expect(clippy::large_enum_variant, reason = "there are some dozens of them, read once")]
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Sends one request to the primary, and checks the response.
    Ask {
        /// The method.
        #[serde(default = "get")]
        method: String,
        /// The path with its query.
        path: String,
        /// Headers of the request; `{name}` stands for a stored `ETag`.
        #[serde(default)]
        headers: IndexMap<String, String>,
        /// Its body.
        #[serde(default)]
        body: String,
        /// The accepted statuses.
        status: Vec<u16>,
        /// The expected body.
        answer: Option<String>,
        /// The expected `value` in the JSON object of the response.
        value: Option<i64>,
        /// The name under which to store the response's `ETag`.
        keep: Option<String>,
        /// The name of a stored `ETag` that this response's must differ from.
        differs: Option<String>,
    },
    /// Writes a new value to each record, retries until each write is acknowledged, and remembers the values.
    Put {
        /// The number of records: `k-1`, `k-2`, …
        count: usize,
        /// The number of concurrent writes.
        #[serde(default = "one")]
        at_once: usize,
        /// The minimum length of a value, in bytes.
        #[serde(default)]
        bytes: usize,
        /// Timeout of each write.
        #[serde(default = "five_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Deletes the first of those records.
    Delete {
        /// The number of records.
        count: usize,
    },
    /// Reads everything that was written: each record must have its last acknowledged value.
    Kept {
        /// How long it may take until every record is there.
        #[serde(default = "five_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Reads everything that was written from every node's local copy.
    Everywhere {
        /// How long it may take until every record is there.
        #[serde(deserialize_with = "span")]
        within: Duration,
    },
    /// Starts clients that write in the background without pause, each to its own records.
    Writers {
        /// The number of clients.
        count: usize,
    },
    /// Stops the writers and checks their results.
    Written {
        /// The minimum number of acknowledged writes.
        at_least: usize,
        /// The longest time that may have passed without an acknowledged write.
        #[serde(default, deserialize_with = "maybe_span")]
        gap: Option<Duration>,
    },
    /// Kills a node (SIGKILL) and all processes that it has started.
    Kill {
        /// The node.
        #[serde(default)]
        node: Who,
    },
    /// Restarts the killed nodes on their data.
    Restart {},
    /// Freezes a node (SIGSTOP) and all processes that it has started.
    Freeze {
        /// The node.
        #[serde(default)]
        node: Who,
    },
    /// Resumes the frozen nodes (SIGCONT).
    Thaw {},
    /// Sends writes to the frozen nodes, resumes them, and remembers which writes they acknowledge.
    Wake {
        /// The number of writes to each.
        writes: usize,
    },
    /// Waits.
    Wait {
        /// The time to wait.
        #[serde(deserialize_with = "span")]
        time: Duration,
    },
    /// Many clients change one record concurrently, each on the condition that it is unchanged since they read it:
    /// exactly one must succeed.
    Race {
        /// The number of clients.
        count: usize,
        /// The number of rounds.
        rounds: usize,
    },
    /// Adds 1 to one record many times; the final sum must be right.
    Add {
        /// The number of additions.
        count: usize,
        /// The number of concurrent additions.
        at_once: usize,
        /// Whether each addition is sent twice at the same time under one idempotency key.
        #[serde(default)]
        named_twice: bool,
    },
    /// Sends a write to every node: the primary carries it out; any other node does as well, or redirects to the
    /// primary (307).
    Redirects {},
    /// Sends a write to the primary that must not be acknowledged.
    Unacknowledged {
        /// How long to wait for an acknowledgement that must not come.
        #[serde(default = "two_seconds", deserialize_with = "span")]
        within: Duration,
    },
    /// Writes while it reads the replicas' copies, and checks their age against the lag they report (`X-Lag-Ms`).
    Ages {
        /// The duration.
        #[serde(deserialize_with = "span")]
        over: Duration,
        /// How much older than reported a copy may be.
        #[serde(deserialize_with = "span")]
        slack: Duration,
        /// Whether there are frozen nodes, to be read from as they wake up.
        #[serde(default)]
        wake: bool,
    },
    /// Starts clients that read and write the same records through all nodes and record a history.
    Clients {
        /// The number of clients.
        count: usize,
        /// The number of records that they share.
        records: usize,
    },
    /// Stops the clients and checks that their history is linearizable.
    Linearizable {
        /// The minimum number of completed operations.
        at_least: usize,
    },
}

fn one() -> usize {
    1
}

impl Stages<Act> {
    /// Returns the stages of a database.
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
