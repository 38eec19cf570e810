//! The simulated disk: what was confirmed survives a crash, and what was not may survive.

use std::collections::BTreeMap;
use std::time::Duration;

use dbnode::replication::disk::{Batch, Installation, Recovered};
use dbnode::replication::entry::{Change, Entry, Payload, Write};
use dbnode::replication::input::Input;
use dbnode::replication::key::Key;
use dbnode::replication::life::{Start, Starts};
use dbnode::replication::member::{Incarnation, Name};
use dbnode::replication::snapshot::{Cursor, chunk_of};
use dbnode::replication::state::State;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A simulated disk.
#[derive(Debug, Default)]
pub struct Disk {
    stored: Recovered,
    starts: Starts,
    /// An earlier copy of the directory.
    copy: Option<Copy>,
    under_way: BTreeMap<u64, Job>,
    next_number: u64,
    /// Additional time for each job.
    pub slow: Duration,
    /// The disk's fault, if any.
    pub fault: Option<Fault>,
    /// A planted bug: it confirms a batch before it is written.
    pub hasty: bool,
}

/// A copy of a directory.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The directory that was copied.
    pub incarnation: Incarnation,
    /// Its starts when the copy was made.
    pub starts: Starts,
    stored: Recovered,
}

/// A fault of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is full.
    Full,
    /// It fails.
    Broken,
}

/// A job for the disk.
#[derive(Debug, Clone)]
pub enum Job {
    /// See `Effect::Persist`.
    Persist(Batch),
    /// See `Effect::Compact`.
    Compact(Vec<Entry>),
    /// See `Effect::Install`.
    Install(Installation),
    /// See `Effect::ReadSnapshot`.
    Read(Name, Cursor, usize),
}

impl Disk {
    /// What a node finds that starts from this disk now, and the directory's starts, including this
    /// one.
    pub fn recover(&mut self, dice: &mut ChaCha8Rng) -> (Recovered, Starts) {
        self.starts.push(dice.random());
        (self.stored.clone(), self.starts.clone())
    }

    /// Copies the directory.
    pub fn make_copy(&mut self, incarnation: Incarnation) {
        let (starts, stored) = (self.starts.clone(), self.stored.clone());
        self.copy = Some(Copy { incarnation, starts, stored });
    }

    /// The copy, if there is one.
    pub fn copy(&self) -> Option<&Copy> {
        self.copy.as_ref()
    }

    /// Replaces the directory with the copy, and returns its incarnation.
    pub fn put_back(&mut self) -> Option<Incarnation> {
        let Copy { incarnation, starts, stored } = self.copy.take()?;
        (self.starts, self.stored) = (starts, stored);
        Some(incarnation)
    }

    /// Loses the last entries, and returns them.
    pub fn lose_tail(&mut self, count: usize) -> Vec<Entry> {
        let keep = self.stored.entries.len().saturating_sub(count);
        self.stored.entries.split_off(keep)
    }

    /// Restores lost entries.
    pub fn find_again(&mut self, entries: Vec<Entry>) {
        self.stored.entries.extend(entries);
    }

    /// The directory and start that act under a name, as far as this disk's log says, committed or
    /// not.
    pub fn acts(&self, name: &str) -> (Option<Incarnation>, Option<Start>) {
        let mut about = self.stored.snapshot.about().clone();
        self.stored.entries.iter().for_each(|entry| about.follow(entry));
        let incarnation = about.membership.and_then(|it| it.members.get(name).copied());
        (incarnation, about.starts.get(name).map(|acting| acting.start))
    }

    /// The content of the disk.
    pub fn stored(&self) -> &Recovered {
        &self.stored
    }

    /// True if it has the entry of this term at this index, as far as it can tell: what is in the
    /// snapshot is committed.
    pub fn has(&self, term: u64, index: u64) -> bool {
        let snapshot = self.stored.snapshot.applied();
        if index <= snapshot {
            return true;
        }
        let place = usize::try_from(index - snapshot - 1).expect("a log in memory is countable");
        self.stored.entries.get(place).is_some_and(|entry| entry.term == term)
    }

