//! The core: a pure state machine that turns inputs into effects. It performs no I/O; the driver
//! ([`crate::node`]) carries out its decisions. Time and randomness are arguments.
//!
//! The path of a write through a primary and its replicas:
//!
//! ```text
//! ClientWrites ─> decide ─> log ─┬─> Persist ─> own disk ─> Persisted ───────────────────────────────┐
//!                                └─> Send(AppendEntries) ─> replica's disk ─> AppendEntriesResponse ─┤
//!                                                                   Acknowledge <─ apply <─ commit <─┘
//! ```
//!
//! While one batch is being written to disk, the next one collects (group commit): the slower the
//! disk, the larger the batches. The order of the effects is the safety argument: what a message
//! claims is on disk before the message leaves, and an acknowledged write is as durable as the
//! [mode](crate::replication::durability) promises.
//!
//! The rules are Raft's (Ongaro and Ousterhout, "In Search of an Understandable Consensus
//! Algorithm"); each file names the section it implements.

#![deny(clippy::disallowed_methods)]

pub mod decide;
pub mod disk;
pub mod durability;
pub mod effect;
mod election;
pub mod entry;
mod following;
mod forming;
mod handover;
mod in_flight;
pub mod input;
pub mod key;
mod lead;
pub mod life;
pub mod log;
pub mod member;
pub mod message;
mod persisting;
pub mod reads;
pub mod requests;
pub mod role;
mod room;
mod shipping;
pub mod showing;
pub mod snapshot;
pub mod state;
pub mod status;
mod trust;
pub mod upcoming;
pub mod waiting;
mod writes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use disk::{Ballot, Recovered};
use durability::Mode;
use effect::{Effect, Halt};
use entry::{Entry, Payload};
use input::{Hello, Input, Moment};
use lead::PrimaryState;
use life::{Life, Memory, Starts};
use log::Log;
use member::{Incarnation, Name};
use message::{Envelope, Message};
use persisting::{BallotOnDisk, Compacting, Installing};
use role::{Role, RoleState};
use showing::Shown;
use state::State;
use upcoming::Upcoming;
use waiting::Waiting;

/// Resource limits of the core.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Maximum entries in one batch, to the disk or to another node.
    pub batch_entries: usize,
    /// Maximum bytes in one batch; a larger single entry goes alone.
    pub batch_bytes: usize,
    /// Maximum batches in flight to one replica; at least as many as a slow link holds.
    pub in_flight_messages: usize,
    /// Maximum bytes in flight to one replica; one batch may exceed it.
    pub in_flight_bytes: usize,
    /// Bytes in one chunk of a snapshot; the chunk ends with the record that exceeds them.
    pub piece_bytes: usize,
    /// Maximum number of waiting clients.
    pub waiting: usize,
    /// How long a client waits before its request is rejected.
    pub patience: Duration,
    /// The log is compacted when it has more entries than this…
    pub log_entries: usize,
    /// …or takes more bytes than this; half of it remains.
    pub log_bytes: usize,
    /// The minimum time for which the id of a write is remembered.
    pub names_kept: Duration,
    /// Maximum memory for remembered request ids, in bytes.
    pub names_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_entries: 1_024,
            batch_bytes: 2 << 20,
            in_flight_messages: 512,
            in_flight_bytes: 16 << 20,
            piece_bytes: 256 << 10,
            waiting: 8_192,
            patience: Duration::from_millis(1_500),
            log_entries: 50_000,
            log_bytes: 64 << 20,
            names_kept: Duration::from_secs(60),
            names_bytes: 256 << 20,
        }
    }
}

/// Timeouts of the core.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The minimum election timeout. Each timeout is drawn at random between this and twice this.
    pub election_timeout: Duration,
}

impl Timing {
    /// The heartbeat interval.
    fn heartbeat(self) -> Duration {
        self.election_timeout / 5
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { election_timeout: Duration::from_millis(600) }
    }
}

