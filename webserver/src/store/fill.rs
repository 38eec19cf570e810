//! One fill of the cache, which all its readers wait for (single-flight).

use std::time::Instant;

use tokio::sync::watch;

use super::{Document, StoreError};

/// The result of a fill.
pub(super) type Outcome = Result<Option<Document>, StoreError>;

/// A fill in progress, as its waiting readers see it.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    /// When the database was asked.
    pub(super) began: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// A fill in progress, as its owner sees it.
#[derive(Debug)]
#[must_use = "whoever has it is the only one who asks the database"]
pub(super) struct Filler {
    /// The same fill, for waiting readers.
    pub(super) fill: Fill,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Filler {
    /// Starts a fill now.
    pub(super) fn begin(now: Instant) -> Self {
        let (sender, receiver) = watch::channel(None);
        Self { fill: Fill { began: now, outcome: receiver }, outcome: sender }
    }

    /// Delivers the result to all waiting readers.
    pub(super) fn tell(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Fill {
    /// Waits for the result, at most for the time limit of one database call.
    pub(super) async fn outcome(mut self) -> Outcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("it was waited for"),
            Err(_) => Err(StoreError::ReadGivenUp),
        }
    }

    /// True until its owner is dropped, which ends the fill even without a result.
    pub(super) fn is_under_way(&self) -> bool {
        self.outcome.has_changed().is_ok()
    }

    /// True if both are the same fill.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.outcome.same_channel(&other.outcome)
    }
}