    /// Begins a job; returns its number, and how long it takes.
    pub fn begin(&mut self, job: Job, dice: &mut ChaCha8Rng) -> (u64, Duration) {
        self.next_number += 1;
        self.under_way.insert(self.next_number, job);
        let usual = Duration::from_micros(dice.random_range(100..2_000));
        (self.next_number, usual + self.slow * dice.random_range(50..150) / 100)
    }

    /// The number of entries that a job adds to the log.
    pub fn entries_added(&self, number: u64) -> usize {
        match self.under_way.get(&number) {
            Some(Job::Persist(batch)) if self.fault.is_none() => batch.entries.len(),
            _ => 0,
        }
    }

    /// Completes a job, and returns the node's input; `None` if the node has been told already.
    pub fn finish(&mut self, number: u64) -> Option<Input> {
        let job = self.under_way.remove(&number)?;
        let said_before = self.hasty && matches!(job, Job::Persist(_));
        let input = match self.fault {
            Some(Fault::Broken) => return Some(Input::DiskFailed),
            Some(Fault::Full) if !said_before => no_room(&job)?,
            _ => done(&job, &self.stored),
        };
        if self.fault.is_none() {
            self.store(job);
        }
        (!said_before).then_some(input)
    }

    /// Replaces the disk with a new one that holds this many imported records.
    pub fn erase(&mut self, imported: u64) {
        let snapshot = import(imported);
        self.stored = Recovered { snapshot, ..Recovered::default() };
        self.starts = Starts::default();
    }

    /// Crashes: jobs in progress may take effect, or not.
    pub fn crash(&mut self, dice: &mut ChaCha8Rng) {
        for (_, job) in std::mem::take(&mut self.under_way) {
            if self.fault.is_none() && !self.hasty && dice.random() {
                self.store(job);
            }
        }
    }

    fn store(&mut self, job: Job) {
        let stored = &mut self.stored;
        match job {
            Job::Persist(batch) => {
                if let Some(ballot) = batch.ballot {
                    stored.ballot = ballot;
                }
                if let Some(after) = batch.cut_after {
                    let kept = after.saturating_sub(stored.snapshot.applied()) as usize;
                    stored.discarded += stored.entries.len().saturating_sub(kept) as u64;
                    stored.entries.truncate(kept);
                }
                stored.entries.extend(batch.entries);
                stored.committed = stored.committed.max(batch.committed);
            }
            Job::Compact(entries) => {
                for entry in &entries {
                    stored.snapshot.apply(entry);
                }
                stored.entries.drain(..entries.len());
            }
            Job::Install(installation) => stored.install(&installation),
            Job::Read(..) => {}
        }
    }
}

/// A state with this many imported records.
fn import(count: u64) -> State {
    let mut state = State::default();
    for index in 1..=count {
        let key = Key::new(&format!("imported-{index}")).expect("a key");
        let change = Change::Put { value: format!("one of {count}").into(), page: index - 1 };
        let payload = Payload::Write(Write { key, change, request: None });
        state.apply(&Entry { index, term: 0, payload });
    }
    state
}

fn done(job: &Job, stored: &Recovered) -> Input {
    match job {
        Job::Persist(_) => Input::Persisted,
        Job::Compact(entries) => Input::Compacted { up_to: entries.last().map_or(0, |entry| entry.index) },
        Job::Install(_) => Input::Installed,
        Job::Read(peer, from, bytes_max) => {
            let chunk = Some(chunk_of(&stored.snapshot, from, *bytes_max));
            Input::SnapshotRead { peer: peer.clone(), chunk }
        }
    }
}

fn no_room(job: &Job) -> Option<Input> {
    match job {
        Job::Persist(_) => Some(Input::DiskFull),
        Job::Compact(_) => Some(Input::NotCompacted),
        Job::Install(_) => Some(Input::NotInstalled),
        Job::Read(peer, ..) => Some(Input::SnapshotRead { peer: peer.clone(), chunk: None }),
    }
}
