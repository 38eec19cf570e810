//! A primary's side of replication: it sends entries, heartbeats and snapshots to the replicas, and
//! handles their responses.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use super::Core;
use super::durability::committed;
use super::effect::Effect;
use super::entry::LogId;
use super::input::Moment;
use super::lead::{Asked, Awaited, Progress, ProgressState};
use super::life::Life;
use super::member::Name;
use super::message::{AppendEntries, AppendEntriesResponse, Message, Outcome};
use super::role::RoleState;
use super::snapshot::{Chunk, Cursor, Receipt};

impl Core {
    /// Starts a heartbeat round; the heartbeat is part of the next message to each replica.
    pub(super) fn begin_round(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        lead.begin_round(now);
        self.ship(now, effects);
    }

    /// Starts a heartbeat round when one is due.
    pub(super) fn send_heartbeats(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let heartbeat = self.setup.timing.heartbeat();
        let snapshot_patience = self.setup.timing.election_timeout * 4;
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        // At every tick: while clients read the latest values, their rounds leave none that is due.
        lead.give_up_snapshots(now, snapshot_patience);
        if now.since(lead.round_began) >= heartbeat {
            self.begin_round(now, effects);
        }
    }

    /// Sends each replica the entries it lacks, as far as flow control allows.
    pub(super) fn ship(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        for name in self.setup.others() {
            while self.peers.is_connected(&name) {
                let Some(message) = self.next_for(now, &name, effects) else { break };
                self.send(&name, message, effects);
            }
        }
    }

    /// The next message for a replica; `None` if it has to wait, or is up to date.
    fn next_for(&mut self, now: Moment, name: &Name, effects: &mut Vec<Effect>) -> Option<Message> {
        let RoleState::Primary(lead) = &mut self.role_state else { return None };
        let round = lead.round;
        let progress = lead.progress.get_mut(name)?;
        let previous = progress.next - 1;
        let news = round > progress.round_sent || self.log.committed() > progress.commit_index_sent;
        let entries = match progress.state {
            ProgressState::Snapshot { .. } if round > progress.round_sent => {
                // A heartbeat tells it that the primary is alive; what it lacks comes with the
                // snapshot.
                return Some(Message::AppendEntries(self.append_of(
                    name,
                    self.log.compacted(),
                    Vec::new(),
                )?));
            }
            ProgressState::Snapshot { .. } | ProgressState::Probe(Asked::Yes) => return None,
            _ if previous < self.log.compacted().index => {
                progress.state =
                    ProgressState::Snapshot { awaited: Awaited::Chunk(Cursor::START), moved: now };
                let bytes_max = self.setup.limits.chunk_bytes;
                effects.push(Effect::ReadSnapshot { peer: name.clone(), from: Cursor::START, bytes_max });
                return None;
            }
            ProgressState::Probe(Asked::No) => {
                progress.state = ProgressState::Probe(Asked::Yes);
                Vec::new()
            }
            ProgressState::Replicate => {
                let limits = &self.setup.limits;
                let room = progress.in_flight.has_room(limits.in_flight_messages, limits.in_flight_bytes);
                let entries = match room {
                    true => self.log.after(previous, limits.batch_entries, limits.batch_bytes),
                    false => Vec::new(),
                };
                if entries.is_empty() && !news {
                    return None;
                }
                if let Some(last) = entries.last() {
                    progress.next = last.index + 1;
                }
                progress.in_flight.push(&entries);
                entries
            }
        };
        let term = self.log.term_at(previous).expect("what follows the snapshot is in memory");
        self.append_of(name, LogId { term, index: previous }, entries).map(Message::AppendEntries)
    }

    fn append_of(
        &mut self,
        name: &Name,
        previous: LogId,
        entries: Vec<super::entry::Entry>,
    ) -> Option<AppendEntries> {
        let committed = self.log.committed();
        let RoleState::Primary(lead) = &mut self.role_state else { return None };
        let progress = lead.progress.get_mut(name)?;
        (progress.round_sent, progress.commit_index_sent) = (lead.round, committed);
        let round_trip_ms = progress.round_trip.as_millis() as u64;
        Some(AppendEntries { round: lead.round, previous, entries, committed, round_trip_ms })
    }

    /// Handles a replica's response to `AppendEntries`.
    pub(super) fn on_append_entries_response(
        &mut self,
        now: Moment,
        from: &Name,
        life: &Arc<Life>,
        appended: AppendEntriesResponse,
    ) {
        let last = self.log.last();
        if let Outcome::Matched(matched) = appended.outcome {
            // The replica has entries that this node never had. Whichever is wrong, this node must
            // not send more.
            if matched > last {
                return;
            }
        }
        let Some(progress) = self.progress_of(now, from, life) else { return };
        progress.heard = now;
        progress.applied = progress.applied.max(appended.applied);
        match appended.outcome {
            Outcome::Matched(matched) => {
                progress.matches(matched);
                if let ProgressState::Snapshot { .. } = progress.state
                    && matched > 0
                {
                    progress.probe_from(matched + 1);
                }
            }
            // A late response to an old message says nothing new.
            Outcome::Missing { previous, .. } if previous <= progress.matched => {}
            Outcome::Missing { .. } if matches!(progress.state, ProgressState::Snapshot { .. }) => {}
            Outcome::Missing { previous, agreed_at_most } => {
                if previous < progress.next {
                    progress.probe_from(agreed_at_most.min(previous - 1) + 1);
                }
            }
        }
        if progress.matched >= last {
            progress.caught_up_at = now;
        }
        let round = appended.round;
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        let round_trip = (round == lead.round).then(|| now.since(lead.round_began));
        if let Some(progress) = lead.progress.get_mut(from)
            && round > progress.round
        {
            progress.round = round;
            progress.round_trip = round_trip.unwrap_or(progress.round_trip);
        }
    }

