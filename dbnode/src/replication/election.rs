//! Leader election: the Raft paper's elections (sections 5.2 and 5.4.1), with two additions from
//! the Raft thesis. Pre-vote (section 9.6) precedes each election, so that a node that was cut off
//! does not disturb the others when it comes back. Check quorum (section 6.2) makes a primary step
//! down when it does not hear from a majority.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;

use super::Core;
use super::disk::Ballot;
use super::durability::Mode;
use super::effect::{Effect, RejectReason};
use super::entry::{LogId, Payload};
use super::input::Moment;
use super::lead::{PrimaryState, Progress};
use super::life::Life;
use super::member::Name;
use super::message::{Candidacy, Message};
use super::reads::PrimaryReads;
use super::role::{CalledBy, RoleState};
use super::upcoming::Upcoming;

/// How long a primary waits for its disk, in election timeouts, before it steps down.
const DISK_PATIENCE: u32 = 2;

impl Core {
    /// Starts a pre-vote when the election timeout has passed; as a primary, checks the quorum.
    pub(super) fn watch_for_a_primary(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match &self.role_state {
            RoleState::Primary(_) => self.watch_for_a_majority(now, effects),
            RoleState::Stopped => {}
            _ if now < self.election_due => {}
            _ if !self.may_stand() => self.restart_election_timer(now),
            _ => self.start_pre_vote(now, effects),
        }
    }

    /// Draws the time of the next election, unless this node hears from a primary before.
    pub(super) fn restart_election_timer(&mut self, now: Moment) {
        let timeout = self.setup.timing.election_timeout;
        self.election_due = now + timeout + self.rng.random_range(Duration::ZERO..timeout);
    }

    /// True if this node may become a candidate. A node that may not vote, or has no room for what
    /// a primary writes, leaves the election to others.
    fn may_stand(&self) -> bool {
        self.may_vote() && self.disk.installing.is_none() && !self.waits_for_room() && !self.log_is_too_long()
    }

    /// Steps down if this primary has not heard from a majority within an election timeout, or if
    /// its disk has stalled.
    pub(super) fn check_quorum(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if matches!(self.role_state, RoleState::Primary(_)) {
            self.watch_for_a_majority(now, effects);
        }
    }

    /// True if the disk has stalled. Such a primary can acknowledge nothing while another node
    /// could; a single node has no other to yield to.
    fn disk_hangs(&self, now: Moment) -> bool {
        let patience = self.setup.timing.election_timeout * DISK_PATIENCE;
        !self.setup.is_alone() && self.disk.hangs(now, patience)
    }

    /// Check quorum: a primary that has heard from no majority for an election timeout may already
    /// have a successor.
    fn watch_for_a_majority(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let timeout = self.setup.timing.election_timeout;
        let Some(lead) = self.lead() else { return };
        let heard = lead.progress.iter().filter(|(name, progress)| {
            self.counts_if_known(name, progress.life.as_ref()) && now.since(progress.heard) < timeout
        });
        let in_reach = heard.count() + usize::from(self.may_vote());
        if in_reach < self.setup.majority() || self.disk_hangs(now) {
            let term = self.hard_state.term();
            self.become_replica(now, term, effects);
        } else if self.setup.mode == Mode::Sync && self.member_down(now).is_some() {
            // The waiting writes need a confirmation from a member that does not answer.
            self.waiting.reject_all(&RejectReason::OutcomeUnknown, effects);
        }
    }

    fn start_pre_vote(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.send_readers_away(effects);
        self.restart_election_timer(now);
        let pre_votes = BTreeSet::from([self.setup.name.clone()]);
        self.role_state = RoleState::PreCandidate { pre_votes, asked: now };
        for name in self.setup.others() {
            let candidacy = self.candidacy(self.hard_state.term() + 1, &name);
            self.send(&name, Message::PreVoteRequest(candidacy), effects);
        }
        self.count_pre_votes(now, effects);
    }

