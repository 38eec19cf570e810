//! The core: what the node does when something happens. It decides and does nothing; the driver
//! ([`crate::node`]) carries its decisions out.
//!
//! A write's way:
//!
//! ```text
//! ClientWrites ─> decide ─> log ─> Persist ─> (the disk) ─> Persisted ─> apply ─> Acknowledge
//!                   │                                                      │
//!                   └── judged by the state as it will be                  └── readers see it
//! ```
//!
//! While one batch is on its way to the disk the next one gathers: the slower the disk, the larger
//! the batches.

#![deny(clippy::disallowed_methods)]

/// From what a client wants to what the log will say ◇.
pub mod decide;
/// What goes to the disk, and what is found there ◇.
pub mod disk;
/// When a write is durable enough to be acknowledged ◇.
pub mod durability;
/// What the core wants done ◇.
pub mod effect;
/// One line of the log ◇.
pub mod entry;
/// What the core hears of ◇.
pub mod input;
/// What a record is called ◇.
pub mod key;
/// The newest part of the log ◇.
pub mod log;
/// Who belongs to the cluster ◇.
pub mod member;
/// What nodes say to each other ◇.
pub mod message;
/// The writes that had a name ◇.
pub mod requests;
/// What a node may do ◇.
pub mod role;
/// A snapshot on its way ◇.
pub mod snapshot;
/// The records, as of the last entry applied ◇.
pub mod state;
/// The state as it will be ◇.
pub mod upcoming;
/// The clients that wait ◇.
pub mod waiting;

#[cfg(test)]
mod tests;

use std::time::Duration;

use decide::{Decision, decide};
use disk::Batch;
use effect::{Effect, Refusal, Written};
use entry::{Entry, Payload};
use input::{Input, Moment, Ticket, Write};
use log::Log;
use role::Role;
use state::State;
use upcoming::Upcoming;
use waiting::{Waiter, Waiting};

/// What the core is bound by.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries in one batch.
    pub batch_entries: usize,
    /// Bytes in one batch; a larger single entry goes alone.
    pub batch_bytes: usize,
    /// Clients that wait at a time.
    pub waiting: usize,
    /// How long a client waits.
    pub patience: Duration,
    /// The log is folded when it has more entries than this…
    pub log_entries: usize,
    /// …or takes more bytes; half of either stays.
    pub log_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_entries: 1_024,
            batch_bytes: 4 << 20,
            waiting: 8_192,
            patience: Duration::from_secs(5),
            log_entries: 50_000,
            log_bytes: 64 << 20,
        }
    }
}

/// Whether the log is being folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folding {
    /// A part of it is.
    UnderWay,
    /// No, and not before this moment.
    NotBefore(Moment),
}

/// How long folding rests after it found no room.
const FOLDING_RESTS: Duration = Duration::from_secs(1);

/// The log may grow to so many times its usual size while folding it falls behind.
const LOG_BYTES_FACTOR_MAX: usize = 8;

/// What a node knows, and how it decides.
#[derive(Debug)]
pub struct Core {
    role: Role,
    term: u64,
    log: Log,
    state: State,
    upcoming: Upcoming,
    waiting: Waiting,
    folding: Folding,
    limits: Limits,
}

impl Core {
    /// A node as it was found on disk: a snapshot, and the log that follows it.
    pub fn new(snapshot: State, entries: Vec<Entry>, limits: Limits) -> Self {
        let folded = snapshot.place();
        let mut state = snapshot;
        for entry in &entries {
            state.apply(entry);
        }
        Self {
            role: Role::Primary,
            term: state.place().term.max(1),
            log: Log::recovered(folded, entries),
            state,
            upcoming: Upcoming::default(),
            waiting: Waiting::default(),
            folding: Folding::NotBefore(Moment(Duration::ZERO)),
            limits,
        }
    }