    /// Remembers, for each replica, the newest entry that it has confirmed and that is committed.
    fn remember_confirmed(&mut self) {
        let RoleState::Primary(lead) = &self.role_state else { return };
        for (name, progress) in &lead.progress {
            let index = progress.matched.min(self.log.committed());
            if let Some(term) = self.log.term_at(index) {
                self.peers.remember_confirmed(name, LogId { term, index });
            }
        }
    }

    /// The progress of a replica. It is reset if the replica has been restarted.
    fn progress_of(&mut self, now: Moment, from: &Name, life: &Arc<Life>) -> Option<&mut Progress> {
        let last = self.log.last();
        let RoleState::Primary(lead) = &mut self.role_state else { return None };
        let progress = lead.progress.get_mut(from)?;
        if progress.life.as_ref().is_none_or(|known| !known.is_same(life)) {
            *progress = Progress::unknown(Some(Arc::clone(life)), last, now);
        }
        Some(progress)
    }

    /// True if a majority has answered this heartbeat round.
    pub(super) fn round_confirmed(&self, round: u64) -> bool {
        let Some(lead) = self.lead() else { return false };
        let answered = lead.progress.iter().filter(|(name, progress)| {
            progress.round >= round && self.counts_if_known(name, progress.life.as_ref())
        });
        answered.count() + usize::from(self.may_vote()) >= self.setup.majority()
    }

    /// Advances the commit index as far as a majority's disks allow.
    pub(super) fn commit(&mut self) {
        let Some(lead) = self.lead() else { return };
        let others = lead
            .progress
            .iter()
            .filter(|(name, progress)| self.counts_if_known(name, progress.life.as_ref()));
        let mut disks: Vec<u64> = others.map(|(_, progress)| progress.matched).collect();
        disks.extend(self.may_vote().then_some(self.log.persisted()));
        let term_at = |index| self.log.term_at(index);
        if let Some(place) = committed(self.setup.members.len(), &mut disks, self.hard_state.term(), term_at)
        {
            self.log.commit_to(place.index);
        }
        self.remember_confirmed();
    }

    /// The index up to which every member has persisted and applied the log.
    pub(super) fn applied_everywhere(&self) -> u64 {
        let own = self.log.persisted().min(self.applied.index());
        let others = self.lead().into_iter().flat_map(|lead| &lead.progress);
        let reached =
            others.map(|(name, progress)| match self.counts_if_known(name, progress.life.as_ref()) {
                true => progress.matched.min(progress.applied),
                false => 0,
            });
        reached.fold(own, u64::min)
    }

    /// A member known to be down, if there is one.
    pub(super) fn member_down(&self, now: Moment) -> Option<Name> {
        let down = |(name, progress): (&Name, &Progress)| {
            let silent = now.since(progress.heard) >= self.setup.timing.election_timeout;
            let lost = !self.peers.is_connected(name);
            (silent || lost || !self.counts_if_known(name, progress.life.as_ref())).then(|| name.clone())
        };
        self.lead()?.progress.iter().find_map(down)
    }

    /// Sends a snapshot chunk that was read from the disk.
    pub(super) fn on_snapshot_read(
        &mut self,
        now: Moment,
        peer: &Name,
        chunk: Option<Chunk>,
        effects: &mut Vec<Effect>,
    ) {
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        let Some(progress) = lead.progress.get_mut(peer) else { return };
        let ProgressState::Snapshot { awaited, moved } = &mut progress.state else { return };
        let Some(chunk) = chunk else { return progress.probe_from(progress.next) };
        if *awaited != Awaited::Chunk(chunk.from.clone()) {
            return;
        }
        let (place, from, next) = (chunk.about.place, chunk.from.clone(), chunk.next.clone());
        (*awaited, *moved) = (Awaited::Receipt { place, from, next }, now);
        self.send(peer, Message::InstallSnapshot(chunk), effects);
    }

    /// Handles a replica's confirmation of a snapshot chunk.
    pub(super) fn on_install_snapshot_response(
        &mut self,
        now: Moment,
        from: &Name,
        life: &Arc<Life>,
        taken: Receipt,
        effects: &mut Vec<Effect>,
    ) {
        let bytes_max = self.setup.limits.chunk_bytes;
        let Some(progress) = self.progress_of(now, from, life) else { return };
        progress.heard = now;
        let ProgressState::Snapshot { awaited, moved } = &mut progress.state else { return };
        let Awaited::Receipt { place, from: chunk_from, next } = awaited else { return };
        let place = *place;
        if taken.place != place || taken.from != *chunk_from {
            return;
        }
        match next.take() {
            Some(next) => {
                (*awaited, *moved) = (Awaited::Chunk(next.clone()), now);
                effects.push(Effect::ReadSnapshot { peer: from.clone(), from: next, bytes_max });
            }
            None => {
                progress.matched = progress.matched.max(place.index);
                progress.applied = progress.applied.max(place.index);
                progress.probe_from(place.index + 1);
            }
        }
    }
}
