//! Which adverts are news, and which were said before.
//!
//! Each advert carries a number greater than that of the one before, and the *incarnation* of the process that
//! sends it: when it was started, by its own clock. Of one incarnation a number that is not greater is a repetition,
//! and a later incarnation is a process that was started again.
//!
//! A process that was started again after its clock was set back has an earlier incarnation, as a recorded advert
//! does. It is told from a recording by the echo, the number that it heard from this side last: what its former self
//! said echoes nothing that was sent after that was heard last.
//!
//! A process that has heard nothing yet believes any signed advert. So one that has just been started can be shown a
//! recording until the other one speaks.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

/// The numbers that an advert carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When the process that says it was started, in microseconds since 1970 by its own clock.
    pub incarnation: u64,
    /// Greater than that of the advert before.
    pub number: u64,
    /// The greatest number that it has heard from the other one; 0 for none.
    pub echo: u64,
}

/// The numbers of what one of the two says, and of what it has heard.
#[derive(Debug)]
pub struct Sequence {
    incarnation: u64,
    /// The number of the latest advert, at first the incarnation: so numbers tell how long ago they were sent.
    sent: u64,
    /// Incarnation and number of the latest advert of the other one.
    heard: Option<(u64, u64)>,
    /// The number that had been sent when that was heard.
    sent_before: u64,
    /// The latest incarnation that the other one has ever had.
    latest_incarnation: u64,
}

impl Sequence {
    /// Of a process that was started at this time, in microseconds since 1970.
    pub fn new(incarnation: u64) -> Self {
        Self { incarnation, sent: incarnation, heard: None, sent_before: incarnation, latest_incarnation: 0 }
    }

    /// The numbers of the next advert. `running` is how long this process has been running.
    pub fn next_stamp(&mut self, running: Duration) -> Stamp {
        let now = u64::try_from(running.as_micros()).unwrap_or(u64::MAX);
        self.sent = self.incarnation.saturating_add(now).max(self.sent.saturating_add(1));
        let echo = self.heard.map_or(0, |(_, number)| number);
        Stamp { incarnation: self.incarnation, number: self.sent, echo }
    }

    /// True when an advert with these numbers is news. Then it is the latest from now on.
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

    /// Some time in this century, in microseconds.
    const START: u64 = 1_800_000_000_000_000;
    const HOUR: u64 = 3_600_000_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Two that have heard each other.
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