/// A node's fixed parameters.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The node's name.
    pub name: Name,
    /// The data directory it acts with.
    pub incarnation: Incarnation,
    /// The starts of that directory, including this one.
    pub starts: Starts,
    /// All members of the cluster, including this node.
    pub members: Vec<Name>,
    /// What an acknowledged write survives.
    pub mode: Mode,
    /// Resource limits.
    pub limits: Limits,
    /// Timeouts.
    pub timing: Timing,
    /// The random seed: the same seed and the same inputs lead to the same effects.
    pub seed: u64,
}

/// A node's state, and the rules by which it decides.
#[derive(Debug)]
pub struct Core {
    name: Name,
    /// What the node says about itself.
    life: Arc<Life>,
    /// All members, in order.
    names: Vec<Name>,
    mode: Mode,
    limits: Limits,
    timing: Timing,
    dice: ChaCha8Rng,

    role_state: RoleState,
    /// When it starts an election, unless it hears from a primary before.
    election_due: Moment,
    /// The nodes that are connected.
    connected_peers: BTreeMap<Name, Hello>,
    /// What was heard from the other nodes.
    memories: BTreeMap<Name, Memory>,
    /// Other nodes whose current life began with less than is remembered of them, and that have not
    /// joined again.
    doubted: BTreeMap<Name, Arc<Life>>,
    /// The node that knows that this life began with less than it had confirmed.
    doubted_by: Option<Name>,

    ballot: Ballot,
    /// The newest ballot that is on disk.
    ballot_saved: Ballot,
    ballot_on_disk: BallotOnDisk,
    /// Messages held back until the ballot they rely on is on disk.
    held: Vec<Effect>,

    log: Log,
    /// The commit index, as far as this node knows.
    committed: u64,
    state: State,
    /// As a primary: the state after all entries of the log.
    upcoming: Upcoming,
    shown: Shown,
    waiting: Waiting,

    /// When the disk may be tried again after it was full.
    disk_rests_until: Moment,
    /// True if the last batch found the disk full.
    found_no_room: bool,
    /// True if the last compaction found the disk full.
    fold_found_no_room: bool,
    /// True if free disk space is short.
    room_is_short: bool,
    /// When the other nodes were last told that this disk is full.
    no_room_told: Option<Moment>,
    /// True if it began with imported records that nothing has replaced yet.
    began_with_import: bool,
    compacting: Compacting,
    installing: Option<Installing>,
    /// The last entry that admits a member.
    joining: Option<u64>,
    /// Truncated writes that have yet to be kept aside on disk.
    cut_off: Vec<Entry>,
    /// The total number of truncated writes.
    discarded: u64,
    /// When the batch in progress was given to the disk.
    persisting_since: Option<Moment>,
}

impl Core {
    /// Restores a node from what was found on disk.
    pub fn new(setup: Setup, found: Recovered, now: Moment) -> Self {
        let Setup { name, incarnation, starts, mut members, mode, limits, timing, seed } = setup;
        let Recovered { life: _, ballot, snapshot, entries, committed, discarded } = found;
        members.sort();
        let log = Log::recovered(snapshot.log_id(), entries);
        let committed = committed.clamp(snapshot.applied(), log.last());
        let life = Life { incarnation, starts, term: ballot.term, last: log.last_place() };
        let mut core = Self {
            name,
            life: Arc::new(life),
            names: members,
            mode,
            limits,
            timing,
            dice: ChaCha8Rng::seed_from_u64(seed),
            role_state: RoleState::Replica(Box::default()),
            election_due: now,
            connected_peers: BTreeMap::new(),
            memories: BTreeMap::new(),
            doubted: BTreeMap::new(),
            doubted_by: None,
            ballot_saved: ballot.clone(),
            ballot,
            ballot_on_disk: BallotOnDisk::Yes,
            held: Vec::new(),
            log,
            committed,
            state: snapshot,
            upcoming: Upcoming::default(),
            shown: Shown::default(),
            waiting: Waiting::default(),
            disk_rests_until: now,
            found_no_room: false,
            fold_found_no_room: false,
            room_is_short: false,
            no_room_told: None,
            began_with_import: false,
            compacting: Compacting::NotBefore(now),
            installing: None,
            joining: None,
            cut_off: Vec::new(),
            discarded,
            persisting_since: None,
        };
        core.began_with_import = core.state.applied() > 0 && core.membership().is_none();
        if core.names.len() > 1 {
            core.election_due = core.draw_election(now);
        }
        core.apply();
        core.show();
        core
    }

