//! Decides how long a server waits for a client, and which connection leaves if there is no room for
//! another. Times are relative to the server's start.

#![deny(clippy::disallowed_methods)]

use std::time::Duration;

/// The time limits for a client.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From the opening of a connection, or a later request's first byte, to the end of the head.
    pub header: Duration,
    /// From the end of a response to the next request's first byte.
    pub idle: Duration,
    /// How long a client may accept none of a response that is ready.
    pub write: Duration,
}

/// The lowest rate at which a client must accept a pending response after the time in [`Timeouts::write`],
/// in bytes per second.
const WRITE_RATE_MIN: u64 = 10 * 1024;

/// How long a connection may keep the server waiting when another one needs its place.
const GRACE: Duration = Duration::from_secs(1);

/// How long a connection without a request is kept while the server stops.
const GRACE_WHILE_STOPPING: Duration = Duration::from_millis(500);

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is open, and no request has been read yet.
    New,
    /// A later request's head is arriving.
    Head,
    /// A request is being answered.
    Working,
    /// A request's body is arriving.
    Body,
    /// Between an answer and the next request.
    Idle,
}

/// The state of a connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its phase.
    pub phase: Phase,
    /// When that phase began, since the start.
    pub since: Duration,
    /// Set if the client accepts its response more slowly than it is produced.
    pub blocked: Option<Blocked>,
}

/// A response that waits for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// When it began to wait.
    pub since: Duration,
    /// When the client last accepted bytes.
    pub progress: Duration,
    /// Bytes that the client has accepted since the wait began.
    pub bytes: u64,
}

/// What a client failed to do in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// It did not send its request's head.
    Head,
    /// It sent no further request.
    Idle,
    /// It did not accept its response.
    Answer,
}

impl View {
    /// Returns what the client failed to do in time, if anything. `stopping`: when the server began to
    /// stop.
    pub fn overdue(&self, now: Duration, limits: &Timeouts, stopping: Option<Duration>) -> Option<Overdue> {
        if self.blocked.is_some_and(|blocked| blocked.is_overdue(now, limits)) {
            return Some(Overdue::Answer);
        }
        let waited = now.saturating_sub(self.since);
        match self.phase {
            Phase::New | Phase::Head if waited > limits.header => Some(Overdue::Head),
            Phase::New if stopping.is_some_and(|since| now.saturating_sub(since) > GRACE_WHILE_STOPPING) => {
                Some(Overdue::Head)
            }
            Phase::Idle if waited > limits.idle => Some(Overdue::Idle),
            _ => None,
        }
    }

    /// Ranks connections for making room: the lowest rank leaves first. One that keeps the server waiting
    /// comes before one that is idle after a response, and among equals the one that has waited longest.
    /// `None` if the server itself is working on a request of the connection.
    pub fn leaves(&self, now: Duration) -> Option<(u8, Duration)> {
        if let Some(blocked) = self.blocked.filter(|blocked| now.saturating_sub(blocked.since) > GRACE) {
            return Some((0, blocked.since));
        }
        match self.phase {
            Phase::New | Phase::Head => Some((0, self.since)),
            Phase::Body if now.saturating_sub(self.since) > GRACE => Some((0, self.since)),
            Phase::Idle => Some((1, self.since)),
            Phase::Working | Phase::Body => None,
        }
    }
}

impl Blocked {
    fn is_overdue(&self, now: Duration, limits: &Timeouts) -> bool {
        let blocked = now.saturating_sub(self.since);
        let due = WRITE_RATE_MIN * blocked.saturating_sub(limits.write).as_secs();
        now.saturating_sub(self.progress) > limits.write || self.bytes < due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Timeouts = Timeouts {
        header: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(10),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn in_phase(phase: Phase) -> View {
        View { phase, since: seconds(100), blocked: None }
    }

    fn blocked(progress: u64, bytes: u64) -> View {
        let blocked = Blocked { since: seconds(100), progress: seconds(progress), bytes };
        View { blocked: Some(blocked), ..in_phase(Phase::Working) }
    }

    #[test]
    fn a_head_has_ten_seconds_and_silence_between_requests_more() {
        let after = |phase, waited: u64| in_phase(phase).overdue(seconds(100 + waited), &LIMITS, None);
        for phase in [Phase::New, Phase::Head] {
            assert_eq!((after(phase, 10), after(phase, 11)), (None, Some(Overdue::Head)), "{phase:?}");
        }
        assert_eq!((after(Phase::Idle, 75), after(Phase::Idle, 76)), (None, Some(Overdue::Idle)));
        assert_eq!(after(Phase::Working, 1_000), None);
    }

    #[test]
    fn a_reader_that_takes_nothing_or_hardly_anything_is_overdue() {
        let at = |view: View, now| view.overdue(seconds(now), &LIMITS, None);
        assert_eq!((at(blocked(100, 0), 110), at(blocked(100, 0), 111)), (None, Some(Overdue::Answer)));
        // A few bytes now and then are not enough; a slow line is.
        assert_eq!(at(blocked(159, 1_000), 160), Some(Overdue::Answer));
        assert_eq!(at(blocked(159, 60 * WRITE_RATE_MIN), 160), None);
    }

    #[test]
    fn one_that_sent_nothing_does_not_hold_up_the_stop() {
        let overdue = in_phase(Phase::New).overdue(seconds(103), &LIMITS, Some(seconds(102)));
        assert_eq!(overdue, Some(Overdue::Head));
        assert_eq!(in_phase(Phase::Working).overdue(seconds(103), &LIMITS, Some(seconds(102))), None);
    }

    #[test]
    fn those_who_never_asked_leave_before_those_who_did_and_nobody_who_is_served() {
        let now = seconds(200);
        let idle = View { since: seconds(1), ..in_phase(Phase::Idle) };
        let mut leave = [idle, in_phase(Phase::New), in_phase(Phase::Idle), in_phase(Phase::Body)];
        leave.sort_by_key(|view| view.leaves(now));
        let phases = leave.map(|view| (view.phase, view.since.as_secs()));
        assert_eq!(phases[2..], [(Phase::Idle, 1), (Phase::Idle, 100)]);
        assert_eq!(in_phase(Phase::Working).leaves(now), None);
        // A body, or a slow reader, has a grace period.
        assert_eq!(in_phase(Phase::Body).leaves(seconds(101)), None);
        assert_eq!(blocked(100, 0).leaves(seconds(101)), None);
        assert_eq!(blocked(100, 0).leaves(seconds(102)), Some((0, seconds(100))));
    }
}
