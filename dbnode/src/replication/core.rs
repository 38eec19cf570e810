//! The core itself: a node's state, and how it handles each input.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::applied::Applied;
use super::discarded::Discarded;
use super::disk::Recovered;
use super::disk_state::DiskState;
use super::durability::Mode;
use super::effect::{Effect, Halt};
use super::entry::Payload;
use super::hard_state::HardState;
use super::input::{Input, Moment};
use super::lead::PrimaryState;
use super::life::Life;
use super::log::Log;
use super::member::Name;
use super::message::{Envelope, Message};
use super::peers::Peers;
use super::role::{Role, RoleState};
use super::roster::Roster;
use super::setup::Setup;
use super::state::State;
use super::waiting::Waiting;

/// A node's state, and the rules by which it decides. See the [module](super) for the parts.
#[derive(Debug)]
pub struct Core {
    pub(super) setup: Setup,
    /// What the node says about itself.
    pub(super) life: Arc<Life>,
    /// The only source of randomness: election timeouts and ids are drawn from it.
    pub(super) rng: ChaCha8Rng,

    pub(super) role_state: RoleState,
    /// When this node starts an election, unless it hears from a primary first.
    pub(super) election_due: Moment,
    pub(super) hard_state: HardState,
    pub(super) peers: Peers,

    pub(super) log: Log,
    pub(super) applied: Applied,
    pub(super) waiting: Waiting,

    pub(super) disk: DiskState,
    pub(super) discarded: Discarded,
}

