//! Decides whether Redis takes writes, and so whether its copies can be trusted. Pure; time is an argument.
//!
//! A copy may be served only while a writer could remove it. So each server probes with a write periodically,
//! and trusts copies for `LEASE` after the last probe that succeeded:
//!
//! ```text
//! unknown ──> accepted or full (copies are believed) <──> refused (they are not)
//!    ^                                                        │
//!    └────────────── the connection is lost ──────────────────┘
//! ```
//!
//! A server that cannot remove a copy responds to its writer only when the leases of all servers have expired:
//! by then none of them trusts the copy. When Redis takes writes again, older copies are no longer trusted.

#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use super::refusal::{Meaning, Refusal};

/// How long copies are trusted after the last successful probe.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// How Redis takes writes, as far as known.
#[derive(Debug, Default)]
pub(super) struct Writes {
    standing: Standing,
    /// When the last successful probe was sent.
    taken_at: Option<Instant>,
    /// Since when it has refused writes without interruption.
    refused_since: Option<Instant>,
    /// True after Redis refused a whole probe or another server became the primary, so that old copies may be
    /// stale.
    interrupted: bool,
    /// Older copies are not trusted. In milliseconds of Redis' own clock.
    believed_from: u64,
}

/// How Redis takes writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Standing {
    /// There is no connection, or no probe yet.
    #[default]
    Unknown,
    /// It takes writes.
    Accepted,
    /// It takes no new data, but removes data.
    Full(Refusal),
    /// It takes no writes.
    Refused(Refusal),
}

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// The time by Redis' own clock, in milliseconds.
    pub(super) clock: u64,
    /// The first refusal, if there was one.
    pub(super) refused: Option<Refusal>,
}

impl Writes {
    /// How Redis takes writes.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Records the result of a probe that was sent at `sent`. Returns true if it differs from the one before.
    pub(super) fn probed(&mut self, sent: Instant, now: Instant, probe: Probe) -> bool {
        let standing = match probe.refused {
            None => Standing::Accepted,
            Some(refusal) if refusal.meaning == Meaning::Full => Standing::Full(refusal),
            Some(refusal) => Standing::Refused(refusal),
        };
        if let Standing::Refused(_) = standing {
            self.taken_at = None;
            self.interrupted(now);
        } else {
            self.taken_at = Some(sent);
            self.refused_since = None;
            if std::mem::take(&mut self.interrupted) {
                self.believed_from = probe.clock;
            }
        }
        let changed = standing.word() != self.standing.word();
        self.standing = standing;
        changed
    }

    /// Notes that Redis refused a request, and perhaps those of other servers.
    pub(super) fn refused(&mut self, now: Instant) {
        self.refused_since.get_or_insert(now);
    }

    /// Notes that Redis refuses all writes, or that the primary has changed and may have missed removals.
    pub(super) fn interrupted(&mut self, now: Instant) {
        self.refused(now);
        self.interrupted = true;
    }

    /// Notes that the connection is lost.
    pub(super) fn lost(&mut self) {
        self.standing = Standing::Unknown;
        self.taken_at = None;
    }

    /// Returns the time from which copies are trusted, by Redis' own clock in milliseconds; `None` if none
    /// are.
    pub(super) fn believed_from(&self, now: Instant) -> Option<u64> {
        let taken_at = self.taken_at?;
        (now.saturating_duration_since(taken_at) < LEASE).then_some(self.believed_from)
    }

    /// True if the last probe was refused.
    pub(super) fn refuses(&self) -> bool {
        matches!(self.standing, Standing::Refused(_))
    }

    /// Returns when every server knows that Redis refuses writes; `None` while it takes them.
    pub(super) fn known_to_all(&self) -> Option<Instant> {
        self.refused_since.map(|since| since + LEASE)
    }
}

impl Standing {
    /// Identifies the state; the numbers in a message of Redis may change each time.
    fn word(&self) -> (u8, &'static str) {
        match self {
            Self::Unknown => (0, ""),
            Self::Accepted => (1, ""),
            Self::Full(refusal) => (2, refusal.word),
            Self::Refused(refusal) => (3, refusal.word),
        }
    }

