//! Messages sent to a replica that are not answered yet.

#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;

use super::entry::Entry;

/// The messages with entries that are in flight to one replica, oldest first.
///
/// A link's delay must not slow the log down, so there may be as many messages as a slow link
/// holds. Their total size is bounded, because each message takes memory on both sides.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    sent: VecDeque<Sent>,
    bytes: usize,
}

#[derive(Debug)]
struct Sent {
    /// The message's last entry.
    last: u64,
    bytes: usize,
}

impl InFlight {
    /// True if one more message may be sent.
    pub(super) fn has_room(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.sent.len() < messages_max && self.bytes < bytes_max
    }

    /// Records that a message with these entries was sent.
    pub(super) fn push(&mut self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        let bytes = entries.iter().map(Entry::size).sum();
        self.bytes += bytes;
        self.sent.push_back(Sent { last: last.index, bytes });
    }

    /// Removes the messages that the replica has confirmed.
    pub(super) fn arrived(&mut self, matched: u64) {
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.last <= matched) {
            self.bytes -= sent.bytes;
        }
    }

    /// Forgets all messages, when it is not known what arrived.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Payload;
    use super::*;

    fn entry(index: u64) -> Entry {
        Entry { index, term: 1, payload: Payload::NoOp }
    }

    #[test]
    fn what_arrived_makes_room() {
        let mut in_flight = InFlight::default();
        in_flight.push(&[entry(1), entry(2)]);
        in_flight.push(&[entry(3)]);
        assert!(in_flight.has_room(3, usize::MAX));
        assert!(!in_flight.has_room(2, usize::MAX));
        in_flight.arrived(1);
        assert!(!in_flight.has_room(2, usize::MAX), "half a message arrived");
        in_flight.arrived(2);
        assert!(in_flight.has_room(2, usize::MAX));
    }

    #[test]
    fn what_is_under_way_is_bounded_in_bytes() {
        let mut in_flight = InFlight::default();
        let size = entry(1).size();
        in_flight.push(&[entry(1)]);
        assert!(in_flight.has_room(9, size + 1));
        assert!(!in_flight.has_room(9, size), "as much as there may be is under way");
        in_flight.push(&[entry(2)]);
        assert!(!in_flight.has_room(9, size + 1));
        in_flight.arrived(1);
        assert!(in_flight.has_room(9, size + 1));
        assert!(!in_flight.has_room(9, size), "the other one has not arrived");
        in_flight.forget();
        assert!(in_flight.has_room(9, 1));
    }
}
