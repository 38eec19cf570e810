//! A replica's side of replication: it accepts entries and snapshots from the primary of its term.

#![deny(clippy::disallowed_methods)]

use super::Core;
use super::effect::{Effect, Halt, Notice};
use super::entry::Entry;
use super::input::Moment;
use super::member::Name;
use super::message::{AppendEntries, AppendEntriesResponse, Message, Outcome};
use super::reads::ReplicaReads;
use super::role::RoleState;
use super::snapshot::{Arriving, Chunk, Cursor, Receipt};

/// What a replica knows about its primary.
#[derive(Debug, Default)]
pub(super) struct ReplicaState {
    /// The primary it follows; `None` until it hears from one in this term.
    pub(super) primary: Option<Name>,
    /// When it last heard from the primary.
    pub(super) heard: Option<Moment>,
    /// This replica's log matches the primary's up to this index.
    pub(super) verified: u64,
    /// The newest heartbeat round it has seen.
    round: u64,
    /// What was last reported to the primary: the newest round, the persisted index, the applied
    /// index.
    reported: (u64, u64, u64),
    /// When it had last applied everything committed, as far as it knew, and how long a message to
    /// it may have taken, in milliseconds.
    fresh: Option<(Moment, u64)>,
    /// Linearizable reads that wait.
    pub(super) reads: ReplicaReads,
    /// A snapshot that is being received.
    arriving: Option<Arriving>,
}

impl ReplicaState {
    /// A replica that has just heard from a primary.
    pub(super) fn of(primary: Name, now: Moment) -> Self {
        Self { primary: Some(primary), heard: Some(now), ..Self::default() }
    }

    /// How stale its data may be, in milliseconds; `None` while it knows of no primary.
    pub(super) fn lag_ms(&self, now: Moment) -> Option<u64> {
        let (moment, way_ms) = self.fresh?;
        Some(now.since(moment).as_millis() as u64 + way_ms)
    }
}

impl Core {
    /// Handles entries, or a heartbeat, from the primary of this term.
    pub(super) fn on_append_entries(
        &mut self,
        now: Moment,
        from: Name,
        append: AppendEntries,
        effects: &mut Vec<Effect>,
    ) {
        if self.leads_against(&from, effects) {
            return;
        }
        self.follow(now, &from, effects);
        self.leave_own_import_out(&from, effects);
        if self.disk.installing.is_some() {
            return;
        }
        if let Some(index) = self.contradicts_what_is_committed(&append) {
            return self.stop(Halt::Diverged { primary: from, index }, effects);
        }
        let AppendEntries { round, previous, entries, committed, round_trip_ms } = append;
        if !self.log.has(previous) {
            let agreed_at_most = self.log.agreement_before(previous.index);
            let outcome = Outcome::Missing { previous: previous.index, agreed_at_most };
            return self.answer_append(&from, round, outcome, effects);
        }
        let up_to = previous.index + entries.len() as u64;
        self.take_entries(entries);
        let RoleState::Replica(following) = &mut self.role_state else { return };
        following.verified = following.verified.max(up_to);
        following.round = following.round.max(round);
        self.log.commit_to(committed.min(following.verified));
        if self.log.committed() >= committed {
            following.fresh = Some((now, round_trip_ms));
        }
    }

    /// Stops the node, and returns true, if this node is the primary too: one term must not have
    /// two.
    fn leads_against(&mut self, other: &Name, effects: &mut Vec<Effect>) -> bool {
        let leads = matches!(self.role_state, RoleState::Primary(_));
        if leads {
            let (other, term) = (other.clone(), self.hard_state.term());
            self.stop(Halt::TwoPrimaries { other, term }, effects);
        }
        leads
    }

    /// The first of these entries that contradicts one that this node knows to be committed.
    fn contradicts_what_is_committed(&self, append: &AppendEntries) -> Option<u64> {
        let compacted = self.log.compacted();
        let contradicts = |entry: &&Entry| match entry.index {
            index if index <= compacted.index => entry.term > compacted.term,
            index => index <= self.applied.index() && !self.log.has(entry.log_id()),
        };
        append.entries.iter().find(contradicts).map(|entry| entry.index)
    }

