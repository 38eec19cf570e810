//! One operation: its invocation and its outcome.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time: nanoseconds on one monotonic clock, the same for every operation of a run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct At(pub u64);

impl At {
    /// Later than every other point in time.
    pub const NEVER: Self = Self(u64::MAX);

    /// Milliseconds from `earlier` to this point.
    pub fn ms_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }
}

/// One operation on one record. Each try of a repeated call is an operation of its own, with the same
/// `request`, because each may have taken effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// The session that invoked it. The operations of one session follow each other, except those of unknown
    /// outcome: there the session went on without waiting.
    pub session: String,
    /// The key of the record.
    pub key: String,
    /// The action.
    #[serde(flatten)]
    pub action: Action,
    /// The client's own name for a write (its idempotency key); writes with the same name take effect once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The node that answered, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The moment just before it was sent.
    pub invoked_at: At,
    /// The moment just after the answer arrived; absent without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<At>,
    /// The outcome.
    pub outcome: Outcome,
}

/// The action of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Sets the record's value. The judges see more if no value is written twice.
    Put {
        /// The value, or a digest of it if it is large or not text.
        value: String,
    },
    /// Adds to the record's value, a decimal number; a missing record counts as 0.
    Add {
        /// The amount to add; negative to subtract.
        by: i64,
    },
    /// Deletes the record.
    Delete,
    /// Reads the record's value.
    Get {
        /// The freshness required of the answer.
        read: Read,
    },
}

/// The freshness required of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// The node's own copy, which may lag behind.
    Local,
    /// The latest write.
    Latest,
}

/// The outcome of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeded, with this answer.
    Ok(Answer),
    /// It definitely did not take effect, and never will: refused, or no connection was made.
    Failed(String),
    /// It may have taken effect, may do so later, or never: a timeout, a lost connection, 504.
    Unknown(String),
}

/// The answer to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A write succeeded.
    Done {
        /// The record's new version, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// An addition succeeded.
    Sum {
        /// The record's value after it.
        value: i64,
        /// The record's new version, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// A read found this value.
    Found {
        /// The record's value.
        value: String,
        /// Its version, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// A read found no such record.
    Absent,
}

impl Operation {
    /// True if it is a write of any kind.
    pub fn is_write(&self) -> bool {
        !matches!(self.action, Action::Get { .. })
    }

    /// The answer, if it succeeded.
    pub fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Ok(answer) => Some(answer),
            Outcome::Failed(_) | Outcome::Unknown(_) => None,
        }
    }

    /// True if it is a write that was acknowledged.
    pub fn is_acknowledged_write(&self) -> bool {
        self.is_write() && self.answer().is_some()
    }

    /// True if it may have changed the record: a write that was not definitely refused.
    pub fn may_have_written(&self) -> bool {
        self.is_write() && !matches!(self.outcome, Outcome::Failed(_))
    }

    /// The moment by which it had definitely taken effect: its acknowledgement, or [`At::NEVER`].
    pub fn surely_done_at(&self) -> At {
        match self.outcome {
            Outcome::Ok(_) => self.returned_at.unwrap_or(At::NEVER),
            Outcome::Failed(_) | Outcome::Unknown(_) => At::NEVER,
        }
    }

    /// The value of the record just after it, as far as this operation reveals it. `Some(None)` means that
    /// there was no such record.
    pub fn value_after(&self) -> Option<Option<String>> {
        match (&self.action, self.answer()) {
            (Action::Put { value }, _) => Some(Some(value.clone())),
            (Action::Delete, _) => Some(None),
            (_, Some(Answer::Sum { value, .. })) => Some(Some(value.to_string())),
            (_, Some(Answer::Found { value, .. })) => Some(Some(value.clone())),
            (Action::Get { .. }, Some(Answer::Absent)) => Some(None),
            _ => None,
        }
    }

    /// The version of the record just after it, if the answer contains one.
    pub fn version(&self) -> Option<u64> {
        match self.answer()? {
            Answer::Done { version } | Answer::Sum { version, .. } | Answer::Found { version, .. } => {
                *version
            }
            Answer::Absent => None,
        }
    }
}

/// Formats the operation for people: `add 50 -> 150`, `get -> nothing`, `put "a" (unknown)`.
impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Put { value } => write!(formatter, "put {value}")?,
            Action::Add { by } => write!(formatter, "add {by}")?,
            Action::Delete => write!(formatter, "delete")?,
            Action::Get { .. } => write!(formatter, "get")?,
        }
        match &self.outcome {
            Outcome::Ok(Answer::Done { .. }) => Ok(()),
            Outcome::Ok(Answer::Sum { value, .. }) => write!(formatter, " -> {value}"),
            Outcome::Ok(Answer::Found { value, .. }) => write!(formatter, " -> {value}"),
            Outcome::Ok(Answer::Absent) => write!(formatter, " -> nothing"),
            Outcome::Failed(_) => write!(formatter, " (refused)"),
            Outcome::Unknown(_) => write!(formatter, " (unknown)"),
        }
    }
}
