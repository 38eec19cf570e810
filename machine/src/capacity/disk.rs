//! One disk: operations are served one after the other, each in the same time.
#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::time::Duration;

use super::{Completion, Moment, Ticket};

/// The disk of a machine.
#[derive(Debug)]
pub struct Disk {
    operation: Duration,
    /// When the last queued operation will be done.
    free_at: Moment,
    queue: VecDeque<Completion>,
    busy: Duration,
    full: bool,
}

impl Disk {
    /// Creates an idle disk that needs this long for one operation.
    pub fn new(operation: Duration) -> Self {
        Self { operation, free_at: Moment::ZERO, queue: VecDeque::new(), busy: Duration::ZERO, full: false }
    }

    /// Takes all free space, or releases it.
    pub fn fill(&mut self, full: bool) {
        self.full = full;
    }

    /// True if there is no free space. Reads still work.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Queues operations behind the earlier ones.
    pub fn submit(&mut self, now: Moment, ticket: Ticket, operations: u32) {
        let work = self.operation * operations;
        self.busy += work;
        self.free_at = self.free_at.max(now) + work;
        self.queue.push_back(Completion { ticket, at: self.free_at });
    }

    /// Returns when the operation at the head of the queue will be done.
    pub fn next_completion(&self) -> Option<Moment> {
        self.queue.front().map(|completion| completion.at)
    }

    /// Returns everything done by `now`.
    pub fn advance(&mut self, now: Moment) -> Vec<Completion> {
        let done = self.queue.partition_point(|completion| completion.at <= now);
        self.queue.drain(..done).collect()
    }

    /// Time spent on operations, including those still queued.
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// Requests that are not done.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_queue_behind_each_other() {
        let ms = Duration::from_millis;
        let ticket = |request| Ticket { connection: 1, request };
        let mut disk = Disk::new(ms(5));
        disk.submit(ms(0), ticket(1), 2);
        disk.submit(ms(1), ticket(2), 1);
        assert_eq!(disk.advance(ms(9)), vec![]);
        assert_eq!(
            disk.advance(ms(15)),
            vec![Completion { ticket: ticket(1), at: ms(10) }, Completion { ticket: ticket(2), at: ms(15) },]
        );
        disk.submit(ms(100), ticket(3), 1);
        assert_eq!(disk.next_completion(), Some(ms(105)));
    }
}
