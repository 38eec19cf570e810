//! The record of one name: which of its addresses are published and in what order, and when it is looked up
//! again.
//!
//! ```text
//!            an answer                      an answer: the same addresses, or others
//!   Asking ─────────────▶ Known ───────────────────────────────────────────▶ Known
//!      │                    ▲   no answer: the last addresses are kept ────▶ Known
//!      │ no answer          │ an answer
//!      └────────────────▶ Unknown
//! ```
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time from the end of one lookup to the next.
const LOOK_UP_EVERY: Duration = Duration::from_secs(2);

/// The same after the first failure of a name that has never been resolved; doubled with each failure, up to a
/// second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const UNKNOWN_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The same if a connection has failed: the name may have moved.
const DOUBT_PAUSE: Duration = Duration::from_millis(500);

/// The most addresses that are kept per name.
const ADDRESSES_MAX: usize = 16;

/// The result of the lookups of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The first lookup has not ended.
    Asking,
    /// No lookup has ever found an address; this is why the last one failed.
    Unknown(Arc<str>),
    /// Its addresses, never empty. The first one is in use; the others are tried when it accepts no connection.
    Known(Arc<[SocketAddr]>),
}

/// The record of a name.
#[derive(Debug)]
pub(super) struct Record {
    standing: Standing,
    /// Failed lookups in a row.
    failures: u32,
}

/// A change that is worth a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// It has never been resolved, for this reason.
    Unknown(Arc<str>),
    /// It is resolved for the first time, after it was unknown.
    Found,
    /// It resolves to other addresses.
    Moved,
    /// Its lookup fails, for this reason; the last addresses are kept.
    Kept(Arc<str>),
    /// Its lookup succeeds again, with the same addresses.
    FoundAgain,
}

impl Record {
    /// Creates the record of a name that has not been looked up yet.
    pub(super) fn new() -> Self {
        Self { standing: Standing::Asking, failures: 0 }
    }

    /// The current result.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Records the end of a lookup: addresses, or why there are none.
    pub(super) fn answered(&mut self, answer: Result<Vec<SocketAddr>, String>) -> Option<News> {
        match answer {
            Ok(found) if !found.is_empty() => self.found(interleaved(found)),
            Ok(_) => self.not_found("it has no address".into()),
            Err(why) => self.not_found(why.into()),
        }
    }

    fn found(&mut self, mut found: Vec<SocketAddr>) -> Option<News> {
        let failures = std::mem::take(&mut self.failures);
        let news = match &self.standing {
            Standing::Asking => None,
            Standing::Unknown(_) => Some(News::Found),
            Standing::Known(before) if is_same_set(before, &found) => {
                // Name servers shuffle addresses; the order in use has been tried.
                return (failures > 0).then_some(News::FoundAgain);
            }
            Standing::Known(before) => {
                move_to_front(&mut found, before[0]);
                Some(News::Moved)
            }
        };
        self.standing = Standing::Known(found.into());
        news
    }

    fn not_found(&mut self, why: Arc<str>) -> Option<News> {
        self.failures = self.failures.saturating_add(1);
        let is_first = self.failures == 1;
        match self.standing {
            Standing::Known(_) => is_first.then_some(News::Kept(why)),
            Standing::Asking | Standing::Unknown(_) => {
                self.standing = Standing::Unknown(Arc::clone(&why));
                is_first.then_some(News::Unknown(why))
            }
        }
    }

    /// Notes that a connection to this address was accepted, and tries it first from now on. Returns true if that
    /// is a change.
    pub(super) fn connected(&mut self, address: SocketAddr) -> bool {
        let Standing::Known(addresses) = &self.standing else { return false };
        if addresses[0] == address || !addresses.contains(&address) {
            return false;
        }
        let mut addresses = addresses.to_vec();
        move_to_front(&mut addresses, address);
        self.standing = Standing::Known(addresses.into());
        true
    }

    /// Returns when the next lookup is due, after one that `ended`; earlier if the addresses are in doubt.
    pub(super) fn next_look_up(&self, ended: Instant, in_doubt: bool) -> Instant {
        let pause = match self.standing {
            Standing::Unknown(_) => FIRST_PAUSE
                .saturating_mul(1 << self.failures.saturating_sub(1).min(10))
                .min(UNKNOWN_PAUSE_MAX),
            Standing::Asking | Standing::Known(_) => LOOK_UP_EVERY,
        };
        ended + if in_doubt { pause.min(DOUBT_PAUSE) } else { pause }
    }
}

