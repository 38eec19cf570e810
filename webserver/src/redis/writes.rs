//! Whether Redis takes writes, and what that says of the copies in it. Decides only; time is an argument.
//!
//! A copy may be shown only while whoever writes could remove it. So each server tries a write, again and
//! again, and believes copies for `LEASE` after the last one that was taken:
//!
//! ```text
//! unknown ──> accepted or full (copies are believed) <──> refused (they are not)
//!    ^                                                        │
//!    └────────────── the connection is lost ──────────────────┘
//! ```
//!
//! A server that cannot remove a copy answers its writer when the lease of all the others has run out: by then
//! none of them believes it. When Redis takes writes again, what was there before is believed no more.

#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use super::refusal::{Meaning, Refusal};

/// For so long after a write that was taken, copies are believed without another one.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// What is known of how Redis takes writes.
#[derive(Debug, Default)]
pub(super) struct Writes {
    standing: Standing,
    /// When the last probe was sent whose writes were taken.
    taken_at: Option<Instant>,
    /// Since when it has refused without a break.
    refused_since: Option<Instant>,
    /// Not only something, but everything: it did not take a probe, or another server was asked.
    interrupted: bool,
    /// Copies from before this are not believed. In milliseconds of Redis' own clock.
    believed_from: u64,
}

/// How Redis takes writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Standing {
    /// There is no connection, or it was not tried yet.
    #[default]
    Unknown,
    /// It takes them.
    Accepted,
    /// It takes nothing new, but removes what is there.
    Full(Refusal),
    /// It does not take them.
    Refused(Refusal),
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// The time by Redis' own clock, in milliseconds.
    pub(super) clock: u64,
    /// The first thing that it refused.
    pub(super) refused: Option<Refusal>,
}

impl Writes {
    /// How Redis takes writes.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// A probe that was sent then was answered now. True when Redis stands otherwise than before.
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

    /// Redis refused a request, and perhaps those of others.
    pub(super) fn refused(&mut self, now: Instant) {
        self.refused_since.get_or_insert(now);
    }

    /// Redis refuses everybody; or what it was told is not known to the one that is asked from now on.
    pub(super) fn interrupted(&mut self, now: Instant) {
        self.refused(now);
        self.interrupted = true;
    }

    /// There is no connection any more.
    pub(super) fn lost(&mut self) {
        self.standing = Standing::Unknown;
        self.taken_at = None;
    }

    /// From when on copies are believed, by Redis' own clock in milliseconds; none when no copy is.
    pub(super) fn believed_from(&self, now: Instant) -> Option<u64> {
        let taken_at = self.taken_at?;
        (now.saturating_duration_since(taken_at) < LEASE).then_some(self.believed_from)
    }

    /// True when it did so when it was last tried.
    pub(super) fn refuses(&self) -> bool {
        matches!(self.standing, Standing::Refused(_))
    }

    /// When every server knows that Redis refuses writes; none while it takes them.
    pub(super) fn known_to_all(&self) -> Option<Instant> {
        self.refused_since.map(|since| since + LEASE)
    }
}

impl Standing {
    /// What tells one from another: numbers in what Redis says may change each time.
    fn word(&self) -> (u8, &'static str) {
        match self {
            Self::Unknown => (0, ""),
            Self::Accepted => (1, ""),
            Self::Full(refusal) => (2, refusal.word),
            Self::Refused(refusal) => (3, refusal.word),
        }
    }

    /// True when whoever knows this wonders about that refusal no more.
    pub(super) fn explains(&self, refusal: &Refusal) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Full(known) => known.word == refusal.word,
            Self::Unknown | Self::Accepted => false,
        }
    }

    /// As it stands in the metrics.
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
