//! Cores, and the exclusive part of the work, which blocks all other jobs.
//!
//! Jobs wait in one queue and take a free core in the order of arrival, or the newest first. Each runs its *shared*
//! part in parallel with others, then its *exclusive* part alone on the whole machine, as under the write side of a
//! read/write lock that prefers writers:
//!
//! ```text
//!             core free, no exclusive job waits        shared part done
//!   waiting ───────────────────────────────> shared ─────────────────────> at the gate
//!                                                                              │ no other job runs
//!                                              done <───────────────────── exclusive
//! ```
//!
//! Saturated, n cores start n shared parts together and then run n exclusive parts one by one, so
//! n jobs take (1 − x) + n·x of a job's cost: capacity n / (1 + x·(n − 1)), Amdahl's law.
#![deny(clippy::disallowed_methods)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::{Completion, Moment, Ticket};
use crate::spec::QueueOrder;

/// The cores of a machine.
#[derive(Debug)]
pub struct Cpu {
    cores: usize,
    exclusive_share: f64,
    order: QueueOrder,
    waiting: VecDeque<Job>,
    /// Shared parts that are running, the one that ends first on top.
    shared: BinaryHeap<Reverse<(Moment, Job)>>,
    /// Jobs whose shared part is done and that wait for exclusivity.
    gate: VecDeque<Job>,
    exclusive: Option<(Moment, Job)>,
    busy: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    ticket: Ticket,
    cost: Duration,
}

impl Cpu {
    /// Creates idle cores.
    pub fn new(cores: u32, exclusive_share: f64, order: QueueOrder) -> Self {
        Self {
            cores: cores as usize,
            exclusive_share,
            order,
            waiting: VecDeque::new(),
            shared: BinaryHeap::new(),
            gate: VecDeque::new(),
            exclusive: None,
            busy: Duration::ZERO,
        }
    }

    /// Queues a job, and starts it if a core is free.
    pub fn submit(&mut self, now: Moment, ticket: Ticket, cost: Duration) {
        self.waiting.push_back(Job { ticket, cost });
        self.start_what_may(now);
    }

    /// Returns when the next part of a job ends.
    pub fn next_completion(&self) -> Option<Moment> {
        let shared = self.shared.peek().map(|Reverse((at, _))| *at);
        let exclusive = self.exclusive.map(|(at, _)| at);
        shared.into_iter().chain(exclusive).min()
    }

    /// Advances the time: every part that ends by `now` ends at its own time, and what waited for it starts at that
    /// time, not at `now`.
    pub fn advance(&mut self, now: Moment) -> Vec<Completion> {
        let mut done = Vec::new();
        while let Some(at) = self.next_completion().filter(|at| *at <= now) {
            match self.exclusive.take_if(|(ends, _)| *ends == at) {
                Some((_, job)) => done.push(self.finish(at, job)),
                None => {
                    let Some(Reverse((_, job))) = self.shared.pop() else { break };
                    if self.exclusive_share > 0.0 {
                        self.gate.push_back(job);
                    } else {
                        done.push(self.finish(at, job));
                    }
                }
            }
            self.start_what_may(at);
        }
        done
    }

    /// Drops the queued jobs of a process that is gone.
    pub fn forget(&mut self, connection: u64) {
        self.waiting.retain(|job| job.ticket.connection != connection);
    }

    /// Core time spent on finished jobs.
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// Jobs that wait for a core.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The total cost of the waiting jobs.
    pub fn waiting_cost(&self) -> Duration {
        self.waiting.iter().map(|job| job.cost).sum()
    }

    fn finish(&mut self, at: Moment, job: Job) -> Completion {
        self.busy += job.cost;
        Completion { ticket: job.ticket, at }
    }

    fn start_what_may(&mut self, at: Moment) {
        if self.exclusive.is_some() {
            return;
        }
        if !self.gate.is_empty() {
            if self.shared.is_empty() {
                self.exclusive = self.gate.pop_front().map(|job| (at + self.exclusive_part(job), job));
            }
            return;
        }
        while self.shared.len() < self.cores {
            let next = match self.order {
                QueueOrder::OldestFirst => self.waiting.pop_front(),
                QueueOrder::NewestFirst => self.waiting.pop_back(),
            };
            let Some(job) = next else { break };
            let ends = at + (job.cost - self.exclusive_part(job));
            self.shared.push(Reverse((ends, job)));
        }
    }