    /// True if this state already explains that refusal.
    pub(super) fn explains(&self, refusal: &Refusal) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Full(known) => known.word == refusal.word,
            Self::Unknown | Self::Accepted => false,
        }
    }

    /// The label in the metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Full(_) => "full",
            Self::Refused(_) => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn taken(clock: u64) -> Probe {
        Probe { clock, refused: None }
    }

    fn refusing(said: &str) -> Probe {
        Probe { clock: 0, refused: Some(Refusal::of(said)) }
    }

    #[test]
    fn copies_are_believed_for_a_lease_after_the_last_write_that_was_taken() {
        let sent = some_moment();
        let mut writes = Writes::default();
        assert_eq!(writes.believed_from(sent), None, "nothing was tried yet");
        assert!(writes.probed(sent, sent + MILLISECOND, taken(7)));
        assert_eq!(writes.believed_from(sent + LEASE - MILLISECOND), Some(0));
        assert_eq!(writes.believed_from(sent + LEASE), None);
        assert!(!writes.probed(sent + LEASE, sent + LEASE, taken(8)), "it stands as before");
        assert_eq!(writes.believed_from(sent + LEASE), Some(0));
    }

    #[test]
    fn a_refusal_ends_the_lease_at_once_and_what_was_there_before_is_not_believed_after_it() {
        let now = some_moment();
        let mut writes = Writes::default();
        writes.probed(now, now, taken(1_000));
        assert!(writes.probed(now, now, refusing("MISCONF disk")));
        assert_eq!(writes.believed_from(now), None);
        assert!(!writes.probed(now, now, refusing("MISCONF disk, again")), "said once");
        assert!(writes.probed(now, now, refusing("NOREPLICAS none")), "another word is another change");
        assert!(writes.probed(now, now, taken(5_000)));
        assert_eq!(writes.believed_from(now), Some(5_000));
    }

    #[test]
    fn one_that_is_full_is_believed_because_it_removes_what_it_has() {
        let now = some_moment();
        let mut writes = Writes::default();
        writes.probed(now, now, taken(1));
        assert!(writes.probed(now, now, refusing("OOM command not allowed")));
        assert_eq!(writes.believed_from(now), Some(0));
        assert_eq!(writes.known_to_all(), None);
    }

    #[test]
    fn everybody_knows_a_lease_after_the_first_refusal() {
        let now = some_moment();
        let mut writes = Writes::default();
        writes.refused(now);
        writes.refused(now + MILLISECOND);
        writes.probed(now + MILLISECOND, now + MILLISECOND, refusing("MISCONF disk"));
        assert_eq!(writes.known_to_all(), Some(now + LEASE));
        writes.probed(now + LEASE, now + LEASE, taken(1));
        assert_eq!(writes.known_to_all(), None);
    }

    #[test]
    fn a_request_that_alone_is_refused_does_not_empty_the_cache() {
        let now = some_moment();
        let mut writes = Writes::default();
        writes.probed(now, now, taken(1));
        writes.refused(now);
        assert_eq!(writes.known_to_all(), Some(now + LEASE), "it may be more than that one");
        writes.probed(now, now, taken(9));
        assert_eq!((writes.known_to_all(), writes.believed_from(now)), (None, Some(0)));
    }

    #[test]
    fn a_lost_connection_ends_the_lease_and_its_refusal_is_not_forgotten() {
        let now = some_moment();
        let mut writes = Writes::default();
        writes.probed(now, now, taken(1));
        writes.probed(now, now, refusing("MISCONF disk"));
        writes.lost();
        assert_eq!((writes.believed_from(now), writes.standing()), (None, &Standing::Unknown));
        writes.probed(now, now, taken(9));
        assert_eq!(writes.believed_from(now), Some(9), "meanwhile something could not be removed");
    }

    #[test]
    fn a_connection_that_comes_back_finds_its_copies_and_another_primary_s_are_not_believed() {
        let now = some_moment();
        let mut writes = Writes::default();
        writes.probed(now, now, taken(1));
        writes.lost();
        writes.probed(now, now, taken(2));
        assert_eq!(writes.believed_from(now), Some(0));
        writes.lost();
        writes.interrupted(now);
        writes.probed(now, now, taken(3));
        assert_eq!(writes.believed_from(now), Some(3));
    }

    #[allow(clippy::disallowed_methods, reason = "some moment to count from")]
    fn some_moment() -> Instant {
        Instant::now()
    }
}