/// Removes duplicates and interleaves the two address families (RFC 8305, section 4): if one family does not work
/// at all, the second attempt uses the other.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let begins_with_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == begins_with_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            order.truncate(ADDRESSES_MAX);
            return order;
        }
        for address in pair.into_iter().flatten() {
            if !order.contains(&address) {
                order.push(address);
            }
        }
    }
}

fn is_same_set(before: &[SocketAddr], now: &[SocketAddr]) -> bool {
    before.len() == now.len() && before.iter().all(|address| now.contains(address))
}

/// Moves this address to the front, if it is among them; the others keep their order.
fn move_to_front(addresses: &mut [SocketAddr], first: SocketAddr) {
    if let Some(place) = addresses.iter().position(|address| *address == first) {
        addresses[..=place].rotate_right(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test needs some moment to begin with")]

    use super::*;

    fn addresses(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn known(text: &[&str]) -> Standing {
        Standing::Known(addresses(text).into())
    }

    fn failed() -> Result<Vec<SocketAddr>, String> {
        Err("no answer".into())
    }

    fn record_of(text: &[&str]) -> Record {
        let mut record = Record::new();
        assert_eq!(record.answered(Ok(addresses(text))), None);
        record
    }

    #[test]
    fn the_last_addresses_are_kept_while_nothing_is_found() {
        let mut record = record_of(&["10.0.0.1:80"]);
        assert_eq!(record.answered(failed()), Some(News::Kept("no answer".into())));
        assert_eq!(record.answered(Ok(vec![])), None, "said once");
        assert_eq!(*record.standing(), known(&["10.0.0.1:80"]));
        assert_eq!(record.answered(Ok(addresses(&["10.0.0.1:80"]))), Some(News::FoundAgain));
        assert_eq!(record.answered(Ok(addresses(&["10.0.0.2:80"]))), Some(News::Moved));
        assert_eq!(*record.standing(), known(&["10.0.0.2:80"]));
    }

    #[test]
    fn a_name_that_never_led_anywhere_is_unknown_until_it_does() {
        let mut record = Record::new();
        assert_eq!(*record.standing(), Standing::Asking);
        assert_eq!(record.answered(failed()), Some(News::Unknown("no answer".into())));
        assert_eq!(record.answered(failed()), None, "said once");
        assert_eq!(*record.standing(), Standing::Unknown("no answer".into()));
        assert_eq!(record.answered(Ok(addresses(&["10.0.0.1:80"]))), Some(News::Found));
    }

    #[test]
    fn families_take_turns_and_each_address_has_one() {
        let found = ["[::1]:1", "[::2]:1", "[::1]:1", "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"];
        let order = ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "10.0.0.3:1"];
        assert_eq!(*record_of(&found).standing(), known(&order));
    }

    #[test]
    fn the_address_that_accepted_stays_first_as_long_as_the_name_has_it() {
        let mut record = record_of(&["[::1]:80", "127.0.0.1:80"]);
        assert!(record.connected("127.0.0.1:80".parse().unwrap()));
        assert!(!record.connected("127.0.0.1:80".parse().unwrap()), "nothing new");
        assert!(!record.connected("127.0.0.9:80".parse().unwrap()), "an old one");
        assert_eq!(*record.standing(), known(&["127.0.0.1:80", "[::1]:80"]));
        assert_eq!(record.answered(Ok(addresses(&["[::1]:80", "127.0.0.1:80"]))), None, "shuffled");
        assert_eq!(*record.standing(), known(&["127.0.0.1:80", "[::1]:80"]));
        record.answered(Ok(addresses(&["[::5]:80", "127.0.0.1:80"])));
        assert_eq!(*record.standing(), known(&["127.0.0.1:80", "[::5]:80"]));
    }

    #[test]
    fn an_unknown_name_is_looked_up_soon_and_a_known_one_in_its_time() {
        let (mut record, ended) = (Record::new(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..7 {
            record.answered(failed());
            pauses.push((record.next_look_up(ended, false) - ended).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(record.next_look_up(ended, true), ended + DOUBT_PAUSE, "asked for by somebody");
        record.answered(Ok(addresses(&["10.0.0.1:80"])));
        assert_eq!(record.next_look_up(ended, false), ended + LOOK_UP_EVERY);
        assert_eq!(record.next_look_up(ended, true), ended + DOUBT_PAUSE);
    }
}
