//! One fill of the cache, and all who wait for it.

use std::time::Instant;

use tokio::sync::watch;

use super::{Document, StoreError};

/// What a fill came to.
pub(super) type Outcome = Result<Option<Document>, StoreError>;

/// A fill that is under way, for those who wait for it.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    /// When the database was asked.
    pub(super) began: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// A fill that is under way, for the one who does it.
#[derive(Debug)]
#[must_use = "whoever has it is the only one who asks the database"]
pub(super) struct Filler {
    /// The same fill, for those who wait.
    pub(super) fill: Fill,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Filler {
    /// A fill that begins now.
    pub(super) fn begin(now: Instant) -> Self {
        let (sender, receiver) = watch::channel(None);
        Self { fill: Fill { began: now, outcome: receiver }, outcome: sender }
    }

    /// Tells all who wait.
    pub(super) fn tell(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Fill {
    /// Waits for the outcome; no longer than one call to the database takes, which has a limit.
    pub(super) async fn outcome(mut self) -> Outcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("it was waited for"),
            Err(_) => Err(StoreError::ReadGivenUp),
        }
    }

    /// True when somebody is doing it. False when they died of it.
    pub(super) fn is_under_way(&self) -> bool {
        self.outcome.has_changed().is_ok()
    }

    /// True when both are the same fill.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.outcome.same_channel(&other.outcome)
    }
}
