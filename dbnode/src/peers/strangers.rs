//! Connections that have not been authenticated yet. When there is no room for another connection,
//! the oldest of these is closed, but not before its grace period is over.

use std::collections::VecDeque;
use std::sync::Arc;

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Minimum time for the handshake while others wait for a place.
const GRACE: Duration = Duration::from_millis(100);

/// All unauthenticated connections, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<Entered>,
}

#[derive(Debug)]
struct Entered {
    number: u64,
    at: Instant,
    leave: CancellationToken,
}

/// An unauthenticated connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    strangers: Strangers,
    number: u64,
    leave: CancellationToken,
}

impl Strangers {
    /// Registers a connection.
    pub(super) fn enter(&self) -> Stranger {
        let leave = CancellationToken::new();
        let mut queue = self.0.lock();
        queue.next += 1;
        let number = queue.next;
        queue.waiting.push_back(Entered { number, at: Instant::now(), leave: leave.clone() });
        Stranger { strangers: self.clone(), number, leave }
    }

    /// Closes the oldest connection once its grace period is over.
    pub(super) async fn send_oldest_away(&self) {
        let oldest = self.0.lock().waiting.front().map(|oldest| (oldest.number, oldest.at + GRACE));
        let Some((number, due)) = oldest else { return };
        sleep_until(due).await;
        // It may have been authenticated meanwhile; then no other is closed in its place.
        let mut queue = self.0.lock();
        if let Some(oldest) = queue.waiting.pop_front_if(|oldest| oldest.number == number) {
            oldest.leave.cancel();
        }
    }
}

impl Stranger {
    /// Cancelled when the connection has to close.
    pub(super) fn leave(&self) -> CancellationToken {
        self.leave.clone()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.strangers.0.lock().waiting.retain(|other| other.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_leaves_and_who_is_known_stays() {
        let strangers = Strangers::default();
        let (known, first, second) = (strangers.enter(), strangers.enter(), strangers.enter());
        let leave = known.leave();
        drop(known);
        strangers.send_oldest_away().await;
        let leave = [leave, first.leave(), second.leave()].map(|leave| leave.is_cancelled());
        assert_eq!(leave, [false, true, false]);
    }
}