    fn candidacy(&self, term: u64, receiver: &str) -> Candidacy {
        let founder = self.membership().and_then(|it| it.founders.get(receiver)).copied();
        Candidacy {
            term,
            last: self.log.last_place(),
            acts_since: self.roster().acts_since(&self.setup.name),
            founder,
        }
    }

    /// Answers a pre-vote request.
    pub(super) fn on_pre_vote_request(
        &mut self,
        now: Moment,
        from: &Name,
        life: &Life,
        candidacy: &Candidacy,
        effects: &mut Vec<Effect>,
    ) {
        let granted = candidacy.term > self.hard_state.term()
            && self.may_vote_in(candidacy)
            && !self.stands_by_old_data(from, life, candidacy)
            && self.is_up_to_date(candidacy.last)
            && !self.has_a_primary(now);
        let rivals = granted && self.has_just_asked(now);
        if rivals && (self.log.last_place(), &self.setup.name) > (candidacy.last, from) {
            return self.send_pre_vote_response(from, candidacy.term, false, effects);
        }
        if rivals {
            self.role_state = RoleState::Replica(Box::default());
            self.restart_election_timer(now);
        }
        self.send_pre_vote_response(from, candidacy.term, granted, effects);
    }

    fn send_pre_vote_response(&self, to: &Name, term: u64, granted: bool, effects: &mut Vec<Effect>) {
        let committed = self.log.committed_place();
        self.send(to, Message::PreVoteResponse { term, granted, committed }, effects);
    }

    pub(super) fn send_vote_response(&self, to: &Name, granted: bool, effects: &mut Vec<Effect>) {
        let committed = self.log.committed_place();
        self.send(to, Message::VoteResponse { granted, committed }, effects);
    }

    /// True if this node sent a pre-vote request a moment ago. Two nodes that do so at the same
    /// time would grant each other's pre-votes, then split the votes, and everyone would wait for
    /// another election. So one of them, chosen by log and name, goes first for as long as it can
    /// be expected to win.
    fn has_just_asked(&self, now: Moment) -> bool {
        let patience = self.setup.timing.election_timeout / 4;
        matches!(self.role_state, RoleState::PreCandidate { asked, .. } if now.since(asked) < patience)
    }

    /// Counts a pre-vote that was granted.
    pub(super) fn on_pre_vote_response(
        &mut self,
        now: Moment,
        from: Name,
        life: &Life,
        term: u64,
        effects: &mut Vec<Effect>,
    ) {
        let counts = self.counts(&from, life) && term == self.hard_state.term() + 1;
        if let RoleState::PreCandidate { pre_votes, .. } = &mut self.role_state
            && counts
        {
            pre_votes.insert(from);
            self.count_pre_votes(now, effects);
        }
    }

    fn count_pre_votes(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let RoleState::PreCandidate { pre_votes, .. } = &self.role_state
            && pre_votes.len() >= self.setup.majority()
        {
            self.start_election(now, CalledBy::Silence, effects);
        }
    }

    /// Becomes a candidate. Its own vote counts once it is on disk.
    pub(super) fn start_election(&mut self, now: Moment, called_by: CalledBy, effects: &mut Vec<Effect>) {
        self.send_readers_away(effects);
        self.restart_election_timer(now);
        let term = self.hard_state.term() + 1;
        self.hard_state.set(Ballot { term, voted_for: Some(self.setup.name.clone()) });
        self.role_state = RoleState::Candidate { votes: BTreeSet::new(), called_by };
        for name in self.setup.others() {
            self.ask_for_vote(&name, effects);
        }
    }

    pub(super) fn ask_for_vote(&mut self, name: &Name, effects: &mut Vec<Effect>) {
        let RoleState::Candidate { called_by, .. } = self.role_state else { return };
        let candidacy = self.candidacy(self.hard_state.term(), name);
        let leadership_transfer = called_by == CalledBy::Primary;
        self.send(name, Message::VoteRequest { candidacy, leadership_transfer }, effects);
    }