    /// Something happened: what is to be done?
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::ClientWrites { ticket, write } => self.take(now, ticket, write, &mut effects),
            Input::Persisted => self.log.persisted_batch(),
            Input::DiskFull => self.take_back(&mut effects),
            Input::DiskFailed => self.stop(&mut effects),
            Input::Folded { up_to } => {
                self.log.folded_up_to(up_to);
                self.folding = Folding::NotBefore(now);
            }
            Input::NotFolded => self.folding = Folding::NotBefore(Moment(now.0 + FOLDING_RESTS)),
            Input::ClientReads { ticket } => effects.push(Effect::Look { ticket }),
            Input::TimePassed => {
                self.waiting.expire(now, &mut effects);
                self.fold(now, &mut effects);
            }
            // There are no other nodes.
            _ => {}
        }
        self.proceed(&mut effects);
        effects
    }

    /// The records, as of the last entry applied.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What this node may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// In whose time as primary this is.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The last entry of the log.
    pub fn last_index(&self) -> u64 {
        self.log.last()
    }

    /// The last entry that is safe.
    pub fn committed_index(&self) -> u64 {
        self.log.persisted()
    }

    fn take(&mut self, now: Moment, ticket: Ticket, write: Write, effects: &mut Vec<Effect>) {
        if let Some(refusal) = self.closed() {
            effects.push(Effect::Reject { ticket, refusal });
            return;
        }
        let answer = match decide(write, &self.state, &self.upcoming) {
            Decision::Append { write, sum } => {
                let entry = self.log.append(self.term, Payload::Write(write));
                self.upcoming.add(entry);
                Ok(Written { version: entry.version(), sum })
            }
            Decision::Repeated(written) => Ok(written),
            Decision::Refuse(refusal) => Err(refusal),
        };
        let deadline = Moment(now.0 + self.limits.patience);
        self.waiting.push(Waiter { ticket, after: self.log.last(), deadline, answer });
    }

    fn closed(&self) -> Option<Refusal> {
        let (_, log_bytes) = self.log.size();
        match self.role {
            Role::Stopped => Some(Refusal::Stopped),
            Role::Primary if self.waiting.count() >= self.limits.waiting => Some(Refusal::Overloaded),
            Role::Primary if log_bytes > self.limits.log_bytes * LOG_BYTES_FACTOR_MAX => {
                Some(Refusal::Overloaded)
            }
            _ => None,
        }
    }

    /// What follows from every input: what is durable is applied and answered, what waits goes to
    /// the disk. The disk begins first, so that it works while the answers are given.
    fn proceed(&mut self, effects: &mut Vec<Effect>) {
        if self.role == Role::Stopped {
            return;
        }
        if self.log.has_batch() && !self.log.is_persisting() {
            let entries = self.log.begin_batch(self.limits.batch_entries, self.limits.batch_bytes).entries;
            effects.push(Effect::Persist(Batch { entries, ..Batch::default() }));
        }
        let committed = self.committed_index();
        while self.state.applied() < committed {
            let entry = self.log.get(self.state.applied() + 1).expect("what is not applied is in memory");
            self.state.apply(entry);
            self.upcoming.applied(entry);
        }
        self.waiting.answer(committed, effects);
    }

    /// The batch is not on disk, so nothing that came after it may stay: it was judged by a state
    /// that never came to be.
    fn take_back(&mut self, effects: &mut Vec<Effect>) {
        self.log.not_persisted();
        self.log.cut_after(self.log.persisted());
        self.upcoming.clear();
        self.waiting.reject_all(&Refusal::DiskFull, effects);
    }

    fn stop(&mut self, effects: &mut Vec<Effect>) {
        self.role = Role::Stopped;
        self.waiting.reject_all(&Refusal::OutcomeUnknown, effects);
        effects.push(Effect::Halt);
    }

    fn fold(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let (entries, bytes) = self.log.size();
        let large = entries > self.limits.log_entries || bytes > self.limits.log_bytes;
        let rested = matches!(self.folding, Folding::NotBefore(moment) if moment <= now);
        if !rested || !large || self.role == Role::Stopped {
            return;
        }
        let oldest = self.log.oldest(entries / 2, self.state.applied());
        if !oldest.is_empty() {
            self.folding = Folding::UnderWay;
            effects.push(Effect::Fold(oldest));
        }
    }
}