    fn exclusive_part(&self, job: Job) -> Duration {
        job.cost.mul_f64(self.exclusive_share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ticket(request: u64) -> Ticket {
        Ticket { connection: 1, request }
    }

    /// Returns the jobs finished in ten simulated seconds while there is always one waiting.
    fn saturated_rate(cores: u32, exclusive_share: f64) -> f64 {
        let mut cpu = Cpu::new(cores, exclusive_share, QueueOrder::OldestFirst);
        for request in 0..10_000 {
            cpu.submit(Duration::ZERO, ticket(request), 10 * MS);
        }
        cpu.advance(Duration::from_secs(10)).len() as f64 / 10.0
    }

    #[test]
    fn one_core_works_through_its_queue_in_order() {
        let mut cpu = Cpu::new(1, 0.0, QueueOrder::OldestFirst);
        cpu.submit(Duration::ZERO, ticket(1), 10 * MS);
        cpu.submit(2 * MS, ticket(2), 10 * MS);
        assert_eq!(cpu.next_completion(), Some(10 * MS));
        let done = cpu.advance(25 * MS);
        assert_eq!(
            done,
            vec![
                Completion { ticket: ticket(1), at: 10 * MS },
                Completion { ticket: ticket(2), at: 20 * MS },
            ]
        );
        assert_eq!(cpu.busy(), 20 * MS);
    }

    #[test]
    fn a_late_kernel_takes_no_capacity() {
        let mut punctual = Cpu::new(2, 0.32, QueueOrder::OldestFirst);
        let mut late = Cpu::new(2, 0.32, QueueOrder::OldestFirst);
        for request in 0..100 {
            punctual.submit(Duration::ZERO, ticket(request), 10 * MS);
            late.submit(Duration::ZERO, ticket(request), 10 * MS);
        }
        let in_time: usize = (0..300).map(|ms| punctual.advance(ms * MS).len()).sum();
        assert_eq!(late.advance(299 * MS).len(), in_time);
    }

    #[test]
    fn cores_without_an_exclusive_part_scale_linearly() {
        for cores in [1, 2, 4, 8] {
            let rate = saturated_rate(cores, 0.0);
            assert!((rate / f64::from(cores) - 100.0).abs() < 1.0, "{cores} cores: {rate}/s");
        }
    }

    #[test]
    fn an_exclusive_part_bends_the_curve_as_amdahl_says() {
        for (cores, expected) in [(1, 1.0), (2, 1.52), (4, 2.04), (8, 2.47)] {
            let ratio = saturated_rate(cores, 0.32) / 100.0;
            assert!((ratio - expected).abs() < 0.03, "{cores} cores: ×{ratio}");
        }
    }

    #[test]
    fn nobody_works_beside_an_exclusive_part() {
        let mut cpu = Cpu::new(2, 0.5, QueueOrder::OldestFirst);
        cpu.submit(Duration::ZERO, ticket(1), 10 * MS);
        // The first job's exclusive part runs from 5 ms to 10 ms; this one has to wait for it.
        cpu.advance(6 * MS);
        cpu.submit(6 * MS, ticket(2), 10 * MS);
        let done = cpu.advance(100 * MS);
        assert_eq!(done.last(), Some(&Completion { ticket: ticket(2), at: 20 * MS }));
    }

    #[test]
    fn a_process_that_died_leaves_the_queue() {
        let mut cpu = Cpu::new(1, 0.0, QueueOrder::OldestFirst);
        cpu.submit(Duration::ZERO, ticket(1), 10 * MS);
        cpu.submit(Duration::ZERO, Ticket { connection: 2, request: 1 }, 10 * MS);
        cpu.submit(Duration::ZERO, ticket(2), 10 * MS);
        cpu.forget(2);
        let done = cpu.advance(20 * MS);
        assert_eq!(done.len(), 2, "{done:?}");
    }

    /// One core with one and a half times the load it can handle: returns how many of the jobs that arrive in five
    /// seconds are done within one second of their arrival.
    fn done_in_time(order: QueueOrder) -> usize {
        let mut cpu = Cpu::new(1, 0.0, order);
        let arrival = |request: u64| u32::try_from(request).unwrap() * Duration::from_micros(6_667);
        let mut in_time = 0;
        for request in 0..750 {
            let now = arrival(request);
            let done = cpu.advance(now);
            let is_in_time = |done: &&Completion| done.at - arrival(done.ticket.request) <= 1_000 * MS;
            in_time += done.iter().filter(is_in_time).count();
            cpu.submit(now, ticket(request), 10 * MS);
        }
        in_time
    }

    #[test]
    fn in_an_overload_the_newest_first_are_served_in_time_and_the_oldest_first_too_late() {
        // With the oldest first, the queue is a second long after two seconds.
        let oldest = done_in_time(QueueOrder::OldestFirst);
        assert!((280..=320).contains(&oldest), "{oldest}");
        let newest = done_in_time(QueueOrder::NewestFirst);
        assert!((480..=500).contains(&newest), "{newest}");
    }

    #[test]
    fn the_newest_first_leave_none_out_when_there_is_time_again() {
        let mut cpu = Cpu::new(1, 0.0, QueueOrder::NewestFirst);
        (1..=3).for_each(|request| cpu.submit(Duration::ZERO, ticket(request), 10 * MS));
        let order: Vec<_> = cpu.advance(30 * MS).iter().map(|done| done.ticket.request).collect();
        assert_eq!(order, [1, 3, 2], "the first one found a free core");
    }
}