    /// Answers a vote request.
    pub(super) fn on_vote_request(
        &mut self,
        now: Moment,
        from: &Name,
        life: &Life,
        candidacy: &Candidacy,
        effects: &mut Vec<Effect>,
    ) {
        let free = self.hard_state.voted_for().is_none_or(|voted_for| voted_for == from);
        let granted = candidacy.term == self.hard_state.term()
            && free
            && matches!(self.role_state, RoleState::Replica(_) | RoleState::PreCandidate { .. })
            && self.may_vote_in(candidacy)
            && !self.stands_by_old_data(from, life, candidacy)
            && self.is_up_to_date(candidacy.last);
        if granted {
            self.restart_election_timer(now);
            self.hard_state.set(Ballot { term: self.hard_state.term(), voted_for: Some(from.clone()) });
        }
        self.send_vote_response(from, granted, effects);
    }

    /// Counts a vote for this node; its own vote is counted here too, once it is on disk.
    pub(super) fn count_vote(&mut self, now: Moment, from: Name, life: &Life, effects: &mut Vec<Effect>) {
        if !self.counts(&from, life) {
            return;
        }
        if let RoleState::Candidate { votes, .. } = &mut self.role_state {
            votes.insert(from);
            if votes.len() >= self.setup.majority() {
                self.become_primary(now, Payload::NoOp, effects);
            }
        }
    }

    /// Becomes the primary, and begins its term with this entry.
    pub(super) fn become_primary(&mut self, now: Moment, first: Payload, effects: &mut Vec<Effect>) {
        self.send_readers_away(effects);
        let last = self.log.last();
        let progress = self.setup.others().into_iter().map(|name| {
            let life = self.peers.life(&name).cloned();
            (name, Progress::unknown(life, last, now))
        });
        let progress = progress.collect();
        let mut upcoming = Upcoming::default();
        for index in self.applied.index() + 1..=last {
            upcoming.add(self.log.get(index).expect("what is not applied is in memory"));
        }
        let clock = (now, upcoming.newest(&self.applied.state));
        upcoming.add(self.log.append(self.hard_state.term(), first));
        self.role_state = RoleState::Primary(Box::new(PrimaryState {
            progress,
            upcoming,
            began: last + 1,
            round: 0,
            round_began: now,
            reads: PrimaryReads::default(),
            handing_over: None,
            joining: None,
            clock,
        }));
        self.begin_round(now, effects);
    }

    /// Steps down, or adopts a later term.
    pub(super) fn become_replica(&mut self, now: Moment, term: u64, effects: &mut Vec<Effect>) {
        if term > self.hard_state.term() {
            self.hard_state.set(Ballot { term, voted_for: None });
        }
        if matches!(self.role_state, RoleState::Stopped) {
            return;
        }
        self.send_readers_away(effects);
        // The next primary decides whether these writes survive.
        self.waiting.reject_all(&RejectReason::OutcomeUnknown, effects);
        self.restart_election_timer(now);
        self.role_state = RoleState::Replica(Box::default());
    }

    /// Takes over from the primary at its request (leadership transfer).
    pub(super) fn on_timeout_now(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if matches!(self.role_state, RoleState::Replica(_)) && self.may_stand() {
            self.start_election(now, CalledBy::Primary, effects);
        }
    }

    /// True while this node hears from a primary, or is one. A node that asks for an election
    /// meanwhile has been cut off.
    pub(super) fn has_a_primary(&self, now: Moment) -> bool {
        match &self.role_state {
            RoleState::Primary(_) => true,
            RoleState::Replica(following) => {
                following.heard.is_some_and(|heard| now.since(heard) < self.setup.timing.election_timeout)
            }
            _ => false,
        }
    }

    /// True if a log that ends there is at least as up to date as this one: terms are compared
    /// first.
    fn is_up_to_date(&self, last: LogId) -> bool {
        last >= self.log.last_place()
    }

    /// True if this node may vote in this election. It may know of the cluster only from the
    /// candidate. See [`member`](crate::replication::member).
    fn may_vote_in(&self, candidacy: &Candidacy) -> bool {
        match self.membership() {
            Some(_) => self.may_vote(),
            None => candidacy.founder == Some(self.life.incarnation) && self.peers.doubted_by.is_none(),
        }
    }
}