    /// True if this node began with imported records that no cluster has agreed to.
    fn has_own_import(&self) -> bool {
        self.applied.began_with_import && self.membership().is_none()
    }

    /// Discards records that were imported here: they mean nothing in a cluster that was formed
    /// without them.
    fn leave_own_import_out(&mut self, primary: &Name, effects: &mut Vec<Effect>) {
        if self.has_own_import() && self.disk.installing.is_none() {
            effects.push(Effect::Tell(Notice::ImportLeftOut(primary.clone())));
            self.install_nothing();
        }
    }

    /// Follows this primary from now on.
    fn follow(&mut self, now: Moment, primary: &Name, effects: &mut Vec<Effect>) {
        self.restart_election_timer(now);
        match &mut self.role_state {
            RoleState::Replica(following) if following.primary.as_ref() == Some(primary) => {
                following.heard = Some(now);
            }
            _ => {
                self.send_readers_away(effects);
                self.role_state = RoleState::Replica(Box::new(ReplicaState::of(primary.clone(), now)));
            }
        }
    }

    /// Appends new entries, after truncating the log where it diverged.
    fn take_entries(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if self.log.has(entry.log_id()) {
                continue;
            }
            if entry.index <= self.log.last() {
                self.truncate_log_after(entry.index - 1);
            }
            self.log.push(entry);
        }
    }

    /// Reports this replica's progress to the primary, if it has advanced since the last report.
    pub(super) fn report(&mut self, effects: &mut Vec<Effect>) {
        let RoleState::Replica(following) = &mut self.role_state else { return };
        let Some(primary) = following.primary.clone() else { return };
        let matched = following.verified.min(self.log.persisted());
        let now = (following.round, matched, self.applied.index());
        let (round, reported_matched, applied) = following.reported;
        // The primary waits for the applied index only in sync mode.
        let applied_matters = self.setup.mode == super::durability::Mode::Sync && now.2 != applied;
        if now.0 != round || matched != reported_matched || applied_matters {
            following.reported = now;
            self.answer_append(&primary, now.0, Outcome::Matched(matched), effects);
        }
    }

    fn answer_append(&mut self, primary: &Name, round: u64, outcome: Outcome, effects: &mut Vec<Effect>) {
        let appended = AppendEntriesResponse { round, applied: self.applied.index(), outcome };
        self.send(primary, Message::AppendEntriesResponse(appended), effects);
    }

    /// Handles a chunk of the primary's snapshot.
    pub(super) fn on_install_snapshot(
        &mut self,
        now: Moment,
        from: Name,
        chunk: Chunk,
        effects: &mut Vec<Effect>,
    ) {
        if self.leads_against(&from, effects) {
            return;
        }
        self.follow(now, &from, effects);
        self.leave_own_import_out(&from, effects);
        let place = chunk.about.place;
        if place.index <= self.applied.index() && !self.has_own_import() {
            // The snapshot is here already. What is applied is committed, and so the primary has it
            // too.
            let matched = self.applied.index().min(self.log.persisted());
            let round =
                if let RoleState::Replica(following) = &self.role_state { following.round } else { 0 };
            return self.answer_append(&from, round, Outcome::Matched(matched), effects);
        }
        if self.disk.installing.is_some() {
            return;
        }
        let RoleState::Replica(following) = &mut self.role_state else { return };
        if chunk.from == Cursor::START {
            following.arriving = Some(Arriving::new(chunk.about.clone()));
        }
        let Some(arriving) = following.arriving.as_mut().filter(|it| it.expects(&chunk)) else { return };
        let (is_last, receipt) = (chunk.next.is_none(), Receipt { place, from: chunk.from.clone() });
        arriving.take(chunk);
        if !is_last {
            return self.send(&from, Message::InstallSnapshotResponse(receipt), effects);
        }
        let arrived = following.arriving.take().expect("its last chunk was just taken");
        if self.log.has(place) {
            // The log already reaches past the snapshot, and entries that follow it may have been
            // confirmed.
            following.verified = following.verified.max(place.index);
            self.log.commit_to(place.index);
        } else {
            self.install(from, receipt, arrived.finish());
        }
    }
}