    /// Handles one input, and returns the effects to carry out.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Effect> {
        self.steps(now, [input])
    }

    /// Handles several inputs that arrived at about the same time, and returns the effects to carry
    /// out. What follows from all of them together is worked out once.
    pub fn steps(&mut self, now: Moment, inputs: impl IntoIterator<Item = Input>) -> Vec<Effect> {
        let mut effects = Vec::new();
        // The process may have been frozen since the last step. Another node may be the primary by
        // now, so nothing that was in progress may be acknowledged.
        self.check_quorum(now, &mut effects);
        for input in inputs {
            self.handle_input(now, input, &mut effects);
        }
        self.advance(now, &mut effects);
        self.hold_back(&mut effects);
        effects
    }

    fn handle_input(&mut self, now: Moment, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::ClientWrites { ticket, write } => self.take(now, ticket, write, effects),
            Input::ClientReads { ticket } => self.take_reader(now, ticket, effects),
            Input::Received { from, life, envelope } => self.receive(now, from, &life, envelope, effects),
            Input::Connected { peer, hello } => self.connected(now, peer, hello, effects),
            Input::Disconnected { peer } => self.disconnected(&peer),
            Input::Persisted => self.persisted(now, effects),
            Input::DiskFull => self.disk_full(now, effects),
            Input::DiskFailed => self.stop(Halt::DiskFailed, effects),
            Input::Compacted { up_to } => self.compacted(now, up_to),
            Input::NotCompacted => self.not_folded(now),
            Input::Room { is_short } => self.room_is_short = is_short,
            Input::SnapshotRead { peer, chunk } => self.ship_snapshot(now, &peer, chunk, effects),
            Input::Installed => self.installed(effects),
            Input::NotInstalled => self.not_installed(effects),
            Input::HandOver => self.begin_hand_over(now),
            Input::TimePassed => self.time_passed(now, effects),
        }
    }

    fn time_passed(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.form(now, effects);
        self.watch_for_a_primary(now, effects);
        self.waiting.expire(now, effects);
        self.expire_readers(now, effects);
        self.give_way(now);
        self.hand_over(now, effects);
        self.forget_no_room(now, effects);
        self.tell_of_no_room(now, effects);
        self.send_heartbeats(now, effects);
        self.compact(now, effects);
    }

    fn receive(
        &mut self,
        now: Moment,
        from: Name,
        life: &Arc<Life>,
        Envelope { term, message }: Envelope,
        effects: &mut Vec<Effect>,
    ) {
        if matches!(self.role_state, RoleState::Stopped)
            || !self.names.contains(&from)
            || !message.makes_sense()
        {
            return;
        }
        match &message {
            // These messages change no node's term.
            Message::PreVoteRequest(candidacy) => {
                return self.would_vote(now, &from, life, candidacy, effects);
            }
            Message::NoRoom => return self.hear_of_no_room(now, &from, effects),
            Message::OldData { start, known_up_to } => {
                return self.hear_of_old_data(&from, *start, *known_up_to, effects);
            }
            // A node that was cut off must not disturb the others.
            Message::VoteRequest { leadership_transfer: false, .. }
                if term > self.ballot.term && self.has_a_primary(now) =>
            {
                return;
            }
            _ => {}
        }
        self.remember(&from, life, term, effects);
        if let Message::PreVoteResponse { committed, .. } | Message::VoteResponse { committed, .. } = &message
        {
            self.learn_committed(*committed);
        }
        if term > self.ballot.term {
            self.become_replica(now, term, effects);
        }
        let from_the_past = term < self.ballot.term;
        match message {
            Message::AppendEntries(append) if !from_the_past => {
                self.append_entries(now, from, append, effects);
            }
            // The sender is a primary or candidate of an earlier term; the answer makes it step
            // down.
            Message::AppendEntries(_) | Message::VoteRequest { .. } | Message::InstallSnapshot(_)
                if from_the_past =>
            {
                self.send_voted(&from, false, effects);
            }
            Message::PreVoteResponse { term, granted: true, .. } => {
                self.on_pre_vote_response(now, from, life, term, effects)
            }
            _ if from_the_past => {}
            Message::VoteRequest { candidacy, .. } => self.vote(now, &from, life, &candidacy, effects),
            Message::VoteResponse { granted: true, .. } => self.take_vote(now, from, life, effects),
            Message::AppendEntriesResponse(appended) => self.appended(now, &from, life, appended),
            Message::ReadIndexRequest { number } => self.on_read_index_request(from, number),
            Message::ReadIndexResponse { number, index } => self.on_read_index_response(number, index),
            Message::InstallSnapshot(chunk) => self.take_snapshot(now, from, chunk, effects),
            Message::InstallSnapshotResponse(receipt) => {
                self.snapshot_taken(now, &from, life, receipt, effects)
            }
            Message::TimeoutNow => self.take_over(now, effects),
            Message::AppendEntries(_)
            | Message::PreVoteRequest(_)
            | Message::NoRoom
            | Message::OldData { .. }
            | Message::PreVoteResponse { .. }
            | Message::VoteResponse { granted: false, .. } => {}
        }
    }

    /// Does what follows from every input. Disk and network come first, so that they work while
    /// clients are being answered.
    fn advance(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if matches!(self.role_state, RoleState::Stopped) {
            return;
        }
        self.let_join();
        self.persist(now, effects);
        self.commit();
        self.ship(now, effects);
        self.apply();
        self.trust_again();
        self.show();
        self.report(effects);
        self.answer_writers(effects);
        self.serve_readers(now, effects);
    }

    /// Applies the committed entries.
    fn apply(&mut self) {
        let mut starts = 0;
        while self.state.applied() < self.committed {
            let entry = self.log.get(self.state.applied() + 1).expect("what is not applied is in memory");
            starts += usize::from(matches!(entry.payload, Payload::Start { .. }));
            self.state.apply(entry);
            self.upcoming.applied(entry);
            self.shown.applied(entry);
        }
        if starts > 0 {
            self.forget_earlier_starts();
        }
    }

    fn send(&self, to: &Name, message: Message, effects: &mut Vec<Effect>) {
        let envelope = Envelope { term: self.ballot.term, message };
        effects.push(Effect::Send { to: to.clone(), envelope });
    }

    fn others(&self) -> Vec<Name> {
        self.names.iter().filter(|name| **name != self.name).cloned().collect()
    }

    fn lead(&self) -> Option<&PrimaryState> {
        match &self.role_state {
            RoleState::Primary(lead) => Some(lead),
            _ => None,
        }
    }

    /// Draws the time of the next election, unless this node hears from a primary before.
    fn draw_election(&mut self, now: Moment) -> Moment {
        let timeout = self.timing.election_timeout;
        now + timeout + self.dice.random_range(Duration::ZERO..timeout)
    }

    fn draw_number(&mut self) -> u64 {
        self.dice.random()
    }

    /// The records, as of the last entry applied.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// This node's role.
    pub fn role(&self) -> Role {
        self.role_state.role()
    }

    /// The newest term it knows of.
    pub fn term(&self) -> u64 {
        self.ballot.term
    }

    /// What an acknowledged write survives.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The last entry of the log.
    pub fn last_index(&self) -> u64 {
        self.log.last()
    }

    /// The last entry that is known to be committed.
    pub fn committed_index(&self) -> u64 {
        self.committed
    }

    /// The total number of writes ever truncated from this node's log.
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    /// The primary, as far as this node knows.
    pub fn primary(&self) -> Option<&Name> {
        match &self.role_state {
            RoleState::Primary(_) => Some(&self.name),
            RoleState::Replica(following) => following.primary.as_ref(),
            _ => None,
        }
    }

    /// What the node says about itself when it connects.
    pub fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// True if this node is the primary and everything before its term is committed.
    pub fn is_settled(&self) -> bool {
        self.lead().is_some_and(|lead| self.committed >= lead.began)
    }
}
