//! Replay protection: decides which adverts are new.
//!
//! Each advert carries a number greater than the one before, and the *incarnation* of its sender: the time at which
//! the process started, by its own clock. Within an incarnation, a number that is not greater is a replay; a later
//! incarnation is a process that was restarted.
//!
//! If a process is restarted after its clock was set back, its incarnation is earlier, as in a replayed advert. The
//! echo tells the two apart: it is the number that the sender last heard from this side. A replay of the sender's
//! earlier incarnation cannot echo a number that was sent after its latest advert arrived.
//!
//! A process that has heard nothing yet believes any signed advert. So just after its start it can be deceived by a
//! replay, until the real peer speaks.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

/// The numbers that an advert carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When the sending process started, in microseconds since 1970 by its own clock.
    pub incarnation: u64,
    /// Greater than the number of the advert before.
    pub number: u64,
    /// The greatest number that the sender has heard from its peer; 0 for none.
    pub echo: u64,
}

/// The numbers that one balancer has sent and heard.
#[derive(Debug)]
pub struct Sequence {
    incarnation: u64,
    /// The number of the latest advert. It starts at the incarnation, so numbers also tell when an advert was sent.
    sent: u64,
    /// Incarnation and number of the peer's latest advert.
    heard: Option<(u64, u64)>,
    /// The number that had been sent when the latest advert was heard.
    sent_before: u64,
    /// The latest incarnation that the peer has ever had.
    latest_incarnation: u64,
}

impl Sequence {
    /// Creates the sequence of a process that started at this time, in microseconds since 1970.
    pub fn new(incarnation: u64) -> Self {
        Self { incarnation, sent: incarnation, heard: None, sent_before: incarnation, latest_incarnation: 0 }
    }

    /// Returns the numbers of the next advert. `running` is the process's uptime.
    pub fn next_stamp(&mut self, running: Duration) -> Stamp {
        let now = u64::try_from(running.as_micros()).unwrap_or(u64::MAX);
        self.sent = self.incarnation.saturating_add(now).max(self.sent.saturating_add(1));
        let echo = self.heard.map_or(0, |(_, number)| number);
        Stamp { incarnation: self.incarnation, number: self.sent, echo }
    }

    /// Returns true if an advert with these numbers is new, and remembers it as the latest.
    pub fn accept(&mut self, stamp: Stamp) -> bool {
        let answers = self.sent_before < stamp.echo && stamp.echo <= self.sent;
        let is_news = match self.heard {
            None => true,
            Some((incarnation, number)) if stamp.incarnation == incarnation => stamp.number > number,
            Some(_) => stamp.incarnation > self.latest_incarnation || answers,
        };
        if is_news {
            self.heard = Some((stamp.incarnation, stamp.number));
            self.sent_before = self.sent;
            self.latest_incarnation = self.latest_incarnation.max(stamp.incarnation);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time in this century, in microseconds.
    const START: u64 = 1_800_000_000_000_000;
    const HOUR: u64 = 3_600_000_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Two balancers that have heard each other.
    fn acquainted() -> (Sequence, Sequence) {
        let (mut one, mut other) = (Sequence::new(START), Sequence::new(START + HOUR));
        assert!(other.accept(one.next_stamp(ms(0))));
        assert!(one.accept(other.next_stamp(ms(0))));
        (one, other)
    }

    #[test]
    fn numbers_go_up_also_when_no_time_passes() {
        let mut one = Sequence::new(START);
        let numbers = [ms(0), ms(0), ms(200), ms(100)].map(|running| one.next_stamp(running).number);
        assert_eq!(numbers, [START + 1, START + 2, START + 200_000, START + 200_001]);
    }

    #[test]
    fn an_advert_that_is_repeated_or_older_is_no_news() {
        let (mut one, mut other) = acquainted();
        let (first, second) = (other.next_stamp(ms(200)), other.next_stamp(ms(400)));
        assert!(one.accept(first));
        assert!(!one.accept(first), "again");
        assert!(one.accept(second));
        assert!(!one.accept(first), "late");
    }

    #[test]
    fn one_that_is_started_again_is_believed_and_its_former_self_is_not() {
        let (mut one, mut other) = acquainted();
        assert!(other.accept(one.next_stamp(ms(100))));
        let recorded = other.next_stamp(ms(200));
        let mut again = Sequence::new(START + 2 * HOUR);
        assert!(one.accept(again.next_stamp(ms(0))));
        assert!(!one.accept(recorded));
        assert!(again.accept(one.next_stamp(ms(300))));
        assert!(one.accept(again.next_stamp(ms(100))));
        assert!(!one.accept(recorded));
    }

    #[test]
    fn one_whose_clock_was_set_back_is_believed_once_it_has_heard_this_side() {
        let (mut one, mut other) = acquainted();
        assert!(other.accept(one.next_stamp(ms(100))));
        let recorded = other.next_stamp(ms(200));
        assert!(one.accept(recorded));
        let mut again = Sequence::new(START - HOUR);
        assert!(!one.accept(again.next_stamp(ms(0))), "it may be a recording");
        assert!(again.accept(one.next_stamp(ms(300))));
        assert!(one.accept(again.next_stamp(ms(100))));
        assert!(!one.accept(recorded), "although its incarnation is later");
        assert!(one.accept(again.next_stamp(ms(200))));
    }

    #[test]
    fn an_echo_of_nothing_proves_nothing() {
        let (mut one, _) = acquainted();
        let stamp = Stamp { incarnation: START - HOUR, number: START + HOUR, echo: 0 };
        one.next_stamp(ms(100));
        for echo in [0, START, START + 1, START + HOUR, u64::MAX] {
            assert!(!one.accept(Stamp { echo, ..stamp }), "{echo}");
        }
        assert!(one.accept(Stamp { echo: START + 100_000, ..stamp }));
    }
}
