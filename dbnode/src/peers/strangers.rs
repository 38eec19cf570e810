//! Connections of those who have not proved yet that they are members. When there is no room for another
//! connection, the one that has taken longest to do so leaves.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// All connections of strangers, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<(u64, CancellationToken)>,
}

/// A connection of a stranger, until this is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    strangers: Strangers,
    number: u64,
    leave: CancellationToken,
}

impl Strangers {
    /// One more.
    pub(super) fn enter(&self) -> Stranger {
        let leave = CancellationToken::new();
        let mut queue = self.0.lock();
        queue.next += 1;
        let number = queue.next;
        queue.waiting.push_back((number, leave.clone()));
        Stranger { strangers: self.clone(), number, leave }
    }

    /// Asks the oldest to leave.
    pub(super) fn send_oldest_away(&self) {
        if let Some((_, leave)) = self.0.lock().waiting.pop_front() {
            leave.cancel();
        }
    }
}

impl Stranger {
    /// Cancelled when it has to leave.
    pub(super) fn leave(&self) -> CancellationToken {
        self.leave.clone()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.strangers.0.lock().waiting.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leaves_and_who_is_known_stays() {
        let strangers = Strangers::default();
        let (known, first, second) = (strangers.enter(), strangers.enter(), strangers.enter());
        let leave = known.leave();
        drop(known);
        strangers.send_oldest_away();
        let leave = [leave, first.leave(), second.leave()].map(|leave| leave.is_cancelled());
        assert_eq!(leave, [false, true, false]);
    }
}
