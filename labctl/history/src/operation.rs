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
    /// After everything.
    pub const NEVER: Self = Self(u64::MAX);

    /// How long ago `earlier` was, in milliseconds.
    pub fn ms_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }
}

/// One operation on one record. A call that is tried again is one operation per try, with the same
/// `request`, for each try may have had the effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// Who asked. The operations of one session follow each other, but for those whose outcome is
    /// unknown: the session went on without waiting.
    pub session: String,
    /// Which record.
    pub key: String,
    /// What was asked.
    #[serde(flatten)]
    pub action: Action,
    /// The client's own name for a write; the same name has effect once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Which node answered, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Just before it was asked.
    pub invoked_at: At,
    /// Just after the answer came; none when none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<At>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// To give the record this value. The judges see more when no value is written twice.
    Put {
        /// The value, or a digest of it when it is large or not text.
        value: String,
    },
    /// To add to the record's value, a decimal number; a missing record counts as 0.
    Add {
        /// The amount to add; negative to subtract.
        by: i64,
    },
    /// To forget the record.
    Delete,
    /// To say what the record's value is.
    Get {
        /// How fresh the answer had to be.
        read: Read,
    },
}

/// How fresh an answer had to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// The node's own copy, which may be behind.
    Local,
    /// What was written last.
    Latest,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, and this was the answer.
    Ok(Answer),
    /// It was surely not done, and never will be: refused, or no connection was made.
    Failed(String),
    /// It may have been done, may be done later, or never: a timeout, a lost connection, 504.
    Unknown(String),
}

/// What an operation was answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A write was done.
    Done {
        /// The version it gave the record, when it was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// An addition was done.
    Sum {
        /// The record's value after it.
        value: i64,
        /// The version it gave the record, when it was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// A read found this.
    Found {
        /// The record's value.
        value: String,
        /// Its version, when it was told.
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