impl Core {
    /// Restores a node from what was found on disk.
    pub fn new(setup: Setup, found: Recovered, now: Moment) -> Self {
        let Recovered { life: _, ballot, snapshot, entries, committed, discarded } = found;
        let setup = setup.sorted();
        let log = Log::recovered(snapshot.log_id(), entries, committed);
        let is_in_no_cluster = Roster { log: &log, state: &snapshot }.membership().is_none();
        let began_with_import = snapshot.applied() > 0 && is_in_no_cluster;
        let life = Life {
            incarnation: setup.incarnation,
            starts: setup.starts.clone(),
            term: ballot.term,
            last: log.last_place(),
        };
        let mut core = Self {
            rng: ChaCha8Rng::seed_from_u64(setup.seed),
            setup,
            life: Arc::new(life),
            role_state: RoleState::Replica(Box::default()),
            election_due: now,
            hard_state: HardState::recovered(ballot),
            peers: Peers::default(),
            log,
            applied: Applied::recovered(snapshot, began_with_import),
            waiting: Waiting::default(),
            disk: DiskState::new(now),
            discarded: Discarded::recovered(discarded),
        };
        if !core.setup.is_alone() {
            core.restart_election_timer(now);
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
    /// out. The work that follows every input is done once for the whole batch.
    pub fn steps(&mut self, now: Moment, inputs: impl IntoIterator<Item = Input>) -> Vec<Effect> {
        let mut effects = Vec::new();
        // The process may have been frozen since the last step. Another node may be the primary by
        // now, so nothing that was in progress may be acknowledged.
        self.check_quorum(now, &mut effects);
        for input in inputs {
            self.handle_input(now, input, &mut effects);
        }
        self.advance(now, &mut effects);
        self.hard_state.hold_back(&mut effects);
        effects
    }

    fn handle_input(&mut self, now: Moment, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::ClientWrites { ticket, write } => self.on_client_write(now, ticket, write, effects),
            Input::ClientReads { ticket } => self.on_client_read(now, ticket, effects),
            Input::Received { from, life, envelope } => self.on_message(now, from, &life, envelope, effects),
            Input::Connected { peer, hello } => self.on_connected(now, peer, hello, effects),
            Input::Disconnected { peer } => self.on_disconnected(&peer),
            Input::Persisted => self.on_persisted(now, effects),
            Input::DiskFull => self.on_disk_full(now, effects),
            Input::DiskFailed => self.stop(Halt::DiskFailed, effects),
            Input::Compacted { up_to } => self.on_compacted(now, up_to),
            Input::NotCompacted => self.on_not_compacted(now),
            Input::Room { is_short } => self.disk.room_is_short = is_short,
            Input::SnapshotRead { peer, chunk } => self.on_snapshot_read(now, &peer, chunk, effects),
            Input::Installed => self.on_installed(effects),
            Input::NotInstalled => self.on_not_installed(effects),
            Input::HandOver => self.begin_hand_over(now),
            Input::TimePassed => self.on_time_passed(now, effects),
        }
    }

    fn on_time_passed(&mut self, now: Moment, effects: &mut Vec<Effect>) {
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

    fn on_message(
        &mut self,
        now: Moment,
        from: Name,
        life: &Arc<Life>,
        envelope: Envelope,
        effects: &mut Vec<Effect>,
    ) {
        if matches!(self.role_state, RoleState::Stopped)
            || !self.setup.members.contains(&from)
            || !envelope.message.makes_sense()
        {
            return;
        }
        match &envelope.message {
            // These messages do not change a node's term.
            Message::PreVoteRequest(candidacy) => {
                self.on_pre_vote_request(now, &from, life, candidacy, effects)
            }
            Message::NoRoom => self.on_no_room(now, &from, effects),
            Message::OldData { start, known_up_to } => self.on_old_data(&from, *start, *known_up_to, effects),
            // A node that was cut off must not depose a working primary (Raft thesis, 4.2.3).
            Message::VoteRequest { leadership_transfer: false, .. }
                if envelope.term > self.hard_state.term() && self.has_a_primary(now) => {}
            _ => self.on_message_in_term(now, from, life, envelope, effects),
        }
    }

    /// Handles a message, after adopting the sender's term if it is later than this node's.
    fn on_message_in_term(
        &mut self,
        now: Moment,
        from: Name,
        life: &Arc<Life>,
        Envelope { term, message }: Envelope,
        effects: &mut Vec<Effect>,
    ) {
        self.remember(&from, life, term, effects);
        if let Message::PreVoteResponse { committed, .. } | Message::VoteResponse { committed, .. } = &message
        {
            self.learn_committed(*committed);
        }
        if term > self.hard_state.term() {
            self.become_replica(now, term, effects);
        }
        let from_the_past = term < self.hard_state.term();
        match message {
            Message::AppendEntries(append) if !from_the_past => {
                self.on_append_entries(now, from, append, effects);
            }
            // The sender is a primary or candidate of an earlier term; the answer makes it step
            // down.
            Message::AppendEntries(_) | Message::VoteRequest { .. } | Message::InstallSnapshot(_)
                if from_the_past =>
            {
                self.send_vote_response(&from, false, effects);
            }
            Message::PreVoteResponse { term, granted: true, .. } => {
                self.on_pre_vote_response(now, from, life, term, effects)
            }
            _ if from_the_past => {}
            Message::VoteRequest { candidacy, .. } => {
                self.on_vote_request(now, &from, life, &candidacy, effects)
            }
            Message::VoteResponse { granted: true, .. } => self.count_vote(now, from, life, effects),
            Message::AppendEntriesResponse(appended) => {
                self.on_append_entries_response(now, &from, life, appended)
            }
            Message::ReadIndexRequest { number } => self.on_read_index_request(from, number),
            Message::ReadIndexResponse { number, index } => self.on_read_index_response(number, index),
            Message::InstallSnapshot(chunk) => self.on_install_snapshot(now, from, chunk, effects),
            Message::InstallSnapshotResponse(receipt) => {
                self.on_install_snapshot_response(now, &from, life, receipt, effects)
            }
            Message::TimeoutNow => self.on_timeout_now(now, effects),
            Message::AppendEntries(_)
            | Message::PreVoteRequest(_)
            | Message::NoRoom
            | Message::OldData { .. }
            | Message::PreVoteResponse { .. }
            | Message::VoteResponse { granted: false, .. } => {}
        }
    }

    /// Does the work that follows every input. Disk and network come first, so that they are busy
    /// while clients are being answered.
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
    pub(super) fn apply(&mut self) {
        let mut a_member_started = false;
        while let Some(entry) = self.applied.apply_next(&self.log) {
            a_member_started |= matches!(entry.payload, Payload::Start { .. });
            if let RoleState::Primary(lead) = &mut self.role_state {
                lead.upcoming.applied(entry);
            }
        }
        if a_member_started {
            self.forget_earlier_starts();
        }
    }

    pub(super) fn send(&self, to: &Name, message: Message, effects: &mut Vec<Effect>) {
        let envelope = Envelope { term: self.hard_state.term(), message };
        effects.push(Effect::Send { to: to.clone(), envelope });
    }

    pub(super) fn lead(&self) -> Option<&PrimaryState> {
        match &self.role_state {
            RoleState::Primary(lead) => Some(lead),
            _ => None,
        }
    }

    /// The records, as of the last entry applied.
    pub fn state(&self) -> &State {
        &self.applied.state
    }

    /// This node's role.
    pub fn role(&self) -> Role {
        self.role_state.role()
    }

    /// The newest term this node knows of.
    pub fn term(&self) -> u64 {
        self.hard_state.term()
    }

    /// What an acknowledged write survives.
    pub fn mode(&self) -> Mode {
        self.setup.mode
    }

    /// The last entry of the log.
    pub fn last_index(&self) -> u64 {
        self.log.last()
    }

    /// The last entry that is known to be committed.
    pub fn committed_index(&self) -> u64 {
        self.log.committed()
    }

    /// The total number of writes ever truncated from this node's log.
    pub fn discarded(&self) -> u64 {
        self.discarded.count()
    }

    /// The primary, as far as this node knows.
    pub fn primary(&self) -> Option<&Name> {
        match &self.role_state {
            RoleState::Primary(_) => Some(&self.setup.name),
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
        self.lead().is_some_and(|lead| self.log.committed() >= lead.began)
    }
}
